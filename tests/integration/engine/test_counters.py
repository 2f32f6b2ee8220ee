"""`sum` and `consecutive`: what adds up, what breaks a streak, and what is told of it."""

from datetime import UTC, datetime, timedelta

import pytest

from controller import schema
from controller.store.ledger import Ledger
from tests.integration.engine.again import compare
from tests.integration.engine.scene import CHECKED, DEGRADED, LABELS, MODEL, Scene, Staged, policy

ROME = "timeZone: Europe/Rome"


def daily(more: str = "", every: str = "1d", periods: int = 3) -> str:
    """A policy that acts when accuracy was bad in three periods on end."""
    streak = f"consecutive: {{periods: {periods}, every: {every}, {ROME}{more}}}"
    trigger = f'{{name: t, type: {DEGRADED}, when: "data.value < 0.92", {streak}}}'
    return policy(f"triggers: [{trigger}]\nlimits: {{maxAge: 4d, cooldown: 1h, budget: {{max: 50, within: 7d}}}}")


def start(scene: Scene, document: str, at: str) -> None:
    """Bring a policy into force at a time."""
    scene.clock.now = datetime.fromisoformat(at).replace(tzinfo=UTC)
    scene.adopt(MODEL, document)


def values(scene: Scene, event: str) -> dict[str, object]:
    """What the last decision about an event rests on."""
    return scene.decisions(event)[-1].values


@pytest.mark.parametrize("day", ["2026-03-27T23:30", "2026-10-23T23:30"])
def test_three_days_on_end(stage_on_both: Staged, day: str):
    """Three days of a wall clock make three periods, whatever the clocks do between; two events of a day make one."""
    scene = stage_on_both()
    start(scene, daily(), day)
    assert scene.story(scene.send(DEGRADED)) == ["accumulating"]
    assert values(scene, scene.send(DEGRADED))["seen"] == 1
    scene.advance("23h30m")
    scene.crash()
    second = scene.send(DEGRADED)
    assert values(scene, second)["seen"] == 2
    scene.advance("1d")
    third = scene.send(DEGRADED)
    assert scene.story(third) == ["remediate"]
    told = [str((scene.clock() + timedelta(hours=3)).date() - timedelta(days=back)) for back in range(3)]
    assert values(scene, third)["periods"] == told
    compare(scene)


def test_day_without_breaks_the_streak(stage: Staged):
    """A day without such an event starts the count anew, also where it was only better."""
    scene = stage()
    start(scene, daily(), "2026-05-04T12:00")
    seen = []
    for value in (0.9, 0.9, 0.95, 0.9, 0.9):
        told = values(scene, scene.send(DEGRADED, value=value))
        seen.append(told.get("seen"))
        scene.advance("1d")
    assert seen == [1, 2, None, 1, 2]
    assert values(scene, scene.send(DEGRADED))["seen"] == 3
    compare(scene)


def test_silent_day_is_ignored(stage_on_both: Staged):
    """With `missing: ignore` a day in which nobody looked is no break; one in which a detector looked is."""
    scene = stage_on_both()
    start(scene, daily(", missing: ignore"), "2026-05-04T12:00")
    scene.send(DEGRADED)
    scene.advance("3d")
    assert values(scene, scene.send(DEGRADED))["seen"] == 2
    scene.advance("1d")
    scene.send(CHECKED)
    scene.advance("1d")
    assert values(scene, scene.send(DEGRADED))["seen"] == 1
    scene.advance("1d")
    scene.send(DEGRADED, value=0.99)
    scene.advance("1d")
    assert values(scene, scene.send(DEGRADED))["seen"] == 1
    for _ in range(2):
        scene.advance("2d")
        last = scene.send(DEGRADED)
    assert scene.story(last) == ["remediate"]
    compare(scene)


def test_life_is_one_row_a_day(stage_on_both: Staged, monkeypatch: pytest.MonkeyPatch):
    """However often detectors look, one row for each day is kept of it, and no other row is read for that."""
    scene = stage_on_both()
    start(scene, daily(", missing: ignore"), "2026-05-04T12:00")
    scene.send(DEGRADED)
    read = []
    before = Ledger._read_window
    monkeypatch.setattr(Ledger, "_read_window", lambda self, *asked: read.append(asked) or before(self, *asked))
    for _ in range(2):
        scene.post(*(scene.event(CHECKED) for _ in range(20)))
        scene.settle()
        scene.send(CHECKED)
        scene.advance("1d")
    life = scene.rows(schema.evidence, schema.evidence.c.trigger_digest.like("%:life"))
    assert (len(life), read) == (2, [])
    assert values(scene, scene.send(DEGRADED))["seen"] == 1
    compare(scene)


def test_late_report_completes_the_streak(stage: Staged):
    """Windows go by the events' own time: what is told late counts in its own day."""
    scene = stage()
    start(scene, daily(), "2026-05-04T12:00")
    begin = scene.clock()
    scene.send(DEGRADED)
    scene.advance("2d")
    assert values(scene, scene.send(DEGRADED))["seen"] == 1
    late = scene.send(DEGRADED, at=begin + timedelta(days=1), feature="x")
    assert scene.story(late) == ["remediate"]


