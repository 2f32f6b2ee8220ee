"""The end of the story: a table, the months as bars, and the plot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from matplotlib.dates import DateFormatter
from matplotlib.figure import Figure

from examples.demo.data import Records
from examples.demo.worlds import FAULT, FIRST_DAY, World

BAR = 30  # characters for the largest error


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one way of living cost: error in bikes per hour over all served hours, and how many trainings."""

    world: World
    error: float
    trainings: int
    recalibrations: int
    color: str


def months(records: Records) -> list[tuple[date, date]]:
    """First and last day of every served month."""
    spans, first = [], FIRST_DAY
    while first <= records.last:
        following = (first + timedelta(days=31)).replace(day=1)
        spans.append((first, following - timedelta(days=1)))
        first = following
    return spans


def months_over(outcome: Outcome, records: Records, limit: float) -> int:
    """In how many months the error was over the limit."""
    return sum(outcome.world.error(records, *span) > limit for span in months(records))


def table(records: Records, outcomes: Sequence[Outcome], limit: float) -> str:
    """One line for each way of living."""
    heads = ("mean error", "months over limit", "trainings", "recalibrations")
    lines = [f"{'':<26}" + "".join(f"{head:>19}" for head in heads)]
    for one in outcomes:
        values = (f"{one.error:.1f} bikes/h", months_over(one, records, limit), one.trainings, one.recalibrations)
        lines.append(f"{one.world.name:<26}" + "".join(f"{value:>19}" for value in values))
    return "\n".join(lines)


def bars(records: Records, outcomes: Sequence[Outcome], limit: float) -> str:
    """The months as text: a bar for each month's error with modelmend, a letter for where the others were."""
    spans = months(records)
    errors = [[one.world.error(records, *span) for span in spans] for one in outcomes]
    top = max(max(row) for row in errors)
    lines = []
    for index, (first, _last) in enumerate(spans):
        row = [" "] * (BAR + 1)
        never, mended, always = (round(BAR * errors[number][index] / top) for number in range(3))
        row[:mended] = "█" * mended
        row[round(BAR * limit / top)] = "│"
        row[always] = "a"
        row[never] = "n"
        lines.append(f"{first:%Y-%m}  {errors[1][index]:6.1f}  {''.join(row).rstrip()}")
    return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Act:
    """Something that modelmend did, or refused to do, on a day: recalibrate, retrain or inhibited."""

    day: date
    what: str


def plot(path: Path, records: Records, outcomes: Sequence[Outcome], limit: float, acts: Sequence[Act]) -> None:
    """The months' errors of all three as lines; below them what modelmend did, and every training of the third."""
    spans = months(records)
    middles = [first + timedelta(days=14) for first, _ in spans]
    errors = [[one.world.error(records, *span) for span in spans] for one in outcomes]
    top = max(max(row) for row in errors)
    figure = Figure(figsize=(11, 5.6), dpi=140)
    axes: Any = figure.subplots()  # its stubs know no dates
    axes.axvspan(*FAULT, color="#f6e3e1", lw=0, zorder=0)
    label = {"ha": "center", "va": "bottom", "fontsize": 8.5, "color": "#a04840"}
    axes.text(FAULT[0] + timedelta(days=15), top * 1.03, "thermometer broken\n(injected fault)", **label)
    axes.hlines(limit, FIRST_DAY, records.last, color="#888888", lw=1, ls=(0, (4, 3)), zorder=1)
    axes.text(middles[0], limit + 2, f"limit {limit:.0f}", fontsize=8.5, color="#666666")
    for one, row, place in zip(outcomes, errors, _apart([row[-1] for row in errors], top / 9), strict=True):
        axes.plot(middles, row, color=one.color, lw=2.6 if one.world.name == "modelmend" else 1.5, zorder=3)
        text = f"{one.world.name}\n{one.error:.0f} bikes/h, {_times(one.trainings)}"
        axes.text(records.last + timedelta(days=6), place, text, va="center", color=one.color, fontsize=9)
    _lanes(axes, records, outcomes, acts, top)
    axes.set_ylim(-top * 0.19, top * 1.17)
    axes.set_xlim(FIRST_DAY - timedelta(days=5), records.last + timedelta(days=125))
    axes.set_yticks(range(0, int(top) + 1, 50))
    axes.set_xticks([first for first, _ in spans][::2])
    axes.xaxis.set_major_formatter(DateFormatter("%b\n%Y"))  # type: ignore[no-untyped-call]
    axes.set_ylabel("mean absolute error, bikes per hour", y=0.57)
    axes.set_title("Hourly bike sharing: a model of early 2011, through two real years", loc="left", fontsize=12)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


_SIGNS = {"recalibrate": ("o", "white"), "retrain": ("^", None), "inhibited": ("x", None)}


def _lanes(axes: Any, records: Records, outcomes: Sequence[Outcome], acts: Sequence[Act], top: float) -> None:
    """Two rows below the lines: modelmend's acts, and the trainings at every alarm."""
    mended, always = outcomes[1:]
    upper, lower, beside = -top * 0.055, -top * 0.14, records.last + timedelta(days=6)
    axes.axhline(0, color="#cccccc", lw=0.8)
    for act in acts:
        marker, fill = _SIGNS[act.what]
        axes.plot([act.day], [upper], marker, ms=7.5, mfc=fill or mended.color, mec=mended.color, mew=1.8, zorder=5)
    axes.text(beside, upper, "○ recalibrate   ▲ retrain   × inhibited", va="center", fontsize=8.5, color=mended.color)
    axes.plot(always.world.trained, [lower] * len(always.world.trained), "^", ms=6, color=always.color, zorder=4)
    axes.text(beside, lower, "▲ retrain", va="center", fontsize=8.5, color=always.color)


def _apart(places: Sequence[float], least: float) -> list[float]:
    """The same places, moved up where one lies less than `least` above another."""
    moved: dict[float, float] = {}
    for place in sorted(places):
        moved[place] = max([place, *(other + least for other in moved.values())])
    return [moved[place] for place in places]


def _times(trainings: int) -> str:
    return "1 training" if trainings == 1 else f"{trainings} trainings"
