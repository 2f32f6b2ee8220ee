"""What a person sees who applies documents with kubectl."""

import re

import pytest

from tests.e2e.serving import Served, until
from tests.integration.cluster.documents.conftest import in_force, policy

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def served(tmp_path_factory, kubeconfig, _definitions):
    """One server for all: each test has a namespace of its own."""
    server = Served(tmp_path_factory.mktemp("served"), "", kubernetes=True, kubeconfig=str(kubeconfig))
    server.start()
    yield server
    server.close()


def shown(documents, kind: str) -> list[dict[str, str]]:
    """The table of `kubectl get`, a row for each object."""
    got = documents.kubectl("get", kind, "-n", documents.namespace)
    assert got.returncode == 0, got.stderr
    head, *lines = got.stdout.splitlines()
    columns = [(found[0], found.start(), found.end()) for found in re.finditer(r"\S+ *", head)]
    return [{name.strip(): line[start:end].strip() for name, start, end in columns} for line in lines]


def test_status_says_whether_a_policy_is_in_force(documents, served):
    """A good policy is Accepted and decides; a bad one is not, with every message of `check`, until it is corrected."""
    documents.write(policy("good"), policy("bad", when="data.driftScore >", unles=[{"type": "ml.data.quality.failed"}]))
    good, bad = documents.becomes("policy", "good", "True"), documents.becomes("policy", "bad", "False")
    assert (good["reason"], good["message"]) == ("Accepted", "in force")
    assert bad["reason"] == "Refused"
    assert 'spec.unles: unknown key, did you mean "unless"?' in bad["message"]
    assert "spec.triggers[0].when: syntax error" in bad["message"]
    assert list(in_force(served, documents.namespace)) == ["good"]

    documents.write(policy("bad"))
    corrected = documents.becomes("policy", "bad", "True")
    assert corrected["lastTransitionTime"] >= bad["lastTransitionTime"]
    until(lambda: list(in_force(served, documents.namespace)) == ["bad", "good"], "both to be in force")


def test_a_good_text_stays_in_force_until_a_better_one_comes(documents, served):
    """A refused change leaves the text before in force, and status has its digest; deleting the policy ends it."""
    documents.write(policy())
    documents.becomes("policy", "look", "True")
    before = served.items("policies")
    documents.write(policy(when="data.driftScore > 0.3 &&"))
    documents.becomes("policy", "look", "False")
    (item,) = [item for item in served.items("policies") if item["namespace"] == documents.namespace]
    assert item in before
    status = documents.status("policy", "look")
    assert (status["inForce"], status["mode"]) == (item["digest"], "enforce")
    assert documents.namespace in " ".join(served.get("policies")["refused"])

    documents.write(policy(when="data.driftScore > 0.4"))
    documents.becomes("policy", "look", "True")
    assert "inForce" not in documents.status("policy", "look")
    assert "0.4" in str(in_force(served, documents.namespace))
    documents.delete("policy", "look")
    until(lambda: in_force(served, documents.namespace) == {}, "the deleted policy to be out of force")


