"""The objects that we make in a cluster: created once, under the intent's name, and marked as ours.

Who made an object is told by its annotation `modelmend.io/intent`, which holds the intent's
key: a name alone may be anybody's. The store's record, not the object's existence, says what
an action came to; the object goes by itself a week after its end.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any, Literal

from controller.actions.outcome import Outcome, Ref
from controller.kube import AlreadyExists, Kind, Kube, Refused
from controller.process import one_line
from controller.remediation import ActionReason, Intent

Object = dict[str, Any]

PREFIX = "modelmend.io/"
INTENT = f"{PREFIX}intent"
HALTED = f"{PREFIX}halted"
"""Set on an object when we stop it: what stops by others' hands has failed."""
NUDGED = f"{PREFIX}nudged"
"""Set anew on an object of others, so that its own controller looks at it again."""
KEPT = 7 * 24 * 3600
"""Seconds that an object of ours stays after its end: longer than any remediation needs it."""
CREATED_AGAIN = timedelta(seconds=60)
"""An object of an earlier process that is missing is created again so long after the first attempt."""

TOLD = frozenset({"stdin", "model", "traceparent"})
"""What an end state is given for each call, beside what was rendered: the decision, not the order."""

_LONGEST_LABEL = 63
_LONGEST_ANNOTATION = 1024
_REASONS = {
    "forbidden": ActionReason.FORBIDDEN,
    "unauthorized": ActionReason.FORBIDDEN,
    "quota": ActionReason.QUOTA,
    "not_found": ActionReason.NOT_FOUND,
    "no_kind": ActionReason.NOT_FOUND,
    "no_namespace": ActionReason.NOT_FOUND,
}


def namespace(intent: Intent) -> str:
    """Where an intent acts: the namespace of its model, and no other."""
    if intent.ref:
        return intent.ref["namespace"]
    return str(intent.end_state["model"]).partition("/")[0]


def metadata(intent: Intent) -> Object:
    """Name, labels and annotations of what an intent creates."""
    told = intent.end_state.get("stdin") or {}
    event = told.get("event") or {}
    policy, model = str(told.get("policy") or ""), str(intent.end_state.get("model") or "")
    said = {
        "event-source": event.get("source"),
        "event-id": event.get("id"),
        "model": model,
        "policy": policy,
        "traceparent": intent.end_state.get("traceparent"),
    }
    annotations = {f"{PREFIX}{name}": str(value)[:_LONGEST_ANNOTATION] for name, value in said.items() if value}
    labels = {
        f"{PREFIX}remediation": label(intent.remediation_id),
        f"{PREFIX}policy": label(policy.rpartition("/")[2]),
        f"{PREFIX}model": label(model.rpartition("/")[2]),
    }
    return {"name": intent.key, "labels": labels, "annotations": annotations | {INTENT: intent.key}}


