"""Serve one version of the registry over HTTP: POST /predict, GET /healthz.

::

    POST /predict {"hours": [[8, 1, 1, 0, 1, 24.2, 26.0, 61, 12.9], ...]}     columns as FEATURES, null: not known
    200 {"version": "r-3f2a-0-1", "bikes": [412.6, ...]}

MODEL and MODEL_VERSION say which. A version that the registry does not have ends the process,
so that a canary of it fails; without a version there is nothing to serve, and it is not ready.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import joblib
import numpy as np

from argo.retrain.data import FEATURES
from argo.retrain.model import predict
from argo.retrain.registry import MODEL, ROOT, Registry
from argo.steps.step import StepFailed, run

PORT = 8080
MAX_BODY = 1024 * 1024
_UNKNOWN = {"error": "want POST /predict or GET /healthz"}
_NOTHING = {"error": "no version yet"}


class Serving(ThreadingHTTPServer):
    """A server of one version; `trees` is None where none was asked for."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], version: str, trees: Any) -> None:
        super().__init__(address, Answer)
        self.version = version
        self.trees = trees


class Answer(BaseHTTPRequestHandler):
    """One request."""

    server: Serving
    timeout = 10  # seconds that a sender may be silent

    def do_GET(self) -> None:
        """Whether a version is served."""
        if self.path != "/healthz":
            self._answer(404, _UNKNOWN)
        elif self.server.trees is None:
            self._answer(503, _NOTHING)
        else:
            self._answer(200, {"version": self.server.version})

    def do_POST(self) -> None:
        """Predict."""
        if self.path != "/predict":
            self._answer(404, _UNKNOWN)
            return
        if self.server.trees is None:
            self._answer(503, _NOTHING)
            return
        try:
            hours = self._hours()
        except (ValueError, TypeError, KeyError) as error:
            self._answer(400, {"error": f"want hours, each with {', '.join(FEATURES)}: {error}"})
            return
        bikes = [round(float(count), 1) for count in predict(self.server.trees, hours)]
        self._answer(200, {"version": self.server.version, "bikes": bikes})

    def _hours(self) -> np.ndarray[Any, np.dtype[np.float64]]:
        length = int(self.headers.get("Content-Length") or 0)
        if not 0 < length <= MAX_BODY:
            raise ValueError(f"a body of 1 to {MAX_BODY} bytes")
        hours = np.array(json.loads(self.rfile.read(length))["hours"], dtype=np.float64)
        if hours.ndim != 2 or hours.shape[1] != len(FEATURES):
            raise ValueError(f"{len(FEATURES)} columns")
        return hours

    def _answer(self, status: int, said: dict[str, Any]) -> None:
        body = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 the base class's word
        """Probes would fill the log."""


def load(registry: Registry, version: str) -> Any:
    """The model of a version; None without a version. Raises StepFailed."""
    if not version:
        return None
    folder = registry.version(version)
    if not folder.exists():
        raise StepFailed(f"the registry has no {version} of {registry.folder.name}")
    return joblib.load(folder / MODEL)


def main() -> str:
    """Serve until told to stop."""
    version = os.environ.get("MODEL_VERSION", "")
    trees = load(Registry(ROOT, os.environ.get("MODEL", "")), version)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print(f"serving {version or 'nothing yet'} on {PORT}", flush=True)
    Serving(("", PORT), version, trees).serve_forever()
    return "stopped"


if __name__ == "__main__":
    sys.exit(run(main))
