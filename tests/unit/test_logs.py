import io
import json
import logging
from collections.abc import Iterator

import pytest

from controller.logs import configure, redacted


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """Where the root logger writes during the test."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield io.StringIO()
    root.handlers[:] = before
    root.setLevel(level)


def test_json_line_holds_fields(stream: io.StringIO) -> None:
    """An entry is one JSON object with time, level, logger, message and the fields given."""
    configure("info", "json", stream)
    logging.getLogger("controller.engine").info("ended %s", "well", extra={"remediation": "r-1", "steps": 2})
    entry = json.loads(stream.getvalue())
    assert entry.pop("time").endswith("Z")
    assert entry == {
        "level": "info", "logger": "controller.engine", "message": "ended well", "remediation": "r-1", "steps": 2,
    }  # fmt: skip


def test_text_line_holds_fields(stream: io.StringIO) -> None:
    """An entry for people is one line, fields as key=value, quoted where they have blanks."""
    configure("INFO", "text", stream)
    logging.getLogger("x").warning("held", extra={"reason": "paused", "why": "two words"})
    assert stream.getvalue().split(" ", 1)[1] == 'WARNING held reason=paused why="two words"\n'


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_one_entry_is_one_line(stream: io.StringIO, log_format: str) -> None:
    """A sender's line breaks cannot forge an entry."""
    configure("info", log_format, stream)
    logging.getLogger("x").info("event %s", "a\nINFO forged\u2028b\x1b[31m", extra={"id": "1\r\n2"})
    assert len(stream.getvalue().splitlines()) == 1


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_secrets_are_taken_out(stream: io.StringIO, log_format: str) -> None:
    """Bearer tokens, passwords in URLs and fields named like secrets do not reach the log."""
    configure("info", log_format, stream)
    logging.getLogger("x").error(
        "asked postgresql://ada:hunter2@db/mend with Bearer mm_abcDEF123",
        extra={"token": "mm_zzz", "headers": {"Authorization": "Basic QWxh"}, "url": "https://h/x?api_key=k123&a=1"},
    )
    said = stream.getvalue()
    assert not [secret for secret in ("hunter2", "mm_abcDEF123", "mm_zzz", "QWxh", "k123") if secret in said]
    assert "postgresql://ada:[redacted]@db/mend" in said


def test_error_comes_with_its_trace(stream: io.StringIO) -> None:
    """An exception's trace is one field of the entry, secrets taken out of it too."""
    configure("info", "json", stream)
    try:
        int("http://user:pw@host refused")
    except ValueError:
        logging.getLogger("x").exception("failed")
    assert "http://user:[redacted]@host refused" in json.loads(stream.getvalue())["error"]


def test_numbers_under_secret_names_stay(stream: io.StringIO) -> None:
    """A count of tokens is no secret."""
    configure("info", "json", stream)
    logging.getLogger("x").info("read", extra={"tokens": 3})
    assert json.loads(stream.getvalue())["tokens"] == 3


def test_lower_levels_are_left_out(stream: io.StringIO) -> None:
    """Below the level nothing is written; access lines of the server neither."""
    configure("warning", "text", stream)
    logging.getLogger("x").info("quiet")
    logging.getLogger("uvicorn.access").info("GET /")
    assert stream.getvalue() == ""


def test_text_without_secrets_is_unchanged() -> None:
    """Redaction leaves alone what only resembles a secret."""
    assert redacted("the bearer of news; ratio 3:2@noon; a=b") == "the bearer of news; ratio 3:2@noon; a=b"
