"""advance(): every phase meets every input; the ladder, holding, stopping, and what each end leaves behind."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from controller.decision import Reason, Refusal
from controller.judge import Verdict
from controller.policy import JobAction, RolloutVerification, Step, WorkflowAction
from controller.remediation import (
    Acted,
    Approve,
    Cancel,
    Cause,
    IllegalTransition,
    Input,
    Phase,
    Preempt,
    Reject,
    Remediation,
    Tick,
    advance,
    may_change,
    remediation_id,
    run_length,
)
from tests.conftest import NOON
from tests.unit.cases import (
    HOUR,
    MINUTE,
    PAGE,
    QUIET,
    RESOLVED,
    SAMPLED,
    SECOND,
    TIMEOUT,
    command,
    flags,
    moved,
    policy,
    remediation,
    request,
    said,
)

LATER = NOON + HOUR
NO = Cancel("ada", "not now")
PAUSED = Refusal(Reason.PAUSED, {"id": "p-1"}, final=False)
INHIBITED = Refusal(Reason.INHIBITED, {"condition": "c-1"}, final=False)
OVER = Refusal(Reason.STALE, {"why": "over"}, final=True)
LADDER = (command("retrain", SAMPLED), request("hook", QUIET), PAGE)


def standing(phase: Phase, *steps: Any, **changes: Any) -> Remediation:
    """A remediation in this phase on its first rung; Stopping: at its timeout."""
    fresh = replace(remediation(*(steps or LADDER)), **changes)
    if phase is Phase.PENDING:
        return fresh
    if phase is Phase.AWAITING_APPROVAL:
        return moved(fresh, Tick(approval=24 * HOUR)).remediation
    if phase is Phase.VERIFYING:
        return moved(fresh, Tick(), Acted("done")).remediation
    running = moved(fresh, Tick()).remediation
    return moved(running, Tick(), now=NOON + TIMEOUT).remediation if phase is Phase.STOPPING else running


OPEN = (Phase.PENDING, Phase.AWAITING_APPROVAL, Phase.RUNNING, Phase.VERIFYING, Phase.STOPPING)
INPUTS: tuple[Input, ...] = (
    Tick(), Tick(refusal=PAUSED), Tick(refusal=OVER), said(None), *(said(verdict) for verdict in Verdict),
    Acted("done"), Acted("failed"), Acted("stopped"), Acted("unknown"), NO,
    Approve("ada", "go"), Reject("ada", "no"), Preempt("r-urgent"),
)  # fmt: skip


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase.terminal])
@pytest.mark.parametrize("given", INPUTS)
def test_terminal_absorbs(phase: Phase, given: Input) -> None:
    """Nothing moves what is over, and nothing raises."""
    assert advance(remediation(*LADDER, phase=phase, ended_at=NOON), given, LATER) is None


def test_open_phases() -> None:
    """Five phases are not terminal."""
    assert tuple(sorted((phase for phase in Phase if not phase.terminal), key=OPEN.index)) == OPEN


@pytest.mark.parametrize("phase", [Phase.PENDING, Phase.AWAITING_APPROVAL, Phase.VERIFYING])
@pytest.mark.parametrize("state", ["done", "failed", "stopped", "unknown"])
def test_illegal_pairs(phase: Phase, state: Any) -> None:
    """An action cannot end where none runs."""
    with pytest.raises(IllegalTransition, match=f"Acted in {phase}"):
        advance(standing(phase), Acted(state), LATER)


# phase, input → phase, reason, step, verdict, receiver paged; None: nothing moves
PAIRS: list[tuple[Phase, Input, tuple[Phase, Cause, int, Verdict, str | None] | None]] = [
    (Phase.PENDING, Tick(), (Phase.RUNNING, Cause.STARTED, 0, Verdict.NONE, None)),
    (Phase.PENDING, Tick(refusal=PAUSED), (Phase.PENDING, Cause.HELD, 0, Verdict.NONE, None)),
    (Phase.PENDING, Tick(refusal=OVER), (Phase.CANCELLED, Cause.OVER, 0, Verdict.NONE, None)),
    (Phase.PENDING, NO, (Phase.CANCELLED, Cause.CANCELLED, 0, Verdict.NONE, None)),
    (Phase.RUNNING, Tick(), None),
    (Phase.RUNNING, Acted("done"), (Phase.VERIFYING, Cause.ACTION_DONE, 0, Verdict.NONE, None)),
    (Phase.RUNNING, Acted("failed"), (Phase.PENDING, Cause.ACTION_FAILED, 1, Verdict.NONE, None)),
    (Phase.RUNNING, Acted("unknown"), (Phase.ESCALATED, Cause.ACTION_UNKNOWN, 0, Verdict.UNKNOWN, "default")),
    (Phase.RUNNING, Acted("stopped"), (Phase.ESCALATED, Cause.ACTION_UNKNOWN, 0, Verdict.UNKNOWN, "default")),
    (Phase.RUNNING, NO, (Phase.STOPPING, Cause.CANCELLED, 0, Verdict.NONE, None)),
    (Phase.VERIFYING, Tick(), None),
    (Phase.VERIFYING, said(None), None),
    (Phase.VERIFYING, said(Verdict.RECOVERED), (Phase.SUCCEEDED, Cause.RECOVERED, 0, Verdict.RECOVERED, None)),
    (Phase.VERIFYING, said(Verdict.UNCHANGED), (Phase.PENDING, Cause.UNCHANGED, 1, Verdict.UNCHANGED, None)),
    (Phase.VERIFYING, said(Verdict.WORSE), (Phase.ESCALATED, Cause.WORSE, 0, Verdict.WORSE, "default")),
    (Phase.VERIFYING, said(Verdict.UNKNOWN), (Phase.ESCALATED, Cause.UNKNOWN, 0, Verdict.UNKNOWN, "default")),
    (Phase.VERIFYING, NO, (Phase.CANCELLED, Cause.CANCELLED, 0, Verdict.NONE, None)),
    (Phase.STOPPING, Tick(), None),
    (Phase.STOPPING, Acted("done"), (Phase.PENDING, Cause.STOPPED, 1, Verdict.NONE, None)),
    (Phase.STOPPING, Acted("failed"), (Phase.PENDING, Cause.STOPPED, 1, Verdict.NONE, None)),
    (Phase.STOPPING, Acted("stopped"), (Phase.PENDING, Cause.STOPPED, 1, Verdict.NONE, None)),
    (Phase.STOPPING, Acted("unknown"), (Phase.ESCALATED, Cause.ACTION_UNKNOWN, 0, Verdict.UNKNOWN, "default")),
    (Phase.STOPPING, NO, (Phase.STOPPING, Cause.CANCELLED, 0, Verdict.NONE, None)),
]


@pytest.mark.parametrize(("phase", "given", "wanted"), PAIRS)
def test_pair(phase: Phase, given: Input, wanted: tuple[Phase, Cause, int, Verdict, str | None] | None) -> None:
    """Each phase answers each input it can meet, on a ladder of two changing rungs and a page."""
    before = standing(phase)
    now = before.phase_since + MINUTE
    found = advance(before, given, now)
    if wanted is None:
        assert found is None
        return
    assert found is not None
    after = found.remediation
    assert (after.phase, after.reason, after.step, after.verdict, found.page) == wanted
    assert (found.from_phase, after.version) == (phase, before.version + 1)
    if after.phase.terminal:
        assert (after.ended_at, after.next_at, after.holds_model, after.deadline) == (now, None, False, None)
    else:
        assert (after.ended_at, after.holds_model) == (None, True)
        assert after.next_at is not None
        assert after.next_at >= now


def test_every_pair_stands_in_the_table() -> None:
    """Of 4 open phases and 3 inputs, two pairs are illegal and all others are tried above."""
    tried = {(phase, type(given)) for phase, given, _ in PAIRS}
    assert len(tried) == 4 * 3 - 2


def test_start() -> None:
    """A rung starts with a deadline: the action's timeout; from then on it has acted."""
    after = moved(remediation(), Tick()).remediation
    assert (after.deadline, after.next_at, after.phase_since) == (NOON + TIMEOUT, NOON + TIMEOUT, NOON)
    assert flags(after) == (True, True, True)
    assert (after.key, after.rung.name) == ("r-abc-0-1", "retrain")


