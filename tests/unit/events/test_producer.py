"""The cloudevents SDK, a producer that is not ours, and generated events: what is valid goes through whole."""

import json
import math
from datetime import UTC, datetime
from typing import Any

import pytest
from cloudevents.core.bindings.http import to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given
from hypothesis import strategies as st

from controller.errors import InvalidEvent
from controller.events.types import EventTypes
from controller.events.wire import Parsed, parse
from controller.settings import Settings
from tests.unit.events.conftest import BATCH, NOW, STRUCTURED

SETTINGS, TYPES = Settings(), EventTypes()


def read(content_type: str, headers: dict[str, str], body: bytes) -> Parsed:
    return parse(content_type, headers, body, now=NOW, types=TYPES, senders={}, model_pattern=SETTINGS.model_pattern)


printable = st.text(st.characters(exclude_categories=["C", "Zl", "Zp"]), min_size=1, max_size=40)
scalars = (
    st.none()
    | st.booleans()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.integers(-(2**53), 2**53)
    | printable
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(printable, inner, max_size=4), max_leaves=12
)
names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:@+/-]{0,20}[A-Za-z0-9]", fullmatch=True).filter(
    lambda name: (
        not set(name.split("/")) & {"", ".", ".."} and all(part[0] not in ".:@+-" for part in name.split("/") if part)
    )
)
times = st.datetimes(datetime(1971, 1, 1), datetime(2025, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 — hypothesis adds the zone
events = st.fixed_dictionaries(
    {
        "specversion": st.just("1.0"),
        "id": printable,
        "source": st.from_regex(r"(urn:|/|https://)[a-z0-9./:-]{1,20}", fullmatch=True),
        "type": st.just("ml.data.drift.detected"),
        "data": st.builds(
            lambda more, score, model: more | {"driftScore": score, "model": model},
            st.dictionaries(printable.map(lambda key: f"x-{key}"), values, max_size=5),
            st.floats(allow_nan=False, allow_infinity=False),
            names,
        ),
    },
    optional={"time": times.map(lambda moment: moment.isoformat()), "traceparent": printable, "partition": printable},
)


def sent(event: dict[str, Any]) -> CloudEvent:
    attributes = {name: value for name, value in event.items() if name != "data"}
    if "time" in attributes:
        attributes["time"] = datetime.fromisoformat(attributes["time"])
    return CloudEvent(attributes | {"datacontenttype": "application/json"}, event["data"])


@given(events)
def test_the_sdk_is_understood_in_both_modes(event: dict[str, Any]):
    """What the SDK writes, structured or binary, is read as the same event, whole."""
    structured, binary = to_structured_event(sent(event)), to_binary_event(sent(event))
    headers = {name.lower(): value for name, value in binary.headers.items()}
    one = read(structured.headers["content-type"], {}, structured.body).events[0]
    two = read(headers["content-type"], headers, binary.body).events[0]
    if "time" in event:
        assert one == two
    assert (one.id, one.source, one.model) == (event["id"], event["source"], event["data"]["model"])
    assert one.data == event["data"]


@given(st.lists(events, max_size=5))
def test_batches_lose_nothing(batch: list[dict[str, Any]]):
    """A batch of valid events is those events, in order, each as it would be alone."""
    parsed = read(BATCH, {}, json.dumps(batch).encode())
    alone = [read(STRUCTURED, {}, json.dumps(event).encode()).events[0] for event in batch]
    assert list(parsed.events) == alone
    assert parsed.rejected == ()


@given(events)
def test_reading_what_was_read_changes_nothing(event: dict[str, Any]):
    """What is stored of data is its own normal form: read again, it is the same."""
    once = read(STRUCTURED, {}, json.dumps(event).encode()).events[0]
    twice = read(STRUCTURED, {}, json.dumps(event | {"data": once.data}).encode()).events[0]
    assert twice == once


@given(
    values | st.floats(),
    st.sampled_from(["id", "source", "type", "time", "subject", "specversion", "data", "datacontenttype", "ext"]),
)
def test_any_value_anywhere_is_read_or_refused(value: Any, name: str):
    """Whatever stands where, the answer is an event or an InvalidEvent with faults, never another error."""
    event = {
        "specversion": "1.0",
        "id": "1",
        "source": "urn:d",
        "type": "ml.monitor.checked",
        "subject": "m",
        name: value,
    }
    try:
        parsed = read(STRUCTURED, {}, json.dumps(event).encode())
    except InvalidEvent as error:
        assert error.faults  # noqa: PT017 — either answer is right
    else:
        assert parsed.events[0].model


@given(st.binary(max_size=60), st.sampled_from([STRUCTURED, BATCH, "application/json"]))
def test_any_bytes_are_read_or_refused(body: bytes, content_type: str):
    """Bytes that are no JSON are a fault, not a crash."""
    with pytest.raises(InvalidEvent):
        read(content_type, {"ce-id": "1"}, body if not body.strip().startswith(b"[") else b"{")


def everything(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [part for key, inner in value.items() for part in (key, *everything(inner))]
    return [part for inner in value for part in everything(inner)] if isinstance(value, list) else [value]


@given(
    st.dictionaries(
        st.text(max_size=5),
        st.recursive(
            st.none() | st.floats() | st.text(max_size=5) | st.integers(),
            lambda inner: st.lists(inner, max_size=3),
            max_leaves=5,
        ),
        max_size=4,
    )
)
def test_nothing_that_no_store_can_hold_gets_in(data: dict[str, Any]):
    """No NUL, no surrogate, no NaN, no integer beyond 64 bits is ever part of an event."""
    event = {
        "specversion": "1.0",
        "id": "1",
        "source": "urn:d",
        "type": "ml.monitor.checked",
        "subject": "m",
        "data": data,
    }
    try:
        kept = read(STRUCTURED, {}, json.dumps(event).encode()).events[0].data
    except InvalidEvent:
        return
    for part in everything(kept):
        if isinstance(part, str):
            assert "\x00" not in part
            part.encode()
        elif isinstance(part, float):
            assert math.isfinite(part)
        elif isinstance(part, int):
            assert -(2**63) <= part < 2**63
