"""Laws of advance() and of the judges, over whatever ladders and histories Hypothesis thinks of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from controller.decision import Reason, Refusal
from controller.judge import (
    ConditionEnd,
    Judgement,
    Sample,
    Verdict,
    judge_command,
    judge_quiet,
    judge_resolved,
    judge_rollout,
)
from controller.policy import (
    CommandAction,
    CommandVerification,
    QuietVerification,
    ResolvedVerification,
    RolloutVerification,
    Step,
    Verification,
)
from controller.remediation import (
    HELD_AT_MOST,
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
    Transition,
    advance,
    may_change,
)
from tests.conftest import NOON
from tests.unit.cases import DAY, MINUTE, PAGE, TIMEOUT, command, remediation, request

NOT_ASKED = (Phase.PENDING, Phase.RUNNING, Phase.VERIFYING, Phase.STOPPING)
ILLEGAL = {(phase, Acted) for phase in (Phase.PENDING, Phase.AWAITING_APPROVAL, Phase.VERIFYING)} | {
    (phase, word) for phase in NOT_ASKED for word in (Approve, Reject)
}

settles = st.timedeltas(timedelta(), 30 * MINUTE)
spans = st.timedeltas(timedelta(seconds=1), 30 * MINUTE)


@st.composite
def verifications(draw: st.DrawFn) -> Verification:
    """A verification as a policy may have it: `within` leaves room for what must hold."""
    settle, hold = draw(settles), draw(settles)
    within = settle + hold + draw(spans)
    kind = draw(st.sampled_from(["command", "rollout", "quiet", "resolved"]))
    if kind == "quiet":
        return QuietVerification(hold + timedelta(seconds=1), settle, within + timedelta(seconds=1))
    if kind == "resolved":
        return ResolvedVerification(settle, hold, within)
    if kind == "rollout":
        return RolloutVerification(draw(st.sampled_from(["promoted", "stable"])), draw(spans), within)
    return CommandVerification(("check",), TIMEOUT, draw(spans), settle, hold, within)


checks = st.lists(verifications(), max_size=2)
rungs = st.builds(lambda parts, again: command("run", *parts, idempotent=again), checks, st.booleans()) | st.builds(
    lambda parts: request("ask", *parts), checks
)
ladders = st.builds(
    lambda changes, page: (*changes, *page), st.lists(rungs, max_size=3), st.sampled_from([(), (PAGE,)])
).filter(bool)

refusals = st.none() | st.sampled_from(
    [
        Refusal(Reason.PAUSED, {}, final=False),
        Refusal(Reason.INHIBITED, {}, final=False),
        Refusal(Reason.SILENCED, {}, final=False),
        Refusal(Reason.STALE, {"why": "over"}, final=True),
    ]
)
verdicts = st.none() | st.sampled_from([verdict for verdict in Verdict if verdict is not Verdict.NONE])
approvals = st.none() | st.timedeltas(timedelta(seconds=1), DAY)
ticks = st.builds(
    Tick,
    refusals,
    verdicts.map(lambda verdict: Judgement(verdict, {})) | st.none(),
    approvals,
    st.sampled_from([None, "v4"]),
)
ends = st.builds(Acted, st.sampled_from(["done", "done", "failed", "stopped", "unknown"]))
words = st.sampled_from([Cancel("ada", "no"), Approve("ada", "go"), Reject("ada", "no"), Preempt("r-urgent")])
inputs: st.SearchStrategy[Input] = ticks | ends | ticks | ends | words
gaps = st.timedeltas(timedelta(), 20 * MINUTE) | st.timedeltas(timedelta(), 2 * DAY)


@dataclass(frozen=True)
class Moved:
    """A transition, what was before it, what led to it, and when."""

    before: Remediation
    given: Input
    found: Transition
    now: datetime

    @property
    def after(self) -> Remediation:
        """What it is then."""
        return self.found.remediation


@st.composite
def histories(draw: st.DrawFn) -> list[Moved]:
    """A remediation's life: inputs as they come, those that cannot come in its phase left out."""
    at, now = remediation(*draw(ladders)), NOON
    history = []
    for gap, one in draw(st.lists(st.tuples(gaps, inputs), min_size=1, max_size=25)):
        now += gap
        if (at.phase, type(one)) in ILLEGAL:
            continue
        found = advance(at, one, now)
        if found is not None:
            history.append(Moved(at, one, found, now))
            at = found.remediation
    assume(history)
    return history


