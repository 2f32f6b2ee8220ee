"""File, environment and flags laid over each other, later ones winning, and every fault told with its place.

The pure part of reading settings, apart from reading the one file. It knows the model only
through pydantic, so a new setting needs no line here.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, get_origin

from pydantic import BaseModel, BeforeValidator, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from controller.errors import ConfigError
from controller.yaml12 import YamlError
from controller.yaml12 import load as load_yaml

PREFIX = "MODELMEND_"
CONFIG_VARIABLE = "MODELMEND_CONFIG"
_SHOWN = 60
# What Kubernetes sets in every pod beside a Service named modelmend.
_KUBERNETES = re.compile(r"MODELMEND_(\w+_)?(SERVICE_HOST|SERVICE_PORT\w*|PORT(_\d+_(TCP|UDP|SCTP)\w*)?)")
_WANTED = {
    "bool_type": "true or false",
    "dict_type": "a mapping",
    "greater_than_equal": "at least {ge}",
    "int_type": "a whole number",
    "less_than_equal": "at most {le}",
    "literal_error": "{expected}",
    "missing": "a value",
    "model_type": "a mapping",
    "string_too_long": "at most {max_length} characters",
    "string_too_short": "a string that is not empty",
    "string_type": "a string",
    "too_short": "a list that is not empty",
    "tuple_type": "a list",
}

M = TypeVar("M", bound=BaseModel)
Place = tuple[str, ...]


class _Layers:
    """Raw values by their place in the file, and who said each."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.said_by: dict[Place, str] = {}
        self.problems: list[str] = []

    def put(self, path: Place, value: Any, said_by: str) -> None:
        """Lay `value` over what stands at `path`."""
        values = self.values
        for key in path[:-1]:
            below = values.get(key)
            values[key] = values = dict(below) if isinstance(below, dict) else {}
        values[path[-1]] = value
        self.said_by[path] = said_by

    def told(self, path: Place, message: str) -> str:
        """`message` with who said what stands at `path`: the variable, the flag, or the file."""
        for length in range(len(path), 0, -1):
            said_by = self.said_by.get(path[:length])
            if said_by is not None:
                rest = path if said_by.endswith(":") else path[length:]
                return ": ".join(part for part in (said_by.rstrip(":"), ".".join(rest), message) if part)
        return f"{'.'.join(path)}: {message}" if path else message


def load(model: type[M], config_path: Path | None, flags: Mapping[str, Any], environ: Mapping[str, str]) -> M:
    """A `model` out of the three layers; ConfigError names every problem."""
    layers = _Layers()
    if config_path is None and environ.get(CONFIG_VARIABLE):
        config_path = Path(environ[CONFIG_VARIABLE])
    if config_path is not None:
        _read_file(layers, config_path)
    _read_environment(layers, model, environ)
    for name, value in flags.items():
        if value is not None:
            layers.put((_alias(model, name),), value, "--" + name.replace("_", "-"))
    settings = None
    try:
        settings = model.model_validate(layers.values, by_alias=True, by_name=False)
    except ValidationError as error:
        layers.problems += [_problem(layers, model, fault) for fault in error.errors()]
    if layers.problems or settings is None:
        raise ConfigError(tuple(dict.fromkeys(layers.problems)))
    return settings if config_path is None else _below(settings, layers, config_path.parent)


def _read_file(layers: _Layers, path: Path) -> None:
    try:
        values = load_yaml(path.read_text(encoding="utf-8"))
    except OSError as error:
        layers.problems.append(f"{path}: want a readable file, got: {error.strerror}")
    except UnicodeDecodeError:
        layers.problems.append(f"{path}: want UTF-8 text")
    except YamlError as error:
        layers.problems.append(f"{path}: {error}")
    else:
        if values is not None and not isinstance(values, dict):
            layers.problems.append(f"{path}: want a mapping, got {_shown(values)}")
            return
        for key, value in (values or {}).items():
            layers.put((key,), value, f"{path}:")


def _read_environment(layers: _Layers, model: type[BaseModel], environ: Mapping[str, str]) -> None:
    known = {CONFIG_VARIABLE}
    for variable in variables(model):
        known.add(variable.name)
        text = environ.get(variable.name)
        if not text:  # an empty variable is how shells and manifests write "not set"
            continue
        try:
            layers.put(variable.path, _from_text(variable.field, text), variable.name)
        except YamlError as error:
            layers.problems.append(f"{variable.name}: {error}")
    for name in sorted(environ):
        if name.startswith(PREFIX) and name not in known and not _KUBERNETES.fullmatch(name):
            close = get_close_matches(name, known, n=1, cutoff=0.9)
            if close:
                layers.problems.append(f"{name}: unknown variable, did you mean {close[0]}?")


