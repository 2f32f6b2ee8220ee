"""Using a person's act: pause, resume, silence, cancel, end a condition, replay what was quarantined.

The API stores an act and waits; here it takes effect, numbered like every other input, and
its outcome is written beside it. A refusal is an outcome with `ok: false` and why.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import func, insert, select, update

from controller import schema
from controller.decision import Reason
from controller.engine.approving import not_asked
from controller.engine.moving import give, look
from controller.engine.retrying import RETRIED, try_again
from controller.engine.rules import Rules
from controller.engine.using import use, waits_for_good_data
from controller.events.condition import Condition, Dataset, ended_by_person
from controller.events.event import feature_of
from controller.events.types import FLEET_DRIFT
from controller.remediation import Approve, Cancel, Reject
from controller.store import quarantine, questions, remediations
from controller.store.acts import Act, used
from controller.store.leader import Turn
from controller.store.ledger import Ledger
from controller.store.ledger_rows import ModelKey
from controller.store.undecided import one


def carry_out(turn: Turn, rules: Rules, act: Act) -> dict[str, Any]:
    """Have one act take effect; returns its outcome, `{"ok": …}`."""
    input_seq = turn.input("act", str(act.id))
    outcome = _KINDS[act.kind](turn, rules, act, input_seq)
    used(turn, act.id, input_seq, outcome)
    return outcome


def give_up(turn: Turn, act: Act, why: str = "internal error") -> None:
    """Answer an act that cannot be carried out because of a fault of ours: the outcome says `gaveUp`."""
    used(turn, act.id, turn.input("act", str(act.id)), {"ok": False, "gaveUp": True, "error": why})


def _no(why: str) -> dict[str, Any]:
    return {"ok": False, "error": why}


def _split(act: Act) -> tuple[str, str]:
    """Namespace and name of what is paused or resumed; '' where the scope has none."""
    if act.scope == "all":
        return "", ""
    if act.scope == "namespace":
        return act.ref, ""
    namespace, _, name = act.ref.partition("/")
    return namespace, name


def _pause(turn: Turn, rules: Rules, act: Act, input_seq: int) -> dict[str, Any]:
    namespace, name = _split(act)
    until = datetime.fromisoformat(act.body["until"]) if act.body.get("until") else None
    id_ = f"p-{act.id}"
    row = {"id": id_, "scope": act.scope, "namespace": namespace, "name": name, "since": turn.now, "until": until}
    turn.conn.execute(insert(schema.pauses).values(**row, who=act.who, why=act.why))
    return {"ok": True, "id": id_}


def _resume(turn: Turn, rules: Rules, act: Act, input_seq: int) -> dict[str, Any]:
    p = schema.pauses.c
    namespace, name = _split(act)
    both = act.body.get("policy") is not None and act.body.get("model") is not None
    lifted = 0
    if not both:  # a policy and a model together name a breaker, not a pause
        mine = (p.scope == act.scope, p.namespace == namespace, p.name == name, p.lifted_at.is_(None))
        lifted = turn.conn.execute(update(schema.pauses).where(*mine).values(lifted_at=turn.now)).rowcount
    questions.ask_lifted(turn, (Reason.PAUSED, Reason.BREAKER_OPEN))
    remediations.look_again(turn, remediations.waiting_to_start(turn.conn), turn.now)
    return {"ok": True, "lifted": lifted}


def _silence(turn: Turn, rules: Rules, act: Act, input_seq: int) -> dict[str, Any]:
    starts = datetime.fromisoformat(act.body["starts_at"]) if act.body.get("starts_at") else turn.now
    ends = datetime.fromisoformat(act.body["ends_at"])
    id_ = f"s-{act.id}"
    row = {"id": id_, "matchers": act.body["matchers"], "starts_at": starts, "ends_at": ends}
    turn.conn.execute(insert(schema.silences).values(**row, who=act.who, why=act.why))
    return {"ok": True, "id": id_}


def _expire(turn: Turn, rules: Rules, act: Act, input_seq: int) -> dict[str, Any]:
    s = schema.silences.c
    mine = (s.id == act.ref, s.ended_early_at.is_(None), s.ends_at > turn.now)
    if not turn.conn.execute(update(schema.silences).where(*mine).values(ended_early_at=turn.now)).rowcount:
        return _no(f"silence {act.ref} is not in force")
    questions.ask_lifted(turn, (Reason.SILENCED,))
    remediations.look_again(turn, remediations.waiting_to_start(turn.conn), turn.now)
    return {"ok": True, "id": act.ref}


def _cancel(turn: Turn, rules: Rules, act: Act, input_seq: int) -> dict[str, Any]:
    remediation = remediations.read(turn.conn, act.ref)
    if remediation is None:
        return _no(f"no remediation {act.ref}")
    if remediation.phase.terminal:
        return _no(f"remediation {act.ref} is {remediation.phase} already")
    transition = give(turn, rules, remediation, Cancel(act.who, act.why, act.body.get("way", "")), input_seq)
    phase = transition.remediation.phase if transition else remediation.phase
    return {"ok": True, "id": act.ref, "phase": str(phase)}


def _approve(turn: Turn, rules: Rules, act: Act, input_seq: int) -> dict[str, Any]:
    return _answer(turn, rules, act, input_seq, Approve(act.who, act.why, act.body.get("way", "")))


def _reject(turn: Turn, rules: Rules, act: Act, input_seq: int) -> dict[str, Any]:
    return _answer(turn, rules, act, input_seq, Reject(act.who, act.why, act.body.get("way", "")))


def _answer(turn: Turn, rules: Rules, act: Act, input_seq: int, word: Approve | Reject) -> dict[str, Any]:
    """A person's answer: it counts where it is asked for now, and nothing has ended the asking meanwhile."""
    remediation = remediations.read(turn.conn, act.ref)
    if remediation is None:
        return _no(f"no remediation {act.ref}")
    refused = not_asked(turn, remediation, act.body.get("asking"), act.at)
    if refused is not None:
        return refused
    ended = look(turn, rules, remediation, input_seq)
    if ended is not None:
        return not_asked(turn, ended.remediation, remediation.version, act.at) or _no("it is over")
    transition = give(turn, rules, remediation, word, input_seq)
    assert transition is not None
    return {"ok": True, "id": act.ref, "step": remediation.rung.name, "phase": str(transition.remediation.phase)}


