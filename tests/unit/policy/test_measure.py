"""Expressions over value, before and stable."""

import pickle

import pytest

from controller.policy import ExpressionError, Measure


@pytest.mark.parametrize(
    ("source", "numbers", "truth"),
    [
        ("value >= 0.92", {"value": 0.92}, True),
        ("value >= 0.92", {"value": 0.9199}, False),
        ("value < before - 0.02", {"value": 0.8, "before": 0.83}, True),
        ("value > 0.9 && value > stable * 1.05", {"value": 0.95, "stable": 0.9}, True),
        ("value >= 1", {"value": 1.0}, True),
        ("value > 0.9 || value > before", {"value": 0.95}, True),
        ("(before - value) / before > 0.05", {"value": 0.8, "before": 0.9}, True),
    ],
)
def test_truth(source, numbers, truth):
    """What it comes to for these numbers; one that is not needed may be absent."""
    assert Measure(source).test(numbers) is truth


def test_an_absent_number_is_named():
    """An expression that needs what nobody knows has no value, and says which."""
    with pytest.raises(ExpressionError, match="before is not known"):
        Measure("value < before").test({"value": 0.5})


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("", "the expression is empty"),
        ("value", "want an expression that is true or false"),
        ("before * 2 > value", "numbers of events are decimal"),
        ("vlaue > 0.9", 'did you mean "value"'),
        ("value.sub > 0.9", 'unknown field "value.sub"'),
        ("[1.0].exists(x, x > value)", "want a comparison of numbers"),
        ("value > ", "syntax error"),
    ],
)
def test_what_is_refused(source, message):
    """A text that can be no verdict is refused when it is read."""
    with pytest.raises(ValueError, match=message):
        Measure(source)


def test_what_it_reads():
    """Which numbers have to be asked for; equal texts are equal, through a pickle too."""
    measure = Measure("value >= before")
    assert measure.reads == {"value", "before"}
    assert pickle.loads(pickle.dumps(measure)) == measure
