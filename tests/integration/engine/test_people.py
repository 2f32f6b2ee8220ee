"""What people do takes effect in a run: pause, silence, cancel, end a condition, close a breaker."""

from datetime import timedelta

from tests.integration.engine.scene import BROKEN, CALM, DRIFT, LEVEL, MODEL, Scene, Staged, model, policy

LONG = "steps: [{name: retrain, command: {argv: [a], timeout: 6h}, verify: [{resolved: {}, settle: 1m, for: 1m, within: 4h}]}]"
LADDER = (
    "steps: [{name: retrain, command: {argv: [a], timeout: 6h}, verify: none}, "
    "{name: again, command: {argv: [b], timeout: 6h}, verify: none}]"
)


def until(scene: Scene, hours: float) -> str:
    """The moment that many hours from now, as an act says it."""
    return (scene.clock() + timedelta(hours=hours)).isoformat()


def test_pause_with_an_end(stage: Staged):
    """A pause with an end holds until then, and the question is asked by itself."""
    scene = stage(policy())
    scene.act("pause", until=until(scene, 1))
    event = scene.send()
    scene.advance("59m")
    assert scene.story(event) == ["paused"]
    scene.advance("1m")
    assert scene.story(event) == ["paused", "remediate"]


def test_pause_lifted_by_hand(stage_on_both: Staged):
    """A pause without an end holds until somebody resumes, and then the newest event acts."""
    scene = stage_on_both(policy())
    scene.act("pause")
    first, second = scene.send(feature="a"), scene.send(feature="b")
    scene.advance("1d")
    assert (scene.story(first), scene.story(second)) == (["paused"], ["paused"])
    scene.act("resume")
    assert (scene.story(first), scene.story(second)) == (["paused"], ["paused", "remediate"])


def test_pause_holds_its_scope_only(stage: Staged):
    """A pause of a namespace, a policy or a model holds what it names."""
    scene = stage(
        policy(name="a"), policy(name="b"), policy(namespace="web", name="c"), model("other"), model("salary", "web")
    )
    scene.act("pause", "policy", "ml/a")
    event = scene.send()
    assert (scene.story(event, "a"), scene.story(event, "b")) == (["paused"], ["remediate"])
    scene.act("pause", "model", "ml/other")
    event = scene.send(model="other")
    assert (scene.story(event, "a"), scene.story(event, "b")) == (["paused"], ["paused"])
    scene.act("pause", "namespace", "web")
    assert scene.story(scene.send(namespace="web")) == ["paused"]


def test_silence_ends(stage: Staged):
    """A silence holds what its matchers mean until it ends."""
    scene = stage(policy())
    scene.act("silence", matchers={"feature": "age*"}, ends_at=until(scene, 1))
    muted = scene.send(feature="age_years")
    assert scene.story(muted) == ["silenced"]
    scene.advance("1h")
    assert scene.story(muted) == ["silenced", "remediate"]


def test_silence_of_something_else(stage: Staged):
    """A silence never holds what it does not mean, nor before it starts."""
    scene = stage(policy("limits: {cooldown: 1ms, budget: {max: 9, within: 1d}}"))
    scene.act("silence", matchers={"feature": "age*"}, ends_at=until(scene, 1))
    scene.act("silence", matchers={}, starts_at=until(scene, 1), ends_at=until(scene, 2))
    assert scene.story(scene.send(feature="salary")) == ["remediate"]
    scene.advance("1h")
    assert scene.story(scene.send(feature="salary")) == ["silenced"]


def test_silence_expired_by_hand(stage: Staged):
    """A silence that a person ends early holds no more."""
    scene = stage(policy())
    silence = scene.act("silence", matchers={"model": "salary"}, ends_at=until(scene, 9))
    event = scene.send()
    assert scene.act("expire", "silence", silence["id"])["ok"]
    assert scene.story(event) == ["silenced", "remediate"]
    assert not scene.act("expire", "silence", silence["id"])["ok"]


