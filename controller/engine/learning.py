"""Learning which versions of a model serve: from its serving object, from `ml.model.deployed`, from what was verified.

What a serving object shows is an input, written only where it changes what is known. Of what
changes, open questions are asked again: about a version that no longer serves they close.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from sqlalchemy import Connection

from controller.engine.following import Following, Name, News
from controller.engine.rules import Rules
from controller.events.event import OWN_SOURCE, Event
from controller.events.scalars import parse_time
from controller.events.types import MODEL_DEPLOYED, MODEL_TRAINED
from controller.kube.rollouts import all_newest, canary, observed
from controller.policy import (
    NOTHING,
    OTHERS,
    Model,
    ModelState,
    PolicySet,
    RolloutVerification,
    normalised,
    read_version,
    version_of,
)
from controller.policy.state import Serves, known_good, shown_serving, told_deployed, told_reference, trained, verified
from controller.remediation import Remediation
from controller.store import remediations, states
from controller.store.database import Database
from controller.store.leader import Turn
from controller.store.ledger import Ledger
from controller.store.ledger_rows import ModelKey

Served = Mapping[Name, tuple[Model, ...]]
"""The models that each serving object serves, as far as it tells their versions."""

_TRAINS = frozenset({"workflow", "command", "job", "request"})
"""Actions that may have trained the version that they report; a rollout only sets it."""
_NO_DETECTOR = frozenset({MODEL_DEPLOYED, MODEL_TRAINED, "ml.labels.available"})
"""Moments that prove no detector to be alive."""
SOAK_AGAIN = timedelta(hours=1)
"""A version that has not proved itself yet is looked at again after this."""
_ANY = datetime.max.replace(tzinfo=UTC)
"""A time that is only compared with itself."""


def served(policies: PolicySet) -> Served:
    """The serving objects of a policy set that tell a version."""
    found: dict[Name, tuple[Model, ...]] = {}
    for _, model in sorted(policies.models.items()):
        if model.target is not None and watched(model):
            found[model.target] = (*found.get(model.target, ()), model)
    return found


def watched(model: Model) -> bool:
    """Whether its serving object tells which version serves."""
    return model.serving is not None and model.serving.version is not None


def watch(following: Following, before: Served, now: Served) -> None:
    """Have the serving objects watched; one that is new where all are watched already is asked for."""
    places = sorted({(kind, namespace) for kind, namespace, _ in now})
    fresh = {place for place in places if following.follow(*place)}
    following.ask_for([name for name in sorted(now) if name not in before and name[:2] not in fresh])


def reading(model: Model, obj: Mapping[str, Any] | None) -> Serves | None:
    """What a serving object tells of a model; None: its controller has not seen its newest spec yet."""
    assert model.serving is not None
    if obj is None:
        return Serves(told=False)
    if not observed(obj):
        return None
    version = read_version(model.serving.plain(), obj)
    if version is None:
        return Serves(told=False)
    if obj["kind"] == "Deployment":
        return Serves(stable=version) if all_newest(obj) else Serves(arriving=version)
    now = canary(obj)
    if not now.stable:
        return Serves(arriving=version)
    if not now.in_progress:
        return Serves(stable=version, stable_revision=now.revision)
    if now.aborted:
        return Serves(stable_revision=now.stable)
    return Serves(stable_revision=now.stable, canary=version, canary_revision=now.revision)


def changes(db: Database, news: News, known: Served) -> list[tuple[ModelKey, Serves]]:
    """What watches have shown of serving objects that may change what is known."""
    names = [name for name in news.objects if name in known]
    gone = [name for name in known if name[:2] in news.whole and name not in news.objects]
    found = [
        ((model.namespace, model.name), seen)
        for name in (*names, *gone)
        for model in known[name]
        if (seen := reading(model, news.objects.get(name))) is not None
    ]
    if not found:
        return []
    with db.read() as conn:
        before = states.read_all(conn, {key for key, _ in found})
    return [(key, seen) for key, seen in found if _tells(before.get(key, NOTHING), seen)]


def _tells(known: ModelState, seen: Serves) -> bool:
    """Whether it changes what is known, whoever brought it."""
    return shown_serving(known, seen, OTHERS, _ANY) != known


def learn_served(turn: Turn, rules: Rules, key: ModelKey, seen: Serves) -> bool:
    """Use what a serving object showed; whether it changed what is known."""
    ledger = Ledger(turn)
    ledger.load([key])
    after = shown_serving(ledger.state(key), seen, who(ledger, key, turn.now), turn.now)
    if after == ledger.state(key):
        return False
    states.observe(turn, turn.input("observation", "/".join(key)), seen)
    keep(ledger, rules, key, after)
    ledger.flush()
    return True


def learn_told(ledger: Ledger, rules: Rules, event: Event) -> None:
    """Use what an event says of what serves, or was trained; a detector's says nothing."""
    if event.type not in (MODEL_DEPLOYED, MODEL_TRAINED) or event.model is None:
        return
    model, _, candidates = rules.model_of(event)
    if candidates:
        return
    key = (model.namespace, model.name)
    state, data = ledger.state(key), event.data
    by = who(ledger, key, event.time)
    version = version_of(event, model, state)
    if event.type == MODEL_DEPLOYED and version is not None:
        role: Literal["stable", "canary"] = "canary" if data.get("role") == "canary" else "stable"
        state = told_deployed(state, version, event.time, by, role=role, watched=watched(model))
        if "referenceId" in data:
            state = told_reference(state, version, data["referenceId"])
    at = event.time if event.type == MODEL_TRAINED else parse_time(data.get("trainedAt"))
    if at is not None and at <= ledger.turn.now:
        state = trained(state, at, who(ledger, key, at) if event.type == MODEL_DEPLOYED else by)
    keep(ledger, rules, key, state)


