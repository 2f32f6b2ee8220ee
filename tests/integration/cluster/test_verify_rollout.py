"""Verification by `rollout`, on Argo Rollouts and Deployments whose pods really run, after real actions."""

import threading
from datetime import UTC, datetime

import pytest

from controller import verify
from controller.verify import Sample
from tests.integration.cluster.conftest import POD, ensure, eventually
from tests.integration.cluster.serving import BY_DEPLOYMENT, SERVING, Served, deployment, order, rollout

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]

MISSING_IMAGE = {"name": "main", "image": "localhost/missing:1", "imagePullPolicy": "Never"}


@pytest.fixture
def served(kube, namespace):
    """A Rollout that serves v5."""
    return Served(kube, namespace, rollout())


@pytest.fixture
def deployed(kube, namespace):
    """A Deployment that serves v5."""
    return Served(kube, namespace, deployment(), "Deployment")


def look(kube, namespace, wants, *, outputs=None, asked=None, serving=SERVING, ended=None) -> Sample:
    """One sample after an action that reported `outputs` and ended then; `asked`: the intent of a rollout."""
    told = {
        "stdin": {"actionEnded": ended},
        "model": f"{namespace}/salary",
        "outputs": outputs or {},
        "rollout": asked.end_state if asked else None,
    }
    spec = {"kind": "rollout", "wants": wants, "every": 5, "within": 600, "serving": serving}
    return verify.sample(spec, told, threading.Event(), kube=kube)


def done(kube, mine) -> dict:
    """Do it; its outputs."""
    ended = ensure(kube, mine)
    assert ended.state == "done", ended
    return ended.outputs


def until(state, *args, **more) -> Sample:
    """Sample until this comes; before it, nothing that would settle it otherwise."""

    def sampled() -> Sample | None:
        sample = look(*args, **more)
        assert sample.state in ("unchanged", "missing", state), sample
        return sample if sample.state == state else None

    return eventually(sampled)


def test_an_aborted_canary_is_stable_though_degraded(kube, namespace, served):
    """Not before the canary's pods are gone; then it is stable, and stays so, while Argo says Degraded."""
    served.canary("v6")
    assert look(kube, namespace, "stable").state == "unchanged"
    mine = order(namespace, "abort", about="v6")
    outputs = done(kube, mine)
    sample = until("recovered", kube, namespace, "stable", outputs=outputs, asked=mine)
    assert served.status["phase"] == "Degraded"
    assert served.status.get("updatedReplicas", 0) == 0
    assert sample.message == f"all traffic is on stable {served.status['stableRS']}, 2 pods are available"
    assert look(kube, namespace, "promoted", outputs={"version": "v6"}).state == "failed"


def test_an_undone_abort_is_reverted(kube, namespace, served):
    """Tried anew by a person, the canary is not stable any more, and the sample says that somebody was there."""
    served.canary("v6")
    mine = order(namespace, "abort", about="v6")
    outputs = done(kube, mine)
    until("recovered", kube, namespace, "stable", outputs=outputs, asked=mine)
    served.retry()
    until("reverted", kube, namespace, "stable", outputs=outputs, asked=mine)
    assert until("unchanged", kube, namespace, "stable")


def test_a_restored_template_is_stable(kube, namespace, served):
    """After an abort, the template set back to the version that serves: stable, and healthy for Argo, too."""
    served.canary("v6")
    mine = order(namespace, "abort", about="v6")
    outputs = done(kube, mine)
    back = order(namespace, "to", to="v5", about="v6")
    again = done(kube, back)
    until("recovered", kube, namespace, "stable", outputs=again, asked=back)
    assert look(kube, namespace, "stable", outputs=outputs, asked=mine).state == "recovered"
    assert look(kube, namespace, "promoted", outputs=again, asked=back).state == "recovered"


def test_a_promoted_canary_is_promoted_when_all_is_on_it(kube, namespace, served):
    """At a pause it is unchanged; through all steps, it is promoted."""
    served.canary("v6")
    mine = order(namespace, "promote", about="v6")
    outputs = done(kube, mine)
    served.paused(3)
    half = look(kube, namespace, "promoted", outputs=outputs, asked=mine)
    assert half.state == "unchanged"
    assert half.message.startswith("Paused: CanaryPauseStep")
    mine = order(namespace, "promote", about="v6", promote="full")
    outputs = done(kube, mine)
    sample = until("recovered", kube, namespace, "promoted", outputs=outputs, asked=mine)
    assert sample.message == "all traffic is on v6, 2 pods are available"
    assert look(kube, namespace, "stable", outputs=outputs, asked=mine).state == "recovered"


def test_another_revision_has_replaced_the_promoted_one(kube, namespace, served):
    """A push in between: what was promoted is not what will serve."""
    without = {**SERVING, "version": None}
    served.canary("v6")
    mine = order(namespace, "promote", serving=without)
    outputs = done(kube, mine)
    assert set(outputs) == {"revision"}
    served.deploy("v7")
    until("reverted", kube, namespace, "promoted", outputs=outputs, asked=mine, serving=without)


