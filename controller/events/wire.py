"""CloudEvents 1.0 over HTTP: binary, structured and batched requests, read strictly.

The `cloudevents` SDK is no validator (it fills in a missing `id`, takes broken JSON as
text and knows no batches), so this is our own. pydantic's JSON parser does the reading:
it refuses NaN, lone surrogates, broken UTF-8 and numbers of more than 4,300 digits.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode
from binascii import Error as Base64Error
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, cast
from urllib.parse import unquote_to_bytes

from pydantic_core import from_json

from controller.errors import Fault, InvalidEvent
from controller.events.content import ATTRIBUTES, Reading, is_json, read_event
from controller.events.event import Event
from controller.events.scalars import shown
from controller.events.types import EventTypes
from controller.settings import Sender

Mode = Literal["binary", "structured", "batch"]

MAX_BATCH = 10_000
UNDERSTOOD = "application/cloudevents+json, application/cloudevents-batch+json, or application/json with ce- headers"

_STRUCTURED, _BATCH = "application/cloudevents+json", "application/cloudevents-batch+json"
_CHARSET = re.compile(r"""charset\s*=\s*["']?([^\s;"']*)""", re.IGNORECASE)
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_KNOWN_KEYS = tuple(f'"{name}"'.encode() for name in (*sorted(ATTRIBUTES), "data", "data_base64"))


@dataclass(frozen=True, slots=True)
class Rejected:
    """One event of a batch that is not valid: its place, its `id` where it has one, and every fault."""

    index: int
    id: str | None
    title: str
    faults: tuple[Fault, ...]
    status: int


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a request held. `rejected` is empty but for batches: a single invalid event raises."""

    events: tuple[Event, ...]
    rejected: tuple[Rejected, ...]
    mode: Mode


def parse(
    content_type: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    now: datetime,
    types: EventTypes,
    senders: Mapping[str, Sender],
    model_pattern: re.Pattern[str],
) -> Parsed:
    """The events of one request.

    `headers` are the request's, names in lower case, values as ISO 8859-1 text; only `ce-…`
    are read. Raises InvalidEvent with status 400 (faults), 415 (media type), 422 (unknown
    type of a single event) or 413 (more than 10,000 events in a batch).
    """
    reading = Reading(now, types, senders, model_pattern)
    mode = _mode(content_type)
    if mode == "structured":
        return Parsed((_structured(_json(body), body, reading),), (), mode)
    if mode == "batch":
        return _batch(body, reading)
    return Parsed((_binary(content_type, headers, body, reading),), (), mode)


def _mode(content_type: str) -> Mode:
    if content_type == _STRUCTURED:
        return "structured"
    media_type, _, parameters = content_type.partition(";")
    media_type = media_type.strip().lower()
    charset = _CHARSET.search(parameters) if parameters else None
    if charset is not None and charset[1].lower() not in ("utf-8", "utf8", "us-ascii"):
        raise _not_understood(content_type)
    # The batch type first: "application/cloudevents" is a prefix of both.
    for prefix, whole, mode in (
        ("application/cloudevents-batch", _BATCH, "batch"),
        ("application/cloudevents", _STRUCTURED, "structured"),
    ):
        if media_type.startswith(prefix):
            if media_type != whole:
                raise _not_understood(content_type)
            return cast("Mode", mode)
    return "binary"


def _not_understood(content_type: str) -> InvalidEvent:
    fault = Fault("content-type", UNDERSTOOD, shown(content_type) if content_type else "nothing")
    return InvalidEvent("media type not understood", (fault,), status=415)


def _json(body: bytes) -> Any:
    try:
        return from_json(body, allow_inf_nan=False, cache_strings="keys")
    except ValueError as error:
        raise InvalidEvent("not JSON", (Fault("body", "JSON", str(error)),)) from None


def _structured(document: Any, body: bytes, reading: Reading) -> Event:
    if type(document) is not dict:
        raise InvalidEvent("invalid event", (Fault("body", "a CloudEvent as a JSON object", shown(document)),))
    for key in _KNOWN_KEYS:
        if body.count(key) > 1:
            _refuse_duplicates(body)
            break
    else:
        if b"\\u" in body:  # a key may be written with escapes
            _refuse_duplicates(body)
    return _event(document, reading)


def _event(document: dict[str, Any], reading: Reading) -> Event:
    """An event in JSON format. Attributes that are null are unset."""
    data = document.pop("data", None)
    encoded = document.pop("data_base64", None)
    if encoded is not None:
        if data is not None:
            raise InvalidEvent("invalid event", (Fault("data_base64", "data or data_base64", "both"),))
        data = _decoded(encoded)
    if None in document.values():
        document = {name: value for name, value in document.items() if value is not None}
    return read_event(document, data, reading)


def _decoded(encoded: Any) -> Any:
    try:
        raw = b64decode(encoded.encode(), validate=True) if type(encoded) is str else None
    except Base64Error:
        raw = None
    if raw is None:
        raise InvalidEvent("invalid event", (Fault("data_base64", "base64 of JSON", shown(encoded)),))
    try:
        return from_json(raw, allow_inf_nan=False)
    except ValueError as error:
        raise InvalidEvent("invalid event", (Fault("data_base64", "base64 of JSON", str(error)),)) from None


def _batch(body: bytes, reading: Reading) -> Parsed:
    documents = _json(body)
    if type(documents) is not list:
        raise InvalidEvent("invalid batch", (Fault("body", "a JSON array of CloudEvents", shown(documents)),))
    if len(documents) > MAX_BATCH:
        fault = Fault("body", f"at most {MAX_BATCH} events", str(len(documents)))
        raise InvalidEvent("batch too large", (fault,), status=413)
    twice: dict[int, list[str]] = {}
    if b"\\u" in body or any(body.count(key) > len(documents) for key in _KNOWN_KEYS):
        twice = {place: names for place, pairs in enumerate(_pairs(body)) if (names := _repeated(pairs))}
    events: list[Event] = []
    rejected: list[Rejected] = []
    for place, document in enumerate(documents):
        identity = document.get("id") if type(document) is dict else None
        try:
            events.append(_item(document, twice.get(place), reading))
        except InvalidEvent as error:
            faults = tuple(Fault(_within(place, fault.path), fault.wanted, fault.found) for fault in error.faults)
            known = identity if type(identity) is str else None
            rejected.append(Rejected(place, known, error.title, faults, error.status))
    return Parsed(tuple(events), tuple(rejected), "batch")


def _item(document: Any, twice: list[str] | None, reading: Reading) -> Event:
    if type(document) is not dict:
        raise InvalidEvent("invalid event", (Fault("", "a CloudEvent as a JSON object", shown(document)),))
    if twice:
        raise _twice(twice)
    return _event(document, reading)


def _within(place: int, path: str) -> str:
    return f"[{place}].{path}" if path else f"[{place}]"


class _Pairs(list[tuple[str, Any]]):
    """A JSON object as the pairs that were written."""


def _pairs(body: bytes) -> Any:
    return json.loads(body, object_pairs_hook=_Pairs)


def _repeated(pairs: Any) -> list[str]:
    if type(pairs) is not _Pairs:
        return []
    return sorted(name for name, times in Counter(name for name, _ in pairs).items() if times > 1)


def _refuse_duplicates(body: bytes) -> None:
    """Readers differ in which of two equal keys counts, so an attribute that stands twice is refused."""
    names = _repeated(_pairs(body))
    if names:
        raise _twice(names)


def _twice(names: list[str]) -> InvalidEvent:
    return InvalidEvent("invalid event", tuple(Fault(name, "one value", "two or more") for name in names))


def _binary(content_type: str, headers: Mapping[str, str], body: bytes, reading: Reading) -> Event:
    """An event in `ce-` headers, its data in the body; the data's type is the request's Content-Type."""
    media_type = content_type.partition(";")[0].strip().lower()
    if not is_json(media_type) and (body or media_type):
        raise _not_understood(content_type)
    attributes: dict[str, Any] = {}
    faults: list[Fault] = []
    for header, value in headers.items():
        if header.startswith("ce-") and header != "ce-datacontenttype":
            text = _decoded_header(value)
            if text is None:
                faults.append(Fault(header, "printable ASCII, the rest percent-encoded as UTF-8", shown(value)))
            else:
                attributes[header[3:]] = text
    if faults:
        raise InvalidEvent("invalid event", tuple(faults))
    if not attributes:
        wanted = f"ce- headers beside {media_type or 'an empty body'}, or Content-Type: {_STRUCTURED}"
        raise InvalidEvent("no event attributes", (Fault("ce-id", wanted, "nothing"),))
    return read_event(attributes, _json(body) if body else None, reading, prefix="ce-")


def _decoded_header(value: str) -> str | None:
    """A header's value: double quotes undone, then percent-decoded once; None where that cannot be."""
    if len(value) > 1 and value[0] == value[-1] == '"':
        value = re.sub(r"\\(.)", r"\1", value[1:-1])
    if not value.isascii() or not value.isprintable() or ("%" in value and _BAD_ESCAPE.search(value)):
        return None
    if "%" not in value:
        return value
    try:
        return unquote_to_bytes(value).decode()
    except UnicodeDecodeError:
        return None
