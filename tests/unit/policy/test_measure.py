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
        ("value > 0.9 || value > before", {"value": 0.95, "before": 0.9}, True),
        ("value / before * 2.0 > 1.0 && !(value < -before)", {"value": 0.9, "before": 0.9}, True),
        ("(value > before ? value : before) / -stable < -1.0", {"value": 0.9, "before": 0.8, "stable": 0.5}, True),
        ("(before - value) / before > 0.05", {"value": 0.8, "before": 0.9}, True),
    ],
)
def test_truth(source, numbers, truth):
    """What it comes to for these numbers."""
    assert Measure(source).test(numbers) is truth


def test_an_absent_number_is_named():
    """An expression that needs what nobody knows has no value, and says which."""
    with pytest.raises(ExpressionError, match="before is not known"):
        Measure("value < before").test({"value": 0.5})


@pytest.mark.parametrize(
    "source", ["value > 0.5 || before > 1.0", "before > 1.0 || value > 0.5", "value > 0.5 || before / value > 1.0"]
)
def test_what_is_read_is_needed(source):
    """An expression that reads a number nobody knows has no value, even where the rest of it would do."""
    with pytest.raises(ExpressionError, match="before is not known"):
        Measure(source).test({"value": 0.9})


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("1.0 / (value - value) > 1.0", "division by zero"),
        ("value > 0.5 || 1.0 / (value - 0.95) > 5.0", "division by zero"),
        ("value / -(before - before) < 1.0", "division by zero"),
        ("!(value / before / (stable - stable) < 1.0)", "division by zero"),
        ("value * 1e308 * 1e308 > 1.0", "not a finite number"),
        ("value > 0.5 || (value * 1e308 * 1e308 > 1.0)", "not a finite number"),
        ("1.0 / (value * 1e308 * 1e308) < 1.0", "not a finite number"),
    ],
)
def test_what_is_no_number_proves_nothing(source, message):
    """A division by zero, or an infinite number anywhere in it, is no truth but a missing sample."""
    with pytest.raises(ExpressionError, match=message):
        Measure(source).test({"value": 0.95, "before": 0.9, "stable": 0.9})


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_a_number_that_is_none(bad):
    """What it is measured by must be finite."""
    with pytest.raises(ExpressionError, match="not a finite number"):
        Measure("value < 1.0 || value != 2.0").test({"value": bad})


def test_a_ratio_asks_nothing_of_the_number_itself():
    """A comparison with what was before alone never shows that it was good before."""
    assert not Measure("value / before > 0.95").holds_already(0.9)
    assert Measure("value > 0.9 && value / before > 0.95").holds_already(0.93)


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
