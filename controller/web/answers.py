"""What the JSON API answers beside rows: explanations, acts carried out, problems."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from controller.decision import Outcome, Reason
from controller.judge import Verdict
from controller.remediation import Cause, Phase
from controller.web.shapes import Shape, Time, Values


class Answer(Shape):
    """What one policy said to the event, by its last attempt."""

    policy: str
    outcome: Outcome
    reason: Reason | None
    sentence: str
    again: str | None = Field(description="when it is asked again; null: it is not")
    values: Values
    attempt: int
    now: Time
    remediation: str | None
    earlier: list[str] = Field(description="reasons of the attempts before")
    model: str | None = Field(description="for which model, where the event is about a dataset")


class Told(Shape):
    """One transition in words."""

    at: Time
    phase: Phase
    reason: Cause
    sentence: str
    values: Values


class Story(Shape):
    """One remediation in words."""

    remediation: str
    policy: str
    model: str
    phase: Phase
    verdict: Verdict
    sentence: str
    steps: list[Told]


class Explanation(Shape):
    """Why; `lines` is the whole of it as text."""

    kind: Literal["event", "remediation"]
    ref: str
    headline: str
    notes: list[str]
    answers: list[Answer]
    stories: list[Story]
    lines: list[str]


class Done(BaseModel):
    """An act was carried out."""

    model_config = ConfigDict(extra="allow")

    ok: Literal[True]
    message: str = Field(description="what was done, for people")


class Fault(Shape):
    """One thing wrong at one place."""

    path: str
    wanted: str
    found: str
    detail: str


class Problem(BaseModel):
    """RFC 9457."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str
    errors: list[Fault] = []
