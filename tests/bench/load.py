"""A load generator in a process of its own: `python -m tests.bench.load HOST PORT CONNECTIONS REQUESTS BATCH [RATE]`.

Each connection posts its next request when the answer to the one before is there, so the
server is never asked for more than CONNECTIONS at a time. Bodies are made before the clock
starts. Prints one JSON object: requests/s, events/s, latencies in ms, statuses.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from datetime import UTC, datetime

MODELS = 1000


def request(first: int, batch: int, prefix: str, moment: str) -> bytes:
    """One POST of `batch` events with ids of their own."""
    events = [
        {
            "specversion": "1.0",
            "id": f"{prefix}-{number}",
            "type": "ml.performance.degraded",
            "source": "urn:bench",
            "time": moment,
            "data": {"metric": "accuracy", "value": 0.95, "model": f"m-{number % MODELS}", "namespace": "ml"},
        }
        for number in range(first, first + batch)
    ]
    kind = "application/cloudevents+json" if batch == 1 else "application/cloudevents-batch+json"
    body = json.dumps(events[0] if batch == 1 else events).encode()
    head = f"POST /events HTTP/1.1\r\nHost: bench\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


class Connection(asyncio.Protocol):
    """Posts what `pending` holds, one after the other."""

    def __init__(
        self, pending: list[bytes], latencies: list[float], statuses: Counter[int], done: asyncio.Event
    ) -> None:
        self.pending, self.latencies, self.statuses, self.done = pending, latencies, statuses, done
        self.buffer = b""
        self.sent = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.next()

    def next(self) -> None:
        if not self.pending:
            self.transport.close()
            self.done.set()
            return
        self.sent = time.perf_counter()
        self.transport.write(self.pending.pop())

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, found, body = self.buffer.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])
        if len(body) < length:
            return
        self.latencies.append(time.perf_counter() - self.sent)
        self.statuses[int(head[9:12])] += 1
        self.buffer = b""
        self.next()

    def connection_lost(self, exc: Exception | None) -> None:
        self.done.set()


async def run(host: str, port: int, connections: int, requests: int, batch: int) -> dict[str, object]:
    """Post all requests; the figures."""
    moment = datetime.now(UTC).isoformat()
    prefix = f"b{time.time_ns()}"
    bodies = [request(number * batch, batch, prefix, moment) for number in reversed(range(requests))]
    latencies: list[float] = []
    statuses: Counter[int] = Counter()
    loop = asyncio.get_running_loop()
    ends = [asyncio.Event() for _ in range(connections)]
    began = time.perf_counter()
    for end in ends:
        await loop.create_connection(lambda end=end: Connection(bodies, latencies, statuses, end), host, port)
    for end in ends:
        await end.wait()
    took = time.perf_counter() - began
    latencies.sort()
    return {
        "requests/s": round(len(latencies) / took),
        "events/s": round(len(latencies) * batch / took),
        "p50 ms": round(1000 * latencies[len(latencies) // 2], 2),
        "p99 ms": round(1000 * latencies[int(len(latencies) * 0.99)], 2),
        "statuses": dict(statuses),
        "seconds": round(took, 2),
    }


if __name__ == "__main__":
    host, port, connections, requests, batch = sys.argv[1], *map(int, sys.argv[2:6])
    print(json.dumps(asyncio.run(run(host, port, connections, requests, batch))))
