"""Durable intake: many requests, one transaction, one fsync.

Requests hand their events to one writer thread and wait. The writer takes whatever has gathered
while it wrote the batch before, commits it as one transaction, and only then answers: an
acknowledged event is on disk, and under load one fsync serves hundreds of requests, while a
lone request waits for nobody. When the commit fails, nobody is told that anything was stored.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from threading import Event as Signal
from threading import Lock, Thread
from time import perf_counter

from sqlalchemy import func, select

from controller import schema
from controller.errors import Conflict, InvalidEvent, ModelmendError, PermanentError, TemporaryError
from controller.events.event import OWN_SOURCE, Event
from controller.schema import to_micros
from controller.store.database import Database
from controller.store.event_rows import DATA, DIGEST, Key, PostgresRows, Repeat, Row, SqliteRows, row_of

MOST_PENDING = 32 * 2**20  # bytes waiting in memory for the writer, roughly; beyond it requests are refused
MOST_PER_COMMIT = 1_000  # events in one transaction: the engine waits no longer than it takes (about 15 ms)
MOST_BYTES_PER_COMMIT = 8 * 2**20
_ROW_BYTES = 1_500  # what an event takes in memory besides its data

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of the events of one request, by their ids in the order sent.

    `duplicates` were stored before, or stand twice in the request; `conflicts` are those of
    them whose content differs from what is stored.
    """

    accepted: tuple[str, ...]
    duplicates: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()


@dataclass(slots=True)
class _Submission:
    rows: list[tuple[Key, Row]]
    weight: int = 0
    future: Future[Receipt] = field(default_factory=Future)

    def __post_init__(self) -> None:
        self.weight = sum(len(row[DATA]) + _ROW_BYTES for _, row in self.rows)


