"""Samples of a verification by `rollout`: whether the serving object is where the action wanted it.

`promoted`: all traffic is on the new revision, and enough of its pods are available. `stable`:
all traffic is on the stable one. An aborted Rollout is `stable` although Argo calls it
Degraded until its template is restored; unless the action wanted the very revision that was
aborted.

A status speaks only of the spec that its controller has seen: before that, a sample is missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from controller.errors import ModelmendError
from controller.kube import KINDS, Kube
from controller.kube.rollouts import (
    Object,
    all_newest,
    all_stable,
    canary,
    count,
    desired,
    observed,
    restarted_at,
    restarting,
    trouble,
)
from controller.policy.serving import read_version
from controller.process import one_line
from controller.verify.sample import Sample

_FORWARD = ("to", "promote")
"""What leads away from the stable revision: back on that, it has failed."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the action has set, or says that it has brought.

    :ivar do: of the action `rollout`; "" of another action, which may only bring its version about.
    :ivar version: that its template should ask for.
    :ivar revision: of a Rollout, that was aborted or promoted.
    :ivar restarted: since when its pods should be new ones.
    :ivar ended: when the action had done it; None: not known.
    """

    do: str = ""
    version: str | None = None
    revision: str | None = None
    restarted: datetime | None = None
    ended: datetime | None = None

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Wanted:
        """From what the action has reported, `outputs`, and what it was asked where it was a rollout."""
        ended = (told.get("stdin") or {}).get("actionEnded")
        outputs, order = told.get("outputs") or {}, told.get("rollout") or {}
        version, restarted = outputs.get("version") or order.get("to"), outputs.get("restartedAt") if order else None
        do = order.get("do", "")
        if do == "restore":  # it came to one of these
            do, version = ("abort", None) if "revision" in outputs else ("to", version)
        return cls(
            do=do,
            version=str(version) if version else None,
            revision=outputs.get("revision") if order else None,
            restarted=datetime.fromisoformat(restarted) if restarted else None,
            ended=datetime.fromisoformat(ended) if ended else None,
        )


def sample(verification: Mapping[str, Any], told: Mapping[str, Any], kube: Kube | None) -> Sample:
    """Look at the serving object once; one call.

    `verification`: `wants` (promoted | stable), `serving`. `told`: `model` (namespace/name), `outputs` of the
    action, `rollout` (its end state, None: it was another action), `stdin.actionEnded` (RFC 3339, or None).
    """
    serving = verification["serving"]
    if kube is None:
        return Sample("missing", "no cluster: start with --kubernetes")
    if serving is None:
        return Sample("missing", "the Model names no serving object")
    namespace = str(told["model"]).partition("/")[0]
    try:
        obj = kube.get(KINDS[serving["kind"]], namespace, serving["name"])
    except ModelmendError as error:
        return Sample("missing", one_line(str(error)))
    if obj is None:
        return Sample("missing", f"there is no {serving['kind']} {namespace}/{serving['name']}")
    seen = look(verification["wants"], serving, Wanted.of(told), obj)
    return Sample(seen.state, one_line(seen.message))


def look(wants: str, serving: Mapping[str, Any], wanted: Wanted, obj: Object) -> Sample:
    """What the object shows. Pure."""
    version = read_version(serving, obj)
    named = wanted.version if wanted.do == "to" or wants == "promoted" else None
    if version is not None and named not in (None, version):
        message = f"its template asks for {version}, wanted {named}"
        # What another action reports may be set by others after its end; ours was set before it.
        return Sample("reverted", message) if wanted.do else Sample("unchanged", message)
    if wanted.restarted and ((asked := restarted_at(obj)) is None or asked < wanted.restarted):
        return Sample("reverted", f"it is not to be restarted at {wanted.restarted} any more")
    if not observed(obj):
        return Sample("missing", "its controller has not seen its newest spec yet")
    if desired(obj) == 0:
        return Sample("unchanged", "scaled to 0: nothing serves")
    if wants == "stable":
        return _stable(wanted, obj)
    if not wanted.revision and not wanted.restarted and (version is None or wanted.version is None):
        missing = "the action has reported no version" if version else "its version cannot be told"
        return Sample("missing", f"{missing}, so nothing shows that it is the new one")
    return _promoted(wanted, obj, wanted.version or wanted.revision or "the newest")


def _promoted(wanted: Wanted, obj: Object, called: str) -> Sample:
    if obj["kind"] == "Rollout":
        now = canary(obj)
        if wanted.revision not in (None, now.revision):
            return Sample("reverted", f"revision {now.revision} has replaced {called}")
        if now.aborted and now.in_progress:
            return Sample("failed", f"{called} was aborted: {_said(obj)}")
    if all_newest(obj) and not restarting(obj):
        return Sample("recovered", f"all traffic is on {called}, {count(obj, 'availableReplicas')} pods are available")
    stuck = trouble(obj, wanted.ended)
    return Sample("failed", stuck) if stuck else Sample("unchanged", _said(obj))


def _stable(wanted: Wanted, obj: Object) -> Sample:
    available = f"{count(obj, 'availableReplicas')} pods are available"
    if obj["kind"] == "Rollout":
        now = canary(obj)
        if wanted.do == "abort" and now.revision == wanted.revision and not now.aborted:
            return Sample("reverted", f"canary {now.revision} is no longer aborted: {_said(obj)}")
        if now.in_progress and now.aborted and wanted.do in _FORWARD and now.stable != wanted.revision:
            called = wanted.version or wanted.revision or "the newest"
            return Sample("failed", f"{called} was aborted, traffic goes back to {now.stable}: {_said(obj)}")
        if now.in_progress:
            if now.aborted and all_stable(obj) and not restarting(obj):
                return Sample("recovered", f"all traffic is on stable {now.stable}, {available}")
            return Sample("unchanged", _said(obj))
    if all_newest(obj) and not restarting(obj):
        return Sample("recovered", f"all traffic is on one revision, {available}")
    return Sample("unchanged", _said(obj))


def _said(obj: Object) -> str:
    status = obj.get("status") or {}
    updated, ready = count(obj, "updatedReplicas"), count(obj, "availableReplicas")
    counts = f"{updated} pods of the newest revision, {ready} available, {desired(obj)} wanted"
    words = ": ".join(str(status[key]) for key in ("phase", "message") if status.get(key))
    return f"{words} ({counts})" if words else counts
