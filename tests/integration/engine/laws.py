"""The laws, checked from the tables and the policies' texts alone, without the code that keeps them."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from sqlalchemy import Row, select

from controller import schema
from controller.policy import CommandVerification, Policy, QuietVerification, RolloutVerification, policy_from_text
from tests.integration.engine.scene import Scene

TERMINAL = {"Succeeded", "Failed", "Escalated", "Cancelled", "Audited"}
LATE = {"relapsed", "confirmed", "confirmed_worse", "unconfirmed"}
BAD = {"unchanged", "worse", "unknown"}


class Record:
    """Everything that the tables say after a history."""

    def __init__(self, scene: Scene) -> None:
        s = schema
        self.events = scene.rows(s.events, order=s.events.c.seq)
        self.decisions = scene.rows(s.decisions, order=s.decisions.c.id)
        self.remediations = scene.rows(s.remediations, order=s.remediations.c.decision_id)
        self.transitions = scene.rows(s.transitions, order=(s.transitions.c.version))
        self.intents = scene.rows(s.intents)
        t = s.targets.c
        self.targets = {
            row.remediation_id: (row.kind, row.namespace, row.name) for row in scene.rows(s.targets, t.name != "")
        }
        self.observations = scene.rows(s.observations, order=s.observations.c.id)
        self.questions = scene.rows(s.questions)
        self.pauses = scene.rows(s.pauses)
        self.acts = scene.rows(s.acts)
        self.acted = Counter(scene.world.acted)
        self.now = scene.clock()
        self.fleet_limit = scene.engine.rules.fleet_limit
        d = s.documents.c
        with scene.db.read() as conn:
            texts = conn.execute(select(d.digest, d.text).where(d.kind == "RemediationPolicy"))
            self.policies = {row.digest: policy_from_text(row.text) for row in texts}
        self.started = {intent.remediation_id for intent in self.intents}
        self.taken = {row.remediation_id: row.now for row in self.transitions if row.reason == "took_over"}
        self.begun_at = {row.remediation_id: row.step for row in self.transitions if row.version == 1}
        self.waited = {
            row.remediation_id
            for row in self.transitions
            if row.version == 1 and row._mapping["values"].get("waits_for")
        }

    def policy(self, row: Row[Any]) -> Policy:
        """The text that a remediation was decided by."""
        return self.policies[row.policy_digest]

    def counted(self, row: Row[Any]) -> list[Row[Any]]:
        """The earlier remediations that this one's limits count."""
        mine = self.policy(row)
        found = []
        for other in self.remediations:
            if other.decision_id >= row.decision_id or (other.namespace, other.model) != (row.namespace, row.model):
                continue
            own = (other.policy_ns, other.policy) == (row.policy_ns, row.policy)
            if row.mode == "audit":
                counts = own and other.mode == "audit"
            elif other.mode == "audit":
                counts = False
            elif mine.urgent or not mine.changing:
                counts = own
            else:
                counts = self.changing(other) and (own or mine.limits.scope == "model")
            if counts:
                found.append(other)
        return found

    def changing(self, row: Row[Any]) -> bool:
        """Whether a changing action of it has started, or could still come when it was cut short or looked at."""
        steps = self.policy(row).steps
        begun = any(
            intent.remediation_id == row.id and intent.step < len(steps) and steps[intent.step].changing
            for intent in self.intents
        )
        cut_short = row.ended_at is None or row.phase == "Cancelled"
        return begun or (cut_short and any(step.changing for step in steps[row.step :]))

    def free(self, row: Row[Any]) -> bool:
        """Whether no limit of what changes holds it: it restores first, or only pages after a relapse."""
        first = self.begun_at[row.id]
        rest = self.policy(row).steps[first:]
        return bool(rest and rest[0].restoring) or (row.continues is not None and not any(s.acting for s in rest))

    def held_from(self, row: Row[Any]) -> datetime | None:
        """Since when it holds, or held, its model; None: never."""
        if row.continues is not None and self.free(row) and not self.policy(row).urgent:
            return None
        return self.taken.get(row.id) if row.id in self.waited else row.started_at


def check(record: Record) -> None:
    """All of them."""
    limits = (alone, cooled, paid, unbroken, bounded, unpaused)
    for law in (decided, numbered, asked, ended, *limits, allowed, proved, once):
        law(record)


