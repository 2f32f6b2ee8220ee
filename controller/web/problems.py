"""RFC 9457 answers: every refusal of the JSON API is `application/problem+json`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from flask import Response
from pydantic_core import ErrorDetails, to_json
from werkzeug.exceptions import HTTPException

from controller.errors import Conflict, Fault, NotLeader, PermanentError, TemporaryError

PROBLEM = "application/problem+json"
_SHOWN = 120


class Refused(Exception):
    """A request that is answered with a problem: `status`, a one-line title, and what was wrong where."""

    def __init__(
        self,
        status: int,
        detail: str,
        faults: Sequence[Fault] = (),
        *,
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.faults = tuple(faults)
        self.headers = dict(headers or {})
        self.more = more


def problem(refused: Refused) -> Response:
    """The response for a refusal: type, title, status, detail, `errors` with paths, and what else is known."""
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(refused.status).phrase,
        "status": refused.status,
        "detail": refused.detail,
    }
    if refused.faults:
        body["errors"] = [
            {"path": fault.path, "wanted": fault.wanted, "found": fault.found, "detail": str(fault)}
            for fault in refused.faults
        ]
    body.update(refused.more)
    response = Response(to_json(body), status=refused.status, content_type=PROBLEM)
    response.headers.update(refused.headers)
    return response


def faults_of(errors: Sequence[ErrorDetails], *, prefix: str = "") -> tuple[Fault, ...]:
    """What pydantic found, as faults: where, what was wanted, what was found."""
    return tuple(_fault(error, prefix) for error in errors)


def _fault(error: ErrorDetails, prefix: str) -> Fault:
    path = ".".join(str(part) for part in error["loc"])
    path = f"{prefix}.{path}" if prefix and path else prefix or path or "body"
    kind, context = error["type"], error.get("ctx", {})
    if kind == "missing":
        return Fault(path, "a value", "nothing")
    if kind == "extra_forbidden":
        return Fault(path, "no such key", _shown(error["input"]))
    wanted = str(context["error"]) if kind == "value_error" and "error" in context else _lower(error["msg"])
    return Fault(path, wanted, _shown(error["input"]))


def _lower(message: str) -> str:
    message = message.removeprefix("Input should be ").removeprefix("Value should ")
    return message[:1].lower() + message[1:]


def _shown(value: Any) -> str:
    text = to_json(value, fallback=str, inf_nan_mode="strings").decode(errors="replace")
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def refusal_of(error: Exception) -> Refused:
    """How an error is answered; what nobody foresaw is a 500 that tells nothing of the inside."""
    match error:
        case Refused():
            return error
        case TemporaryError():
            return Refused(503, str(error), headers={"Retry-After": str(max(1, round(error.retry_after)))})
        case NotLeader():
            return Refused(503, "this process does not lead its database now", headers={"Retry-After": "5"})
        case Conflict():
            return Refused(409, str(error))
        case PermanentError():
            return Refused(400, str(error))
        case HTTPException():
            headers = {key: value for key, value in error.get_headers() if key == "Allow"}
            return Refused(error.code or 500, error.description or error.name, headers=headers)
        case _:
            return Refused(500, "an error of modelmend itself; its log says more")
