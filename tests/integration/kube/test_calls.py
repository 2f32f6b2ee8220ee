"""The calls, against a real API server."""

import hashlib
import json
import threading

import pytest

from controller.errors import ConfigError, Conflict, PermanentError, TemporaryError
from controller.kube import (
    DEPLOYMENT,
    JOB,
    KINDS,
    ROLLOUT,
    WORKFLOW,
    AlreadyExists,
    Kind,
    Kube,
    NotFound,
    Refused,
)
from tests.integration.kube.conftest import NAMESPACE, allowed, eventually, kubeconfig, named

pytestmark = pytest.mark.cluster

QUOTA = Kind("", "v1", "resourcequotas", namespaced=True, name="ResourceQuota")
CONFIG = Kind("", "v1", "configmaps", namespaced=True, name="ConfigMap")


def test_an_object_is_created_read_and_deleted(kube, namespace):
    """What was created is there, says what it is, and is gone once deleted."""
    made = kube.create(WORKFLOW, namespace, named("one", spec={"suspend": True}))
    assert made["metadata"]["uid"]
    found = kube.get(WORKFLOW, namespace, "one")
    assert (found["apiVersion"], found["kind"], found["spec"]) == (
        "argoproj.io/v1alpha1",
        "Workflow",
        {"suspend": True},
    )
    assert kube.delete(WORKFLOW, namespace, "one")
    assert kube.get(WORKFLOW, namespace, "one") is None
    assert not kube.delete(WORKFLOW, namespace, "one")


def test_a_name_is_taken_once(kube, namespace):
    """The second create of a name raises AlreadyExists and changes nothing; the count of requests is exact."""
    kube.create(WORKFLOW, namespace, named("one", spec={"by": "us"}))
    with pytest.raises(AlreadyExists, match=r'workflows.argoproj.io "one" already exists'):
        kube.create(WORKFLOW, namespace, named("one", spec={"by": "them"}))
    assert kube.get(WORKFLOW, namespace, "one")["spec"] == {"by": "us"}


