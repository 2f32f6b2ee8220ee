"""What one deciding transaction knows of the models that it is about.

A batch reads its models' conditions, remediations and open questions once, each event then
sees what the events before it moved and decided, and everything is written at the end in a
few bulk statements: that is what makes a decision cheap. Nothing outlives the transaction;
state is read, never remembered.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, delete, exists, func, insert, select, update

from controller import schema
from controller.events.condition import Condition
from controller.events.event import Event
from controller.policy import Policy, Target, Trigger
from controller.remediation import Remediation
from controller.store import remediations
from controller.store.inserting import InsertNew
from controller.store.leader import Turn
from controller.store.undecided import EVENT_COLUMNS, event_of

ModelKey = tuple[str, str]
"""Namespace and name."""

_CHUNK = 500  # names in one IN list


@dataclass(frozen=True, slots=True)
class Question:
    """The newest event of a policy and model that was refused by what may yet lift."""

    policy_ns: str
    policy: str
    namespace: str
    model: str
    event_seq: int
    decision_id: int
    condition_id: str | None
    reason: str
    wait_until: datetime | None
    retry_at: datetime | None
    retry_on: str | None
    severity: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Past:
    """A remediation as the limits see it."""

    id: str
    policy_ns: str
    policy: str
    mode: str
    phase: str
    verdict: str
    changing: bool
    acted: bool
    holds_model: bool
    families: tuple[str, ...]
    started_at: datetime
    ended_at: datetime | None
    held_until: datetime | None


@dataclass(frozen=True, slots=True)
class PauseRow:
    """A pause in force; `name` is the policy's or the model's."""

    id: str
    scope: str
    namespace: str
    name: str
    until: datetime | None
    why: str


@dataclass(frozen=True, slots=True)
class SilenceRow:
    """A silence in force."""

    id: str
    matchers: dict[str, Any]
    until: datetime
    why: str


@dataclass(frozen=True, slots=True)
class ResumeRow:
    """A person's word that failures before it count no more, where it names a policy and a model."""

    policy: str | None
    model: str | None
    at: datetime


_PAST = tuple(schema.remediations.c[name] for name in Past.__dataclass_fields__)
_CONDITION = tuple(schema.conditions.c[name] for name in Condition.__dataclass_fields__)
_QUESTION = tuple(schema.questions.c[name] for name in Question.__dataclass_fields__)
_QUESTION_KEY = ("policy_ns", "policy", "namespace", "model")


def _values(row: Condition | Question) -> dict[str, Any]:
    """The columns of a row; `dataclasses.asdict` would copy every value deeply, at ten times the cost."""
    return {name: getattr(row, name) for name in row.__dataclass_fields__}


