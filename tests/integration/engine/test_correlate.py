"""Many models, one cause: people are told once, and nothing is done for any of them until it is over."""

from typing import Any

import pytest
from sqlalchemy import func, select

from controller import schema
from controller.settings import Fleet
from controller.store.cause_rows import CauseRows
from tests.integration.engine.again import compare
from tests.integration.engine.scene import BROKEN, CALM, Scene, Staged, model, policy
from tests.integration.engine.test_datasets import TABLE, VIA, answered, reader, said

FLEET = "ml.fleet.drift.detected"
BY_FEATURE = "correlate: {by: feature, models: 3, within: 10m}"
WAITING = f"{BY_FEATURE}\nwait: 10m"
PAGE = "steps: [{name: page, page: {receiver: default}}]"
NAMES = ("a", "b", "c", "d")


def drift(scene: Scene, *names: str, feature: str | None = "salary") -> list[str]:
    """Drift of one feature for each of these models; the ids of the events."""
    return [scene.send(model=name, feature=feature) for name in names]


def told(scene: Scene) -> list[str]:
    """The summaries of what people were paged with."""
    return [row.body["summary"] for row in scene.outbox() if row.body.get("page")]


def raised(scene: Scene) -> list[dict[str, object]]:
    """The data of the events that told of a common cause."""
    return [row.data for row in scene.rows(schema.events, schema.events.c.type == FLEET)]


def answers(scene: Scene, events: list[str]) -> list[str]:
    return [scene.story(event)[-1] for event in events]


def test_one_cause_is_told_once_and_holds(stage_on_both: Staged):
    """When the third model drifts by one feature one event tells of it, one page goes out, and none is retrained."""
    scene = stage_on_both(*map(model, NAMES), policy(WAITING))
    events = drift(scene, "a", "b")
    assert raised(scene) == []
    events += drift(scene, "c", "d")
    (data,) = raised(scene)
    assert (data["by"], data["name"], data["count"], data["policy"]) == ("feature", "salary", 3.0, "ml/retrain")
    assert data["models"] == ["ml/a", "ml/b", "ml/c"]
    assert data["events"] == events[:3]
    assert told(scene) == ["[P2] 3 models: policy ml/retrain: one cause, feature salary; nothing is done for them"]
    scene.advance("10m")
    assert answers(scene, events) == ["shared_cause"] * 4
    assert scene.remediations() == []
    assert len(told(scene)) == 1
    compare(scene)


def test_a_person_lets_it_go_on(stage: Staged):
    """Once a person ends the condition all are asked again at once, within every limit, and it is not told again."""
    scene = stage(*map(model, NAMES), policy(WAITING), fleet=Fleet(active=2, share=1.0))
    events = drift(scene, *NAMES)
    scene.advance("10m")
    (condition,) = [row for row in scene.conditions() if row.type == FLEET]
    scene.world.busy = True
    assert scene.act("end_condition", "condition", condition.id)["ok"]
    assert sorted(answers(scene, events)) == ["fleet_limit"] * 2 + ["remediate"] * 2
    scene.world.busy = False
    scene.settle()
    assert answers(scene, events) == ["remediate"] * 4
    assert len(raised(scene)) == 1
    compare(scene)


def test_it_lifts_after_a_day(stage: Staged):
    """Where nobody says anything, it holds for a day after the event, and then as each policy says."""
    scene = stage(*map(model, NAMES), policy(WAITING))
    events = drift(scene, *NAMES)
    scene.advance("23h")
    assert answers(scene, events) == ["shared_cause"] * 4
    scene.advance("2h")
    assert "shared_cause" not in answers(scene, events)


def test_too_few_or_too_slow_is_no_common_cause(stage: Staged):
    """Fewer models, other features, the same model again, or a longer time: each is answered for itself."""
    scene = stage(*map(model, NAMES), policy("correlate: {by: feature, models: 3, within: 10m}"))
    assert answers(scene, drift(scene, "a", "a", "b")) == ["remediate", "cooldown", "remediate"]
    scene.advance("10m")
    assert answers(scene, drift(scene, "c") + drift(scene, "d", feature="age")) == ["remediate", "remediate"]
    assert raised(scene) == []


