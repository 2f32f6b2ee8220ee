"""Triggers, `require` and `unless`, read from a document."""

from __future__ import annotations

from controller.policy.digest import digest_of
from controller.policy.keys import LATER
from controller.policy.reading import Fields, Place, either
from controller.policy.types import Corroboration, Counter, Trigger

_ONE_WAY = ("sustained", "count", "distinct")


def read_triggers(place: Place) -> tuple[Trigger, ...]:
    """The triggers in their order, each with a name of its own."""
    triggers = tuple(_read_trigger(item) for item in place.items("triggers"))
    seen: set[str] = set()
    for at, trigger in enumerate(triggers):
        if trigger.name and trigger.name in seen:
            path = f"{place.path}[{at}].name"
            Place(trigger.name, path, place.faults).refuse(f'want a name of its own, "{trigger.name}" stands twice')
        seen.add(trigger.name)
    return triggers


def read_corroborations(place: Place, wanted: str) -> tuple[Corroboration, ...]:
    """The entries of `require` or `unless`."""
    return tuple(_read_corroboration(item) for item in place.items(wanted))


def _read_trigger(place: Place) -> Trigger:
    fields = place.fields("trigger")
    kind = read_type(fields, required=not any(key in fields for key in LATER["trigger"]))
    name, when, sustained = fields.get("name"), fields.get("when"), fields.get("sustained")
    ways = [way for way in _ONE_WAY if way in fields]
    if len(ways) > 1:
        fields.at(ways[1]).refuse(f"want {either(_ONE_WAY)}, got {' and '.join(ways)}")
    counter = _read_counter(fields)
    condition = when.condition() if when else None
    counted = {
        "type": kind,
        "when": condition.source if condition else None,
        "of": counter.of.source if counter and counter.of else None,
        "atLeast": counter.at_least if counter else None,
        "within": counter.within.total_seconds() if counter else None,
    }
    require = fields.get("require")
    return Trigger(
        name=name.label() if name else kind,
        type=kind,
        when=condition,
        sustained=sustained.duration() if sustained else None,
        counter=counter,
        require=read_corroborations(require, "conditions") if require else (),
        digest=digest_of(counted),
    )


def _read_counter(fields: Fields) -> Counter | None:
    kind = next((kind for kind in ("distinct", "count") if kind in fields), None)
    if kind is None:
        return None
    counter = fields.at(kind).fields(kind)
    of = counter.need("of", "an expression whose distinct values are counted") if kind == "distinct" else None
    least, within = counter.need("atLeast", "a whole number of 1 or more"), counter.need("within", "a duration")
    expression = of.expression() if of else None
    if not least or not within:
        return None
    return Counter(least.whole(1), within.duration(), expression)


def _read_corroboration(place: Place) -> Corroboration:
    fields = place.fields("corroboration")
    kind, when, within = read_type(fields), fields.get("when"), fields.get("within")
    return Corroboration(kind, when.condition() if when else None, within.duration() if within else None)


def read_type(fields: Fields, *, required: bool = True) -> str:
    """The event type under `type`; whether it is known is asked later, of the installation."""
    place = fields.need("type", "an event type") if required else fields.get("type")
    return place.text("an event type") if place else ""
