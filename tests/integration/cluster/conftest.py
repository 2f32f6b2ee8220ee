"""What tests on the real cluster share: a namespace for each of them, and the intents of a remediation in it."""

import json
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from controller import actions
from controller.actions import Outcome
from controller.kube import KINDS, WORKFLOW_TEMPLATE, Kind, Kube
from controller.remediation import Intent
from tests.cluster import cluster

NAMESPACE = Kind("", "v1", "namespaces", namespaced=False, name="Namespace")
ACCOUNT = Kind("", "v1", "serviceaccounts", namespaced=True, name="ServiceAccount")
ROLE = Kind("rbac.authorization.k8s.io", "v1", "roles", namespaced=True, name="Role")
BINDING = Kind("rbac.authorization.k8s.io", "v1", "rolebindings", namespaced=True, name="RoleBinding")
QUOTA = Kind("", "v1", "resourcequotas", namespaced=True, name="ResourceQuota")
POD = Kind("", "v1", "pods", namespaced=True, name="Pod")

SECONDS = 60.0
"""The longest that anything here may take, on a machine that others use."""


def named(name: str, **more: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, **more}


def eventually(true: Callable[[], Any], seconds: float = SECONDS) -> Any:
    """Wait until `true()` is so, and give what it gave."""
    deadline = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.1)
    return found


@pytest.fixture(scope="session")
def kubeconfig() -> Path:
    """The administrator's."""
    return cluster.current().kubeconfig


@pytest.fixture(scope="session")
def kube(kubeconfig):
    """The administrator's connection."""
    kube = Kube.connect(kubeconfig)
    yield kube
    kube.close()


@pytest.fixture
def namespace(kube):
    """A namespace that is the test's own, whose pods may report to Argo."""
    name = f"t-actions-{uuid.uuid4().hex[:8]}"
    kube.create(NAMESPACE, None, named(name))
    grant(kube, name, "default", [("argoproj.io", "workflowtaskresults", ["create", "patch"])])
    yield name
    kube.delete(NAMESPACE, None, name)


def grant(kube: Kube, namespace: str, account: str, rights: list[tuple[str, str, list[str]]]) -> None:
    """Let a service account do this in its namespace: group, resource, verbs."""
    rules = [{"apiGroups": [group], "resources": [resource], "verbs": verbs} for group, resource, verbs in rights]
    kube.create(ROLE, namespace, named(account, rules=rules))
    subjects = [{"kind": "ServiceAccount", "name": account, "namespace": namespace}]
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": account}
    kube.create(BINDING, namespace, named(account, subjects=subjects, roleRef=role))


@pytest.fixture
def as_account(kube, namespace, kubeconfig, tmp_path):
    """A connection as a service account with just these rights."""
    opened = []

    def connect(name: str, rights: list[tuple[str, str, list[str]]]) -> Kube:
        kube.create(ACCOUNT, namespace, named(name))
        grant(kube, namespace, name, rights)
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 600}}
        path = f"{ACCOUNT.object(namespace, name)}/token"
        answer = kube._connection.request("create", "POST", path, {}, request)
        token = json.loads(answer.body)["status"]["token"]
        opened.append(Kube.connect(with_token(kubeconfig, token, tmp_path / name)))
        if rights:
            eventually(lambda: _allowed(opened[-1], namespace, rights[-1]))
        return opened[-1]

    yield connect
    for each in opened:
        each.close()


def _allowed(kube: Kube, namespace: str, right: tuple[str, str, list[str]]) -> bool:
    """Whether the API server knows of the right by now."""
    group, resource, verbs = right
    resource, _, subresource = resource.partition("/")
    asked = {
        "namespace": namespace,
        "group": group,
        "resource": resource,
        "subresource": subresource,
        "verb": verbs[-1],
    }
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": asked},
    }
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    return json.loads(kube._connection.request("create", "POST", path, {}, review).body)["status"]["allowed"]


def with_token(kubeconfig: Path, token: str, path: Path) -> Path:
    """The same cluster, as the bearer of a token."""
    import yaml

    content = yaml.safe_load(kubeconfig.read_text())
    for user in content["users"]:
        user["user"] = {"token": token}
    path.write_text(yaml.safe_dump(content))
    return path


class Written(list):
    """What was committed before each patch: end state and resourceVersion."""

    def __call__(self, end_state, resource_version):
        self.append((json.loads(json.dumps(end_state)), resource_version))

    @property
    def last(self) -> dict[str, Any]:
        """The newest end state."""
        return self[-1][0]


@pytest.fixture
def written():
    return Written()


@pytest.fixture
def write_template(kube, namespace):
    """Write a WorkflowTemplate of one entry template, `main`."""

    def write(name: str, main: dict[str, Any], *others: dict[str, Any], **spec: Any) -> str:
        templates = [{"name": "main", **main}, *others]
        kube.create(
            WORKFLOW_TEMPLATE, namespace, named(name, spec={"entrypoint": "main", "templates": templates, **spec})
        )
        return name

    return write


def intent(kind: str, namespace: str, end_state: dict[str, Any], **more: Any) -> Intent:
    """What the engine would hand to the action of a remediation with a name of its own."""
    remediation = f"r-{uuid.uuid4().hex[:12]}"
    stdin = {
        "remediation": remediation,
        "policy": f"{namespace}/retrain",
        "trigger": "psi",
        "step": "retrain",
        "attempt": 1,
        "model": {"namespace": namespace, "name": "salary", "labels": {}},
        "event": {"source": "urn:drift-detector", "id": "drift-99201", "type": "ml.data.drift.detected"},
    }
    told = {"stdin": stdin, "model": f"{namespace}/salary", "traceparent": "00-" + "1" * 32 + "-" + "2" * 16 + "-01"}
    tried = more.pop("first_tried_at", datetime.now(UTC))
    return Intent(
        id=1,
        remediation_id=remediation,
        step=0,
        attempt=1,
        action=kind,
        key=f"{remediation}-0-1",
        end_state={**end_state, **told},
        first_tried_at=tried,
        **more,
    )


def ensure(kube: Kube, intent: Intent, write: Any = None, *, inherited: bool = False) -> Any:
    """What the engine does to begin."""
    return actions.ensure(kube, intent, Written() if write is None else write, inherited=inherited)


def end(kube: Kube, intent: Intent, ref: dict[str, str], seconds: float = SECONDS) -> Outcome:
    """Follow objects as the engine does, until the action has ended."""

    def look() -> Outcome | None:
        nonlocal ref
        seen = actions.observe(intent, ref, kube.get(KINDS[ref["kind"]], ref["namespace"], ref["name"]))
        if isinstance(seen, Outcome):
            return seen
        ref = seen or ref
        return None

    return eventually(look, seconds)
