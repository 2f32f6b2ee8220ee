"""A sample: what one look at the world says of an action's success."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

State = Literal["recovered", "unchanged", "worse", "failed", "reverted", "measured", "unknown", "missing"]


@dataclass(frozen=True, slots=True)
class Sample:
    """What was seen; `message` tells what, or why a sample is missing.

    A command says recovered, unchanged or worse; a serving object is recovered, unchanged, failed (it
    will not get there by itself) or reverted (somebody set it to something else); a query is measured, or
    unknown: it can never be asked. Missing decides nothing.

    :ivar numbers: what a query measured: value, before, stable, pushed (seconds since 1970), as far as known.
    :ivar at: the time that Prometheus was asked for; None: when it is recorded.
    """

    state: State
    message: str = ""
    numbers: Mapping[str, float] = field(default_factory=dict)
    at: datetime | None = None