@pytest.mark.parametrize("kind", ["Rollout", "Deployment"])
def test_a_version_is_promoted_when_all_pods_have_it(kube, namespace, kind):
    """Set by us and rolled out: promoted, and stable. Set to another one by somebody: reverted."""
    serving = {**SERVING, "kind": kind}
    body = rollout(steps=[]) if kind == "Rollout" else deployment()
    served = Served(kube, namespace, body, kind)
    mine = order(namespace, "to", to="v4", about="v5", serving=serving)
    outputs = done(kube, mine)
    until("recovered", kube, namespace, "promoted", outputs=outputs, asked=mine, serving=serving)
    assert look(kube, namespace, "stable", outputs=outputs, asked=mine, serving=serving).state == "recovered"
    served.deploy("v7")
    for wants in ("promoted", "stable"):
        sample = look(kube, namespace, wants, outputs=outputs, asked=mine, serving=serving)
        assert sample == Sample("reverted", "its template asks for v7, wanted v4")


def test_what_a_workflow_reports_may_still_come(kube, namespace, deployed):
    """Another action may have its version set by others after its end: unchanged until then."""
    outputs = {"version": "v6"}
    sample = look(kube, namespace, "promoted", outputs=outputs, serving=BY_DEPLOYMENT)
    assert sample == Sample("unchanged", "its template asks for v5, wanted v6")
    deployed.deploy("v6")
    until("recovered", kube, namespace, "promoted", outputs=outputs, serving=BY_DEPLOYMENT)


@pytest.mark.parametrize("kind", ["Rollout", "Deployment"])
def test_a_restart_is_over_when_all_pods_are_new(kube, namespace, kind):
    """Restarted and all there: promoted and stable; asked by somebody not to: reverted."""
    serving = {**SERVING, "kind": kind}
    served = Served(kube, namespace, rollout() if kind == "Rollout" else deployment(), kind)
    before = {each["metadata"]["uid"] for each in pods(kube, namespace)}
    mine = order(namespace, "restart", serving=serving)
    outputs = done(kube, mine)
    until("recovered", kube, namespace, "promoted", outputs=outputs, asked=mine, serving=serving)
    assert not before & {each["metadata"]["uid"] for each in pods(kube, namespace)}
    assert look(kube, namespace, "stable", outputs=outputs, asked=mine, serving=serving).state == "recovered"
    if kind == "Rollout":
        served.set({"spec": {"restartAt": None}})
        assert look(kube, namespace, "stable", outputs=outputs, asked=mine, serving=serving).state == "reverted"


def pods(kube, namespace):
    return [each for each in kube.list(POD, namespace)[0] if not each["metadata"].get("deletionTimestamp")]


@pytest.mark.parametrize("kind", ["Rollout", "Deployment"])
def test_pods_that_never_come_are_a_failure_after_their_own_deadline(kube, namespace, kind):
    """While it may still come it is unchanged; past the object's own progress deadline it has failed, and going back has not."""
    serving = {**SERVING, "kind": kind}
    body = rollout(steps=[]) if kind == "Rollout" else deployment()
    body["spec"]["progressDeadlineSeconds"] = 2
    served = Served(kube, namespace, body, kind)
    broken = {**MISSING_IMAGE, "env": [{"name": "VERSION", "value": "v6"}]}
    served.set({"spec": {"template": {"spec": {"containers": [broken]}}}})
    ended = served.read()["metadata"]["creationTimestamp"]
    sample = until("failed", kube, namespace, "promoted", outputs={"version": "v6"}, serving=serving, ended=ended)
    assert "ProgressDeadlineExceeded" in sample.message
    assert look(kube, namespace, "stable", outputs={"version": "v6"}, serving=serving).state == "unchanged"
    served.deploy("v5")
    back, now = order(namespace, "to", to="v5", serving=serving), datetime.now(UTC).isoformat()
    until("recovered", kube, namespace, "promoted", outputs={"version": "v5"}, asked=back, serving=serving, ended=now)


def test_what_cannot_be_told_is_missing(kube, namespace, served, as_account):
    """No cluster, no object, no right, no version, no place for it: a missing sample that says which."""
    promoted = {"kind": "rollout", "wants": "promoted", "serving": SERVING}
    told = {"model": f"{namespace}/salary"}
    assert verify.sample(promoted, told, threading.Event()) == Sample("missing", "no cluster: start with --kubernetes")
    cases = [
        (look(kube, namespace, "stable", serving=None), "the Model names no serving object"),
        (look(kube, namespace, "stable", serving=BY_DEPLOYMENT), f"there is no Deployment {namespace}/salary"),
        (
            look(kube, namespace, "promoted"),
            "the action has reported no version, so nothing shows that it is the new one",
        ),
        (
            look(kube, namespace, "promoted", outputs={"version": "v6"}, serving={**SERVING, "version": None}),
            "its version cannot be told, so nothing shows that it is the new one",
        ),
    ]
    for sample, message in cases:
        assert sample == Sample("missing", message)
    blind = look(as_account("blind", []), namespace, "stable")
    assert blind.state == "missing"
    assert 'cannot get resource "rollouts"' in blind.message


def test_nothing_that_runs_proves_nothing(kube, namespace):
    """Scaled to 0, no traffic is served, whatever the revisions say."""
    Served(kube, namespace, rollout(replicas=0))
    eventually(lambda: look(kube, namespace, "stable") == Sample("unchanged", "scaled to 0: nothing serves"))
