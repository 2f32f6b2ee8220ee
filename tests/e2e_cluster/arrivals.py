"""Events posted at a rate, and when each one's Workflow came to be: measured from outside, by a watch."""

from __future__ import annotations

import json
import statistics
import threading
import time
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

from controller.kube import WORKFLOW, WORKFLOW_TEMPLATE, Kube
from tests.e2e.serving import drift, until

TEMPLATE = {
    "metadata": {"name": "wait"},
    "spec": {
        "entrypoint": "main",
        "arguments": {"parameters": [{"name": "model"}]},
        "templates": [{"name": "main", "suspend": {}}],
    },
}
"""A Workflow that needs no pod: it waits for ever."""


def documents(namespace: str, models: int) -> str:
    """One policy that answers drift by a Workflow at once, and as many models."""
    policy = f"""\
kind: RemediationPolicy
metadata: {{name: mend, namespace: {namespace}}}
spec:
  mode: enforce
  models: {{names: ["m-*"]}}
  triggers: [{{name: drift, type: ml.data.drift.detected}}]
  steps:
  - name: retrain
    workflow: {{workflowTemplateRef: {{name: wait}}, parameters: {{model: {{expr: model.name}}}}}}
    verify: none
"""
    return "---\n".join(
        [policy, *(f"kind: Model\nmetadata: {{name: m-{n}, namespace: {namespace}}}\n" for n in range(models))]
    )


class Arrivals:
    """Follows the Workflows of a namespace: model → moments of the monotonic clock at which one was added."""

    def __init__(self, kube: Kube, namespace: str) -> None:
        if kube.get(WORKFLOW_TEMPLATE, namespace, "wait") is None:
            kube.create(WORKFLOW_TEMPLATE, namespace, TEMPLATE)
        self.seen: dict[str, list[float]] = {}
        self._names: set[str] = set()
        self._stop = threading.Event()
        synced = threading.Event()
        self._thread = threading.Thread(
            target=kube.watch,
            args=(WORKFLOW, namespace),
            kwargs={"on": self._on, "synced": lambda _: synced.set(), "stop": self._stop},
            daemon=True,
        )
        self._thread.start()
        assert synced.wait(30)

    def _on(self, change: str, found: dict[str, Any]) -> None:
        name = found["metadata"]["name"]
        if change == "ADDED" and name not in self._names:
            self._names.add(name)
            model = found["spec"]["arguments"]["parameters"][0]["value"]
            self.seen.setdefault(model, []).append(time.monotonic())

    def stop(self) -> None:
        """Follow no more."""
        self._stop.set()
        self._thread.join(5)


def post_at(url: str, rate: float, first: int, count: int) -> dict[str, float]:
    """Post one drift event for each of `count` models at `rate` a second; model → when it was sent (monotonic)."""
    address = urlsplit(url)
    http = HTTPConnection(address.hostname or "", address.port, timeout=30)
    sent: dict[str, float] = {}
    pause, began = threading.Event(), time.monotonic()
    for number in range(count):
        pause.wait(max(0.0, began + number / rate - time.monotonic()))
        model = f"m-{first + number}"
        body = json.dumps(drift(f"e-{model}", model)).encode()
        sent[model] = time.monotonic()
        http.request("POST", "/events", body, {"Content-Type": "application/cloudevents+json"})
        answer = http.getresponse()
        answer.read()
        assert answer.status == 202, answer.status
    http.close()
    return sent


def delays(arrivals: Arrivals, sent: dict[str, float]) -> tuple[float, float]:
    """p50 and p99 in milliseconds from POST to the Workflow, once all have come."""
    until(lambda: sent.keys() <= arrivals.seen.keys(), "a Workflow for every event", 120)
    taken = sorted(1000 * (arrivals.seen[model][0] - moment) for model, moment in sent.items())
    return statistics.median(taken), taken[min(len(taken) - 1, int(0.99 * len(taken)))]
