"""Reading a document's values: each with its place, each fault said once and all of them together."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from difflib import get_close_matches
from typing import Any

from controller.durations import parse_duration
from controller.events.scalars import shown
from controller.policy.expression import Expression
from controller.policy.keys import KEYS, LATER
from controller.policy.measure import Measure
from controller.policy.promql import Query

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
MAX_ITEMS = 256
MAX_DEPTH = 32
"""Levels of maps and lists in a document: readers recurse."""
MAX_WHOLE = 1_000_000_000


class Place:
    """A value and the path to it. Readers return a stand-in of the right type where it is wrong.

    `faults` is shared by all places of a document; whoever reads must look at it in the end.
    """

    __slots__ = ("faults", "path", "value")

    def __init__(self, value: Any, path: str, faults: list[str]) -> None:
        self.value, self.path, self.faults = value, path, faults

    def refuse(self, message: str) -> None:
        """Note what is wrong here."""
        self.faults.append(f"{self.path}: {message}")

    def want(self, wanted: str) -> None:
        """Note what was wanted here instead of what is found."""
        if isinstance(self.value, dict | list):
            found = ("a " if self.value else "an empty ") + ("map" if isinstance(self.value, dict) else "list")
        else:
            found = shown(self.value)
        self.refuse(f"want {wanted}, got {found}")

    def bounded(self, levels: int = MAX_DEPTH) -> bool:
        """Whether nothing here is nested deeper than `levels`; where it first is, is noted."""
        if not isinstance(self.value, dict | list):
            return True
        if not levels:
            self.refuse(f"want at most {MAX_DEPTH} levels of nesting in a document")
            return False
        if isinstance(self.value, list):
            parts = [(f"[{at}]", part) for at, part in enumerate(self.value)]
        else:
            parts = [(f".{key}" if self.path else key, part) for key, part in self.value.items()]
        return all(Place(part, f"{self.path}{step}", self.faults).bounded(levels - 1) for step, part in parts)

    def fields(self, *kinds: str, later: str | None = None) -> Fields:
        """The value as a map that holds only keys of `kinds` (`keys.KEYS`)."""
        return Fields(self, tuple(key for kind in kinds for key in KEYS[kind]), LATER.get(later or kinds[0], ()))

    def items(self, wanted: str) -> list[Place]:
        """The places of a list that holds something."""
        if not isinstance(self.value, list) or not self.value:
            self.want(f"a list of {wanted}")
            return []
        if len(self.value) > MAX_ITEMS:
            self.refuse(f"want at most {MAX_ITEMS} {wanted}, got {len(self.value)}")
            return []
        return [Place(item, f"{self.path}[{at}]", self.faults) for at, item in enumerate(self.value)]

    def entries(self, wanted: str) -> list[tuple[str, Place]]:
        """Key and place of each entry of a map with keys of the writer's own."""
        if not isinstance(self.value, dict):
            self.want(f"a map of {wanted}")
            return []
        return [(key, Place(value, f"{self.path}.{key}", self.faults)) for key, value in self.value.items()]

    def text(self, wanted: str = "a string") -> str:
        """A string that is not empty and holds no NUL."""
        if isinstance(self.value, str) and self.value and "\0" not in self.value:
            return self.value
        self.want(wanted)
        return ""

    def label(self) -> str:
        """A name as Kubernetes has them (DNS-1123): part for part of letters, digits and `-`."""
        name = self.value
        if isinstance(name, str) and len(name) <= 253 and all(_LABEL.fullmatch(part) for part in name.split(".")):
            return name
        self.want('a name of lower-case letters, digits, "-" and "."')
        return ""

    def namespace(self) -> str:
        """A namespace: one DNS label."""
        if isinstance(self.value, str) and _LABEL.fullmatch(self.value):
            return self.value
        self.want('a namespace of lower-case letters, digits and "-", at most 63')
        return ""

    def one_of(self, *words: str, later: tuple[str, ...] = ()) -> Any:
        """One of `words`; the first stands in."""
        if self.value in later:
            self.refuse(f'"{self.value}" is not supported yet, want {either(words)}')
        elif isinstance(self.value, str) and self.value in words:
            return self.value
        else:
            self.want(either(words))
        return words[0]

    def flag(self) -> bool:
        """True or false."""
        if not isinstance(self.value, bool):
            self.want("true or false")
        return self.value is True

    def whole(self, at_least: int) -> int:
        """A whole number of `at_least` or more."""
        number = self.value
        if isinstance(number, int) and not isinstance(number, bool) and at_least <= number <= MAX_WHOLE:
            return number
        self.want(f"a whole number of {at_least} or more")
        return at_least

    def number(self) -> float:
        """A finite number."""
        if isinstance(self.value, int | float) and not isinstance(self.value, bool) and abs(self.value) < 1e300:
            return float(self.value)
        self.want("a number")
        return 0.0

    def duration(self, *, zero: bool = False) -> timedelta:
        """A duration, positive unless `zero` is allowed."""
        if not isinstance(self.value, str):
            self.want("a duration such as 30s, 15m, 1h30m or 7d")
            return timedelta()
        try:
            length = parse_duration(self.value)
        except ValueError as error:
            self.refuse(str(error))
            return timedelta()
        if not length and not zero:
            self.want("a positive duration")
        return length

    def expression(self) -> Expression | None:
        """A CEL expression, compiled."""
        source = self.text("an expression in quotes")
        if not source:
            return None
        try:
            return Expression(source)
        except ValueError as error:
            self.refuse(str(error))
            return None

    def measure(self) -> Measure | None:
        """An expression over value, before and stable."""
        source = self.text("an expression in quotes")
        try:
            return Measure(source) if source else None
        except ValueError as error:
            self.refuse(str(error))
            return None

    def query(self) -> Query | None:
        """A PromQL query."""
        text = self.text("a PromQL query in quotes")
        try:
            return Query.of(text) if text else None
        except ValueError as error:
            self.refuse(str(error))
            return None

    def condition(self) -> Expression | None:
        """An expression that can be true or false."""
        expression = self.expression()
        if expression is not None and not expression.can_be_true_or_false:
            self.want("an expression that is true or false")
        return expression


