"""One run from the first training to the last check: server, story, comparison, explanations, plot."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from string import Template

from examples.demo import claims, pace, report, story, versions
from examples.demo.data import SHA256, Records, break_thermometer, load
from examples.demo.monitors import ERROR_LIMIT, LABEL_DELAY
from examples.demo.narrator import Narrator
from examples.demo.pager import Pager, listening
from examples.demo.server import ROOT, Item, Server, serving
from examples.demo.worlds import FAULT, FIRST_DAY, World, hold_out_error, live_offline


def run(work: Path, output: Path, wanted: float | None) -> bool:
    """Tell the whole story, its files in `work`, the plot in `output`; whether it happened as promised."""
    records = break_thermometer(load(), *FAULT)
    baseline = round(hold_out_error(records), 1)
    limit = round(ERROR_LIMIT * baseline, 1)
    story.begin(records, work)
    month = wanted or pace.month_for_this_machine(work)
    with contextlib.ExitStack() as stack:
        pager = stack.enter_context(listening())
        server = stack.enter_context(serving(work, _settings(work, pager, baseline, limit, month)))
        narrator = Narrator(sys.stdout, pager, limit)
        _opening(narrator, records, server, baseline, limit)
        narrator.say(f"  month   {month:.1f} seconds, and the policy's durations with it (cooldown: two months)")
        narrator.columns()
        world = story.Story(records, work, server, narrator, limit, month).live()
        narrator.catch_up(server)
        outcomes = _outcomes(records, work, world, limit)
        holds = _ending(narrator, server, pager, work, records, outcomes, limit, output)
    narrator.say(f"\nPlot: {output / 'demo.png'}")
    return holds


def _settings(work: Path, pager: Pager, baseline: float, limit: float, month: float) -> Item:
    values = {"PYTHON": sys.executable, "WORK": work, "HOME_FOLDER": ROOT, "BASELINE": baseline, "LIMIT": limit}
    text = (Path(__file__).parent / "policies.yaml").read_text()
    policies = work / "policies.yaml"
    policies.write_text(pace.paced(Template(text).substitute(values), month))
    senders = {name: {"period": "10m", "namespace": "demo"} for name in (story.DRIFT, story.ERROR, story.FEED)}
    return {
        "policies": [str(policies)],
        "senders": senders,
        "receivers": {"default": {"url": pager.url, "kind": "webhook"}},
    }


def _opening(narrator: Narrator, records: Records, server: Server, baseline: float, limit: float) -> None:
    narrator.say(f"  data    {len(records.count):,} real hours, 2011 and 2012 (UCI Bike Sharing), sha256 {SHA256[:8]}…")
    narrator.say(f"  fault   injected by us: null temperatures in {FAULT[0]:%B %Y}; all else is as it was recorded")
    narrator.say(f"  limit   {limit:.1f} bikes an hour: 1.2 times the error on a hold-out ({baseline:.1f}, April 2011)")
    narrator.say(f"  server  {server.url}, SQLite in {server.work}/data")


def _outcomes(records: Records, work: Path, world: World, limit: float) -> list[report.Outcome]:
    made = [version.made_by for version in versions.versions(work)]
    never, always = (live_offline(records, limit, retrain=retrain) for retrain in (False, True))
    return [
        report.Outcome(one, one.error(records, FIRST_DAY, records.last), trainings, recalibrations, color)
        for one, trainings, recalibrations, color in (
            (never, 0, 0, "#8a8a8a"),
            (world, made.count("retrain"), made.count("recalibrate"), "#1f5fa8"),
            (always, len(always.trained), 0, "#c9772b"),
        )
    ]


def _ending(
    narrator: Narrator,
    server: Server,
    pager: Pager,
    work: Path,
    records: Records,
    outcomes: list[report.Outcome],
    limit: float,
    output: Path,
) -> bool:
    record = claims.Record(server)
    act = _explain(narrator, server, "Why did it act?", record.climbed())
    refusal = _explain(narrator, server, "Why did it not act?", claims.inhibited(record))
    found = [*claims.claims(record, pager, work, outcomes), *claims.explained(act, refusal)]
    narrator.heading("Error of each month with modelmend (n: no retraining, a: retraining at every alarm, │: limit)")
    narrator.say(report.bars(records, outcomes, limit))
    narrator.heading("What it came to")
    table = report.table(records, outcomes, limit)
    narrator.say(table)
    acts = [report.Act(one.since, one.made_by) for one in versions.versions(work)[1:]]
    acts += [report.Act(FAULT[1] + LABEL_DELAY, "inhibited") for _ in claims.inhibited(record)[:1]]
    report.plot(output / "demo.png", records, outcomes, limit, acts)
    (output / "demo.txt").write_text(table + "\n")
    narrator.heading("What was promised, and the record that proves it")
    return claims.check(found, narrator.say)


def _explain(narrator: Narrator, server: Server, title: str, about: list[Item]) -> str:
    """What `modelmend explain` says of the first; '' where there is none, which the claims then tell."""
    if not about:
        return ""
    reference = about[0]["id"]
    narrator.heading(f"{title}   $ modelmend explain {reference}")
    answer = server.run("explain", reference).rstrip()
    narrator.say(answer)
    return answer