def _retry(turn: Turn, rules: Rules, act: Act, input_seq: int) -> dict[str, Any]:
    """A new remediation that goes on at the step where an earlier one ended, if every limit lets it."""
    before = remediations.read(turn.conn, act.ref)
    if before is None:
        return _no(f"no remediation {act.ref}")
    if before.phase not in RETRIED:
        return _no(
            f"remediation {act.ref} is {before.phase}: what Failed, was Escalated or Cancelled can be tried again"
        )
    return try_again(turn, rules, before, input_seq)


def _end_condition(turn: Turn, rules: Rules, act: Act, input_seq: int) -> dict[str, Any]:
    c = schema.conditions.c
    columns = [c[name] for name in Condition.__dataclass_fields__]
    row = turn.conn.execute(select(*columns).where(c.id == act.ref, c.kind.in_(("model", "dataset")))).one_or_none()
    if row is None:
        return _no(f"no condition {act.ref}")
    condition = Condition(*row)
    ended = ended_by_person(condition, act.who, turn.now)
    if ended is None:
        return _no(f"condition {act.ref} is over already")
    ledger = Ledger(turn)
    keys = _concerned(rules, condition)
    ledger.load(keys, [condition.subject] if isinstance(condition.subject, Dataset) else ())
    ledger.move(ended)
    for key in keys:
        for past in ledger.past(key):
            if past.ended_at is None:
                ledger.look_again(past.id)
        for question in ledger.questions(key):
            if waits_for_good_data(ledger, question):
                ledger.ask(replace(question, retry_at=turn.now))
    ledger.flush()
    questions.ask_about_condition(turn, act.ref)
    if condition.type == FLEET_DRIFT:
        questions.ask_lifted(turn, (Reason.SHARED_CAUSE,))
        remediations.look_again(turn, remediations.waiting_to_start(turn.conn), turn.now)
    return {"ok": True, "id": act.ref}


def _concerned(rules: Rules, condition: Condition) -> list[ModelKey]:
    """The models that a condition is about: its own, or all that read its dataset."""
    subject = condition.subject
    if not isinstance(subject, Dataset):
        return [subject]
    readers = rules.policies.readers(subject.name, subject.namespace or None, feature_of(condition.about))
    return [(model.namespace, model.name) for model in readers]


def _replay(turn: Turn, rules: Rules, act: Act, input_seq: int) -> dict[str, Any]:
    """Use an event that was quarantined; `ref` is the digest of its row there."""
    q, d = schema.quarantine.c, schema.decisions.c
    item = turn.conn.execute(select(q.event_seq, q.replayed_at).where(q.digest == act.ref)).one_or_none()
    stored = one(turn.conn, item.event_seq) if item is not None and item.event_seq is not None else None
    if item is None or stored is None:
        return _no(f"quarantine has no event under {act.ref}")
    if item.replayed_at is not None:
        return _no(f"{act.ref} was replayed already")
    last = turn.conn.execute(select(func.max(d.attempt)).where(d.event_seq == stored.seq)).scalar() or 0
    ledger = Ledger(turn)
    decisions = use(ledger, rules, stored, attempt=last + 1, input_seq=input_seq)
    ledger.flush()
    quarantine.replayed(turn.conn, act.ref, turn.now)
    answers = [str(found.reason or found.outcome) for _, found in decisions]
    return {"ok": True, "event": stored.event.id, "decisions": answers}


_KINDS: dict[str, Callable[[Turn, Rules, Act, int], dict[str, Any]]] = {
    "pause": _pause,
    "resume": _resume,
    "silence": _silence,
    "expire": _expire,
    "cancel": _cancel,
    "approve": _approve,
    "reject": _reject,
    "retry": _retry,
    "end_condition": _end_condition,
    "replay": _replay,
}
