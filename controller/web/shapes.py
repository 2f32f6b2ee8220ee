"""What the JSON API answers, one model for each shape: they are its OpenAPI schemas.

Answers come from `store.listing` and are not run through these models again; the contract
test does that, against a running app, and refuses keys that are missing here.
"""

from __future__ import annotations

from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from controller.decision import Outcome, Reason
from controller.judge import Verdict
from controller.remediation import Cause, Phase

Time = Annotated[str, Field(json_schema_extra={"format": "date-time"}, description="RFC 3339, UTC")]
Values = Annotated[
    dict[str, Any],
    Field(description="what the reason rests on: times as RFC 3339, lengths as `24h`; docs/reasons.md lists the keys"),
]
State = Literal["open", "over", "unknown"]

_ItemT = TypeVar("_ItemT")


class Shape(BaseModel):
    """A model whose keys are all known; camelCase in JSON."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel, validate_by_name=True, validate_by_alias=True)


class _Page(Shape, Generic[_ItemT]):
    items: list[_ItemT]
    next: str | None = Field(description="`cursor` of the page after; null: this is the last")


class Event(Shape):
    """An event as received, with how often it came."""

    seq: int
    source: str
    id: str
    type: str
    subject: str | None
    time: Time
    time_marked: bool = Field(description="its time lay ahead of the clock: the time of receipt is taken")
    received_at: Time
    namespace: str | None
    model: str | None
    dataset: str | None
    version: str | None
    family: str | None
    over: bool = Field(description="it says that something is over")
    about: str = Field(description="what it is about, as `feature=salary;kind=data`")
    data: dict[str, Any]
    extensions: dict[str, str | int | bool]
    digest: str
    seen: int = Field(description="deliveries, the first included")
    last_seen_at: Time
    renewed_at: Time | None
    conflict_digest: str | None
    conflicts: int = Field(description="deliveries under the same source and id with other content")
    decided_at: Time | None
    decided: bool


class Condition(Shape):
    """Something said to be wrong with a model, or with a dataset."""

    id: str
    source: str
    kind: str
    namespace: str = Field(description="empty: of a dataset, for whichever namespace its readers are in")
    model: str | None
    dataset: str | None = Field(description="set instead of the model")
    family: str
    about: str
    type: str
    since: Time
    last_seen: Time
    renewed_at: Time
    ended: Time | None
    ended_by: str | None
    expires: Time
    event_seq: int = Field(description="its newest event")
    state: State


class Question(Shape):
    """A refused event that is asked again."""

    policy: str
    namespace: str
    model: str
    event: int
    decision: int
    condition: str | None
    reason: str
    wait_until: Time | None
    retry_at: Time | None
    retry_on: str | None
    severity: str
    since: Time


class Decision(Shape):
    """The answer to one event by one policy; of several attempts the last counts."""

    id: int
    input_seq: int
    event: int = Field(description="the event's seq")
    policy: str = Field(description="namespace/name; empty: no policy matched")
    policy_digest: str | None
    model_digest: str | None
    namespace: str
    model: str
    attempt: int
    outcome: Outcome
    reason: Reason | None
    trigger: str | None
    values: Values | None
    parameters: list[Any] | None = Field(description="per step, every expression evaluated")
    now: Time
    remediation: str | None = Field(description="the one it started, or is attached to")


class DecisionInFull(Decision):
    """A decision with the situation that it rests on."""

    situation: dict[str, Any] | None


class Remediation(Shape):
    """One response to one trigger for one model."""

    id: str
    decision: int
    event: int
    namespace: str
    model: str
    policy: str
    policy_digest: str
    model_digest: str | None
    mode: str
    severity: str
    trigger: str
    families: list[str]
    conditions: list[str] = Field(description="ids of those that it answers")
    changing: bool
    acted: bool
    restored: bool = Field(description="a restoring action has started")
    action_failed: bool = Field(description="an action failed, or was stopped for its time")
    urgent: bool = Field(description="its first step restores")
    holds_model: bool
    waits_for: str | None = Field(description="the one that is being stopped for it")
    phase: Phase
    reason: Cause
    message: str
    step: int = Field(description="counted from 0")
    verify_index: int
    phase_since: Time
    action_ended: Time | None
    deadline: Time | None
    hold_reason: str | None
    hold_until: Time | None
    approved: bool = Field(description="a person said yes to the step at hand")
    approval_expires: Time | None
    version_before: str | None = Field(description="served everything when the action at hand began")
    stop_then: str | None
    verdict: Verdict
    continues: str | None
    confirm_until: Time | None = Field(description="later labels may confirm it until then")
    failed_at: Time | None = Field(description="since when it counts as one that did not help though it succeeded")
    started_at: Time
    ended_at: Time | None
    held_until: Time | None
    next_at: Time | None
    active: bool


class Transition(Shape):
    """One row of a remediation's audit trail."""

    remediation_id: str
    version: int
    from_: str = Field(alias="from")
    to: str
    reason: Cause
    step: int
    values: Values
    input_seq: int
    now: Time


