"""Moving a remediation: one transition saved, with everything that follows from it in the store."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from controller.decision import Happening, Reason, Refusal, hold
from controller.engine.approving import asked_for, lapsed, outdated_text
from controller.engine.before import ASKED_ANEW, ask_before
from controller.engine.judging import judge
from controller.engine.learning import learn_verified
from controller.engine.notices import notify
from controller.engine.rules import Rules
from controller.events.condition import Dataset, Subject, about_of
from controller.judge import Judgement, Verdict
from controller.policy import LAST_KNOWN_GOOD, QuietVerification, RolloutAction
from controller.policy.undoing import undo, undoing, why_not
from controller.remediation import (
    Cause,
    Input,
    Phase,
    Preempt,
    Remediation,
    TakeOver,
    Tick,
    Transition,
    Undo,
    Wait,
    advance,
    unconfirmed,
)
from controller.store import questions, remediations
from controller.store.leader import Turn
from controller.store.ledger import Ledger
from controller.store.ledger_rows import Question
from controller.store.situation import Used, hold_facts

NOT_DEGRADED_FOR = timedelta(hours=1)
"""Where the first step found nothing to mend, its event is asked again this much later, or after the cooldown."""


def tick(turn: Turn, rules: Rules, remediation: Remediation) -> tuple[Transition | None, Judgement | None]:
    """Look at a remediation that is due: start, hold, time out, or judge; else note when to look next."""
    ledger = Ledger(turn)
    if remediation.phase.terminal:
        return _late(ledger, rules, remediation), None
    given, judgement, wake = _tick(ledger, rules, remediation)
    if given is None:  # how it was before is being asked
        remediations.look_again(turn, [remediation.id], wake)
        return None, judgement
    transition = advance(remediation, given, turn.now)
    if transition is None:
        remediations.look_again(turn, [remediation.id], _next_look(remediation, wake, turn.now))
        return None, judgement
    move(ledger, rules, transition, turn.input("tick", remediation.id))
    if transition.remediation.hold_reason is not None:
        next_look = _next_look(transition.remediation, wake, turn.now)
        remediations.look_again(turn, [remediation.id], next_look)
    return transition, judgement


def look(turn: Turn, rules: Rules, remediation: Remediation, input_seq: int) -> Transition | None:
    """Look at one that awaits an answer before the answer counts: its time may be up, or what it is about over."""
    ledger = Ledger(turn)
    given, _, _ = _tick(ledger, rules, remediation)
    assert given is not None
    transition = advance(remediation, given, turn.now)
    if transition is not None:
        move(ledger, rules, transition, input_seq)
    return transition


def _late(ledger: Ledger, rules: Rules, r: Remediation) -> Transition | None:
    """No labels have said in time whether it helped."""
    late = unconfirmed(r, ledger.turn.now)
    if late is not None:
        note(ledger, rules, late, ledger.turn.input("tick", r.id))
    return None


def give(turn: Turn, rules: Rules, remediation: Remediation, given: Input, input_seq: int) -> Transition | None:
    """Give a remediation what happened: the end of its action, or a person's word."""
    transition = advance(remediation, given, turn.now)
    if transition is not None:
        move(Ledger(turn), rules, transition, input_seq)
    return transition


def _tick(ledger: Ledger, rules: Rules, r: Remediation) -> tuple[Tick | None, Judgement | None, datetime | None]:
    if r.waits_for is not None:  # it is looked at when the model is its own
        return Tick(), None, None
    if r.phase in (Phase.PENDING, Phase.AWAITING_APPROVAL):
        policy = remediations.policy_of(ledger.turn.conn, r.policy_digest)
        used = _used(ledger, rules, r)
        live = rules.policies.models.get(used.key)
        frozen = rules.frozen(policy, live or used.model, ledger.turn.now, known=live is not None)
        first = _asks_age(r)
        facts = hold_facts(ledger, policy, used, first=first, frozen=frozen)
        untils = [bar.until for bar in (*facts.pauses, *facts.silences)] + [held.until for held in facts.unless]
        untils += [freeze.ask_at for freeze in facts.frozen]
        untils += [facts.shared.until] if facts.shared else []
        wake = min((until for until in untils if until is not None), default=None)
        refusal = lapsed(rules, r) or hold(r.rung.changing, facts, restores_first=first and r.rung.restoring)
        asked = asked_for(policy, r, first=_asks_first(used, r, ledger.turn.now))
        if refusal is not None or r.phase is Phase.AWAITING_APPROVAL:
            return Tick(refusal=refusal, approval=asked, serving=used.state.serving), None, wake
        before = ask_before(ledger, policy, r)
        if before.asked_until is not None:
            return None, Judgement(None, {}, before.asked_until, sample_due=True), before.asked_until
        if before.unaskable is not None:
            refusal = outdated_text(rules, r) or Refusal(
                Reason.CONDITION_ERROR, {"query": before.unaskable}, final=False
            )
            return Tick(refusal=refusal), None, ledger.turn.now + ASKED_ANEW
        return Tick(not_degraded=before.good, approval=asked, serving=used.state.serving), None, wake
    if r.phase is Phase.VERIFYING:
        judgement = judge(ledger, r)
        worse = judgement.verdict is Verdict.WORSE
        return Tick(judgement=judgement, undo=_undo(ledger, r) if worse else None), judgement, judgement.next_at
    return Tick(), None, None


