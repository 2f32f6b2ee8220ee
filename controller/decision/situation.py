"""All that decide() and hold() may know, read from the store before they are asked."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from controller.policy import NOTHING, ModelState

ASKED_AGAIN = timedelta(days=1)
"""People who said no, or nothing, are not asked again by the same policy about the same model for so long."""


@dataclass(frozen=True, slots=True)
class TriggerFacts:
    """What is known of one trigger of the policy that names the event's type."""

    name: str
    digest: str
    when: bool | None  # None: the expression failed
    error: str | None
    seen: int | float  # evidence that counts, this event's included; 0 without a counter
    since: datetime | None  # since when its condition is open; None: it opens none, or is not open
    required: tuple[str | None, ...]  # per `require`: the id of what meets it, None where unmet
    periods: tuple[str, ...] = ()  # of `consecutive`: those that were counted, newest first


@dataclass(frozen=True, slots=True)
class Holding:
    """A condition that makes `unless` hold, and why it still does."""

    condition: str
    type: str
    state: str  # open | unknown | ended | error
    until: datetime | None  # ended: when its `within` is over
    dataset: str | None = None  # whose condition it is, where it is not the model's own


@dataclass(frozen=True, slots=True)
class Bar:
    """A pause or a silence in force for this event and policy."""

    id: str
    scope: str
    until: datetime | None
    why: str


@dataclass(frozen=True, slots=True)
class Frozen:
    """A freeze in force for the model: when it ends, and when what fell due in it is asked again."""

    id: str
    until: datetime
    ask_at: datetime


@dataclass(frozen=True, slots=True)
class Shared:
    """One cause of what many models suffer."""

    cause: str  # dataset=… | feature=…
    models: int  # that it made meet the policy's triggers lately
    condition: str  # the one that says so, which a person may end
    until: datetime  # when it holds no more, if nobody ends it


@dataclass(frozen=True, slots=True)
class Situation:
    """All that decide() may know besides event, model and policy. Counts, not events.

    Limits are those that apply to the policy: all changing remediations of the model, or
    the policy's own where it changes nothing, narrows its scope, or is audited.
    """

    known: bool  # the model has a document
    candidates: tuple[str, ...]  # namespaces, where the name alone meant several
    last_seen: datetime  # of the event's condition, else the event's own time
    over: datetime | None  # when the event's condition ended, if it is over
    used_up: datetime | None  # end of a recovered remediation that answered this event
    triggers: tuple[TriggerFacts, ...]
    wait_until: datetime | None  # the running wait of the open question
    unless: tuple[Holding, ...]
    pauses: tuple[Bar, ...]
    silences: tuple[Bar, ...]
    active: str | None  # the remediation that holds the model; for an urgent policy, an urgent one
    preempts: str | None  # for an urgent policy: the one that is to give way
    active_until: datetime | None  # an audited one: until when it counts as running
    continues: str | None  # it helped, and relapses within its probation, or a person tries again
    start: int  # the rung to begin at; behind the last: a page
    failures: int  # that did not help, since the breaker was last closed
    breaker_open: bool
    spent: int  # of the budget
    budget_frees_at: datetime | None  # when the oldest of them leaves the window
    last_end: datetime | None  # cooldown counts from here
    fleet_active: int
    fleet_limit: int
    state: ModelState = NOTHING  # what is known of the model: versions, deployment, training
    frozen: tuple[Frozen, ...] = ()
    done_since: datetime | None = None  # of `since`: when what was due was done by somebody
    shared: Shared | None = None  # of a policy that correlates
    version: str | None = None  # that the event is about, by the model's own names
    asked_until: datetime | None = None  # people said no to this policy about the model, or nothing: not before
    retried_from: int = 0  # the rung that a person has tried again: only what is left of the ladder is asked about


@dataclass(frozen=True, slots=True)
class HoldFacts:
    """What is asked again, live, before a rung starts."""

    over: datetime | None  # when the condition of the event that triggered ended, if it is over
    too_old: bool  # asked before the first rung only
    unless: tuple[Holding, ...]
    pauses: tuple[Bar, ...]
    silences: tuple[Bar, ...]
    frozen: tuple[Frozen, ...] = ()
    shared: Shared | None = None
    outdated: dict[str, Any] | None = None  # why its event no longer speaks of the model as it is; first rung only


def breaker_trips(failures: list[datetime], limit: int, within: timedelta) -> bool:
    """Whether `limit` failures ever fell within one window since the breaker was closed: it then stays open."""
    ordered = sorted(failures)
    return any(ordered[i + limit - 1] - ordered[i] < within for i in range(len(ordered) - limit + 1))
