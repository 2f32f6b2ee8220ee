"""What a rollout's words come to for the object as it is now: an end state, or why there is none. Pure.

Only the revision that the event was about is touched: what has replaced it since was not
measured. And only what nobody else sets: Argo CD and Flux would undo a change of the spec.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from controller.actions.endstates import (
    Abort,
    EndState,
    Object,
    Pause,
    Promote,
    Restart,
    Version,
    spec_digest,
    template_digest,
)
from controller.actions.outcome import Outcome
from controller.kube.rollouts import Canary, canary
from controller.policy.serving import NoPlace, read_version, version_patch
from controller.remediation import ActionReason, Intent

_MANAGERS = {
    "argocd.argoproj.io/tracking-id": "Argo CD",
    "argocd.argoproj.io/instance": "Argo CD",
    "kustomize.toolkit.fluxcd.io/name": "Flux",
    "helm.toolkit.fluxcd.io/name": "Flux",
}
"""Labels and annotations of what is kept as Git says."""
_INSTANCE = "app.kubernetes.io/instance"
"""The label by which Argo CD tracks where it is told to; by itself no mark, since every Helm chart sets it, too."""
_ARGO_CD = frozenset({"argocd-controller", "argocd-application-controller"})
"""The names under which Argo CD applies, as field manager."""


def resolve(intent: Intent, obj: Object, now: datetime) -> EndState | Outcome:
    """The end state that an intent wants of its serving object, or the action's end where nothing is to be set.

    A canary can be told only where the object's own controller has `observed` the newest spec.
    """
    order = intent.end_state
    version = read_version(order["serving"], obj)
    if order["do"] == "restore":
        return _restore(intent, obj, version, now)
    if order["do"] not in ("abort", "promote"):
        return _of_spec(intent, obj, version, now)
    if obj["kind"] != "Rollout":
        return _failed(ActionReason.NOT_SUPPORTED, obj, f"no canary to {order['do']}: a {obj['kind']} has none")
    if order["do"] == "abort":
        return _abort(intent, obj, version)
    return _promote(intent, obj, version)


def called(obj: Object) -> str:
    """An object, for messages."""
    return f"{obj['kind']} {obj['metadata']['namespace']}/{obj['metadata']['name']}"


def manager(obj: Object) -> str | None:
    """Who sets this object's spec, where its marks name somebody."""
    meta = obj["metadata"]
    marks = {**(meta.get("labels") or {}), **(meta.get("annotations") or {})}
    if who := next((name for mark, name in _MANAGERS.items() if mark in marks), None):
        return who
    appliers = {each.get("manager") for each in meta.get("managedFields") or ()}
    return "Argo CD" if _INSTANCE in marks and appliers & _ARGO_CD else None


def _restore(intent: Intent, obj: Object, version: str | None, now: datetime) -> EndState | Outcome:
    """What served before: a canary of anything else is aborted, what serves everything is set back."""
    if obj["kind"] == "Rollout" and version != intent.end_state["to"]:
        seen, about = canary(obj), intent.end_state["about"]
        if seen.in_progress:
            other = _other_revision(about, obj, version, seen)
            return other or Abort(**_common(intent, obj, version), **_canary(obj))
    return _of_spec(intent, obj, version, now)


def _abort(intent: Intent, obj: Object, version: str | None) -> EndState | Outcome:
    now, about = canary(obj), intent.end_state["about"]
    if now.in_progress:
        return _other_revision(about, obj, version, now) or Abort(**_common(intent, obj, version), **_canary(obj))
    if not now.stable:
        return _failed(ActionReason.NO_CANARY, obj, "its first revision: there is none to go back to")
    if about is None:
        return Outcome("done", f"{called(obj)}: nothing to abort, no canary is in progress")
    if about in (version, now.revision):
        return _failed(ActionReason.NO_CANARY, obj, f"{about} is no canary any more, it serves everything")
    if version is None:
        return _failed(ActionReason.OTHER_REVISION, obj, _not_told(about))
    return Outcome("done", f"{called(obj)}: nothing to abort, {about} does not serve")


