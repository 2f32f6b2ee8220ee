"""The action `rollout`, on Argo Rollouts and Deployments whose pods really run."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from controller import actions
from controller.actions import Outcome
from controller.actions.endstates import spec_digest
from controller.errors import Conflict, TemporaryError
from controller.kube import DEPLOYMENT, ROLLOUT, WORKFLOW
from controller.policy.serving import read_version
from controller.remediation import ActionReason, Intent
from tests.integration.cluster.conftest import end, ensure, eventually
from tests.integration.cluster.serving import BY_DEPLOYMENT, SERVING, Served, deployment, order, rollout, template

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]


@pytest.fixture
def served(kube, namespace):
    """A Rollout that serves v5."""
    return Served(kube, namespace, rollout())


@pytest.fixture
def deployed(kube, namespace):
    """A Deployment that serves v5."""
    return Served(kube, namespace, deployment(), "Deployment")


def again(mine: Intent, written) -> Intent:
    """The intent as the next process reads it."""
    told = {key: mine.end_state[key] for key in ("stdin", "model", "traceparent")}
    return replace(mine, end_state={**written.last, **told}, resource_version=written[-1][1])


def untouched(served, before):
    """Whether the object is as somebody else left it: none of our marks, and its spec and canary as they were."""
    after = served.read()
    marks = [key for key in after["metadata"].get("annotations") or {} if key.startswith("modelmend.io/")]
    moved = [after["status"].get(key) for key in ("abort", "promoteFull")]
    return not marks and not any(moved) and spec_digest(after) == spec_digest(before)


# ── abort ──────────────────────────────────────────────────────────────────────────────────────────


def test_a_canary_is_aborted_once(kube, namespace, served, written):
    """The canary that the event was about is aborted, by its status alone; what was resolved is written before."""
    before = served.canary("v6")
    mine = order(namespace, "abort", about="v6")
    ended = ensure(kube, mine, written)
    revision = before["status"]["currentPodHash"]
    assert ended == Outcome(
        "done", f"Rollout {namespace}/salary: canary v6 aborted", {"revision": revision, "aborted": "v6"}
    )
    after = served.read()
    assert after["status"]["abort"] is True
    assert after["spec"] == before["spec"]
    end_state, version = written[-1]
    assert version
    assert end_state.keys() == {"do", "promote", "to", "about", "serving", "gitops", "timeout", "resolved"}
    assert end_state["resolved"] == {
        "uid": before["metadata"]["uid"],
        "version": "v6",
        "key": mine.key,
        "template": end_state["resolved"]["template"],
        "revision": revision,
        "stable": before["status"]["stableRS"],
        "step": 1,
        "pauses": [before["status"]["pauseConditions"][0]["startTime"]],
    }
    count = len(written)
    assert ensure(kube, again(mine, written), written, inherited=True).state == "done"
    assert len(written) == count


def test_an_abort_that_somebody_undid_is_not_made_again(kube, namespace, served, written):
    """After a retry by a person, the next process finds its abort undone and leaves the canary alone."""
    served.canary("v6")
    mine = order(namespace, "abort", about="v6")
    ensure(kube, mine, written)
    served.until(lambda obj: obj["status"].get("currentStepIndex") == 0)
    served.retry()
    at_pause = served.paused()
    count = len(written)
    left = ensure(kube, again(mine, written), written, inherited=True)
    assert (left.state, left.reason) == ("unknown", ActionReason.REVERTED)
    assert not served.status.get("abort")
    assert spec_digest(served.read()) == spec_digest(at_pause)
    assert len(written) == count


def test_an_abort_that_never_arrived_is_made_by_the_next_process(kube, namespace, served, written):
    """Written down and cut off before the patch, it is patched by the next process, though the pods moved meanwhile."""
    served.canary("v6")
    mine = order(namespace, "abort", about="v6")

    def dies(end_state, version):
        written(end_state, version)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ensure(kube, mine, dies)
    assert not served.status.get("abort")
    served.set({"spec": {"replicas": 3}})
    served.until(lambda obj: obj["status"].get("observedGeneration") == str(obj["metadata"]["generation"]))
    assert ensure(kube, again(mine, written), written, inherited=True).state == "done"
    assert served.status["abort"] is True


def test_an_event_about_another_version_does_not_touch_the_canary(kube, namespace, served):
    """A canary that came since, or whose version cannot be told, is left alone."""
    at_pause = served.canary("v6")
    without = {**SERVING, "version": None}
    for mine in (
        order(namespace, "abort", about="v5"),
        order(namespace, "abort", about="v6", serving=without),
        order(namespace, "promote", about="v7"),
        order(namespace, "pause", about="v5"),
        order(namespace, "restart", about="v5"),
        order(namespace, "to", to="v4", about="v5"),
    ):
        left = ensure(kube, mine)
        assert (left.state, left.reason) == ("failed", ActionReason.OTHER_REVISION)
    assert untouched(served, at_pause)


def test_without_a_canary_there_is_nothing_to_abort(kube, namespace, served):
    """Nothing known to be wrong serves: done. What the event was about serves everything: that cannot be aborted."""
    assert ensure(kube, order(namespace, "abort")).state == "done"
    assert ensure(kube, order(namespace, "abort", about="v6")).state == "done"
    late = ensure(kube, order(namespace, "abort", about="v5"))
    assert (late.state, late.reason) == ("failed", ActionReason.NO_CANARY)
    unknown = ensure(kube, order(namespace, "abort", about="v5", serving={**SERVING, "version": None}))
    assert unknown.reason == ActionReason.OTHER_REVISION


def test_a_canary_is_known_by_its_revision_too(kube, namespace, served):
    """An event may name the pod template's hash instead of a version, and an aborted canary stays so."""
    at_pause = served.canary("v6")
    revision = at_pause["status"]["currentPodHash"]
    mine = order(namespace, "abort", about=revision, serving={**SERVING, "version": None})
    assert ensure(kube, mine).message == f"Rollout {namespace}/salary: canary {revision} aborted"
    assert ensure(kube, order(namespace, "abort", about="v6")).state == "done"
    assert served.status["abort"] is True


