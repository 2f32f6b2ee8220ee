"""From attributes and data, whichever mode brought them, to an event.

The order is: clean the data, check the attributes, check the payload, tell the model, derive.
Every fault is collected; only a type that is the single fault makes an event "unknown"
(422) instead of invalid (400).

Numbers: every JSON number in data becomes a float, so that `data.count * 1.5` means the
same for `4` and `4.0`. Integers beyond 2^53, which a float would change, stay integers;
those that do not fit into 64 bits are refused, and so is what overflows a float.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from hashlib import sha256
from typing import Any

from pydantic_core import to_json

from controller.errors import Fault, InvalidEvent
from controller.events.event import OWN_SOURCE, Event, about_key
from controller.events.scalars import (
    byte_length,
    forbidden,
    is_name,
    is_namespace,
    is_uri_reference,
    parse_time,
    shown,
)
from controller.events.types import DRIFT_DETECTED, MODEL_DEPLOYED, MODEL_TRAINED, TEXT_BYTES, EventType, EventTypes
from controller.settings import Sender

MAX_DEPTH = 32
MAX_FAULTS = 20
MAX_EXTENSIONS = 64
EXTENSION_BYTES = 4096

ATTRIBUTES = frozenset({"specversion", "id", "source", "type", "subject", "time", "datacontenttype", "dataschema"})
#: Written anew by each hop of a delivery: they say nothing about what happened.
_TRANSPORT = re.compile(r"traceparent|tracestate|knativeerror[a-z0-9]*")
_EXTENSION_NAME = re.compile(r"[a-z0-9]{1,64}")
_JSON_TYPE = re.compile(r"(?:application|text)/json|[a-z0-9!#$&^_.-]+/[a-z0-9!#$&^_.-]+\+json")
_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]+")
_EXACT = 2**53
_INT64 = 2**63
_WANTED_TEXT = f"a non-empty string of at most {TEXT_BYTES} bytes"
_OWN = frozenset({"model", "namespace", "dataset", "modelVersion"})
_NO_EXTENSIONS: dict[str, str | int | bool] = {}


@dataclass(frozen=True, slots=True)
class Reading:
    """What is the same for all events of one request. `model_pattern` has the groups `model` and `version`."""

    now: datetime
    types: EventTypes
    senders: Mapping[str, Sender]
    model_pattern: re.Pattern[str]


def is_json(media_type: str) -> bool:
    """Whether data of this media type (lower case, without parameters) is JSON."""
    return media_type == "application/json" or _JSON_TYPE.fullmatch(media_type) is not None


def read_event(attributes: Mapping[str, Any], data: Any, reading: Reading, *, prefix: str = "") -> Event:
    """The event, or InvalidEvent with every fault.

    `attributes` are the CloudEvents attributes that are set, by name; `data` is parsed JSON,
    None where there is none. `prefix` stands before the attributes' names in faults (`ce-`).
    """
    faults: list[Fault] = []
    source = _text(attributes, "source", prefix, faults)
    identity = _text(attributes, "id", prefix, faults)
    name = _text(attributes, "type", prefix, faults)
    subject = (_text(attributes, "subject", prefix, faults) or None) if "subject" in attributes else None
    _check_formats(attributes, source, prefix, faults)
    sent, time, marked = _time(attributes, prefix, reading.now, faults)
    extensions = _extensions(attributes, prefix, faults)
    clean = _object(data, faults)
    kind = reading.types.get(name)
    if kind is None:
        if not faults:
            wanted = "a type that is built in, or registered under eventTypes"
            raise InvalidEvent("unknown event type", (Fault(f"{prefix}type", wanted, shown(name)),), status=422)
        kind = EventType(name)
    for field in [key for key, value in clean.items() if value is None and (key in kind.fields or key in _OWN)]:
        del clean[field]  # an optional field that is null is one that is not there
    digest = _digest([source, identity, name, subject, sent], extensions, clean)
    faults.extend(kind.faults(clean))
    namespace = _namespace(clean, reading.senders.get(source), faults)
    model, version = _model_and_version(clean, kind, subject, prefix, reading.model_pattern, faults)
    about = "" if faults else _derive(clean, kind, faults)
    if faults:
        raise InvalidEvent("invalid event", tuple(faults[:MAX_FAULTS]))
    return Event(
        source,
        identity,
        name,
        subject,
        time,
        marked,
        namespace,
        model,
        clean.get("dataset"),
        version,
        kind.family,
        kind.over,
        about,
        clean,
        extensions,
        digest,
    )


def _check_formats(attributes: Mapping[str, Any], source: str, prefix: str, faults: list[Fault]) -> None:
    if attributes.get("specversion") != "1.0":
        faults.append(Fault(f"{prefix}specversion", '"1.0"', _found(attributes, "specversion")))
    if source and not is_uri_reference(source):
        faults.append(Fault(f"{prefix}source", "a URI reference", shown(source)))
    if source == OWN_SOURCE:
        faults.append(Fault(f"{prefix}source", "another source than that of modelmend's own events", shown(source)))
    content_type = attributes.get("datacontenttype")
    if content_type is not None and not is_json(str(content_type).partition(";")[0].strip().lower()):
        faults.append(Fault(f"{prefix}datacontenttype", "application/json", shown(content_type)))


def _object(data: Any, faults: list[Fault]) -> dict[str, Any]:
    if type(data) is dict:
        clean: dict[str, Any] = _clean(data, "data", 0, faults)
        return clean
    if data is not None:
        faults.append(Fault("data", "an object", shown(data)))
    return {}


def _namespace(clean: dict[str, Any], sender: Sender | None, faults: list[Fault]) -> str | None:
    """The namespace that data names, else the sender's."""
    dataset, namespace = clean.get("dataset"), clean.get("namespace")
    if dataset is not None and not is_name(dataset):
        faults.append(Fault("data.dataset", "a name", shown(dataset)))
    if namespace is None:
        return None if sender is None else sender.namespace
    if not is_namespace(namespace):
        faults.append(Fault("data.namespace", "a namespace (a DNS label)", shown(namespace)))
        return None
    return str(namespace)


