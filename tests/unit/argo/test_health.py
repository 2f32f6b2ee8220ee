"""What statuses mean, as Argo Rollouts 1.9 and Kubernetes write them."""

import pytest

from argo.steps.health import judge


def rollout(phase=None, message="", seen=True, **status):
    """A Rollout in its second generation."""
    said = {"observedGeneration": "2" if seen else "1", **({"phase": phase} if phase else {}), "message": message}
    return {"kind": "Rollout", "metadata": {"generation": 2}, "spec": {}, "status": {**said, **status}}


def deployment(seen=True, replicas=2, conditions=(), **status):
    """A Deployment in its second generation."""
    said = {"observedGeneration": 2 if seen else 1, "conditions": list(conditions), **status}
    return {"kind": "Deployment", "metadata": {"generation": 2}, "spec": {"replicas": replicas}, "status": said}


STALLED = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "timed out"}
REFUSED = {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota: pods"}

CASES = {
    "no status yet": ({"kind": "Rollout", "metadata": {"generation": 1}, "spec": {}}, "under way", "under way"),
    "healthy, but of the old spec": (rollout("Healthy", seen=False), "under way", "under way"),
    "healthy": (rollout("Healthy"), "reached", "reached"),
    "at a canary's pause": (rollout("Paused", "CanaryPauseStep"), "reached", "under way"),
    "at the pause of blue-green": (rollout("Paused", "BlueGreenPause"), "reached", "under way"),
    "paused by a person": (rollout("Paused", "manually paused"), "under way", "under way"),
    "an analysis that cannot tell": (rollout("Paused", "InconclusiveAnalysisRun"), "failed", "failed"),
    "aborted": (rollout("Degraded", "RolloutAborted: aborted"), "failed", "failed"),
    "progressing": (rollout("Progressing", "more replicas need to be updated"), "under way", "under way"),
    "a Deployment's old spec": (deployment(seen=False, replicas=0), "under way", "under way"),
    "scaled to nothing": (deployment(replicas=0), "reached", "reached"),
    "stalled": (deployment(conditions=[STALLED]), "failed", "failed"),
    "pods refused": (deployment(conditions=[REFUSED]), "under way", "under way"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_status_means(case):
    """For the goal `canary`, and for the goal `healthy`."""
    obj, canary, healthy = CASES[case]
    assert (judge(obj, "canary").state, judge(obj, "healthy").state) == (canary, healthy)


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ({"replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}, "reached"),
        ({"replicas": 3, "updatedReplicas": 2, "availableReplicas": 3}, "under way"),  # an old pod still ends
        ({"replicas": 2, "updatedReplicas": 2, "availableReplicas": 1}, "under way"),
        ({"replicas": 2, "updatedReplicas": 1, "availableReplicas": 2}, "under way"),
    ],
)
def test_a_deployment_is_there_when_every_pod_is_new_and_available(status, state):
    """As `kubectl rollout status` sees it."""
    obj = deployment()
    obj["status"] |= status
    assert judge(obj, "healthy").state == state


def test_the_message_says_how_far_it_got():
    """Counts that Kubernetes leaves out are zero; a refusal of pods is the message."""
    stuck = rollout("Progressing", "more replicas need to be updated", replicas=3, updatedReplicas=1)
    assert judge(stuck, "canary").message == (
        "Progressing: more replicas need to be updated (1 of 3 pods are new, 0 of 3 available)"
    )
    assert judge(deployment(conditions=[REFUSED]), "healthy").message == "exceeded quota: pods"
    assert judge(deployment(conditions=[STALLED]), "healthy").message == "ProgressDeadlineExceeded: timed out"
