"""SIGTERM while the API server takes connections and answers nothing: Kubernetes kills 30 s after it."""

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Serve
from tests.e2e.serving import drift, policy, until

WITHIN = 15.0
"""Seconds; Kubernetes gives 30."""
MODELS = 12

WORKFLOW = policy("{name: retrain, workflow: {workflowTemplateRef: {name: retrain-model}, timeout: 6h}, verify: none}")


class Hanging:
    """An API server with models and no more, until it `hangs`: then it takes requests and never answers."""

    def __init__(self, folder: Path) -> None:
        self.hangs = False
        self.over = threading.Event()
        self.unanswered: list[str] = []
        double = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None: ...

            def do_GET(self) -> None:
                self.rfile.read(int(self.headers.get("content-length") or 0))
                self.close_connection = True
                watch = "watch=true" in self.path
                if double.hangs and not watch:
                    double.unanswered.append(f"{self.command} {self.path}")
                    double.over.wait()
                    return
                self.send_response(200)
                body = b"" if watch else json.dumps(double.listed(self.path)).encode()
                self.send_header("Connection", "close")
                if not watch:
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
                self.wfile.flush()
                if watch:
                    double.over.wait()

            do_POST = do_PATCH = do_GET  # noqa: N815  (names that http.server looks up)

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False

            def handle_error(self, *_: Any) -> None: ...

        self._server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        cluster = {"name": "c", "cluster": {"server": f"http://127.0.0.1:{self._server.server_address[1]}"}}
        context = {"name": "x", "context": {"cluster": "c", "user": "u"}}
        self.kubeconfig = folder / "kubeconfig"
        self.kubeconfig.write_text(
            json.dumps(
                {
                    "clusters": [cluster],
                    "contexts": [context],
                    "users": [{"name": "u", "user": {"token": "t"}}],
                    "current-context": "x",
                }
            )
        )

    def listed(self, path: str) -> dict[str, Any]:
        """What is answered: the models' list, an empty one, or an object without anything."""
        serving = {"kind": "Deployment", "name": "d", "version": {"label": "version"}}
        models = [
            {
                "metadata": {"name": f"m-{number}", "namespace": "ml", "resourceVersion": "1"},
                "spec": {"serving": serving},
            }
            for number in range(MODELS)
        ]
        return {"items": models if "/models?" in path else [], "metadata": {"resourceVersion": "7"}}

    def waits_for(self, method: str) -> bool:
        """Whether a request of this method is being left without an answer."""
        return any(asked.startswith(method) for asked in self.unanswered)

    def close(self) -> None:
        self.over.set()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def hanging(tmp_path: Path) -> Iterator[Hanging]:
    hanging = Hanging(tmp_path)
    yield hanging
    hanging.close()


def test_a_stop_does_not_wait_for_an_api_server_that_hangs(serve: Serve, hanging: Hanging) -> None:
    """With documents, versions, statuses and a workflow waiting for answers it ends in time, and the stop is a clean one."""
    served = serve(WORKFLOW, kubernetes=True, kubeconfig=str(hanging.kubeconfig))
    served.start()
    hanging.hangs = True
    assert served.post(drift("e-1")).status == 202
    until(lambda: hanging.waits_for("POST") or hanging.waits_for("GET /apis/argoproj.io"), "the workflow to be tried")
    until(lambda: hanging.waits_for("GET /apis/apps") or hanging.waits_for("PATCH"), "a status to be tried")
    took = _stopped(served)
    assert took < WITHIN, served.log.read_text()
    assert served.rows("SELECT clean_stop FROM leader") == [(True,)]
    assert "modelmend has stopped" in served.log.read_text()


def test_a_start_that_never_got_an_answer_stops_too(serve: Serve, hanging: Hanging) -> None:
    """Before any document is known there is nothing to end: it is gone at once."""
    hanging.hangs = True
    served = serve("", kubernetes=True, kubeconfig=str(hanging.kubeconfig))
    served.launch()
    until(served.listens, "the door")
    took = _stopped(served)
    assert took < WITHIN, served.log.read_text()
    assert served.rows("SELECT clean_stop FROM leader") == [(True,)]


def _stopped(served: Any) -> float:
    """Seconds from SIGTERM to its end."""
    began = time.monotonic()
    assert served.terminate() == 0
    took = time.monotonic() - began
    print(f"stopped after {took:.1f} s")
    return took
