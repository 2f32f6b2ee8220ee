"""Policies whose first step restores: what does not hold them, and how they take a model over."""

import pytest

from controller import schema
from tests.integration.engine.objects import Objects
from tests.integration.engine.scene import DEGRADED, Scene, Staged, policy

ABORT = policy(
    f"triggers: [{{name: bad, type: {DEGRADED}}}]\n"
    "severity: P4\n"
    "wait: 5m\n"
    "limits: {cooldown: 24h, budget: {max: 1, within: 7d}, breaker: {failures: 2, within: 14d}}\n"
    "steps: [{name: abort, rollout: {abort: canary}, verify: [{rollout: stable, within: 10m}]}, {name: page, page: {}}]",
    name="abort",
)
FIX = policy(
    "limits: {cooldown: 1h, budget: {max: 10, within: 7d}}\n"
    'steps: [{name: fix, command: {argv: ["true"], timeout: 1h}, verify: [{command: {argv: [check]}, settle: 1m, for: 0s}]}]',
    name="fix",
)
SERVED = "kind: Model\nmetadata: {name: salary, namespace: ml}\nspec: {serving: {kind: Rollout, name: salary}}\n"
TWIN = "kind: Model\nmetadata: {name: bonus, namespace: ml}\nspec: {serving: {kind: Rollout, name: salary}}\n"


@pytest.fixture
def scene(stage: Staged, objects: Objects) -> Scene:
    """A policy that fixes on drift, an urgent one that aborts a canary when performance degrades."""
    made = stage(objects=objects)
    made.adopt(SERVED, TWIN, ABORT, FIX)
    return made


def by_policy(scene: Scene) -> dict[str, str]:
    """How the newest remediation of each policy stands."""
    return {row.policy: f"{row.phase} {row.reason}" for row in scene.remediations()}


def test_it_is_not_held(scene):
    """Neither wait, nor cooldown, nor budget hold it: it aborts at once, as often as it is needed."""
    for _ in range(3):
        scene.send(DEGRADED)
        scene.advance("11m")
    assert [order["do"] for order in scene.objects.rolled] == ["abort"] * 3
    assert {row.phase for row in scene.remediations()} == {"Succeeded"}
    assert [(row.changing, row.acted, row.restored) for row in scene.remediations()] == [(False, False, True)] * 3


def test_it_costs_others_nothing(scene):
    """What restores starts no cooldown and spends no budget of the policies that change."""
    scene.send(DEGRADED)
    scene.advance("11m")
    assert scene.story(scene.send(), "fix") == ["remediate"]


@pytest.mark.parametrize("why", ["pause", "silence"])
def test_people_hold_it(scene, why):
    """A pause and a silence hold it, as everything."""
    if why == "pause":
        scene.act("pause")
    else:
        scene.act("silence", "silence", matchers={"model": "salary"}, ends_at="2030-01-01T00:00:00+00:00")
    scene.send(DEGRADED)
    assert scene.objects.rolled == []


def test_its_own_breaker_holds_it(scene):
    """After so many aborts that failed it stops; what other policies failed at does not count for it."""
    scene.world.outcome = "failed"
    scene.send()
    scene.objects.rollout = "failed"
    for _ in range(2):
        scene.send(DEGRADED)
    assert by_policy(scene)["abort"] == "Escalated paged"
    assert scene.story(scene.send(DEGRADED), "abort") == ["breaker_open"]


def test_it_takes_over_what_verifies(scene):
    """Where nothing runs the other is cancelled at once, and the urgent one starts in the same moment."""
    scene.world.says = "unchanged"
    scene.send()
    assert by_policy(scene) == {"fix": "Verifying action_done"}
    scene.world.blind = True
    scene.send(DEGRADED)
    assert by_policy(scene) == {"fix": "Cancelled preempted", "abort": "Verifying action_done"}
    assert scene.trail()[:4] == ["Pending decided", "Pending took_over", "Running started", "Verifying action_done"]
    assert [row.holds_model for row in scene.remediations()] == [False, True]


def test_it_waits_until_the_action_is_seen_to_stop(scene):
    """A running action is stopped first: until that is seen, nothing is done; then the urgent one goes on."""
    scene.world.busy = scene.world.stubborn = True
    scene.send()
    scene.send(DEGRADED)
    first, urgent = scene.remediations()
    assert by_policy(scene) == {"fix": "Stopping preempted", "abort": "Pending decided"}
    assert (urgent.waits_for, urgent.holds_model, first.holds_model) == (first.id, False, True)
    assert scene.objects.rolled == []
    scene.world.busy = scene.world.stubborn = False
    scene.settle()
    assert by_policy(scene)["fix"] == "Cancelled preempted"
    assert [order["do"] for order in scene.objects.rolled] == ["abort"]
    assert scene.remediation().waits_for is None


