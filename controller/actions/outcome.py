"""How an action ended, and how its answer is read.

What the outside world says is bounded before it is kept: a message is one line, outputs
are one JSON object of at most `MAX_OUTPUTS` bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic_core import from_json

from controller.process import one_line

MAX_OUTPUTS = 16 * 1024
"""Bytes of a JSON object that is kept as an action's outputs."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of an action.

    `done`: it says so itself. `failed`: it is over and did not do it. `stopped`: on our order, and
    seen to be over. `unknown`: it may have happened, or may still happen.
    """

    state: Literal["done", "failed", "stopped", "unknown"]
    message: str = ""
    outputs: dict[str, Any] = field(default_factory=dict)
    reason: str = ""  # one of remediation.ActionReason, where the cluster's answer has a name


Ref = dict[str, str]
"""The object in the cluster that an action goes by: kind, namespace, name, uid."""

Write = Callable[[dict[str, Any], str | None], None]
"""Makes an intent's resolved end state, and the resourceVersion that it is for, durable; called before the patch."""

Started = Callable[[int, float], None]
"""Makes the pid and start time (seconds since 1970) of the process that acts durable; called before it does."""


def read_outputs(answer: bytes) -> tuple[dict[str, Any], str]:
    """The JSON object that `answer` is, and why it was ignored where it looks like one and is none.

    Anything that does not look like an object is no outputs and no complaint: most programs just talk.
    """
    if answer[:1] != b"{":
        hint = "outputs ignored: the JSON object must stand on the last line alone" if answer == b"}" else ""
        return {}, hint
    if len(answer) > MAX_OUTPUTS:
        return {}, f"outputs ignored: {len(answer)} bytes, at most {MAX_OUTPUTS} are kept"
    try:
        outputs = from_json(answer, allow_inf_nan=False)
    except ValueError as error:
        return {}, one_line(f"outputs ignored: no valid JSON: {error}")
    return (outputs, "") if isinstance(outputs, dict) else ({}, "")
