"""What documents say of what was decided and done."""

import json

import pytest

from controller.kube import DEPLOYMENT
from tests.e2e.serving import drift, until
from tests.integration.cluster.conftest import eventually, with_token
from tests.integration.cluster.documents.conftest import in_force, policy

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]

MODEL = "modelmend.io/v1alpha1"


def model(name: str, **spec) -> str:
    return json.dumps({"apiVersion": MODEL, "kind": "Model", "metadata": {"name": name}, "spec": spec}) + "\n"


def deployment(name: str, image: str) -> dict:
    """A Deployment without pods: what it asks for is all that is read."""
    labels = {"app": name}
    containers = [{"name": "main", "image": image}]
    template = {"metadata": {"labels": labels}, "spec": {"containers": containers}}
    return {
        "metadata": {"name": name},
        "spec": {"replicas": 0, "selector": {"matchLabels": labels}, "template": template},
    }


def test_documents_tell_the_newest_decision_and_remediation(documents, installation, kube):
    """A policy's status has its newest decision, a model's its newest remediation and the version that it serves."""
    place = {"kind": "Deployment", "name": "salary", "version": {"image": "reg/salary:{version}"}}
    kube.create(DEPLOYMENT, documents.namespace, deployment("salary", "reg/salary:v5"))
    documents.write(policy(), model("salary", serving=place), model("idle"))
    served = installation()
    served.start()
    documents.becomes("model", "salary", "True")
    until(lambda: documents.status("model", "salary").get("version") == "v5", "the version")
    assert documents.status("model", "idle")["phase"] == "Idle"
    assert "version" not in documents.status("model", "idle")

    data = {"model": "salary", "namespace": documents.namespace, "driftScore": 0.44}
    served.post(drift("d-1", data=data))
    last = eventually(lambda: documents.status("policy", "look").get("lastDecision"))
    assert (last["event"], last["model"]) == ("d-1", f"{documents.namespace}/salary")
    assert last["outcome"] in ("remediate", "suppress")
    story = until(lambda: documents.status("model", "salary").get("lastRemediation", {}).get("endedAt"), "its end")
    shown = documents.status("model", "salary")
    assert (shown["phase"], shown["lastRemediation"]["phase"]) == ("Idle", "Escalated")
    assert shown["lastRemediation"]["policy"] == f"{documents.namespace}/look"
    (remediation,) = [item for item in served.items("remediations") if item["namespace"] == documents.namespace][-1:]
    assert shown["lastRemediation"]["id"] == remediation["id"]
    assert story[:19] == remediation["endedAt"][:19]

    served.post(drift("d-2", data=data | {"driftScore": 0.1}))
    until(lambda: documents.status("policy", "look")["lastDecision"]["event"] == "d-2", "the newer decision")
    last = documents.status("policy", "look")["lastDecision"]
    assert (last["outcome"], last["reason"]) == ("suppress", "condition_false")
    assert "remediation" not in last

    patch = {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "reg/salary:v6"}]}}}}
    kube.patch(DEPLOYMENT, documents.namespace, "salary", patch)
    until(lambda: documents.status("model", "salary").get("version") == "v6", "the new version")
    assert served.terminate() == 0


def test_statuses_are_written_only_when_they_differ(documents, installation, kube):
    """A server that starts and finds everything said already writes nothing."""
    documents.write(policy(), model("salary"))
    first = installation()
    first.start()
    documents.becomes("policy", "look", "True")
    documents.becomes("model", "salary", "True")
    assert first.terminate() == 0
    before = [documents.object("policy", "look"), documents.object("model", "salary")]
    second = installation()
    second.start()
    documents.write(policy("later"))
    documents.becomes("policy", "later", "True")
    assert [documents.object("policy", "look"), documents.object("model", "salary")] == before


def test_a_status_that_may_not_be_written_is_said_once(documents, installation, kubectl, kubeconfig, tmp_path):
    """Without the right to write status policies are in force all the same; each document is named once in the log."""
    name = documents.namespace
    kinds = ("remediationpolicies", "models", "defaults", "freezes")
    resources = ",".join(f"{kind}.modelmend.io" for kind in kinds)
    for arguments in (
        ("create", "serviceaccount", "reader", "-n", name),
        ("create", "clusterrole", name, "--verb=get,list,watch", f"--resource={resources}"),
        ("create", "clusterrolebinding", name, f"--clusterrole={name}", f"--serviceaccount={name}:reader"),
    ):
        assert kubectl(*arguments).returncode == 0
    try:
        token = kubectl("create", "token", "reader", "-n", name).stdout.strip()
        documents.write(policy())
        served = installation(kubeconfig=str(with_token(kubeconfig, token, tmp_path / "reader")))
        served.start()
        said = f"the status of RemediationPolicy {name}/look cannot be written"
        until(lambda: said in served.log.read_text(), "the refusal in the log")
        documents.write(policy(when="data.driftScore > 0.7"))
        until(lambda: "0.7" in str(in_force(served, name)), "the change to be in force")
        documents.write(policy("next"))
        until(lambda: f"{name}/next cannot be written" in served.log.read_text(), "the next refusal")
        assert served.log.read_text().count(said) == 1
        assert served.metric('modelmend_kube_requests_total{code="403",verb="patch"}') >= 2
    finally:
        for kind in ("clusterrolebinding", "clusterrole"):
            kubectl("delete", kind, name)
