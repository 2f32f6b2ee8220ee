"""How an action's answer is read."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.actions.outcome import MAX_OUTPUTS, read_outputs
from controller.process import MAX_MESSAGE, how_it_ended, last_line, last_words, one_line

_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=3)
    ),
    max_leaves=10,
)


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=10), _JSON, max_size=4))
def test_object_comes_back_as_it_was_written(outputs: dict[str, Any]) -> None:
    """Any JSON object on the last line is the outputs, value for value."""
    written = json.dumps(outputs).encode()
    if len(written) <= MAX_OUTPUTS:
        assert read_outputs(last_line(b"log\n" + written + b"\r\n\n")) == (outputs, "")


@given(st.binary(max_size=200))
def test_no_answer_breaks_the_reading(answer: bytes) -> None:
    """Whatever a program prints, reading it raises nothing and keeps an object or nothing."""
    outputs, ignored = read_outputs(last_line(answer))
    assert isinstance(outputs, dict)
    assert not (outputs and ignored)


@pytest.mark.parametrize(
    ("answer", "ignored"),
    [
        (b"", ""),
        (b"done", ""),
        (b"[]", ""),
        (b"null", ""),
        (b"}", "outputs ignored: the JSON object must stand on the last line alone"),
        (b"{" + b" " * MAX_OUTPUTS, f"outputs ignored: {MAX_OUTPUTS + 1} bytes, at most {MAX_OUTPUTS} are kept"),
        (b'{"a": 1} x', "outputs ignored: no valid JSON: trailing characters at line 1 column 10"),
        (b'{"a": Infinity}', "outputs ignored: no valid JSON: expected value at line 1 column 7"),
        (b'{"a": "\\ud800"}', "outputs ignored: no valid JSON: unexpected end of hex escape at line 1 column 14"),
        (b'{"a":' * 3000, "outputs ignored: no valid JSON: recursion limit exceeded"),
    ],
)
def test_what_is_no_object_is_ignored(answer: bytes, ignored: str) -> None:
    """What is no bounded JSON object is ignored, with a word where an object was meant."""
    outputs, said = read_outputs(answer)
    assert outputs == {}
    assert said.startswith(ignored) if ignored else said == ""


@pytest.mark.parametrize(
    ("output", "line"),
    [
        (b"", b""),
        (b"\n \n", b""),
        (b"a", b"a"),
        (b"a\nb\n", b"b"),
        (b"a\r\n b \r\n\r\n", b"b"),
        (b"\xff\xfe", b"\xff\xfe"),
    ],
)
def test_last_line(output: bytes, line: bytes) -> None:
    """The last line that is not blank, without surrounding blanks."""
    assert last_line(output) == line


@given(st.text(max_size=2 * MAX_MESSAGE))
def test_message_is_one_bounded_line(text: str) -> None:
    """A message has no control characters (PostgreSQL takes no NUL) and is bounded."""
    line = one_line(text)
    assert len(line) <= MAX_MESSAGE
    assert len(line.splitlines()) <= 1
    assert "\x00" not in line


def test_long_message_keeps_its_end() -> None:
    """Of a long complaint the end is kept: there stands what went wrong."""
    assert one_line("x" * 1000 + " disk full").endswith("x disk full")


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (0, "exit code 0"),
        (3, "exit code 3"),
        (-9, "killed by SIGKILL"),
        (-15, "killed by SIGTERM"),
        (-99, "killed by signal 99"),
    ],
)
def test_how_it_ended(code: int, said: str) -> None:
    """Exit codes by number, signals by name."""
    assert how_it_ended(code) == said


def test_last_words_are_the_last_complaint() -> None:
    """Of a traceback, its last line; of silence, nothing."""
    assert last_words(b"Traceback\n  File\nValueError: bad \xff\n\n") == ": ValueError: bad \ufffd"
    assert last_words(b"") == ""
