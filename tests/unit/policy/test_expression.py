import contextlib
import pickle
import resource
import threading
import time
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.policy import Bindings, Expression, ExpressionError, Model
from controller.policy.cel_checks import Shape
from tests.unit.policy.written import NOW, bindings

SALARY = Model("ml", "salary-predictor", labels={"tier": "prod"}, baseline={"f1": 0.9})


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ('data.feature == "salary"', True),
        ("data.driftScore > 0.25", True),
        ("data.driftScore > data.threshold && data.driftScore < 1", True),  # comparing with a whole number is fine
        ("data.driftScore * 2.0 > 0.5", True),
        ("data.driftScore < 0.95 * model.baseline.f1", True),
        ('model.name == "salary-predictor" && model.namespace == "ml"', True),
        ('model.labels.tier == "prod"', True),
        ('event.type.startsWith("ml.data.")', True),
        ('event.source == "urn:drift-detector"', True),
        ('now - event.time < duration("5m")', True),
        ("now.getHours() == 12", True),
        ("has(data.pValue)", False),
        ("has(data.pValue) && data.pValue < 0.05", False),
        ("data.nope > 1.0 || true", True),  # CEL's or absorbs an error that cannot matter
        ('data.window["start"] == "2025-01-22"', True),
        ('data.feature in ["salary", "age"]', True),
        ('data.tags.exists(t, t == "pii")', True),
        ("data.tags.size() == 2", True),
        ('data.feature.matches("^sal[a-z]+$")', True),
        ('event.version == "v5"', True),
        ("data.drifted", True),
        ("int(data.sampleCount) == 1200", True),
        ("data.sampleCount == 1200", True),
        ("true", True),
    ],
)
def test_sees_event_data_model_and_now(source, value):
    """An expression reads event, data, model and now by the names of the design."""
    seen = bindings(
        SALARY,
        version="v5",
        feature="salary",
        driftScore=0.44,
        threshold=0.3,
        sampleCount=1200,
        drifted=True,
        window={"start": "2025-01-22"},
        tags=["pii", "hr"],
    )
    assert Expression(source).test(seen) is value


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("data.pValue < 0.05", 'no field "pValue"'),
        ("data.window.start == data.feature", 'no field "window"'),
        ("model.baseline.f1 > 0.5", 'no field "f1"'),
        ('event.version == "v5"', 'no field "version"'),
        ("data.driftScore", "want true or false, got a number"),
        ("data.feature", "want true or false, got a string"),
        ("data.feature > 1.0", "an operator does not fit the types of its values"),
        (
            "data.driftScore + 1u > 0.1",
            "cannot compute float + uint: numbers of events are decimal, write 2.0 and not 2",
        ),
        ("data.tags[7] == data.feature", "index out of bounds: 7"),
        ("1 / (1 - int(data.one)) > 0", "division by zero"),
        ("size(data.driftScore) > 1", "size cannot be asked of a value of this type"),
        ("int(data.feature) > 1", "int cannot read what it was given"),
    ],
)
def test_says_why_it_has_no_value(source, message):
    """An evaluation that fails names what is missing, and is neither true nor false."""
    with pytest.raises(ExpressionError) as failed:
        Expression(source).test(bindings(driftScore=0.44, feature="salary", tags=["a"], one=1))
    assert str(failed.value) == message


def test_whole_numbers_of_events_count_as_decimal():
    """JSON's 1 and 1.0 are the same number to an expression, whichever the sender wrote."""
    for number in (1, 1.0):
        assert Expression("data.driftScore * 1.5 == 1.5").test(bindings(driftScore=number))


def test_a_number_that_no_decimal_can_hold_stays_whole():
    """An identifier beyond 2^53 reaches the expression digit for digit; beyond 64 bits it is left out."""
    assert Expression("data.row == 9007199254740993").test(bindings(row=9007199254740993))
    with pytest.raises(ExpressionError, match='field "row" is too large'):
        Expression("data.row > 1").test(bindings(row=2**70))