@pytest.mark.parametrize(("version", "answer"), [("v4", "cooldown"), (None, "stale")])
def test_an_abort_answers_nothing_about_the_version_that_serves(stage, objects, version, answer):
    """What the retrain that gave way was to mend in v4 is still to be mended; what names no version is answered."""
    scene = stage(objects=objects)
    by = "triggers: [{{type: " + DEGRADED + ", when: 'data.metric == \"{}\"'}}]"
    abort = "steps: [{name: abort, rollout: {abort: canary}, verify: [{rollout: stable, within: 10m}]}]"
    fix = 'steps: [{name: fix, command: {argv: ["true"]}, verify: [{command: {argv: [check]}}]}]'
    scene.adopt(
        SERVED,
        policy(f"{by.format('error_rate')}\n{abort}", name="abort"),
        policy(f"{by.format('accuracy')}\n{fix}", name="fix"),
    )
    scene.send("ml.model.deployed", version="v4")
    scene.advance("25h")
    scene.send("ml.model.deployed", version="v5", role="canary")
    scene.world.says = "unchanged"
    told = {"modelVersion": version} if version else {}
    inaccurate = scene.send(DEGRADED, metric="accuracy", **told)
    scene.advance("1m")
    scene.world.says = "recovered"
    scene.send(DEGRADED, metric="error_rate", modelVersion="v5")
    scene.advance("1m")
    assert by_policy(scene) == {"fix": "Cancelled preempted", "abort": "Succeeded recovered"}
    assert scene.story(inaccurate, "fix")[-1] == answer


def test_a_second_urgent_event_finds_it_in_progress(scene):
    """While one waits, or holds the model, another urgent event is attached to it."""
    scene.world.busy = scene.world.stubborn = True
    scene.send()
    scene.send(DEGRADED)
    again = scene.send(DEGRADED)
    assert scene.story(again, "abort") == ["in_progress"]
    assert scene.decisions(again, "abort")[0].remediation_id == scene.remediation().id
    assert len(scene.remediations()) == 2


def test_not_seen_to_stop(scene):
    """An action that is not seen to stop in time is of unknown fate, people are told; the model is helped all the same."""
    scene.world.busy = scene.world.stubborn = True
    scene.send()
    scene.send(DEGRADED)
    scene.advance("4m")
    assert by_policy(scene)["fix"] == "Stopping preempted"
    scene.advance("2m")
    scene.world.busy = False
    scene.settle()
    assert by_policy(scene)["fix"] == "Escalated action_unknown"
    assert [order["do"] for order in scene.objects.rolled] == ["abort"]


@pytest.mark.parametrize("crashes", [1, 3])
def test_a_crash_while_it_waits(scene, crashes):
    """Killed while the other is being stopped: the next process sees it stopped, and the urgent one goes on."""
    scene.world.busy = scene.world.stubborn = True
    scene.send()
    scene.send(DEGRADED)
    for _ in range(crashes):
        scene.crash()
        scene.settle()
    scene.world.busy = False
    scene.advance("6m")
    assert [order["do"] for order in scene.objects.rolled] == ["abort"]
    assert len([row for row in scene.remediations() if row.holds_model]) <= 1


def test_it_takes_over_the_object_that_another_model_shares(scene):
    """Whoever acts on the object that serves both models gives way, too."""
    scene.world.busy = scene.world.stubborn = True
    scene.send(model="bonus")
    scene.send(DEGRADED)
    assert by_policy(scene) == {"fix": "Stopping preempted", "abort": "Pending decided"}
    scene.world.stubborn = False
    scene.settle()
    assert by_policy(scene)["fix"] == "Cancelled preempted"
    targets = scene.rows(schema.targets, order=schema.targets.c.remediation_id)
    assert {row.remediation_id for row in targets} == {row.id for row in scene.remediations()}


def test_what_gave_way_is_asked_again(scene):
    """Preempted is no failure: the breaker does not count it; its event is asked again once the model is free."""
    scene.world.says = "unchanged"
    event = scene.send()
    scene.world.says = "recovered"
    scene.send(DEGRADED)
    scene.advance("11m")
    assert by_policy(scene)["abort"] == "Succeeded recovered"
    assert scene.story(event, "fix")[-1] == "cooldown"
    scene.advance("1h")
    assert scene.story(event, "fix")[-1] == "remediate"


def test_both_in_one_batch(scene):
    """Decided in one transaction with what it preempts, in whichever order they came."""
    scene.world.blind = True
    scene.post(scene.event(), scene.event(DEGRADED), scene.event(), scene.event(DEGRADED))
    scene.settle()
    assert by_policy(scene)["fix"] == "Cancelled preempted"
    assert len(scene.objects.rolled) == 1


def test_a_person_cancels_what_waits(scene):
    """Cancelled while it waits: the other is stopped all the same, and nothing takes over."""
    scene.world.busy = scene.world.stubborn = True
    scene.send()
    scene.send(DEGRADED)
    assert scene.act("cancel", "remediation", scene.remediation().id)["ok"]
    scene.world.stubborn = False
    scene.settle()
    assert by_policy(scene) == {"fix": "Cancelled preempted", "abort": "Cancelled cancelled"}
    assert scene.objects.rolled == []
