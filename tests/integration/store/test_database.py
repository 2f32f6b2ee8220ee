import sqlite3
import stat
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import insert, inspect, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from controller import schema
from controller.errors import ConfigError, Conflict, PermanentError, TemporaryError
from controller.store import migrations
from controller.store.database import Database

from .conftest import NOON, rows


def put(db: Database, digest: str = "d", name: str = "n") -> None:
    with db.write() as conn:
        conn.execute(insert(schema.documents).values(digest=digest, kind="Model", namespace="ml", name=name, text={}))


def test_a_transaction_that_raises_leaves_nothing(db: Database) -> None:
    """What a raising block has written is rolled back."""
    with pytest.raises(KeyError), db.write() as conn:
        conn.execute(insert(schema.documents).values(digest="d", kind="Model", namespace="ml", name="n", text={}))
        raise KeyError
    assert rows(db, "SELECT count(*) FROM documents") == [(0,)]


def test_readers_see_a_snapshot(db: Database) -> None:
    """Two statements of one reader see the same state, whatever is committed between them."""
    put(db, "one")
    with db.read() as conn:
        count = select(schema.documents.c.digest)
        before = conn.execute(count).all()
        writer = threading.Thread(target=put, args=(db, "two"))
        writer.start()
        writer.join()
        assert conn.execute(count).all() == before
    assert len(rows(db, "SELECT digest FROM documents")) == 2


def test_readers_cannot_write(db: Database) -> None:
    """The reading door refuses to write."""
    with pytest.raises((TemporaryError, SQLAlchemyError)), db.read() as conn:
        conn.execute(insert(schema.documents).values(digest="d", kind="Model", namespace="ml", name="n", text={}))
    assert rows(db, "SELECT count(*) FROM documents") == [(0,)]


def test_transactions_do_not_nest(db: Database) -> None:
    """A thread inside a transaction that opens another is told so, and the outer one goes on."""
    with db.write() as conn:
        with pytest.raises(RuntimeError, match="do not nest"), db.write():
            pass
        conn.execute(insert(schema.documents).values(digest="d", kind="Model", namespace="ml", name="n", text={}))
    assert rows(db, "SELECT digest FROM documents") == [("d",)]


def test_a_unique_index_that_refuses_is_a_conflict(db: Database) -> None:
    """What a unique index refuses is a Conflict on both databases."""
    put(db)
    with pytest.raises(Conflict):
        put(db)


def test_times_and_json_come_back_as_they_went(db: Database) -> None:
    """Microseconds and JSON are exact on both databases."""
    moment = datetime(2026, 3, 29, 1, 59, 59, 999_999, tzinfo=UTC)
    with db.write() as conn:
        conn.execute(insert(schema.migrations).values(version=99, applied_at=moment))
        conn.execute(
            insert(schema.documents).values(
                digest="d", kind="M", namespace="ml", name="é", text={"é": [1, 0.1, None, 2**60]}
            )
        )
    with db.read() as conn:
        assert (
            conn.execute(select(schema.migrations.c.applied_at).where(schema.migrations.c.version == 99)).scalar()
            == moment
        )
        assert conn.execute(select(schema.documents.c.text)).scalar() == {"é": [1, 0.1, None, 2**60]}


def test_now_is_the_clock_given(db: Database) -> None:
    """`now` asks the clock that the database was opened with."""
    with db.write() as conn:
        assert db.now(conn) == NOON


def test_now_is_aware_and_current(database_url: str) -> None:
    """Without a clock, `now` is the time of the system or of the server."""
    db = Database(database_url)
    with db.write() as conn:
        assert abs((db.now(conn) - datetime.now(UTC)).total_seconds()) < 5
    db.close()


def test_migrations_make_every_table(empty_database_url: str) -> None:
    """An empty database gets every table, index and column of the schema, and the second run changes nothing."""
    db = Database(empty_database_url)
    assert db.migrate() == len(migrations.MIGRATIONS)
    assert db.migrate() == len(migrations.MIGRATIONS)
    with db.read() as conn:
        found = inspect(conn)
        assert set(found.get_table_names()) == set(schema.metadata.tables)
        for name, table in schema.metadata.tables.items():
            assert {column["name"] for column in found.get_columns(name)} == set(table.columns.keys())
            assert {str(index.name) for index in table.indexes} <= {str(i["name"]) for i in found.get_indexes(name)}
    assert rows(db, "SELECT version FROM migrations") == [(1,)]
    db.close()


