"""The end states of the action `rollout`: resolved once against the object, then only compared and set. Pure.

Each is written down before the patch, as JSON, and read back after a crash. It knows whether
the object is in it (`reached`), whether the object is still as it was when it was resolved
(`untouched`), and the merge patch that leads there. What is neither, somebody else has changed.

What changes the spec leaves the intent's key in an annotation, so that a patch whose answer
was lost is told from one that never arrived, also after somebody has undone it. A status has
no such place: there, the canary's steps and pauses tell.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, ClassVar

from controller.actions.made import INTENT
from controller.kube.rollouts import RESTARTED_AT, canary, observed, restarted_at
from controller.policy.digest import digest_of
from controller.policy.serving import read_version, version_patch

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class EndState:
    """What all of them know.

    :ivar uid: of the object; another object of its name is not it.
    :ivar version: what its template asked for when this was resolved; None: it could not be told.
    :ivar key: of the intent.
    """

    do: ClassVar[str]
    subresource: ClassVar[str | None] = None

    uid: str
    version: str | None
    key: str

    def plain(self) -> Object:
        """As JSON."""
        return asdict(self)

    def reached(self, obj: Object) -> bool:
        """Whether the object is as wanted."""
        raise NotImplementedError

    def untouched(self, obj: Object, *, tried: bool) -> bool:
        """Whether the object, not in the end state, is in the state that this was resolved in.

        :param tried: a patch may have arrived before; then it must also be sure that nobody has undone that.
        """
        raise NotImplementedError

    def noticed(self, obj: Object) -> bool:
        """Whether the object's own controller has seen what was set."""
        return observed(obj)

    def patch(self, obj: Object) -> Object:
        """The merge patch for this very version of the object."""
        raise NotImplementedError

    def outputs(self) -> dict[str, Any]:
        """What verification needs to know of it."""
        return {}

    def __str__(self) -> str:
        """What has been done, for people."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class OfCanary(EndState):
    """An end state of the canary: it stands in the status.

    :ivar template: a digest of the pod template: the status may still speak of the one before.
    """

    subresource: ClassVar[str | None] = "status"

    template: str
    revision: str
    stable: str
    step: int
    pauses: list[str] = field(default_factory=list)

    def _same(self, obj: Object) -> bool:
        now = canary(obj)
        same = (now.revision, now.stable, now.aborted) == (self.revision, self.stable, False)
        return same and template_digest(obj) == self.template

    @property
    def called(self) -> str:
        """The canary, by the version that it brings."""
        return f"canary {self.version or self.revision}"


@dataclass(frozen=True, slots=True)
class Abort(OfCanary):
    """The canary aborted: all traffic goes back to the stable revision."""

    do: ClassVar[str] = "abort"

    def reached(self, obj: Object) -> bool:
        now = canary(obj)
        restored = now.revision == now.stable == self.stable  # the template, too, is the stable one again
        return restored or (now.aborted and now.revision == self.revision)

    def untouched(self, obj: Object, *, tried: bool) -> bool:
        now = canary(obj)
        # Aborted and tried anew by somebody, it would have begun at the first step, or another pause.
        further = now.step > self.step or (now.step == self.step and list(now.pauses) == self.pauses)
        return self._same(obj) and (further or not tried)

    def noticed(self, obj: Object) -> bool:
        return bool(obj["status"].get("abortedAt")) or not canary(obj).in_progress

    def patch(self, obj: Object) -> Object:
        return {"status": {"abort": True}}

    def outputs(self) -> dict[str, Any]:
        return {"revision": self.revision} | ({"aborted": self.version} if self.version else {})

    def __str__(self) -> str:
        return f"{self.called} aborted"


@dataclass(frozen=True, slots=True)
class Promote(OfCanary):
    """The canary past the step that it was at, or, without `to_step`, through all of them."""

    do: ClassVar[str] = "promote"

    to_step: int | None = None

    def reached(self, obj: Object) -> bool:
        now = canary(obj)
        if now.revision != self.revision or now.aborted:
            return False
        if now.stable == self.revision or now.promoting:
            return True
        return self.to_step is not None and now.step >= self.to_step

    def untouched(self, obj: Object, *, tried: bool) -> bool:
        now = canary(obj)
        here = now.step == self.step and (list(now.pauses) == self.pauses or not tried)
        further = self.to_step is None and now.step > self.step
        return self._same(obj) and (here or further)

    def noticed(self, obj: Object) -> bool:
        now = canary(obj)
        held = bool(now.pauses or obj["status"].get("controllerPause"))
        past = self.to_step is not None and now.step > self.to_step
        return not held or past or not now.in_progress

    def patch(self, obj: Object) -> Object:
        if self.to_step is None:
            return {"status": {"promoteFull": True}}
        return {"status": {"pauseConditions": None, "currentStepIndex": self.to_step}}

    def outputs(self) -> dict[str, Any]:
        return {"revision": self.revision} | ({"version": self.version} if self.version else {})

    def __str__(self) -> str:
        return f"{self.called} promoted " + ("in full" if self.to_step is None else f"to step {self.to_step}")


@dataclass(frozen=True, slots=True)
class OfSpec(EndState):
    """An end state of the object's spec.

    :ivar spec: a digest of the spec as it was, without the number of pods, which an autoscaler sets.
    """

    spec: str

    def untouched(self, obj: Object, *, tried: bool) -> bool:
        arrived = (obj["metadata"].get("annotations") or {}).get(INTENT) == self.key
        return spec_digest(obj) == self.spec and not arrived

    def _marked(self, change: Mapping[str, Any]) -> Object:
        return {**change, "metadata": {"annotations": {INTENT: self.key}}}


@dataclass(frozen=True, slots=True)
class Pause(OfSpec):
    """Paused by its spec: no newer revision is rolled out further."""

    do: ClassVar[str] = "pause"

    def reached(self, obj: Object) -> bool:
        return bool(obj["spec"].get("paused"))

    def patch(self, obj: Object) -> Object:
        return self._marked({"spec": {"paused": True}})

    def __str__(self) -> str:
        return "paused"


@dataclass(frozen=True, slots=True)
class Restart(OfSpec):
    """Its pods made anew since the moment `at` (RFC 3339)."""

    do: ClassVar[str] = "restart"

    at: str

    def reached(self, obj: Object) -> bool:
        asked = restarted_at(obj)
        return asked is not None and asked >= datetime.fromisoformat(self.at)

    def patch(self, obj: Object) -> Object:
        if obj["kind"] == "Rollout":
            return self._marked({"spec": {"restartAt": self.at}})
        return self._marked({"spec": {"template": {"metadata": {"annotations": {RESTARTED_AT: self.at}}}}})

    def outputs(self) -> dict[str, Any]:
        return {"restartedAt": self.at}

    def __str__(self) -> str:
        return f"restarted at {self.at}"


@dataclass(frozen=True, slots=True)
class Version(OfSpec):
    """Its pod template asks for the version `to`, at the place that `serving` names."""

    do: ClassVar[str] = "to"

    to: str
    serving: Object

    def reached(self, obj: Object) -> bool:
        return read_version(self.serving, obj) == self.to

    def patch(self, obj: Object) -> Object:
        """Raises NoPlace."""
        return self._marked(version_patch(self.serving, obj, self.to))

    def outputs(self) -> dict[str, Any]:
        return {"version": self.to}

    def __str__(self) -> str:
        before = f", before {self.version}" if self.version not in (None, self.to) else ""
        return f"set to version {self.to}{before}"


_BY_NAME: dict[str, type[EndState]] = {each.do: each for each in (Abort, Promote, Pause, Restart, Version)}


def written(do: str, resolved: Mapping[str, Any]) -> EndState:
    """An end state as it was written down."""
    return _BY_NAME[do](**resolved)


def template_digest(obj: Object) -> str:
    """What tells one revision from another before the object's own controller has named it."""
    return digest_of(_bare(obj["spec"].get("template")))


def spec_digest(obj: Object) -> str:
    """What tells whether somebody has changed the spec, other than by scaling."""
    return digest_of(_bare({key: value for key, value in obj["spec"].items() if key != "replicas"}))


def _bare(value: Any) -> Any:
    """Without what Argo Rollouts adds, leaves out or writes another way when it puts a spec back in its own words."""
    if isinstance(value, dict):
        bare = {key: _bare(each) for key, each in value.items() if key != "resources"}  # `1024Mi` becomes `1Gi`
        return {key: each for key, each in bare.items() if each}
    return [_bare(each) for each in value] if isinstance(value, list) else value