def label(text: str) -> str:
    """`text` as a label may say it: at most 63 of letters, digits and `-_.`, a letter or digit at both ends."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", text)[:_LONGEST_LABEL].strip("-_.")


def owned(intent: Intent, obj: Object) -> bool:
    """Whether this intent made the object."""
    return (obj["metadata"].get("annotations") or {}).get(INTENT) == intent.key


def halted(obj: Object) -> bool:
    """Whether we have asked it to stop."""
    return HALTED in (obj["metadata"].get("annotations") or {})


def ref(kind: Kind, obj: Object) -> Ref:
    """What an object is followed by."""
    meta = obj["metadata"]
    return {"kind": kind.name, "namespace": meta["namespace"], "name": meta["name"], "uid": meta["uid"]}


def create(kube: Kube, kind: Kind, intent: Intent, body: Object, *, inherited: bool, now: datetime) -> Ref | Outcome:
    """Create the intent's object, unless it is there; what follows it, or why there is none.

    A refusal may hide that it is there: a quota, for one, is checked first, and may be used up by the object itself.

    :param body: without name, labels and annotations of ours, which are added to those it has.
    :param inherited: an earlier process may have created it, and somebody may have deleted it since.
    Raises TemporaryError, Refused.
    """
    where = namespace(intent)
    tried = intent.first_tried_at
    if inherited and tried is not None and now - tried > CREATED_AGAIN:
        found = kube.get(kind, where, intent.key)
        message = (
            f"{_called(kind, intent)} is not there {round((now - tried).total_seconds())} s after the first attempt"
        )
        return _whose(kind, intent, found) if found else lost(f"{message}: deleted, or never created")
    try:
        return ref(kind, kube.create(kind, where, _marked(intent, body)))
    except (AlreadyExists, Refused) as error:
        if isinstance(error, Refused) and error.status == 0:  # nothing was sent
            raise
        try:
            found = kube.get(kind, where, intent.key)
        except Refused as second:  # the first is what was wanted, and what an operator must grant
            raise (error if isinstance(error, Refused) else second) from second
        if found is not None:
            return _whose(kind, intent, found)
        if isinstance(error, Refused):
            raise
        if "quota" in str(error):  # some gateways say that a name is taken where a quota is used up
            return Outcome("failed", one_line(str(error)), reason=ActionReason.QUOTA)
        return lost(f"{_called(kind, intent)} was there a moment ago and is gone")


def refused(error: Refused, state: Literal["failed", "unknown"]) -> Outcome:
    """The end of an action that the API does not allow."""
    return Outcome(state, one_line(str(error)), reason=_REASONS.get(error.reason, ActionReason.INVALID))


def lost(message: str) -> Outcome:
    """The end of an action whose object is gone: nobody can say how far it came."""
    return Outcome("unknown", one_line(message), reason=ActionReason.OBJECT_LOST)


def find(kube: Kube, kind: Kind, intent: Intent) -> Object | Outcome:
    """The intent's object, to be stopped; or why there is nothing to stop."""
    found = kube.get(kind, namespace(intent), intent.key)
    if intent.ref and (found is None or intent.ref["uid"] not in ("", found["metadata"]["uid"])):
        return lost(f"{_called(kind, intent)} was deleted")
    if found is None:
        return Outcome("stopped", f"never begun: there is no {_called(kind, intent)}")
    if not owned(intent, found):
        return Outcome("stopped", f"never begun: {_called(kind, intent)} is not ours")
    return found


def stop(kube: Kube, kind: Kind, obj: Object, spec: Object, *, as_it_is: bool = False) -> None:
    """Have an object of ours stop, by a change of its spec, and mark that it was us.

    :param as_it_is: only if it has not changed since it was read: raises Conflict.
    Raises NotFound, Refused, TemporaryError.
    """
    meta = obj["metadata"]
    body = {"metadata": {"annotations": {HALTED: "true"}}, "spec": spec}
    version = meta["resourceVersion"] if as_it_is else None
    kube.patch(kind, meta["namespace"], meta["name"], body, resource_version=version)


def as_stopped(ended: Outcome | None) -> Outcome | None:
    """The end of an action, told to who wanted it stopped."""
    if ended is None or ended.state in ("stopped", "unknown"):
        return ended
    return Outcome("stopped", one_line(f"it had ended, {ended.state}: {ended.message}"), ended.outputs)


def _called(kind: Kind, intent: Intent) -> str:
    return f"{kind.name} {namespace(intent)}/{intent.key}"


def _marked(intent: Intent, body: Object) -> Object:
    given, ours = body.get("metadata") or {}, metadata(intent)
    both = {key: {**(given.get(key) or {}), **ours[key]} for key in ("labels", "annotations")}
    return {**body, "metadata": {"name": ours["name"], **both}}


def _whose(kind: Kind, intent: Intent, found: Object) -> Ref | Outcome:
    if owned(intent, found):
        return ref(kind, found)
    reason = ActionReason.NAME_TAKEN
    return Outcome("failed", f"{_called(kind, intent)} is there and was not made by this remediation", reason=reason)
