"""10,000 events for one model: one remediation, and an answer for every event."""

from collections import Counter

import pytest
from sqlalchemy import func, select

from controller import schema
from tests.integration.engine.scene import Staged, policy

STORM = 10_000


@pytest.mark.slow
def test_storm(stage_on_both: Staged):
    """One remediation; over the last attempt of each event and policy the answers add up to 10,000 exactly."""
    scene = stage_on_both(policy("wait: 5m"), policy("mode: audit\nwait: 1m", name="watch"))
    scene.post(*(scene.event(feature=f"f{number % 50}", driftScore=number / STORM) for number in range(STORM)))
    scene.settle()
    scene.advance("10m")
    enforced = [row for row in scene.remediations() if row.mode == "enforce"]
    assert [row.phase for row in enforced] == ["Succeeded"]
    assert len(scene.world.acted) == 1

    d = schema.decisions.c
    latest = select(func.max(d.id).label("id")).group_by(d.event_seq, d.policy_ns, d.policy).subquery()
    with scene.db.read() as conn:
        query = select(d.policy, d.outcome, d.reason, func.count()).join(latest, latest.c.id == d.id)
        rows = list(conn.execute(query.group_by(d.policy, d.outcome, d.reason)))
        undecided = conn.execute(select(func.count()).where(schema.events.c.decided_at.is_(None))).scalar_one()
    total: Counter[str] = Counter()
    for policy_name, _, _, count in rows:
        total[policy_name] += count
    assert total == {"retrain": STORM, "watch": STORM}
    assert undecided == 0
    assert {(name, outcome): count for name, outcome, _, count in rows if outcome == "remediate"} == {
        ("retrain", "remediate"): 1
    } or [row for row in rows if row.reason == "cooldown" and row.policy == "retrain"]
    assert {row.reason for row in rows} <= {"", "waiting", "in_progress", "cooldown", "audit"}
