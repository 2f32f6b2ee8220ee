"""Registered types: their schemas, their families, and what is wrong with an entry."""

from typing import Any

import pytest

from controller.errors import ConfigError, InvalidEvent
from controller.events.types import BUILT_IN, EventTypes
from tests.unit.events.conftest import Read

FAIRNESS = {
    "acme.fairness.violated": {
        "schema": {"type": "object", "required": ["ratio"], "properties": {"ratio": {"type": "number", "maximum": 1}}},
        "family": "fairness",
        "over": "acme.fairness.restored",
        "about": ["group"],
    }
}


def test_the_built_in_types():
    """Conditions open and end in their families; labels, deployments and trainings are moments; a check ends all."""
    kinds = {kind.name: (kind.family, kind.over) for kind in BUILT_IN}
    assert kinds == {
        "ml.data.drift.detected": ("drift", False),
        "ml.performance.degraded": ("performance", False),
        "ml.data.quality.failed": ("quality", False),
        "ml.data.drift.resolved": ("drift", True),
        "ml.performance.recovered": ("performance", True),
        "ml.data.quality.restored": ("quality", True),
        "ml.labels.available": (None, False),
        "ml.model.deployed": (None, False),
        "ml.model.trained": (None, False),
        "ml.monitor.checked": (None, True),
        "ml.fleet.drift.detected": ("fleet", False),
    }


def test_a_registered_type_opens_conditions_of_its_family(read: Read, example: dict[str, Any]):
    """Its events and those that end it meet under one key."""
    opening = example | {"type": "acme.fairness.violated", "data": {"model": "m", "ratio": 0.6, "group": "women"}}
    ending = example | {"type": "acme.fairness.restored", "data": {"model": "m", "group": "women"}}
    one, two = read(opening, registered=FAIRNESS).events[0], read(ending, registered=FAIRNESS).events[0]
    assert (one.family, one.over, one.about) == ("fairness", False, "group=women")
    assert (two.family, two.over, two.about) == ("fairness", True, "group=women")


def test_a_registered_type_is_held_to_its_schema(read: Read, example: dict[str, Any]):
    """Every violation of the schema is a fault with its path."""
    with pytest.raises(InvalidEvent) as raised:
        read(
            example | {"type": "acme.fairness.violated", "data": {"model": "m", "ratio": 2, "group": []}},
            registered=FAIRNESS,
        )
    assert [str(fault) for fault in raised.value.faults] == [
        "data.group: want a non-empty string, or an object of plain values, got []",
        "data.ratio: want what its schema says (maximum: 1), got 2",
    ]
    with pytest.raises(
        InvalidEvent, match=r'data: want what its schema says \(required: \["ratio"\]\), got {"model": "m"}'
    ):
        read(example | {"type": "acme.fairness.violated", "data": {"model": "m"}}, registered=FAIRNESS)


def test_a_registered_moment(read: Read, example: dict[str, Any]):
    """A type without family and over opens nothing."""
    event = read(
        example | {"type": "acme.note", "data": {"model": "m"}}, registered={"acme.note": {"schema": {}}}
    ).events[0]
    assert (event.family, event.over, event.about) == (None, False, "")


def test_integers_of_a_schema_are_whole_numbers(read: Read, example: dict[str, Any]):
    """That numbers become floats does not make 5 fail `type: integer`."""
    registered = {"acme.note": {"schema": {"properties": {"n": {"type": "integer"}}}}}
    read(example | {"type": "acme.note", "data": {"model": "m", "n": 5}}, registered=registered)
    with pytest.raises(InvalidEvent, match=r"data\.n"):
        read(example | {"type": "acme.note", "data": {"model": "m", "n": 5.5}}, registered=registered)


@pytest.mark.parametrize(
    ("name", "entry", "problem"),
    [
        ("ml.performance.degraded", {"schema": {}}, "want a name of its own, got one that is built in or reserved"),
        ("modelmend.due", {"schema": {}}, "want a name of its own, got one that is built in or reserved"),
        ("acme.x", {}, "schema: want a JSON Schema, got null"),
        ("acme.x", {"schema": {"type": "strnig"}}, "schema.type: 'strnig' is not valid under any of the given schemas"),
        (
            "acme.x",
            {"schema": {"$ref": "https://example.com/s.json"}},
            'schema: want references that point into the schema, got "https://example.com/s.json"',
        ),
        (
            "acme.x",
            {"schema": {"$ref": "#/$defs/no"}},
            'schema: want references that point into the schema, got "#/$defs/no"',
        ),
        (
            "acme.x",
            {"schema": {}, "family": "f"},
            "want family and over both, or neither (a moment, which opens no condition)",
        ),
        ("acme.x", {"schema": {}, "family": "-f", "over": "acme.y"}, 'family: want a name, got "-f"'),
        (
            "acme.x",
            {"schema": {}, "about": ["group"]},
            "about: want a family beside it: what opens no condition is about nothing",
        ),
        (
            "acme.x",
            {"schema": {}, "family": "f", "over": "acme.y", "about": "group"},
            'about: want a list of fields of data, got "group"',
        ),
        ("acme.x", {"schema": {}, "family": "f", "over": 5}, "over: want the name of a type, got 5"),
        (
            "acme.x",
            {"schema": {}, "family": "drift", "over": "ml.data.drift.resolved"},
            'over: want a type that opens nothing itself, got "ml.data.drift.resolved"',
        ),
        ("acme.x", {"schema": {}, "familiy": "f"}, "familiy: want one of schema, family, over, about"),
    ],
)
def test_what_is_wrong_with_an_entry(name: str, entry: dict[str, Any], problem: str):
    """Each mistake under eventTypes is one message."""
    with pytest.raises(ConfigError) as raised:
        EventTypes({name: entry})
    assert raised.value.problems == (f"eventTypes: {name}: {problem}",)


def test_an_end_belongs_to_one_family():
    """Two families cannot share the type that ends them."""
    entries = {f"acme.{family}": {"schema": {}, "family": family, "over": "acme.end"} for family in ("a", "b")}
    with pytest.raises(ConfigError, match=r'want a type that ends one family, got "acme\.end", which ends another too'):
        EventTypes(entries)


def test_references_within_a_schema(read: Read, example: dict[str, Any]):
    """References into the schema itself are followed."""
    registered = {
        "acme.x": {"schema": {"$defs": {"n": {"type": "number"}}, "properties": {"n": {"$ref": "#/$defs/n"}}}}
    }
    with pytest.raises(InvalidEvent, match=r'data.n: want what its schema says \(type: "number"\), got "a"'):
        read(example | {"type": "acme.x", "data": {"model": "m", "n": "a"}}, registered=registered)
