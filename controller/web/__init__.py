"""The Flask app behind the receiver: the JSON API, its OpenAPI document, the pages, /metrics.

Every route stands in `routes.ROUTES`; `api.Api` has a method for each. Here is what all
have in common: who may ask, what a request may carry, how a refusal looks.

Who may ask. With a tokens file every request needs a bearer token: `read` for what only
shows (and for /metrics), `operate` for what changes. Without one the server listens on
loopback, and everybody on the machine may do everything; then a request must name a
loopback host, or a page in a browser could reach us under a name of its own (DNS
rebinding). `--insecure` gives that check up. A POST must be `application/json`, which no
form and no page of another origin can send without being asked first.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from flask import Flask, Response, request
from pydantic import BaseModel, ValidationError
from pydantic_core import to_json
from werkzeug.exceptions import HTTPException

from controller.metrics import Metrics
from controller.store.database import Database
from controller.tokens import Role, Tokens
from controller.web.api import Api, SubmitAct
from controller.web.callers import By, caller
from controller.web.openapi import document
from controller.web.pages import PageSettings, add_pages
from controller.web.problems import Refused, faults_of, problem, refusal_of
from controller.web.routes import PREFIX, ROUTES, Route

__all__ = ["PageSettings", "Parts", "create_app"]

log = logging.getLogger(__name__)

MAX_BODY = 64 * 1024  # bytes; an act is a few hundred
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True, slots=True)
class Parts:
    """What the composition root gives to the app.

    :ivar submit_act: `(kind, scope, ref, body, who, why) -> outcome`: stores the act, waits until
        the engine has used it and returns its outcome, `{"ok": True, …}` or `{"ok": False, "error":
        why}`; raises TemporaryError where that takes too long or the store is away.
    :ivar tokens: None: no authentication is configured.
    :ivar insecure: True: requests may name any host although nobody is authenticated.
    :ivar status: what only the process knows, merged into `GET status`.
    :ivar pages: what the pages are told by the settings.
    :ivar clock: the time of now, aware.
    """

    db: Database
    submit_act: SubmitAct
    metrics: Metrics
    clock: Callable[[], datetime]
    status: Callable[[], dict[str, Any]]
    tokens: Tokens | None = None
    insecure: bool = False
    pages: PageSettings = field(default_factory=PageSettings)


def create_app(parts: Parts) -> Flask:
    """The app over these parts."""
    app = Flask("modelmend", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY
    app.url_map.strict_slashes = False
    api = Api(parts.db, parts.submit_act, parts.clock, parts.status)
    for route in ROUTES:
        view = _view(route, getattr(api, route.name), parts)
        app.add_url_rule(PREFIX + route.path, route.name, view, methods=[route.method])
    described = to_json(document())

    @app.get(f"{PREFIX}/openapi.json")
    def openapi() -> Response:
        return Response(described, content_type="application/json")

    @app.get("/metrics")
    def metrics() -> Response:
        _caller(parts, Role.READ)
        body, content_type = parts.metrics.render(request.headers.get("Accept", ""))
        return Response(body, content_type=content_type)

    add_pages(app, parts.pages, api, parts.tokens, parts.clock, insecure=parts.insecure)
    _answer_errors(app, parts.metrics)
    return app


def _view(route: Route, answer: Callable[..., Any], parts: Parts) -> Callable[..., Response]:
    role = Role(route.role)

    def view(**path: str) -> Response:
        by = _caller(parts, role)
        given: dict[str, Any] = dict(path)
        query = route.query or _NoQuery
        checked = _checked(query, _query(), "query")
        if route.query is not None:
            given["query"] = checked
        if route.body is not None:
            given |= {"body": _checked(route.body, _body(), ""), "by": by}
        return Response(to_json(answer(**given)), status=route.status, content_type="application/json")

    return view


class _NoQuery(BaseModel, extra="forbid"):
    """A route without parameters: one that is given all the same is a fault."""


def _caller(parts: Parts, role: Role) -> By:
    return caller(parts.tokens, role, parts.clock, insecure=parts.insecure)


def _query() -> dict[str, Any]:
    repeated = [key for key in request.args if len(request.args.getlist(key)) > 1]
    if repeated:
        raise Refused(400, f"the parameter {repeated[0]!r} is given more than once")
    return request.args.to_dict()


def _body() -> Any:
    if request.mimetype != "application/json":
        raise Refused(415, f"want a body of application/json, got {request.mimetype or 'none'}")
    return request.get_data()


def _checked(model: type[BaseModel], given: Any, prefix: str) -> BaseModel:
    try:
        return model.model_validate_json(given) if isinstance(given, bytes) else model.model_validate(given)
    except ValidationError as error:
        faults = faults_of(error.errors(include_url=False), prefix=prefix)
        raise Refused(400, f"the {prefix or 'body'} is not as described", faults) from error


def _answer_errors(app: Flask, metrics: Metrics) -> None:
    @app.errorhandler(Exception)
    def refused(error: Exception) -> Response:
        if isinstance(error, HTTPException) and (error.code or 500) < 400:
            return Response(status=error.code, headers=error.get_headers())
        refusal = refusal_of(error)
        if refusal.status == 500:
            log.error("a request failed", exc_info=error, extra={"method": request.method, "path": request.path})
        return problem(refusal)

    @app.after_request
    def finish(response: Response) -> Response:
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        if response.status_code >= 400:
            metrics.request_refused(response.status_code)
        return response
