"""The action `workflow`, with real Workflows."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from controller import actions
from controller.actions import Outcome
from controller.kube import WORKFLOW
from controller.remediation import ActionReason
from tests.integration.cluster.conftest import QUOTA, end, ensure, eventually, intent, named

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]

SUSPENDED = {"suspend": {}}
PYTHON = {"image": "localhost/python:debian", "imagePullPolicy": "Never", "command": ["python3", "-c"]}


def workflow(namespace, template="wait", parameters=None, **more):
    wanted = {"template": template, "parameters": parameters or {}, "outputs": {}, "timeout": 600, "serving": None}
    return intent("workflow", namespace, wanted | more)


def python(code: str, outputs: dict[str, str] | None = None) -> dict:
    """A container that runs this; `outputs`: global output parameters, each from a file."""
    parameters = [
        {"name": name, "globalName": name, "valueFrom": {"path": path}} for name, path in (outputs or {}).items()
    ]
    return {"container": {**PYTHON, "args": [code]}, "outputs": {"parameters": parameters}}


def test_a_workflow_is_created_once_and_says_whose_it_is(kube, namespace, write_template):
    """However often it is ensured, there is one Workflow: from the template, marked with remediation, event and trace."""
    write_template("wait", SUSPENDED)
    mine = workflow(namespace, parameters={"model": "salary", "odd": 'a: "b"\n- {{c}} $(d)'})
    first = ensure(kube, mine)
    assert [ensure(kube, mine), ensure(kube, mine, inherited=True)] == [first, first]
    (found,) = kube.list(WORKFLOW, namespace)[0]
    assert first == {"kind": "Workflow", "namespace": namespace, "name": mine.key, "uid": found["metadata"]["uid"]}
    assert found["spec"]["workflowTemplateRef"] == {"name": "wait"}
    given = {each["name"]: each["value"] for each in found["spec"]["arguments"]["parameters"]}
    assert given == mine.end_state["parameters"]
    labels, annotations = found["metadata"]["labels"], found["metadata"]["annotations"]
    assert {key: value for key, value in labels.items() if "modelmend.io" in key} == {
        "modelmend.io/remediation": mine.remediation_id,
        "modelmend.io/policy": "retrain",
        "modelmend.io/model": "salary",
    }
    assert {key: value for key, value in annotations.items() if "modelmend.io" in key} == {
        "modelmend.io/intent": mine.key,
        "modelmend.io/event-source": "urn:drift-detector",
        "modelmend.io/event-id": "drift-99201",
        "modelmend.io/model": f"{namespace}/salary",
        "modelmend.io/policy": f"{namespace}/retrain",
        "modelmend.io/traceparent": mine.end_state["traceparent"],
    }


def test_a_real_run_reports_version_verdict_and_more(kube, namespace, write_template):
    """What containers write to global outputs comes back; the two that mean something under our names for them."""
    code = "open('/tmp/v','w').write('v6'); open('/tmp/d','w').write('promoted'); open('/tmp/a','w').write('0.93')"
    outputs = {"model-version": "/tmp/v", "outcome": "/tmp/d", "accuracy": "/tmp/a"}
    write_template("train", python(code, outputs), ttlStrategy={"secondsAfterSuccess": 1})
    mine = workflow(namespace, "train", outputs={"version": "model-version", "verdict": "outcome"})
    ended = end(kube, mine, ensure(kube, mine))
    assert ended == Outcome("done", "Workflow succeeded", {"version": "v6", "verdict": "promoted", "accuracy": "0.93"})
    kept = kube.get(WORKFLOW, namespace, mine.key)
    assert kept["status"]["storedWorkflowTemplateSpec"]["ttlStrategy"] == {
        "secondsAfterCompletion": 604800,
        "secondsAfterFailure": 604800,
        "secondsAfterSuccess": 604800,
    }


def test_a_refused_candidate_is_a_failed_action(kube, namespace, write_template):
    """The verdict `refused` is no success, however the Workflow ended, and says why in the Workflow's own words."""
    code = "open('/tmp/d','w').write('refused'); open('/tmp/m','w').write('f1 0.81 < 0.84')"
    write_template("train", python(code, {"verdict": "/tmp/d", "message": "/tmp/m"}))
    mine = workflow(namespace, "train")
    ended = end(kube, mine, ensure(kube, mine))
    assert (ended.state, ended.reason) == ("failed", ActionReason.CANDIDATE_REFUSED)
    assert ended.message == "f1 0.81 < 0.84"
    assert ended.outputs["verdict"] == "refused"


