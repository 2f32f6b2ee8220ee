"""The action `rollout`: the model's serving object brought to an end state, once, and never against others.

The end state is resolved against the object, written down, then patched, for that very
version of the object. In it: done. Still as it was: patched again. Neither: somebody else is
at the wheel, and it is left alone (`reverted`); its fate is unknown, so a person is told and
no next step fights them.

Where the Model says that Git sets its spec, a Workflow commits the version instead, and the
action is done when the object carries it.
"""

from __future__ import annotations

import contextlib
import threading
import time
from datetime import UTC, datetime
from typing import Any

from controller.actions import made, workflow
from controller.actions.endstates import EndState, Object, Version, written
from controller.actions.outcome import Outcome, Ref, Write
from controller.actions.resolving import called, resolve
from controller.errors import Conflict, TemporaryError
from controller.kube import KINDS, Kube, Refused
from controller.kube.rollouts import observed
from controller.process import one_line
from controller.remediation import ActionReason, Intent

TRIES = 5
"""Patches that meet a newer version of the object before the attempt is put off."""
NOTICED = 10.0
"""Seconds that a change is given to be noticed by the object's own controller; then it is on its own."""
NUDGED = 1.0
"""Seconds after which a change that was not noticed is followed by another one.

Argo Rollouts puts what it has written itself into its cache, over a change that came in between. That
change goes unseen until the object changes once more: an abort, for one, for hours.
"""
_LOOK = 0.25
_AFTER_CONFLICT = 0.05


def ensure(kube: Kube, intent: Intent, write: Write, *, inherited: bool, now: datetime) -> Ref | Outcome:
    """Bring the serving object to what the intent wants; blocks for a few calls.

    `end_state`: `do`, `promote`, `to`, `about`, `serving`, `gitops`, and `resolved` once it was written.
    Raises TemporaryError, Refused.
    """
    order = intent.end_state
    if order["serving"] is None:
        return Outcome("failed", "the Model names no serving object", reason=ActionReason.NO_SERVING)
    obj = _read(kube, intent)
    if "resolved" in order:
        wanted = written(order["do"], order["resolved"])
        if obj is None:
            return made.lost(f"{_name(intent)} was deleted")
    elif obj is None:
        return Outcome("failed", f"there is no {_name(intent)}", reason=ActionReason.NOT_FOUND)
    else:
        if order["do"] in ("abort", "promote", "restore") and obj["kind"] == "Rollout" and not observed(obj):
            _nudge(kube, obj)
            raise TemporaryError(f"{called(obj)}: its controller has not seen its newest spec yet", retry_after=NUDGED)
        resolved = resolve(intent, obj, now)
        if isinstance(resolved, Outcome):
            return resolved
        wanted = resolved
    if isinstance(wanted, Version) and isinstance(order["gitops"], dict):
        return _commit(kube, intent, write, wanted, obj, inherited=inherited, now=now)
    return _set(kube, intent, write, wanted, obj)


def observe(intent: Intent, ref: Ref, obj: Object | None) -> Ref | Outcome | None:
    """What the Workflow that commits comes to, then the serving object; None while it goes on. Pure."""
    if ref["kind"] == "Workflow":
        seen = workflow.observe(intent, ref, obj)
        if seen is None or seen.state != "done":
            return seen
        serving = intent.end_state["serving"]
        return {"kind": serving["kind"], "namespace": ref["namespace"], "name": serving["name"], "uid": ""}
    if obj is None:
        return made.lost(f"{ref['kind']} {ref['namespace']}/{ref['name']} was deleted")
    wanted = written(intent.end_state["do"], intent.end_state["resolved"])
    return _done(wanted, obj) if wanted.reached(obj) else None


def halt(kube: Kube, intent: Intent) -> Outcome | None:
    """A patch is made at once, so only a Workflow that commits can be stopped; None: asked, its end will be observed.

    Raises TemporaryError, Refused, Conflict.
    """
    order = intent.end_state
    if "resolved" not in order:
        return Outcome("stopped", "never begun")
    wanted = written(order["do"], order["resolved"])
    obj = _read(kube, intent)
    if obj is not None and wanted.reached(obj):
        return Outcome("stopped", one_line(f"{called(obj)}: {wanted}, before it could be stopped"), wanted.outputs())
    if not _by_git(intent):
        return Outcome("stopped", f"{_name(intent)} was not changed, or is no longer as it was set")
    return _halt_commit(kube, intent)


def _halt_commit(kube: Kube, intent: Intent) -> Outcome | None:
    if intent.ref is None or intent.ref["kind"] == "Workflow":
        ended = workflow.stop(kube, intent)
        if ended is None or ended.state != "done":
            return made.as_stopped(ended)
    version = intent.end_state["to"]
    return Outcome("unknown", f"version {version} was committed to Git, {_name(intent)} may still be set to it")


