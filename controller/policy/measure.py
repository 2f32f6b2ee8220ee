"""What a number must be like for a verdict: CEL over `value`, `before` and `stable`, which are decimal numbers."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any

from controller.policy import cel_native as cel
from controller.policy.arithmetic import divisors, sums
from controller.policy.cel_checks import Shape
from controller.policy.expression import FOREIGN, ExpressionError, compiled, explained

NUMBERS: Mapping[str, tuple[str, ...] | None] = {"value": (), "before": (), "stable": ()}
"""What such an expression sees; a number that is not known is not there."""
_PROBE = {"value": 0.5, "before": 0.3, "stable": 0.2}
_LEVELS = (-1e12, -1.0, 0.0, 0.5, 1.0, 1e12)
"""Numbers of which one at least is bad, whatever is measured: an expression true of all looks at a difference only."""


class _NotFiniteError(ExpressionError):
    """A number on the way to the answer is not one: a division by zero, infinity."""


class Measure:
    """A compiled expression over NUMBERS; equal to another of the same text. Safe to share between threads.

    Raises ValueError, with what is wrong, for a text that cannot be compiled or is never true or false.
    """

    __slots__ = ("_divisors", "_program", "_shape", "_sums", "source")

    def __init__(self, source: str) -> None:
        self.source = source
        self._shape: Shape
        self._shape, self._program = compiled(source, NUMBERS)
        if self._shape.variable or self._shape.patterns:
            raise ValueError("want a comparison of numbers")
        self._divisors = [compiled(part, NUMBERS)[1] for part in divisors(source)]
        self._sums = [compiled(part, NUMBERS)[1] for part in sums(source)]
        try:
            self.test(_PROBE)
        except _NotFiniteError:
            pass
        except ExpressionError as error:
            raise ValueError(str(error)) from None

    def holds_already(self, before: float) -> bool:
        """Whether it is true of what was before, where it asks more of a number than to be what it was."""
        return self._true_of(before) is True and any(self._true_of(level) is False for level in _LEVELS)

    def _true_of(self, unmoved: float) -> bool | None:
        """Its truth where the number is what it was before; None: it has none."""
        try:
            return self.test({"value": unmoved, "before": unmoved})
        except ExpressionError:
            return None

    @property
    def reads(self) -> frozenset[str]:
        """Which of NUMBERS it names."""
        return self._shape.reads

    def test(self, numbers: Mapping[str, float]) -> bool:
        """Its truth for these numbers; raises ExpressionError where it has none.

        It has none where one that it reads is not there, whether or not the rest would do, and where a
        division by zero or an infinite number is anywhere in it: neither may ever become a proof.
        """
        if absent := sorted(self.reads - set(numbers)):
            raise ExpressionError(f"{absent[0]} is not known")
        context = cel.Context(variables={name: float(numbers[name]) for name in numbers})
        if not all(isfinite(numbers[name]) for name in self.reads):
            raise _NotFiniteError("not a finite number")
        if any(_result(part, context) == 0 for part in self._divisors):
            raise _NotFiniteError("division by zero")
        for part in self._sums:
            found = _result(part, context)
            if isinstance(found, float) and not isfinite(found):
                raise _NotFiniteError("not a finite number")
        value = _result(self._program, context)
        if value is True or value is False:
            return value
        raise ExpressionError("want an expression that is true or false")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Measure) and other.source == self.source

    def __hash__(self) -> int:
        return hash(self.source)

    def __repr__(self) -> str:
        return f"Measure({self.source!r})"

    def __reduce__(self) -> tuple[type[Measure], tuple[str]]:
        return Measure, (self.source,)


def _result(program: Any, context: Any) -> Any:
    try:
        return program.execute(context)
    except FOREIGN as error:
        raise ExpressionError(explained(error)) from error
