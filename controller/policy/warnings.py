"""What is no fault in a policy, and yet most likely not meant."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta

from controller.durations import format_duration
from controller.policy.types import Policy, QuietVerification, ReportVerification, ResolvedVerification, Trigger

_Waiting = QuietVerification | ReportVerification | ResolvedVerification
"""Verifications that wait for what a detector says next."""


def policy_warnings(policies: Iterable[Policy], periods: Mapping[str, timedelta]) -> Iterator[str]:
    """One line for each doubt, with the policy and the path of the key; `periods`: how often each sender looks."""
    for policy in policies:
        for doubt in (*_doubts(policy), *_late_proofs(policy, periods)):
            yield f'RemediationPolicy "{policy.key}": {doubt}'


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
