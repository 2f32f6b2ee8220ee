"""Remediations in the database: saved by compare-and-set, their transitions, intents, observations.

Every write here happens inside a `Turn`, so only the leader saves. A remediation runs on
the policy text that it was decided by, whatever is reloaded meanwhile; that text is read
from `documents` and parsed once per digest (documents never change under their digest).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Text, bindparam, func, insert, literal_column, select, text, union_all, update

from controller import schema
from controller.errors import Conflict
from controller.judge import ConditionEnd, Sample, Verdict
from controller.policy import (
    LAST_KNOWN_GOOD,
    Model,
    Policy,
    Step,
    Target,
    known_model,
    known_policy,
    model_from_text,
    policy_from_text,
)
from controller.policy.undoing import undoing
from controller.remediation import IN_CLUSTER, Acted, Cause, Intent, Phase, Remediation, Transition
from controller.store import states
from controller.store.leader import Turn
from controller.store.plain import plain

_T = schema.remediations
_I = schema.intents
_CHUNK = 500  # names in one IN list
_COLUMNS = tuple(column.name for column in _T.columns)
_DECIDED = frozenset(
    {"id", "decision_id", "event_seq", "namespace", "model", "policy_ns", "policy", "policy_digest", "model_digest"}
    | {"mode", "severity", "trigger", "families", "evidence", "parameters", "started_at", "continues"}
)
"""The columns that no transition changes; what is not set needs no index to be written."""
_INTENT = tuple(_I.c[name] for name in Intent.__dataclass_fields__)

# Built once, here and below: SQLAlchemy takes several times longer to build such a statement than SQLite to answer it.
_ADD = insert(_T)
_ADD_TARGET = insert(schema.targets)
_ADD_TRANSITION = insert(schema.transitions)
_ADD_INTENT = insert(_I)
_ADD_OBSERVATION = insert(schema.observations)
_SAVE = update(_T).where(_T.c.id == bindparam("b_id"), _T.c.version == bindparam("b_version"))
_LENGTHEN = update(_T).where(_T.c.id == bindparam("b_id"))
_LET_GO = update(schema.targets).where(schema.targets.c.remediation_id == bindparam("b_id")).values(active=False)
_CLOSE = update(_I).where(_I.c.remediation_id == bindparam("b_id"), _I.c.done_at.is_(None))
_LOOK_AGAIN = (
    update(_T)
    .where(_T.c.id.in_(bindparam("b_ids", expanding=True)), _T.c.ended_at.is_(None))
    .values(next_at=bindparam("b_at"))
)
_CHANGE_INTENT = update(_I).where(_I.c.id == bindparam("b_id"))

_TEXT = select(schema.documents.c.text).where(schema.documents.c.digest == bindparam("digest"))
_ONE = select(_T).where(_T.c.id == bindparam("id"))
_DUE = (
    select(_T.c.id)
    .where(_T.c.ended_at.is_(None), _T.c.next_at <= bindparam("now"))
    .order_by(_T.c.next_at, _T.c.id)
    .limit(bindparam("most"))
)
_UNCONFIRMED = (
    select(_T.c.id)
    .where(_T.c.confirm_until <= bindparam("now"))
    .order_by(_T.c.confirm_until, _T.c.id)
    .limit(bindparam("most"))
)
_TARGET = select(schema.targets.c.kind, schema.targets.c.namespace, schema.targets.c.name).where(
    schema.targets.c.remediation_id == bindparam("id")
)
_OPEN = select(*_INTENT).where(_I.c.done_at.is_(None)).order_by(_I.c.id)
# Each half by an index of its own: neither reads what runs in the cluster, however much that is. The phases stand in
# the text: a partial index is not chosen by a parameter, and SQLite plans anew whenever one is bound that it might be.
_RUNNING, _STOPPING = (literal_column(f"'{phase}'", Text) for phase in (Phase.RUNNING, Phase.STOPPING))
TO_BEGIN = (
    select(_I.c.id, _RUNNING.label("phase"))
    .join(_T, _T.c.id == _I.c.remediation_id)
    .where(_I.c.done_at.is_(None), _I.c.ref.is_(None), _T.c.phase == _RUNNING)
)
TO_STOP = select(_I.c.id, _STOPPING.label("phase")).where(
    _I.c.done_at.is_(None), _I.c.remediation_id.in_(select(_T.c.id).where(_T.c.phase == _STOPPING))
)
_TO_BEGIN_OR_STOP = union_all(TO_BEGIN, TO_STOP).order_by("id")
_WITH_REMEDIATION = (
    select(*_INTENT, *_T.columns).join(_T, _T.c.id == _I.c.remediation_id).where(_I.c.id == bindparam("id"))
)
_IS_OPEN = select(_I.c.id).where(_I.c.id == bindparam("id"), _I.c.done_at.is_(None))


def policy_of(conn: Connection, digest: str) -> Policy:
    """The policy with this digest, as it was in force."""
    return known_policy(digest) or policy_from_text(_text(conn, digest))


def model_of(conn: Connection, digest: str | None, namespace: str, name: str) -> Model:
    """The model's document with this digest, or a bare model where there was none."""
    if not digest:
        return Model.bare(namespace, name)
    return known_model(digest) or model_from_text(_text(conn, digest))


