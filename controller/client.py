"""The commands' side of the JSON API: one pool of connections, problems turned into our own errors.

Small on purpose: the commands that only ask a server must start quickly, so this imports
neither the server nor the store.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlsplit

import requests

from controller import __version__
from controller.errors import ConfigError, Conflict, PermanentError, TemporaryError

DEFAULT_SERVER = "http://127.0.0.1:8080"
CONNECT_SECONDS, READ_SECONDS = 5.0, 60.0
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_SHOWN = 300


class Refused(PermanentError):
    """The server said no: `status`, and `problem`, its whole answer (empty where it was no JSON)."""

    def __init__(self, message: str, status: int, problem: Mapping[str, Any]) -> None:
        super().__init__(message)
        self.status = status
        self.problem = dict(problem)


class _Bearer(requests.auth.AuthBase):
    """The token; set even without one, since requests would else take credentials from ~/.netrc."""

    def __init__(self, token: str | None) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._token:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class Client:
    """Speaks to one server.

    :param server: its address, as `http://127.0.0.1:8080` or `mend.example:8080`.
    :param token: a bearer token, or None.

    Raises ConfigError for what is no address.
    """

    def __init__(self, server: str, token: str | None = None) -> None:
        self.server, host = _address(server)
        self._session = requests.Session()
        self._session.auth = _Bearer(token)
        self._session.headers.update({"User-Agent": f"modelmend/{__version__}", "Accept": "application/json"})
        if host in _LOOPBACK:
            self._session.trust_env = False  # no proxy stands between us and ourselves

    def close(self) -> None:
        self._session.close()

    def get(self, path: str, **query: Any) -> dict[str, Any]:
        """What `GET /api/v1{path}` answers; parameters that are None are left out.

        Raises Refused, Conflict, TemporaryError.
        """
        given = {key: _text(value) for key, value in query.items() if value is not None}
        return self._ask("GET", f"/api/v1{path}", params=given)

    def items(self, path: str, limit: int, **query: Any) -> dict[str, Any]:
        """A list as the server gives it, of at most `limit` items, read page by page."""
        items: list[Any] = []
        page: dict[str, Any] = {"next": None}
        while len(items) < limit:
            page = self.get(path, limit=min(limit - len(items), 500), cursor=page["next"], **query)
            items += page["items"]
            if page.get("next") is None:
                break
        return {**page, "items": items}

    def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """What `POST /api/v1{path}` answers. Raises Refused, Conflict, TemporaryError."""
        return self._ask("POST", f"/api/v1{path}", json=dict(body))

    def send(self, body: bytes, content_type: str) -> dict[str, Any]:
        """Post events as they are to `/events`. Raises Refused, TemporaryError."""
        return self._ask("POST", "/events", data=body, headers={"Content-Type": content_type})

    def _ask(self, method: str, path: str, **arguments: Any) -> dict[str, Any]:
        try:
            answer = self._session.request(
                method,
                self.server + path,
                timeout=(CONNECT_SECONDS, READ_SECONDS),
                allow_redirects=False,
                **arguments,
            )
        except requests.exceptions.Timeout as error:
            raise TemporaryError(f"{self.server} does not answer in time") from error
        except requests.exceptions.ConnectionError as error:
            raise TemporaryError(f"{self.server} cannot be reached: is `modelmend serve` running there?") from error
        except (requests.exceptions.RequestException, ValueError) as error:
            raise PermanentError(f"{self.server}: {error}") from error
        return self._read(answer)

    def _read(self, answer: requests.Response) -> dict[str, Any]:
        try:
            body = answer.json()
        except ValueError:
            body = None
        if answer.ok and isinstance(body, dict) and not answer.is_redirect:
            return body
        problem = body if isinstance(body, dict) else {}
        message = _message(answer, problem)
        if answer.status_code == 409:
            raise Conflict(message)
        if answer.status_code in (429, 503):
            raise TemporaryError(message, retry_after=_seconds(answer.headers.get("Retry-After")))
        raise Refused(message, answer.status_code, problem)


def _address(server: str) -> tuple[str, str]:
    """The URL of a server, and its host."""
    url = (server if "://" in server else f"http://{server}").rstrip("/")
    try:
        parts = urlsplit(url)
        port, host = parts.port, parts.hostname
    except ValueError:
        host = None
    if not host or parts.scheme not in ("http", "https") or port == 0 or parts.query or parts.fragment:
        raise ConfigError((f"server: want an address such as http://127.0.0.1:8080, got {server!r}",))
    return url, host


def path_of(*parts: str) -> str:
    """A path below `/api/v1` of which each part is escaped: `path_of("events", id, "end")`."""
    return "".join(f"/{quote(part, safe='')}" for part in parts)


def faults_of(problem: Mapping[str, Any]) -> Iterator[str]:
    """One line for each fault that a problem names."""
    for fault in problem.get("errors") or ():
        yield f"{fault.get('path')}: want {fault.get('wanted')}, got {fault.get('found')}"


def _message(answer: requests.Response, problem: Mapping[str, Any]) -> str:
    said = problem.get("detail") or problem.get("title")
    if not said:
        text = " ".join(answer.text.split())[:_SHOWN]
        return f"{answer.url} answered {answer.status_code} {answer.reason}{f': {text}' if text else ''}"
    return "; ".join([str(said), *faults_of(problem)])


def _seconds(header: str | None) -> float:
    try:
        return max(0.0, float(header or 5))
    except ValueError:
        return 5.0


def _text(value: Any) -> str:
    return json.dumps(value) if isinstance(value, bool) else str(value)
