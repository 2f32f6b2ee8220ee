"""How an answer is printed: tables or JSON to standard output, all else to standard error."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from controller.cli.tables import Column, safe, table


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
