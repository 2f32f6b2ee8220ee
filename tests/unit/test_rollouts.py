"""How a Rollout or a Deployment stands, read from its JSON alone; and what verification makes of it."""

from __future__ import annotations

from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

import pytest

from controller.kube import rollouts
from controller.verify.rollout import Wanted, look

SERVING = {"kind": "Rollout", "name": "salary", "version": {"in": "env", "name": "VERSION", "container": None}}


def rollout(strategy: dict[str, Any] | None = None, version: str = "v6", **status: Any) -> dict[str, Any]:
    """A canary of two pods beside a stable revision, at its first pause, unless `status` says otherwise."""
    env = [{"name": "VERSION", "value": version}]
    said = {
        "observedGeneration": "3",
        "currentPodHash": "new",
        "stableRS": "old",
        "currentStepIndex": 1,
        "replicas": 2,
        "updatedReplicas": 1,
        "availableReplicas": 2,
    }
    return {
        "kind": "Rollout",
        "metadata": {"generation": 3, "uid": "1", "namespace": "ml", "name": "salary"},
        "spec": {
            "replicas": 2,
            "template": {"spec": {"containers": [{"name": "main", "env": env}]}},
            "strategy": strategy or {"canary": {"steps": [{"setWeight": 50}, {"pause": {}}]}},
        },
        "status": {key: value for key, value in (said | status).items() if value is not None},
    }


ROUTED = {"canary": {"trafficRouting": {"nginx": {}}, "steps": [{"setWeight": 50}, {"pause": {}}]}}
BLUE_GREEN = {"blueGreen": {"activeService": "active"}}


def weights(canary: int, stable: int, of: str = "old") -> dict[str, Any]:
    canary_, stable_ = {"weight": canary, "podTemplateHash": "new"}, {"weight": stable, "podTemplateHash": of}
    return {"weights": {"canary": canary_, "stable": stable_}}


@pytest.mark.parametrize(
    ("kind", "seen", "generation", "observed"),
    [
        ("Rollout", "3", 3, True),
        ("Rollout", "2", 3, False),
        ("Rollout", "10", 9, True),
        ("Rollout", "9", 10, False),
        ("Rollout", None, 1, False),
        ("Rollout", "6f5b8c7d9", 3, True),
        ("Deployment", 3, 3, True),
        ("Deployment", 2, 3, False),
        ("Deployment", None, 1, False),
    ],
)
def test_a_status_speaks_of_the_spec_it_has_seen(kind: str, seen: object, generation: int, *, observed: bool) -> None:
    """As a number, though a Rollout writes it as text; a hash of old versions is taken as seen."""
    obj = {"kind": kind, "metadata": {"generation": generation}, "status": {"observedGeneration": seen}}
    assert rollouts.observed(obj) is observed


def test_an_object_that_nobody_has_looked_at_has_no_canary() -> None:
    """Without a status, or with a first revision only, nothing is in progress."""
    bare = rollout()
    del bare["status"]
    assert not rollouts.canary(bare).in_progress
    assert not rollouts.canary(rollout(stableRS=None)).in_progress
    assert rollouts.canary(rollout()).in_progress
    assert not rollouts.all_newest(bare)
    assert not rollouts.all_stable(bare)


@pytest.mark.parametrize(
    ("status", "stable"),
    [
        ({"updatedReplicas": 0}, True),
        ({"updatedReplicas": 0, "availableReplicas": 1}, False),
        ({"updatedReplicas": 1, "replicas": 3, "availableReplicas": 3}, False),
        ({"updatedReplicas": 0, "observedGeneration": "2"}, False),
    ],
)
def test_without_a_router_traffic_goes_where_pods_are(status: dict[str, Any], *, stable: bool) -> None:
    """An aborted canary gets traffic until its last pod is gone; the stable pods must be there."""
    assert rollouts.all_stable(rollout(abort=True, **status)) is stable


@pytest.mark.parametrize(
    ("canary", "status", "stable"),
    [
        (weights(0, 100), {"updatedReplicas": 1, "availableReplicas": 3}, True),
        (weights(0, 100), {"updatedReplicas": 1, "availableReplicas": 2}, False),
        (weights(5, 95), {"updatedReplicas": 0}, False),
        (weights(0, 100, of="older"), {"updatedReplicas": 0}, False),
    ],
)
def test_with_a_router_traffic_goes_by_weight(canary: dict[str, Any], status: dict[str, Any], *, stable: bool) -> None:
    """The canary's pods may stay a while, at weight 0; they count for nothing."""
    assert rollouts.all_stable(rollout(ROUTED, abort=True, canary=canary, **status)) is stable


