import logging
import threading
from concurrent.futures import wait
from contextlib import contextmanager
from datetime import timedelta

import pytest

from controller.errors import InvalidEvent, TemporaryError
from controller.store.database import Database
from controller.store.intake import Intake, Receipt
from controller.store.leader import Leadership
from controller.store.undecided import undecided

from .conftest import drift, rows


class Held:
    """Keeps the intake from committing until it is let go, and counts its commits."""

    def __init__(self, db: Database, monkeypatch) -> None:
        self.go = threading.Event()
        self.commits = 0
        self.fail: Exception | None = None
        write = db.write

        @contextmanager
        def held():
            self.go.wait(10)
            if self.fail is not None:
                raise self.fail
            with write() as conn:
                yield conn
            self.commits += 1

        monkeypatch.setattr(db, "write", held)


@pytest.fixture
def held(db: Database, monkeypatch) -> Held:
    """The database's writing door, held shut."""
    return Held(db, monkeypatch)


def test_what_is_acknowledged_is_stored_as_it_came(db: Database, intake: Intake) -> None:
    """The engine reads back the very event that was submitted."""
    event = drift(
        subject="é\u2028",
        namespace="ml",
        dataset="feast:x",
        data={"nested": {"list": [1, 2.5, None, "é"]}, "big": 2**70},
        extensions={"traceparent": "00-1", "flag": True, "n": 3},
        time_marked=True,
        over=True,
        family=None,
    )
    assert intake.submit([event]).result(10) == Receipt(("drift-1",))
    with db.read() as conn:
        (stored,) = undecided(conn, 10)
    assert stored.event == event


def test_concurrent_requests_share_a_commit(db: Database, intake: Intake, held: Held) -> None:
    """What gathers while one commit runs goes out with the next one, in the order in which it came."""
    futures = [intake.submit([drift(number)]) for number in range(200)]
    held.go.set()
    assert all(future.result(10).accepted == (f"drift-{number}",) for number, future in enumerate(futures))
    assert held.commits <= 2
    assert [id_ for (id_,) in rows(db, "SELECT id FROM events ORDER BY seq")] == [f"drift-{n}" for n in range(200)]


def test_nothing_is_acknowledged_before_its_commit(db: Database, intake: Intake, held: Held) -> None:
    """A future is resolved only when its rows can be read by others."""
    seen: list[int] = []
    future = intake.submit([drift()])
    future.add_done_callback(lambda _: seen.append(rows(db, "SELECT count(*) FROM events")[0][0]))
    assert not future.done()
    held.go.set()
    future.result(10)
    intake.stop()
    assert seen == [1]


def test_a_failing_commit_acknowledges_nothing(db: Database, intake: Intake, held: Held) -> None:
    """When the store is away, every request is told so, nothing is stored, and the next attempt works."""
    held.fail = TemporaryError("the disk is full")
    futures = [intake.submit([drift(number)]) for number in range(50)]
    held.go.set()
    for future in futures:
        with pytest.raises(TemporaryError, match="disk is full"):
            future.result(10)
    held.fail = None
    assert rows(db, "SELECT count(*) FROM events") == [(0,)]
    assert intake.backlog() == 0
    assert intake.submit([drift(1)]).result(10).accepted == ("drift-1",)


def test_one_bad_event_fails_alone(db: Database, intake: Intake, held: Held) -> None:
    """An event that the database cannot hold is refused; the others of its commit are stored."""
    futures = [intake.submit([drift(number, subject="\ud800" if number == 3 else None)]) for number in range(6)]
    held.go.set()
    wait(futures, 10)
    with pytest.raises(InvalidEvent, match="cannot be stored"):
        futures[3].result()
    assert [future.result().accepted for future in futures if future is not futures[3]] == [
        (f"drift-{n}",) for n in (0, 1, 2, 4, 5)
    ]
    assert rows(db, "SELECT count(*) FROM events") == [(5,)]


def test_what_is_no_json_is_refused_at_once(intake: Intake) -> None:
    """Data that cannot be written as UTF-8 fails before it reaches the writer."""
    with pytest.raises(InvalidEvent, match="cannot be stored"):
        intake.submit([drift(data={"x": "\ud800"})]).result(10)


def test_a_nul_on_postgresql_fails_alone(postgresql_url: str) -> None:
    """PostgreSQL holds no NUL in a text: that event is refused, its neighbour stored."""
    db = Database(postgresql_url)
    intake = Intake(db)
    bad, good = intake.submit([drift(1, subject="a\0b")]), intake.submit([drift(2)])
    intake.start()
    assert good.result(10).accepted == ("drift-2",)
    with pytest.raises(InvalidEvent):
        bad.result(10)
    intake.stop()
    db.close()


