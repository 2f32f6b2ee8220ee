"""A Kubernetes API as a double, at the methods of `Kube`: objects in a dictionary, and just enough of Argo Rollouts.

What modelmend creates and patches is done by its real actions, and seen by its real watches'
readers; only the network, the API server and Argo's controllers are not there. A Workflow ends
when the test says so, and a Rollout's new version gets all traffic when the test says so.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from controller.errors import Conflict
from controller.kube import AlreadyExists, Kind
from controller.policy.serving import read_version, version_patch

Object = dict[str, Any]
STEPS = [{"setWeight": 20}, {"pause": {}}]


class Cluster:
    """Stands for `Kube`: namespace `ml`, whose objects tests and actions change; `changed` are those not shown yet."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], Object] = {}
        self.changed: dict[tuple[str, str], Object] = {}
        self.serving: dict[str, Object] = {}
        self._version = 0

    # what modelmend asks

    def get(self, kind: Kind, namespace: str | None, name: str) -> Object | None:
        return copy.deepcopy(self.objects.get((kind.name, name)))

    def list(self, kind: Kind, namespace: str | None, labels: object = "") -> tuple[list[Object], str]:
        found = [copy.deepcopy(each) for (name, _), each in self.objects.items() if name == kind.name]
        return found, str(self._version)

    def create(self, kind: Kind, namespace: str | None, body: Object) -> Object:
        if (kind.name, body["metadata"]["name"]) in self.objects:
            raise AlreadyExists(f"{kind.name} is there")
        meta = {**body["metadata"], "namespace": namespace, "uid": f"u{self._version}", "generation": 1}
        return self._put({**body, "kind": kind.name, "metadata": meta})

    def patch(
        self,
        kind: Kind,
        namespace: str | None,
        name: str,
        body: Object,
        *,
        resource_version: str | None = None,
        subresource: str | None = None,
    ) -> Object:
        before = self.objects[kind.name, name]
        if resource_version not in (None, before["metadata"]["resourceVersion"]):
            raise Conflict("it has changed")
        after = _merged(before, body)
        if kind.name == "Rollout":
            self._react(before, after)
        return self._put(after)

    def watch(self, kind: Kind, namespace: str | None, **kwargs: Any) -> None:
        """Shows nothing by itself: the story tells what has changed."""
        kwargs["stop"].wait()

    # what the test says

    def serves(self, serving: Object, version: str) -> None:
        """The Rollout that `serving` (as a Model's, plain) speaks of has all traffic on this version."""
        place, name = serving["version"], serving["name"]
        container: Object = {"name": place["container"] or "main", "image": "registry.example.com/server:1"}
        if place["in"] == "env":
            container["env"] = [{"name": place["name"], "value": ""}]
        body = {
            "kind": "Rollout",
            "metadata": {"name": name, "namespace": "ml", "uid": f"u-{name}", "generation": 1},
            "spec": {
                "replicas": 2,
                "strategy": {"canary": {"steps": STEPS}},
                "template": {"spec": {"containers": [container]}},
            },
            "status": {},
        }
        self.serving[name] = serving
        body = _merged(body, version_patch(serving, body, version))
        self._settle(body, stable=self._hash(body), canary=False)
        self._put(body)

    def release(self, name: str, version: str) -> None:
        """Somebody sets the Rollout to another version: a fifth of the traffic goes to it."""
        before = self.objects["Rollout", name]
        after = _merged(before, version_patch(self.serving[name], before, version))
        self._react(before, after)
        self._put(after)

    def promote(self, name: str) -> None:
        """The newest version gets all traffic."""
        obj = copy.deepcopy(self.objects["Rollout", name])
        self._settle(obj, stable=self._hash(obj), canary=False)
        self._put(obj)

    def weight(self, name: str) -> int:
        """The canary's share of the traffic, in percent."""
        return int(self.objects["Rollout", name]["status"]["canary"]["weights"]["canary"]["weight"])

    def version(self, name: str) -> str | None:
        """What the Rollout's pod template asks for."""
        return read_version(self.serving[name], self.objects["Rollout", name])

    def end(self, workflow: str, phase: str, outputs: Mapping[str, str], message: str = "") -> None:
        """A Workflow comes to its end."""
        obj = copy.deepcopy(self.objects["Workflow", workflow])
        parameters = [{"name": name, "value": value} for name, value in outputs.items()]
        obj["status"] = {"phase": phase, "message": message, "outputs": {"parameters": parameters}}
        self._put(obj)

    def workflows(self) -> list[Object]:
        """All Workflows, in the order in which they were made."""
        return [obj for (kind, _), obj in self.objects.items() if kind == "Workflow"]

    def _put(self, obj: Object) -> Object:
        self._version += 1
        obj["metadata"]["resourceVersion"] = str(self._version)
        key = (obj["kind"], obj["metadata"]["name"])
        self.objects[key] = self.changed[key] = obj
        return copy.deepcopy(obj)

    def _react(self, before: Object, after: Object) -> None:
        """What Argo Rollouts does at once: a new template begins a canary, an aborted one gives its traffic back."""
        if after["spec"] != before["spec"]:
            after["metadata"]["generation"] += 1
        stable = before["status"]["stableRS"]
        if after["spec"]["template"] != before["spec"]["template"]:
            after["status"].pop("abort", None)
            self._settle(after, stable=stable, canary=self._hash(after) != stable)
        elif after["status"].get("abort"):
            self._settle(after, stable=stable, canary=False)
            after["status"] |= {"abort": True, "abortedAt": "2025-01-01T00:00:00Z", "updatedReplicas": 0}
        else:
            after["status"]["observedGeneration"] = str(after["metadata"]["generation"])

    def _settle(self, obj: Object, *, stable: str, canary: bool) -> None:
        """The status of a Rollout whose traffic is all on the stable revision, or a fifth of it on a canary."""
        weights = {
            "canary": {"weight": 20 if canary else 0, "podTemplateHash": self._hash(obj)},
            "stable": {"weight": 80 if canary else 100, "podTemplateHash": stable},
        }
        obj["status"] |= {
            "observedGeneration": str(obj["metadata"]["generation"]),
            "currentPodHash": self._hash(obj),
            "stableRS": stable,
            "currentStepIndex": 1 if canary else len(STEPS),
            "replicas": 3 if canary else 2,
            "updatedReplicas": 1 if canary else 2,
            "availableReplicas": 3 if canary else 2,
            "canary": {"weights": weights},
        }

    def _hash(self, obj: Object) -> str:
        return f"hash-{read_version(self.serving[obj['metadata']['name']], obj)}"


def _merged(obj: Object, patch: Mapping[str, Any]) -> Object:
    """RFC 7386."""
    merged = copy.deepcopy(obj)
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, Mapping):
            merged[key] = _merged(merged.get(key) or {}, value)
        else:
            merged[key] = copy.deepcopy(value)
    return merged
