"""Numbered migrations: each runs once, in order, in one transaction with the note that it ran.

Number 1 makes the tables of `schema` as they are. Before number 2 is written, number 1 is
frozen: its DDL goes, as text, into a function of its own, and number 2 alters those tables;
so every database ever made arrives at the same tables by the same road.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import Connection, func, insert, inspect, select

from controller import schema
from controller.errors import ConfigError

_LOCK = 7_305_813_001  # PostgreSQL: two processes that start at once migrate one after the other


def _first_tables(conn: Connection) -> None:
    schema.metadata.create_all(conn)


MIGRATIONS: tuple[Callable[[Connection], None], ...] = (_first_tables,)


def migrate(
    conn: Connection,
    place: str,
    now: datetime,
    migrations: tuple[Callable[[Connection], None], ...] = MIGRATIONS,
) -> int:
    """Apply what is missing within the caller's transaction; returns the version reached.

    Raises ConfigError when the database is of a newer modelmend or holds someone else's tables.
    """
    if conn.dialect.name == "postgresql":
        conn.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
    tables = set(inspect(conn).get_table_names())
    if schema.migrations.name in tables:
        reached = conn.execute(select(func.max(schema.migrations.c.version))).scalar() or 0
    elif tables & set(schema.metadata.tables):
        raise ConfigError((f"{place}: its tables are not modelmend's: choose another database",))
    else:
        schema.migrations.create(conn)
        reached = 0
    if reached > len(migrations):
        known = f"version {reached}, this one knows {len(migrations)}"
        advice = "install that version again, or restore the backup from before it"
        raise ConfigError((f"{place}: its tables are of a newer modelmend ({known}): {advice}",))
    for version, apply in enumerate(migrations[reached:], start=reached + 1):
        apply(conn)
        conn.execute(insert(schema.migrations).values(version=version, applied_at=now))
    return len(migrations)
