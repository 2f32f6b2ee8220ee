"""A PromQL query as an operator writes it: `$names` in its strings, and how far back it looks.

Only what that needs is read: words, brackets and strings. Whether Prometheus accepts the rest
is Prometheus's to say.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from difflib import get_close_matches

from controller.durations import LONGEST, format_duration, parse_duration

NAMES = ("model", "namespace", "version")
"""What `$name` may be."""
MAX_QUERY = 4096
"""Characters of a query."""

_TOKEN = re.compile(
    r"""(?P<space>\s+|\#[^\n]*)
  | (?P<string>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`[^`]*`)
  | (?P<range>\[[^\[\]]*\])
  | (?P<number>(?:[0-9]+(?:ms|[smhdwy]))+|0[xX][0-9a-fA-F]+|(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?)
  | (?P<name>[A-Za-z_:][A-Za-z0-9_:.]*)
  | (?P<sign>=~|!~|!=|==|>=|<=|[-+*/%^<>=(){},@])""",
    re.VERBOSE,
)
_NAME = re.compile(r"\$(\{)?(?P<name>[A-Za-z_]\w*)(?(1)\})")
_UNCLOSED = re.compile(r"\$\{[A-Za-z_]\w*(?![\w}])")
_CLASS = re.compile(r"\[(?:\^[^\[\]\\]+|[^\^\[\]\\][^\[\]\\]*)\]")
"""A whole class of a regular expression, as `[0-9]` or `[^a-z]`, without anything hard in it."""
_MATCHES = ("=~", "!~")
_BETWEEN = frozenset({"+", "-", "*", "/", "%", "^", "==", "!=", ">", "<", ">=", "<=", ","})
_BETWEEN_WORDS = frozenset({"and", "or", "unless", "atan2"})
_GROUPING = frozenset({"by", "without", "on", "ignoring", "group_left", "group_right"})
_RE2 = re.compile(r"[\\.+*?()|\[\]{}^$]")


class Unfillable(ValueError):
    """A query cannot be asked: one of its names has no value, or one that no label can have."""


@dataclass(frozen=True, slots=True)
class Query:
    """A checked query.

    :ivar names: which of NAMES it has.
    :ivar reach: how far back from its time it looks, by its range selectors, subqueries and offsets.
    """

    text: str
    names: frozenset[str]
    reach: timedelta

    @classmethod
    def of(cls, text: str) -> Query:
        """Read a query; raises ValueError with what is wrong."""
        tokens = list(_tokens(text))
        return cls(text, frozenset(_names(tokens)), _reach(tokens))


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    at: int


def fill(text: str, values: Mapping[str, str]) -> str:
    """A good query with its names replaced, escaped for where they stand; raises Unfillable."""
    filled, end, before = [], 0, ""
    for token in _tokens(text):
        if token.kind == "string":
            filled += [text[end : token.at], _NAME.sub(_filler(values, token, before), token.text)]
            end = token.at + len(token.text)
        before = token.text
    return "".join([*filled, text[end:]])


def _filler(values: Mapping[str, str], token: _Token, before: str) -> Callable[[re.Match[str]], str]:
    quote = token.text[0]

    def value(match: re.Match[str]) -> str:
        found = values.get(match["name"])
        if not found:
            raise Unfillable(f"${match['name']} is not known")
        if any(0xD800 <= ord(character) < 0xE000 for character in found):  # half of a character: no UTF-8
            raise Unfillable(f"${match['name']} is no text")
        literal = _RE2.sub(r"\\\g<0>", found) if before in _MATCHES else found
        return literal.replace("\\", "\\\\").replace(quote, f"\\{quote}").replace("\n", "\\n")

    return value


def _tokens(text: str) -> Iterator[_Token]:
    if len(text) > MAX_QUERY:
        raise ValueError(f"the query is longer than {MAX_QUERY} characters")
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            if text[at] == "$":
                raise ValueError(f"cannot read {text[at : at + 20]!r}: $names stand in quoted strings")
            raise ValueError(f"cannot read {text[at : at + 20]!r}")
        if match.lastgroup != "space":
            yield _Token(match.lastgroup, match[0], at)
        at = match.end()


def _names(tokens: list[_Token]) -> Iterator[str]:
    for token, before in zip(tokens, ["", *(token.text for token in tokens)], strict=False):
        if token.kind != "string":
            continue
        if unclosed := _UNCLOSED.search(token.text):
            raise ValueError(f'want "{unclosed[0]}}}", got "{unclosed[0]}" without the closing brace')
        for match in _NAME.finditer(token.text):
            if match["name"] not in NAMES:
                near = get_close_matches(match["name"], NAMES, n=1)
                meant = f', did you mean "${near[0]}"?' if near else f"; there are ${', $'.join(NAMES)}"
                raise ValueError(f'unknown name "{match[0]}"{meant}')
            if token.text[0] == "`":
                raise ValueError(f'want "{match[0]}" in double quotes: in a raw string nothing can be escaped')
            _check_place(match, token.text[: match.start()], in_regex=before in _MATCHES)
            yield match["name"]


def _check_place(name: re.Match[str], before: str, *, in_regex: bool) -> None:
    """Raises ValueError where what stands `before` a name in its string would undo the escaping of its value."""
    if before.endswith("\\"):
        raise ValueError(f'want "{name[0]}" without a backslash before it')
    if in_regex and "[" in _CLASS.sub("", before):
        raise ValueError(f'want "{name[0]}" outside of "[…]"')
    if in_regex and "\\Q" in before:
        raise ValueError(f'want "{name[0]}" without "\\Q" before it: it is quoted already')


class _Operands:
    """How far back what was read so far looks: of each open bracket the operand at hand, and the most before it."""

    def __init__(self) -> None:
        self._outer: list[tuple[timedelta, timedelta]] = []
        self._operand = self._most = timedelta()

    @property
    def reach(self) -> timedelta:
        """Of the whole; raises ValueError where a bracket is still open."""
        if self._outer:
            raise ValueError('a "(" is not closed')
        return max(self._operand, self._most)

    def open(self) -> None:
        self._outer.append((self._operand, self._most))
        self._operand = self._most = timedelta()

    def close(self) -> None:
        if not self._outer:
            raise ValueError('a ")" closes nothing')
        inner = max(self._operand, self._most)
        self._operand, self._most = self._outer.pop()
        self._operand = max(self._operand, inner)

    def next(self) -> None:
        """An operator: another operand begins."""
        self._operand, self._most = timedelta(), max(self._operand, self._most)

    def look_back(self, length: timedelta) -> None:
        """The operand at hand is taken from so much earlier on."""
        self._operand += length
        if self._operand > LONGEST:
            raise ValueError(f"want a query that looks back at most {format_duration(LONGEST)}")


def _reach(tokens: list[_Token]) -> timedelta:
    """How far back the whole looks: a selector by its range, a subquery by its own beside what it holds."""
    if not tokens:
        raise ValueError("the query is empty")
    operands, at = _Operands(), 0
    while at < len(tokens):
        token, at = tokens[at], at + 1
        if token.kind == "range":
            operands.look_back(_range(token.text))
        elif token.text in _GROUPING and at < len(tokens) and tokens[at].text == "(":
            at = _closing(tokens, at) + 1
        elif token.text == "{":
            at = _closing(tokens, at - 1) + 1
        elif token.text == "offset" and (shift := _offset(tokens, at)) is not None:
            operands.look_back(shift[0])
            at = shift[1]
        elif token.text in ("@", "}"):
            fixed = "@ fixes the time: samples are asked for at times of their own"
            raise ValueError(fixed if token.text == "@" else 'a "}" closes nothing')
        else:
            _step(operands, token.text)
    return operands.reach


def _step(operands: _Operands, text: str) -> None:
    if text == "(":
        operands.open()
    elif text == ")":
        operands.close()
    elif text in _BETWEEN or text in _BETWEEN_WORDS:
        operands.next()


def _closing(tokens: list[_Token], opening: int) -> int:
    """Where a bracket that nothing nests in is closed."""
    other = {"(": ")", "{": "}"}[tokens[opening].text]
    for at in range(opening, len(tokens)):
        if tokens[at].text == other:
            return at
    raise ValueError(f'a "{tokens[opening].text}" is not closed')


def _range(text: str) -> timedelta:
    length, _, _ = text[1:-1].partition(":")
    return _length(length.strip())


def _offset(tokens: list[_Token], at: int) -> tuple[timedelta, int] | None:
    """How far an `offset` shifts back, and where the query goes on; one that looks ahead shifts nothing."""
    ahead = at < len(tokens) and tokens[at].text == "-"
    at += ahead
    if at >= len(tokens) or tokens[at].kind != "number":
        return None
    shift = _length(tokens[at].text)
    return (timedelta() if ahead else shift), at + 1


def _length(text: str) -> timedelta:
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]+)?", text):  # seconds, as Prometheus 3 takes them
        return timedelta(seconds=float(text))
    return parse_duration(text)
