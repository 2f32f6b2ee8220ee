"""The whole of it, in its order: modelmend from its own image mends a model that is really trained, served and measured.

Detectors are played by the test, which posts their events to the Service; everything else is what a user has:
`kubectl apply -k` of modelmend and of argo/, policies and models by kubectl, pods that train and serve.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
import yaml

from controller.kube import ROLLOUT, WORKFLOW
from tests.e2e.serving import until
from tests.e2e_cluster.installing import PATIENCE, ROOT
from tests.integration.cluster.argo_pack import Pack, load

pytestmark = pytest.mark.timeout(900)

OLD = {"until": "2011-08-31", "train-weeks": "26"}
NEW = {"until": "2012-06-30", "train-weeks": "12"}
HASTY = {"until": "2012-06-30", "train-weeks": "1"}
PROVED = [{"rollout": "promoted", "within": "5m"}, {"resolved": {}, "settle": "0s", "for": "1s", "within": "5m"}]


def policy(name: str, trigger: dict[str, Any], workflow: dict[str, Any]) -> dict[str, Any]:
    """One that acts at once, with limits that a test does not meet."""
    return {
        "apiVersion": "modelmend.io/v1alpha1",
        "kind": "RemediationPolicy",
        "metadata": {"name": name},
        "spec": {
            "mode": "enforce",
            "models": {"names": ["bikes"]},
            "triggers": [trigger],
            "limits": {
                "cooldown": "1s",
                "budget": {"max": 9, "within": "7d"},
                "breaker": {"failures": 9, "within": "7d"},
            },
            "steps": [{"name": name, "workflow": workflow, "verify": PROVED}, {"name": "page", "page": {}}],
        },
    }


class Story:
    """A namespace with argo/, the sample Rollout with short pauses, a Model and three policies."""

    def __init__(self, installed: Any, kubectl: Any, pack: Pack) -> None:
        self.installed, self.kubectl, self.pack = installed, kubectl, pack
        kubectl(
            "apply", f"--namespace={pack.namespace}", f"--filename={ROOT / 'manifests/components/namespace/role.yaml'}"
        )
        kubectl("apply", f"--namespace={pack.namespace}", f"--filename={ROOT / 'manifests/samples/model.yaml'}")
        body = yaml.safe_load((ROOT / "manifests" / "samples" / "rollout.yaml").read_text())
        container = body["spec"]["template"]["spec"]["containers"][0]
        container["image"] = load("modelmend-retrain")
        container["readinessProbe"]["periodSeconds"] = 1
        body["spec"]["replicas"] = 2
        body["spec"]["strategy"]["canary"]["steps"] = [{"setWeight": 50}, {"pause": {"duration": "2s"}}]
        pack.kube.create(ROLLOUT, pack.namespace, body)
        self.first = pack.run("retrain-model", model="bikes", timeout="3m", **OLD).name
        drifted = {
            "name": "psi",
            "type": "ml.data.drift.detected",
            "require": [{"type": "ml.performance.degraded", "within": "72h"}],
        }
        retrain = {"workflowTemplateRef": {"name": "retrain-model"}, "timeout": "1h"}
        asked = {"model": {"expr": "model.name"}, "reason": "drift", "timeout": "3m"}
        redeploy = {
            "workflowTemplateRef": {"name": "redeploy-model"},
            "parameters": {
                "name": {"expr": "model.name"},
                "version": self.first,
                "version-in": "env",
                "version-name": "MODEL_VERSION",
                "wait": "healthy",
                "timeout": "3m",
            },
        }
        kubectl.apply(
            policy("retrain", drifted | {"when": 'data.method == "psi"'}, retrain | {"parameters": asked | NEW}),
            policy("hasty", drifted | {"when": 'data.method == "ks"'}, retrain | {"parameters": asked | HASTY}),
            policy(
                "redeploy",
                {"name": "slow", "type": "ml.performance.degraded", "when": 'data.metric == "latency"'},
                redeploy,
            ),
            namespace=pack.namespace,
        )
        until(
            lambda: self.accepted() == {"retrain": "True", "hasty": "True", "redeploy": "True"},
            "policies in force",
            PATIENCE,
        )

    def accepted(self) -> dict[str, str]:
        """What the status of each policy says of it."""
        found = self.kubectl.get("remediationpolicies", f"--namespace={self.pack.namespace}")["items"]
        said = {each["metadata"]["name"]: each.get("status", {}).get("conditions", [{}])[0] for each in found}
        return {name: condition.get("status", "") for name, condition in said.items()}

    def post(self, kind: str, **data: Any) -> str:
        """Post an event of now; its id."""
        id_ = f"story-{uuid.uuid4().hex[:8]}"
        told = {"model": "bikes", "namespace": self.pack.namespace, **data}
        event = {
            "specversion": "1.0",
            "id": id_,
            "type": kind,
            "source": "urn:monitor",
            "time": datetime.now(UTC).isoformat(),
            "data": told,
        }
        answer = self.installed.post(event)
        assert answer.status_code == 202, answer.text
        return id_

    def remediation(self, policy: str, *phases: str) -> dict[str, Any]:
        """The newest remediation of a policy, once it is in one of these phases, with its transitions."""

        def there() -> dict[str, Any] | None:
            query = {"namespace": self.pack.namespace, "policy": f"{self.pack.namespace}/{policy}"}
            found = self.installed.ask("GET", "/api/v1/remediations", params=query).json()["items"]
            if not found or found[0]["phase"] not in phases:
                return None
            return dict(self.installed.ask("GET", f"/api/v1/remediations/{found[0]['id']}").json())

        try:
            return until(there, f"{policy} to be {' or '.join(phases)}", 300)
        except AssertionError as late:
            said = self.installed.ask("GET", "/api/v1/remediations", params={"namespace": self.pack.namespace}).text
            raise AssertionError(f"{late}\n{said}\n{self.installed.log()[-3000:]}") from late

    def workflows(self, remediation: dict[str, Any]) -> list[dict[str, Any]]:
        """The Workflows that a remediation has made."""
        return self.pack.kube.list(WORKFLOW, self.pack.namespace, {"modelmend.io/remediation": remediation["id"]})[0]

    @property
    def version(self) -> str:
        """What the Rollout's template asks for."""
        found = self.pack.kube.get(ROLLOUT, self.pack.namespace, "bikes")
        assert found is not None
        return str(found["spec"]["template"]["spec"]["containers"][0]["env"][1]["value"])

    def told(self, event: str) -> str:
        """What `modelmend explain` says of an event; printed, too."""
        said = self.installed.command("explain", event).stdout
        print(said)
        return said


