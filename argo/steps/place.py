"""Where in a serving object its version stands, and how it is read and set there.

It means the same as a Model's `serving.version` does to modelmend; a test holds the two equal. But a
variable or a label that nothing declares is never added: its name is more likely mistyped.
"""

from __future__ import annotations

import re
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from argo.steps.step import StepFailed

Object = dict[str, Any]

VERSION = "{version}"
_WRITABLE = {
    "image": (re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"), "an image's tag"),
    "label": (re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?"), "a label's value"),
    "env": (re.compile(r"(?!.*\$[$(])[^\x00-\x1f\x7f]{1,1024}"), "a variable's value of one line that names no other"),
}
_DIGEST = re.compile(r"@[a-z0-9]+:[0-9a-f]{32,}$")


@dataclass(frozen=True, slots=True)
class Place:
    """In the pod template: `where` is image, env or label, `name` an image's pattern, a variable or a label.

    Without `container` every container that carries the version there is meant.
    """

    where: str
    name: str
    container: str = ""

    def __post_init__(self) -> None:
        if self.where not in _WRITABLE:
            raise StepFailed(f"version-in: want image, env or label, got {self.where!r}")
        if not self.name or (self.where == "image" and self.name.count(VERSION) != 1):
            raise StepFailed(f"version-name: want {_WANTED[self.where]}, got {self.name!r}")

    def check(self, version: str) -> None:
        """Raises StepFailed for a version that cannot stand here."""
        pattern, what = _WRITABLE[self.where]
        if not pattern.fullmatch(version):
            raise StepFailed(f"version: want what can be {what}, got {version[:80]!r}")

    def read(self, obj: Object) -> str | None:
        """The version that the object's pod template asks for; None where it cannot be told."""
        template = obj.get("spec", {}).get("template") or {}
        if self.where == "label":
            found = {(template.get("metadata", {}).get("labels") or {}).get(self.name)}
        else:
            found = {self._carried(container) for container in self._meant(_containers(obj))} - {None}
        return found.pop() if len(found) == 1 else None

    def patch(self, obj: Object, version: str) -> Object:
        """A JSON merge patch that sets the version; it replaces lists whole, so it is right for this `obj` only."""
        self.check(version)
        if not _containers(obj):
            raise StepFailed(f"{obj['kind']} {obj['metadata']['name']} has no pod template of its own")
        if undeclared := self._undeclared(obj):
            raise StepFailed(f"{obj['kind']} {obj['metadata']['name']}: {undeclared}")
        if self.where == "label":
            return {"spec": {"template": {"metadata": {"labels": {self.name: version}}}}}
        containers = deepcopy(_containers(obj))
        meant = self._meant(containers)
        chosen = [container for container in meant if self._carried(container) is not None] or self._only(meant)
        if not chosen:
            which = "cannot set" if self.container or len(meant) == 1 else "cannot tell which container has"
            raise StepFailed(f"{obj['kind']} {obj['metadata']['name']}: {which} the {self.where} {self.name}")
        for container in chosen:
            self._carry(container, version)
        return {"spec": {"template": {"spec": {"containers": containers}}}}

    def doubt(self, obj: Object) -> str:
        """Where `read` tells nothing, why one may serve nevertheless; nothing where its place is there and empty."""
        undeclared = self._undeclared(obj)
        if undeclared or self.where == "label":
            return undeclared
        meant = self._meant(_containers(obj))
        carried = sorted({found for each in meant if (found := self._carried(each))})
        if carried:
            return f"its containers contradict each other: {', '.join(carried)}"
        if not any(map(self._empty, meant)) or any("valueFrom" in self._variable(each) for each in meant):
            return f"no container has a version in the {self.where} {self.name} that can be read"
        return ""

    def _undeclared(self, obj: Object) -> str:
        """That the variable or the label is nowhere in the pod template; an image always is."""
        if self.where == "label":
            labels = (obj.get("spec", {}).get("template") or {}).get("metadata", {}).get("labels") or {}
            return "" if self.name in labels else f"its pods declare no label {self.name}"
        if self.where == "image" or any(self._variable(each) for each in self._meant(_containers(obj))):
            return ""
        who = f"container {self.container} does not declare" if self.container else "no container declares"
        return f"{who} {self.name}"

    def _empty(self, container: Object) -> bool:
        """Whether the place is there and holds no version."""
        if self.where == "env":
            variable = self._variable(container)
            return bool(variable) and "valueFrom" not in variable and not variable.get("value")
        return str(container.get("image", "")) == self.name.replace(VERSION, "").rstrip(":@")

    def _meant(self, containers: list[Object]) -> list[Object]:
        return [container for container in containers if self.container in ("", container.get("name"))]

    def _only(self, containers: list[Object]) -> list[Object]:
        """The one container in which the version can only belong, though it does not stand there yet."""
        if len(containers) != 1 or "valueFrom" in self._variable(containers[0]):
            return []
        return containers

    def _carried(self, container: Object) -> str | None:
        if self.where == "env":
            value = self._variable(container).get("value")
            return value if isinstance(value, str) and value else None
        image = str(container.get("image", ""))
        image = image if "@" in self.name else _DIGEST.sub("", image)
        before, _, after = self.name.partition(VERSION)
        match = re.fullmatch(f"{re.escape(before)}({_WRITABLE['image'][0].pattern}){re.escape(after)}", image)
        return match[1] if match else None

    def _carry(self, container: Object, version: str) -> None:
        if self.where == "image":
            container["image"] = self.name.replace(VERSION, version)
        else:
            self._variable(container)["value"] = version

    def _variable(self, container: Object) -> Object:
        """The last of that name, since it is the one that counts; empty if there is none."""
        return next((entry for entry in reversed(container.get("env") or ()) if entry.get("name") == self.name), {})


_WANTED = {
    "image": "an image's pattern with one {version}, such as registry.example/salary:{version}",
    "env": "a variable's name",
    "label": "a label's key",
}


def _containers(obj: Object) -> list[Object]:
    template = obj.get("spec", {}).get("template") or {}
    return list(template.get("spec", {}).get("containers") or ())
