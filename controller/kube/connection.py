"""One bounded request to the API server, over the `kubernetes` client's configuration and transport.

The client loads kubeconfigs (certificates, tokens, exec plugins), renews a pod's token,
speaks TLS and pools connections. Switched off is what it does behind one's back:
repeating requests, and following a watch that ended.

The client is imported when a connection is opened: that takes 0.25 s and 43 MB, which
an installation without a cluster does not pay.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from controller import __version__
from controller.errors import ConfigError, TemporaryError
from controller.kube.refusal import SOON, refusal

CONNECT = 3.0
"""Seconds to connect."""
ANSWER = 10.0
"""Seconds for the first bytes of an answer, and for the rest of it again."""
POOL = 32
"""Connections that are kept open."""
POD = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where a pod finds its account."""

_LOOK = 0.2  # seconds between two looks at `stop`
_PIECE = 64 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Connection:
    """Sends requests to one API server; safe to use from many threads."""

    def __init__(
        self,
        api: Any,
        namespace: str | None,
        passing: tuple[type[Exception], ...],
        counted: Callable[[str, str], None] | None,
    ) -> None:
        """`api`: an ApiClient. `passing`: what it and its transport raise where no answer came."""
        self._api = api
        self.namespace = namespace
        self._passing = passing
        self._cut: tuple[type[Exception], ...] = (
            ValueError,
            *passing,
        )  # ValueError: by `stop`, between two reads of a TLS socket
        self._counted = _uncounted if counted is None else counted

    @property
    def host(self) -> str:
        """The API server's address."""
        return str(self._api.configuration.host)

    def close(self) -> None:
        """Close what the pool holds open."""
        self._api.rest_client.close()

    def request(
        self,
        verb: str,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: Any = None,
        content_type: str = "application/json",
    ) -> Answer:
        """Send one request, counted under `verb`; its whole answer, whatever the status. Raises TemporaryError."""
        deadline = time.monotonic() + CONNECT + 2 * ANSWER
        with self._open(verb, method, path, query, body, content_type) as response:
            pieces = []
            try:
                while piece := response.read1(_PIECE):
                    pieces.append(piece)
                    if time.monotonic() > deadline:
                        raise TemporaryError(f"{self.host}: the answer takes too long", retry_after=SOON)
            except self._passing as error:
                raise self._no_answer(error) from error
            return Answer(response.status, response.headers, b"".join(pieces))

    def lines(
        self, path: str, query: Mapping[str, str], asked: str, *, silence: float, stop: threading.Event
    ) -> Generator[bytes, None, None]:
        """The lines of an answer without end, as they come; over when either side, the network or `stop` ends it.

        `silence`: seconds without a byte after which it is over too. Raises the error of an
        answer that is no 200, and TemporaryError for none.
        """
        with self._open("watch", "GET", path, query, None, "") as response:
            if response.status != 200:
                body = b""
                with contextlib.suppress(*self._passing):
                    body = response.read1(_PIECE) or b""
                raise refusal(response.status, response.headers, body, asked)
            if response.connection is not None and response.connection.sock is not None:
                response.connection.sock.settimeout(silence)
            rest = b""
            with _cut_by(stop, response):
                while not stop.is_set():
                    try:
                        piece = response.read1(_PIECE)
                    except self._cut:
                        return
                    if not piece:
                        return
                    *lines, rest = (rest + piece).split(b"\n")
                    yield from lines

    @contextlib.contextmanager
    def _open(
        self, verb: str, method: str, path: str, query: Mapping[str, str], body: Any, content_type: str
    ) -> Iterator[Any]:
        """The answer's status, headers, and body still to be read: urllib3's HTTPResponse."""
        headers = {"Accept": "application/json"} | ({"Content-Type": content_type} if body is not None else {})
        try:
            call = self._api.param_serialize(
                method,
                path,
                query_params=list(query.items()),
                header_params=headers,
                body=body,
                auth_settings=["BearerToken"],
            )
            response = self._api.call_api(*call, _request_timeout=(CONNECT, ANSWER)).response
        except self._passing as error:
            self._counted(verb, "none")
            raise self._no_answer(error) from error
        self._counted(verb, str(response.status))
        try:
            yield response
        finally:
            if not response.closed:  # not read to its end: the connection is of no more use
                response.close()
            response.release_conn()  # a place in the pool is given back also for a closed connection

    def _no_answer(self, error: Exception) -> TemporaryError:
        text = " ".join(str(getattr(error, "reason", "") or error).split())
        text = text.partition("): ")[2] or text  # what goes before names the host once more
        return TemporaryError(f"{self.host}: no answer: {text[:200] or type(error).__name__}", retry_after=SOON)


