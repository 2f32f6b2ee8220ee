"""A step that made things worse: the rung behind the ladder's last, and each of its ends."""

from __future__ import annotations

from datetime import timedelta

import pytest

from controller.decision import Reason, Refusal
from controller.judge import Verdict
from controller.policy import RolloutAction, RolloutVerification, Step
from controller.remediation import Acted, Cause, Input, Phase, Preempt, Remediation, Tick, Undo
from tests.conftest import NOON
from tests.unit.cases import HOUR, PAGE, SAMPLED, command, flags, moved, remediation, said

WITHIN = timedelta(minutes=30)
RUNG = Step(
    "restore",
    RolloutAction("restore", WITHIN, to="v4"),
    (RolloutVerification("stable", timedelta(seconds=5), WITHIN),),
    undoes=True,
)
UNDO = Undo(RUNG, {"name": "restore", "kind": "rollout", "action": {"to": "v4"}})
LADDER = (command("deploy", SAMPLED), command("retrain"), PAGE)
WORSE = Tick(judgement=said(Verdict.WORSE).judgement, undo=UNDO)
PARAMETERS = tuple({"name": step.name} for step in LADDER)


def begun() -> Remediation:
    """Verification says worse, and there is a version to go back to."""
    fresh = remediation(*LADDER, parameters=PARAMETERS)
    return moved(fresh, Tick(serving="v4"), Acted("done"), WORSE).remediation


def test_superseded_restored_nothing() -> None:
    """A first rung that found what it was about gone has touched nothing: no limit counts it."""
    abort = Step("abort", RolloutAction("abort", WITHIN))
    found = moved(remediation(abort, PAGE), Tick(), Acted("failed", reason="other_revision")).remediation
    assert (found.phase, found.reason) == (Phase.CANCELLED, Cause.SUPERSEDED)
    assert (found.acted, found.restored, found.changing) == (False, False, False)


def test_a_rung_behind_the_last() -> None:
    """The ladder gets one rung more; the ones between are passed over, and nothing below follows."""
    r = begun()
    assert (r.phase, r.reason, r.verdict, r.step, r.rung) == (Phase.PENDING, Cause.WORSE, Verdict.WORSE, 3, RUNG)
    assert r.parameters == (*PARAMETERS, UNDO.parameters)
    assert flags(r) == (True, True, True)


def test_restored() -> None:
    """Seen to serve again: people are told, and the verdict stays worse."""
    found = moved(begun(), Tick(serving="v5"), Acted("done"), said(Verdict.RECOVERED))
    after = found.remediation
    assert (after.phase, after.reason, after.verdict) == (Phase.ESCALATED, Cause.RESTORED, Verdict.WORSE)
    assert (found.page, after.version_before) == ("default", "v4")


@pytest.mark.parametrize(
    "inputs",
    [
        (Tick(), Acted("failed")),
        (Tick(), Acted("failed", reason="other_revision")),
        (Tick(), Acted("unknown")),
        (Tick(), Acted("done"), said(Verdict.UNCHANGED)),
        (Tick(), Acted("done"), said(Verdict.UNKNOWN)),
    ],
)
def test_not_restored(inputs: tuple[Input, ...]) -> None:
    """However it fails, people are told that the version of before does not serve."""
    found = moved(begun(), *inputs)
    after = found.remediation
    assert (after.phase, after.reason, after.verdict) == (Phase.ESCALATED, Cause.NOT_RESTORED, Verdict.WORSE)
    assert (found.page, found.values["version"]) == ("default", "v4")


def test_not_in_time() -> None:
    """An action that runs too long is stopped, and then it is not restored."""
    running = moved(begun(), Tick()).remediation
    found = moved(moved(running, Tick(), now=NOON + HOUR).remediation, Acted("stopped"), now=NOON + HOUR)
    assert (found.remediation.reason, found.page) == (Cause.NOT_RESTORED, "default")


def test_it_is_held_like_any_that_restores() -> None:
    """A pause holds it; an urgent remediation takes over from it."""
    held = moved(begun(), Tick(refusal=Refusal(Reason.PAUSED, {}, final=False))).remediation
    assert (held.phase, held.hold_reason, held.rung) == (Phase.PENDING, "paused", RUNG)
    assert moved(begun(), Preempt("r-1")).remediation.reason is Cause.PREEMPTED


def test_nothing_to_go_back_to() -> None:
    """Where nothing can be brought back it stops, and says why."""
    why = Tick(judgement=WORSE.judgement, undo=Undo(why_not="nobody knows"))
    found = moved(remediation(*LADDER), Tick(), Acted("done"), why)
    assert (found.remediation.phase, found.remediation.reason, found.page) == (Phase.ESCALATED, Cause.WORSE, "default")
    assert found.values["not_restored"] == "nobody knows"
