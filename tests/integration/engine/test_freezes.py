"""Freezes: nothing is changed while one is in force, and what waited is asked after it, model by model."""

from datetime import UTC, datetime, timedelta

from controller import schema
from tests.integration.engine.again import compare
from tests.integration.engine.scene import DEGRADED, DRIFT, MODEL, Staged, model, policy

FRIDAY = datetime(2026, 11, 20, 12, tzinfo=UTC)
WEEKEND = 'cron: "0 18 * * 5", duration: 62h, timeZone: Europe/Rome'
END = datetime(2026, 11, 23, 7, tzinfo=UTC)  # Monday 8:00 in Rome


def freeze(window: str = WEEKEND, models: str = 'names: ["*"]', name: str = "weekend", namespace: str = "ml") -> str:
    """A Freeze document."""
    return (
        f"kind: Freeze\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {{models: {{{models}}}, {window}}}\n"
    )


def test_freeze_holds_until_it_ends(stage_on_both: Staged):
    """An event in a freeze waits until its end, through a restart, and is answered then."""
    scene = stage_on_both()
    scene.clock.now = FRIDAY
    scene.adopt(MODEL, policy("limits: {maxAge: 5d, cooldown: 1h}"), freeze())
    assert scene.story(scene.send()) == ["remediate"]
    scene.advance("6h")
    event = scene.send()
    (row,) = scene.decisions(event)
    assert (row.reason, row.values) == (
        "frozen",
        {"freeze": "ml/weekend", "until": END.isoformat().replace("+00:00", "Z")},
    )
    scene.advance("2d")
    scene.crash()
    assert scene.story(event) == ["frozen"]
    scene.advance("15h")
    assert scene.story(event) == ["frozen", "remediate"]
    assert scene.remediation().started_at == END
    compare(scene)


def test_other_models_are_not_frozen(stage: Staged):
    """A freeze is of the models that it selects in its own namespace."""
    scene = stage()
    scene.clock.now = FRIDAY + timedelta(hours=6)
    labelled = "kind: Model\nmetadata: {name: salary, namespace: ml, labels: {tier: prod}}\n"
    scene.adopt(labelled, model("other"), policy(), freeze(models="matchLabels: {tier: prod}"), freeze(namespace="web"))
    assert scene.story(scene.send()) == ["frozen"]
    assert scene.story(scene.send(model="other")) == ["remediate"]


def test_urgent_and_paging_policies_are_not_held(stage: Staged):
    """Restoring and paging stay allowed."""
    scene = stage()
    scene.clock.now = FRIDAY + timedelta(hours=6)
    served = "kind: Model\nmetadata: {name: salary, namespace: ml}\nspec: {serving: {kind: Rollout, name: salary}}\n"
    abort = policy("steps: [{name: abort, rollout: {abort: canary}, verify: none}]", name="abort")
    page = policy("steps: [{name: page, page: {}}]", name="page")
    scene.adopt(served, abort, page, freeze())
    scene.send()
    assert {row.policy: row.reason or row.outcome for row in scene.decisions() if row.attempt == 1} == {
        "abort": "remediate",
        "page": "remediate",
    }


def test_step_that_changes_is_held(stage: Staged):
    """A ladder that is under way when a freeze begins stops before its next change."""
    scene = stage()
    scene.clock.now = datetime(2026, 11, 20, 16, 50, tzinfo=UTC)
    ladder = "steps: [{name: a, command: {argv: [a], timeout: 1h}, verify: none}, {name: b, command: {argv: [b]}, verify: none}]"
    short = freeze('start: "2026-11-20T17:00", end: "2026-11-20T20:00", timeZone: Etc/UTC')
    scene.adopt(MODEL, policy(ladder), short)
    scene.world.busy = True
    scene.world.outcome = "failed"
    scene.send()
    scene.advance("30m")
    scene.world.busy = False
    scene.settle()
    assert (scene.remediation().phase, scene.remediation().hold_reason) == ("Pending", "frozen")
    scene.world.outcome = "done"
    scene.advance("2h39m")
    assert scene.remediation().phase == "Pending"
    scene.advance("1m")
    assert scene.remediation().phase == "Succeeded"
    compare(scene)


def test_freeze_that_is_taken_away(stage: Staged):
    """What waited and what is held is asked at once."""
    scene = stage()
    scene.clock.now = FRIDAY + timedelta(hours=6)
    scene.adopt(MODEL, policy(), freeze())
    event = scene.send()
    scene.adopt(MODEL, policy())
    assert scene.story(event) == ["frozen", "remediate"]
    compare(scene)


def test_what_waited_is_spread(stage: Staged):
    """After the end each model is asked its own share of `spread` later; a new event need not wait so long."""
    scene = stage()
    scene.clock.now = FRIDAY + timedelta(hours=6)
    names = [f"m{number}" for number in range(6)]
    scene.adopt(*(model(name) for name in names), policy("limits: {maxAge: 5d}"), freeze(f"{WEEKEND}, spread: 2h"))
    for name in names:
        scene.send(model=name)
    scene.advance("3d")
    starts = {row.model: row.started_at - END for row in scene.remediations()}
    assert sorted(starts) == names
    assert len(set(starts.values())) == len(names)
    assert all(timedelta(0) <= late < timedelta(hours=2) for late in starts.values())
    compare(scene)


def test_what_fell_due_in_an_outage_is_spread(stage: Staged):
    """Many questions that fell due while modelmend was stopped are asked one a second."""
    scene = stage()
    names = [f"m{number}" for number in range(30)]
    scene.adopt(*(model(name) for name in names), policy("wait: 1h"))
    scene.post(*(scene.event(DRIFT, model=name) for name in names))
    scene.settle()
    scene.clock.now += timedelta(hours=3)
    scene.crash()
    scene.settle()
    q = schema.questions.c
    waiting = [row.retry_at - scene.clock() for row in scene.rows(schema.questions, order=q.retry_at)]
    assert len(waiting) > 20
    assert max(waiting) < timedelta(seconds=30)
    scene.advance("1m")
    assert not [row for row in scene.questions() if row.reason == "waiting"]
    compare(scene)


def test_audited_policies_are_frozen_too(stage: Staged):
    """What would be done is not recorded in a freeze: it would not be done."""
    scene = stage()
    scene.clock.now = FRIDAY + timedelta(hours=6)
    scene.adopt(MODEL, policy(f"mode: audit\ntriggers: [{{type: {DEGRADED}}}]"), freeze())
    assert scene.story(scene.send(DEGRADED)) == ["frozen"]
