"""Which version of the model is served: one small file, replaced in one step, and the list of all before it.

Only the standard library, so that recalibration and verification start at once.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

MODEL = "bike-demand"


@dataclass(frozen=True, slots=True)
class Version:
    """A pickled model and the factor that scales its output; made on day `since`, it serves from the next."""

    number: int
    file: str
    scale: float
    since: date
    made_by: str  # training | retrain | recalibrate

    @property
    def name(self) -> str:
        """As it stands in events: `bike-demand-v3`."""
        return f"{MODEL}-v{self.number}"


def publish(work: Path, version: Version) -> None:
    """Make `version` the one that is served: a reader sees the old one or the new one, never half of it."""
    text = json.dumps({**asdict(version), "since": version.since.isoformat()})
    with (work / "versions.jsonl").open("a") as history:
        history.write(text + "\n")
    half = work / "serving.json.new"
    half.write_text(text)
    half.replace(work / "serving.json")


def serving(work: Path) -> Version:
    """The version that is served now."""
    return _version((work / "serving.json").read_text())


def versions(work: Path) -> list[Version]:
    """All versions that were ever served, in order."""
    return [_version(line) for line in (work / "versions.jsonl").read_text().splitlines()]


def _version(text: str) -> Version:
    fields = json.loads(text)
    return Version(**{**fields, "since": date.fromisoformat(fields["since"])})