class Fields:
    """A map of a document, whose unknown keys were noted when it was opened."""

    __slots__ = ("_meant", "_values", "place")

    def __init__(self, place: Place, known: tuple[str, ...], later: tuple[str, ...]) -> None:
        self.place = place
        self._values: Mapping[str, Any] = place.value if isinstance(place.value, dict) else {}
        self._meant: set[str] = set()
        if not isinstance(place.value, dict):
            place.want("a map")
        for key in self._values:
            if key not in known:
                self._refuse_unknown(key, known, later)

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def __bool__(self) -> bool:
        return bool(self._values)

    def at(self, key: str) -> Place:
        """The place of `key`, there or not."""
        path = f"{self.place.path}.{key}" if self.place.path else key
        return Place(self._values.get(key), path, self.place.faults)

    def get(self, key: str) -> Place | None:
        """The place of `key` where it is written."""
        return self.at(key) if key in self._values else None

    def need(self, key: str, wanted: str) -> Place | None:
        """The place of `key`; noted as missing where neither it nor a misspelling of it is written."""
        if key not in self._values and key not in self._meant and isinstance(self.place.value, dict):
            self.at(key).refuse(f"want {wanted}, got nothing")
        return self.get(key)

    def _refuse_unknown(self, key: str, known: tuple[str, ...], later: tuple[str, ...]) -> None:
        near = get_close_matches(key, known, n=1) or [name for name in known if name.lower() == key.lower()]
        if key in later:
            self.at(key).refuse("not supported yet")
        elif near:
            self._meant.add(near[0])
            self.at(key).refuse(f'unknown key, did you mean "{near[0]}"?')
        else:
            self.at(key).refuse(f"unknown key, want {either(known)}")


def either(words: Sequence[str]) -> str:
    """`a`, `a or b`, `a, b or c`."""
    return f"{', '.join(words[:-1])} or {words[-1]}" if len(words) > 1 else words[0]
