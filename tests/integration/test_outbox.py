"""The outbox against a real database and real receivers on loopback."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_http_event
from sqlalchemy import func, select

from controller import schema
from controller.metrics import Metrics
from controller.outbox import Outbox, Pace
from controller.settings import Receiver
from controller.store.database import Database
from controller.store.outbox_rows import Note, enqueue
from tests.integration.http_double import DROP, HANG, HttpDouble, Reply

START = datetime(2026, 1, 23, 12, 0, tzinfo=UTC)
SOON = Pace(first_pause=timedelta(milliseconds=10), longest_pause=timedelta(milliseconds=20), look=0.02)


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path}/modelmend.db")
    database.migrate()
    yield database
    database.close()


class HandClock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


def running_clock() -> Callable[[], datetime]:
    """A clock that runs from START."""
    began = time.monotonic()
    return lambda: START + timedelta(seconds=time.monotonic() - began)


def note(
    ordinal: int = 0, *, remediation: str = "r-1", receiver: str = "ops", since: datetime = START, **body: Any
) -> Note:
    written = {
        "type": "modelmend.remediation.running",
        "time": "2026-01-23T12:00:00Z",
        "subject": "ml/salary",
        "data": {"remediation": remediation, "phase": "Running", "ordinal": ordinal, "page": False},
    }
    return Note(f"{remediation}-{ordinal}-{receiver}", remediation, ordinal, receiver, written | body, since)


def write(db: Database, *notes: Note) -> None:
    with db.write() as conn:
        enqueue(conn, notes)


def rows(db: Database) -> list[Any]:
    with db.read() as conn:
        return list(conn.execute(select(schema.outbox).order_by(schema.outbox.c.id)))


def tried(db: Database) -> Any:
    """The first row, once an attempt at it is written down."""
    look, until = threading.Event(), time.monotonic() + 10
    while not (row := rows(db)[0]).attempts:
        assert time.monotonic() < until, "no attempt was made"
        look.wait(0.01)
    return row


def settled(db: Database, count: int, column: str = "sent_at") -> bool:
    """Whether so many rows are sent (or dead) within seconds."""
    look, until = threading.Event(), time.monotonic() + 10
    while time.monotonic() < until:
        with db.read() as conn:
            query = select(func.count()).where(schema.outbox.c[column].is_not(None))
            if conn.execute(query).scalar_one() >= count:
                return True
        look.wait(0.01)
    return False


@contextmanager
def delivering(
    db: Database, receivers: dict[str, Receiver], clock: Callable[[], datetime] | None = None, **more: Any
) -> Iterator[Outbox]:
    outbox = Outbox(db, receivers, clock or running_clock(), **{"pace": SOON} | more)
    outbox.start()
    try:
        yield outbox
    finally:
        outbox.stop(timeout=1)


def webhook(double: HttpDouble, **more: Any) -> Receiver:
    return Receiver(url=f"{double.url}/hook", **more)


def ordinals(double: HttpDouble) -> list[int]:
    return [json.loads(arrived.body)["data"]["ordinal"] for arrived in double.arrived]


# ── what is sent ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_webhook_gets_the_body_under_the_key(db: Database, tmp_path: Path) -> None:
    """A webhook gets JSON with receiver, key and the body, signed, with the token, under its key."""
    (tmp_path / "token").write_text("t0ken\n")
    (tmp_path / "secret").write_text("s3cret\n")
    with HttpDouble() as double:
        receiver = webhook(
            double,
            token_file=tmp_path / "token",
            hmac_secret_file=tmp_path / "secret",
            headers={"X-Team": "ml", "idempotency-key": "mine"},
        )
        with delivering(db, {"ops": receiver}) as outbox:
            write(db, note(page=True, summary="[P2] ml/salary: a person is needed"))
            outbox.wake()
            assert settled(db, 1)
        [arrived] = double.arrived
    assert json.loads(arrived.body) == {
        "receiver": "ops",
        "key": "r-1-0-ops",
        "text": "[P2] ml/salary: a person is needed",
        **note(page=True, summary="[P2] ml/salary: a person is needed").body,
    }
    assert arrived.headers["idempotency-key"] == "r-1-0-ops"
    assert arrived.headers["content-type"] == "application/json"
    assert (arrived.headers["authorization"], arrived.headers["x-team"]) == ("Bearer t0ken", "ml")
    signature = hmac.new(b"s3cret", arrived.body, hashlib.sha256).hexdigest()
    assert arrived.headers["x-signature"] == f"sha256={signature}"


def test_sink_gets_a_structured_cloudevent(db: Database) -> None:
    """A CloudEvents sink gets a structured event whose id is the row's key; the SDK reads it back."""
    with HttpDouble(Reply(202)) as double:
        with delivering(db, {"sink": webhook(double, kind="cloudevents")}):
            write(db, note(receiver="sink"))
            assert settled(db, 1)
        [arrived] = double.arrived
    assert arrived.headers["content-type"] == "application/cloudevents+json"
    assert json.loads(arrived.body) == {
        "specversion": "1.0",
        "id": "r-1-0-sink",
        "source": "modelmend",
        "type": "modelmend.remediation.running",
        "subject": "ml/salary",
        "time": "2026-01-23T12:00:00Z",
        "datacontenttype": "application/json",
        "data": note().body["data"],
    }
    event = from_http_event(HTTPMessage({"content-type": arrived.headers["content-type"]}, arrived.body))
    assert (event.get_id(), event.get_time()) == ("r-1-0-sink", START)