def _undo(ledger: Ledger, r: Remediation) -> Undo:
    """How what served before the step at hand is brought back, or why it is not."""
    conn = ledger.turn.conn
    model = remediations.model_of(conn, r.model_digest, r.namespace, r.model)
    if reason := why_not(r.rung, model, r.version_before):
        return Undo(why_not=reason)
    assert r.version_before is not None
    parameters = undo(r.rung, model, r.version_before, brought(ledger, r))
    return Undo(undoing(parameters), parameters)


def brought(ledger: Ledger, r: Remediation) -> str | None:
    """The version that the rung at hand reports to have brought, else was told to; None: neither says."""
    found = remediations.outputs(ledger.turn.conn, r).get("version") or r.parameters[r.step]["action"].get("to")
    return str(found) if found else None


def _asks_first(used: Used, r: Remediation, now: datetime) -> bool:
    """Whether the rung goes back to a version that served so long ago that a person is to be asked."""
    action = r.rung.action
    goes_back = isinstance(action, RolloutAction) and action.to == LAST_KNOWN_GOOD
    return goes_back and used.state.good_too_old(used.model.known_good.max_age, now)


def _asks_age(r: Remediation) -> bool:
    """Whether an event that is too old ends it now: before the first rung, and while a person is asked."""
    asked = r.approved or r.phase is Phase.AWAITING_APPROVAL
    return asked or not (r.acted or r.restored)


def _used(ledger: Ledger, rules: Rules, r: Remediation) -> Used:
    ledger.load([(r.namespace, r.model)])
    event = ledger.event(r.event_seq)
    model = remediations.model_of(ledger.turn.conn, r.model_digest, r.namespace, r.model)
    return rules.used_about(ledger, r.event_seq, event, model, known=bool(r.model_digest))


def _next_look(r: Remediation, wake: datetime | None, now: datetime) -> datetime | None:
    """Never at once again: what is due and did not move waits for its next date, or for an event."""
    named = (wake, r.deadline, r.hold_until, r.approval_expires)
    dates = [date for date in named if date is not None and date > now]
    return min(dates, default=None)


def move(ledger: Ledger, rules: Rules, transition: Transition, input_seq: int) -> None:
    """Save a transition and what follows: messages, ended conditions, questions that may be asked again."""
    turn, after = ledger.turn, transition.remediation
    remediations.save(turn, transition, input_seq)
    ledger.moved(after)
    if after.phase is not transition.from_phase or transition.page:
        asks = "default" if after.phase is Phase.AWAITING_APPROVAL else None
        notify(turn, rules, after, transition.values, page=transition.page or asks)
    if after.phase.terminal:
        ledger.load([(after.namespace, after.model)])
        _end_quiet_conditions(ledger, after)
        if after.verdict is Verdict.RECOVERED:
            learn_verified(ledger, rules, after)
        _ask_again(ledger, after)
        _ask_about_target(ledger, rules, after)
        ledger.flush()
        if any(step.changing for step in after.steps):  # it held a slot of the fleet
            questions.ask_for_fleet(turn, 1)
        for urgent in remediations.waiting_for(turn.conn, after.id):
            claim(ledger, rules, urgent, input_seq)
    else:
        ledger.flush()


def note(ledger: Ledger, rules: Rules, transition: Transition, input_seq: int) -> None:
    """Save what was learnt of a remediation after its end; its phase stays, and it holds nothing."""
    after = transition.remediation
    remediations.save(ledger.turn, transition, input_seq)
    ledger.moved(after)
    notify(ledger.turn, rules, after, transition.values, page=transition.page)