def _text(conn: Connection, digest: str) -> dict[str, Any]:
    text: dict[str, Any] = conn.execute(_TEXT, {"digest": digest}).scalar_one()
    return text


def create(
    turn: Turn, remediation: Remediation, input_seq: int, values: dict[str, Any], target: Target | None = None
) -> None:
    """Write a new remediation with its first transition.

    :param target: the object that it holds until it is over.
    :raises Conflict: (from the write door) where the model, or the target, has an active one already.
    """
    turn.conn.execute(_ADD, _row(remediation))
    if target is not None:
        hold(turn, remediation.id, target)
    _record(turn, Transition(remediation, remediation.phase, values), input_seq, from_phase="")


def hold(turn: Turn, remediation_id: str, target: Target) -> None:
    """Have it hold this object until it is over.

    :raises Conflict: (from the write door) where another one holds it.
    """
    kind, namespace, name = target
    held = {"remediation_id": remediation_id, "kind": kind, "namespace": namespace, "name": name, "active": True}
    turn.conn.execute(_ADD_TARGET, held)


def in_the_way(conn: Connection, r: Remediation, target: Target | None) -> str | None:
    """The active remediation that holds the model, or else its object, where it is not `r` itself."""
    query = select(_T.c.id).where(_T.c.namespace == r.namespace, _T.c.model == r.model, text("holds_model"))
    found = conn.execute(query.where(_T.c.id != r.id)).scalar()
    if found is None and target is not None:
        t = schema.targets.c
        mine = (t.kind == target[0], t.namespace == target[1], t.name == target[2], t.active, t.remediation_id != r.id)
        found = conn.execute(select(t.remediation_id).where(*mine)).scalar()
    return found


def waiting_for(conn: Connection, remediation_id: str) -> list[Remediation]:
    """Urgent ones for which it is being stopped, the oldest first."""
    query = select(_T).where(_T.c.waits_for == remediation_id).order_by(_T.c.started_at, _T.c.id)
    return [_remediation(conn, row) for row in conn.execute(query).all()]


def save(turn: Turn, transition: Transition, input_seq: int) -> None:
    """Write a transition: the row by compare-and-set on `version`, the audit trail, the new intent.

    :raises Conflict: where somebody else has moved it since it was read.
    """
    after = transition.remediation
    row = {name: value for name, value in _row(after).items() if name not in _DECIDED}
    if after.rung.undoes and after.phase is Phase.PENDING:  # the one transition that makes the ladder longer
        turn.conn.execute(_LENGTHEN, {"b_id": after.id, "parameters": list(after.parameters)})
    changed = turn.conn.execute(_SAVE, {"b_id": after.id, "b_version": after.version - 1, **row})
    if changed.rowcount != 1:
        raise Conflict(f"remediation {after.id} is no longer at version {after.version - 1}")
    _record(turn, transition, input_seq, from_phase=transition.from_phase)
    if after.phase is Phase.RUNNING and transition.from_phase is not Phase.RUNNING:
        turn.conn.execute(_ADD_INTENT, _intent_row(turn.conn, after))
    if after.phase.terminal:
        turn.conn.execute(_LET_GO, {"b_id": after.id})
    if after.phase.terminal and transition.from_phase is Phase.STOPPING:  # not seen to stop: nobody waits any longer
        turn.conn.execute(_CLOSE, {"b_id": after.id, "outcome": "unknown", "done_at": turn.now})