def test_hours_and_weeks(stage: Staged):
    """Periods may be parts of a day, or weeks from Monday."""
    scene = stage()
    start(scene, daily(every="1h"), "2026-10-24T23:30")  # 1:30 in Rome, 2:00 comes twice
    scene.send(DEGRADED)
    for _ in range(2):
        scene.advance("1h")
        assert values(scene, scene.send(DEGRADED))["seen"] == 2
    scene.advance("1h")
    assert values(scene, scene.send(DEGRADED))["seen"] == 3
    start(scene, daily(every="1w", periods=2), "2026-11-01T22:00")  # Sunday 23:00 in Rome
    assert scene.story(scene.send(DEGRADED)) == ["accumulating"]
    scene.advance("2h")
    assert scene.story(scene.send(DEGRADED)) == ["remediate"]
    compare(scene)


def labels(at_least: float = 10_000, spec: str = "") -> str:
    """A policy that acts on so many labels."""
    trigger = f"{{name: t, type: {LABELS}, sum: {{of: data.count, atLeast: {at_least}, within: 60d}}}}"
    return policy(f"triggers: [{trigger}]\n{spec or 'limits: {cooldown: 1h}'}")


def test_labels_add_up(stage_on_both: Staged):
    """Labels add up to what retraining needs, and those that were used count no more."""
    scene = stage_on_both(labels())
    first = scene.send(LABELS, count=6000)
    (row,) = scene.decisions(first)
    assert (row.reason, row.values["seen"], row.values["at_least"]) == ("accumulating", 6000, 10_000)
    scene.advance("50d")
    scene.crash()
    enough = scene.send(LABELS, count=4200)
    assert scene.story(enough) == ["remediate"]
    told = values(scene, enough)
    assert (told["seen"], told["counted"], told["at_least"], told["within"]) == (10_200, "sum", 10_000, "60d")
    scene.advance("2h")
    assert values(scene, scene.send(LABELS, count=500))["seen"] == 500
    compare(scene)


def test_labels_leave_the_window(stage: Staged):
    """What lies longer ago than `within` counts no more."""
    scene = stage(labels())
    scene.send(LABELS, count=9999)
    scene.advance("60d")
    assert values(scene, scene.send(LABELS, count=1))["seen"] == 1


def test_many_small_numbers(stage: Staged):
    """More rows than one page of them, and fractions whose sum does not hang on their order."""
    trigger = f"{{name: t, type: {DEGRADED}, sum: {{of: data.lost, atLeast: 120, within: 60d}}}}"
    scene = stage(policy(f"triggers: [{trigger}]"))
    scene.post(*(scene.event(DEGRADED, lost=0.1) for _ in range(1100)))
    scene.settle()
    assert values(scene, scene.send(DEGRADED, lost=1))["seen"] == pytest.approx(111)
    assert scene.story(scene.send(DEGRADED, lost=10)) == ["remediate"]
    compare(scene)


def test_what_cannot_be_summed(stage: Staged):
    """Less than nothing, and what is no number, is an error and no evidence."""
    trigger = f"{{name: t, type: {DEGRADED}, sum: {{of: data.lost, atLeast: 10, within: 60d}}}}"
    scene = stage(policy(f"triggers: [{trigger}]"))
    for lost in (-5, "many", True, None):
        event = scene.send(DEGRADED, lost=lost)
        (row,) = scene.decisions(event)
        assert row.reason == "condition_error"
        assert row.values["error"].startswith(("of: ", "data.lost", "absent")) or "lost" in row.values["error"]
    assert scene.rows(schema.evidence) == []


SUMMED = f"triggers: [{{name: t, type: {LABELS}, sum: {{of: data.count, atLeast: 1000, within: 30d}}}}]"
FREE = "limits: {cooldown: 1m, budget: {max: 9, within: 1d}}"


def test_labels_that_come_while_it_trains_count_for_the_next_training(stage_on_both: Staged):
    """What came after the training had begun was not trained on, whenever that ends."""
    steps = "steps: [{name: train, command: {argv: [train], timeout: 6h}, verify: none}]"
    scene = stage_on_both(policy(f"{SUMMED}\n{FREE}\n{steps}"))
    scene.world.busy = True
    scene.world.outputs = {"version": "v2"}
    scene.send(LABELS, count=1000)
    scene.advance("1h")
    assert scene.story(scene.send(LABELS, count=600)) == ["accumulating"]
    scene.advance("1h")
    scene.world.busy = False
    scene.settle()
    scene.advance("1h")
    second = scene.send(LABELS, count=400)
    assert (scene.story(second), len(scene.remediations())) == (["remediate"], 2)
    compare(scene)


def test_what_was_counted_outlives_a_no(stage_on_both: Staged):
    """One that is cancelled before it acted has used no label up: a day later people are asked again."""
    scene = stage_on_both(policy(f"mode: approve\n{SUMMED}\n{FREE}"))
    first = scene.send(LABELS, count=1000)
    assert scene.act("reject", "remediation", scene.remediation().id)["ok"]
    scene.advance("25h")
    assert (scene.story(first)[-1], scene.remediation().phase) == ("remediate", "AwaitingApproval")
    compare(scene)