@given(histories(), inputs, gaps)
def test_terminal_absorbs(history: list[Moved], given: Input, gap: timedelta) -> None:
    """What is over stays as it is, whatever comes; what is not over raises only for what cannot be."""
    last = history[-1]
    if last.after.phase.terminal:
        assert advance(last.after, given, last.now + gap) is None
        return
    try:
        advance(last.after, given, last.now + gap)
    except IllegalTransition:
        assert (last.after.phase, type(given)) in ILLEGAL
    else:
        assert (last.after.phase, type(given)) not in ILLEGAL


@given(histories(), inputs, gaps)
def test_no_memory(history: list[Moved], given: Input, gap: timedelta) -> None:
    """The same state and the same input give the same transition, and leave what they were given as it was."""
    for one in history:
        assert advance(one.before, one.given, one.now) == one.found


@given(histories())
def test_one_version_a_transition(history: list[Moved]) -> None:
    """Versions grow by exactly one, so the audit trail has no gap and two writers cannot both win."""
    assert [one.after.version for one in history] == list(range(2, len(history) + 2))
    assert all(one.found.from_phase is one.before.phase for one in history)


@given(histories())
def test_recovered_is_verified(history: list[Moved]) -> None:
    """Succeeded comes of `recovered` on the rung's last verification after all before it, or of `verify: none`."""
    for one in history:
        assert (one.after.verdict is Verdict.RECOVERED) is (one.after.reason is Cause.RECOVERED)
        if one.after.phase is not Phase.SUCCEEDED:
            assert one.after.reason not in (Cause.RECOVERED, Cause.UNVERIFIED)
            continue
        checks_of_rung = one.before.rung.verify
        if not checks_of_rung:
            assert (one.after.reason, one.after.verdict, one.given) == (Cause.UNVERIFIED, Verdict.NONE, one.given)
            assert isinstance(one.given, Acted)
            assert one.given.state == "done"
            continue
        passed = history[-len(checks_of_rung) :]
        assert one.after.verdict is Verdict.RECOVERED
        for index, step in enumerate(passed):
            assert isinstance(step.given, Tick)
            assert step.given.judgement is not None
            assert step.given.judgement.verdict is Verdict.RECOVERED
            assert (step.before.phase, step.before.verify_index, step.before.step) == (
                Phase.VERIFYING,
                index,
                one.after.step,
            )


@given(histories())
def test_never_up_the_ladder(history: list[Moved]) -> None:
    """A rung is never gone back to; the next is the one below, from its first attempt."""
    for one in history:
        assert one.after.step - one.before.step in (0, 1)
        assert one.after.step < len(one.after.steps)
        if one.after.step > one.before.step:
            assert (one.after.phase, one.after.attempt, one.after.verify_index) == (Phase.PENDING, 1, 0)
        else:
            assert one.after.attempt - one.before.attempt == (1 if one.after.reason is Cause.RUN_AGAIN else 0)


@given(histories())
def test_started_once(history: list[Moved]) -> None:
    """No action is started twice under one key, and more than once only where the policy calls it idempotent."""
    started = [one.after for one in history if one.after.reason is Cause.STARTED]
    keys = [r.key for r in started]
    assert len(set(keys)) == len(keys)
    for r in started:
        action = r.rung.action
        assert r.attempt == 1 or (isinstance(action, CommandAction) and action.idempotent)
        assert r.deadline is not None
        assert (r.acted, r.changing) == (True, True)


@given(histories())
def test_nothing_without_a_yes(history: list[Moved]) -> None:
    """A step before which a person is asked starts only after their yes to that step."""
    for at, one in enumerate(history):
        asked = isinstance(one.given, Tick) and one.given.approval is not None
        if one.after.reason is Cause.STARTED and asked:
            mine = [past for past in history[:at] if past.after.step == one.after.step]
            assert any(isinstance(past.given, Approve) for past in mine)


@given(histories())
def test_when_to_look_next(history: list[Moved]) -> None:
    """What is not over is looked at again, never in the past; what is over never."""
    for one in history:
        after = one.after
        if after.phase.terminal:
            assert (after.next_at, after.ended_at, after.deadline, after.hold_until) == (None, one.now, None, None)
        else:
            assert after.next_at is not None
            assert after.next_at >= one.now
            assert after.ended_at is None
            assert (after.deadline is not None) is (after.phase in (Phase.RUNNING, Phase.STOPPING))
            assert (after.approval_expires is not None) is (after.phase is Phase.AWAITING_APPROVAL)