def _record(turn: Turn, transition: Transition, input_seq: int, *, from_phase: str) -> None:
    after = transition.remediation
    row = {
        "remediation_id": after.id,
        "version": after.version,
        "from_phase": str(from_phase),
        "to_phase": str(after.phase),
        "reason": str(after.reason),
        "step": after.step,
        "values": plain(transition.values),
        "input_seq": input_seq,
        "now": turn.now,
    }
    turn.conn.execute(_ADD_TRANSITION, row)


def _row(r: Remediation) -> dict[str, Any]:
    row = {name: getattr(r, name) for name in _COLUMNS}
    return row | {
        "phase": str(r.phase),
        "reason": str(r.reason),
        "verdict": str(r.verdict),
        "families": list(r.families),
        "evidence": list(r.evidence),
        "parameters": list(r.parameters),
    }


def _intent_row(conn: Connection, r: Remediation) -> dict[str, Any]:
    end_state = r.parameters[r.step]["action"]
    if end_state.get("to") == LAST_KNOWN_GOOD:  # written down as a version: another may become it while this is done
        version, refused = states.read(conn, (r.namespace, r.model)).to_go_back_to()
        end_state = end_state | {"to": version, "refused": refused}
    return {
        "remediation_id": r.id,
        "step": r.step,
        "attempt": r.attempt,
        "action": r.parameters[r.step]["kind"],
        "key": r.key,
        "end_state": end_state,
        "first_tried_at": r.phase_since if r.parameters[r.step]["kind"] in IN_CLUSTER else None,
    }


def _remediation(conn: Connection, row: Sequence[Any]) -> Remediation:
    values = dict(zip(_COLUMNS, row, strict=True))
    return Remediation(
        **values
        | {
            "phase": Phase(values["phase"]),
            "reason": Cause(values["reason"]),
            "verdict": Verdict(values["verdict"]),
            "families": tuple(values["families"]),
            "evidence": tuple(values["evidence"]),
            "parameters": tuple(values["parameters"]),
            "steps": _ladder(policy_of(conn, values["policy_digest"]), values["parameters"]),
        }
    )


def _ladder(policy: Policy, parameters: Sequence[Mapping[str, Any]]) -> tuple[Step, ...]:
    """The policy's rungs, and behind them what was added since."""
    return (*policy.steps, *(undoing(added) for added in parameters[len(policy.steps) :]))


def target_of(conn: Connection, remediation_id: str) -> Target | None:
    """The object that a remediation holds, or held."""
    row = conn.execute(_TARGET, {"id": remediation_id}).one_or_none()
    return (row.kind, row.namespace, row.name) if row else None


def read(conn: Connection, remediation_id: str) -> Remediation | None:
    """One remediation, or None."""
    row = conn.execute(_ONE, {"id": remediation_id}).one_or_none()
    return _remediation(conn, row) if row else None


def due(conn: Connection, now: datetime, limit: int) -> list[str]:
    """Ids of those not over that are to be looked at by now, the longest due first; then those never confirmed."""
    asked = {"now": now, "most": limit}
    return [*conn.execute(_DUE, asked).scalars(), *conn.execute(_UNCONFIRMED, asked).scalars()]


def waiting_to_start(conn: Connection) -> list[str]:
    """Ids of those held before a rung: asked again when a pause or silence is lifted."""
    query = select(_T.c.id).where(_T.c.ended_at.is_(None), _T.c.hold_reason.is_not(None)).order_by(_T.c.id)
    return list(conn.execute(query).scalars())