# ── promote ────────────────────────────────────────────────────────────────────────────────────────


def test_a_canary_is_promoted_past_its_pause(kube, namespace, served, written):
    """The next step is a number, resolved once: promoted again by the next process, it goes no further."""
    served.canary("v6")
    mine = order(namespace, "promote", about="v6")
    assert ensure(kube, mine, written).outputs["version"] == "v6"
    assert written.last["resolved"]["to_step"] == 2
    served.paused(3)
    assert ensure(kube, again(mine, written), written, inherited=True).state == "done"
    assert served.status["currentStepIndex"] == 3


def test_a_canary_is_promoted_in_full(kube, namespace, served, written):
    """Through all steps and pauses; once it serves everything, there is nothing left to promote."""
    served.canary("v6")
    mine = order(namespace, "promote", about="v6", promote="full")
    assert ensure(kube, mine, written).message == f"Rollout {namespace}/salary: canary v6 promoted in full"
    served.until(served._serves)
    assert ensure(kube, again(mine, written), written, inherited=True).state == "done"
    late = ensure(kube, order(namespace, "promote", about="v6"))
    assert (late.state, late.outputs["version"]) == ("done", "v6")


def test_what_was_aborted_or_paused_by_hand_is_not_promoted(kube, namespace, served):
    """An aborted canary stays aborted, and a person's pause stands."""
    served.canary("v6")
    served.set({"spec": {"paused": True}})
    served.until(lambda obj: obj["status"].get("observedGeneration") == str(obj["metadata"]["generation"]))
    assert ensure(kube, order(namespace, "promote")).reason == ActionReason.PAUSED
    served.set({"spec": {"paused": None}})
    served.abort()
    served.until(lambda obj: obj["status"].get("observedGeneration") == str(obj["metadata"]["generation"]))
    assert ensure(kube, order(namespace, "promote")).reason == ActionReason.NO_CANARY
    assert served.status["abort"] is True


