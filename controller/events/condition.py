"""Something said to be wrong with a model, or with a dataset that models use, and not yet over.

A condition is moved by events alone, in the order in which the engine uses them; whether
it is open, over or unknown is never stored, but follows from `now`. Four rules:

* an event opens or renews its condition, unless its `time` is not later than the end;
* an "it is over" event ends the conditions of its own source, model and family with the
  same key, all of them if it names none; `ml.monitor.checked` those of every family. One
  older than what was last seen ends nothing: it speaks of an earlier moment;
* a repetition from a `stateful` source renews what is not over, and reopens nothing;
* what is not renewed within the source's `expires` is unknown, and unknown is not over.

An end stays where it first fell: further "it is over" events do not move it, or else
`unless … within 6h` after the end would hold for as long as a detector says that all is well.
"""

from __future__ import annotations

from base64 import b32encode
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from hashlib import sha256
from typing import Literal, TypeAlias

from controller.events.event import Event

State = Literal["open", "over", "unknown"]


@dataclass(frozen=True, slots=True)
class Dataset:
    """A dataset as its conditions know it: namespace '' means the models of every namespace."""

    namespace: str
    name: str


Subject: TypeAlias = tuple[str, str] | Dataset
"""What conditions are about: a model (namespace and name), or a dataset."""


def named(subject: Subject) -> tuple[str, str]:
    """Namespace and name of a subject."""
    return (subject.namespace, subject.name) if isinstance(subject, Dataset) else subject


def about_of(event: Event, namespace: str) -> Subject:
    """What an event is about; `namespace` is the model's."""
    if event.model is None:
        return Dataset(event.namespace or "", event.subject_name)
    return namespace, event.model


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition; key: source, model or dataset, family, and what it is about.

    `since`, `last_seen` and `ended` go by the events' own `time`; `renewed_at` and
    `expires` by our clock. `type` and `event_seq` are those of its newest event.
    `ended_by` is `event:<id>` or `operator:<name>`.
    """

    id: str
    source: str
    namespace: str
    name: str
    family: str
    about: str
    type: str
    since: datetime
    last_seen: datetime
    renewed_at: datetime
    ended: datetime | None
    ended_by: str | None
    expires: datetime
    event_seq: int
    kind: str = "model"  # model | dataset | moment | dataset_moment

    @property
    def subject(self) -> Subject:
        """What it is about."""
        if self.kind in ("dataset", "dataset_moment"):
            return Dataset(self.namespace, self.name)
        return self.namespace, self.name

    def state(self, now: datetime) -> State:
        """Open, over, or unknown because nobody renewed it in time."""
        if self.ended is not None:
            return "over"
        return "open" if now < self.expires else "unknown"

    def key(self) -> str:
        """What it is about, for people: `drift feature=salary;kind=data`."""
        return f"{self.family} {self.about}" if self.about else self.family


@lru_cache(maxsize=8192)  # asked twice for each event, and most events are about a condition seen before
def condition_id(source: str, kind: str, namespace: str, name: str, family: str, about: str) -> str:
    """The id of the condition with this key: `c-` and 12 digits of a digest over length-prefixed parts.

    The prefixes keep ("a", "bc") and ("ab", "c") apart. `kind` is `Condition.kind`.
    """
    parts = (part.encode() for part in (source, kind, namespace, name, family, about))
    digest = sha256(b"".join(b"%d:%b" % (len(part), part) for part in parts)).digest()
    return "c-" + b32encode(digest)[:12].decode().lower()


def opened_or_renewed(
    condition: Condition | None, event: Event, namespace: str, seq: int, now: datetime, expires: timedelta
) -> Condition | None:
    """The condition after `event`, or None where nothing moves.

    Nothing moves for a moment, an "it is over" event, and an event not later than the end.
    A condition that was over and opens again is a new one under its old id: `since` is the
    event's time. An event older than the newest renews, but does not become the newest.

    :param namespace: the model's; of a dataset the one that the event names, or ''.
    """
    family = event.family
    if family is None or event.over:
        return None
    if condition is not None and condition.ended is None:
        if event.time < condition.last_seen:
            return replace(condition, renewed_at=now, expires=now + expires)
        return replace(
            condition, type=event.type, last_seen=event.time, renewed_at=now, expires=now + expires, event_seq=seq
        )
    if condition is not None and condition.ended is not None and event.time <= condition.ended:
        return None
    return Condition(
        id=condition_id(event.source, event.kind, namespace, event.subject_name, family, event.about),
        source=event.source,
        namespace=namespace,
        name=event.subject_name,
        family=family,
        about=event.about,
        type=event.type,
        since=event.time,
        last_seen=event.time,
        renewed_at=now,
        ended=None,
        ended_by=None,
        expires=now + expires,
        event_seq=seq,
        kind=event.kind,
    )


def repeated(condition: Condition, seen: datetime, now: datetime, expires: timedelta) -> Condition | None:
    """The condition after its newest event was delivered again, at `seen`, by a `stateful` source; None: it is over."""
    if condition.ended is not None:
        return None
    return replace(condition, last_seen=max(condition.last_seen, seen), renewed_at=now, expires=now + expires)


def ended_by(condition: Condition, event: Event, namespace: str) -> Condition | None:
    """The condition ended by an "it is over" event, at the event's `time`; None where the event does not end it."""
    if not event.over or condition.ended is not None or event.time < condition.last_seen:
        return None
    if (condition.source, condition.subject) != (event.source, about_of(event, namespace)):
        return None
    if event.family is not None and (condition.family != event.family or event.about not in ("", condition.about)):
        return None
    return replace(condition, ended=event.time, ended_by=f"event:{event.id}")


def ended_by_person(condition: Condition, who: str, now: datetime) -> Condition | None:
    """The condition ended by an operator at `now`; None: it was over already."""
    if condition.ended is not None:
        return None
    return replace(condition, ended=now, ended_by=f"operator:{who}")