def test_few_and_many_expressions_see_the_same():
    """An event's fields read the same whether it meets one expression or many."""
    seen = bindings(SALARY, feature="salary", driftScore=0.44, window={"start": "x"})
    sources = [
        "data.driftScore",
        "data.feature",
        "event.type",
        "data.window.start",
        "model.baseline.f1",
        "data.driftScore",
    ]
    assert [Expression(source).evaluate(seen) for source in sources] == [
        0.44,
        "salary",
        "ml.data.drift.detected",
        "x",
        0.9,
        0.44,
    ]
    for source in ("data.nope", "event.version", "model.baseline.auc"):
        fresh = bindings(SALARY, feature="salary")
        for evaluated in (fresh, seen):
            with pytest.raises(ExpressionError, match="no field"):
                Expression(source).evaluate(evaluated)


def test_is_its_text():
    """Expressions of one text are equal, and survive the way into a child process."""
    first, second = Expression("data.a > 1"), Expression("data.a > 1")
    assert first == second
    assert hash(first) == hash(second)
    assert first != Expression("data.a > 2")
    assert pickle.loads(pickle.dumps(first)) == first
    assert repr(first) == "Expression('data.a > 1')"


@pytest.mark.parametrize(
    "source",
    [
        "(" * 100_000,
        "1" + "+1" * 16_000,
        "[" * 1000,
        "!" * 2000 + "true",
        "-" * 2000 + "1",
        "data" + ".a" * 1000,
        "true ? 1 : " * 180 + "1",
        "data.l.map(a, data.l.map(b, data.l.map(c, c)))",
        "data.l.all(a, true) && data.l.all(b, true)",
        "data . l . exists ( a , data.m . all (b, true))",
        r'data.s.matches("\\w{1000}")',
        'data.s.matches("((a{100}){100}){100}")',
        "data.s.matches(data.p)",
        'data.s.matches("a" + data.p)',
        r'data.l.exists(i, data.s.matches("\\w\\w\\w\\w"))',
        'data.s.matches("' + "a" * 200 + '")',
        " || ".join(['data.s.matches("a")'] * 5),
        "data.l.all(event, true)",
        "data.l.all(x, " + "x == 1.0 && " * 30 + "true)",
        "a" * 3000,
        "data.a {b: 1}",
        "x{a: 1}",
        ".data.x",
        "data.?x",
        "cel.bind(a, 1, a)",
        "__import__('os')",
        "'\\x",
        "\0",
        "",
        "   ",
        "// nothing",
        "now.foo",
        "data.a = 1",
    ],
)
def test_refuses_at_load_what_could_hang_or_kill(source):
    """A text that the evaluator would hang on, or die of, never reaches it."""
    with pytest.raises(ValueError):
        Expression(source)


HEAVY = [
    "[" + "data," * 190 + "1]",
    "data" + ".s + data" * 0 + ".s" + " + data.s" * 90,
    "data.o.map(x, x)",
    "data.o.filter(x, x.score > 0.5)",
    "data.o.map(x, data.o)",
    "data.l.map(x, data.s + data.s + data.s + data.s + data.s + data.s)",
    "data.l.all(x, data.o == data.o && data.o == data.o && data.o == data.o)",
    "data.l.map(x, [data.l, data.l, data.l, data.l, data.l, data.l, data.l])",
    "[data, data, data, data, data, data, data].map(x, [x, x, x, x, x, x, x])",
    "data.l.exists(x, x in data.l && x in data.l && x > 2000.0)",
    'data.l.exists(x, data.s.matches("^[a-z]+y$"))',
    'data.s.matches("(x+x+)+y") || data.s.matches("(x*)*y")',
    "data.deep == data.deep",
]


