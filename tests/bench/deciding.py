"""What a decision costs with 10, 100 and 1,000 policies: the engine alone, on a SQLite file, one thread."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

from controller.engine.loop import Engine
from controller.engine.rules import Rules
from controller.events.types import EventTypes
from controller.events.wire import parse
from controller.metrics import Metrics
from controller.policy import Installation, PolicySet, accept, parse_documents
from controller.settings import Fleet, Settings
from controller.store.database import Database
from controller.store.intake import Intake
from controller.store.leader import Leadership
from tests.bench.load import request
from tests.bench.policies import text


def decided_per_second(folder: Path, policies: int, events: int) -> float:
    """Store `events` events for 1,000 models, then time the engine until each has its decision."""
    folder.mkdir(parents=True, exist_ok=True)
    documents, problems = parse_documents(text(policies, models=1000), "bench.yaml")
    accepted = accept(documents, Installation.of(EventTypes()), problems)
    assert not accepted.problems
    db = Database(f"sqlite:///{folder / 'bench.db'}")
    leadership = Leadership.take(db)
    intake = Intake(db)
    intake.start()
    engine = Engine(leadership, Rules(PolicySet(), Fleet()), metrics=Metrics(version="0"), on_decided=intake.decided)
    engine.adopt(accepted.policies)
    engine.round()
    now = datetime.now(UTC)
    for first in range(0, events, 100):
        body = request(first, 100, "e", now.isoformat()).partition(b"\r\n\r\n")[2]
        parsed = parse(
            "application/cloudevents-batch+json",
            {},
            body,
            now=now,
            types=EventTypes(),
            senders={},
            model_pattern=Settings().model_pattern,
        )
        intake.submit(parsed.events).result()
    began = time.perf_counter()
    while intake.backlog():
        engine.round()
    took = time.perf_counter() - began
    engine.stop(0)
    intake.stop()
    leadership.stop()
    db.close()
    return events / took
