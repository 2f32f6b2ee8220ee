"""Objects that serve a model, with pods that really run, and what a rollout's intent says of them."""

from __future__ import annotations

import time
from typing import Any

from controller.kube import DEPLOYMENT, KINDS, ROLLOUT, Kube
from controller.remediation import Intent
from tests.integration.cluster.conftest import eventually, intent

PAUSES = [{"setWeight": 50}, {"pause": {}}, {"setWeight": 75}, {"pause": {}}]
SERVING: dict[str, Any] = {
    "kind": "Rollout",
    "name": "salary",
    "version": {"in": "env", "name": "VERSION", "container": None},
}
BY_DEPLOYMENT = {**SERVING, "kind": "Deployment"}


def template(version: str) -> dict[str, Any]:
    container = {"name": "main", "image": "localhost/pause:1", "env": [{"name": "VERSION", "value": version}]}
    return {
        "metadata": {"labels": {"app": "salary"}},
        "spec": {"terminationGracePeriodSeconds": 0, "containers": [container]},
    }


def rollout(version: str = "v5", replicas: int = 2, steps: list | None = None, **meta: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "salary", **meta},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "salary"}},
            "template": template(version),
            "strategy": {"canary": {"steps": PAUSES if steps is None else steps}},
        },
    }


def deployment(version: str = "v5", replicas: int = 2, **meta: Any) -> dict[str, Any]:
    body = rollout(version, replicas, **meta)
    del body["spec"]["strategy"]
    return body


class Served:
    """One serving object in a namespace, changed as people change it."""

    def __init__(self, kube: Kube, namespace: str, body: dict[str, Any], kind: str = "Rollout") -> None:
        self.kube, self.namespace, self.kind = kube, namespace, KINDS[kind]
        kube.create(self.kind, namespace, body)
        if body["spec"]["replicas"]:
            self.until(self._serves)

    def read(self) -> dict[str, Any]:
        found = self.kube.get(self.kind, self.namespace, "salary")
        assert found is not None
        return found

    @property
    def status(self) -> dict[str, Any]:
        return self.read().get("status") or {}

    def until(self, true: Any) -> dict[str, Any]:
        """Wait until `true(object)`; now and then touched, since Argo Rollouts may have overlooked the last change."""
        begun = touched = time.monotonic()

        def look() -> dict[str, Any] | None:
            nonlocal touched
            if true(found := self.read()):
                return found
            if time.monotonic() - touched > 3:
                touched = time.monotonic()
                self.set({"metadata": {"annotations": {"touched": str(touched - begun)}}})
            return None

        return eventually(look)

    def _serves(self, obj: dict[str, Any]) -> bool:
        status = obj.get("status") or {}
        if self.kind is DEPLOYMENT:
            return status.get("availableReplicas") == obj["spec"]["replicas"] == status.get("replicas")
        return status.get("phase") == "Healthy" and status.get("stableRS") == status.get("currentPodHash")

    def set(self, patch: dict[str, Any], subresource: str | None = None) -> None:
        """What somebody else does."""
        self.kube.patch(self.kind, self.namespace, "salary", patch, subresource=subresource)

    def deploy(self, version: str) -> None:
        """Ask for a version, as a push does."""
        self.set({"spec": {"template": template(version)}})

    def canary(self, version: str = "v6", step: int = 1) -> dict[str, Any]:
        """Bring a canary up to the pause at this step."""
        old = self.status["stableRS"]
        self.deploy(version)
        return self.paused(step, old)

    def paused(self, step: int = 1, stable: str | None = None) -> dict[str, Any]:
        """Wait until the canary pauses at this step."""

        def true(obj: dict[str, Any]) -> bool:
            status = obj["status"]
            at = status.get("currentStepIndex") == step and bool(status.get("pauseConditions"))
            other = status["currentPodHash"] != status.get("stableRS")
            seen = status.get("observedGeneration") == str(obj["metadata"]["generation"])
            return seen and at and other and stable in (None, status["stableRS"])

        return self.until(true)

    def abort(self) -> None:
        self.set({"status": {"abort": True}}, "status")

    def retry(self) -> None:
        self.set({"status": {"abort": False}}, "status")


def order(namespace: str, do: str, *, about: str | None = None, serving: dict | None = SERVING, **more: Any) -> Intent:
    """The intent of a rollout."""
    wanted = {
        "do": do,
        "promote": None,
        "to": None,
        "about": about,
        "serving": serving,
        "gitops": None,
        "timeout": 1800,
    }
    if do == "promote":
        wanted["promote"] = "next"
    return intent("rollout", namespace, wanted | more)


__all__ = ["BY_DEPLOYMENT", "ROLLOUT", "SERVING", "Served", "deployment", "order", "rollout", "template"]
