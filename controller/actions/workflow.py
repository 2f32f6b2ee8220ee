"""The action `workflow`: a Workflow from a WorkflowTemplate, made once, done when it has succeeded.

Whether the template exists is left to Argo: a question of ours before would be one more
call on the way from an event to its Workflow, and the answer may be old by then.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic_core import to_json

from controller.actions import made
from controller.actions.made import KEPT, Object
from controller.actions.outcome import MAX_OUTPUTS, Outcome, Ref
from controller.errors import Conflict
from controller.kube import WORKFLOW, Kube
from controller.process import one_line
from controller.remediation import ActionReason, Intent

OUTPUTS = {"version": "model-version", "verdict": "verdict"}
"""What we call the outputs that mean something to us, and the global output parameters that say it."""
TRIES = 5
"""Orders to stop that meet a Workflow which has just changed before the attempt is put off."""
REFUSED = "refused"
"""The verdict of a Workflow whose candidate is no better than what serves."""

_ENDED = frozenset({"Succeeded", "Failed", "Error"})
_NOT_STARTED = frozenset({"", "Pending"})


def ensure(kube: Kube, intent: Intent, *, inherited: bool, now: datetime) -> Ref | Outcome:
    """Create the intent's Workflow, unless it is there.

    `end_state`: `template`, `parameters` (strings by name); see `made.metadata` for the rest.
    """
    wanted = intent.end_state
    return begin(kube, intent, wanted["template"], wanted["parameters"], inherited=inherited, now=now)


def begin(
    kube: Kube, intent: Intent, template: str, parameters: Mapping[str, str], *, inherited: bool, now: datetime
) -> Ref | Outcome:
    """Create a Workflow from `template` under the intent's key. Raises TemporaryError, Refused."""
    spec: Object = {"workflowTemplateRef": {"name": template}}
    if parameters:
        spec["arguments"] = {"parameters": [{"name": name, "value": value} for name, value in parameters.items()]}
    # All three: each that the template sets alone would win over `secondsAfterCompletion`.
    after = ("secondsAfterCompletion", "secondsAfterSuccess", "secondsAfterFailure")
    spec["ttlStrategy"] = dict.fromkeys(after, KEPT)
    return made.create(kube, WORKFLOW, intent, {"spec": spec}, inherited=inherited, now=now)


def observe(intent: Intent, ref: Ref, obj: Object | None) -> Outcome | None:
    """The end that a Workflow shows, None while it goes on. Pure.

    `end_state`: optionally `outputs`, as OUTPUTS. What is being deleted is not gone yet.
    """
    if obj is None:
        return made.lost(f"Workflow {ref['namespace']}/{ref['name']} was deleted")
    if not made.owned(intent, obj):
        return None
    status = obj.get("status") or {}
    if status.get("phase") not in _ENDED:
        return None
    outputs, left_out = _outputs(status, intent.end_state.get("outputs") or OUTPUTS)
    if outputs.get("verdict") == REFUSED:
        message = str(outputs.get("message") or status.get("message") or "the candidate was refused")
        return Outcome("failed", one_line(message), outputs, ActionReason.CANDIDATE_REFUSED)
    if status["phase"] == "Succeeded" and not _cut_short(obj):
        return Outcome("done", one_line(f"Workflow succeeded{left_out}"), outputs)
    message = one_line(_why(status))
    if made.halted(obj):
        return Outcome("stopped", message, outputs)
    return Outcome("failed", message, outputs, _reason(obj))


def halt(kube: Kube, intent: Intent) -> Outcome | None:
    """Have the Workflow stop; None: asked, its end will be observed. Raises TemporaryError, Refused, Conflict."""
    return made.as_stopped(stop(kube, intent))


def stop(kube: Kube, intent: Intent) -> Outcome | None:
    """Ask the Workflow to stop, its exit handlers may run; its own end where it is over already.

    One that waits for its turn heeds only Terminate; a suspended one heeds nothing until it is let go.
    """
    for left in reversed(range(TRIES)):
        found = made.find(kube, WORKFLOW, intent)
        if isinstance(found, Outcome):
            return found
        ended = observe(intent, made.ref(WORKFLOW, found), found)
        if ended is not None or (made.halted(found) and found["spec"].get("shutdown")):
            return ended
        waits = (found.get("status") or {}).get("phase", "") in _NOT_STARTED
        spec = {"shutdown": "Terminate" if waits else "Stop", "suspend": False}
        try:
            made.stop(kube, WORKFLOW, found, spec, as_it_is=waits)
            return None
        except Conflict:  # it may have begun
            if not left:
                raise
    return None


def _cut_short(obj: Object) -> bool:
    """Whether it was stopped before its own end: Argo calls one Succeeded that was terminated while it waited."""
    root = (obj["status"].get("nodes") or {}).get(obj["metadata"]["name"]) or {}
    return bool(obj["spec"].get("shutdown")) and root.get("phase") != "Succeeded"


def _outputs(status: Mapping[str, Any], names: Mapping[str, str]) -> tuple[dict[str, Any], str]:
    """The global outputs, those named first, as many as MAX_OUTPUTS holds; and what was left out, for a message.

    They stand in the status itself also where the nodes do not (compressed, or kept in a database).
    """
    parameters = (status.get("outputs") or {}).get("parameters") or ()
    said = {each["name"]: str(each["value"]) for each in parameters if each.get("value") is not None}
    found = {key: said.pop(name) for key, name in names.items() if name in said}
    found |= {name: value for name, value in said.items() if name not in found}
    outputs: dict[str, Any] = {}
    left_out = []
    room = MAX_OUTPUTS
    for key, value in found.items():
        size = len(to_json({key: value}))
        if size > room:
            left_out.append(key)
            continue
        outputs[key] = value
        room -= size
    return outputs, f"; outputs left out, too long: {', '.join(left_out)}" if left_out else ""


def _why(status: Mapping[str, Any]) -> str:
    """The Workflow's message, and that of the pod which failed first and was not made good by a retry."""
    said = str(status.get("message") or "")
    if not said:
        said = "stopped while it waited" if status["phase"] == "Succeeded" else f"Workflow ended {status['phase']}"
    nodes: Mapping[str, Mapping[str, Any]] = status.get("nodes") or {}
    made_good = {
        child
        for node in nodes.values()
        if node.get("type") == "Retry" and node.get("phase") == "Succeeded"
        for child in node.get("children") or ()
    }
    pods = [
        node
        for id_, node in nodes.items()
        if node.get("type") == "Pod" and node.get("phase") in ("Failed", "Error") and id_ not in made_good
    ]
    if not pods:
        return said
    first = min(pods, key=lambda node: str(node.get("finishedAt") or "~"))
    why = str(first.get("message") or first["phase"])
    return said if why in said else f"{said}: {first.get('displayName')}: {why}"  # one pod is all of the Workflow


def _reason(obj: Object) -> ActionReason:
    """A missing template is no fault of the run."""
    template = (obj["spec"].get("workflowTemplateRef") or {}).get("name")
    missing = f'workflowtemplates.argoproj.io "{template}" not found'
    if obj["status"]["phase"] == "Error" and missing in str(obj["status"].get("message")):
        return ActionReason.NOT_FOUND
    return ActionReason.WORKFLOW_FAILED
