"""The event types: what their data must hold, what they open and what they end.

Built-in payloads are tables of checks, not classes: a check costs a dictionary lookup,
and each names what it wants in words. Registered types bring a JSON Schema.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from controller.errors import ConfigError, Fault
from controller.events.scalars import byte_length, is_name, parse_time, shown

#: A check gives what was wanted where the value is wrong, else None.
Check = Callable[[Any], str | None]

TEXT_BYTES = 1024
"""Longest text of a field that becomes part of a key; PostgreSQL's index rows hold 2,700 bytes in all."""


class Schema(Protocol):
    """What is asked of a JSON Schema validator."""

    def iter_errors(self, instance: Any) -> Iterable[Any]:
        """Every violation, as jsonschema's ValidationError."""


@dataclass(frozen=True, slots=True, eq=False)
class EventType:
    """One type of event.

    `about_keys` are the fields of data that tell its conditions apart. Of each
    tuple in `required`, one field must be there. `fields` are checked
    where they are there; any other field is kept unchecked. `schema` is set for registered types.
    """

    name: str
    family: str | None = None
    over: bool = False
    about_keys: tuple[str, ...] = ()
    required: tuple[tuple[str, ...], ...] = ()
    fields: Mapping[str, Check] = field(default_factory=dict)
    schema: Schema | None = None

    def faults(self, data: dict[str, Any]) -> list[Fault]:
        """Every fault of `data` (already cleaned: finite numbers as float), with paths below `data`."""
        found: list[Fault] = []
        for names in self.required:
            if data.keys().isdisjoint(names):
                text = self.fields[names[0]](None) or "a value"
                others = "".join(f" (or data.{name})" for name in names[1:])
                found.append(Fault(f"data.{names[0]}", text + others, "nothing"))
        for name, value in data.items():
            check = self.fields.get(name)
            complaint = None if check is None else check(value)
            if complaint is not None:
                found.append(Fault(f"data.{name}", complaint, shown(value)))
        if self.schema is not None:
            found.extend(map(_schema_fault, self.schema.iter_errors(data)))
        return found


def _number(value: Any) -> str | None:
    return None if type(value) is float or type(value) is int else "a finite number"


def _share(value: Any) -> str | None:
    return None if type(value) is float and 0 <= value <= 1 else "a number from 0 to 1"


def _count(value: Any) -> str | None:
    number = type(value) is float or type(value) is int
    return None if number and value >= 0 and value == value // 1 else "a whole number of 0 or more"