def test_later_migrations_run_once_and_in_order(db: Database) -> None:
    """A database of an older version gets exactly the migrations that it lacks."""

    def second(conn) -> None:
        conn.exec_driver_sql("ALTER TABLE documents ADD COLUMN author TEXT")

    def third(conn) -> None:
        conn.exec_driver_sql("UPDATE documents SET author = 'nobody'")

    put(db)
    for _ in range(2):
        with db.write() as conn:
            assert migrations.migrate(conn, "x", NOON, (*migrations.MIGRATIONS, second, third)) == 3
    assert rows(db, "SELECT author FROM documents") == [("nobody",)]
    assert rows(db, "SELECT version FROM migrations ORDER BY version") == [(1,), (2,), (3,)]


def test_a_migration_that_fails_changes_nothing(db: Database) -> None:
    """A migration is one transaction with the note that it ran, on both databases."""

    def second(conn) -> None:
        conn.exec_driver_sql("ALTER TABLE documents ADD COLUMN author TEXT")
        raise KeyError

    with pytest.raises(KeyError), db.write() as conn:
        migrations.migrate(conn, "x", NOON, (*migrations.MIGRATIONS, second))
    with db.read() as conn:
        assert "author" not in {column["name"] for column in inspect(conn).get_columns("documents")}
    assert rows(db, "SELECT version FROM migrations") == [(1,)]


def test_a_newer_schema_is_refused(db: Database) -> None:
    """A database that a newer modelmend has migrated is not touched."""
    with db.write() as conn:
        conn.execute(insert(schema.migrations).values(version=7, applied_at=NOON))
    with pytest.raises(ConfigError, match=r"newer modelmend \(version 7, this one knows 1\)"):
        db.migrate()


def test_tables_of_somebody_else_are_refused(empty_database_url: str) -> None:
    """A database that holds a table of our name which we did not make is not touched."""
    db = Database(empty_database_url)
    with db.write() as conn:
        conn.exec_driver_sql("CREATE TABLE events (theirs TEXT)")
    with pytest.raises(ConfigError, match="are not modelmend's"):
        db.migrate()
    db.close()


def test_values_that_the_database_cannot_hold(postgresql_url: str) -> None:
    """A NUL in a text, which PostgreSQL cannot hold, is permanent: trying again cannot help."""
    db = Database(postgresql_url)
    with pytest.raises(PermanentError, match="cannot hold the value"):
        put(db, "a\0b")
    db.close()


def test_a_server_that_is_away_is_temporary() -> None:
    """No server: TemporaryError, from both doors."""
    db = Database("postgresql://nobody@127.0.0.1:1/none")
    with pytest.raises(TemporaryError, match="cannot be reached"), db.write():
        pass
    with pytest.raises(TemporaryError, match="cannot be reached"), db.read() as conn:
        conn.exec_driver_sql("SELECT 1")
    db.close()


def test_a_lost_connection_is_temporary_and_the_next_works(postgresql_url: str, postgresql_server) -> None:
    """A connection that the server closes fails one transaction; the next gets a new one."""
    db = Database(postgresql_url)
    put(db, "before")
    name = make_url(postgresql_url).database
    postgresql_server.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
    with pytest.raises(TemporaryError):
        put(db, "lost")
    put(db, "after")
    assert rows(db, "SELECT digest FROM documents ORDER BY digest") == [("after",), ("before",)]
    db.close()


def test_the_password_is_never_shown() -> None:
    """Neither the name nor an error message holds the password."""
    db = Database("postgresql://me:sesame@127.0.0.1:1/none")
    assert "sesame" not in db.name
    with pytest.raises(TemporaryError) as caught, db.write():
        pass
    assert "sesame" not in str(caught.value)
    db.close()


def test_postgresql_commits_are_on_disk(postgresql_url: str) -> None:
    """Whatever the server's default, our commits wait for the disk, and a frozen writer loses its transaction."""
    db = Database(postgresql_url)
    with db.write() as conn:
        shown = {
            name: conn.exec_driver_sql(f"SHOW {name}").scalar()
            for name in ("synchronous_commit", "application_name", "idle_in_transaction_session_timeout")
        }
    assert shown == {
        "synchronous_commit": "on",
        "application_name": "modelmend",
        "idle_in_transaction_session_timeout": "3s",
    }
    db.close()


