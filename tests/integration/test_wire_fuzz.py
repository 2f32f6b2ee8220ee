"""100,000 spoilt requests against a running server: no 5xx, no hang, nothing invalid stored, nothing valid lost."""

import asyncio
import json
import math
import multiprocessing
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from typing import Any

import httptools
import pytest
from sqlalchemy import select

from controller import schema
from controller.receiver import Limits
from controller.store.database import Database
from tests.integration.mutants import TYPES, Mutants, Request
from tests.integration.receiving import running

SEED = 20250123
DEEP = 12  # requests that are sent before their answers are read
PATIENCE = 30.0  # seconds without an answer that are called a hang; the machine may be busy
ANSWERS = {200, 202, 400, 404, 405, 408, 413, 415, 422, 431}


def serve(url: str, pipe: Connection) -> None:
    """The server, in a process of its own, so that it does not share an interpreter with its tormentor."""
    with running(url, limits=Limits(backlog=10**9, body_seconds=2)) as door:
        pipe.send(door.port)
        pipe.recv()


@contextmanager
def served(url: str) -> Iterator[int]:
    """A server's port; at the end it is asked to stop, and must do so by itself."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(url, theirs))
    process.start()
    try:
        assert ours.poll(30)
        yield ours.recv()
        ours.send("stop")
        process.join(30)
        assert process.exitcode == 0
    finally:
        process.kill()
        process.join()


@dataclass
class Outcome:
    """What was sent and answered."""

    statuses: Counter[int] = field(default_factory=Counter)
    accepted: list[str] = field(default_factory=list)
    valid: dict[str, dict[str, Any]] = field(default_factory=dict)
    unanswered: int = 0
    problems: list[str] = field(default_factory=list)

    def take(self, request: Request, status: int, body: bytes) -> None:
        """Note one answer; what contradicts a promise becomes a problem."""
        self.statuses[status] += 1
        if status not in ANSWERS:
            self.problems.append(f"{status} {body[:200]!r} to {request.raw[:2000]!r}")
        if b'"accepted":' in body:
            told = json.loads(body)
            self.accepted += told["accepted"]
            if told["duplicates"] and request.valid is not None:
                self.problems.append(f"{told} to {request.raw!r}")
        if request.valid is not None:
            if status != 202:
                self.problems.append(f"valid, but {status} {body!r} to {request.raw!r}")
            self.valid |= {event["id"]: event for event in request.valid}


class Answers(asyncio.Protocol):
    """A connection that counts complete answers."""

    def __init__(self) -> None:
        self.parser = httptools.HttpResponseParser(self)
        self.got: list[tuple[int, bytes]] = []
        self.lost = False
        self.body = b""
        self.wanted = 0
        self.waiter: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self.transport.abort()

    def on_message_begin(self) -> None:
        self.body = b""

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.got.append((self.parser.get_status_code(), self.body))
        self._tell()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        self._tell()

    def _tell(self) -> None:
        if self.waiter is not None and not self.waiter.done() and (self.lost or len(self.got) >= self.wanted):
            self.waiter.set_result(None)

    async def ask(self, requests: list[Request], patience: float) -> list[tuple[int, bytes]]:
        """Send all at once; the answers that came before the connection ended or patience did."""
        self.got, self.wanted = [], len(requests)
        self.waiter = asyncio.get_running_loop().create_future()
        self.transport.write(b"".join(request.raw for request in requests))
        await asyncio.wait([self.waiter], timeout=patience)
        return self.got


class Tormentor:
    """One connection's worth of requests; connects again when the server ends the connection."""

    def __init__(self, port: int, outcome: Outcome) -> None:
        self.port = port
        self.outcome = outcome
        self.connection: Answers | None = None

    async def ask(self, requests: list[Request], patience: float) -> bool:
        """Send the requests and note the answers; whether all were answered."""
        if self.connection is None or self.connection.lost:
            _, self.connection = await asyncio.get_running_loop().create_connection(Answers, "127.0.0.1", self.port)
        answers = await self.connection.ask(requests, patience)
        for request, (status, body) in zip(requests, answers, strict=False):
            self.outcome.take(request, status, body)
        return len(answers) >= len(requests)

    def leave(self) -> None:
        """Break the connection off."""
        if self.connection is not None:
            self.connection.transport.abort()
            self.connection = None


async def send_framed(port: int, number: int, rounds: int, outcome: Outcome) -> None:
    """Rounds of requests with sound framing: each is answered, in order, and may follow the one before at once."""
    mutants, tormentor = Mutants(SEED + number), Tormentor(port, outcome)
    for _ in range(rounds):
        requests = [mutants.spoilt() for _ in range(DEEP)]
        requests[mutants.random.randrange(DEEP)] = mutants.valid()
        together = [request for request in requests if not request.alone]
        for group in (together, *([request] for request in requests if request.alone)):
            if not await tormentor.ask(group, PATIENCE):
                outcome.problems.append(f"no answer to one of {[request.raw[:500] for request in group]}")
                tormentor.leave()
    tormentor.leave()


async def send_raw(port: int, number: int, rounds: int, outcome: Outcome) -> None:
    """Requests whose framing may be broken, on connections of their own: an answer soon, or none."""
    mutants = Mutants(SEED + 1000 + number)
    for _ in range(rounds):
        tormentor = Tormentor(port, outcome)
        outcome.unanswered += not await tormentor.ask([mutants.raw()], 0.15)
        tormentor.leave()


