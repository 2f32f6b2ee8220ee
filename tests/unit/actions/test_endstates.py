"""End states compare objects, whatever their controllers rewrite."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from controller.actions.endstates import Abort, Pause, Promote, Restart, Version, spec_digest, template_digest, written

SERVING = {"kind": "Rollout", "name": "salary", "version": {"in": "env", "name": "VERSION", "container": None}}


def rollout(**status: Any) -> dict[str, Any]:
    container = {"name": "main", "env": [{"name": "VERSION", "value": "v6"}]}
    steps = [{"setWeight": 50}, {"pause": {}}, {"setWeight": 75}, {"pause": {}}]
    template = {"metadata": {"labels": {"app": "salary"}}, "spec": {"containers": [container]}}
    said = {"currentPodHash": "new", "stableRS": "old", "currentStepIndex": 1}
    pause = {"pauseConditions": [{"reason": "CanaryPauseStep", "startTime": "t1"}], "controllerPause": True}
    return {
        "kind": "Rollout",
        "metadata": {"uid": "1", "namespace": "ml", "name": "salary"},
        "spec": {"replicas": 2, "template": template, "strategy": {"canary": {"steps": steps}}},
        "status": said | pause | status,
    }


def test_what_argo_rewrites_is_no_change() -> None:
    """It puts a spec back in its own words soon after a push: empty fields come and go, quantities are shortened."""
    pushed = rollout()
    pushed["spec"]["template"]["spec"]["containers"][0]["resources"] = {"limits": {"memory": "1024Mi"}}
    pushed["spec"]["paused"] = False
    rewritten = rollout()
    rewritten["spec"]["template"]["metadata"]["creationTimestamp"] = None
    rewritten["spec"]["template"]["spec"]["containers"][0]["resources"] = {"limits": {"memory": "1Gi"}}
    assert spec_digest(pushed) == spec_digest(rewritten)
    assert template_digest(pushed) == template_digest(rewritten)


def test_scaling_is_no_change_and_anything_else_is() -> None:
    """An autoscaler may work beside us; a version, a pause or a step is a change."""
    before = rollout()
    scaled = rollout()
    scaled["spec"]["replicas"] = 9
    assert spec_digest(scaled) == spec_digest(before)
    other = rollout()
    other["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"] = "v7"
    assert template_digest(other) != template_digest(before)
    for change in ({"paused": True}, {"strategy": {"canary": {}}}, {"restartAt": "2025-01-23T12:00:00Z"}):
        changed = rollout()
        changed["spec"] |= change
        assert spec_digest(changed) != spec_digest(before)
        assert template_digest(changed) == template_digest(before)


def abort(obj: dict[str, Any]) -> Abort:
    return Abort("1", "v6", "r-abc-0-1", template_digest(obj), "new", "old", 1, ["t1"])


def promote(obj: dict[str, Any], to_step: int | None) -> Promote:
    return Promote("1", "v6", "r-abc-0-1", template_digest(obj), "new", "old", 1, ["t1"], to_step)


LATER = {"pauseConditions": [{"startTime": "t2"}]}
NO_PAUSE: dict[str, Any] = {"pauseConditions": None, "controllerPause": False}


@pytest.mark.parametrize(
    ("status", "reached", "fresh", "tried"),
    [
        ({}, False, True, True),
        ({"abort": True, "currentStepIndex": 0}, True, False, False),
        ({"currentStepIndex": 2, **NO_PAUSE}, False, True, True),  # it went on by itself
        ({"currentStepIndex": 0, **NO_PAUSE}, False, True, False),  # begun anew: somebody tried it again
        (LATER, False, True, False),  # begun anew, and at the same pause again
        ({"currentPodHash": "newer"}, False, False, False),
        ({"currentPodHash": "newer", "abort": True}, False, False, False),
        ({"currentPodHash": "old"}, True, False, False),  # restored: nothing of the canary is left
        ({"stableRS": "new"}, False, False, False),  # promoted by somebody
    ],
)
def test_where_an_abort_stands(status: dict[str, Any], *, reached: bool, fresh: bool, tried: bool) -> None:
    """In its end state; or as it was, so that it may be patched: at first, and after a patch that may have arrived."""
    wanted, obj = abort(rollout()), rollout(**status)
    assert wanted.reached(obj) is reached
    if not reached:
        assert (wanted.untouched(obj, tried=False), wanted.untouched(obj, tried=True)) == (fresh, tried)


@pytest.mark.parametrize(
    ("to_step", "status", "reached", "fresh", "tried"),
    [
        (2, {}, False, True, True),
        (2, {"currentStepIndex": 2, **NO_PAUSE}, True, False, False),
        (2, {"currentStepIndex": 3, **LATER}, True, False, False),
        (2, {"stableRS": "new"}, True, False, False),
        (2, LATER, False, True, False),
        (2, {"currentStepIndex": 0, **NO_PAUSE}, False, False, False),
        (2, {"abort": True}, False, False, False),
        (2, {"abort": True, "currentStepIndex": 2}, False, False, False),
        (2, {"currentPodHash": "newer", "currentStepIndex": 3}, False, False, False),
        (None, {}, False, True, True),
        (None, {"promoteFull": True}, True, False, False),
        (None, {"stableRS": "new"}, True, False, False),
        (None, {"currentStepIndex": 3, **LATER}, False, True, True),
        (None, {"currentStepIndex": 0, **NO_PAUSE}, False, False, False),
    ],
)
def test_where_a_promotion_stands(
    to_step: int | None, status: dict[str, Any], *, reached: bool, fresh: bool, tried: bool
) -> None:
    """Past its step or promoted; or at the step that it was at; all else is somebody's."""
    wanted, obj = promote(rollout(), to_step), rollout(**status)
    assert wanted.reached(obj) is reached
    if not reached:
        assert (wanted.untouched(obj, tried=False), wanted.untouched(obj, tried=True)) == (fresh, tried)


