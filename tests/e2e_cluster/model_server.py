"""A server of one model's version, as it runs in a pod with nothing but Python: predictions on 8000, metrics on 9100.

What the world does to it is told it on its first port: `POST /accuracy` with a number, `POST /exporter/end`.
"""

import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MODEL, VERSION = os.environ["MODEL"], os.environ["VERSION"]
measured = {"accuracy": json.loads(os.environ["ACCURACY"])[VERSION], "predictions": 0}
METRICS = """\
# HELP ml_model_accuracy Share of predictions that their labels confirmed.
# TYPE ml_model_accuracy gauge
ml_model_accuracy{{model="{model}",version="{version}"}} {accuracy}
# HELP ml_model_predictions_total Predictions made.
# TYPE ml_model_predictions_total counter
ml_model_predictions_total{{model="{model}",version="{version}"}} {predictions}
"""


class Answering(BaseHTTPRequestHandler):
    def answer(self, status: int, text: str, kind: str = "application/json") -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


class Metrics(Answering):
    """What Prometheus scrapes."""

    def do_GET(self) -> None:
        if self.path != "/metrics":
            return self.answer(404, "")
        return self.answer(200, METRICS.format(model=MODEL, version=VERSION, **measured), "text/plain; version=0.0.4")


class Model(Answering):
    """What clients ask, and what a test tells."""

    def do_GET(self) -> None:
        self.answer(200, json.dumps({"model": MODEL, "version": VERSION}))

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path == "/predict":
            measured["predictions"] += 1
        elif self.path == "/accuracy":
            measured["accuracy"] = json.loads(body)
        elif self.path == "/exporter/end":
            exporter.shutdown()
            exporter.server_close()
        self.do_GET()


class Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False


exporter = Server(("", 9100), Metrics)
threading.Thread(target=exporter.serve_forever, args=(0.05,), daemon=True).start()
Server(("", 8000), Model).serve_forever()
