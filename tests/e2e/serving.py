"""Real `modelmend serve` processes: started, spoken to over HTTP and by the command line, stopped or killed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from sqlalchemy import Engine, create_engine, text
from sqlalchemy.pool import NullPool

COMMAND = str(Path(sys.executable).with_name("modelmend"))
PATIENCE = 60.0
"""Seconds until a test gives up waiting: far more than an idle machine needs."""
STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"

Item = dict[str, Any]


def until(true: Callable[[], Any], what: str, seconds: float = PATIENCE) -> Any:
    """Ask again and again; the first true answer."""
    deadline = time.monotonic() + seconds
    while not (answer := true()):
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s in vain for {what}"
        time.sleep(0.05)
    return answer


@dataclass(frozen=True)
class Reply:
    """What the server answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Line:
    """One kept-alive connection to one address."""

    def __init__(self, url: str, timeout: float = PATIENCE, token: str = "") -> None:
        address = urlsplit(url)
        self._token = token
        self._http = HTTPConnection(address.hostname or "", address.port, timeout=timeout)

    def ask(self, method: str, path: str, body: bytes | None = None, content_type: str = STRUCTURED) -> Reply:
        """One request. Raises OSError or HTTPException when no whole answer came."""
        headers = {"Content-Type": content_type} if body is not None else {}
        headers |= {"Authorization": f"Bearer {self._token}"} if self._token else {}
        self._http.request(method, path, body, headers)
        answer = self._http.getresponse()
        return Reply(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())

    def close(self) -> None:
        self._http.close()