def test_silence_holds_a_rung(stage: Staged):
    """A silence holds the next rung too, and lets it go when it ends by its time."""
    scene = stage(policy(LADDER))
    scene.world.busy = True
    scene.world.outcome = "failed"
    scene.send()
    scene.act("silence", matchers={"model": "salary"}, ends_at=until(scene, 2))
    scene.world.busy = False
    scene.settle()
    assert (scene.remediation().phase, scene.remediation().hold_reason) == ("Pending", "silenced")
    scene.world.outcome = "done"
    scene.advance("2h")
    assert scene.remediation().phase == "Succeeded"


def test_pause_holds_a_rung_for_a_day(stage_on_both: Staged):
    """What is held for 24 hours is given up, and people are told."""
    scene = stage_on_both(policy(LADDER))
    scene.world.busy = True
    scene.world.outcome = "failed"
    scene.send()
    scene.act("pause")
    scene.world.busy = False
    scene.settle()
    scene.advance("23h59m")
    assert (scene.remediation().phase, scene.remediation().hold_reason) == ("Pending", "paused")
    scene.advance("1m")
    assert scene.trail()[-2:] == ["Pending held", "Cancelled held"]
    assert [row.receiver for row in scene.outbox()][-2:] == ["sink", "default"]
    assert scene.world.acted == [f"{scene.remediation().id}-0-1"]


def test_resume_lets_a_held_rung_go(stage: Staged):
    """A held rung starts when the pause is lifted by hand."""
    scene = stage(policy(LADDER))
    scene.world.script.append("failed")
    scene.world.busy = True
    scene.send()
    scene.act("pause")
    scene.world.busy = False
    scene.settle()
    scene.act("resume")
    assert scene.remediation().phase == "Succeeded"
    assert len(scene.world.acted) == 2


def test_broken_feed_holds_the_second_rung(stage_on_both: Staged):
    """A feed that breaks between two rungs holds the second until it has been well for a while."""
    scene = stage_on_both(policy(LADDER))
    scene.world.script.append("failed")
    scene.world.busy = True
    scene.send()
    scene.send(BROKEN, source=LEVEL)
    scene.world.busy = False
    scene.settle()
    assert (scene.remediation().phase, scene.remediation().hold_reason) == ("Pending", "inhibited")
    scene.advance("1h")
    scene.send("ml.data.quality.restored", source=LEVEL)
    scene.advance("5h59m")
    assert scene.remediation().phase == "Pending"
    scene.advance("1m")
    assert scene.remediation().phase == "Succeeded"
    assert len(scene.world.acted) == 2


def test_feed_that_breaks_before_the_start(stage: Staged):
    """A feed that breaks while an event waits inhibits it before anything starts."""
    scene = stage(policy("wait: 10m"))
    event = scene.send()
    scene.advance("5m")
    scene.send(BROKEN)
    scene.advance("5m")
    assert scene.story(event) == ["waiting", "inhibited"]


def test_condition_over_before_the_second_rung(stage: Staged):
    """A later changing rung whose condition is over is given up at once."""
    scene = stage(policy(LADDER))
    scene.world.busy = True
    scene.world.outcome = "failed"
    scene.send()
    scene.send(CALM)
    scene.world.busy = False
    scene.settle()
    assert scene.trail()[-1] == "Cancelled over"
    assert len(scene.world.acted) == 1


def test_cancel_before_it_started(stage: Staged):
    """Cancelled before its first rung, a remediation ends at once and nothing is done."""
    scene = stage(policy())
    scene.post(scene.event())
    scene.engine._use_events()
    assert scene.act("cancel", "remediation", scene.remediation().id)["phase"] == "Cancelled"
    assert (scene.remediation().phase, scene.world.acted) == ("Cancelled", [])


def test_cancel_while_it_runs(stage_on_both: Staged):
    """Cancelled while it runs, it is Stopping until its action was seen to stop, and keeps its slot so long."""
    scene = stage_on_both(policy(LADDER))
    scene.world.busy = scene.world.stubborn = True
    scene.send()
    assert scene.act("cancel", "remediation", scene.remediation().id)["phase"] == "Stopping"
    assert scene.remediation().holds_model
    assert scene.story(scene.send(feature="b")) == ["in_progress"]
    scene.world.stubborn = False
    scene.settle()
    assert scene.trail() == ["Pending decided", "Running started", "Stopping cancelled", "Cancelled cancelled"]
    assert len(scene.world.stopped) == 1
    assert not scene.act("cancel", "remediation", scene.remediation().id)["ok"]


