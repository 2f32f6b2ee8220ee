"""CEL expressions: compiled and checked when a document is loaded, evaluated on one event's bindings."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from functools import lru_cache
from typing import Any

from controller.errors import ModelmendError
from controller.policy import cel_native as cel
from controller.policy.bindings import Bindings
from controller.policy.cel_checks import (
    MAX_TOKENS,
    ROOTS,
    Roots,
    Shape,
    check_functions,
    check_variables,
    checked_shape,
)

MAX_VALUES = 500_000
"""Values that one evaluation may touch or give, by its shape: 0.3 s and 150 MB at worst."""
MAX_TEXT = 16_000_000
"""Likewise characters of text."""
_MANY = 16

FOREIGN = (KeyError, TypeError, ValueError, RuntimeError, ArithmeticError, LookupError)
"""What an evaluation may raise."""


class ExpressionError(ModelmendError):
    """An expression has no value for this event; the message names the field that is not there."""


class Expression:
    """A compiled CEL expression; equal to another of the same text. Safe to share between threads.

    Raises ValueError, with what is wrong, for a text that cannot be or may not be compiled.
    """

    __slots__ = ("_program", "_shape", "source")

    def __init__(self, source: str) -> None:
        self.source = source
        self._shape, self._program = compiled(source, ROOTS)

    def evaluate(self, bindings: Bindings) -> Any:
        """The value on one event, as Python's; raises ExpressionError where it has none."""
        shape = self._shape
        if shape.variable or len(shape.outer) > _MANY:
            self._refuse_too_much(bindings)
        try:
            return self._program.execute(bindings.context(shape.reads))
        except FOREIGN as error:
            raise ExpressionError(explained(error, bindings.left_out)) from error

    def test(self, bindings: Bindings) -> bool:
        """The truth of the expression; raises ExpressionError where its value is no true or false."""
        value = self.evaluate(bindings)
        if value is True or value is False:
            return value
        raise ExpressionError(f"want true or false, got {_kind(value)}")

    @property
    def can_be_true_or_false(self) -> bool:
        """False where it is known beforehand to be something else: a constant that is no truth value."""
        if self._shape.reads:
            return True
        value = self._program.execute(cel.Context())
        return value is True or value is False

    def _refuse_too_much(self, bindings: Bindings) -> None:
        shape, rounds = self._shape, max(bindings.longest, MAX_TOKENS)
        outer = bindings.size_of(shape.outer)
        inner = bindings.size_of(shape.inner)
        # the items of a list are parts of what is named outside: together they are no more than that
        values = outer.values * (1 + shape.loop) + inner.values * rounds
        text = outer.text * (1 + shape.loop) + inner.text * rounds
        if values > MAX_VALUES or text > MAX_TEXT:
            raise ExpressionError("the event is too large for this expression")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Expression) and other.source == self.source

    def __hash__(self) -> int:
        return hash(self.source)

    def __repr__(self) -> str:
        return f"Expression({self.source!r})"

    def __reduce__(self) -> tuple[type[Expression], tuple[str]]:
        return Expression, (self.source,)


def compiled(source: str, roots: Roots) -> tuple[Shape, Any]:
    """The shape and program of a text that may name `roots`; raises ValueError where there is none."""
    return _compiled(source, tuple(roots.items()))


@lru_cache(maxsize=4096)
def _compiled(source: str, known: tuple[tuple[str, tuple[str, ...] | None], ...]) -> tuple[Shape, Any]:
    roots = dict(known)
    shape = checked_shape(source, roots)
    try:
        program = cel.compile(source)
    except ValueError as error:
        raise ValueError(_syntax(error)) from None
    except BaseException as error:
        # The parser's panic is a BaseException of its own; the two that are not its own pass.
        if isinstance(error, KeyboardInterrupt | SystemExit):
            raise
        raise ValueError("the expression cannot be compiled") from None
    references = program.references()
    check_variables(references["variables"], shape, roots)
    check_functions(references["functions"])
    for pattern in shape.patterns:
        _try_constant(cel.compile(f'"".matches({pattern})'))
    if not references["variables"]:
        _try_constant(program)
    return shape, program


def _try_constant(program: Any) -> None:
    try:
        program.execute(cel.Context())
    except FOREIGN as error:
        raise ValueError(explained(error)) from None


def _syntax(error: ValueError) -> str:
    """The parser's first complaint, without the text that it repeats."""
    _, _, found = str(error).partition("ERROR: <input>:")
    place, _, complaint = found.partition("\n")[0].partition(": ")
    complaint = complaint.removeprefix("Syntax error: ").partition(" expecting {")[0]
    return _short(f"syntax error at {place}: {complaint}") if place else "the expression cannot be compiled"


def explained(error: Exception, left_out: AbstractSet[str] = frozenset()) -> str:
    """What an evaluation failed of, in words."""
    if isinstance(error, KeyError):
        field = str(error.args[0]) if error.args else ""
        if field in left_out:
            return f'field "{field}" is too large to be shown to an expression'
        return f'no field "{field}"'
    if isinstance(error, ZeroDivisionError):
        return "division by zero"
    text = str(error)
    if isinstance(error, TypeError):
        if text.startswith("Unsupported operation: "):
            operation = text.removeprefix("Unsupported operation: ").partition(". CEL")[0]
            return f"cannot compute {operation}: numbers of events are decimal, write 2.0 and not 2"
        return "an operator does not fit the types of its values"
    if isinstance(error, RuntimeError) and " not a valid regex" in text:
        return f"not a regular expression: {_short(text).rpartition('error: ')[2].rstrip('.')}"
    if isinstance(error, RuntimeError) and text.startswith("Function '"):
        name = text.split("'")[1]
        return f"{name} cannot read what it was given"
    if "Undefined variable or function" in text:
        name = text.partition("'")[2].partition("'")[0]
        return f"{name} cannot be asked of a value of this type"
    return _short(text)


def _short(text: str) -> str:
    line = " ".join(text.split()).removesuffix(" Check function arguments and their types.")
    return line if len(line) <= 160 else line[:159] + "…"


def _kind(value: Any) -> str:
    names = {str: "a string", float: "a number", int: "a number", list: "a list", dict: "a map", type(None): "null"}
    return names.get(type(value), type(value).__name__)
