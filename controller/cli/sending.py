"""`modelmend send`: one event or a batch, posted as any other sender would."""

from __future__ import annotations

import argparse
import json
import sys
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from controller.cli.printing import as_json, note, print_json
from controller.cli.server import client
from controller.cli.tables import safe
from controller.client import Refused, faults_of
from controller.errors import ConfigError

_ONE = "application/cloudevents+json"
_SEVERAL = "application/cloudevents-batch+json"


def send(arguments: argparse.Namespace) -> int:
    """A file is sent as it stands: an id made up here would defeat the detection of duplicates."""
    if (arguments.file is None) == (arguments.type is None):
        raise ConfigError(("send: want a FILE (- for standard input), or --type to make an event",))
    body = _read(arguments.file) if arguments.file is not None else json.dumps(_made(arguments)).encode()
    content_type = _SEVERAL if body.lstrip()[:1] == b"[" else _ONE
    with client(arguments) as server:
        try:
            answer = server.send(body, content_type)
        except Refused as refused:
            return _refused(arguments, refused)
    _say(arguments, answer)
    return 0


def _read(file: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise ConfigError((f"send: want a readable file, got: {error}",)) from error


def _made(arguments: argparse.Namespace) -> dict[str, Any]:
    event = {
        "specversion": "1.0",
        "id": arguments.id or uuid.uuid4().hex,
        "source": arguments.source,
        "type": arguments.type,
        "time": arguments.time or datetime.now(UTC).isoformat().replace("+00:00", "Z"),
        "data": _data(arguments.data),
    }
    return event | ({"subject": arguments.subject} if arguments.subject else {})


def _data(given: list[str]) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for item in given:
        key, equals, value = item.partition("=")
        if not equals or not key:
            raise ConfigError((f"send: want --data key=value, got {item!r}",))
        data[key] = _value(value)
    return data


def _value(text: str) -> Any:
    """Numbers, true, false, null, lists and objects as JSON; all else is text."""
    try:
        value = json.loads(text)
        json.dumps(value, allow_nan=False)  # NaN, 1e999: Python reads them, JSON has no such numbers
    except ValueError:
        return text
    return value


def _refused(arguments: argparse.Namespace, refused: Refused) -> int:
    """An invalid event is a no (1); what concerns the caller (credentials, size) is bad use."""
    if refused.status not in (400, 422):
        raise refused
    if as_json(arguments):
        print_json(refused.problem)
        return 1
    note(f"modelmend: {refused.problem.get('detail') or refused.problem.get('title') or refused}")
    for fault in faults_of(refused.problem):
        note(f"  {fault}")
    _say(arguments, refused.problem)
    return 1


def _say(arguments: argparse.Namespace, answer: Mapping[str, Any]) -> None:
    if as_json(arguments):
        print_json(answer)
        return
    for word, key in (("accepted", "accepted"), ("duplicate", "duplicates"), ("conflict", "conflicts")):
        for event_id in answer.get(key) or ():
            print(safe(f"{word} {event_id}"))
    for item in answer.get("rejected") or ():
        note(f"rejected {item.get('id') or 'the event at index ' + str(item.get('index'))}: {item.get('title')}")
