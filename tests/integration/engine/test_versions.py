"""Which versions serve, as objects, events and remediations tell it; and what follows for decisions."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from controller import schema
from controller.policy import ModelState
from controller.store import states
from tests.integration.engine.again import compare
from tests.integration.engine.objects import Objects
from tests.integration.engine.scene import CALM, CHECKED, DEGRADED, DRIFT, RECOVERED, Scene, Staged, policy
from tests.integration.engine.test_laws import answered_alike

DEPLOYED = "ml.model.deployed"
TRAINED = "ml.model.trained"
SERVED = """kind: Model
metadata: {name: salary, namespace: ml}
spec:
  serving: {kind: %s, name: salary, version: {image: "reg/salary:{version}"}}
  versionNames: ["salary-{version}"]
"""
ROLLOUT, DEPLOYMENT = SERVED % "Rollout", SERVED % "Deployment"
CANARY = policy(
    f"triggers: [{{type: {DEGRADED}, when: 'event.role == \"canary\"'}}]\nlimits: {{cooldown: 1s}}", name="abort"
)


def rollout(version: str, revision: str, stable: str | None = None, **status: Any) -> dict[str, Any]:
    """A Rollout whose newest revision is beside `stable`, or is the stable one."""
    shown = {"observedGeneration": "1", "currentPodHash": revision, "stableRS": stable or revision, **status}
    return {
        "kind": "Rollout",
        "metadata": {"name": "salary", "namespace": "ml", "uid": "u", "generation": 1},
        "spec": {"template": {"spec": {"containers": [{"name": "m", "image": f"reg/salary:{version}"}]}}},
        "status": shown,
    }


def deployment(version: str, updated: int = 2) -> dict[str, Any]:
    """A Deployment of two pods, so many of them of its newest version."""
    found = rollout(version, "")
    counts = {"replicas": 2, "availableReplicas": 2, "updatedReplicas": updated}
    return found | {
        "kind": "Deployment",
        "spec": found["spec"] | {"replicas": 2},
        "status": {"observedGeneration": 1, **counts},
    }


def known(scene: Scene) -> ModelState:
    """What is known of the model."""
    with scene.db.read() as conn:
        return states.read(conn, ("ml", "salary"))


def observations(scene: Scene) -> int:
    """How many inputs serving objects were."""
    return len(scene.rows(schema.observations, schema.observations.c.remediation_id == ""))


@pytest.fixture
def scene(stage_on_both: Staged, objects: Objects) -> Scene:
    """A model that a Rollout serves, and a policy for its canary."""
    scene = stage_on_both(objects=objects)
    scene.adopt(ROLLOUT, CANARY)
    return scene


def test_a_rollout_is_read_as_it_changes(scene: Scene, objects: Objects):
    """Watched since the set is in force; stable, canary, promoted: each change is one input, and replays."""
    assert ("Rollout", "ml") in objects.watched
    scene.shown("Rollout", rollout("v5", "a"))
    scene.shown("Rollout", rollout("v5", "a"))
    assert (known(scene).stable, known(scene).deployed_at, observations(scene)) == ("v5", None, 1)
    scene.shown("Rollout", rollout("v6", "b", "a"))
    assert (known(scene).stable, known(scene).canary, observations(scene)) == ("v5", "v6", 2)
    scene.advance("1h")
    scene.shown("Rollout", rollout("v6", "b"))
    state = known(scene)
    assert (state.stable, state.canary, state.deployed_at, state.deployed_by) == ("v6", None, scene.clock(), "others")
    compare(scene)


def test_a_canary_that_a_person_aborts_is_none(scene: Scene):
    """The stable version is the one of before, and was not deployed anew."""
    scene.shown("Rollout", rollout("v5", "a"))
    scene.shown("Rollout", rollout("v6", "b", "a"))
    scene.shown("Rollout", rollout("v6", "b", "a", abort=True))
    assert (known(scene).stable, known(scene).canary, known(scene).deployed_at) == ("v5", None, None)


def test_an_event_has_the_role_of_its_version(scene: Scene):
    """By the model's own names: the canary's acts, the stable version's does not; before anything is known, neither."""
    early = scene.send(DEGRADED, modelVersion="salary-v6", metric="auc")
    assert scene.story(early) == ["condition_false"]
    scene.shown("Rollout", rollout("v5", "a"))
    scene.shown("Rollout", rollout("v6", "b", "a"))
    assert scene.story(scene.send(DEGRADED, modelVersion="salary-v5", metric="f1")) == ["condition_false"]
    assert scene.story(scene.send(DEGRADED, modelVersion="salary-v6")) == ["remediate"]
    compare(scene)


