"""The WorkflowTemplate `retrain-model`: real training, a real refusal, a real canary of what was trained.

One story in the order of the tests, as a registry and what serves have it: the first model, a
better one, a worse one.
"""

import json

import pytest
import requests
import yaml

from controller.kube import DEPLOYMENT, ROLLOUT
from tests.integration.cluster.argo_pack import POD, ROOT, Pack, kubectl, load
from tests.integration.cluster.conftest import eventually, named

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

MODEL = {"model": "bikes", "reason": "drift", "timeout": "2m"}
SUMMER_2011 = {"until": "2011-08-31", "train_weeks": "26"}
SUMMER_2012 = {"until": "2012-06-30", "train_weeks": "12"}
ONE_WEEK = {"until": "2012-06-30", "train_weeks": "1"}
NOON = [12, 2, 1, 0, 1, 28.0, 31.0, 50.0, 10.0]
"""A Wednesday in summer, as argo.retrain.data.FEATURES."""


class Story:
    """The sample Rollout beside the templates, and the Workflows that have run so far."""

    def __init__(self, pack):
        self.pack = pack
        self.ended = {}
        body = yaml.safe_load((ROOT / "manifests" / "samples" / "rollout.yaml").read_text())
        body["metadata"]["namespace"] = pack.namespace
        container = body["spec"]["template"]["spec"]["containers"][0]
        container["image"] = load("modelmend-retrain")
        container["readinessProbe"]["periodSeconds"] = 1
        body["spec"]["replicas"] = 2
        body["spec"]["strategy"]["canary"]["steps"] = [{"setWeight": 50}, {"pause": {"duration": "2s"}}]
        pack.kube.create(ROLLOUT, pack.namespace, body)
        eventually(lambda: (self.rollout.get("status") or {}).get("updatedReplicas") == 2)

    @property
    def rollout(self):
        return self.pack.kube.get(ROLLOUT, self.pack.namespace, "bikes")

    @property
    def version(self):
        """What the Rollout's template asks for."""
        return self.rollout["spec"]["template"]["spec"]["containers"][0]["env"][1]["value"]

    def retrain(self, called, **parameters):
        """Run it; remembered for the tests that follow."""
        self.ended[called] = self.pack.run("retrain-model", **MODEL, **parameters)
        return self.ended[called]

    def predictions(self):
        """What each pod that is ready predicts for one hour, by its version."""
        found, _ = self.pack.kube.list(POD, self.pack.namespace, {"app": "bikes"})
        said = {}
        for pod in found:
            if any(
                each["type"] == "Ready" and each["status"] == "True" for each in pod["status"].get("conditions", ())
            ):
                url = f"http://{pod['status']['podIP']}:8080/predict"
                answer = requests.post(url, json={"hours": [NOON]}, timeout=10).json()
                said[answer["version"]] = answer["bikes"][0]
        return said

    def registry(self):
        """The cards of all versions, read by a pod that serves."""
        read = "import json, pathlib; print(json.dumps([json.loads(p.read_text()) for p in pathlib.Path('/registry/bikes').glob('*/card.json')]))"
        here = f"--namespace={self.pack.namespace}"
        pod = next(
            pod["metadata"]["name"]
            for pod in self.pack.kube.list(POD, self.pack.namespace, {"app": "bikes"})[0]
            if pod["status"]["phase"] == "Running" and "deletionTimestamp" not in pod["metadata"]
        )
        cards = json.loads(kubectl("exec", here, pod, "--", "python3", "-c", read))
        return {card["version"]: card for card in cards if "evaluation" in card}


@pytest.fixture(scope="module")
def story(kube, tmp_path_factory):
    """The templates and the sample, applied."""
    load("modelmend-retrain")
    pack = Pack(kube, tmp_path_factory.mktemp("argo"))
    try:
        yield Story(pack)
    finally:
        pack.remove()


