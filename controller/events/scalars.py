"""The scalars of the wire: times, names, and what may stand in text."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

NAME_LENGTH = 253  # a DNS subdomain's, which is what Kubernetes lets a name be
SHOWN_LENGTH = 64

_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:([0-9]{2})(?:\.[0-9]{1,12})?(?:[Zz]|[+-][0-9]{2}:[0-9]{2})",
)
# Segments begin with a letter or digit: a name is neither an option (`--help`) nor a path that climbs (`..`).
_SEGMENT = r"[A-Za-z0-9_](?:[A-Za-z0-9._:@+ -]*[A-Za-z0-9._:@+-])?"
_NAME = re.compile(f"{_SEGMENT}(?:/{_SEGMENT})*")
_NAMESPACE = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_URI_REFERENCE = re.compile(r"(?:[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+")
_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
_CONTROL_BUT_LAYOUT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_NOT_UNICODE = re.compile("[\ud800-\udfff]")


def parse_time(text: Any) -> datetime | None:
    """An RFC 3339 time, in UTC and cut to microseconds; None where `text` is none, or lies before 1970.

    A leap second is the second after it, as in POSIX time.
    """
    if type(text) is not str:
        return None
    match = _TIME.fullmatch(text)
    if match is None:
        return None
    leap = match[1] == "60"
    if leap:
        text = f"{text[: match.start(1)]}59{text[match.end(1) :]}"
    try:
        moment = datetime.fromisoformat(text.upper())
        if moment.tzinfo is not UTC:
            moment = moment.astimezone(UTC)
        if leap:
            moment += timedelta(seconds=1)
    except (ValueError, OverflowError):
        return None
    return moment if moment >= _EARLIEST else None


def is_name(value: Any) -> bool:
    """Whether `value` may name a model, a version, a dataset."""
    return type(value) is str and len(value) <= NAME_LENGTH and _is_name(value)


# The same few names come with every event.
@lru_cache(maxsize=4096)
def _is_name(value: str) -> bool:
    return _NAME.fullmatch(value) is not None


@lru_cache(maxsize=1024)
def is_uri_reference(text: str) -> bool:
    """Whether `text` has only what a URI reference (RFC 3986) may hold; bound its length before."""
    return _URI_REFERENCE.fullmatch(text) is not None


def byte_length(text: str) -> int:
    """The length of `text` in UTF-8."""
    return len(text.encode("utf-8", "surrogatepass"))


def is_namespace(value: Any) -> bool:
    """Whether `value` is a namespace as Kubernetes has them: a DNS label."""
    return type(value) is str and _NAMESPACE.fullmatch(value) is not None


def forbidden(text: str, *, layout: bool = False) -> str | None:
    """What of `text` no store and no terminal could carry, by name, else None; `layout` allows tab and line ends."""
    if text.isprintable():
        return None
    control = (_CONTROL_BUT_LAYOUT if layout else _CONTROL).search(text)
    if control is not None:
        return f"the control character U+{ord(control[0]):04X}"
    surrogate = _NOT_UNICODE.search(text)
    return None if surrogate is None else f"the lone surrogate U+{ord(surrogate[0]):04X}"


def shown(value: Any) -> str:
    """`value` as JSON on one line of at most 64 characters, for messages."""
    if value is None:
        return "null"
    if type(value) is float and value.is_integer() and abs(value) < 1e15:
        value = int(value)
    text = json.dumps(value, default=str)
    return text if len(text) <= SHOWN_LENGTH else text[: SHOWN_LENGTH - 1] + "…"
