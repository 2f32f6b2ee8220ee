"""The example event of the design, and a parser with the installation's defaults."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from controller.events.types import EventTypes
from controller.events.wire import Parsed, parse
from controller.settings import Settings

NOW = datetime(2025, 1, 23, 12, 0, 5, tzinfo=UTC)
STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"

Read = Callable[..., Parsed]


@pytest.fixture
def example() -> dict[str, Any]:
    """The event that must go through as it stands."""
    return {
        "specversion": "1.0",
        "id": "drift-99201",
        "type": "ml.data.drift.detected",
        "source": "urn:drift-detector",
        "time": "2025-01-23T12:00:00Z",
        "data": {"feature": "salary", "driftScore": 0.44, "threshold": 0.30, "modelVersion": "salary-predictor-v5"},
    }


@pytest.fixture
def read() -> Read:
    """Parse a request: `read(document)` structured, `read([document, …])` batched, or raw with `content_type`."""

    def read_(
        body: Any, content_type: str | None = None, headers: dict[str, str] | None = None, **settings: Any
    ) -> Parsed:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        defaults = Settings(**{name: settings.pop(name) for name in ("senders", "model_pattern") if name in settings})
        return parse(
            (BATCH if isinstance(body, list) else STRUCTURED) if content_type is None else content_type,
            headers or {},
            raw,
            now=settings.get("now", NOW),
            types=EventTypes(settings.get("registered")),
            senders=defaults.senders,
            model_pattern=defaults.model_pattern,
        )

    return read_
