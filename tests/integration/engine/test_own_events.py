"""Events of our own: written by the engine, used like any other, once."""

from controller.engine.own_events import own_id, record
from tests.integration.engine.again import compare
from tests.integration.engine.scene import DRIFT, Staged, policy


def found_out(scene):
    """Have the engine find out about a drift of its own."""
    with scene.leadership.transaction() as turn:
        told = {"driftScore": 0.4, "feature": "salary"}
        id_ = own_id(DRIFT, "ml", "salary")
        record(turn, id=id_, type=DRIFT, time=turn.now, namespace="ml", model="salary", data=told, family="drift")
    scene.settle()
    return id_


def test_own_event_is_used_like_any_other(stage_on_both: Staged):
    """It is decided, moves its condition, and is there once however often it is found out."""
    scene = stage_on_both(policy("limits: {cooldown: 1h}"))
    event = found_out(scene)
    assert scene.story(event) == ["remediate"]
    assert [(row.source, row.family) for row in scene.conditions()] == [("modelmend", "drift")]
    scene.crash()
    scene.advance("3h")
    assert found_out(scene) == event
    assert scene.story(event) == ["remediate"]
    compare(scene)


def test_backlog_counts_what_was_sent(stage: Staged):
    """Our own events are no backlog of senders, waiting or decided."""
    scene = stage(policy())
    scene.engine._on_decided = scene.intake.decided
    scene.post(scene.event())
    found_out(scene)
    assert scene.intake._undecided == 0
    scene.intake.recount()
    assert scene.intake._undecided == 0
