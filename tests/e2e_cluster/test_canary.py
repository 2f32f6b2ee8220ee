"""What serves a model is brought where a policy wants it, once, and never against people, Git or another revision."""

from __future__ import annotations

import pytest

from controller.kube.rollouts import observed
from controller.policy.serving import read_version
from tests.e2e_cluster.acting import degraded, trail, values
from tests.integration.cluster.serving import BY_DEPLOYMENT, SERVING, Served, deployment, rollout

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]

PAUSED = [{"setWeight": 50}, {"pause": {}}]
BRIEFLY = [{"setWeight": 50}, {"pause": {"duration": "1s"}}]
LIMITS = "{cooldown: 4s, budget: {max: 100, within: 7d}, breaker: {failures: 100, within: 7d}}"


def mending(rollout, verify, kind="Rollout", limits="{}"):
    """A policy that answers errors by this rollout, else pages; and the model, whose version is a variable of the pod."""
    return f"""\
kind: RemediationPolicy
metadata: {{name: mend}}
spec:
  mode: enforce
  models: {{names: [salary]}}
  triggers: [{{type: ml.performance.degraded, when: 'data.metric == "error_rate" && data.value > 0.05'}}]
  limits: {limits}
  steps:
  - {{name: serve, rollout: {rollout}, verify: [{{rollout: {verify}, every: 1s, within: 2m}}]}}
  - {{name: page, page: {{}}}}
---
kind: Model
metadata: {{name: salary}}
spec:
  serving: {{kind: {kind}, name: salary, version: {{env: VERSION}}}}
  versionNames: ["salary-{{version}}", "{{version}}"]
"""


ABORT = mending("{abort: canary}", "stable", limits=LIMITS)
RECOVERED = ["Pending decided", "Running started", "Verifying action_done", "Succeeded recovered"]


@pytest.fixture
def served(kube, namespace):
    """A Rollout that serves v5, and pauses at half of a canary."""
    return Served(kube, namespace, rollout(steps=PAUSED))


def test_a_bad_canary_is_aborted_and_stays_aborted(stage, served):
    """Verified by `rollout: stable`: that Argo calls it Degraded is no failure, and its next look revives nothing."""
    stage = stage(ABORT)
    stage.start()
    before = served.canary("v6")
    stage.post(degraded("e-1", "v6"))
    ended = stage.reach("e-1", "Succeeded")
    assert trail(ended) == RECOVERED
    assert ended["verdict"] == "recovered"
    assert ended["intents"][0]["resourceVersion"]
    after = served.until(lambda obj: obj["status"].get("phase") == "Degraded")
    assert after["status"]["abort"] is True
    assert after["spec"] == before["spec"]
    assert stage.pages() == []
    assert "canary v6 aborted" in stage.explain("e-1")

    served.set({"spec": {"replicas": 3}})
    again = served.until(lambda obj: obj["status"].get("availableReplicas") == 3 and observed(obj))
    assert (again["status"]["abort"], again["status"]["stableRS"]) == (True, before["status"]["stableRS"])
    assert not again["status"].get("updatedReplicas")


def test_an_event_about_an_older_revision_does_not_touch_the_newer(stage, served):
    """The canary that was bad is gone: today's goes on, nobody is woken, and no limit holds what is about today's."""
    stage = stage(ABORT)
    stage.start()
    served.canary("v6")
    served.abort()
    newer = served.canary("v7")
    stage.until(lambda: stage.model()["canary"] == "v7", "v7 to be known as the canary")
    stage.post(degraded("e-1", "v6"))
    stage.until(lambda: stage.answers("e-1") == ["stale"], "an answer")
    left = served.read()
    stage.post(degraded("e-2", "v7"))
    assert left["spec"] == newer["spec"]
    assert not left["status"].get("abort")
    assert "it is about version v6; v5 serves, v7 as its canary" in stage.explain("e-1")
    assert trail(stage.reach("e-2", "Succeeded")) == RECOVERED
    assert served.status["abort"] is True
    assert stage.pages() == []


