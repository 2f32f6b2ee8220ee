"""`modelmend check --live` against the cluster."""

from __future__ import annotations

import json
import subprocess
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from controller.actions import rollout
from controller.cli import main
from controller.kube import ANALYSIS_TEMPLATE, CRON_JOB, DEPLOYMENT, ROLLOUT, WORKFLOW, WORKFLOW_TEMPLATE, Kind, Kube
from controller.live import GIT_PARAMETERS
from controller.remediation import Intent
from tests.cluster import cluster

pytestmark = pytest.mark.cluster

NAMESPACE = Kind("", "v1", "namespaces", namespaced=False, name="Namespace")
POD = {"metadata": {"labels": {"app": "salary"}}, "spec": {"containers": [{"name": "main", "image": "reg/salary:v4"}]}}
SERVING = {"replicas": 0, "selector": {"matchLabels": {"app": "salary"}}, "template": POD}

Check = Callable[..., list[str]]


@pytest.fixture(scope="module")
def kube() -> Iterator[Kube]:
    """The administrator's connection."""
    kube = Kube.connect(cluster.current().kubeconfig)
    yield kube
    kube.close()


@pytest.fixture(scope="module")
def namespace(kube: Kube) -> Iterator[str]:
    """A namespace with templates, a CronJob, a Rollout, a Rollout that Argo CD keeps, and a Deployment."""
    name = f"t-live-{uuid.uuid4().hex[:8]}"
    kube.create(NAMESPACE, None, {"metadata": {"name": name}})
    template = {
        "entrypoint": "main",
        "arguments": {"parameters": [{"name": "model"}, {"name": "reason", "value": "none"}]},
        "templates": [{"name": "main", "suspend": {}}],
    }
    job = {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "train", "image": "i"}]}}}
    cron = {"schedule": "0 3 * * *", "suspend": True, "jobTemplate": {"spec": job}}
    kube.create(WORKFLOW_TEMPLATE, name, {"metadata": {"name": "retrain-model"}, "spec": template})
    rate = {"metrics": [{"name": "rate", "provider": {"web": {"url": "http://x", "jsonPath": "{$.a}"}}}]}
    kube.create(ANALYSIS_TEMPLATE, name, {"metadata": {"name": "rate"}, "spec": rate})
    kube.create(CRON_JOB, name, {"metadata": {"name": "nightly"}, "spec": cron})
    kube.create(ROLLOUT, name, {"metadata": {"name": "salary"}, "spec": SERVING | {"strategy": {"canary": {}}}})
    tracked = {"name": "tracked", "annotations": {"argocd.argoproj.io/tracking-id": "app:argoproj.io/Rollout:x/y"}}
    kube.create(ROLLOUT, name, {"metadata": tracked, "spec": SERVING | {"strategy": {"canary": {}}}})
    kube.create(DEPLOYMENT, name, {"metadata": {"name": "salary"}, "spec": SERVING})
    yield name
    kube.delete(NAMESPACE, None, name)


