"""The two doors to the database: one to read, one to write, the same on SQLite and PostgreSQL.

What differs between the two stands here, in `migrations`, `leader` and `event_rows`, nowhere else.

SQLite: one file in WAL mode with `synchronous=FULL`: a commit returns after the fsync. Writers of
this process take turns in a fair lock, so nobody spins on a busy database; readers have connections
of their own and see the state as of their first statement. PostgreSQL: `synchronous_commit=on`;
readers get REPEATABLE READ, so that all statements of one answer see the same state.
`sqlite://` is a database in memory, of one connection, for replays and tests.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, StaticPool, create_engine, event, exc
from sqlalchemy.engine import URL, make_url

from controller.errors import ConfigError
from controller.schema import from_micros
from controller.store.foreign import translated
from controller.store.migrations import migrate
from controller.store.turnstile import Turnstile

BUSY_TIMEOUT_MS = 5_000
WRITERS = 8  # PostgreSQL connections that may write at a time
READERS = 8
IDLE_IN_TRANSACTION_MS = 3_000  # a process frozen inside a transaction must not hold its rows for ever
_HEADER_BYTES = 100  # of an SQLite file; a shorter one was never a database of ours


def system_clock() -> datetime:
    """The time of this machine, aware, UTC."""
    return datetime.now(UTC)


class Database:
    """One database, opened. `url` is SQLAlchemy's; a plain `postgresql://` means psycopg 3.

    `clock` None: the system's time on SQLite, the server's on PostgreSQL. Raises ConfigError for
    an unknown URL and for a damaged or foreign file, TemporaryError where it cannot be reached.
    """

    def __init__(self, url: str, *, clock: Callable[[], datetime] | None = None) -> None:
        self._clock = clock
        self._url = _parsed(url)
        self.url: str = self._url.render_as_string(hide_password=False)
        self.sqlite: bool = self._url.get_backend_name() == "sqlite"
        self._inside = threading.local()
        self._turnstile = Turnstile()
        self._foreign: tuple[type[Exception], ...] = (exc.SQLAlchemyError, sqlite3.Error)
        if self.sqlite:
            self.path = self._open_sqlite()
        else:
            self.path = None
            self._open_postgres()
        self.name = str(self.path) if self.path else self._url.render_as_string(hide_password=True)

    def __repr__(self) -> str:
        return f"Database({self.name!r})"

    @property
    def in_memory(self) -> bool:
        """Whether it lives in this process only."""
        return self.sqlite and self.path is None

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A snapshot to read from; writing through it fails.

        Raises TemporaryError (away, locked, disk), ConfigError (damaged).
        """
        if self.in_memory:
            if self._turnstile.held_here():
                yield self._inside.conn
                return
            with self.write() as conn:
                yield conn
            return
        with self._doors(), self._readers.connect() as conn:
            yield conn

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction: committed, and on disk, when the block ends; rolled back when it raises.

        Raises Conflict (a unique index refused), TemporaryError (away, locked, disk full, read-only),
        PermanentError (a value that the database cannot hold), ConfigError (damaged), RuntimeError
        when this thread is inside one already.
        """
        if getattr(self._inside, "conn", None) is not None:
            raise RuntimeError("this thread is already inside a transaction: transactions do not nest")
        if not self.sqlite:
            with self._doors(), self._transaction() as conn:
                yield conn
            return
        with self._turnstile, self._doors(), self._transaction() as conn:
            yield conn

    def now(self, conn: Connection) -> datetime:
        """The database's time (SQLite: the system's), unless a clock was given; may step backwards."""
        if self._clock is not None:
            return self._clock()
        if self.sqlite:
            return system_clock()
        micros = conn.exec_driver_sql(f"SELECT {PG_MICROS}").scalar_one()
        return from_micros(micros)

    def local_now(self) -> datetime | None:
        """The time where it costs no question to the server, else None."""
        if self._clock is not None:
            return self._clock()
        return system_clock() if self.sqlite else None

    def migrate(self) -> int:
        """Bring the tables to what this version knows; returns the schema's version.

        Raises ConfigError when the database is of a newer modelmend, or not modelmend's at all.
        """
        with self.write() as conn:
            return migrate(conn, self.name, self.now(conn))

    def close(self) -> None:
        """Give all connections back."""
        self._writers.dispose()
        self._readers.dispose()

    @contextmanager
    def session(self) -> Iterator[Connection]:
        """A connection of its own without a transaction (PostgreSQL), for what a session holds."""
        with self._doors(), self._writers.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
            yield conn

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        with self._writers.connect() as conn, conn.begin():
            self._inside.conn = conn
            try:
                yield conn
            except self._foreign:
                # Below SQLAlchemy nobody else notices that the connection is gone.
                if not conn.invalidated and getattr(conn.connection.dbapi_connection, "closed", False):
                    conn.invalidate()
                raise
            finally:
                self._inside.conn = None

    @contextmanager
    def _doors(self) -> Iterator[None]:
        try:
            yield
        except self._foreign as error:
            ours = translated(error, self.name)
            if ours is None:
                raise
            raise ours from error

    def _open_sqlite(self) -> Path | None:
        database = self._url.database
        if not database or database == ":memory:":
            self._writers = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
            self._readers = self._writers
            _speak_sqlite(self._writers, begin="BEGIN")
            return None
        path = Path(database).absolute()
        _prepare_file(path)
        url = URL.create("sqlite", database=str(path))
        timeout = {"timeout": BUSY_TIMEOUT_MS / 1000, "check_same_thread": False}
        self._writers = create_engine(url, pool_size=1, max_overflow=0, connect_args=timeout)
        self._readers = create_engine(url, pool_size=READERS, max_overflow=READERS, connect_args=timeout)
        _speak_sqlite(
            self._writers, begin="BEGIN IMMEDIATE", pragmas=("cache_size=-16000", "journal_size_limit=67108864")
        )
        _speak_sqlite(self._readers, begin="BEGIN", pragmas=("query_only=ON",))
        return path

    def _open_postgres(self) -> None:
        import psycopg  # noqa: PLC0415 — an extra: SQLite installations do not have it

        self._foreign = (*self._foreign, psycopg.Error)
        arguments = {"application_name": "modelmend", "connect_timeout": 5}
        options = f"-c synchronous_commit=on -c idle_in_transaction_session_timeout={IDLE_IN_TRANSACTION_MS}"
        self._writers = create_engine(
            self._url,
            pool_size=WRITERS,
            max_overflow=2,
            pool_timeout=10,
            connect_args={**arguments, "options": options},
        )
        self._readers = create_engine(
            self._url,
            pool_size=READERS,
            max_overflow=2,
            pool_timeout=10,
            isolation_level="REPEATABLE READ",
            connect_args=arguments,
        )

        @event.listens_for(self._readers, "connect")
        def read_only(connection: Any, _record: object) -> None:
            connection.read_only = True


PG_MICROS = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
        backend = parsed.get_backend_name()
    except exc.ArgumentError:
        raise ConfigError((f"database: want sqlite:///file or postgresql://host/name, got {url!r}",)) from None
    if backend == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")
    if backend == "sqlite":
        return parsed
    raise ConfigError((f"database: want sqlite:///file or postgresql://host/name, got {backend}://",))


def _speak_sqlite(engine: Engine, *, begin: str, pragmas: tuple[str, ...] = ()) -> None:
    @event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # transactions are begun here, not guessed by the driver
        for pragma in (f"busy_timeout={BUSY_TIMEOUT_MS}", "synchronous=FULL", "temp_store=MEMORY", *pragmas):
            connection.execute(f"PRAGMA {pragma}").close()

    @event.listens_for(engine, "begin")
    def begin_transaction(conn: Connection) -> None:
        # Below SQLAlchemy, where it costs a tenth: every transaction and every reading begins here.
        conn.connection.cursor().execute(begin).close()


def _prepare_file(path: Path) -> None:
    """Create the file under another name and move it into place: an empty file is never ours."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.exists():
            if path.stat().st_size < _HEADER_BYTES:
                problem = "is empty or cut off: restore it from a backup, or delete it to begin with an empty one"
                raise ConfigError((f"{path}: the database file {problem}",))
            return
        wal = path.with_name(f"{path.name}-wal")
        if wal.exists() and wal.stat().st_size:
            advice = "restore the file from a backup, or delete the log to begin with an empty one"
            raise ConfigError((f"{path}: the database file is missing while its log {wal.name} is there: {advice}",))
        _create_file(path)
    except OSError as error:
        raise ConfigError((f"{path}: the database file cannot be made: {error.strerror}",)) from error


def _create_file(path: Path) -> None:
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")
    os.close(os.open(draft, os.O_CREAT | os.O_RDWR | os.O_TRUNC, 0o600))
    try:
        connection = sqlite3.connect(draft)
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        finally:
            connection.close()
        try:
            os.link(draft, path)  # unlike rename it does not replace what another process made meanwhile
        except FileExistsError:
            return
    except sqlite3.Error as error:
        raise translated(error, str(path)) or error from error
    finally:
        draft.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
