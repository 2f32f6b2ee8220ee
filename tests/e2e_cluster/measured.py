"""A model that is really served, in a canary's pods, and measured by a Prometheus that scrapes each of them."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from controller.kube import ROLLOUT, WORKFLOW_TEMPLATE, Kube
from tests.cluster import cluster
from tests.e2e_cluster.acting import PYTHON
from tests.integration.cluster.conftest import ACCOUNT, POD, eventually, grant, named
from tests.integration.cluster.serving import Served
from tests.integration.prometheus.server import Prometheus

HERE = Path(__file__).parent
ACCURACY = {"v5": 0.80, "v6": 0.95, "v7": 0.70, "v8": 0.85, "v9": 0.97}
"""What each version is worth: v5 is the one that has grown bad."""
HALF = [{"setWeight": 50}, {"pause": {}}]
"""A canary that stays at half until somebody promotes it."""


def container(version: str) -> dict[str, Any]:
    """The server of a version; ready when it answers."""
    told = {"MODEL": "salary", "VERSION": version, "ACCURACY": json.dumps(ACCURACY)}
    return {
        "name": "main",
        "image": PYTHON,
        "command": ["python3", "-u", "-c", (HERE / "model_server.py").read_text()],
        "env": [{"name": name, "value": value} for name, value in told.items()],
        "ports": [{"name": "http", "containerPort": 8000}, {"name": "metrics", "containerPort": 9100}],
        "readinessProbe": {"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 1},
    }


def template(version: str) -> dict[str, Any]:
    """The pods of a version."""
    spec = {"terminationGracePeriodSeconds": 0, "containers": [container(version)]}
    return {"metadata": {"labels": {"app": "salary"}}, "spec": spec}


def rollout(steps: list[dict[str, Any]]) -> dict[str, Any]:
    """An Argo Rollout of two pods that serves v5."""
    return {
        "metadata": {"name": "salary"},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": "salary"}},
            "template": template("v5"),
            "strategy": {"canary": {"steps": steps}},
        },
    }


def training(version: str) -> dict[str, Any]:
    """The spec of a WorkflowTemplate: a training that gives this version, sets it on the Rollout and reports it."""
    output = {"name": "model-version", "globalName": "model-version", "valueFrom": {"path": "/tmp/model-version"}}
    command = ["python3", "-c", (HERE / "training.py").read_text(), "salary", version]
    main = {"name": "main", "container": {"image": PYTHON, "command": command}, "outputs": {"parameters": [output]}}
    return {"entrypoint": "main", "serviceAccountName": "training", "templates": [main]}


class Measured(Served):
    """The model's Rollout, the trainings train-v6, train-v7 and so on, and what Prometheus knows of its versions."""

    def __init__(self, kube: Kube, namespace: str, folder: Path, steps: list[dict[str, Any]]) -> None:
        self.targets = Targets(kube, namespace, folder / "targets.json")
        self.prometheus = Prometheus(folder, self.targets.scrape)
        self.prometheus.start()
        rights = [
            ("argoproj.io", "workflowtaskresults", ["create", "patch"]),
            ("argoproj.io", "rollouts", ["get", "patch"]),
        ]
        kube.create(ACCOUNT, namespace, named("training"))
        grant(kube, namespace, "training", rights)
        for version in ACCURACY:
            kube.create(WORKFLOW_TEMPLATE, namespace, named(f"train-{version}", spec=training(version)))
        super().__init__(kube, namespace, rollout(steps))

    def deploy(self, version: str) -> None:
        """Ask for a version, as a push does."""
        self.set({"spec": {"template": template(version)}})

    def close(self) -> None:
        """End what runs on this machine."""
        self.targets.stop()
        self.prometheus.stop()

    # ── the world ───────────────────────────────────────────────────────────────────────────────

    def pods(self, version: str) -> list[dict[str, Any]]:
        """Those of a version that are ready, and not being deleted."""
        found = self.kube.list(POD, self.namespace, {"app": "salary"})[0]
        return [pod for pod in found if self._version(pod) == version and self._serves_now(pod)]

    @staticmethod
    def _serves_now(pod: dict[str, Any]) -> bool:
        ready = any(
            each["type"] == "Ready" and each["status"] == "True" for each in pod["status"].get("conditions") or ()
        )
        return ready and not pod["metadata"].get("deletionTimestamp")

    @staticmethod
    def _version(pod: dict[str, Any]) -> str:
        return next(each["value"] for each in pod["spec"]["containers"][0]["env"] if each["name"] == "VERSION")

    def serving(self) -> dict[str, int]:
        """Version → how many pods run it, as its servers themselves say."""
        told: dict[str, int] = {}
        for version in ACCURACY:
            for pod in self.pods(version):
                answered = json.loads(self._ask(pod, "/"))["version"]
                told[answered] = told.get(answered, 0) + 1
        return told

    def becomes(self, version: str, accuracy: float) -> None:
        """The world changes: from now on this version is as good as that, in the pods that it has."""
        for pod in self.pods(version):
            self._ask(pod, "/accuracy", json.dumps(accuracy).encode())

    def exporter_ends(self, version: str) -> None:
        """Its metrics are served no more, its predictions still are."""
        for pod in self.pods(version):
            self._ask(pod, "/exporter/end", b"")

    @staticmethod
    def _ask(pod: dict[str, Any], path: str, body: bytes | None = None) -> bytes:
        with urlopen(Request(f"http://{pod['status']['podIP']}:8000{path}", body), timeout=10) as answer:
            return bytes(answer.read())

    # ── what is measured ────────────────────────────────────────────────────────────────────────

    def accuracy(self) -> dict[str, float]:
        """Version → what Prometheus itself says of it now."""
        return self.prometheus.values('avg by (version) (ml_model_accuracy{model="salary"})', "version")

    def measured(self, **wanted: float) -> None:
        """Wait until Prometheus says just this: versions and what they are worth."""
        eventually(lambda: self.accuracy() == wanted)


