"""Whether the next rung of a remediation may start: asked again, live, before each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from controller.decision.answer import Reason
from controller.decision.guards import barred, guard_frozen, inhibited, shared
from controller.decision.situation import HoldFacts


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a rung may not start now; `final` ends the remediation, else it is held."""

    reason: Reason
    values: dict[str, Any]
    final: bool


def hold(changing: bool, facts: HoldFacts, *, restores_first: bool = False) -> Refusal | None:  # noqa: FBT001 - `rung.changing` says itself
    """Whether the next rung may start: pause and silence hold any; `unless`, freezes, a shared cause what changes.

    A changing rung whose conditions are over, and any first rung whose event has become too
    old, or speaks of what no longer serves, is not held but given up.

    :param restores_first: it restores, and is the first, or one that people are asked about: given up when over, too.
    """
    if (changing or restores_first) and facts.over is not None:
        return Refusal(Reason.STALE, {"why": "over", "ended": facts.over}, final=True)
    if facts.outdated is not None:
        return Refusal(Reason.STALE, facts.outdated, final=True)
    if facts.too_old:
        return Refusal(Reason.STALE, {"why": "too_old"}, final=True)
    held_by = (
        inhibited(facts.unless) if changing else None,
        barred(Reason.PAUSED, facts.pauses),
        barred(Reason.SILENCED, facts.silences),
        guard_frozen(facts.frozen) if changing else None,
        shared(facts.shared) if changing else None,
    )
    for refusal in held_by:
        if refusal is not None and refusal.reason is not None:
            return Refusal(refusal.reason, refusal.values, final=False)
    return None