def _found(attributes: Mapping[str, Any], name: str) -> str:
    return shown(attributes[name]) if name in attributes else "nothing"


def _text(attributes: Mapping[str, Any], name: str, prefix: str, faults: list[Fault]) -> str:
    """The attribute as bounded text, '' with a fault where it is none."""
    value = attributes.get(name)
    if type(value) is not str or not value or (len(value) > TEXT_BYTES // 4 and byte_length(value) > TEXT_BYTES):
        faults.append(Fault(prefix + name, _WANTED_TEXT, _found(attributes, name)))
        return ""
    if not value.isprintable() and (bad := forbidden(value)):
        faults.append(Fault(prefix + name, "text without control characters", bad))
        return ""
    return value


def _time(
    attributes: Mapping[str, Any], prefix: str, now: datetime, faults: list[Fault]
) -> tuple[datetime | None, datetime, bool]:
    """The time as sent, the time that counts, and whether the first lay ahead of the clock."""
    if "time" not in attributes:
        return None, now, False
    sent = parse_time(attributes["time"])
    if sent is None:
        wanted = "an RFC 3339 time with its offset, not before 1970"
        faults.append(Fault(f"{prefix}time", wanted, shown(attributes["time"])))
        return None, now, False
    return (sent, now, True) if sent > now else (sent, sent, False)


def _extensions(attributes: Mapping[str, Any], prefix: str, faults: list[Fault]) -> dict[str, str | int | bool]:
    """What stands beside CloudEvents' own attributes, and `dataschema`, which nothing here reads."""
    if attributes.keys() <= ATTRIBUTES and "dataschema" not in attributes:
        return _NO_EXTENSIONS
    found: dict[str, str | int | bool] = {}
    for name in sorted(attributes.keys() - ATTRIBUTES | (attributes.keys() & {"dataschema"})):
        if len(faults) > MAX_FAULTS:
            break
        value = attributes[name]
        if _EXTENSION_NAME.fullmatch(name) is None:
            wanted = "a name of at most 64 lower-case letters and digits"
            faults.append(Fault(prefix + shown(name)[1:-1], wanted, shown(name)))
        elif type(value) is str:
            if len(value) > EXTENSION_BYTES // 4 and byte_length(value) > EXTENSION_BYTES:
                faults.append(Fault(prefix + name, f"at most {EXTENSION_BYTES} bytes", shown(value)))
            elif bad := forbidden(value):
                faults.append(Fault(prefix + name, "text without control characters", bad))
            found[name] = value
        elif type(value) is bool or (type(value) is int and -(2**31) <= value < 2**31):
            found[name] = value
        else:
            faults.append(Fault(prefix + name, "a string, a boolean or a 32-bit integer", shown(value)))
    if len(found) > MAX_EXTENSIONS:
        faults.append(Fault("extensions", f"at most {MAX_EXTENSIONS}", str(len(found))))
    return found


def _clean(value: Any, path: str, depth: int, faults: list[Fault]) -> Any:
    """`value` with its numbers as float and its keys sorted; what cannot be kept becomes a fault."""
    kind = type(value)
    if kind is not dict and kind is not list:
        kept, wanted, found = _scalar(value)
        if wanted:
            faults.append(Fault(path, wanted, found))
        return kept
    if depth >= MAX_DEPTH:
        faults.append(Fault(path, f"at most {MAX_DEPTH} levels", "more"))
        return None
    if len(faults) > MAX_FAULTS:
        return None
    if kind is list:
        return [_clean(part, f"{path}[{place}]", depth + 1, faults) for place, part in enumerate(value)]
    clean = {}
    for key in sorted(value):
        part = value[key]
        if not key.isprintable() and (bad := forbidden(key)):
            faults.append(Fault(_below(path, key), "a key without control characters", bad))
        # Printable text and finite floats are what most fields hold: no call for them.
        elif (type(part) is str and part.isprintable()) or (type(part) is float and part - part == 0.0):
            clean[key] = part
        else:
            clean[key] = _clean(part, _below(path, key), depth + 1, faults)
    return clean


def _scalar(value: Any) -> tuple[Any, str, str]:
    """The value to keep; where there is none, what was wanted and what was found."""
    if type(value) is str:
        bad = forbidden(value, layout=True)
        return (value, "text without control characters", bad) if bad else (value, "", "")
    if type(value) is float and value - value != 0.0:
        return 0.0, "a finite number", "one that is not"
    if type(value) is int:
        if -_EXACT <= value <= _EXACT:
            return float(value), "", ""
        if not -_INT64 <= value < _INT64:
            return 0.0, "a number that fits into 64 bits", "one that does not"
    return value, "", ""


def _below(path: str, key: str) -> str:
    return f"{path}.{key}" if _PLAIN_KEY.fullmatch(key) else f"{path}[{shown(key)}]"


def _digest(identity: list[Any], extensions: Mapping[str, str | int | bool], clean: dict[str, Any]) -> str:
    """SHA-256 over the content: not over receipt, settings or the mode, nor what each hop adds.

    Extensions are compared as text, since headers know no other type.
    """
    kept = [
        (name, str(value).lower() if type(value) is bool else str(value))
        for name, value in extensions.items()
        if _TRANSPORT.fullmatch(name) is None
    ]
    return sha256(to_json([*identity, kept, clean])).hexdigest()


def _model_and_version(
    clean: dict[str, Any],
    kind: EventType,
    subject: str | None,
    prefix: str,
    pattern: re.Pattern[str],
    faults: list[Fault],
) -> tuple[str | None, str | None]:
    """The model from data.model, else subject, else modelVersion; the version as far as anything tells it.

    None where a dataset stands instead of a model; a subject that is the dataset's name names no model.
    """
    written = clean.get("modelVersion")
    if written is not None and not is_name(written):
        if "modelVersion" not in kind.fields:  # else its own check has said so
            faults.append(Fault("data.modelVersion", "a name", shown(written)))
        written = None
    split = _split(pattern, written) if written is not None else None
    model, path, dataset = clean.get("model"), "data.model", clean.get("dataset")
    if model is None and subject is not None and subject != dataset:
        model, path = subject, f"{prefix}subject"
    elif model is None and split is not None:
        model, path = split["model"], "data.modelVersion"
    if model is None and dataset is not None and kind.name not in (MODEL_DEPLOYED, MODEL_TRAINED):
        return None, written
    if model is None:
        wanted = "a model (in data.model, else subject, else data.modelVersion as in salary-predictor-v5)"
        found = "nothing" if written is None else f"modelVersion {shown(written)}"
        faults.append(Fault(path, wanted, found))
        return "", None
    if not is_name(model):
        faults.append(Fault(path, "a model's name (letters, digits, ._:@+/- and spaces, at most 253)", shown(model)))
        return "", None
    told = clean.get("version", written) if kind.name in (MODEL_DEPLOYED, MODEL_TRAINED) else written
    if type(told) is not str or told != written:
        split = _split(pattern, told) if is_name(told) else None
    return model, split["version"] if split is not None and split["model"] == model else told


@lru_cache(maxsize=4096)
def _split(pattern: re.Pattern[str], told: str) -> re.Match[str] | None:
    return pattern.fullmatch(told)


def _derive(clean: dict[str, Any], kind: EventType, faults: list[Fault]) -> str:
    """Write what follows from valid data into it; what the event is about."""
    if kind.name == DRIFT_DETECTED and "threshold" in clean:
        p_value = clean.get("pValue")
        clean["drifted"] = (
            p_value < clean["threshold"] if p_value is not None else clean["driftScore"] > clean["threshold"]
        )
    if kind.family == "performance" and "metric" in clean:
        clean["metric"] = metric_name(clean["metric"])
    about = about_key(clean, kind.about_keys)
    if len(about) > TEXT_BYTES // 4 and byte_length(about) > TEXT_BYTES:
        fields = " and ".join(f"data.{key}" for key in kind.about_keys)
        faults.append(Fault(fields, f"at most {TEXT_BYTES} bytes in all", str(byte_length(about))))
    return about


_WORD_ENDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_GAPS = re.compile(r"[^a-z0-9]+")


@lru_cache(maxsize=1024)
def metric_name(name: str) -> str:
    """A metric's name in one spelling: `F1Score`, `f1_score` → `f1`; `RocAuc`, `ROC-AUC` → `roc_auc`."""
    words = _GAPS.sub("_", _WORD_ENDS.sub("_", name).lower()).strip("_")
    return words.removesuffix("_score") or name
