"""Schedules and `since`: due once, whatever the clock, a restart or a change of the set does meanwhile."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import insert, update

from controller import schema
from tests.integration.engine.again import compare
from tests.integration.engine.scene import BROKEN, MODEL, RESTORED, Scene, Staged, model, policy

DUE = "modelmend.due"


def scheduled(cron: str, more: str = "", zone: str = "Europe/Rome", spec: str = "") -> str:
    """A policy that is due by a schedule, and may act each time."""
    free = "limits: {cooldown: 1m, budget: {max: 100, within: 7d}, breaker: {failures: 100, within: 7d}}"
    trigger = f'triggers: [{{name: dated, schedule: {{cron: "{cron}", timeZone: {zone}{more}}}}}]'
    return policy(f"{trigger}\n{spec or free}")


def times(scene: Scene) -> list[str]:
    """When what was due, by event time."""
    e = schema.events.c
    return [f"{row.time:%m-%d %H:%M}" for row in scene.rows(schema.events, e.type == DUE, order=e.seq)]


def start(scene: Scene, *documents: str, at: str) -> None:
    """Bring documents into force at a time."""
    scene.clock.now = datetime.fromisoformat(at).replace(tzinfo=UTC)
    scene.adopt(MODEL, *documents)


def test_schedule_starts_a_remediation(stage_on_both: Staged):
    """A due schedule is an event of ours that is decided like any other, once, also after a restart."""
    scene = stage_on_both()
    start(scene, scheduled("0 3 1 * *", zone="Etc/UTC"), at="2026-01-20")
    scene.advance("11d")
    assert times(scene) == []
    scene.advance("2d")
    assert times(scene) == ["02-01 03:00"]
    (event,) = scene.rows(schema.events, schema.events.c.type == DUE)
    assert (event.source, event.model, event.data["name"]) == ("modelmend", "salary", "dated")
    assert scene.story(event.id) == ["remediate"]
    assert scene.remediation().trigger == "dated"
    assert scene.conditions() == []
    scene.crash()
    scene.advance("1d")
    assert len(times(scene)) == 1
    compare(scene)


@pytest.mark.parametrize(
    ("zone", "hour", "at", "expected"),
    [
        ("Europe/Rome", 2, "2026-03-27T12:00", ["03-28 01:30", "03-29 01:00", "03-30 00:30"]),
        ("Europe/Rome", 2, "2026-10-23T12:00", ["10-24 00:30", "10-25 00:30", "10-26 01:30"]),
        ("America/New_York", 2, "2026-03-06T12:00", ["03-07 07:30", "03-08 07:00", "03-09 06:30"]),
        ("America/New_York", 1, "2026-10-30T12:00", ["10-31 05:30", "11-01 05:30", "11-02 06:30"]),
    ],
)
def test_hour_that_is_skipped_or_comes_twice(stage: Staged, zone: str, hour: int, at: str, expected: list[str]):
    """Half past, on the day on which it is skipped, is due when the clocks change; where it comes twice, the first time."""
    scene = stage()
    start(scene, scheduled(f"30 {hour} * * *", zone=zone), at=at)
    scene.advance("3d")
    assert times(scene) == expected
    assert scene.tally() == {"remediate": 3}
    compare(scene)


def test_months_through_both_changes(stage: Staged):
    """Over a year, monthly at three by the wall clock: twelve times, each once, restarted in between."""
    scene = stage()
    start(scene, scheduled("0 3 1 * *"), at="2026-01-01T12:00")
    for _ in range(12):
        scene.advance("20d")
        scene.crash()
        scene.advance("10d10h")
    assert times(scene) == [
        f"{month:02}-01 {hour:02}:00"
        for month, hour in zip(range(2, 13), [2, 2, 1, 1, 1, 1, 1, 1, 1, 2, 2], strict=True)
    ] + ["01-01 02:00"]
    compare(scene)


def test_stopped_for_a_week(stage_on_both: Staged):
    """Of what was missed only the newest is made good, where it is younger than maxAge."""
    scene = stage_on_both()
    start(scene, scheduled("0 3 * * *", zone="Etc/UTC"), at="2026-05-01T04:00")
    scene.clock.now += timedelta(days=7)
    scene.crash()
    scene.settle()
    assert times(scene) == ["05-08 03:00"]
    assert scene.tally() == {"remediate": 1}
    scene.advance("1d")
    assert times(scene) == ["05-08 03:00", "05-09 03:00"]
    compare(scene)


def test_too_old_to_be_made_good(stage: Staged):
    """What was missed longer ago than maxAge is told, and starts nothing."""
    scene = stage()
    start(scene, scheduled("0 3 1 * *", zone="Etc/UTC"), at="2026-05-20")
    scene.clock.now += timedelta(days=20)
    scene.crash()
    scene.settle()
    (row,) = scene.decisions()
    assert (row.reason, row.values["why"]) == ("stale", "too_old")


def test_nothing_before_it_was_accepted(stage: Staged):
    """No time before the trigger was in force is due, nor one while it was not."""
    scene = stage()
    daily = scheduled("0 3 * * *", zone="Etc/UTC")
    start(scene, daily, at="2026-05-01T03:00:01")
    scene.settle()
    scene.advance("23h")
    assert times(scene) == []
    scene.adopt(MODEL, scheduled("0 4 * * *", zone="Etc/UTC"))
    scene.clock.now += timedelta(hours=1, minutes=30)  # 03:30
    scene.adopt(MODEL, daily)
    scene.advance("20m")
    assert times(scene) == []
    scene.advance("1d")
    assert times(scene) == ["05-03 03:00"]


def test_unchanged_trigger_outlives_a_reload(stage: Staged):
    """Another limit in the policy is no reason to forget what was missed."""
    scene = stage()
    start(scene, scheduled("0 3 * * *", zone="Etc/UTC"), at="2026-05-01T04:00")
    scene.clock.now += timedelta(days=1)
    scene.adopt(MODEL, scheduled("0 3 * * *", zone="Etc/UTC", spec="limits: {cooldown: 2h}"))
    assert times(scene) == ["05-02 03:00"]


def test_clock_that_goes_back(stage: Staged):
    """A due time that was served is not served again by a clock that is put back."""
    scene = stage()
    start(scene, scheduled("0 3 * * *", zone="Etc/UTC"), at="2026-05-01T02:00")
    scene.advance("2h")
    scene.clock.now -= timedelta(hours=2)
    scene.crash()
    scene.advance("3h")
    assert times(scene) == ["05-01 03:00"]


def test_each_model_selected_has_its_share(stage: Staged):
    """A schedule is for every documented model that its policy selects, each a share of `spread` later, the same each time."""
    scene = stage(fleet=None)
    names = [f"salary-{number}" for number in range(8)]
    scene.clock.now = datetime(2026, 5, 1, tzinfo=UTC)
    spec = 'models: {names: ["salary-*"]}\nlimits: {cooldown: 1m, budget: {max: 100, within: 7d}}'
    scene.adopt(
        *(model(name) for name in names),
        model("other"),
        model("salary-9", "web"),
        scheduled("0 3 * * *", ", spread: 6h", "Etc/UTC", spec),
    )
    scene.advance("2d")
    e = schema.events.c
    due = {}
    for row in scene.rows(schema.events, e.type == DUE, order=e.time):
        due.setdefault(row.model, []).append(row.time)
    assert sorted(due) == names
    for first, second in due.values():
        assert second - first == timedelta(days=1)
        assert timedelta(hours=3) <= first - datetime(2026, 5, 1, tzinfo=UTC) < timedelta(hours=9)
    assert len({first for first, _ in due.values()}) > 6
    compare(scene)


def test_due_triggers_only_its_own(stage: Staged):
    """What is due triggers the policy and the trigger that it names, not another that is due at the same time."""
    scene = stage()
    other = scheduled("0 3 2 * *").replace("name: retrain", "name: other", 1)
    start(scene, scheduled("0 3 1 * *"), other, policy(name="drift"), at="2026-05-20")
    scene.advance("12d12h")
    assert [(row.policy, row.trigger) for row in scene.decisions()] == [("retrain", "dated")]


def test_due_waits_out_a_cooldown(stage: Staged):
    """What is due while a limit holds is an open question like any other, asked again when it lifts."""
    scene = stage()
    start(
        scene,
        scheduled("0 3 * * *", zone="Etc/UTC", spec="limits: {cooldown: 2h}"),
        policy(name="drift"),
        at="2026-05-01T02:00",
    )
    scene.send()
    scene.advance("1h30m")
    e = schema.events.c
    (event,) = scene.rows(schema.events, e.type == DUE)
    assert scene.story(event.id) == ["cooldown"]
    scene.advance("1h")
    assert scene.story(event.id) == ["cooldown", "remediate"]
    compare(scene)


def test_policy_gone_while_due(stage: Staged):
    """An open question about a schedule that is no longer in the policy is closed."""
    scene = stage()
    start(scene, scheduled("0 3 * * *", zone="Etc/UTC", spec="wait: 1h"), at="2026-05-01T02:00")
    scene.advance("1h30m")
    scene.adopt(MODEL, policy("wait: 1h"))
    (row,) = scene.decisions()[-1:]
    assert (row.reason, row.values["why"]) == ("stale", "policy_gone")


def aged(last: str = "training") -> str:
    return policy(f"triggers: [{{name: age, since: {{last: {last}, atLeast: 30d}}}}]\nlimits: {{cooldown: 1h}}")


def trained(scene: Scene, at: datetime) -> None:
    """Somebody said that the model was trained."""
    with scene.db.write() as conn:
        m = schema.models
        if not conn.execute(update(m).where(m.c.name == "salary").values(trained_at=at)).rowcount:
            conn.execute(insert(m).values(namespace="ml", name="salary", first_seen=at, trained_at=at))


def test_since_training(stage: Staged):
    """Due when the last training is so long ago, and after each further such time."""
    scene = stage()
    scene.clock.now = datetime(2026, 5, 11, tzinfo=UTC)
    trained(scene, datetime(2026, 5, 1, tzinfo=UTC))
    scene.adopt(MODEL, aged())
    scene.advance("19d")
    assert times(scene) == []
    scene.advance("32d")
    assert times(scene) == ["05-31 00:00", "06-30 00:00"]
    trained(scene, scene.clock())
    scene.advance("29d")
    assert len(times(scene)) == 2
    scene.advance("2d")
    assert len(times(scene)) == 3


def test_since_of_a_model_that_is_old_already(stage: Staged):
    """A model that was too old when the trigger was accepted is due then."""
    scene = stage()
    scene.clock.now = datetime(2026, 5, 11, tzinfo=UTC)
    trained(scene, datetime(2026, 1, 1, tzinfo=UTC))
    scene.adopt(MODEL, aged())
    assert times(scene) == ["05-11 00:00"]
    assert scene.tally() == {"remediate": 1}


def test_since_of_a_model_that_nobody_trained(stage: Staged):
    """One of which no training is known counts from when the trigger was accepted."""
    scene = stage()
    start(scene, aged("deployment"), at="2026-05-01")
    scene.advance("31d")
    assert times(scene) == ["05-31 00:00"]


def test_since_is_done_meanwhile(stage: Staged):
    """A training while what is due waits answers it."""
    scene = stage()
    start(scene, aged().replace("limits: {cooldown: 1h}", "wait: 2h"), at="2026-05-01")
    scene.advance("30d1h")
    trained(scene, scene.clock())
    scene.advance("2h")
    assert [row.reason for row in scene.decisions()] == ["waiting", "stale"]
    assert scene.decisions()[-1].values["why"] == "done_since"


@pytest.mark.parametrize("by_person", [False, True])
def test_due_on_broken_data_waits_until_it_may_be_learnt_from(stage_on_both: Staged, by_person):
    """What is due was measured on nothing, so it need not come anew: it starts when `unless` no longer holds."""
    scene = stage_on_both()
    start(scene, scheduled("0 3 1 * *", zone="Etc/UTC"), at="2026-01-31")
    scene.send(BROKEN)
    scene.advance("30h")
    assert scene.tally()["inhibited"] == 1
    if by_person:
        scene.act("end_condition", ref=scene.conditions()[0].id)
    else:
        scene.send(RESTORED)
    (due,) = scene.rows(schema.events, schema.events.c.type == DUE)
    scene.advance("5h59m")
    assert scene.story(due.id) == ["inhibited"] * 2
    scene.advance("1m")
    assert scene.story(due.id)[2:] == ["remediate"]
    compare(scene)


def test_due_on_data_that_stays_broken_is_left_out(stage: Staged):
    """It is good again only after `maxAge`: the next one is next month's."""
    scene = stage()
    start(scene, scheduled("0 3 1 * *", zone="Etc/UTC"), at="2026-01-31")
    scene.send(BROKEN)
    scene.advance("80h")
    scene.send(RESTORED)
    scene.advance("10h")
    assert scene.remediations() == []
    assert scene.questions() == []
