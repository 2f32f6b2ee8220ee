"""What is shipped beside the code fits it: roles, versions, locks."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from controller import __version__
from tests.e2e_cluster import privileges

ROOT = Path(__file__).parents[2]


def locked(name):
    """The requirements of a lock file, without their hashes."""
    return set(re.findall(r"^[^\s#]+==\S+", (ROOT / "requirements" / name).read_text(), re.MULTILINE))


def test_the_roles_grant_what_the_code_calls_and_nothing_else():
    """Documents are read in all namespaces; all else is a right in the namespaces of models only."""
    needed = privileges.needed()
    documents = {(verb, kind.resource) for verb in ("list", "watch") for kind in privileges.DOCUMENTS}
    assert set().union(*privileges.granted(privileges.CLUSTER_ROLE)) == needed & documents
    assert set().union(*privileges.granted(privileges.ROLE)) == needed - documents


def test_the_page_tells_the_rights_of_the_role():
    """docs/kubernetes.md, "in a namespace with the Role", names every verb and kind that the Role grants, no other."""
    page = (ROOT / "docs/kubernetes.md").read_text()
    table = page.partition("| in a namespace with the Role |")[2].partition("\n\n")[0]
    told = set()
    for clause in re.split(r";|\n", "\n".join(line.split("|")[1] for line in table.splitlines()[2:])):
        verbs, kinds = re.findall(r"`(\w+)`", clause), re.findall(r"\b[A-Z]\w+", clause)
        told |= {(verb, kind.lower(), "status" in clause) for verb in verbs for kind in kinds}
    granted = set().union(*privileges.granted(privileges.ROLE))
    assert told == {(verb, name.partition("/")[0].partition(".")[0], "/status" in name) for verb, name in granted}


def test_every_call_that_is_said_to_be_in_the_code_is():
    """The tables of kinds name no call that is gone."""
    assert set(privileges.MEANT) | set(privileges.SUBRESOURCES) <= set(privileges.calls())


def test_the_images_that_are_installed_are_of_this_version():
    """A release that forgets the manifests would install the one before."""
    (image,) = yaml.safe_load((ROOT / "manifests/components/pod/kustomization.yaml").read_text())["images"]
    assert image["newTag"] == __version__
    assert f"image: modelmend-retrain:{__version__} " in (ROOT / "manifests/samples/rollout.yaml").read_text()


def test_the_image_has_the_versions_that_are_tested():
    """Both locks are made from the developers' one; hashes, and no address, stand in them."""
    for name in ("runtime.lock", "build.lock"):
        assert locked(name) <= locked("development.lock")
        assert "://" not in (ROOT / "requirements" / name).read_text()