def test_a_preview_gets_no_traffic() -> None:
    """Of a blue-green Rollout the active service tells; its preview may stay."""
    assert rollouts.all_stable(rollout(BLUE_GREEN, abort=True, blueGreen={"activeSelector": "old"}))
    assert not rollouts.all_stable(rollout(BLUE_GREEN, abort=True, blueGreen={"activeSelector": "new"}))
    promoted = {"updatedReplicas": 2, "replicas": 4, "stableRS": "new"}
    assert rollouts.all_newest(rollout(BLUE_GREEN, blueGreen={"activeSelector": "new"}, **promoted))
    assert not rollouts.all_newest(rollout(BLUE_GREEN, blueGreen={"activeSelector": "old"}, **promoted))


@pytest.mark.parametrize(
    ("status", "all_newest"),
    [
        ({}, True),
        ({"stableRS": "old"}, False),
        ({"replicas": 3}, False),
        ({"availableReplicas": 1}, False),
        ({"updatedReplicas": 1}, False),
        ({"observedGeneration": "2"}, False),
    ],
)
def test_all_is_on_the_newest_revision(status: dict[str, Any], *, all_newest: bool) -> None:
    """Promoted, all its pods there and available, the old ones gone, and the controller has seen it all."""
    whole = {"stableRS": "new", "updatedReplicas": 2, "replicas": 2, "availableReplicas": 2}
    assert rollouts.all_newest(rollout(**(whole | status))) is all_newest


@pytest.mark.parametrize(
    ("status", "all_newest"),
    [
        ({}, True),
        ({"replicas": 3}, False),
        ({"availableReplicas": 1}, False),
        ({"updatedReplicas": 1}, False),
        ({"observedGeneration": 2}, False),
    ],
)
def test_a_deployment_is_rolled_out(status: dict[str, Any], *, all_newest: bool) -> None:
    """All pods are new, available, and no old one is left."""
    whole = {"observedGeneration": 3, "updatedReplicas": 2}
    assert rollouts.all_newest(rollout(**(whole | status)) | {"kind": "Deployment"}) is all_newest


def test_a_moment_is_a_moment_however_it_is_written() -> None:
    """An offset or Z: the same moment; anything else is none."""
    obj = {"kind": "Rollout", "spec": {"restartAt": "2025-01-23T13:00:00+01:00"}}
    assert rollouts.restarted_at(obj) == datetime(2025, 1, 23, 12, tzinfo=UTC)
    for text in (None, "soon", "2025-01-23T12:00:00"):
        assert rollouts.restarted_at({"kind": "Rollout", "spec": {"restartAt": text}}) is None
    template = {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "2025-01-23T12:00:00Z"}}}
    deployment = {"kind": "Deployment", "spec": {"template": template}}
    assert rollouts.restarted_at(deployment) == datetime(2025, 1, 23, 12, tzinfo=UTC)
    assert not rollouts.restarting(deployment)


def test_a_rollout_restarts_until_its_controller_says_so() -> None:
    """Asked for and not yet done: it restarts."""
    obj = rollout()
    assert not rollouts.restarting(obj)
    obj["spec"]["restartAt"] = "2025-01-23T12:00:00Z"
    assert rollouts.restarting(obj)
    obj["status"]["restartedAt"] = "2025-01-23T11:00:00Z"
    assert rollouts.restarting(obj)
    obj["status"]["restartedAt"] = "2025-01-23T12:00:00Z"
    assert not rollouts.restarting(obj)


WHOLE = {"stableRS": "new", "updatedReplicas": 2, "replicas": 2, "availableReplicas": 2}
INVALID = [{"type": "InvalidSpec", "status": "True", "reason": "InvalidSpec", "message": "steps"}]


ENDED = datetime(2025, 1, 23, 12, 0, 5, 700000, tzinfo=UTC)
RESTARTED = Wanted("restart", restarted=ENDED)


def late(at: str | None) -> list[dict[str, Any]]:
    return [{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "lastUpdateTime": at}]


@pytest.mark.parametrize("kind", ["Rollout", "Deployment"])
@pytest.mark.parametrize(
    ("said", "ended", "state"),
    [
        ("2025-01-23T12:00:06Z", ENDED, "failed"),
        ("2025-01-23T12:00:05Z", ENDED, "unchanged"),
        ("2025-01-23T11:00:00Z", ENDED, "unchanged"),
        ("2025-01-23T12:00:06Z", None, "unchanged"),
        (None, ENDED, "unchanged"),
    ],
)
def test_a_deadline_missed_before_is_another_changes(
    kind: str, said: str | None, ended: datetime | None, state: str
) -> None:
    """Away from a stuck version, its condition stays a while under the new generation: no failure of the new one."""
    obj = rollout(conditions=late(said), observedGeneration="3") | {"kind": kind}
    assert look("promoted", SERVING, Wanted("to", "v6", ended=ended), obj).state == state


