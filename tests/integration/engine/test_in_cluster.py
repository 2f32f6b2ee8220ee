"""Actions in a cluster, from the intent to the end that a watch shows: no thread waits, nothing is created twice."""

import shutil
import time
import uuid
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controller import actions, schema
from controller.actions import Outcome
from controller.engine.working import NoLongerWanted
from controller.remediation import ActionReason, Intent
from controller.store import acts
from controller.store.agenda import agenda
from controller.store.database import Database
from tests.integration.engine.objects import Objects
from tests.integration.engine.scene import MODEL, Scene, Staged, policy

WORKFLOW = policy(
    "limits: {cooldown: 1s, budget: {max: 100, within: 7d}}\n"
    "steps: [{name: retrain, workflow: {workflowTemplateRef: {name: retrain-model}, timeout: 1h}, verify: none},"
    " {name: page, page: {}}]"
)


@pytest.fixture
def scene(stage: Staged, objects: Objects) -> Scene:
    """A policy that retrains by a Workflow, else pages; an event came."""
    scene = stage(WORKFLOW, objects=objects)
    scene.send()
    return scene


def test_a_workflow_runs_without_a_thread_and_its_end_is_the_actions(scene, objects):
    """One Workflow is created, nothing is in hand while it runs, and its success ends the action."""
    assert scene.trail() == ["Pending decided", "Running started"]
    assert not scene.engine._workers._jobs
    assert dict(objects.created) == {scene.rows(schema.intents)[0].key: 1}
    scene.shown("Workflow", objects.end())
    assert scene.trail()[2:] == ["Succeeded unverified"]


def test_a_failed_workflow_leads_to_the_next_rung_with_its_message(scene, objects):
    """Failed: the ladder goes on, and the Workflow's own message is in the record."""
    scene.shown("Workflow", objects.end("Failed", message="no data"))
    assert scene.trail()[2:] == ["Pending action_failed", "Escalated paged"]
    values = scene.rows(schema.transitions, schema.transitions.c.reason == "action_failed")[0]._mapping["values"]
    assert "no data" in values["message"]
    assert values["reason"] == "workflow_failed"


def test_an_end_seen_twice_counts_once(scene, objects):
    """A watch that repeats itself moves nothing a second time, nor writes a second observation."""
    ended = objects.end()
    scene.shown("Workflow", ended)
    scene.shown("Workflow", ended)
    scene.synced()
    assert scene.trail()[2:] == ["Succeeded unverified"]
    assert len(scene.rows(schema.observations)) == 1


def test_an_api_server_that_is_away_delays_and_doubles_nothing(stage, objects):
    """While the API server is away it is tried again; when it is back, one Workflow is created."""
    objects.away = True
    scene = stage(WORKFLOW, objects=objects)
    scene.send()
    scene.try_again()
    scene.try_again()
    assert not objects.objects
    objects.away = False
    scene.try_again()
    assert list(objects.created.values()) == [1]
    scene.shown("Workflow", objects.end())
    assert scene.remediation().phase == "Succeeded"


def test_an_answer_that_got_lost_creates_no_second_workflow(stage, objects):
    """The create happened, its answer was lost: asked again, the same object is found; its end may come before that."""
    objects.deaf = True
    scene = stage(WORKFLOW, objects=objects)
    scene.send()
    scene.shown("Workflow", objects.end())
    assert scene.remediation().phase == "Succeeded"
    objects.deaf = False
    scene.try_again()
    assert list(objects.created.values()) == [1]
    assert scene.remediation().phase == "Succeeded"


def test_a_crash_before_the_creation_is_recorded_creates_no_second_workflow(stage, objects):
    """Killed between create and record: the next process is told that the intent is not its own, and finds the object."""
    objects.deaf = True
    scene = stage(WORKFLOW, objects=objects)
    scene.send()
    objects.deaf = False
    scene.crash()
    scene.settle()
    assert list(objects.created.values()) == [1]
    assert objects.inherited == list(objects.created)
    scene.shown("Workflow", objects.end())
    assert scene.remediation().phase == "Succeeded"


def test_after_a_crash_a_running_workflow_is_followed_again(scene, objects):
    """What ended while nobody looked is seen by the first reading of the watch."""
    scene.crash()
    scene.settle()
    objects.end()
    scene.synced()
    assert list(objects.created.values()) == [1]
    assert scene.remediation().phase == "Succeeded"


def test_a_deleted_workflow_is_an_unknown_fate(scene, objects):
    """Deleted by a person: nobody knows how far it came; it stops there, people are told, no second one is created."""
    gone = objects.objects.pop(objects.last)
    scene.shown("Workflow", gone, "DELETED")
    assert scene.trail()[2:] == ["Escalated action_unknown"]
    values = scene.rows(schema.transitions, schema.transitions.c.reason == "action_unknown")[0]._mapping["values"]
    assert values["reason"] == "object_lost"
    assert list(objects.created.values()) == [1]


def test_a_deletion_that_no_watch_showed_is_found_by_reading_anew(scene, objects):
    """Missing where all were read: asked for once more, then lost."""
    objects.objects.clear()
    scene.synced()
    assert scene.trail()[2:] == ["Escalated action_unknown"]


