"""The rows that a deciding transaction works with, and the statements that read and write them.

Built once: SQLAlchemy takes several times longer to build such a statement than SQLite to answer it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BindParameter, bindparam, delete, exists, func, insert, select, update

from controller import schema
from controller.events.condition import Condition
from controller.policy.state import ModelState
from controller.store.inserting import InsertNew

ModelKey = tuple[str, str]
"""Namespace and name."""


@dataclass(frozen=True, slots=True)
class Question:
    """The newest event of a policy and model that was refused by what may yet lift."""

    policy_ns: str
    policy: str
    namespace: str
    model: str
    event_seq: int
    decision_id: int
    condition_id: str | None
    reason: str
    wait_until: datetime | None
    retry_at: datetime | None
    retry_on: str | None
    severity: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Past:
    """A remediation as the limits see it."""

    id: str
    policy_ns: str
    policy: str
    mode: str
    policy_digest: str
    phase: str
    reason: str
    step: int
    verdict: str
    changing: bool
    acted: bool
    restored: bool
    action_failed: bool
    urgent: bool
    holds_model: bool
    waits_for: str | None
    families: tuple[str, ...]
    started_at: datetime
    ended_at: datetime | None
    held_until: datetime | None
    confirm_until: datetime | None
    failed_at: datetime | None


@dataclass(frozen=True, slots=True)
class PauseRow:
    """A pause in force; `name` is the policy's or the model's."""

    id: str
    scope: str
    namespace: str
    name: str
    until: datetime | None
    why: str


@dataclass(frozen=True, slots=True)
class SilenceRow:
    """A silence in force."""

    id: str
    matchers: dict[str, Any]
    until: datetime
    why: str


@dataclass(frozen=True, slots=True)
class ResumeRow:
    """A person's word that failures before it count no more, where it names a policy and a model."""

    policy: str | None
    model: str | None
    at: datetime


_P, _S, _A, _R, _C, _E = (
    schema.pauses.c,
    schema.silences.c,
    schema.acts.c,
    schema.remediations.c,
    schema.conditions.c,
    schema.evidence.c,
)
_NOW = bindparam("now", type_=schema.Instant)
_NAMES: BindParameter[Any] = bindparam("names", expanding=True)

CONDITIONS = select(*(_C[name] for name in Condition.__dataclass_fields__)).where(_C.name.in_(_NAMES))
PAST = (
    select(_R.namespace, _R.model, *(_R[name] for name in Past.__dataclass_fields__))
    .where(_R.model.in_(_NAMES))
    .order_by(_R.started_at)
)
_M = schema.models.c
STATE = tuple(_M[name] for name in ModelState.__dataclass_fields__)
STATES = select(_M.namespace, _M.name, *STATE).where(_M.name.in_(_NAMES))
_Q = schema.questions.c
QUESTIONS = select(_Q.namespace, _Q.model, *(_Q[name] for name in Question.__dataclass_fields__)).where(
    _Q.model.in_(_NAMES)
)
QUESTION_KEY = ("policy_ns", "policy", "namespace", "model")

_PAUSED = (_P.lifted_at.is_(None), _P.until.is_(None) | (_P.until > _NOW))
_SILENCED = (_S.starts_at <= _NOW, _S.ends_at > _NOW, _S.ended_early_at.is_(None))
_RESUMED = (_A.kind == "resume", _A.input_seq.is_not(None))
BARS = select(
    exists().where(*_PAUSED).label("pauses"),
    exists().where(*_SILENCED).label("silences"),
    exists().where(*_RESUMED).label("resumes"),
)
PAUSES = select(_P.id, _P.scope, _P.namespace, _P.name, _P.until, _P.why).where(*_PAUSED).order_by(_P.since, _P.id)
SILENCES = select(_S.id, _S.matchers, _S.ends_at, _S.why).where(*_SILENCED).order_by(_S.starts_at, _S.id)
RESUMES = select(_A.body, _A.at).where(*_RESUMED).order_by(_A.id)
FLEET = select(func.count()).where(_R.holds_model, _R.changing, _R.mode != "audit")
_T = schema.targets.c
TARGETS = select(_T.kind, _T.namespace, _T.name, _T.remediation_id).where(_T.active)

_TRIGGER_OF = (
    _E.policy_ns == bindparam("policy_ns"),
    _E.policy == bindparam("policy"),
    _E.trigger_digest == bindparam("trigger_digest"),
    _E.model == bindparam("model"),
    _E.namespace == bindparam("namespace"),
)
_WINDOW = (*_TRIGGER_OF, _E.time > bindparam("since"))
LIFE = select(_E.event_seq).where(*_TRIGGER_OF, _E.time.between(bindparam("start"), bindparam("until"))).limit(1)
NEWEST = (
    select(_E.time, _E.value).where(*_WINDOW).order_by(_E.time.desc(), _E.event_seq.desc()).limit(bindparam("most"))
)
DISTINCT = select(func.max(_E.time).label("time"), _E.value).where(*_WINDOW).group_by(_E.value)

ADD_MODELS = InsertNew(schema.models)
LEARN = (
    update(schema.models)
    .where(_M.namespace == bindparam("b_namespace"), _M.name == bindparam("b_name"))
    .values({name: bindparam(name) for name in (*ModelState.__dataclass_fields__, "soaks_at")})
)
ADD_EVIDENCE = InsertNew(schema.evidence)
KEEP_CONDITIONS = InsertNew(schema.conditions, replacing=("id",))
KEEP_QUESTIONS = InsertNew(schema.questions, replacing=QUESTION_KEY)
ADD_DECISIONS = insert(schema.decisions)
CLOSE = delete(schema.questions).where(*(_Q[name] == bindparam(name) for name in QUESTION_KEY))
DECIDED = (
    update(schema.events)
    .where(schema.events.c.seq == bindparam("b_seq"))
    .values(decided_at=bindparam("b_now"), input_seq=bindparam("b_input"), in_hand=False)
)
