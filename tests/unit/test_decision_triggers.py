"""decide() and the triggers: which is true, else which reason names why none is, and when to ask again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from controller.decision import Decision, Happening, Outcome, Reason, Situation, TriggerFacts, decide
from controller.policy import Corroboration, Counter, Policy, Trigger
from tests.conftest import NOON
from tests.unit.cases import DAY, DEGRADED, DRIFT, MINUTE, MODEL, QUALITY, WHEN, drift, facts, policy, situation

COUNTED = Trigger("often", DRIFT, counter=Counter(3, DAY))
LASTING = Trigger("lasting", DRIFT, sustained=30 * MINUTE)
BACKED = Trigger("backed", DRIFT, require=(Corroboration(DEGRADED, None, 3 * DAY),))


def answer(given: Situation, about: Policy | None = None) -> Decision:
    """What is decided of the example event at noon."""
    return decide(drift(), MODEL, about or policy(), given, NOON)


# trigger, what is known of it, the reason, its values, when asked again
TRIGGERS: dict[str, tuple[Trigger, dict[str, Any], Reason | None, dict[str, Any], datetime | None]] = {
    "false": (replace(COUNTED, when=WHEN), {"when": False}, Reason.CONDITION_FALSE, {"when": WHEN.source}, None),
    "error": (
        replace(COUNTED, when=WHEN), {"when": None, "error": "no such key: driftScore"}, Reason.CONDITION_ERROR,
        {"when": WHEN.source, "error": "no such key: driftScore"}, None,
    ),
    "error of a counter's value": (
        COUNTED, {"when": None, "error": "of: no such key"}, Reason.CONDITION_ERROR, {"when": None, "error": "of: no such key"}, None,
    ),
    "counts": (COUNTED, {"seen": 2}, Reason.ACCUMULATING, {"seen": 2, "at_least": 3, "within": DAY}, None),
    "counted": (COUNTED, {"seen": 3}, None, {}, None),
    "lasts": (
        LASTING, {"since": NOON - 10 * MINUTE}, Reason.ACCUMULATING,
        {"since": NOON - 10 * MINUTE, "sustained": 30 * MINUTE}, NOON + 20 * MINUTE,
    ),
    "lasted": (LASTING, {"since": NOON - 30 * MINUTE}, None, {}, None),
    "no open condition": (LASTING, {"since": None}, Reason.ACCUMULATING, {"since": None, "sustained": 30 * MINUTE}, None),
    "corroborated": (BACKED, {"required": ("c-2",)}, None, {}, None),
    "counts before it lasts": (replace(LASTING, counter=Counter(3, DAY)), {"seen": 1}, Reason.ACCUMULATING, {"seen": 1, "at_least": 3, "within": DAY}, None),
}  # fmt: skip


@pytest.mark.parametrize("name", TRIGGERS)
def test_trigger(name: str) -> None:
    """A trigger is true, or named with why it is not."""
    trigger, known, reason, values, at = TRIGGERS[name]
    found = answer(situation(triggers=(facts(trigger.name, **known),)), policy(triggers=(trigger,)))
    assert (found.reason, found.trigger, found.retry_at, found.retry_on) == (reason, trigger.name, at, None)
    if reason:
        assert found.values == values


def test_uncorroborated_names_what_is_missing() -> None:
    """Of several `require` only those that nothing meets are named; a condition that opens asks again."""
    trigger = replace(BACKED, require=(Corroboration(DEGRADED), Corroboration(QUALITY), Corroboration("acme.slow")))
    found = answer(situation(triggers=(facts("backed", required=(None, "c-2", None)),)), policy(triggers=(trigger,)))
    assert (found.reason, found.values) == (Reason.UNCORROBORATED, {"missing": [DEGRADED, "acme.slow"]})
    assert (found.retry_at, found.retry_on) == (None, Happening.CORROBORATED)


UNTRUE: tuple[tuple[Reason, Trigger, Callable[[str], TriggerFacts]], ...] = (
    (Reason.CONDITION_FALSE, COUNTED, lambda name: facts(name, when=False)),
    (Reason.CONDITION_ERROR, COUNTED, lambda name: facts(name, when=None, error="no such key")),
    (Reason.ACCUMULATING, COUNTED, lambda name: facts(name, seen=1)),
    (Reason.UNCORROBORATED, BACKED, lambda name: facts(name, required=(None,))),
)


@pytest.mark.parametrize("lower", range(4))
@pytest.mark.parametrize("higher", range(4))
@pytest.mark.parametrize("swapped", [False, True])
def test_priority_of_untrue_triggers(lower: int, higher: int, swapped: bool) -> None:
    """Uncorroborated is named before accumulating, condition_error, condition_false; of one kind the first trigger."""
    chosen = [UNTRUE[lower], UNTRUE[higher]]
    if swapped:
        chosen.reverse()
    triggers = tuple(replace(trigger, name=f"t{at}") for at, (_, trigger, _) in enumerate(chosen))
    known = tuple(make(f"t{at}") for at, (_, _, make) in enumerate(chosen))
    found = answer(situation(triggers=known), policy(triggers=triggers))
    wanted = UNTRUE[max(lower, higher)][0]
    assert found.reason is wanted
    assert found.trigger == f"t{next(at for at, (reason, _, _) in enumerate(chosen) if reason is wanted)}"


def test_the_first_true_trigger_wins() -> None:
    """Triggers are asked in the policy's order; those before that are untrue do not matter."""
    triggers = (COUNTED, replace(COUNTED, name="second"), replace(COUNTED, name="third"))
    known = (facts("often", seen=1), facts("second", seen=3), facts("third", seen=4))
    found = answer(situation(triggers=known), policy(triggers=triggers))
    assert (found.outcome, found.trigger, found.values["seen"]) == (Outcome.REMEDIATE, "second", 3)


def test_later_refusals_keep_the_trigger() -> None:
    """What refuses after the triggers says which of them was true."""
    assert answer(situation(active="r-1")).trigger == "drift"


def test_no_facts_are_condition_false() -> None:
    """A situation without any trigger's facts is answered all the same."""
    found = answer(situation(triggers=()))
    assert (found.reason, found.trigger, found.values) == (Reason.CONDITION_FALSE, None, {})


@pytest.mark.parametrize(
    "other", [facts("often", seen=1), facts("backed", required=(None,)), facts("lasting2", since=NOON - MINUTE)]
)
def test_the_earliest_ripe_trigger_asks_again(other: TriggerFacts) -> None:
    """A trigger that ripens with time is asked again then, though another one names the reason."""
    triggers = (COUNTED, BACKED, replace(LASTING, name="lasting2"), LASTING)
    found = answer(situation(triggers=(other, facts("lasting", since=NOON - 20 * MINUTE))), policy(triggers=triggers))
    assert found.trigger == other.name
    assert found.retry_at == NOON + 10 * MINUTE
