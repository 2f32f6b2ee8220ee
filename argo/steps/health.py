"""What the status of a Rollout or a Deployment says about the version that it was given last."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Object = dict[str, Any]
Goal = Literal["canary", "healthy"]

_STALLED = "ProgressDeadlineExceeded"
_PAUSES = {"CanaryPauseStep", "BlueGreenPause"}
"""Why a Rollout stands still where its strategy wants it to, the new pods being available."""


@dataclass(frozen=True, slots=True)
class Health:
    """How far it is; `message` is what the object says of itself."""

    state: Literal["reached", "under way", "failed"]
    message: str


def judge(obj: Object, goal: Goal) -> Health:
    """Whether the version is where it should be: at the first pause of its canary, or everywhere.

    A Deployment has no canary: there both goals are one.
    """
    return _rollout(obj, goal) if obj["kind"] == "Rollout" else _deployment(obj)


def _rollout(obj: Object, goal: Goal) -> Health:
    status = obj.get("status") or {}
    if status.get("observedGeneration") != str(obj["metadata"]["generation"]):
        return Health("under way", "the controller has not seen the change yet")
    phase, reason = status.get("phase", "Unknown"), status.get("message") or ""
    message = f"{phase}: {reason}" if reason else phase
    if phase == "Healthy":
        return Health("reached", message)
    if phase == "Paused" and reason in _PAUSES and goal == "canary":
        return Health("reached", message)
    if phase == "Degraded" or reason == "InconclusiveAnalysisRun":
        return Health("failed", message)
    return Health("under way", f"{message} ({_count(status)})")


def _deployment(obj: Object) -> Health:
    status, wanted = obj.get("status") or {}, obj["spec"].get("replicas", 1)
    if status.get("observedGeneration", 0) < obj["metadata"]["generation"]:
        return Health("under way", "the controller has not seen the change yet")
    conditions = {condition["type"]: condition for condition in status.get("conditions") or ()}
    progressing = conditions.get("Progressing", {})
    if progressing.get("reason") == _STALLED:
        return Health("failed", f"{_STALLED}: {progressing.get('message', '')}")
    updated, available = status.get("updatedReplicas", 0), status.get("availableReplicas", 0)
    if updated == status.get("replicas", 0) == wanted <= available:
        return Health("reached", f"{available} of {wanted} pods available")
    if conditions.get("ReplicaFailure", {}).get("status") == "True":
        return Health("under way", conditions["ReplicaFailure"].get("message", "pods are refused"))
    return Health("under way", _count(status))


def _count(status: Object) -> str:
    """Kubernetes leaves out a count of zero."""
    new, ready, whole = (status.get(key, 0) for key in ("updatedReplicas", "availableReplicas", "replicas"))
    return f"{new} of {whole} pods are new, {ready} of {whole} available"
