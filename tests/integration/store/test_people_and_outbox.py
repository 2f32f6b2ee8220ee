import threading
from datetime import timedelta

import pytest

from controller.store import acts, outbox_rows, quarantine
from controller.store.database import Database
from controller.store.leader import Leadership
from controller.store.outbox_rows import Note

from .conftest import NOON, rows


def test_an_act_is_used_once_and_answered(leadership: Leadership, db: Database) -> None:
    """An act waits for the engine in the order asked, becomes one input, and its outcome is told by its id."""
    first = acts.add_act(db, "pause", "model", "ml/salary-predictor", {"until": None}, "ada", "broken feed")
    second = acts.add_act(db, "resume", "all", "", {}, "ada", "mended")
    with leadership.transaction() as turn:
        waiting = acts.unused(turn.conn)
        assert [act.id for act in waiting] == [first, second]
        assert (waiting[0].kind, waiting[0].ref, waiting[0].body, waiting[0].who, waiting[0].at) == (
            "pause", "ml/salary-predictor", {"until": None}, "ada", NOON,
        )  # fmt: skip
        acts.used(turn, first, turn.input("act", str(first)), {"ok": True, "id": "p-1"})
    with db.read() as conn:
        assert [act.id for act in acts.unused(conn)] == [second]
    assert acts.outcome(db, first) == {"ok": True, "id": "p-1"}
    assert acts.outcome(db, second) is None
    assert acts.outcome(db, 4711) is None


# ── quarantine ──────────────────────────────────────────────────────────────────────────────────


def quarantined(db: Database, at: timedelta, body: object, bound: int = 10, reason: str = "poison") -> int:
    with db.write() as conn:
        return quarantine.put(
            conn, NOON + at, origin="engine", reason=reason, message=f"at {at}", body=body, bound=bound
        )


def test_the_same_item_again_is_counted(db: Database) -> None:
    """One row for each distinct item, with how often and when it was last seen."""
    for minutes in range(3):
        quarantined(db, timedelta(minutes=minutes), {"id": "e-1"})
    quarantined(db, timedelta(), {"id": "e-1"}, reason="internal_error")
    found = rows(db, "SELECT count, last_seen - first_seen FROM quarantine ORDER BY count")
    assert found == [(1, 0), (3, 120_000_000)]


def test_a_full_quarantine_drops_what_was_seen_longest_ago(db: Database) -> None:
    """It never holds more than its bound; what it drops is counted to the caller; what came again stays longer."""
    for number in range(3):
        assert quarantined(db, timedelta(minutes=number), number, bound=3) == 0
    quarantined(db, timedelta(minutes=3), 0, bound=3)
    assert quarantined(db, timedelta(minutes=4), 3, bound=3) == 1
    assert sorted(body for (body,) in rows(db, "SELECT body FROM quarantine")) == ["0", "2", "3"]
    assert quarantined(db, timedelta(minutes=5), 4, bound=1) == 3


def test_a_replayed_item_that_fails_again_waits_again(db: Database) -> None:
    """A replay is noted; the same item seen after it waits for people again."""
    quarantined(db, timedelta(), "x")
    (digest,) = (found for (found,) in rows(db, "SELECT digest FROM quarantine"))
    with db.write() as conn:
        assert quarantine.replayed(conn, digest, NOON)
        assert not quarantine.replayed(conn, "unknown", NOON)
    with db.read() as conn:
        item = quarantine.get(conn, digest)
        assert item is not None
        assert item["replayed_at"] == NOON
        assert quarantine.get(conn, "unknown") is None
    quarantined(db, timedelta(minutes=1), "x")
    assert rows(db, "SELECT replayed_at, count FROM quarantine") == [(None, 2)]


# ── outbox ──────────────────────────────────────────────────────────────────────────────────────