@pytest.fixture(scope="module")
def story(installed, kubectl, kube, tmp_path_factory):
    load("modelmend-retrain")
    load("modelmend-redeploy")
    pack = Pack(kube, tmp_path_factory.mktemp("argo"))
    try:
        yield Story(installed, kubectl, pack)
    finally:
        pack.remove()


def trail(remediation):
    return [f"{row['to']} {row['reason']}" for row in remediation["transitions"]]


def test_drift_that_costs_is_answered_by_a_training_that_is_proved_to_help(story):
    """Drift alone waits for what it costs; with it, one Workflow really trains, its canary takes over, and the end is proved."""
    drift = story.post("ml.data.drift.detected", method="psi", driftScore=0.4)
    until(lambda: "uncorroborated" in story.told(drift), "the answer to drift alone", 60)
    story.post("ml.performance.degraded", metric="mae", value=90.0)
    running = story.remediation("retrain", "Running", "Verifying")
    verifying = story.remediation("retrain", "Verifying")
    (workflow,) = story.workflows(running)
    assert workflow["status"]["phase"] == "Succeeded"
    assert story.version == workflow["metadata"]["name"] != story.first
    until(
        lambda: len([r for r in trail(story.remediation("retrain", "Verifying")) if r == "Verifying verified"]) == 1,
        "the rollout to be promoted",
        120,
    )
    story.post("ml.data.drift.resolved", method="psi")
    story.post("ml.performance.recovered", metric="mae")
    mended = story.remediation("retrain", "Succeeded", "Escalated", "Failed")
    assert trail(mended) == [
        "Pending decided",
        "Running started",
        "Verifying action_done",
        "Verifying verified",
        "Succeeded recovered",
    ]
    assert (mended["verdict"], mended["id"]) == ("recovered", verifying["id"])
    said = story.told(drift)
    assert "helped, and that is verified" in said
    assert f"all traffic is on {story.version}" in said


