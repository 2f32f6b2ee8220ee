"""What can happen to a remediation, and what comes of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal

from controller.decision import Refusal
from controller.judge import Judgement
from controller.policy import Step
from controller.remediation.state import Phase, Remediation


@dataclass(frozen=True, slots=True)
class Undo:
    """The rung that brings back what served before, and its parameters; `why_not` where there is none."""

    rung: Step | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    why_not: str = ""


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has come to look: what was asked again, what verification says.

    :ivar approval: before the step a person must be asked, and has this long to answer; None: nobody is asked.
    :ivar undo: where verification says `worse`: how the version of before is brought back, or why it is not.
    :ivar not_degraded: what shows that `recovered` holds already, so that nothing is to be started; None: it may not.
    :ivar serving: the version that serves everything now; None: not known.
    """

    refusal: Refusal | None = None
    judgement: Judgement | None = None
    approval: timedelta | None = None
    serving: str | None = None
    undo: Undo | None = None
    not_degraded: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Acted:
    """The action's end, as it was seen."""

    state: Literal["done", "failed", "stopped", "unknown"]
    message: str = ""
    outputs: dict[str, Any] = field(default_factory=dict)
    reason: str = ""  # an ActionReason


@dataclass(frozen=True, slots=True)
class Cancel:
    """A person's word to stop."""

    who: str
    why: str
    way: str = ""  # api, command or page


@dataclass(frozen=True, slots=True)
class Approve:
    """A person's yes to the step at hand."""

    who: str
    why: str
    way: str = ""  # api, command or page


@dataclass(frozen=True, slots=True)
class Reject:
    """A person's no to the step at hand: nothing more is done."""

    who: str
    why: str
    way: str = ""  # api, command or page


@dataclass(frozen=True, slots=True)
class Preempt:
    """An urgent remediation wants the model."""

    by: str  # its id


@dataclass(frozen=True, slots=True)
class Wait:
    """Another one holds the model, or its object, now: this urgent one waits for it."""

    behind: str  # its id


@dataclass(frozen=True, slots=True)
class TakeOver:
    """Nothing holds the model and its object any more: this urgent one does."""


Input = Tick | Acted | Cancel | Approve | Reject | Preempt | Wait | TakeOver


@dataclass(frozen=True, slots=True)
class Transition:
    """A remediation's next state, and what to write beside it."""

    remediation: Remediation
    from_phase: Phase
    values: dict[str, Any]
    page: str | None = None  # the receiver to page


class IllegalTransition(Exception):
    """An input that cannot come in this phase: a mistake in the caller, never swallowed."""