@pytest.mark.parametrize("url", ["mysql://x/y", "no url", "sqlite+nothing"])
def test_unknown_urls_are_named(url: str) -> None:
    """A URL of something else is a configuration error that says what was wanted and found."""
    with pytest.raises(ConfigError, match=r"want sqlite:///file or postgresql://host/name, got"):
        Database(url)


# ── SQLite's file ───────────────────────────────────────────────────────────────────────────────


def test_sqlite_syncs_every_commit(sqlite_url: str) -> None:
    """The file is in WAL mode and its writer waits for the disk."""
    db = Database(sqlite_url)
    with db.write() as conn:
        assert conn.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert conn.exec_driver_sql("PRAGMA synchronous").scalar() == 2
    db.close()


def test_the_data_folder_is_private(tmp_path: Path) -> None:
    """Folder and file are made for their owner alone."""
    path = tmp_path / "data" / "modelmend.db"
    db = Database(f"sqlite:///{path}")
    db.migrate()
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    for found in path.parent.iterdir():
        assert stat.S_IMODE(found.stat().st_mode) == 0o600, found
    db.close()


def test_a_damaged_file_is_named_and_kept(sqlite_url: str, tmp_path: Path) -> None:
    """A file that is no database is refused with what to do, and stays as it is."""
    path = tmp_path / "modelmend.db"
    path.write_bytes(b"not a database at all" * 100)
    with pytest.raises(ConfigError, match=r"damaged .* restore the file from a backup"):
        db = Database(sqlite_url)
        db.migrate()
    assert path.read_bytes().startswith(b"not a database")


def test_damage_found_later_is_named(sqlite_url: str, tmp_path: Path) -> None:
    """Damage inside the file is found when it is read, and named."""
    db = Database(sqlite_url)
    for number in range(300):
        put(db, f"digest-{number}", "n" * 200)
    db.close()
    path = tmp_path / "modelmend.db"
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    path.write_bytes(content)
    db = Database(sqlite_url)
    with pytest.raises(ConfigError, match="damaged"):
        rows(db, "SELECT * FROM documents")
    db.close()


@pytest.mark.parametrize("size", [0, 50])
def test_an_emptied_file_is_refused(tmp_path: Path, size: int) -> None:
    """A file that was cut off is not taken for a new one: its events would be lost without a word."""
    path = tmp_path / "modelmend.db"
    path.write_bytes(b"x" * size)
    with pytest.raises(ConfigError, match="empty or cut off"):
        Database(f"sqlite:///{path}")


def test_a_missing_file_beside_its_log_is_refused(tmp_path: Path) -> None:
    """Where the log is there and the file is not, no new file is made over it."""
    (tmp_path / "modelmend.db-wal").write_bytes(b"log")
    with pytest.raises(ConfigError, match=r"missing while its log modelmend\.db-wal is there"):
        Database(f"sqlite:///{tmp_path / 'modelmend.db'}")


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """A data folder below a file is a configuration error."""
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot be made"):
        Database(f"sqlite:///{tmp_path / 'file' / 'modelmend.db'}")


def test_a_lock_held_by_another_program_is_temporary(sqlite_url: str, tmp_path: Path, monkeypatch) -> None:
    """Where another program holds the file's lock, writing is a matter of trying again."""
    monkeypatch.setattr("controller.store.database.BUSY_TIMEOUT_MS", 10)
    db = Database(sqlite_url)
    other = sqlite3.connect(tmp_path / "modelmend.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(TemporaryError, match="locked"):
        put(db)
    other.execute("ROLLBACK")
    other.close()
    put(db)
    db.close()


def test_a_read_only_file_is_temporary(sqlite_url: str) -> None:
    """A file that became read-only, as SQLite reports it, is a matter of trying again."""
    db = Database(sqlite_url)
    with pytest.raises(TemporaryError, match="read-only"), db.write() as conn:
        conn.exec_driver_sql("PRAGMA query_only = ON")
        conn.exec_driver_sql("DELETE FROM documents")
    db.close()


def test_a_database_in_memory_serves_replays() -> None:
    """`sqlite://` lives in this process, reads within its own transaction, and keeps what is committed."""
    db = Database("sqlite://")
    db.migrate()
    with db.write() as conn, db.read() as same:
        assert conn is same
    put(db)
    assert rows(db, "SELECT digest FROM documents") == [("d",)]
    db.close()
