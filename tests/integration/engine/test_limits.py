"""What holds a policy back although its trigger is true: who runs already, cooldown, budget, breaker, audit's ledger."""

from datetime import timedelta

from tests.integration.engine.scene import (
    BROKEN,
    CALM,
    DEGRADED,
    Staged,
    policy,
)

HELD_UP = "steps: [{name: retrain, command: {argv: [a], timeout: 6h}, verify: none}]"


def test_in_progress_attaches(stage: Staged):
    """Later events of the model attach to the remediation that runs."""
    scene = stage(policy(HELD_UP))
    scene.world.busy = True
    scene.send()
    (row,) = scene.decisions(scene.send(feature="b"))
    assert (row.reason, row.remediation_id) == ("in_progress", scene.remediation().id)


def test_end_of_the_remediation_asks_again(stage: Staged):
    """When the remediation ends, what attached to it is asked again."""
    scene = stage(policy(HELD_UP + "\nlimits: {cooldown: 1h}"))
    scene.world.busy = True
    scene.send(feature="a")
    second = scene.send(feature="b")
    scene.advance("10m")
    scene.world.busy = False
    scene.settle()
    assert scene.story(second) == ["in_progress", "cooldown"]
    scene.advance("1h")
    assert scene.story(second) == ["in_progress", "cooldown", "remediate"]


def test_cooldown_lifts_and_the_condition_is_over(stage_on_both: Staged):
    """When the cooldown lifts and the condition is over, nothing happens."""
    scene = stage_on_both(policy())
    scene.send()
    scene.advance("1h")
    second = scene.send()
    assert scene.story(second) == ["cooldown"]
    scene.advance("1h")
    scene.send(CALM)
    assert scene.story(second) == ["cooldown", "stale"]
    scene.advance("3d")
    assert len(scene.remediations()) == 1


def test_cooldown_lifts_and_the_condition_is_open(stage_on_both: Staged):
    """When the cooldown lifts and the condition is still open, exactly one further remediation follows."""
    scene = stage_on_both(policy())
    scene.send()
    scene.advance("1h")
    events = [scene.send() for _ in range(3)]
    scene.advance("22h59m59s")
    assert len(scene.remediations()) == 1
    scene.advance("1s")
    assert [scene.story(event) for event in events] == [["cooldown"], ["cooldown"], ["cooldown", "remediate"]]
    scene.advance("10d")
    assert len(scene.remediations()) == 2


def test_cooldown_is_the_models(stage: Staged):
    """Cooldown counts the changing remediations of all policies, `scope: policy` its own only."""
    other = f"triggers: [{{type: {DEGRADED}}}]"
    scene = stage(policy(), policy(other, name="other"), policy(other + "\nlimits: {scope: policy}", name="own"))
    scene.send()
    event = scene.send(DEGRADED)
    assert scene.story(event, "other") == ["cooldown"]
    assert scene.story(event, "own") == ["remediate"]


def test_budget(stage: Staged):
    """No more remediations in the window than the budget has; the question is asked when the oldest leaves it."""
    scene = stage(policy("limits: {cooldown: 1h, budget: {max: 2, within: 7d}}"))
    first = scene.clock()
    scene.send()
    scene.advance("1d")
    scene.send()
    scene.advance("5d")
    third = scene.send()
    assert scene.story(third) == ["budget_exhausted"]
    scene.advance("1d")
    assert scene.story(third) == ["budget_exhausted", "remediate"]
    assert scene.remediation().started_at == first + timedelta(days=7)


def test_budget_is_given_back(stage: Staged):
    """A remediation that was cancelled before it acted gives its budget back, and keeps the cooldown."""
    scene = stage(policy("limits: {cooldown: 1h, budget: {max: 1, within: 7d}}"))
    event = scene.event()
    scene.post(event)
    scene.engine._use_events()
    assert scene.remediation().phase == "Pending"
    scene.act("cancel", "remediation", scene.remediation().id)
    assert scene.remediation().phase == "Cancelled"
    again = scene.send(feature="b")
    assert scene.story(again) == ["cooldown"]
    scene.advance("1h")
    assert scene.story(again) == ["cooldown", "remediate"]


