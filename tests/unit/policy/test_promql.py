"""PromQL as operators write it: names in strings, escaped, and how far back a query looks."""

import re
from contextlib import suppress
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.durations import format_duration, parse_duration
from controller.policy import Query, Unfillable, fill


@pytest.mark.parametrize(
    ("query", "reach"),
    [
        ("up", "0s"),
        ('ml_model_accuracy{model="$model", version="$version"}', "0s"),
        ("rate(errors[5m])", "5m"),
        ("rate(errors[5m] offset 1h)", "1h5m"),
        ("errors offset 10m", "10m"),
        ("errors offset -10m", "0s"),
        ("sum(rate(errors[5m])) / sum(rate(requests[10m]))", "10m"),
        ("max_over_time(rate(errors[5m])[1h:1m])", "1h5m"),
        ("max_over_time(sum(rate(errors[5m])) by (job)[1h:] offset 1d)", "25h5m"),
        ("sum by (offset, on) (rate(errors[5m])) > bool 0", "5m"),
        ("a[1m] * on (model) group_left (team) b[2h30m]", "2h30m"),
        ('up{offset="5m", by="x"} # [7d]', "0s"),
        ('label_replace(rate(errors[5m]), "a", "$1 ${2}", "b", "(.*)(.*)")', "5m"),
        ("avg_over_time(up[300])", "5m"),
        ("-rate(errors[5m]) ^ 2 + 1e3 unless up[1ms]", "5m"),
        ('job:errors:rate5m{job=~"a|b$"}', "0s"),
        ("1 + (2 * (rate(errors[3m]) + up))[10m:30s]", "13m"),
    ],
)
def test_reach(query, reach):
    """Ranges, subqueries and offsets add up along a branch, and the longest branch counts."""
    assert format_duration(Query.of(query).reach) == format_duration(parse_duration(reach))


_LENGTHS = st.integers(1, 10_000).map(lambda seconds: f"{seconds}s")
_BRANCHES = st.recursive(
    st.tuples(_LENGTHS).map(lambda parts: (f"rate(x[{parts[0]}])", parse_duration(parts[0])))
    | st.just(("up", timedelta())),
    lambda inner: (
        st.tuples(inner, inner).map(lambda two: (f"({two[0][0]} + {two[1][0]})", max(two[0][1], two[1][1])))
        | st.tuples(inner, _LENGTHS).map(
            lambda two: (f"max_over_time(({two[0][0]})[{two[1]}:])", two[0][1] + parse_duration(two[1]))
        )
        | st.tuples(inner, _LENGTHS).map(
            lambda two: (f"(avg by (a) ({two[0][0]}) offset {two[1]})", two[0][1] + parse_duration(two[1]))
        )
    ),
    max_leaves=8,
)


@given(_BRANCHES)
def test_reach_of_any_nesting(branch):
    """However it is nested, the reach is that of the longest branch."""
    query, reach = branch
    assert Query.of(query).reach == reach


@given(st.text(max_size=60))
def test_any_text_is_a_query_or_a_fault(text):
    """Nothing that is written raises anything but what is told to its writer."""
    with suppress(ValueError):
        query = Query.of(text)
        assert query.reach >= timedelta()
        fill(text, {"model": "m", "namespace": "n", "version": "v"})


def _unquoted(text: str, quote: str) -> str:
    """What Prometheus reads in a quoted string."""
    escapes = {"n": "\n", "\\": "\\", quote: quote}
    return re.sub(r"\\(.)", lambda match: escapes[match[1]], text, flags=re.DOTALL)


@given(st.text(min_size=1, max_size=40), st.sampled_from("\"'"))
def test_no_value_leaves_its_string(value, quote):
    """Whatever a version is called, the query stays one string that means it."""
    query = f"up{{version={quote}a-$version-b{quote}}}"
    filled = fill(query, {"version": value})
    inside = re.fullmatch(rf"up\{{version={quote}((?:\\.|[^{quote}\\\n])*){quote}\}}", filled, re.DOTALL)
    assert inside
    assert _unquoted(inside[1], quote) == f"a-{value}-b"


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=30))
def test_in_a_regular_expression_a_value_means_itself(value):
    """A version `1.0` does not match `1x0`, one that is `.*` only itself."""
    filled = fill('up{version=~"$version|x"}', {"version": value})
    pattern = _unquoted(filled[len('up{version=~"') : -len('|x"}')], '"')
    assert re.fullmatch(pattern, value)
    assert not re.fullmatch(pattern, f"{value}y")


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        (r'up{m="\$version"}', "without a backslash before it"),
        (r'up{m=~"v\\$version"}', "without a backslash before it"),
        ('up{m=~"[$version]"}', "outside of"),
        ('up{m!~"[^$version]"}', "outside of"),
        ('up{m=~"[[:alpha:]$version]"}', "outside of"),
        (r'up{m=~"[\\]$version]"}', "outside of"),
        ('up{m=~"[]$version]"}', "outside of"),
        (r'up{m=~"\\Q$version"}', "it is quoted already"),
        ('up{m="${version"}', "without the closing brace"),
    ],
)
def test_what_would_undo_the_escaping_is_refused(query, wanted):
    """A name behind a backslash, or inside of a class: a value could leave its string, or mean more than itself."""
    with pytest.raises(ValueError, match=wanted):
        Query.of(query)


def test_classes_and_braces_beside_a_name_are_as_they_stand():
    """A class that is closed before a name, and a brace that is the query's own, stay."""
    text = 'up{a=~"[0-9]+-$version[a-z]", b="[$model", c="$model}", d="${model}"}'
    assert fill(text, {"model": "m", "version": "1.0"}) == (r'up{a=~"[0-9]+-1\\.0[a-z]", b="[m", c="m}", d="m"}')


def test_names_are_told():
    """Which names a query has; those in a comment or of `label_replace` are none."""
    assert Query.of('up{a="$model/$namespace"} # $version').names == {"model", "namespace"}
    assert Query.of('label_replace(up, "a", "$1", "b", "(.*)")').names == frozenset()


def test_what_has_no_value_cannot_be_asked():
    """A version that nobody reported is said by its name."""
    with pytest.raises(Unfillable, match=r"\$version is not known"):
        fill('up{version="$version"}', {"model": "m", "version": None})
    with pytest.raises(Unfillable, match=r"\$version is no text"):
        fill('up{version="$version"}', {"version": "v\ud800"})