def test_of_a_preview_all_is_promoted_or_aborted(kube, namespace, monkeypatch):
    """A blue-green Rollout has no steps, so no next one; in full it is promoted, and it can be aborted."""
    monkeypatch.setattr("controller.actions.rollout.NOTICED", 0.0)
    body = rollout("v6", labels={"argo-rollouts.argoproj.io/controller-instance-id": "another"})
    body["spec"]["strategy"] = {"blueGreen": {"activeService": "salary", "autoPromotionEnabled": False}}
    kube.create(ROLLOUT, namespace, body)
    status = {"currentPodHash": "new", "stableRS": "old", "observedGeneration": "1"}
    kube.patch(ROLLOUT, namespace, "salary", {"status": status}, subresource="status")
    next_one = ensure(kube, order(namespace, "promote", about="v6"))
    assert (next_one.state, next_one.reason) == ("failed", ActionReason.NOT_SUPPORTED)
    assert ensure(kube, order(namespace, "promote", about="v6", promote="full")).state == "done"
    assert kube.get(ROLLOUT, namespace, "salary")["status"]["promoteFull"] is True
    assert ensure(kube, order(namespace, "abort", about="v6")).state == "done"
    assert kube.get(ROLLOUT, namespace, "salary")["status"]["abort"] is True


# ── pause, restart, to ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", ["Rollout", "Deployment"])
def test_it_is_paused_once(kube, namespace, written, kind):
    """Paused by its spec; undone by a person, it is not paused again."""
    serving = {**SERVING, "kind": kind}
    served = Served(kube, namespace, (rollout if kind == "Rollout" else deployment)(), kind)
    mine = order(namespace, "pause", about="v5", serving=serving)
    assert ensure(kube, mine, written).state == "done"
    assert served.read()["spec"]["paused"] is True
    assert ensure(kube, order(namespace, "pause", serving=serving)).message.endswith("paused already")
    served.set({"spec": {"paused": None}})
    left = ensure(kube, again(mine, written), written, inherited=True)
    assert (left.state, left.reason) == ("unknown", ActionReason.REVERTED)
    assert not served.read()["spec"].get("paused")


@pytest.mark.parametrize("kind", ["Rollout", "Deployment"])
def test_its_pods_are_restarted_once(kube, namespace, written, kind):
    """The moment is resolved once, so a second attempt restarts nothing."""
    serving = {**SERVING, "kind": kind}
    served = Served(kube, namespace, (rollout if kind == "Rollout" else deployment)(), kind)
    mine = order(namespace, "restart", about="v5", serving=serving)
    ended = ensure(kube, mine, written)
    assert ended.outputs == {"restartedAt": written.last["resolved"]["at"]}
    restarting = spec_digest(served.read())
    assert ensure(kube, again(mine, written), written, inherited=True).state == "done"
    assert spec_digest(served.read()) == restarting


@pytest.mark.parametrize("kind", ["Rollout", "Deployment"])
def test_it_is_set_to_a_version(kube, namespace, written, kind):
    """The template carries the version, and nothing else has changed; set before, it is done at once."""
    serving = {**SERVING, "kind": kind}
    served = Served(kube, namespace, (rollout if kind == "Rollout" else deployment)(), kind)
    before = served.read()
    mine = order(namespace, "to", to="v4", about="v5", serving=serving)
    ended = ensure(kube, mine, written)
    assert ended == Outcome("done", f"{kind} {namespace}/salary: set to version v4, before v5", {"version": "v4"})
    after = served.read()
    assert read_version(serving, after) == "v4"
    after["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"] = "v5"
    assert after["spec"] == before["spec"]
    assert ensure(kube, order(namespace, "to", to="v4", about="v5", serving=serving)).message.endswith("v4 already")
    served.deploy("v7")
    left = ensure(kube, again(mine, written), written, inherited=True)
    assert (left.state, left.reason) == ("unknown", ActionReason.REVERTED)
    assert read_version(serving, served.read()) == "v7"


def test_a_version_that_never_arrived_is_set_by_the_next_process(kube, namespace, deployed, written):
    """Cut off before the patch, it is set by the next process: scaling meanwhile is no change of the spec."""
    mine = order(namespace, "to", to="v4", serving=BY_DEPLOYMENT)

    def dies(end_state, version):
        written(end_state, version)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ensure(kube, mine, dies)
    deployed.set({"spec": {"replicas": 1}})
    assert ensure(kube, again(mine, written), written, inherited=True).state == "done"
    assert read_version(BY_DEPLOYMENT, deployed.read()) == "v4"


