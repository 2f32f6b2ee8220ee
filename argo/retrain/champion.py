"""The champion: the version that serves now, as the object that serves it says."""

from __future__ import annotations

from argo.steps.api import Api, Object, Unreachable
from argo.steps.looks import Looks
from argo.steps.place import Place
from argo.steps.step import StepFailed


def champion(api: Api, kind: str, name: str, place: Place, looks: Looks, *, first: bool) -> str | None:
    """The version that most traffic gets; None where none serves yet.

    That none does is believed where its place is there and empty, or where the registry has no version
    (`first`): elsewhere the candidate would be spared its champion by a name that is mistyped.
    Raises StepFailed there, where there is no such object, and where the API server does not answer in time.
    """
    said = ""
    for _ in looks:
        try:
            obj = _stable(api, kind, name)
        except Unreachable as error:
            said = str(error)
            continue
        version = place.read(obj) or None
        if version is None and not first and (doubt := place.doubt(obj)):
            raise StepFailed(f"{kind} {api.namespace}/{name}: which version serves cannot be told: {doubt}")
        return version
    raise StepFailed(said)


def _stable(api: Api, kind: str, name: str) -> Object:
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
