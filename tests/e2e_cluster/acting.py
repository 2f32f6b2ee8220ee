"""A namespace of models and a `modelmend serve` on this machine that mends them: what tests of acting share."""

from __future__ import annotations

import contextlib
import json
import os
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest
import yaml

from controller.kube import WORKFLOW, WORKFLOW_TEMPLATE, Kind, Kube, Refused
from tests.cluster import cluster
from tests.e2e.serving import Served
from tests.integration.cluster.conftest import NAMESPACE, grant, named
from tests.integration.http_double import HttpDouble

ROOT = Path(__file__).parents[2]
DOUBLES = ROOT / "tests" / "e2e" / "doubles"
SECONDS = 60.0
"""The longest that anything here may take, on a machine that others use."""
SHOWN = 6000
"""Characters of the server's log in a failure's message."""
DEFINITION = Kind(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", namespaced=False, name="CustomResourceDefinition"
)
PYTHON = "localhost/python:debian"

Object = dict[str, Any]


class Stage:
    """One namespace, one installation with documents for it, and a receiver that counts as the people who are paged."""

    def __init__(self, folder: Path, kube: Kube, namespace: str, *documents: str, **settings: Any) -> None:
        """`documents`: YAML; those without a namespace are of this one. `settings`: of the installation, beside its own."""
        self.kube = kube
        self.namespace = namespace
        self._open = contextlib.ExitStack()
        self._pager = self._open.enter_context(HttpDouble())
        receivers = {"default": {"url": self._pager.url, "kind": "webhook"}}
        own = {"kubernetes": True, "kubeconfig": str(cluster.current().kubeconfig), "receivers": receivers}
        self.served = Served(folder, _within(namespace, documents), **own | settings)
        self._open.callback(self.served.close)

    def start(self, *, dies: str = "") -> None:
        """Start a process. `dies`: the point at which it kills itself (see tests/e2e/doubles)."""
        path = os.pathsep.join(filter(None, [str(DOUBLES), os.environ.get("PYTHONPATH")]))
        self.served.start(**({"PYTHONPATH": path, "E2E_DIES": dies} if dies else {}))

    def close(self) -> None:
        """End what runs on this machine."""
        self._open.close()

    # ── what people and Argo do ─────────────────────────────────────────────────────────────────

    def post(self, *events: Object) -> None:
        """Post events about models of this namespace; they are accepted."""
        answer = self.served.post(*(self._mine(event) for event in events))
        assert answer.status == 202, answer.body

    def post_to_its_death(self, event: Object) -> None:
        """Post an event that leads the process to the point at which it dies; the answer may get lost."""
        with contextlib.suppress(OSError, HTTPException):
            self.served.post(self._mine(event))
        assert self.served.died() == -9, self.story()

    def _mine(self, event: Object) -> Object:
        return event | {"data": event["data"] | {"namespace": self.namespace}}

    def template(self, name: str, main: Object, **spec: Any) -> None:
        """Write a WorkflowTemplate with one entry template."""
        others = spec.pop("templates", [])
        templates = [{"name": "main", **main}, *others]
        body = {"metadata": {"name": name}, "spec": {"entrypoint": "main", "templates": templates, **spec}}
        self.kube.create(WORKFLOW_TEMPLATE, self.namespace, body)

    # ── what can be seen ────────────────────────────────────────────────────────────────────────

    def workflows(self) -> list[Object]:
        """All Workflows of the namespace, by name."""
        return sorted(self.kube.list(WORKFLOW, self.namespace)[0], key=lambda found: str(found["metadata"]["name"]))

    def workflow(self) -> Object:
        """The only one."""
        found = self.workflows()
        assert len(found) == 1, f"{[each['metadata']['name'] for each in found]}\n{self.story()}"
        return found[0]

    def remediations(self) -> list[Object]:
        """All of them with their transitions, the first decided first."""
        rows = self.served.items("remediations", namespace=self.namespace)
        return [self.served.get(f"remediations/{row['id']}") for row in reversed(rows)]

    def model(self, name: str = "salary") -> Object:
        """What is known of a model; {} before anything is."""
        return self.served.get(f"models/{self.namespace}/{name}")

    def about(self, event: str) -> Object | None:
        """The remediation that an event led to."""
        found = self.served.items("events", id=event)
        if not found:
            return None
        led_to = self.served.get(f"events/{found[0]['seq']}")["remediations"]
        return next((each for each in led_to if each["event"] == found[0]["seq"]), None)

    def answers(self, event: str) -> list[str]:
        """Why nothing was done about an event, by each attempt; '' where something was."""
        seq = self.served.items("events", id=event)[0]["seq"]
        return [row["reason"] or "" for row in self.served.get(f"events/{seq}")["decisions"]]

    def reach(self, event: str, phase: str, seconds: float = SECONDS) -> Object:
        """Wait until the remediation that an event leads to is in this phase; fail at once where it ended otherwise."""

        def there() -> Object | None:
            found = self.about(event)
            if found is None or found["phase"] == phase:
                return found
            assert found["active"], f"{event} ended {found['phase']}, wanted {phase}\n{self.story()}"
            return None

        return dict(self.until(there, f"{event} to be {phase}", seconds))

    def until(self, true: Callable[[], Any], what: str, seconds: float = SECONDS) -> Any:
        """Ask again and again; the first true answer. A failure tells everything that is known."""
        deadline = time.monotonic() + seconds
        while not (answer := true()):
            assert time.monotonic() < deadline, f"waited {seconds:.0f} s in vain for {what}\n{self.story()}"
            time.sleep(0.1)
        return answer

    def pages(self) -> list[Object]:
        """What people were told."""
        return [json.loads(each.body) for each in self._pager.arrived]

    def paged(self) -> Object:
        """Wait until people were told; what, once."""
        told = self.until(self.pages, "a page")
        assert len(told) == 1, told
        return dict(told[0])

    def explain(self, ref: str) -> str:
        """What `modelmend explain` says; printed, too."""
        done = self.served.run("explain", ref)
        assert done.returncode == 0, done.stderr
        print(done.stdout)
        return done.stdout

    def asked(self) -> Counter[tuple[str, str]]:
        """Requests to the Kubernetes API so far: verb and code → how many."""
        counts: Counter[tuple[str, str]] = Counter()
        for line in self.served.ask("GET", "/metrics").body.decode().splitlines():
            if line.startswith("modelmend_kube_requests_total{"):
                series, _, value = line.rpartition(" ")
                labels = dict(part.split("=") for part in series.partition("{")[2].rstrip("}").split(","))
                counts[labels["verb"].strip('"'), labels["code"].strip('"')] += int(float(value))
        return +counts

    def story(self) -> str:
        """Remediations, Workflows and the server's log, for the message of a failure."""
        parts = []
        for tell in (self._remediations_told, self._workflows_told):
            try:
                parts.append(tell())
            except Exception as error:  # noqa: BLE001 — a part that cannot be had must not hide the others
                parts.append(f"{tell.__name__}: {error!r}")
        return "\n".join([*parts, f"log {self.served.log}:", self.served.log.read_text()[-SHOWN:]])

    def _remediations_told(self) -> str:
        keys = ("id", "model", "phase", "reason", "verdict", "step")
        told = []
        for found in self.remediations():
            told.append("remediation " + " ".join(f"{key}={found[key]}" for key in keys))
            told += [f"  {row['now']} {row['to']} {row['reason']} {row['values']}" for row in found["transitions"]]
            told += [f"  intent {row['key']} ref={row['ref']} outcome={row['outcome']}" for row in found["intents"]]
        return "\n".join(told or ["no remediation"])

    def _workflows_told(self) -> str:
        told = []
        for found in self.workflows():
            status = found.get("status") or {}
            told.append(f"Workflow {found['metadata']['name']} {status.get('phase')}: {status.get('message')}")
        return "\n".join(told or ["no Workflow"])


