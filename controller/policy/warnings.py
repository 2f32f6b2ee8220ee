"""What is no fault in a policy, and yet most likely not meant."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta

from controller.durations import format_duration
from controller.policy.freeze import Freeze, Window
from controller.policy.policy_set import PolicySet, selects
from controller.policy.types import Policy, QuietVerification, ReportVerification, ResolvedVerification, Trigger

_Waiting = QuietVerification | ReportVerification | ResolvedVerification
"""Verifications that wait for what a detector says next."""
_LONG = timedelta(days=60)
"""A freeze without a gap for longer is hardly meant."""
_MOST_WINDOWS = 20_000


def policy_warnings(policies: Iterable[Policy], periods: Mapping[str, timedelta]) -> Iterator[str]:
    """One line for each doubt, with the policy and the path of the key; `periods`: how often each sender looks."""
    for policy in policies:
        for doubt in (*_doubts(policy), *_held_by_itself(policy), *_late_proofs(policy, periods)):
            yield f'RemediationPolicy "{policy.key}": {doubt}'


def freeze_warnings(policies: PolicySet, now: datetime) -> Iterator[str]:
    """One line for each doubt about a freeze of the set."""
    for freeze in policies.freezes:
        for doubt in (*_endless(freeze, now), *_of_nothing(freeze, policies)):
            yield f'Freeze "{freeze.key}": {doubt}'


def _endless(freeze: Freeze, now: datetime) -> Iterator[str]:
    """A freeze that is over, or holds for so long that what falls due in it is hardly asked again."""
    if freeze.once is not None and freeze.once.end <= now:
        yield f"spec.end: it was over {_day(freeze.once.end)}"
        return
    first = freeze.window(now) or freeze.following(now)
    if first is None:
        yield "spec.cron: it is never due"
        return
    end = _unbroken(freeze, first, now + 2 * _LONG)
    if end - max(first.start, now) > _LONG:
        yield f"it has no gap before {_day(end)}: its models are not changed until then, at the least"


def _unbroken(freeze: Freeze, window: Window, until: datetime) -> datetime:
    """When a window ends, with those that begin before the one before has ended; looked for up to `until`."""
    start, end = window.start, window.end
    for _ in range(_MOST_WINDOWS):
        later = freeze.cron.newest(start, end) if freeze.cron is not None else None
        if later is None or end > until:
            break
        start, end = later, later + freeze.duration
    return end


def _of_nothing(freeze: Freeze, policies: PolicySet) -> Iterator[str]:
    """A freeze that selects no Model, where there are any."""
    models = [model for model in policies.models.values() if model.namespace == freeze.namespace]
    if policies.models and not any(selects(freeze.models, model.name, model) for model in models):
        yield "spec.models: no Model document beside it is selected"


def _day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def _held_by_itself(policy: Policy) -> Iterator[str]:
    """A trigger whose own condition is one that holds the policy."""
    holding = {entry.type for entry in policy.unless if entry.when is None}
    if policy.urgent and policy.changing:
        return
    for at, trigger in enumerate(policy.triggers):
        if trigger.type in holding:
            yield (
                f"spec.triggers[{at}].type: while {trigger.type} is open, `unless` holds the policy, so it hardly ever "
                "acts; write `dataQuality: ignore` where that is inherited"
            )


def _doubts(policy: Policy) -> Iterator[str]:
    correlate = policy.correlate
    if correlate is not None and policy.wait < correlate.within and not policy.page_only:
        wait, within = format_duration(policy.wait), format_duration(correlate.within)
        yield (
            f"spec.wait: {wait} is less than correlate.within ({within}): until {correlate.models} models "
            "have the cause, each is acted on"
        )


def _late_proofs(policy: Policy, periods: Mapping[str, timedelta]) -> Iterator[str]:
    """Verifications whose time is over before a detector has looked again."""
    looks = [(f"the period of {source}", period) for source, period in periods.items()]
    spans = [(f"every of the trigger {trigger.name}", _every(trigger)) for trigger in policy.triggers]
    looks += [(whose, every) for whose, every in spans if every is not None]
    for at, step in enumerate(policy.steps):
        for number, verification in enumerate(step.verify):
            late = [each for each in looks if isinstance(verification, _Waiting) and verification.within < each[1]]
            if late:
                whose, period = max(late, key=lambda each: each[1])
                within = format_duration(verification.within)
                yield (
                    f"spec.steps[{at}].verify[{number}].within: {within} is shorter than {whose} "
                    f"({format_duration(period)}): it may be over before the detector looks again"
                )


def _every(trigger: Trigger) -> timedelta | None:
    """How often a trigger counts on a detector to look, where it says so."""
    periods = trigger.counter.periods if trigger.counter else None
    return periods.every if periods else None
