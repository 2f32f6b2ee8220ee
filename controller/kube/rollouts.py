"""How a Rollout or a Deployment stands, as its own controller last saw it. Pure: reads the object's JSON.

A revision is a pod template; Argo Rollouts names it by a hash. A canary is a newest revision
beside a stable one, under way or aborted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

Object = Mapping[str, Any]

RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"
"""The annotation of a Deployment's pod template by which kubectl restarts it."""


@dataclass(frozen=True, slots=True)
class Canary:
    """A Rollout's newest revision beside its stable one.

    :ivar stable: the revision that served before; "" while there was none.
    :ivar step: the index of the canary step it is at, of `steps`.
    :ivar pauses: when each pause that holds it began.
    """

    revision: str
    stable: str
    step: int
    steps: int
    aborted: bool
    promoting: bool
    pauses: tuple[str, ...]

    @property
    def in_progress(self) -> bool:
        """Whether the newest revision, aborted or not, is another one than the stable."""
        return bool(self.stable) and self.revision != self.stable


def canary(rollout: Object) -> Canary:
    """Where a Rollout's canary stands; meaningful where its controller has `observed` its spec."""
    status = rollout.get("status") or {}
    strategy = (rollout["spec"].get("strategy") or {}).get("canary") or {}
    return Canary(
        revision=str(status.get("currentPodHash") or ""),
        stable=str(status.get("stableRS") or ""),
        step=int(status.get("currentStepIndex") or 0),
        steps=len(strategy.get("steps") or ()),
        aborted=bool(status.get("abort")),
        promoting=bool(status.get("promoteFull")),
        pauses=tuple(str(each.get("startTime")) for each in status.get("pauseConditions") or ()),
    )


def observed(obj: Object) -> bool:
    """Whether the status speaks of the newest spec. A Rollout says so in text; before 0.10 by a hash, taken as yes."""
    seen = str((obj.get("status") or {}).get("observedGeneration") or "")
    if obj["kind"] == "Rollout" and seen and not seen.isdecimal():
        return True
    return seen != "" and int(seen) >= int(obj["metadata"].get("generation") or 0)


def desired(obj: Object) -> int:
    """How many pods it should have."""
    replicas = obj["spec"].get("replicas")
    return 1 if replicas is None else int(replicas)


def count(obj: Object, name: str) -> int:
    """A number of pods from its status, such as `availableReplicas`."""
    return int((obj.get("status") or {}).get(name) or 0)


def trouble(obj: Object, since: datetime | None) -> str:
    """What its controller says it cannot get past, or ''.

    :param since: a deadline missed earlier is another change's, and stays said until pods of this one come or go;
        None: none is known to be this change's.
    """
    for condition in (obj.get("status") or {}).get("conditions") or ():
        late = condition.get("type") == "Progressing" and condition.get("reason") == "ProgressDeadlineExceeded"
        said = _moment(condition.get("lastUpdateTime"))
        stuck = late and since is not None and said is not None and said > since
        if stuck or (condition.get("type") == "InvalidSpec" and condition.get("status") == "True"):
            return f"{condition.get('reason')}: {condition.get('message')}"
    return ""


def all_newest(obj: Object) -> bool:
    """Whether all that was asked for is there of the newest revision, available, and gets all traffic."""
    if not observed(obj) or count(obj, "updatedReplicas") < desired(obj):
        return False
    if count(obj, "availableReplicas") < desired(obj):
        return False
    if obj["kind"] == "Rollout":
        now = canary(obj)
        return bool(now.stable) and now.revision == now.stable and _all_traffic(obj, to=now.stable)
    return count(obj, "replicas") == count(obj, "updatedReplicas")


def all_stable(rollout: Object) -> bool:
    """Whether all traffic of an aborted Rollout is on the stable revision again, and enough pods of that are there."""
    now = canary(rollout)
    if not observed(rollout) or not _all_traffic(rollout, to=now.stable):
        return False
    # Of the pods that are available, as many as there are of the canary may be the canary's.
    preview = 0 if _blue_green(rollout) else count(rollout, "updatedReplicas")
    return count(rollout, "availableReplicas") - preview >= desired(rollout)


def _all_traffic(rollout: Object, *, to: str) -> bool:
    status = rollout.get("status") or {}
    if _blue_green(rollout):
        return bool((status.get("blueGreen") or {}).get("activeSelector") == to)
    weights = (status.get("canary") or {}).get("weights")
    if weights:
        stable = weights.get("stable") or {}
        return not (weights.get("canary") or {}).get("weight") and stable.get("podTemplateHash") in (None, "", to)
    # Without a router, traffic goes where pods are.
    others = count(rollout, "updatedReplicas")
    if canary(rollout).revision == to:
        others = count(rollout, "replicas") - others
    return others == 0


def _blue_green(rollout: Object) -> bool:
    return bool((rollout["spec"].get("strategy") or {}).get("blueGreen"))


def restarted_at(obj: Object) -> datetime | None:
    """The moment since which its pods are to be new ones, where somebody has asked for that."""
    if obj["kind"] == "Rollout":
        return _moment(obj["spec"].get("restartAt"))
    template = obj["spec"].get("template") or {}
    return _moment(((template.get("metadata") or {}).get("annotations") or {}).get(RESTARTED_AT))


def restarting(obj: Object) -> bool:
    """Whether a Rollout still replaces the pods from before its `restartAt`; a Deployment does it by a new revision."""
    if obj["kind"] != "Rollout" or (wanted := restarted_at(obj)) is None:
        return False
    done = _moment((obj.get("status") or {}).get("restartedAt"))
    return done is None or done < wanted


def _moment(text: object) -> datetime | None:
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return found if found.tzinfo else None