def test_a_candidate_that_is_worse_is_refused_and_the_ladder_goes_on(story):
    """The Workflow itself refuses what one week has taught; nothing is deployed, and people are told."""
    before = story.version
    story.post("ml.performance.degraded", metric="mae", value=90.0)
    drift = story.post("ml.data.drift.detected", method="ks", driftScore=0.4)
    refused = story.remediation("hasty", "Escalated", "Succeeded", "Failed")
    assert trail(refused) == ["Pending decided", "Running started", "Pending action_failed", "Escalated paged"]
    values = next(row["values"] for row in refused["transitions"] if row["reason"] == "action_failed")
    assert values["reason"] == "candidate_refused"
    assert len(story.workflows(refused)) == 1
    assert story.version == before
    assert "refused" in story.told(drift)
    story.post("ml.data.drift.resolved", method="ks")
    story.post("ml.performance.recovered", metric="mae")


def test_degradation_is_answered_by_deploy_py(story):
    """One Workflow with one pod, which runs deploy.py: the Rollout takes the version, and the end is proved."""
    slow = story.post("ml.performance.degraded", metric="latency", value=3.0)
    verifying = story.remediation("redeploy", "Verifying")
    (workflow,) = story.workflows(verifying)
    pods = [node for node in workflow["status"]["nodes"].values() if node["type"] == "Pod"]
    assert [node["templateName"] for node in pods] == ["deploy"]
    assert story.version == story.first
    until(
        lambda: "Verifying verified" in trail(story.remediation("redeploy", "Verifying")),
        "the rollout to be promoted",
        120,
    )
    story.post("ml.performance.recovered", metric="latency")
    mended = story.remediation("redeploy", "Succeeded", "Escalated", "Failed")
    assert trail(mended)[-1] == "Succeeded recovered"
    assert "helped, and that is verified" in story.told(slow)


def test_kubectl_shows_what_was_done(story, kubectl):
    """A policy's last decision, a model's version and last remediation stand in their status."""

    def shown() -> bool:
        status = kubectl.get("model", "bikes", f"--namespace={story.pack.namespace}").get("status", {})
        return status.get("version") == story.version and status.get("lastRemediation", {}).get("phase") == "Succeeded"

    until(shown, "the status of the model", 90)
    said = kubectl.get("remediationpolicy", "redeploy", f"--namespace={story.pack.namespace}")["status"]
    assert said["lastDecision"]["outcome"] == "remediate"


def test_a_bad_policy_is_refused_with_its_message_in_its_status(story, kubectl):
    """And the good text before stays in force."""
    bad = policy(
        "redeploy",
        {"name": "slow", "type": "ml.performance.degraded", "when": "data.metric =="},
        {"workflowTemplateRef": {"name": "redeploy-model"}},
    )
    kubectl.apply(bad, namespace=story.pack.namespace)
    until(lambda: story.accepted()["redeploy"] == "False", "its refusal", 60)
    found = kubectl.get("remediationpolicy", "redeploy", f"--namespace={story.pack.namespace}")
    assert "spec.triggers[0].when: syntax error" in found["status"]["conditions"][0]["message"]
