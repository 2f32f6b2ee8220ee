"""Labels that come late have the last word on what early signs have shown."""

import pytest

from controller import schema
from tests.integration.engine.again import compare
from tests.integration.engine.objects import Objects
from tests.integration.engine.scene import CHECKED, DEGRADED, RECOVERED, Scene, Staged, policy

SERVED = (
    "kind: Model\nmetadata: {name: salary, namespace: ml}\n"
    'spec: {serving: {kind: Rollout, name: salary, version: {image: "reg/salary:{version}"}}}\n'
)
BRING = policy(
    "limits: {cooldown: 1h, budget: {max: 10, within: 7d}, breaker: {failures: 2, within: 60d}}\n"
    "steps: [{name: bring, rollout: {to: v5}, verify: [{command: {argv: [check]}, settle: 1m, for: 0s}],"
    " confirm: {metric: F1Score, within: 45d}}]"
)


@pytest.fixture
def scene(stage: Staged, objects: Objects) -> Scene:
    """Version v5 was brought in place of v4, and early signs are good."""
    made = stage(objects=objects)
    made.adopt(SERVED, BRING)
    made.send("ml.model.deployed", version="v4")
    made.advance("2h")  # the cooldown that a deployment by others starts
    made.send()
    made.advance("2m")
    assert made.trail()[-1] == "Succeeded provisional"
    return made


def labels(scene: Scene, kind: str, **told: object) -> None:
    """A day later labels of the metric come."""
    scene.advance("1d")
    scene.send(kind, **{"metric": "f1", "value": 0.7, **told})


def first(scene: Scene) -> str:
    """How the first remediation stands."""
    row = scene.remediations()[0]
    return f"{row.phase} {row.reason} {row.verdict}"


def test_it_holds_nothing(scene):
    """Provisional is over: the model is free, and nothing is called recovered yet."""
    found = scene.remediation()
    assert (found.holds_model, found.verdict, found.confirm_until is not None) == (False, "none", True)
    scene.advance("2h")
    assert scene.story(scene.send()) == ["remediate"]


@pytest.mark.parametrize("kind", [RECOVERED, CHECKED])
def test_confirmed(scene, kind):
    """Labels of the version that was brought say that it is well."""
    labels(scene, kind, modelVersion="v5", version="v5")
    assert first(scene) == "Succeeded confirmed recovered"
    assert scene.remediations()[0].confirm_until is None


def test_confirmed_by_their_window(scene):
    """Without a version, labels of a time after the action count."""
    begun = scene.clock().isoformat()
    labels(scene, RECOVERED, window={"start": begun, "end": begun})
    assert first(scene) == "Succeeded confirmed recovered"


def said(scene: Scene) -> list[dict[str, str]]:
    """What the newest decision tells of the labels."""
    d = schema.decisions.c
    last = scene.rows(schema.decisions, d.reason == "no_policy_matched", order=d.id)[-1]
    found: list[dict[str, str]] = last._mapping["values"]["labels"]
    return found


@pytest.mark.parametrize(("kind", "word"), [(RECOVERED, "confirmed"), (DEGRADED, "confirmed_worse")])
def test_the_labels_are_told_what_they_did(scene, kind, word):
    """Of labels that no policy answers it is recorded which remediation they judged, and how."""
    labels(scene, kind, modelVersion="v5")
    assert said(scene) == [{"remediation": scene.remediations()[0].id, "called": word}]
    compare(scene)


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ({"metric": "auc", "modelVersion": "v5"}, "it waits for labels of f1"),
        ({"modelVersion": "v4"}, "it brought v5, and this is about v4"),
        (
            {"window": {"start": "2020-01-01T00:00:00Z", "end": "2020-01-02T00:00:00Z"}},
            "its `window` begins before the action ended",
        ),
        ({}, "the event names no version that was brought, and no `window` with a start"),
    ],
)
def test_what_says_nothing_of_it(scene, told, why):
    """Another metric, another version, a time before the action, or nothing of either, judges nothing, and is told so."""
    labels(scene, RECOVERED, **told)
    assert first(scene) == "Succeeded provisional none"
    assert [row["why_not"] for row in said(scene)] == [why]


def test_confirmed_worse(scene):
    """Labels say that it is worse: what served before is brought back by a remediation of its own, people are told."""
    scene.world.says = "recovered"
    scene.advance("1d")
    scene.send("ml.model.deployed", version="v5")
    labels(scene, DEGRADED, modelVersion="v5")
    scene.advance("5s")
    assert first(scene) == "Succeeded confirmed_worse worse"
    before, after = scene.remediations()
    assert (after.continues, after.reason, after.verdict) == (before.id, "restored", "worse")
    assert [(order["do"], order["to"]) for order in scene.objects.rolled] == [("to", "v5"), ("restore", "v4")]
    assert before.failed_at is not None


def test_worse_and_nothing_to_bring_back(scene):
    """Where the version of before serves already, people are told."""
    scene.advance("1d")
    scene.send("ml.model.deployed", version="v4")
    labels(scene, DEGRADED, modelVersion="v5")
    assert first(scene) == "Succeeded confirmed_worse worse"
    t = schema.transitions.c
    told = scene.rows(schema.transitions, t.reason == "confirmed_worse")[0]._mapping["values"]
    assert told["not_restored"] == "v4 serves already"
    assert any('"page": true' in str(row.body).lower() or row.receiver == "default" for row in scene.outbox())


def test_no_labels_in_time(scene):
    """Nobody says anything: unknown, never recovered; people are told."""
    scene.advance("46d")
    assert first(scene) == "Succeeded unconfirmed unknown"
    assert scene.remediation().confirm_until is None


def test_a_crash_loses_no_date(scene):
    """The date is in the store: the next process keeps it."""
    scene.crash()
    scene.settle()
    scene.advance("46d")
    assert first(scene) == "Succeeded unconfirmed unknown"


def test_labels_know_the_version_by_the_names_of_the_model(stage: Staged, objects: Objects):
    """Brought as `salary-v5`, called v5 by `versionNames`: labels of salary-v5 are about it."""
    scene = stage(objects=objects)
    named = SERVED.replace("spec: {", 'spec: {versionNames: ["salary-{version}"], ')
    step = "{name: train, command: {argv: [train]}, verify: [{command: {argv: [check]}, settle: 1m, for: 0s}],"
    scene.adopt(named, policy(f"steps: [{step} confirm: {{metric: f1, within: 45d}}}}]"))
    scene.world.outputs = {"version": "salary-v5"}
    scene.send()
    scene.advance("2m")
    labels(scene, RECOVERED, modelVersion="salary-v5")
    assert first(scene) == "Succeeded confirmed recovered"
