"""Images built from a Dockerfile on this machine, without a container engine: `cluster.current().load(build(...))`.

A Dockerfile says `ARG BASE` and `ARG BUILDER`, and both are given here: BASE has Python, BUILDER has `venv` too, for a
stage that installs packages. How this machine's pip reaches its index comes as the secret `pip`, of which nothing stays
in an image: `RUN --mount=type=secret,id=pip,target=/etc/pip.conf pip install ...`.
"""

from __future__ import annotations

import ast
import hashlib
import re
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.cluster import cluster, images, kind, programs
from tests.cluster.host import CACHE, HERE, ClusterError, room, run, say

BUILDER = "localhost/python:builder"
KEPT = CACHE / "built"
GRACE = 600.0
"""Seconds that an archive is left after a newer one of its name, for who is about to load it."""

PIP_READS = ("cert", "client-cert", "find-links")
PIP_SETTINGS = {*PIP_READS, "extra-index-url", "index-url", "no-index", "proxy", "retries", "timeout", "trusted-host"}
"""What of pip's configuration a build needs; the first of them name files, which it is given under the same path."""


def build(tag: str, folder: Path, dockerfile: Path | None = None, arguments: Mapping[str, str] | None = None) -> Path:
    """The docker archive of an image, built where that has not been done from the same content.

    `tag` is the whole name, such as `localhost/modelmend:test`; `dockerfile` is by default the one in `folder`. Where
    `folder` has a .dockerignore, it leaves out everything and then names what goes in. ClusterError, with what buildah
    said, where the image does not build.
    """
    if cluster.current().way != "node":
        registry = kind.UPSTREAM[images.PYTHON]
        given = {"BASE": registry, "BUILDER": registry, **(arguments or {})}
        return built(tag, folder, dockerfile or folder / "Dockerfile", given, {registry: f"docker://{registry}"})
    base = images.build(programs.build()) / "python.tar"
    sources = {images.PYTHON: f"docker-archive:{base}"}
    builder = built(BUILDER, HERE / "builder", HERE / "builder" / "Dockerfile", {"BASE": images.PYTHON}, sources)
    sources[BUILDER] = f"docker-archive:{builder}"
    given = {"BASE": images.PYTHON, "BUILDER": BUILDER, **(arguments or {})}
    return built(tag, folder, dockerfile or folder / "Dockerfile", given, sources)


def built(tag: str, folder: Path, dockerfile: Path, arguments: Mapping[str, str], sources: Mapping[str, str]) -> Path:
    """The archive of one image; `sources` says where buildah gets those that it begins with."""
    name = re.sub(r"[^a-z0-9]+", "-", tag.removeprefix("localhost/"))
    archive = KEPT / f"{name}.{content(folder, dockerfile, arguments, sources)}.tar"
    if archive.exists():
        return archive
    room(CACHE, 3, f"building {tag}")
    KEPT.mkdir(parents=True, exist_ok=True)
    say(f"building the image {tag}")
    with tempfile.TemporaryDirectory(dir=CACHE, prefix="building-") as made:
        work = Path(made)
        buildah = ("buildah", f"--root={work / 'root'}", f"--runroot={work / 'run'}", "--storage-driver=vfs")
        for source in sources.values():
            run(*buildah, "pull", "--quiet", source, timeout=600)
        given = [f"--build-arg={key}={value}" for key, value in arguments.items()]
        asked = ("build", "--isolation=chroot", "--pull=false", f"--tag={tag}", f"--file={dockerfile}")
        run(*buildah, *asked, *given, *pip(work / "pip.conf"), folder, timeout=1800)
        run(*buildah, "push", "--quiet", tag, f"docker-archive:{work / 'image.tar'}:{tag}", timeout=600)
        (work / "image.tar").rename(archive)
    for older in KEPT.glob(f"{name}.*.tar"):
        if older != archive and older.stat().st_mtime < time.time() - GRACE:
            older.unlink(missing_ok=True)
    return archive


def content(folder: Path, dockerfile: Path, arguments: Mapping[str, str], sources: Mapping[str, str]) -> str:
    """Names an image by everything that goes into it."""
    whole = hashlib.sha256(repr((sorted(arguments.items()), sorted(sources.items()))).encode())
    whole.update(Path(__file__).read_bytes() + dockerfile.read_bytes())
    for file in sorted(context(folder)):
        whole.update(f"{file.relative_to(folder)} {file.stat().st_mode:o}\0".encode())
        whole.update(hashlib.sha256(file.read_bytes()).digest())
    return whole.hexdigest()[:16]


def context(folder: Path) -> Iterator[Path]:
    """The files that a build is given; of a .dockerignore only the form `*`, `!name` ..., `**/__pycache__` is read."""
    ignores = folder / ".dockerignore"
    said = [line for line in ignores.read_text().splitlines() if line and line[0] != "#"] if ignores.exists() else []
    if said and (said[0] != "*" or not all(line[0] == "!" or line == "**/__pycache__" for line in said[1:])):
        raise ClusterError(f"{ignores}: want `*`, then `!name` for each that goes in, then `**/__pycache__`")
    for path in [folder / line[1:] for line in said if line[0] == "!"] if said else [folder]:
        for file in path.rglob("*") if path.is_dir() else [path]:
            if file.is_file() and "__pycache__" not in file.parts:
                yield file


def pip(conf: Path) -> Iterator[str]:
    """What makes a build's pip reach its index as this machine's does; `conf` is written for it."""
    settings: dict[str, str] = {}
    for line in sorted(run(sys.executable, "-m", "pip", "config", "list").splitlines(), reverse=True):
        key, _, value = line.partition("=")  # reversed, so that the environment, `:env:`, comes last and wins
        if (name := key.rpartition(".")[2]) in PIP_SETTINGS:
            settings[name] = ast.literal_eval(value)
    lines = [f"{name} = " + value.strip().replace("\n", "\n  ") for name, value in sorted(settings.items())]
    conf.write_text("\n".join(["[global]", *lines, ""]))
    yield f"--secret=id=pip,src={conf}"
    for path in sorted({path for name in PIP_READS for path in settings.get(name, "").split() if Path(path).exists()}):
        yield f"--volume={path}:{path}:ro"
