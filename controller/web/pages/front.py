"""What stands before us: which address we are reached under, and what a trusted proxy says in headers.

Headers are believed only from the addresses that the settings name: anybody else may write
them, too. The socket's own peer is asked, never a header about it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from werkzeug import Request

from controller.settings import ProxyAuth
from controller.tokens import Role
from controller.web.problems import Refused

_PREFIX = re.compile(r"(/[A-Za-z0-9._~-]+){1,8}")
_NAME = re.compile(r"[^\x00-\x1f\x7f-\x9f,]{1,256}")


@dataclass(frozen=True, slots=True)
class Person:
    """Whom a request comes from: a name for the record, a session's subject, and what they may do."""

    name: str
    subject: str
    roles: frozenset[Role]


class Front:
    """The settings `publicUrl` and `proxyAuth`, asked about one request."""

    def __init__(self, public_url: str | None, proxy: ProxyAuth | None) -> None:
        self._public = urlsplit(public_url) if public_url else None
        self._proxy = proxy

    @property
    def signs_in(self) -> bool:
        """Whether people are signed in by the proxy."""
        return self._proxy is not None and self._proxy.user_header is not None

    def trusted(self, request: Request) -> bool:
        """Whether the request comes from the proxy."""
        return self._believed(request.remote_addr or "")

    def _believed(self, address: str) -> bool:
        """Whether it is one of the settings' `trusted`."""
        if self._proxy is None:
            return False
        try:
            peer = ip_address(address.partition("%")[0])
        except ValueError:
            return False
        peer = getattr(peer, "ipv4_mapped", None) or peer
        return any(peer in network for network in self._proxy.trusted)

    def prefix(self, request: Request) -> str:
        """The path under which we are reached, as `/modelmend`; '' for none."""
        said = request.headers.get("X-Forwarded-Prefix") if self.trusted(request) else None
        if said is not None:
            said = said.rstrip("/")
            return said if _PREFIX.fullmatch(said) else ""
        if self._public is not None and request.host.lower() == self._public.netloc:
            return self._public.path
        return ""

    def https(self, request: Request) -> bool:
        """Whether the person's browser speaks TLS, so that a cookie may insist on it."""
        if request.scheme == "https":
            return True
        if self.trusted(request) and "X-Forwarded-Proto" in request.headers:
            return _first(request.headers["X-Forwarded-Proto"]) == "https"
        public = self._public
        return public is not None and public.scheme == "https" and request.host.lower() == public.netloc

    def ours(self, request: Request, origin: str) -> bool:
        """Whether a page of this origin is one of ours."""
        try:
            parts = urlsplit(origin)
        except ValueError:
            return False
        if parts.scheme not in ("http", "https") or parts.path or parts.query or parts.fragment:
            return False
        hosts = {request.host.lower()}
        if self._public is not None:
            hosts.add(self._public.netloc)
        if self.trusted(request) and "X-Forwarded-Host" in request.headers:
            hosts.add(_first(request.headers["X-Forwarded-Host"]))
        return parts.netloc.lower() in hosts

    def address(self, request: Request) -> str:
        """Where the person is, for counting attempts: the last address before those of trusted proxies."""
        found = request.remote_addr or ""
        said = request.headers.get("X-Forwarded-For", "").split(",")
        while self._believed(found) and said and (before := said.pop().strip()):
            found = before
        return found

    def person(self, request: Request) -> Person | None:
        """Whom the proxy signed in; None where it does not come from there. Raises Refused: 401, 403."""
        proxy = self._proxy
        if proxy is None or proxy.user_header is None or not self.trusted(request):
            return None
        name = _text(request.headers.get(proxy.user_header, "")).strip()
        if not name:
            raise Refused(401, "the proxy says nothing of who you are")
        if not _NAME.fullmatch(name):  # a comma: the header stood twice, and one of them is not the proxy's
            raise Refused(403, f"want one name in {proxy.user_header}")
        said = _text(request.headers.get(proxy.groups_header, "")) if proxy.groups_header else ""
        groups = {group.strip() for group in said.split(",") if group.strip()}
        decides = "*" in proxy.operators or not groups.isdisjoint(proxy.operators)
        return Person(name, f"proxy:{name}", frozenset(Role) if decides else frozenset({Role.READ}))


def _text(value: str) -> str:
    """A header's value as its sender meant it: WSGI hands bytes over as Latin-1, proxies send UTF-8."""
    try:
        return value.encode("latin-1").decode()
    except UnicodeError:
        return value


def _first(value: str) -> str:
    """What the proxy nearest to the browser said, where each of a chain added its own."""
    return value.partition(",")[0].strip().lower()