def test_first_rung_pages() -> None:
    """A page-only policy is over once people are told; it held no model and changed nothing."""
    fresh = remediation(PAGE)
    assert flags(fresh) == (False, False, False)
    found = moved(fresh, Tick())
    assert (found.remediation.phase, found.remediation.reason, found.page) == (Phase.ESCALATED, Cause.PAGED, "oncall")
    assert found.remediation.verdict is Verdict.NONE
    assert flags(found.remediation) == (False, False, False)


def test_what_was_said_is_kept() -> None:
    """A transition's values are what the audit trail shows."""
    running = standing(Phase.RUNNING)
    done = moved(running, Acted("done", "exit 0", {"version": "v6"}))
    assert done.values == {"message": "exit 0", "outputs": {"version": "v6"}}
    assert done.remediation.action_ended == NOON
    assert moved(done.remediation, said(Verdict.WORSE)).values == {"samples": 3}
    assert moved(running, NO).values == {"who": "ada", "why": "not now"}
    assert moved(standing(Phase.STOPPING), Acted("stopped", "SIGTERM")).values == {
        "message": "SIGTERM",
        "outputs": {},
        "state": "stopped",
    }


def test_unverified() -> None:
    """`verify: none` ends Succeeded, reason unverified: nothing was proved, also where a rung before was unchanged."""
    after = moved(remediation(), Tick(), Acted("done")).remediation
    assert (after.phase, after.reason, after.verdict) == (Phase.SUCCEEDED, Cause.UNVERIFIED, Verdict.NONE)
    below = remediation(command("a", SAMPLED), command("b"))
    after = moved(below, Tick(), Acted("done"), said(Verdict.UNCHANGED), Tick(), Acted("done")).remediation
    assert (after.phase, after.reason, after.verdict) == (Phase.SUCCEEDED, Cause.UNVERIFIED, Verdict.NONE)


