"""Structured logs: one line an entry, as JSON or as text for people, with secrets taken out.

Fields are given as `extra`: `log.info("remediation ended", extra={"remediation": id, "phase": phase})`.
A value cannot break out of its line: control characters are escaped in both formats.
Redaction is the second fence; the first is not to log bodies, headers and tokens at all.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

LogFormat = Literal["json", "text"]

REDACTED = "[redacted]"
_OWN = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName", "color_message"}
_SECRET_KEY = re.compile(r"(?i)token|secret|passw|authorization|credential|api_?key|signature|cookie")
_SECRET_TEXT = (
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{6,}"), rf"\1 {REDACTED}"),
    (re.compile(r"(\w://[^\s/:@]*):[^\s/@]+@"), rf"\1:{REDACTED}@"),
    (re.compile(r"(?i)([?&][\w.-]*(?:token|secret|passw|signature|key)[\w.-]*=)[^\s&#\"']+"), rf"\1{REDACTED}"),
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")


def redacted(text: str) -> str:
    """`text` without bearer tokens, passwords in URLs and secret-looking query parameters."""
    for pattern, replacement in _SECRET_TEXT:
        text = pattern.sub(replacement, text)
    return text


def _clean(key: str, value: Any) -> Any:
    if _SECRET_KEY.search(key) and not isinstance(value, bool | int | float | None):
        return REDACTED
    if isinstance(value, str):
        return redacted(value)
    if isinstance(value, dict):
        return {str(name): _clean(str(name), item) for name, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean("", item) for item in value]
    if isinstance(value, bool | int | float | None):
        return value
    return redacted(str(value))


def _moment(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    return {key: _clean(key, value) for key, value in record.__dict__.items() if key not in _OWN}


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, logger, message, the fields, and `error` with its trace."""

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, Any] = {
            "time": _moment(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": redacted(record.getMessage()),
        }
        for key, value in _fields(record).items():
            entry.setdefault(key, value)
        if record.exc_info:
            entry["error"] = redacted(self.formatException(record.exc_info))
        return (
            json.dumps(entry, ensure_ascii=False, default=str).replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
        )


class TextLines(logging.Formatter):
    """`time LEVEL message key=value …`; a trace follows on lines of its own, indented."""

    def format(self, record: logging.LogRecord) -> str:
        parts = [_moment(record), f"{record.levelname:<7}", redacted(record.getMessage())]
        parts += [f"{key}={_shown(value)}" for key, value in _fields(record).items()]
        line = _CONTROL.sub(lambda match: repr(match.group())[1:-1], " ".join(parts))
        if record.exc_info:
            trace = redacted(self.formatException(record.exc_info))
            line += "".join(f"\n    {row}" for row in trace.splitlines())
        return line


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return json.dumps(text, ensure_ascii=False) if re.search(r'[\s"=]|^$', text) else text


def configure(level: str, log_format: LogFormat, stream: TextIO | None = None) -> None:
    """Send every logger of the process to `stream` (default: standard error), in one format.

    `level` is a name of the logging module, in any case. uvicorn's and werkzeug's own
    handlers are taken away, so that their lines have the same form.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines() if log_format == "json" else TextLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "werkzeug"):
        logger = logging.getLogger(name)
        logger.handlers[:] = []
        logger.propagate = True
    # One line for each request would drown what matters, and costs more than the request itself.
    logging.getLogger("uvicorn.access").setLevel(logging.WARNING)
