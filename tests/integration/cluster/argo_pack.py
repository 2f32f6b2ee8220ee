"""The templates of argo/ in a namespace: images built and loaded, everything applied as a user would."""

import json
import os
import shutil
import subprocess
import time
import uuid
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from controller.kube import WORKFLOW, Kind, Kube
from tests.cluster import building, cluster
from tests.integration.cluster.conftest import eventually, named

ROOT = Path(__file__).parents[3]
ARGO = ROOT / "argo"
IMAGES = {"modelmend-redeploy": "steps", "modelmend-retrain": "retrain", "modelmend-git-set-version": "git"}
"""Each image, and the folder of its Dockerfile."""
TEMPLATES = ("redeploy-model", "retrain-model", "git-set-version")

RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}
"""The namespaces of these tests take no other pods."""
NAMESPACE = Kind("", "v1", "namespaces", namespaced=False, name="Namespace")
POD = Kind("", "v1", "pods", namespaced=True, name="Pod")


@cache
def load(name: str) -> str:
    """Have the cluster hold an image of IMAGES; what it is called there."""
    tag = f"localhost/{name}:test"
    cluster.current().load(building.build(tag, ARGO, ARGO / IMAGES[name] / "Dockerfile"))
    return tag


def kubectl(*arguments: str | Path) -> str:
    """As the administrator."""
    here = cluster.current()
    command = [here.kubectl, *arguments]
    done = subprocess.run(command, env=here.environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def apply(folder: Path, namespace: str) -> None:
    """`kubectl apply -k` of an overlay, written in `folder` as argo/README.md tells a user to write it."""
    shutil.copy(ARGO / "images.yaml", folder)
    overlay = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": namespace,
        "resources": [os.path.relpath(ARGO, folder.resolve())],
        "configurations": ["images.yaml"],
        "images": [{"name": name, "newName": f"localhost/{name}", "newTag": "test"} for name in IMAGES],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    kubectl("apply", "--kustomize", folder)


class Pack:
    """argo/ in a namespace of its own."""

    def __init__(self, kube: Kube, folder: Path) -> None:
        self.kube = kube
        self.namespace = f"t-argo-{uuid.uuid4().hex[:8]}"
        kube.create(NAMESPACE, None, {"metadata": {"name": self.namespace, "labels": RESTRICTED}})
        try:
            apply(folder, self.namespace)
            for template in TEMPLATES:
                eventually(lambda template=template: self._known(template))
        except BaseException:
            self.remove()
            raise

    def remove(self) -> None:
        """Leave nothing behind."""
        kubectl("delete", "namespace", self.namespace)
        cluster.current().renew_disks()

    def _known(self, template: str) -> bool:
        """Whether Argo's controller has seen the template: it reads from a cache that lags behind on a busy machine."""
        name = f"known-{uuid.uuid4().hex[:8]}"
        spec = {"workflowTemplateRef": {"name": template}, "suspend": True}
        self.kube.create(WORKFLOW, self.namespace, named(name, spec=spec))
        status = eventually(lambda: self.workflow(name).get("status"))
        self.kube.delete(WORKFLOW, self.namespace, name)
        return "not found" not in status.get("message", "")

    def start(self, template: str, **parameters: str) -> str:
        """Create a Workflow, as modelmend does; its name. `train_weeks` is the parameter `train-weeks`."""
        name = f"r-{uuid.uuid4().hex[:8]}-0-1"
        given = [{"name": key.replace("_", "-"), "value": value} for key, value in parameters.items()]
        spec = {"workflowTemplateRef": {"name": template}, "arguments": {"parameters": given}}
        self.kube.create(WORKFLOW, self.namespace, named(name, spec=spec))
        return name

    def workflow(self, name: str) -> dict[str, Any]:
        """A Workflow as it is now."""
        found = self.kube.get(WORKFLOW, self.namespace, name)
        assert found is not None
        return found

    def end(self, name: str, seconds: float = 180.0) -> "Ended":
        """Wait until a Workflow has ended."""

        def ended() -> Ended | None:
            found = Ended(self.workflow(name))
            return found if found.phase in ("Succeeded", "Failed", "Error") else None

        return eventually(ended, seconds)

    def run(self, template: str, **parameters: str) -> "Ended":
        """Start one, and wait for its end."""
        began = time.monotonic()
        ended = self.end(self.start(template, **parameters))
        print(f"{template} {parameters}: {ended.phase} in {time.monotonic() - began:.1f} s; {json.dumps(ended.took)}")
        return ended


class Ended:
    """What a Workflow has come to."""

    def __init__(self, workflow: dict[str, Any]) -> None:
        status = workflow.get("status") or {}
        self.name = workflow["metadata"]["name"]
        self.phase = status.get("phase", "")
        self.outputs = {
            each["name"]: each["value"]
            for each in (status.get("outputs") or {}).get("parameters") or ()
            if "value" in each
        }
        self._pods = [node for node in (status.get("nodes") or {}).values() if node["type"] == "Pod"]

    @property
    def messages(self) -> dict[str, str]:
        """What each step's pod said that failed, by template."""
        return {node["templateName"]: node.get("message", "") for node in self._pods if node["phase"] != "Succeeded"}

    @property
    def took(self) -> dict[str, str]:
        """From when to when each pod ran, by template."""
        return {
            node["templateName"]: f"{node['startedAt'][-6:-1]}-{(node['finishedAt'] or '')[-6:-1]}"
            for node in self._pods
        }

    @property
    def steps(self) -> set[str]:
        """The templates whose pods were made."""
        return {node["templateName"] for node in self._pods}
