"""decide() for a policy whose first step restores."""

from __future__ import annotations

from typing import Any

import pytest

from controller.decision import Outcome, Reason, decide
from controller.policy import Policy, RolloutAction, Step
from tests.conftest import NOON
from tests.unit.cases import BROKEN_FEED, HOUR, MINUTE, MODEL, PAGE, bar, command, drift, policy, situation

ABORT = Step("abort", RolloutAction("abort", HOUR))
HELD: list[dict[str, Any]] = [
    {"wait_until": NOON + HOUR},
    {"spent": 9, "budget_frees_at": NOON + HOUR},
    {"last_end": NOON - MINUTE},
    {"fleet_active": 9},
    {"preempts": "r-other"},
]


def answered(about: Policy, **hindered: Any) -> Reason | Outcome:
    """What decide() says: the reason, or that it acts."""
    found = decide(drift(), MODEL, about, situation(**hindered), NOON)
    return found.reason or found.outcome


@pytest.mark.parametrize("steps", [(ABORT, PAGE), (ABORT, command(), PAGE)])
@pytest.mark.parametrize("hindered", HELD)
def test_what_does_not_hold_it(steps: tuple[Step, ...], hindered: dict[str, Any]) -> None:
    """Neither wait, budget, cooldown, fleet limits nor another remediation hold it."""
    assert answered(policy(*steps, wait=5 * MINUTE), **hindered) is Outcome.REMEDIATE


@pytest.mark.parametrize(
    ("hindered", "reason"),
    [
        ({"pauses": (bar(),)}, Reason.PAUSED),
        ({"silences": (bar(),)}, Reason.SILENCED),
        ({"breaker_open": True, "failures": 2}, Reason.BREAKER_OPEN),
        ({"active": "r-urgent"}, Reason.IN_PROGRESS),
    ],
)
def test_what_holds_it(hindered: dict[str, Any], reason: Reason) -> None:
    """Pause, silence, its own breaker, and another urgent one hold it."""
    assert answered(policy(ABORT, PAGE), **hindered) is reason


def test_unless() -> None:
    """A policy that only restores is held by what it names itself; one that may also change asks before that."""
    assert answered(policy(ABORT, PAGE), unless=(BROKEN_FEED,)) is Reason.INHIBITED
    assert answered(policy(ABORT, command()), unless=(BROKEN_FEED,)) is Outcome.REMEDIATE


@pytest.mark.parametrize("hindered", HELD[:4])
def test_one_that_restores_later_is_held(hindered: dict[str, Any]) -> None:
    """Only the first step makes a policy urgent."""
    held = policy(command(), ABORT, wait=5 * MINUTE)
    assert answered(held, **hindered) is not Outcome.REMEDIATE
