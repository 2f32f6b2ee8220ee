"""Inserts that meet rows which are there already: left as they are, or replaced; for either database, built once."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite

_DIALECTS: dict[str, Any] = {"sqlite": sqlite, "postgresql": postgresql}


class InsertNew:
    """Inserts rows but those that collide; given a key, those with that key are replaced.

    :param replacing: the columns of the key.
    """

    def __init__(self, table: Table, *, replacing: tuple[str, ...] = ()) -> None:
        self._statements: dict[str, Any] = {}
        for name, dialect in _DIALECTS.items():
            statement = dialect.insert(table)
            if replacing:
                changed = {c.name: statement.excluded[c.name] for c in table.columns if c.name not in replacing}
                self._statements[name] = statement.on_conflict_do_update(index_elements=replacing, set_=changed)
            else:
                self._statements[name] = statement.on_conflict_do_nothing()

    def rows(self, conn: Connection, rows: list[dict[str, Any]]) -> None:
        """Insert them, at once."""
        if rows:
            conn.execute(self._statements[conn.dialect.name], rows)