def waiting_for_people(conn: Connection) -> list[str]:
    """Ids of those that await an answer, or have a yes that is not acted on yet."""
    waits = (_T.c.phase == str(Phase.AWAITING_APPROVAL)) | (_T.c.approved & (_T.c.phase == str(Phase.PENDING)))
    return list(conn.execute(select(_T.c.id).where(_T.c.ended_at.is_(None), waits).order_by(_T.c.id)).scalars())


def verifying(conn: Connection) -> list[str]:
    """Ids of those whose verification runs."""
    query = select(_T.c.id).where(_T.c.ended_at.is_(None), _T.c.phase == str(Phase.VERIFYING)).order_by(_T.c.id)
    return list(conn.execute(query).scalars())


def look_again(turn: Turn, ids: Iterable[str], at: datetime | None) -> None:
    """Have remediations looked at from `at` on; no transition, so no new version."""
    wanted = list(ids)
    if wanted:
        turn.conn.execute(_LOOK_AGAIN, {"b_ids": wanted, "b_at": at})


def open_intents(conn: Connection) -> list[Intent]:
    """Intents whose outcome is not known yet, oldest first."""
    return [Intent(*row) for row in conn.execute(_OPEN)]


def intents_to_begin_or_stop(conn: Connection) -> list[tuple[int, str]]:
    """Ids of open intents that nobody follows yet, or that are to be stopped, oldest first, each with its phase."""
    return [(row.id, row.phase) for row in conn.execute(_TO_BEGIN_OR_STOP)]


def with_remediation(conn: Connection, intent_id: int) -> tuple[Intent, Remediation]:
    """An intent and what it belongs to."""
    row = conn.execute(_WITH_REMEDIATION, {"id": intent_id}).one()
    return Intent(*row[: len(_INTENT)]), _remediation(conn, row[len(_INTENT) :])


def intents_followed(conn: Connection) -> list[Intent]:
    """Open intents that go by an object in the cluster, oldest first."""
    return [intent for intent in open_intents(conn) if intent.ref is not None]


def intents_about(conn: Connection, names: Collection[tuple[str, str, str]]) -> list[Intent]:
    """Open intents that go by one of these objects, given by kind, namespace and name.

    What we create is found by its name, which is the intent's key, also where its creation is not
    recorded yet; what others created (a rollout's object), among the open rollouts.
    """
    keys = sorted({name for _, _, name in names})
    found: dict[int, Intent] = {}
    for start in range(0, len(keys), _CHUNK):
        mine = _I.c.key.in_(keys[start : start + _CHUNK]) | (_I.c.action == "rollout")
        for row in conn.execute(select(*_INTENT).where(_I.c.done_at.is_(None), mine)):
            found[row.id] = Intent(*row)
    return [found[id_] for id_ in sorted(found)]


def begun(turn: Turn, intent: Intent, ref: Mapping[str, str]) -> None:
    """Write the object that an intent goes by."""
    turn.conn.execute(_CHANGE_INTENT, {"b_id": intent.id, "ref": dict(ref)})


def resolved(turn: Turn, intent: Intent, end_state: Mapping[str, Any], resource_version: str | None) -> None:
    """Write what a patch is about to set, and the resourceVersion that it is for."""
    values = {"end_state": dict(end_state), "resource_version": resource_version}
    turn.conn.execute(_CHANGE_INTENT, {"b_id": intent.id, **values})


def is_open(conn: Connection, intent: Intent) -> bool:
    """Whether an intent's outcome is not known yet."""
    return conn.execute(_IS_OPEN, {"id": intent.id}).one_or_none() is not None


def is_running(conn: Connection, intent: Intent) -> bool:
    """Whether an intent's remediation still is at its action."""
    query = select(_T.c.phase).join(_I, _I.c.remediation_id == _T.c.id)
    query = query.where(_I.c.id == intent.id, _I.c.done_at.is_(None))
    return conn.execute(query).scalar() == str(Phase.RUNNING)


def outputs(conn: Connection, r: Remediation) -> dict[str, Any]:
    """What the action of the rung at hand has reported."""
    o, i = schema.observations.c, schema.intents.c
    mine = (i.remediation_id == r.id, i.step == r.step, i.attempt == r.attempt)
    query = select(o.value).join(schema.intents, i.id == o.intent_id).where(*mine).order_by(o.id.desc()).limit(1)
    value = conn.execute(query).scalar()
    return dict(value.get("outputs") or {}) if value else {}