def test_one_of_many_creates_wins(kube, namespace):
    """Twenty threads create the same name: one has made it, nineteen are told AlreadyExists."""
    outcomes = []

    def create(number):
        try:
            kube.create(WORKFLOW, namespace, named("one", spec={"by": number}))
            outcomes.append("made")
        except AlreadyExists:
            outcomes.append("taken")

    threads = [threading.Thread(target=create, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["made"] + ["taken"] * 19


def test_a_patch_of_an_old_version_is_a_conflict(kube, namespace):
    """A merge patch with a resourceVersion is compare-and-set: the second with the same version raises Conflict."""
    old = kube.create(ROLLOUT, namespace, named("serving", spec={"n": 0}))["metadata"]["resourceVersion"]
    kube.patch(ROLLOUT, namespace, "serving", {"spec": {"n": 1}}, resource_version=old)
    with pytest.raises(Conflict) as conflict:
        kube.patch(ROLLOUT, namespace, "serving", {"spec": {"n": 2}}, resource_version=old)
    assert not isinstance(conflict.value, AlreadyExists)
    assert kube.get(ROLLOUT, namespace, "serving")["spec"] == {"n": 1}


def test_a_status_patch_leaves_the_spec(kube, namespace):
    """Where there is a status subresource, the patch goes there: spec and generation stay."""
    kube.create(ROLLOUT, namespace, named("serving", spec={"n": 0}))
    patch = {"status": {"abort": True}, "spec": {"n": 9}}
    after = kube.patch(ROLLOUT, namespace, "serving", patch, subresource="status")
    assert (after["status"], after["spec"], after["metadata"]["generation"]) == ({"abort": True}, {"n": 0}, 1)


def test_a_status_patch_without_the_subresource_goes_to_the_object(kube, namespace):
    """Where the CRD has no status subresource, the object itself is patched, still as compare-and-set."""
    old = kube.create(WORKFLOW, namespace, named("one"))["metadata"]["resourceVersion"]
    patch = {"status": {"phase": "Failed"}}
    after = kube.patch(WORKFLOW, namespace, "one", patch, subresource="status", resource_version=old)
    assert after["status"] == {"phase": "Failed"}
    with pytest.raises(Conflict):
        kube.patch(WORKFLOW, namespace, "one", patch, subresource="status", resource_version=old)


@pytest.mark.parametrize("kind", [WORKFLOW, ROLLOUT])
@pytest.mark.parametrize("subresource", [None, "status"])
def test_a_patch_of_nothing_says_so(kube, namespace, kind, subresource):
    """A patch of a missing object raises NotFound, with and without a status subresource."""
    with pytest.raises(NotFound):
        kube.patch(kind, namespace, "missing", {"status": {}}, subresource=subresource)


def test_server_side_apply_creates_and_updates(kube, namespace):
    """Apply gives the object both when it creates and when it updates, and owns its fields as modelmend."""
    made = kube.apply(ROLLOUT, namespace, "serving", {"spec": {"n": 1}})
    assert made["spec"] == {"n": 1}
    again = kube.apply(ROLLOUT, namespace, "serving", {"spec": {"n": 2}})
    assert again["spec"] == {"n": 2}
    assert [(field["manager"], field["operation"]) for field in again["metadata"]["managedFields"]] == [
        ("modelmend", "Apply")
    ]


def test_server_side_apply_of_a_status(kube, namespace):
    """A status is applied through the subresource, and once more over one written by a patch before."""
    kube.create(ROLLOUT, namespace, named("serving", spec={"n": 1}))
    kube.patch(ROLLOUT, namespace, "serving", {"status": {"phase": "Old"}}, subresource="status")
    after = kube.apply(ROLLOUT, namespace, "serving", {"status": {"phase": "New"}}, subresource="status")
    assert (after["status"], after["spec"]) == ({"phase": "New"}, {"n": 1})


def test_apply_without_force_respects_others(kube, namespace):
    """Where another manager owns a field with another value, an apply without force raises Conflict, naming it."""
    kube.create(ROLLOUT, namespace, named("serving", spec={"n": 1}))
    with pytest.raises(Conflict, match=r"conflict"):
        kube.apply(ROLLOUT, namespace, "serving", {"spec": {"n": 2}}, force=False)


def test_a_builtin_type_is_patched_as_a_custom_one(kube, namespace):
    """A Deployment takes merge patches, of its list of containers and of one field, as a custom type does."""
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "reg/m:1"}]}}
    spec = {"replicas": 0, "selector": {"matchLabels": {"a": "b"}}, "template": template}
    version = kube.create(DEPLOYMENT, namespace, named("serving", spec=spec))["metadata"]["resourceVersion"]
    image = {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "reg/m:2"}]}}}}
    after = kube.patch(DEPLOYMENT, namespace, "serving", image, resource_version=version)
    assert after["spec"]["template"]["spec"]["containers"][0]["image"] == "reg/m:2"
    paused = kube.patch(DEPLOYMENT, namespace, "serving", {"spec": {"paused": True}})
    assert paused["spec"]["paused"]
    assert [item["kind"] for item in kube.list(DEPLOYMENT, namespace)[0]] == ["Deployment"]


def test_a_delete_spares_another_of_the_same_name(kube, namespace):
    """With a uid, only the object meant is deleted; another one under its name stays."""
    first = kube.create(WORKFLOW, namespace, named("one"))["metadata"]["uid"]
    kube.delete(WORKFLOW, namespace, "one")
    second = kube.create(WORKFLOW, namespace, named("one"))["metadata"]["uid"]
    assert not kube.delete(WORKFLOW, namespace, "one", uid=first)
    assert kube.delete(WORKFLOW, namespace, "one", uid=second)


def test_lists_of_many_pages_and_by_labels(kube, namespace, counts):
    """A list longer than a page is complete, and a label selector chooses from it."""
    for number in range(260):
        labels = {"modelmend.io/model": f"m-{number % 10}"}
        kube.create(WORKFLOW, namespace, {"metadata": {"name": f"w-{number}", "labels": labels}})
    items, version = kube.list(WORKFLOW, namespace)
    assert len({item["metadata"]["name"] for item in items}) == 260
    assert version.isdigit()
    assert counts.of("list") == 2
    assert len(kube.list(WORKFLOW, namespace, {"modelmend.io/model": "m-3"})[0]) == 26
    assert len(kube.list(WORKFLOW, namespace, "modelmend.io/model in (m-3, m-4)")[0]) == 52


