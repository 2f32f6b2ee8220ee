"""The API server stops for 30 s, as in a crash: nothing is lost, nothing is done twice. Disturbs all else in the cluster."""

from __future__ import annotations

import contextlib
import threading
from datetime import UTC, datetime

import pytest

from controller.errors import ModelmendError
from tests.cluster import cluster
from tests.cluster.host import ClusterError
from tests.e2e.serving import drift
from tests.e2e_cluster.acting import trail

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

AWAY = 30.0
AFTER = 120.0
"""Seconds for all to be well again: Argo's own controllers begin anew with pauses of up to half a minute."""
MODELS = ("ends", "comes", "cancelled")

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
"""Without a pod: Argo's executor itself gives up when the API server is away for so long, and fails its Workflow."""


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


def test_an_api_server_that_is_away_delays_and_loses_nothing(stage, kube, outage):
    """Accepted meanwhile: acted upon once; due meanwhile: its end is seen; cancelled meanwhile: stopped."""
    models = [f"kind: Model\nmetadata: {{name: {name}}}\n" for name in MODELS]
    stage = stage("---\n".join([POLICY, *models]))
    stage.template("wait", WAIT, arguments={"parameters": [{"name": "seconds"}]})
    stage.start()
    stage.post(event("cancelled", 3600))
    stage.post(event("ends", 10))
    stage.until(lambda: len(running(stage)) == 2, "two Workflows that run")
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
    stage.until(lambda: stage.about("comes")["intents"][0]["ref"], "a Workflow for what came meanwhile", AFTER)
    print(f"the Workflow is there {seconds()}")
    for name, phase in (("comes", "Succeeded"), ("ends", "Succeeded"), ("cancelled", "Cancelled")):
        stage.reach(name, phase, AFTER)
        print(f"{name} is {phase} {seconds()}")
        stage.explain(name)
    assert trail(stage.about("comes")) == ["Pending decided", "Running started", "Succeeded unverified"]
    names = {found["metadata"]["name"] for found in stage.workflows()}
    assert names == {f"{stage.about(name)['id']}-0-1" for name in MODELS}
    assert len(stage.remediations()) == len(stage.workflows()) == len(MODELS)


def event(model, seconds):
    """An event about one model, whose Workflow sleeps so long."""
    found = drift(model, model)
    return found | {"data": found["data"] | {"seconds": seconds}}


def running(stage):
    """Workflows that run."""
    return [found for found in stage.workflows() if (found.get("status") or {}).get("phase") == "Running"]


def answers(kube):
    """Whether the API server does."""
    try:
        return bool(kube.version())
    except ModelmendError:
        return False
