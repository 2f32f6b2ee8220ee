"""Events of our own: written in the transaction that finds out, used by the ordinary look like any other.

Their source is `modelmend`, which no sender may use. Their id is a digest over what they say,
so that each is there once, whoever finds it out again: another replica, a process that was
restarted, a replay (which finds them among the facts).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from hashlib import sha256
from typing import Any

from pydantic_core import to_json

from controller import schema
from controller.events.event import OWN_SOURCE, Event
from controller.store.inserting import InsertNew
from controller.store.leader import Turn

_ADD = InsertNew(schema.events)


def own_id(*parts: str) -> str:
    """The id of an event of ours: a digest over length-prefixed parts, so that ("a", "bc") is not ("ab", "c")."""
    encoded = (part.encode() for part in parts)
    return sha256(b"".join(b"%d:%b" % (len(part), part) for part in encoded)).hexdigest()[:32]


def record(  # noqa: PLR0913 — the fields of an event
    turn: Turn,
    *,
    id: str,  # noqa: A002 — CloudEvents' own word
    type: str,  # noqa: A002
    time: datetime,
    namespace: str,
    model: str,
    data: Mapping[str, Any] | None = None,
    family: str | None = None,
    over: bool = False,
    about: str = "",
    dataset: str | None = None,
) -> None:
    """Write an event of our own, undecided; nothing where it is there already.

    :param id: from `own_id`.
    :param data: as the wire would give it: numbers are floats.
    :param family: None: a moment.
    """
    told = dict(data or {})
    event = Event(
        source=OWN_SOURCE,
        id=id,
        type=type,
        subject=None,
        time=time,
        time_marked=False,
        namespace=namespace,
        model=model,
        dataset=dataset,
        version=None,
        family=family,
        over=over,
        about=about,
        data=told,
        extensions={},
        digest=sha256(to_json([OWN_SOURCE, id, type, told])).hexdigest(),
    )
    _ADD.rows(turn.conn, [asdict(event) | {"received_at": turn.now, "last_seen_at": turn.now}])
