"""The OpenAPI 3.1 document of the JSON API, made from the same table that the app is made from."""

from __future__ import annotations

import re
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from controller import __version__
from controller.web.answers import Problem
from controller.web.routes import PREFIX, ROUTES, Route

_ALWAYS = {400: "a parameter or the body is not as described", 401: "no token, or an unknown one"}
_REFUSALS = {
    **_ALWAYS,
    403: "the token lacks the role, or the host is not a loopback one",
    404: "there is none",
    405: "the path knows other methods",
    409: "the answer is no: what it is about stands otherwise",
    413: "the body is too large",
    415: "the body is not application/json",
    500: "an error of modelmend itself",
    503: "the store is away, or the engine did not answer in time: try again",
}
_ANYWHERE = (400, 401, 403, 500, 503)
_REF = "#/components/schemas/{model}"


def document() -> dict[str, Any]:
    """The whole document, as JSON-able Python."""
    answers = {route.answer for route in ROUTES} | {Problem}
    bodies = {route.body for route in ROUTES if route.body is not None}
    wanted = [(model, "serialization") for model in sorted(answers, key=_name)]
    wanted += [(model, "validation") for model in sorted(bodies, key=_name)]
    _, schemas = models_json_schema(wanted, ref_template=_REF)  # type: ignore[arg-type]
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        path, parameters = _path(route.path)
        paths.setdefault(path, {})[route.method.lower()] = _operation(route, parameters)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "modelmend",
            "version": __version__,
            "description": "What modelmend received, decided and did, and the acts of its operators. "
            "Lists are newest first; `next` of a page is the `cursor` of the one after.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}, {}],
        "tags": [{"name": "read", "description": "role read"}, {"name": "operate", "description": "role operate"}],
        "paths": paths,
        "components": {
            "schemas": schemas["$defs"],
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _name(model: type[BaseModel]) -> str:
    return model.__name__


def _path(flask_path: str) -> tuple[str, list[dict[str, Any]]]:
    names = re.findall(r"<(?:\w+:)?(\w+)>", flask_path)
    path = PREFIX + re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", flask_path)
    return path, [{"name": n, "in": "path", "required": True, "schema": {"type": "string"}} for n in names]


def _operation(route: Route, parameters: list[dict[str, Any]]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.summary,
        "tags": [route.role],
        "parameters": parameters + (_query(route.query) if route.query else []),
        "responses": _responses(route),
    }
    if route.body is not None:
        schema = {"$ref": _REF.format(model=route.body.__name__)}
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    return operation


def _query(model: type[BaseModel]) -> list[dict[str, Any]]:
    schema = model.model_json_schema()
    required = schema.get("required", ())
    return [_parameter(name, field, required=name in required) for name, field in schema["properties"].items()]


def _parameter(name: str, field: dict[str, Any], *, required: bool) -> dict[str, Any]:
    described = field.pop("description", None)
    # a parameter that is left out is absent, not null
    choices = [choice for choice in field.pop("anyOf", []) if choice != {"type": "null"}]
    merged = field | (choices[0] if choices else {})
    schema = {key: value for key, value in merged.items() if key != "title" and (key, value) != ("default", None)}
    parameter: dict[str, Any] = {"name": name, "in": "query", "required": required, "schema": schema}
    return parameter | ({"description": described} if described else {})


def _responses(route: Route) -> dict[str, Any]:
    answer = {"$ref": _REF.format(model=route.answer.__name__)}
    responses: dict[str, Any] = {
        str(route.status): {"description": "done", "content": {"application/json": {"schema": answer}}}
    }
    statuses = {*_ANYWHERE, *route.refusals, *((413, 415) if route.body else ())}
    for status in sorted(statuses):
        content = {"application/problem+json": {"schema": {"$ref": _REF.format(model=Problem.__name__)}}}
        responses[str(status)] = {"description": _REFUSALS[status], "content": content}
    if status_503 := responses.get("503"):
        status_503["headers"] = {"Retry-After": {"schema": {"type": "integer"}, "description": "seconds"}}
    return responses