def test_no_accepted_text_takes_long_or_much():
    """What is accepted is over within a second and 500 MB on the largest event, in a thread with a small stack."""
    deep: list = []
    for _ in range(400):
        deep = [deep]
    largest = {
        "l": [float(number) for number in range(5000)],
        "o": [{"name": f"feature-{number}", "score": 1.0} for number in range(1000)],
        "s": "x" * 4096,
        "t": "x" * 1_000_000,
        "deep": deep,
    }
    took: dict[str, float] = {}

    def evaluate_all():
        for source in HEAVY:
            seen = Bindings({"type": "t", "time": NOW}, largest, {"name": "m"}, NOW)
            begun = time.process_time()
            with contextlib.suppress(ExpressionError):
                Expression(source).evaluate(seen)
            took[source] = time.process_time() - begun

    before = threading.stack_size(256 * 1024)
    try:
        thread = threading.Thread(target=evaluate_all)
        thread.start()
        thread.join()
    finally:
        threading.stack_size(before)
    assert set(took) == set(HEAVY)
    assert max(took.values()) < 1.5, took
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 900 * 1024


def test_the_parsers_panic_is_an_ordinary_refusal(monkeypatch):
    """The parser's PanicException, which is no Exception, ends as a ValueError even where a check let its text pass."""
    shape = Shape(variable=None, outer=(), inner=(), loop=0, reads=frozenset(), patterns=())
    monkeypatch.setattr("controller.policy.expression.checked_shape", lambda source, roots: shape)
    with pytest.raises(ValueError, match="the expression cannot be compiled"):
        Expression("(" * 100_000)


_WORDS = st.sampled_from(
    [
        "data",
        "event",
        "model",
        "now",
        ".",
        "x",
        "l",
        "s",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        "+",
        "-",
        "*",
        "/",
        "&&",
        "||",
        "!",
        "==",
        "<",
        "in",
        "?",
        ":",
        ",",
        "1",
        "2.5",
        "'a'",
        "map",
        "all",
        "exists",
        "has",
        "size",
        "matches",
        "true",
    ]
)


@given(
    st.one_of(
        st.text(max_size=60), st.lists(_WORDS, max_size=25).map(" ".join), st.lists(_WORDS, max_size=25).map("".join)
    )
)
def test_any_text_is_refused_or_evaluated(source):
    """Whatever is written: a ValueError at load, or a value or an ExpressionError later, and nothing else."""
    try:
        expression = Expression(source)
    except ValueError:
        return
    for seen in (bindings(), bindings(SALARY, x=1, l=[1, 2], s="a")):
        with contextlib.suppress(ExpressionError):
            expression.evaluate(seen)


def test_one_expression_serves_many_threads():
    """A compiled expression is shared by threads, each with bindings of its own."""
    expression = Expression("data.n * 2.0")
    wrong = []

    def evaluate(number):
        values = {expression.evaluate(bindings(n=number)) for _ in range(300)}
        wrong.extend(values - {number * 2.0})

    threads = [threading.Thread(target=evaluate, args=(float(number),)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("dta.x > 1.0", 'unknown variable "dta", did you mean "data"?'),
        (
            "event.tpye == 'x'",
            'unknown field "event.tpye", did you mean "type"?; event has type, source, time, version, role',
        ),
        ("event.role == 'canry'", "event.role is stable, canary or unknown, never 'canry'"),
        ("data.x.startswith('a')", 'unknown function "startswith", did you mean "startsWith"?'),
        ("data.x * 2 > 1.0", "numbers of events and baselines are decimal: write 2.0, not 2"),
        ("2 * data.x > 1.0", "numbers of events and baselines are decimal: write 2.0, not 2"),
        ("data.x >", "syntax error at 1:9: mismatched input '<EOF>'"),
        ("data.x.matches('(')", "not a regular expression: unclosed group"),
        ("1 / 0 > 1", "division by zero"),
    ],
)
def test_a_mistake_is_named_when_it_is_loaded(source, message):
    """What can be known wrong without an event is refused at load, by name."""
    with pytest.raises(ValueError) as refused:
        Expression(source)
    assert str(refused.value) == message


def test_a_macro_within_a_string_is_no_macro():
    """Tokens are counted, not substrings: text in quotes and comments may say anything."""
    seen = bindings(note="see .map( .filter( and .all(")
    assert Expression("data.note.contains('.map( .filter(') // .all(x, y.map(").test(seen)


def test_now_and_times_are_times():
    """Event time and now are timestamps with a difference."""
    assert Expression("now - event.time").evaluate(bindings()) == timedelta(minutes=1)
