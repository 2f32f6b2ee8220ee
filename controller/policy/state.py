"""What is known of a model besides its document: which versions serve, since when, which is known to be good.

Pure. What teaches it (an object in a cluster, `ml.model.deployed`, a verified remediation) becomes
the next state by a function here; taught the same twice, it stays as it is. A detector's event
teaches nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal, TypeAlias

OTHERS = "others"
"""Who deployed or trained where it was no remediation of ours."""

Role: TypeAlias = Literal["stable", "canary", "unknown"]


@dataclass(frozen=True, slots=True)
class ModelState:
    """What is known of one model; None: not known.

    :ivar stable: the version that serves, or, since `unknown_since`, the last one known to.
    :ivar stable_since: when that was learnt, or told.
    :ivar arriving: a version on its way that is no canary: a Deployment that replaces its pods.
    :ivar stable_revision, canary_revision: what the serving object calls them; "" where it names none.
    :ivar coming_by: who brought the canary, or what arrives: a remediation's id, or `OTHERS`.
    :ivar unknown_since: when the serving object was gone, or no longer told its version.
    :ivar learnt_from: `serving`, `event` or `remediation`.
    :ivar deployed_at: when the stable version changed; None while only one was ever seen.
    :ivar told_reference: what `ml.model.deployed` called the reference data of the version `reference_of`.
    :ivar good_since: when the last known good version was first known to be good.
    :ivar good_until: when it last served; None while it does.
    :ivar good_by: the remediation that verified it, or `soak`.
    """

    stable: str | None = None
    stable_since: datetime | None = None
    stable_revision: str = ""
    canary: str | None = None
    canary_revision: str = ""
    arriving: str | None = None
    coming_by: str | None = None
    unknown_since: datetime | None = None
    learnt_from: str | None = None
    deployed_at: datetime | None = None
    deployed_by: str | None = None
    trained_at: datetime | None = None
    trained_by: str | None = None
    told_reference: str | None = None
    reference_of: str | None = None
    last_known_good: str | None = None
    good_since: datetime | None = None
    good_until: datetime | None = None
    good_by: str | None = None

    @property
    def serving(self) -> str | None:
        """The stable version, where it is known now."""
        return None if self.unknown_since is not None else self.stable

    @property
    def reference(self) -> str | None:
        """The reference data of the version that serves, where somebody told it."""
        return self.told_reference if self.reference_of is not None and self.reference_of == self.serving else None

    def role(self, version: str | None) -> Role:
        """What a version is here."""
        if version is None:
            return "unknown"
        if version == self.canary:
            return "canary"
        return "stable" if version == self.serving else "unknown"

    def knows(self, version: str) -> bool:
        """Whether a version of this name serves, or is about to."""
        return version in (self.stable, self.canary, self.arriving)

    def former(self, version: str | None) -> bool:
        """Whether it is known that this version does not serve, nor is about to."""
        return version is not None and self.serving is not None and not self.knows(version)

    def to_go_back_to(self) -> tuple[str | None, str | None]:
        """The last known good version; or why there is nothing to go back to, for people."""
        good = self.last_known_good
        if good is None:
            return None, "no version of the model is known to be good"
        if good == self.serving and self.canary is None and self.arriving is None:
            return None, f"version {good}, the last known to be good, is what serves now"
        return good, None

    def good_too_old(self, max_age: timedelta, now: datetime) -> bool:
        """Whether the last known good version served so long ago that a person is to be asked before it does again."""
        return self.good_until is not None and now - self.good_until > max_age

    def shown(self) -> dict[str, Any]:
        """What expressions see of it; what is not known is absent."""
        named = {
            "version": self.serving,
            "canary": self.canary,
            "lastKnownGood": self.last_known_good,
            "deployedAt": self.deployed_at,
            "trainedAt": self.trained_at,
        }
        return {name: value for name, value in named.items() if value is not None}


NOTHING = ModelState()
"""What is known of a model that nobody spoke of."""


@dataclass(frozen=True, slots=True)
class Serves:
    """What the serving object shows; `told` False: it is gone, or its version cannot be told.

    Of a stable revision beside a canary the object does not say the version: `stable` is None then.
    """

    told: bool = True
    stable: str | None = None
    stable_revision: str = ""
    canary: str | None = None
    canary_revision: str = ""
    arriving: str | None = None

    def plain(self) -> dict[str, Any]:
        """As JSON; `serves_from` reads it."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def serves_from(plain: Mapping[str, Any]) -> Serves:
    """What `Serves.plain` wrote."""
    return Serves(**plain)


