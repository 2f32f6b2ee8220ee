"""One HTTP call to the outside: bounded in time and bytes, never followed elsewhere, silent about secrets.

On the standard library's `http.client`, because a call must end when it is told to: a twin of the
socket is shut down from a second thread at the deadline or when cancelled, whatever the other side
dribbles. The clients built on it bound only the silence between two bytes, follow redirects, and
take credentials from `~/.netrc` and proxies from the environment.

Messages name scheme, host and port only: paths, query strings, headers and bodies carry secrets
(a Slack webhook's path is one).
"""

from __future__ import annotations

import base64
import contextlib
import functools
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from urllib.parse import SplitResult, quote, unquote, urlsplit

from controller.errors import PermanentError, TemporaryError

CONNECT = 3.0
"""Seconds to connect, for each address that the name has."""
ANSWER = 30.0
"""Seconds from connected to the whole answer."""
MAX_ANSWER = 64 * 1024
"""Bytes of an answer's body that are read."""

_LOOK = 0.05  # seconds between two looks at `cancelled`
_PATH = "/%:@!$&'()*+,;=~-._?"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. `complete` is False where the body was longer than `MAX_ANSWER` or broke off."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    complete: bool

    @property
    def retry_after(self) -> float | None:
        """Seconds that the other side asks us to wait, or None where it does not say so intelligibly."""
        value = (self.headers.get("retry-after") or "").strip()
        if value.isascii() and value.isdigit():
            return float(value[:9])
        with contextlib.suppress(ValueError, TypeError):  # a date counts from the answer's own: no clock of ours in it
            wait = parsedate_to_datetime(value) - parsedate_to_datetime(self.headers.get("date") or "")
            return max(0.0, wait.total_seconds())
        return None

    @property
    def passing(self) -> bool:
        """Whether the same call may be accepted later: 408, 429 and 5xx."""
        return self.status in {408, 429} or self.status >= 500


class NoAnswer(TemporaryError):
    """No answer came. `sent`: the call may have reached the other side all the same."""

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


def call(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str],
    body: bytes | None,
    cancelled: threading.Event,
    timeout: float = ANSWER,
    connect: float = CONNECT,
    trust: ssl.SSLContext | None = None,
) -> Answer:
    """Make one call and return its answer, whatever its status. Times are seconds.

    `trust`: which certificates are good; None: those of the system.

    Raises NoAnswer (not reached, cut off, too slow, cancelled) and PermanentError (an address or
    header that cannot be sent).
    """
    parts = _split(url)
    target = _origin(parts)
    try:
        plain = socket.create_connection((parts.hostname or "", _port(parts)), timeout=connect)
    except (OSError, UnicodeError) as error:
        raise NoAnswer(f"{target}: {_why(error)}", sent=False) from None
    sent = False
    with plain, _ends(plain, cancelled, timeout) as cut:
        connection = http.client.HTTPConnection(parts.hostname or "", _port(parts))
        try:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            plain.settimeout(timeout + 1)  # the twin's deadline comes first
            connection.sock = _secured(plain, parts, trust)
            sent = True
            _send(connection, method, parts, headers, body)
            with connection.getresponse() as response:
                if cut:  # http.client takes the end of a cut connection for the end of the headers
                    raise http.client.BadStatusLine("")
                answer = _read(response)
                return replace(answer, complete=answer.complete and not cut)
        except (OSError, http.client.HTTPException) as error:
            why = cut[0] if cut else _why(error)
            raise NoAnswer(f"{target}: {why}", sent=sent) from None
        finally:
            connection.close()


def pause(attempt: int, first: float, longest: float, chance: float) -> float:
    """Seconds to wait after attempt number `attempt` (from 1): doubling up to `longest`, half of it by `chance`.

    `chance` in [0, 1) spreads those who failed together.
    """
    full = min(longest, first * 2.0 ** min(attempt - 1, 30))
    return full * (0.5 + chance / 2)


def origin(url: str) -> str:
    """Scheme, host and port of a URL: as much of it as may be shown. Raises PermanentError."""
    return _origin(_split(url))


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise PermanentError("not a valid URL") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0:
        raise PermanentError("not a valid URL: want http:// or https:// and a host")
    return parts


def _port(parts: SplitResult) -> int:
    return parts.port or (443 if parts.scheme == "https" else 80)


def _origin(parts: SplitResult) -> str:
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}:{_port(parts)}"


@functools.cache
def _trust() -> ssl.SSLContext:
    return ssl.create_default_context()


def _secured(plain: socket.socket, parts: SplitResult, trust: ssl.SSLContext | None) -> socket.socket:
    if parts.scheme == "http":
        return plain
    return (trust or _trust()).wrap_socket(plain, server_hostname=parts.hostname)


def _send(
    connection: http.client.HTTPConnection,
    method: str,
    parts: SplitResult,
    headers: Mapping[str, str],
    body: bytes | None,
) -> None:
    path = quote(parts.path or "/", safe=_PATH) + (f"?{quote(parts.query, safe=_PATH)}" if parts.query else "")
    every = {"Accept": "application/json, */*;q=0.5", "User-Agent": "modelmend", "Connection": "close"}
    if parts.username is not None:
        user = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        every["Authorization"] = f"Basic {base64.b64encode(user.encode()).decode()}"
    names = {name.lower() for name in headers}
    try:
        connection.request(
            method,
            path,
            body,
            {name: value for name, value in every.items() if name.lower() not in names} | dict(headers),
        )
    except (ValueError, UnicodeError, http.client.InvalidURL):
        raise PermanentError(f"{_origin(parts)}: an address or a header that cannot be sent") from None


def _read(response: http.client.HTTPResponse) -> Answer:
    """The answer: from here on it has one, also if its body breaks off."""
    body, complete = b"", False
    try:
        body = response.read(MAX_ANSWER + 1)
        complete = len(body) <= MAX_ANSWER and not response.length
    except http.client.IncompleteRead as error:
        body = error.partial
    except (OSError, http.client.HTTPException):
        pass
    headers = {name.lower(): value for name, value in response.getheaders()}
    return Answer(response.status, headers, body[:MAX_ANSWER], complete)


@contextlib.contextmanager
def _ends(plain: socket.socket, cancelled: threading.Event, timeout: float) -> Iterator[list[str]]:
    """Cut the connection at the deadline or when cancelled; the list then says why."""
    over = threading.Event()
    cut: list[str] = []
    deadline = time.monotonic() + timeout

    def watch(twin: socket.socket) -> None:
        with twin:
            while not over.wait(_LOOK):
                late = time.monotonic() >= deadline
                if late or cancelled.is_set():
                    cut.append(f"no answer within {timeout:.3g} s" if late else "cancelled")
                    with contextlib.suppress(OSError):  # the other side was faster
                        twin.shutdown(socket.SHUT_RDWR)
                    return

    thread = threading.Thread(target=watch, args=(plain.dup(),), name="call-deadline", daemon=True)
    thread.start()
    try:
        yield cut
    finally:
        over.set()
        thread.join()


def _why(error: Exception) -> str:
    """A cause without anything that was sent: only what the system or the protocol says."""
    match error:
        case TimeoutError():
            return "no answer in time"
        case ssl.SSLCertVerificationError():
            return f"certificate not trusted: {error.verify_message}"
        case ssl.SSLError():
            return "TLS failed"
        case socket.gaierror() | UnicodeError():
            return "host not found"
        case ConnectionRefusedError():
            return "connection refused"
        case ConnectionError():
            return "connection cut"
        case OSError():
            return error.strerror or "connection failed"
        case _:
            return "not an HTTP answer"
