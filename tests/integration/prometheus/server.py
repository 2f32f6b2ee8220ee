"""A real Prometheus on this machine, Debian's; where none is installed its package is unpacked into a cache, no more."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Self
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "modelmend-tests"
SECONDS = 60.0
"""The longest that anything here may take, on a machine that others use."""
APT = ("apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300", "-o", "Acquire::Retries=3")


class NoPrometheus(Exception):
    """There is none on this machine, and none to be had; the message says why and what helps."""


def program() -> Path:
    """The program `prometheus`. NoPrometheus where this is no Debian and none is on the PATH."""
    if installed := shutil.which("prometheus"):
        return Path(installed)
    kept = CACHE / "prometheus"
    if not kept.exists():
        _fetch(kept)
    return kept / "usr" / "bin" / "prometheus"


def _fetch(kept: Path) -> None:
    """Unpack Debian's package: installed, it would also run a server of its own on this machine."""
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise NoPrometheus(
            "no `prometheus` on the PATH, and no apt-get to get Debian's: install Prometheus 2.42 or later"
        )
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE, prefix="getting-") as made:
        download = (*APT, "-o", "APT::Sandbox::User=root", "download", "prometheus")
        if _run(download, made):
            _run((*APT, "update"), made)
            if said := _run(download, made):
                raise NoPrometheus(f"apt-get has no `prometheus`: {said}")
        (package,) = Path(made).glob("*.deb")
        if said := _run(("dpkg-deb", "--extract", str(package), f"{made}/whole"), made):
            raise NoPrometheus(f"the package of `prometheus` cannot be unpacked: {said}")
        with contextlib.suppress(OSError):  # another run was quicker
            Path(made, "whole").rename(kept)


def _run(command: tuple[str, ...], folder: str) -> str:
    """Why it failed; '' where it did not."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600, check=False)
    return done.stderr.strip()[-2000:] or f"it ended with {done.returncode}" if done.returncode else ""


class Prometheus:
    """One that scrapes by its own configuration into a folder of its own; a context manager, `url` is where it listens."""

    def __init__(self, folder: Path, *scrapes: dict[str, Any], interval: str = "1s", **config: Any) -> None:
        """`scrapes`: its scrape_configs; `config`: further top-level keys of its file."""
        self.folder = folder
        self._file = folder / "prometheus.yml"  # JSON is YAML
        whole = {
            "global": {"scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": interval},
            "scrape_configs": list(scrapes),
        }
        self._file.write_text(json.dumps(whole | config))
        self._process: subprocess.Popen[bytes] | None = None
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """What it has said."""
        return (self.folder / "prometheus.log").read_text()

    def start(self) -> None:
        """Start it, and wait until it answers queries; what it scraped before is still there."""
        with (self.folder / "prometheus.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    program(),
                    f"--config.file={self._file}",
                    f"--storage.tsdb.path={self.folder / 'tsdb'}",
                    f"--web.listen-address=127.0.0.1:{self.port}",
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + SECONDS
        while not self._ready():
            assert self._process.poll() is None, f"prometheus ended: {self.log}"
            assert time.monotonic() < deadline, f"prometheus is not ready: {self.log}"
            time.sleep(0.05)

    def _ready(self) -> bool:
        try:
            with urlopen(f"{self.url}/-/ready", timeout=5) as answer:
                return bool(answer.status == 200)
        except (URLError, OSError):
            return False

    def stop(self) -> None:
        """End it, as a crash does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(SECONDS)
            self._process = None

    def ask(self, path: str, **query: Any) -> Any:
        """The `data` of what its HTTP API answers, at `query` for example."""
        with urlopen(f"{self.url}/api/v1/{path}?{urlencode(query)}", timeout=10) as answer:
            body = json.load(answer)
        assert body["status"] == "success", body
        return body["data"]

    def values(self, query: str, by: str = "instance") -> dict[str, float]:
        """What an instant query gives now: this label of each series → its value."""
        found = self.ask("query", query=query)["result"]
        return {each["metric"].get(by, ""): float(each["value"][1]) for each in found}

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _free_port() -> int:
    """One that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
