"""A node's disks: eight for each mode of access, made beforehand, for claims that name no storage class."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from tests.cluster.argo import Kubectl
from tests.cluster.components import NODE

MODES = ("ReadWriteOncePod", "ReadWriteOnce")
NAMES = tuple(f"{mode}-{number}" for mode in MODES for number in range(8))
CLASS = {
    "apiVersion": "storage.k8s.io/v1",
    "kind": "StorageClass",
    "metadata": {"name": "standard", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
    "provisioner": "kubernetes.io/no-provisioner",
    "volumeBindingMode": "WaitForFirstConsumer",
}


def make(kubectl: Kubectl, lib: Path) -> None:
    """Make them in `lib`, which is the node's /var/lib."""
    for name in NAMES:
        (lib / "volumes" / name).mkdir(parents=True)
    listed = lib / "volumes.json"
    listed.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": [CLASS, *map(volume, NAMES)]}))
    kubectl("create", "--filename", listed)


def renew(kubectl: Kubectl, lib: Path) -> None:
    """Empty the disks whose claim is gone, and offer them again."""
    listed = json.loads(kubectl("get", "persistentvolumes", "--output=json"))["items"]
    for found in listed:
        name = Path(found["spec"].get("local", {}).get("path", "")).name
        if name in NAMES and found["status"]["phase"] == "Released":
            for content in (lib / "volumes" / name).iterdir():
                shutil.rmtree(content) if content.is_dir() else content.unlink()
            kubectl("patch", "persistentvolume", name.lower(), "--patch", '{"spec": {"claimRef": null}}')


def volume(name: str) -> dict[str, Any]:
    """One of them; it goes to one claim, once."""
    here = {"key": "kubernetes.io/hostname", "operator": "In", "values": [NODE]}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name.lower()},
        "spec": {
            "storageClassName": "standard",
            "capacity": {"storage": "10Gi"},
            "accessModes": [name.partition("-")[0]],
            "local": {"path": f"/var/lib/volumes/{name}"},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [here]}]}},
        },
    }