def _text(value: Any) -> str | None:
    if type(value) is str and value and (len(value) <= TEXT_BYTES // 4 or byte_length(value) <= TEXT_BYTES):
        return None
    return f"a non-empty string of at most {TEXT_BYTES} bytes"


def _boolean(value: Any) -> str | None:
    return None if type(value) is bool else "true or false"


def _name(value: Any) -> str | None:
    return None if is_name(value) else "a name (letters, digits, ._:@+/- and spaces, at most 253)"


def _slice(value: Any) -> str | None:
    if type(value) is dict and value and all(type(part) in (str, float, bool) for part in value.values()):
        return None
    return None if _text(value) is None else "a non-empty string, or an object of plain values"


def _window(value: Any) -> str | None:
    wanted = "an object with start and end, RFC 3339 times in this order"
    if type(value) is not dict:
        return wanted
    start, end = parse_time(value.get("start")), parse_time(value.get("end"))
    return None if start is not None and end is not None and start <= end else wanted


def _moment(value: Any) -> str | None:
    return "an RFC 3339 time" if parse_time(value) is None else None


def _one_of(*words: str) -> Check:
    wanted = "one of " + ", ".join(words)
    return lambda value: None if type(value) is str and value in words else wanted


_COMMON: dict[str, Check] = {"modelVersion": _name, "sampleCount": _count, "window": _window, "reportUri": _text}
_DRIFT: dict[str, Check] = {
    **_COMMON,
    "driftScore": _number,
    "threshold": _number,
    "feature": _text,
    "method": _text,
    "pValue": _share,
    "kind": _one_of("data", "prediction", "label", "concept"),
    "driftShare": _share,
    "drifted": _boolean,
    "referenceId": _text,
}
_PERFORMANCE: dict[str, Check] = {
    **_COMMON,
    "metric": _text,
    "value": _number,
    "threshold": _number,
    "baseline": _number,
    "direction": _one_of("below", "above"),
    "slice": _slice,
}
_DEPLOYED: dict[str, Check] = {
    **_COMMON,
    "version": _name,
    "role": _one_of("stable", "canary"),
    "trainedAt": _moment,
    "referenceId": _text,
}
_QUALITY: dict[str, Check] = {**_COMMON, "feature": _text, "kind": _text}
_DRIFT_KEYS, _PERFORMANCE_KEYS, _QUALITY_KEYS = ("feature", "kind"), ("metric", "slice"), ("feature", "kind")

DRIFT_DETECTED = "ml.data.drift.detected"
PERFORMANCE_DEGRADED = "ml.performance.degraded"
DRIFT_RESOLVED = "ml.data.drift.resolved"
PERFORMANCE_RECOVERED = "ml.performance.recovered"
QUALITY_FAILED = "ml.data.quality.failed"
MODEL_DEPLOYED = "ml.model.deployed"
MODEL_TRAINED = "ml.model.trained"
MONITOR_CHECKED = "ml.monitor.checked"
FLEET_DRIFT = "ml.fleet.drift.detected"
FLEET_KEYS = ("policy", "by", "name")

BUILT_IN = (
    EventType(DRIFT_DETECTED, "drift", False, _DRIFT_KEYS, (("driftScore", "pValue"),), _DRIFT),
    EventType(PERFORMANCE_DEGRADED, "performance", False, _PERFORMANCE_KEYS, (("metric",), ("value",)), _PERFORMANCE),
    EventType(QUALITY_FAILED, "quality", False, _QUALITY_KEYS, (), _QUALITY),
    EventType(DRIFT_RESOLVED, "drift", True, _DRIFT_KEYS, (), _DRIFT),
    EventType(PERFORMANCE_RECOVERED, "performance", True, _PERFORMANCE_KEYS, (), _PERFORMANCE),
    EventType("ml.data.quality.restored", "quality", True, _QUALITY_KEYS, (), _QUALITY),
    EventType("ml.labels.available", None, False, (), (("count",),), {**_COMMON, "count": _count}),
    EventType(MODEL_DEPLOYED, None, False, (), (("version",),), _DEPLOYED),
    EventType(MODEL_TRAINED, None, False, (), (), {**_COMMON, "version": _name}),
    EventType(MONITOR_CHECKED, None, True, (), (), _COMMON),
    EventType(FLEET_DRIFT, "fleet", False, FLEET_KEYS, (), {**_COMMON, **dict.fromkeys(FLEET_KEYS, _text)}),
)


class EventTypes:
    """All types that may be received: the built-in ones, and those that settings register."""

    def __init__(self, registered: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        """`registered`: `{type: {schema, family, over, about}}`; ConfigError names everything wrong with it."""
        self._types = {kind.name: kind for kind in BUILT_IN}
        entries = registered or {}
        problems = [
            f"eventTypes: {name}: {problem}"
            for name, entry in entries.items()
            for problem in _entry_problems(name, entry, entries)
        ]
        if problems:
            raise ConfigError(tuple(problems))
        for name, entry in entries.items():
            self._types[name] = _registered(name, entry)
        for entry in entries.values():
            if entry.get("over") is not None:
                own = entries.get(entry["over"], {"schema": True})
                self._types[entry["over"]] = _registered(entry["over"], {**entry, "schema": own["schema"]}, over=True)

    def get(self, name: str) -> EventType | None:
        """The type called `name`, None where it is unknown."""
        return self._types.get(name)

    def names(self) -> tuple[str, ...]:
        """The names of all types, sorted."""
        return tuple(sorted(self._types))


_ENTRY_KEYS = frozenset({"schema", "family", "over", "about"})


def _registered(name: str, entry: Mapping[str, Any], *, over: bool = False) -> EventType:
    from jsonschema import Draft202012Validator  # noqa: PLC0415 — see _schema_problems

    about = tuple(entry.get("about") or ())
    fields: dict[str, Check] = dict.fromkeys(about, _slice)
    return EventType(name, entry.get("family"), over, about, (), fields, Draft202012Validator(entry["schema"]))


def _entry_problems(name: str, entry: Mapping[str, Any], entries: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What is wrong with the registered type `name`."""
    if name.startswith("modelmend.") or any(kind.name == name for kind in BUILT_IN):
        return ["want a name of its own, got one that is built in or reserved"]
    family, over, about = entry.get("family"), entry.get("over"), entry.get("about", [])
    problems = [f"{key}: want one of schema, family, over, about" for key in sorted(entry.keys() - _ENTRY_KEYS)]
    problems += _schema_problems(entry.get("schema"))
    if type(about) is not list or any(type(key) is not str for key in about):
        problems.append(f"about: want a list of fields of data, got {shown(about)}")
    if over is not None and (type(over) is not str or not over):
        return [*problems, f"over: want the name of a type, got {shown(over)}"]
    if (family is None) != (over is None):
        problems.append("want family and over both, or neither (a moment, which opens no condition)")
    if family is not None and not is_name(family):
        problems.append(f"family: want a name, got {shown(family)}")
    if about and family is None:
        problems.append("about: want a family beside it: what opens no condition is about nothing")
    if over is not None:
        if any(kind.name == over for kind in BUILT_IN) or entries.get(over, {}).get("over") is not None:
            problems.append(f"over: want a type that opens nothing itself, got {shown(over)}")
        if any(other.get("over") == over and other.get("family") != family for other in entries.values()):
            problems.append(f"over: want a type that ends one family, got {shown(over)}, which ends another too")
    return problems


def _schema_problems(schema: Any) -> list[str]:
    """What keeps `schema` from being used; references may only point into it, so nothing is ever fetched."""
    # jsonschema takes as long to import as all else of this room together: only who registers a type pays.
    from jsonschema import Draft202012Validator, SchemaError  # noqa: PLC0415

    if not isinstance(schema, (dict, bool)):
        return [f"schema: want a JSON Schema, got {shown(schema)}"]
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        place = ".".join(["schema", *map(str, error.absolute_path)])
        return [f"{place}: {error.message}"]
    return [
        f"schema: want references that point into the schema, got {shown(reference)}"
        for reference in _references(schema)
        if not _points_inside(schema, reference)
    ]


def _references(schema: Any) -> list[Any]:
    if isinstance(schema, list):
        return [reference for part in schema for reference in _references(part)]
    if not isinstance(schema, dict):
        return []
    own = [value for key, value in schema.items() if key in ("$ref", "$dynamicRef") and not isinstance(value, dict)]
    return own + [reference for part in schema.values() for reference in _references(part)]


def _points_inside(schema: Any, reference: Any) -> bool:
    """Whether a JSON pointer such as `#/$defs/group` leads to something in `schema`."""
    if reference == "#":
        return True
    if not isinstance(reference, str) or not reference.startswith("#/"):
        return False
    place = schema
    for part in reference[2:].split("/"):
        key = part.replace("~1", "/").replace("~0", "~")
        if not isinstance(place, dict) or key not in place:
            return False
        place = place[key]
    return True


def _schema_fault(error: Any) -> Fault:
    path = "data"
    for part in error.absolute_path:
        path += f"[{part}]" if isinstance(part, int) else f".{part}"
    rule = f"what its schema says ({error.validator}: {shown(error.validator_value)})"
    return Fault(path, rule, shown(error.instance))
