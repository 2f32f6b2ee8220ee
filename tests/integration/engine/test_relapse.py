"""A trigger that becomes true again soon after it helped: the ladder goes on where it stood."""

from typing import Any

from controller import schema
from tests.integration.engine.again import compare
from tests.integration.engine.scene import MODEL, Scene, Staged, policy

CHECK = "verify: [{command: {argv: [check]}, settle: 1m, for: 0s}]"


def ladder(*names: str, limits: str = "cooldown: 1s, budget: {max: 10, within: 7d}", more: str = "") -> str:
    """A policy of verified commands, one after the other."""
    steps = ", ".join(f'{{name: {name}, command: {{argv: ["true"]}}, {CHECK}}}' for name in names)
    page = ", {name: tell, page: {receiver: sink}}" if "page" in more else ""
    rest = more.replace("page", "")
    return policy(f"limits: {{{limits}}}\n{rest}\nsteps: [{steps}{page}]")


def helped(stage: Staged, *documents: str) -> Scene:
    """An event came, the first step helped, and that is verified."""
    scene = stage(*documents)
    scene.send()
    scene.advance("2m")
    assert scene.trail()[-1] == "Succeeded recovered"
    return scene


def test_it_goes_on_at_the_next_step(stage):
    """Within the probation it is no new case: the next step comes, and it names what it continues."""
    scene = helped(stage, ladder("first", "second"))
    scene.send()
    scene.advance("2m")
    before, after = scene.remediations()
    assert (after.continues, after.step, after.phase) == (before.id, 1, "Succeeded")
    assert scene.trail(before.id)[-1] == "Succeeded relapsed"
    assert (before.phase, before.verdict, before.failed_at is not None) == ("Succeeded", "recovered", True)
    told = values(scene, after.id)
    assert (told["relapse_of"], told["probation"], told["helped"] is not None) == (before.id, "1d", True)
    compare(scene)


def values(scene: Scene, remediation: str) -> dict[str, Any]:
    """What is known of why it was decided."""
    t = schema.transitions.c
    found: dict[str, Any] = scene.rows(schema.transitions, t.remediation_id == remediation)[0]._mapping["values"]
    return found


def test_after_the_probation_it_begins_anew(stage):
    """Later than that it is a case of its own."""
    scene = helped(stage, ladder("first", "second", more="probation: 1h"))
    scene.advance("2h")
    scene.send()
    assert (scene.remediation().continues, scene.remediation().step) == (None, 0)


def test_a_changed_policy_begins_anew(stage):
    """Another text has another ladder."""
    scene = helped(stage, ladder("first", "second"))
    scene.adopt(MODEL, ladder("other", "second"))
    scene.send()
    assert (scene.remediation().continues, scene.remediation().step) == (None, 0)


def test_where_no_step_is_left_people_are_told(stage):
    """The ladder has none below: a page, and no limit of what changes holds that."""
    scene = helped(stage, ladder("only", limits="cooldown: 24h, budget: {max: 1, within: 7d}"))
    scene.advance("1m")
    scene.send()
    found = scene.remediation()
    assert (found.phase, found.reason, found.step, found.changing) == ("Escalated", "paged", 1, False)
    assert len(scene.world.acted) == 1
    before = scene.remediations()[0]
    assert (values(scene, found.id)["relapse_of"], values(scene, found.id)["no_step_left"]) == (before.id, True)
    (page,) = [row.body["summary"] for row in scene.outbox() if row.body.get("page")]
    assert f"relapse, {before.id} had helped " in page


def test_limits_hold_what_changes(stage):
    """The next step changes something, so cooldown holds it; when that lifts it still goes on there."""
    scene = helped(stage, ladder("first", "second", limits="cooldown: 36h, budget: {max: 10, within: 7d}"))
    scene.advance("1h")
    event = scene.send()
    assert scene.story(event) == ["cooldown"]
    scene.advance("36h")
    assert scene.story(event)[-1] == "remediate"
    assert scene.remediation().step == 1


def test_the_breaker_counts_it(stage):
    """A relapse is a failure of what had helped; it is counted once, however many events come."""
    limits = "cooldown: 1h, budget: {max: 10, within: 7d}, breaker: {failures: 1, within: 14d}"
    scene = helped(stage, ladder("first", "second", limits=limits))
    scene.advance("2h")
    assert scene.story(scene.send()) == ["breaker_open"]
    assert scene.story(scene.send()) == ["breaker_open"]
    assert scene.trail().count("Succeeded relapsed") == 1
