"""One installation for all tests of this folder; each has a namespace of its own for its models."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e_cluster.acting import kube, namespace, stage
from tests.e2e_cluster.installing import ROOT, Installation, removed, sole
from tests.e2e_cluster.kubectl import Kubectl
from tests.e2e_cluster.measured import measured

__all__ = ["kube", "measured", "namespace", "stage"]  # fixtures


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.cluster)
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(900))  # the first one builds the image and installs it
    items.sort(key=lambda item: item.path.name == "test_outage.py")  # it disturbs all others


@pytest.fixture(scope="session")
def image() -> Iterator[None]:
    """The image of this tree is in the cluster, and no other run installs it."""
    with sole():
        yield


@pytest.fixture(scope="session")
def installed(image: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """A modelmend that is ready, in namespace `modelmend`, with SQLite; removed after the last test."""
    with removed(Installation(tmp_path_factory.mktemp("installation"), "sqlite")) as made:
        made.install()
        yield made


@pytest.fixture(scope="session")
def kubectl() -> Kubectl:
    """The administrator's."""
    return Kubectl()


@pytest.fixture
def models(kubectl: Kubectl) -> Iterator[str]:
    """A new namespace in which modelmend may act, as the component `namespace` lets it; deleted with what is in it."""
    name = f"t-models-{uuid.uuid4().hex[:8]}"
    kubectl("create", "namespace", name)
    try:
        kubectl("apply", f"--namespace={name}", f"--filename={ROOT / 'manifests/components/namespace/role.yaml'}")
        yield name
    finally:
        kubectl("delete", "namespace", name, "--wait=false")