def learn_verified(ledger: Ledger, rules: Rules, r: Remediation) -> None:
    """Use that a remediation was verified as recovered: what it brought serves, and is known to be good."""
    key = (r.namespace, r.model)
    model = rules.policies.models.get(key) or Model.bare(*key)
    version = version_brought(ledger.turn.conn, r, model)
    promoted = any(isinstance(found, RolloutVerification) and found.wants == "promoted" for found in r.rung.verify)
    state, now = ledger.state(key), ledger.turn.now
    keep(ledger, rules, key, verified(state, version, r.id, now, watched=watched(model), promoted=promoted))


def learn_trained(ledger: Ledger, rules: Rules, r: Remediation, outputs: Mapping[str, Any]) -> None:
    """Use that an action of ours was done and reported a version: one that nobody knew was trained by it."""
    key = (r.namespace, r.model)
    model = rules.policies.models.get(key) or Model.bare(*key)
    version, state = reported(outputs, model), ledger.state(key)
    trains = r.parameters[r.step]["kind"] in _TRAINS
    if trains and version is not None and version not in (state.stable, state.canary, state.last_known_good):
        keep(ledger, rules, key, trained(state, ledger.turn.now, r.id))


def version_brought(conn: Connection, r: Remediation, model: Model) -> str | None:
    """The version that the action of the rung at hand reports to have brought, as the model's own names have it."""
    return reported(remediations.outputs(conn, r), model)


def reported(outputs: Mapping[str, Any], model: Model) -> str | None:
    """The version that an action reports to have brought, as the model's own names have it."""
    version = outputs.get("version")
    return normalised(version, model.version_names) if isinstance(version, str) and version else None


def who(ledger: Ledger, key: ModelKey, at: datetime) -> str:
    """Who was at work on the model then: the remediation of ours that had begun an action, or others."""
    return states.at_work(ledger.turn.conn, key, at) or OTHERS


def keep(ledger: Ledger, rules: Rules, key: ModelKey, after: ModelState) -> None:
    """Keep what is known now; where other versions serve than before, questions and held remediations are asked."""
    before = ledger.state(key)
    if after == before:
        return
    ledger.learn(key, after, soaks_at(rules, key, after))
    if before.serving is None or (before.serving, before.canary) == (after.serving, after.canary):
        return
    for question in ledger.questions(key):
        ledger.ask(replace(question, retry_at=ledger.turn.now))
    for past in ledger.past(key):
        if past.ended_at is None and past.phase == "Pending":
            ledger.look_again(past.id)


def soaks_at(rules: Rules, key: ModelKey, state: ModelState) -> datetime | None:
    """When it is to be asked whether the stable version has proved to be good; None: it is known, or never."""
    model = rules.policies.models.get(key)
    if model is None or state.serving is None or state.stable_since is None or state.serving == state.last_known_good:
        return None
    return state.stable_since + model.known_good.soak


def soak(turn: Turn, rules: Rules, key: ModelKey) -> None:
    """Ask whether the stable version has served for long enough, watched and without complaint, to be called good."""
    ledger, now = Ledger(turn), turn.now
    ledger.load([key])
    state = ledger.state(key)
    due = soaks_at(rules, key, state)
    if due is None or due > now:
        states.ask_at(turn, key, due)
    elif state.serving is None or not _proven(ledger, rules, key, state):
        states.ask_at(turn, key, now + SOAK_AGAIN)
    else:
        turn.input("tick", "/".join(key))
        keep(ledger, rules, key, known_good(state, state.serving, "soak", now))
        ledger.flush()


def _proven(ledger: Ledger, rules: Rules, key: ModelKey, state: ModelState) -> bool:
    """Whether a detector is alive and no performance condition is open that was seen since it serves."""
    now, since, live = ledger.turn.now, state.stable_since, False
    for condition in ledger.conditions(key):
        open_still = condition.ended is None and condition.family == "performance"
        if open_still and since is not None and condition.last_seen >= since:
            return False
        detector = condition.type not in _NO_DETECTOR and condition.source != OWN_SOURCE
        live |= detector and condition.last_seen >= now - rules.expires(condition.source)
    return live
