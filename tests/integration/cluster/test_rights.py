"""The rights that actions and their verification need in a model's namespace: these, and none less."""

import threading
from collections import Counter

import pytest

from controller import actions, verify
from controller.actions import Outcome
from controller.kube import CRON_JOB, DEPLOYMENT, ROLLOUT, Kube
from controller.remediation import ActionReason
from tests.integration.cluster.conftest import ensure, intent, named
from tests.integration.cluster.serving import BY_DEPLOYMENT, SERVING, deployment, order, rollout, template

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]

RIGHTS = {
    ("argoproj.io", "workflows"): ["create", "get", "patch"],
    ("batch", "cronjobs"): ["get"],
    ("batch", "jobs"): ["create", "get", "patch"],
    ("argoproj.io", "rollouts"): ["get", "patch"],
    ("argoproj.io", "rollouts/status"): ["patch"],
    ("apps", "deployments"): ["get", "patch"],
}
"""What is created is followed by list and watch besides, and so is what Git sets; the engine's tests see to that."""
SINGLE = [(*where, verb) for where, verbs in RIGHTS.items() for verb in verbs]


@pytest.fixture
def objects(kube, namespace, write_template):
    """What there is to act upon; nothing of it runs, and no controller looks after the Rollout."""
    write_template("wait", {"suspend": {}})
    pod = {"spec": {"restartPolicy": "Never", **template("v5")["spec"]}}
    job = {"spec": {"suspend": True, "template": pod}}
    spec = {"schedule": "0 3 * * *", "suspend": True, "jobTemplate": job}
    kube.create(CRON_JOB, namespace, named("nightly-train", spec=spec))
    kube.create(DEPLOYMENT, namespace, deployment(replicas=0))
    away = {"argo-rollouts.argoproj.io/controller-instance-id": "another"}
    kube.create(ROLLOUT, namespace, rollout("v6", labels=away))
    status = {"currentPodHash": "new", "stableRS": "old", "currentStepIndex": 1, "observedGeneration": "1"}
    kube.patch(ROLLOUT, namespace, "salary", {"status": status}, subresource="status")


def everything(kube: Kube, namespace: str) -> Counter:
    """Do all that actions do; how often each end came."""
    workflow = intent("workflow", namespace, {"template": "wait", "parameters": {}, "outputs": {}, "timeout": 60})
    job = intent("job", namespace, {"cronJob": "nightly-train", "env": {}, "timeout": 60})
    ends = Counter()

    def ended(answer):
        ends[(answer.reason or answer.state) if isinstance(answer, Outcome) else "goes on"] += 1

    for mine in (workflow, job):
        ended(ensure(kube, mine))
        ended(ensure(kube, mine, inherited=True))
        ended(actions.halt(kube, mine))
    ended(ensure(kube, order(namespace, "abort")))
    for serving in (SERVING, BY_DEPLOYMENT):
        ended(ensure(kube, order(namespace, "pause", serving=serving)))
        spec = {"kind": "rollout", "wants": "stable", "serving": serving}
        sample = verify.sample(spec, {"model": f"{namespace}/salary"}, threading.Event(), kube=kube)
        ends[f"sample {sample.state}"] += 1
    return ends


@pytest.fixture(autouse=True)
def unhurried(monkeypatch):
    """Nobody will notice."""
    monkeypatch.setattr("controller.actions.rollout.NOTICED", 0.0)


def test_these_rights_are_enough(kube, namespace, objects, as_account):
    """With them, every action is done or goes on, and every sample is taken."""
    ends = everything(as_account("enough", [(*where, verbs) for where, verbs in RIGHTS.items()]), namespace)
    assert ActionReason.FORBIDDEN not in ends


@pytest.mark.parametrize("missing", SINGLE, ids="-".join)
def test_none_of_them_can_be_missing(kube, namespace, objects, as_account, missing):
    """Without any one of them something ends as forbidden."""
    rights = [(group, resource, [verb]) for group, resource, verb in SINGLE if (group, resource, verb) != missing]
    assert everything(as_account("less", rights), namespace)[ActionReason.FORBIDDEN] > 0
