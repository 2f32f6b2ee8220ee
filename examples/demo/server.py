"""A real `modelmend serve` in a process of its own, spoken to over HTTP as any sender or tool would."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import requests

from examples.demo import DemoError

PATIENCE = 180.0  # seconds until the demo gives up waiting for the server; a loaded machine needs many
ROOT = Path(__file__).resolve().parents[2]

Item = dict[str, Any]


class Server:
    """The running server: `send` events, `get` what it knows, `run` the command-line tool against it."""

    def __init__(self, work: Path, process: subprocess.Popen[bytes], url: str) -> None:
        self.work = work
        self.url = url
        self._process = process
        self._session = requests.Session()
        self._session.trust_env = False  # no proxy lies between this machine and itself

    def send(self, events: Sequence[Item]) -> None:
        """Post events as one batch and wait until each has its decision. Raises DemoError if one is not accepted."""
        stamped = [{"specversion": "1.0", "time": datetime.now(UTC).isoformat(), **event} for event in events]
        headers = {"Content-Type": "application/cloudevents-batch+json"}
        status, answer = self._ask("POST", f"{self.url}/events", data=json.dumps(stamped), headers=headers)
        if status != 202 or len(answer["accepted"]) != len(events):
            raise DemoError(f"POST /events was answered {status} {json.dumps(answer)[:500]}; see {self.log}")
        self.until(lambda: not self.get("events", undecided="true"), "a decision on every event")

    def get(self, path: str, **query: str) -> list[Item]:
        """All items of a list of the JSON API, newest first."""
        items: list[Item] = []
        while True:
            page = self.get_one(path, **query)
            items += page["items"]
            if not page["next"]:
                return items
            query["cursor"] = page["next"]

    def get_one(self, path: str, **query: str) -> Item:
        """One answer of the JSON API. Raises DemoError unless it is 200."""
        status, answer = self._ask("GET", f"{self.url}/api/v1/{path}", params=query)
        if status != 200:
            raise DemoError(
                f"GET {path} {query or ''} was answered {status} {json.dumps(answer)[:500]}; see {self.log}"
            )
        return answer

    def run(self, *arguments: str) -> str:
        """What `modelmend ARGUMENTS` prints. Raises DemoError if it fails."""
        command = [sys.executable, "-m", "controller.cli", *arguments]
        environment = {**os.environ, "MODELMEND_SERVER": self.url, "NO_COLOR": "1", "COLUMNS": "110"}
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        if done.returncode != 0:
            raise DemoError(f"modelmend {' '.join(arguments)} exited {done.returncode}: {done.stderr.strip()[-500:]}")
        return done.stdout

    def until(self, true: Callable[[], bool], what: str) -> None:
        """Wait until `true()`. Raises DemoError after PATIENCE seconds or when the server has died."""
        deadline = time.monotonic() + PATIENCE
        while not true():
            if self._process.poll() is not None:
                raise DemoError(f"modelmend serve ended with exit code {self._process.returncode}; see {self.log}")
            if time.monotonic() > deadline:
                raise DemoError(f"waited {PATIENCE:.0f} s in vain for {what}; see {self.log}")
            time.sleep(0.03)

    @property
    def log(self) -> Path:
        """Where the server's output goes."""
        return self.work / "server.log"

    def ready(self) -> bool:
        """Whether it says that it is ready."""
        try:
            return self._ask("GET", f"{self.url}/readyz")[0] == 200
        except DemoError:
            return False

    def _ask(self, method: str, url: str, **arguments: Any) -> tuple[int, Item]:
        try:
            answer = self._session.request(method, url, timeout=PATIENCE, **arguments)
        except requests.RequestException as fault:
            raise DemoError(f"{url} does not answer ({fault}); see {self.log}") from fault
        try:
            body = answer.json()
        except ValueError:
            body = {"body": answer.text}
        return answer.status_code, body


@contextlib.contextmanager
def serving(work: Path, settings: Item) -> Iterator[Server]:
    """A server on a free port of this machine, its SQLite file in `work`, stopped (SIGTERM) at the end."""
    port = free_port()
    config = work / "modelmend.json"  # JSON is YAML
    config.write_text(json.dumps({"listen": f"127.0.0.1:{port}", "data": str(work / "data"), **settings}, indent=2))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MODELMEND_")}
    with (work / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "controller.cli", "serve", "--config", str(config)],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            server = Server(work, process, f"http://127.0.0.1:{port}")
            server.until(server.ready, "/readyz")
            yield server
        finally:
            _stop(process)


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
