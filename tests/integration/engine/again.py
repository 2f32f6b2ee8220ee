"""A scene's history again from its inputs, and whether it comes to the same."""

from typing import Any

from sqlalchemy import Row, Table, select

from controller import schema
from controller.engine.replay import replay
from controller.engine.rules import Rules
from controller.policy import PolicySet
from controller.store.database import Database
from tests.integration.engine.scene import Scene

SAME = (schema.decisions, schema.transitions, schema.conditions, schema.evidence)


def rows(db: Database, table: Table) -> list[Row[Any]]:
    """All rows of a table."""
    with db.read() as conn:
        return list(conn.execute(select(table).order_by(*table.primary_key)))


def compare(scene: Scene) -> None:
    """Replayed in memory, the history gives the same decisions, transitions, conditions and evidence."""
    again = Database("sqlite://")
    again.migrate()
    replay(scene.db, again, Rules(PolicySet(), scene.fleet, scene.engine.rules.senders, scene.receivers))
    for table in SAME:
        for first, second in zip(rows(scene.db, table), rows(again, table), strict=True):
            assert first == second
    again.close()
