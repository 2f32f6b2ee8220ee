"""What `restore` comes to for the serving object as it is found, and what verification then asks of it."""

from __future__ import annotations

from typing import Any

import pytest

from controller.actions.endstates import Abort, Object, Version
from controller.actions.outcome import Outcome
from controller.actions.resolving import resolve
from controller.remediation import Intent
from controller.verify.rollout import Wanted
from tests.conftest import NOON
from tests.unit.actions.test_endstates import SERVING, rollout


def restoring(obj: Object, *, to: str = "v5", about: str | None = "v6", gitops: Any = None) -> Any:
    """What an intent that restores `to` wants of this object."""
    order = {"do": "restore", "promote": None, "to": to, "about": about, "serving": SERVING, "gitops": gitops}
    intent = Intent(1, "r-abc", 2, 1, "rollout", "r-abc-2-1", order)
    return resolve(intent, obj, NOON)


def test_a_canary_is_aborted() -> None:
    """While the new version is a canary, traffic goes back to the stable revision; the template stays as it is."""
    assert isinstance(restoring(rollout()), Abort)


def test_what_serves_everything_is_set_back() -> None:
    """Where the new version is the stable one by now, the template asks for the one before again."""
    wanted = restoring(rollout(currentPodHash="new", stableRS="new"))
    assert isinstance(wanted, Version)
    assert wanted.to == "v5"


def test_what_serves_already_is_done() -> None:
    """Nothing is set where the template asks for the version of before: somebody was faster."""
    found = restoring(rollout(currentPodHash="new", stableRS="new"), to="v6", about="v7")
    assert isinstance(found, Outcome)
    assert found.state == "done"


@pytest.mark.parametrize("status", [{}, {"currentPodHash": "new", "stableRS": "new"}])
def test_another_version_is_left_alone(status: dict[str, Any]) -> None:
    """What is neither the version that was brought nor the one before, somebody else has set."""
    found = restoring(rollout(**status), about="v7")
    assert isinstance(found, Outcome)
    assert (found.state, found.reason) == ("failed", "other_revision")


def test_a_managed_object_is_left_alone() -> None:
    """A version that Git decides is not set over it; aborting a canary touches only the status, so that is done."""
    managed = {"labels": {"kustomize.toolkit.fluxcd.io/name": "apps"}}
    promoted = rollout(currentPodHash="new", stableRS="new")
    promoted["metadata"] |= managed
    found = restoring(promoted)
    assert isinstance(found, Outcome)
    assert found.reason == "target_managed"
    canary = rollout()
    canary["metadata"] |= managed
    assert isinstance(restoring(canary), Abort)


@pytest.mark.parametrize(
    ("outputs", "do", "version"),
    [({"revision": "new", "aborted": "v6"}, "abort", None), ({"version": "v5"}, "to", "v5"), ({}, "to", "v5")],
)
def test_what_is_verified(outputs: dict[str, Any], do: str, version: str | None) -> None:
    """An aborted canary is verified as an abort, a version that was set as a version."""
    found = Wanted.of({"outputs": outputs, "rollout": {"do": "restore", "to": "v5"}})
    assert (found.do, found.version) == (do, version)
