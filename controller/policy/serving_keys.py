"""What a Model's document says of where it is served, how its versions are called, and who decides them."""

from __future__ import annotations

import re
from typing import Literal

from controller.policy.cluster_steps import read_parameters, read_reference
from controller.policy.model import GitOps
from controller.policy.reading import Fields, Place, either
from controller.policy.serving import VERSION, Serving, VersionPlace

_PLACES: tuple[Literal["image", "env", "label"], ...] = ("image", "env", "label")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_LABEL_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")
_PREFIX = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")


def read_serving(fields: Fields) -> Serving | None:
    """`serving`: the object, and where its version stands."""
    if "serving" not in fields:
        return None
    own = fields.at("serving").fields("serving")
    kind, name, version = own.need("kind", "Rollout or Deployment"), own.need("name", "a name"), own.get("version")
    chosen: Literal["Rollout", "Deployment"] = kind.one_of("Rollout", "Deployment") if kind else "Rollout"
    return Serving(chosen, name.label() if name else "", _read_place(version) if version else None)


def read_version_names(fields: Fields) -> tuple[str, ...]:
    """`versionNames`: each with one `{version}`."""
    if "versionNames" not in fields:
        return ()
    return tuple(_read_pattern(item, "salary-predictor-") for item in fields.at("versionNames").items("names"))


def read_gitops(fields: Fields) -> GitOps | Literal["ignored"] | None:
    """`gitops`: `ignored`, or the template whose Workflow writes a version into Git."""
    place = fields.get("gitops")
    if place is None:
        return None
    if not isinstance(place.value, dict):
        if place.value != "ignored":
            place.want("ignored or a map with workflowTemplateRef")
        return "ignored"
    own = place.fields("gitops")
    parameters = {name: value.text("a string in quotes") for name, value in read_parameters(own)}
    return GitOps(read_reference(own, "workflowTemplateRef"), parameters)


def _read_place(place: Place) -> VersionPlace | None:
    fields = place.fields("serving version")
    found = [where for where in _PLACES if where in fields]
    if len(found) != 1:
        if isinstance(place.value, dict) and "alias" not in fields:
            place.refuse(f"want {either(_PLACES)}, got {' and '.join(found) or 'none'}")
        return None
    where, container = found[0], fields.get("container")
    if container and where == "label":
        container.refuse("a label stands on the pod and not on a container, leave it out")
    name = fields.at(where)
    text = _read_pattern(name, "registry.example/salary:") if where == "image" else _read_name(name, where)
    return VersionPlace(where, text, container.label() if container else None)


def _read_name(place: Place, where: Literal["env", "label"]) -> str:
    text = place.text(f"the name of a {'variable' if where == 'env' else 'label'}")
    if text and where == "env" and not _VARIABLE.fullmatch(text):
        place.want("a variable's name of letters, digits and _")
    if text and where == "label" and not _is_label(text):
        place.want("a label's name such as version or example.com/version")
    return text


def _is_label(text: str) -> bool:
    prefix, _, name = text.rpartition("/")
    return bool(_LABEL_NAME.fullmatch(name)) and ("/" not in text or bool(_PREFIX.fullmatch(prefix)))


def _read_pattern(place: Place, before: str) -> str:
    text = place.text(f'a text with one {VERSION}, such as "{before}{VERSION}"')
    if text and text.count(VERSION) != 1:
        place.want(f'a text with one {VERSION}, such as "{before}{VERSION}"')
    return text
