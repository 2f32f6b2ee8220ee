"""Who asks: by a bearer token, or, without authentication, anybody on this machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from flask import request

from controller.tokens import Role, Tokens
from controller.web.problems import Refused

ANONYMOUS = "anonymous"
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})

Way = Literal["api", "command", "page"]


@dataclass(frozen=True, slots=True)
class By:
    """Whose act it is, and by which way it came: a program, our own command, or a page."""

    name: str
    way: Way


def caller(tokens: Tokens | None, role: Role, clock: Callable[[], datetime], *, insecure: bool) -> By:
    """Whose request it is. Raises Refused: 401, 403."""
    way: Way = "command" if request.headers.get("User-Agent", "").startswith("modelmend/") else "api"
    if tokens is None:
        check_host(insecure=insecure)
        return By(ANONYMOUS, way)
    scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
    token = tokens.bearer(secret.strip(), clock()) if scheme.lower() == "bearer" and secret else None
    if token is None:
        detail = "a bearer token is needed" if not secret else "the token is not known, or has expired"
        raise Refused(401, detail, headers={"WWW-Authenticate": 'Bearer realm="modelmend"'})
    if not token.may(role):
        raise Refused(403, f"{token.name} lacks the role {role}")
    return By(token.name, way)


def check_host(*, insecure: bool) -> None:
    """Without authentication a request must name a loopback host. Raises Refused: 403."""
    host = request.host.rsplit(":", 1)[0] if not request.host.endswith("]") else request.host
    if not insecure and host.lower() not in _LOOPBACK:
        raise Refused(403, "without authentication only requests to localhost, 127.0.0.1 or [::1] are answered")
