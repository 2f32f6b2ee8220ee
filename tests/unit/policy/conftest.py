"""What the tests of policies share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from controller.events.types import EventTypes
from controller.policy import Installation, reload
from tests.unit.policy.structural import refuses


@pytest.fixture(scope="session", autouse=True)
def _schemas_take_what_the_parser_takes() -> Iterator[None]:
    """Every document that any test of this folder finds good fits the schema that a cluster is given, too."""
    with pytest.MonkeyPatch.context() as patch:
        for kind, name in (
            ("RemediationPolicy", "_read_policy"),
            ("Model", "read_model"),
            ("Defaults", "_read_defaults"),
        ):
            patch.setattr(reload, name, _compared(kind, getattr(reload, name)))
        yield


def _compared(kind: str, read: Callable[..., tuple[Any, list[str]]]) -> Callable[..., tuple[Any, list[str]]]:
    def reading(text: dict[str, Any], *more: Any) -> tuple[Any, list[str]]:
        value, faults = read(text, *more)
        assert faults or not refuses(kind, text["spec"]), refuses(kind, text["spec"])
        return value, faults

    return reading


@pytest.fixture
def installation() -> Installation:
    """The built-in event types, one receiver beside `default`, SQLite, a cluster."""
    return Installation.of(EventTypes(), ["oncall"], cluster=True, prometheus=True)
