import json
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.policy import Bindings, Expression, ExpressionError, Model, render, render_verification
from controller.policy.render import as_text
from tests.unit.policy.written import NOW, bindings, the_policy

SALARY = Model.bare("ml", "salary-predictor")


def action(text):
    return the_policy(steps=f"steps: [{{name: a, {text}, verify: none}}]").steps[0].action


def test_a_command_is_rendered_with_every_expression_evaluated():
    """Arguments and environment become strings, durations seconds; nothing is left to evaluate."""
    command = action(
        "command: {argv: [python, retrain.py, {expr: model.name}, --score, {expr: data.driftScore}], timeout: 90s, "
        "idempotent: true, env: {FEATURE: {expr: data.feature}}, cwd: /srv}"
    )
    assert render(command, bindings(driftScore=0.44, feature="salary"), SALARY) == {
        "argv": ["python", "retrain.py", "salary-predictor", "--score", "0.44"],
        "timeout": 90.0,
        "idempotent": True,
        "env": {"FEATURE": "salary"},
        "cwd": "/srv",
    }


def test_a_request_is_rendered_with_its_body():
    """In a body values keep their JSON type, at any depth; headers become text."""
    request = action(
        'request: {url: "https://ci.example/hook", method: PUT, headers: {X-Model: {expr: model.name}}, '
        "body: {model: {expr: model.name}, drift: [{score: {expr: data.driftScore}, n: {expr: data.n}}], fixed: 1, w: {expr: data.w}}}"
    )
    assert render(request, bindings(driftScore=0.44, n=1200, w={"a": [1.0]}), SALARY) == {
        "url": "https://ci.example/hook",
        "method": "PUT",
        "headers": {"X-Model": "salary-predictor"},
        "body": {"model": "salary-predictor", "drift": [{"score": 0.44, "n": 1200}], "fixed": 1, "w": {"a": [1]}},
        "timeout": 900.0,
    }


def test_a_page_is_rendered_to_its_receiver():
    """A page says whom to tell."""
    assert render(the_policy(steps="steps: [{name: p, page: {}}]").steps[0].action, bindings(), SALARY) == {
        "receiver": "default"
    }


def test_verifications_are_rendered_with_durations_in_seconds():
    """Every kind of verification is plain JSON."""
    policy = the_policy(
        steps="steps: [{name: a, command: {argv: [x]}, verify: [{quiet: 30m}, {resolved: {}, for: 1m}, "
        "{command: {argv: [check, {expr: model.name}], timeout: 1m}, every: 30s, settle: 0s}]}]"
    )
    quiet, resolved, command = (render_verification(each, bindings(), SALARY) for each in policy.steps[0].verify)
    assert quiet == {"kind": "quiet", "quiet": 1800.0, "settle": 600.0, "within": 14400.0}
    assert resolved == {"kind": "resolved", "settle": 600.0, "within": 14400.0, "for": 60.0}
    assert command == {
        "kind": "command",
        "argv": ["check", "salary-predictor"],
        "timeout": 60.0,
        "every": 30.0,
        "env": {},
        "cwd": None,
        "settle": 0.0,
        "within": 14400.0,
        "for": 300.0,
    }


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a b", "a b"),
        ("", ""),
        (3.0, "3"),
        (-0.5, "-0.5"),
        (1e300, "1e+300"),
        (9007199254740993, "9007199254740993"),
        (True, "true"),
        (None, "null"),
        ([1.0, "a"], '[1,"a"]'),
        ({"a": {"b": 1.5}}, '{"a":{"b":1.5}}'),
        (NOW, "2026-11-21T12:00:00Z"),
        (timedelta(minutes=2), "120"),
        ("é", "é"),
        (["é"], '["é"]'),
    ],
)
def test_a_value_becomes_text_without_losing_anything(value, text):
    """Whole numbers lose their point, never their digits; lists and maps are JSON."""
    assert as_text(value) == text


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("data.nope", 'data.nope: no field "nope"'),
        ("data.nul", "data.nul: its value cannot be an argument"),
        ("1.0 / 0.0", "1.0 / 0.0: inf is no value that could be passed on"),
        ("b'a'", "b'a': a value of type bytes cannot be passed on"),
    ],
)
def test_what_cannot_be_passed_on_is_an_error(argument, message):
    """An argument without a value, or with one that no program can be given, stops the action before it begins."""
    command = the_policy().steps[0].action
    command = type(command)(("x", Expression(argument)), command.timeout)
    with pytest.raises(ExpressionError) as failed:
        render(command, bindings(nul="a\0b"), SALARY)
    assert str(failed.value) == message


def test_a_header_cannot_be_broken_out_of():
    """A value with a line end never becomes a header."""
    request = action('request: {url: "https://h/", headers: {X-F: {expr: data.feature}}}')
    with pytest.raises(ExpressionError, match="printable ASCII on one line"):
        render(request, bindings(feature="a\r\nX-Evil: 1"), SALARY)


def test_a_body_has_a_bound():
    """A body that grows beyond a mebibyte is refused."""
    request = action('request: {url: "https://h/", body: [' + ", ".join(["{expr: data}"] * 20) + "]}")
    largest = {f"t{number}": "x" * 4000 for number in range(16)}
    with pytest.raises(ExpressionError, match="too large"):
        render(request, bindings(**largest), SALARY)


def test_what_argo_would_evaluate_comes_from_no_event():
    """Argo replaces `{{…}}` in a parameter's value: an operator may write that, an event may not bring it."""
    workflow = action(
        'workflow: {workflowTemplateRef: {name: t}, parameters: {a: {expr: data.reason}, b: "{{workflow.uid}}"}}'
    )
    assert render(workflow, bindings(reason="}} fine {"), SALARY)["parameters"] == {
        "a": "}} fine {",
        "b": "{{workflow.uid}}",
    }
    with pytest.raises(ExpressionError, match="which Argo would evaluate"):
        render(workflow, bindings(reason="{{=1+1}}"), SALARY)


_JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text("ab\né", max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=3),
    max_leaves=8,
)


@given(_JSON)
def test_what_an_event_holds_arrives_in_a_body_as_it_was(value):
    """Data passed through an expression into a body is equal to what the event held."""
    seen = Bindings.of(bindings_event(value), Model.bare("ml", "m"), NOW)
    request = (
        the_policy(steps='steps: [{name: a, request: {url: "https://h/", body: {expr: data.value}}, verify: none}]')
        .steps[0]
        .action
    )
    assert json.loads(json.dumps(render(request, seen, SALARY)["body"])) == value


def bindings_event(value):
    from tests.unit.policy.written import event

    return event(value=value)
