"""Who decides: one process per database, known by its epoch.

A lock refuses the second process by name (SQLite: a lock file beside the database; PostgreSQL: an
advisory lock on a session of its own). The lock alone would not stop a process that was frozen and
thaws, so taking it raises `leader.epoch`, and every deciding or saving transaction begins by
locking the leader row at its own epoch: no row means that somebody else leads now. So "decisions
are taken one at a time" is a fact of the database.
"""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from threading import Event
from time import monotonic

from sqlalchemy import Connection, exc, insert, select, update

from controller import schema
from controller.errors import ConfigError, NotLeader, TemporaryError
from controller.schema import from_micros, to_micros
from controller.store.database import PG_MICROS, Database
from controller.store.turnstile import Turnstile

_KEY = "730581, hashtext(current_schema())"  # of the advisory lock: ours, one for each schema of a database
SESSION_ENDS = 1.0  # seconds that PostgreSQL is given to notice that a killed process is gone

_SQLITE = {
    "lock": "SELECT last_now, last_input, last_decision, 0 FROM leader WHERE id = 1 AND epoch = ?",
    "save": "UPDATE leader SET last_now = ?, last_input = ?, last_decision = ? WHERE id = 1",
    "inputs": "INSERT INTO inputs (seq, now, epoch, kind, ref) VALUES (?, ?, ?, ?, ?)",
}
_POSTGRES = {
    "lock": (
        f"SELECT last_now, last_input, last_decision, {PG_MICROS} "  # noqa: S608 — a constant of ours
        "FROM leader WHERE id = 1 AND epoch = %s FOR UPDATE"
    ),
    "save": "UPDATE leader SET last_now = %s, last_input = %s, last_decision = %s WHERE id = 1",
    "inputs": "INSERT INTO inputs (seq, now, epoch, kind, ref) VALUES (%s, %s, %s, %s, %s)",
}


class Turn:
    """One deciding transaction: its connection, its `now`, and the numbers that it gives out.

    `now` is the database's clock, never before that of an earlier turn; it is the same for the
    whole turn. Inputs are written when the turn ends; a turn that raises has given out nothing.
    """

    def __init__(self, conn: Connection, now: datetime, epoch: int, last_input: int, last_decision: int) -> None:
        self.conn = conn
        self.now = now
        self.epoch = epoch
        self.last_input = last_input
        self.last_decision = last_decision
        self.inputs: list[tuple[int, int, int, str, str]] = []
        self._micros = to_micros(now)

    def input(self, kind: str, ref: str) -> int:
        """The number of a new input about the row whose key is `ref`.

        `kind`: event, renewed, act, policy_set, observation, wake or tick.
        """
        self.last_input += 1
        self.inputs.append((self.last_input, self._micros, self.epoch, kind, ref))
        return self.last_input

    def decision_id(self) -> int:
        """The id of a new decision: 1, 2, 3 … in the order in which they are taken."""
        self.last_decision += 1
        return self.last_decision


class Leadership:
    """The right to decide on one database; `take` gets it, `stop` gives it back.

    `unclean`: the one who led before did not stop, it died. `epoch` counts the takings, from 1.
    """

    def __init__(
        self, db: Database, lock: ExitStack, advisory: _AdvisoryLock | None, epoch: int, *, unclean: bool
    ) -> None:
        self.db = db
        self._advisory = advisory
        self.epoch = epoch
        self.unclean = unclean
        self._lock = lock
        self._turns = Turnstile()
        self._statements = _SQLITE if db.sqlite else _POSTGRES
        self._latest = 0

    @classmethod
    def take(cls, db: Database, *, holder: str | None = None) -> Leadership:
        """Lock the database, bring its tables up to date, raise the epoch.

        `holder` names this process to whoever is refused (default `pid N on HOST`). Raises
        ConfigError when another process leads, naming it, or when the tables are not ours.
        """
        holder = holder or f"pid {os.getpid()} on {socket.gethostname()}"
        advisory = None if db.sqlite else _AdvisoryLock(db)
        with ExitStack() as lock:
            if db.path is not None:
                lock.enter_context(_lock_file(db.path, holder))
            if advisory is not None:
                lock.callback(advisory.release)
                advisory.take()
            db.migrate()
            epoch, unclean = _raise_epoch(db, holder)
            return cls(db, lock.pop_all(), advisory, epoch, unclean=unclean)

    def now(self, conn: Connection) -> datetime:
        """The database's time, never before that of a decision: what a deciding transaction would have as `now`."""
        return max(self.db.now(conn), from_micros(self._latest))

    def hold(self) -> None:
        """See that the lock is still ours, and lock again where PostgreSQL closed the session that held it.

        To be called every few seconds; costs nothing on SQLite. Without it nothing wrong would be
        decided (the epoch sees to that), but a second process would not be refused. Raises NotLeader
        when another process has taken over meanwhile, TemporaryError while the server is away.
        """
        if self._advisory is None:
            return
        try:
            self._advisory.hold()
        except ConfigError as error:
            raise NotLeader(str(error)) from error

    @contextmanager
    def transaction(self) -> Iterator[Turn]:
        """A transaction that decides or saves; nobody else's runs at the same time.

        Raises NotLeader when another process leads, RuntimeError when this thread is inside one
        already, and what `Database.write` raises.
        """
        with self._turns, self.db.write() as conn:
            row = conn.exec_driver_sql(self._statements["lock"], (self.epoch,)).one_or_none()
            if row is None:
                raise NotLeader(f"{self.db.name}: another process leads: epoch {self.epoch} is over")
            last_now, last_input, last_decision, server = row
            local = self.db.local_now()
            micros = max(server if local is None else to_micros(local), last_now, self._latest)
            turn = Turn(conn, from_micros(micros), self.epoch, last_input, last_decision)
            yield turn
            if turn.inputs:
                conn.exec_driver_sql(self._statements["inputs"], turn.inputs)
            if turn.last_input != last_input or turn.last_decision != last_decision:
                conn.exec_driver_sql(self._statements["save"], (micros, turn.last_input, turn.last_decision))
            self._latest = micros

    def stop(self) -> None:
        """Note that the stop was a clean one and let the next process lead."""
        try:
            with self.db.write() as conn:
                leader = schema.leader.c
                mine = (leader.id == 1) & (leader.epoch == self.epoch)
                conn.execute(update(schema.leader).where(mine).values(clean_stop=True))
        finally:
            self._lock.close()

    def abandon(self) -> None:
        """Let the next process lead as if this one had died."""
        self._lock.close()


