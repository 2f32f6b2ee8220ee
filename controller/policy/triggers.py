"""Triggers, `require` and `unless`, read from a document."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Literal

from controller.policy.calendar import DAY, Cron, Periods, zone
from controller.policy.digest import digest_of
from controller.policy.expression import Expression
from controller.policy.reading import Fields, Place, either
from controller.policy.types import DUE, Corroboration, Counter, Schedule, Since, Trigger

_ONE_WAY = ("sustained", "count", "distinct", "sum", "consecutive")
_DUE = ("schedule", "since")
UTC = "Etc/UTC"
_NEVER_USED = Cron("0 0 * * *", UTC)
"""Stands in for an expression that is refused."""


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


def read_corroborations(place: Place, wanted: str, *, unless: bool = False) -> tuple[Corroboration, ...]:
    """The entries of `require` or `unless`."""
    return tuple(_read_corroboration(item, unless=unless) for item in place.items(wanted))


def _read_trigger(place: Place) -> Trigger:
    fields = place.fields("trigger")
    due = next((way for way in _DUE if way in fields), None)
    if due:
        for other in ("type", *_ONE_WAY, *_DUE):
            if other in fields and other != due:
                fields.at(other).refuse(f"want it in a trigger of its own, not beside {due}")
    kind = DUE if due else read_type(fields)
    name, when, sustained = fields.get("name"), fields.get("when"), fields.get("sustained")
    ways = [way for way in _ONE_WAY if way in fields]
    if len(ways) > 1 and not due:
        fields.at(ways[1]).refuse(f"want {either(_ONE_WAY)}, got {' and '.join(ways)}")
    counter = None if due else _read_counter(fields)
    dated = _read_schedule(fields) if due == "schedule" else _read_since(fields) if due else None
    condition = when.condition() if when else None
    require = fields.get("require")
    return Trigger(
        name=name.label() if name else due or kind,
        type=kind,
        when=condition,
        sustained=sustained.duration() if sustained else None,
        counter=counter,
        require=read_corroborations(require, "conditions") if require else (),
        digest=_digest(kind, condition, counter, dated),
        due=dated,
    )


def _digest(kind: str, when: Expression | None, counter: Counter | None, due: Schedule | Since | None) -> str:
    """What evidence, or what is due, belongs to: a trigger that says the same is the same."""
    told: dict[str, Any] = {"type": kind, "when": when.source if when else None}
    if counter:
        told |= {"kind": counter.kind, "atLeast": counter.at_least, "within": counter.within.total_seconds()}
        told |= {"of": counter.of.source if counter.of else None}
    if counter and counter.periods:
        told |= {"every": counter.periods.every.total_seconds(), "timeZone": counter.periods.time_zone}
        told |= {"ignore": counter.ignore}
    if isinstance(due, Schedule):
        told |= {"cron": due.cron.text, "timeZone": due.cron.time_zone, "spread": due.spread.total_seconds()}
    elif due:
        told |= {"last": due.last, "atLeast": due.at_least.total_seconds()}
    return digest_of(told)


def _read_counter(fields: Fields) -> Counter | None:
    if "consecutive" in fields:
        return _read_consecutive(fields.at("consecutive").fields("consecutive"))
    kinds: tuple[Literal["distinct", "count", "sum"], ...] = ("distinct", "count", "sum")
    kind = next((kind for kind in kinds if kind in fields), None)
    if kind is None:
        return None
    counter = fields.at(kind).fields(kind)
    summed = {"distinct": "an expression whose distinct values are counted", "sum": "an expression that is summed"}
    of = counter.need("of", summed[kind]) if kind in summed else None
    wanted = "a number above 0" if kind == "sum" else "a whole number of 1 or more"
    least, within = counter.need("atLeast", wanted), counter.need("within", "a duration")
    expression = of.expression() if of else None
    if not least or not within:
        return None
    number = _positive(least) if kind == "sum" else least.whole(1)
    return Counter(number, within.duration(), expression, kind)


def _positive(place: Place) -> float:
    number = place.number()
    if number <= 0 and isinstance(place.value, int | float):
        place.want("a number above 0")
    return number


def _read_consecutive(fields: Fields) -> Counter | None:
    least, every = fields.need("periods", "a whole number of 1 or more"), fields.get("every")
    length = every.duration() if every else DAY
    if every and length and not Periods.possible(length):
        every.want("a part of a day in whole minutes as 15m, 1h or 12h, or 1d, or 1w")
        length = DAY
    named = read_time_zone(fields)
    missing = fields.get("missing")
    ignore = missing is not None and missing.one_of("break", "ignore") == "ignore"
    if not least or not length:
        return None
    number = least.whole(1)
    return Counter(number, number * length, None, "consecutive", Periods(length, named), ignore)


def _read_schedule(fields: Fields) -> Schedule:
    schedule = fields.at("schedule").fields("schedule")
    spread = schedule.get("spread")
    cron = read_cron(schedule)
    length = spread.duration(zero=True) if spread else timedelta()
    return Schedule(cron or _NEVER_USED, length)


def _read_since(fields: Fields) -> Since:
    since = fields.at("since").fields("since")
    last, least = since.need("last", "training or deployment"), since.need("atLeast", "a duration")
    which: Literal["training", "deployment"] = last.one_of("training", "deployment") if last else "training"
    return Since(which, least.duration() if least else timedelta())


def read_time_zone(fields: Fields) -> str:
    """The name under `timeZone`, which says what a wall clock shows; UTC where there is none."""
    place = fields.get("timeZone")
    named = place.text('a time zone as "Europe/Rome" or "Etc/UTC"') if place else UTC
    if place and named:
        try:
            zone(named)
        except ValueError as error:
            place.want(str(error))
            return UTC
    return named or UTC


def read_cron(fields: Fields) -> Cron | None:
    """The expression under `cron`, in the time zone beside it."""
    named, place = read_time_zone(fields), fields.need("cron", 'a cron expression as "0 3 1 * *"')
    text = place.text('a cron expression as "0 3 1 * *"') if place else ""
    if not place or not text:
        return None
    try:
        return Cron.read(text, named)
    except ValueError as error:
        place.want(str(error))
        return None


def _read_corroboration(place: Place, *, unless: bool) -> Corroboration:
    fields = place.fields("inhibition" if unless else "corroboration")
    kind, when, within = read_type(fields), fields.get("when"), fields.get("within")
    versions = None if unless else fields.get("versions")
    any_version: Literal["any"] | None = versions.one_of("any") if versions else None
    return Corroboration(kind, when.condition() if when else None, within.duration() if within else None, any_version)


def read_type(fields: Fields, *, required: bool = True) -> str:
    """The event type under `type`; whether it is known is asked later, of the installation."""
    place = fields.need("type", "an event type") if required else fields.get("type")
    return place.text("an event type") if place else ""
