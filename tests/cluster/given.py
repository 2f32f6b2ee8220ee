"""A cluster that is there already, by its KUBECONFIG: used as it is, and left as it is."""

from __future__ import annotations

import os
from pathlib import Path

from tests.cluster import argo
from tests.cluster.host import ClusterError


def up() -> Path:
    """Refuse a cluster that does not answer or lacks Argo; its kubeconfig."""
    kubeconfig = Path(os.environ["KUBECONFIG"])
    if not kubeconfig.is_file():
        raise ClusterError(f"KUBECONFIG={kubeconfig}: want one file that exists")
    argo.check(argo.Kubectl(kubeconfig))
    return kubeconfig


def down() -> None:
    """Leave it: who gave it may need it."""


def load(archive: Path) -> None:
    """Refuse: we do not know how images get there."""
    raise ClusterError(f"a given cluster takes no image archives: bring the image of {archive} there in its own way")
