"""One installation under a clock that the test moves: database, intake, engine, and a world that answers.

The engine's own thread never starts: the test calls its rounds, through `settle`, until
there is nothing more to do at this time.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, Table, select

from controller import schema
from controller.durations import parse_duration
from controller.engine.loop import Engine
from controller.engine.rules import Rules
from controller.events.event import Event
from controller.events.types import EventTypes
from controller.events.wire import parse
from controller.metrics import Metrics
from controller.policy import Installation, PolicySet, build_set, parse_documents
from controller.settings import Fleet, Sender, Settings
from controller.store import acts
from controller.store.database import Database
from controller.store.intake import Intake, Receipt
from controller.store.leader import Leadership
from tests.integration.engine.objects import Objects
from tests.integration.engine.world import Deferred, World

DRIFT = "ml.data.drift.detected"
CALM = "ml.data.drift.resolved"
DEGRADED = "ml.performance.degraded"
RECOVERED = "ml.performance.recovered"
BROKEN = "ml.data.quality.failed"
RESTORED = "ml.data.quality.restored"
CHECKED = "ml.monitor.checked"
LABELS = "ml.labels.available"

DETECTOR = "urn:drift-detector"
LEVEL = "urn:stateful:alerts"
SENDERS = {LEVEL: Sender(stateful=True), "urn:brief": Sender(expires=timedelta(hours=1))}
MANY = 3_000  # rounds after which an engine that finds no rest has lost its way

_NUMBERS: dict[str, dict[str, Any]] = {
    DRIFT: {"driftScore": 0.4},
    DEGRADED: {"metric": "accuracy", "value": 0.8},
    LABELS: {"count": 3},
}
_PATTERN = Settings().model_pattern
_TYPES = EventTypes()

MODEL = "kind: Model\nmetadata: {name: salary, namespace: ml}\n"


def model(name: str, namespace: str = "ml") -> str:
    """A model's document."""
    return f"kind: Model\nmetadata: {{name: {name}, namespace: {namespace}}}\n"


def policy(spec: str = "", *, name: str = "retrain", namespace: str = "ml") -> str:
    """A policy's document: the lines of `spec`, and for each key that is missing the simplest that acts."""
    lines = [line.strip() for line in spec.strip().splitlines()]
    keys = {line.partition(":")[0] for line in lines}
    simplest = {
        "mode": "enforce",
        "models": '{names: ["*"]}',
        "triggers": f"[{{name: drift, type: {DRIFT}}}]",
        "steps": '[{name: retrain, command: {argv: ["true"]}, verify: none}]',
    }
    lines += [f"{key}: {value}" for key, value in simplest.items() if key not in keys]
    body = "\n".join("  " + line for line in lines)
    return f"kind: RemediationPolicy\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec:\n{body}\n"


def policy_set(*documents: str, receivers: Iterable[str] = ()) -> PolicySet:
    """The set of these documents, which must all be good."""
    read, unread = parse_documents("---\n".join(documents), "test.yaml")
    found, problems = build_set(read, Installation.of(_TYPES, receivers, cluster=True, prometheus=True), unread)
    assert [str(problem) for problem in problems] == []
    return found


