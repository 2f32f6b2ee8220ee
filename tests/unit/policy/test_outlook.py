"""What lies ahead by the calendar."""

from datetime import UTC, datetime

from controller.events.types import EventTypes
from controller.policy import Installation, build_set, parse_documents
from controller.policy.outlook import freezes, frozen_now

WEEKEND = """
kind: Freeze
metadata: {name: weekend, namespace: ml}
spec: {models: {names: ["*"]}, cron: "0 18 * * 5", duration: 62h, timeZone: Europe/Rome}
---
kind: Freeze
metadata: {name: once, namespace: ml}
spec: {models: {names: ["*"]}, start: "2026-11-21T18:00", end: "2026-11-22T00:00+02:00", timeZone: America/New_York}
"""


def test_freezes_in_force_and_ahead():
    """A freeze in force is told with its end, and its window is the first of those to come."""
    found, problems = build_set(parse_documents(WEEKEND, "x.yaml")[0], Installation.of(EventTypes()))
    assert [str(problem) for problem in problems] == [
        'x.yaml: Freeze "ml/once": spec.end: want an end later than start, got "2026-11-22T00:00+02:00"'
    ]
    saturday = datetime(2026, 11, 21, 12, tzinfo=UTC)
    assert frozen_now(found, saturday) == {"ml/weekend": "2026-11-23T07:00:00Z"}
    assert frozen_now(found, datetime(2026, 11, 23, 7, tzinfo=UTC)) == {}
    (weekend,) = freezes(found, saturday)
    assert [f"{window.start:%m-%d %H:%M}" for window in weekend.windows] == [
        "11-20 17:00",
        "11-27 17:00",
        "12-04 17:00",
    ]