def _set(kube: Kube, intent: Intent, write: Write, wanted: EndState, obj: Object) -> Outcome:
    tried = "resolved" in intent.end_state
    kind, meta = KINDS[obj["kind"]], obj["metadata"]
    namespace, name = meta["namespace"], meta["name"]
    pause = threading.Event()
    for attempt in range(TRIES):
        if wanted.reached(obj):
            return _noticed(kube, intent, wanted)
        if obj["metadata"]["uid"] != wanted.uid or not wanted.untouched(obj, tried=tried):
            return _reverted(wanted, obj, "somebody else has changed it since")
        version = obj["metadata"]["resourceVersion"]
        write(_resolved(intent, wanted), version)
        try:
            patch, subresource = wanted.patch(obj), wanted.subresource
            obj = kube.patch(kind, namespace, name, patch, resource_version=version, subresource=subresource)
        except Conflict:
            pause.wait(_AFTER_CONFLICT * 2**attempt)  # its own controller may be at work
            found = kube.get(kind, namespace, name)
            if found is None:
                return made.lost(f"{_name(intent)} was deleted")
            obj = found
        else:
            return _noticed(kube, intent, wanted)
    raise TemporaryError(f"{called(obj)} changes all the time: {TRIES} patches met a newer version", retry_after=1.0)


def _noticed(kube: Kube, intent: Intent, wanted: EndState) -> Outcome:
    """Read it again until its own controller has noticed the change, or somebody has undone it."""
    pause, begun = threading.Event(), time.monotonic()
    nudged = begun
    while True:
        obj = _read(kube, intent)
        if obj is None:
            return made.lost(f"{_name(intent)} was deleted")
        if not wanted.reached(obj):
            return _reverted(wanted, obj, "somebody has undone it at once")
        now = time.monotonic()
        if wanted.noticed(obj) or now - begun > NOTICED:
            return _done(wanted, obj)
        if now - nudged > NUDGED:
            _nudge(kube, obj)
            nudged = now
        pause.wait(_LOOK)


def _nudge(kube: Kube, obj: Object) -> None:
    kind, meta = KINDS[obj["kind"]], obj["metadata"]
    body = {"metadata": {"annotations": {made.NUDGED: datetime.now(UTC).isoformat()}}}
    with contextlib.suppress(Refused):  # only those who may change the spec may do this, too
        kube.patch(kind, meta["namespace"], meta["name"], body)


def _commit(
    kube: Kube, intent: Intent, write: Write, wanted: EndState, obj: Object, *, inherited: bool, now: datetime
) -> Ref | Outcome:
    order = intent.end_state
    if wanted.reached(obj):
        return _done(wanted, obj)
    if "resolved" not in order:
        write(_resolved(intent, wanted), obj["metadata"]["resourceVersion"])
    ours = {
        "kind": obj["kind"],
        "name": obj["metadata"]["name"],
        "namespace": obj["metadata"]["namespace"],
        "version": order["to"],
        "remediation": intent.remediation_id,
        "branch": f"modelmend/{intent.remediation_id}",
    }
    gitops = order["gitops"]
    return workflow.begin(
        kube, intent, gitops["template"], {**gitops["parameters"], **ours}, inherited=inherited, now=now
    )


def _resolved(intent: Intent, wanted: EndState) -> Object:
    """The end state to write down: without what is told anew at every call. `restore` has become what it comes to."""
    order = {key: value for key, value in intent.end_state.items() if key not in made.TOLD}
    return {**order, "do": wanted.do, "resolved": wanted.plain()}


def _by_git(intent: Intent) -> bool:
    return intent.end_state["do"] == "to" and isinstance(intent.end_state["gitops"], dict)


def _read(kube: Kube, intent: Intent) -> Object | None:
    serving = intent.end_state["serving"]
    return kube.get(KINDS[serving["kind"]], made.namespace(intent), serving["name"])


def _name(intent: Intent) -> str:
    serving: dict[str, Any] = intent.end_state["serving"]
    return f"{serving['kind']} {made.namespace(intent)}/{serving['name']}"


def _done(wanted: EndState, obj: Object) -> Outcome:
    return Outcome("done", one_line(f"{called(obj)}: {wanted}"), wanted.outputs())


def _reverted(wanted: EndState, obj: Object, why: str) -> Outcome:
    message = one_line(f"{called(obj)}: not {wanted}: {why}; it is left alone")
    return Outcome("unknown", message, wanted.outputs(), ActionReason.REVERTED)
