"""The server that a command speaks to, and how its answer is printed."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from controller.cli.tables import Column, safe, table
from controller.client import DEFAULT_SERVER, Client
from controller.errors import ConfigError


@contextmanager
def client(arguments: argparse.Namespace) -> Iterator[Client]:
    """The client for `--server` and `--token-file`, or for the environment's. Raises ConfigError."""
    address = getattr(arguments, "server", None) or os.environ.get("MODELMEND_SERVER") or DEFAULT_SERVER
    asked = Client(address, _token(getattr(arguments, "token_file", None)))
    try:
        yield asked
    finally:
        asked.close()


def _token(file: str | None) -> str | None:
    if file is None:
        token, where = os.environ.get("MODELMEND_TOKEN", ""), "MODELMEND_TOKEN"
    else:
        where = f"--token-file {file}"
        try:
            token = Path(file).read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError((f"{where}: want a readable file with one token, got: {error}",)) from error
    token = token.strip()
    if len(token.split()) > 1 or not token.isascii() or not (token.isprintable()):
        raise ConfigError((f"{where}: want one token, got several words",))
    if file is not None and not token:
        raise ConfigError((f"{where}: want one token, got an empty file",))
    return token or None


def as_json(arguments: argparse.Namespace) -> bool:
    """Whether the answer is for programs."""
    return getattr(arguments, "output", "table") == "json"


def print_json(answer: Any) -> None:
    """The answer as indented JSON."""
    print(json.dumps(answer, indent=2, ensure_ascii=False))


def print_list(arguments: argparse.Namespace, answer: Mapping[str, Any], columns: Sequence[Column], none: str) -> int:
    """A list as a table, or as JSON; `none` is said to people when it is empty."""
    if as_json(arguments):
        print_json(answer)
    elif answer["items"]:
        print(table(columns, answer["items"], datetime.now(UTC)))
        if answer.get("next") is not None:
            note(f"there are more: --limit {2 * len(answer['items'])} shows further ones")
    else:
        note(none)
    return 0


def note(text: str) -> None:
    """A line for people that is no answer."""
    print(safe(text), file=sys.stderr)
