"""What an operator wrote, typed: policies, models, and the parts of both.

Values are immutable and complete: every default is filled in, every expression is
compiled, every duration is a `timedelta`. `digest` is over the text, so equal text means
equal behaviour.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, ClassVar, Literal, TypeAlias

from controller.events.event import Event
from controller.policy.calendar import Cron, Periods
from controller.policy.expression import Expression
from controller.policy.measure import Measure
from controller.policy.promql import Query
from controller.policy.state import ModelState

Severity: TypeAlias = Literal["P1", "P2", "P3", "P4"]
Mode: TypeAlias = Literal["audit", "approve", "enforce"]

DUE = "modelmend.due"
"""The type of our own events that say that a schedule, or `since`, is due for a model."""


@dataclass(frozen=True, slots=True)
class Corroboration:
    """An entry of `require` or `unless`: an event type, and what must be true of its newest event.

    `within` None: only while the condition is open (or, for `unless`, unknown). `versions` None: in `require`,
    what is said of a version that no longer serves does not count.
    """

    type: str
    when: Expression | None = None
    within: timedelta | None = None
    versions: Literal["any"] | None = None


@dataclass(frozen=True, slots=True)
class Counter:
    """What of a trigger's evidence must come together, by the events' own time.

    In (now - within, now]: `count` its events, `distinct` the different values of `of`, `sum` their
    sum. `consecutive` counts periods without a break, whose whole length is `within`; with `ignore`
    one in which the model's detectors showed no life is no break.
    """

    at_least: float
    within: timedelta
    of: Expression | None = None
    kind: Literal["count", "distinct", "sum", "consecutive"] = "count"
    periods: Periods | None = None
    ignore: bool = False


@dataclass(frozen=True, slots=True)
class Schedule:
    """Due by a calendar, each model its share of `spread` later."""

    cron: Cron
    spread: timedelta


@dataclass(frozen=True, slots=True)
class Since:
    """Due `at_least` after the model's last training or deployment."""

    last: Literal["training", "deployment"]
    at_least: timedelta

    def last_of(self, state: ModelState) -> datetime | None:
        """When that was, as far as it is known."""
        return state.trained_at if self.last == "training" else state.deployed_at


@dataclass(frozen=True, slots=True)
class Trigger:
    """What starts a policy. `digest` is over type, `when` and counter: the key of its evidence.

    With a `schedule` or `since` its type is DUE, and what triggers is an event of our own
    that names the policy and this digest.
    """

    name: str
    type: str
    when: Expression | None = None
    sustained: timedelta | None = None
    counter: Counter | None = None
    require: tuple[Corroboration, ...] = ()
    digest: str = ""
    due: Schedule | Since | None = None


@dataclass(frozen=True, slots=True)
class ModelSelector:
    """Which models of the policy's namespace: all that match a glob of `names` (if any) and all labels.

    `via` "dataset": events about a dataset that such a model reads, and no others.
    """

    names: tuple[str, ...] = ()
    match_labels: Mapping[str, str] = field(default_factory=dict)
    unknown: Literal["record", "act"] = "record"
    via: Literal["dataset"] | None = None


@dataclass(frozen=True, slots=True)
class Budget:
    """At most `max` changing remediations in `within`."""

    max: int
    within: timedelta


@dataclass(frozen=True, slots=True)
class Breaker:
    """Stop after `failures` remediations in `within` that did not help, until a person closes it."""

    failures: int
    within: timedelta


@dataclass(frozen=True, slots=True)
class Limits:
    """What holds a policy back; `scope` says whose remediations of the model count."""

    cooldown: timedelta
    budget: Budget
    breaker: Breaker
    max_age: timedelta
    min_samples: int
    scope: Literal["model", "policy"] = "model"


Argument: TypeAlias = str | Expression

MODEL_VERSION, VERDICT = "model-version", "verdict"
"""The global outputs in which a Workflow reports, where a policy names no others."""


LAST_KNOWN_GOOD = "lastKnownGood"
"""In place of a version: the last one that proved itself."""


@dataclass(frozen=True, slots=True)
class CommandAction:
    """A local process: argv without a shell, the environment besides ours, its working folder."""

    kind: ClassVar[str] = "command"
    argv: tuple[Argument, ...]
    timeout: timedelta
    idempotent: bool = False
    env: Mapping[str, Argument] = field(default_factory=dict)
    cwd: str | None = None