def test_a_failure_names_the_step_that_failed(kube, namespace, write_template):
    """The message of a failed Workflow tells the pod that failed and how, not only that a child did."""
    steps = {"steps": [[{"name": "validate", "template": "validate"}]]}
    write_template("train", steps, {"name": "validate", **python("raise SystemExit(3)")})
    mine = workflow(namespace, "train")
    ended = end(kube, mine, ensure(kube, mine))
    assert (ended.state, ended.reason) == ("failed", ActionReason.WORKFLOW_FAILED)
    assert ended.message.endswith("failed: validate: main: Error (exit code 3)")


def test_a_missing_template_is_named(kube, namespace):
    """A template that is not there ends the action: not_found, with its name."""
    mine = workflow(namespace, "no-such-template")
    ended = end(kube, mine, ensure(kube, mine))
    assert (ended.state, ended.reason) == ("failed", ActionReason.NOT_FOUND)
    assert '"no-such-template" not found' in ended.message


def test_a_missing_parameter_is_named(kube, namespace, write_template):
    """A parameter that the template wants and nobody gave ends the action with its name."""
    write_template("wait", SUSPENDED, arguments={"parameters": [{"name": "model"}]})
    mine = workflow(namespace)
    ended = end(kube, mine, ensure(kube, mine))
    assert (ended.state, ended.reason) == ("failed", ActionReason.WORKFLOW_FAILED)
    assert "model" in ended.message


def test_a_quota_is_a_failure_by_name(kube, namespace, write_template):
    """An exhausted quota fails the action, with the API's words; the Workflow that used it up is still known as ours."""
    write_template("wait", SUSPENDED)
    kube.create(QUOTA, namespace, named("few", spec={"hard": {"count/workflows.argoproj.io": "1"}}))
    first, second = workflow(namespace), workflow(namespace)
    counted = eventually(lambda: (kube.get(QUOTA, namespace, "few").get("status") or {}).get("used"))
    assert counted == {"count/workflows.argoproj.io": "0"}
    ref = ensure(kube, first)
    refused = ensure(kube, second)
    assert (refused.state, refused.reason) == ("failed", ActionReason.QUOTA)
    assert "exceeded quota: few" in refused.message
    assert ensure(kube, first, inherited=True) == ref
    assert len(kube.list(WORKFLOW, namespace)[0]) == 1


def test_a_missing_right_is_a_failure_that_names_it(kube, namespace, as_account, write_template):
    """Without the right to create it fails at once, naming verb and resource; one begun before is of unknown fate."""
    write_template("wait", SUSPENDED)
    limited = as_account("limited", [("argoproj.io", "workflows", ["get"])])
    mine = workflow(namespace)
    refused = ensure(limited, mine)
    assert (refused.state, refused.reason) == ("failed", ActionReason.FORBIDDEN)
    assert 'cannot create resource "workflows"' in refused.message
    assert ensure(limited, mine, inherited=True).state == "unknown"
    ref = ensure(kube, mine)
    assert ensure(limited, mine, inherited=True) == ref
    halted = actions.halt(limited, replace(mine, ref=ref))
    assert (halted.state, halted.reason) == ("unknown", ActionReason.FORBIDDEN)
    assert 'cannot patch resource "workflows"' in halted.message


def test_a_name_taken_by_another_is_not_ours(kube, namespace):
    """An object of the same name that another made is neither taken over nor stopped."""
    mine = workflow(namespace)
    kube.create(
        WORKFLOW,
        namespace,
        named(mine.key, spec={"suspend": True, "entrypoint": "x", "templates": [{"name": "x", "suspend": {}}]}),
    )
    taken = ensure(kube, mine)
    assert (taken.state, taken.reason) == ("failed", ActionReason.NAME_TAKEN)
    assert actions.halt(kube, mine).state == "stopped"
    found = kube.get(WORKFLOW, namespace, mine.key)
    assert "shutdown" not in found["spec"]
    unsure = {"kind": "Workflow", "namespace": namespace, "name": mine.key, "uid": ""}
    assert actions.observe(mine, unsure, found) is None


def test_what_an_earlier_process_began_long_ago_is_not_made_again(kube, namespace, write_template):
    """Missing a minute after the first attempt of an earlier process, it is of unknown fate; before that it is made."""
    write_template("wait", SUSPENDED)
    old = replace(workflow(namespace), first_tried_at=datetime.now(UTC) - timedelta(seconds=61))
    lost = ensure(kube, old, inherited=True)
    assert (lost.state, lost.reason) == ("unknown", ActionReason.OBJECT_LOST)
    assert kube.get(WORKFLOW, namespace, old.key) is None
    ref = ensure(kube, old)
    assert ensure(kube, old, inherited=True) == ref
    young = replace(workflow(namespace), first_tried_at=datetime.now(UTC) - timedelta(seconds=30))
    assert ensure(kube, young, inherited=True)["name"] == young.key


