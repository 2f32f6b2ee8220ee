"""The registry of models: a folder for each version, written whole or not at all.

::

    /registry/<model>/<version>/model.joblib, card.json
    /registry/<model>/.candidate-<version>/       trained, not yet registered

Models are pickles: whoever can write here can run code where they are served.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from argo.steps.step import StepFailed

ROOT = Path("/registry")
MODEL, CARD = "model.joblib", "card.json"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


class Registry:
    """The versions of one model."""

    def __init__(self, root: Path, model: str) -> None:
        self.folder = root / _checked("model", model)

    def version(self, version: str) -> Path:
        """Where a registered version lies, or would."""
        return self.folder / _checked("version", version)

    def versions(self) -> set[str]:
        """All that are registered."""
        return {path.name for path in self.folder.glob("[!.]*")}

    def candidate(self, version: str) -> Path:
        """Where a version lies until it is registered."""
        return self.folder / f".candidate-{_checked('version', version)}"

    def keep(self, folder: Path, files: Mapping[str, bytes]) -> None:
        """Write a folder with these files; once it has its name, it and they survive a crash. One that is there stays.

        Two that write the same at once do not mix: the slower one finds it done.
        """
        if folder.exists():
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(dir=self.folder, prefix=".writing-"))
        try:
            for name, content in files.items():
                with (work / name).open("wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
            work.chmod(0o755)
            _sync(work)
            try:
                work.rename(folder)
            except OSError:
                if not folder.exists():
                    raise
            _sync(self.folder)
        finally:
            shutil.rmtree(work, ignore_errors=True)

    def sweep(self, before: float) -> None:
        """Remove what refused and interrupted runs have left before a time, in seconds of the epoch."""
        for left in [*self.folder.glob(".candidate-*"), *self.folder.glob(".writing-*")]:
            with suppress(FileNotFoundError):
                if left.stat().st_mtime < before:
                    shutil.rmtree(left, ignore_errors=True)


def read_card(folder: Path) -> dict[str, Any]:
    """What is known of the version in `folder`. Raises StepFailed where there is none."""
    try:
        card: dict[str, Any] = json.loads((folder / CARD).read_text())
    except FileNotFoundError:
        raise StepFailed(f"the registry has no {folder.name} of {folder.parent.name}") from None
    return card


def as_bytes(card: Mapping[str, Any]) -> bytes:
    """A card as it is written."""
    return json.dumps(card, indent=1, sort_keys=True).encode()


def _checked(what: str, name: str) -> str:
    if not _NAME.fullmatch(name):
        raise StepFailed(f"{what}: want letters, digits, dots, dashes and underscores, got {name[:80]!r}")
    return name


def _sync(folder: Path) -> None:
    """Make names that were written in a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
