"""The one table: which input, in which phase, moves a remediation by which function."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from controller.remediation import moves
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
    Wait,
)
from controller.remediation.state import Phase, Remediation


def advance(remediation: Remediation, given: Input, now: datetime) -> Transition | None:
    """The next state, or None where nothing changes.

    :raises IllegalTransition: where the input cannot come in this phase.
    """
    if remediation.phase.terminal:
        return None
    move = _TABLE.get((remediation.phase, type(given)))
    if move is None:
        raise IllegalTransition(f"{type(given).__name__} in {remediation.phase}")
    return move(remediation, given, now)


_TABLE: dict[tuple[Phase, type], Callable[[Remediation, Any, datetime], Transition | None]] = {
    (Phase.PENDING, Tick): moves.pending_tick,
    (Phase.PENDING, Cancel): moves.cancel_now,
    (Phase.PENDING, Preempt): moves.preempt_now,
    (Phase.PENDING, Wait): moves.pending_wait,
    (Phase.PENDING, TakeOver): moves.pending_take_over,
    (Phase.AWAITING_APPROVAL, Tick): moves.awaiting_tick,
    (Phase.AWAITING_APPROVAL, Approve): moves.awaiting_approve,
    (Phase.AWAITING_APPROVAL, Reject): moves.awaiting_reject,
    (Phase.AWAITING_APPROVAL, Cancel): moves.cancel_now,
    (Phase.AWAITING_APPROVAL, Preempt): moves.preempt_now,
    (Phase.RUNNING, Tick): moves.running_tick,
    (Phase.RUNNING, Acted): moves.running_acted,
    (Phase.RUNNING, Cancel): moves.running_cancel,
    (Phase.RUNNING, Preempt): moves.running_preempt,
    (Phase.STOPPING, Tick): moves.stopping_tick,
    (Phase.STOPPING, Acted): moves.stopping_acted,
    (Phase.STOPPING, Cancel): moves.stopping_cancel,
    (Phase.STOPPING, Preempt): moves.stopping_preempt,
    (Phase.VERIFYING, Tick): moves.verifying_tick,
    (Phase.VERIFYING, Cancel): moves.cancel_now,
    (Phase.VERIFYING, Preempt): moves.preempt_now,
}
