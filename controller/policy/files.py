"""Reading the files of policies and models: every `*.yaml` and `*.yml` of the paths given."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from controller.policy.document import Document, Problem, parse_documents

MAX_BYTES = 4 * 1024 * 1024
_SUFFIXES = (".yaml", ".yml")


def read_documents(paths: Iterable[Path]) -> tuple[list[Document], list[Problem]]:
    """All documents in the files and folders of `paths`, and what is wrong with their heads.

    Folders are read with those below them; hidden names (also a ConfigMap's `..data`) are
    skipped. A path that is not there, and a file that cannot be read, are problems.
    """
    documents: list[Document] = []
    problems: list[Problem] = []
    for path in paths:
        if not path.exists():
            problems.append(Problem(str(path), None, "no such file or folder"))
            continue
        for file in _files(path):
            found, wrong = _read(file)
            documents += found
            problems += wrong
    return documents, problems


def stamps(paths: Iterable[Path]) -> dict[str, tuple[int, int, int]]:
    """Inode, time of change (ns) and size (bytes) of each file: equal as long as nothing was changed."""
    found: dict[str, tuple[int, int, int]] = {}
    for path in paths:
        for file in _files(path):
            try:
                stat = file.stat()
            except OSError:
                continue
            found[str(file)] = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
    return found


def _files(path: Path) -> Iterator[Path]:
    """The files of a path, sorted; a file given by its own name may have any suffix."""
    if not path.is_dir():
        yield path
        return
    for file in sorted(path.rglob("*")):
        hidden = any(part.startswith(".") for part in file.relative_to(path).parts)
        if not hidden and file.suffix in _SUFFIXES and not file.is_dir():
            yield file


def _read(file: Path) -> tuple[list[Document], list[Problem]]:
    name = str(file)
    try:
        with file.open("rb") as stream:
            body = stream.read(MAX_BYTES + 1)
    except OSError as error:
        return [], [Problem(name, None, f"cannot be read: {error.strerror or error}")]
    if len(body) > MAX_BYTES:
        return [], [Problem(name, None, f"want at most {MAX_BYTES // (1024 * 1024)} MiB")]
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = body.count(b"\n", 0, error.start) + 1
        return [], [Problem(name, None, f"line {line}: want UTF-8")]
    return parse_documents(text, name)
