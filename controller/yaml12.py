"""YAML as version 1.2 reads it: `on`, `no` and `12:30` are strings, `0o17` is a number.

PyYAML implements 1.1, so its resolvers are replaced. Stricter than either, because what is
read here decides what is done to production: a key that stands twice is an error with both
lines, keys are strings, only the JSON types exist (no tags, dates, sets, binary, infinity),
merge keys (`<<`) are ordinary keys as in 1.2, and aliases may not blow up a document.
"""

from __future__ import annotations

import math
import re
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import yaml
from yaml.constructor import ConstructorError, SafeConstructor
from yaml.events import CollectionEndEvent, CollectionStartEvent
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from yaml.resolver import BaseResolver

MAX_CHARACTERS = 4 * 1024 * 1024
MAX_NODES = 100_000
"""Of one document, each alias counted as what it stands for."""
MAX_DEPTH = 64

try:  # the C parser is ten times as fast; wheels carry it, some source builds do not
    from yaml.cyaml import CParser as _Parser  # type: ignore[attr-defined]
except ImportError:  # pragma: no cover
    from yaml.loader import SafeLoader as _Parser  # type: ignore[assignment]


class YamlError(ValueError):
    """Text is no acceptable YAML; `line` counts from 1, `message` says what was wanted."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(f"line {line}: {message}")
        self.line = line
        self.message = message


@dataclass(frozen=True, slots=True)
class YamlDocument:
    """One document of a stream: its value of JSON types, and the line on which it begins."""

    value: Any
    line: int


def load(text: str) -> Any:
    """The value of the only document in `text`, None where there is none. Raises YamlError."""
    documents = load_all(text)
    if len(documents) > 1:
        raise YamlError(documents[1].line, f"want one document, got {len(documents)}")
    return documents[0].value if documents else None


def load_all(text: str) -> list[YamlDocument]:
    """Every document in `text` that is not empty, in order. Raises YamlError at the first fault."""
    if len(text) > MAX_CHARACTERS:
        raise YamlError(1, f"want at most {MAX_CHARACTERS} characters, got {len(text)}")
    documents = []
    try:
        _refuse_depth(text)
        loader = _Loader(text)
        try:
            while loader.check_node():
                node = loader.get_node()
                assert node is not None  # said check_node
                _measure(node, {})
                value = loader.construct_document(node)
                if value is not None:
                    documents.append(YamlDocument(value, node.start_mark.line + 1))
        finally:
            loader.dispose()
    except yaml.reader.ReaderError as error:
        line = text.encode()[: error.position].count(b"\n") + 1
        raise YamlError(line, str(error.reason)) from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise YamlError(mark.line + 1 if mark else 1, error.problem or error.context or "not YAML") from error
    except yaml.YAMLError as error:
        raise YamlError(1, str(error)) from error
    except UnicodeEncodeError as error:
        raise YamlError(text.count("\n", 0, error.start) + 1, "want Unicode text, got half a surrogate pair") from error
    return documents


def _refuse_depth(text: str) -> None:
    """Parsing is a loop but composing recurses, in C without a check: 30,000 brackets end the process."""
    parser = _Parser(text)
    try:
        depth = 0
        while parser.check_event():
            event = parser.get_event()
            if isinstance(event, CollectionStartEvent):
                depth += 1
                if depth > MAX_DEPTH:
                    line = event.start_mark.line + 1 if event.start_mark else 1
                    raise YamlError(line, f"want at most {MAX_DEPTH} levels of nesting")
            elif isinstance(event, CollectionEndEvent):
                depth -= 1
    finally:
        parser.dispose()


def _measure(node: Node, known: dict[int, tuple[int, int] | None]) -> tuple[int, int]:
    """How many values `node` stands for, and how deep, when its aliases are written out."""
    line = node.start_mark.line + 1
    if id(node) in known:
        measured = known[id(node)]
        if measured is None:
            raise YamlError(line, "an alias stands within what it names")
        return measured
    known[id(node)] = None
    size, depth = 1, 0
    if not isinstance(node, ScalarNode):
        children = node.value if isinstance(node, SequenceNode) else [child for pair in node.value for child in pair]
        for child in children:
            more, below = _measure(child, known)
            size, depth = size + more, max(depth, below + 1)
    if size > MAX_NODES:
        raise YamlError(line, f"want at most {MAX_NODES} values in one document")
    if depth > MAX_DEPTH:
        raise YamlError(line, f"want at most {MAX_DEPTH} levels of nesting")
    known[id(node)] = size, depth
    return size, depth


class _CoreResolver(BaseResolver):
    """The tags of YAML 1.2's core schema, without infinity and not-a-number."""


