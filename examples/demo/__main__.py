"""`python -m examples.demo`: two real years of bike sharing in under three minutes.

Exit codes: 0 the story happened as told; 1 it did not, or something failed (it says what
to look at, and keeps the work folder); 2 bad use.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from string import Template

from examples.demo import claims, report, story, versions
from examples.demo.data import SHA256, DemoError, Records, break_thermometer, load
from examples.demo.monitors import ERROR_LIMIT, LABEL_DELAY
from examples.demo.narrator import Narrator
from examples.demo.pager import Pager, listening
from examples.demo.server import ROOT, Item, Server, serving
from examples.demo.worlds import FAULT, FIRST_DAY, World, hold_out_error, live_offline

OPENING = """\
A model that predicts the bikes rented each hour in Washington, trained on January to April
2011, is served until the end of 2012. Monitors watch it; labels come a week late. What they
find goes as CloudEvents over HTTP to a real `modelmend serve`, which may recalibrate, then
retrain, by examples/demo/policies.yaml. One month takes {month:.0f} seconds; so do its policies."""


def main(arguments: list[str] | None = None) -> int:
    """Run the demo; gives the exit code."""
    options = _options().parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the server must not outlive the demo
    work = Path(tempfile.mkdtemp(prefix="modelmend-demo-"))
    try:
        holds = _run(work, options.output, options.month)
    except (DemoError, KeyboardInterrupt) as fault:
        print(f"\nThe demo failed: {str(fault) or 'interrupted'}\nEverything it wrote is in {work}", file=sys.stderr)
        return 1
    if not holds:
        print(f"\nThe story did not happen as told. Everything it wrote is in {work}", file=sys.stderr)
        return 1
    if options.keep:
        print(f"Everything it wrote is in {work}")
    else:
        shutil.rmtree(work)
    return 0


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m examples.demo", description="modelmend on real data")
    parser.add_argument("--output", type=Path, default=Path(".demo"), help="folder for plot and table (default .demo)")
    parser.add_argument("--month", type=float, default=story.MONTH, help="seconds that a month takes at least")
    parser.add_argument("--keep", action="store_true", help="keep the work folder: feed, models, database, log")
    return parser


def _run(work: Path, output: Path, month: float) -> bool:
    began = time.monotonic()
    print(OPENING.format(month=month), end="\n\n", flush=True)
    records = break_thermometer(load(), *FAULT)
    baseline = round(hold_out_error(records), 1)
    limit = round(ERROR_LIMIT * baseline, 1)
    story.begin(records, work)
    with contextlib.ExitStack() as stack:
        pager = stack.enter_context(listening())
        server = stack.enter_context(serving(work, _settings(work, pager, baseline, limit)))
        narrator = Narrator(sys.stdout, pager, limit)
        _opening(narrator, records, server, baseline, limit)
        narrator.columns()
        world = story.Story(records, work, server, narrator, limit, month).live()
        narrator.catch_up(server)
        outcomes = _outcomes(records, work, world, limit)
        holds = _ending(narrator, server, pager, work, records, outcomes, limit, output)
    narrator.say(f"\n{time.monotonic() - began:.0f} seconds. Plot: {output / 'demo.png'}")
    return holds


def _settings(work: Path, pager: Pager, baseline: float, limit: float) -> Item:
    values = {"PYTHON": sys.executable, "WORK": work, "HOME_FOLDER": ROOT, "BASELINE": baseline, "LIMIT": limit}
    text = (Path(__file__).parent / "policies.yaml").read_text()
    policies = work / "policies.yaml"
    policies.write_text(Template(text).substitute(values))
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
    found = claims.claims(record, pager, work, outcomes)
    for title, references in (
        ("Why did it act?", [one["id"] for one in record.climbed()[:1]]),
        ("Why did it not act?", [one["id"] for one in claims.inhibited(record)[:1]]),
    ):
        for reference in references:
            narrator.heading(f"{title}   $ modelmend explain {reference}")
            narrator.say(server.run("explain", reference).rstrip())
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


if __name__ == "__main__":
    sys.exit(main())