def test_without_a_feature_nothing_is_correlated(stage: Staged):
    """By feature, what names none has no common cause."""
    scene = stage(*map(model, NAMES), policy(BY_FEATURE))
    assert answers(scene, drift(scene, *NAMES, feature=None)) == ["remediate"] * 4


def test_the_third_is_held_without_wait(stage: Staged):
    """Without `wait` the first two were begun; from the third on nothing is."""
    scene = stage(*map(model, NAMES), policy(BY_FEATURE))
    assert answers(scene, drift(scene, *NAMES)) == ["remediate", "remediate", "shared_cause", "shared_cause"]
    assert len(told(scene)) == 1


def test_over_closes_the_questions(stage: Staged):
    """What is mended meanwhile is asked about no more."""
    scene = stage(*map(model, NAMES), policy(BY_FEATURE))
    events = drift(scene, *NAMES)
    for name in NAMES:
        scene.send(CALM, model=name, feature="salary")
    assert answers(scene, events)[2:] == ["stale", "stale"]
    assert scene.questions() == []


def test_by_dataset_of_models(stage: Staged):
    """Drift of models that read one dataset is one cause, whichever features it shows in; others are not held."""
    readers = [reader(name) for name in NAMES[:3]]
    scene = stage(*readers, model("d"), policy("correlate: {by: dataset, models: 3, within: 10m}\nwait: 10m"))
    events = [scene.send(model=name, feature=f"f-{name}") for name in NAMES]
    (data,) = raised(scene)
    assert (data["by"], data["name"]) == ("dataset", TABLE)
    scene.advance("10m")
    assert answers(scene, events) == ["shared_cause"] * 3 + ["remediate"]


def test_by_dataset_goes_by_the_features_read(stage: Staged):
    """A model's drift is caused by a dataset only where it reads the feature from it."""
    readers = [reader(name, "salary") for name in NAMES[:3]]
    scene = stage(*readers, policy("correlate: {by: dataset, models: 3, within: 10m}"))
    assert answers(scene, drift(scene, *NAMES[:3], feature="height")) == ["remediate"] * 3


def test_via_dataset(stage_on_both: Staged):
    """One event about a dataset that many models read is one cause at once."""
    spec = f"{VIA}\ncorrelate: {{by: dataset, models: 3, within: 10m}}\nwait: 10m"
    scene = stage_on_both(policy(spec), *map(reader, NAMES))
    event = said(scene)
    scene.advance("10m")
    assert set(answered(scene, event).values()) == {"shared_cause"}
    assert len(raised(scene)) == len(told(scene)) == 1
    compare(scene)


def test_a_policy_may_answer_it(stage: Staged):
    """A policy with a trigger of that type is asked, once, about the model that completed it; then no more is told."""
    paging = policy(f"triggers: [{{type: {FLEET}, when: 'data.count >= 3.0'}}]\n{PAGE}", name="fleet")
    scene = stage(*map(model, NAMES), policy(WAITING), paging)
    drift(scene, *NAMES)
    (row,) = scene.remediations()
    assert (row.policy, row.model, row.phase) == ("fleet", "c", "Escalated")
    assert len(told(scene)) == 1


def test_an_audited_policy_tells_nobody(stage: Staged):
    """In audit it is recorded that the cause was shared, and nobody is told."""
    scene = stage(*map(model, NAMES), policy(f"mode: audit\n{BY_FEATURE}"))
    assert answers(scene, drift(scene, *NAMES)) == ["audit", "audit", "shared_cause", "shared_cause"]
    assert (raised(scene), told(scene)) == ([], [])


def test_what_is_muted_counts_for_nothing(stage: Staged):
    """Paused, silenced or inhibited, an event makes no common cause."""
    scene = stage(*map(model, NAMES), policy(WAITING))
    scene.act("pause")
    drift(scene, "a")
    scene.act("resume")
    scene.send(BROKEN, model="b")
    drift(scene, "b")
    drift(scene, "c", "d")
    assert raised(scene) == []