def test_an_unknown_type_is_refused_by_name(kube, namespace):
    """A plural that the API does not have: Refused no_kind from every call, also from a get."""
    unknown = Kind("argoproj.io", "v1alpha1", "workflowz", namespaced=True, name="Workflowz")
    builtin = Kind("apps", "v1", "deploymentz", namespaced=True, name="Deploymentz")
    for kind in (unknown, builtin):
        for call in (
            lambda kind=kind: kube.get(kind, namespace, "one"),
            lambda kind=kind: kube.list(kind, namespace),
            lambda kind=kind: kube.create(kind, namespace, named("one")),
            lambda kind=kind: kube.patch(kind, namespace, "one", {}),
            lambda kind=kind: kube.delete(kind, namespace, "one"),
        ):
            with pytest.raises(Refused, match=kind.plural) as refused:
                call()
            assert refused.value.reason == "no_kind"


def test_a_missing_namespace(kube):
    """In a namespace that is not there, creating is refused as no_namespace; reading finds nothing."""
    with pytest.raises(Refused, match='namespaces "t-kube-none" not found') as refused:
        kube.create(WORKFLOW, "t-kube-none", named("one"))
    assert refused.value.reason == "no_namespace"
    assert kube.get(WORKFLOW, "t-kube-none", "one") is None
    assert kube.list(WORKFLOW, "t-kube-none")[0] == []


def test_a_namespace_that_is_being_deleted(kube, namespace):
    """Creating in a namespace that is going away is refused as no_namespace."""
    kube.delete(NAMESPACE, None, namespace)  # nothing empties it here: it stays in Terminating

    def refused():
        try:
            kube.create(CONFIG, namespace, named(f"c-{hashlib.sha256(str(id(object())).encode()).hexdigest()[:8]}"))
        except Refused as error:
            return error.reason
        return None

    assert eventually(refused) == "no_namespace"


@pytest.mark.parametrize(
    "name", ["", None, ".", "..", "a/b", "../../secrets/x", "A", "a" * 254, "a b", "a%2fb", "a..b"]
)
def test_a_name_that_is_none_is_not_sent(kube, namespace, counts, name):
    """Empty and impossible names and namespaces are refused before anything is sent."""
    for call in (
        lambda: kube.get(WORKFLOW, namespace, name),
        lambda: kube.delete(WORKFLOW, namespace, name),
        lambda: kube.patch(WORKFLOW, namespace, name, {}),
        lambda: kube.create(WORKFLOW, namespace, {"metadata": {"name": name}}),
        lambda: kube.get(WORKFLOW, name, "one"),
        lambda: kube.create(WORKFLOW, name, named("one")),
    ):
        with pytest.raises(Refused) as refused:
            call()
        assert refused.value.reason == "invalid"
    assert counts.of("get") + counts.of("delete") + counts.of("patch") == 0
    assert counts.of("create") == 1  # the namespace


def test_an_invalid_object_is_refused(kube, namespace):
    """What the API finds invalid is refused for good, with its message."""
    with pytest.raises(Refused, match="selector") as refused:
        kube.create(DEPLOYMENT, namespace, named("one", spec={}))
    assert refused.value.reason == "invalid"
    with pytest.raises(Refused) as refused:
        kube.create(WORKFLOW, namespace, {"metadata": {"name": "one", "labels": {"a": 1}}})
    assert refused.value.reason == "bad_request"


def test_an_exhausted_quota_is_no_conflict(kube, namespace):
    """A count quota that is used up refuses a create as `quota`, with the API's message; nothing is created."""
    kube.create(QUOTA, namespace, named("few", spec={"hard": {"count/workflows.argoproj.io": "1"}}))
    full = {"hard": {"count/workflows.argoproj.io": "1"}, "used": {"count/workflows.argoproj.io": "1"}}
    kube.patch(QUOTA, namespace, "few", {"status": full}, subresource="status")

    def refused():
        try:
            kube.create(WORKFLOW, namespace, named("one"))
        except Refused as error:
            return error
        kube.delete(WORKFLOW, namespace, "one")
        return None

    error = eventually(refused)
    assert error.reason == "quota"
    assert "exceeded quota: few" in str(error)
    assert kube.get(WORKFLOW, namespace, "one") is None


def test_a_missing_right_is_named(limited, namespace, counts):
    """What a role does not allow is refused as forbidden, with account, verb and resource in the message."""
    assert eventually(lambda: allowed(limited, namespace))[0] == []
    message = rf'system:serviceaccount:{namespace}:reader" cannot create resource "workflows"'
    with pytest.raises(Refused, match=message) as refused:
        limited.create(WORKFLOW, namespace, named("one"))
    assert refused.value.reason == "forbidden"
    with pytest.raises(Refused) as refused:
        limited.get(ROLLOUT, namespace, "one")
    assert refused.value.reason == "forbidden"


