"""The cluster that the tests use: which of the three ways it comes by, and what a test may do with it.

A test asks for `cluster.current()` and speaks to the API by its `kubeconfig`.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tests.cluster import argo, given, host, kind, node, volumes
from tests.cluster.components import HOST_ADDRESS
from tests.cluster.host import CACHE, ClusterError, say

RECORD = CACHE / "cluster.json"


class Way(Protocol):
    """A way to get a cluster: one of the modules below."""

    def up(self) -> Path:
        """Get it; its kubeconfig."""

    def down(self) -> None:
        """Leave nothing of it behind."""

    def load(self, archive: Path) -> None:
        """Give it the images of an archive."""


WAYS: dict[str, Way] = {"given": given, "kind": kind, "node": node}


@dataclass(frozen=True)
class Cluster:
    """A cluster that is up."""

    way: str
    """given, kind or node."""
    kubeconfig: Path
    """The administrator's. The roles of others are tested with `kubectl create token`."""

    @property
    def kubectl(self) -> Path:
        """The kubectl to use with it."""
        return host.kubectl()

    @property
    def environment(self) -> dict[str, str]:
        """What a program needs to use it by kubectl."""
        path = f"{self.kubectl.parent}:{os.environ.get('PATH', os.defpath)}"
        return {"KUBECONFIG": str(self.kubeconfig), "KUBECACHEDIR": str(host.KUBECTL_REMEMBERS), "PATH": path}

    @property
    def host(self) -> str | None:
        """The address by which pods reach a server of the tests on this machine; None where that is not known."""
        return HOST_ADDRESS if self.way == "node" else None

    def load(self, archive: Path) -> None:
        """Give it the images of a docker archive."""
        WAYS[self.way].load(archive)

    def renew_disks(self) -> None:
        """Empty a node's disks whose claims are gone, for others; elsewhere the provisioner does so."""
        if self.way == "node":
            volumes.renew(argo.Kubectl(self.kubeconfig), node.STATE / "lib")

    def stop(self, program: str) -> None:
        """End one of components.COMMANDS, such as `apiserver`, as a crash does."""
        self._on_node()
        node.stop(program)

    def start(self, program: str) -> None:
        """Start it again; it may not be ready yet."""
        self._on_node()
        node.start(program)

    def _on_node(self) -> None:
        if self.way != "node":
            raise ClusterError(f"programs are stopped and started on a node only, this cluster is {self.way}")


def chosen() -> str:
    """The way asked for: by CLUSTER, else the KUBECONFIG that is given, else a node."""
    way = os.environ.get("CLUSTER") or ("given" if foreign_kubeconfig() else "node")
    if way not in WAYS:
        raise ClusterError(f"CLUSTER={way}: want one of {', '.join(WAYS)}")
    if way == "given" and not foreign_kubeconfig():
        raise ClusterError("CLUSTER=given needs KUBECONFIG, the path of the cluster's file")
    return way


def foreign_kubeconfig() -> bool:
    """Whether KUBECONFIG names a cluster that is not ours (after `env` it names ours)."""
    return os.environ.get("KUBECONFIG", "") not in {"", str(node.KUBECONFIG), str(kind.KUBECONFIG)}


def up() -> Cluster:
    """Get a cluster in the way asked for. ClusterError where it cannot be had, or one is up already."""
    way = chosen()
    with host.alone():
        if (recorded := read()) and way not in {recorded.way, "given"}:
            raise ClusterError(f"a cluster by {recorded.way} is recorded: `make cluster-down` first")
        cluster = Cluster(way, WAYS[way].up())
        if way != "given":
            RECORD.write_text(json.dumps({"way": way, "kubeconfig": str(cluster.kubeconfig)}))
    say(f"up, by {way}: KUBECONFIG={cluster.kubeconfig}")
    return cluster


def down() -> None:
    """Take down what `up` has made, or what is left of it; a cluster that is given is left as it is."""
    if chosen() == "given":
        say(f"left as it is: KUBECONFIG={os.environ['KUBECONFIG']}")
        return
    with host.alone():
        recorded = read()
        (WAYS[recorded.way] if recorded else node).down()
        RECORD.unlink(missing_ok=True)
        shutil.rmtree(host.KUBECTL_REMEMBERS, ignore_errors=True)
    say("down")


def current() -> Cluster:
    """The cluster that is up. ClusterError where there is none."""
    if chosen() == "given":
        return Cluster("given", Path(os.environ["KUBECONFIG"]))
    recorded = read()
    if not recorded:
        raise ClusterError("no cluster is up: `make cluster-up`")
    if recorded.way == "node" and not node.alive():
        raise ClusterError("the node has ended (was the machine started anew?): `make cluster-up`")
    return recorded


def read() -> Cluster | None:
    """The cluster on record."""
    try:
        record = json.loads(RECORD.read_text())
    except FileNotFoundError:
        return None
    return Cluster(record["way"], Path(record["kubeconfig"]))
