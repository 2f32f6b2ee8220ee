"""A remediation: an ordered ladder of steps, a phase, a verdict; moved by one table, `advance`.

::

    Pending ──▶ Running ──▶ Verifying ──▶ Succeeded
     │ │ ▲         │            │   └───▶ next rung (Pending), or Failed
     │ │ └─next────┼─▶ Stopping ┤
     │ │   rung    │      │     └───────▶ Escalated (worse, unknown: stop and page)
     │ ▼           ▼      ▼
     │ Cancelled   Escalated Cancelled          Audited stands apart: terminal from its first moment
     ▼
    AwaitingApproval ──▶ Pending (approved), or Cancelled (rejected, expired, over)

An urgent remediation that wants the model sends every other one to Cancelled, cause
`preempted`: at once, or through Stopping where an action of it runs.

Pure: `advance` takes what happened and `now`, and returns the transition or None where
nothing changes. Pairs that cannot happen raise; terminal phases absorb everything. What
must be done in the world follows from the new phase (Running without an outcome: run the
intent), never from having been there when it changed.
"""

from controller.remediation.afterwards import confirmed, confirmed_worse, relapsed, unconfirmed
from controller.remediation.inputs import (
    Acted,
    Approve,
    Cancel,
    IllegalTransition,
    Input,
    Preempt,
    Reject,
    TakeOver,
    Tick,
    Transition,
    Undo,
    Wait,
)
from controller.remediation.moves import BETWEEN_ATTEMPTS, GIVES_WAY_WITHIN, HELD_AT_MOST, MOST_ATTEMPTS, STOPS_WITHIN
from controller.remediation.state import (
    IN_CLUSTER,
    ActionReason,
    Cause,
    Intent,
    Phase,
    Remediation,
    may_change,
    remediation_id,
    run_length,
)
from controller.remediation.table import advance

__all__ = [
    "BETWEEN_ATTEMPTS",
    "GIVES_WAY_WITHIN",
    "HELD_AT_MOST",
    "IN_CLUSTER",
    "MOST_ATTEMPTS",
    "STOPS_WITHIN",
    "Acted",
    "ActionReason",
    "Approve",
    "Cancel",
    "Cause",
    "IllegalTransition",
    "Input",
    "Intent",
    "Phase",
    "Preempt",
    "Reject",
    "Remediation",
    "TakeOver",
    "Tick",
    "Transition",
    "Undo",
    "Wait",
    "advance",
    "confirmed",
    "confirmed_worse",
    "may_change",
    "relapsed",
    "remediation_id",
    "run_length",
    "unconfirmed",
]
