"""A recorded history again: every input in its order, at its `now`, through the functions that used it first.

The facts are copied (what came from outside: events, acts, documents), everything that
follows from them is worked out anew. What the outside world answered is read from the
observations, and an event or an act that failed through a fault of ours fails again: both
are facts, too. Decisions and transitions then are equal to the recorded ones, with their
ids and situations; where they are not, the engine's code has changed its mind.

Nothing is replayed that retention has purged. Settings are no inputs: fleet, senders and
receivers are given, as they were.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Row, Table, insert, select

from controller import schema
from controller.decision import Reason
from controller.engine.acting import carry_out, give_up
from controller.engine.adopting import bring_into_force
from controller.engine.asking import ask_again
from controller.engine.careful import set_aside
from controller.engine.learning import learn_served, soak
from controller.engine.moving import tick
from controller.engine.recording import record_action, record_sample
from controller.engine.rules import Rules
from controller.engine.using import renew, use
from controller.errors import ModelmendError
from controller.policy.state import serves_from
from controller.remediation import Acted
from controller.store import acts, policy_sets, questions, remediations
from controller.store.database import Database
from controller.store.leader import Turn
from controller.store.ledger import Ledger
from controller.store.undecided import one, renewal_of
from controller.verify import Sample

_FACTS: dict[Table, dict[str, Any]] = {
    schema.inputs: {},
    schema.documents: {},
    schema.events: {"decided_at": None, "input_seq": None, "renewed_at": None, "in_hand": False},
    schema.acts: {"input_seq": None, "outcome": None},
}
"""What is copied, and the columns that say that the engine has not used it yet."""
_ROWS = 1_000
_FAULTS = (str(Reason.INTERNAL_ERROR), str(Reason.POISON))


class DivergedError(ModelmendError):
    """An input does not lead to what it led to when it was recorded."""


def replay(source: Database, into: Database, rules: Rules) -> None:
    """Use all inputs of `source` again, in `into`.

    :param into: with our tables, and empty.
    :param rules: the installation's settings; its policies are those of the first recorded set on.
    :raises DivergedError: where an input has no effect that it had.
    """
    decided = 0
    with source.read() as recorded:
        _copy_facts(recorded, into)
        for row in recorded.execute(select(schema.inputs).order_by(schema.inputs.c.seq)).all():
            with into.write() as conn:
                turn = Turn(conn, row.now, row.epoch, row.seq - 1, decided)
                rules = _KINDS[row.kind](recorded, turn, rules, row)
                if turn.last_input != row.seq:
                    raise DivergedError(f"input {row.seq} ({row.kind} {row.ref}) leads elsewhere")
                decided = turn.last_decision


def _copy_facts(recorded: Connection, into: Database) -> None:
    with into.write() as conn:
        for table, unused in _FACTS.items():
            for rows in recorded.execute(select(table)).mappings().partitions(_ROWS):
                conn.execute(insert(table), [dict(row) | unused for row in rows])


def _event(recorded: Connection, turn: Turn, rules: Rules, row: Row[Any]) -> Rules:
    stored = one(turn.conn, int(row.ref))
    assert stored is not None
    d = schema.decisions.c
    query = select(d.reason, d["values"]).where(d.input_seq == row.seq, d.reason.in_(_FAULTS))
    fault = recorded.execute(query).one_or_none()
    if fault is not None:
        set_aside(turn, stored, fault[0], fault[1]["error"])
        return rules
    ledger = Ledger(turn)
    use(ledger, rules, stored)
    ledger.flush()
    return rules


def _renewed(recorded: Connection, turn: Turn, rules: Rules, row: Row[Any]) -> Rules:
    ledger = Ledger(turn)
    renew(ledger, rules, renewal_of(turn.conn, row.ref))
    ledger.flush()
    return rules


def _act(recorded: Connection, turn: Turn, rules: Rules, row: Row[Any]) -> Rules:
    act = acts.one(turn.conn, int(row.ref))
    outcome = recorded.execute(select(schema.acts.c.outcome).where(schema.acts.c.id == act.id)).scalar_one()
    if outcome.get("gaveUp"):
        give_up(turn, act, outcome["error"])
    else:
        carry_out(turn, rules, act)
    return rules


def _policy_set(recorded: Connection, turn: Turn, rules: Rules, row: Row[Any]) -> Rules:
    stored = policy_sets.by_seq(recorded, int(row.ref))
    assert stored is not None
    following = rules.with_policies(policy_sets.restored(recorded, stored))
    bring_into_force(turn, following, stored.refused)
    return following


def _observation(recorded: Connection, turn: Turn, rules: Rules, row: Row[Any]) -> Rules:
    o, i = schema.observations.c, schema.intents.c
    query = (
        select(o.value, o.at, o.verify_index, i.key)
        .outerjoin(schema.intents, i.id == o.intent_id)
        .where(o.input_seq == row.seq)
    )
    value, at, index, key = recorded.execute(query).one()
    if "told" in value:
        namespace, _, name = row.ref.partition("/")
        learn_served(turn, rules, (namespace, name), serves_from(value))
        return rules
    if key is not None:
        acted = Acted(value["state"], value["message"], value["outputs"], value.get("reason", ""))
        record_action(turn, rules, remediations.intent_under(turn.conn, key), acted)
        return rules
    remediation = remediations.read(turn.conn, row.ref)
    assert remediation is not None
    asked = remediation if index is None else replace(remediation, verify_index=index)
    record_sample(turn, asked, Sample(value["state"], value["message"], value.get("numbers", {}), at))
    return rules


def _wake(recorded: Connection, turn: Turn, rules: Rules, row: Row[Any]) -> Rules:
    ask_again(turn, rules, questions.key_of(row.ref))
    return rules


def _tick(recorded: Connection, turn: Turn, rules: Rules, row: Row[Any]) -> Rules:
    namespace, about_model, name = row.ref.partition("/")
    if about_model:
        soak(turn, rules, (namespace, name))
        return rules
    remediation = remediations.read(turn.conn, row.ref)
    assert remediation is not None
    tick(turn, rules, remediation)
    return rules


_KINDS: dict[str, Callable[[Connection, Turn, Rules, Row[Any]], Rules]] = {
    "event": _event,
    "renewed": _renewed,
    "act": _act,
    "policy_set": _policy_set,
    "observation": _observation,
    "wake": _wake,
    "tick": _tick,
}
