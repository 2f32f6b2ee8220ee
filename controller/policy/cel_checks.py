r"""What is asked of a CEL expression before it is compiled: no text may hang or kill the process.

The evaluator holds the interpreter's lock, has neither a time limit nor a cost budget,
and dies of some texts (16,000 terms: SIGSEGV; a regular expression is compiled again at
every call: `data.l.exists(i, data.s.matches("\w\w…"))` took 20 s). So the text is bounded
here, and what it is evaluated on in `bindings`. Checked by tokens and not by regular
expressions over the text, so that a `.map(` inside a string is no macro.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import pairwise
from math import prod
from typing import TypeAlias

MAX_BYTES = 2048
MAX_TOKENS = 400
MAX_DEPTH = 24
MAX_MACRO_TOKENS = 64
MAX_MATCHES = 4
MAX_PATTERN = 128
MAX_PATTERN_WEIGHT = 512
_CLASS_WEIGHT = 8  # a Unicode class is a large automaton, and is copied for each count
MAX_PATTERN_IN_MACRO = 64

Roots: TypeAlias = Mapping[str, tuple[str, ...] | None]

ROOTS: Roots = {
    "event": ("type", "source", "time", "version", "role"),
    "model": (
        *("name", "namespace", "labels", "baseline"),
        *("version", "canary", "lastKnownGood", "deployedAt", "trainedAt"),
    ),
    "data": None,
    "now": (),
}
"""What an expression sees, and the fields where they are known beforehand."""

ROLES = ("stable", "canary", "unknown")
"""What `event.role` can be."""
_MACROS = ("map", "filter", "all", "exists", "exists_one")
_FUNCTIONS = (
    *("size", "contains", "startsWith", "endsWith", "matches", "has", "type", "dyn"),
    *("int", "uint", "double", "string", "bytes", "timestamp", "duration"),
    *("getFullYear", "getMonth", "getDayOfYear", "getDayOfMonth", "getDate", "getDayOfWeek"),
    *("getHours", "getMinutes", "getSeconds", "getMilliseconds"),
)
_OPERATOR = re.compile(r"^\W*_.*_\W*$|^!_$|^-_$|^@")

_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\n\f]+|//[^\n]*)
  | (?P<string>(?:[rR][bB]?|[bB][rR])(?:\"{3}[\s\S]*?\"{3}|'{3}[\s\S]*?'{3}|"[^"\n]*"|'[^'\n]*')
             |[bB]?(?:\"{3}(?:\\[\s\S]|[^\\])*?\"{3}|'{3}(?:\\[\s\S]|[^\\])*?'{3}
                     |"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'))
  | (?P<number>0[xX][0-9a-fA-F]+[uU]?|(?:[0-9]+\.[0-9]+|\.[0-9]+|[0-9]+)(?:[eE][+-]?[0-9]+)?[uU]?)
  | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
  | (?P<sign>&&|\|\||==|!=|<=|>=|[-+*/%<>!?:.,()\[\]{}])""",
    re.VERBOSE | re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of the text: `kind` is string, number, name or sign."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Shape:
    """What the evaluation's cost depends on.

    `outer` and `inner` are the values named outside a macro's body, and in it at each time
    round: `data.value`, or `data` where it is not said which of it. `loop` counts how often
    the body names the item at hand, `variable`. `patterns` are the literals given to `matches`.
    """

    variable: str | None
    outer: tuple[str, ...]
    inner: tuple[str, ...]
    loop: int
    reads: frozenset[str]
    patterns: tuple[str, ...]


def checked_shape(source: str, roots: Roots = ROOTS) -> Shape:
    """The shape of a text that may name `roots`; raises ValueError where it may not be compiled."""
    if not source.strip():
        raise ValueError("the expression is empty")
    if len(source.encode(errors="replace")) > MAX_BYTES:
        raise ValueError(f"the expression is longer than {MAX_BYTES} bytes")
    tokens = list(read_tokens(source))
    if len(tokens) > MAX_TOKENS:
        raise ValueError(f"the expression has more than {MAX_TOKENS} words and signs")
    _check_depth(tokens)
    start, end = _macro(tokens, roots)
    body = tokens[start:end]
    variables = {body[0].text} if body else set()
    patterns = _patterns(tokens, in_macro=bool(body))
    _check_names(tokens, variables, roots)
    _check_arithmetic(tokens)
    reads = list(_reads(tokens, roots))
    inner = tuple(read for at, read in reads if start <= at < end)
    outer = tuple(read for at, read in reads if not start <= at < end)
    loop = sum(1 for token in body[1:] if token.text in variables)
    variable = body[0].text if body else None
    return Shape(variable, outer, inner, loop, frozenset(outer + inner), patterns)


