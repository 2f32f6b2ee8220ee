"""What counts as evidence, for how long, and what resets it."""

from datetime import timedelta

from controller import schema
from tests.integration.engine.scene import BROKEN, CALM, DEGRADED, DRIFT, LEVEL, MODEL, RESTORED, Scene, Staged, policy


def counting(rest: str = "", *, at_least: int = 3, when: str = "true", name: str = "retrain") -> str:
    """A policy that counts drift events within a day."""
    trigger = f"{{name: t, type: {DRIFT}, when: '{when}', count: {{atLeast: {at_least}, within: 1d}}}}"
    return policy(f"triggers: [{trigger}]\n{rest}", name=name)


def kept(scene: Scene) -> int:
    """How many rows of evidence there are."""
    return len(scene.rows(schema.evidence))


def test_unchanged_trigger_outlives_a_reload(stage_on_both: Staged):
    """A reload that leaves type, `when` and counter as they are keeps the evidence."""
    scene = stage_on_both(counting())
    scene.send()
    scene.send()
    scene.adopt(MODEL, counting("severity: P1\nlimits: {cooldown: 1h}"))
    assert scene.story(scene.send()) == ["remediate"]


def test_changed_trigger_starts_from_zero(stage: Staged):
    """Another `when`, or another counter, is another trigger."""
    scene = stage(counting())
    scene.send()
    scene.send()
    scene.adopt(MODEL, counting(when="data.driftScore > 0.1"))
    assert scene.story(scene.send()) == ["accumulating"]
    scene.adopt(MODEL, counting(at_least=4))
    assert scene.story(scene.send()) == ["accumulating"]


def test_crash_keeps_evidence(stage: Staged):
    """Evidence is rows: a crash forgets none."""
    scene = stage(counting())
    scene.send()
    scene.send()
    scene.crash()
    assert scene.story(scene.send()) == ["remediate"]


def test_broken_feed_gives_no_evidence(stage_on_both: Staged):
    """What came while `unless` held is no evidence, not even when it holds no more."""
    scene = stage_on_both(counting())
    scene.send(BROKEN)
    answers = [scene.story(scene.send())[0] for _ in range(3)]
    assert answers == ["accumulating", "accumulating", "accumulating"]
    assert kept(scene) == 0
    scene.send(RESTORED)
    scene.advance("6h")
    assert [scene.story(scene.send())[0] for _ in range(3)] == ["accumulating", "accumulating", "remediate"]


def test_inadmissible_is_no_evidence(stage: Staged):
    """What is stale, of too few samples, or of an unknown model counts for nothing."""
    scene = stage(counting("limits: {minSamples: 10, maxAge: 1h}"))
    scene.send(sampleCount=9)
    scene.send(sampleCount=90, at=scene.clock() - timedelta(hours=2), feature="old")
    scene.send(sampleCount=90, model="nobody")
    assert kept(scene) == 0
    scene.send(sampleCount=90)
    assert kept(scene) == 1


def test_false_is_no_evidence(stage: Staged):
    """Only what meets `when` is kept."""
    scene = stage(counting(when="data.driftScore > 0.5"))
    scene.send(driftScore=0.4)
    scene.send(driftScore=0.6)
    assert kept(scene) == 1


def test_acting_resets_the_evidence_of_all(stage_on_both: Staged):
    """What counted before the end of a remediation that acted counts no more, for any policy."""
    scene = stage_on_both(
        counting(at_least=2, name="b"), policy(f"triggers: [{{type: {DEGRADED}}}]\ndataQuality: ignore", name="a")
    )
    first = scene.send()
    assert scene.story(first) == ["accumulating"]
    scene.advance("1m")
    scene.send(DEGRADED)
    scene.advance("1d")
    scene.send()
    scene.advance("1m")
    assert scene.story(scene.send()) == ["remediate"]


