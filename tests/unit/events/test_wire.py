"""Structured, binary and batched requests: what goes through, and each fault with its path."""

import base64
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from controller.errors import InvalidEvent
from tests.unit.events.conftest import BATCH, NOW, STRUCTURED, Read

FAULTS = yaml.safe_load((Path(__file__).parents[2] / "golden/events/faults.yaml").read_text())


def binary(event: dict[str, Any]) -> tuple[bytes, str, dict[str, str]]:
    """The event as a binary request."""
    headers = {f"ce-{name}": value for name, value in event.items() if name != "data"}
    return json.dumps(event["data"]).encode(), "application/json", headers


def faults(error: InvalidEvent) -> list[str]:
    return [str(fault) for fault in error.faults]


def test_the_example_goes_through_in_all_three_modes(read: Read, example: dict[str, Any]):
    """The design's example is one and the same event, however it comes."""
    structured, batched, sent_binary = read(example), read([example]), read(*binary(example))
    assert (structured.mode, batched.mode, sent_binary.mode) == ("structured", "batch", "binary")
    assert structured.events == batched.events == sent_binary.events
    (event,) = structured.events
    assert (event.source, event.id, event.model, event.version) == (
        "urn:drift-detector",
        "drift-99201",
        "salary-predictor",
        "v5",
    )
    assert (event.family, event.over, event.about, event.namespace) == ("drift", False, "feature=salary", None)
    assert event.time == datetime(2025, 1, 23, 12, tzinfo=UTC)
    assert event.data == example["data"] | {"drifted": True}


@pytest.mark.parametrize("case", FAULTS, ids=lambda case: case["case"].replace(" ", "-"))
def test_each_fault_is_told_with_its_path(read: Read, example: dict[str, Any], case: dict[str, Any]):
    """Every fault of an event is one message: where, what was wanted, what was found."""
    if case.get("drop_data"):
        example["data"] = {}
    example.update(case.get("set", {}))
    if "data" in case:
        example["data"].update(case["data"])
    for name in case.get("drop", ()):
        del example[name]
    with pytest.raises(InvalidEvent) as raised:
        read(example)
    assert faults(raised.value) == case["faults"]
    assert raised.value.status == case.get("status", 400)
    parsed = read([example])
    assert [str(fault) for fault in parsed.rejected[0].faults] == [f"[0].{fault}" for fault in case["faults"]]
    assert parsed.events == ()


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (b"", "body: want JSON, got EOF while parsing a value at line 1 column 0"),
        (b"{", "body: want JSON, got EOF while parsing an object at line 1 column 1"),
        (b"\xff", "body: want JSON, got expected value at line 1 column 1"),
        (b'"\xff"', "body: want JSON, got invalid unicode code point at line 1 column 2"),
        (b"[1]", "body: want a CloudEvent as a JSON object, got [1]"),
        (b"5", "body: want a CloudEvent as a JSON object, got 5"),
        (b'{"id": "\\ud800"}', "body: want JSON, got unexpected end of hex escape at line 1 column 15"),
        (b'{"data": NaN}', "body: want JSON, got expected value at line 1 column 10"),
        (b'{"data": -Infinity}', "body: want JSON, got invalid number at line 1 column 11"),
        (b'{"data": ' + b"1" * 5000 + b"}", "body: want JSON, got number out of range at line 1 column 4311"),
        (b"[" * 100_000, "body: want JSON, got recursion limit exceeded at line 1 column 202"),
        (b'{"id": "a", "id": "b"}', "id: want one value, got two or more"),
        (b'{"id": "a", "\\u0069d": "b"}', "id: want one value, got two or more"),
        (
            b'{"data": {}, "type": "a", "data": {}, "type": "b"}',
            "data: want one value, got two or more; type: want one value, got two or more",
        ),
    ],
    ids=lambda value: repr(value[:30]),
)
def test_what_is_no_event_at_all(read: Read, body: bytes, fault: str):
    """A body that cannot be read is refused whole, with the place where reading stopped."""
    with pytest.raises(InvalidEvent) as raised:
        read(body, STRUCTURED)
    assert "; ".join(faults(raised.value)) == fault


