"""What objects in a cluster show of an action's end, read from their JSON alone."""

from __future__ import annotations

from typing import Any

import pytest

from controller import actions
from controller.actions import Outcome, made
from controller.actions.outcome import MAX_OUTPUTS
from controller.remediation import ActionReason, Intent

REF = {"kind": "Workflow", "namespace": "ml", "name": "r-abc-0-1", "uid": "1"}


def intent(kind: str = "workflow", **end_state: Any) -> Intent:
    return Intent(1, "r-abc", 0, 1, kind, "r-abc-0-1", {"model": "ml/salary", **end_state})


def made_by(key: str = "r-abc-0-1", **annotations: str) -> dict[str, Any]:
    return {"namespace": "ml", "name": "r-abc-0-1", "uid": "1", "annotations": {made.INTENT: key, **annotations}}


def workflow(status: dict[str, Any] | None = None, spec: dict[str, Any] | None = None, **meta: Any) -> dict[str, Any]:
    return {"metadata": made_by() | meta, "spec": spec or {}, "status": status or {}}


def parameters(**values: Any) -> dict[str, Any]:
    return {"parameters": [{"name": name.replace("_", "-"), "value": value} for name, value in values.items()]}


def pod(name: str, phase: str, finished: str | None, message: str = "", **more: Any) -> dict[str, Any]:
    found = {"type": "Pod", "displayName": name, "phase": phase, "message": message, **more}
    return found | ({"finishedAt": finished} if finished else {})


@pytest.mark.parametrize("phase", [None, "", "Pending", "Running", "Unknown"])
@pytest.mark.parametrize("meta", [{}, {"deletionTimestamp": "2025-01-23T12:00:00Z"}])
def test_a_workflow_goes_on_until_it_says_that_it_ended(phase: str | None, meta: dict[str, Any]) -> None:
    """No phase, no end; what is being deleted is not gone yet."""
    assert actions.observe(intent(), REF, workflow({"phase": phase} if phase is not None else {}, **meta)) is None


def test_what_is_gone_is_lost() -> None:
    """An object that is not there any more tells nothing of how far it came."""
    for kind in ("workflow", "job"):
        lost = actions.observe(intent(kind), REF, None)
        assert isinstance(lost, Outcome)
        assert (lost.state, lost.reason) == ("unknown", ActionReason.OBJECT_LOST)


def test_what_another_made_is_not_observed() -> None:
    """A name alone is no proof: an ended object that another made ends nothing of ours."""
    theirs = workflow({"phase": "Succeeded"}) | {"metadata": made_by("r-other-0-1")}
    assert actions.observe(intent(), REF | {"uid": ""}, theirs) is None
    theirs["metadata"]["annotations"] = None
    assert actions.observe(intent("job"), REF | {"uid": ""}, theirs) is None


def test_outputs_are_global_parameters() -> None:
    """They are read where they stand even when the nodes do not; the two that we know are found by their names."""
    status = {"phase": "Succeeded", "outputs": parameters(model_version="v6", verdict="promoted", f1="0.9")}
    assert actions.observe(intent(), REF, workflow(status)) == Outcome(
        "done", "Workflow succeeded", {"version": "v6", "verdict": "promoted", "f1": "0.9"}
    )
    named = intent(outputs={"version": "f1", "verdict": "none"})
    ended = actions.observe(named, REF, workflow(status))
    assert isinstance(ended, Outcome)
    assert ended.outputs == {"version": "0.9", "model-version": "v6", "verdict": "promoted"}


def test_an_output_without_a_value_is_none() -> None:
    """A parameter that was never set is not an output, and numbers come as text."""
    outputs = {"parameters": [{"name": "model-version"}, {"name": "verdict", "value": None}, {"name": "n", "value": 5}]}
    ended = actions.observe(intent(), REF, workflow({"phase": "Succeeded", "outputs": outputs}))
    assert ended == Outcome("done", "Workflow succeeded", {"n": "5"})


def test_outputs_are_bounded() -> None:
    """What does not fit is left out and named; the version always comes first."""
    outputs = parameters(report="x" * MAX_OUTPUTS, log="y" * 100, model_version="v6")
    ended = actions.observe(intent(), REF, workflow({"phase": "Succeeded", "outputs": outputs}))
    assert ended == Outcome(
        "done",
        "Workflow succeeded; outputs left out, too long: report",
        {"version": "v6", "log": "y" * 100},
    )


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_a_refused_candidate_is_refused_however_the_workflow_ended(phase: str) -> None:
    """The verdict counts, and its own message."""
    outputs = parameters(verdict="refused", message="no better")
    ended = actions.observe(intent(), REF, workflow({"phase": phase, "message": "exit code 1", "outputs": outputs}))
    assert isinstance(ended, Outcome)
    assert (ended.state, ended.reason, ended.message) == ("failed", ActionReason.CANDIDATE_REFUSED, "no better")
    silent = workflow({"phase": "Succeeded", "outputs": parameters(verdict="refused")})
    ended = actions.observe(intent(), REF, silent)
    assert isinstance(ended, Outcome)
    assert ended.message == "the candidate was refused"


