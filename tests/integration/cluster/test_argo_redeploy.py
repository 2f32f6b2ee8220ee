"""The WorkflowTemplate `redeploy-model`: real pods, a real canary, real failures."""

import re

import pytest

from controller.kube import DEPLOYMENT, ROLLOUT, Kind
from tests.integration.cluster.argo_pack import POD, Pack, kubectl, load
from tests.integration.cluster.conftest import ROLE, eventually, named

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

RUNS = "import os, sys, time; sys.exit('broken') if os.environ['VERSION'] == 'broken' else time.sleep(3600)"
BY_ENV = {"version_in": "env", "version_name": "VERSION", "timeout": "1m"}
REPLICA_SET = Kind("apps", "v1", "replicasets", namespaced=True, name="ReplicaSet")


@pytest.fixture(scope="module")
def pack(kube, tmp_path_factory):
    """The templates, applied."""
    load("modelmend-redeploy")
    pack = Pack(kube, tmp_path_factory.mktemp("argo"))
    yield pack
    pack.remove()


def serving(name, version="v1", replicas=2, image="localhost/modelmend-redeploy:test", command=("python3", "-c", RUNS)):
    """What a Rollout and a Deployment have in common: a pod is good when it has run for two seconds."""
    container = {
        "name": "model",
        "image": image,
        **({"command": list(command)} if command else {}),
        "env": [{"name": "VERSION", "value": version}],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    safe = {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}}
    return named(
        name,
        spec={
            "replicas": replicas,
            "minReadySeconds": 2,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"terminationGracePeriodSeconds": 0, "securityContext": safe, "containers": [container]},
            },
        },
    )


def rollout(pack, name, version="v1", steps=({"setWeight": 50}, {"pause": {}}), **spec):
    """A Rollout that is healthy."""
    body = serving(name, version)
    body["spec"] |= {"strategy": {"canary": {"steps": list(steps)}}, **spec}
    pack.kube.create(ROLLOUT, pack.namespace, body)
    return until(pack, ROLLOUT, name, lambda status: status.get("phase") == "Healthy")


def deployment(pack, name, version="v1", **more):
    """A Deployment that is healthy."""
    pack.kube.create(DEPLOYMENT, pack.namespace, serving(name, version, **more))
    return until(pack, DEPLOYMENT, name, lambda status: status.get("availableReplicas") == 2)


def until(pack, kind, name, true):
    """The object once `true(status)`."""

    def look():
        found = pack.kube.get(kind, pack.namespace, name)
        return found if true(found.get("status") or {}) else None

    return eventually(look)


def pods(pack, name):
    """The pods that run, by the version that they were given."""
    found, _ = pack.kube.list(POD, pack.namespace, {"app": name})
    running = [
        pod for pod in found if "deletionTimestamp" not in pod["metadata"] and pod["status"]["phase"] == "Running"
    ]
    return sorted(pod["spec"]["containers"][0]["env"][0]["value"] for pod in running)


def test_a_rollout_reaches_its_canary(pack):
    """The Workflow ends when the first pause is reached: one new pod beside an old one, and says the version."""
    rollout(pack, "canary")
    ended = pack.run("redeploy-model", name="canary", version="v2", **BY_ENV)
    assert (ended.phase, ended.outputs) == ("Succeeded", {"model-version": "v2", "verdict": "promoted"})
    found = pack.kube.get(ROLLOUT, pack.namespace, "canary")
    assert (found["status"]["phase"], found["status"]["message"]) == ("Paused", "CanaryPauseStep")
    assert pods(pack, "canary") == ["v1", "v2"]


def test_a_rollout_is_healthy_where_that_is_waited_for(pack):
    """With a pause that ends by itself, the Workflow ends when all pods are new."""
    rollout(pack, "whole", steps=({"setWeight": 50}, {"pause": {"duration": "3s"}}))
    ended = pack.run("redeploy-model", name="whole", version="v2", wait="healthy", **BY_ENV)
    assert ended.phase == "Succeeded"
    assert pack.kube.get(ROLLOUT, pack.namespace, "whole")["status"]["phase"] == "Healthy"
    eventually(lambda: pods(pack, "whole") == ["v2", "v2"])


def test_a_deployment_is_moved_and_moved_again_to_the_same(pack):
    """Setting the version that serves changes nothing: the object keeps its generation."""
    deployment(pack, "moved")
    for _ in range(2):
        ended = pack.run("redeploy-model", kind="Deployment", name="moved", version="v2", **BY_ENV)
        assert (ended.phase, ended.outputs["model-version"]) == ("Succeeded", "v2")
        assert pods(pack, "moved") == ["v2", "v2"]
    assert pack.kube.get(DEPLOYMENT, pack.namespace, "moved")["metadata"]["generation"] == 2


@pytest.mark.parametrize(("kind", "create"), [("Rollout", rollout), ("Deployment", deployment)])
def test_without_a_version_the_pods_are_new_and_the_version_is_the_old(pack, kind, create):
    """Every pod is replaced, and the version that serves is said."""
    name = f"restarted-{kind.lower()}"
    create(pack, name)
    before = {pod["metadata"]["uid"] for pod in pack.kube.list(POD, pack.namespace, {"app": name})[0]}
    ended = pack.run("redeploy-model", kind=kind, name=name, **BY_ENV)
    assert (ended.phase, ended.outputs["model-version"]) == ("Succeeded", "v1")
    after = {pod["metadata"]["uid"] for pod in pack.kube.list(POD, pack.namespace, {"app": name})[0]}
    assert len(after - before) == 2
    assert pods(pack, name)[-2:] == ["v1", "v1"]


