"""Verification: the clock of each kind, what its samples come to, and that unknown is never recovered.

Every verification here starts at noon; times are minutes after that.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from controller.judge import (
    ConditionEnd,
    Judgement,
    Sample,
    Verdict,
    judge_command,
    judge_quiet,
    judge_resolved,
    judge_rollout,
)
from controller.policy import RolloutVerification
from tests.conftest import NOON
from tests.unit.cases import HOUR, MINUTE, QUIET, RESOLVED, SAMPLED

LETTERS = {
    "r": "recovered",
    "u": "unchanged",
    "w": "worse",
    "-": "missing",
    "f": "failed",
    "x": "reverted",
    "m": "met",
    "l": "life",
}
PROMOTED = RolloutVerification("promoted", every=MINUTE, within=30 * MINUTE)
END = 240
"""`within`, in minutes, of all but the serving object's."""


def at(minutes: float) -> datetime:
    """So many minutes after the start."""
    return NOON + timedelta(minutes=minutes)


def every_minute(letters: str, first: float = 10) -> list[Sample]:
    """One sample a minute from the end of `settle` on."""
    return [Sample(at(first + n), LETTERS[letter], f"sample {n}") for n, letter in enumerate(letters)]


def seen(*events: tuple[float, str]) -> list[Sample]:
    """Samples of a `quiet` verification."""
    return [Sample(at(minutes), LETTERS[letter]) for minutes, letter in events]


def sampled(samples: list[Sample], minutes: float) -> Judgement:
    """What a verifying command has shown by then: settle 10m, every 1m, for 5m, within 4h."""
    return judge_command(SAMPLED, samples, NOON, at(minutes))


# samples from minute 10 on, the verdict at the minute of the last, and since when it held
@pytest.mark.parametrize(
    ("letters", "verdict", "since"),
    [
        ("rrrrr", None, None),  # four minutes
        ("rrrrrr", Verdict.RECOVERED, 10),
        ("wwwwww", Verdict.WORSE, 10),
        ("uuuuuuuuuuuu", None, None),  # asked again until `within`
        ("rrrurrrr", None, None),  # a contrary sample starts anew
        ("rrrurrrrrr", Verdict.RECOVERED, 14),
        ("wwwrrrrrr", Verdict.RECOVERED, 13),
        ("rrr-rrrrr", None, None),  # a missing one too
        ("rrr-rrrrrr", Verdict.RECOVERED, 14),
        ("-----rrrrrr", Verdict.RECOVERED, 15),
        ("rrrrr-", None, None),
    ],
)
def test_command_holds(letters: str, verdict: Verdict | None, since: int | None) -> None:
    """Recovered, or worse, must hold for `for` without a missing or contrary sample between."""
    found = sampled(every_minute(letters), 10 + len(letters) - 1)
    assert found.verdict is verdict
    if since is not None:
        assert found.values == {"since": at(since), "samples": len(letters), "message": f"sample {len(letters) - 1}"}


@pytest.mark.parametrize("letter", "rw")
def test_command_without_for(letter: str) -> None:
    """With `for: 0s` the first sample that says so decides."""
    found = judge_command(replace(SAMPLED, hold=timedelta()), every_minute(letter), NOON, at(10))
    assert found.verdict is Verdict(LETTERS[letter])


# letters, their first minute, the minute of looking; is a sample due, and when to look next
@pytest.mark.parametrize(
    ("letters", "first", "minutes", "due", "next_at"),
    [
        ("", 10, 0, False, 10),  # settles
        ("", 10, 9.9, False, 10),
        ("", 10, 10, True, END),
        ("", 10, 200, True, END),
        ("u", 10, 10, False, 11),
        ("u", 10, 10.5, False, 11),
        ("u", 10, 11, True, END),
        ("-", 10, 11, True, END),  # a missing sample is taken again in its turn
        ("u", 239.5, 239.6, False, END),  # the next would come after `within`
    ],
)
def test_command_clock(letters: str, first: float, minutes: float, due: bool, next_at: float) -> None:
    """Samples are due from `settle` on, each `every` after the one before, and looked at no later than `within`."""
    found = sampled(every_minute(letters, first), minutes)
    assert (found.verdict, found.sample_due, found.next_at) == (None, due, at(next_at))


