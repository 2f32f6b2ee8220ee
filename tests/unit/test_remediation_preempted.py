"""What becomes of a remediation whose model an urgent one wants."""

from __future__ import annotations

from typing import Any

import pytest

from controller.remediation import GIVES_WAY_WITHIN, Acted, Cancel, Cause, Input, Phase, Preempt, Tick, advance
from tests.conftest import NOON
from tests.unit.cases import DAY, PAGE, SAMPLED, TIMEOUT, command, flags, moved, remediation

LADDER = (command("retrain", SAMPLED), PAGE)
URGENT = Preempt("r-urgent")
STARTED, DONE = Tick(), Acted("done")


@pytest.mark.parametrize("before", [(), (Tick(approval=DAY),), (STARTED, DONE)])
def test_at_once(before: tuple[Input, ...]) -> None:
    """Where no action of it runs it is cancelled at once, and lets the model go."""
    found = moved(remediation(*LADDER), *before, URGENT)
    assert (found.remediation.phase, found.remediation.reason) == (Phase.CANCELLED, Cause.PREEMPTED)
    assert (found.values, found.page) == ({"by": "r-urgent"}, None)
    assert flags(found.remediation) == (False, True, STARTED in before)


def test_stopped_first() -> None:
    """A running action is stopped first, and the model is held until that is seen."""
    stopping = moved(remediation(*LADDER), STARTED, URGENT).remediation
    assert (stopping.phase, stopping.reason, stopping.stop_then) == (Phase.STOPPING, Cause.PREEMPTED, "preempted")
    assert stopping.holds_model
    over = moved(stopping, Acted("stopped")).remediation
    assert (over.phase, over.reason) == (Phase.CANCELLED, Cause.PREEMPTED)
    assert flags(over) == (False, True, True)


@pytest.mark.parametrize(("word", "then"), [(Cancel("ada", "no"), "cancelled"), (None, "preempted")])
def test_stopping_already(word: Any, then: str) -> None:
    """What is being stopped goes no further down its ladder; a person's word stays theirs."""
    running = moved(remediation(*LADDER), STARTED).remediation
    stopping = moved(running, word or Tick(), now=NOON + TIMEOUT).remediation
    found = advance(stopping, URGENT, NOON + TIMEOUT)
    after = found.remediation if found else stopping
    assert (after.phase, after.stop_then) == (Phase.STOPPING, then)
    if then == "preempted":  # a person's word is carried out in its own time
        assert after.deadline == NOON + TIMEOUT + GIVES_WAY_WITHIN
    assert advance(after, URGENT, NOON + TIMEOUT) is None


def test_cancelled_while_it_is_stopped_for_another() -> None:
    """A person's word after it is what the end is called by."""
    stopping = moved(remediation(*LADDER), STARTED, URGENT, Cancel("ada", "no")).remediation
    assert moved(stopping, Acted("stopped")).remediation.reason is Cause.CANCELLED


def test_not_seen_to_stop() -> None:
    """An action that is not seen to stop is of unknown fate: people are told, and the model is let go."""
    stopping = moved(remediation(*LADDER), STARTED, URGENT).remediation
    assert stopping.deadline == NOON + GIVES_WAY_WITHIN
    found = moved(stopping, Tick(), now=stopping.deadline)
    assert (found.remediation.phase, found.remediation.reason, found.page) == (
        Phase.ESCALATED,
        Cause.ACTION_UNKNOWN,
        "default",
    )
    assert not found.remediation.holds_model
