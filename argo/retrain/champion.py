"""The champion: the version that serves now, as the object that serves it says."""

from __future__ import annotations

from argo.steps.api import Api, Unreachable
from argo.steps.looks import Looks
from argo.steps.place import Place
from argo.steps.step import StepFailed


def champion(api: Api, kind: str, name: str, place: Place, looks: Looks) -> str | None:
    """The version that most traffic gets; None where the object names none yet.

    Raises StepFailed where there is no such object, or the API server does not answer in time.
    """
    said = ""
    for _ in looks:
        try:
            return place.read(_stable(api, kind, name))
        except Unreachable as error:
            said = str(error)
    raise StepFailed(said)


def _stable(api: Api, kind: str, name: str) -> dict[str, object]:
    """What holds the stable pod template.

    A Rollout in the middle of a canary, or aborted in one, has the new version in its own
    template; what serves is then its stable ReplicaSet.
    """
    obj = api.get(kind, name)
    status = obj.get("status") or {}
    stable = status.get("stableRS")
    if kind == "Rollout" and stable and stable != status.get("currentPodHash"):
        return api.get("ReplicaSet", f"{name}-{stable}")
    return obj
