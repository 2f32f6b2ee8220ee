"""Documents as custom resources: our definitions in the cluster, kubectl, and a server that reads them."""

import json
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from controller.kube import DEFAULTS, MODEL, REMEDIATION_POLICY, Kind, Kube
from tests.cluster import cluster
from tests.e2e.serving import Served
from tests.integration.cluster.conftest import eventually

ROOT = Path(__file__).parents[4]
NAMESPACE = Kind("", "v1", "namespaces", namespaced=False, name="Namespace")
KINDS = {"policy": REMEDIATION_POLICY, "model": MODEL, "defaults": DEFAULTS}

Kubectl = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def kubectl() -> Kubectl:
    """Runs kubectl; `text` goes to its standard input."""
    current = cluster.current()

    def run(*arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [current.kubectl, *arguments],
            input=text,
            capture_output=True,
            text=True,
            env=current.environment,
            timeout=60,
            check=False,
        )

    return run


@pytest.fixture(scope="session")
def _definitions(kubectl: Kubectl) -> None:
    """Our definitions are in the cluster, as the repository has them; they stay."""
    file = str(ROOT / "manifests" / "base" / "crds.yaml")
    applied = kubectl("apply", "--server-side", "--force-conflicts", "-f", file)
    assert applied.returncode == 0, applied.stderr
    waited = kubectl("wait", "--for=condition=Established", "--timeout=30s", "-f", file)
    assert waited.returncode == 0, waited.stderr


class Documents:
    """The documents of one namespace, written with kubectl as a person does."""

    def __init__(self, kube: Kube, kubectl: Kubectl, namespace: str) -> None:
        self._kube = kube
        self.kubectl = kubectl
        self.namespace = namespace

    def apply(self, *texts: str) -> subprocess.CompletedProcess[str]:
        """`kubectl apply` of these documents, which may be refused."""
        return self.kubectl("apply", "-n", self.namespace, "-f", "-", text="---\n".join(texts))

    def write(self, *texts: str) -> None:
        """The same of documents that the API server takes."""
        applied = self.apply(*texts)
        assert applied.returncode == 0, applied.stderr

    def delete(self, what: str, name: str) -> None:
        assert self._kube.delete(KINDS[what], self.namespace, name)

    def object(self, what: str, name: str) -> dict[str, Any]:
        found = self._kube.get(KINDS[what], self.namespace, name)
        assert found is not None
        return found

    def status(self, what: str, name: str) -> dict[str, Any]:
        return self.object(what, name).get("status") or {}

    def accepted(self, what: str, name: str) -> dict[str, Any]:
        """The condition Accepted; {} while nobody has said it of the text as it is."""
        found = self.object(what, name)
        conditions = (found.get("status") or {}).get("conditions") or []
        for condition in conditions:
            if condition["type"] == "Accepted" and condition["observedGeneration"] == found["metadata"]["generation"]:
                return dict(condition)
        return {}

    def becomes(self, what: str, name: str, status: str) -> dict[str, Any]:
        """Wait until Accepted is `status`; the condition."""
        return eventually(lambda: (found := self.accepted(what, name)).get("status") == status and found)


@pytest.fixture
def documents(kube: Kube, kubectl: Kubectl, _definitions: None) -> Iterator[Documents]:
    """A namespace that is the test's own."""
    name = f"t-crds-{uuid.uuid4().hex[:8]}"
    kube.create(NAMESPACE, None, {"metadata": {"name": name}})
    yield Documents(kube, kubectl, name)
    kube.delete(NAMESPACE, None, name)


@pytest.fixture
def installation(tmp_path: Path, kubeconfig: Path) -> Iterator[Callable[..., Served]]:
    """Makes servers that read the cluster; not started yet. All end with the test."""
    made: list[Served] = []

    def make(policies: str = "", **settings: Any) -> Served:
        folder = tmp_path / f"installation-{len(made)}"
        folder.mkdir()
        made.append(Served(folder, policies, **{"kubernetes": True, "kubeconfig": str(kubeconfig)} | settings))
        return made[-1]

    yield make
    for served in made:
        served.close()


def policy(name: str = "look", when: str = "data.driftScore > 0.3", **spec: Any) -> str:
    """A policy that pages about drift, as YAML."""
    document = {
        "apiVersion": "modelmend.io/v1alpha1",
        "kind": "RemediationPolicy",
        "metadata": {"name": name},
        "spec": {
            "mode": "enforce",
            "models": {"names": ["*"], "unknown": "act"},
            "triggers": [{"name": "drift", "type": "ml.data.drift.detected", "when": when}],
            "steps": [{"name": "page", "page": {}}],
            **spec,
        },
    }
    return json.dumps(document) + "\n"


def in_force(served: Served, namespace: str) -> dict[str, Any]:
    """The texts of a namespace's policies in force, by name."""
    return {item["name"]: item["text"] for item in served.items("policies") if item["namespace"] == namespace}
