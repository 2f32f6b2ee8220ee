"""The tables: who writes each, who reads it, and which index keeps which promise.

Times are integers, microseconds since 1970 UTC, the same on SQLite and PostgreSQL and
exact in both; columns of type `Instant` turn them into aware datetimes. JSON is text
(`Json`), written canonically, so that a digest over it means the same on both.

The partial unique indexes replace locks: `one active remediation per model` and
`one per target` hold even if the code above were wrong.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic_core import from_json, to_json
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Dialect,
    Float,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    TextClause,
    UniqueConstraint,
    false,
    text,
)
from sqlalchemy.types import TypeDecorator

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_micros(moment: datetime) -> int:
    """Microseconds since 1970 UTC of an aware datetime, exact."""
    return (moment - EPOCH) // _MICROSECOND


def from_micros(micros: int) -> datetime:
    """The aware UTC datetime of microseconds since 1970."""
    return EPOCH + micros * _MICROSECOND


class Instant(TypeDecorator[datetime]):
    """An aware datetime, kept as microseconds since 1970 UTC."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        return None if value is None else to_micros(value)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:
        return None if value is None else from_micros(value)


class Json(TypeDecorator[Any]):
    """A JSON value, kept as text."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any | None, dialect: Dialect) -> str | None:
        return None if value is None else to_json(value).decode()

    def process_result_value(self, value: Any | None, dialect: Dialect) -> Any | None:
        return None if value is None else from_json(value)


metadata = MetaData()


def _partial(name: str, *columns: Column[Any], where: ColumnElement[bool] | TextClause, unique: bool = False) -> None:
    """An index over the rows that fulfil `where`."""
    Index(name, *columns, unique=unique, sqlite_where=where, postgresql_where=where)


# BigInteger is no rowid alias on SQLite: only INTEGER PRIMARY KEY counts by itself.
_Seq = BigInteger().with_variant(Integer(), "sqlite")

migrations = Table(  # written and read at start by the migration run
    "migrations",
    metadata,
    Column("version", Integer, primary_key=True),
    Column("applied_at", Instant, nullable=False),
)

leader = Table(  # one row; every deciding or saving transaction begins by locking it at its epoch
    "leader",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("epoch", BigInteger, nullable=False),
    Column("holder", Text, nullable=False),
    Column("last_now", Instant, nullable=False),
    Column("last_input", BigInteger, nullable=False),
    Column("last_decision", BigInteger, nullable=False),
    Column("clean_stop", Boolean, nullable=False),
)

inputs = Table(  # written by the engine for whatever enters decide() or advance(); read by replay
    "inputs",
    metadata,
    Column("seq", _Seq, primary_key=True, autoincrement=False),
    Column("now", Instant, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),  # event | renewed | act | policy_set | observation | wake | tick
    Column("ref", Text, nullable=False),  # the key of the row that it is about
)

events = Table(  # written by intake (group commit), marked used by the engine
    "events",
    metadata,
    Column("seq", _Seq, primary_key=True),
    Column("source", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("subject", Text),
    Column("time", Instant, nullable=False),
    Column("time_marked", Boolean, nullable=False),  # lay ahead of the clock: receipt taken instead
    Column("received_at", Instant, nullable=False),
    Column("namespace", Text),  # as sent, else the sender's; null: none named
    Column("model", Text),
    Column("dataset", Text),
    Column("version", Text),
    Column("family", Text),
    Column("over", Boolean, nullable=False),
    Column("about", Text, nullable=False),
    Column("data", Json, nullable=False),
    Column("extensions", Json, nullable=False),
    Column("digest", Text, nullable=False),
    Column("seen", Integer, nullable=False, server_default="1"),  # deliveries, the first included
    Column("last_seen_at", Instant, nullable=False),
    Column("renewed_at", Instant),  # a duplicate from a stateful source, not yet used
    Column("conflict_digest", Text),
    Column("conflicts", Integer, nullable=False, server_default="0"),
    Column("decided_at", Instant),
    Column("input_seq", BigInteger),
    Column("in_hand", Boolean, nullable=False, server_default=false()),
    UniqueConstraint("id", "source", name="events_identity"),  # id first: people ask by it alone
)
_partial("events_undecided", events.c.seq, where=events.c.decided_at.is_(None))
_partial("events_renewed", events.c.seq, where=events.c.renewed_at.is_not(None))
Index("events_of_model", events.c.model, events.c.namespace, events.c.time)

conditions = Table(  # moved by the engine when it uses an event; open, over, unknown are derived from now
    "conditions",
    metadata,
    Column("id", Text, primary_key=True),  # digest over the key
    Column("source", Text, nullable=False),
    Column("kind", Text, nullable=False),  # model | dataset | moment | dataset_moment
    Column("namespace", Text, nullable=False),  # '': of a dataset, whichever namespace its readers are in
    Column("name", Text, nullable=False),
    Column("family", Text, nullable=False),
    Column("about", Text, nullable=False),
    Column("type", Text, nullable=False),  # the type of its newest event
    Column("since", Instant, nullable=False),
    Column("last_seen", Instant, nullable=False),
    Column("renewed_at", Instant, nullable=False),  # when an input last opened or renewed it, on our clock
    Column("ended", Instant),
    Column("ended_by", Text),
    Column("expires", Instant, nullable=False),  # not renewed by then: unknown
    Column("event_seq", BigInteger, nullable=False),
    UniqueConstraint("source", "kind", "namespace", "name", "family", "about", name="conditions_key"),
)
Index("conditions_of", conditions.c.name, conditions.c.namespace)

evidence = Table(  # written by the engine where a counting trigger's `when` was true; read by its counter
    "evidence",
    metadata,
    Column("policy_ns", Text, primary_key=True),
    Column("policy", Text, primary_key=True),
    Column("trigger_digest", Text, primary_key=True),
    Column("event_seq", BigInteger, primary_key=True),
    Column("namespace", Text, primary_key=True),
    Column("model", Text, primary_key=True),
    Column("time", Instant, nullable=False),
    Column("value", Json),
)
Index(
    "evidence_of",
    evidence.c.policy_ns,
    evidence.c.policy,
    evidence.c.trigger_digest,
    evidence.c.model,
    evidence.c.namespace,
    evidence.c.time,
)

causes = Table(  # written where a correlating policy's trigger became true; read to tell a common cause
    "causes",
    metadata,
    Column("policy_ns", Text, primary_key=True),
    Column("policy", Text, primary_key=True),
    Column("cause", Text, primary_key=True),  # dataset=… | feature=…
    Column("namespace", Text, primary_key=True),
    Column("model", Text, primary_key=True),
    Column("event_seq", BigInteger, nullable=False),
    Column("at", Instant, nullable=False),
)

fleets = Table(  # that so many models had one cause: the last time that an event said so
    "fleets",
    metadata,
    Column("policy_ns", Text, primary_key=True),
    Column("policy", Text, primary_key=True),
    Column("cause", Text, primary_key=True),
    Column("namespace", Text, nullable=False),  # of the model that completed it, which the event is about
    Column("model", Text, nullable=False),
    Column("condition_id", Text, nullable=False),  # what the event opens
    Column("models", Integer, nullable=False),  # how many had it then
    Column("at", Instant, nullable=False),
)

models = Table(  # written by the engine: what it has learnt of each model (`ModelState` says what each column means)
    "models",
    metadata,
    Column("namespace", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("first_seen", Instant, nullable=False),
    Column("stable", Text),
    Column("stable_since", Instant),
    Column("stable_revision", Text, nullable=False, server_default=""),
    Column("canary", Text),
    Column("canary_revision", Text, nullable=False, server_default=""),
    Column("arriving", Text),
    Column("coming_by", Text),
    Column("unknown_since", Instant),
    Column("learnt_from", Text),  # serving | event | remediation
    Column("deployed_at", Instant),
    Column("deployed_by", Text),  # a remediation's id | others
    Column("trained_at", Instant),
    Column("trained_by", Text),
    Column("told_reference", Text),
    Column("reference_of", Text),
    Column("last_known_good", Text),
    Column("good_since", Instant),
    Column("good_until", Instant),
    Column("good_by", Text),  # a remediation's id | soak
    Column("soaks_at", Instant),
)
_partial("models_soaking", models.c.soaks_at, where=models.c.soaks_at.is_not(None))

documents = Table(  # each accepted text of a policy, model … once; decisions refer to it by digest
    "documents",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("namespace", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("text", Json, nullable=False),
)

policy_sets = Table(  # each set that came into force: digests of its documents, what was refused and why
    "policy_sets",
    metadata,
    Column("seq", _Seq, primary_key=True, autoincrement=False),
    Column("input_seq", BigInteger, nullable=False),
    Column("since", Instant, nullable=False),
    Column("digest", Text, nullable=False),
    Column("members", Json, nullable=False),  # [digest, …]
    Column("refused", Json, nullable=False),  # [message, …]
)

decisions = Table(  # every answer to "event x policy" (via a dataset: x model); the last attempt counts
    "decisions",
    metadata,
    Column("id", _Seq, primary_key=True, autoincrement=False),
    Column("input_seq", BigInteger, nullable=False),
    Column("event_seq", BigInteger, nullable=False),
    Column("policy_ns", Text, nullable=False),
    Column("policy", Text, nullable=False),  # '': no policy matched
    Column("policy_digest", Text),
    Column("model_digest", Text),
    Column("namespace", Text, nullable=False),
    Column("model", Text, nullable=False),  # '': an event about a dataset met no policy
    Column("attempt", Integer, nullable=False),
    Column("outcome", Text, nullable=False),  # remediate | suppress | none
    Column("reason", Text, nullable=False),  # '' where remediate
    Column("trigger", Text),
    Column("values", Json),  # what the reason rests on, for people
    Column("parameters", Json),
    Column("situation", Json),
    Column("now", Instant, nullable=False),
    Column("remediation_id", Text),
    UniqueConstraint("event_seq", "policy_ns", "policy", "namespace", "model", "attempt", name="decisions_once"),
)
Index("decisions_of_model", decisions.c.model, decisions.c.namespace, decisions.c.now)
Index("decisions_of_policy", decisions.c.policy, decisions.c.policy_ns, decisions.c.now)
_partial("decisions_of_remediation", decisions.c.remediation_id, where=decisions.c.remediation_id.is_not(None))
Index("decisions_now", decisions.c.now)

questions = Table(  # one open question per policy and model: the newest event refused by what may yet lift
    "questions",
    metadata,
    Column("policy_ns", Text, primary_key=True),
    Column("policy", Text, primary_key=True),
    Column("namespace", Text, primary_key=True),
    Column("model", Text, primary_key=True),
    Column("event_seq", BigInteger, nullable=False),
    Column("decision_id", BigInteger, nullable=False),
    Column("condition_id", Text),
    Column("reason", Text, nullable=False),
    Column("wait_until", Instant),
    Column("retry_at", Instant),
    Column("retry_on", Text),  # remediation_ended | fleet | lifted | corroborated | uninhibited
    Column("severity", Text, nullable=False),
    Column("since", Instant, nullable=False),
)
_partial("questions_due", questions.c.retry_at, where=questions.c.retry_at.is_not(None))
Index("questions_waiting", questions.c.retry_on, questions.c.severity, questions.c.since)
Index("questions_of_model", questions.c.model, questions.c.namespace)

due = Table(  # each schedule or `since` of a policy in force, for each model: when to look at it next
    "due",
    metadata,
    Column("policy_ns", Text, primary_key=True),
    Column("policy", Text, primary_key=True),
    Column("trigger_digest", Text, primary_key=True),
    Column("namespace", Text, primary_key=True),
    Column("model", Text, primary_key=True),
    Column("accepted", Instant, nullable=False),  # in force for this model without a gap since then
    Column("last_due", Instant),  # the newest due time that an event was written about
    Column("next_at", Instant),  # null: never again
)
_partial("due_next", due.c.next_at, where=due.c.next_at.is_not(None))

remediations = Table(  # written by the engine, compare-and-set on version
    "remediations",
    metadata,
    Column("id", Text, primary_key=True),
    Column("decision_id", BigInteger, nullable=False),
    Column("event_seq", BigInteger, nullable=False),
    Column("namespace", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("policy_ns", Text, nullable=False),
    Column("policy", Text, nullable=False),
    Column("policy_digest", Text, nullable=False),
    Column("model_digest", Text),
    Column("mode", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Column("trigger", Text, nullable=False),
    Column("families", Json, nullable=False),  # of its trigger and that trigger's require
    Column("evidence", Json, nullable=False),  # ids of the conditions that it answers
    Column("parameters", Json, nullable=False),
    Column("changing", Boolean, nullable=False),  # a changing action has started, or may still come
    Column("acted", Boolean, nullable=False),  # a changing action has started
    Column("restored", Boolean, nullable=False),  # a restoring action has started
    Column("action_failed", Boolean, nullable=False),  # one failed, or was stopped for its time
    Column("urgent", Boolean, nullable=False),  # its first step restores
    Column("holds_model", Boolean, nullable=False),
    Column("waits_for", Text),  # the one that holds the model and is being stopped for this one
    Column("phase", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("step", Integer, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("verify_index", Integer, nullable=False),
    Column("phase_since", Instant, nullable=False),
    Column("action_ended", Instant),
    Column("deadline", Instant),
    Column("hold_reason", Text),
    Column("hold_until", Instant),
    Column("approved", Boolean, nullable=False),  # a person said yes to the step at hand
    Column("approval_expires", Instant),
    Column("version_before", Text),  # served everything when the action at hand began
    Column("stop_then", Text),  # next | cancelled | preempted
    Column("verdict", Text, nullable=False),
    Column("continues", Text),
    Column("confirm_until", Instant),  # ended, and judged by later labels until then
    Column("failed_at", Instant),  # succeeded, and counts since then as one that did not help
    Column("started_at", Instant, nullable=False),
    Column("ended_at", Instant),
    Column("held_until", Instant),
    Column("next_at", Instant),
    Column("version", Integer, nullable=False),
)
_partial(
    "remediations_one_per_model", remediations.c.namespace, remediations.c.model, unique=True, where=text("holds_model")
)
_partial("remediations_due", remediations.c.next_at, where=remediations.c.ended_at.is_(None))
Index("remediations_of_model", remediations.c.model, remediations.c.namespace, remediations.c.started_at)
Index("remediations_of_policy", remediations.c.policy, remediations.c.policy_ns, remediations.c.started_at)
_partial("remediations_to_confirm", remediations.c.confirm_until, where=remediations.c.confirm_until.is_not(None))
_partial("remediations_waiting", remediations.c.waits_for, where=remediations.c.waits_for.is_not(None))
_partial("remediations_stopping", remediations.c.id, where=text("phase = 'Stopping'"))
# Partial, so that SQLite does not take it for those that have not ended: they are read in the order of next_at.
_partial("remediations_ended", remediations.c.ended_at, where=remediations.c.ended_at.is_not(None))
Index("remediations_started", remediations.c.started_at, remediations.c.id)

signing_keys = Table(  # written once each, by whichever process comes first; read when the pages are set up
    "signing_keys",
    metadata,
    Column("name", Text, primary_key=True),
    Column("secret", Text, nullable=False),  # hex
)

targets = Table(  # what a remediation acts upon; one active remediation per target
    "targets",
    metadata,
    Column("remediation_id", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("namespace", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("active", Boolean, nullable=False),
)
_partial("targets_one_active", targets.c.kind, targets.c.namespace, targets.c.name, unique=True, where=text("active"))

transitions = Table(  # the audit trail of every remediation
    "transitions",
    metadata,
    Column("remediation_id", Text, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("from_phase", Text, nullable=False),
    Column("to_phase", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("step", Integer, nullable=False),
    Column("values", Json, nullable=False),
    Column("input_seq", BigInteger, nullable=False),
    Column("now", Instant, nullable=False),
)

intents = Table(  # what an action is about to do, committed before the world is touched
    "intents",
    metadata,
    Column("id", _Seq, primary_key=True),
    Column("remediation_id", Text, nullable=False),
    Column("step", Integer, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("action", Text, nullable=False),  # command | request | …
    Column("key", Text, nullable=False),  # idempotency key or object name
    Column("end_state", Json, nullable=False),
    Column("resource_version", Text),
    Column("pid", Integer),
    Column("pid_started", Float),
    Column("first_tried_at", Instant),
    Column("ref", Json),
    Column("outcome", Text),  # done | failed | stopped | unknown
    Column("done_at", Instant),
    UniqueConstraint("remediation_id", "step", "attempt", name="intents_once"),
    UniqueConstraint("key", name="intents_key"),
)
_partial("intents_open", intents.c.id, where=intents.c.done_at.is_(None))
_partial("intents_not_begun", intents.c.ref, where=text("done_at IS NULL AND ref IS NULL"))

observations = Table(  # what the outside world answered: action outcomes, samples of verification
    "observations",
    metadata,
    Column("id", _Seq, primary_key=True),
    Column("input_seq", BigInteger, nullable=False),
    Column("remediation_id", Text, nullable=False),
    Column("intent_id", BigInteger),
    Column("step", Integer, nullable=False),
    Column("verify_index", Integer),
    Column("at", Instant, nullable=False),
    Column("value", Json, nullable=False),
)
Index("observations_of", observations.c.remediation_id, observations.c.at)
Index("observations_input", observations.c.input_seq)

acts = Table(  # what a person did: stored by the API, used by the engine (input_seq), answered (outcome)
    "acts",
    metadata,
    Column("id", _Seq, primary_key=True),
    Column("kind", Text, nullable=False),  # pause | resume | silence | expire | cancel | end_condition | replay
    Column(
        "scope", Text, nullable=False
    ),  # all | namespace | policy | model | remediation | condition | silence | event
    Column("ref", Text, nullable=False),
    Column("body", Json, nullable=False),
    Column("who", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("at", Instant, nullable=False),  # when it was asked
    Column("input_seq", BigInteger),
    Column("outcome", Json),  # {"ok": bool, …}
)
_partial("acts_unused", acts.c.id, where=acts.c.input_seq.is_(None))
Index("acts_of", acts.c.kind, acts.c.scope, acts.c.at)

silences = Table(  # written by acts; read by every situation
    "silences",
    metadata,
    Column("id", Text, primary_key=True),
    Column("matchers", Json, nullable=False),
    Column("starts_at", Instant, nullable=False),
    Column("ends_at", Instant, nullable=False),
    Column("ended_early_at", Instant),
    Column("who", Text, nullable=False),
    Column("why", Text, nullable=False),
)
Index("silences_end", silences.c.ends_at)

pauses = Table(  # written by acts; read by every situation
    "pauses",
    metadata,
    Column("id", Text, primary_key=True),
    Column("scope", Text, nullable=False),  # all | namespace | policy | model
    Column("namespace", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("since", Instant, nullable=False),
    Column("until", Instant),
    Column("lifted_at", Instant),
    Column("who", Text, nullable=False),
    Column("why", Text, nullable=False),
)
_partial("pauses_in_force", pauses.c.scope, where=pauses.c.lifted_at.is_(None))

outbox = Table(  # written with the transition that it tells of; emptied by the outbox thread
    "outbox",
    metadata,
    Column("id", _Seq, primary_key=True),
    Column("key", Text, nullable=False),
    Column("remediation_id", Text, nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("receiver", Text, nullable=False),
    Column("body", Json, nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("since", Instant, nullable=False),  # when it was written: given up a day later
    Column("next_at", Instant, nullable=False),
    Column("sent_at", Instant),
    Column("dead_at", Instant),
    Column("error", Text),
    UniqueConstraint("key", name="outbox_key"),
)
_partial("outbox_due", outbox.c.next_at, where=text("sent_at IS NULL AND dead_at IS NULL"))
Index("outbox_order", outbox.c.remediation_id, outbox.c.receiver, outbox.c.ordinal)

quarantine = Table(  # what could not be used; bounded, one row per distinct item
    "quarantine",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("origin", Text, nullable=False),  # engine, or the name of a source
    Column("reason", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("body", Json, nullable=False),
    Column("event_seq", BigInteger),
    Column("count", Integer, nullable=False),
    Column("first_seen", Instant, nullable=False),
    Column("last_seen", Instant, nullable=False),
    Column("replayed_at", Instant),
)
Index("quarantine_last_seen", quarantine.c.last_seen)
