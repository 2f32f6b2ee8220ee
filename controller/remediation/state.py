"""What a remediation is: its phases, the causes of its transitions, its row, and the intent of its action."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Literal

from controller.judge import Verdict
from controller.policy import PageAction, Policy, Step

IN_CLUSTER = frozenset({"workflow", "job", "rollout"})
"""Kinds of actions that are begun in a cluster and end there by themselves: no process of ours runs them."""


class Phase(StrEnum):
    """Where a remediation stands; coarse, CamelCase."""

    PENDING = "Pending"
    AWAITING_APPROVAL = "AwaitingApproval"
    RUNNING = "Running"
    VERIFYING = "Verifying"
    STOPPING = "Stopping"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    ESCALATED = "Escalated"
    CANCELLED = "Cancelled"
    AUDITED = "Audited"

    @property
    def terminal(self) -> bool:
        """True where nothing can follow."""
        return self in _TERMINAL


_TERMINAL = frozenset({Phase.SUCCEEDED, Phase.FAILED, Phase.ESCALATED, Phase.CANCELLED, Phase.AUDITED})


class Cause(StrEnum):
    """Why a transition happened; the `reason` of its row."""

    DECIDED = "decided"
    WAITS = "waits"
    TOOK_OVER = "took_over"
    AUDITED = "audited"
    STARTED = "started"
    HELD = "held"
    AWAITING = "awaiting"
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"
    ACTION_DONE = "action_done"
    ACTION_FAILED = "action_failed"
    ACTION_UNKNOWN = "action_unknown"
    RUN_AGAIN = "run_again"
    TIMED_OUT = "timed_out"
    STOPPED = "stopped"
    VERIFIED = "verified"
    RECOVERED = "recovered"
    UNVERIFIED = "unverified"
    UNCHANGED = "unchanged"
    WORSE = "worse"
    UNKNOWN = "unknown"
    PAGED = "paged"
    OVER = "over"
    SUPERSEDED = "superseded"
    PROVISIONAL = "provisional"
    CONFIRMED = "confirmed"
    CONFIRMED_WORSE = "confirmed_worse"
    UNCONFIRMED = "unconfirmed"
    RELAPSED = "relapsed"
    RESTORED = "restored"
    NOT_RESTORED = "not_restored"
    NOT_DEGRADED = "not_degraded"
    CANCELLED = "cancelled"
    PREEMPTED = "preempted"


class ActionReason(StrEnum):
    """Why an action in a cluster failed, or why its fate is unknown; beside `action_failed` and `action_unknown`."""

    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    INVALID = "invalid"
    QUOTA = "quota"
    NAME_TAKEN = "name_taken"
    WORKFLOW_FAILED = "workflow_failed"
    JOB_FAILED = "job_failed"
    CANDIDATE_REFUSED = "candidate_refused"
    NO_SERVING = "no_serving"
    NOT_SUPPORTED = "not_supported"
    OTHER_REVISION = "other_revision"
    NO_CANARY = "no_canary"
    PAUSED = "paused"
    TARGET_MANAGED = "target_managed"
    NO_KNOWN_GOOD = "no_known_good"
    REVERTED = "reverted"
    OBJECT_LOST = "object_lost"
    NO_CLUSTER = "no_cluster"


@dataclass(frozen=True, slots=True)
class Intent:
    """What an action is about to do, committed before it is done."""

    id: int
    remediation_id: str
    step: int
    attempt: int
    action: str  # command | request | workflow | job | rollout
    key: str
    end_state: dict[str, Any]
    pid: int | None = None
    pid_started: float | None = None
    first_tried_at: datetime | None = None
    outcome: str | None = None
    resource_version: str | None = None
    ref: dict[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Remediation:
    """The state of one remediation, as its row holds it; `steps` are those of the policy it was decided by.

    :ivar changing: a changing action has started (`acted`), or one may still come.
    :ivar restored: a restoring action has started.
    :ivar action_failed: an action of it failed, or was stopped for its time, whatever came after.
    :ivar urgent: its first step restores, so it was not held by what holds others.
    :ivar waits_for: the remediation that holds the model and is being stopped for this one.
    :ivar approved: a person said yes to the step that it stands on.
    :ivar version_before: what served everything when the action at hand, or the last one, began; None: not known.
    :ivar confirm_until: ended, and confirmed by later labels until then; None: not, or no more.
    :ivar failed_at: since when it counts as one that did not help although it had succeeded.
    """

    id: str
    decision_id: int
    event_seq: int
    namespace: str
    model: str
    policy_ns: str
    policy: str
    policy_digest: str
    model_digest: str | None
    mode: str
    severity: str
    trigger: str
    families: tuple[str, ...]
    evidence: tuple[str, ...]
    parameters: tuple[dict[str, Any], ...]
    steps: tuple[Step, ...] = field(repr=False)
    phase: Phase
    reason: Cause
    started_at: datetime
    phase_since: datetime
    message: str = ""
    changing: bool = False
    acted: bool = False
    restored: bool = False
    action_failed: bool = False
    urgent: bool = False
    holds_model: bool = False
    waits_for: str | None = None
    step: int = 0
    attempt: int = 1
    verify_index: int = 0
    action_ended: datetime | None = None
    deadline: datetime | None = None
    hold_reason: str | None = None
    hold_until: datetime | None = None
    approved: bool = False
    approval_expires: datetime | None = None
    version_before: str | None = None
    stop_then: Literal["next", "cancelled", "preempted"] | None = None
    verdict: Verdict = Verdict.NONE
    continues: str | None = None
    confirm_until: datetime | None = None
    failed_at: datetime | None = None
    ended_at: datetime | None = None
    held_until: datetime | None = None
    next_at: datetime | None = None
    version: int = 1

    @property
    def rung(self) -> Step:
        """The step that it stands on."""
        return self.steps[self.step]

    @property
    def key(self) -> str:
        """The idempotency key, or object name, of the action at hand."""
        return f"{self.id}-{self.step}-{self.attempt}"


def remediation_id(
    source: str, event_id: str, event_seq: int, policy: tuple[str, str], model: tuple[str, str], attempt: int
) -> str:
    """A short name that depends on nothing but what was decided: the same in every replay.

    :param event_seq: tells an id that its source uses again, after the first event was purged.
    :param policy: namespace and name, as of the model: one event about a dataset has an answer for each.
    """
    digest = hashlib.sha256()
    for part in (source, event_id, str(event_seq), *policy, *model, str(attempt)):
        encoded = part.encode()
        digest.update(len(encoded).to_bytes(4, "big") + encoded)
    return "r-" + base64.b32encode(digest.digest())[:12].decode().lower()


def may_change(steps: tuple[Step, ...], start: int, *, acted: bool) -> bool:
    """Whether it counts as changing: a changing action has started, or may still come."""
    return acted or any(step.changing for step in steps[start:])


def run_length(policy: Policy) -> timedelta:
    """How long an audited remediation counts as running: each step's timeout, each verification's `within`."""
    total = timedelta()
    for step in policy.steps:
        if not isinstance(step.action, PageAction):
            total += step.action.timeout
        for verification in step.verify:
            total += verification.within
    return total
