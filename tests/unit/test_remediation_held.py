"""A rung that is held: for how long, under which reason, and what lets it go."""

from __future__ import annotations

from datetime import timedelta

import pytest

from controller.decision import Reason, Refusal
from controller.remediation import HELD_AT_MOST, Acted, Cause, Phase, Tick, advance
from tests.conftest import NOON
from tests.unit.cases import HOUR, MINUTE, PAGE, QUIET, SAMPLED, SECOND, command, flags, moved, remediation, request

LATER = NOON + HOUR
PAUSED = Refusal(Reason.PAUSED, {"id": "p-1"}, final=False)
INHIBITED = Refusal(Reason.INHIBITED, {"condition": "c-1"}, final=False)
OVER = Refusal(Reason.STALE, {"why": "over"}, final=True)
LADDER = (command("retrain", SAMPLED), request("hook", QUIET), PAGE)


def test_held_for_a_day_then_cancelled() -> None:
    """What refuses holds the step for at most 24h in all, under its newest reason; then people are told."""
    found = moved(remediation(*LADDER), Tick(refusal=PAUSED))
    held = found.remediation
    end = NOON + HELD_AT_MOST
    assert timedelta(hours=24) == HELD_AT_MOST
    assert (held.phase, held.reason, held.hold_reason, held.hold_until, held.next_at) == (
        Phase.PENDING,
        Cause.HELD,
        "paused",
        end,
        end,
    )
    assert found.values == {"held": Reason.PAUSED, "id": "p-1"}
    assert advance(held, Tick(refusal=PAUSED), LATER) is None
    other = moved(held, Tick(refusal=INHIBITED), now=LATER).remediation
    assert (other.hold_reason, other.hold_until, other.version) == ("inhibited", end, 3)
    assert advance(other, Tick(refusal=INHIBITED), end - SECOND) is None
    found = moved(other, Tick(refusal=INHIBITED), now=end)
    assert (found.remediation.phase, found.remediation.reason, found.page) == (Phase.CANCELLED, Cause.HELD, "default")
    assert found.values == {"held": Reason.INHIBITED, "condition": "c-1"}
    assert flags(found.remediation) == (False, True, False)


@pytest.mark.parametrize("hours", [1, 24, 30])
def test_released(hours: int) -> None:
    """When nothing refuses any more the rung starts; the next rung may be held for its own 24h."""
    held = moved(remediation(*LADDER), Tick(refusal=PAUSED)).remediation
    now = NOON + hours * HOUR
    running = moved(held, Tick(), now=now).remediation
    assert (running.phase, running.hold_reason, running.hold_until) == (Phase.RUNNING, None, None)
    below = moved(running, Acted("failed"), Tick(refusal=PAUSED), now=now + MINUTE).remediation
    assert (below.step, below.hold_until) == (1, now + MINUTE + HELD_AT_MOST)


@pytest.mark.parametrize("held", [False, True])
def test_over_before_a_rung(held: bool) -> None:
    """What is over is cancelled at once, held or not, and nobody is woken for it."""
    given = moved(remediation(*LADDER), Tick(refusal=PAUSED)).remediation if held else remediation(*LADDER)
    found = moved(given, Tick(refusal=OVER))
    assert (found.remediation.phase, found.remediation.reason, found.page) == (Phase.CANCELLED, Cause.OVER, None)
    assert (found.values, flags(found.remediation)) == ({"why": "over"}, (False, True, False))


def test_a_page_is_held_too() -> None:
    """A pause holds the page at the ladder's end; it is not skipped."""
    at_page = moved(remediation(command(), PAGE), Tick(), Acted("failed")).remediation
    held = moved(at_page, Tick(refusal=PAUSED)).remediation
    assert (held.phase, held.hold_reason) == (Phase.PENDING, "paused")
    assert moved(held, Tick(), now=LATER).page == "oncall"
