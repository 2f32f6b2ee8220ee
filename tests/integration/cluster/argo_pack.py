"""The templates of argo/ in a namespace: images built and loaded, everything applied as a user would."""

import os
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.cluster import argo, building, cluster

HERE = Path(building.__file__).parents[2] / "argo"
IMAGES = {
    "modelmend-redeploy": "steps",
    "modelmend-retrain": "retrain",
    "modelmend-git-set-version": "git",
}
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}
"""The namespaces of these tests take no other pods."""


def image(name: str) -> str:
    """The name of an image in the tests."""
    return f"localhost/{name}:test"


@cache
def load(name: str) -> str:
    """Have the cluster hold an image of IMAGES; what it is called there."""
    cluster.current().load(build(name))
    return image(name)


def build(name: str) -> Path:
    """The archive of an image of IMAGES."""
    return building.build(image(name), HERE, HERE / IMAGES[name] / "Dockerfile")


def apply(folder: Path, namespace: str) -> None:
    """`kubectl apply -k` of an overlay, written in `folder`, as argo/README.md tells a user to write it."""
    shutil.copy(HERE / "images.yaml", folder)
    overlay: dict[str, Any] = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": namespace,
        "resources": [os.path.relpath(HERE, folder.resolve())],
        "configurations": ["images.yaml"],
        "images": [{"name": name, "newName": f"localhost/{name}", "newTag": "test"} for name in IMAGES],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    argo.Kubectl(cluster.current().kubeconfig)("apply", "--kustomize", folder)
