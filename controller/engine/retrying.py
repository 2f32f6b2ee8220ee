"""Trying a step again because a person says so: a new remediation, through all limits.

What was counted before the first one counts for it, too: a counter is no limit.
"""

from __future__ import annotations

from typing import Any

from controller.decision import Outcome
from controller.engine.asking import attempt_before, facts_of
from controller.engine.deciding import answer_retry
from controller.engine.rules import Rules
from controller.policy import Policy
from controller.remediation import Phase, Remediation
from controller.store.leader import Turn
from controller.store.ledger import Ledger
from controller.store.plain import plain

RETRIED = frozenset({Phase.FAILED, Phase.ESCALATED, Phase.CANCELLED})


def try_again(turn: Turn, rules: Rules, before: Remediation, input_seq: int) -> dict[str, Any]:
    """The outcome: the new remediation's id, or which limit refuses (`reason`, `values`)."""
    policy = rules.policy(before.policy_ns, before.policy)
    if policy is None:
        return {"ok": False, "error": f"policy {before.policy_ns}/{before.policy} is no longer in force"}
    step = _step(policy, before)
    if step is None:
        return {"ok": False, "error": f"the policy has no step {_rung(before)!r} any more"}
    ledger = Ledger(turn)
    key = (before.namespace, before.model)
    ledger.load([key])
    event = ledger.find_event(before.event_seq)
    if event is None:
        return {"ok": False, "error": "its event is no longer kept"}
    used = rules.used_for(ledger, before.event_seq, event, key)
    if used.key != key or not rules.concerns(policy, used):
        return {"ok": False, "error": f"policy {policy.key} is no longer about {before.namespace}/{before.model}"}
    attempt, newest = attempt_before(turn, before.event_seq, (policy.namespace, policy.name), key)
    earlier = facts_of(turn, before.decision_id) or newest
    decision = answer_retry(ledger, rules, used, policy, input_seq, attempt + 1, earlier, (before.id, step))
    if decision.outcome is not Outcome.REMEDIATE:
        return {"ok": False, "error": str(decision.reason), "reason": decision.reason, "values": plain(decision.values)}
    started = ledger.past(key)[-1].id
    ledger.flush()
    return {"ok": True, "id": before.id, "remediation": started, "step": policy.steps[step].name}


def _rung(before: Remediation) -> str:
    """The name of the step to try again: the one at which it ended, or the one before its page."""
    acting = [step for step in before.steps[: before.step + 1] if step.acting]
    return acting[-1].name if acting else before.rung.name


def _step(policy: Policy, before: Remediation) -> int | None:
    """Where that step stands in the policy in force."""
    names = [step.name for step in policy.steps]
    name = _rung(before)
    return names.index(name) if name in names else None