def test_the_first_pod_that_failed_is_named() -> None:
    """Not one that a retry made good, nor one that was ended because of the first."""
    nodes = {
        "a": pod("fetch(0)", "Failed", "2025-01-23T12:00:00Z", "flaky"),
        "r": {"type": "Retry", "phase": "Succeeded", "children": ["a", "b"]},
        "b": pod("fetch(1)", "Succeeded", "2025-01-23T12:00:10Z"),
        "c": pod("never", "Error", None, "was ended"),
        "d": pod("train", "Failed", "2025-01-23T12:01:00Z", "OOMKilled (exit code 137)"),
        "e": pod("evaluate", "Failed", "2025-01-23T12:02:00Z", "later"),
        "s": {"type": "Steps", "phase": "Failed", "message": "child failed"},
    }
    ended = actions.observe(intent(), REF, workflow({"phase": "Failed", "message": "child 'd' failed", "nodes": nodes}))
    message = "child 'd' failed: train: OOMKilled (exit code 137)"
    assert ended == Outcome("failed", message, reason=ActionReason.WORKFLOW_FAILED)


@pytest.mark.parametrize("nodes", [{}, {"compressedNodes": "H4sI"}, {"offloadNodeStatusVersion": "fnv:1"}])
def test_a_failure_without_nodes_has_the_workflows_words(nodes: dict[str, Any]) -> None:
    """Nodes that are compressed or kept elsewhere break nothing."""
    ended = actions.observe(intent(), REF, workflow({"phase": "Error", "message": "no such image", **nodes}))
    assert ended == Outcome("failed", "no such image", reason=ActionReason.WORKFLOW_FAILED)
    bare = actions.observe(intent(), REF, workflow({"phase": "Failed", **nodes}))
    assert isinstance(bare, Outcome)
    assert bare.message == "Workflow ended Failed"


def test_only_our_own_order_makes_a_stop() -> None:
    """Stopped by us: stopped. By others: failed. Stopped too late, it is done."""
    failed = {"phase": "Failed", "message": "Stopped with strategy 'Stop'"}
    ours = made_by() | {"annotations": {made.INTENT: "r-abc-0-1", made.HALTED: "true"}}
    stopped = actions.observe(intent(), REF, workflow(failed, {"shutdown": "Stop"}) | {"metadata": ours})
    assert stopped == Outcome("stopped", "Stopped with strategy 'Stop'")
    theirs = actions.observe(intent(), REF, workflow(failed, {"shutdown": "Stop"}))
    assert isinstance(theirs, Outcome)
    assert theirs.state == "failed"
    late = {"phase": "Succeeded", "nodes": {"r-abc-0-1": {"phase": "Succeeded"}}}
    done = actions.observe(intent(), REF, workflow(late, {"shutdown": "Stop"}) | {"metadata": ours})
    assert done == Outcome("done", "Workflow succeeded")


def test_terminated_while_it_waited_is_no_success() -> None:
    """Argo calls such a Workflow Succeeded; by a person's hand it has failed."""
    waited = {"phase": "Succeeded", "nodes": {"r-abc-0-1": {"type": "Suspend", "phase": "Running"}}}
    ended = actions.observe(intent(), REF, workflow(waited, {"shutdown": "Terminate"}))
    assert ended == Outcome("failed", "stopped while it waited", reason=ActionReason.WORKFLOW_FAILED)


def job(*conditions: tuple[str, str], spec: dict[str, Any] | None = None, **status: Any) -> dict[str, Any]:
    said = [{"type": type_, "status": value, "reason": "R", "message": "m"} for type_, value in conditions]
    return {"metadata": made_by(), "spec": spec or {}, "status": {"conditions": said, **status}}


@pytest.mark.parametrize(
    ("shown", "state"),
    [
        (job(), None),
        (job(("SuccessCriteriaMet", "True")), None),
        (job(("FailureTarget", "True")), None),
        (job(("Complete", "False")), None),
        (job(("Suspended", "True"), spec={"suspend": True}), None),
        (job(("SuccessCriteriaMet", "True"), ("Complete", "True")), "done"),
        (job(("FailureTarget", "True"), ("Failed", "True")), "failed"),
        ({"metadata": made_by(), "spec": {}}, None),
    ],
)
def test_a_job_ends_by_two_conditions_alone(shown: dict[str, Any], state: str | None) -> None:
    """What comes before Complete and Failed is not the end: pods still run."""
    ended = actions.observe(intent("job"), REF, shown)
    assert (ended.state if isinstance(ended, Outcome) else ended) == state


@pytest.mark.parametrize(
    ("shown", "stopped"),
    [
        (job(("Suspended", "True"), spec={"suspend": True}), True),
        (job(("Suspended", "True"), spec={"suspend": True}, active=1), False),
        (job(("Suspended", "True"), spec={"suspend": True}, active=0, terminating=1), False),
        (job(("Suspended", "False"), spec={"suspend": True}), False),
        (job(("Suspended", "True"), spec={"suspend": False}), False),
    ],
)
def test_a_job_that_we_suspend_has_stopped_with_its_last_pod(shown: dict[str, Any], *, stopped: bool) -> None:
    """Suspended, by us, and no pod active or still ending."""
    shown["metadata"]["annotations"][made.HALTED] = "true"
    ended = actions.observe(intent("job"), REF, shown)
    assert (ended == Outcome("stopped", "Job suspended, none of its pods is left")) is stopped
    assert stopped or ended is None