@given(histories())
def test_slot_and_flags(history: list[Moved]) -> None:
    """The model is held from the first moment to the last; changing is what acted or may still change."""
    held = history[0].before.holds_model
    acted = False
    for one in history:
        after = one.after
        assert after.holds_model is (held and not after.phase.terminal)
        assert after.acted or not acted
        acted = after.acted
        assert acted is any(past.after.reason is Cause.STARTED for past in history[: history.index(one) + 1])
        if not after.phase.terminal:
            assert after.changing is may_change(after.steps, after.step, acted=acted)
        elif after.phase is Phase.CANCELLED:
            assert after.changing is one.before.changing  # keeps the cooldown
        else:
            assert after.changing is acted


@given(histories())
def test_who_is_told(history: list[Moved]) -> None:
    """People are paged where it ends Escalated or was held too long, and nowhere else."""
    for one in history:
        told = one.after.phase is Phase.ESCALATED or (one.after.phase, one.after.reason) == (
            Phase.CANCELLED,
            Cause.HELD,
        )
        assert (one.found.page is not None) is told


@given(histories())
def test_held_at_most_a_day(history: list[Moved]) -> None:
    """However refusals change, a step that is held ends or starts 24h after it was first held."""
    since: datetime | None = None
    for one in history:
        if one.after.hold_until is None:
            since = None
        else:
            since = since or one.now
            assert one.after.hold_until == since + HELD_AT_MOST
            assert one.now < one.after.hold_until


@given(histories())
def test_stopping_is_bounded(history: list[Moved]) -> None:
    """An action has its own timeout, once, to be seen to stop: nothing makes it longer, an urgent one shorter."""
    since: datetime | None = None
    for one in history:
        if one.after.phase is not Phase.STOPPING:
            since = None
            continue
        since = since or one.now
        urgent = any(isinstance(past.given, Preempt) for past in history[: history.index(one) + 1])
        assert one.after.deadline is not None
        assert one.after.deadline <= since + TIMEOUT
        assert urgent or one.after.deadline == since + TIMEOUT
        if one.before.stop_then == "cancelled" and one.before.phase is Phase.STOPPING:
            assert one.after.stop_then == "cancelled"


def judged(
    check: Verification, samples: Sequence[Sample], found: Sequence[ConditionEnd], since: datetime, now: datetime
) -> Judgement:
    """What the check's own judge says; the action ended when the check began."""
    match check:
        case CommandVerification():
            return judge_command(check, samples, since, now)
        case RolloutVerification():
            return judge_rollout(check, samples, since, now)
        case QuietVerification():
            return judge_quiet(check, samples, since, now)
        case ResolvedVerification():
            return judge_resolved(check, found, since, since, now)


@given(histories(), refusals)
@settings(max_examples=200)
def test_time_alone_ends_it(history: list[Moved], refusal: Refusal | None) -> None:
    """With nothing but the clock it ends, though it is only looked at when it said; no sample ever comes."""
    at, now = history[-1].after, history[-1].now
    end = now + 2 * HELD_AT_MOST * len(at.steps) + sum((_longest(step) for step in at.steps), timedelta())
    for _ in range(40):
        if at.phase.terminal:
            break
        judgement = None
        if at.phase is Phase.VERIFYING:
            judgement = judged(at.rung.verify[at.verify_index], (), (), at.phase_since, now)
        found = advance(at, Tick(refusal, judgement), now)
        if found is not None:
            at = found.remediation
            now = max(now, at.next_at or now)
            continue
        dates = [
            date
            for date in (_next_look(judgement), at.deadline, at.hold_until, at.approval_expires)
            if date is not None and date > now
        ]
        assert dates, f"nothing to wait for in {at.phase}"
        now = min(dates)
    assert at.phase.terminal
    assert now <= end
    assert at.phase is not Phase.SUCCEEDED or history[-1].after.phase is Phase.SUCCEEDED


def _next_look(judgement: Judgement | None) -> datetime | None:
    return judgement.next_at if judgement else None


def _longest(step: Step) -> timedelta:
    return 2 * TIMEOUT + sum((check.within for check in step.verify), timedelta())


