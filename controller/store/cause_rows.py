"""Which models met a correlating policy's triggers for which cause, and of which causes an event told.

One row for each policy, cause and model: so a look at a cause costs as much as models have met it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, select

from controller import schema
from controller.policy import Policy
from controller.store.inserting import InsertNew
from controller.store.leader import Turn

ModelKey = tuple[str, str]
_Key = tuple[str, str, str]

_CAUSE = ("policy_ns", "policy", "cause")
_C, _F = schema.causes.c, schema.fleets.c
_MET = select(_C.namespace, _C.model, _C.event_seq, _C["at"]).where(*(_C[name] == bindparam(name) for name in _CAUSE))
_TOLD = select(_F.namespace, _F.model, _F.condition_id, _F.models, _F["at"]).where(
    *(_F[name] == bindparam(name) for name in _CAUSE)
)
_KEEP_MET = InsertNew(schema.causes, replacing=(*_CAUSE, "namespace", "model"))
_KEEP_TOLD = InsertNew(schema.fleets, replacing=_CAUSE)


@dataclass(frozen=True, slots=True)
class Met:
    """That a model met a trigger: by which event, and when that was decided."""

    event_seq: int
    at: datetime


@dataclass(frozen=True, slots=True)
class ToldOf:
    """That an event told of a cause: about which model, the condition that it opens, how many had it, when."""

    key: ModelKey
    condition_id: str
    models: int
    at: datetime


class CauseRows:
    """The rows of one `Turn`: read once for each cause, changed, written by `flush`."""

    def __init__(self, turn: Turn) -> None:
        self._turn = turn
        self._met: dict[_Key, dict[ModelKey, Met]] = {}
        self._told: dict[_Key, ToldOf | None] = {}
        self._new_met: dict[tuple[_Key, ModelKey], Met] = {}
        self._new_told: dict[_Key, ToldOf] = {}

    def met(self, policy: Policy, cause: str) -> dict[ModelKey, Met]:
        """The models that met the policy's triggers for this cause, each with the last time."""
        key = (policy.namespace, policy.name, cause)
        if key not in self._met:
            rows = self._turn.conn.execute(_MET, dict(zip(_CAUSE, key, strict=True)))
            self._met[key] = {(row[0], row[1]): Met(row[2], row[3]) for row in rows}
        return self._met[key]

    def meet(self, policy: Policy, cause: str, model: ModelKey, event_seq: int) -> None:
        """A trigger is true for the model by this event; the same event again changes nothing."""
        before = self.met(policy, cause)
        if model in before and before[model].event_seq == event_seq:
            return
        key = (policy.namespace, policy.name, cause)
        before[model] = self._new_met[key, model] = Met(event_seq, self._turn.now)

    def told(self, policy: Policy, cause: str) -> ToldOf | None:
        """The last time that an event told of this cause."""
        key = (policy.namespace, policy.name, cause)
        if key not in self._told:
            row = self._turn.conn.execute(_TOLD, dict(zip(_CAUSE, key, strict=True))).one_or_none()
            self._told[key] = ToldOf((row[0], row[1]), *row[2:]) if row else None
        return self._told[key]

    def tell(self, policy: Policy, cause: str, model: ModelKey, condition_id: str, models: int) -> None:
        """An event tells of the cause now."""
        key = (policy.namespace, policy.name, cause)
        self._told[key] = self._new_told[key] = ToldOf(model, condition_id, models, self._turn.now)

    def flush(self) -> None:
        """Write what is new."""
        conn = self._turn.conn
        _KEEP_MET.rows(conn, [_row(key) | _met_row(model, met) for (key, model), met in self._new_met.items()])
        _KEEP_TOLD.rows(conn, [_row(key) | _told_row(told) for key, told in self._new_told.items()])
        self._new_met.clear()
        self._new_told.clear()


def _row(key: _Key) -> dict[str, Any]:
    return dict(zip(_CAUSE, key, strict=True))


def _met_row(model: ModelKey, met: Met) -> dict[str, Any]:
    return {"namespace": model[0], "model": model[1], "event_seq": met.event_seq, "at": met.at}


def _told_row(told: ToldOf) -> dict[str, Any]:
    namespace, model = told.key
    more = {"condition_id": told.condition_id, "models": told.models, "at": told.at}
    return {"namespace": namespace, "model": model, **more}