@pytest.mark.parametrize("point", ["before patch", "after patch"])
def test_killed_beside_its_patch_it_aborts_once(stage, served, point):
    """Between writing down what will be set and setting it, or right after: aborted, verified, on record."""
    stage = stage(ABORT)
    stage.start(dies=point)
    served.canary("v6")
    stage.post_to_its_death(degraded("e-1", "v6"))
    assert bool(served.status.get("abort")) is (point == "after patch")
    stage.start()
    assert trail(stage.reach("e-1", "Succeeded")) == RECOVERED
    assert served.status["abort"] is True


@pytest.mark.parametrize("kind", ["Rollout", "Deployment"])
def test_it_is_set_to_a_version_that_is_then_verified(stage, kube, namespace, kind):
    """`to: v4` writes the version where the Model says; recovered when all traffic is on it."""
    serving = SERVING if kind == "Rollout" else BY_DEPLOYMENT
    served = Served(kube, namespace, rollout(steps=BRIEFLY) if kind == "Rollout" else deployment(), kind)
    stage = stage(mending("{to: v4}", "promoted", kind))
    stage.start()
    stage.post(degraded("e-1", "v5"))
    ended = stage.reach("e-1", "Succeeded")
    assert trail(ended) == RECOVERED
    after = served.read()
    assert read_version(serving, after) == "v4"
    assert served._serves(after)
    assert after["status"]["updatedReplicas"] == after["spec"]["replicas"]
    assert "set to version v4, before v5" in stage.explain("e-1")


def test_what_somebody_sets_back_is_never_set_again(stage, served):
    """While it is being verified a person restores v5: reverted, people are told, and no process patches again."""
    stage = stage(mending("{to: v6}", "promoted"))
    stage.start()
    stage.post(degraded("e-1", "v5"))
    served.paused()
    stage.reach("e-1", "Verifying")
    served.deploy("v5")
    ended = stage.reach("e-1", "Escalated")
    assert trail(ended)[2:] == ["Verifying action_done", "Escalated unknown"]
    assert values(ended, "unknown")["reason"] == "reverted"
    assert stage.paged()["data"]["reason"] == "unknown"
    assert "its template asks for v5, wanted v6" in stage.explain("e-1")
    generation = served.read()["metadata"]["generation"]
    stage.served.kill()
    stage.start()
    stage.post(degraded("e-2", "v5"))
    stage.until(lambda: stage.answers("e-2") == ["cooldown"], "an answer to the next event")
    assert served.read()["metadata"]["generation"] == generation
    assert read_version(SERVING, served.read()) == "v5"


def test_what_argo_cd_manages_is_left_alone(stage, kube, namespace):
    """Its tracking id stands on the object: target_managed, the spec is untouched, and the next rung tells people."""
    mark = {"argocd.argoproj.io/tracking-id": f"models:argoproj.io/Rollout:{namespace}/salary"}
    served = Served(kube, namespace, rollout(steps=PAUSED, annotations=mark))
    before = served.read()
    stage = stage(mending("{to: v6}", "promoted"))
    stage.start()
    stage.post(degraded("e-1", "v5"))
    ended = stage.reach("e-1", "Escalated")
    assert trail(ended) == ["Pending decided", "Running started", "Pending action_failed", "Escalated paged"]
    assert values(ended, "action_failed")["reason"] == "target_managed"
    assert served.read()["spec"] == before["spec"]
    assert served.read()["metadata"]["generation"] == before["metadata"]["generation"]
    assert "Argo CD sets its spec and would undo the change" in stage.explain("e-1")
    stage.paged()


def test_a_canary_is_promoted_in_full(stage, served):
    """`promote: full` goes past the pause that waits for a person; verified when all traffic is on it."""
    stage = stage(mending("{promote: full}", "promoted"))
    stage.start()
    served.canary("v6")
    stage.post(degraded("e-1", "v6"))
    ended = stage.reach("e-1", "Succeeded")
    assert trail(ended) == RECOVERED
    after = served.read()
    assert served._serves(after)
    assert read_version(SERVING, after) == "v6"
    assert "canary v6 promoted in full" in stage.explain("e-1")