def test_overflowing_numbers_are_refused(read: Read, example: dict[str, Any]):
    """A number that a float cannot hold is no number."""
    body = json.dumps(example).replace("0.44", "1e999").encode()
    with pytest.raises(InvalidEvent, match=r"data.driftScore: want a finite number, got one that is not"):
        read(body, STRUCTURED)


def test_depth_is_bounded(read: Read, example: dict[str, Any]):
    """Data of more than 32 levels is refused where it goes too deep."""
    nested: Any = []
    for _ in range(40):
        nested = [nested]
    example["data"]["x"] = nested
    with pytest.raises(InvalidEvent, match=r"data\.x(\[0\]){31}: want at most 32 levels, got more"):
        read(example)


@pytest.mark.parametrize(
    ("name", "long"),
    [("id", "i" * 1025), ("source", "urn:" + "x" * 1021), ("subject", "ü" * 513), ("type", "t" * 1025)],
)
def test_attributes_are_bounded_in_bytes(read: Read, example: dict[str, Any], name: str, long: str):
    """An attribute of more than 1,024 bytes is refused: it would not fit into an index."""
    with pytest.raises(InvalidEvent, match=f"{name}: want a non-empty string of at most 1024 bytes"):
        read(example | {name: long})


def test_a_key_that_would_not_fit_an_index_is_refused(read: Read, example: dict[str, Any]):
    """What an event is about is bounded as a whole: two fields may not sum up to more."""
    example |= {
        "type": "ml.performance.degraded",
        "data": {"model": "m", "metric": "x" * 600, "slice": "y" * 600, "value": 1},
    }
    with pytest.raises(InvalidEvent, match=r"data\.metric and data\.slice: want at most 1024 bytes in all, got 1214"):
        read(example)


def test_faults_are_bounded(read: Read, example: dict[str, Any]):
    """However much is wrong, an answer lists at most 20 faults of an event."""
    example["data"] |= {f"k{n}": "\x01" for n in range(5000)}
    with pytest.raises(InvalidEvent) as raised:
        read(example)
    assert len(raised.value.faults) == 20


@pytest.mark.parametrize(
    "content_type",
    [
        "application/cloudevents+json; charset=utf-8",
        "application/cloudevents+json;charset=UTF-8",
        'Application/CloudEvents+JSON; charset="utf-8"',
        "application/cloudevents+json ; x=y",
    ],
)
def test_parameters_of_the_media_type_change_nothing(read: Read, example: dict[str, Any], content_type: str):
    """Case and parameters of the structured media type do not matter."""
    assert read(json.dumps(example).encode(), content_type).mode == "structured"


@pytest.mark.parametrize(
    "content_type",
    [
        "application/cloudevents",
        "application/cloudevents+avro",
        "application/cloudevents-batch",
        "application/cloudevents+json; charset=latin-1",
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/xml",
        "application/cloudevents-batch+xml",
    ],
)
def test_media_types_that_are_not_understood(read: Read, example: dict[str, Any], content_type: str):
    """What is neither JSON nor CloudEvents in JSON is 415, and the answer names what would do."""
    with pytest.raises(InvalidEvent, match="content-type: want application/cloudevents") as raised:
        read(json.dumps(example).encode(), content_type, {"ce-id": "1"})
    assert raised.value.status == 415


def test_a_structured_event_sent_as_plain_json(read: Read, example: dict[str, Any]):
    """Who forgets the media type is told which one to send."""
    with pytest.raises(
        InvalidEvent,
        match=r"ce-id: want ce- headers beside application/json, or Content-Type: application/cloudevents\+json",
    ):
        read(json.dumps(example).encode(), "application/json")


def test_headers_beside_a_structured_event_mean_nothing(read: Read, example: dict[str, Any]):
    """The Content-Type decides: `ce-` headers of a structured request are not read."""
    assert read(json.dumps(example).encode(), STRUCTURED, {"ce-id": "other"}).events[0].id == "drift-99201"


