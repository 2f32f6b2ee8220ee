"""The parts of a CEL text that compute numbers: what it divides by, and what it compares.

CEL divides a decimal number by zero without a word, and infinity is greater than all that it may
be compared with; so the parts are computed each for itself and looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from controller.policy.cel_checks import Token, read_tokens

_OPENS, _CLOSES = frozenset("([{"), frozenset(")]}")
_BETWEEN = frozenset({"<", ">", "<=", ">=", "==", "!=", "&&", "||", "?", ":", ","})
_COMPUTES = frozenset({"+", "-", "*", "/", "%", "("})


def divisors(source: str) -> list[str]:
    """What stands behind each `/` and `%`, as texts of their own."""
    tokens = list(read_tokens(source))
    return [_text(_operand(tokens, at + 1)) for at, token in enumerate(tokens) if token.text in ("/", "%")]


def sums(source: str) -> list[str]:
    """What is compared, or handed on, at every depth of brackets: as far as it computes anything."""
    parts = _parts(list(read_tokens(source)))
    return [_text(part) for part in parts if any(token.text in _COMPUTES for token in part)]


def _text(tokens: Sequence[Token]) -> str:
    return " ".join(token.text for token in tokens)


def _operand(tokens: Sequence[Token], start: int) -> Sequence[Token]:
    """The one operand that begins here: its signs, a number, a name or brackets, and what is asked of it."""
    end = start
    while end < len(tokens) and tokens[end].text in ("-", "!"):
        end += 1
    end = _closing(tokens, end) + 1
    while end < len(tokens) and tokens[end].text in (".", "(", "["):
        end = (end + 1 if tokens[end].text == "." else _closing(tokens, end)) + 1
    return tokens[start:end]


def _parts(tokens: Sequence[Token]) -> Iterator[Sequence[Token]]:
    """The tokens between comparisons and the like, outside of brackets, and those of each bracket in turn."""
    start = at = 0
    while at < len(tokens):
        if tokens[at].text in _BETWEEN:
            yield tokens[start:at]
            start = at + 1
        elif tokens[at].text in _OPENS:
            closing = _closing(tokens, at)
            yield from _parts(tokens[at + 1 : closing])
            at = closing
        at += 1
    yield tokens[start:]


def _closing(tokens: Sequence[Token], opening: int) -> int:
    """Where the bracket is closed that opens here; where none opens, here."""
    depth = 0
    for at in range(opening, len(tokens)):
        depth += (tokens[at].text in _OPENS) - (tokens[at].text in _CLOSES)
        if depth == 0:
            return at
    return len(tokens) - 1
