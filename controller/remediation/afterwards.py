"""What is learnt of a remediation after its end: a relapse, and what late labels say.

Terminal phases absorb, so no phase changes here and nothing is held: only the reason, the
verdict, and from when it counts as one that did not help.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from controller.judge import Verdict
from controller.remediation.inputs import Transition
from controller.remediation.state import Cause, Remediation


def relapsed(r: Remediation, now: datetime, values: dict[str, Any]) -> Transition:
    """Its trigger became true again within its probation: for the breaker it did not help after all."""
    return _told(r, Cause.RELAPSED, values, failed_at=r.failed_at or now)


def confirmed(r: Remediation, now: datetime, values: dict[str, Any]) -> Transition:
    """Later labels say what the early signs said."""
    return _told(r, Cause.CONFIRMED, values, verdict=Verdict.RECOVERED, confirm_until=None)


def confirmed_worse(r: Remediation, now: datetime, values: dict[str, Any]) -> Transition:
    """Later labels say that it is worse: it counts as one that did not help, and people are told."""
    worse: dict[str, Any] = {"verdict": Verdict.WORSE, "failed_at": r.failed_at or now, "confirm_until": None}
    return _told(r, Cause.CONFIRMED_WORSE, values, page="default", **worse)


def unconfirmed(r: Remediation, now: datetime) -> Transition | None:
    """No labels came in time: nobody knows whether it helped, and people are told. None: there is time left."""
    if r.confirm_until is None or now < r.confirm_until:
        return None
    unknown: dict[str, Any] = {"verdict": Verdict.UNKNOWN, "failed_at": r.failed_at or now, "confirm_until": None}
    return _told(r, Cause.UNCONFIRMED, {"until": r.confirm_until}, page="default", **unknown)


def _told(
    r: Remediation, cause: Cause, values: dict[str, Any], *, page: str | None = None, **changes: Any
) -> Transition:
    return Transition(replace(r, reason=cause, version=r.version + 1, **changes), r.phase, values, page)