def intent_under(conn: Connection, key: str) -> Intent:
    """The intent with this key."""
    return Intent(*conn.execute(select(*_INTENT).where(_I.c.key == key)).one())


def tried(turn: Turn, intent: Intent, pid: int | None = None, pid_started: float | None = None) -> None:
    """Note, before the world is touched, that it is about to be; of a process, which one."""
    values: dict[str, Any] = {"first_tried_at": intent.first_tried_at or turn.now}
    if pid is not None:
        values |= {"pid": pid, "pid_started": pid_started}
    turn.conn.execute(_CHANGE_INTENT, {"b_id": intent.id, **values})


def finished(turn: Turn, intent: Intent, outcome: Acted) -> None:
    """Write how an intent ended."""
    turn.conn.execute(_CHANGE_INTENT, {"b_id": intent.id, "outcome": outcome.state, "done_at": turn.now})


def observe(
    turn: Turn, remediation: Remediation, input_seq: int, value: dict[str, Any], *, at: datetime, intent: Intent | None
) -> None:
    """Keep what the outside world answered: an action's end, or a sample of the verification at hand."""
    row = {
        "input_seq": input_seq,
        "remediation_id": remediation.id,
        "intent_id": intent.id if intent else None,
        "step": remediation.step,
        "verify_index": None if intent else remediation.verify_index,
        "at": at,
        "value": value,
    }
    turn.conn.execute(_ADD_OBSERVATION, row)


def samples(conn: Connection, remediation: Remediation) -> list[Sample]:
    """The samples of the verification at hand, oldest first."""
    kept = schema.observations.c
    mine = (
        kept.remediation_id == remediation.id,
        kept.step == remediation.step,
        kept.verify_index == remediation.verify_index,
        kept.at >= (remediation.action_ended or remediation.phase_since),
    )
    rows = conn.execute(select(kept.at, kept.value).where(*mine).order_by(kept.at, kept.id))
    return [
        Sample(row.at, row.value["state"], row.value.get("message", ""), row.value.get("numbers", {}))
        for row in rows
        if not row.value.get("first")
    ]


def looked_before(conn: Connection, remediation: Remediation, since: datetime) -> dict[int, Sample]:
    """The newest samples later than `since`, by verification, of a remediation whose first rung has not begun."""
    kept = schema.observations.c
    mine = (kept.remediation_id == remediation.id, kept.verify_index.is_not(None), kept.at > since)
    rows = conn.execute(select(kept.verify_index, kept.at, kept.value).where(*mine).order_by(kept.id))
    return {
        row.verify_index: Sample(row.at, row.value["state"], row.value["message"], row.value.get("numbers", {}))
        for row in rows
        if row.value.get("first")
    }


def step_began(conn: Connection, remediation: Remediation) -> datetime:
    """When the action of the rung at hand was first started; now, as its row has it, where it was not yet."""
    kept = schema.transitions.c
    mine = (
        kept.remediation_id == remediation.id,
        kept.step == remediation.step,
        kept.to_phase == str(Phase.RUNNING),
        kept.reason == str(Cause.STARTED),
    )
    began: datetime | None = conn.execute(select(func.min(kept.now)).where(*mine)).scalar()
    return began or remediation.phase_since


def condition_ends(conn: Connection, ids: Sequence[str]) -> list[ConditionEnd]:
    """How the conditions of the evidence stand; only an event proves that one is over, a person's word does not.

    A moment that corroborated it is none of them: it was over as it began.
    """
    kept = schema.conditions.c
    lasting = (kept.id.in_(ids), kept.kind.in_(("model", "dataset")))
    query = select(kept.id, kept.ended, kept.ended_by, kept.last_seen).where(*lasting).order_by(kept.id)
    return [
        ConditionEnd(row.id, row.ended if (row.ended_by or "").startswith("event:") else None, row.last_seen)
        for row in conn.execute(query)
    ]
