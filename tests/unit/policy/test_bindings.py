import pytest

from controller.policy import Expression, ExpressionError
from controller.policy.bindings import MAX_LIST, MAX_STRING, MAX_TEXT, MAX_VALUES
from tests.unit.policy.written import bindings


def test_lists_are_cut():
    """Of a list an expression sees the first thousand items."""
    assert Expression("data.l.size()").evaluate(bindings(l=[0.0] * 5000)) == MAX_LIST


@pytest.mark.parametrize(
    "data",
    [
        {"x": "a" * (MAX_STRING + 1)},
        {**{f"t{number}": "a" * MAX_STRING for number in range(MAX_TEXT // MAX_STRING)}, "x": "a"},
        {**{f"v{number}": 1.0 for number in range(MAX_VALUES)}, "x": 1.0},
        {"x": 10**400},
    ],
)
def test_what_is_too_large_is_absent_and_said_to_be(data):
    """A value beyond the bounds is no value: the expression fails closed and names it."""
    with pytest.raises(ExpressionError, match='field "x" is too large to be shown to an expression'):
        Expression("data.x").evaluate(bindings(**data))


def test_what_lies_too_deep_is_absent():
    """Nesting beyond sixteen levels is left out, whatever the event holds."""
    deep: dict = {"leaf": 1.0}
    for _ in range(30):
        deep = {"d": deep}
    with pytest.raises(ExpressionError, match="too large to be shown"):
        Expression("data.a" + ".d" * 30 + ".leaf > 0.0").evaluate(bindings(a=deep))


def test_a_list_ends_before_an_item_that_is_left_out():
    """Items keep their places: what follows one that is too large is not moved up."""
    assert Expression("data.l").evaluate(bindings(l=["a", "b" * 5000, "c"])) == ["a"]


def test_null_is_a_value():
    """A field that is null is there."""
    assert Expression("has(data.x) && data.x == null").test(bindings(x=None))