class Targets:
    """The pods of a namespace that have a port `metrics`, in the file by which a Prometheus is told what to scrape.

    Debian's cannot ask a Kubernetes itself. It takes up to 10 s until it heeds what has changed.
    """

    def __init__(self, kube: Kube, namespace: str, file: Path) -> None:
        self.scrape = {"job_name": "models", "file_sd_configs": [{"files": [str(file)]}]}
        self._file = file
        self._pods: dict[str, str] = {}
        self._write()
        self._stop = threading.Event()
        follow = {"on": self._on, "synced": lambda _: None, "stop": self._stop}
        self._thread = threading.Thread(target=kube.watch, args=(POD, namespace), kwargs=follow, daemon=True)
        self._thread.start()

    def _on(self, change: str, pod: dict[str, Any]) -> None:
        name, address = pod["metadata"]["name"], (pod.get("status") or {}).get("podIP")
        ports = [port.get("name") for each in pod["spec"]["containers"] for port in each.get("ports") or ()]
        known = dict(self._pods)
        if change == "DELETED":
            self._pods.pop(name, None)
        elif address and "metrics" in ports:
            self._pods[name] = address
        if self._pods != known:
            self._write()

    def _write(self) -> None:
        found = [{"targets": [f"{address}:9100"], "labels": {"pod": name}} for name, address in self._pods.items()]
        written = self._file.with_suffix(".new")
        written.write_text(json.dumps(found))
        written.replace(self._file)

    def stop(self) -> None:
        """Follow no more."""
        self._stop.set()
        self._thread.join(5)


@pytest.fixture
def measured(kube: Kube, namespace: str, tmp_path: Path) -> Iterator[Callable[..., Measured]]:
    """Makes `measured(steps)`: the model of the test's namespace, serving v5, of which Prometheus knows."""
    if cluster.current().way != "node":
        pytest.skip("this machine reaches the pods of a node only, so no Prometheus here can scrape others")
    made: list[Measured] = []

    def make(steps: list[dict[str, Any]] | None = None) -> Measured:
        folder = tmp_path / "prometheus"
        folder.mkdir()
        made.append(Measured(kube, namespace, folder, HALF if steps is None else steps))
        made[-1].measured(v5=ACCURACY["v5"])
        return made[-1]

    yield make
    for each in made:
        each.close()


__all__ = ["ACCURACY", "HALF", "ROLLOUT", "Measured", "measured"]
