"""A cluster by kind (https://kind.sigs.k8s.io), where it, a container engine and image registries are to be had."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from tests.cluster import argo, images, programs
from tests.cluster.host import CACHE, ClusterError, run, say

NAME = "modelmend"
KUBECONFIG = CACHE / "kind.kubeconfig"
UPSTREAM = {images.PAUSE: "registry.k8s.io/pause:3.10", images.PYTHON: "docker.io/library/python:3.11-slim-bookworm"}
"""What the images that a node makes for itself are here."""

RELEASES = "https://github.com/argoproj"
ARGO = {
    "argo": f"{RELEASES}/argo-workflows/releases/download/{programs.version('argo', programs.WORKFLOWS)}/install.yaml",
    "argo-rollouts": f"{RELEASES}/argo-rollouts/releases/download/{programs.version('rollouts', programs.ROLLOUTS)}/install.yaml",
}
"""Namespace: what is installed there."""


def up() -> Path:
    """Create the cluster with Argo and our images; its kubeconfig."""
    with_engine = engine()
    if not shutil.which("kind"):
        raise ClusterError("CLUSTER=kind, and no `kind` on the PATH: https://kind.sigs.k8s.io/docs/user/quick-start/")
    if NAME in run("kind", "get", "clusters").split():
        raise ClusterError(f"kind has a cluster {NAME} already: use it, or take it down with `make cluster-down`")
    try:
        say("creating the kind cluster")
        run("kind", "create", "cluster", f"--name={NAME}", f"--kubeconfig={KUBECONFIG}", "--wait=180s", timeout=900)
        for reference, source in UPSTREAM.items():
            run(with_engine, "pull", source, timeout=600)
            run(with_engine, "tag", source, reference)
            with tempfile.TemporaryDirectory() as folder:
                run(with_engine, "save", "--output", Path(folder, "image.tar"), reference, timeout=300)
                load(Path(folder, "image.tar"))
        kubectl = argo.Kubectl(KUBECONFIG)
        for namespace, manifest in ARGO.items():
            kubectl("create", "namespace", namespace)
            kubectl("apply", "--server-side", f"--namespace={namespace}", "--filename", manifest)
            kubectl(
                "wait", f"--namespace={namespace}", "deployment", "--all", "--for=condition=Available", "--timeout=99s"
            )
    except BaseException:
        down()
        raise
    return KUBECONFIG


def down() -> None:
    """Delete the cluster."""
    run("kind", "delete", "cluster", f"--name={NAME}", f"--kubeconfig={KUBECONFIG}", timeout=300)
    KUBECONFIG.unlink(missing_ok=True)


def load(archive: Path) -> None:
    """Give the cluster the images of a docker archive."""
    run("kind", "load", "image-archive", archive, f"--name={NAME}", timeout=300)


def engine() -> str:
    """The container engine that answers here."""
    for name in ("docker", "podman"):
        if shutil.which(name):
            try:
                run(name, "info", timeout=20)
            except ClusterError:
                continue
            return name
    raise ClusterError("CLUSTER=kind needs docker or podman, and none answers here (is its daemon running?)")