_TAGS = {
    "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    "bool": (r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    "int": (r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    "float": (r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", list("-+.0123456789")),
}
for _name, (_pattern, _first) in _TAGS.items():
    _CoreResolver.add_implicit_resolver(f"tag:yaml.org,2002:{_name}", re.compile(rf"^(?:{_pattern})\Z"), _first)


class _Loader(_Parser, SafeConstructor, _CoreResolver):
    def __init__(self, text: str) -> None:
        _Parser.__init__(self, text)
        SafeConstructor.__init__(self)
        _CoreResolver.__init__(self)

    def construct_mapping(self, node: MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002 - PyYAML's signature
        found: dict[Hashable, Any] = {}
        lines: dict[str, int] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise YamlError(line, f"want a string as key, got {_shown(key_node)}; put it in quotes")
            if key in lines:
                raise YamlError(line, f'duplicate key "{key}", first on line {lines[key]}')
            lines[key] = line
            found[key] = self.construct_object(value_node, deep=True)
        return found


def _shown(node: Node) -> str:
    return str(node.value) if isinstance(node, ScalarNode) else f"a {type(node).__name__.removesuffix('Node').lower()}"


def _scalar(node: Node, kind: str, wanted: str) -> str:
    """The text of `node` if it is written as YAML 1.2 writes a `kind`; tags may claim what is not so."""
    if isinstance(node, ScalarNode) and (kind == "str" or re.fullmatch(_TAGS[kind][0], node.value)):
        return str(node.value)
    raise YamlError(node.start_mark.line + 1, f'want {wanted}, got "{_shown(node)[:40]}"')


def _null(_: _Loader, node: Node) -> None:
    _scalar(node, "null", "null")


def _bool(_: _Loader, node: Node) -> bool:
    return _scalar(node, "bool", "true or false").lower() == "true"


def _int(_: _Loader, node: Node) -> int:
    text = _scalar(node, "int", "an integer")
    try:
        return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
    except ValueError:  # more than 4,300 digits
        raise YamlError(node.start_mark.line + 1, f'want an integer, got "{text[:40]}"') from None


def _float(_: _Loader, node: Node) -> float:
    number = float(_scalar(node, "float", "a number"))
    if math.isinf(number):
        raise YamlError(node.start_mark.line + 1, f'want a finite number, got "{_shown(node)[:40]}"')
    return number


def _string(_: _Loader, node: Node) -> str:
    return _scalar(node, "str", "a string")


def _sequence(loader: _Loader, node: Node) -> list[Any]:
    if not isinstance(node, SequenceNode):
        raise YamlError(node.start_mark.line + 1, f"want a sequence, got {_shown(node)}")
    return loader.construct_sequence(node, deep=True)


def _mapping(loader: _Loader, node: Node) -> dict[Hashable, Any]:
    if not isinstance(node, MappingNode):
        raise YamlError(node.start_mark.line + 1, f"want a mapping, got {_shown(node)}")
    return loader.construct_mapping(node)


def _refused(_: _Loader, node: Node) -> Any:
    raise ConstructorError(None, None, f"want no tag, got {node.tag}", node.start_mark)


_Loader.yaml_constructors = {
    "tag:yaml.org,2002:null": _null,
    "tag:yaml.org,2002:bool": _bool,
    "tag:yaml.org,2002:int": _int,
    "tag:yaml.org,2002:float": _float,
    "tag:yaml.org,2002:str": _string,
    "tag:yaml.org,2002:seq": _sequence,
    "tag:yaml.org,2002:map": _mapping,
    None: _refused,
}