def test_set_back_by_a_person_it_stays_so(kube, namespace, deployed, written):
    """Restored to exactly what it was before, it is told from a patch that never arrived."""
    mine = order(namespace, "to", to="v4", serving=BY_DEPLOYMENT)
    ensure(kube, mine, written)
    deployed.deploy("v5")
    left = ensure(kube, again(mine, written), written, inherited=True)
    assert (left.state, left.reason) == ("unknown", ActionReason.REVERTED)
    assert read_version(BY_DEPLOYMENT, deployed.read()) == "v5"


def test_a_deployment_has_no_canary(kube, namespace, deployed):
    """Aborting and promoting are not supported there."""
    for do in ("abort", "promote"):
        left = ensure(kube, order(namespace, do, serving=BY_DEPLOYMENT))
        assert (left.state, left.reason) == ("failed", ActionReason.NOT_SUPPORTED)


# ── others at the same object ──────────────────────────────────────────────────────────────────────


def test_a_change_between_reading_and_patching_is_seen(kube, namespace, served, written):
    """Scaled between, it is patched at its new version; given another version between, it is left alone."""

    def meddle(change):
        def write(end_state, version):
            written(end_state, version)
            if len(written) == 1:
                change()

        return write

    scaled = ensure(kube, order(namespace, "pause"), meddle(lambda: served.set({"spec": {"replicas": 1}})))
    assert scaled.state == "done"
    assert written[0][1] != written[-1][1]
    assert served.read()["spec"]["paused"] is True
    written.clear()
    served.set({"spec": {"paused": None}})
    left = ensure(kube, order(namespace, "to", to="v4"), meddle(lambda: served.deploy("v7")))
    assert (left.state, left.reason) == ("unknown", ActionReason.REVERTED)
    assert read_version(SERVING, served.read()) == "v7"
    written.clear()
    served.paused()
    left = ensure(kube, order(namespace, "abort", about="v7"), meddle(lambda: served.deploy("v8")))
    assert (left.state, left.reason) == ("unknown", ActionReason.REVERTED)
    assert not served.status.get("abort")


def test_what_changes_all_the_time_is_tried_later(kube, namespace, served):
    """After some attempts that all met a newer version it gives way, to be called again."""
    numbers = iter(range(100))

    def write(end_state, version):
        served.set({"metadata": {"annotations": {"touched": str(next(numbers))}}})

    with pytest.raises(TemporaryError, match="changes all the time"):
        ensure(kube, order(namespace, "pause"), write)
    assert not served.read()["spec"].get("paused")


@pytest.fixture
def unattended(kube, namespace):
    """A Rollout that no controller here looks after; its status says what the test wrote."""
    body = rollout("v6", labels={"argo-rollouts.argoproj.io/controller-instance-id": "another"})
    kube.create(ROLLOUT, namespace, body)
    pause = {"reason": "CanaryPauseStep", "startTime": "2025-01-23T12:00:00Z"}
    status = {"currentPodHash": "new", "stableRS": "old", "currentStepIndex": 1, "pauseConditions": [pause]}
    status |= {"observedGeneration": "1", "controllerPause": True}
    kube.patch(ROLLOUT, namespace, "salary", {"status": status}, subresource="status")
    return lambda: kube.get(ROLLOUT, namespace, "salary")


def nudges(obj) -> str | None:
    return (obj["metadata"].get("annotations") or {}).get("modelmend.io/nudged")


def test_a_stale_status_is_not_trusted(kube, namespace, unattended):
    """Before its controller has seen the newest spec, nobody can say which revision an abort would meet."""
    kube.patch(ROLLOUT, namespace, "salary", {"spec": {"template": template("v7")}})
    with pytest.raises(TemporaryError, match="has not seen its newest spec"):
        ensure(kube, order(namespace, "abort"))
    assert "abort" not in unattended()["status"]
    assert nudges(unattended())


def test_a_controller_that_overlooks_a_change_is_nudged(kube, namespace, unattended, monkeypatch):
    """Argo Rollouts may overlook what changes while it writes itself: until it has noticed, it is touched again."""
    monkeypatch.setattr("controller.actions.rollout.NUDGED", 0.5)
    with ThreadPoolExecutor(1) as pool:
        ending = pool.submit(ensure, kube, order(namespace, "abort", about="v6"))
        first = eventually(lambda: nudges(unattended()))
        eventually(lambda: nudges(unattended()) != first)
        assert not ending.done()
        kube.patch(
            ROLLOUT, namespace, "salary", {"status": {"abortedAt": "2025-01-23T12:00:01Z"}}, subresource="status"
        )
        assert ending.result().state == "done"


