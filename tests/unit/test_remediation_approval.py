"""A step before which a person is asked: yes, no, no answer, and what is over before there is one."""

from __future__ import annotations

from controller.decision import Reason, Refusal
from controller.remediation import Acted, Approve, Cancel, Cause, Phase, Reject, Tick, advance
from tests.conftest import NOON
from tests.unit.cases import DAY, HOUR, PAGE, SECOND, command, flags, moved, remediation

ASK = Tick(approval=DAY)
PAUSED = Refusal(Reason.PAUSED, {"id": "p-1"}, final=False)
OVER = Refusal(Reason.STALE, {"why": "over"}, final=True)
YES, NO = Approve("ada", "go"), Reject("ada", "not today")
LADDER = (command("retrain"), command("deploy"), PAGE)


def test_asked_first() -> None:
    """Where a person must be asked, the step awaits the answer until it expires, and holds the model."""
    found = moved(remediation(*LADDER), ASK)
    r = found.remediation
    assert (r.phase, r.reason, r.approval_expires, r.next_at) == (
        Phase.AWAITING_APPROVAL,
        Cause.AWAITING,
        NOON + DAY,
        NOON + DAY,
    )
    assert (found.values, flags(r)) == ({"until": NOON + DAY}, (True, True, False))
    assert advance(r, ASK, NOON + HOUR) is None


def test_held_before_it_is_asked() -> None:
    """What holds the step holds the asking."""
    assert moved(remediation(*LADDER), Tick(refusal=PAUSED, approval=DAY)).remediation.phase is Phase.PENDING


def test_yes() -> None:
    """An approved step starts at the next look; the step after it is asked about anew."""
    approved = moved(remediation(*LADDER), ASK, YES)
    assert (approved.remediation.phase, approved.remediation.reason) == (Phase.PENDING, Cause.APPROVED)
    assert (approved.values, approved.remediation.next_at) == ({"who": "ada", "why": "go"}, NOON)
    running = moved(approved.remediation, ASK).remediation
    assert (running.phase, running.step) == (Phase.RUNNING, 0)
    below = moved(running, Acted("failed"), ASK).remediation
    assert (below.phase, below.step) == (Phase.AWAITING_APPROVAL, 1)


def test_approved_and_held() -> None:
    """What refuses an approved step holds it; the yes is remembered."""
    held = moved(remediation(*LADDER), ASK, YES, Tick(refusal=PAUSED, approval=DAY)).remediation
    assert (held.phase, held.hold_reason, held.approved) == (Phase.PENDING, "paused", True)
    assert moved(held, ASK, now=NOON + HOUR).remediation.phase is Phase.RUNNING


def test_no() -> None:
    """A no ends it: nothing was done, the cooldown is kept."""
    found = moved(remediation(*LADDER), ASK, NO)
    assert (found.remediation.phase, found.remediation.reason) == (Phase.CANCELLED, Cause.REJECTED)
    assert (found.values, flags(found.remediation)) == ({"who": "ada", "why": "not today"}, (False, True, False))


def test_no_answer() -> None:
    """An approval that nobody gives in time is a no."""
    asked = moved(remediation(*LADDER), ASK).remediation
    assert advance(asked, Tick(), NOON + DAY - SECOND) is None
    found = moved(asked, Tick(), now=NOON + DAY).remediation
    assert (found.phase, found.reason, found.approval_expires) == (Phase.CANCELLED, Cause.EXPIRED, None)


def test_lapsed() -> None:
    """Nobody is asked about what is over; what only holds for now leaves the question open."""
    asked = moved(remediation(*LADDER), ASK).remediation
    assert advance(asked, Tick(refusal=PAUSED), NOON + HOUR) is None
    found = moved(asked, Tick(refusal=OVER), now=NOON + HOUR)
    assert (found.remediation.phase, found.remediation.reason) == (Phase.CANCELLED, Cause.OVER)
    assert found.values == {"why": "over"}


def test_cancelled_while_asked() -> None:
    """A person may stop it instead of answering."""
    found = moved(remediation(*LADDER), ASK, Cancel("ada", "wrong data")).remediation
    assert (found.phase, found.reason) == (Phase.CANCELLED, Cause.CANCELLED)
