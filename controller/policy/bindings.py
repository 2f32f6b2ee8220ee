"""What an expression sees of one event, bounded so that no expression can hang or fill the process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from controller.events.event import Event
from controller.policy import cel_native as cel
from controller.policy.model import Model
from controller.policy.serving import normalised
from controller.policy.state import NOTHING, ModelState

MAX_LIST = 1000
MAX_VALUES = 5000
MAX_STRING = 4096
MAX_TEXT = 64 * 1024
MAX_DEPTH = 16
EXACT = 2**53
INT64 = 2**63 - 1
FEW = 4
"""How often a part is made larger before all is given."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much there is to read: values, and characters of text."""

    values: int
    text: int


class Bindings:
    """`event`, `data`, `model` and `now` of one event: made once, used for every policy, by one thread.

    Of `data`, lists are cut to 1,000 items; a string over 4,096 characters, what lies
    deeper than 16, and what comes after 5,000 values or 65,536 characters is left out, and
    so is an absent field for an expression (`left_out` has the names). Whole numbers
    become decimal, since CEL computes no double with an int; beyond 2^53, where a decimal
    would be another number, they stay.
    """

    __slots__ = (
        "_context",
        "_data",
        "_given",
        "_longest",
        "_made",
        "_shown",
        "_sizes",
        "_text",
        "_values",
        "event",
        "left_out",
        "model",
        "now",
    )

    def __init__(
        self, event: Mapping[str, Any], data: Mapping[str, Any], model: Mapping[str, Any], now: datetime
    ) -> None:
        self.event, self.model, self.now = event, model, now
        self.left_out: set[str] = set()
        self._data: Mapping[str, Any] = data
        self._shown: dict[str, Any] | None = None
        self._context: cel.Context | None = None
        self._given: frozenset[str] = frozenset()
        self._made = 0
        self._sizes: dict[str, Size] = {}
        self._values = self._longest = self._text = 0

    @classmethod
    def of(cls, event: Event, model: Model, now: datetime, state: ModelState = NOTHING) -> Bindings:
        """The bindings of a received event about a model (`Model.bare` where no document describes it).

        The event's version is given as the model's own names have it, so that it can be compared.
        """
        version = version_of(event, model, state)
        seen: dict[str, Any] = {"type": event.type, "source": event.source, "time": event.time}
        seen["role"] = state.role(version)
        if version is not None:
            seen["version"] = version
        named = {
            "name": model.name,
            "namespace": model.namespace,
            "labels": model.labels,
            "baseline": model.baseline,
            **state.shown(),
        }
        return cls(seen, event.data, named, now)

    def context(self, reads: frozenset[str]) -> cel.Context:
        """CEL's own form of at least what `reads` names (`Shape.reads`).

        Turning a value into CEL's form costs more than most expressions, so an event that meets
        few of them gives only what they read. An expression cannot tell the difference.
        """
        if self._context is not None and (self._made > FEW or reads <= self._given):
            return self._context
        self._made += 1
        self._given |= reads
        roots: dict[str, Any] = {"event": self.event, "data": self.shown, "model": self.model, "now": self.now}
        self._context = cel.Context(variables=roots if self._made > FEW else _part(roots, self._given))
        return self._context

    @property
    def shown(self) -> Mapping[str, Any]:
        """What of `data` is shown to expressions."""
        if self._shown is None:
            self._shown = self._shown_map(self._data, 0)
        return self._shown

    @property
    def longest(self) -> int:
        """Items of the longest list or map shown."""
        _ = self.shown
        return self._longest

    def size_of(self, reads: tuple[str, ...]) -> Size:
        """How much there is to read in all of `reads`, each counted as often as it stands there."""
        values = text = 0
        for read in reads:
            size = self._sizes.get(read)
            if size is None:
                root, _, name = read.partition(".")
                value = self.shown if root == "data" else getattr(self, root)
                size = self._sizes[read] = _size(value.get(name) if name else value)
            values += size.values
            text += size.text
        return Size(values, text)

    def _shown_map(self, mapping: Mapping[str, Any], depth: int) -> dict[str, Any]:
        shown: dict[str, Any] = {}
        for key, value in mapping.items():
            self._values += 1
            kind = type(value)
            if self._values > MAX_VALUES or len(key) > MAX_STRING:
                self.left_out.add(key[:80])
            elif kind is float or kind is bool or value is None:
                shown[key] = value
            elif kind is int and abs(value) > INT64:
                self.left_out.add(key)
            elif kind is int:
                shown[key] = float(value) if abs(value) <= EXACT else value
            elif kind is str:
                if len(value) > MAX_STRING or self._text + len(value) > MAX_TEXT:
                    self.left_out.add(key)
                else:
                    self._text += len(value)
                    shown[key] = value
            elif depth >= MAX_DEPTH:
                self.left_out.add(key)
            else:
                shown[key] = self._shown_list(value, depth + 1) if kind is list else self._shown_map(value, depth + 1)
        self._longest = max(self._longest, len(shown))
        return shown

    def _shown_list(self, items: list[Any], depth: int) -> list[Any]:
        # An item left out would move the others: the list ends before it instead.
        shown: list[Any] = []
        for item in items[:MAX_LIST]:
            before = len(self.left_out)
            whole = self._shown_map({"": item}, depth)
            if len(self.left_out) > before or "" not in whole:
                break
            shown.append(whole[""])
        self._longest = max(self._longest, len(shown))
        return shown


def version_of(event: Event, model: Model, state: ModelState = NOTHING) -> str | None:
    """The version that an event is about, as the model's own names have it (`versionNames`).

    Told as `salary-predictor-v5`, it is `v5`, unless a version that serves is known by the whole of it.
    """
    written = spellings(event, model)
    return next((version for version in written if state.knows(version)), written[0] if written else None)


def spellings(event: Event, model: Model) -> tuple[str, ...]:
    """All that the version of an event may be called: without the model's name in front of it, and as it was told."""
    if event.version is None:
        return ()
    told = (event.version, *(event.data.get(key) for key in ("modelVersion", "version")))
    whole = (version for version in told if isinstance(version, str) and version.endswith(event.version))
    return tuple(dict.fromkeys(normalised(version, model.version_names) for version in whole))


def _part(roots: Mapping[str, Any], reads: frozenset[str]) -> dict[str, Any]:
    """Of `roots` what `reads` names; a field that is not there stays absent."""
    part: dict[str, Any] = {root: roots[root] for root in reads if root in roots}
    for read in reads:
        root, _, name = read.partition(".")
        if root not in reads:
            fields = part.setdefault(root, {})
            if name in roots[root]:
                fields[name] = roots[root][name]
    return part


def _size(value: Any) -> Size:
    if isinstance(value, str):
        return Size(1, len(value))
    parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    sizes = [_size(part) for part in parts]
    return Size(1 + sum(size.values for size in sizes), sum(size.text for size in sizes))