def test_a_workflow_deleted_by_a_person_is_lost(kube, namespace, write_template):
    """Its fate is unknown once it is gone; what is recorded as made is never made again."""
    write_template("wait", SUSPENDED)
    mine = workflow(namespace)
    ref = ensure(kube, mine)
    kube.delete(WORKFLOW, namespace, mine.key)
    ended = end(kube, mine, ref)
    assert (ended.state, ended.reason) == ("unknown", ActionReason.OBJECT_LOST)
    known = replace(mine, ref=ref)
    assert ensure(kube, known, inherited=True) == ref
    assert actions.halt(kube, known).reason == ActionReason.OBJECT_LOST
    assert kube.get(WORKFLOW, namespace, mine.key) is None


def running(kube, namespace, mine):
    eventually(lambda: (kube.get(WORKFLOW, namespace, mine.key).get("status") or {}).get("phase") == "Running")


def test_a_running_workflow_stops_with_its_exit_handler(kube, namespace, write_template):
    """Halted, its pod is ended, its exit handler still runs, and only then it is seen as stopped."""
    sleeping = python("import time; time.sleep(600)")
    leaving = {"name": "leave", **python("open('/tmp/l','w').write('left')", {"left": "/tmp/l"})}
    write_template("train", sleeping, leaving, onExit="leave")
    mine = workflow(namespace, "train")
    ref = ensure(kube, mine)
    known = replace(mine, ref=ref)
    running(kube, namespace, mine)
    assert actions.halt(kube, known) is None
    assert actions.halt(kube, known) is None
    ended = end(kube, mine, ref)
    assert (ended.state, ended.outputs) == ("stopped", {"left": "left"})
    assert kube.get(WORKFLOW, namespace, mine.key)["spec"]["shutdown"] == "Stop"
    assert actions.halt(kube, known).state == "stopped"


@pytest.mark.parametrize("how", ["waits for a person", "suspended by a person"])
def test_a_suspended_workflow_stops(kube, namespace, write_template, how):
    """One that a person would have to let go on stops as well."""
    write_template("wait", SUSPENDED)
    mine = workflow(namespace)
    ref = ensure(kube, mine)
    running(kube, namespace, mine)
    if how == "suspended by a person":
        kube.patch(WORKFLOW, namespace, mine.key, {"spec": {"suspend": True}})
    assert actions.halt(kube, mine) is None
    assert end(kube, mine, ref).state == "stopped"


def test_a_workflow_that_waits_for_a_lock_stops_and_has_not_succeeded(kube, namespace, write_template):
    """Terminated while another holds its mutex, Argo calls it Succeeded: it is stopped all the same."""
    write_template("wait", SUSPENDED, synchronization={"mutexes": [{"name": "one"}]})
    holder, waiting = workflow(namespace), workflow(namespace)
    ensure(kube, holder)
    running(kube, namespace, holder)
    ref = ensure(kube, waiting)
    eventually(lambda: (kube.get(WORKFLOW, namespace, waiting.key).get("status") or {}).get("phase") == "Pending")
    assert actions.halt(kube, waiting) is None
    assert end(kube, waiting, ref) == Outcome("stopped", "stopped while it waited")
    assert kube.get(WORKFLOW, namespace, waiting.key)["status"]["phase"] == "Succeeded"


def test_what_has_ended_is_told_to_who_wants_it_stopped(kube, namespace, write_template):
    """Halting what is over, or was never begun, changes nothing and says so."""
    never = workflow(namespace)
    assert actions.halt(kube, never) == Outcome("stopped", f"never begun: there is no Workflow {namespace}/{never.key}")
    code = "open('/tmp/v','w').write('v6')"
    write_template("train", python(code, {"model-version": "/tmp/v"}))
    mine = workflow(namespace, "train")
    end(kube, mine, ensure(kube, mine))
    over = actions.halt(kube, mine)
    assert (over.state, over.outputs) == ("stopped", {"version": "v6"})
    assert over.message == "it had ended, done: Workflow succeeded"


def test_a_workflow_stopped_by_a_person_has_failed(kube, namespace, write_template):
    """`argo stop` by others is no order of ours."""
    write_template("wait", SUSPENDED)
    mine = workflow(namespace)
    ref = ensure(kube, mine)
    running(kube, namespace, mine)
    kube.patch(WORKFLOW, namespace, mine.key, {"spec": {"shutdown": "Stop"}})
    ended = end(kube, mine, ref)
    assert (ended.state, ended.reason) == ("failed", ActionReason.WORKFLOW_FAILED)
    assert "Stop" in ended.message