def _promote(intent: Intent, obj: Object, version: str | None) -> EndState | Outcome:
    now, order = canary(obj), intent.end_state
    if other := _other_revision(order["about"], obj, version, now):
        return other
    if order["promote"] == "next" and "canary" not in (obj["spec"].get("strategy") or {}):
        return _failed(ActionReason.NOT_SUPPORTED, obj, "no steps: of a blue-green Rollout only `full` can be promoted")
    steps = now.steps if order["promote"] == "next" else 0
    to_step = min(now.step + 1, steps) if steps else None
    wanted = Promote(**_common(intent, obj, version), **_canary(obj), to_step=to_step)
    if now.stable and now.revision == now.stable:
        return Outcome("done", f"{called(obj)}: nothing to promote, no canary is in progress", wanted.outputs())
    if not now.in_progress:
        return _failed(ActionReason.NO_CANARY, obj, "its first revision is no canary")
    if now.aborted:
        return _failed(ActionReason.NO_CANARY, obj, f"{wanted.called} was aborted")
    if obj["spec"].get("paused"):
        return _failed(ActionReason.PAUSED, obj, "paused by its spec, which is a person's word")
    return wanted


def _of_spec(intent: Intent, obj: Object, version: str | None, now: datetime) -> EndState | Outcome:
    order = intent.end_state
    gitops = order["gitops"]
    by_git = isinstance(gitops, dict)
    common = {**_common(intent, obj, version), "spec": spec_digest(obj)}
    wanted: EndState
    if order["do"] in ("to", "restore"):
        if order.get("refused"):
            return _failed(ActionReason.NO_KNOWN_GOOD, obj, order["refused"])
        if order["serving"]["version"] is None:
            return _failed(ActionReason.NO_SERVING, obj, "the Model does not say where its version stands")
        wanted = Version(**common, to=order["to"], serving=order["serving"])
    elif order["do"] == "pause":
        wanted = Pause(**common)
    else:
        wanted = Restart(**common, at=now.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds") + "Z")
    if wanted.reached(obj):
        return Outcome("done", f"{called(obj)}: {wanted} already", wanted.outputs())
    if other := _other_revision(order["about"], obj, version, canary(obj)):
        return other
    if isinstance(wanted, Version):
        try:
            version_patch(order["serving"], obj, wanted.to)
        except NoPlace as error:
            return _failed(ActionReason.NO_SERVING, obj, str(error))
    elif by_git:
        return _failed(ActionReason.TARGET_MANAGED, obj, f"cannot {order['do']} what the Model has set by Git")
    if not gitops and (who := manager(obj)):
        message = f"{who} sets its spec and would undo the change: say how by `gitops` in the Model"
        return _failed(ActionReason.TARGET_MANAGED, obj, message)
    return wanted


def _other_revision(about: str | None, obj: Object, version: str | None, now: Canary) -> Outcome | None:
    """The refusal to touch another version than the event was about, which None leaves open."""
    if about is None or about in (version, now.revision):
        return None
    why = _not_told(about) if version is None else f"the event is about {about}, the newest is {version}"
    return _failed(ActionReason.OTHER_REVISION, obj, why)


def _not_told(about: str) -> str:
    return f"the event is about {about}, and its version cannot be told (see `serving.version` of the Model)"


def _failed(reason: ActionReason, obj: Object, why: str) -> Outcome:
    return Outcome("failed", f"{called(obj)}: {why}", reason=reason)


def _common(intent: Intent, obj: Object, version: str | None) -> dict[str, Any]:
    return {"uid": obj["metadata"]["uid"], "version": version, "key": intent.key}


def _canary(obj: Object) -> Mapping[str, Any]:
    now = canary(obj)
    where = {"revision": now.revision, "stable": now.stable, "step": now.step, "pauses": list(now.pauses)}
    return {"template": template_digest(obj), **where}