def test_a_restart_learns_nothing_twice(scene: Scene):
    """What was known is in the store: a canary that went on meanwhile is read against it."""
    scene.shown("Rollout", rollout("v5", "a"))
    scene.crash()
    scene.settle()
    scene.shown("Rollout", rollout("v6", "b", "a"))
    assert (known(scene).stable, known(scene).canary, observations(scene)) == ("v5", "v6", 2)


def test_an_object_that_is_deleted_leaves_the_state_marked(scene: Scene, objects: Objects):
    """Seen as deleted, or missing where all were read: what was known is kept, no role is told, nothing breaks."""
    scene.shown("Rollout", rollout("v5", "a"))
    scene.shown("Rollout", rollout("v5", "a"), "DELETED")
    assert (known(scene).stable, known(scene).serving, known(scene).unknown_since) == ("v5", None, scene.clock())
    scene.shown("Rollout", rollout("v5", "a"))
    assert known(scene).serving == "v5"
    scene.synced("Rollout")
    assert known(scene).serving is None


def test_a_deployment_has_one_version(stage_on_both: Staged, objects: Objects):
    """While its pods are replaced the old one counts as stable; then the new one, and no canary ever."""
    scene = stage_on_both(objects=objects)
    scene.adopt(DEPLOYMENT, CANARY)
    scene.shown("Deployment", deployment("v5"))
    scene.shown("Deployment", deployment("v6", updated=1))
    assert (known(scene).stable, known(scene).arriving, known(scene).canary) == ("v5", "v6", None)
    scene.shown("Deployment", deployment("v6"))
    assert (known(scene).stable, known(scene).arriving, known(scene).deployed_at) == ("v6", None, scene.clock())


def test_deployed_is_told_by_an_event_where_nothing_is_watched(stage_on_both: Staged):
    """Version, role, training and reference data; a detector's event teaches nothing."""
    scene = stage_on_both(CANARY)
    scene.send(DRIFT, modelVersion="v4")
    assert known(scene).stable is None
    scene.send(DEPLOYED, version="v5", trainedAt="2025-01-02T03:04:05Z", referenceId="2026-01")
    scene.send(DEPLOYED, version="v6", role="canary")
    state = known(scene)
    assert (state.stable, state.canary, state.reference, state.deployed_by) == ("v5", "v6", "2026-01", "others")
    assert state.trained_at is not None
    assert state.trained_at.isoformat() == "2025-01-02T03:04:05+00:00"
    scene.advance("1h")
    scene.send(TRAINED)
    assert known(scene).trained_at == scene.clock()
    compare(scene)


def test_a_recovered_remediation_tells_what_serves(stage_on_both: Staged, objects: Objects):
    """A Workflow's version, once verified, serves and is known to be good, where no object says otherwise."""
    scene = stage_on_both(
        policy(
            "steps: [{name: retrain, workflow: {workflowTemplateRef: {name: t}, timeout: 1h},"
            ' verify: [{command: {argv: ["true"]}, settle: 0s, for: 0s, every: 1m, within: 1h}]}]'
        ),
        objects=objects,
    )
    scene.send()
    told = [{"name": "model-version", "value": "v6"}]
    scene.shown("Workflow", objects.end(outputs={"parameters": told}))
    scene.advance("10m")
    assert scene.trail()[-1] == "Succeeded recovered"
    state, mine = known(scene), scene.remediation().id
    assert (state.stable, state.deployed_by, state.trained_by) == ("v6", mine, mine)
    assert (state.last_known_good, state.good_by) == ("v6", mine)
    compare(scene)


def test_what_a_remediation_brings_is_ours(scene: Scene):
    """A canary that comes while ours is at work, promoted after its end: deployed by it."""
    scene.adopt(ROLLOUT, policy("limits: {cooldown: 1s}"))
    scene.shown("Rollout", rollout("v5", "a"))
    scene.world.busy = True
    scene.send()
    scene.shown("Rollout", rollout("v6", "b", "a"))
    scene.world.busy = False
    scene.settle()
    assert scene.trail()[-1] == "Succeeded unverified"
    scene.advance("1h")
    scene.shown("Rollout", rollout("v6", "b"))
    assert known(scene).deployed_by == scene.remediation().id
    assert known(scene) == replace(known(scene))


