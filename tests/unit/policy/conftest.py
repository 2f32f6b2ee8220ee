"""What the tests of policies share."""

from __future__ import annotations

import pytest

from controller.events.types import EventTypes
from controller.policy import Installation


@pytest.fixture
def installation() -> Installation:
    """The built-in event types, one receiver beside `default`, SQLite."""
    return Installation.of(EventTypes(), ["oncall"])
