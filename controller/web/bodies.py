"""What callers may send: query parameters and JSON bodies, each checked by one pydantic model.

Unknown keys are faults: a misspelt filter that is ignored would answer another question
than the one that was asked.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from controller.durations import parse_duration

_INSTANT = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)")
_NAME = r"[^\x00-\x1f\x7f/]{1,253}"
_LONGEST_SILENCE = timedelta(days=366)

MATCHERS = ("namespace", "model", "policy", "type", "source", "severity", "feature", "metric", "slice")


def _instant_text(value: Any) -> Any:
    # pydantic would take 5 and "5" for seconds since 1970
    if not isinstance(value, str) or not _INSTANT.fullmatch(value):
        raise ValueError("an RFC 3339 time with an offset, as 2026-03-01T12:00:00Z")
    return value


def _duration(text: str) -> str:
    try:
        if parse_duration(text) > timedelta():
            return text
    except ValueError:
        pass
    raise ValueError("a duration longer than 0s, as 30m, 4h or 2d")


def _qualified(text: str) -> str:
    if not re.fullmatch(rf"({_NAME}/)?{_NAME}", text):
        raise ValueError("name or namespace/name")
    return text if "/" in text else f"default/{text}"


Moment = Annotated[
    datetime, BeforeValidator(_instant_text, json_schema_input_type=str), Field(examples=["2026-03-01T12:00:00Z"])
]
Length = Annotated[str, AfterValidator(_duration), Field(description="a duration such as 30m, 4h or 2d", max_length=40)]
Qualified = Annotated[
    str, AfterValidator(_qualified), Field(description="namespace/name; without a namespace: default", max_length=600)
]
Why = Annotated[str, Field(description="why, in words for the record", min_length=1, max_length=2000, pattern=r"\S")]

Comment = Annotated[str, Field(description="a comment for the record", max_length=2000)]
Asking = Annotated[
    int | None,
    Field(
        ge=1,
        le=2**31 - 1,
        description="the `version` of the remediation when it asked: an answer to what is asked no more is refused",
    ),
]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", alias_generator=to_camel, validate_by_name=True, validate_by_alias=True)


# ── query parameters ────────────────────────────────────────────────────────────────────────────


class PageQuery(_Strict):
    """Of every list: how many items, and from where on."""

    limit: int = Field(100, ge=1, le=500, description="items of one page")
    cursor: str | None = Field(None, max_length=4000, description="`next` of the page before")


class EventsQuery(PageQuery):
    """Filters of the list of events."""

    namespace: str | None = None
    model: str | None = None
    dataset: str | None = None
    type: str | None = None
    source: str | None = None
    id: str | None = Field(None, description="the CloudEvents id; several sources may use the same")
    since: Moment | None = Field(None, description="received at or after")
    undecided: bool | None = Field(None, description="only those that wait for their decision, or only others")


class ConditionsQuery(PageQuery):
    """Filters of the list of conditions."""

    namespace: str | None = None
    model: str | None = None
    dataset: str | None = None
    family: str | None = None
    source: str | None = None
    state: Literal["open", "over", "unknown"] | None = None


class QuestionsQuery(PageQuery):
    """Filters of the list of open questions."""

    namespace: str | None = None
    model: str | None = None
    event: int | None = Field(None, ge=1, le=2**63 - 1, description="the event's seq")


class DecisionsQuery(PageQuery):
    """Filters of the list of decisions."""

    namespace: str | None = None
    model: str | None = None
    policy: Qualified | None = None
    event: int | None = Field(None, ge=1, le=2**63 - 1, description="the event's seq")
    outcome: Literal["remediate", "suppress", "none"] | None = None
    reason: str | None = None
    remediation: str | None = None


class RemediationsQuery(PageQuery):
    """Filters of the list of remediations."""

    namespace: str | None = None
    model: str | None = None
    policy: Qualified | None = None
    phase: str | None = None
    active: bool | None = Field(None, description="only those that are not over, or only those that are")


class ModelsQuery(PageQuery):
    """Filters of the list of models."""

    namespace: str | None = None


class SilencesQuery(PageQuery):
    """Filters of the list of silences."""

    state: Literal["pending", "active", "expired"] | None = None


class PausesQuery(PageQuery):
    """Filters of the list of pauses."""

    in_force: bool | None = Field(None, description="only pauses in force now, or only those that ended")


class QuarantineQuery(PageQuery):
    """Filters of the quarantine."""

    origin: str | None = None
    reason: str | None = None


class ExplainQuery(_Strict):
    """Which event or remediation to explain."""

    ref: str = Field(min_length=1, max_length=1024, description="an event's id or seq, or a remediation's id")
    source: str | None = Field(None, max_length=1024, description="the event's source, where an id is not enough")


# ── bodies ──────────────────────────────────────────────────────────────────────────────────────


class WhyBody(_Strict):
    """An act that needs nothing but its reason."""

    why: Why


class CommentBody(_Strict):
    """An act that may have a comment."""

    why: Comment = ""


class ApproveBody(CommentBody):
    """A yes to what is asked."""

    asking: Asking = None


class RejectBody(WhyBody):
    """A no to what is asked, and why."""

    asking: Asking = None


class SilenceBody(_Strict):
    """A mute bound in time: what matches every matcher is decided `silenced`."""

    matchers: dict[str, Annotated[str, Field(min_length=1, max_length=1024)]] = Field(
        default_factory=dict,
        description="what must match, each a value or a glob (`*` any characters, `?` one, `[ab]` one of): "
        + ", ".join(MATCHERS)
        + ", labels.<name> of the model",
        max_length=32,
    )
    all: bool = Field(False, description="must be true for a silence without matchers: it mutes everything")
    confirm: bool = Field(False, description="must be true where it would mute every model and every policy")
    starts_at: Moment | None = Field(None, description="default: now")
    ends_at: Moment | None = Field(None, description="this or `for`")
    for_: Length | None = Field(None, alias="for", description="its length from `startsAt`; this or `endsAt`")
    why: Why

    @model_validator(mode="after")
    def _whole(self) -> Self:
        for name in self.matchers:
            if name not in MATCHERS and not re.fullmatch(r"labels\.\S+", name):
                raise ValueError(f"matchers named {', '.join(MATCHERS)} or labels.<name>, not {name!r}")
        for name in ("model", "policy"):
            if "/" in self.matchers.get(name, ""):
                raise ValueError(f"for {name} a name; its namespace is a matcher of its own")
        if (self.ends_at is None) == (self.for_ is None):
            raise ValueError("either endsAt or for")
        if self.all and self.matchers:
            raise ValueError("either matchers or all")
        if not self.all and all(set(pattern) == {"*"} for pattern in self.matchers.values()):
            raise ValueError('matchers, or "all": true for a silence that mutes everything')
        return self

    def times(self, now: datetime) -> tuple[datetime, datetime]:
        """When it starts and ends. Raises ValueError for an end that is past, before the start or too far."""
        start = max(self.starts_at or now, now)
        end = self.ends_at or start + parse_duration(self.for_ or "0s")
        if end <= start:
            raise ValueError("an end after its start and after now")
        if end - start > _LONGEST_SILENCE:
            raise ValueError("an end at most a year after its start; a pause has no such bound")
        return start, end


class _Scoped(_Strict):
    namespace: Annotated[str, Field(pattern=rf"^{_NAME}$")] | None = None
    policy: Qualified | None = None
    model: Qualified | None = None
    why: Why

    def scope(self) -> tuple[str, str]:
        """The act's scope and what it is about: `("model", "ml/salary-predictor")`, `("all", "")`."""
        for scope in ("model", "policy", "namespace"):
            ref = getattr(self, scope)
            if ref is not None:
                return scope, str(ref)
        return "all", ""


class PauseBody(_Scoped):
    """A stop of everything, or of a namespace, a policy or a model, until resumed."""

    until: Moment | None = Field(None, description="default: until resumed")

    @model_validator(mode="after")
    def _one_scope(self) -> Self:
        if sum(part is not None for part in (self.namespace, self.policy, self.model)) > 1:
            raise ValueError("at most one of namespace, policy, model")
        return self


class ResumeBody(_Scoped):
    """The end of a pause; with a policy and a model it closes the policy's breaker for that model instead."""

    @model_validator(mode="after")
    def _one_scope(self) -> Self:
        if self.namespace is not None and (self.policy is not None or self.model is not None):
            raise ValueError("a namespace alone, or a policy, a model, or both")
        return self
