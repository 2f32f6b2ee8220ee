"""A receiver that really runs: uvicorn on a free port, a real store, nothing patched."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import uvicorn
from sqlalchemy import select

from controller import schema
from controller.events.types import EventTypes
from controller.metrics import Metrics
from controller.receiver import BoundedHttp, Limits, Receiver
from controller.receiver.asgi import Application, Intake
from controller.settings import Settings
from controller.store.database import Database
from controller.store.intake import Intake as StoreIntake
from controller.tokens import Tokens

STRUCTURED = {"content-type": "application/cloudevents+json"}
BATCH = {"content-type": "application/cloudevents-batch+json"}


def example(identity: str = "drift-99201", **other: Any) -> dict[str, Any]:
    """The design's example event under another id."""
    return {
        "specversion": "1.0",
        "id": identity,
        "type": "ml.data.drift.detected",
        "source": "urn:drift-detector",
        "time": "2025-01-23T12:00:00Z",
        "data": {"feature": "salary", "driftScore": 0.44, "threshold": 0.30, "modelVersion": "salary-predictor-v5"},
        **other,
    }


@dataclass
class Running:
    """A running receiver, its store and its metrics."""

    url: str
    port: int
    db: Database
    intake: StoreIntake
    metrics: Metrics
    trouble: list[str] = field(default_factory=list)  # what makes it unready

    def rows(self) -> list[dict[str, Any]]:
        """All events in the store, in the order of their arrival."""
        with self.db.read() as conn:
            return [dict(row) for row in conn.execute(select(schema.events).order_by(schema.events.c.seq)).mappings()]

    def counted(self, name: str, **labels: str) -> float:
        """The value of a counter."""
        return self.metrics.registry.get_sample_value(f"modelmend_{name}_total", labels) or 0.0

    def connect(self) -> socket.socket:
        """A connection of one's own, for what no HTTP client would send."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection


@contextmanager
def running(
    url: str,
    *,
    tokens: Tokens | None = None,
    limits: Limits | None = None,
    mounted: Application | None = None,
    senders: dict[str, Any] | None = None,
    intake: Intake | None = None,
) -> Iterator[Running]:
    """A receiver that stops when the block ends."""
    settings = Settings(senders=senders or {})
    db = Database(url)
    store = StoreIntake(db, stateful=lambda source: source in settings.senders and settings.senders[source].stateful)
    store.start()
    metrics = Metrics(version="test", sources=settings.senders)
    trouble: list[str] = []
    receiver = Receiver(
        intake=intake or store,
        types=EventTypes(),
        senders=settings.senders,
        model_pattern=settings.model_pattern,
        tokens=tokens,
        metrics=metrics,
        now=lambda: datetime.now(UTC),
        ready=lambda: "; ".join(trouble),
        limits=limits,
        mounted=mounted,
    )
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    config = uvicorn.Config(
        receiver, http=BoundedHttp, ws="none", lifespan="off", log_config=None, access_log=False, server_header=False
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]}, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.005)
    port = sock.getsockname()[1]
    try:
        yield Running(f"http://127.0.0.1:{port}", port, db, store, metrics, trouble)
    finally:
        server.should_exit = True
        thread.join(20)
        store.stop()
        db.close()
        sock.close()
