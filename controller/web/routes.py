"""Every route of the JSON API, once: the app is built from this table, and so is its OpenAPI document."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from pydantic import BaseModel

from controller.web import answers, bodies, shapes

PREFIX = "/api/v1"

Role = Literal["read", "operate"]


@dataclass(frozen=True, slots=True)
class Route:
    """One method of one path.

    :ivar name: the method of `api.Api` that answers; the OpenAPI `operationId`.
    :ivar refusals: statuses it may answer beside those that every route may.
    """

    method: Literal["GET", "POST"]
    path: str  # as Flask writes it
    name: str
    role: Role
    summary: str
    answer: type[BaseModel]
    query: type[BaseModel] | None = None
    body: type[BaseModel] | None = None
    status: int = 200
    refusals: tuple[int, ...] = field(default=())


def _list(
    path: str, name: str, summary: str, answer: type[BaseModel], query: type[BaseModel] = bodies.PageQuery
) -> Route:
    return Route("GET", path, name, "read", summary, answer, query=query)


def _one(path: str, name: str, summary: str, answer: type[BaseModel]) -> Route:
    return Route("GET", path, name, "read", summary, answer, refusals=(404,))


def _act(path: str, name: str, summary: str, body: type[BaseModel] = bodies.WhyBody) -> Route:
    return Route("POST", path, name, "operate", summary, answers.Done, body=body, refusals=(404, 409))


ROUTES: tuple[Route, ...] = (
    Route("GET", "/status", "status", "read", "What this process is doing, and the set in force", shapes.Status),
    _list("/events", "events", "Events received, newest first", shapes.Events, bodies.EventsQuery),
    _one("/events/<seq>", "event", "One event by its seq, with all that came of it", shapes.EventInFull),
    _list("/conditions", "conditions", "What is, or was, wrong with models", shapes.Conditions, bodies.ConditionsQuery),
    _one("/conditions/<id>", "condition", "One condition", shapes.Condition),
    _act("/conditions/<id>/end", "end_condition", "End a condition by a person's word"),
    _list("/questions", "questions", "Refused events that are asked again", shapes.Questions, bodies.QuestionsQuery),
    _list("/decisions", "decisions", "Decisions, newest first", shapes.Decisions, bodies.DecisionsQuery),
    _one("/decisions/<id>", "decision", "One decision with the situation it rests on", shapes.DecisionInFull),
    _list(
        "/remediations", "remediations", "Remediations, newest first", shapes.Remediations, bodies.RemediationsQuery
    ),
    _one(
        "/remediations/<id>", "remediation", "One remediation with transitions, intents and samples",
        shapes.RemediationInFull,
    ),
    _act("/remediations/<id>/approve", "approve", "Say yes to the step that awaits approval", bodies.ApproveBody),
    _act("/remediations/<id>/reject", "reject", "Say no to it: the remediation ends", bodies.RejectBody),
    _act("/remediations/<id>/retry", "retry", "Try a step again that failed, as a new remediation", bodies.CommentBody),
    _act("/remediations/<id>/cancel", "cancel", "Stop a remediation's action and end it"),
    _list("/models", "models", "Models with a document, or with events", shapes.Models, bodies.ModelsQuery),
    _one("/models/<namespace>/<path:name>", "model", "One model with its document", shapes.ModelInFull),
    Route(
        "GET", "/policies", "policies", "read", "The policies in force and the documents refused", shapes.Policies,
        query=bodies.PageQuery,
    ),
    _one("/policies/<namespace>/<name>", "policy", "One policy in force with its document", shapes.Policy),
    _list("/silences", "silences", "Silences, newest first", shapes.Silences, bodies.SilencesQuery),
    _one("/silences/<id>", "silence", "One silence", shapes.Silence),
    Route(
        "POST", "/silences", "add_silence", "operate", "Mute by matchers for a time", answers.Done,
        body=bodies.SilenceBody, status=201, refusals=(409,),
    ),
    _act("/silences/<id>/expire", "expire_silence", "End a silence now"),
    _list("/pauses", "pauses", "Pauses, newest first", shapes.Pauses, bodies.PausesQuery),
    _act("/pause", "pause", "Stop everything, a namespace, a policy or a model", bodies.PauseBody),
    _act("/resume", "resume", "End a pause; with policy and model close a breaker", bodies.ResumeBody),
    _list("/quarantine", "quarantine", "What could not be used", shapes.Quarantine, bodies.QuarantineQuery),
    _one("/quarantine/<digest>", "quarantined", "One item of the quarantine with its body", shapes.QuarantinedInFull),
    _act("/quarantine/<digest>/replay", "replay", "Try an item of the quarantine again"),
    Route(
        "GET", "/explain", "explain", "read", "Why: for an event or a remediation", answers.Explanation,
        query=bodies.ExplainQuery, refusals=(404, 409),
    ),
)  # fmt: skip
