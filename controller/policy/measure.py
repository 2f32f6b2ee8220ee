"""What a number must be like for a verdict: CEL over `value`, `before` and `stable`, which are decimal numbers."""

from __future__ import annotations

from collections.abc import Mapping

from controller.policy import cel_native as cel
from controller.policy.cel_checks import Shape
from controller.policy.expression import FOREIGN, ExpressionError, compiled, explained

NUMBERS: Mapping[str, tuple[str, ...] | None] = {"value": (), "before": (), "stable": ()}
"""What such an expression sees; a number that is not known is not there."""
_PROBE = 0.5
_LEVELS = (-1e12, -1.0, 0.0, 0.5, 1.0, 1e12)
"""Numbers of which one at least is bad, whatever is measured: an expression true of all looks at a difference only."""


class Measure:
    """A compiled expression over NUMBERS; equal to another of the same text. Safe to share between threads.

    Raises ValueError, with what is wrong, for a text that cannot be compiled or is never true or false.
    """

    __slots__ = ("_program", "_shape", "source")

    def __init__(self, source: str) -> None:
        self.source = source
        self._shape: Shape
        self._shape, self._program = compiled(source, NUMBERS)
        if self._shape.variable or self._shape.patterns:
            raise ValueError("want a comparison of numbers")
        try:
            self.test(dict.fromkeys(NUMBERS, _PROBE))
        except ExpressionError as error:
            if str(error) != "division by zero":
                raise ValueError(str(error)) from None

    def holds_already(self, before: float) -> bool:
        """Whether it is true of what was before, where it asks more of a number than to be what it was."""
        try:
            return self.test({"value": before, "before": before}) and not all(
                self.test({"value": level, "before": level}) for level in _LEVELS
            )
        except ExpressionError:
            return False

    @property
    def reads(self) -> frozenset[str]:
        """Which of NUMBERS it names."""
        return self._shape.reads

    def test(self, numbers: Mapping[str, float]) -> bool:
        """Its truth for these numbers; raises ExpressionError where one that it needs is not there."""
        absent = sorted(self.reads - set(numbers))
        try:
            value = self._program.execute(cel.Context(variables={name: float(numbers[name]) for name in numbers}))
        except FOREIGN as error:
            raise ExpressionError(f"{absent[0]} is not known" if absent else explained(error)) from error
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