def test_a_step_that_has_not_begun_is_held(stage: Staged):
    """A next step of a remediation that is under way waits while the cause is known to be shared."""
    steps = ", ".join(f"{{name: {name}, command: {{argv: [{name}]}}, verify: none}}" for name in ("first", "second"))
    scene = stage(*map(model, NAMES), policy(f"{BY_FEATURE}\nsteps: [{steps}]"))
    scene.world.busy = True
    drift(scene, "a", "b", "c")
    scene.world.script.extend(["failed", "failed"])
    scene.world.busy = False
    scene.settle()
    assert [row.hold_reason for row in scene.remediations()] == ["shared_cause"] * 2
    (condition,) = [row for row in scene.conditions() if row.type == FLEET]
    scene.act("end_condition", "condition", condition.id)
    assert [row.phase for row in scene.remediations()][:2] == ["Succeeded"] * 2
    compare(scene)


def test_restart_and_a_second_wave(stage: Staged):
    """A crash between changes nothing; after a person's word a new wave is told of anew."""
    scene = stage(*map(model, NAMES), policy(WAITING))
    drift(scene, "a", "b")
    scene.crash()
    scene.settle()
    drift(scene, "c")
    assert len(raised(scene)) == 1
    (condition,) = [row for row in scene.conditions() if row.type == FLEET]
    scene.act("end_condition", "condition", condition.id)
    scene.advance("1h")
    drift(scene, "a", "b")
    assert len(raised(scene)) == 1
    drift(scene, "d")
    assert len(raised(scene)) == 2
    compare(scene)


def test_a_cause_is_read_once_within_its_window(stage_on_both: Staged, monkeypatch: pytest.MonkeyPatch):
    """An event about a dataset of many models reads who met the cause once, and only who did within the window."""
    names = [f"m{number}" for number in range(10)]
    spec = f"{VIA}\ncorrelate: {{by: dataset, models: 40, within: 10m}}\nlimits: {{cooldown: 1h}}"
    scene = stage_on_both(policy(spec), *map(reader, names))
    about = {"model": None, "namespace": None, "dataset": TABLE}
    looks: list[int] = []
    read: list[int] = []
    before = CauseRows._met_of

    def met_of(self: CauseRows, *asked: Any) -> Any:
        known, found = len(self._met), before(self, *asked)
        looks.append(len(found))
        read.extend([len(found)] * (len(self._met) - known))
        return found

    monkeypatch.setattr(CauseRows, "_met_of", met_of)
    scene.post(scene.event(BROKEN, **about))
    scene.engine._use_events()
    assert (len(looks), read) == (len(names) + 1, [0])  # as each meets it, and once for who has it lately
    scene.settle()
    scene.advance("20m")
    read.clear()
    scene.post(scene.event(BROKEN, **about))
    scene.engine._use_events()
    assert read == [0]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_storm_over_fifty_models(stage_on_both: Staged):
    """A thousand events about one dataset that fifty models read: every limit holds, and people are told once."""
    names = [f"m{number}" for number in range(50)]
    spec = f"{VIA}\nlimits: {{cooldown: 1h}}"
    scene = stage_on_both(
        policy(f"{spec}\ncorrelate: {{by: dataset, models: 40, within: 10m}}\nwait: 10m"),
        policy(spec, name="other"),
        *map(reader, names),
        fleet=Fleet(active=3, share=1.0),
    )
    scene.world.busy = True
    about = {"model": None, "namespace": None, "dataset": TABLE}
    number = 1000 if scene.db.url.startswith("sqlite") else 200
    events = [scene.event(BROKEN, feature=f"f{count % 7}", **about) for count in range(number)]
    for start in range(0, number, 200):
        scene.post(*events[start : start + 200])
        scene.settle()
        assert sum(row.ended_at is None for row in scene.remediations()) == 3
    assert len(raised(scene)) == len([page for page in told(scene) if "one cause" in page]) == 1
    assert len(scene.questions()) == 100
    with scene.db.read() as conn:
        undecided = select(func.count()).where(schema.events.c.decided_at.is_(None))
        assert conn.execute(undecided).scalar() == 0
    scene.world.busy = False
    scene.advance("10m")
    assert {row.policy for row in scene.remediations()} == {"other"}
    assert len(scene.remediations()) == 50
    assert len({row.model for row in scene.remediations()}) == 50
