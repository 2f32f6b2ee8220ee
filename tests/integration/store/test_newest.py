"""The newest decision of each policy and the remediation that each model shows, kept up to date by small questions."""

from datetime import timedelta

from controller.app.facts import Rows
from controller.store.database import Database

from . import filling
from .conftest import NOON

RETRAIN, OTHER = ("ml", "retrain"), ("ml", "other")
SALARY, FRAUD = ("ml", "salary-predictor"), ("ml", "fraud")
MINUTE = timedelta(minutes=1)


def test_the_newest_decision_of_each_policy(db: Database, clock) -> None:
    """What was decided before the first look, and what came since, of the policies asked for alone."""
    rows = Rows(db)
    with db.write() as conn:
        filling.event(conn, 1, NOON)
        filling.decision(conn, 1, 1, NOON)
        filling.decision(conn, 2, 2, NOON)
        filling.decision(conn, 3, 1, NOON, policy="unasked")
    rows.look({RETRAIN, OTHER}, set())
    assert {name: found.id for name, found in rows.decisions.items()} == {RETRAIN: 2}
    assert rows.decisions[RETRAIN].event == ""  # purged

    with db.write() as conn:
        filling.decision(conn, 4, 1, NOON + MINUTE, attempt=2)
        filling.decision(conn, 5, 3, NOON, policy="", policy_ns="")
        filling.decision(conn, 6, 3, NOON + MINUTE, policy="unasked")
    rows.look({RETRAIN, OTHER}, set())
    assert (rows.decisions[RETRAIN].id, rows.decisions[RETRAIN].event) == (4, "e-1")
    assert rows._last == 6

    rows.look({RETRAIN, ("ml", "unasked")}, set())
    assert {name: found.id for name, found in rows.decisions.items()} == {RETRAIN: 4, ("ml", "unasked"): 6}
    rows.look({OTHER}, set())
    assert rows.decisions == {}


def test_the_remediation_that_a_model_shows(db: Database, clock) -> None:
    """The active one that holds the model, else another active one, else the newest; never one only audited."""
    rows = Rows(db)
    with db.write() as conn:
        filling.remediation(conn, "r-old", started=NOON - 3 * MINUTE, ended=NOON - 2 * MINUTE)
        filling.remediation(conn, "r-audited", started=NOON, ended=NOON, mode="audit", phase="Audited")
    rows.look(set(), {SALARY, FRAUD})
    assert {name: found.id for name, found in rows.remediations.items()} == {SALARY: "r-old"}

    with db.write() as conn:
        filling.remediation(conn, "r-holds", started=NOON - MINUTE, ended=None, holds_model=True, phase="Running")
        filling.remediation(conn, "r-pages", started=NOON, ended=None, holds_model=False, phase="Running")
        filling.remediation(conn, "r-else", started=NOON, ended=None, model="elsewhere", holds_model=False)
    rows.look(set(), {SALARY, FRAUD})
    assert {name: found.id for name, found in rows.remediations.items()} == {SALARY: "r-holds"}

    clock.advance(MINUTE)
    with db.write() as conn:
        now = db.now(conn)
        conn.exec_driver_sql(
            "UPDATE remediations SET phase = 'Succeeded', holds_model = false, "
            f"ended_at = {int(now.timestamp() * 1_000_000)} WHERE id = 'r-holds'"
        )
    rows.look(set(), {SALARY, FRAUD})
    assert rows.remediations[SALARY].id == "r-pages"
    with db.write() as conn:
        conn.exec_driver_sql(
            f"UPDATE remediations SET ended_at = {int(now.timestamp() * 1_000_000)} WHERE id = 'r-pages'"
        )
    rows.look(set(), {SALARY, FRAUD})
    assert rows.remediations[SALARY].id == "r-pages"
    assert rows.remediations[SALARY].ended == now
    assert Rows(db).remediations == {}


def test_what_is_committed_late_is_seen(db: Database) -> None:
    """A remediation that ended just before the last look, in a transaction that was not over then, is seen by the next."""
    rows = Rows(db)
    rows.look(set(), {SALARY})
    with db.write() as conn:
        filling.remediation(conn, "r-1", started=NOON - MINUTE, ended=NOON - MINUTE / 2)
    rows.look(set(), {SALARY})
    assert rows.remediations[SALARY].id == "r-1"


def test_a_fresh_look_sees_what_a_long_one_does(db: Database, clock) -> None:
    """A process that has just started tells the same as one that has looked all along."""
    rows = Rows(db)
    rows.look({RETRAIN}, {SALARY})
    for number in range(1, 6):
        with db.write() as conn:
            filling.decision(conn, number, number, NOON + number * MINUTE)
            ended = None if number == 4 else clock.now
            filling.remediation(
                conn, f"r-{number}", started=clock.now, ended=ended, holds_model=False, phase="Succeeded"
            )
        rows.look({RETRAIN}, {SALARY})
        fresh = Rows(db)
        fresh.look({RETRAIN}, {SALARY})
        assert (fresh.decisions, fresh.remediations) == (rows.decisions, rows.remediations)
        clock.advance(MINUTE)
    assert rows.remediations[SALARY].id == "r-4"
