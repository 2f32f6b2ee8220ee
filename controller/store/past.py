"""What a model's earlier remediations mean to a policy: what its limits count, what helped, from where evidence counts.

Pure, over the rows that a ledger has read.
"""

from __future__ import annotations

from datetime import datetime

from controller.decision import ASKED_AGAIN
from controller.policy import OTHERS, Counter, ModelState, Policy
from controller.store.ledger_rows import Past


def own(past: list[Past], policy: Policy) -> list[Past]:
    """Those of the policy itself, of whatever text."""
    return [found for found in past if _is_of(found, policy)]


def _is_of(found: Past, policy: Policy) -> bool:
    return (found.policy_ns, found.policy) == (policy.namespace, policy.name)


def counted_past(policy: Policy, past: list[Past]) -> list[Past]:
    """The remediations that the policy's limits count: the model's changing ones, or the policy's own."""
    mine = own(past, policy)
    if policy.mode == "audit":
        return [found for found in mine if found.mode == "audit"]
    mine = [found for found in mine if found.mode != "audit"]
    if policy.urgent or not policy.changing:
        return mine
    if policy.limits.scope == "policy":
        return [found for found in mine if found.changing]
    return [found for found in past if found.mode != "audit" and found.changing]


def spends(past: Past, policy: Policy, now: datetime) -> bool:
    """Whether it counts for the budget now."""
    return not given_back(past) and past.started_at > now - policy.limits.budget.within


def given_back(past: Past) -> bool:
    """Whether it was cancelled before it did anything: the budget, and what was counted for it, are as before."""
    return past.phase == "Cancelled" and not (past.acted or past.restored)


def last_end(policy: Policy, counted: list[Past]) -> datetime | None:
    """When the last of them ended, or an audited one would have: the cooldown counts from here."""
    if policy.mode == "audit":
        ends = [past.held_until for past in counted if past.held_until is not None]
    else:
        ends = [past.ended_at for past in counted if past.ended_at is not None]
    return max(ends, default=None)


def asked_until(policy: Policy, past: list[Past]) -> datetime | None:
    """Until when people are left alone about this policy and model: they said no, or nothing, less than a day ago."""
    declined = [found.ended_at for found in own(past, policy) if found.reason in ("rejected", "expired")]
    last = max((ended for ended in declined if ended is not None), default=None)
    return last + ASKED_AGAIN if last is not None else None


def helped(past: Past) -> bool:
    """Verified as recovered, or at least by early signs while labels are awaited."""
    return past.verdict == "recovered" or past.confirm_until is not None


def relapse(policy: Policy, past: list[Past], since: datetime) -> tuple[str | None, int]:
    """The policy's last remediation, where its trigger became true again in its probation, and the rung to go on at.

    What only restored has no probation: what it turned away cannot come back by itself.
    """
    mine = own(past, policy)
    if policy.mode == "audit" or not mine or mine[-1].mode == "audit":
        return None, 0
    last = mine[-1]
    same = last.policy_digest == policy.digest and last.step < len(policy.steps)
    if not same or last.phase != "Succeeded" or not helped(last) or not policy.steps[last.step].changing:
        return None, 0
    assert last.ended_at is not None
    return (last.id, last.step + 1) if last.ended_at < since <= last.ended_at + policy.probation else (None, 0)


def did_not_help(past: Past) -> datetime | None:
    """When it ended after an action, with a verdict other than recovered or an action failed; or failed later.

    An action that failed counts also where a person, an urgent policy or a hold then ended the ladder.
    """
    if past.failed_at is not None:
        return past.failed_at
    return past.ended_at if _failed(past) else None


def _failed(past: Past) -> bool:
    if past.mode == "audit" or not (past.acted or past.restored):
        return False
    if past.phase == "Succeeded":
        return False
    ended_badly = past.phase in ("Failed", "Escalated") or past.verdict in ("unchanged", "worse", "unknown")
    return ended_badly or past.action_failed


def active_of(policy: Policy, past: list[Past], now: datetime) -> tuple[str | None, datetime | None]:
    """The remediation that holds the model, or waits to; of an audited policy its own, and until when it counts."""
    for found in reversed(past):
        mine = _is_of(found, policy)
        if policy.mode == "audit":
            if mine and found.mode == "audit" and found.held_until is not None and found.held_until > now:
                return found.id, found.held_until
        elif policy.page_only:
            if mine and found.mode != "audit" and found.ended_at is None:
                return found.id, None
        elif found.holds_model or found.waits_for is not None:
            return found.id, None
    return None, None


def evidence_floor(policy: Policy, counter: Counter, past: list[Past], state: ModelState) -> datetime | None:
    """Evidence counts when later than this: deployment, the last acting remediation's end, this policy's last one's.

    A sum goes on from the beginning of that remediation: labels that came while it trained are new to it.
    """
    summed = counter.kind == "sum"
    ours = state.deployed_by not in (None, OTHERS)
    floors = [] if state.deployed_at is None or (summed and ours) else [state.deployed_at]
    for found in past:
        mine = _is_of(found, policy)
        if found.mode == "audit":
            if mine and found.held_until is not None:
                floors.append(found.held_until)
        elif found.acted or (mine and not given_back(found)):
            end = found.started_at if summed else found.ended_at
            floors += [end] if end is not None else []
    return max(floors, default=None)