class Ledger:
    """The working set of one `Turn`: load, ask, change, `flush`."""

    def __init__(self, turn: Turn) -> None:
        self.turn = turn
        self._conditions: dict[ModelKey, dict[str, Condition]] = {}
        self._past: dict[ModelKey, list[Past]] = {}
        self._questions: dict[tuple[str, str, str, str], Question | None] = {}
        self._events: dict[int, Event] = {}
        self._evidence: dict[tuple[str, str, str, str, str], list[tuple[datetime, Any]]] = {}
        self._moved: dict[str, Condition] = {}
        self._asked: set[tuple[str, str, str, str]] = set()
        self._new_evidence: list[dict[str, Any]] = []
        self._evident: set[tuple[str, str, str, int]] = set()
        self._decisions: list[dict[str, Any]] = []
        self._decided: list[dict[str, Any]] = []
        self._look_again: set[str] = set()
        self._targets: dict[Target, str] | None = None
        self._active: dict[str, Remediation | None] = {}
        self._signs: dict[tuple[str, str], tuple[Remediation, int, int, datetime]] = {}
        self._read_bars()

    def load(self, keys: Collection[ModelKey]) -> None:
        """Read what there is about these models, as far as it was not read before."""
        missing = [key for key in dict.fromkeys(keys) if key not in self._past]
        for key in missing:
            self._conditions[key] = {}
            self._past[key] = []
        names = sorted({name for _, name in missing})
        for start in range(0, len(names), _CHUNK):
            self._load(names[start : start + _CHUNK], set(missing))

    def _load(self, names: Sequence[str], wanted: set[ModelKey]) -> None:
        conn = self.turn.conn
        for row in conn.execute(select(*_CONDITION).where(schema.conditions.c.name.in_(names))):
            if (row.namespace, row.name) in wanted:
                self._conditions[row.namespace, row.name][row.id] = Condition(*row)
        past = schema.remediations.c
        query = select(past.namespace, past.model, *_PAST).where(past.model.in_(names)).order_by(past.started_at)
        for namespace, model, *values in conn.execute(query):
            if (namespace, model) in wanted:
                found = Past(*values)
                self._past[namespace, model].append(replace(found, families=tuple(found.families)))
        for row in conn.execute(select(*_QUESTION).where(schema.questions.c.model.in_(names))):
            if (row.namespace, row.model) in wanted:
                self._questions[row.policy_ns, row.policy, row.namespace, row.model] = Question(*row)
        models = schema.models.c
        query = select(models.namespace, models.name).where(models.name.in_(names))
        new = sorted(wanted - {(row.namespace, row.name) for row in conn.execute(query)})
        self._insert(schema.models, [{"namespace": ns, "name": name, "first_seen": self.turn.now} for ns, name in new])

    def _read_bars(self) -> None:
        conn, now = self.turn.conn, self.turn.now
        p, s, a, r = schema.pauses.c, schema.silences.c, schema.acts.c, schema.remediations.c
        pauses = select(p.id, p.scope, p.namespace, p.name, p.until, p.why).where(
            p.lifted_at.is_(None), p.until.is_(None) | (p.until > now)
        )
        self.pauses = [PauseRow(*row) for row in conn.execute(pauses.order_by(p.since, p.id))]
        silences = select(s.id, s.matchers, s.ends_at, s.why).where(
            s.starts_at <= now, s.ends_at > now, s.ended_early_at.is_(None)
        )
        self.silences = [SilenceRow(*row) for row in conn.execute(silences.order_by(s.starts_at, s.id))]
        resumes = select(a.body, a.at).where(a.kind == "resume", a.input_seq.is_not(None))
        self.resumes = [
            ResumeRow(body.get("policy"), body.get("model"), at) for body, at in conn.execute(resumes.order_by(a.id))
        ]
        active = select(func.count()).where(r.holds_model, r.mode == "enforce")
        self.fleet_active: int = conn.execute(active).scalar_one()

    def conditions(self, key: ModelKey) -> Iterable[Condition]:
        """The model's conditions, over or not."""
        return self._conditions[key].values()

    def condition(self, key: ModelKey, condition_id: str) -> Condition | None:
        """One of them."""
        return self._conditions[key].get(condition_id)

    def move(self, condition: Condition) -> None:
        """Keep a condition as it is now."""
        self._conditions[condition.namespace, condition.name][condition.id] = condition
        self._moved[condition.id] = condition

    def remember(self, seq: int, event: Event) -> None:
        """Have an event at hand that is being used."""
        self._events[seq] = event

    def event(self, seq: int) -> Event:
        """An event that something open rests on, by its number."""
        found = self.find_event(seq)
        assert found is not None
        return found

    def find_event(self, seq: int) -> Event | None:
        """An event by its number; None: it is purged."""
        if seq not in self._events:
            row = self.turn.conn.execute(select(*EVENT_COLUMNS).where(schema.events.c.seq == seq)).one_or_none()
            if row is None:
                return None
            self._events[seq] = event_of(row)
        return self._events[seq]

    def past(self, key: ModelKey) -> list[Past]:
        """The model's remediations that are kept, oldest first."""
        return self._past[key]

    def remediation(self, remediation_id: str) -> Remediation | None:
        """A remediation with its steps, as it was when this transaction first asked."""
        if remediation_id not in self._active:
            self._active[remediation_id] = remediations.read(self.turn.conn, remediation_id)
        return self._active[remediation_id]

    def sign(self, remediation: Remediation, state: str, event_seq: int, input_seq: int, at: datetime) -> None:
        """Keep what an event says to a `quiet` verification: of each kind only the newest matters."""
        before = self._signs.get((remediation.id, state))
        if before is None or before[3] < at:
            self._signs[remediation.id, state] = (remediation, event_seq, input_seq, at)

    def holder(self, target: Target) -> str | None:
        """The active remediation that holds an object, whichever model it is about."""
        if self._targets is None:
            t = schema.targets.c
            rows = self.turn.conn.execute(select(t.kind, t.namespace, t.name, t.remediation_id).where(t.active))
            self._targets = {(kind, namespace, name): id_ for kind, namespace, name, id_ in rows}
        return self._targets.get(target)

    def started(self, remediation: Remediation, target: Target | None) -> None:
        """Have a new remediation counted, and the object that it holds."""
        if target is not None and self._targets is not None:
            self._targets[target] = remediation.id
        values = {name: getattr(remediation, name) for name in Past.__dataclass_fields__}
        past = Past(**values | {"phase": str(remediation.phase), "verdict": str(remediation.verdict)})
        self._past[remediation.namespace, remediation.model].append(past)
        if remediation.holds_model and remediation.mode == "enforce":
            self.fleet_active += 1

    def question(self, policy: Policy, key: ModelKey) -> Question | None:
        """The open question of this policy and model."""
        return self._questions.get((policy.namespace, policy.name, *key))

    def questions(self, key: ModelKey) -> list[Question]:
        """All open questions about a model, in one order however they were read."""
        found = [open_ for open_ in self._questions.values() if open_ and (open_.namespace, open_.model) == key]
        return sorted(found, key=lambda question: (question.policy_ns, question.policy))

    def ask(self, question: Question) -> None:
        """Make this the open question of its policy and model."""
        key = (question.policy_ns, question.policy, question.namespace, question.model)
        self._questions[key] = question
        self._asked.add(key)

    def close(self, question: Question) -> None:
        """The question is answered."""
        key = (question.policy_ns, question.policy, question.namespace, question.model)
        self._questions[key] = None
        self._asked.add(key)

    def seen(self, policy: Policy, trigger: Trigger, key: ModelKey, after: datetime | None) -> int:
        """How much evidence of a counting trigger lies in its window and after `after`, at most what it asks for."""
        counter = trigger.counter
        assert counter is not None
        floor = self.turn.now - counter.within
        if after is not None:
            floor = max(floor, after)
        rows = [row for row in self._window(policy, trigger, key) if row[0] > floor]
        found = len(rows) if counter.of is None else len({repr(value) for _, value in rows})
        return min(found, counter.at_least)

    def _window(self, policy: Policy, trigger: Trigger, key: ModelKey) -> list[tuple[datetime, Any]]:
        """(time, value) of the window's evidence: the newest `atLeast` rows, or the newest of each distinct value."""
        cached = self._evidence.get((policy.namespace, policy.name, trigger.digest, *key))
        if cached is not None:
            return cached
        assert trigger.counter is not None
        e = schema.evidence.c
        mine = (
            e.policy_ns == policy.namespace,
            e.policy == policy.name,
            e.trigger_digest == trigger.digest,
            e.model == key[1],
            e.namespace == key[0],
            e.time > self.turn.now - trigger.counter.within,
        )
        if trigger.counter.of is None:
            query = select(e.time, e.value).where(*mine).order_by(e.time.desc()).limit(trigger.counter.at_least)
        else:
            query = select(func.max(e.time).label("time"), e.value).where(*mine).group_by(e.value)
        rows = [(row.time, row.value) for row in self.turn.conn.execute(query)]
        self._evidence[policy.namespace, policy.name, trigger.digest, *key] = rows
        return rows

    def add_evidence(
        self, policy: Policy, trigger: Trigger, key: ModelKey, seq: int, time: datetime, value: Any
    ) -> None:
        """Keep a row of evidence; two triggers that ask the same share it."""
        row = (policy.namespace, policy.name, trigger.digest, seq)
        if row in self._evident:
            return
        self._evident.add(row)
        self._window(policy, trigger, key).append((time, value))
        self._new_evidence.append(
            {
                "policy_ns": policy.namespace,
                "policy": policy.name,
                "trigger_digest": trigger.digest,
                "event_seq": seq,
                "namespace": key[0],
                "model": key[1],
                "time": time,
                "value": value,
            }
        )

    def record(self, row: dict[str, Any]) -> None:
        """Keep a decision's row."""
        self._decisions.append(row)

    def decided(self, seq: int, input_seq: int) -> None:
        """The event has been used."""
        self._decided.append({"b_seq": seq, "b_input": input_seq, "b_now": self.turn.now})

    def look_again(self, remediation_id: str) -> None:
        """Have a remediation looked at as soon as this transaction is over."""
        self._look_again.add(remediation_id)

    def flush(self) -> None:
        """Write what has changed since the last time."""
        conn = self.turn.conn
        self._insert(schema.conditions, [_values(condition) for condition in self._moved.values()], replacing=("id",))
        self._insert(schema.evidence, self._new_evidence)
        if self._decisions:
            conn.execute(insert(schema.decisions), self._decisions)
        if self._decided:
            events = schema.events.c
            conn.execute(
                update(schema.events)
                .where(events.seq == bindparam("b_seq"))
                .values(decided_at=bindparam("b_now"), input_seq=bindparam("b_input"), in_hand=False),
                self._decided,
            )
        self._flush_questions()
        for (_, state), (remediation, event_seq, input_seq, at) in self._signs.items():
            value = {"state": state, "event": event_seq}
            remediations.observe(self.turn, remediation, input_seq, value, at=at, intent=None)
        self._signs.clear()
        remediations.look_again(self.turn, sorted(self._look_again), self.turn.now)
        self._look_again.clear()
        self._moved.clear()
        for pending in (self._new_evidence, self._decisions, self._decided):
            pending.clear()

    def _flush_questions(self) -> None:
        q = schema.questions.c
        asked = {key: self._questions[key] for key in sorted(self._asked)}
        self._insert(schema.questions, [_values(found) for found in asked.values() if found], replacing=_QUESTION_KEY)
        for policy_ns, policy, namespace, model in (key for key, found in asked.items() if found is None):
            mine = (q.policy_ns == policy_ns, q.policy == policy, q.namespace == namespace, q.model == model)
            self.turn.conn.execute(delete(schema.questions).where(*mine))
        self._asked.clear()

    def _insert(self, table: Table, rows: list[dict[str, Any]], *, replacing: tuple[str, ...] = ()) -> None:
        """Insert rows; those that exist are replaced, or left as they are where no key is given."""
        if not rows:
            return
        dialect = sqlite if self.turn.conn.dialect.name == "sqlite" else postgresql
        statement = dialect.insert(table)
        if replacing:
            changed = {c.name: statement.excluded[c.name] for c in table.columns if c.name not in replacing}
            self.turn.conn.execute(statement.on_conflict_do_update(index_elements=replacing, set_=changed), rows)
        else:
            self.turn.conn.execute(statement.on_conflict_do_nothing(), rows)