@contextlib.contextmanager
def _cut_by(stop: threading.Event, response: Any) -> Iterator[None]:
    """Wake a thread that waits for the next bytes of `response` when `stop` is set."""
    over = threading.Event()

    def look() -> None:
        while not over.wait(_LOOK):
            if stop.is_set():
                with contextlib.suppress(OSError, ValueError, RuntimeError):  # the other side was faster
                    response.shutdown()
                return

    thread = threading.Thread(target=look, name="kube-watch-stop", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def connect(
    kubeconfig: Path | None,
    context: str | None,
    environ: Mapping[str, str],
    counted: Callable[[str, str], None] | None,
) -> Connection:
    """Find the cluster: the file given, else $KUBECONFIG, else the pod that we run in, else ~/.kube/config.

    Raises ConfigError.
    """
    try:
        import urllib3  # noqa: PLC0415 — an extra, and 43 MB: only where a cluster is used
        from kubernetes import client, config  # noqa: PLC0415 — likewise
        from kubernetes.utils.keepalive import tcp_keepalive_socket_options  # noqa: PLC0415 — likewise
    except ModuleNotFoundError as error:
        message = f"kubernetes: want the package {error.name}: pip install 'modelmend[kubernetes]'"
        raise ConfigError((message,)) from error

    settings = client.Configuration()
    file = str(kubeconfig) if kubeconfig else environ.get("KUBECONFIG") or ""
    try:
        if not file and not context and environ.get("KUBERNETES_SERVICE_HOST"):
            where = "in the cluster"
            config.load_incluster_config(client_configuration=settings)  # type: ignore[no-untyped-call]
            namespace = (POD / "namespace").read_text().strip() or None
        else:
            file = file or str(Path.home() / ".kube" / "config")
            where = file
            config.load_kube_config(file, context, settings, persist_config=False)  # type: ignore[no-untyped-call]
            namespace = _namespace(config.list_kube_config_contexts(file), context)  # type: ignore[no-untyped-call]
    except (
        config.ConfigException,
        OSError,
        ValueError,
        TypeError,
        LookupError,
        AttributeError,
        yaml.YAMLError,
    ) as error:
        raise ConfigError((f"cannot connect to Kubernetes ({where}): {str(error) or type(error).__name__}",)) from error
    # Unknown to the types of Configuration that False switches repeating off, where None leaves urllib3's three times.
    settings.retries = False
    settings.connection_pool_maxsize = POOL
    settings.socket_options = (
        tcp_keepalive_socket_options()
    )  # a server that vanished is noticed, also by a silent watch
    api = client.ApiClient(settings)
    api.user_agent = f"modelmend/{__version__}"
    passing = (urllib3.exceptions.HTTPError, OSError, client.exceptions.OpenApiException, config.ConfigException)
    return Connection(api, namespace, passing, counted)


def _namespace(contexts: tuple[list[dict[str, Any]], dict[str, Any]], wanted: str | None) -> str:
    named, active = contexts
    chosen = next((each for each in named if each["name"] == wanted), active)
    return str(chosen["context"].get("namespace") or "default")


def _uncounted(verb: str, code: str) -> None:
    """Count nothing."""
