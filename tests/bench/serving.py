"""A real `modelmend serve` for the benchmarks: its address, its memory, how long it took to be ready."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import psutil

from tests.bench.policies import text


class Server:
    """A server with `policies` policies on a SQLite file in `folder`; ready when made, ended by `stop`."""

    def __init__(self, folder: Path, policies: int = 10) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "policies.yaml").write_text(text(policies, models=1000))
        command = [sys.executable, "-m", "controller.cli", "serve", "--data", str(folder / "data")]
        began = time.perf_counter()
        self.process = subprocess.Popen(
            [*command, "--listen", "127.0.0.1:0", "--policies", str(folder / "policies.yaml")],
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stderr is not None
        for line in self.process.stderr:
            found = re.search(r"listens on http://([\d.]+):(\d+)", line)
            if found:
                self.host, self.port = found[1], int(found[2])
                break
        else:
            raise RuntimeError("the server did not start")
        self.ready_seconds = time.perf_counter() - began

    def memory_mb(self) -> float:
        """Resident memory, MB."""
        return psutil.Process(self.process.pid).memory_info().rss / 1e6

    def backlog(self) -> int:
        """Events not yet decided, as the server counts them."""
        with urllib.request.urlopen(f"http://{self.host}:{self.port}/metrics") as answer:
            found = re.search(rb"^modelmend_backlog_events (\S+)", answer.read(), re.MULTILINE)
        assert found
        return int(float(found[1]))

    def load(self, connections: int, requests: int, batch: int = 1) -> dict[str, float]:
        """Run the generator in a process of its own."""
        arguments = [self.host, self.port, connections, requests, batch]
        command = [sys.executable, "-m", "tests.bench.load", *map(str, arguments)]
        found: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        return found

    def stop(self) -> None:
        """End it as an operator would."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)