def test_what_is_said_of_a_former_version_is_stale(scene: Scene):
    """And a question that was open about it is closed by the change, without an event."""
    scene.adopt(ROLLOUT, policy("wait: 5m"))
    scene.shown("Rollout", rollout("v5", "a"))
    waiting = scene.send(modelVersion="v5")
    assert scene.story(waiting) == ["waiting"]
    scene.shown("Rollout", rollout("v6", "b"))
    assert scene.story(waiting) == ["waiting", "stale"]
    values = scene.decisions(waiting)[-1]._mapping["values"]
    assert values == {"why": "former_version", "version": "v5", "stable": "v6", "canary": None}
    assert scene.questions() == []
    assert scene.story(scene.send(modelVersion="v5")) == ["stale"]
    compare(scene)


def test_a_question_about_a_former_version_hands_over_to_what_is_said_of_the_new_one(scene: Scene):
    """The newest open condition that is not outdated is asked instead."""
    scene.adopt(ROLLOUT, policy(f"triggers: [{{type: {DEGRADED}}}]\nwait: 2h\nlimits: {{cooldown: 1s}}"))
    scene.shown("Rollout", rollout("v5", "a"))
    scene.shown("Rollout", rollout("v6", "b", "a"))
    of_canary = scene.send(DEGRADED, modelVersion="v6", metric="auc")
    of_stable = scene.send(DEGRADED, modelVersion="v5", metric="f1")
    scene.advance("1h")
    scene.shown("Rollout", rollout("v6", "b"))
    assert scene.story(of_stable) == ["waiting", "stale"]
    assert scene.story(of_canary) == ["waiting", "waiting"]
    scene.advance("1h")
    assert scene.story(of_canary)[-1] == "remediate"
    compare(scene)


def test_a_former_version_corroborates_only_where_any_is_said(scene: Scene):
    """`require` is not met by what is said of v5 once v6 serves; with `versions: any` it is."""
    need = f"triggers: [{{type: {DRIFT}, require: [{{type: {DEGRADED}, within: 7d%s}}]}}]\nlimits: {{cooldown: 1s}}"
    scene.adopt(ROLLOUT, policy(need % "", name="own"), policy(need % ", versions: any", name="any"))
    scene.shown("Rollout", rollout("v5", "a"))
    scene.send(DEGRADED, modelVersion="v5")
    scene.advance("1h")
    scene.shown("Rollout", rollout("v6", "b"))
    scene.advance("1h")
    drift = scene.send(modelVersion="v6")
    assert scene.story(drift, "own") == ["uncorroborated"]
    assert scene.story(drift, "any") == ["remediate"]
    compare(scene)


def test_evidence_counts_from_the_deployment_on(scene: Scene):
    """Three of four, then a deployment: it counts anew."""
    count = f"triggers: [{{type: {DRIFT}, count: {{atLeast: 2, within: 7d}}}}]\nlimits: {{cooldown: 1s}}"
    scene.adopt(ROLLOUT, policy(count))
    scene.shown("Rollout", rollout("v5", "a"))
    assert scene.story(scene.send(feature="a")) == ["accumulating"]
    scene.advance("1h")
    scene.shown("Rollout", rollout("v6", "b"))
    scene.advance("1h")
    assert scene.story(scene.send(feature="b")) == ["accumulating"]
    scene.advance("1h")
    assert scene.story(scene.send(feature="c")) == ["remediate"]
    compare(scene)


def test_a_deployment_by_others_starts_the_cooldown(scene: Scene):
    """The values name it; a page is not held back by it; ours does not count twice."""
    scene.adopt(ROLLOUT, policy(), policy("steps: [{name: page, page: {}}]", name="tell"))
    scene.shown("Rollout", rollout("v5", "a"))
    scene.shown("Rollout", rollout("v6", "b"))
    scene.advance("1h")
    drift = scene.send()
    assert scene.story(drift, "retrain") == ["cooldown"]
    assert scene.decisions(drift, "retrain")[0]._mapping["values"]["by"] == "deployment by others"
    assert scene.story(drift, "tell")[0] == "remediate"
    scene.advance("24h")
    assert scene.story(drift, "retrain")[-1] == "remediate"
    compare(scene)


def test_a_training_by_others_starts_the_cooldown(stage_on_both: Staged):
    """As `ml.model.trained` tells it."""
    scene = stage_on_both(policy())
    scene.send(TRAINED)
    drift = scene.send()
    assert scene.story(drift) == ["cooldown"]
    assert scene.decisions(drift)[0]._mapping["values"]["by"] == "training by others"


SOAKING = ROLLOUT + "  lastKnownGood: {soak: 3d, maxAge: 10d}\n"


