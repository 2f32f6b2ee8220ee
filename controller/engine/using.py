"""Using an event: it moves conditions, is answered for every policy that it meets, and wakes questions."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from controller.decision import Decision, Happening, Outcome, Reason
from controller.engine.confirming import judge_late
from controller.engine.deciding import answer, decision_row
from controller.engine.learning import learn_told, version_brought
from controller.engine.notices import notify_fleet
from controller.engine.rules import Rules
from controller.events.condition import (
    Condition,
    Subject,
    about_of,
    condition_id,
    ended_by,
    named,
    opened_or_renewed,
    repeated,
)
from controller.events.event import OWN_SOURCE, Event
from controller.events.types import FLEET_DRIFT, MONITOR_CHECKED
from controller.judge import report_of
from controller.policy import DUE, Bindings, ExpressionError, Model, QuietVerification, ReportVerification, spellings
from controller.policy.policy_set import rank
from controller.remediation import Phase, Remediation
from controller.store import remediations
from controller.store.ledger import Ledger
from controller.store.ledger_rows import ModelKey, Question
from controller.store.situation import Used, holdings
from controller.store.undecided import Renewal, Stored, renewal_used


def use(
    ledger: Ledger, rules: Rules, stored: Stored, *, attempt: int = 1, input_seq: int | None = None
) -> list[tuple[str, Decision]]:
    """Use one event for the first time; returns each policy (namespace/name, '' for none) with its answer.

    :param attempt: more than 1 where an earlier try to decide it was quarantined.
    :param input_seq: of the act that has it used; None: it is an input itself.
    """
    event, seq = stored.event, stored.seq
    if input_seq is None:
        input_seq = ledger.turn.input("event", str(seq))
    ledger.remember(seq, event)
    rules.announce(ledger, event)
    ended = _move(ledger, rules, event, seq) if event.type != DUE else set()  # which says nothing of the model
    learn_told(ledger, rules, event)
    uses = rules.uses(ledger, seq, event)
    late: list[dict[str, str]] = []
    for used in uses:
        _observe_for_proof(ledger, used, input_seq, event.time)
        _keep_life(ledger, rules, used)
        late += judge_late(ledger, rules, used, input_seq)
    asked = [(policy, used) for used in uses for policy in rules.triggered(used)]
    asked.sort(key=lambda pair: rank(pair[0]))  # stable: for each policy its models in their order
    decisions = [
        (policy.key, answer(ledger, rules, used, policy, input_seq, attempt=attempt)) for policy, used in asked
    ]
    ours = (event.source, event.type) == (OWN_SOURCE, FLEET_DRIFT)
    if ours and not any(policy.mode != "audit" for policy, _ in asked):
        notify_fleet(ledger.turn, rules.receivers, event)
    woken = [question for used in uses for question in _wake(ledger, rules, event, used.key, ended)]
    if not asked:
        decisions.append(("", _unmatched(ledger, seq, event, uses, input_seq, attempt, woken, late)))
    for used in uses:
        _look_again(ledger, used.key)
    ledger.decided(seq, input_seq)
    return decisions


def renew(ledger: Ledger, rules: Rules, renewal: Renewal) -> None:
    """Use a repeat from a stateful source: it renews a condition that is not over, and may lift an inhibition."""
    stored = renewal.stored
    input_seq = ledger.turn.input("renewed", renewal.ref)
    renewal_used(ledger.turn, renewal)
    event = stored.event
    rules.announce(ledger, event)
    subject = _subject(ledger, rules, event)
    if event.family is None or event.over:
        return
    seen = min(renewal.at, ledger.turn.now)
    id_ = condition_id(event.source, event.kind, *named(subject), event.family, event.about)
    condition = ledger.condition(subject, id_)
    if condition is None:
        return
    moved = repeated(condition, seen, ledger.turn.now, rules.expires(event.source))
    if moved is None:
        return
    ledger.move(moved)
    for used in rules.uses(ledger, stored.seq, event):
        _observe_for_proof(ledger, used, input_seq, seen)
        if condition.state(ledger.turn.now) == "unknown":
            _wake(ledger, rules, event, used.key, set())
        _ask_uninhibited(ledger, rules, used, condition)
        _look_again(ledger, used.key)


def _ask_uninhibited(ledger: Ledger, rules: Rules, used: Used, condition: Condition) -> None:
    for question in ledger.questions(used.key):
        policy = rules.policy(question.policy_ns, question.policy)
        inhibited = question.retry_on == Happening.UNINHIBITED and question.condition_id == condition.id
        if inhibited and policy is not None and not holdings(ledger, policy, used.model):
            ledger.ask(replace(question, retry_at=ledger.turn.now))


def _keep_life(ledger: Ledger, rules: Rules, used: Used) -> None:
    """Keep that detectors looked at the model, for triggers to which a period without a look is no break."""
    event = used.event
    if not used.known:
        return
    via = None if event.model is not None else "dataset"
    for policy in rules.policies.signs_of_life(event.type, *used.key, used.model):
        for trigger in policy.triggers:
            counter = trigger.counter
            if (
                counter
                and counter.ignore
                and policy.models.via == via
                and event.type in (trigger.type, MONITOR_CHECKED)
            ):
                ledger.keep_life(policy, trigger, used.key, used.seq, event.time)


def _subject(ledger: Ledger, rules: Rules, event: Event) -> Subject:
    """What an event is about; a model is met by it, perhaps for the first time."""
    if event.model is None:
        return about_of(event, "")
    model, _, _ = rules.model_of(event)
    ledger.meet((model.namespace, model.name))
    return model.namespace, model.name


def _move(ledger: Ledger, rules: Rules, event: Event, seq: int) -> set[str]:
    """Move the conditions of the model or the dataset; returns the ids of those that the event ended."""
    subject, now = _subject(ledger, rules, event), ledger.turn.now
    namespace, name = named(subject)
    if event.family is not None and not event.over:
        id_ = condition_id(event.source, event.kind, namespace, name, event.family, event.about)
        before = ledger.condition(subject, id_)
        moved = opened_or_renewed(before, event, namespace, seq, now, rules.expires(event.source))
        if moved is not None:
            ledger.move(moved)
        return set()
    moment = _moment(event, seq, subject, now)
    before = ledger.condition(subject, moment.id)
    if before is None or before.last_seen <= moment.last_seen:
        ledger.move(moment)
    ended = [over for found in list(ledger.conditions(subject)) if (over := ended_by(found, event, namespace))]
    for condition in ended:
        ledger.move(condition)
    return {condition.id for condition in ended}


def _moment(event: Event, seq: int, subject: Subject, now: datetime) -> Condition:
    """A moment kept as a condition that ends as it begins, so that `require` and `unless` find its newest event."""
    namespace, name = named(subject)
    kind = "moment" if event.model is not None else "dataset_moment"
    return Condition(
        id=condition_id(event.source, kind, namespace, name, event.type, event.about),
        source=event.source,
        namespace=namespace,
        name=name,
        family=event.type,  # a moment has none: its type keeps the moments of one source apart
        about=event.about,
        type=event.type,
        since=event.time,
        last_seen=event.time,
        renewed_at=now,
        ended=event.time,
        ended_by=None,
        expires=now,
        event_seq=seq,
        kind=kind,
    )


def _unmatched(
    ledger: Ledger,
    seq: int,
    event: Event,
    uses: list[Used],
    input_seq: int,
    attempt: int,
    woken: list[Question],
    late: list[dict[str, str]],
) -> Decision:
    told: dict[str, object] = {"woken": [f"{q.policy_ns}/{q.policy}" for q in woken]} if woken else {}
    told |= {"labels": late} if late else {}
    if event.model is None:
        model = Model.bare(event.namespace or "", "")
        values = {"dataset": event.dataset, "models": len(uses), **told}
        decision = Decision(Outcome.NONE, Reason.NO_POLICY_MATCHED, None, values)
    else:
        (used,) = uses
        model = used.model
        values = {"model": model.name, "namespace": model.namespace, **told}
        several = {"candidates": list(used.candidates)} if used.candidates else {}
        reason = Reason.NO_POLICY_MATCHED if used.known else Reason.UNKNOWN_MODEL
        outcome = Outcome.NONE if used.known else Outcome.SUPPRESS
        decision = Decision(outcome, reason, None, {**values, **several})
    ledger.record(decision_row(ledger.turn, seq, model, ledger.turn.decision_id(), input_seq, attempt, decision, None))
    return decision


def _wake(ledger: Ledger, rules: Rules, event: Event, key: ModelKey, ended: set[str]) -> list[Question]:
    """Have questions asked again that this event may answer: what they lacked came, or what they were about is over."""
    woken = []
    for question in ledger.questions(key):
        policy = rules.policy(question.policy_ns, question.policy)
        corroborates = (
            question.retry_on == Happening.CORROBORATED
            and policy is not None
            and any(need.type == event.type for trigger in policy.triggers for need in trigger.require)
        )
        if corroborates or question.condition_id in ended or (ended and waits_for_good_data(ledger, question)):
            ledger.ask(replace(question, retry_at=ledger.turn.now))
            woken.append(question)
    return woken


def waits_for_good_data(ledger: Ledger, question: Question) -> bool:
    """Whether it is about what is due by a calendar, which is not measured anew as other events are."""
    return question.retry_on == Happening.UNINHIBITED and ledger.event(question.event_seq).type == DUE


def _look_again(ledger: Ledger, key: ModelKey) -> None:
    """What an event moved may end a hold, or be what a verification waits for."""
    for past in ledger.past(key):
        if past.ended_at is None and past.phase in ("Pending", "AwaitingApproval", "Verifying"):
            ledger.look_again(past.id)


def _observe_for_proof(ledger: Ledger, used: Used, input_seq: int, at: datetime) -> None:
    """While a `quiet` or `report` verification runs, keep what the event says to it."""
    for past in ledger.past(used.key):
        if past.ended_at is not None or past.phase != "Verifying":
            continue
        remediation = ledger.remediation(past.id)
        if remediation is None or remediation.phase is not Phase.VERIFYING:
            continue
        spec = remediation.rung.verify[remediation.verify_index]
        if isinstance(spec, ReportVerification):
            _observe_report(ledger, used, remediation, spec, input_seq)
        if not isinstance(spec, QuietVerification) or at > remediation.phase_since + spec.within:
            continue
        for state in _signs(ledger, used, remediation):
            ledger.sign(remediation, state, used.seq, input_seq, at)


def _observe_report(
    ledger: Ledger, used: Used, remediation: Remediation, spec: ReportVerification, input_seq: int
) -> None:
    """Keep what an event reports of the metric that a `report` verification waits for."""
    began = remediation.action_ended or remediation.phase_since
    told = spellings(used.event, used.model)
    brought = version_brought(ledger.turn.conn, remediation, used.model)
    other = brought is not None and bool(told) and brought not in told
    found = report_of(spec, used.event, ledger.event(remediation.event_seq), began, other_version=other)
    if found is not None:
        ledger.report(remediation, found, used.seq, input_seq)


def _signs(ledger: Ledger, used: Used, remediation: Remediation) -> list[str]:
    """What an event is for a `quiet` verification: a sign of `life`, the trigger `met`, both or neither."""
    event, first = used.event, ledger.event(remediation.event_seq)
    if (event.kind, event.model or event.dataset) != (first.kind, first.model or first.dataset):
        return []  # of a dataset nothing is learnt from what is said of the model, and the other way round
    signs = []
    if event.source == first.source:
        signs.append("life")
    policy = remediations.policy_of(ledger.turn.conn, remediation.policy_digest)
    trigger = next(found for found in policy.triggers if found.name == remediation.trigger)
    if event.type == trigger.type:
        bindings = Bindings.of(event, used.model, ledger.turn.now, used.state)
        try:
            met = trigger.when is None or trigger.when.test(bindings)
        except ExpressionError:
            met = False
        if met:
            signs.append("met")
    return signs