def note(ordinal: int, remediation: str = "r-1", receiver: str = "default", **changes: object) -> Note:
    values = {"key": f"{remediation}/{receiver}/{ordinal}", "remediation_id": remediation, "ordinal": ordinal}
    return Note(**values | {"receiver": receiver, "body": {"n": ordinal}, "since": NOON} | changes)


def enqueue(db: Database, *notes: Note) -> None:
    with db.write() as conn:
        outbox_rows.enqueue(conn, notes)


def due(db: Database, at: timedelta = timedelta(), limit: int = 50) -> list[str]:
    with db.read() as conn:
        return [row.key for row in outbox_rows.due(conn, NOON + at, limit)]


def mark(db: Database, key: str, how: str, *arguments: object) -> None:
    with db.write() as conn:
        (row_id,) = conn.exec_driver_sql(f"SELECT id FROM outbox WHERE key = '{key}'").scalars()
        getattr(outbox_rows, how)(conn, row_id, *arguments)


def test_a_key_is_written_once(db: Database) -> None:
    """Saving the same transition again tells nobody twice."""
    enqueue(db, note(0), note(1))
    enqueue(db, note(1, body={"n": 99}), note(2))
    enqueue(db)
    assert rows(db, "SELECT ordinal, body FROM outbox ORDER BY id") == [(n, f'{{"n":{n}}}') for n in range(3)]


def test_deliveries_keep_their_order(db: Database) -> None:
    """Of one remediation and receiver only the first that waits is due; others do not wait for it."""
    enqueue(db, note(1), note(0), note(0, receiver="chat"), note(5, remediation="r-2"))
    assert due(db) == ["r-1/default/0", "r-1/chat/0", "r-2/default/5"]
    mark(db, "r-1/default/0", "sent", NOON)
    assert due(db) == ["r-1/default/1", "r-1/chat/0", "r-2/default/5"]


def test_a_failed_delivery_comes_again_later_and_holds_back_those_after_it(db: Database) -> None:
    """Until the time set nothing of that remediation and receiver is due, then the same row again."""
    enqueue(db, note(0), note(1))
    mark(db, "r-1/default/0", "failed", NOON + timedelta(minutes=1), "connection refused")
    assert due(db) == []
    with db.read() as conn:
        assert outbox_rows.next_due(conn) == NOON + timedelta(minutes=1)
        assert outbox_rows.pending(conn) == 2
    assert due(db, timedelta(minutes=1)) == ["r-1/default/0"]
    assert rows(db, "SELECT attempts, error FROM outbox ORDER BY id") == [(1, "connection refused"), (0, None)]


def test_a_dead_delivery_lets_those_after_it_go(db: Database) -> None:
    """Given up, a row is kept with its error and no longer in the way."""
    enqueue(db, note(0), note(1))
    mark(db, "r-1/default/0", "dead", NOON, "gone")
    assert due(db) == ["r-1/default/1"]
    mark(db, "r-1/default/1", "sent", NOON)
    with db.read() as conn:
        assert outbox_rows.next_due(conn) is None
        assert outbox_rows.pending(conn) == 0
    assert rows(db, "SELECT error FROM outbox WHERE dead_at IS NOT NULL") == [("gone",)]


def test_due_is_bounded(db: Database) -> None:
    """No more rows than asked for, the longest waiting first."""
    enqueue(db, *(note(0, remediation=f"r-{n}", since=NOON - timedelta(minutes=n)) for n in range(10)))
    assert due(db, limit=3) == ["r-9/default/0", "r-8/default/0", "r-7/default/0"]


@pytest.mark.parametrize("threads", [4])
def test_acts_of_many_people_are_all_kept(db: Database, threads: int) -> None:
    """People who act at the same time all get an id of their own."""
    ids: list[int] = []

    def act() -> None:
        ids.extend(acts.add_act(db, "resume", "all", "", {}, "ada", "x") for _ in range(10))

    workers = [threading.Thread(target=act) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(set(ids)) == threads * 10