def test_a_version_that_soaks_becomes_known_to_be_good(scene: Scene):
    """Stable for `soak`, with a live detector and no performance condition: good since then; without, not yet."""
    scene.adopt(SOAKING, policy())
    scene.shown("Rollout", rollout("v5", "a"))
    scene.advance("2d")
    assert known(scene).last_known_good is None
    scene.advance("2d")
    assert known(scene).last_known_good is None  # nobody looked
    scene.send(CHECKED)
    scene.advance("2h")
    state = known(scene)
    assert (state.last_known_good, state.good_by) == ("v5", "soak")
    assert [row.soaks_at for row in scene.rows(schema.models)] == [None]
    scene.shown("Rollout", rollout("v6", "b"))
    assert (known(scene).last_known_good, known(scene).good_until) == ("v5", scene.clock())
    compare(scene)


def test_a_version_that_degrades_does_not_become_good(scene: Scene):
    """While a performance condition is open since it serves; over, it does."""
    scene.adopt(SOAKING)
    scene.shown("Rollout", rollout("v5", "a"))
    scene.advance("1d")
    scene.send(DEGRADED, modelVersion="v5")
    scene.advance("60h")
    scene.send(CHECKED, source="urn:other")
    scene.advance("2h")
    assert known(scene).last_known_good is None
    scene.send(RECOVERED, modelVersion="v5")
    scene.advance("2h")
    assert known(scene).last_known_good == "v5"
    compare(scene)


BACK = policy(
    f"triggers: [{{type: {DEGRADED}}}]\nlimits: {{cooldown: 1s}}\n"
    "steps: [{name: back, rollout: {to: lastKnownGood}, verify: none}, {name: page, page: {}}]",
    name="back",
)


def end_state(scene: Scene) -> dict[str, Any]:
    """What the newest intent is about to do."""
    return scene.rows(schema.intents, order=schema.intents.c.id)[-1].end_state


def test_back_to_the_last_known_good_is_written_down_as_a_version(scene: Scene):
    """Resolved when the intent is written; the decision still says what was meant."""
    scene.adopt(SOAKING, BACK)
    scene.shown("Rollout", rollout("v5", "a"))
    scene.send(CHECKED)
    scene.advance("2d")
    scene.send(CHECKED)
    scene.advance("2d")
    scene.shown("Rollout", rollout("v6", "b"))
    scene.send(DEGRADED, modelVersion="v6")
    assert end_state(scene)["to"] == "v5"
    assert scene.remediation().parameters[0]["action"]["to"] == "lastKnownGood"
    assert scene.remediation().version_before == "v6"
    compare(scene)


@pytest.mark.parametrize("good", [False, True])
def test_there_may_be_nothing_to_go_back_to(scene: Scene, good: bool):
    """None known, or it is what serves: the intent says why, and no version."""
    scene.adopt(SOAKING, BACK)
    scene.shown("Rollout", rollout("v5", "a"))
    if good:
        scene.advance("3d")
        scene.send(CHECKED)
        scene.advance("2h")
    scene.send(DEGRADED, modelVersion="v5")
    assert end_state(scene)["to"] is None
    wanted = "version v5, the last known to be good, is what serves now" if good else "no version of the model"
    assert wanted in end_state(scene)["refused"]


def test_an_old_version_asks_a_person_first(scene: Scene):
    """It last served longer than `maxAge` ago: nothing is begun."""
    scene.adopt(SOAKING, BACK)
    scene.shown("Rollout", rollout("v5", "a"))
    scene.advance("3d")
    scene.send(CHECKED)
    scene.advance("2h")
    scene.shown("Rollout", rollout("v6", "b"))
    scene.advance("11d")
    scene.send(DEGRADED, modelVersion="v6")
    assert scene.remediation().phase == "AwaitingApproval"
    assert scene.rows(schema.intents) == []


@pytest.fixture
def asked(scene: Scene) -> Scene:
    """People are asked whether v6, which degraded, gives way to v5, which served too long ago."""
    scene.adopt(SOAKING, BACK)
    scene.shown("Rollout", rollout("v5", "a"))
    scene.advance("3d")
    scene.send(CHECKED)
    scene.advance("2h")
    scene.shown("Rollout", rollout("v6", "b"))
    scene.advance("11d")
    scene.send(DEGRADED, modelVersion="v6")
    return scene


def test_a_no_to_an_old_version_lasts_a_day(asked: Scene):
    """The policy has no `approve`, and is urgent: people who said no are left alone all the same."""
    asked.act("reject", "remediation", asked.remediation().id)
    asked.advance("23h")
    assert [(r.phase, r.reason) for r in asked.remediations()] == [("Cancelled", "rejected")]
    asked.advance("2h")
    assert [r.phase for r in asked.remediations()] == ["Cancelled", "AwaitingApproval"]
    compare(asked)


