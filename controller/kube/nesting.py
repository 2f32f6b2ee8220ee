"""JSON of any nesting: one object that somebody nested a thousand levels deep must not hide all others.

The API takes ten thousand levels, Python's parser one for each frame that is left to it.
Where it gives up, what lies deeper than anything that we read is cut off. Only for what is
looked at: an object that may be written back is read whole or not at all.
"""

from __future__ import annotations

import json
import re
from typing import Any

DEEPEST = 100
"""Levels that are kept: a list of objects adds three to theirs."""

_SIGNS = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{}]')


def read_cut(text: bytes) -> Any:
    """The value of a JSON text; where it is nested too deeply for the parser, with null beyond DEEPEST levels.

    Raises ValueError where it is no JSON.
    """
    try:
        return json.loads(text)
    except RecursionError:
        return json.loads(_cut(text))


def _cut(text: bytes) -> bytes:
    kept: list[bytes] = []
    depth = done = 0
    for found in _SIGNS.finditer(text):
        if found[0] in (b"[", b"{"):
            depth += 1
            if depth == DEEPEST + 1:
                kept += [text[done : found.start()], b"null"]
        elif found[0] in (b"]", b"}"):
            if depth == DEEPEST + 1:
                done = found.end()
            depth -= 1
    if depth > 0:
        raise ValueError("it ends within a list or map")
    return b"".join([*kept, text[done:]])
