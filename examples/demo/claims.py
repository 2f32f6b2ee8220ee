"""The demo's check on itself: each thing that it promises to show must stand in the server's JSON."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from examples.demo import versions
from examples.demo.narrator import POLICY
from examples.demo.pager import Pager
from examples.demo.report import Outcome
from examples.demo.server import Item, Server
from examples.demo.worlds import FAULT


@dataclass(frozen=True, slots=True)
class Claim:
    """One promise, and what in the server's records keeps it ('' where nothing does)."""

    text: str
    proof: str


class Record:
    """What the server has on record at the end."""

    def __init__(self, server: Server) -> None:
        self.events = {event["seq"]: event for event in server.get("events")}
        self.decisions = server.get("decisions", policy=POLICY)
        listed = reversed(server.get("remediations", policy=POLICY))
        self.remediations = [server.get_one(f"remediations/{one['id']}") for one in listed]

    def refusals(self, reason: str, type_: str, period: str = "") -> list[Item]:
        """Events of one type (and month) that were refused for `reason`, the first first."""
        seqs = sorted(one["event"] for one in self.decisions if one["reason"] == reason)
        found = [self.events[seq] for seq in dict.fromkeys(seqs)]
        return [one for one in found if one["type"] == type_ and period in ("", one["data"]["period"])]

    def recovered_by(self, step: str) -> list[Item]:
        """Remediations that ended recovered on this rung."""
        ended = [one for one in self.remediations if one["phase"] == "Succeeded" and one["verdict"] == "recovered"]
        return [one for one in ended if one["steps"][one["transitions"][-1]["step"]] == step]

    def climbed(self) -> list[Item]:
        """Recovered remediations of which a rung before had been verified `unchanged`."""
        recovered = [one for step in ("recalibrate", "retrain") for one in self.recovered_by(step)]
        return [one for one in recovered if any(row["reason"] == "unchanged" for row in one["transitions"])]


def claims(record: Record, pager: Pager, work: Path, outcomes: Sequence[Outcome]) -> list[Claim]:
    """All promises with their proofs."""
    never, mended, always = outcomes
    summer = [one for month in ("06", "07", "08") for one in _drift(record, f"2011-{month}")]
    return [
        Claim("drift alone was left alone", _ids(summer)),
        Claim("a degradation led to a retraining, verified as recovered", _ids(record.recovered_by("retrain"))),
        Claim("a rung that did not help was followed by one that did", _ids(record.climbed())),
        Claim("a broken feed inhibited a retraining", _ids(inhibited(record))),
        Claim("people were paged about the feed", _either(_about_feed(pager), f"{len(pager.messages)} page")),
        Claim("nothing was trained on the broken feed", _either(not _trained_on_fault(work), "versions.jsonl")),
        Claim("a repeat was refused in the cooldown", _ids(_cooldown(record))),
        Claim("less error than without retraining", _less(mended.error, never.error)),
        Claim("fewer trainings than at every alarm", _less(mended.trainings, always.trainings)),
    ]


def _drift(record: Record, period: str) -> list[Item]:
    return record.refusals("uncorroborated", "ml.data.drift.detected", period)


def explained(act: str, refusal: str) -> list[Claim]:
    """The promises about what `modelmend explain` printed."""
    return [
        Claim("explain said why it acted", _either("verdict recovered" in act and "retrain" in act, "above")),
        Claim("explain said why it did not act", _either("inhibited" in refusal, "above")),
    ]


def inhibited(record: Record) -> list[Item]:
    """Degradations seen on the broken feed and refused for it."""
    return record.refusals("inhibited", "ml.performance.degraded", f"{FAULT[0]:%Y-%m}")


def _cooldown(record: Record) -> list[Item]:
    types = ("ml.data.drift.detected", "ml.performance.degraded")
    return [one for type_ in types for one in record.refusals("cooldown", type_)]


def _about_feed(pager: Pager) -> bool:
    return any("page-for-broken-feed" in str(message) for message in pager.messages)


def _trained_on_fault(work: Path) -> bool:
    first, last = FAULT
    made = [one for one in versions.versions(work) if one.made_by == "retrain"]
    return any(first <= one.since <= last.replace(month=last.month + 1) for one in made)


def _ids(found: Sequence[Item]) -> str:
    return ", ".join(one["id"] for one in found[:2]) + (f" and {len(found) - 2} more" if len(found) > 2 else "")


def _either(holds: object, proof: str) -> str:
    return proof if holds else ""


def _less(smaller: float, larger: float) -> str:
    return _either(smaller < larger, f"{smaller:.4g} < {larger:.4g}")


Show = Callable[[str], None]


def check(found: Sequence[Claim], show: Show) -> bool:
    """Print every claim with its proof; whether all hold."""
    for claim in found:
        show(f"  {'✓' if claim.proof else '✗'} {claim.text:<58}{claim.proof or 'NOT SEEN'}")
    return all(claim.proof for claim in found)
