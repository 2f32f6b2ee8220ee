"""What is no fault in a policy, and yet most likely not meant."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from controller.durations import format_duration
from controller.policy.types import Policy


def policy_warnings(policies: Iterable[Policy]) -> Iterator[str]:
    """One line for each doubt, with the policy and the path of the key."""
    for policy in policies:
        for doubt in _doubts(policy):
            yield f'RemediationPolicy "{policy.key}": {doubt}'


def _doubts(policy: Policy) -> Iterator[str]:
    correlate = policy.correlate
    if correlate is not None and policy.wait < correlate.within and not policy.page_only:
        wait, within = format_duration(policy.wait), format_duration(correlate.within)
        yield (
            f"spec.wait: {wait} is less than correlate.within ({within}): until {correlate.models} models "
            "have the cause, each is acted on"
        )