def shown_serving(state: ModelState, seen: Serves, by: str, now: datetime) -> ModelState:
    """The state after the serving object was seen.

    :param by: who is at work on the model now: a remediation's id, or `OTHERS`.
    """
    if not seen.told:
        if state.learnt_from != "serving" or state.unknown_since is not None:
            return state
        return replace(state, unknown_since=now, canary=None, canary_revision="", arriving=None, coming_by=None)
    stable = seen.stable or _called(state, seen)
    canary = seen.canary if seen.canary != stable else None  # the same version again, in other surroundings
    coming = canary or (seen.arriving if seen.arriving != stable else None)
    brought = by if coming not in (None, state.canary, state.arriving) else state.coming_by
    if stable is not None:
        mover = brought if stable in (state.canary, state.arriving) and brought else by
        after = _stable(state, stable, mover, now)
    else:  # a canary beside a revision whose version nobody saw
        after = replace(state, unknown_since=state.unknown_since or now)
    return replace(
        after,
        learnt_from="serving",
        stable_revision=seen.stable_revision if stable is not None else "",
        canary=canary,
        canary_revision=seen.canary_revision,
        arriving=coming if canary is None else None,
        coming_by=brought if coming is not None else None,
    )


def _called(state: ModelState, seen: Serves) -> str | None:
    """The version of a stable revision that was seen before as stable, or as the canary."""
    if not seen.stable_revision:  # a Deployment that replaces its pods: what served goes on serving
        return state.serving
    if seen.stable_revision == state.stable_revision:
        return state.stable
    return state.canary if seen.stable_revision == state.canary_revision else None


def _stable(state: ModelState, version: str, by: str, at: datetime, *, told: datetime | None = None) -> ModelState:
    """The state with this version serving from `at` on; `told`: the first one ever was deployed then."""
    known = replace(state, unknown_since=None)
    if version == state.stable:
        return known
    good_until = state.good_until
    if state.last_known_good is not None and state.last_known_good == state.stable:
        good_until = at
    elif state.last_known_good == version:
        good_until = None
    known = replace(known, stable=version, stable_since=at, good_until=good_until)
    if state.stable is None:
        return replace(known, deployed_at=told, deployed_by=by if told else None)
    return replace(known, deployed_at=at, deployed_by=by)


def told_deployed(
    state: ModelState, version: str, at: datetime, by: str, *, role: Literal["stable", "canary"], watched: bool
) -> ModelState:
    """The state after `ml.model.deployed` said that this version serves in this role from `at` on.

    A deployment of a stable version ends the canary. One told later than a newer one changes nothing.

    :param watched: a serving object is seen; what serves is then learnt from that alone.
    """
    if (watched and state.learnt_from == "serving" and state.unknown_since is None) or (
        state.stable_since is not None and at < state.stable_since
    ):
        return state
    if role == "canary":
        canary = None if version == state.serving else version
        return replace(state, canary=canary, canary_revision="", learnt_from="event")
    after = _stable(state, version, by, at, told=at)
    return replace(after, canary=None, canary_revision="", arriving=None, coming_by=None, learnt_from="event")


def told_reference(state: ModelState, version: str, reference: str) -> ModelState:
    """The state after somebody said what reference data this version goes by: it counts while that version serves."""
    return replace(state, told_reference=reference, reference_of=version)


def trained(state: ModelState, at: datetime, by: str) -> ModelState:
    """The state after a training that ended at `at`; an earlier one than known changes nothing."""
    if state.trained_at is not None and at <= state.trained_at:
        return state
    return replace(state, trained_at=at, trained_by=by)


def verified(
    state: ModelState, version: str | None, by: str, now: datetime, *, watched: bool, promoted: bool = False
) -> ModelState:
    """The state after a remediation recovered: what it brought serves and is good; else what serves is.

    Where a serving object is seen, a version that was never seen in it is not what was verified.

    :param version: what the remediation's action reported, as the model's own names have it.
    :param promoted: it was verified to have all the traffic, which a watch may not have shown yet.
    """
    after, seen = state, watched and state.learnt_from == "serving"
    if seen and version not in (None, state.stable, state.canary, state.arriving) and not promoted:
        return state
    if version is not None and not seen:
        after = _stable(state, version, by, now, told=now)
        after = replace(after, canary=None, canary_revision="", arriving=None, learnt_from="remediation")
    good = version or after.serving
    return after if good is None else known_good(after, good, by, now)


def known_good(state: ModelState, version: str, by: str, now: datetime) -> ModelState:
    """The state with this version known to be good; one that was already keeps since when."""
    if version == state.last_known_good:
        return state if version != state.serving else replace(state, good_until=None)
    serves = version == state.serving
    return replace(state, last_known_good=version, good_since=now, good_until=None if serves else now, good_by=by)
