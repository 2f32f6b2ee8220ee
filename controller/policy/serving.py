"""Where a model is served, and where in that object its version stands: read from it, and written to it.

An object's pod template carries the version: in an image's tag, in a variable or in a label.
Where no container is named, every container that carries the version there is meant; a
version that containers contradict each other about is not known.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass
from typing import Any, Literal

from controller.errors import PermanentError

VERSION = "{version}"
"""Stands for the version in an image's pattern, and in a name that senders give a version."""

_WRITABLE: Mapping[str, tuple[re.Pattern[str], str]] = {
    "image": (re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"), "an image's tag"),
    "label": (re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?"), "a label's value"),
    "env": (re.compile(r"(?!.*\$[$(])[^\x00-\x1f\x7f]{1,1024}"), "a variable's value of one line that names no other"),
}
_DIGEST = re.compile(r"@[a-z0-9]+:[0-9a-f]{32,}$")


class NoPlace(PermanentError):
    """The object has no place where the version could be written, or the version does not fit there."""


@dataclass(frozen=True, slots=True)
class VersionPlace:
    """Where the version stands: `name` is an image's pattern with one `{version}`, a variable or a label."""

    where: Literal["image", "env", "label"]
    name: str
    container: str | None = None

    def plain(self) -> dict[str, Any]:
        """As JSON: `in`, `name`, `container`."""
        return {"in": self.where, "name": self.name, "container": self.container}


@dataclass(frozen=True, slots=True)
class Serving:
    """The object that serves a model, in the model's namespace; without `version` it is never set to one."""

    kind: Literal["Rollout", "Deployment"]
    name: str
    version: VersionPlace | None = None

    def plain(self) -> dict[str, Any]:
        """As JSON: `kind`, `name`, `version`."""
        return asdict(self) | {"version": self.version.plain() if self.version else None}


def read_version(serving: Mapping[str, Any], obj: Mapping[str, Any]) -> str | None:
    """The version that an object's pod template asks for; None where it cannot be told.

    :param serving: as `Serving.plain` gives it.
    :param obj: a Rollout or Deployment as the API answers it.
    """
    place = serving["version"]
    if place is None:
        return None
    if place["in"] == "label":
        labels = _at(obj, "spec", "template", "metadata").get("labels") or {}
        found = {labels.get(place["name"])}
    else:
        found = {_carried(place, container) for container in _meant(place, _containers(obj))} - {None}
    return found.pop() if len(found) == 1 else None


def version_patch(serving: Mapping[str, Any], obj: Mapping[str, Any], version: str) -> dict[str, Any]:
    """A JSON merge patch of the object that sets its pod template to a version, and changes nothing else.

    A merge patch replaces lists whole, so it is right only for the `resourceVersion` of `obj`.
    Raises NoPlace.
    """
    place = serving["version"]
    if place is None:
        raise NoPlace(f"{serving['kind']} {serving['name']}: the Model does not say where its version stands")
    check_version(place, version)
    if not _at(obj, "spec", "template", "spec"):
        raise NoPlace(f"{serving['kind']} {serving['name']} has no pod template of its own")
    if place["in"] == "label":
        if place["name"] not in (_at(obj, "spec", "template", "metadata").get("labels") or {}):
            raise NoPlace(f"{serving['kind']} {serving['name']}: its pod template has no label {place['name']}")
        return {"spec": {"template": {"metadata": {"labels": {place["name"]: version}}}}}
    containers = deepcopy(_containers(obj))
    chosen = _meant(place, containers)
    chosen = [container for container in chosen if _carried(place, container) is not None] or _only(place, chosen)
    if not chosen:
        raise NoPlace(f"{serving['kind']} {serving['name']}: {_missing(place)}")
    for container in chosen:
        _carry(place, container, version)
    return {"spec": {"template": {"spec": {"containers": containers}}}}


def check_version(place: Mapping[str, Any], version: str) -> None:
    """Raise NoPlace for a version that cannot stand at this place."""
    pattern, what = _WRITABLE[place["in"]]
    if not pattern.fullmatch(version):
        raise NoPlace(f"want a version that can be {what}, got {version[:80]!r}")


def normalised(version: str, names: Sequence[str]) -> str:
    """A version as senders write it, by the first of `names` (each with `{version}`) that fits; else as it is."""
    for name in names:
        if match := _pattern(name).fullmatch(version):
            return match["version"]
    return version


def _pattern(text: str) -> re.Pattern[str]:
    before, _, after = text.partition(VERSION)
    return re.compile(f"{re.escape(before)}(?P<version>.+){re.escape(after)}")


def _at(obj: Mapping[str, Any], *path: str) -> Mapping[str, Any]:
    for key in path:
        obj = obj.get(key) or {}
    return obj


def _containers(obj: Mapping[str, Any]) -> list[dict[str, Any]]:
    return list(_at(obj, "spec", "template", "spec").get("containers") or ())


def _meant(place: Mapping[str, Any], containers: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The containers in which the version may stand."""
    wanted = place["container"]
    return [container for container in containers if wanted is None or container.get("name") == wanted]


def _only(place: Mapping[str, Any], containers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The one container in which the version can only belong, though it does not stand there yet."""
    if len(containers) != 1:
        return []
    # A variable that is not declared is mistyped: set beside the right one, it would read back and change nothing.
    declared = place["in"] != "env" or "valueFrom" not in (_variable(place, containers[0]) or {"valueFrom": None})
    return containers if declared else []


def _carried(place: Mapping[str, Any], container: Mapping[str, Any]) -> str | None:
    if place["in"] == "env":
        value = (_variable(place, container) or {}).get("value")
        return value if isinstance(value, str) and value else None
    image = str(container.get("image", ""))
    if "@" not in place["name"]:
        image = _DIGEST.sub("", image)  # a tag that was pinned by its digest besides
    match = _pattern(place["name"]).fullmatch(image)
    return match["version"] if match and _WRITABLE["image"][0].fullmatch(match["version"]) else None


def _carry(place: Mapping[str, Any], container: dict[str, Any], version: str) -> None:
    if place["in"] == "image":
        container["image"] = place["name"].replace(VERSION, version)
    else:
        variable = _variable(place, container)
        assert variable is not None
        variable["value"] = version


def _variable(place: Mapping[str, Any], container: Mapping[str, Any]) -> dict[str, Any] | None:
    """The last of that name, since it is the one that counts."""
    found = [variable for variable in container.get("env") or () if variable.get("name") == place["name"]]
    return found[-1] if found else None


def _missing(place: Mapping[str, Any]) -> str:
    if place["container"] is not None:
        return f"container {place['container']} has no {place['in']} {place['name']} that a version could be written to"
    return f"no container has the {place['in']} {place['name']}, say which by version.container"
