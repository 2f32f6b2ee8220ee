"""Kubectl, and what of Argo every kind of cluster needs."""

from __future__ import annotations

from pathlib import Path

from tests.cluster import host
from tests.cluster.host import ClusterError, run, until

NEEDED = ("workflows.argoproj.io", "workflowtemplates.argoproj.io", "rollouts.argoproj.io")


class Kubectl:
    """Kubectl against one cluster: `kubectl("get", "pods")` gives what it prints."""

    def __init__(self, kubeconfig: Path | str) -> None:
        self._kubeconfig = kubeconfig
        self._program = host.kubectl()

    def __call__(self, *arguments: str | Path) -> str:
        return run(self._program, f"--kubeconfig={self._kubeconfig}", *arguments, timeout=300)

    def answers(self) -> bool:
        """Whether the API server is ready."""
        return self.succeeds("get", "--raw=/readyz", "--request-timeout=5s")

    def succeeds(self, *arguments: str) -> bool:
        """Whether kubectl ends without an error."""
        try:
            self(*arguments)
        except ClusterError:
            return False
        return True


def prepare(kubectl: Kubectl, crds: Path) -> None:
    """Make what Argo's controllers expect. Its definitions hold whole schemas: too large but for server-side apply."""
    kubectl("apply", "--server-side", "--filename", crds)
    until(lambda: kubectl.succeeds("get", ",".join(NEEDED)), 180, "Argo's definitions in the API")
    for namespace in ("argo", "argo-rollouts"):
        kubectl("create", "namespace", namespace)
    kubectl("create", "configmap", "workflow-controller-configmap", "--namespace=argo")


def check(kubectl: Kubectl) -> None:
    """Refuse a cluster that does not answer, or lacks Argo."""
    kubectl("version", "--request-timeout=10s")
    present = kubectl("get", "customresourcedefinitions", "--output=name")
    missing = [name for name in NEEDED if f"/{name}\n" not in present]
    if missing:
        raise ClusterError(f"the cluster lacks {', '.join(missing)}: install Argo Workflows and Argo Rollouts there")
