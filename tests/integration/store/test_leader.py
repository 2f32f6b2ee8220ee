import subprocess
import sys
import threading
from datetime import timedelta

import pytest
from sqlalchemy import update
from sqlalchemy.engine import make_url

from controller import schema
from controller.errors import ConfigError, NotLeader
from controller.store.database import Database
from controller.store.leader import Leadership

from .conftest import NOON, rows


@pytest.fixture
def other(database_url: str, clock) -> Database:
    """The same database, opened by somebody else."""
    database = Database(database_url, clock=clock)
    yield database
    database.close()


def leader(db: Database) -> tuple[object, ...]:
    return rows(db, "SELECT epoch, last_input, last_decision FROM leader")[0]


def test_the_second_is_refused_by_name(leadership: Leadership, other: Database) -> None:
    """While one leads, another is refused and told by whom, and the first leads on."""
    with pytest.raises(ConfigError, match=r"is already served by pid \d+ on "):
        Leadership.take(other)
    with leadership.transaction() as turn:
        assert turn.epoch == 1


def test_a_second_process_is_refused_by_name(sqlite_url: str) -> None:
    """The lock holds between processes, and names the one that has it."""
    db = Database(sqlite_url)
    leadership = Leadership.take(db, holder="pid 4711 on somewhere")
    script = (
        "import sys; from controller.store.database import Database; from controller.store.leader import Leadership\n"
        "Leadership.take(Database(sys.argv[1]))"
    )
    second = subprocess.run([sys.executable, "-c", script, sqlite_url], capture_output=True, text=True, check=False)
    assert second.returncode == 1
    assert "is already served by pid 4711 on somewhere" in second.stderr
    leadership.stop()
    assert subprocess.run([sys.executable, "-c", script, sqlite_url], check=False).returncode == 0
    db.close()


def test_each_taking_raises_the_epoch(db: Database) -> None:
    """Every taking has an epoch of its own; a stop is known from a death."""
    first = Leadership.take(db)
    assert (first.epoch, first.unclean) == (1, False)
    first.stop()
    second = Leadership.take(db)
    assert (second.epoch, second.unclean) == (2, False)
    second.abandon()
    third = Leadership.take(db)
    assert (third.epoch, third.unclean) == (3, True)
    third.stop()


def test_taking_migrates(empty_database_url: str) -> None:
    """Whoever may lead an empty database gives it its tables."""
    db = Database(empty_database_url)
    leadership = Leadership.take(db)
    assert leader(db) == (1, 0, 0)
    leadership.stop()
    db.close()


def test_a_stale_leader_decides_nothing(leadership: Leadership, db: Database) -> None:
    """Once the epoch has moved on, a transaction of the old leader raises and writes nothing."""
    with db.write() as conn:
        conn.execute(update(schema.leader).values(epoch=2))
    with pytest.raises(NotLeader, match="epoch 1 is over"), leadership.transaction() as turn:
        turn.input("tick", "")
    assert rows(db, "SELECT count(*) FROM inputs") == [(0,)]


def test_numbers_are_given_out_without_gaps(leadership: Leadership, db: Database) -> None:
    """Inputs and decisions are numbered 1, 2, 3 … over all turns; a turn that raises gives out none."""
    with leadership.transaction() as turn:
        assert [turn.input("event", "7"), turn.input("act", "8")] == [1, 2]
        assert turn.decision_id() == 1
    with pytest.raises(KeyError), leadership.transaction() as turn:
        assert turn.input("event", "lost") == 3
        turn.decision_id()
        raise KeyError
    with leadership.transaction() as turn:
        assert turn.input("wake", "9") == 3
        assert turn.decision_id() == 2
    assert rows(db, "SELECT seq, epoch, kind, ref FROM inputs ORDER BY seq") == [
        (1, 1, "event", "7"),
        (2, 1, "act", "8"),
        (3, 1, "wake", "9"),
    ]
    assert leader(db) == (1, 3, 2)


def test_numbers_go_on_after_a_restart(db: Database) -> None:
    """The next leader goes on where the last one stopped."""
    first = Leadership.take(db)
    with first.transaction() as turn:
        turn.input("tick", "")
    first.abandon()
    second = Leadership.take(db)
    with second.transaction() as turn:
        assert turn.input("tick", "") == 2
    second.stop()


def test_a_turn_that_gives_out_nothing_saves_nothing(leadership: Leadership, db: Database, clock) -> None:
    """A turn without inputs and decisions leaves the leader row alone."""
    before = rows(db, "SELECT * FROM leader")
    clock.advance(timedelta(minutes=1))
    with leadership.transaction():
        pass
    assert rows(db, "SELECT * FROM leader") == before