class Scene:
    """A running installation; `leave` when done."""

    def __init__(
        self,
        db: Database,
        clock: Any,
        world: World,
        *,
        fleet: Fleet | None = None,
        receivers: Mapping[str, str] | None = None,
        objects: Objects | None = None,
    ) -> None:
        self.objects = objects or Objects()
        self.db, self.clock, self.world = db, clock, world
        self.receivers = dict(receivers or {"default": "webhook", "sink": "cloudevents"})
        self.fleet = fleet or Fleet(active=5, share=1.0)
        self.intake = Intake(db, stateful=lambda source: source == LEVEL)
        self.intake.start()
        self.in_force = PolicySet()
        self.public_url: str | None = "https://mend.example"
        self._sent = 0
        self.lead()

    def lead(self) -> None:
        """Begin to lead, as a process does that starts."""
        self.leadership = Leadership.take(self.db, holder="the test")
        self.pool = Deferred()
        rules = Rules(PolicySet(), self.fleet, SENDERS, self.receivers, public_url=self.public_url)
        self.engine = Engine(self.leadership, rules, metrics=Metrics(version="test"), workers=1, kube=self.objects)
        for name in ("_pool", "_samplers", "_callers"):
            getattr(self.engine._workers, name).shutdown()
            setattr(self.engine._workers, name, self.pool)
        self.engine.adopt(self.in_force)

    def crash(self) -> None:
        """Die, and start again: what was in hand, and what workers would have said, is lost."""
        self.leadership.abandon()
        self.lead()

    def leave(self) -> None:
        """Free what the scene holds."""
        self.intake.stop()
        self.leadership.abandon()

    # what happens

    def adopt(self, *documents: str) -> None:
        """Bring these documents into force."""
        self.in_force = policy_set(*documents, receivers=self.receivers)
        self.engine.adopt(self.in_force)
        self.settle()

    def event(
        self,
        kind: str = DRIFT,
        /,
        *,
        id: str | None = None,  # noqa: A002 — CloudEvents' own word
        source: str = DETECTOR,
        at: datetime | None = None,
        **data: Any,
    ) -> Event:
        """An event as the wire gives it, about `ml/salary` unless `model` and `namespace` say otherwise."""
        self._sent += 1
        told = {"model": "salary", "namespace": "ml", **_NUMBERS.get(kind, {}), **data}
        body = {
            "specversion": "1.0",
            "id": id or f"e{self._sent}",
            "type": kind,
            "source": source,
            "time": (at or self.clock()).isoformat(),
            "data": {key: value for key, value in told.items() if value is not None},
        }
        parsed = parse(
            "application/cloudevents+json",
            {},
            json.dumps(body).encode(),
            now=self.clock(),
            types=_TYPES,
            senders=SENDERS,
            model_pattern=_PATTERN,
        )
        return parsed.events[0]

    def post(self, *events: Event) -> Receipt:
        """Have events stored; the engine does not hear of them yet."""
        return self.intake.submit(events).result(timeout=30)

    def send(self, kind: str = DRIFT, /, **told: Any) -> str:
        """Send an event and let the engine do all there is to do; returns its id."""
        event = self.event(kind, **told)
        self.post(event)
        self.settle()
        return event.id

    def act(self, kind: str, scope: str = "all", ref: str = "", **body: Any) -> dict[str, Any]:
        """What a person asks for; returns the engine's answer."""
        act_id = acts.add_act(self.db, kind, scope, ref, body, "ada", "because")
        self.settle()
        return acts.outcome(self.db, act_id) or {}

    def advance(self, by: str) -> None:
        """Let time pass, in steps: whatever comes due between is done when it is due."""
        until = self.clock() + parse_duration(by)
        while (due := self._next_due()) is not None and due < until:
            self.clock.now = max(due, self.clock.now)
            self.settle()
        self.clock.now = until
        self.settle()

    def _next_due(self) -> datetime | None:
        q, r, d = schema.questions.c, schema.remediations.c, schema.due.c
        with self.db.read() as conn:
            dates = list(conn.execute(select(q.retry_at).where(q.retry_at > self.clock())).scalars())
            dates += conn.execute(select(r.next_at).where(r.ended_at.is_(None), r.next_at > self.clock())).scalars()
            dates += conn.execute(select(d.next_at).where(d.next_at > self.clock())).scalars()
            soaks_at = schema.models.c.soaks_at
            dates += conn.execute(select(soaks_at).where(soaks_at > self.clock())).scalars()
        return min(dates, default=None)

    def settle(self) -> None:
        """Rounds of the engine, and answers of the world, until there is nothing more to do now."""
        for _ in range(MANY):
            if not self.engine.round() and not self.pool.run(self.world.lets(self.engine)):
                return
        raise AssertionError("the engine finds no rest")

    def shown(self, kind: str, found: dict[str, Any], change: str = "MODIFIED") -> None:
        """A watch shows an object; the engine does all there is to do."""
        self.engine._following._changed((kind, found["metadata"]["namespace"]), change, found)
        self.settle()

    def synced(self, kind: str = "Workflow", namespace: str = "ml") -> None:
        """A watch has read everything of this kind anew."""
        self.engine._following._synced((kind, namespace), list(self.objects.objects.values()))
        self.settle()

    def try_again(self) -> None:
        """The pause after an API server that did not answer is over."""
        for job in self.engine._workers._jobs.values():
            if job.again_at is not None:
                job.again_at = 0.0
        self.settle()

    # what is there

    def rows(self, table: Table, *where: Any, order: Any = None) -> list[Row[Any]]:
        """Rows of a table."""
        with self.db.read() as conn:
            query = select(table).where(*where)
            return list(conn.execute(query if order is None else query.order_by(order)))

    def decisions(self, event_id: str | None = None, policy: str | None = None) -> list[Row[Any]]:
        """The decisions of an event (or of all), as they were taken."""
        d, e = schema.decisions.c, schema.events.c
        where = [] if policy is None else [d.policy == policy]
        if event_id is not None:
            where.append(d.event_seq.in_(select(e.seq).where(e.id == event_id)))
        return self.rows(schema.decisions, *where, order=d.id)

    def story(self, event_id: str, policy: str | None = None) -> list[str]:
        """What was answered for an event, attempt by attempt: reasons, or `remediate`."""
        return [row.reason or row.outcome for row in self.decisions(event_id, policy)]

    def tally(self) -> Counter[str]:
        """How often each answer was the last one of its event, policy and model."""
        rows = self.decisions()
        last = {(row.event_seq, row.policy_ns, row.policy, row.model): row.reason or row.outcome for row in rows}
        return Counter(last.values())

    def remediations(self) -> list[Row[Any]]:
        """All remediations, oldest first."""
        return self.rows(schema.remediations, order=(schema.remediations.c.decision_id))

    def remediation(self) -> Row[Any]:
        """The newest remediation."""
        return self.remediations()[-1]

    def trail(self, remediation_id: str | None = None) -> list[str]:
        """The phases and reasons that a remediation (the newest) went through: `Running started`."""
        t = schema.transitions.c
        mine = remediation_id or self.remediation().id
        found = self.rows(schema.transitions, t.remediation_id == mine, order=t.version)
        return [f"{row.to_phase} {row.reason}" for row in found]

    def questions(self) -> list[Row[Any]]:
        """The open questions."""
        q = schema.questions.c
        return self.rows(schema.questions, order=q.since)

    def conditions(self) -> list[Row[Any]]:
        """What is said to be wrong; moments are none."""
        c = schema.conditions.c
        return self.rows(schema.conditions, c.kind.in_(("model", "dataset")), order=c.since)

    def outbox(self) -> list[Row[Any]]:
        """What is told outside."""
        return self.rows(schema.outbox, order=schema.outbox.c.id)


Staged = Callable[..., Scene]