def decided(record: Record) -> None:
    """Every event has a decision."""
    answered = {row.event_seq for row in record.decisions}
    for event in record.events:
        assert event.decided_at is not None, event
        assert event.seq in answered, event


def numbered(record: Record) -> None:
    """Decisions are numbered 1, 2, 3 …, never back in time, attempts of one event and policy likewise."""
    assert [row.id for row in record.decisions] == list(range(1, len(record.decisions) + 1))
    assert all(earlier.now <= later.now for earlier, later in pairwise(record.decisions))
    attempts: dict[Any, list[int]] = defaultdict(list)
    for row in record.decisions:
        attempts[row.event_seq, row.policy_ns, row.policy].append(row.attempt)
    for found in attempts.values():
        assert found == list(range(found[0], found[0] + len(found)))


def asked(record: Record) -> None:
    """A question is open about an event that was refused, or whose remediation ended, and never about one that runs."""
    last = {(row.event_seq, row.policy_ns, row.policy): row for row in record.decisions}
    active = {row.event_seq for row in record.remediations if row.ended_at is None}
    for question in record.questions:
        row = last[question.event_seq, question.policy_ns, question.policy]
        assert row.outcome == "suppress" or question.event_seq not in active, question
        assert question.retry_at is not None, "a question that nothing ever asks again"
        assert question.retry_at > record.now, "a question that is due was not asked"


def ended(record: Record) -> None:
    """Terminal phases absorb; the audit trail is whole, and its last row is the state."""
    trails: dict[str, list[Row[Any]]] = defaultdict(list)
    for row in record.transitions:
        trails[row.remediation_id].append(row)
    for remediation in record.remediations:
        trail = trails[remediation.id]
        assert [row.version for row in trail] == list(range(1, remediation.version + 1))
        assert all(row.from_phase not in TERMINAL or row.reason in LATE for row in trail)
        assert all(earlier.to_phase == later.from_phase for earlier, later in pairwise(trail))
        assert trail[-1].to_phase == remediation.phase
        assert (remediation.phase in TERMINAL) == (remediation.ended_at is not None)
        assert not (remediation.ended_at is not None and remediation.holds_model)


def alone(record: Record) -> None:
    """A model, and an object that serves several, has at most one active remediation that acts."""
    acting = [row for row in record.remediations if row.mode != "audit" and not record.policy(row).page_only]
    held = [(since, row) for row in acting if (since := record.held_from(row)) is not None]
    for place in ("model", "target"):
        by_place: dict[Any, list[tuple[datetime, Row[Any]]]] = defaultdict(list)
        for since, row in sorted(held, key=lambda found: (found[0], found[1].decision_id)):
            key = (row.namespace, row.model) if place == "model" else record.targets.get(row.id)
            if key is not None:
                by_place[key].append((since, row))
        for found in by_place.values():
            for (_, other), (since, row) in pairwise(found):
                assert other.ended_at is not None, (other.id, row.id)
                assert other.ended_at <= since, (other.id, row.id)


def cooled(record: Record) -> None:
    """Between the end of one and the start of the next lies the cooldown of the next."""
    for row in record.remediations:
        if record.free(row) and row.mode != "audit":
            continue
        cooldown = record.policy(row).limits.cooldown
        for other in record.counted(row):
            end = other.held_until if row.mode == "audit" else other.ended_at
            assert end is not None, (other.id, row.id)
            assert end + cooldown <= row.started_at, (other.id, row.id, end, row.started_at, cooldown)


def paid(record: Record) -> None:
    """No window holds more remediations than the budget has."""
    for row in record.remediations:
        if record.free(row):
            continue
        budget = record.policy(row).limits.budget
        spent = [
            other
            for other in record.counted(row)
            if other.started_at > row.started_at - budget.within
            and not (other.phase == "Cancelled" and other.id not in record.started)
        ]
        assert len(spent) < budget.max, (row.id, [other.id for other in spent])