def test_what_nobody_notices_is_done_all_the_same(kube, namespace, unattended, monkeypatch):
    """A controller that is away will find the change when it is back."""
    monkeypatch.setattr("controller.actions.rollout.NOTICED", 1.0)
    assert ensure(kube, order(namespace, "promote", about="v6")).state == "done"
    assert unattended()["status"]["currentStepIndex"] == 2


def test_what_is_undone_before_it_was_noticed_is_left_alone(kube, namespace, unattended):
    """Somebody who takes the change back at once has the last word."""
    with ThreadPoolExecutor(1) as pool:
        ending = pool.submit(ensure, kube, order(namespace, "abort", about="v6"))
        eventually(lambda: unattended()["status"].get("abort"))
        kube.patch(ROLLOUT, namespace, "salary", {"status": {"abort": False}}, subresource="status")
        left = ending.result()
    assert (left.state, left.reason) == ("unknown", ActionReason.REVERTED)
    assert unattended()["status"]["abort"] is False


def test_a_write_that_fails_leaves_the_object_alone(kube, namespace, served):
    """Nothing is patched that is not on record."""

    def fails(end_state, version):
        raise Conflict("another process leads")

    before = served.read()
    with pytest.raises(TemporaryError):
        ensure(kube, order(namespace, "pause"), fails)
    assert untouched(served, before)


def test_what_is_missing_is_named(kube, namespace):
    """No object, none named, no place for a version: each has its reason."""
    assert ensure(kube, order(namespace, "pause")) == Outcome(
        "failed", f"there is no Rollout {namespace}/salary", reason=ActionReason.NOT_FOUND
    )
    assert ensure(kube, order(namespace, "pause", serving=None)).reason == ActionReason.NO_SERVING
    Served(kube, namespace, rollout(replicas=0))
    nowhere = {**SERVING, "version": {"in": "image", "name": "reg/salary:{version}", "container": "other"}}
    for serving in ({**SERVING, "version": None}, nowhere):
        left = ensure(kube, order(namespace, "to", to="v4", serving=serving))
        assert (left.state, left.reason) == ("failed", ActionReason.NO_SERVING)


def test_a_deleted_object_is_lost(kube, namespace, served, written):
    """Gone after the intent was written, nobody can say what became of it."""
    ensure(kube, mine := order(namespace, "pause"), written)
    kube.delete(ROLLOUT, namespace, "salary")
    lost = ensure(kube, again(mine, written), written, inherited=True)
    assert (lost.state, lost.reason) == ("unknown", ActionReason.OBJECT_LOST)


def test_missing_rights_are_named(kube, namespace, served, as_account):
    """Reading alone aborts nothing, and the message says which right is missing."""
    served.canary("v6")
    reader = as_account("reader", [("argoproj.io", "rollouts", ["get"])])
    for mine, words in (
        (order(namespace, "abort"), 'cannot patch resource "rollouts/status"'),
        (order(namespace, "pause"), 'cannot patch resource "rollouts"'),
    ):
        refused = ensure(reader, mine)
        assert (refused.state, refused.reason) == ("failed", ActionReason.FORBIDDEN)
        assert words in refused.message
    assert not served.status.get("abort")


def test_halting_undoes_nothing(kube, namespace, served, written):
    """A patch is made at once: halted before it, it was never begun; after it, it is told as done."""
    served.canary("v6")
    mine = order(namespace, "abort", about="v6")
    assert actions.halt(kube, mine) == Outcome("stopped", "never begun")
    ensure(kube, mine, written)
    halted = actions.halt(kube, again(mine, written))
    assert halted.state == "stopped"
    assert "canary v6 aborted" in halted.message
    served.retry()
    served.until(lambda obj: not obj["status"].get("abort"))
    assert actions.halt(kube, again(mine, written)).state == "stopped"
    assert not served.status.get("abort")