def test_verifications_in_order() -> None:
    """Each verification's clock starts when the one before is done; only the last one's word is recovered."""
    at = standing(Phase.VERIFYING, command("retrain", SAMPLED, QUIET, RESOLVED))
    for index in (1, 2):
        found = moved(at, said(Verdict.RECOVERED), now=NOON + index * HOUR)
        at = found.remediation
        assert (at.phase, at.reason, at.verify_index, at.verdict) == (
            Phase.VERIFYING,
            Cause.VERIFIED,
            index,
            Verdict.NONE,
        )
        assert (at.phase_since, at.action_ended) == (NOON + index * HOUR, NOON)
    assert moved(at, said(Verdict.RECOVERED)).remediation.phase is Phase.SUCCEEDED


@pytest.mark.parametrize(
    ("verdict", "phase"),
    [(Verdict.UNCHANGED, Phase.FAILED), (Verdict.WORSE, Phase.ESCALATED), (Verdict.UNKNOWN, Phase.ESCALATED)],
)
def test_a_later_verification_refuses(verdict: Verdict, phase: Phase) -> None:
    """What an earlier verification said does not save a rung."""
    at = moved(standing(Phase.VERIFYING, command("retrain", SAMPLED, QUIET)), said(Verdict.RECOVERED)).remediation
    after = moved(at, said(verdict)).remediation
    assert (after.phase, after.verdict) == (phase, verdict)


def test_down_the_ladder() -> None:
    """A rung that failed, then one that did not help, then the page: each once, each from its beginning."""
    first = moved(standing(Phase.RUNNING), Acted("failed", "exit 3"))
    second = first.remediation
    assert (second.phase, second.step, second.attempt, second.key) == (Phase.PENDING, 1, 1, "r-abc-1-1")
    assert flags(second) == (True, True, True)
    third = moved(second, Tick(), Acted("done"), said(Verdict.UNCHANGED)).remediation
    assert (third.phase, third.step, third.verify_index, third.verdict) == (Phase.PENDING, 2, 0, Verdict.UNCHANGED)
    assert third.holds_model
    last = moved(third, Tick())
    assert (last.remediation.phase, last.page) == (Phase.ESCALATED, "oncall")
    assert last.remediation.verdict is Verdict.UNCHANGED
    assert flags(last.remediation) == (False, True, True)


