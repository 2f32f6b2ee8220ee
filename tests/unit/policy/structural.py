"""The part of an API server's validation that our schemas use: JSON Schema, and which unknown keys it keeps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

from controller.policy.schemas import definitions

Path = tuple[Any, ...]


@dataclass(frozen=True)
class Structural:
    """The schema of one kind's spec."""

    schema: dict[str, Any]
    validator: Draft202012Validator

    def keeps(self, path: Path, key: str) -> bool:
        """Whether an unknown key of the object at `path` is kept; below what has no schema everything is."""
        schema = self.schema
        for part in path:
            if isinstance(part, int):
                schema = schema["items"]
            elif part in schema.get("properties", {}):
                schema = schema["properties"][part]
            elif isinstance(schema.get("additionalProperties"), dict):
                schema = schema["additionalProperties"]
            else:
                return bool(schema.get("x-kubernetes-preserve-unknown-fields"))
            if "type" not in schema and not ({"properties", "items"} & schema.keys()):
                return bool(schema.get("x-kubernetes-preserve-unknown-fields"))
        return bool(schema.get("x-kubernetes-preserve-unknown-fields")) or "additionalProperties" in schema


@cache
def validator(kind: str) -> Structural:
    """The validator of a kind's spec."""
    (found,) = [each for each in definitions() if each["spec"]["names"]["kind"] == kind]
    schema = found["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    Draft202012Validator.check_schema(schema)
    return Structural(schema, Draft202012Validator(schema))


def refuses(kind: str, spec: Any) -> list[str]:
    """What the schema of a kind says against a spec."""
    return [error.message for error in validator(kind).validator.iter_errors(spec)]


def places(value: Any, path: Path = ()) -> Iterator[Path]:
    """The path of every value below."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in inner:
        yield (*path, key)
        yield from places(part, (*path, key))


def at(value: Any, path: Path) -> Any:
    """The value at `path`."""
    for key in path:
        value = value[key]
    return value