def restarting(**status: Any) -> dict[str, Any]:
    obj = rollout(**status)
    obj["spec"]["restartAt"] = ENDED.isoformat()
    return obj


@pytest.mark.parametrize(
    ("wants", "wanted", "obj", "state"),
    [
        # Set by us to v6: the template decides before the status does.
        ("promoted", Wanted("to", "v6"), rollout(**WHOLE), "recovered"),
        ("promoted", Wanted("to", "v6"), rollout(), "unchanged"),
        ("promoted", Wanted("to", "v6"), rollout(observedGeneration="2"), "missing"),
        ("promoted", Wanted("to", "v6"), rollout(version="v7", observedGeneration="2"), "reverted"),
        ("promoted", Wanted("to", "v6"), rollout(abort=True), "failed"),
        ("promoted", Wanted("to", "v6"), rollout(conditions=INVALID), "failed"),
        ("promoted", Wanted("to", "v6"), rollout(conditions=INVALID, **WHOLE), "recovered"),
        ("stable", Wanted("to", "v6"), rollout(version="v7"), "reverted"),
        ("stable", Wanted("to", "v6"), rollout(**WHOLE), "recovered"),
        # Reported by another action.
        ("promoted", Wanted("", "v6"), rollout(version="v7"), "unchanged"),
        ("promoted", Wanted("", "v6"), rollout(**WHOLE), "recovered"),
        ("stable", Wanted("", "v6"), rollout(version="v7", **WHOLE), "recovered"),
        ("promoted", Wanted(), rollout(**WHOLE), "missing"),
        # Promoted by us, known by its revision.
        ("promoted", Wanted("promote", None, "new"), rollout(**WHOLE), "recovered"),
        ("promoted", Wanted("promote", None, "other"), rollout(**WHOLE), "reverted"),
        # Aborted by us.
        ("stable", Wanted("abort", None, "new"), rollout(abort=True, updatedReplicas=0), "recovered"),
        ("stable", Wanted("abort", None, "new"), rollout(abort=True), "unchanged"),
        ("stable", Wanted("abort", None, "new"), rollout(), "reverted"),
        ("stable", Wanted("abort", None, "new"), rollout(**WHOLE), "reverted"),
        ("stable", Wanted("abort", None, "gone"), rollout(), "unchanged"),
        ("stable", Wanted("abort", None, "gone"), rollout(**WHOLE), "recovered"),
        # What leads away from the stable version has failed when that has all traffic again.
        ("stable", Wanted("to", "v6"), rollout(abort=True, updatedReplicas=0), "failed"),
        ("stable", Wanted("to", "v6"), rollout(abort=True), "failed"),
        ("stable", Wanted("to", "v6"), rollout(), "unchanged"),
        ("stable", Wanted("promote", None, "new"), rollout(abort=True, updatedReplicas=0), "failed"),
        ("stable", Wanted("promote", None, "old"), rollout(abort=True, updatedReplicas=0), "recovered"),
        ("stable", Wanted("", "v6"), rollout(abort=True, updatedReplicas=0), "recovered"),
        ("stable", Wanted("pause"), rollout(abort=True, updatedReplicas=0), "recovered"),
        # Restarted by us.
        ("stable", RESTARTED, restarting(abort=True, updatedReplicas=0), "unchanged"),
        ("stable", RESTARTED, restarting(abort=True, updatedReplicas=0, restartedAt=ENDED.isoformat()), "recovered"),
        ("stable", Wanted("restart", restarted=datetime(2025, 1, 23, tzinfo=UTC)), rollout(**WHOLE), "reverted"),
    ],
)
def test_what_a_rollout_shows(wants: str, wanted: Wanted, obj: dict[str, Any], state: str) -> None:
    """One look, one word."""
    before = deepcopy(obj)
    assert look(wants, SERVING, wanted, obj).state == state
    assert obj == before


def test_what_was_wanted_is_read_from_what_was_reported() -> None:
    """What a rollout resolved counts only after a rollout: a Workflow's outputs may be called anything."""
    told = {"outputs": {"version": 6, "revision": "x", "restartedAt": "soon"}, "rollout": None}
    assert Wanted.of(told) == Wanted("", "6")
    ours = {"outputs": {"revision": "new"}, "rollout": {"do": "to", "to": "v6"}}
    assert Wanted.of(ours) == Wanted("to", "v6", "new")
    assert Wanted.of({}) == Wanted()
    assert Wanted.of({"stdin": {"actionEnded": "2025-01-23T12:00:05.700000Z"}}) == Wanted(ended=ENDED)
    assert Wanted.of({"stdin": {"actionEnded": None}}) == Wanted()