@pytest.mark.parametrize(
    ("samples", "verdict", "told"),
    [
        ([], Verdict.UNKNOWN, 0),
        (every_minute("uuu", 236), Verdict.UNCHANGED, 3),
        (every_minute("u", 235.1), Verdict.UNCHANGED, 1),
        (every_minute("u", 235), Verdict.UNKNOWN, 0),  # not within the last `for`
        (every_minute("uuu--", 233), Verdict.UNKNOWN, 0),
        (every_minute("--u-", 236), Verdict.UNCHANGED, 1),
        (every_minute("rrrr", 236), Verdict.UNCHANGED, 4),  # too late to hold
        (every_minute("wwww", 236), Verdict.UNCHANGED, 4),
        (every_minute("-----", 236), Verdict.UNKNOWN, 0),
    ],
)
@pytest.mark.parametrize("late", [0, 1, 600])
def test_command_at_its_end(samples: list[Sample], verdict: Verdict, told: int, late: float) -> None:
    """At `within`: unchanged where samples within the last `for` told anything, else unknown; however late one looks."""
    found = sampled(samples, END + late)
    message = samples[-1].message if samples else "no sample"
    assert (found.verdict, found.values) == (verdict, {"samples": len(samples), "told": told, "message": message})


def test_command_reads_rare_samples_at_its_end() -> None:
    """Where `every` is longer than `for`, the last sample still tells."""
    spec = replace(SAMPLED, every=HOUR)
    assert judge_command(spec, [Sample(at(190), "unchanged")], NOON, at(END)).verdict is Verdict.UNCHANGED


def test_a_gap_between_samples_breaks_what_they_agree_on() -> None:
    """Two samples with more than twice `every` and the command's timeout between them prove nothing of the time between."""
    spec = replace(SAMPLED, hold=2 * MINUTE)
    gap = 2 * spec.every + spec.timeout + MINUTE
    apart = [Sample(at(20), "recovered"), Sample(at(20) + gap, "recovered")]
    assert gap > spec.hold
    assert judge_command(spec, apart, NOON, at(20) + gap).verdict is None
    near = [Sample(at(20) + n * spec.every, "recovered") for n in range(int(spec.hold / spec.every) + 1)]
    assert judge_command(spec, near, NOON, near[-1].at).verdict is Verdict.RECOVERED


def test_command_sample_after_the_end() -> None:
    """A sample that came after `within` shows nothing: what was not proved in time is not recovered."""
    samples = every_minute("rrrrrr", 236)
    assert samples[-1].at == at(END + 1)
    assert sampled(samples, END + 1).verdict is Verdict.UNCHANGED
    assert sampled(every_minute("rrrrrr", 235), END).verdict is Verdict.RECOVERED


def test_command_recovered_before_a_late_look() -> None:
    """What had held in time is recovered, though the process was away when `within` came."""
    assert sampled(every_minute("rrrrrr"), END + 60).verdict is Verdict.RECOVERED


def rolled(letters: str, minutes: float) -> Judgement:
    """What a serving object has shown by then, asked every minute from noon on: within 30m."""
    return judge_rollout(PROMOTED, every_minute(letters, first=0), NOON, at(minutes))


@pytest.mark.parametrize(
    ("letters", "verdict", "values"),
    [
        ("r", Verdict.RECOVERED, {"samples": 1, "message": "sample 0"}),
        ("uu-r", Verdict.RECOVERED, {"samples": 4, "message": "sample 3"}),
        ("uuf", Verdict.UNCHANGED, {"samples": 3, "message": "sample 2"}),
        ("u-x", Verdict.UNKNOWN, {"reason": "reverted", "samples": 3, "message": "sample 2"}),
        ("ufr", Verdict.UNCHANGED, {"samples": 2, "message": "sample 1"}),  # what was settled stays
        ("xr", Verdict.UNKNOWN, {"reason": "reverted", "samples": 1, "message": "sample 0"}),
        ("rf", Verdict.RECOVERED, {"samples": 1, "message": "sample 0"}),
    ],
)
@pytest.mark.parametrize("late", [0, 10, 600])
def test_rollout_is_settled_by_one_sample(
    letters: str, verdict: Verdict, values: dict[str, object], late: float
) -> None:
    """The first sample that says recovered, failed or reverted decides, at once and however late one looks."""
    found = rolled(letters, len(letters) - 1 + late)
    assert (found.verdict, found.values) == (verdict, values)


# samples a minute, the minute of looking; is a sample due, and when to look next
@pytest.mark.parametrize(
    ("letters", "minutes", "due", "next_at"),
    [
        ("", 0, True, 30),  # asked at once
        ("u", 0.5, False, 1),
        ("u", 1, True, 30),
        ("u-", 1.5, False, 2),  # a missing sample is taken again in its turn
        ("u-", 2, True, 30),
        ("u" * 30, 29.5, False, 30),
    ],
)
def test_rollout_clock(letters: str, minutes: float, due: bool, next_at: float) -> None:
    """Samples are due from the start on, each `every` after the one before, until `within`."""
    found = rolled(letters, minutes)
    assert (found.verdict, found.sample_due, found.next_at) == (None, due, at(next_at))


