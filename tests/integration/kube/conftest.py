"""A real API server for the tests of this folder, and a namespace for each of them."""

import base64
import contextlib
import json
import threading
import time
import uuid

import pytest

from controller.errors import ModelmendError
from controller.kube import WORKFLOW, Kind, Kube, Refused
from tests.integration.kube.server import ApiServer

NAMESPACE = Kind("", "v1", "namespaces", namespaced=False, name="Namespace")
CRD = Kind("apiextensions.k8s.io", "v1", "customresourcedefinitions", namespaced=False, name="CustomResourceDefinition")

ACCOUNT = Kind("", "v1", "serviceaccounts", namespaced=True, name="ServiceAccount")
ROLE = Kind("rbac.authorization.k8s.io", "v1", "roles", namespaced=True, name="Role")
BINDING = Kind("rbac.authorization.k8s.io", "v1", "rolebindings", namespaced=True, name="RoleBinding")


def named(name, **more):
    return {"metadata": {"name": name}, **more}


def crd(plural: str, name: str, subresources: dict) -> dict:
    """A custom type as Argo's minimal ones are: any content."""
    return {
        "metadata": {"name": f"{plural}.argoproj.io"},
        "spec": {
            "group": "argoproj.io",
            "scope": "Namespaced",
            "names": {"plural": plural, "kind": name, "singular": name.lower()},
            "versions": [
                {
                    "name": "v1alpha1",
                    "served": True,
                    "storage": True,
                    "subresources": subresources,
                    "schema": {
                        "openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                    },
                }
            ],
        },
    }


def eventually(true, seconds=20.0):
    """Wait until `true()` is so, and give what it gave."""
    deadline = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.05)
    return found


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """A real API server with Argo's types: Rollouts have a status subresource, Workflows have none."""
    server = ApiServer(tmp_path_factory.mktemp("apiserver"))
    try:
        server.up()
        kube = Kube.connect(server.kubeconfig)
        kube.create(CRD, None, crd("workflows", "Workflow", {}))
        kube.create(CRD, None, crd("rollouts", "Rollout", {"status": {}}))
        eventually(lambda: established(kube))
        kube.close()
        yield server
    finally:
        server.down()


def established(kube):
    """Whether both types are served."""
    from controller.kube import ROLLOUT, WORKFLOW

    with contextlib.suppress(ModelmendError):
        return [kube.list(kind, None) for kind in (WORKFLOW, ROLLOUT)]
    return None


class Counts(dict):
    """Requests by verb and code."""

    def __call__(self, verb, code):
        self[verb, code] = self.get((verb, code), 0) + 1

    def of(self, verb):
        """Requests of this verb, whatever came of them."""
        return sum(count for (counted, _), count in self.items() if counted == verb)


@pytest.fixture
def counts():
    """How often `kube` asked for what."""
    return Counts()


@pytest.fixture
def kube(server, counts):
    """The administrator's connection."""
    kube = Kube.connect(server.kubeconfig, counted=counts)
    yield kube
    kube.close()


@pytest.fixture
def namespace(kube):
    """A namespace that is the test's own."""
    name = f"t-kube-{uuid.uuid4().hex[:8]}"
    kube.create(NAMESPACE, None, {"metadata": {"name": name}})
    yield name
    kube.delete(NAMESPACE, None, name)


@pytest.fixture
def token(kube, namespace):
    """The token of a service account that may only read workflows."""
    kube.create(ACCOUNT, namespace, named("reader"))
    rules = [{"apiGroups": ["argoproj.io"], "resources": ["workflows"], "verbs": ["get", "list", "watch"]}]
    kube.create(ROLE, namespace, named("reader", rules=rules))
    subject = {"kind": "ServiceAccount", "name": "reader", "namespace": namespace}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"}
    kube.create(BINDING, namespace, named("reader", subjects=[subject], roleRef=role))
    path = f"{ACCOUNT.object(namespace, 'reader')}/token"
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 600}}
    return json.loads(kube._connection.request("create", "POST", path, {}, request).body)["status"]["token"]


@pytest.fixture
def limited(server, token, tmp_path, counts):
    """A connection as a service account that may only read workflows."""
    limited = Kube.connect(kubeconfig(tmp_path / "reader", server, {"token": token}), counted=counts)
    yield limited
    limited.close()


def kubeconfig(path, server, user):
    authority = base64.b64encode(server.authority.read_bytes()).decode()
    cluster = {"server": server.url, "certificate-authority-data": authority}
    context = {"cluster": "c", "user": "u", "namespace": "ml"}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "x", "context": context}],
        "current-context": "x",
    }
    path.write_text(json.dumps(document))
    return path


def allowed(limited, namespace):
    """Whether the API server's authorizer knows the role by now."""
    try:
        return limited.list(WORKFLOW, namespace)
    except Refused:
        return None


class Watcher:
    """A watch in a thread of its own, and the world as it shows it."""

    def __init__(self, kube, kind, namespace, **options):
        self.world, self.changes, self.syncs, self.errors = {}, [], 0, []
        self.stop = threading.Event()
        self.raised = None

        def run():
            try:
                kube.watch(
                    kind,
                    namespace,
                    on=self._on,
                    synced=self._synced,
                    failed=self.errors.append,
                    stop=self.stop,
                    **options,
                )
            except Exception as error:  # noqa: BLE001 - shown to the test
                self.raised = error

        self.thread = threading.Thread(target=run, daemon=True)

    def _synced(self, items):
        self.syncs += 1
        self.world = {item["metadata"]["name"]: item for item in items}

    def _on(self, happened, item):
        name = item["metadata"]["name"]
        self.changes.append((happened, name))
        if happened == "DELETED":
            self.world.pop(name, None)
        else:
            self.world[name] = item

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.end()
        assert self.raised is None, self.raised

    def end(self, within=20.0):
        """Stop; the seconds that it took."""
        began = time.monotonic()
        self.stop.set()
        self.thread.join(within)
        assert not self.thread.is_alive()
        return time.monotonic() - began