def _raise_epoch(db: Database, holder: str) -> tuple[int, bool]:
    with db.write() as conn:
        before = conn.execute(select(schema.leader).with_for_update()).one_or_none()
        if before is None:
            conn.execute(
                insert(schema.leader).values(
                    id=1, epoch=1, holder=holder, last_now=db.now(conn), last_input=0, last_decision=0, clean_stop=False
                )
            )
            return 1, False
        epoch = before.epoch + 1
        conn.execute(update(schema.leader).values(epoch=epoch, holder=holder, clean_stop=False))
        return epoch, not before.clean_stop


@contextmanager
def _lock_file(database: Path, holder: str) -> Iterator[None]:
    """Hold `<database>.lock`; the kernel lets go of it when this process ends, however it ends."""
    path = database.resolve().with_name(f"{database.name}.lock")
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise ConfigError((f"{path}: the lock file cannot be made: {error.strerror}",)) from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            other = os.pread(handle, 200, 0).decode(errors="replace").strip() or "another process"
            raise ConfigError((f"{database} is already served by {other}",)) from None
        try:
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"{holder}\n".encode(), 0)
        except OSError as error:
            raise TemporaryError(f"{path}: cannot be written: {error.strerror}") from error
        yield
    finally:
        os.close(handle)


class _AdvisoryLock:
    """PostgreSQL's advisory lock of this schema, held by a session of its own, which must stay open."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._session = ExitStack()
        self._conn: Connection | None = None

    def take(self) -> None:
        """Open a session and lock. Raises ConfigError, naming the holder, where another session has it."""
        with ExitStack() as session:
            conn = session.enter_context(self._db.session())
            deadline = monotonic() + SESSION_ENDS
            while not conn.exec_driver_sql(f"SELECT pg_try_advisory_lock({_KEY})").scalar():
                if monotonic() > deadline:
                    raise ConfigError((f"{self._db.name} is already served by {_holder(conn)}",))
                Event().wait(0.05)
            self._conn, self._session = conn, session.pop_all()

    def hold(self) -> None:
        """Ask the session whether it lives; where it does not, lock again with another."""
        if self._conn is not None:
            try:
                self._conn.exec_driver_sql("SELECT 1")
                return
            except exc.SQLAlchemyError:
                self.release()
        self.take()

    def release(self) -> None:
        """Let go of the lock and close the session."""
        conn, self._conn = self._conn, None
        if conn is None:
            return
        # Closing lets go of the lock too, but only once the server sees that it is closed.
        with suppress(exc.SQLAlchemyError):
            conn.exec_driver_sql(f"SELECT pg_advisory_unlock({_KEY})")
        with suppress(exc.SQLAlchemyError, TemporaryError):
            conn.invalidate()
            self._session.close()


def _holder(conn: Connection) -> str:
    if conn.exec_driver_sql("SELECT to_regclass('leader')").scalar() is None:
        return "another process"
    return conn.execute(select(schema.leader.c.holder)).scalar() or "another process"