class RemediationInFull(Remediation):
    """A remediation with all that is known of it."""

    steps: list[str] = Field(description="names of its policy's steps, and of what was added behind them")
    parameters: list[Any] = Field(description="per step, every expression evaluated")
    attempt: int = Field(description="of the step at hand")
    version: int = Field(description="transitions so far")
    transitions: list[Transition]
    intents: list[dict[str, Any]] = Field(description="what was about to be done, as written down before")
    observations: list[dict[str, Any]] = Field(description="what the outside world answered")
    notifications: list[dict[str, Any]] = Field(description="what people were told, and whether it arrived")


class EventInFull(Event):
    """An event with all that came of it."""

    decisions: list[Decision]
    conditions: list[Condition]
    questions: list[Question]
    remediations: list[RemediationInFull]


class Model(Shape):
    """A model: what is learnt of it."""

    namespace: str
    name: str
    documented: bool
    labels: dict[str, str]
    first_seen: Time | None
    stable: str | None = Field(description="the version that serves, or, since unknownSince, the last known to")
    stable_since: Time | None
    unknown_since: Time | None = Field(description="since when its serving object is gone, or does not tell a version")
    canary: str | None
    arriving: str | None = Field(description="the version that a Deployment is being changed to")
    learnt_from: str | None = Field(description="serving, event or remediation")
    deployed_at: Time | None
    deployed_by: str | None = Field(description="a remediation's id, or others")
    trained_at: Time | None
    trained_by: str | None = Field(description="a remediation's id, or others")
    reference: str | None = Field(description="the reference data of the version that serves, where it was told")
    last_known_good: str | None
    good_since: Time | None
    good_until: Time | None = Field(description="when the last known good version last served; null: it does")
    good_by: str | None = Field(description="the remediation that verified it, or soak")
    active_remediation: Remediation | None
    last_remediation: Remediation | None


class ModelInFull(Model):
    """A model with its document and what is open."""

    text: dict[str, Any] | None
    conditions: list[Condition]
    questions: list[Question]


class Policy(Shape):
    """A policy in force, with its document as written."""

    digest: str
    kind: str
    namespace: str
    name: str
    text: dict[str, Any]


class Policies(_Page[Policy]):
    """The set in force: its policies, and what was refused when it was read."""

    since: Time | None
    digest: str | None
    refused: list[str] = Field(description="one message for each fault; what was in force before stays so")


class Silence(Shape):
    """A mute bound in time."""

    id: str
    matchers: dict[str, str]
    starts_at: Time
    ends_at: Time
    ended_early_at: Time | None
    who: str
    why: str
    state: Literal["pending", "active", "expired"]


class Pause(Shape):
    """A stop until resumed."""

    id: str
    scope: Literal["all", "namespace", "policy", "model"]
    namespace: str
    name: str
    since: Time
    until: Time | None
    lifted_at: Time | None
    who: str
    why: str
    in_force: bool


class Quarantined(Shape):
    """What could not be used."""

    digest: str
    origin: str
    reason: str
    message: str
    event_seq: int | None
    count: int
    first_seen: Time
    last_seen: Time
    replayed_at: Time | None


class QuarantinedInFull(Quarantined):
    """An item of the quarantine with what it was."""

    body: Any


class PolicySet(Shape):
    """The set of documents in force."""

    seq: int
    input_seq: int
    since: Time
    digest: str
    members: int
    refused: list[str]


class Status(BaseModel):
    """What the process is doing; the composition root adds keys of its own."""

    model_config = ConfigDict(extra="allow", alias_generator=to_camel, validate_by_name=True, validate_by_alias=True)

    version: str
    now: Time
    backlog: int
    active_remediations: dict[str, int]
    open_conditions: int
    open_questions: int
    pauses_in_force: int
    outbox_pending: int
    quarantined: int
    last_input: dict[str, Any] | None
    leader: dict[str, Any] | None
    policy_set: PolicySet | None


class Events(_Page[Event]):
    """One page of a list."""


class Conditions(_Page[Condition]):
    """One page of a list."""


class Questions(_Page[Question]):
    """One page of a list."""


class Decisions(_Page[Decision]):
    """One page of a list."""


class Remediations(_Page[Remediation]):
    """One page of a list."""


class Models(_Page[Model]):
    """One page of a list."""


class Silences(_Page[Silence]):
    """One page of a list."""


class Pauses(_Page[Pause]):
    """One page of a list."""


class Quarantine(_Page[Quarantined]):
    """One page of a list."""