def test_a_wrong_token_is_refused(server, tmp_path):
    """A token that the API does not know is refused as unauthorized, and does not appear in the message."""
    kube = Kube.connect(kubeconfig(tmp_path / "wrong", server, {"token": "no-such-token"}))
    with pytest.raises(Refused) as refused:
        kube.get(WORKFLOW, "default", "one")
    assert refused.value.reason == "unauthorized"
    assert "no-such-token" not in str(refused.value)
    assert kube.namespace == "ml"


def test_an_untrusted_server_is_a_temporary_error(server, tmp_path):
    """A certificate of another authority gives no answer, named; nothing was sent to it."""
    path = kubeconfig(tmp_path / "other", server, {"token": "secret-token"})
    document = json.loads(path.read_text())
    del document["clusters"][0]["cluster"]["certificate-authority-data"]
    path.write_text(json.dumps(document))
    with pytest.raises(TemporaryError, match="certificate verify failed") as error:
        Kube.connect(path).get(WORKFLOW, "default", "one")
    assert "secret-token" not in str(error.value)


def test_every_kind_has_an_address(kube, namespace):
    """Each kind that the cluster has can be listed; the kinds are found by the name in their documents."""
    assert KINDS["Job"] is JOB
    for kind in KINDS.values():
        if kind.group in {"apps", "batch", ""} or kind in {WORKFLOW, ROLLOUT}:
            assert kube.list(kind, namespace)[0] == []


def test_the_version_is_told(kube):
    """The API server's version: the cheapest question whether it answers."""
    assert kube.version().startswith("v1.")


def test_requests_are_counted(kube, namespace, counts):
    """Each request is counted once, by verb and HTTP status."""
    kube.get(WORKFLOW, namespace, "one")
    kube.create(WORKFLOW, namespace, named("one"))
    with pytest.raises(AlreadyExists):
        kube.create(WORKFLOW, namespace, named("one"))
    assert counts == {("create", "201"): 2, ("create", "409"): 1, ("get", "404"): 1}


def test_no_cluster_to_be_found(tmp_path, monkeypatch):
    """Without a kubeconfig, a pod around us or a file at home, connecting says what was tried."""
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(ConfigError, match=r"\.kube/config"):
        Kube.connect(environ={})
    with pytest.raises(ConfigError, match="in the cluster"):
        Kube.connect(environ={"KUBERNETES_SERVICE_HOST": "10.96.0.1"})
    with pytest.raises(ConfigError, match="nowhere"):
        Kube.connect(tmp_path / "nowhere")
    (tmp_path / "bad").write_text("clusters: [")
    with pytest.raises(ConfigError, match="bad"):
        Kube.connect(environ={"KUBECONFIG": str(tmp_path / "bad")})
    (tmp_path / "empty").write_text("")
    with pytest.raises(ConfigError):
        Kube.connect(tmp_path / "empty")


def test_in_a_pod(server, namespace, token, tmp_path, monkeypatch):
    """With what the cluster gives its pods, the pod's account and namespace are used."""
    for name, content in {"token": token, "ca.crt": server.authority.read_text(), "namespace": namespace}.items():
        (tmp_path / name).write_text(content)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(server.port))
    monkeypatch.setattr("kubernetes.config.incluster_config.SERVICE_TOKEN_FILENAME", str(tmp_path / "token"))
    monkeypatch.setattr("kubernetes.config.incluster_config.SERVICE_CERT_FILENAME", str(tmp_path / "ca.crt"))
    monkeypatch.setattr("controller.kube.connection.POD", tmp_path)
    kube = Kube.connect(environ={"KUBERNETES_SERVICE_HOST": "127.0.0.1"})
    assert kube.namespace == namespace
    assert eventually(lambda: allowed(kube, namespace))[0] == []
    with pytest.raises(Refused, match=f"{namespace}:reader"):
        kube.create(WORKFLOW, namespace, named("one"))
    kube.close()


def test_an_unknown_context_is_named(server):
    """A context that the kubeconfig does not have is refused by name."""
    with pytest.raises(ConfigError, match="elsewhere"):
        Kube.connect(server.kubeconfig, "elsewhere")


def test_errors_are_the_projects_own():
    """What the API refuses is one of the project's errors, so that callers need to know no others."""
    assert issubclass(Refused, PermanentError)
    assert issubclass(AlreadyExists, Conflict)
