"""Replaying a history from its inputs: each kind of input, by hand; invented histories are in test_laws."""

from datetime import timedelta

import pytest
from sqlalchemy import update

from controller import schema
from controller.engine import acting, loop
from controller.engine.replay import DivergedError
from tests.integration.engine.again import compare
from tests.integration.engine.scene import BROKEN, CALM, DEGRADED, DRIFT, LEVEL, MODEL, RESTORED, Staged, policy

LADDER = (
    "steps: [{name: a, command: {argv: [a], timeout: 1h}, verify: [{quiet: 30m, settle: 10m, within: 2h}]}, "
    "{name: b, command: {argv: [b], idempotent: true}, "
    "verify: [{command: {argv: [c]}, every: 5m, settle: 0s, for: 10m, within: 1h}]}, {name: p, page: {}}]"
)


def test_every_kind_of_input(stage_on_both: Staged, monkeypatch: pytest.MonkeyPatch):
    """Events, repeats, acts, reloads, questions, ticks, observations, a fault of ours and two crashes."""
    counted = policy(f"triggers: [{{type: {DEGRADED}, count: {{atLeast: 2, within: 1d}}}}]\nmode: audit", name="count")
    scene = stage_on_both(policy(f"wait: 5m\nlimits: {{cooldown: 2h}}\n{LADDER}"), counted)
    real = loop.use

    def use(ledger, rules, stored, **more):
        answers = real(ledger, rules, stored, **more)
        if stored.event.id == "bad":
            raise ZeroDivisionError("no such luck")
        return answers

    monkeypatch.setattr(loop, "use", use)
    scene.post(*(scene.event(feature=f"f{number}") for number in range(5)), scene.event(id="bad"))
    scene.settle()
    firing = scene.event(source=LEVEL, id="alert")
    for _ in range(3):
        scene.post(firing)
        scene.settle()
        scene.advance("4m")
    scene.crash()
    scene.advance("3h")
    (row,) = scene.rows(schema.quarantine)
    with monkeypatch.context() as context:
        context.setattr(acting, "use", use)
        assert not scene.act("replay", "event", row.digest)["ok"]
    assert scene.act("replay", "event", row.digest)["ok"]
    scene.act("pause", until=(scene.clock() + timedelta(hours=1)).isoformat())
    scene.send(DEGRADED)
    scene.send(BROKEN)
    scene.adopt(MODEL, policy(f"limits: {{cooldown: 1h}}\n{LADDER}"), counted)
    scene.advance("1h")
    scene.send(RESTORED)
    scene.advance("7h")
    scene.world.script.append("unknown")
    scene.send(feature="f1")
    scene.crash()
    scene.advance("5h")
    scene.send(DRIFT, feature="f2")
    scene.send(CALM, feature="f2")
    scene.act("end_condition", "condition", scene.conditions()[0].id)
    scene.advance("1d")
    kinds = {row.kind for row in scene.rows(schema.inputs)}
    assert kinds == {"event", "renewed", "act", "policy_set", "observation", "wake", "tick"}
    assert len(scene.remediations()) >= 2
    compare(scene)


def test_divergence_is_noticed(stage: Staged):
    """An input that leads elsewhere than it did is said at once, with its number."""
    scene = stage(policy("wait: 5m"))
    scene.send()
    scene.advance("10m")
    with scene.db.write() as conn:
        changed = update(schema.inputs).where(schema.inputs.c.kind == "wake")
        conn.execute(changed.values(ref='["ml","nobody","ml","salary"]'))
    with pytest.raises(DivergedError, match=r"input \d+ \(wake .*nobody.*\) leads elsewhere"):
        compare(scene)


def test_batches_do_not_matter(stage: Staged):
    """What a batch kept less of than single events would have leads to the same verdict and values."""
    scene = stage(policy(LADDER))
    scene.send()
    scene.advance("20m")
    scene.post(*(scene.event() for _ in range(5)))
    scene.settle()
    scene.clock.now += timedelta(hours=3)
    ahead = [scene.event(at=scene.clock() - timedelta(hours=hours)) for hours in (0, 1, 2)]
    scene.post(*ahead)
    scene.settle()
    scene.advance("3h")
    assert "Pending unchanged" in scene.trail()
    compare(scene)
