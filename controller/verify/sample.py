"""A sample: what one look at the world says of an action's success."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["recovered", "unchanged", "worse", "failed", "reverted", "missing"]


@dataclass(frozen=True, slots=True)
class Sample:
    """What was seen; `message` tells what, or why a sample is missing.

    A command says recovered, unchanged or worse; a serving object is recovered, unchanged, failed (it
    will not get there by itself) or reverted (somebody set it to something else). Missing decides nothing.
    """

    state: State
    message: str = ""
