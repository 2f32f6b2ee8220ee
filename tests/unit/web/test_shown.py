import pytest

from controller.web.pages import shown


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("plain", "plain"),
        ("two\nlines\tand tabs", "two\nlines\tand tabs"),
        ("a\u202eb", "a\\u202eb"),
        ("zero\u200bwidth", "zero\\u200bwidth"),
        ("bell\x07 nul\x00 del\x7f csi\x9b", "bell\\u0007 nul\\u0000 del\\u007f csi\\u009b"),
        ("\ufeffbom", "\\ufeffbom"),
        ("שלום \U0001f600", "שלום \U0001f600"),
    ],
)
def test_nothing_is_hidden(text: str, seen: str):
    """What takes no room, or turns the direction of writing, is shown as its number; writing of all peoples stays."""
    assert shown.visible(text) == seen


def test_nothing_is_endless():
    """A text of a megabyte is cut, and says how long it was."""
    seen = shown.visible("x" * 1_000_000)
    assert len(seen) < 5000
    assert seen.endswith("… (1000000 characters)")


def test_a_ladder_reads_as_a_policy_is_written():
    """Lengths as `1h`, a command as a shell has it, maps row by row, what is empty left out."""
    action = {"argv": ["python", "a b.py"], "timeout": 3600.0, "idempotent": False, "env": {"A": "b"}, "cwd": None}
    verify = [{"kind": "quiet", "quiet": 1800.0, "settle": 600.0, "within": 14400.0}]
    row = {
        "parameters": [{"name": "train", "kind": "command", "action": action, "verify": verify}],
        "step": 0,
        "active": True,
    }
    (rung,) = shown.rungs(row)
    assert rung.here
    assert rung.rows == (
        ("argv", "python 'a b.py'"),
        ("timeout", "1h"),
        ("idempotent", "false"),
        ("env.A", "b"),
        ("verify 1 (quiet)", "quiet 30m, settle 10m, within 4h"),
    )


def test_headers_of_a_request_are_named_and_not_shown():
    """Whoever may look sees which headers would be sent, and no token in them."""
    action = {"url": "https://a.example/run", "headers": {"Authorization": "Bearer t0ps3cret"}, "timeout": 60.0}
    (rung,) = shown.rungs(
        {"parameters": [{"name": "x", "kind": "request", "action": action}], "step": 0, "active": True}
    )
    assert dict(rung.rows)["headers.Authorization"] == "(not shown)"
    assert "t0ps3cret" not in str(rung)


@pytest.mark.parametrize(
    ("phase", "active", "acts"),
    [
        ("AwaitingApproval", True, ["approve", "reject"]),
        ("Running", True, ["cancel"]),
        ("Failed", False, ["retry"]),
        ("Escalated", False, ["retry"]),
        ("Cancelled", False, ["retry"]),
        ("Succeeded", False, []),
        ("Audited", False, []),
    ],
)
def test_what_may_be_decided(phase: str, active: bool, acts: list[str]):
    """The buttons are those that the state has an answer for."""
    assert [choice.act for choice in shown.choices({"phase": phase, "active": active})] == acts
