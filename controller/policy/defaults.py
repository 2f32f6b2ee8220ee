"""What holds where a policy says nothing: the built-in defaults, and a namespace's own (`kind: Defaults`)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Literal

from controller.durations import format_duration
from controller.policy.model import KnownGood
from controller.policy.reading import Fields, Place
from controller.policy.triggers import read_corroborations
from controller.policy.types import Breaker, Budget, Corroboration, Limits, Mode, Severity

QUALITY_FAILED = "ml.data.quality.failed"


@dataclass(frozen=True, slots=True)
class Fallback:
    """The value of every key that a policy may leave out. `unless` holds before steps that change."""

    mode: Mode
    severity: Severity
    wait: timedelta
    unless: tuple[Corroboration, ...]
    limits: Limits
    approval_expires: timedelta
    command_timeout: timedelta
    request_timeout: timedelta
    workflow_timeout: timedelta
    job_timeout: timedelta
    rollout_timeout: timedelta
    settle: timedelta
    hold: timedelta
    within: timedelta
    known_good: KnownGood
    probation: timedelta


BUILT_IN = Fallback(
    mode="audit",
    severity="P2",
    wait=timedelta(0),
    unless=(Corroboration(QUALITY_FAILED, None, timedelta(hours=6)),),
    limits=Limits(
        cooldown=timedelta(hours=24),
        budget=Budget(2, timedelta(days=7)),
        breaker=Breaker(2, timedelta(days=14)),
        max_age=timedelta(hours=48),
        min_samples=0,
    ),
    approval_expires=timedelta(hours=24),
    command_timeout=timedelta(minutes=15),
    request_timeout=timedelta(minutes=15),
    workflow_timeout=timedelta(hours=6),
    job_timeout=timedelta(hours=6),
    rollout_timeout=timedelta(minutes=30),
    settle=timedelta(minutes=10),
    hold=timedelta(minutes=5),
    within=timedelta(hours=4),
    known_good=KnownGood(),
    probation=timedelta(hours=24),
)


def read_defaults(spec: Place) -> Fallback:
    """The built-in defaults as changed by a Defaults document's `spec`; faults are noted at their places."""
    fields = spec.fields("defaults")
    timeout = fields.at("timeout").fields("timeout") if "timeout" in fields else None
    changed = replace(
        BUILT_IN,
        mode=read_mode(fields, BUILT_IN.mode),
        severity=read_severity(fields, BUILT_IN.severity),
        wait=duration(fields, "wait", BUILT_IN.wait, zero=True),
        unless=() if ignores_quality(fields) else BUILT_IN.unless,
        limits=read_limits(fields, BUILT_IN.limits),
        approval_expires=read_approval(fields, BUILT_IN.approval_expires),
        command_timeout=duration(timeout, "command", BUILT_IN.command_timeout),
        request_timeout=duration(timeout, "request", BUILT_IN.request_timeout),
        workflow_timeout=duration(timeout, "workflow", BUILT_IN.workflow_timeout),
        job_timeout=duration(timeout, "job", BUILT_IN.job_timeout),
        rollout_timeout=duration(timeout, "rollout", BUILT_IN.rollout_timeout),
        settle=duration(fields, "settle", BUILT_IN.settle, zero=True),
        hold=duration(fields, "for", BUILT_IN.hold, zero=True),
        within=duration(fields, "within", BUILT_IN.within),
        probation=duration(fields, "probation", BUILT_IN.probation, zero=True),
    )
    changed = replace(changed, known_good=read_known_good(fields, BUILT_IN.known_good))
    check_room(fields, changed.within, ("settle", changed.settle), ("for", changed.hold))
    own = fields.get("unless")
    return replace(changed, unless=read_unless(own, changed.unless)) if own else changed


