"""What the API answers when it does not do what was asked, as our errors: again, changed meanwhile, or never.

The API has one code for things that differ, so the `Status` in the body decides: 409 is
a name taken, an old resourceVersion or a race for a quota; 403 is a missing right or an
exhausted quota; 404 is a missing object, namespace, type or subresource.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Literal

from controller.errors import Conflict, ModelmendError, PermanentError, TemporaryError

Reason = Literal[
    "bad_request", "forbidden", "invalid", "no_kind", "no_namespace", "not_found", "quota", "unauthorized", "other"
]
"""Why trying again cannot help, in one word.

`quota` may pass when others have finished; `no_kind`: the cluster does not have this type
of object (a CRD is not installed); `no_namespace`: missing, or being deleted.
"""

SOON = 1.0
"""Seconds to wait where the API did not say how long."""

_LONGEST_MESSAGE = 500
_BY_STATUS: dict[int, Reason] = {400: "bad_request", 401: "unauthorized", 403: "forbidden", 422: "invalid"}


class AlreadyExists(Conflict):
    """An object of this name is there: read it, and see whose it is."""


class Refused(PermanentError):
    """The API refuses, and will again. `status`: the HTTP status, 0 where nothing was sent."""

    def __init__(self, message: str, *, status: int, reason: Reason) -> None:
        super().__init__(message)
        self.status = status
        self.reason: Reason = reason


class NotFound(Refused):
    """The object itself is missing; its namespace and type may be there."""

    def __init__(self, message: str) -> None:
        super().__init__(message, status=404, reason="not_found")


class Gone(TemporaryError):
    """The resourceVersion or page asked for is no longer kept (410): list again."""


def refusal(status: int, headers: Mapping[str, str], body: bytes, asked: str) -> ModelmendError:
    """The error for an answer that is no 2xx. `asked` says what for: "create workflows.argoproj.io ml/retrain-1"."""
    told = _status(body)
    message = f"{asked}: {_message(told, body, status)}"
    details = told.get("details")
    details = details if isinstance(details, dict) else {}
    if status in {408, 429} or status >= 500:
        return TemporaryError(message, retry_after=_retry_after(headers, details))
    match status:
        case 404:
            return _missing(message, details)
        case 409 if told.get("reason") == "AlreadyExists":
            return AlreadyExists(message)
        case 409 if details.get("kind") == "resourcequotas":
            return TemporaryError(message, retry_after=SOON)  # several creations raced for the quota's own counter
        case 409:
            return Conflict(message)
        case 410:
            return Gone(message, retry_after=SOON)
        case 403 if "exceeded quota" in str(told.get("message")):
            return Refused(message, status=status, reason="quota")
        case 403 if any(cause.get("reason") == "NamespaceTerminating" for cause in _causes(details)):
            return Refused(message, status=status, reason="no_namespace")
        case _:
            return Refused(message, status=status, reason=_BY_STATUS.get(status, "other"))


def _missing(message: str, details: dict[str, Any]) -> Refused:
    if not details.get("name"):  # an unknown path has the plain body "404 page not found", or a Status about nothing
        return Refused(f"{message} (is its CRD installed?)", status=404, reason="no_kind")
    if details.get("kind") == "namespaces":
        return Refused(message, status=404, reason="no_namespace")
    return NotFound(message)


def _status(body: bytes) -> dict[str, Any]:
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) and told.get("kind") == "Status" else {}


def _causes(details: dict[str, Any]) -> list[dict[str, Any]]:
    causes = details.get("causes")
    return [cause for cause in causes if isinstance(cause, dict)] if isinstance(causes, list) else []


def _message(told: dict[str, Any], body: bytes, status: int) -> str:
    text = str(told.get("message") or "") or body[: 4 * _LONGEST_MESSAGE].decode("utf-8", "replace")
    text = re.sub(r"\s+", " ", text).strip() or f"HTTP {status}"
    return text if len(text) <= _LONGEST_MESSAGE else f"{text[: _LONGEST_MESSAGE - 1]}…"


def _retry_after(headers: Mapping[str, str], details: dict[str, Any]) -> float:
    """Seconds that the API asks us to wait, at most an hour."""
    for value in (headers.get("Retry-After"), details.get("retryAfterSeconds")):
        text = str(value or "").strip()
        if text.isascii() and text.isdigit() and int(text[:9]) > 0:
            return float(min(int(text[:9]), 3600))
    return SOON
