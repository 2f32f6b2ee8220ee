"""Arguments and variables of actions, read from a document: strings, or expressions that give one."""

from __future__ import annotations

import re

from controller.policy.reading import Fields, Place
from controller.policy.types import Argument

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def read_argument(place: Place) -> Argument:
    """A string, or an expression that gives one."""
    if isinstance(place.value, dict):
        expression = place.fields("expression").need("expr", "an expression")
        return (expression.expression() if expression else None) or ""
    if place.value == "":
        return ""
    if isinstance(place.value, int | float) and not isinstance(place.value, bool):
        place.refuse(f'want a string or {{expr: …}}, got {place.value}; put it in quotes: "{place.value}"')
        return ""
    return place.text("a string or {expr: …}")


def read_env(fields: Fields) -> dict[str, Argument]:
    """`env`: variables of a program, but for those that are ours."""
    env: dict[str, Argument] = {}
    for name, place in fields.at("env").entries("variables") if "env" in fields else []:
        if not _VARIABLE.fullmatch(name):
            place.refuse("want a variable's name of letters, digits and _")
        elif name.startswith("MODELMEND_"):
            place.refuse("MODELMEND_* are set by modelmend")
        else:
            env[name] = read_argument(place)
    return env