@pytest.fixture
def check(namespace: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Check:
    """What the command says of documents in the namespace, without file and document's name."""

    def check(*documents: dict[str, Any], kubeconfig: Path | None = None) -> list[str]:
        text = "---\n".join(
            json.dumps({**document, "metadata": {"name": document["kind"].lower(), "namespace": namespace}}) + "\n"
            for document in documents
        )
        (tmp_path / "set.yaml").write_text(text)
        reached = ["--kubeconfig", str(kubeconfig or cluster.current().kubeconfig)]
        code = main(["check", "--live", *reached, "--output", "json", str(tmp_path / "set.yaml")])
        told = json.loads(capsys.readouterr().out)
        assert (code, told["ok"]) == ((2, False) if told["problems"] else (0, True))
        return [problem.partition('": ')[2].replace(namespace, "NS") for problem in told["problems"]]

    return check


def policy(**action: Any) -> dict[str, Any]:
    """A policy of one step, for every model."""
    spec = {
        "models": {"names": ["*"]},
        "triggers": [{"type": "ml.performance.degraded"}],
        "steps": [{"name": "step", "verify": "none", **action}],
    }
    return {"kind": "RemediationPolicy", "spec": spec}


def model(serving: dict[str, Any], **spec: Any) -> dict[str, Any]:
    """A Model that is served so."""
    return {"kind": "Model", "spec": {"serving": serving, **spec}}


def retrain(**parameters: str) -> dict[str, Any]:
    """A step with the template that is there."""
    return policy(workflow={"workflowTemplateRef": {"name": "retrain-model"}, "parameters": parameters})


PLACE = {"in": "image", "name": "reg/salary:{version}", "container": None}
TAG = {"image": "reg/salary:{version}"}
SALARY = {"kind": "Rollout", "name": "salary", "version": TAG}
TRACKED = {"kind": "Rollout", "name": "tracked", "version": TAG}
BY_GIT = {"workflowTemplateRef": {"name": "retrain-model"}, "parameters": {"model": "m"}}


@pytest.mark.parametrize(
    ("documents", "problems"),
    [
        ([retrain(model="m")], []),
        ([retrain(model="m", reason="drift")], []),
        ([policy(job={"cronJobRef": {"name": "nightly"}})], []),
        ([policy(rollout={"pause": True}, verify=[{"analysis": {"templateName": "rate"}}])], []),
        (
            [policy(rollout={"pause": True}, verify=[{"analysis": {"templateName": "gone"}}])],
            [
                "spec.steps[0].verify[0].analysis.templateName: there is no AnalysisTemplate NS/gone in the cluster",
            ],
        ),
        ([policy(rollout={"to": "v5"}), model(SALARY)], []),
        ([policy(rollout={"abort": "canary"}), model(TRACKED)], []),  # only the status
        ([policy(rollout={"to": "v5"}), model(TRACKED, gitops="ignored")], []),
        ([policy(rollout={"to": "v5"}), model(TRACKED, gitops=BY_GIT)], []),
        ([model({"kind": "Deployment", "name": "salary", "version": TAG})], []),
        ([model({"kind": "Deployment", "name": "salary"})], []),
        (
            [policy(workflow={"workflowTemplateRef": {"name": "gone"}})],
            ["spec.steps[0].workflow.workflowTemplateRef: there is no WorkflowTemplate NS/gone in the cluster"],
        ),
        (
            [retrain(modle="m")],
            [
                'spec.steps[0].workflow.parameters.modle: WorkflowTemplate NS/retrain-model has no such parameter, did you mean "model"?',
                'spec.steps[0].workflow.parameters: want "model", which WorkflowTemplate NS/retrain-model has no value for',
            ],
        ),
        (
            [policy(job={"cronJobRef": {"name": "weekly"}})],
            ["spec.steps[0].job.cronJobRef: there is no CronJob NS/weekly in the cluster"],
        ),
        (
            [model({"kind": "Deployment", "name": "tracked"})],
            ["spec.serving: there is no Deployment NS/tracked in the cluster"],
        ),
        (
            [model({"kind": "Rollout", "name": "salary", "version": {"env": "VERSION", "container": "main"}})],
            ["spec.serving.version: Rollout NS/salary carries no version in env VERSION of container main"],
        ),
        (
            [model({"kind": "Rollout", "name": "salary", "version": {"label": "app"}})],
            ["spec.serving.version.label: want one that may change, the selector of Rollout NS/salary asks for app"],
        ),
        (
            [policy(rollout={"restart": True}), model(TRACKED)],
            [
                "spec.steps[0].rollout.restart: target_managed: Argo CD sets the spec of Rollout NS/tracked and would undo the change: say how by `gitops` in Model NS/model",
            ],
        ),
        (
            [policy(rollout={"pause": True}), model(TRACKED, gitops=BY_GIT)],
            [
                "spec.steps[0].rollout.pause: target_managed: Model NS/model has Git set Rollout NS/tracked, to versions only"
            ],
        ),
        (
            [model(SALARY, gitops={"workflowTemplateRef": {"name": "git-set-version"}})],
            ["spec.gitops.workflowTemplateRef: there is no WorkflowTemplate NS/git-set-version in the cluster"],
        ),
    ],
)  # fmt: skip
def test_what_the_cluster_lacks_is_told(check: Check, documents: list[dict[str, Any]], problems: list[str]) -> None:
    """Templates, parameters, CronJobs, serving objects, versions and who manages them are asked of the cluster."""
    assert check(*documents) == problems


def test_what_comes_by_itself_is_what_the_action_gives(kube: Kube, namespace: str) -> None:
    """A Workflow that sets a version by Git gets the Model's parameters and those that the check takes as given."""
    order = {
        "do": "to",
        "promote": None,
        "to": "v5",
        "about": None,
        "serving": SALARY | {"version": PLACE},
        "gitops": {"template": "retrain-model", "parameters": {"model": "m"}},
        "timeout": 60.0,
        "model": f"{namespace}/salary",
    }
    intent = Intent("i-1", "r-live", 0, 1, "rollout", "r-live-0-1", order)
    rollout.ensure(kube, intent, lambda end_state, version: None, inherited=False, now=datetime.now(UTC))
    made = kube.get(WORKFLOW, namespace, "r-live-0-1")
    assert made is not None
    assert {each["name"] for each in made["spec"]["arguments"]["parameters"]} == {"model", *GIT_PARAMETERS}


def test_what_may_not_be_asked_is_told(check: Check, kube: Kube, namespace: str, tmp_path: Path) -> None:
    """A missing right is a problem with its name, not silence."""
    account = Kind("", "v1", "serviceaccounts", namespaced=True, name="ServiceAccount")
    kube.create(account, namespace, {"metadata": {"name": "nobody"}})
    current = cluster.current()
    found = check(retrain(model="m"), kubeconfig=as_account(current, namespace, tmp_path / "nobody"))
    assert len(found) == 1
    assert found[0].startswith(
        "spec.steps[0].workflow.workflowTemplateRef: whether there is a WorkflowTemplate NS/retrain-model cannot be told: "
    )
    assert "forbidden" in found[0]


def test_a_cluster_that_does_not_answer_is_no_answer(
    check: Check, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where nobody listens, the command says so and exits 2, and calls nothing good."""
    config = json.loads(json.dumps(KUBECONFIG).replace("SERVER", "https://127.0.0.1:9"))
    (tmp_path / "away").write_text(json.dumps(config))
    (tmp_path / "set.yaml").write_text(json.dumps({**retrain(), "metadata": {"name": "p"}}))
    assert main(["check", "--live", "--kubeconfig", str(tmp_path / "away"), str(tmp_path / "set.yaml")]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("modelmend: ")


KUBECONFIG = {
    "apiVersion": "v1",
    "kind": "Config",
    "clusters": [{"name": "c", "cluster": {"server": "SERVER"}}],
    "users": [{"name": "u", "user": {"token": "t"}}],
    "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
    "current-context": "x",
}


def as_account(current: cluster.Cluster, namespace: str, file: Path) -> Path:
    """A kubeconfig of the service account `nobody`."""
    argv = [str(current.kubectl), "create", "token", "nobody", "--namespace", namespace]
    token = subprocess.run(argv, env=current.environment, check=True, capture_output=True, text=True).stdout
    config = yaml.safe_load(current.kubeconfig.read_text())
    config["users"] = [{"name": user["name"], "user": {"token": token}} for user in config["users"]]
    file.write_text(json.dumps(config))
    return file