@pytest.mark.parametrize(
    ("sent", "read_as"),
    [
        ("a%20b", "a b"),
        ("%E2%82%AC", "€"),
        ('"a b"', "a b"),
        (r'"a\"b"', 'a"b'),
        ("100%25", "100%"),
        ("a%2520b", "a%20b"),
        ('"', '"'),
    ],
)
def test_header_values_are_decoded_once(read: Read, example: dict[str, Any], sent: str, read_as: str):
    """Double quotes are undone, then one round of percent-decoding."""
    body, content_type, headers = binary(example)
    assert read(body, content_type, headers | {"ce-id": sent}).events[0].id == read_as


@pytest.mark.parametrize("sent", ["%", "%zz", "a%2", "%FF", "%C3%28", "é", "%ED%A0%80", "a\tb"])
def test_header_values_that_cannot_be_decoded(read: Read, example: dict[str, Any], sent: str):
    """Half an escape, raw bytes beyond ASCII and broken UTF-8 are refused."""
    body, content_type, headers = binary(example)
    with pytest.raises(InvalidEvent, match="ce-id: want printable ASCII, the rest percent-encoded as UTF-8"):
        read(body, content_type, headers | {"ce-id": sent})


def test_a_control_character_behind_an_escape(read: Read, example: dict[str, Any]):
    """What percent-decoding brings to light is checked like everything else."""
    body, content_type, headers = binary(example)
    with pytest.raises(
        InvalidEvent, match=r"ce-id: want text without control characters, got the control character U\+0000"
    ):
        read(body, content_type, headers | {"ce-id": "a%00"})


def test_binary_faults_name_headers(read: Read, example: dict[str, Any]):
    """In binary mode the path of an attribute is its header's name, that of data the same as ever."""
    body, content_type, headers = binary(example | {"data": {"driftScore": "high", "model": "m"}})
    del headers["ce-specversion"]
    with pytest.raises(InvalidEvent) as raised:
        read(body, content_type, headers)
    assert faults(raised.value) == [
        'ce-specversion: want "1.0", got nothing',
        'data.driftScore: want a finite number, got "high"',
    ]


def test_binary_without_a_body(read: Read):
    """A sign of life needs no data: headers say it all, and then no Content-Type is asked for."""
    headers = {
        "ce-specversion": "1.0",
        "ce-id": "1",
        "ce-source": "urn:d",
        "ce-type": "ml.monitor.checked",
        "ce-subject": "fraud",
    }
    (event,) = read(b"", "", headers).events
    assert (event.model, event.family, event.over, event.data) == ("fraud", None, True, {})


def test_binary_data_must_be_json(read: Read, example: dict[str, Any]):
    """A broken body under application/json is a fault, not text."""
    _, content_type, headers = binary(example)
    with pytest.raises(InvalidEvent, match="body: want JSON, got EOF"):
        read(b'{"driftScore": ', content_type, headers)


def test_base64_data(read: Read, example: dict[str, Any]):
    """Data may come as base64 of JSON; it is the same event."""
    plain = read(example).events
    example["data_base64"] = base64.b64encode(json.dumps(example.pop("data")).encode()).decode()
    assert read(example).events == plain


@pytest.mark.parametrize(
    ("encoded", "found"),
    [("%%%", '"%%%"'), (5, "5"), ("e30", '"e30"'), ("e3s=", "key must be a string at line 1 column 2")],
)
def test_base64_that_is_none(read: Read, example: dict[str, Any], encoded: Any, found: str):
    """Broken base64 is refused, never taken as empty."""
    del example["data"]
    with pytest.raises(InvalidEvent) as raised:
        read(example | {"data_base64": encoded})
    assert faults(raised.value) == [f"data_base64: want base64 of JSON, got {found}"]


def test_null_attributes_are_unset(read: Read, example: dict[str, Any]):
    """The JSON format says that null is the same as absent; so it is for optional fields of data."""
    example["data"] |= {"pValue": None, "window": None, "other": None}
    (event,) = read(example | {"subject": None, "dataschema": None, "ext": None}).events
    assert (event.subject, event.extensions) == (None, {})
    assert event.data.keys() == {"feature", "driftScore", "threshold", "modelVersion", "drifted", "other"}