def test_one_younger_than_the_reading_is_not_lost(scene, objects):
    """A list that was read before the creation does not show the object; it is asked for, and goes on."""
    scene.engine._following._synced(("Workflow", "ml"), [])
    scene.settle()
    assert scene.remediation().phase == "Running"


def test_one_created_anew_by_somebody_else_is_not_ours(scene, objects):
    """The same name with another uid: ours is gone."""
    other = objects.end()
    other["metadata"] = {**other["metadata"], "uid": "somebody-elses"}
    scene.shown("Workflow", other)
    assert scene.trail()[2:] == ["Escalated action_unknown"]


def test_a_timeout_stops_the_workflow_and_waits_until_it_has_stopped(scene, objects):
    """Timed out: asked once to stop; the next rung comes only when it was seen to be over."""
    scene.advance("61m")
    assert scene.trail()[2:] == ["Stopping timed_out"]
    assert objects.halted == [objects.last]
    scene.advance("5m")
    assert scene.remediation().phase == "Stopping"
    assert objects.halted == [objects.last]
    scene.shown("Workflow", objects.end("Failed", message="Stopped with strategy 'Stop'"))
    assert scene.trail()[3:] == ["Pending stopped", "Escalated paged"]


def test_a_cancel_while_the_api_server_is_away_stops_what_may_have_begun(stage, objects):
    """Cancelled before anything could be created: never begun; nothing is created later."""
    objects.away = True
    scene = stage(WORKFLOW, objects=objects)
    scene.send()
    scene.act("cancel", ref=scene.remediation().id)
    assert scene.remediation().phase == "Stopping"
    objects.away = False
    scene.try_again()
    assert scene.trail()[2:] == ["Stopping cancelled", "Cancelled cancelled"]
    assert not objects.objects


def test_what_is_not_seen_to_stop_is_an_unknown_fate(scene, objects):
    """Not seen to stop within its timeout again: unknown, and people are told."""
    first = scene.remediation().id
    scene.advance("3h")
    assert scene.trail(first)[2:] == ["Stopping timed_out", "Escalated action_unknown"]


def test_a_crash_while_stopping_stops_again(scene, objects):
    """The next process asks once more: to stop is an end state."""
    scene.act("cancel", ref=scene.remediation().id)
    scene.crash()
    scene.settle()
    assert objects.halted == [objects.last] * 2
    scene.shown("Workflow", objects.end("Failed"))
    assert scene.trail()[-1] == "Cancelled cancelled"


def test_what_was_created_and_not_recorded_is_watched_before_it_is_stopped(stage, objects):
    """The answer was lost, then it is cancelled: its end is seen, by a watch that was begun before the creation."""
    objects.deaf = True
    scene = stage(WORKFLOW, objects=objects)
    scene.send()
    assert ("Workflow", "ml") in objects.watched
    scene.act("cancel", ref=scene.remediation().id)
    scene.settle()
    assert objects.halted == [objects.last]
    scene.shown("Workflow", objects.end("Failed"))
    assert scene.trail()[-1] == "Cancelled cancelled"


def test_a_cancelled_action_that_waits_for_a_thread_is_not_begun(stage, objects, world):
    """Cancelled while all threads are busy: when its turn comes, nothing is created."""
    world.busy = True
    scene = stage(WORKFLOW, objects=objects)
    scene.send()
    scene.act("cancel", ref=scene.remediation().id)
    world.busy = False
    scene.settle()
    assert not objects.objects
    assert scene.trail()[-1] == "Cancelled cancelled"


def test_a_patch_is_not_made_for_a_remediation_that_has_gone_on(scene, objects):
    """Between the cancel and the patch stands the store: what is no longer wanted cannot be written down."""
    (row,) = scene.rows(schema.intents)
    intent = Intent(row.id, row.remediation_id, 0, 1, "rollout", row.key, {})
    scene.act("cancel", ref=row.remediation_id)
    with pytest.raises(NoLongerWanted):
        scene.engine._note_resolved(intent, {"resolved": {}}, "7")


def test_without_the_right_to_watch_the_end_is_asked_for(stage, objects):
    """No watch shows the end: asked for by itself; and where even that is refused, its fate is unknown, with the reason."""
    objects.blind = True
    scene = stage(WORKFLOW, objects=objects)
    scene.send()
    objects.end()
    eventually(scene, lambda: scene.remediation().phase == "Succeeded")


def eventually(scene: Scene, true) -> None:
    """A watch's thread says so within a moment."""
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline
        scene.engine._following.looked = 0.0
        time.sleep(0.02)
        scene.settle()


def test_a_look_that_found_no_answer_is_taken_again(scene, objects):
    """The API server was away when a missing object was asked for: asked again, and found deleted."""
    objects.objects.clear()
    objects.away = True
    scene.synced()
    assert scene.remediation().phase == "Running"
    objects.away = False
    scene.try_again()
    assert scene.trail()[2:] == ["Escalated action_unknown"]