def test_secret_is_read_for_each_attempt(db: Database, tmp_path: Path) -> None:
    """A token that is missing holds delivery up, and is used as soon as its file is there."""
    token = tmp_path / "token"
    with HttpDouble() as double, delivering(db, {"ops": webhook(double, token_file=token)}):
        write(db, note())
        assert tried(db).error == "token_file cannot be read: No such file or directory"
        (tmp_path / "new").write_text("late")
        (tmp_path / "new").rename(token)
        assert settled(db, 1)
        assert [arrived.headers["authorization"] for arrived in double.arrived] == ["Bearer late"]


# ── order, and at least once ─────────────────────────────────────────────────────────────────────────────────────────


def test_order_is_kept_while_a_receiver_fails(db: Database) -> None:
    """Of one remediation nothing overtakes: each is sent again under its key until taken, then the next."""
    with (
        HttpDouble(Reply(500), DROP, Reply(200), Reply(503), Reply(200)) as double,
        delivering(db, {"ops": webhook(double)}),
    ):
        write(db, note(0), note(1), note(2), note(3))
        assert settled(db, 4)
        assert ordinals(double) == [0, 0, 0, 1, 1, 2, 3]
        keys = [arrived.headers["idempotency-key"] for arrived in double.arrived]
    assert keys == [f"r-1-{ordinal}-ops" for ordinal in (0, 0, 0, 1, 1, 2, 3)]
    assert [row.attempts for row in rows(db)] == [3, 2, 1, 1]
    assert [row.error for row in rows(db)] == [None] * 4


def test_another_remediation_does_not_wait(db: Database) -> None:
    """What one remediation's refused notification holds up is that remediation's, nobody else's."""
    clock = HandClock()
    with HttpDouble(Reply(500), Reply(200)) as double, delivering(db, {"ops": webhook(double)}, clock):
        write(db, note(0), note(1), note(0, remediation="r-2"))
        double.wait_for(2)
        assert settled(db, 1)
        assert [json.loads(a.body)["data"]["remediation"] for a in double.arrived] == ["r-1", "r-2"]


def test_receiver_that_comes_back_gets_everything(db: Database) -> None:
    """A receiver that is down loses nothing: when it listens again, it gets all in order."""
    with HttpDouble() as first:
        port = first.port
    receiver = Receiver(url=f"http://127.0.0.1:{port}/hook")
    with delivering(db, {"ops": receiver}):
        write(db, note(0), note(1))
        assert tried(db).error == f"http://127.0.0.1:{port}: connection refused"
        with HttpDouble(port=port) as back:
            assert settled(db, 2)
            assert ordinals(back) == [0, 1]


def test_crash_between_delivery_and_commit_sends_the_same_key(db: Database) -> None:
    """What was delivered and not written down goes out again under the same key, for the receiver to absorb."""
    with HttpDouble() as double:
        with delivering(db, {"ops": webhook(double)}):
            write(db, note())
            assert settled(db, 1)
        with db.write() as conn:  # the state that a crash before the commit leaves
            conn.execute(schema.outbox.update().values(sent_at=None, attempts=0))
        with delivering(db, {"ops": webhook(double)}):
            assert settled(db, 1)
        assert [arrived.headers["idempotency-key"] for arrived in double.arrived] == ["r-1-0-ops"] * 2


def test_each_is_sent_once_while_all_is_well(db: Database) -> None:
    """Hundreds of rows, announced again and again, arrive once each, in order for each remediation."""
    with HttpDouble() as double, delivering(db, {"ops": webhook(double)}) as outbox:
        for ordinal in range(5):
            write(db, *(note(ordinal, remediation=f"r-{number}") for number in range(60)))
            outbox.wake()
        assert settled(db, 300)
        assert len(double.arrived) == 300
        bodies = [json.loads(arrived.body)["data"] for arrived in double.arrived]
    for number in range(60):
        assert [body["ordinal"] for body in bodies if body["remediation"] == f"r-{number}"] == [0, 1, 2, 3, 4]


# ── slow, overloaded, gone ───────────────────────────────────────────────────────────────────────────────────────────


