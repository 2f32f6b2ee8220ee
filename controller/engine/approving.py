"""Asking a person before a step: what ends the asking by itself, and the answer.

An answer is to one asking: of one remediation, before one rung, about one text of the policy.
The first answer counts; whoever comes later is told who decided, and when.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select

from controller import schema
from controller.decision import Reason, Refusal
from controller.engine.rules import Rules
from controller.policy import Policy
from controller.remediation import Cause, Phase, Remediation
from controller.store.leader import Turn
from controller.store.plain import plain

_ENDS = frozenset(
    {Cause.APPROVED, Cause.REJECTED, Cause.EXPIRED, Cause.OVER, Cause.CANCELLED, Cause.HELD, Cause.PREEMPTED}
)
_WORDS = {
    Cause.APPROVED: "it was approved{by} at {at}",
    Cause.REJECTED: "it was rejected{by} at {at}",
    Cause.EXPIRED: "nobody answered in time, which was a no from {at} on",
    Cause.OVER: "what it was asked about has been over since {at}",
    Cause.CANCELLED: "it was cancelled{by} at {at}",
    Cause.HELD: "it was held for too long, and given up at {at}",
    Cause.PREEMPTED: "an urgent remediation took the model over at {at}",
}


def asked_for(policy: Policy, r: Remediation, *, first: bool) -> timedelta | None:
    """How long a person has to answer before the step at hand may start; None: nobody is asked.

    :param first: what it goes back to served so long ago that a person is asked, whatever the policy says.
    """
    return policy.approval_expires if first or policy.asks(r.rung) else None


def lapsed(rules: Rules, r: Remediation) -> Refusal | None:
    """Why an asking, or a yes that has not been acted on, is void: its policy's text is no longer in force."""
    if r.phase is not Phase.AWAITING_APPROVAL and not r.approved:
        return None
    return outdated_text(rules, r)


def outdated_text(rules: Rules, r: Remediation) -> Refusal | None:
    """Void, since the text of its policy is no longer in force; None: it is."""
    policy = rules.policy(r.policy_ns, r.policy)
    if policy is not None and policy.digest == r.policy_digest:
        return None
    why = "policy_gone" if policy is None else "policy_changed"
    return Refusal(Reason.STALE, {"why": why}, final=True)


def not_asked(turn: Turn, r: Remediation, asking: int | None, at: datetime) -> dict[str, Any] | None:
    """The outcome for an answer to what is asked no more; None: it is asked now.

    :param asking: the remediation's version when it asked, as the page showed it; None: what it asked
        when the answer was given.
    :param at: when the answer was given.
    """
    if r.phase is Phase.AWAITING_APPROVAL:
        if asking == r.version or (asking is None and r.phase_since <= at):
            return None
        if asking is None:
            return {"ok": False, "error": f"remediation {r.id} asks since {plain(r.phase_since)}, after the answer"}
    t = schema.transitions.c
    query = select(t.reason, t["values"], t.now, t.version).where(t.remediation_id == r.id)
    if asking is not None:
        query = query.where(t.version == asking + 1)
    rows = [row for row in turn.conn.execute(query.order_by(t.version)) if row.reason in _ENDS]
    if not rows:
        asks = r.phase is Phase.AWAITING_APPROVAL
        other = f"your answer was to another asking than that of remediation {r.id} now"
        return {"ok": False, "error": other if asks else f"remediation {r.id} is {r.phase}: it asks nobody"}
    last = rows[-1]
    values: dict[str, Any] = last[1] or {}
    decided = {"reason": last.reason, "at": plain(last.now)} | {key: values.get(key) for key in ("who", "why", "way")}
    by = f" by {values['who']}" if values.get("who") else ""
    error = _WORDS[Cause(last.reason)].format(by=by, at=plain(last.now))
    if r.phase is Phase.AWAITING_APPROVAL:
        error += "; it asks about another step now"
    return {"ok": False, "error": error, "decided": decided}
