"""What made a model worse is undone: the version that served before, brought back, seen to serve; people are told."""

from typing import Any

import pytest

from controller import schema
from controller.store import listing
from tests.integration.engine.objects import Objects
from tests.integration.engine.scene import Scene, Staged, model, policy

SERVED = (
    "kind: Model\nmetadata: {name: salary, namespace: ml}\n"
    'spec: {serving: {kind: Rollout, name: salary, version: {image: "reg/salary:{version}"}}}\n'
)
UNPLACED = "kind: Model\nmetadata: {name: salary, namespace: ml}\nspec: {serving: {kind: Rollout, name: salary}}\n"


def brings(worse: str = "", action: str = "rollout: {to: v5, timeout: 20m}") -> str:
    """A policy that brings a version and asks a command whether it helped."""
    return policy(
        "limits: {cooldown: 1h, budget: {max: 10, within: 7d}}\n"
        f"steps: [{{name: bring, {action}, verify: [{{command: {{argv: [check]}}, settle: 1m, for: 0s}}]{worse}}},"
        " {name: page, page: {}}]"
    )


def begun(stage: Staged, objects: Objects, *documents: str, serving: str | None = "v4") -> Scene:
    """This version serves; an event came, the version was brought, and the model is worse."""
    scene = stage(objects=objects)
    scene.adopt(*documents)
    if serving:
        scene.send("ml.model.deployed", version=serving)
        scene.advance("2h")  # the cooldown that a deployment by others starts
    scene.world.says = "worse"
    scene.send()
    scene.advance("1m")
    return scene


def last(scene: Scene, reason: str) -> dict[str, Any]:
    """The values of the transition with this cause."""
    t = schema.transitions.c
    return dict(scene.rows(schema.transitions, t.reason == reason)[-1]._mapping["values"])


def test_the_version_of_before_is_brought_back(stage, objects):
    """Worse: what served before is set again, under a key of its own, verified; then people are told, and it is over."""
    scene = begun(stage, objects, SERVED, brings())
    scene.world.says = "recovered"
    scene.advance("5s")
    orders = [(order["do"], order["to"], order["about"]) for order in objects.rolled]
    assert orders == [("to", "v5", None), ("restore", "v4", "v5")]
    assert scene.trail()[3:] == [
        "Pending worse",
        "Running started",
        "Verifying action_done",
        "Escalated restored",
    ]
    found = scene.remediation()
    assert (found.verdict, found.version_before, found.holds_model) == ("worse", "v4", False)
    assert last(scene, "worse")["restores"] == "v4"
    keys = [row.key for row in scene.rows(schema.intents)]
    assert keys == [f"{found.id}-0-1", f"{found.id}-2-1"]
    assert any("restored" in str(row.body) for row in scene.outbox())
    with scene.db.read() as conn:
        shown = listing.remediation(conn, found.id)
    assert shown["steps"] == ["bring", "page", "restore"]


@pytest.mark.parametrize(
    ("documents", "serving", "why"),
    [
        ((SERVED, brings(", onWorse: stop")), "v4", "the policy says onWorse: stop"),
        ((UNPLACED, brings()), "v4", "the Model does not say where its version stands (serving.version)"),
        ((model("salary"), brings()), "v4", "the Model does not say where its version stands (serving.version)"),
        ((SERVED, brings()), None, "which version served before is not known"),
        ((SERVED, brings(action="rollout: {restart: true}")), "v4", "the policy says onWorse: stop"),
        ((SERVED, brings(action='command: {argv: ["true"]}')), "v4", "the policy says onWorse: stop"),
    ],
)
def test_why_nothing_is_brought_back(stage, objects, documents, serving, why):
    """Where that cannot be done, it stops and people are told, with the reason."""
    scene = begun(stage, objects, *documents, serving=serving)
    assert scene.trail()[-1] == "Escalated worse"
    assert last(scene, "worse")["not_restored"] == why
    assert all(order["do"] != "restore" for order in objects.rolled)


@pytest.mark.parametrize("how", ["failed", "unknown"])
def test_what_cannot_be_brought_back_is_said(stage, objects, how):
    """A restoring that fails, or that nobody knows of, ends there: no step follows, the verdict stays worse."""
    scene = stage(objects=objects)
    scene.adopt(SERVED, brings())
    scene.send("ml.model.deployed", version="v4")
    scene.advance("2h")  # the cooldown that a deployment by others starts
    scene.world.says = "worse"
    scene.send()
    objects.rollout = how
    scene.advance("1m")
    assert scene.trail()[-2:] == ["Running started", "Escalated not_restored"]
    assert (scene.remediation().verdict, last(scene, "not_restored")["version"]) == ("worse", "v4")


@pytest.mark.parametrize("says", ["unchanged", "missing"])
def test_what_is_not_seen_to_serve_is_said(stage, objects, says):
    """Not seen to serve within the rollout's own time: not restored, never `restored`."""
    scene = begun(stage, objects, SERVED, brings())
    scene.world.says = says
    scene.advance("21m")
    assert scene.trail()[-1] == "Escalated not_restored"


def test_a_crash_in_between(stage, objects):
    """Killed before, while and after it is set: it goes on with the longer ladder from the store."""
    scene = begun(stage, objects, SERVED, brings())
    scene.crash()
    scene.world.says = "recovered"
    scene.settle()
    scene.advance("1m")
    assert scene.trail()[-1] == "Escalated restored"
    assert len(scene.rows(schema.intents)) == 2


def test_what_restores_is_held_by_a_pause(stage, objects):
    """A person's pause holds it; when it is lifted, it goes on."""
    scene = stage(objects=objects)
    scene.adopt(SERVED, brings())
    scene.send("ml.model.deployed", version="v4")
    scene.advance("2h")  # the cooldown that a deployment by others starts
    scene.world.blind = True
    scene.send()
    scene.act("pause")
    scene.world.blind, scene.world.says = False, "worse"
    scene.advance("2m")
    assert scene.trail()[-1] == "Pending held"
    scene.world.says = "recovered"
    scene.act("resume")
    assert scene.trail()[-1] == "Escalated restored"
