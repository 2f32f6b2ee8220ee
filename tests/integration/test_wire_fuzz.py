"""100,000 spoilt requests against a running server: no 5xx, no hang, nothing invalid stored, nothing valid lost."""

import asyncio
import json
import math
import multiprocessing
import re
from collections import Counter
from collections.abc import Callable, Iterator
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
CONNECTIONS = 24
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


async def torment(port: int, make: Callable[[Mutants], list[Request]], each: int, outcome: Outcome, *, framed: bool) -> None:
    """Send requests over many connections at once, `each` lists on every one of them."""
    loop = asyncio.get_running_loop()

    async def one(number: int) -> None:
        mutants = Mutants(SEED + number)
        connection: Answers | None = None
        for _ in range(each):
            requests = make(mutants)
            if connection is None or connection.lost or not framed:
                if connection is not None:
                    connection.transport.abort()
                _, connection = await loop.create_connection(Answers, "127.0.0.1", port)
            answers = await connection.ask(requests, PATIENCE if framed else 0.15)
            for request, (status, body) in zip(requests, answers, strict=False):
                outcome.take(request, status, body)
            outcome.unanswered += max(0, len(requests) - len(answers))
            if framed and len(answers) < len(requests):
                outcome.problems.append(f"no answer to {requests[len(answers)].raw[:2000]!r}")
        if connection is not None:
            connection.transport.abort()

    await asyncio.gather(*(one(number) for number in range(CONNECTIONS)))


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
        "family": row["family"] != {"dr": "drift", "qu": "quality"}.get(kind[8:10], "performance" if "performance" in kind else None),
        "drift": kind == TYPES[0] and not any(isinstance(data.get(key), number) for key in ("driftScore", "pValue")),
        "performance": kind == TYPES[1] and not (isinstance(data.get("value"), number) and isinstance(data.get("metric"), str)),
        "labels": kind == "ml.labels.available" and not (isinstance(data.get("count"), number) and data["count"] >= 0),
        "deployed": kind == "ml.model.deployed" and not isinstance(data.get("version"), str),
        "digest": not re.fullmatch("[0-9a-f]{64}", row["digest"]),
        "data": not sound(data, 0),
        "extensions": not all(re.fullmatch("[a-z0-9]+", name) and sound(value, 0) for name, value in row["extensions"].items()),
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
    return kept == sent and (row["source"], row["type"], row["subject"]) == (event["source"], event["type"], event.get("subject"))


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_spoilt_requests_do_no_harm(sqlite_url: str):
    """Well-framed requests, 85,000 of them spoilt: each is answered, and the answers agree with the store."""

    def make(mutants: Mutants) -> list[Request]:
        requests = [mutants.spoilt() for _ in range(DEEP)]
        requests[mutants.random.randrange(DEEP)] = mutants.valid()
        together = [request for request in requests if not request.alone]
        waiting.setdefault(mutants, []).extend(request for request in requests if request.alone)
        return together or [waiting[mutants].pop()]

    def make_alone(mutants: Mutants) -> list[Request]:
        request = mutants.spoilt()
        while not request.alone:
            request = mutants.spoilt()
        return [request]

    waiting: dict[Mutants, list[Request]] = {}
    outcome = Outcome()
    with served(sqlite_url) as port:
        asyncio.run(torment(port, make, 85_000 // CONNECTIONS // DEEP + 1, outcome, framed=True))
    print(outcome.statuses)
    check(outcome, rows(sqlite_url))