async def many(
    port: int, send: Callable[[int, int, int, Outcome], Awaitable[None]], connections: int, rounds: int
) -> Outcome:
    outcome = Outcome()
    await asyncio.gather(*(send(port, number, rounds, outcome) for number in range(connections)))
    await asyncio.sleep(0.1)  # until the connections that were broken off are gone
    return outcome


def rows(url: str) -> list[dict[str, Any]]:
    db = Database(url)
    with db.read() as conn:
        found = [dict(row) for row in conn.execute(select(schema.events)).mappings()]
    db.close()
    return found


CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
URI = re.compile(r"[!#-;=?-\[\]_a-z~%&$'@]+")
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9 ._:@+/-]{0,252}")


def faults(row: dict[str, Any]) -> list[str]:
    """What is wrong with a stored event, judged without any code of the parser."""
    data, kind = row["data"], row["type"]
    number = (int, float)
    wrong = {
        "id": not row["id"] or len(row["id"].encode()) > 1024 or re.search(r"[\x00-\x1f\x7f-\x9f]", row["id"]),
        "source": not URI.fullmatch(row["source"]),
        "type": kind not in TYPES,
        "model": not NAME.fullmatch(row["model"]) or ".." in row["model"].split("/"),
        "namespace": row["namespace"] is not None and not re.fullmatch(r"[a-z0-9-]{1,63}", row["namespace"]),
        "time": not datetime(1970, 1, 1, tzinfo=UTC) <= row["time"] <= row["received_at"] + timedelta(seconds=5),
        "family": row["family"]
        != {"dr": "drift", "qu": "quality"}.get(kind[8:10], "performance" if "performance" in kind else None),
        "drift": kind == TYPES[0] and not any(isinstance(data.get(key), number) for key in ("driftScore", "pValue")),
        "performance": kind == TYPES[1]
        and not (isinstance(data.get("value"), number) and isinstance(data.get("metric"), str)),
        "labels": kind == "ml.labels.available" and not (isinstance(data.get("count"), number) and data["count"] >= 0),
        "deployed": kind == "ml.model.deployed" and not isinstance(data.get("version"), str),
        "digest": not re.fullmatch("[0-9a-f]{64}", row["digest"]),
        "data": not sound(data, 0),
        "extensions": not all(
            re.fullmatch("[a-z0-9]+", name) and sound(value, 0) for name, value in row["extensions"].items()
        ),
    }
    return [f"{name}: {row}" for name, bad in wrong.items() if bad]


def sound(value: Any, depth: int) -> bool:
    if isinstance(value, dict):
        return depth < 33 and all(not CONTROL.search(key) and sound(part, depth + 1) for key, part in value.items())
    if isinstance(value, list):
        return depth < 33 and all(sound(part, depth + 1) for part in value)
    if isinstance(value, str):
        return not CONTROL.search(value)
    return not isinstance(value, int | float) or (math.isfinite(value) and abs(value) < 1.8e308)


def whole(event: dict[str, Any], row: dict[str, Any]) -> bool:
    """Whether the stored row holds everything that was sent."""
    sent = dict(event["data"])
    kept = {name: row["data"].get(name) for name in sent}
    if "metric" in sent:
        sent["metric"], kept["metric"] = sent["metric"].lower().removesuffix("score"), kept["metric"]
    return kept == sent and (row["source"], row["type"], row["subject"]) == (
        event["source"],
        event["type"],
        event.get("subject"),
    )


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_spoilt_requests_do_no_harm(sqlite_url: str):
    """Of 85,000 spoilt and 8,000 valid requests each is answered, and the answers agree with the store."""
    connections = 24
    rounds = 85_000 // (connections * (DEEP - 1)) + 1
    with served(sqlite_url) as port:
        outcome = asyncio.run(many(port, send_framed, connections, rounds))
    stored = rows(sqlite_url)
    assert outcome.problems[:3] == []
    assert sum(outcome.statuses.values()) == connections * rounds * DEEP
    assert [fault for row in stored for fault in faults(row)][:3] == []
    # Each accepted event is one row and each row was accepted: nothing is lost, nothing stored without a word.
    assert Counter(row["id"] for row in stored) == Counter(outcome.accepted)
    kept = {(row["source"], row["id"]): row for row in stored}
    assert [event for event in outcome.valid.values() if not whole(event, kept[event["source"], event["id"]])][:3] == []
    assert len(outcome.valid) > 8_000
    assert min(outcome.statuses[status] for status in (202, 400, 404, 405, 415, 422, 431)) > 100


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_broken_framing_does_no_harm(sqlite_url: str):
    """Of 16,000 requests with any byte changed none brings the server down, nor anything invalid into the store."""
    with served(sqlite_url) as port:
        outcome = asyncio.run(many(port, send_raw, 100, 160))
        after = asyncio.run(many(port, send_framed, 1, 1))  # it still answers, each and all
    stored = rows(sqlite_url)
    assert outcome.problems[:3] == []
    assert after.problems == []
    assert [fault for row in stored for fault in faults(row)][:3] == []
    assert set(outcome.accepted) | set(after.accepted) <= {row["id"] for row in stored}
    assert sum(outcome.statuses.values()) > 8_000
