"""`python -m examples.demo`: two real years of bike sharing in under three minutes.

Exit codes: 0 the story happened as told; 1 it did not, or something failed (it says what
to look at, and keeps the work folder); 2 bad use.
"""

from __future__ import annotations

import argparse
import io
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from examples.demo import DemoError

OPENING = """\
A model that predicts the bikes rented each hour in Washington, trained on January to April
2011, is served until the end of 2012. Monitors watch it; labels come a week late. What they
find goes as CloudEvents over HTTP to a real `modelmend serve`, which may recalibrate, then
retrain, by examples/demo/policies.yaml. A month takes a few seconds; its durations fit."""


def main(arguments: list[str] | None = None) -> int:
    """Run the demo; gives the exit code."""
    options = _options().parse_args(arguments)
    began = time.monotonic()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal without these signs is no reason to fail
    print(OPENING, end="\n\n", flush=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the server must not outlive the demo
    work = Path(tempfile.mkdtemp(prefix="modelmend-demo-"))
    try:
        from examples.demo.run import run

        holds = run(work, options.output, options.month)
    except (DemoError, KeyboardInterrupt) as fault:
        print(f"\nThe demo failed: {str(fault) or 'interrupted'}\nEverything it wrote is in {work}", file=sys.stderr)
        return 1
    if not holds:
        print(f"\nThe story did not happen as told. Everything it wrote is in {work}", file=sys.stderr)
        return 1
    print(f"{time.monotonic() - began:.0f} seconds")
    if options.keep:
        print(f"Everything it wrote is in {work}")
    else:
        shutil.rmtree(work)
    return 0


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m examples.demo", description="modelmend on real data")
    parser.add_argument("--output", type=Path, default=Path(".demo"), help="folder for plot and table (default .demo)")
    parser.add_argument("--month", type=float, help="seconds that a month takes (default: 4, more on a slow machine)")
    parser.add_argument("--keep", action="store_true", help="keep the work folder: feed, models, database, log")
    return parser


if __name__ == "__main__":
    sys.exit(main())
