"""The WorkflowTemplate `git-set-version`: real commits in a real repository."""

import pytest

from controller.kube import Kind
from tests.cluster import cluster
from tests.integration.cluster.argo_pack import Pack, load
from tests.integration.cluster.conftest import named
from tests.integration.cluster.git_server import PASSWORD, USER, git, repository, serving

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]

SECRET = Kind("", "v1", "secrets", namespaced=True, name="Secret")
KUSTOMIZATION = """\
# Salary, as it serves.
images:
- name: registry.example/salary   # set by modelmend
  newTag: v4
"""
KEY = "images[name=registry.example/salary].newTag"
BY_MODELMEND = {
    "kind": "Rollout",
    "name": "salary",
    "namespace": "ml",
    "version": "v5",
    "remediation": "r-3f2a",
    "branch": "modelmend/r-3f2a",
}
"""What the action `rollout` adds to the parameters that a Model gives."""


@pytest.fixture(scope="module")
def pack(kube, tmp_path_factory):
    """The templates, applied, and the password as argo/README.md says."""
    if not cluster.current().host:
        pytest.skip("pods reach no server of this test on a cluster that is given")
    load("modelmend-git-set-version")
    pack = Pack(kube, tmp_path_factory.mktemp("argo"))
    try:
        password = {"url": "http://nowhere.invalid", "username": USER, "password": PASSWORD}
        kube.create(SECRET, pack.namespace, named("git-credentials", stringData=password))
        yield pack
    finally:
        pack.remove()


@pytest.fixture
def bare(tmp_path):
    """A team's repository."""
    return repository(tmp_path, {"salary/kustomization.yaml": KUSTOMIZATION})


@pytest.fixture
def address(pack, bare):
    """Where pods find it, which is what the password is for."""
    with serving(bare.parent, cluster.current().host) as url:
        pack.kube.patch(SECRET, pack.namespace, "git-credentials", {"stringData": {"url": url}})
        yield f"{url}/{bare.name}"


def test_a_version_is_committed_once_on_a_branch_of_the_remediation(pack, bare, address):
    """One line differs, comments stay, `main` is not touched; a second Workflow finds it done."""
    given = {**BY_MODELMEND, "repository": address, "path": "salary/kustomization.yaml", "key": KEY}
    first = pack.run("git-set-version", **given)
    assert first.phase == "Succeeded", first.messages
    branch = "refs/heads/modelmend/r-3f2a"
    assert first.outputs == {"branch": "modelmend/r-3f2a", "commit": git(bare, "rev-parse", branch)}
    assert git(bare, "show", f"{branch}:salary/kustomization.yaml") + "\n" == KUSTOMIZATION.replace("v4", "v5")
    assert git(bare, "show", "main:salary/kustomization.yaml") + "\n" == KUSTOMIZATION
    assert git(bare, "log", "--format=%B", f"main..{branch}").splitlines() == [
        "Set ml/salary to v5",
        "",
        "Remediation: r-3f2a",
        f"Workflow: {first.name}",
    ]
    second = pack.run("git-set-version", **given)
    assert (second.phase, second.outputs) == ("Succeeded", first.outputs)


def test_a_key_that_is_not_there_is_said(pack, bare, address):
    """The Workflow fails with the path and nothing is pushed."""
    given = {
        **BY_MODELMEND,
        "repository": address,
        "path": "salary/kustomization.yaml",
        "key": "images[name=other].newTag",
    }
    ended = pack.run("git-set-version", **given)
    assert ended.phase == "Failed"
    assert (
        "images[name=other].newTag: want it in one document of the file, found it in 0" in ended.messages["set-version"]
    )
    assert git(bare, "branch", "--list") == "* main"
