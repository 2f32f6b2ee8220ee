"""What one deciding transaction knows of the models that it is about.

A batch reads its models' conditions, remediations and open questions once, each event then
sees what the events before it moved and decided, and everything is written at the end in a
few bulk statements: that is what makes a decision cheap. Nothing outlives the transaction;
state is read, never remembered.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from math import fsum
from typing import Any

from sqlalchemy import Row, Select

from controller.events.condition import Condition, Dataset, Subject, named
from controller.events.event import Event
from controller.judge import Sample
from controller.policy import NOTHING, Counter, ModelState, Policy, Target, Trigger
from controller.remediation import Remediation
from controller.store import questions, remediations
from controller.store.cause_rows import CauseRows
from controller.store.counting import Tally, life_of, looked_back_to, tally
from controller.store.leader import Turn
from controller.store.ledger_rows import (
    ADD_DECISIONS,
    ADD_EVIDENCE,
    ADD_MODELS,
    BARS,
    CLOSE,
    CONDITIONS,
    DECIDED,
    DISTINCT,
    FLEET,
    KEEP_CONDITIONS,
    KEEP_QUESTIONS,
    LEARN,
    LIFE,
    NEWEST,
    PAST,
    PAUSES,
    QUESTION_KEY,
    QUESTIONS,
    RESUMES,
    SILENCES,
    STATES,
    TARGETS,
    ModelKey,
    Past,
    PauseRow,
    Question,
    ResumeRow,
    SilenceRow,
)
from controller.store.undecided import one

_CHUNK = 500  # names in one IN list, or rows of one page


def _values(row: Condition | Question | ModelState) -> dict[str, Any]:
    """The columns of a row; `dataclasses.asdict` would copy every value deeply, at ten times the cost."""
    return {name: getattr(row, name) for name in row.__dataclass_fields__}


def _past_of(remediation: Remediation) -> Past:
    values = {name: getattr(remediation, name) for name in Past.__dataclass_fields__}
    return Past(**values | {name: str(values[name]) for name in ("phase", "reason", "verdict")})


def _first_seen(key: ModelKey, now: datetime) -> dict[str, Any]:
    return {"namespace": key[0], "name": key[1], "first_seen": now}


class Ledger:
    """The working set of one `Turn`: load, ask, change, `flush`."""

    def __init__(self, turn: Turn) -> None:
        self.turn = turn
        self._conditions: dict[Subject, dict[str, Condition]] = {}
        self._past: dict[ModelKey, list[Past]] = {}
        self._questions: dict[tuple[str, str, str, str], Question | None] = {}
        self._events: dict[int, Event] = {}
        self._evidence: dict[tuple[str, str, str, str, str], list[tuple[datetime, Any]]] = {}
        self._moved: dict[str, Condition] = {}
        self._asked: set[tuple[str, str, str, str]] = set()
        self._new_evidence: list[dict[str, Any]] = []
        self._evident: set[tuple[str, str, str, ModelKey, int]] = set()
        self._alive: set[tuple[str, str, str, ModelKey, datetime]] = set()
        self._decisions: list[dict[str, Any]] = []
        self._decided: list[dict[str, Any]] = []
        self._look_again: set[str] = set()
        self._started: set[str] = set()
        self._met: set[ModelKey] = set()
        self._states: dict[ModelKey, ModelState] = {}
        self._learnt: dict[ModelKey, datetime | None] = {}  # and when to ask whether what serves has soaked
        self._targets: dict[Target, str] | None = None
        self._active: dict[str, Remediation | None] = {}
        self._reports: list[tuple[Remediation, dict[str, Any], int]] = []
        self._signs: dict[tuple[str, str], tuple[Remediation, int, int, datetime]] = {}
        self._fleet_active: int | None = None
        self._passed_on: tuple[int, int] | None = None
        self.causes = CauseRows(turn)
        self._unread: dict[Select[Any], set[Subject]] = {
            query: set() for query in (CONDITIONS, PAST, QUESTIONS, STATES)
        }

    def load(self, keys: Iterable[ModelKey], datasets: Iterable[Dataset] = ()) -> None:
        """Announce what will be asked about: each kind of row is then read for all models and datasets at once."""
        for key in keys:
            if key not in self._past:
                self._conditions[key] = {}
                self._past[key] = []
                for unread in self._unread.values():
                    unread.add(key)
        for dataset in datasets:
            if dataset not in self._conditions:
                self._conditions[dataset] = {}
                self._unread[CONDITIONS].add(dataset)

    def meet(self, key: ModelKey) -> None:
        """An event about this model is used; where nothing was said of it before, it may be the first."""
        if not self._conditions_of(key):
            self._met.add(key)

    def _read(self, query: Select[Any]) -> Iterator[tuple[ModelKey, Sequence[Any]]]:
        """Rows about the announced models, as far as they were not read before: each model's key, the other columns."""
        wanted, self._unread[query] = self._unread[query], set()
        for row in self._rows(query, wanted):
            key = (row[0], row[1])
            if key in wanted:
                yield key, row[2:]

    def _rows(self, query: Select[Any], wanted: set[Subject]) -> Iterator[Sequence[Any]]:
        names = sorted({named(subject)[1] for subject in wanted})
        for start in range(0, len(names), _CHUNK):
            yield from self.turn.conn.execute(query, {"names": names[start : start + _CHUNK]})

    def _conditions_of(self, subject: Subject) -> dict[str, Condition]:
        wanted = self._unread[CONDITIONS]
        if wanted:
            self._unread[CONDITIONS] = set()
            for row in self._rows(CONDITIONS, wanted):
                condition = Condition(*row)
                if condition.subject in wanted:
                    self._conditions[condition.subject][condition.id] = condition
        return self._conditions[subject]

    def _read_questions(self) -> None:
        if not self._unread[QUESTIONS]:
            return
        for _, values in self._read(QUESTIONS):
            question = Question(*values)
            self._questions.setdefault(
                (question.policy_ns, question.policy, question.namespace, question.model), question
            )

    @cached_property
    def _bars(self) -> Row[bool, bool, bool]:
        """Which kinds there are: mostly none, and one question instead of three."""
        return self.turn.conn.execute(BARS, {"now": self.turn.now}).one()

    @cached_property
    def pauses(self) -> list[PauseRow]:
        """Pauses in force."""
        if not self._bars.pauses:
            return []
        return [PauseRow(*row) for row in self.turn.conn.execute(PAUSES, {"now": self.turn.now})]

    @cached_property
    def silences(self) -> list[SilenceRow]:
        """Silences in force."""
        if not self._bars.silences:
            return []
        return [SilenceRow(*row) for row in self.turn.conn.execute(SILENCES, {"now": self.turn.now})]

    @cached_property
    def resumes(self) -> list[ResumeRow]:
        """What people resumed so far."""
        if not self._bars.resumes:
            return []
        rows = self.turn.conn.execute(RESUMES)
        return [ResumeRow(body.get("policy"), body.get("model"), at) for body, at in rows]

    @property
    def fleet_active(self) -> int:
        """How many enforced remediations hold a model."""
        if self._fleet_active is None:
            self._fleet_active = self.turn.conn.execute(FLEET).scalar_one()
        return self._fleet_active

    def conditions(self, subject: Subject) -> Iterable[Condition]:
        """The conditions of a model or a dataset, over or not."""
        return self._conditions_of(subject).values()

    def condition(self, subject: Subject, condition_id: str) -> Condition | None:
        """One of them."""
        return self._conditions_of(subject).get(condition_id)

    def move(self, condition: Condition) -> None:
        """Keep a condition as it is now."""
        self._conditions_of(condition.subject)[condition.id] = condition
        self._moved[condition.id] = condition

    def state(self, key: ModelKey) -> ModelState:
        """What is known of the model besides its document."""
        if self._unread[STATES]:
            for found, values in self._read(STATES):
                self._states[found] = ModelState(*values)
        return self._states.get(key, NOTHING)

    def learn(self, key: ModelKey, state: ModelState, soaks_at: datetime | None) -> None:
        """Keep what is known of the model now, and when to ask whether what serves has soaked: no fact, an alarm."""
        self._states[key] = state
        self._learnt[key] = soaks_at

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
            stored = one(self.turn.conn, seq)
            if stored is None:
                return None
            self._events[seq] = stored.event
        return self._events[seq]

    def past(self, key: ModelKey) -> list[Past]:
        """The model's remediations that are kept, oldest first."""
        if self._unread[PAST]:
            for found, values in self._read(PAST):
                past = Past(*values)
                self._past[found].append(replace(past, families=tuple(past.families)))
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

    def report(self, remediation: Remediation, sample: Sample, event_seq: int, input_seq: int) -> None:
        """Keep what an event tells a `report` verification; it counts from when it was used on."""
        value = {"state": sample.state, "message": sample.message, "numbers": dict(sample.numbers), "event": event_seq}
        self._reports.append((remediation, value, input_seq))

    def holder(self, target: Target) -> str | None:
        """The active remediation that holds an object, whichever model it is about."""
        if self._targets is None:
            rows = self.turn.conn.execute(TARGETS)
            self._targets = {(kind, namespace, name): id_ for kind, namespace, name, id_ in rows}
        return self._targets.get(target)

    def started(self, remediation: Remediation, target: Target | None) -> None:
        """Have a new remediation counted, and its object as held; what is not read yet shows it when it is."""
        if target is not None and self._targets is not None:
            self._targets[target] = remediation.id
        key = (remediation.namespace, remediation.model)
        self._started.add(remediation.id)
        if key not in self._unread[PAST]:
            self._past[key].append(_past_of(remediation))
        counts = remediation.holds_model and remediation.changing and remediation.mode != "audit"
        if self._fleet_active is not None and counts:
            self._fleet_active += 1

    def moved(self, remediation: Remediation) -> None:
        """Have a remediation at hand as it is now; what it holds is read anew."""
        self._active[remediation.id] = remediation
        self._targets = self._fleet_active = None
        key = (remediation.namespace, remediation.model)
        if key in self._past and key not in self._unread[PAST]:
            past = _past_of(remediation)
            self._past[key] = [past if found.id == past.id else found for found in self._past[key]]

    def question(self, policy: Policy, key: ModelKey) -> Question | None:
        """The open question of this policy and model."""
        self._read_questions()
        return self._questions.get((policy.namespace, policy.name, *key))

    def questions(self, key: ModelKey) -> list[Question]:
        """All open questions about a model, in one order however they were read."""
        self._read_questions()
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

    def pass_slot_on(self, fleet_limit: int) -> None:
        """A question that waited for a slot waits no more: if one is free, `flush` has another asked in its place."""
        slots = self._passed_on[0] if self._passed_on else 0
        self._passed_on = slots + 1, fleet_limit

    def seen(self, policy: Policy, trigger: Trigger, key: ModelKey, after: datetime | None) -> Tally:
        """How much evidence of a counting trigger lies in its window and after `after`."""
        counter = trigger.counter
        assert counter is not None
        floor = looked_back_to(counter, policy, self.turn.now)
        floor = floor if after is None else max(floor, after)
        rows = self._window(policy, trigger, key)
        return tally(counter, rows, lambda: self._window(policy, life_of(trigger), key), floor)

    def _window(self, policy: Policy, trigger: Trigger, key: ModelKey) -> list[tuple[datetime, Any]]:
        """(time, value) of the window's evidence: the newest, as many as matter, or of each value the newest."""
        cached = self._evidence.get((policy.namespace, policy.name, trigger.digest, *key))
        if cached is not None:
            return cached
        counter = trigger.counter
        assert counter is not None
        mine = {
            "policy_ns": policy.namespace,
            "policy": policy.name,
            "trigger_digest": trigger.digest,
            "model": key[1],
            "namespace": key[0],
            "since": looked_back_to(counter, policy, self.turn.now),
        }
        rows = self._read_window(counter, mine) + self._unwritten(policy, trigger, key)
        self._evidence[policy.namespace, policy.name, trigger.digest, *key] = rows
        return rows

    def _unwritten(self, policy: Policy, trigger: Trigger, key: ModelKey) -> list[tuple[datetime, Any]]:
        """Evidence that was kept before anybody asked for the window."""
        wanted = (policy.namespace, policy.name, trigger.digest, *key)
        names = ("policy_ns", "policy", "trigger_digest", "namespace", "model")
        return [(row["time"], row["value"]) for row in self._new_evidence if tuple(row[n] for n in names) == wanted]

    def _read_window(self, counter: Counter, mine: dict[str, Any]) -> list[tuple[datetime, Any]]:
        conn = self.turn.conn
        if counter.kind == "count":
            return [(row.time, row.value) for row in conn.execute(NEWEST, mine | {"most": int(counter.at_least)})]
        if counter.kind != "sum":
            return [(row.time, row.value) for row in conn.execute(DISTINCT, mine)]
        rows: list[tuple[datetime, Any]] = []
        while True:  # none is negative: the newest that make up the sum are enough
            page = conn.execute(NEWEST.offset(len(rows)), mine | {"most": _CHUNK}).all()
            rows += [(row.time, row.value) for row in page]
            if len(page) < _CHUNK or fsum(value for _, value in rows) >= counter.at_least:
                return rows

    def add_evidence(
        self, policy: Policy, trigger: Trigger, key: ModelKey, seq: int, time: datetime, value: Any
    ) -> None:
        """Keep a row of evidence; two triggers that ask the same share it."""
        row = (policy.namespace, policy.name, trigger.digest, key, seq)
        if row in self._evident:
            return
        self._evident.add(row)
        self._window(policy, trigger, key)
        self._add(policy, trigger, key, seq, time, value)

    def keep_life(self, policy: Policy, trigger: Trigger, key: ModelKey, seq: int, time: datetime) -> None:
        """Keep that detectors looked at the model in the period of `time`: one row says it, however often they did."""
        assert trigger.counter is not None
        assert trigger.counter.periods is not None
        life, start = life_of(trigger), trigger.counter.periods.start(time)
        row = (policy.namespace, policy.name, life.digest, key, start)
        if row in self._alive:
            return
        self._alive.add(row)
        mine = dict(zip(("policy_ns", "policy", "trigger_digest"), row, strict=False))
        mine |= {"namespace": key[0], "model": key[1]}
        if self.turn.conn.execute(LIFE, mine | {"start": start, "until": time}).first() is None:
            self._add(policy, life, key, seq, time, start.isoformat())

    def _add(self, policy: Policy, trigger: Trigger, key: ModelKey, seq: int, time: datetime, value: Any) -> None:
        window = self._evidence.get((policy.namespace, policy.name, trigger.digest, *key))
        if window is not None:
            window.append((time, value))
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
        """Have a remediation looked at as soon as this transaction is over; a new one will be in any case."""
        if remediation_id not in self._started:
            self._look_again.add(remediation_id)

    def flush(self) -> None:
        """Write what has changed since the last time."""
        conn = self.turn.conn
        ADD_MODELS.rows(conn, [_first_seen(key, self.turn.now) for key in sorted(self._met | self._learnt.keys())])
        if self._learnt:
            learnt = [
                _values(self._states[key]) | {"soaks_at": at, "b_namespace": key[0], "b_name": key[1]}
                for key, at in sorted(self._learnt.items())
            ]
            conn.execute(LEARN, learnt)
        KEEP_CONDITIONS.rows(conn, [_values(condition) for condition in self._moved.values()])
        ADD_EVIDENCE.rows(conn, self._new_evidence)
        if self._decisions:
            conn.execute(ADD_DECISIONS, self._decisions)
        if self._decided:
            conn.execute(DECIDED, self._decided)
        self._flush_questions()
        self.causes.flush()
        for (_, state), (remediation, event_seq, input_seq, at) in self._signs.items():
            value = {"state": state, "event": event_seq}
            remediations.observe(self.turn, remediation, input_seq, value, at=at, intent=None)
        for remediation, value, input_seq in self._reports:
            remediations.observe(self.turn, remediation, input_seq, value, at=self.turn.now, intent=None)
        remediations.look_again(self.turn, sorted(self._look_again), self.turn.now)
        for pending in (self._met, self._learnt, self._moved, self._signs, self._look_again):
            pending.clear()
        for rows in (self._reports, self._new_evidence, self._decisions, self._decided):
            rows.clear()

    def _flush_questions(self) -> None:
        asked = {key: self._questions[key] for key in sorted(self._asked)}
        KEEP_QUESTIONS.rows(self.turn.conn, [_values(found) for found in asked.values() if found])
        closed = [dict(zip(QUESTION_KEY, key, strict=True)) for key, found in asked.items() if found is None]
        if closed:
            self.turn.conn.execute(CLOSE, closed)
        self._asked.clear()
        if self._passed_on is not None:
            slots, limit = self._passed_on
            self._passed_on = None
            questions.ask_for_fleet(self.turn, min(slots, limit - self.fleet_active))