def test_a_new_template_is_seen_before_the_status_tells() -> None:
    """A push in between is a change, though the status still speaks of the revision before."""
    wanted, pushed = abort(rollout()), rollout()
    pushed["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"] = "v7"
    assert not wanted.untouched(pushed, tried=False)


@pytest.mark.parametrize(
    ("status", "noticed"),
    [
        ({"abort": True}, False),
        ({"abort": True, "abortedAt": "t"}, True),
        ({"currentPodHash": "old"}, True),
    ],
)
def test_when_an_abort_was_noticed(status: dict[str, Any], *, noticed: bool) -> None:
    """Its controller writes when it aborted."""
    assert abort(rollout()).noticed(rollout(**status)) is noticed


@pytest.mark.parametrize(
    ("to_step", "status", "noticed"),
    [
        (2, {"currentStepIndex": 2, "pauseConditions": None}, False),
        (2, {"currentStepIndex": 2, **NO_PAUSE}, True),
        (2, {"currentStepIndex": 3, **LATER}, True),
        (2, {"stableRS": "new"}, True),
        (None, {"promoteFull": True}, False),
        (None, {"promoteFull": True, **NO_PAUSE}, True),
    ],
)
def test_when_a_promotion_was_noticed(to_step: int | None, status: dict[str, Any], *, noticed: bool) -> None:
    """Its controller lets go of the pause."""
    assert promote(rollout(), to_step).noticed(rollout(**status)) is noticed


def test_an_end_state_is_read_back_as_it_was_written() -> None:
    """Through JSON and back, each is the same."""
    obj = rollout()
    common = ("1", "v5", "r-abc-0-1", spec_digest(obj))
    for wanted in (
        abort(obj),
        promote(obj, 2),
        promote(obj, None),
        Pause(*common),
        Restart(*common, "2025-01-23T12:00:00Z"),
        Version(*common, "v4", SERVING),
    ):
        before = deepcopy(obj)
        assert written(wanted.do, wanted.plain()) == wanted
        assert wanted.patch(obj)
        assert obj == before


def test_a_patch_that_arrived_leaves_its_mark() -> None:
    """A spec that is as it was, with the mark of our patch: somebody has undone it."""
    obj = rollout()
    wanted = Pause("1", "v6", "r-abc-0-1", spec_digest(obj))
    assert wanted.untouched(obj, tried=True)
    obj["metadata"]["annotations"] = wanted.patch(obj)["metadata"]["annotations"]
    assert not wanted.untouched(obj, tried=True)
    obj["metadata"]["annotations"] = {"modelmend.io/intent": "r-other-0-1"}
    assert wanted.untouched(obj, tried=True)


def test_a_later_restart_is_as_good() -> None:
    """Restarted by somebody since: the pods are as new as was wanted."""
    obj = rollout()
    wanted = Restart("1", "v6", "r-abc-0-1", spec_digest(obj), "2025-01-23T12:00:00Z")
    for moment, reached in (("2025-01-23T11:59:59Z", False), ("2025-01-23T13:00:00+01:00", True)):
        obj["spec"]["restartAt"] = moment
        assert wanted.reached(obj) is reached