def after_start(most: timedelta) -> st.SearchStrategy[datetime]:
    """Moments of a verification that starts at noon."""
    return st.timedeltas(timedelta(), most).map(lambda gone: NOON + gone)


moments = after_start(100 * MINUTE)
STATES = {
    CommandVerification: ("recovered", "recovered", "unchanged", "worse", "missing"),
    RolloutVerification: ("recovered", "unchanged", "unchanged", "failed", "reverted", "missing"),
    QuietVerification: ("met", "life", "life"),
    ResolvedVerification: (),
}
states = st.sampled_from([state for kind in STATES.values() for state in kind])
sampled = st.lists(st.builds(Sample, moments, states), max_size=12).map(
    lambda found: sorted(found, key=lambda one: one.at)
)
conditions = st.lists(st.builds(ConditionEnd, st.just("c-1"), st.none() | moments, moments), max_size=3)
LONG_AFTER = 1000 * DAY


def fitting(check: Verification, samples: list[Sample]) -> list[Sample]:
    """Those that such a check can have."""
    return [sample for sample in samples if sample.state in STATES[type(check)]]


@given(verifications(), sampled, conditions, moments)
def test_a_judge_decides_in_time(
    check: Verification, drawn: list[Sample], found: list[ConditionEnd], now: datetime
) -> None:
    """Before `within` it decides or says when to look again, later than now; from then on it always decides."""
    samples = [sample for sample in fitting(check, drawn) if sample.at <= now]
    judgement = judged(check, samples, found, NOON, now)
    end = NOON + check.within
    if judgement.verdict is None:
        assert now < end
        assert judgement.next_at is not None
        assert now < judgement.next_at <= end
    assert judgement.verdict is not Verdict.NONE
    assert judged(check, samples, found, NOON, end).verdict is not None


@given(verifications(), sampled, conditions)
def test_a_late_look_judges_alike(check: Verification, drawn: list[Sample], found: list[ConditionEnd]) -> None:
    """At the end or long after it, and whatever came after the end, the verdict is one."""
    end = NOON + check.within
    samples = fitting(check, drawn)
    in_time = [sample for sample in samples if sample.at <= end]
    assert judged(check, in_time, found, NOON, end) == judged(check, samples, found, NOON, end + LONG_AFTER)


@given(verifications(), sampled, conditions, moments)
def test_unknown_is_never_recovered(
    check: Verification, drawn: list[Sample], found: list[ConditionEnd], now: datetime
) -> None:
    """Recovered takes, in time: an unbroken run of samples; or silence and life; or every condition ended since."""
    samples = [sample for sample in fitting(check, drawn) if sample.at <= now]
    if judged(check, samples, found, NOON, now).verdict is not Verdict.RECOVERED:
        return
    until = min(now, NOON + check.within)
    in_time = [sample for sample in samples if sample.at <= until]
    match check:
        case CommandVerification():
            tail = [sample for sample in in_time if sample.at >= in_time[-1].at - check.hold]
            assert {sample.state for sample in tail} <= {"recovered"} or check.hold == timedelta()
            assert in_time[-1].state == "recovered"
            assert in_time[-1].at - in_time[0].at >= check.hold
        case RolloutVerification():
            settling = [sample.state for sample in in_time if sample.state not in ("unchanged", "missing")]
            assert settling[:1] == ["recovered"]
        case QuietVerification():
            start = NOON + check.settle
            quiet_since = max([start, *(sample.at for sample in in_time if sample.state == "met")])
            assert until - quiet_since >= check.quiet
            assert any(sample.state == "life" and sample.at > quiet_since for sample in in_time)
        case ResolvedVerification():
            assert found
            assert all(one.ended is not None and NOON < one.ended <= until - check.hold for one in found)
            assert until >= NOON + check.settle + check.hold


@given(verifications(), sampled, conditions, moments)
def test_what_is_missing_never_helps(
    check: Verification, drawn: list[Sample], found: list[ConditionEnd], now: datetime
) -> None:
    """Without its samples, or with a condition open, nothing is recovered or worse."""
    samples = [replace(sample, state="missing") for sample in fitting(check, drawn)]
    still_open = [*found, ConditionEnd("c-9", None, NOON)]
    assert judged(check, samples, still_open, NOON, now).verdict not in (Verdict.RECOVERED, Verdict.WORSE)
    assert judged(check, (), (), NOON, now).verdict in (None, Verdict.UNKNOWN)