def test_a_version_that_crashes_fails_in_time(pack):
    """The Workflow fails when its time is up, says how far the Rollout got, and leaves the rest to the ladder."""
    rollout(pack, "crashing")
    ended = pack.run("redeploy-model", name="crashing", version="broken", **{**BY_ENV, "timeout": "15s"})
    assert (ended.phase, ended.outputs) == ("Failed", {})
    said = (
        rf"Rollout {pack.namespace}/crashing: broken is not canary after 15 s: Progressing: .* \(1 of \d pods are new, "
    )
    assert re.search(said, ended.messages["deploy"])
    assert "v1" in pods(pack, "crashing")


def test_a_version_that_stalls_fails_at_once(pack):
    """A Rollout that gives up by itself is not waited for any longer."""
    rollout(pack, "stalling", progressDeadlineSeconds=5)
    ended = pack.run("redeploy-model", name="stalling", version="broken", **{**BY_ENV, "timeout": "10m"})
    assert ended.phase == "Failed"
    assert "stalling: broken failed: Degraded: ProgressDeadlineExceeded" in ended.messages["deploy"]


def test_an_image_that_is_not_there_fails_and_the_old_one_comes_back(pack):
    """The version stands in the image's tag; a Deployment's old pods serve on, and the next Workflow restores it."""
    deployment(pack, "pulled", image="localhost/pause:1", command=None)
    tag = {"version_in": "image", "version_name": "localhost/pause:{version}"}
    ended = pack.run("redeploy-model", kind="Deployment", name="pulled", version="missing", timeout="10s", **tag)
    assert ended.phase == "Failed"
    assert "pulled: missing is not canary after 10 s: 1 of 3 pods are new, 2 of 3 available" in ended.messages["deploy"]
    ended = pack.run("redeploy-model", kind="Deployment", name="pulled", version="1", timeout="1m", **tag)
    assert (ended.phase, ended.outputs["model-version"]) == ("Succeeded", "1")


def test_a_pod_that_is_lost_is_replaced_and_changes_nothing_twice(pack):
    """Argo runs the step again; it finds its own change and waits for it."""
    before = rollout(pack, "lost", steps=({"setWeight": 50}, {"pause": {"duration": "12s"}}))["metadata"]["generation"]
    name = pack.start("redeploy-model", name="lost", version="v2", wait="healthy", **BY_ENV)
    until(pack, ROLLOUT, "lost", lambda status: status["phase"] == "Paused")
    running, _ = pack.kube.list(POD, pack.namespace, {"workflows.argoproj.io/workflow": name})
    lost = running[0]["metadata"]
    kubectl("delete", "pod", lost["name"], f"--namespace={pack.namespace}", "--grace-period=1", "--wait=false")
    ended = pack.end(name)
    assert (ended.phase, ended.outputs["model-version"]) == ("Succeeded", "v2")
    left, _ = pack.kube.list(POD, pack.namespace, {"workflows.argoproj.io/workflow": name})
    assert lost["uid"] not in {pod["metadata"]["uid"] for pod in left}
    assert left
    assert pack.kube.get(ROLLOUT, pack.namespace, "lost")["metadata"]["generation"] == before + 1
    found, _ = pack.kube.list(REPLICA_SET, pack.namespace, {"app": "lost"})
    assert len(found) == 2


def test_what_is_not_there_is_said(pack):
    """The message names the object."""
    ended = pack.run("redeploy-model", name="nobody", version="v2", **BY_ENV)
    assert ended.phase == "Failed"
    assert f'Rollout {pack.namespace}/nobody: rollouts.argoproj.io "nobody" not found' in ended.messages["deploy"]


def test_a_value_is_never_more_than_a_value(pack):
    """What looks like an option, a shell or a variable of Argo's is refused as a version that it cannot be."""
    hostile = 'v2" --kind=Deployment; $(id)\n'
    ended = pack.run("redeploy-model", name="nobody", version=hostile, version_in="label", version_name="version")
    assert ended.phase == "Failed"
    assert "version: want what can be a label's value, got 'v2\" --kind=Deployment; $(id)" in ended.messages["deploy"]


@pytest.mark.parametrize("verb", ["get", "patch"])
def test_without_either_verb_the_step_says_what_it_may_not(pack, verb):
    """So the Role gives no more than is used."""
    role = pack.kube.get(ROLE, pack.namespace, "redeploy-model")
    rules = [
        {**rule, "verbs": [each for each in rule["verbs"] if each != verb or "rollouts" not in rule["resources"]]}
        for rule in role["rules"]
    ]
    if verb == "patch":
        rollout(pack, "forbidden")
    pack.kube.patch(ROLE, pack.namespace, "redeploy-model", {"rules": rules})
    try:
        ended = pack.run("redeploy-model", name="forbidden", version="v2", **BY_ENV)
    finally:
        pack.kube.patch(ROLE, pack.namespace, "redeploy-model", {"rules": role["rules"]})
    assert ended.phase == "Failed"
    assert f'cannot {verb} resource "rollouts"' in ended.messages["deploy"]