def check_functions(names: list[str]) -> None:
    """Raise ValueError where a compiled expression calls what CEL has not."""
    for name in names:
        if name not in _FUNCTIONS and not _OPERATOR.match(name):
            raise ValueError(f'unknown function "{name}"{_meant(name, (*_FUNCTIONS, *_MACROS))}')


def check_variables(names: list[str], shape: Shape, roots: Roots) -> None:
    """Raise ValueError for a variable that the tokens did not show: one under an unusual spelling."""
    for name in names:
        if name not in roots and name not in _TYPES and name != shape.variable:
            raise ValueError(f'unknown variable "{name}"')


def read_tokens(source: str) -> Iterator[Token]:
    """The pieces of a text; raises ValueError where it cannot be read."""
    at = 0
    while at < len(source):
        match = _TOKEN.match(source, at)
        if match is None or match.lastgroup is None:
            raise ValueError(f"cannot read {source[at : at + 20]!r}")
        at = match.end()
        if match.lastgroup != "space":
            yield Token(match.lastgroup, match[0])


def _check_depth(tokens: list[Token]) -> None:
    depth = run = 0
    for token in tokens:
        depth += (token.text in ("(", "[", "{", "?")) - (token.text in (")", "]", "}"))
        run = run + 1 if token.text in ("!", "-") else 0
        if max(depth, run) > MAX_DEPTH:
            raise ValueError(f"the expression is nested deeper than {MAX_DEPTH}")


def _macro(tokens: list[Token], roots: Roots) -> tuple[int, int]:
    """Where the body of the one macro begins and ends, from its loop variable on; (0, 0) without one."""
    starts = [
        at
        for at in range(2, len(tokens))
        if tokens[at].text == "(" and tokens[at - 1].text in _MACROS and tokens[at - 2].text == "."
    ]
    if not starts:
        return 0, 0
    if len(starts) > 1:
        raise ValueError(f"at most one of {', '.join(_MACROS)} in an expression")
    name, start, end = tokens[starts[0] - 1].text, starts[0] + 1, _closing(tokens, starts[0])
    if end - start > MAX_MACRO_TOKENS:
        raise ValueError(f"the body of {name} has more than {MAX_MACRO_TOKENS} words and signs")
    if end == start or tokens[start].text in roots:
        variable = "nothing" if end == start else f'"{tokens[start].text}"'
        raise ValueError(f"want a name of its own for the variable of {name}, got {variable}")
    return start, end


def _closing(tokens: list[Token], opening: int) -> int:
    depth = 0
    for at in range(opening, len(tokens)):
        depth += (tokens[at].text in ("(", "[", "{")) - (tokens[at].text in (")", "]", "}"))
        if depth == 0:
            return at
    raise ValueError('a "(" is not closed')


def _patterns(tokens: list[Token], *, in_macro: bool) -> tuple[str, ...]:
    """The literals given to `matches`; one that comes from an event could be of any size."""
    calls = [at for at, (name, sign) in enumerate(pairwise(tokens)) if (name.text, sign.text) == ("matches", "(")]
    if len(calls) > MAX_MATCHES:
        raise ValueError(f"at most {MAX_MATCHES} calls of matches in an expression")
    found = []
    for at in calls:
        end = _closing(tokens, at + 1)
        pattern = tokens[end - 1]
        if pattern.kind != "string" or tokens[end - 2].text not in ("(", ","):
            raise ValueError("want the pattern of matches as a literal string")
        _check_pattern(pattern.text, in_macro=in_macro)
        found.append(pattern.text)
    return tuple(found)


def _check_pattern(literal: str, *, in_macro: bool) -> None:
    try:
        pattern = ast.literal_eval(literal)
    except (SyntaxError, ValueError):
        pattern = None
    if not isinstance(pattern, str):
        raise ValueError("want the pattern of matches as a plain string, as in r'^v[0-9]+$'")
    classes = len(re.findall(r"\\[wWdDsSpPbB]|\[\^|\(\?", pattern))
    counts = [max(map(int, re.findall("[0-9]+", each)), default=1) for each in re.findall(r"\{([0-9, ]*)\}", pattern)]
    states = (prod(counts) if "(" in pattern else sum(counts)) or 1
    if len(pattern) > MAX_PATTERN or states * (1 + _CLASS_WEIGHT * classes) > MAX_PATTERN_WEIGHT:
        raise ValueError("the pattern of matches is too large")
    if in_macro and (classes or counts or len(pattern) > MAX_PATTERN_IN_MACRO):
        raise ValueError(r"inside a macro want a short pattern without classes such as \w and without counts")