@pytest.mark.parametrize(
    ("inputs", "cause", "verdict"),
    [
        ((Tick(), Acted("failed")), Cause.ACTION_FAILED, Verdict.NONE),
        ((Tick(), Acted("done"), said(Verdict.UNCHANGED)), Cause.UNCHANGED, Verdict.UNCHANGED),
    ],
)
def test_no_rung_left(inputs: tuple[Input, ...], cause: Cause, verdict: Verdict) -> None:
    """A ladder that ends without a page ends Failed, and pages nobody."""
    found = moved(remediation(command("retrain", SAMPLED)), *inputs)
    assert (found.remediation.phase, found.remediation.reason, found.remediation.verdict) == (
        Phase.FAILED,
        cause,
        verdict,
    )
    assert found.page is None
    assert flags(found.remediation) == (False, True, True)


@pytest.mark.parametrize("inputs", [(Acted("failed"),), (Tick(), Acted("done"))])
def test_a_failed_action_is_kept(inputs: tuple[Input, ...]) -> None:
    """That an action failed, or was stopped for its time, stays on the row, also where a person then cancels."""
    found = moved(standing(Phase.RUNNING), *inputs, now=NOON + TIMEOUT).remediation
    assert (found.phase, found.action_failed) == (Phase.PENDING, True)
    found = moved(found, NO).remediation
    assert (found.phase, found.verdict, found.action_failed) == (Phase.CANCELLED, Verdict.NONE, True)
    assert not moved(standing(Phase.RUNNING), NO, Acted("failed")).remediation.action_failed


def test_timeout_without_a_rung_left() -> None:
    """An action that was stopped at its timeout, on the last rung, ends Failed."""
    after = moved(standing(Phase.STOPPING, command()), Acted("stopped"), now=LATER).remediation
    assert (after.phase, after.reason, after.action_ended) == (Phase.FAILED, Cause.STOPPED, LATER)


def test_timeout() -> None:
    """At its deadline an action is stopped, with its own timeout again to be seen to stop; the slot is kept."""
    running = standing(Phase.RUNNING)
    late = NOON + TIMEOUT
    assert advance(running, Tick(), late - SECOND) is None
    found = moved(running, Tick(), now=late)
    stopping = found.remediation
    assert (stopping.phase, stopping.reason, stopping.stop_then) == (Phase.STOPPING, Cause.TIMED_OUT, "next")
    assert (stopping.deadline, stopping.next_at) == (late + TIMEOUT, late + TIMEOUT)
    assert found.values == {"deadline": NOON + TIMEOUT}
    assert stopping.holds_model
    assert advance(stopping, Tick(), late + TIMEOUT - SECOND) is None
    lost = moved(stopping, Tick(), now=late + TIMEOUT)
    assert (lost.remediation.phase, lost.remediation.reason, lost.page) == (
        Phase.ESCALATED,
        Cause.ACTION_UNKNOWN,
        "default",
    )
    assert lost.remediation.verdict is Verdict.UNKNOWN


def test_next_rung_after_a_stop_forgets_it() -> None:
    """The rung after one that was stopped has its own deadline and no stop to come."""
    after = moved(standing(Phase.STOPPING), Acted("stopped"), now=LATER).remediation
    assert (after.stop_then, after.deadline, after.next_at) == (None, None, LATER)


@pytest.mark.parametrize("phase", [Phase.PENDING, Phase.VERIFYING])
def test_cancel_at_once(phase: Phase) -> None:
    """Where no action runs, a person's word ends it; what may have changed things keeps the cooldown."""
    found = moved(standing(phase), NO)
    assert (found.remediation.phase, found.values) == (Phase.CANCELLED, {"who": "ada", "why": "not now"})
    assert flags(found.remediation) == (False, True, phase is Phase.VERIFYING)


def test_cancel_while_running() -> None:
    """A running action is stopped first; it is Cancelled once that was seen, however the action ended."""
    stopping = moved(standing(Phase.RUNNING), NO, now=NOON + MINUTE).remediation
    assert (stopping.phase, stopping.stop_then, stopping.deadline) == (
        Phase.STOPPING,
        "cancelled",
        NOON + MINUTE + TIMEOUT,
    )
    assert advance(stopping, NO, LATER) is None
    for state in ("done", "failed", "stopped"):
        after = moved(stopping, Acted(state), now=LATER).remediation
        assert (after.phase, after.reason, after.action_ended) == (Phase.CANCELLED, Cause.CANCELLED, LATER)
        assert flags(after) == (False, True, True)
    assert moved(stopping, Acted("unknown")).remediation.phase is Phase.ESCALATED