def test_while_events_keep_it_busy_what_is_to_stop_stops(scene, objects, monkeypatch):
    """A backlog that never ends does not keep a cancelled Workflow running."""
    monkeypatch.setattr(type(scene.engine), "_use_events", lambda engine: True)
    monkeypatch.setattr("controller.engine.loop.agenda", busy_agenda)
    acts.add_act(scene.db, "cancel", "all", scene.remediation().id, {}, "ada", "because")
    deadline = time.monotonic() + 10
    while not objects.halted:
        assert time.monotonic() < deadline
        assert scene.engine.round()
        scene.pool.run(scene.world.lets(scene.engine))


def busy_agenda(conn, now):
    """There are always events."""
    return replace(agenda(conn, now), events=True)


def test_the_intent_of_what_was_not_seen_to_stop_is_closed(scene, objects):
    """Nobody waits for it any longer, also after a start."""
    scene.advance("3h")
    assert scene.rows(schema.intents, order=schema.intents.c.id)[0].outcome == "unknown"


def test_an_event_about_a_former_version_costs_no_limit(stage, objects, monkeypatch):
    """Nothing was touched: not asked again, nobody told, no cooldown, no budget, no breaker; the next event is answered."""
    refused = Outcome("failed", "the event is about v6", reason=ActionReason.OTHER_REVISION)
    monkeypatch.setattr(actions, "ensure", lambda *given, **more: refused)
    scene = stage(
        policy("steps: [{name: abort, rollout: {abort: canary}, verify: [{rollout: stable, within: 1h}]}]"),
        objects=objects,
    )
    first = scene.send()
    assert scene.trail() == ["Pending decided", "Running started", "Cancelled superseded"]
    assert scene.questions() == []
    objects.install(monkeypatch)
    second = scene.send()
    assert (scene.story(first), scene.story(second)) == (["remediate"], ["remediate"])


SERVED = """kind: Model
metadata: {{name: {name}, namespace: ml}}
spec: {{serving: {{kind: Rollout, name: shared}}}}
"""


def test_one_target_has_one_active_remediation(stage, objects):
    """Two models that one object serves: the second waits until the first is over, and then has its turn."""
    scene = stage(objects=objects)
    scene.adopt(SERVED.format(name="a"), SERVED.format(name="b"), WORKFLOW)
    scene.send(model="a")
    second = scene.send(model="b")
    assert scene.story(second) == ["in_progress"]
    assert len(objects.objects) == 1
    scene.shown("Workflow", objects.end())
    assert scene.story(second) == ["in_progress", "remediate"]
    assert len(objects.objects) == 2


def _recorded(scene: Scene) -> set[str]:
    return {row.key for row in scene.rows(schema.intents) if row.ref is not None}


def _happen(scene: Scene, objects: Objects, what: str) -> None:
    match what:
        case "event":
            scene.send()
        case "away" | "deaf":
            setattr(objects, what, not getattr(objects, what))
            scene.try_again()
        case "crash":
            scene.crash()
            scene.settle()
            scene.synced()
        case "cancel":
            active = [row for row in scene.remediations() if row.ended_at is None]
            for row in active[:1]:
                scene.act("cancel", ref=row.id)
        case "delete" if objects.objects:
            scene.shown("Workflow", objects.objects.pop(objects.last), "DELETED")
        # What a person deletes before its creation is known is created again: DESIGN 13 promises no more.
        case "hidden delete" if objects.objects and objects.last in _recorded(scene):
            objects.objects.pop(objects.last)
        case "Succeeded" | "Failed" if objects.objects:
            scene.shown("Workflow", objects.end(what))
        case "hour":
            scene.advance("1h")
            scene.try_again()


HAPPENINGS = ["event", "away", "deaf", "crash", "cancel", "delete", "hidden delete", "Succeeded", "Failed", "hour"]


@pytest.mark.slow
def test_law_nothing_is_created_twice_or_beside_another(sqlite_template, clock, world, objects, tmp_path, monkeypatch):
    """Law: whatever happens, in whatever order, an intent creates one object, and a model has at most one that runs."""

    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(st.sampled_from(HAPPENINGS), min_size=3, max_size=14))
    def law(happenings):
        path = tmp_path / f"{uuid.uuid4().hex}.db"
        shutil.copyfile(sqlite_template, path)
        db = Database(f"sqlite:///{path}", clock=clock)
        objects.__init__()
        scene = Scene(db, clock, world, objects=objects)
        try:
            scene.adopt(MODEL, WORKFLOW)
            for what in happenings:
                _happen(scene, objects, what)
                active = [row.id for row in scene.remediations() if row.ended_at is None]
                running = [key for key, found in objects.objects.items() if found["status"]["phase"] == "Running"]
                assert len(active) <= 1
                assert all(count == 1 for count in objects.created.values())
                for key in running:  # what runs belongs to what is active, or its fate was called unknown
                    owner = next(row for row in scene.remediations() if key.startswith(row.id))
                    assert owner.id in active or owner.reason == "action_unknown"
        finally:
            scene.leave()
            db.close()
            path.unlink()

    law()