class Served:
    """One installation in a folder of its own: its settings, its database, and whichever process serves it now."""

    def __init__(self, folder: Path, policies: str, *, database: str | None = None, **settings: Any) -> None:
        self.folder = folder
        self.policies = folder / "policies.yaml"
        self.policies.write_text(policies)
        self._config = folder / "modelmend.json"  # JSON is YAML
        where: Item = {"database": database} if database else {"data": str(folder / "data")}
        fleet = {"active": 1000, "share": "100%"}
        own = {"listen": "127.0.0.1:0", "policies": [str(self.policies)], "reloadEvery": "100ms", "fleet": fleet}
        self._config.write_text(json.dumps(own | where | settings))
        file = folder / "data" / "modelmend.db"
        url = database or f"sqlite:///file:{file}?mode=ro&uri=true"
        self._engine: Engine = create_engine(url, poolclass=NullPool)
        self._starts = 0
        self.process: subprocess.Popen[bytes] | None = None
        self.url = ""
        self.token = ""
        """What every request carries, where the settings name `tokens`."""

    # ── the process ─────────────────────────────────────────────────────────────────────────────

    @property
    def log(self) -> Path:
        """The output of the process that was started last."""
        return self.folder / f"serve-{self._starts}.log"

    def launch(self, **environ: str) -> subprocess.Popen[bytes]:
        """Start a process and do not wait for anything."""
        self._starts += 1
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [COMMAND, "serve", "--config", str(self._config)],
                cwd=self.folder,
                env=_environment(environ),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        return self.process

    def start(self, **environ: str) -> None:
        """Start a process and wait until it is ready."""
        process = self.launch(**environ)

        def ready() -> bool:
            assert process.poll() is None, f"serve ended with {process.returncode}: {self.log.read_text()}"
            return self.listens() and self.ready()

        until(ready, f"/readyz, see {self.log}")

    def listens(self) -> bool:
        """Whether the process has said where it listens; from then on `url` is that."""
        found = re.search(r"listens on (http://[^,\s]+)", self.log.read_text())
        if found:
            self.url = found[1]
        return found is not None

    def ready(self) -> bool:
        try:
            return self.ask("GET", "/readyz").status == 200
        except OSError:
            return False

    def content(self) -> None:
        """Wait until readyz has no complaint."""
        deadline = time.monotonic() + PATIENCE
        while (answer := self.ask("GET", "/readyz")).status != 200:
            assert time.monotonic() < deadline, f"readyz says {answer.body!r}, see {self.log}"
            time.sleep(0.05)

    def kill(self) -> None:
        """SIGKILL."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(PATIENCE)

    def terminate(self) -> int:
        """SIGTERM; the exit code."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(PATIENCE)

    def died(self) -> int:
        """Wait for the process to end by itself; its exit code, minus the signal's number."""
        assert self.process is not None
        return self.process.wait(PATIENCE)

    def close(self) -> None:
        """End whatever still runs; called at the end of every test."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait(PATIENCE)
        self._engine.dispose()

    # ── speaking to it ──────────────────────────────────────────────────────────────────────────

    def ask(self, method: str, path: str, body: bytes | None = None, content_type: str = STRUCTURED) -> Reply:
        line = Line(self.url, token=self.token)
        try:
            return line.ask(method, path, body, content_type)
        finally:
            line.close()

    def post(self, *events: Item) -> Reply:
        """Post one event as it is, several as a batch."""
        if len(events) == 1:
            return self.ask("POST", "/events", json.dumps(events[0]).encode())
        return self.ask("POST", "/events", json.dumps(events).encode(), BATCH)

    def get(self, path: str, **query: str) -> Any:
        answer = self.ask("GET", f"/api/v1/{path}" + (f"?{urlencode(query)}" if query else ""))
        assert answer.status == 200, answer.body
        return answer.json

    def items(self, path: str, **query: str) -> list[Item]:
        """All items of a list, page after page."""
        found: list[Item] = []
        page = self.get(path, limit="500", **query)
        while True:
            found += page["items"]
            if page["next"] is None:
                return found
            page = self.get(path, limit="500", cursor=page["next"], **query)

    def metric(self, name: str) -> float:
        """One sample of /metrics by its full name with labels."""
        for line in self.ask("GET", "/metrics").body.decode().splitlines():
            series, _, value = line.rpartition(" ")
            if series == name:
                return float(value)
        raise AssertionError(f"/metrics has no {name}")

    def run(self, *arguments: str, environ: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run the command line tool against this server."""
        whole = _environment({**self._told(), "COLUMNS": "300", **(environ or {})})
        return subprocess.run(
            [COMMAND, *arguments],
            cwd=self.folder,
            env=whole,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def _told(self) -> dict[str, str]:
        return {"MODELMEND_SERVER": self.url} | ({"MODELMEND_TOKEN": self.token} if self.token else {})

    # ── looking at the store behind its back ────────────────────────────────────────────────────

    def rows(self, query: str, **values: Any) -> list[tuple[Any, ...]]:
        """What a SELECT gives, read beside the running server."""
        with self._engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(query), values)]

    def stored(self) -> list[str]:
        """The ids of all events in the store, one for each row."""
        return [id_ for (id_,) in self.rows("SELECT id FROM events")]

    def all_mended(self) -> None:
        """Wait until no remediation runs, and none waits for a fleet slot: models without a document share one."""
        busy = (
            "SELECT (SELECT count(*) FROM questions WHERE reason IN ('fleet_limit', 'in_progress')) "
            "+ (SELECT count(*) FROM remediations WHERE ended_at IS NULL)"
        )
        until(lambda: self.rows(busy) == [(0,)], f"the remediations to end, see {self.log}")

    def all_decided(self) -> None:
        """Wait until the backlog is 0."""
        query = "SELECT count(*) FROM events WHERE decided_at IS NULL"
        until(lambda: self.rows(query) == [(0,)], f"a decision for every event, see {self.log}")


def _environment(extra: Mapping[str, str]) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MODELMEND_")}
    return inherited | {"NO_COLOR": "1"} | dict(extra)


def drift(id_: str, model: str = "salary-predictor", **other: Any) -> Item:
    """A drift event of now."""
    return {
        "specversion": "1.0",
        "id": id_,
        "type": "ml.data.drift.detected",
        "source": "urn:drift-detector",
        "time": datetime.now(UTC).isoformat(),
        "data": {"model": model, "feature": "salary", "driftScore": 0.44, "threshold": 0.30},
        **other,
    }


def policy(*steps: str, name: str = "mend", models: str = '{names: ["*"], unknown: act}', limits: str = "{}") -> str:
    """An enforced policy that answers drift above 0.3, at once, with these steps."""
    ladder = "\n".join(f"    - {step}" for step in steps)
    return f"""\
apiVersion: modelmend.io/v1alpha1
kind: RemediationPolicy
metadata: {{name: {name}}}
spec:
  mode: enforce
  models: {models}
  triggers: [{{name: drift, type: ml.data.drift.detected, when: 'data.driftScore > 0.3'}}]
  limits: {limits}
  steps:
{ladder}
"""