def _check_names(tokens: list[Token], variables: set[str], roots: Roots) -> None:
    for at, token in enumerate(tokens):
        before = tokens[at - 1].text if at else ""
        after = tokens[at + 1].text if at + 1 < len(tokens) else ""
        if token.kind != "name" or before == "." or after == "(" or token.text in ("true", "false", "null", "in"):
            continue
        if after == "{":
            raise ValueError(f'"{token.text} {{…}}" is not supported')
        if after == ":" and before in ("{", ","):
            continue
        if token.text in variables or token.text in _TYPES:
            continue
        if token.text not in roots:
            raise ValueError(f'unknown variable "{token.text}"{_meant(token.text, tuple(roots))}')
        fields = roots[token.text]
        called = at + 3 < len(tokens) and tokens[at + 3].text == "("
        if (
            fields is not None
            and after == "."
            and not called
            and at + 2 < len(tokens)
            and tokens[at + 2].text not in fields
        ):
            _refuse_field(token.text, tokens[at + 2].text, fields)
        if token.text == "event" and [piece.text for piece in tokens[at + 1 : at + 3]] == [".", "role"]:
            _check_role(tokens[at + 3 : at + 5])


def _check_role(compared: list[Token]) -> None:
    """Refuse a role that no event has, where it is compared with a plain literal."""
    if len(compared) < 2 or compared[0].text not in ("==", "!=") or compared[1].kind != "string":
        return
    literal = compared[1].text
    if not any(quote + role + quote == literal for role in ROLES for quote in ("'", '"')):
        raise ValueError(f"event.role is {', '.join(ROLES[:-1])} or {ROLES[-1]}, never {literal}")


_TYPES = ("int", "uint", "double", "string", "bytes", "bool", "list", "map", "null_type", "timestamp", "duration")


def _refuse_field(root: str, name: str, fields: tuple[str, ...]) -> None:
    raise ValueError(
        f'unknown field "{root}.{name}"{_meant(name, fields)}; {root} has {", ".join(fields) or "no fields"}'
    )


def _reads(tokens: list[Token], roots: Roots) -> Iterator[tuple[int, str]]:
    for at, token in enumerate(tokens):
        if token.kind != "name" or token.text not in roots or (at and tokens[at - 1].text == "."):
            continue
        named = (
            token.text != "now"
            and at + 2 < len(tokens)
            and tokens[at + 1].text == "."
            and tokens[at + 2].kind == "name"
        )
        called = at + 3 < len(tokens) and tokens[at + 3].text == "("
        yield at, f"{token.text}.{tokens[at + 2].text}" if named and not called else token.text


def _check_arithmetic(tokens: list[Token]) -> None:
    """Numbers of events are doubles, and CEL multiplies no double by a whole number."""
    for at, token in enumerate(tokens):
        if token.text not in ("+", "-", "*", "/") or not 0 < at < len(tokens) - 1:
            continue
        left, right = tokens[at - 1], tokens[at + 1]
        follows_path = left.kind == "name" and _path_root(tokens, at - 1) in ("data", "model")
        if follows_path and _whole(right):
            raise ValueError(f"numbers of events and baselines are decimal: write {right.text}.0, not {right.text}")
        binds_left = at >= 2 and tokens[at - 2].text in (".", "*", "/", "%", "[")
        if _whole(left) and not binds_left and right.text == "data":
            raise ValueError(f"numbers of events and baselines are decimal: write {left.text}.0, not {left.text}")


def _whole(token: Token) -> bool:
    return token.kind == "number" and token.text.isdigit()


def _path_root(tokens: list[Token], at: int) -> str:
    while at >= 2 and tokens[at - 1].text == "." and tokens[at - 2].kind == "name":
        at -= 2
    return tokens[at].text


def _meant(found: str, known: tuple[str, ...]) -> str:
    near = get_close_matches(found, known, n=1)
    return f', did you mean "{near[0]}"?' if near else ""