def test_cancel_leaves_no_question(stage: Staged):
    """A person's no does not leave the event as an open question; what attached to it meanwhile is one."""
    scene = stage(policy(LADDER))
    scene.world.busy = True
    scene.send()
    scene.act("cancel", "remediation", scene.remediation().id)
    assert scene.questions() == []
    scene.advance("10d")
    assert len(scene.remediations()) == 1


def test_cancel_while_it_verifies(stage: Staged):
    """Cancelled while it verifies, it ends at once, without a verdict."""
    scene = stage(policy(LONG))
    scene.send()
    assert scene.remediation().phase == "Verifying"
    scene.act("cancel", "remediation", scene.remediation().id)
    assert (scene.remediation().phase, scene.remediation().verdict) == ("Cancelled", "none")


def test_action_that_does_not_stop(stage: Staged):
    """Not seen to stop within its own timeout again, an action's fate is unknown: people are paged."""
    scene = stage(policy(LADDER))
    scene.world.busy = scene.world.stubborn = True
    scene.send()
    scene.advance("6h")
    assert scene.remediation().phase == "Stopping"
    scene.advance("6h")
    assert scene.trail()[-2:] == ["Stopping timed_out", "Escalated action_unknown"]
    assert scene.remediation().verdict == "unknown"
    assert scene.outbox()[-1].receiver == "default"


def test_end_condition(stage: Staged):
    """A condition that a person ends is over: its question closes."""
    scene = stage(policy("wait: 1h"))
    event = scene.send()
    (condition,) = scene.conditions()
    assert scene.act("end_condition", "condition", condition.id)["ok"]
    assert scene.story(event) == ["waiting", "stale"]
    assert scene.conditions()[0].ended_by == "operator:ada"
    assert not scene.act("end_condition", "condition", condition.id)["ok"]
    assert not scene.act("end_condition", "condition", "c-nothing")["ok"]


def test_word_of_a_person_is_no_proof(stage: Staged):
    """A condition ended by hand is not a recovery: only an event says that it is over."""
    scene = stage(policy(LONG))
    scene.send()
    (condition,) = scene.conditions()
    scene.advance("10m")
    scene.act("end_condition", "condition", condition.id)
    scene.advance("4h")
    assert scene.remediation().verdict == "unknown"


def test_unknown_act_target(stage: Staged):
    """What does not exist cannot be cancelled, and the answer says so."""
    scene = stage(policy())
    assert scene.act("cancel", "remediation", "r-nothing") == {"ok": False, "error": "no remediation r-nothing"}


def test_policy_that_changes_is_asked_again(stage: Staged):
    """A policy whose text changed is asked again about its open question; one that is gone closes it."""
    scene = stage(policy("wait: 1d"))
    event = scene.send()
    scene.adopt(MODEL, policy("wait: 2h"))
    assert scene.story(event) == ["waiting", "waiting"]
    scene.adopt(MODEL)
    rows = scene.decisions(event)
    assert [(row.reason, row.values.get("why")) for row in rows] == [
        ("waiting", None),
        ("waiting", None),
        ("stale", "policy_gone"),
    ]
    assert scene.questions() == []


def test_remediation_runs_on_the_text_it_was_decided_by(stage: Staged):
    """A reload changes nothing of a remediation that runs, not even where its policy is gone."""
    scene = stage(policy(LADDER))
    scene.world.busy = True
    scene.world.script.append("failed")
    scene.send()
    scene.adopt(MODEL)
    scene.world.busy = False
    scene.settle()
    assert scene.remediation().phase == "Succeeded"
    assert len(scene.world.acted) == 2


def test_parameters_are_kept(stage: Staged):
    """Every parameter is evaluated when it is decided, and the action gets exactly that."""
    scene = stage(
        policy(
            f"triggers: [{{type: {DRIFT}}}]\nsteps: [{{name: a, command: {{argv: [x, {{expr: data.feature}}]}}, verify: none}}]"
        )
    )
    event = scene.send(feature="salary")
    (row,) = scene.decisions(event)
    assert row.parameters[0]["action"]["argv"] == ["x", "salary"]
    assert scene.remediation().parameters == row.parameters
