"""The server that a command speaks to, as flags or the environment name it."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