@dataclass(frozen=True, slots=True)
class RequestAction:
    """An HTTP call; `body` is JSON in which an `Expression` may stand for any value."""

    kind: ClassVar[str] = "request"
    url: str
    timeout: timedelta
    method: Literal["POST", "PUT", "PATCH"] = "POST"
    headers: Mapping[str, Argument] = field(default_factory=dict)
    body: Any = None


@dataclass(frozen=True, slots=True)
class WorkflowAction:
    """An Argo Workflow made from a WorkflowTemplate of the policy's namespace.

    `version_output` and `verdict_output` name the global outputs in which it reports.
    """

    kind: ClassVar[str] = "workflow"
    template: str
    timeout: timedelta
    parameters: Mapping[str, Argument] = field(default_factory=dict)
    version_output: str = MODEL_VERSION
    verdict_output: str = VERDICT


@dataclass(frozen=True, slots=True)
class JobAction:
    """A Job made from a CronJob's template, with these variables in its containers besides."""

    kind: ClassVar[str] = "job"
    cron_job: str
    timeout: timedelta
    env: Mapping[str, Argument] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RolloutAction:
    """What is done to the Model's serving object; `promote` and `to` say how far, and to which version."""

    kind: ClassVar[str] = "rollout"
    do: Literal["abort", "promote", "pause", "restart", "to", "restore"]
    timeout: timedelta
    promote: Literal["next", "full"] | None = None
    to: Argument | None = None

    @property
    def restoring(self) -> bool:
        """Whether it brings back what served before, or stops what is under way."""
        return self.do in ("abort", "pause", "restore") or self.to == LAST_KNOWN_GOOD


@dataclass(frozen=True, slots=True)
class PageAction:
    """Tell people; ends the ladder."""

    kind: ClassVar[str] = "page"
    receiver: str = "default"


Action: TypeAlias = CommandAction | RequestAction | WorkflowAction | JobAction | RolloutAction | PageAction
"""`kind` of each is its key in a document."""


@dataclass(frozen=True, slots=True)
class RolloutVerification:
    """The serving object is asked every `every`, until all traffic is on the new version, or on the stable one."""

    wants: Literal["promoted", "stable"]
    every: timedelta
    within: timedelta


@dataclass(frozen=True, slots=True)
class CommandVerification:
    """Run a command every `every`, from `settle` after the action, until it says so for `hold` (key `for`)."""

    argv: tuple[Argument, ...]
    timeout: timedelta
    every: timedelta
    settle: timedelta
    hold: timedelta
    within: timedelta
    env: Mapping[str, Argument] = field(default_factory=dict)
    cwd: str | None = None


@dataclass(frozen=True, slots=True)
class QuietVerification:
    """For `quiet` after `settle` nothing that meets the trigger came, while its source showed life."""

    quiet: timedelta
    settle: timedelta
    within: timedelta


@dataclass(frozen=True, slots=True)
class ResolvedVerification:
    """Every condition of the evidence was ended after the action, and stays over for `hold` (key `for`)."""

    settle: timedelta
    hold: timedelta
    within: timedelta


@dataclass(frozen=True, slots=True)
class QueryVerification:
    """Prometheus is asked every `every` for one number, until `recovered`, or `worse`, holds for `hold` (key `for`).

    :ivar push_time: asked beside it: when the number was pushed, in seconds since 1970.
    """

    query: Query
    recovered: Measure
    worse: Measure | None
    push_time: Query | None
    every: timedelta
    settle: timedelta
    hold: timedelta
    within: timedelta

    @property
    def reach(self) -> timedelta:
        """How far back the query looks: so long after `settle` it still reads what was before."""
        return self.query.reach

    @property
    def reads(self) -> frozenset[str]:
        """Which numbers its expressions name: value, before, stable."""
        return self.recovered.reads | (self.worse.reads if self.worse else frozenset())


@dataclass(frozen=True, slots=True)
class ReportVerification:
    """The next report of a detector about `metric` whose window began after the action.

    Without `recovered` it is judged by what kind of event it is.
    """

    metric: str
    recovered: Measure | None
    worse: Measure | None
    within: timedelta


@dataclass(frozen=True, slots=True)
class AnalysisVerification:
    """An AnalysisRun of Argo Rollouts, made from an AnalysisTemplate of the policy's namespace."""

    template: str
    args: Mapping[str, Argument]
    every: timedelta
    within: timedelta


