from datetime import UTC, datetime

import pytest

from controller.cli.tables import age, full_name, safe, since, table, text

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("moment", "shown"),
    [
        ("2026-03-01T12:00:00Z", "0s"),
        ("2026-03-01T11:59:18.5Z", "41s"),
        ("2026-03-01T11:58:30Z", "90s"),  # below two minutes seconds still tell more
        ("2026-03-01T11:57:00Z", "3m"),
        ("2026-03-01T10:31:00Z", "89m"),
        ("2026-03-01T07:00:00+00:00", "5h"),
        ("2026-03-01T11:00:00Z", "1h"),
        ("2026-02-21T12:00:00Z", "8d"),
        ("2026-03-01T14:00:00+02:00", "0s"),
        ("2026-03-01T12:03:00Z", "in 3m"),
        ("2026-03-03T12:00:00Z", "in 2d"),
        ("2026-03-01T12:00:00.4Z", "0s"),  # two clocks never agree to the millisecond
        (None, "-"),
        ("", "-"),
    ],
)
def test_age(moment: str | None, shown: str) -> None:
    """An age is one number and one unit; what is to come says `in`."""
    assert age(moment, NOW) == shown


def test_table_is_aligned() -> None:
    """Columns begin where their heading does, and no line ends in blanks."""
    columns = (("ID", text("id")), ("MODEL", full_name("namespace", "model")), ("AGE", since("at")))
    rows = [
        {"id": "c-1", "namespace": "ml", "model": "salary", "at": "2026-03-01T11:57:00Z"},
        {"id": "c-100", "namespace": None, "model": None, "at": None},
    ]
    assert table(columns, rows, NOW) == "ID     MODEL      AGE\nc-1    ml/salary  3m\nc-100  -          -"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "-"), ("", "-"), (0, "0"), (True, "yes"), (False, "no"), ([], "-"), (["a", 2], "a, 2"),
        ({}, "-"), ({"a": 1, "b": "x"}, "a=1 b=x"),
    ],
)  # fmt: skip
def test_cell(value: object, shown: str) -> None:
    """Each kind of value has one form."""
    assert text("key")({"key": value}, NOW) == shown


def test_long_cells_are_cut_but_the_last() -> None:
    """A long value does not push the other columns off the screen."""
    lines = table((("A", text("a")), ("B", text("b"))), [{"a": "x" * 100, "b": "y" * 100}], NOW).splitlines()
    assert lines[1] == f"{'x' * 59}…  {'y' * 100}"


@pytest.mark.parametrize("character", ["\x1b", "\x00", "\n", "\r", "\x7f", "\x9b", "\u2028", "\u202e", "\u2066"])
def test_control_characters_are_shown_not_obeyed(character: str) -> None:
    """What a sender wrote neither moves the cursor nor turns the text around."""
    assert safe(f"a{character}b").isprintable()
    assert safe("naïve – 日本") == "naïve – 日本"