def claim(ledger: Ledger, rules: Rules, urgent: Remediation, input_seq: int) -> None:
    """Have an urgent remediation that waits take the model and its object over, or what holds them give way to it."""
    turn = ledger.turn
    target = remediations.model_of(turn.conn, urgent.model_digest, urgent.namespace, urgent.model).target
    behind = remediations.in_the_way(turn.conn, urgent, target)
    if behind is None:
        taken = advance(urgent, TakeOver(), turn.now)
        assert taken is not None
        move(ledger, rules, taken, input_seq)
        if target is not None:
            remediations.hold(turn, urgent.id, target)
        return
    if urgent.waits_for != behind:
        waits = advance(urgent, Wait(behind), turn.now)
        assert waits is not None
        move(ledger, rules, waits, input_seq)
    holder = remediations.read(turn.conn, behind)
    given = advance(holder, Preempt(urgent.id), turn.now) if holder and not holder.urgent else None
    if given is not None:
        move(ledger, rules, given, input_seq)


def _end_quiet_conditions(ledger: Ledger, r: Remediation) -> None:
    """What was silent for so long, from a live source, is over."""
    if r.verdict is not Verdict.RECOVERED or not any(isinstance(v, QuietVerification) for v in r.rung.verify):
        return
    trigger = ledger.event(r.event_seq)
    for id_ in r.evidence:
        condition = ledger.condition((r.namespace, r.model), id_)
        if condition is None or condition.ended is not None or condition.kind != "model":
            continue
        if (condition.source, condition.type) == (trigger.source, trigger.type):  # of others it says nothing
            ledger.move(replace(condition, ended=ledger.turn.now, ended_by=f"remediation:{r.id}"))


def _ask_again(ledger: Ledger, r: Remediation) -> None:
    """Questions that waited for this end; and its own event, unless it helped, or people were told to look.

    A no to what was asked is one to that asking: while the condition lasts it is asked again, a day later.
    What made it worse, or nobody knows what it did, is not begun again by the same event: a new one may.
    """
    now = ledger.turn.now
    key = (r.namespace, r.model)
    mine = None
    for question in ledger.questions(key):
        if (question.policy_ns, question.policy) == (r.policy_ns, r.policy):
            mine = question
        if question.retry_on == Happening.REMEDIATION_ENDED:
            ledger.ask(replace(question, retry_at=now))
    only_told = r.continues is not None and r.reason is Cause.PAGED and not (r.acted or r.restored)
    stopped = (
        r.phase is Phase.ESCALATED and r.verdict in (Verdict.WORSE, Verdict.UNKNOWN) and r.reason is not Cause.PAGED
    )
    if mine is not None or only_told or stopped or r.phase is Phase.SUCCEEDED:
        return
    if r.reason in (Cause.CANCELLED, Cause.SUPERSEDED):
        return
    event = ledger.event(r.event_seq)
    subject = about_of(event, r.namespace)
    ledger.load((), [subject] if isinstance(subject, Dataset) else ())
    condition = next((id_ for id_ in r.evidence if _is_own(ledger, subject, id_, event.source)), None)
    ledger.ask(
        Question(
            policy_ns=r.policy_ns,
            policy=r.policy,
            namespace=r.namespace,
            model=r.model,
            event_seq=r.event_seq,
            decision_id=r.decision_id,
            condition_id=condition,
            reason=str(Reason.IN_PROGRESS),
            wait_until=now,
            retry_at=_again_at(ledger, r),
            retry_on=str(Happening.REMEDIATION_ENDED),
            severity=r.severity,
            since=now,
        )
    )


def _again_at(ledger: Ledger, r: Remediation) -> datetime:
    """When its own event is asked again: at once, except where nothing was wrong, lest it goes round and round."""
    now = ledger.turn.now
    if r.reason is not Cause.NOT_DEGRADED:
        return now
    policy = remediations.policy_of(ledger.turn.conn, r.policy_digest)
    return now + max(policy.limits.cooldown, NOT_DEGRADED_FOR)


def _ask_about_target(ledger: Ledger, rules: Rules, r: Remediation) -> None:
    """Questions about other models that the same object serves."""
    target = remediations.target_of(ledger.turn.conn, r.id)
    if target is None:
        return
    keys = [key for key, model in sorted(rules.policies.models.items()) if model.target == target]
    ledger.load(keys)
    for key in keys:
        for question in ledger.questions(key):
            if question.retry_on == Happening.REMEDIATION_ENDED and key != (r.namespace, r.model):
                ledger.ask(replace(question, retry_at=ledger.turn.now))


def _is_own(ledger: Ledger, subject: Subject, condition_id: str, source: str) -> bool:
    condition = ledger.condition(subject, condition_id)
    return condition is not None and condition.source == source
