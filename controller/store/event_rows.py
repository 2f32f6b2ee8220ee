"""The fastest way to insert events on each database: below SQLAlchemy Core, and only here.

Core costs 150 µs for a row where the driver costs 10 (measured on one core); intake is the one
place where that is the difference between 3,000 and 10,000 events a second. Columns are named
from `schema.events`, so a column that is added there and forgotten here fails at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from pydantic_core import to_json
from sqlalchemy import Connection

from controller.events.event import Event
from controller.schema import to_micros

Key = tuple[str, str]  # source, id
Row = tuple[Any, ...]

_COLUMNS = (
    "source",
    "id",
    "type",
    "subject",
    "time",
    "time_marked",
    "namespace",
    "model",
    "dataset",
    "version",
    "family",
    "over",
    "about",
    "data",
    "extensions",
    "digest",
    "received_at",
    "last_seen_at",
)
DATA, DIGEST = _COLUMNS.index("data"), _COLUMNS.index("digest")  # their places in a row
_PG_TYPES = dict.fromkeys(_COLUMNS, "text") | {
    "time": "bigint",
    "received_at": "bigint",
    "last_seen_at": "bigint",
    "time_marked": "boolean",
    "over": "boolean",
}


class Repeat(NamedTuple):
    """What further deliveries of one stored event change on its row."""

    times: int
    conflicts: int
    conflict_digest: str | None
    renewed: bool


def row_of(event: Event) -> Row:
    """The event as its row, but for the times of receipt. Raises ValueError for what is no Unicode."""
    return (
        event.source,
        event.id,
        event.type,
        event.subject,
        to_micros(event.time),
        event.time_marked,
        event.namespace,
        event.model,
        event.dataset,
        event.version,
        event.family,
        event.over,
        event.about,
        to_json(event.data).decode(),
        to_json(event.extensions).decode() if event.extensions else "{}",
        event.digest,
    )


class SqliteRows:
    """SQLite: one `executemany`; only where its count shows duplicates is anything asked."""

    def __init__(self) -> None:
        marks = ", ".join("?" * len(_COLUMNS))
        names = ", ".join(f'"{name}"' for name in _COLUMNS)
        self._insert = f"INSERT INTO events ({names}) VALUES ({marks}) ON CONFLICT (source, id) DO NOTHING"  # noqa: S608

    def insert(self, conn: Connection, rows: Mapping[Key, Row], now: int) -> dict[Key, str]:
        """Insert what is new, in order; returns the stored digests of those that were there before."""
        cursor = conn.connection.cursor()
        try:
            (newest,) = cursor.execute("SELECT coalesce(max(seq), 0) FROM events").fetchone()
            cursor.executemany(self._insert, [(*row, now, now) for row in rows.values()])
            if cursor.rowcount == len(rows):
                return {}
            there = {}
            select = "SELECT digest FROM events WHERE source = ? AND id = ? AND seq <= ?"
            for key in rows:
                found = cursor.execute(select, (*key, newest)).fetchone()
                if found is not None:
                    there[key] = found[0]
            return there
        finally:
            cursor.close()

    def repeat(self, conn: Connection, repeats: Mapping[Key, Repeat], now: int) -> None:
        """Count further deliveries on the stored rows."""
        cursor = conn.connection.cursor()
        try:
            cursor.executemany(
                "UPDATE events SET seen = seen + ?, last_seen_at = ?, conflicts = conflicts + ?,"
                " conflict_digest = coalesce(?, conflict_digest), renewed_at = CASE WHEN ? THEN ? ELSE renewed_at END"
                " WHERE source = ? AND id = ?",
                [(r.times, now, r.conflicts, r.conflict_digest, r.renewed, now, *key) for key, r in repeats.items()],
            )
        finally:
            cursor.close()


class PostgresRows:
    """PostgreSQL: one statement with arrays, one round trip, however many rows."""

    def __init__(self) -> None:
        names = ", ".join(f'"{name}"' for name in _COLUMNS)
        arrays = ", ".join(f"%s::{_PG_TYPES[name]}[]" for name in _COLUMNS)
        self._insert = (
            f"INSERT INTO events ({names}) SELECT * FROM unnest({arrays})"  # noqa: S608
            " ON CONFLICT (source, id) DO NOTHING RETURNING source, id"
        )

    def insert(self, conn: Connection, rows: Mapping[Key, Row], now: int) -> dict[Key, str]:
        """Insert what is new, in order; returns the stored digests of those that were there before."""
        cursor = conn.connection.cursor()
        try:
            columns = [list(column) for column in zip(*((*row, now, now) for row in rows.values()), strict=True)]
            cursor.execute(self._insert, columns)
            new = set(cursor.fetchall())
            if len(new) == len(rows):
                return {}
            sources, ids = zip(*(key for key in rows if key not in new), strict=True)
            cursor.execute(
                "SELECT source, id, digest FROM events JOIN unnest(%s::text[], %s::text[]) AS asked (source, id)"
                " USING (source, id)",
                [list(sources), list(ids)],
            )
            return {(source, id_): digest for source, id_, digest in cursor.fetchall()}
        finally:
            cursor.close()

    def repeat(self, conn: Connection, repeats: Mapping[Key, Repeat], now: int) -> None:
        """Count further deliveries on the stored rows."""
        cursor = conn.connection.cursor()
        try:
            columns = [list(column) for column in zip(*((*key, *more) for key, more in repeats.items()), strict=True)]
            cursor.execute(
                "UPDATE events SET seen = seen + times, last_seen_at = %s, conflicts = conflicts + more,"
                " conflict_digest = coalesce(other, conflict_digest),"
                " renewed_at = CASE WHEN renewed THEN %s ELSE renewed_at END"
                " FROM unnest(%s::text[], %s::text[], %s::int[], %s::int[], %s::text[], %s::boolean[])"
                " AS asked (a_source, a_id, times, more, other, renewed) WHERE source = a_source AND id = a_id",
                [now, now, *columns],
            )
        finally:
            cursor.close()