# ── Git decides ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("where", "mark"),
    [
        ("annotations", "argocd.argoproj.io/tracking-id"),
        ("labels", "argocd.argoproj.io/instance"),
        ("labels", "kustomize.toolkit.fluxcd.io/name"),
        ("labels", "helm.toolkit.fluxcd.io/name"),
    ],
)
def test_what_git_decides_is_refused_before_it_is_tried(kube, namespace, where, mark):
    """A change of its spec is refused, unless the Model says that Git is ignored; its status may be changed."""
    served = Served(
        kube, namespace, rollout(replicas=1, steps=[{"setWeight": 1}, {"pause": {}}], **{where: {mark: "x"}})
    )
    before = served.read()
    for mine in (order(namespace, "pause"), order(namespace, "restart"), order(namespace, "to", to="v4")):
        refused = ensure(kube, mine)
        assert (refused.state, refused.reason) == ("failed", ActionReason.TARGET_MANAGED)
    assert untouched(served, before)
    served.canary("v6")
    assert ensure(kube, order(namespace, "abort")).state == "done"
    assert ensure(kube, order(namespace, "to", to="v5", gitops="ignored")).state == "done"
    assert read_version(SERVING, served.read()) == "v5"


def test_helms_own_label_is_no_mark(kube, namespace):
    """`app.kubernetes.io/instance` alone says nothing of who changes the object next."""
    Served(kube, namespace, rollout(replicas=0, labels={"app.kubernetes.io/instance": "x"}))
    assert ensure(kube, order(namespace, "pause")).state == "done"


GITOPS = {"template": "git-set-version", "parameters": {"repository": "https://git/r", "version": "not this"}}


def test_git_is_asked_for_the_version(kube, namespace, served, written, write_template):
    """A Workflow is given all it needs to commit; done is when the object carries the version, not when it ended."""
    write_template("git-set-version", {"suspend": {"duration": "1s"}})
    mine = order(namespace, "to", to="v4", about="v5", gitops=GITOPS)
    before = served.read()
    ref = ensure(kube, mine, written)
    assert ensure(kube, again(mine, written), written, inherited=True) == ref
    (made,) = kube.list(WORKFLOW, namespace)[0]
    assert {each["name"]: each["value"] for each in made["spec"]["arguments"]["parameters"]} == {
        "repository": "https://git/r",
        "kind": "Rollout",
        "name": "salary",
        "namespace": namespace,
        "version": "v4",
        "remediation": mine.remediation_id,
        "branch": f"modelmend/{mine.remediation_id}",
    }
    mine = again(mine, written)
    following = eventually(lambda: actions.observe(mine, ref, kube.get(WORKFLOW, namespace, mine.key)))
    assert following == {"kind": "Rollout", "namespace": namespace, "name": "salary", "uid": ""}
    assert untouched(served, before)
    assert actions.observe(mine, following, served.read()) is None
    halted = actions.halt(kube, replace(mine, ref=following))
    assert halted.state == "unknown"
    served.deploy("v4")
    ended = end(kube, mine, following)
    assert (ended.state, ended.outputs) == ("done", {"version": "v4"})
    assert actions.halt(kube, replace(mine, ref=following)).state == "stopped"


def test_a_commit_that_fails_or_is_stopped_is_no_change(kube, namespace, served, written, write_template):
    """A failed Workflow fails the action, a halted one is seen to stop; a missing template is named."""
    missing = order(namespace, "to", to="v4", gitops={**GITOPS, "template": "missing"})
    ref = ensure(kube, missing, written)
    assert end(kube, again(missing, written), ref).reason == ActionReason.NOT_FOUND
    write_template("git-set-version", {"suspend": {}})
    mine = order(namespace, "to", to="v4", gitops=GITOPS)
    ref = ensure(kube, mine, written)
    mine = replace(again(mine, written), ref=ref)
    assert actions.halt(kube, mine) is None
    assert end(kube, mine, ref).state == "stopped"
    assert read_version(SERVING, served.read()) == "v5"


def test_what_the_model_has_set_by_git_is_not_paused(kube, namespace, served):
    """Where the Model names a way through Git, that knows versions only."""
    for do in ("pause", "restart"):
        assert ensure(kube, order(namespace, do, gitops=GITOPS)).reason == ActionReason.TARGET_MANAGED
    assert kube.get(DEPLOYMENT, namespace, "salary") is None
