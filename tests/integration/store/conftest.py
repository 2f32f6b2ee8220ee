"""What tests of the store share: an opened database of either kind, events, and rows to be kept or purged."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from controller.events.event import Event
from controller.store.database import Database
from controller.store.intake import Intake
from controller.store.leader import Leadership

NOON = datetime(2025, 1, 23, 12, tzinfo=UTC)


def drift(number: int = 1, **changes: Any) -> Event:
    """The example event of the design, as the wire gives it; `number` makes its id."""
    values: dict[str, Any] = {
        "source": "urn:drift-detector",
        "id": f"drift-{number}",
        "type": "ml.data.drift.detected",
        "subject": None,
        "time": NOON,
        "time_marked": False,
        "namespace": None,
        "model": "salary-predictor",
        "dataset": None,
        "version": "v5",
        "family": "drift",
        "over": False,
        "about": "feature=salary",
        "data": {"feature": "salary", "driftScore": 0.44, "threshold": 0.3},
        "extensions": {},
        "digest": f"digest-{number}",
    }
    return Event(**values | changes)


@pytest.fixture
def db(database_url: str, clock: Callable[[], datetime]) -> Iterator[Database]:
    """A migrated database whose clock the test moves."""
    database = Database(database_url, clock=clock)
    yield database
    database.close()


@pytest.fixture
def leadership(db: Database) -> Iterator[Leadership]:
    """The right to decide on it."""
    taken = Leadership.take(db)
    yield taken
    taken.abandon()


@pytest.fixture
def intake(db: Database) -> Iterator[Intake]:
    """A running writer of events; sources that begin with `urn:stateful` are stateful."""
    writer = Intake(db, stateful=lambda source: source.startswith("urn:stateful"))
    writer.start()
    yield writer
    writer.stop()


def rows(db: Database, statement: str) -> list[tuple[Any, ...]]:
    """What the database answers to a statement of the test."""
    with db.read() as conn:
        return [tuple(row) for row in conn.exec_driver_sql(statement)]


def days(number: float) -> timedelta:
    """That many days."""
    return timedelta(days=number)