class Variable(NamedTuple):
    """An environment variable: the field that it sets, and that field's place in the file."""

    name: str
    path: Place
    field: FieldInfo


def variables(model: type[BaseModel]) -> Iterator[Variable]:
    """Every environment variable that sets something, groups before their parts."""
    for name, field in model.model_fields.items():
        place = (_alias(model, name),)
        yield Variable(PREFIX + name.upper(), place, field)
        group = field.annotation
        if isinstance(group, type) and issubclass(group, BaseModel):
            for part, below in group.model_fields.items():
                yield Variable(f"{PREFIX}{name}_{part}".upper(), (*place, _alias(group, part)), below)


def _from_text(field: FieldInfo, text: str) -> Any:
    """The raw value that `text` of a variable stands for: YAML, except where the setting is text itself."""
    kind = field.annotation
    if get_origin(kind) is tuple:
        return text.split(os.pathsep)
    if any(isinstance(part, BeforeValidator) for part in field.metadata):
        return text
    structured = get_origin(kind) is dict or (isinstance(kind, type) and issubclass(kind, BaseModel))
    return load_yaml(text) if structured or kind in (bool, int, float) else text


def _alias(model: type[BaseModel], name: str) -> str:
    return model.model_fields[name].alias or name


def _problem(layers: _Layers, model: type[BaseModel], fault: ErrorDetails) -> str:
    path = tuple(str(part) for part in fault["loc"])
    kind, ctx = fault["type"], fault.get("ctx", {})
    if kind == "together":
        path = (ctx["field"],)
        return layers.told(path, f"{fault['msg']}, got {_shown(layers.values.get(path[0]))}")
    fields = list(_fields(model, path))
    if kind == "extra_forbidden":
        group = fields[-1].annotation if fields else model
        return layers.told(path, _unknown_key(path[-1], group))
    wanted = str(ctx.get("error", "")) if kind == "value_error" else _WANTED.get(kind, fault["msg"]).format(**ctx)
    if wanted.startswith("want "):
        return layers.told(path, wanted)
    wanted = wanted.removeprefix("Input should be ")
    found = "nothing" if kind == "missing" else _shown(fault["input"])
    if any(not field.repr for field in fields) and kind != "missing":
        found = "something else (not shown, it may be secret)"
    return layers.told(path, f"want {wanted}, got {found}")


def _unknown_key(key: str, group: Any) -> str:
    known = sorted(_alias(group, name) for name in group.model_fields)
    close = get_close_matches(key, known, n=1)
    return f'unknown key, did you mean "{close[0]}"?' if close else f"unknown key, want one of {', '.join(known)}"


def _fields(model: Any, path: Place) -> Iterator[FieldInfo]:
    """The fields along `path`; of a mapping, its values are the model that its last argument names."""
    for part in path:
        if isinstance(model, type) and issubclass(model, BaseModel):
            field = next((f for name, f in model.model_fields.items() if (f.alias or name) == part), None)
            if field is None:
                return
            yield field
            model = field.annotation
        else:
            arguments = getattr(model, "__args__", (None,))
            model = arguments[-1]
            if isinstance(model, type) and issubclass(model, BaseModel):
                yield FieldInfo(annotation=model)


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    if value is None:
        return "nothing"
    text = json.dumps(value if isinstance(value, str | int | float) else str(value), ensure_ascii=False)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def _below(settings: M, layers: _Layers, folder: Path) -> M:
    """`settings` with the paths that the file said made relative to its folder, as its author saw them."""
    model = type(settings)
    said = {name for name in model.model_fields if layers.said_by.get((_alias(model, name),), "").endswith(":")}
    return settings.model_copy(update={name: _rebased(getattr(settings, name), folder) for name in said})


def _rebased(value: Any, folder: Path) -> Any:
    if isinstance(value, Path):
        return folder / value
    if isinstance(value, tuple):
        return tuple(_rebased(item, folder) for item in value)
    if isinstance(value, dict):
        return {key: _rebased(item, folder) for key, item in value.items()}
    if isinstance(value, BaseModel):
        return value.model_copy(
            update={name: _rebased(getattr(value, name), folder) for name in value.model_fields_set}
        )
    return value