def test_an_unexpected_error_is_temporary(db: Database, intake: Intake, held: Held) -> None:
    """A bug in the store fails the request with "try again", and the writer lives on."""
    held.fail = ZeroDivisionError("a bug")
    held.go.set()
    with pytest.raises(TemporaryError, match="a bug"):
        intake.submit([drift()]).result(10)
    held.fail = None
    assert intake.submit([drift()]).result(10).accepted == ("drift-1",)


# ── duplicates ──────────────────────────────────────────────────────────────────────────────────


def test_a_duplicate_is_counted_on_the_stored_row(db: Database, intake: Intake, clock) -> None:
    """The same source and id again adds no row: it is counted, with its time."""
    intake.submit([drift()]).result(10)
    clock.advance(timedelta(minutes=1))
    assert intake.submit([drift()]).result(10) == Receipt((), ("drift-1",))
    ((seen, gap, renewed, conflicts),) = rows(
        db, "SELECT seen, last_seen_at - received_at, renewed_at, conflicts FROM events"
    )
    assert (seen, gap, renewed, conflicts) == (2, 60_000_000, None, 0)


def test_other_content_under_one_id_is_recorded(db: Database, intake: Intake) -> None:
    """The first stays as it was; the difference is named to the sender, recorded and counted."""
    intake.submit([drift(digest="first")]).result(10)
    receipt = intake.submit([drift(digest="second", data={"driftScore": 0.9})]).result(10)
    assert receipt == Receipt((), ("drift-1",), ("drift-1",))
    intake.submit([drift(digest="first")]).result(10)
    assert rows(db, "SELECT digest, conflict_digest, conflicts, seen FROM events") == [("first", "second", 1, 3)]
    assert "0.44" in rows(db, "SELECT data FROM events")[0][0]


def test_the_same_id_of_another_source_is_another_event(db: Database, intake: Intake) -> None:
    """Identity is source and id together."""
    receipt = intake.submit([drift(source="a"), drift(source="b")]).result(10)
    assert receipt == Receipt(("drift-1", "drift-1"))
    assert rows(db, "SELECT count(*) FROM events") == [(2,)]


def test_duplicates_within_a_commit(db: Database, intake: Intake, held: Held) -> None:
    """Duplicates in one batch, and between requests that share a commit, are told from the first."""
    one = intake.submit([drift(1), drift(1), drift(2, digest="x")])
    two = intake.submit([drift(1), drift(2, digest="y"), drift(3)])
    held.go.set()
    assert one.result(10) == Receipt(("drift-1", "drift-2"), ("drift-1",))
    assert two.result(10) == Receipt(("drift-3",), ("drift-1", "drift-2"), ("drift-2",))
    assert rows(db, "SELECT id, seen, conflicts FROM events ORDER BY seq") == [
        ("drift-1", 3, 0),
        ("drift-2", 2, 1),
        ("drift-3", 1, 0),
    ]
    assert intake.backlog() == 3


def test_a_duplicate_from_a_stateful_source_renews(db: Database, intake: Intake, clock) -> None:
    """Where a source reports a level, a repeat becomes work for the engine, decided already or not."""
    intake.submit([drift(1, source="urn:stateful:a")]).result(10)
    with db.write() as conn:
        conn.exec_driver_sql("UPDATE events SET decided_at = 1")
    intake.submit([drift(2, source="urn:stateful:a")]).result(10)
    now = clock.advance(timedelta(minutes=1))
    for number in (1, 2):
        intake.submit([drift(number, source="urn:stateful:a", digest="other")]).result(10)
    micros = int(now.timestamp() * 1_000_000)
    assert rows(db, "SELECT renewed_at, conflicts FROM events ORDER BY seq") == [(micros, 1), (micros, 1)]


def test_a_storm_of_duplicates_stays_one_row(db: Database, intake: Intake) -> None:
    """A thousand deliveries of one event are one row that was seen a thousand times."""
    futures = [intake.submit([drift()]) for _ in range(1000)]
    receipts = [future.result(20) for future in futures]
    assert sum(len(receipt.accepted) for receipt in receipts) == 1
    assert rows(db, "SELECT seen FROM events") == [(1000,)]


# ── the engine beside it ────────────────────────────────────────────────────────────────────────


