"""Deliver notifications: each to its receiver, in order for each remediation, until it is taken or a day is over.

Rows are written in the transaction of what they tell of (store.outbox_rows); here they only leave.
At least once: the row's key goes along as `Idempotency-Key` (CloudEvents: `id`), the same in every
attempt, so that a receiver absorbs what it was told before a crash. One thread for each receiver: a
slow one holds up nobody else. Failed attempts come again after 1 s … 5 min, or when `Retry-After`
says; after a day, or when the receiver finds fault with the body itself, the row is dead: kept, listed,
and no longer in the way of those after it.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import queue
import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cloudevents.core.bindings.http import to_structured_event
from cloudevents.core.v1.event import CloudEvent
from pydantic_core import to_json
from sqlalchemy import Connection

from controller.call import Answer, call, pause
from controller.errors import ModelmendError, PermanentError, TemporaryError
from controller.metrics import Metrics
from controller.settings import Receiver
from controller.store import outbox_rows
from controller.store.database import Database
from controller.store.outbox_rows import OutboxRow

SOURCE = "modelmend"
"""The CloudEvents `source` of all that we send."""
LONGEST_ASKED = 3600.0
"""Seconds for which a receiver's Retry-After is believed."""
AT_A_TIME = 200
"""Rows read at once, besides those in hand."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pace:
    """How long to try. `look`: seconds between two looks for rows that nobody announced by `wake`."""

    first_pause: timedelta = timedelta(seconds=1)
    longest_pause: timedelta = timedelta(minutes=5)
    dead_after: timedelta = timedelta(hours=24)
    look: float = 1.0


class Outbox:
    """The threads that deliver. `receivers` by name, as the settings have them; `clock` None: the database's."""

    def __init__(
        self,
        db: Database,
        receivers: Mapping[str, Receiver],
        clock: Callable[[], datetime] | None = None,
        *,
        metrics: Metrics | None = None,
        pace: Pace | None = None,
    ) -> None:
        self._db = db
        self._receivers = dict(receivers)
        self._clock = clock
        self._metrics = metrics
        self._pace = pace or Pace()
        self._stopping = threading.Event()  # nothing new is begun
        self._cut = threading.Event()  # what is in flight is given up
        self._woken = threading.Event()
        self._lock = threading.Lock()
        self._in_hand: set[int] = set()
        self._lines: dict[str, queue.SimpleQueue[OutboxRow | None]] = {}
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Begin to deliver, first what an earlier process left."""
        thread = threading.Thread(target=self._find, name="outbox", daemon=True)
        self._threads.append(thread)
        thread.start()

    def wake(self) -> None:
        """Say that rows were committed; they leave at once."""
        self._woken.set()

    def stop(self, timeout: float = 10.0) -> None:
        """Begin nothing new and let what is in flight end, for `timeout` seconds; the rest stays for the next start."""
        self._stopping.set()
        self._woken.set()
        for finder in self._threads[:1]:
            finder.join()  # from here on no thread is added
        for line in self._lines.values():
            line.put(None)
        cut = threading.Timer(timeout, self._cut.set)
        cut.start()
        for worker in self._threads[1:]:
            worker.join()
        cut.cancel()

    def _now(self, conn: Connection) -> datetime:
        return self._clock() if self._clock else self._db.now(conn)

    # ── finding ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _find(self) -> None:
        while not self._stopping.is_set():
            self._woken.clear()
            wait = self._pace.look
            try:
                wait = self._hand_out()
            except TemporaryError as error:
                log.warning("outbox cannot be read", extra={"error": str(error)})
            except Exception:
                log.exception("outbox cannot be read")
            self._woken.wait(wait)

    def _hand_out(self) -> float:
        """Give each row that is due to its receiver's thread; returns seconds until something may be due next."""
        with self._lock:
            busy = set(self._in_hand)  # before the rows are read: what is settled meanwhile must not go out again
        with self._db.read() as conn:
            now = self._now(conn)
            # Rows in hand are still due: with as many more, those of a slow receiver hide nobody else's.
            rows = outbox_rows.due(conn, now, AT_A_TIME + len(busy))
            following = outbox_rows.next_due(conn)
            waiting = outbox_rows.pending(conn)
        if self._metrics:
            self._metrics.outbox_pending.set(waiting)
        for row in rows:
            if row.id not in busy:
                with self._lock:
                    self._in_hand.add(row.id)
                self._line(row.receiver).put(row)
        ahead = (following - now).total_seconds() if following is not None and following > now else self._pace.look
        return min(self._pace.look, max(ahead, 0.005))

    def _line(self, receiver: str) -> queue.SimpleQueue[OutboxRow | None]:
        if receiver not in self._lines:
            self._lines[receiver] = queue.SimpleQueue()
            thread = threading.Thread(
                target=self._deliver_all, args=(receiver,), name=f"outbox-{receiver}", daemon=True
            )
            self._threads.append(thread)
            thread.start()
        return self._lines[receiver]

    # ── delivering ───────────────────────────────────────────────────────────────────────────────────────────────

    def _deliver_all(self, receiver: str) -> None:
        line = self._lines[receiver]
        while (row := line.get()) is not None and not self._stopping.is_set():
            rest = 0.0
            try:
                rest = self._deliver(row)
            except Exception:
                log.exception("notification could not be handled", extra={"key": row.key, "receiver": receiver})
                self._stopping.wait(self._pace.look)  # it is still due: not again at once
            with self._lock:
                self._in_hand.discard(row.id)
            self._woken.set()
            self._stopping.wait(rest)

    def _deliver(self, row: OutboxRow) -> float:
        """One attempt, and its result written down; returns seconds for which the receiver asked to be left alone."""
        asked: float | None = None
        final = False
        try:
            answer = self._post(row)
        except ModelmendError as error:
            if self._cut.is_set():
                return 0.0  # stays as it was
            problem = str(error)
        except Exception as error:
            log.exception("notification cannot be written as a request", extra={"key": row.key})
            problem = f"internal error: {type(error).__name__}"
        else:
            if 200 <= answer.status < 300:
                self._settle(lambda conn: outbox_rows.sent(conn, row.id, self._now(conn)))
                self._count(row.receiver, "sent")
                return 0.0
            problem = f"answered {answer.status}"
            asked = answer.retry_after if answer.passing else None
            final = answer.status in {400, 413, 422}  # these find fault with this body: those after it may fare better
        self._count(row.receiver, "failed")
        self._settle(lambda conn: self._put_off(conn, row, problem, asked, final=final))
        return min(asked or 0.0, self._pace.longest_pause.total_seconds())

    def _post(self, row: OutboxRow) -> Answer:
        receiver = self._receivers.get(row.receiver)
        if receiver is None:
            raise PermanentError(f"no receiver {row.receiver!r} is configured")
        headers, body = rendered(row, receiver)
        return call(
            "POST",
            str(receiver.url),
            headers=headers,
            body=body,
            cancelled=self._cut,
            timeout=receiver.timeout.total_seconds(),
        )

    def _put_off(self, conn: Connection, row: OutboxRow, problem: str, asked: float | None, *, final: bool) -> None:
        now, pace = self._now(conn), self._pace
        first, longest = pace.first_pause.total_seconds(), pace.longest_pause.total_seconds()
        wait = (
            min(asked, LONGEST_ASKED) if asked is not None else pause(row.attempts + 1, first, longest, random.random())
        )
        next_at = now + timedelta(seconds=wait)
        about = {"key": row.key, "receiver": row.receiver, "attempts": row.attempts + 1, "error": problem}
        if final or next_at >= row.since + pace.dead_after:
            outbox_rows.dead(conn, row.id, now, problem)
            log.error("notification given up", extra=about)
            if self._metrics:
                self._metrics.outbox_dead.inc()
            return
        outbox_rows.failed(conn, row.id, next_at, problem)
        log.warning("notification not delivered", extra=about)

    def _settle(self, write: Callable[[Connection], None]) -> None:
        """Write a result down; while the database is away the attempt is not repeated, but the writing."""
        while True:
            try:
                with self._db.write() as conn:
                    write(conn)
                return
            except TemporaryError as error:
                log.warning("result of a delivery cannot be written", extra={"error": str(error)})
                if self._stopping.wait(min(error.retry_after, self._pace.look)):
                    return  # it goes out once more after the start, under the same key

    def _count(self, receiver: str, result: str) -> None:
        if self._metrics:
            self._metrics.outbox_sent.labels(receiver if receiver in self._receivers else "", result).inc()


