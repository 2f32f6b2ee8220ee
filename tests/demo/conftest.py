"""The records, loaded once for all tests of the demo."""

from __future__ import annotations

import pytest

from examples.demo.data import Records, break_thermometer, load
from examples.demo.worlds import FAULT


@pytest.fixture(scope="session")
def real() -> Records:
    """The records as they were published."""
    return load()


@pytest.fixture(scope="session")
def records(real: Records) -> Records:
    """The records with the demo's fault."""
    return break_thermometer(real, *FAULT)
