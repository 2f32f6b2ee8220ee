"""10,000 events for one model: one remediation, and an answer for every event."""

from dataclasses import replace

import pytest
from sqlalchemy import func, select

from controller import schema
from tests.integration.engine.scene import CALM, Scene, Staged, policy

STORM = 10_000


def storm(scene: Scene, first: int, count: int) -> None:
    """Events of 50 features for one model, and as many rounds as they take."""
    some = [scene.event(feature=f"f{number}") for number in range(50)]
    scene.post(*(replace(some[number % 50], id=f"s{number}") for number in range(first, first + count)))
    scene.settle()


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_storm(stage_on_both: Staged):
    """One remediation; over the last attempt of each event and policy the answers add up to 10,000 exactly."""
    scene = stage_on_both(policy("steps: [{name: retrain, command: {argv: [a], timeout: 2h}, verify: none}]"))
    scene.world.busy = True
    storm(scene, 0, STORM // 2)
    scene.advance("10m")
    scene.world.busy = False
    scene.settle()
    storm(scene, STORM // 2, STORM // 2)

    assert [row.phase for row in scene.remediations()] == ["Succeeded"]
    assert len(scene.world.acted) == 1
    with scene.db.read() as conn:
        undecided = conn.execute(select(func.count()).where(schema.events.c.decided_at.is_(None))).scalar_one()
    assert undecided == 0
    tally = scene.tally()
    assert sum(tally.values()) == STORM
    # The last one that attached was asked again when the remediation ended.
    assert tally == {"remediate": 1, "in_progress": STORM // 2 - 2, "cooldown": STORM // 2 + 1}
    assert len(scene.questions()) == 1

    scene.advance("23h")
    scene.send(CALM)
    scene.advance("2h")
    assert len(scene.remediations()) == 1
