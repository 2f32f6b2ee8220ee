"""The API server is away, or cannot be reached: nothing is lost, nothing is done twice, and what happened meanwhile is seen."""

from __future__ import annotations

import contextlib
import threading
from datetime import UTC, datetime

import pytest

from controller.errors import ModelmendError
from controller.kube import WORKFLOW
from tests.cluster import cluster
from tests.cluster.host import ClusterError
from tests.e2e.serving import drift
from tests.e2e_cluster.acting import trail, values
from tests.integration.cluster.documents.gate import Gate

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

AWAY = 30.0
AFTER = 120.0
"""Seconds for all to be well again: Argo's own controllers begin anew with pauses of up to half a minute."""
POLICY = """\
kind: RemediationPolicy
metadata: {name: retrain}
spec:
  mode: enforce
  models: {names: ["*"]}
  triggers: [{type: ml.data.drift.detected}]
  steps: [{name: retrain, workflow: {workflowTemplateRef: {name: wait}, parameters: {seconds: {expr: data.seconds}}}, verify: none}]
"""
WAIT = {"suspend": {"duration": "{{workflow.parameters.seconds}}"}}


def documents(*models):
    """The policy and these models."""
    return "---\n".join([POLICY, *(f"kind: Model\nmetadata: {{name: {name}}}\n" for name in models)])


@pytest.fixture
def gate(tmp_path):
    """A door to the API server, for one server alone: closed, the cluster goes on without it."""
    gate = Gate(cluster.current().kubeconfig, tmp_path / "through-the-gate")
    gate.open()
    yield gate
    gate.close()


def test_what_happens_while_the_api_server_cannot_be_reached_is_seen_afterwards(stage, kube, namespace, gate):
    """A Workflow that ended, one that a person deleted, an event that came: each has its right end, none a second Workflow."""
    stage = stage(documents("ends", "deleted", "comes"), kubeconfig=str(gate.kubeconfig))
    stage.template("wait", WAIT, arguments={"parameters": [{"name": "seconds"}]})
    stage.start()
    stage.post(event("ends", 6))
    stage.post(event("deleted", 3600))
    stage.until(lambda: all(begun(stage, name) for name in ("ends", "deleted")), "two Workflows on record")
    gate.close()
    kube.delete(WORKFLOW, namespace, begun(stage, "deleted")["name"])
    stage.post(event("comes", 1))
    stage.until(lambda: phase(stage.workflow()) == "Succeeded", "the end of one")
    assert [stage.about(name)["phase"] for name in ("ends", "deleted", "comes")] == ["Running"] * 3
    assert stage.served.ready()
    gate.open()
    stage.reach("ends", "Succeeded")
    stage.reach("comes", "Succeeded")
    lost = stage.reach("deleted", "Escalated")
    assert values(lost, "action_unknown")["reason"] == "object_lost"
    names = {found["metadata"]["name"] for found in stage.workflows()}
    assert names == {begun(stage, "ends")["name"], begun(stage, "comes")["name"]}
    for name in ("ends", "deleted", "comes"):
        stage.explain(name)


# ── it has ended, for all ──────────────────────────────────────────────────────────────────────────


@pytest.fixture
def outage():
    """Stops the API server when entered, and starts it `AWAY` seconds later when left; knows when it was away."""
    here = cluster.current()
    if here.way != "node":
        pytest.skip(f"the API server of a cluster by {here.way} is not ours to stop")
    yield Outage(here)
    with contextlib.suppress(ClusterError):  # as a rule: it runs already
        here.start("apiserver")


class Outage:
    def __init__(self, here):
        self._here = here

    def __enter__(self):
        self._here.stop("apiserver")
        self.began = datetime.now(UTC)
        return self

    def __exit__(self, failed, *_):
        if not failed:
            left = AWAY - (datetime.now(UTC) - self.began).total_seconds()
            threading.Event().wait(left)
        self._here.start("apiserver")
        self.ended = datetime.now(UTC)


def test_an_api_server_that_stops_delays_and_loses_nothing(stage, kube, outage):
    """Killed, and started 30 s later: an event that came meanwhile leads to one Workflow, a cancel to its end."""
    stage = stage(documents("comes", "cancelled"))
    stage.template("wait", WAIT, arguments={"parameters": [{"name": "seconds"}]})
    stage.start()
    stage.post(event("cancelled", 3600))
    stage.until(lambda: begun(stage, "cancelled") and phase(stage.workflow()) == "Running", "a Workflow that runs")
    comes = event("comes", 1)
    with outage:
        stage.until(lambda: not answers(kube), "the API server's end")
        stage.post(comes)
        stage.reach("comes", "Running")
        done = stage.served.run("cancel", stage.about("cancelled")["id"], "--reason", "an outage is no excuse")
        assert done.returncode == 0, done.stderr
        assert stage.about("cancelled")["phase"] == "Stopping"
        stage.post(comes)  # sent again by somebody who got no answer
        assert stage.served.ready()

    def seconds():
        return f"{(datetime.now(UTC) - outage.ended).total_seconds():.1f} s after its start"

    stage.until(lambda: answers(kube), "the API server", AFTER)
    print(f"the API server answers {seconds()}")
    stage.until(lambda: begun(stage, "comes"), "a Workflow for what came meanwhile", AFTER)
    print(f"the Workflow is there {seconds()}")
    for name, wanted in (("comes", "Succeeded"), ("cancelled", "Cancelled")):
        stage.reach(name, wanted, AFTER)
        print(f"{name} is {wanted} {seconds()}")
        stage.explain(name)
    assert trail(stage.about("comes")) == ["Pending decided", "Running started", "Succeeded unverified"]
    names = [found["metadata"]["name"] for found in stage.workflows()]
    assert sorted(names) == sorted(begun(stage, name)["name"] for name in ("comes", "cancelled"))
    assert len(stage.remediations()) == 2


def event(model, seconds):
    """An event about one model, whose Workflow sleeps so long."""
    found = drift(model, model)
    return found | {"data": found["data"] | {"seconds": seconds}}


def begun(stage, model):
    """What is on record of its Workflow; None before."""
    found = stage.about(model)
    return found and found["intents"] and found["intents"][0]["ref"]


def phase(workflow):
    """How Argo calls its state."""
    return (workflow.get("status") or {}).get("phase")


def answers(kube):
    """Whether the API server does."""
    try:
        return bool(kube.version())
    except ModelmendError:
        return False