def test_event_before_the_end_counts_no_more(stage: Staged):
    """Evidence whose own time lies before that end is none, however late it comes."""
    scene = stage(
        counting("limits: {cooldown: 1h}", at_least=2, name="b"),
        policy(f"triggers: [{{type: {DEGRADED}}}]", name="a"),
    )
    scene.send(feature="a")
    scene.advance("1m")
    scene.send(DEGRADED)
    scene.advance("2h")
    assert scene.story(scene.send(feature="b", at=scene.clock() - timedelta(hours=3))) == ["accumulating"]
    assert scene.story(scene.send(feature="c")) == ["accumulating"]
    assert scene.story(scene.send(feature="d")) == ["remediate"]


def test_audit_resets_its_own_only(stage: Staged):
    """An audited remediation uses up the evidence of its own policy, and no other's."""
    audit = "mode: audit\nsteps: [{name: r, command: {argv: [a], timeout: 1h}, verify: none}]\nlimits: {cooldown: 1h}"
    scene = stage(counting(audit, at_least=2, name="watch"), counting(at_least=4, name="act"))
    scene.send()
    assert scene.story(scene.send(), "watch") == ["audit"]
    scene.advance("3h")
    third = scene.send()
    assert (scene.story(third, "watch"), scene.story(third, "act")) == (["accumulating"], ["accumulating"])
    fourth = scene.send()
    assert (scene.story(fourth, "watch"), scene.story(fourth, "act")) == (["audit"], ["remediate"])


def test_two_triggers_share_their_evidence(stage: Staged):
    """Two triggers of one policy that count the same count each event once."""
    one = f"type: {DRIFT}, count: {{atLeast: 3, within: 1d}}"
    scene = stage(policy(f"triggers: [{{name: a, {one}, require: [{{type: {DEGRADED}}}]}}, {{name: b, {one}}}]"))
    events = [scene.event() for _ in range(2)]
    scene.post(*events)
    scene.settle()
    assert [scene.story(event.id) for event in events] == [["accumulating"]] * 2
    assert scene.story(scene.send()) == ["remediate"]


def test_counter_is_asked_anew(stage: Staged):
    """Asked again, a counter counts anew: what has left its window is missed."""
    scene = stage(counting("limits: {cooldown: 30h}", at_least=2))
    scene.send()
    assert scene.story(scene.send()) == ["remediate"]
    scene.advance("1h")
    scene.send()
    fourth = scene.send()
    assert scene.story(fourth) == ["cooldown"]
    scene.advance("29h")
    assert scene.story(fourth) == ["cooldown", "accumulating"]
    assert scene.questions() == []


def test_repeat_is_no_evidence(stage: Staged):
    """An event delivered again counts once, also from a stateful source."""
    scene = stage(counting())
    event = scene.event(source=LEVEL)
    for _ in range(5):
        scene.post(event)
        scene.settle()
    assert kept(scene) == 1
    (row,) = scene.rows(schema.events)
    assert (row.seen, len(scene.decisions())) == (5, 1)


def test_repeat_renews_what_is_not_over(stage: Staged):
    """A stateful source's repeat keeps its condition from becoming unknown, and reopens none that is over."""
    scene = stage(policy())
    event = scene.event(source=LEVEL)
    scene.post(event)
    scene.settle()
    scene.advance("4h")
    scene.post(event)
    scene.settle()
    scene.advance("4h")
    (condition,) = scene.conditions()
    assert (condition.last_seen, condition.expires) == (
        scene.clock() - timedelta(hours=4),
        scene.clock() + timedelta(hours=1),
    )
    scene.send(CALM, source=LEVEL)
    scene.post(event)
    scene.settle()
    assert scene.conditions()[0].ended is not None


def test_repeat_of_a_stateless_source_renews_nothing(stage: Staged):
    """From others a duplicate is a delivery repeated, and no more."""
    scene = stage(policy())
    event = scene.event()
    scene.post(event)
    scene.settle()
    scene.advance("4h")
    scene.post(event)
    scene.settle()
    assert scene.conditions()[0].last_seen == scene.clock() - timedelta(hours=4)
