"""From rows, as the JSON API lists them, to what a page shows: texts in their order, nothing to decide any more."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from pydantic_core import to_json

from controller.durations import format_duration
from controller.explain import Explanation
from controller.remediation import Phase

Row = Mapping[str, Any]

# Control characters, and those that turn the direction of text or take no room: they would hide what is there.
_HIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")
_LONGEST = 4000
_EXACT = 2**53
_LENGTHS = frozenset({"timeout", "settle", "for", "within", "every", "quiet"})
ENDED_BADLY = frozenset({Phase.FAILED, Phase.ESCALATED, Phase.CANCELLED})


@dataclass(frozen=True, slots=True)
class Rung:
    """One step of the ladder: its name, what it does, and whether it is the one at hand."""

    name: str
    kind: str
    here: bool
    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """One thing that may be decided: the act, what its button says, whether a comment must be given."""

    act: str
    says: str
    comment: bool = False


_APPROVE, _REJECT = Choice("approve", "Approve"), Choice("reject", "Reject", comment=True)
_CANCEL, _RETRY = Choice("cancel", "Cancel the remediation", comment=True), Choice("retry", "Try again")


def choices(remediation: Row) -> tuple[Choice, ...]:
    """What a person may do about it as it stands."""
    phase = remediation["phase"]
    if phase == Phase.AWAITING_APPROVAL:
        return _APPROVE, _REJECT
    if remediation["active"]:
        return (_CANCEL,)
    return (_RETRY,) if phase in ENDED_BADLY else ()


def rungs(remediation: Row) -> tuple[Rung, ...]:
    """The ladder with every parameter as it would be used."""
    found = []
    for at, rendered in enumerate(remediation["parameters"] or ()):
        rows = [*_rows(rendered.get("action") or {}), *_verifying(rendered.get("verify") or [])]
        here = at == remediation["step"] and remediation["active"]
        found.append(Rung(str(rendered.get("name", "")), str(rendered.get("kind", "")), here, tuple(rows)))
    return tuple(found)


def _verifying(verify: list[Row]) -> list[tuple[str, str]]:
    """One row for each verification: `verify 1 (quiet)`, and what it goes by."""
    found = []
    for number, entry in enumerate(verify, 1):
        parts = [f"{key} {_value(key, value)}" for key, value in entry.items() if key != "kind"]
        found.append((f"verify {number} ({entry.get('kind', '')})", ", ".join(parts)))
    return found


def facts(event: Row | None, decision: Row | None) -> tuple[tuple[str, str], ...]:
    """What triggered it: the event, its data, and the values that the decision rests on."""
    if event is None:
        return (("event", "it is no longer kept"),)
    rows = [("type", event["type"]), ("source", event["source"]), ("id", event["id"]), ("time", event["time"])]
    rows += [(f"data.{key}", value) for key, value in event["data"].items()]
    rows += [(str(key), value) for key, value in ((decision or {}).get("values") or {}).items() if value]
    return tuple((str(key), shown(value)) for key, value in rows)


def history(explanation: Explanation) -> tuple[tuple[str, str], ...]:
    """What has happened to it: the time and a sentence for each transition."""
    return tuple((step.at, visible(step.sentence)) for story in explanation.stories for step in story.steps)


def _rows(value: Row, prefix: str = "") -> list[tuple[str, str]]:
    """A map as rows, one level deep: `parameters.model`. Of headers only the names: their values may be secrets."""
    rows: list[tuple[str, str]] = []
    for key, found in value.items():
        if isinstance(found, dict) and found and not prefix:
            rows += _rows(found, f"{key}.")
        elif found is not None and found not in ({}, []):
            text = "(not shown)" if prefix == "headers." else shown(found) if prefix else _value(key, found)
            rows.append((f"{prefix}{key}", text))
    return rows


def _value(key: str, value: Any) -> str:
    """A parameter of an action or a verification: lengths as policies write them, a command as a shell would."""
    if key in _LENGTHS and isinstance(value, int | float) and not isinstance(value, bool):
        return format_duration(timedelta(seconds=value))
    if key in ("argv", "command") and isinstance(value, list) and all(isinstance(part, str) for part in value):
        return visible(shlex.join(value))
    return shown(value)


def shown(value: Any) -> str:
    """A value as a person reads it: text as it is, all else as JSON."""
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT:
        value = int(value)
    text = value if isinstance(value, str) else to_json(value, fallback=str, inf_nan_mode="strings").decode()
    return visible(text)


def visible(text: str) -> str:
    """Text in which nothing is hidden, and of which nothing is endless."""
    short = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… ({len(text)} characters)"
    return _HIDDEN.sub(lambda found: f"\\u{ord(found.group()):04x}", short)
