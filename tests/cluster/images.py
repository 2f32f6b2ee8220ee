"""The images the node starts with, made without an image registry: a folder of docker archives, kept by hash."""

from __future__ import annotations

import hashlib
import io
import json
import platform
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from tests.cluster import programs
from tests.cluster.host import CACHE, ClusterError, digest, room, run, say

PAUSE = "localhost/pause:1"
PYTHON = "localhost/python:debian"
ARGOEXEC = f"localhost/argoexec:{programs.version('argo', programs.WORKFLOWS)}"

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
LEFT_OUT = ("var/cache/apt/", "var/lib/apt/lists/", "usr/share/doc/", "usr/share/locale/", "usr/share/man/")


def build(built: Path) -> Path:
    """The folder of the archives: pause, argoexec and a Debian with Python, from the programs in the folder `built`."""
    folder = CACHE / f"images-{digest(Path(__file__), built / 'pause', built / 'argoexec')}"
    if folder.exists():
        return folder
    room(CACHE, 2, "building the node's images")
    with tempfile.TemporaryDirectory(dir=CACHE, prefix="building-") as made:
        work = Path(made)
        result = work / folder.name
        result.mkdir()
        for reference, program, path in ((PAUSE, "pause", "/pause"), (ARGOEXEC, "argoexec", "/bin/argoexec")):
            with tarfile.open(work / f"{program}.layer", "w") as layer:
                layer.add(built / program, path, filter=owned_by_root)
                layer.addfile(sticky("tmp"))
            archive(reference, work / f"{program}.layer", {"Entrypoint": [path]}, result / f"{program}.tar")
        say("building the Debian image")
        root = work / "root"
        run(
            "debootstrap",
            "--force-check-gpg",
            "--variant=minbase",
            "--include=python3,ca-certificates",
            "bookworm",
            root,
            timeout=1800,
        )
        with tarfile.open(work / "python.layer", "w") as layer:
            for folder_of_root in sorted(root.iterdir()):
                layer.add(folder_of_root, folder_of_root.name, filter=wanted)
        archive(PYTHON, work / "python.layer", {"Cmd": ["/usr/bin/python3"]}, result / "python.tar")
        result.rename(folder)
    return folder


def wanted(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if entry.name.startswith(LEFT_OUT) else entry


def owned_by_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = entry.mtime = 0
    entry.uname = entry.gname = ""
    return entry


def sticky(name: str) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode = tarfile.DIRTYPE, 0o1777
    return entry


def archive(reference: str, layer: Path, runs: dict[str, Any], out: Path) -> None:
    """Write an image of one layer, as `docker save` would."""
    with layer.open("rb") as content:
        layer_digest = hashlib.file_digest(content, "sha256").hexdigest()
    config = {
        "architecture": architecture(),
        "os": "linux",
        "config": {"Env": [f"PATH={SYSTEM_PATH}"], **runs},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer_digest}"]},
    }
    config_bytes = json.dumps(config).encode()
    config_name = hashlib.sha256(config_bytes).hexdigest() + ".json"
    manifest = [{"Config": config_name, "RepoTags": [reference], "Layers": ["layer.tar"]}]
    with tarfile.open(out, "w") as file:
        for name, content_bytes in ((config_name, config_bytes), ("manifest.json", json.dumps(manifest).encode())):
            entry = tarfile.TarInfo(name)
            entry.size = len(content_bytes)
            file.addfile(entry, io.BytesIO(content_bytes))
        file.add(layer, "layer.tar", filter=owned_by_root)


def architecture() -> str:
    """This machine's, as image makers call it."""
    names = {"x86_64": "amd64", "aarch64": "arm64"}
    if platform.machine() not in names:
        raise ClusterError(f"no image is made for {platform.machine()}: want one of {', '.join(names)}")
    return names[platform.machine()]