def trail(remediation: Mapping[str, Any]) -> list[str]:
    """Its transitions, as `Running started`."""
    return [f"{row['to']} {row['reason']}" for row in remediation["transitions"]]


def values(remediation: Mapping[str, Any], cause: str) -> Object:
    """What its first transition by this cause says."""
    return dict(next(row["values"] for row in remediation["transitions"] if row["reason"] == cause))


def moment(text: str) -> datetime:
    """A time as the API server or modelmend writes it."""
    return datetime.fromisoformat(text).astimezone(UTC)


def degraded(id_: str, version: str, *, model: str = "salary", value: float = 0.2) -> Object:
    """An event of now: so many requests to this version fail."""
    return {
        "specversion": "1.0",
        "id": id_,
        "type": "ml.performance.degraded",
        "source": "urn:monitor",
        "time": datetime.now(UTC).isoformat(),
        "data": {"model": model, "modelVersion": f"{model}-{version}", "metric": "error_rate", "value": value},
    }


def _within(namespace: str, documents: tuple[str, ...]) -> str:
    found = [document for text in documents for document in yaml.safe_load_all(text)]
    for document in found:
        document["metadata"].setdefault("namespace", namespace)
    return yaml.safe_dump_all(found)


# ── fixtures, for this folder by its conftest ─────────────────────────────────────────────────────


@pytest.fixture(scope="session")
def kube() -> Iterator[Kube]:
    """The administrator's connection, to a cluster that knows our documents."""
    kube = Kube.connect(cluster.current().kubeconfig)
    for definition in yaml.safe_load_all((ROOT / "manifests/base/crds.yaml").read_text()):
        kube.apply(DEFINITION, None, definition["metadata"]["name"], definition)
    yield kube
    kube.close()


@pytest.fixture
def namespace(kube: Kube) -> Iterator[str]:
    """A namespace that is the test's own, whose pods may report to Argo."""
    name = f"t-acts-{uuid.uuid4().hex[:8]}"
    kube.create(NAMESPACE, None, named(name))
    grant(kube, name, "default", [("argoproj.io", "workflowtaskresults", ["create", "patch"])])
    yield name
    with contextlib.suppress(Refused):  # a test may have deleted it
        kube.delete(NAMESPACE, None, name)


@pytest.fixture
def stage(kube: Kube, namespace: str, tmp_path: Path) -> Iterator[Callable[..., Stage]]:
    """Makes `stage(document, …, **settings)`: an installation for the test's namespace, not started yet."""
    made: list[Stage] = []

    def make(*documents: str, **settings: Any) -> Stage:
        folder = tmp_path / f"installation-{len(made)}"
        folder.mkdir()
        made.append(Stage(folder, kube, namespace, *documents, **settings))
        return made[-1]

    yield make
    for each in made:
        each.close()