class Intake:
    """The writer of events. Thread-safe; `start` before the first `submit`, `stop` after the last.

    `stateful` tells of a CloudEvents source whether its duplicates renew what they said;
    `on_new` is called in the writer's thread after each commit that brought work for the engine,
    `on_commit` after every one, with the seconds that it took and the events that shared it.
    """

    def __init__(
        self,
        db: Database,
        *,
        stateful: Callable[[str], bool] = lambda _: False,
        on_new: Callable[[], None] = lambda: None,
        on_commit: Callable[[float, int], None] = lambda _seconds, _events: None,
        most_pending: int = MOST_PENDING,
    ) -> None:
        self._db = db
        self._stateful = stateful
        self._on_new = on_new
        self._on_commit = on_commit
        self._most_pending = most_pending
        self._rows = SqliteRows() if db.sqlite else PostgresRows()
        self._lock = Lock()
        self._work = Signal()
        self._pending: deque[_Submission] = deque()
        self._waiting = 0
        self._undecided = 0
        self._stopped = False
        self._storing = False  # what was taken from `_pending` is not committed yet
        self._thread = Thread(target=self._run, name="intake", daemon=True)

    def start(self) -> None:
        """Count the backlog and begin to write."""
        self.recount()
        self._thread.start()

    def stop(self) -> None:
        """Write what is pending, answer it, then end; further requests are refused."""
        with self._lock:
            self._stopped = True
        self._work.set()
        if self._thread.is_alive():
            self._thread.join()

    def submit(self, events: Sequence[Event]) -> Future[Receipt]:
        """Store the events, all or none; the future is resolved when they are on disk.

        It fails with TemporaryError (store away, disk full, too much pending, stopping) and with
        InvalidEvent for an event that the database cannot hold. Callbacks run in the writer's thread.
        """
        try:
            submission = _Submission([((event.source, event.id), row_of(event)) for event in events])
        except ValueError as error:
            return _failed(InvalidEvent(f"the event cannot be stored: {error}"))
        submission.future.set_running_or_notify_cancel()  # from here on it is stored, whoever still listens
        with self._lock:
            if self._stopped:
                return _failed(TemporaryError("modelmend is stopping"))
            if self._waiting and self._waiting + submission.weight > self._most_pending:
                return _failed(TemporaryError("too many events wait to be stored", retry_after=1.0))
            self._waiting += submission.weight
            self._pending.append(submission)
            if len(self._pending) == 1:
                self._work.set()
        return submission.future

    def crowded(self) -> bool:
        """Whether requests wait to be stored at this moment."""
        return self._storing or bool(self._pending)

    def backlog(self) -> int:
        """Events stored and not yet decided, as far as this process has counted."""
        return max(0, self._undecided)

    def decided(self, count: int) -> None:
        """The engine has committed the decisions of `count` events."""
        with self._lock:
            self._undecided -= count

    def recount(self) -> None:
        """Count the undecided events in the database, but for our own, which no sender has to wait for."""
        events = schema.events.c
        with self._db.read() as conn:
            sent = (events.decided_at.is_(None), events.source != OWN_SOURCE)
            count = conn.execute(select(func.count()).where(*sent)).scalar_one()
        with self._lock:
            self._undecided = count

    def _run(self) -> None:
        while True:
            self._work.wait()
            batch = self._next_batch()
            if batch:
                self._storing = True
                self._store(batch)
                self._storing = False
            elif self._stopped:
                return

    def _next_batch(self) -> list[_Submission]:
        batch: list[_Submission] = []
        events = weight = 0
        with self._lock:
            while self._pending:
                following = self._pending[0]
                events += len(following.rows)
                weight += following.weight
                if batch and (events > MOST_PER_COMMIT or weight > MOST_BYTES_PER_COMMIT):
                    break
                self._waiting -= following.weight
                batch.append(self._pending.popleft())
            if not self._pending and not self._stopped:
                self._work.clear()
        return batch

    def _store(self, batch: list[_Submission]) -> None:
        began = perf_counter()
        try:
            receipts, new, work = self._commit(batch)
        except TemporaryError as error:
            self._refuse(batch, error)
        except Exception as error:  # noqa: BLE001 — whatever it is, the one that causes it must not fail the others
            if len(batch) == 1:
                self._refuse(batch, _refusal(error))
                return
            for submission in batch:
                self._store([submission])
        else:
            with self._lock:
                self._undecided += new
            for submission, receipt in zip(batch, receipts, strict=True):
                submission.future.set_result(receipt)
            self._tell(perf_counter() - began, sum(len(submission.rows) for submission in batch), work=work)

    def _tell(self, seconds: float, events: int, *, work: bool) -> None:
        try:
            if work:
                self._on_new()
            self._on_commit(seconds, events)
        except Exception:  # the events are stored and answered: nothing here may end the writer
            log.exception("nobody could be told of new events")

    def _refuse(self, batch: list[_Submission], error: ModelmendError) -> None:
        log.warning("%d requests were not stored: %s", len(batch), error)
        for submission in batch:
            submission.future.set_exception(error)

    def _commit(self, batch: list[_Submission]) -> tuple[list[Receipt], int, bool]:
        """Store the batch in one transaction; the receipts, how many events are new, and whether there is work."""
        first: dict[Key, Row] = {}
        twice = False
        for submission in batch:
            for key, row in submission.rows:
                if first.setdefault(key, row) is not row:
                    twice = True
        with self._db.write() as conn:
            now = to_micros(self._db.now(conn))
            there = self._rows.insert(conn, first, now)
            if not there and not twice:
                receipts = [Receipt(tuple(key[1] for key, _ in submission.rows)) for submission in batch]
                return receipts, len(first), True
            receipts, repeats = self._sort(batch, first, there)
            self._rows.repeat(conn, repeats, now)
        new = len(first) - len(there)
        return receipts, new, new > 0 or any(repeat.renewed for repeat in repeats.values())

    def _sort(
        self, batch: list[_Submission], first: dict[Key, Row], there: dict[Key, str]
    ) -> tuple[list[Receipt], dict[Key, Repeat]]:
        receipts = []
        repeats: dict[Key, Repeat] = {}
        for submission in batch:
            accepted, duplicates, conflicts = [], [], []
            for key, row in submission.rows:
                if key not in there and first[key] is row:
                    accepted.append(key[1])
                    continue
                duplicates.append(key[1])
                digest = row[DIGEST]
                differs = digest != there.get(key, first[key][DIGEST])
                if differs:
                    conflicts.append(key[1])
                before = repeats.get(key)
                if before is None:
                    before = Repeat(0, 0, None, self._stateful(key[0]))
                repeats[key] = Repeat(
                    before.times + 1,
                    before.conflicts + differs,
                    digest if differs else before.conflict_digest,
                    before.renewed,
                )
            receipts.append(Receipt(tuple(accepted), tuple(duplicates), tuple(conflicts)))
        return receipts, repeats


def _failed(error: ModelmendError) -> Future[Receipt]:
    future: Future[Receipt] = Future()
    future.set_exception(error)
    return future


def _refusal(error: Exception) -> ModelmendError:
    """What the sender of a request that cannot be stored is told."""
    if isinstance(error, PermanentError | Conflict | ValueError | OverflowError):
        return InvalidEvent(f"the event cannot be stored: {error}")
    return TemporaryError(f"the event was not stored: {error!r}")