def test_now_never_goes_backwards(leadership: Leadership, db: Database, clock) -> None:
    """When the clock steps back, `now` stands still until the clock has caught up."""
    with leadership.transaction() as turn:
        turn.input("tick", "")
        assert turn.now == NOON
    clock.advance(-timedelta(hours=1))
    with leadership.transaction() as turn:
        assert turn.now == NOON
        turn.input("tick", "")
    clock.advance(timedelta(hours=2))
    with leadership.transaction() as turn:
        assert turn.now == NOON + timedelta(hours=1)
        turn.input("tick", "")
    found = [micros for (micros,) in rows(db, "SELECT now FROM inputs ORDER BY seq")]
    assert found == sorted(found)


def test_now_never_goes_backwards_over_a_restart(db: Database, clock) -> None:
    """The next leader's `now` is not before the last decision of the one before."""
    first = Leadership.take(db)
    with first.transaction() as turn:
        turn.decision_id()
    first.stop()
    clock.advance(-timedelta(days=1))
    second = Leadership.take(db)
    with second.transaction() as turn:
        assert turn.now == NOON
    second.stop()


def test_now_is_the_same_throughout_a_turn(leadership: Leadership, clock) -> None:
    """A turn has one `now`, whatever the clock does meanwhile."""
    with leadership.transaction() as turn:
        clock.advance(timedelta(seconds=1))
        assert turn.now == NOON


def test_turns_do_not_nest(leadership: Leadership, db: Database) -> None:
    """A turn within a turn, or a write beside it in the same thread, is a mistake that raises at once."""
    with leadership.transaction():
        with pytest.raises(RuntimeError, match="do not nest"), leadership.transaction():
            pass
        with pytest.raises(RuntimeError, match="do not nest"), db.write():
            pass
    with leadership.transaction() as turn:
        assert turn.input("tick", "") == 1


def test_decisions_are_taken_one_at_a_time(leadership: Leadership, db: Database) -> None:
    """Turns of many threads run one after the other: no number is given out twice."""

    def decide() -> None:
        for _ in range(20):
            with leadership.transaction() as turn:
                turn.input("tick", str(turn.decision_id()))

    threads = [threading.Thread(target=decide) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert leader(db) == (1, 80, 80)
    assert rows(db, "SELECT count(*) FROM inputs") == [(80,)]


def test_without_a_clock_the_database_tells_the_time(database_url: str) -> None:
    """`now` comes from the system on SQLite, from the server on PostgreSQL, and moves on."""
    db = Database(database_url)
    leadership = Leadership.take(db)
    with leadership.transaction() as turn:
        first = turn.now
        turn.input("tick", "")
    with leadership.transaction() as turn:
        assert first <= turn.now < first + timedelta(seconds=5)
    leadership.stop()
    db.close()


def test_a_lost_lock_is_taken_again(db: Database, other: Database, database_url: str, request) -> None:
    """Where the server closed the session that held the lock, the leader locks again, and a second stays refused."""
    leadership = Leadership.take(db)
    if not db.sqlite:
        server = request.getfixturevalue("postgresql_server")
        name = make_url(database_url).database
        server.execute(
            f"SELECT pg_terminate_backend(l.pid) FROM pg_locks l JOIN pg_database d ON d.oid = l.database "
            f"WHERE l.locktype = 'advisory' AND d.datname = '{name}'"
        )
    leadership.hold()
    leadership.hold()
    with pytest.raises(ConfigError, match="already served by"):
        Leadership.take(other)
    leadership.stop()


def test_a_lock_lost_to_another_ends_the_leading(postgresql_url: str, postgresql_server) -> None:
    """Where another process took over meanwhile, the one before is told that it no longer leads."""
    old, new = Database(postgresql_url), Database(postgresql_url)
    before = Leadership.take(old)
    postgresql_server.execute(
        f"SELECT pg_terminate_backend(l.pid) FROM pg_locks l JOIN pg_database d ON d.oid = l.database "
        f"WHERE l.locktype = 'advisory' AND d.datname = '{make_url(postgresql_url).database}'"
    )
    after = Leadership.take(new)
    with pytest.raises(NotLeader, match="already served by"):
        before.hold()
    with pytest.raises(NotLeader, match="epoch 1 is over"), before.transaction():
        pass
    before.abandon()
    after.stop()
    old.close()
    new.close()
