"""manifests/samples and argo/ are what they say: accepted by the API server, and by modelmend."""

from __future__ import annotations

import os

from tests.e2e.serving import until
from tests.e2e_cluster.installing import PATIENCE, ROOT, modelmend

SAMPLES = ROOT / "manifests" / "samples"


def test_the_api_server_takes_them_as_they_are(kubectl, models, installed, tmp_path):
    """Every field is known and every value of its type; nothing is created."""
    wanted = {"resources": [os.path.relpath(SAMPLES, tmp_path)], "namespace": models}
    (tmp_path / "kustomization.yaml").write_text(str(wanted))
    said = kubectl("apply", f"--kustomize={tmp_path}", "--dry-run=server", "--validate=strict")
    for name in ("workflowtemplate.argoproj.io/retrain-model", "model.modelmend.io/bikes"):
        assert f"{name} created (server dry run)" in said
    for file in ("rollout.yaml", "first-version.yaml"):
        document = (SAMPLES / file).read_text().replace("namespace: ml\n", f"namespace: {models}\n")
        kubectl("create", "--filename=-", "--dry-run=server", "--validate=strict", stdin=document)


def test_an_installation_accepts_their_policies_and_says_so(kubectl, models, installed):
    """It finds them by its ClusterRole and writes their status by the namespace's Role."""
    for file in ("model.yaml", "policies.yaml"):
        kubectl("apply", f"--namespace={models}", f"--filename={SAMPLES / file}")

    def accepted():
        found = kubectl.list("remediationpolicies,models", f"--namespace={models}")
        said = [each.get("status", {}).get("conditions", []) for each in found]
        return [[(one["type"], one["status"]) for one in conditions] for conditions in said] == [
            [("Accepted", "True")]
        ] * 3

    until(accepted, "the status of two policies and a model", PATIENCE)


def test_what_they_name_is_there(kubectl, models, installed, tmp_path):
    """Templates, parameters and the serving object: `modelmend check --live` has nothing to say."""
    wanted = {"resources": [os.path.relpath(ROOT / "argo", tmp_path)], "namespace": models}
    (tmp_path / "kustomization.yaml").write_text(str(wanted))
    kubectl("apply", f"--kustomize={tmp_path}")
    rollout = (SAMPLES / "rollout.yaml").read_text()
    changes = {'value: ""': "value: bikes-1", "replicas: 4": "replicas: 0", "namespace: ml\n": f"namespace: {models}\n"}
    for was, becomes in changes.items():
        rollout = rollout.replace(was, becomes)
    kubectl.apply(rollout, namespace=models)
    rendered = kubectl("kustomize", SAMPLES).replace("namespace: ml\n", f"namespace: {models}\n")
    documents = tmp_path / "documents.yaml"
    documents.write_text(
        "\n---\n".join(
            part for part in rendered.split("\n---\n") if "\nkind: Remed" in part or "\nkind: Model\n" in part
        )
    )
    checked = modelmend("check", "--live", documents, KUBECONFIG=str(kubectl.kubeconfig))
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "good: 2 policies, 1 models\n", "")