Verification: TypeAlias = (
    AnalysisVerification
    | CommandVerification
    | QueryVerification
    | QuietVerification
    | ReportVerification
    | ResolvedVerification
    | RolloutVerification
)


@dataclass(frozen=True, slots=True)
class Confirm:
    """Later labels of this metric have the last word, for so long after the end."""

    metric: str
    within: timedelta


@dataclass(frozen=True, slots=True)
class Step:
    """A rung of the ladder: one action, and how to verify that it helped. No `verify`: unverified.

    `approve` True: a person is asked before it, whatever the policy's mode. `undoes`: of no policy, it brings
    back what served before a step that made things worse; that may take `restore_within`.
    """

    name: str
    action: Action
    verify: tuple[Verification, ...] = ()
    on_worse: Literal["restore", "stop"] = "stop"
    restore_within: timedelta = timedelta(minutes=30)
    confirm: Confirm | None = None
    approve: bool = False
    undoes: bool = False

    @property
    def queries(self) -> tuple[tuple[int, QueryVerification], ...]:
        """Its verifications by query, each with its place in `verify`."""
        return tuple((at, each) for at, each in enumerate(self.verify) if isinstance(each, QueryVerification))

    @property
    def kind(self) -> Literal["change", "restore", "page"]:
        """Whether the step changes something, brings back what was good (or keeps it), or pages."""
        if isinstance(self.action, PageAction):
            return "page"
        return "restore" if isinstance(self.action, RolloutAction) and self.action.restoring else "change"

    @property
    def changing(self) -> bool:
        """True where it changes something: limits count it."""
        return self.kind == "change"

    @property
    def restoring(self) -> bool:
        """True where it restores: no limit counts it, and only pause and silence hold it."""
        return self.kind == "restore"

    @property
    def brings_versions(self) -> bool:
        """Whether it may change which version serves, so that there is one to go back to."""
        if isinstance(self.action, RolloutAction):
            return self.action.do in ("to", "promote") and not self.restoring
        return isinstance(self.action, WorkflowAction)

    @property
    def acting(self) -> bool:
        """True for every step but a page."""
        return self.kind != "page"


@dataclass(frozen=True, slots=True)
class Correlate:
    """When many models mean one cause: `models` of them within `within` because of one dataset, or one feature."""

    by: Literal["dataset", "feature"]
    models: int
    within: timedelta


@dataclass(frozen=True, slots=True)
class Policy:
    """Models, triggers, guards, limits and steps. `text` is the document as it was in force.

    `probation`: a trigger that becomes true again so soon after it helped is a relapse.
    """

    namespace: str
    name: str
    digest: str
    text: dict[str, Any] = field(repr=False, compare=False)
    mode: Mode
    severity: Severity
    models: ModelSelector
    triggers: tuple[Trigger, ...]
    wait: timedelta
    unless: tuple[Corroboration, ...]
    limits: Limits
    approval_expires: timedelta
    steps: tuple[Step, ...]
    correlate: Correlate | None = None
    probation: timedelta = timedelta(hours=24)

    def asks(self, step: Step) -> bool:
        """Whether a person must agree before this step: the mode asks before what changes, `approve` before its own."""
        return step.approve or (self.mode == "approve" and step.changing)

    @property
    def asking(self) -> bool:
        """True where any step waits for a person's word."""
        return any(self.asks(step) for step in self.steps)

    @property
    def key(self) -> str:
        """`namespace/name`, as people and messages write it."""
        return f"{self.namespace}/{self.name}"

    def triggers_of(self, event: Event) -> tuple[Trigger, ...]:
        """The triggers that an event may make true; of what is due, the one that it names."""
        found = tuple(trigger for trigger in self.triggers if trigger.type == event.type)
        if event.type != DUE:
            return found
        named = event.data.get("trigger") if event.data.get("policy") == self.key else None
        return tuple(trigger for trigger in found if trigger.digest == named)[:1]

    @property
    def changing(self) -> bool:
        """True where any step changes something."""
        return any(step.changing for step in self.steps)

    @property
    def acting(self) -> bool:
        """True where any step changes or restores something: such a remediation holds the model and its object."""
        return any(step.acting for step in self.steps)

    @property
    def urgent(self) -> bool:
        """True where its first step restores: that must not wait."""
        return bool(self.steps) and self.steps[0].restoring

    @property
    def page_only(self) -> bool:
        """True where all it does is page."""
        return not self.acting