def rendered(row: OutboxRow, receiver: Receiver) -> tuple[dict[str, str], bytes]:
    """Headers and body of a delivery. Raises TemporaryError where a secret's file cannot be read.

    A webhook gets the row's body with `receiver`, `key` and, for a page, its summary as `text` too
    (which Slack and Mattermost show); a CloudEvents sink a structured event.
    """
    ours = {"Idempotency-Key": row.key}
    if receiver.kind == "cloudevents":
        message = to_structured_event(_event(row))
        ours |= message.headers
        body = message.body
    else:
        ours["Content-Type"] = "application/json"
        text = {"text": row.body["summary"]} if "summary" in row.body else {}
        body = to_json({"receiver": row.receiver, "key": row.key} | text | row.body)
    if receiver.token_file is not None:
        ours["Authorization"] = f"Bearer {_secret('token_file', receiver.token_file)}"
    if receiver.hmac_secret_file is not None:
        secret = _secret("hmac_secret_file", receiver.hmac_secret_file).encode()
        ours["X-Signature"] = f"sha256={hmac.new(secret, body, hashlib.sha256).hexdigest()}"
    names = {name.lower() for name in ours}
    return {name: value for name, value in receiver.headers.items() if name.lower() not in names} | ours, body


def _event(row: OutboxRow) -> CloudEvent:
    said = {name: row.body[name] for name in ("page", "summary") if name in row.body}
    attributes = {
        "specversion": "1.0",
        "id": row.key,  # the SDK would invent one
        "source": SOURCE,
        "type": row.body["type"],
        "subject": row.body["subject"],
        "time": datetime.fromisoformat(row.body["time"]),
        "datacontenttype": "application/json",
    }
    return CloudEvent(attributes, row.body.get("data", {}) | said)


def _secret(key: str, path: Path) -> str:
    try:
        secret = path.read_text().strip()
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "not text"
        raise TemporaryError(f"{key} cannot be read: {why}") from error
    if not secret:
        raise TemporaryError(f"{key} is empty")
    return secret
