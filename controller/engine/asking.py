"""Asking an open question again: what refused it may have lifted."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import select

from controller import schema
from controller.decision import OUTDATED, Decision, Happening, Outcome, Reason, TriggerFacts, outdated
from controller.engine.deciding import answer, decision_row
from controller.engine.rules import Rules
from controller.events.condition import Condition
from controller.policy import Policy
from controller.store import questions
from controller.store.leader import Turn
from controller.store.ledger import Ledger
from controller.store.ledger_rows import Question
from controller.store.situation import Used, concerning

_FACTS = TypeAdapter(tuple[TriggerFacts, ...])


def ask_again(turn: Turn, rules: Rules, key: questions.Key) -> Decision | None:
    """Answer a question at `turn.now`, as a further attempt; None: it is closed already."""
    question = questions.read(turn.conn, key)
    if question is None:
        return None
    input_seq = turn.input("wake", questions.ref_of(key))
    ledger = Ledger(turn)
    ledger.load([(question.namespace, question.model)])
    asked = (question.policy_ns, question.policy), (question.namespace, question.model)
    attempt, earlier = attempt_before(turn, question.event_seq, *asked)
    policy = rules.policy(question.policy_ns, question.policy)
    about = (question.namespace, question.model)
    used = rules.used_for(ledger, question.event_seq, ledger.event(question.event_seq), about)
    if policy is None or not rules.concerns(policy, used) or used.key != about:
        decision = Decision(Outcome.SUPPRESS, Reason.STALE, None, {"why": "policy_gone"})
        row = decision_row(turn, used.seq, used.model, turn.decision_id(), input_seq, attempt + 1, decision, policy)
        ledger.record(row | {"policy_ns": question.policy_ns, "policy": question.policy})
        ledger.close(question)
        if question.retry_on == Happening.FLEET:
            ledger.pass_slot_on(rules.fleet_limit)
    else:
        decision = answer(ledger, rules, used, policy, input_seq, attempt=attempt + 1, earlier=earlier)
        if decision.reason is Reason.STALE and decision.values["why"] in ("over", *OUTDATED):
            _hand_over(ledger, policy, question, used)
    ledger.flush()
    return decision


def _hand_over(ledger: Ledger, policy: Policy, question: Question, used: Used) -> None:
    """What it asked about is over, or of the past; the newest other condition is asked that is open and triggers."""
    types = {trigger.type for trigger in policy.triggers}
    still = [
        condition
        for condition in concerning(ledger, used.model)
        if condition.kind == used.event.kind
        and condition.ended is None
        and condition.type in types
        and condition.id != question.condition_id
        and not _outdated(ledger, used, condition)
    ]
    if still:
        newest = max(still, key=lambda condition: (condition.last_seen, condition.id))
        now = ledger.turn.now
        event_seq, condition_id = newest.event_seq, newest.id
        ledger.ask(
            replace(question, event_seq=event_seq, condition_id=condition_id, retry_at=now, retry_on=None, since=now)
        )


def _outdated(ledger: Ledger, used: Used, condition: Condition) -> bool:
    newest = ledger.find_event(condition.event_seq)
    return newest is not None and outdated(newest, used.model, used.state, condition.last_seen) is not None


def attempt_before(
    turn: Turn, event_seq: int, policy: tuple[str, str], model: tuple[str, str]
) -> tuple[int, tuple[TriggerFacts, ...]]:
    """The number of the last attempt to decide an event for a policy and model, and the facts of its triggers."""
    d = schema.decisions.c
    mine = (
        d.event_seq == event_seq,
        d.policy_ns == policy[0],
        d.policy == policy[1],
        d.namespace == model[0],
        d.model == model[1],
    )
    query = select(d.attempt, d.situation).where(*mine).order_by(d.attempt.desc()).limit(1)
    row = turn.conn.execute(query).one_or_none()
    if row is None:
        return 0, ()
    return row.attempt, _facts(row.situation)


def facts_of(turn: Turn, decision_id: int) -> tuple[TriggerFacts, ...]:
    """The facts of its triggers with which a decision was taken; () where it is no longer kept."""
    d = schema.decisions.c
    return _facts(turn.conn.execute(select(d.situation).where(d.id == decision_id)).scalar())


def _facts(situation: dict[str, Any] | None) -> tuple[TriggerFacts, ...]:
    return _FACTS.validate_python((situation or {}).get("triggers", []))