def read_known_good(fields: Fields, fallback: KnownGood) -> KnownGood:
    """`lastKnownGood` of a Model, or of Defaults."""
    if "lastKnownGood" not in fields:
        return fallback
    own = fields.at("lastKnownGood").fields("lastKnownGood")
    return KnownGood(duration(own, "soak", fallback.soak), duration(own, "maxAge", fallback.max_age))


def read_unless(own: Place | None, inherited: tuple[Corroboration, ...]) -> tuple[Corroboration, ...]:
    """The written entries, then those inherited whose type no entry without `when` names.

    An entry without `when` sets its own `within` for its type; one with `when` only adds to
    what is inherited, since the default is turned off by `dataQuality: ignore` alone.
    """
    written = read_corroborations(own, "conditions", unless=True) if own else ()
    restated = {entry.type for entry in written if entry.when is None}
    return (*written, *(entry for entry in inherited if entry.type not in restated))


def ignores_quality(fields: Fields) -> bool:
    """Whether `dataQuality: ignore` is written."""
    place = fields.get("dataQuality")
    if place is not None:
        place.one_of("ignore")
    return place is not None


def read_mode(fields: Fields, fallback: Mode) -> Mode:
    """`mode`, as written or as it falls back."""
    place = fields.get("mode")
    mode: Mode = place.one_of("audit", "approve", "enforce") if place else fallback
    return mode


def read_severity(fields: Fields, fallback: Severity) -> Severity:
    """`severity`, as written or as it falls back."""
    place = fields.get("severity")
    severity: Severity = place.one_of("P1", "P2", "P3", "P4") if place else fallback
    return severity


def read_limits(fields: Fields, fallback: Limits) -> Limits:
    """`limits`, each as written or as it falls back."""
    if "limits" not in fields:
        return fallback
    limits = fields.at("limits").fields("limits")
    samples, scope = limits.get("minSamples"), limits.get("scope")
    choice: Literal["model", "policy"] = scope.one_of("model", "policy") if scope else fallback.scope
    return Limits(
        cooldown=duration(limits, "cooldown", fallback.cooldown),
        budget=_budget(limits, fallback.budget),
        breaker=_breaker(limits, fallback.breaker),
        max_age=duration(limits, "maxAge", fallback.max_age),
        min_samples=samples.whole(0) if samples else fallback.min_samples,
        scope=choice,
    )


def read_approval(fields: Fields, fallback: timedelta) -> timedelta:
    """How long a person is waited for: `approval.expires`, as written or as it falls back."""
    return duration(fields.at("approval").fields("approval"), "expires", fallback) if "approval" in fields else fallback


def _budget(limits: Fields, fallback: Budget) -> Budget:
    if "budget" not in limits:
        return fallback
    fields = limits.at("budget").fields("budget")
    most, within = fields.need("max", "a whole number of 1 or more"), fields.need("within", "a duration")
    return Budget(most.whole(1), within.duration()) if most and within else fallback


def _breaker(limits: Fields, fallback: Breaker) -> Breaker:
    if "breaker" not in limits:
        return fallback
    fields = limits.at("breaker").fields("breaker")
    failures, within = fields.need("failures", "a whole number of 1 or more"), fields.need("within", "a duration")
    return Breaker(failures.whole(1), within.duration()) if failures and within else fallback


def duration(fields: Fields | None, key: str, fallback: timedelta, *, zero: bool = False) -> timedelta:
    """The duration under `key`, or what it falls back to where it is not written."""
    place = fields.get(key) if fields else None
    return place.duration(zero=zero) if place else fallback


def check_room(fields: Fields, within: timedelta, *parts: tuple[str, timedelta]) -> None:
    """What must hold for a while after settling needs that while before the deadline."""
    needed = sum((length for _, length in parts), timedelta())
    if within and within <= needed:
        names = " + ".join(name for name, _ in parts)
        got = "got" if "within" in fields else "got the default"
        message = f'want more than {names} ({format_duration(needed)}), {got} "{format_duration(within)}"'
        fields.at("within").refuse(message)
