"""One installation for all tests of this folder; each has a namespace of its own for its models."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e_cluster.installing import ROOT, Installation, installation
from tests.e2e_cluster.kubectl import Kubectl


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.cluster)
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(900))  # the first one builds the image and installs it


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """A modelmend that is ready, in namespace `modelmend`, with SQLite; removed after the last test."""
    with installation(tmp_path_factory.mktemp("installation")) as made:
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
