"""Lists as the JSON API gives them: camelCase keys, RFC 3339 times, pages by keyset.

A cursor is the key of the last item of the page before, so a page costs the same wherever it
lies, and rows that come or go meanwhile neither repeat nor hide others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from pydantic_core import from_json, to_json
from sqlalchemy import ColumnElement, Connection, Row, Select, Text, literal, tuple_
from sqlalchemy.sql.elements import KeyedColumnElement

from controller.schema import Instant, from_micros, to_micros

MOST = 500  # items of one page

Item = dict[str, Any]
Page = dict[str, Any]
"""`{"items": [...], "next": cursor or None}`."""


def instant(moment: datetime | None) -> str | None:
    """`2026-01-23T12:00:00Z`, with as many digits of a second as are not zero."""
    if moment is None:
        return None
    text = moment.astimezone(UTC).replace(tzinfo=None).isoformat()
    return f"{text.rstrip('0') if moment.microsecond else text}Z"


def camel(name: str) -> str:
    """`received_at` → `receivedAt`."""
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


def item(row: Row[Any]) -> Item:
    """A row as JSON: every column under its name in camelCase, `policy` joined with its namespace."""
    values = row._asdict()
    if "policy_ns" in values:
        namespace = values.pop("policy_ns")
        values["policy"] = qualified(namespace, values["policy"])
    return {
        camel(name.rstrip("_")): instant(value) if isinstance(value, datetime) else value
        for name, value in values.items()
    }


def qualified(namespace: str, name: str) -> str:
    """`namespace/name`; '' where there is no name."""
    return f"{namespace}/{name}" if name else ""


def page(
    conn: Connection,
    query: Select[Any],
    key: Sequence[KeyedColumnElement[Any]],
    *,
    limit: int,
    cursor: str | None,
    newest_first: bool = True,
    show: Callable[[Row[Any]], Item] = item,
) -> Page:
    """One page of `query` in the order of `key`, whose columns it must select and which must be unique.

    Raises ValueError for a cursor that is none of ours.
    """
    limit = max(1, min(limit, MOST))
    if cursor is not None:
        after = tuple_(*_after(cursor, key))
        query = query.where(tuple_(*key) < after if newest_first else tuple_(*key) > after)
    rows = conn.execute(
        query.order_by(*(column.desc() if newest_first else column.asc() for column in key)).limit(limit + 1)
    ).all()
    more = len(rows) > limit
    items = [show(row) for row in rows[:limit]]
    last = [rows[limit - 1]._asdict()[column.name] for column in key] if more else []
    return {"items": items, "next": _cursor(last) if more else None}


def _cursor(values: list[Any]) -> str:
    return to_json([to_micros(value) if isinstance(value, datetime) else value for value in values]).hex()


def _after(cursor: str, key: Sequence[KeyedColumnElement[Any]]) -> list[ColumnElement[Any]]:
    """The key that a cursor holds, each value with its column's type."""
    try:
        values = from_json(bytes.fromhex(cursor))
        if [type(value) for value in values] != [str if isinstance(column.type, Text) else int for column in key]:
            raise ValueError(cursor)  # noqa: TRY301 — the same answer as to what cannot be read
        typed = zip(key, values, strict=True)
        return [
            literal(from_micros(value) if isinstance(column.type, Instant) else value, column.type)
            for column, value in typed
        ]
    except (ValueError, TypeError, OverflowError):
        raise ValueError(f"want a cursor that a page before gave as `next`, got {cursor[:80]!r}") from None