def test_nobody_is_asked_about_an_old_version_when_all_is_well(asked: Scene):
    """The asking lapses with the condition, and a late yes brings nothing back."""
    asked.send(RECOVERED, modelVersion="v6")
    assert asked.trail()[-1] == "Cancelled over"
    assert not asked.act("approve", "remediation", asked.remediation().id)["ok"]
    assert asked.rows(schema.intents) == []
    compare(asked)


TRAINS = "steps: [{name: train, command: {argv: [a]}, verify: [%s]}]"


def test_a_version_that_never_served_is_not_known_to_be_good(scene: Scene):
    """All is well again, and nothing deployed what was trained: it is not what was verified."""
    scene.adopt(ROLLOUT, policy(TRAINS % "{resolved: {}, settle: 1m, for: 1m, within: 4h}"))
    scene.shown("Rollout", rollout("v5", "a"))
    scene.world.outputs = {"version": "v9"}
    scene.send(modelVersion="v5")
    scene.advance("2m")
    scene.send(CALM)
    scene.advance("10m")
    assert scene.trail()[-1] == "Succeeded recovered"
    assert (known(scene).stable, known(scene).last_known_good) == ("v5", None)
    compare(scene)


@pytest.mark.parametrize(
    ("version", "slice_", "proves"), [("v5", "eu", False), ("v6", "us", False), ("v6", "eu", True)]
)
def test_a_report_proves_what_it_is_about(scene: Scene, version: str, slice_: str, proves: bool):
    """Of the version that was brought, and the slice that had degraded; else nothing is proved, or known to be good."""
    verify = "{report: {metric: accuracy}, within: 4h}"
    scene.adopt(ROLLOUT, policy(f"triggers: [{{type: {DEGRADED}}}]\n" + TRAINS % verify))
    scene.shown("Rollout", rollout("v5", "a"))
    scene.world.outputs = {"version": "v6"}
    scene.send(DEGRADED, modelVersion="v5", metric="accuracy", slice="eu")
    scene.shown("Rollout", rollout("v6", "b", stable="a"))
    scene.advance("1h")
    window = {"start": (scene.clock() - timedelta(minutes=30)).isoformat(), "end": scene.clock().isoformat()}
    scene.send(RECOVERED, modelVersion=version, metric="accuracy", slice=slice_, window=window)
    assert scene.trail()[-1] == ("Succeeded recovered" if proves else "Verifying action_done")
    assert known(scene).last_known_good == ("v6" if proves else None)
    compare(scene)


def test_retry_of_a_restoring_step_is_held_by_no_limit_of_changing(scene: Scene):
    """The ladder began with a change, and its cooldown runs: what is tried again only turns a canary away."""
    ladder = (
        "steps: [{name: a, command: {argv: [a]}, verify: none}, "
        "{name: back, rollout: {abort: canary}, verify: none}, {name: p, page: {}}]"
    )
    scene.adopt(ROLLOUT, policy(f"triggers: [{{type: {DEGRADED}}}]\n{ladder}"))
    scene.world.busy = True
    scene.send(DEGRADED)
    scene.act("pause")
    scene.world.outcome, scene.world.busy = "failed", False
    scene.settle()
    scene.advance("1m")
    first = scene.remediation()
    assert (first.step, first.hold_reason) == (1, "paused")
    scene.act("cancel", "remediation", first.id)
    scene.act("resume")
    done = scene.act("retry", "remediation", first.id)
    assert (done["ok"], done.get("step")) == (True, "back")
    second = scene.remediation()
    assert (second.continues, second.step, second.urgent) == (first.id, 1, True)
    assert len(second.parameters) == 3
    answered_alike(scene)
    compare(scene)


@pytest.mark.parametrize("told", ["salary-v6", "v6"])
def test_a_version_is_known_by_its_whole_name_too(stage: Staged, told: str):
    """A program may report `salary-v6` where a detector's `modelVersion: salary-v6` is read as v6, or both v6."""
    scene = stage(
        policy(
            'steps: [{name: retrain, command: {argv: ["true"]}, verify: [{resolved: {}, settle: 0s, for: 1s, within: 1h}]}]\nlimits: {cooldown: 1m}'
        )
    )
    scene.world.outputs = {"version": told}
    scene.send(DRIFT, modelVersion="salary-v5")
    scene.advance("1m")
    scene.send(CALM, modelVersion="salary-v5")
    scene.advance("1m")
    assert scene.remediation().verdict == "recovered"
    scene.advance("1h")
    assert scene.story(scene.send(DRIFT, modelVersion="salary-v6")) == ["remediate"]
    assert scene.decisions(scene.send(DRIFT, modelVersion="salary-v5"))[-1].values["why"] == "former_version"
    compare(scene)