def test_receiver_that_hangs_holds_up_nobody_else(db: Database) -> None:
    """While one receiver hangs, with more due than are read at once, another gets all of its own."""
    with HttpDouble(HANG) as slow, HttpDouble() as quick:
        receivers = {"slow": webhook(slow, timeout=timedelta(minutes=1)), "quick": webhook(quick)}
        with delivering(db, receivers):
            write(db, *(note(remediation=f"r-{number}", receiver="slow") for number in range(450)))
            slow.wait_for(1)
            write(db, *(note(remediation=f"r-{number}", receiver="quick") for number in range(3)))
            assert settled(db, 3)
            assert len(quick.arrived) == 3
            assert len(slow.arrived) == 1


def test_stop_gives_up_what_hangs_and_leaves_it_as_it_was(db: Database) -> None:
    """Stopping begins nothing new, and what does not end in time stays due, no attempt counted."""
    with HttpDouble(HANG) as double:
        outbox = Outbox(db, {"ops": webhook(double, timeout=timedelta(minutes=1))}, pace=SOON)
        outbox.start()
        write(db, note(), note(remediation="r-2"))
        double.wait_for(1)
        outbox.stop(timeout=0.1)
        assert [(row.attempts, row.sent_at, row.next_at) for row in rows(db)] == [(0, None, START)] * 2
        assert len(double.arrived) == 1


def test_stop_lets_what_is_in_flight_arrive(db: Database) -> None:
    """A delivery that was begun is finished and written down."""
    gate = threading.Event()
    with HttpDouble(Reply(gate=gate)) as double:
        outbox = Outbox(db, {"ops": webhook(double)}, pace=SOON)
        outbox.start()
        write(db, note())
        double.wait_for(1)
        stopping = threading.Thread(target=outbox.stop, kwargs={"timeout": 10})
        stopping.start()
        gate.set()
        stopping.join()
    assert rows(db)[0].sent_at is not None


def test_retry_after_decides_when_it_comes_again(db: Database) -> None:
    """429 with Retry-After puts the row off for exactly so long."""
    clock = HandClock()
    with (
        HttpDouble(Reply(429, headers={"Retry-After": "120"}), Reply(200)) as double,
        delivering(db, {"ops": webhook(double)}, clock),
    ):
        write(db, note())
        assert tried(db).next_at == START + timedelta(seconds=120)
        clock.now = START + timedelta(seconds=119.9)
        assert len(double.wait_for(1)) == 1
        clock.now = START + timedelta(seconds=120)
        double.wait_for(2)
        assert settled(db, 1)


def test_dead_after_a_day_and_the_next_goes(db: Database) -> None:
    """What nobody took for a day is given up, kept with its error and counted; the next one goes."""
    clock = HandClock()
    metrics = Metrics(version="0", receivers=["ops"])
    with HttpDouble(Reply(502)) as double, delivering(db, {"ops": webhook(double)}, clock, metrics=metrics):
        write(db, note(0), note(1, since=START + timedelta(hours=1)))
        tried(db)
        double.then(Reply(502), Reply(200))
        clock.now = START + timedelta(hours=24)
        assert settled(db, 1, "dead_at")
        assert settled(db, 1)
    first, second = rows(db)
    assert (first.sent_at, first.error, first.dead_at) == (None, "answered 502", clock.now)
    assert (second.dead_at, second.sent_at) == (None, clock.now)
    told = metrics.render()[0].decode()
    assert 'modelmend_outbox_sent_total{receiver="ops",result="sent"} 1.0' in told
    assert "modelmend_outbox_dead_total 1.0" in told


@pytest.mark.parametrize("status", [400, 413, 422])
def test_body_that_is_refused_does_not_hold_up_those_after_it(db: Database, status: int) -> None:
    """A receiver that finds fault with one body gets the next; the refused one is dead at once."""
    with HttpDouble(Reply(status), Reply(200)) as double, delivering(db, {"ops": webhook(double)}):
        write(db, note(0), note(1))
        assert settled(db, 1)
        assert ordinals(double) == [0, 1]
    assert [(row.error, row.dead_at is None) for row in rows(db)] == [(f"answered {status}", False), (None, True)]


def test_receiver_that_is_not_configured_is_named(db: Database) -> None:
    """A row for a receiver that the settings do not have waits, and its error says so."""
    with HttpDouble() as double, delivering(db, {"ops": webhook(double)}, HandClock()):
        write(db, note(receiver="gone"), note(receiver="ops"))
        assert settled(db, 1)
        assert tried(db).error == "no receiver 'gone' is configured"


def test_redirect_is_no_delivery(db: Database) -> None:
    """A redirect is not followed and not taken for delivered."""
    with HttpDouble() as elsewhere, HttpDouble(Reply(302, headers={"Location": elsewhere.url}), Reply(200)) as double:
        with delivering(db, {"ops": webhook(double)}):
            write(db, note())
            assert settled(db, 1)
            assert len(double.arrived) == 2
        assert elsewhere.arrived == []