def test_kubectl_get_tells_what_matters(documents, served):
    """The columns of `kubectl get` say mode, severity, acceptance and the newest decision; of models their phase."""
    model = (
        "apiVersion: modelmend.io/v1alpha1\nkind: Model\nmetadata: {name: salary, labels: {tier: prod, empty: ''}}\n"
    )
    documents.write(policy(severity="P1"), policy("off", limits={"budget": {"max": 1, "within": "0s"}}), model)
    documents.becomes("policy", "look", "True")
    documents.becomes("policy", "off", "False")
    documents.becomes("model", "salary", "True")
    look, off = sorted(shown(documents, "remediationpolicies"), key=lambda row: row["NAME"])
    assert (look["MODE"], look["SEVERITY"], look["ACCEPTED"]) == ("enforce", "P1", "True")
    assert off["NAME"] == "off"
    (salary,) = shown(documents, "mdl")
    assert salary["NAME"] == "salary"
    assert {"PHASE", "VERSION", "REMEDIATION", "ACCEPTED", "AGE"} <= salary.keys()
    everything = documents.kubectl("get", "modelmend", "-n", documents.namespace, "-o", "name").stdout.split()
    assert len(everything) == 3
    labels = next(item for item in served.items("models") if item["namespace"] == documents.namespace)["labels"]
    assert labels == {"tier": "prod", "empty": ""}


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("remediationpolicy.spec.limits", ["cooldown", "Least time from the end of one changing remediation", "Default: 24h."]),
        ("rp.spec.steps.workflow.workflowTemplateRef", ["name\t<string> -required-"]),
        ("rp.spec.steps.verify", ["promoted", "Default: 5s (rollout), 1m (command),"]),
        ("models.modelmend.io.spec.serving.version", ["{version}", "container"]),
        ("defaults.spec.timeout", ["workflow", "Default: 6h."]),
    ],
)  # fmt: skip
def test_kubectl_explains_every_key(documents, path, words):
    """`kubectl explain` has the sentence, the default and the words of a key."""
    told = documents.kubectl("explain", path)
    assert told.returncode == 0, told.stderr
    text = told.stdout
    for word in words:
        assert word in text or word in " ".join(text.split())


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"limits": {"cooldown": 5}}, "spec.limits.cooldown"),
        ({"limits": {"cooldown": "5 minutes"}}, "spec.limits.cooldown"),
        ({"mode": "enforced"}, 'supported values: "audit", "approve", "enforce"'),
        ({"steps": []}, "spec.steps"),
    ],
)
def test_what_a_schema_can_tell_is_refused_at_once(documents, spec, message):
    """A wrong type, duration or word never gets into the cluster: `kubectl apply` says why."""
    applied = documents.apply(policy(**spec))
    assert applied.returncode == 1
    assert message in applied.stderr


def test_no_key_is_dropped_on_the_way(documents):
    """Keys that nobody knows are kept at every level, so that a mistyped guard is refused and not forgotten."""
    step = {"name": "page", "page": {"reciever": "x"}, "verfy": "none"}
    documents.write(
        policy(limits={"cooldwn": "1h", "budget": {"mx": 1, "max": 1, "within": "1d"}}, steps=[step], unles=[])
    )
    spec = documents.object("policy", "look")["spec"]
    assert spec["unles"] == []
    assert spec["limits"] == {"cooldwn": "1h", "budget": {"mx": 1, "max": 1, "within": "1d"}}
    assert spec["steps"] == [step]


def test_a_document_in_a_file_and_in_the_cluster_is_in_force_for_neither(documents, installation):
    """A policy of one name in both places is refused; its text of before, from the file, stays in force."""
    served = installation(
        policy().replace('"name": "look"}', f'"name": "look", "namespace": "{documents.namespace}"}}', 1)
    )
    served.start()
    assert "0.3" in str(in_force(served, documents.namespace))
    documents.write(policy(when="data.driftScore > 0.9"))
    refused = documents.becomes("policy", "look", "False")
    assert "stands twice, first in" in refused["message"]
    assert "0.3" in str(in_force(served, documents.namespace))


def test_defaults_in_the_cluster_hold_for_its_policies(documents, served):
    """A Defaults object changes what its namespace's policies fall back to; a second one is refused by name."""
    spec = {"severity": "P4"}
    text = "apiVersion: modelmend.io/v1alpha1\nkind: Defaults\nmetadata: {{name: {}}}\nspec: {{severity: {}}}\n"
    documents.write(policy(mode="audit"), text.format("first", spec["severity"]))
    documents.becomes("defaults", "first", "True")
    documents.becomes("policy", "look", "True")
    until(lambda: documents.status("policy", "look").get("severity") == "P4", "the default severity")
    documents.write(text.format("second", "P1"))
    refused = documents.becomes("defaults", "second", "False")
    assert "want one Defaults in a namespace" in refused["message"]
    assert documents.accepted("defaults", "first")["status"] == "True"
    assert documents.status("policy", "look")["severity"] == "P4"
