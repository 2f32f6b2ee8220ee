"""What a decision comes to, and why not: the closed sets of words, and `Decision` itself."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any


class Outcome(StrEnum):
    """What a decision comes to."""

    REMEDIATE = "remediate"
    SUPPRESS = "suppress"
    NONE = "none"  # no policy matched


class Reason(StrEnum):
    """Why a policy did not act; also the `reason` label of the metric."""

    UNKNOWN_MODEL = "unknown_model"
    STALE = "stale"
    TOO_FEW_SAMPLES = "too_few_samples"
    UNCORROBORATED = "uncorroborated"
    ACCUMULATING = "accumulating"
    CONDITION_ERROR = "condition_error"
    CONDITION_FALSE = "condition_false"
    WAITING = "waiting"
    INHIBITED = "inhibited"
    PAUSED = "paused"
    SILENCED = "silenced"
    FROZEN = "frozen"
    IN_PROGRESS = "in_progress"
    BREAKER_OPEN = "breaker_open"
    BUDGET_EXHAUSTED = "budget_exhausted"
    COOLDOWN = "cooldown"
    FLEET_LIMIT = "fleet_limit"
    SHARED_CAUSE = "shared_cause"
    AUDIT = "audit"
    NO_POLICY_MATCHED = "no_policy_matched"
    INTERNAL_ERROR = "internal_error"
    POISON = "poison"


class Happening(StrEnum):
    """What can lift a refusal that no clock lifts."""

    REMEDIATION_ENDED = "remediation_ended"
    FLEET = "fleet"
    LIFTED = "lifted"
    CORROBORATED = "corroborated"
    UNINHIBITED = "uninhibited"


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer, with the values that it rests on and what may lift it."""

    outcome: Outcome
    reason: Reason | None
    trigger: str | None
    values: dict[str, Any]
    parameters: tuple[dict[str, Any], ...] | None = None  # per step, every expression evaluated
    retry_at: datetime | None = None
    retry_on: Happening | None = None

    @property
    def liftable(self) -> bool:
        """True where the refusal may yet lift: the event stays, or becomes, the open question."""
        return self.retry_at is not None or self.retry_on is not None