def test_cancel_while_stopping() -> None:
    """A person's word during a timeout's stop takes the next rung away, and gives no new time."""
    stopping = standing(Phase.STOPPING)
    found = moved(stopping, NO, now=NOON + TIMEOUT + MINUTE).remediation
    assert (found.stop_then, found.deadline, found.phase_since) == (
        "cancelled",
        stopping.deadline,
        stopping.phase_since,
    )
    assert moved(found, Acted("stopped")).remediation.phase is Phase.CANCELLED
    assert moved(found, Tick(), now=NOON + 2 * TIMEOUT).remediation.phase is Phase.ESCALATED


def test_cancel_at_the_end_of_stopping() -> None:
    """A cancel that comes after the deadline, before anyone has looked, is due at once and not in the past."""
    after = moved(standing(Phase.STOPPING), NO, now=NOON + 3 * TIMEOUT).remediation
    assert after.next_at == NOON + 3 * TIMEOUT


@pytest.mark.parametrize("state", ["unknown", "stopped"])
def test_idempotent_is_run_again(state: Any) -> None:
    """An idempotent command that was cut off is run again under a new key, through the guards; no other is."""
    found = moved(standing(Phase.RUNNING, command("retrain", SAMPLED, idempotent=True), PAGE), Acted(state, "cut off"))
    after = found.remediation
    assert (after.phase, after.reason, after.step, after.attempt) == (Phase.PENDING, Cause.RUN_AGAIN, 0, 2)
    assert (after.key, found.page, flags(after)) == ("r-abc-0-2", None, (True, True, True))
    assert moved(after, Tick()).remediation.attempt == 2
    assert moved(after, Tick(), Acted("failed")).remediation.attempt == 1
    assert moved(standing(Phase.RUNNING, request("hook", QUIET)), Acted(state)).remediation.phase is Phase.ESCALATED


@pytest.mark.parametrize(
    ("start", "acted", "changing"), [(0, False, True), (1, False, False), (1, True, True), (2, False, False)]
)
def test_may_change(start: int, acted: bool, changing: bool) -> None:
    """It counts as changing while a changing action may still come, and once one has started."""
    assert may_change((command(), PAGE), start, acted=acted) is changing


def test_run_length() -> None:
    """An audited run lasts each step's timeout and each verification's `within`; a page takes no time."""
    assert run_length(policy(command("a", SAMPLED, QUIET), request("b", RESOLVED), PAGE)) == 2 * TIMEOUT + 12 * HOUR
    train = Step("c", WorkflowAction("retrain-model", 6 * HOUR), (RolloutVerification("promoted", SECOND, HOUR),))
    assert run_length(policy(train, Step("d", JobAction("nightly", HOUR)), PAGE)) == 8 * HOUR
    assert run_length(policy(PAGE)) == timedelta()


def test_remediation_id() -> None:
    """The name depends on what was decided alone, and no two of these are alike."""
    parts = [
        ("s", "e", 7, ("ns", "p"), ("ml", "m"), 1),
        ("se", "", 7, ("ns", "p"), ("ml", "m"), 1),
        ("s", "e", 7, ("n", "sp"), ("ml", "m"), 1),
        ("s", "e", 7, ("ns", "p"), ("ml", "m"), 2),
        ("s", "e", 7, ("ns", "p"), ("ml", "m2"), 1),  # of a dataset that two models read
        ("s", "e", 8, ("ns", "p"), ("ml", "m"), 1),  # the id again, after the first event was purged
        ("ß", "e", 7, ("ns", "p"), ("ml", "m"), 1),
    ]
    ids = [remediation_id(*part) for part in parts]
    assert len(set(ids)) == len(parts)
    assert ids == [remediation_id(*part) for part in parts]
    assert all(len(found) == 14 and found.startswith("r-") and found == found.lower() for found in ids)