def test_extensions_are_kept(read: Read, example: dict[str, Any]):
    """Extensions that nobody here knows are accepted and kept, dead-letter headers among them."""
    more = {
        "traceparent": "00-ab-cd-01",
        "flag": True,
        "serial": -5,
        "knativeerrordata": "x" * 1024,
        "dataschema": "urn:s",
    }
    assert read(example | more).events[0].extensions == more


def test_a_batch_is_judged_event_by_event(read: Read, example: dict[str, Any]):
    """The valid ones go through; each of the others is named by its place, with paths that begin there."""
    parsed = read(
        [
            example,
            example | {"id": "b", "data": {"driftScore": "x", "model": "m"}},
            5,
            example | {"id": "d", "type": "nope"},
            example | {"id": "e"},
        ]
    )
    assert [event.id for event in parsed.events] == ["drift-99201", "e"]
    assert [(one.index, one.id, one.status, [str(fault) for fault in one.faults]) for one in parsed.rejected] == [
        (1, "b", 400, ['[1].data.driftScore: want a finite number, got "x"']),
        (2, None, 400, ["[2]: want a CloudEvent as a JSON object, got 5"]),
        (3, "d", 422, ['[3].type: want a type that is built in, or registered under eventTypes, got "nope"']),
    ]


def test_an_attribute_that_stands_twice_in_a_batch(read: Read, example: dict[str, Any]):
    """Only the event with two ids is refused; fields of data may be called as they like."""
    good = json.dumps(example | {"data": {"driftScore": 1, "model": "m", "id": "x", "type": "y", "source": "z"}})
    bad = json.dumps(example).replace('"id":', '"id": "other", "id":')
    parsed = read(f"[{good}, {bad}]".encode(), BATCH)
    assert len(parsed.events) == 1
    assert [str(fault) for fault in parsed.rejected[0].faults] == ["[1].id: want one value, got two or more"]


def test_an_empty_batch(read: Read):
    """A batch of nothing is a batch."""
    assert read([]).events == ()


def test_batches_are_bounded(read: Read):
    """More than 10,000 events are refused at once, with 413."""
    with pytest.raises(InvalidEvent, match="body: want at most 10000 events, got 10001") as raised:
        read([0] * 10_001)
    assert raised.value.status == 413


def test_a_batch_that_is_none(read: Read, example: dict[str, Any]):
    """One event under the batch's media type is refused."""
    with pytest.raises(InvalidEvent, match="body: want a JSON array of CloudEvents"):
        read(json.dumps(example).encode(), BATCH)


def test_an_event_without_time_has_that_of_its_receipt(read: Read, example: dict[str, Any]):
    """Absent: the time of receipt, unmarked. Ahead of the clock: the same, and marked."""
    del example["time"]
    absent = read(example).events[0]
    ahead = read(example | {"time": "2025-01-23T12:00:06Z"}).events[0]
    assert (absent.time, absent.time_marked) == (NOW, False)
    assert (ahead.time, ahead.time_marked) == (NOW, True)


@pytest.mark.parametrize(
    ("sent", "moment"),
    [
        ("2025-01-23T12:00:00.5Z", datetime(2025, 1, 23, 12, 0, 0, 500_000, tzinfo=UTC)),
        ("2025-01-23t12:00:00z", datetime(2025, 1, 23, 12, tzinfo=UTC)),
        ("2025-01-23 12:00:00.123456789+01:30", datetime(2025, 1, 23, 10, 30, 0, 123_456, tzinfo=UTC)),
        ("2016-12-31T23:59:60Z", datetime(2017, 1, 1, tzinfo=UTC)),
    ],
)
def test_times_are_read_as_rfc_3339_says(read: Read, example: dict[str, Any], sent: str, moment: datetime):
    """Fractions, offsets, lower case and leap seconds are times too; all become UTC."""
    event = read(example | {"time": sent}).events[0]
    assert event.time == moment
    assert event.time.tzinfo is UTC