def test_the_engine_is_woken_only_for_work(db: Database) -> None:
    """New events and renewals wake the engine, plain duplicates do not; a wake that raises harms nobody."""
    calls: list[int] = []

    def wake() -> None:
        calls.append(rows(db, "SELECT count(*) FROM events")[0][0])
        raise ZeroDivisionError

    logging.getLogger("controller.store.intake").disabled = True
    intake = Intake(db, stateful=lambda source: source == "level", on_new=wake)
    intake.start()
    for event in (drift(1), drift(1), drift(2, source="level"), drift(2, source="level")):
        intake.submit([event]).result(10)
    intake.stop()
    logging.getLogger("controller.store.intake").disabled = False
    assert calls == [1, 2, 2]


def test_the_backlog_is_counted(db: Database, intake: Intake) -> None:
    """The backlog is what is stored and undecided: from the database at start, then kept in step."""
    intake.submit([drift(number) for number in range(5)]).result(10)
    intake.submit([drift(0)]).result(10)
    assert intake.backlog() == 5
    with db.write() as conn:
        conn.exec_driver_sql("UPDATE events SET decided_at = 1 WHERE id IN ('drift-1', 'drift-2')")
    intake.decided(2)
    assert intake.backlog() == 3
    again = Intake(db)
    again.start()
    assert again.backlog() == 3
    again.stop()


def test_pending_is_bounded(db: Database, held: Held) -> None:
    """What waits in memory is bounded: beyond it a request is refused at once, and what waits is stored.

    A single request that is larger than the bound is taken when nothing else waits.
    """
    intake = Intake(db, most_pending=20_000)
    accepted = [intake.submit([drift(number)]) for number in range(10)]
    with pytest.raises(TemporaryError, match="too many events wait"):
        intake.submit([drift(10, data={"pad": "x" * 5_000})]).result(0)
    held.go.set()
    intake.start()
    wait(accepted, 10)
    assert rows(db, "SELECT count(*) FROM events") == [(10,)]
    assert intake.submit([drift(number) for number in range(20, 60)]).result(10).accepted
    intake.stop()


def test_a_commit_is_bounded(db: Database, held: Held) -> None:
    """However much waits, one transaction takes at most a thousand events, and at most eight megabytes."""
    intake = Intake(db, most_pending=2**30)
    small = [intake.submit([drift(number)]) for number in range(1500)]
    large = [intake.submit([drift(f"{number}-large", data={"pad": "x" * 3 * 2**20})]) for number in range(4)]
    held.go.set()
    intake.start()
    wait([*small, *large], 20)
    assert held.commits == 3  # 1000; 500 and two large ones; two large ones
    intake.stop()


def test_a_stop_answers_everybody(db: Database, held: Held) -> None:
    """Stopping stores and answers what was submitted before it, and refuses what comes after."""
    intake = Intake(db)
    intake.start()
    futures = [intake.submit([drift(number)]) for number in range(100)]
    stopping = threading.Thread(target=intake.stop)
    stopping.start()
    held.go.set()
    stopping.join(10)
    assert all(future.done() and future.result().accepted for future in futures)
    with pytest.raises(TemporaryError, match="stopping"):
        intake.submit([drift(100)]).result(0)
    assert rows(db, "SELECT count(*) FROM events") == [(100,)]


def test_a_waiter_that_went_away_harms_nobody(db: Database, intake: Intake, held: Held) -> None:
    """A future cannot be cancelled once submitted: the event is stored, whoever still listens."""
    future = intake.submit([drift()])
    assert not future.cancel()
    held.go.set()
    assert future.result(10).accepted == ("drift-1",)


def test_intake_and_engine_take_turns(leadership: Leadership, intake: Intake, db: Database) -> None:
    """Under a steady stream of events the engine still gets its transactions, and the other way round."""
    stop = threading.Event()
    stored: list[int] = []

    def send() -> None:
        while not stop.is_set():
            number = len(stored) + 1
            intake.submit([drift(number)]).result(10)
            stored.append(number)

    sender = threading.Thread(target=send)
    sender.start()
    turns = 0
    while turns < 50 or (len(stored) <= 5 and turns < 5_000):  # no clock: a busy machine wakes threads late
        turns += 1
        with leadership.transaction() as turn:
            turn.input("tick", "")
    stop.set()
    sender.join(10)
    assert len(stored) > 5
    assert rows(db, "SELECT count(*) FROM events") == [(len(stored),)]