def test_breaker(stage_on_both: Staged):
    """After so many that did not help it stops, until a person closes the breaker; then one more is tried."""
    scene = stage_on_both(
        policy("limits: {cooldown: 1h, budget: {max: 9, within: 7d}, breaker: {failures: 2, within: 14d}}")
    )
    scene.world.outcome = "failed"
    scene.send()
    scene.advance("1d")
    event = scene.send()
    assert [row.phase for row in scene.remediations()] == ["Failed", "Failed"]
    assert scene.story(event)[-1] == "breaker_open"
    scene.advance("1h")
    third = scene.send()
    assert scene.story(third) == ["breaker_open"]
    scene.act("resume", "policy", "ml/retrain", policy="ml/retrain", model="ml/other")
    assert scene.story(third)[-1] == "breaker_open"
    scene.act("resume", "policy", "ml/retrain", policy="ml/retrain", model="ml/salary")
    assert scene.story(third) == ["breaker_open", "breaker_open", "remediate", "cooldown"]
    assert len(scene.remediations()) == 3


def test_breaker_counts_a_failed_action_whatever_came_after(stage: Staged):
    """An action that failed counts although a person cancelled what came after it; one that a person stopped does not."""
    steps = "steps: [{name: a, command: {argv: [a]}, verify: none}, {name: b, command: {argv: [b]}, verify: none}]"
    limits = "limits: {cooldown: 1h, budget: {max: 9, within: 7d}, breaker: {failures: 1, within: 14d}}"
    scene = stage(policy(f"{steps}\n{limits}"))
    scene.world.busy = True
    scene.send()
    scene.act("cancel", "remediation", scene.remediation().id)
    scene.world.busy = False
    scene.settle()
    scene.advance("1d")
    scene.world.busy = True
    scene.world.outcome = "failed"
    assert scene.story(scene.send()) == ["remediate"]
    scene.act("pause")
    scene.world.busy = False
    scene.settle()
    scene.act("cancel", "remediation", scene.remediation().id)
    assert scene.trail()[-3:] == ["Pending action_failed", "Pending held", "Cancelled cancelled"]
    scene.act("resume")
    scene.advance("1d")
    assert scene.story(scene.send()) == ["breaker_open"]


def test_audit_has_a_ledger_of_its_own(stage: Staged):
    """Audit counts as running until `held_until`, cools down from there, and never counts for what is enforced."""
    audit = (
        "mode: audit\nsteps: [{name: retrain, command: {argv: [a], timeout: 2h}, "
        "verify: [{resolved: {}, settle: 1m, for: 1m, within: 4h}]}]"
    )
    scene = stage(policy(audit + "\nlimits: {cooldown: 1d}", name="watch"), policy())
    first = scene.send()
    assert (scene.story(first, "watch"), scene.story(first, "retrain")) == (["audit"], ["remediate"])
    watched = next(row for row in scene.remediations() if row.mode == "audit")
    assert (watched.phase, watched.verdict, watched.holds_model) == ("Audited", "none", False)
    assert watched.held_until == scene.clock() + timedelta(hours=6)
    scene.advance("5h")
    second = scene.send()
    assert scene.story(second, "watch") == ["in_progress"]
    scene.advance("1h")
    assert scene.story(second, "watch") == ["in_progress", "cooldown"]
    scene.advance("23h")
    assert scene.story(second, "watch") == ["in_progress", "cooldown"]
    scene.advance("1h")
    assert scene.story(second, "watch") == ["in_progress", "cooldown", "audit"]
    assert scene.story(second, "retrain") == ["cooldown", "remediate"]


def test_audit_comes_after_every_guard(stage: Staged):
    """`audit` is answered only where every other guard has passed."""
    scene = stage(policy("mode: audit"))
    scene.act("pause")
    event = scene.send()
    assert scene.story(event) == ["paused"]
    scene.act("resume")
    assert scene.story(event) == ["paused", "audit"]
    assert scene.world.acted == []


PAGE = "steps: [{name: page, page: {}}]"


def test_page_only_holds_nobody(stage: Staged):
    """A policy that only pages holds no model, is held by none, and counts its own."""
    scene = stage(policy(PAGE, name="tell"), policy(HELD_UP, name="do"))
    scene.world.busy = True
    event = scene.send()
    assert (scene.story(event, "tell"), scene.story(event, "do")) == (["remediate", "cooldown"], ["remediate"])
    told = next(row for row in scene.remediations() if row.policy == "tell")
    assert (told.phase, told.reason, told.verdict, told.holds_model) == ("Escalated", "paged", "none", False)
    again = scene.send()
    assert scene.story(again, "tell") == ["cooldown"]


def test_page_is_not_inhibited(stage: Staged):
    """People are told of a broken feed's model too: the built-in `unless` is for steps that change."""
    scene = stage(policy(PAGE))
    scene.send(BROKEN)
    assert scene.story(scene.send())[0] == "remediate"