def test_the_first_model_need_only_beat_the_mean(story):
    """Nothing serves yet: the candidate is compared with the mean of the hour, registered, and gets all pods."""
    assert story.predictions() == {}
    first = story.retrain("first", wait="healthy", **SUMMER_2011)
    assert (first.phase, first.outputs["verdict"], first.outputs["model-version"]) == (
        "Succeeded",
        "promoted",
        first.name,
    )
    assert "the mean of that hour of the week by" in first.outputs["message"]
    assert first.steps == {"validate", "train", "evaluate", "register", "deploy"}
    assert eventually(story.predictions).keys() == {first.name}
    card = story.registry()[first.name]
    assert (card["reason"], card["trainedFrom"], card["trainedUntil"]) == ("drift", "2011-02-17", "2011-08-17")
    assert card["evaluation"]["error"] < card["evaluation"]["rivalError"]


def test_data_that_are_not_there_end_it_before_training(story):
    """The Workflow fails with what is wrong, and nothing is trained."""
    ended = story.retrain("invalid", until="2013-06-30")
    assert (ended.phase, ended.steps) == ("Failed", {"validate"})
    assert "are not fit: 0 of 2016 hours are recorded, want 90%" in ended.messages["validate"]


def test_a_better_candidate_becomes_a_canary(story):
    """The model of last year is beaten on the hours of this; one pod of two serves the new one and differs."""
    pausing = {"spec": {"strategy": {"canary": {"steps": [{"setWeight": 50}, {"pause": {}}]}}}}
    story.pack.kube.patch(ROLLOUT, story.pack.namespace, "bikes", pausing)
    better = story.retrain("better", **SUMMER_2012)
    first = story.ended["first"].name
    assert (better.phase, better.outputs["verdict"], better.outputs["model-version"]) == (
        "Succeeded",
        "promoted",
        better.name,
    )
    assert f"champion {first} by" in better.outputs["message"]
    assert story.rollout["status"]["phase"] == "Paused"
    said = story.predictions()
    assert said.keys() == {first, better.name}
    assert said[first] != said[better.name]
    evaluation = story.registry()[better.name]["evaluation"]
    assert (evaluation["rival"], evaluation["decision"]) == (first, "accepted")
    assert evaluation["error"] < 0.7 * evaluation["rivalError"]


def test_a_worse_candidate_is_refused_and_changes_nothing(story):
    """The Workflow succeeds and says so; the champion, while a canary stands, is the stable version; nothing is registered."""
    before, versions = story.rollout["metadata"]["generation"], story.registry().keys()
    worse = story.retrain("worse", **ONE_WEEK)
    first = story.ended["first"].name
    assert (worse.phase, worse.outputs["verdict"]) == ("Succeeded", "refused")
    assert "model-version" not in worse.outputs
    assert f"champion {first} by" in worse.outputs["message"]
    assert worse.outputs["message"].endswith("refused")
    assert worse.steps == {"validate", "train", "evaluate"}
    assert story.rollout["metadata"]["generation"] == before
    assert story.version == story.ended["better"].name
    assert story.registry().keys() == versions


def test_a_deployment_is_served_by_the_same_steps(story):
    """Its champion is what it carries; without canary steps the better candidate gets it whole."""
    template = story.rollout["spec"]["template"]
    template["spec"]["containers"][0]["env"][1]["value"] = story.ended["first"].name
    spec = {"replicas": 0, "selector": {"matchLabels": {"app": "whole"}}, "template": template}
    template["metadata"]["labels"] = {"app": "whole"}
    story.pack.kube.create(DEPLOYMENT, story.pack.namespace, named("whole", spec=spec))
    ended = story.retrain("whole", kind="Deployment", name="whole", container="main", **SUMMER_2012)
    assert (ended.phase, ended.outputs["verdict"]) == ("Succeeded", "promoted")
    assert f"champion {story.ended['first'].name} by" in ended.outputs["message"]
    found = story.pack.kube.get(DEPLOYMENT, story.pack.namespace, "whole")
    assert found["spec"]["template"]["spec"]["containers"][0]["env"][1]["value"] == ended.name