@pytest.mark.parametrize(
    ("samples", "verdict", "told", "message"),
    [
        ([], Verdict.UNKNOWN, 0, "no sample"),
        ([Sample(at(29), "unchanged", "2 of 3 ready")], Verdict.UNCHANGED, 1, "2 of 3 ready"),
        ([Sample(at(28.6), "unchanged", "2 of 3 ready")], Verdict.UNCHANGED, 1, "2 of 3 ready"),  # a look takes time
        ([Sample(at(28.5), "unchanged", "2 of 3 ready")], Verdict.UNKNOWN, 0, "2 of 3 ready"),
        ([Sample(at(29), "unchanged", ""), Sample(at(29.9), "missing", "no answer")], Verdict.UNCHANGED, 1, "no answer"),
        ([Sample(at(29), "missing", "no answer")], Verdict.UNKNOWN, 0, "no answer"),
        ([Sample(at(29), "unchanged", "soon"), Sample(at(30.1), "recovered", "")], Verdict.UNCHANGED, 1, "soon"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("late", [0, 1, 600])
def test_rollout_at_its_end(
    samples: list[Sample], verdict: Verdict, told: int, message: str, late: float
) -> None:  # fmt: skip
    """At `within`: unchanged where the object was seen lately, else unknown; what came after shows nothing."""
    in_time = sum(sample.at <= at(30) for sample in samples)
    found = judge_rollout(PROMOTED, samples, NOON, at(30 + late))
    assert (found.verdict, found.values) == (verdict, {"samples": in_time, "told": told, "message": message})


# events of the model's source, the minute of looking (settle 10m, quiet 30m, within 4h)
@pytest.mark.parametrize(
    ("events", "minutes", "verdict", "next_at"),
    [
        ((), 0, None, 40),
        ((), 39, None, 40),
        ((), 40, None, END),  # quiet, but nobody looked: no sign of life
        (((30, "l"),), 39, None, 40),
        (((30, "l"),), 40, Verdict.RECOVERED, None),
        (((25, "l"),), 40, None, END),  # silent in the later half of `quiet`: perhaps the detector died
        (((9, "l"),), 40, None, END),  # life before `settle` was over
        (((9, "m"), (30, "l")), 40, Verdict.RECOVERED, None),  # met while it settled
        (((10, "m"), (30, "l")), 40, Verdict.RECOVERED, None),
        (((15, "m"), (31, "l")), 40, None, 45),
        (((15, "m"), (31, "l")), 45, Verdict.RECOVERED, None),
        (((20, "l"), (25, "m")), 55, None, END),  # life only before it was met
        (((25, "l"), (25, "m")), 55, None, END),  # what meets the trigger is no sign of life after it
        (((25, "m"), (60, "l")), 60, Verdict.RECOVERED, None),
        (((220, "m"), (230, "l")), 235, None, END),  # cannot become quiet in time any more
    ],
)
def test_quiet(
    events: tuple[tuple[float, str], ...], minutes: float, verdict: Verdict | None, next_at: float | None
) -> None:
    """Quiet for long enough after `settle`, while the source showed life."""
    found = judge_quiet(QUIET, seen(*events), NOON, at(minutes))
    assert (found.verdict, found.next_at) == (verdict, at(next_at) if next_at is not None else None)


def test_quiet_values() -> None:
    """A verdict by silence says since when it was quiet."""
    found = judge_quiet(QUIET, seen((15, "m"), (31, "l")), NOON, at(45))
    assert found.values == {"quiet_since": at(15), "quiet": 30 * MINUTE}


@pytest.mark.parametrize(
    ("events", "verdict", "values"),
    [
        ((), Verdict.UNKNOWN, {"met": False, "sign_of_life": False}),
        (((5, "m"),), Verdict.UNKNOWN, {"met": False, "sign_of_life": False}),
        (((15, "m"),), Verdict.UNCHANGED, {"met": True, "sign_of_life": False}),
        (((15, "m"), (230, "m"), (235, "l")), Verdict.UNCHANGED, {"met": True, "sign_of_life": False}),
        (((END, "m"),), Verdict.UNCHANGED, {"met": True, "sign_of_life": False}),  # `within` itself still counts
        (((241, "l"),), Verdict.UNKNOWN, {"met": False, "sign_of_life": False}),  # life after the end
        (
            ((15, "m"), (215, "m"), (231, "l")),
            Verdict.UNCHANGED,
            {"met": True, "sign_of_life": True},
        ),  # quiet at minute 245
    ],
)
@pytest.mark.parametrize("late", [0, 10, 600])
def test_quiet_at_its_end(
    events: tuple[tuple[float, str], ...], verdict: Verdict, values: dict[str, object], late: float
) -> None:
    """At `within`: renewed after `settle` is unchanged, else unknown; the same however late one looks."""
    found = judge_quiet(QUIET, seen(*events), NOON, at(END + late))
    assert (found.verdict, found.values) == (verdict, values)


def end(minutes: float | None, last_seen: float = -60, id_: str = "c-1") -> ConditionEnd:
    """A condition of the evidence that ended then, or has not."""
    return ConditionEnd(id_, None if minutes is None else at(minutes), at(last_seen))


def resolved(ends: list[ConditionEnd], minutes: float, *, waited: float = 0) -> Judgement:
    """What the conditions show by then: settle 10m, for 5m, within 4h; the action ended `waited` minutes before noon."""
    return judge_resolved(RESOLVED, ends, at(-waited), NOON, at(minutes))


@pytest.mark.parametrize(
    ("ends", "minutes", "verdict", "next_at"),
    [
        ([end(None)], 60, None, END),
        ([end(1)], 5, None, 15),  # settles, then stays over for `for`
        ([end(1)], 14, None, 15),
        ([end(1)], 15, Verdict.RECOVERED, None),
        ([end(30)], 34, None, 35),
        ([end(30)], 35, Verdict.RECOVERED, None),
        ([end(1), end(None, id_="c-2")], 60, None, END),  # one is still open
        ([end(1), end(40, id_="c-2")], 44, None, 45),
        ([end(1), end(40, id_="c-2")], 45, Verdict.RECOVERED, None),
        ([end(0)], 60, None, END),  # ended as the action did: not by an event after it
        ([end(-5)], 60, None, END),
        ([end(-5), end(30, id_="c-2")], 60, None, END),
        ([], 60, None, END),  # nothing was said to be wrong: nothing can be shown
        ([end(237)], 238, None, END),  # cannot stay over long enough in time
    ],
)
def test_resolved(ends: list[ConditionEnd], minutes: float, verdict: Verdict | None, next_at: float | None) -> None:
    """Every condition of the evidence was ended by an event after the action, and stays over for `for`."""
    found = resolved(ends, minutes)
    assert (found.verdict, found.next_at) == (verdict, at(next_at) if next_at is not None else None)


def test_resolved_values() -> None:
    """A verdict by "it is over" names the conditions and since when all of them are."""
    found = resolved([end(1), end(30, id_="c-2")], 40)
    assert found.values == {"over_since": at(30), "conditions": ["c-1", "c-2"]}


def test_resolved_counts_from_the_actions_end() -> None:
    """As a later verification its clock starts later, but a condition may have ended since the action did."""
    assert resolved([end(-30)], 15, waited=60).verdict is Verdict.RECOVERED


@pytest.mark.parametrize(
    ("ends", "verdict", "values"),
    [
        ([], Verdict.UNKNOWN, {"open": [], "ended_before_action": [], "renewed": []}),
        ([end(None)], Verdict.UNKNOWN, {"open": ["c-1"], "ended_before_action": [], "renewed": []}),
        ([end(None, 10)], Verdict.UNKNOWN, {"open": ["c-1"], "ended_before_action": [], "renewed": []}),
        ([end(None, 11)], Verdict.UNCHANGED, {"open": ["c-1"], "ended_before_action": [], "renewed": ["c-1"]}),
        ([end(-5)], Verdict.UNKNOWN, {"open": [], "ended_before_action": ["c-1"], "renewed": []}),
        (
            [end(-5), end(None, 99, "c-2")],
            Verdict.UNCHANGED,
            {"open": ["c-2"], "ended_before_action": ["c-1"], "renewed": ["c-2"]},
        ),
        ([end(237, 100)], Verdict.UNCHANGED, {"open": [], "ended_before_action": [], "renewed": ["c-1"]}),
    ],
)
@pytest.mark.parametrize("late", [0, 10, 600])
def test_resolved_at_its_end(
    ends: list[ConditionEnd], verdict: Verdict, values: dict[str, object], late: float
) -> None:
    """At `within`: renewed after `settle` is unchanged, else unknown; the same however late one looks."""
    found = resolved(ends, END + late)
    assert (found.verdict, found.values) == (verdict, values)
