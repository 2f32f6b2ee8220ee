"""Which models met a correlating policy's triggers for which cause, and of which causes an event told.

One row for each policy, cause and model. Read are those of the window, once in a transaction: an event
about a dataset asks for each of its readers.
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
_OF = tuple(_C[name] == bindparam(name) for name in _CAUSE)
_MET = select(_C.namespace, _C.model, _C.event_seq, _C["at"]).where(*_OF, _C["at"] > bindparam("after"))
_MINE = select(_C.event_seq).where(*_OF, _C.namespace == bindparam("namespace"), _C.model == bindparam("model"))
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
        self._since: dict[_Key, tuple[datetime, dict[ModelKey, Met]]] = {}
        self._new_met: dict[tuple[_Key, ModelKey], Met] = {}
        self._new_told: dict[_Key, ToldOf] = {}

    def since(self, policy: Policy, cause: str, floor: datetime) -> dict[ModelKey, Met]:
        """The models that met the policy's triggers for this cause later than `floor`, each with the last time.

        :param floor: not before the start of the policy's window.
        """
        key = (policy.namespace, policy.name, cause)
        known = self._since.get(key)
        if known is None or known[0] != floor:
            found = {model: met for model, met in self._met_of(policy, key).items() if met.at > floor}
            known = self._since[key] = floor, found
        return known[1]

    def _met_of(self, policy: Policy, key: _Key) -> dict[ModelKey, Met]:
        assert policy.correlate is not None
        if key not in self._met:
            asked = _row(key) | {"after": self._turn.now - policy.correlate.within}
            rows = self._turn.conn.execute(_MET, asked)
            self._met[key] = {(row[0], row[1]): Met(row[2], row[3]) for row in rows}
        return self._met[key]

    def meet(self, policy: Policy, cause: str, model: ModelKey, event_seq: int, *, again: bool) -> None:
        """A trigger is true for the model by this event; where it is asked `again`, that may be known already."""
        key = (policy.namespace, policy.name, cause)
        met = self._met_of(policy, key)
        if again and self._known(key, model) == event_seq:
            return
        met[model] = self._new_met[key, model] = Met(event_seq, self._turn.now)
        floor, found = self._since.get(key, (None, {}))
        if floor is not None and self._turn.now > floor:
            found[model] = met[model]

    def _known(self, key: _Key, model: ModelKey) -> int | None:
        """The event by which a model met it last, however long ago."""
        found = self._met[key].get(model)
        if found is not None:
            return found.event_seq
        mine = {"namespace": model[0], "model": model[1]}
        seq: int | None = self._turn.conn.execute(_MINE, _row(key) | mine).scalar()
        return seq

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