def unbroken(record: Record) -> None:
    """After so many that did not help nothing starts until a person says so."""
    for row in record.remediations:
        if row.mode == "audit" or (record.free(row) and row.continues is not None):
            continue
        breaker = record.policy(row).limits.breaker
        closed = _closed(record.acts, f"{row.policy_ns}/{row.policy}", f"{row.namespace}/{row.model}", row.started_at)
        failures = sorted(
            other.ended_at
            for other in record.counted(row)
            if other.id in record.started
            and (other.phase in ("Failed", "Escalated") or (other.phase == "Cancelled" and other.verdict in BAD))
            and (closed is None or other.ended_at > closed)
        )
        runs = zip(failures, failures[breaker.failures - 1 :], strict=False)
        assert all(last - first >= breaker.within for first, last in runs), (row.id, failures)


def _closed(acts: Iterable[Row[Any]], policy: str, model: str, by: datetime) -> datetime | None:
    """When a person last closed the breaker of a policy and a model."""
    told = [
        act.at
        for act in acts
        if act.kind == "resume" and act.at <= by and (act.body.get("policy"), act.body.get("model")) == (policy, model)
    ]
    return max(told, default=None)


def bounded(record: Record) -> None:
    """No more are active at once than the fleet allows."""
    held = [row for row in record.remediations if row.mode != "audit" and record.policy(row).changing]
    for row in held:
        if record.free(row):
            continue
        active = [
            other
            for other in held
            if other.decision_id <= row.decision_id
            and record.held_from(other) is not None
            and (other.ended_at is None or other.ended_at > row.started_at)
            and not record.free(other)
        ]
        assert len(active) <= record.fleet_limit


def unpaused(record: Record) -> None:
    """Nothing is decided or started while it is paused."""
    about = {row.id: row for row in record.remediations}
    starts = [row for row in record.transitions if row.to_phase in ("Running", "Audited") or row.from_phase == ""]
    for pause in record.pauses:
        ends = [end for end in (pause.until, pause.lifted_at) if end is not None]
        for row in starts:
            if pause.since < row.now < min(ends, default=record.now + timedelta(days=1)):
                assert not _means(pause, about[row.remediation_id]), (pause.id, row)


def _means(pause: Row[Any], remediation: Row[Any]) -> bool:
    """Whether a remediation lies in the scope of a pause."""
    named = (pause.namespace, pause.name)
    return {
        "all": True,
        "namespace": pause.namespace == remediation.namespace,
        "policy": named == (remediation.policy_ns, remediation.policy),
        "model": named == (remediation.namespace, remediation.model),
    }[pause.scope]


def allowed(record: Record) -> None:
    """No step that a person is asked about begins without a yes to that very step."""
    about = {row.id: row for row in record.remediations}
    said = {(row.remediation_id, row.step) for row in record.transitions if row.reason == "approved"}
    for row in record.transitions:
        policy = record.policy(about[row.remediation_id])
        if row.reason != "started" or row.step >= len(policy.steps):  # what undoes asks nobody
            continue
        step = policy.steps[row.step]
        if step.approve or (policy.mode == "approve" and step.changing):
            assert (row.remediation_id, row.step) in said, row


def proved(record: Record) -> None:
    """Nothing is recovered without what says so."""
    for row in record.remediations:
        if row.verdict != "recovered":
            assert row.reason != "recovered"
            continue
        steps = record.policy(row).steps
        for index, spec in enumerate(steps[row.step].verify):
            told = [
                found
                for found in record.observations
                if (found.remediation_id, found.step, found.verify_index) == (row.id, row.step, index)
            ]
            if isinstance(spec, CommandVerification):
                good = [found.at for found in told if found.value["state"] == "recovered"]
                assert good, row.id
                assert max(good) - min(good) >= spec.hold, row.id
            elif isinstance(spec, RolloutVerification):
                assert any(found.value["state"] == "recovered" for found in told), row.id
            elif isinstance(spec, QuietVerification):
                assert any(found.value["state"] == "life" and found.at > row.action_ended for found in told), row.id
            else:
                over = [event for event in record.events if event.over and event.model == row.model]
                assert any(event.time > row.action_ended for event in over), row.id


def once(record: Record) -> None:
    """An action is done at most once under its key, and a command that is not idempotent once for its step."""
    assert all(count == 1 for count in record.acted.values()), record.acted
    rungs: Counter[tuple[str, int]] = Counter()
    by_key = {intent.key: intent for intent in record.intents}
    for key in record.acted:
        intent = by_key[key]
        if intent.action == "command" and not intent.end_state["idempotent"]:
            rungs[intent.remediation_id, intent.step] += 1
    assert all(count == 1 for count in rungs.values())
