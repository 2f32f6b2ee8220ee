"""How long a month takes: four seconds, longer on a machine that is slow now, and the policies with it."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from examples.demo.server import PATIENCE, ROOT

MONTH = 4.0  # seconds; policies.yaml is written for it
UNHURRIED = 0.4  # seconds within which a verification should start and end, for that month to be long enough

_SECONDS = re.compile(r"(?<=: )(\d+)(ms|s)\b")


def month_for_this_machine(work: Path) -> float:
    """Seconds of a month, by how long the verifying command takes at this moment (the median of three runs)."""
    argv = [sys.executable, "-m", "examples.demo.verify", str(work), "0"]
    taken = []
    for _ in range(3):
        began = time.monotonic()
        subprocess.run(argv, cwd=ROOT, check=True, capture_output=True, timeout=PATIENCE)
        taken.append(time.monotonic() - began)
    return MONTH * max(1.0, median(taken) / UNHURRIED)


def paced(policies: str, month: float) -> str:
    """The policies' text with every duration in seconds stretched as the month is."""
    return _SECONDS.sub(lambda found: _stretched(found, month / MONTH), policies)


def _stretched(found: re.Match[str], factor: float) -> str:
    milliseconds = int(found[1]) * (1 if found[2] == "ms" else 1000) * factor
    return f"{round(milliseconds)}ms" if milliseconds % 1000 else f"{round(milliseconds / 1000)}s"
