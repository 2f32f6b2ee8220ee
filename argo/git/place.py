"""One value in a YAML file, found by its path and replaced; every other character stays as it was.

A path is keys and items: `images[name=registry.example/salary].newTag`, or
`spec.template.spec.containers[0].env[name=MODEL_VERSION].value`. A key with a dot or a bracket
stands in quotes: `metadata.labels."app.kubernetes.io/version"`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import yaml

from argo.steps.step import StepFailed

_PART = re.compile(r'\.?(?:"(?P<quoted>[^"]+)"|(?P<key>[^.\[\]"]+)|\[(?P<item>[^\]]+)\])')
_PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./@:+-]+")
"""What YAML takes for text whoever reads it: 1e3, 0o17, .5 and y are numbers and truths to some."""


def set_value(text: str, path: str, value: str, kind: str = "", name: str = "") -> str:
    """The file's text with `value` at `path`.

    Where several documents have that path, the one of `kind` and `name` is meant. Raises StepFailed.
    """
    node = _found(text, path, kind, name)
    if _reads(node, value):
        return text
    changed = text[: node.start_mark.index] + _written(value, node.style) + text[node.end_mark.index :]
    if not _reads(_found(changed, path, kind, name), value):
        raise StepFailed(f"{path}: {value!r} cannot be written there so that it is read back")
    return changed


def _found(text: str, path: str, kind: str, name: str) -> yaml.ScalarNode:
    """The one value that is meant."""
    try:
        documents = list(yaml.compose_all(text, yaml.SafeLoader))
        anchored = _anchored(text)
    except yaml.YAMLError as error:
        raise StepFailed(f"the file is no YAML: {error}") from error
    parts = list(_parts(path))
    found = [(document, way) for document in documents if (way := _way(document, parts))]
    if len(found) > 1:
        found = [(document, way) for document, way in found if _is(document, kind, name)]
    if len(found) != 1:
        raise StepFailed(f"{path}: want it in one document of the file, found it in {len(found)}")
    way = found[0][1]
    node = way[-1]
    if not isinstance(node, yaml.ScalarNode) or node.style in ("|", ">"):
        raise StepFailed(f"{path}: want a value of one line there")
    if any(each.start_mark.index in anchored for each in way):
        raise StepFailed(f"{path}: want a value of its own there, found one that an anchor shares with others")
    return node


def _anchored(text: str) -> set[int]:
    """Where the nodes begin that carry an anchor; an alias stands for one of them."""
    events = (event for event in yaml.parse(text) if isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent))
    return {event.start_mark.index for event in events if event.anchor is not None and event.start_mark is not None}


def _reads(node: yaml.ScalarNode, value: str) -> bool:
    return node.value == value and node.tag == "tag:yaml.org,2002:str"


def _parts(path: str) -> Iterator[str | tuple[str, str] | int]:
    """Keys as strings, `[3]` as a number, `[name=x]` as a pair."""
    at = 0
    while at < len(path):
        match = _PART.match(path, at)
        if not match:
            raise StepFailed(f"key: want a path such as images[name=salary].newTag, got {path!r}")
        at = match.end()
        if item := match["item"]:
            key, equals, value = item.partition("=")
            yield (key, value) if equals else _number(item)
        else:
            yield match["quoted"] or match["key"]


def _number(item: str) -> int:
    if not item.isdecimal():
        raise StepFailed(f"key: want [0] or [name=value], got [{item}]")
    return int(item)


def _way(node: yaml.Node | None, parts: list[str | tuple[str, str] | int]) -> list[yaml.Node]:
    """The nodes from a document's root to what the parts name; empty where it is not there."""
    way = []
    for part in parts:
        if node is None:
            return []
        way.append(node)
        if isinstance(part, str):
            node = _child(node, part)
        elif not isinstance(node, yaml.SequenceNode):
            return []
        elif isinstance(part, int):
            node = node.value[part] if part < len(node.value) else None
        else:
            items = [item for item in node.value if _text(_child(item, part[0])) == part[1]]
            node = items[0] if len(items) == 1 else None
    return [] if node is None else [*way, node]


def _child(node: yaml.Node | None, key: str) -> yaml.Node | None:
    if not isinstance(node, yaml.MappingNode):
        return None
    found = [value for name, value in node.value if _text(name) == key]
    return found[-1] if found else None


def _text(node: yaml.Node | None) -> str | None:
    return node.value if isinstance(node, yaml.ScalarNode) else None


def _is(document: yaml.Node, kind: str, name: str) -> bool:
    return _text(_child(document, "kind")) == kind and _text(_child(_child(document, "metadata"), "name")) == name


def _written(value: str, style: str | None) -> str:
    """In the style of what stood there, where that still means this text: 1.10, 1e3 and yes need quotes."""
    if style == "'":
        return "'" + value.replace("'", "''") + "'"
    if style is None and _PLAIN.fullmatch(value) and yaml.safe_load(f"[{value}]") == [value]:
        return value
    return json.dumps(value)
