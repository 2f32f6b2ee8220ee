"""POST /events, and the other doors that senders and probes use; all else goes to the mounted application.

The order of a POST: credentials, room (backlog, size), body, parsing, the store, and only
then the answer: no 2xx leaves before the event is on disk.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Future
from datetime import datetime
from typing import Protocol
from urllib.parse import parse_qsl, urlencode

from controller.errors import Fault, InvalidEvent, TemporaryError
from controller.events.event import Event
from controller.events.types import EventTypes
from controller.events.wire import Parsed, parse
from controller.metrics import Metrics
from controller.receiver import answers
from controller.receiver.answers import Answer
from controller.receiver.body import Bodies, Gone, Message, Receive, Scope, Send, TooLarge, TooMany, TooSlow, throw_away
from controller.receiver.limits import HEAD_COUNT, PARSE_ASIDE, SMALL_BODY, Limits
from controller.receiver.postbox import Postbox
from controller.settings import Sender
from controller.store.intake import Receipt
from controller.tokens import Role, Tokens

Application = Callable[[Scope, Receive, Send], Awaitable[None]]

_TEXT = (b"content-type", b"text/plain; charset=utf-8")
_CLOSE = (b"connection", b"close")
_ALLOW_EVENTS = (b"allow", b"POST, OPTIONS")
_ONCE = frozenset({b"authorization", b"content-encoding", b"content-length", b"content-type"})

log = logging.getLogger(__name__)


class Intake(Protocol):
    """What the receiver asks of the store's intake."""

    def submit(self, events: Sequence[Event]) -> Future[Receipt]:
        """Store all or none; resolved when they are on disk."""

    def backlog(self) -> int:
        """Events stored and not yet decided."""


class Receiver:
    """The ASGI application of the process.

    `tokens` None: no authentication is configured (the composition root then listens on
    loopback only). `ready` answers '' or why not. `mounted` gets every other path, its
    bodies read already. `now` is the clock.
    """

    def __init__(  # noqa: PLR0913 — the composition root hands over all of it once
        self,
        *,
        intake: Intake,
        types: EventTypes,
        senders: Mapping[str, Sender],
        model_pattern: re.Pattern[str],
        tokens: Tokens | None,
        metrics: Metrics,
        now: Callable[[], datetime],
        ready: Callable[[], str] = lambda: "",
        limits: Limits | None = None,
        mounted: Application | None = None,
    ) -> None:
        self._intake = intake
        self._types = types
        self._senders = senders
        self._model_pattern = model_pattern
        self._tokens = tokens
        self._now = now
        self._ready = ready
        self._limits = limits or Limits()
        self._mounted = mounted
        self._metrics = metrics
        self._bodies = Bodies(seconds=self._limits.body_seconds, held=self._limits.held)
        self._postbox: Postbox[Receipt] | None = None
        # Looking a label up costs more than counting: the closed set of sources is looked up once.
        self._received = {source: metrics.events_received.labels(metrics.source_label(source)) for source in senders}
        self._received_other = metrics.events_received.labels(metrics.source_label(""))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await _not_http(scope, receive, send)
            return
        secret = None
        if b"access_token" in scope["query_string"]:
            secret = _take_secret(scope)
        path, method = scope["path"], scope["method"]
        if path == "/events" and method == "POST":
            await self._events(scope, receive, send, secret)
        elif path == "/events" and method == "OPTIONS":
            await _respond(send, _consent(scope))
        elif path == "/events":
            await self._refuse(scope, receive, send, answers.problem(405, "POST events", headers=[_ALLOW_EVENTS]))
        elif path.startswith("/webhooks/"):
            await self._webhook(scope, receive, send, secret)
        elif path in ("/healthz", "/readyz"):
            await _respond(send, _probe("" if path == "/healthz" else self._ready()))
        elif self._mounted is None:
            await self._refuse(scope, receive, send, answers.problem(404, f"nothing is at {path}"))
        else:
            await self._pass_on(self._mounted, scope, receive, send)

    async def _events(self, scope: Scope, receive: Receive, send: Send, secret: str | None) -> None:
        headers = dict(scope["headers"])
        content_type = headers.get(b"content-type", b"").decode("latin-1")
        most = (
            self._limits.max_batch
            if content_type.startswith("application/cloudevents-batch")
            else self._limits.max_body
        )
        refusal = self._refusal(scope, headers, secret, most)
        if refusal is not None:
            await self._refuse(scope, receive, send, refusal)
            return
        body = await self._body(scope, receive, send, most)
        if body is None:
            return
        binary = not content_type.startswith("application/cloudevents")
        text = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers.items()} if binary else {}
        try:
            if len(body) > PARSE_ASIDE:
                loop = asyncio.get_running_loop()
                parsed = await loop.run_in_executor(None, self._parse, content_type, text, body)
            else:
                parsed = self._parse(content_type, text, body)
            answer = await self._stored(parsed)
        except InvalidEvent as error:
            self._metrics.events_invalid.labels(_reason(error.status, error.faults)).inc()
            answer = answers.invalid(error)
        except TemporaryError as error:
            answer = answers.again(503, error)
        except Exception:  # whatever it is, the sender is told that nothing is certain, and the process goes on
            log.exception("a request to /events failed")
            answer = answers.problem(500, "an error of modelmend's own; send it again")
        if answer.status >= 400:
            self._metrics.requests_refused.labels(str(answer.status)).inc()
        await _respond(send, answer)

    def _parse(self, content_type: str, headers: Mapping[str, str], body: bytes) -> Parsed:
        return parse(
            content_type,
            headers,
            body,
            now=self._now(),
            types=self._types,
            senders=self._senders,
            model_pattern=self._model_pattern,
        )

    async def _stored(self, parsed: Parsed) -> Answer:
        """Wait until the valid events are on disk, then say what became of each."""
        receipt = Receipt(())
        if parsed.events:
            loop = asyncio.get_running_loop()
            if self._postbox is None or self._postbox.loop is not loop:
                self._postbox = Postbox(loop)
            receipt = await self._postbox.wait(self._intake.submit(parsed.events))
            self._count(parsed.events, receipt)
        if not parsed.rejected:
            return answers.stored(receipt)
        for one in parsed.rejected:
            self._metrics.events_invalid.labels(_reason(one.status, one.faults)).inc()
        return answers.invalid_in_batch(parsed.rejected, receipt)

    def _count(self, events: Sequence[Event], receipt: Receipt) -> None:
        if not receipt.duplicates:
            for event in events:
                self._received.get(event.source, self._received_other).inc()
            return
        accepted = iter(receipt.accepted)  # in the order sent
        expected = next(accepted, None)
        for event in events:
            if event.id == expected:
                expected = next(accepted, None)
                self._received.get(event.source, self._received_other).inc()
        self._metrics.events_duplicate.inc(len(receipt.duplicates))
        self._metrics.events_conflicting.inc(len(receipt.conflicts))

    def _refusal(self, scope: Scope, headers: Mapping[bytes, bytes], secret: str | None, most: int) -> Answer | None:
        """Why a POST is refused before its body is read."""
        refusal = self._unauthorized(headers, secret)
        if refusal is not None:
            return refusal
        if len(scope["headers"]) > HEAD_COUNT:
            return answers.problem(431, f"at most {HEAD_COUNT} headers are taken")
        if len(headers) < len(scope["headers"]) and (twice := _twice(scope)):
            return answers.invalid(InvalidEvent("headers that stand twice", twice))
        encoding = headers.get(b"content-encoding", b"identity").strip().lower()
        if encoding not in (b"identity", b""):
            return answers.problem(415, "send the body as it is, without Content-Encoding")
        if _length(headers) > most:
            return _too_large(most)
        if self._intake.backlog() >= self._limits.backlog:
            full = TemporaryError("too many events wait to be decided", retry_after=self._limits.retry_after)
            return answers.again(429, full)
        return None

    def _unauthorized(self, headers: Mapping[bytes, bytes], secret: str | None) -> Answer | None:
        """401 or 403, None for who may send. CloudEvents webhooks may carry the token in the query instead."""
        if self._tokens is None:
            return None
        given = headers.get(b"authorization")
        if given is not None:
            scheme, _, value = given.decode("latin-1").partition(" ")
            secret = value.strip() if scheme.lower() == "bearer" else None
        if secret is None:
            return answers.problem(
                401, "want a bearer token", headers=[(b"www-authenticate", b'Bearer realm="modelmend"')]
            )
        token = self._tokens.bearer(secret, self._now())
        if token is None:
            challenge = b'Bearer realm="modelmend", error="invalid_token"'
            return answers.problem(
                401, "the token is not known, or has expired", headers=[(b"www-authenticate", challenge)]
            )
        if not token.may(Role.SEND):
            challenge = b'Bearer realm="modelmend", error="insufficient_scope", scope="send"'
            return answers.problem(403, f"{token.name} may not send", headers=[(b"www-authenticate", challenge)])
        return None

    async def _webhook(self, scope: Scope, receive: Receive, send: Send, secret: str | None) -> None:
        refusal = self._unauthorized(dict(scope["headers"]), secret)
        name = scope["path"].removeprefix("/webhooks/")
        await self._refuse(scope, receive, send, refusal or answers.problem(404, f'no source is called "{name}"'))

    async def _pass_on(self, mounted: Application, scope: Scope, receive: Receive, send: Send) -> None:
        """Give the request to the mounted application once its body is here: a slow body costs no thread.

        Headers with `_` are left out: WSGI knows `X_Forwarded_User` by the name of `X-Forwarded-User`.
        """
        scope = {**scope, "headers": [pair for pair in scope["headers"] if b"_" not in pair[0]]}
        if scope["method"] in ("GET", "HEAD", "OPTIONS") and not _has_body(scope):
            await mounted(scope, receive, send)
            return
        most = self._limits.max_body
        if _length(dict(scope["headers"])) > most:
            await self._refuse(scope, receive, send, _too_large(most))
            return
        body = await self._body(scope, receive, send, most)
        if body is None:
            return
        given = False

        async def again() -> Message:
            nonlocal given
            if given:
                return await receive()
            given = True
            return {"type": "http.request", "body": body, "more_body": False}

        await mounted(scope, again, send)

    async def _body(self, scope: Scope, receive: Receive, send: Send, most: int) -> bytes | None:
        """The body; None where there is none to be had, and the sender has been told."""
        try:
            return await self._bodies.read(receive, most)
        except TooLarge:
            await self._refuse(scope, receive, send, _too_large(most))
        except TooSlow:
            seconds = self._limits.body_seconds
            await self._refuse(scope, receive, send, answers.problem(408, f"the body did not end within {seconds:g} s"))
        except TooMany:
            busy = TemporaryError("too much is being received", retry_after=1)
            await self._refuse(scope, receive, send, answers.again(503, busy))
        except Gone:
            pass
        return None

    async def _refuse(self, scope: Scope, receive: Receive, send: Send, answer: Answer) -> None:
        """Answer before the body is read, in such a way that the sender gets to read it."""
        self._metrics.requests_refused.labels(str(answer.status)).inc()
        if not _has_body(scope):
            await _respond(send, answer)
            return
        small = 0 < _length(dict(scope["headers"])) <= SMALL_BODY and answer.status != 408
        headers = answer.headers if small else [*answer.headers, _CLOSE]
        await _respond(send, Answer(answer.status, headers, answer.body), more=True)
        await throw_away(receive)
        await send({"type": "http.response.body", "body": b""})


def _reason(status: int, faults: Sequence[Fault]) -> str:
    """The label under which an invalid event is counted."""
    if status in (415, 422):
        return "media_type" if status == 415 else "unknown_type"
    outside = any(not re.sub(r"^\[\d+\]\.", "", fault.path).startswith("data") for fault in faults)
    return "malformed" if outside or not faults else "schema"


def _too_large(most: int) -> Answer:
    return answers.problem(413, f"at most {most} bytes are taken")


def _has_body(scope: Scope) -> bool:
    headers = dict(scope["headers"])
    return b"transfer-encoding" in headers or _length(headers) > 0


def _length(headers: Mapping[bytes, bytes]) -> int:
    """The Content-Length, 0 where there is none."""
    digits = headers.get(b"content-length", b"0")
    return int(digits[:20]) if digits.isdigit() else 0


def _twice(scope: Scope) -> tuple[Fault, ...]:
    """Headers of which a second one would be a second truth."""
    seen: set[bytes] = set()
    again: set[bytes] = set()
    for name, _ in scope["headers"]:
        if name in seen and (name in _ONCE or name.startswith(b"ce-")):
            again.add(name)
        seen.add(name)
    return tuple(Fault(name.decode("latin-1"), "one header", "two or more") for name in sorted(again))


def _take_secret(scope: Scope) -> str | None:
    """The `access_token` of the query, which is blackened for everyone who comes later, the access log first."""
    pairs = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    secrets = [value for name, value in pairs if name == "access_token"]
    scope["query_string"] = urlencode(
        [(name, "redacted" if name == "access_token" else value) for name, value in pairs]
    ).encode()
    return secrets[0] if len(secrets) == 1 else None


def _consent(scope: Scope) -> Answer:
    """The CloudEvents webhook handshake: whoever asks may post. A callback URL is never called.

    Consent is given in the answer only: calling a URL that any caller names would make
    us its messenger inside the network.
    """
    asked = dict(scope["headers"])
    headers = [(b"allow", b"POST")]
    origin = asked.get(b"webhook-request-origin")
    if origin is not None:
        headers.append((b"webhook-allowed-origin", origin))
        if b"webhook-request-rate" in asked:
            headers.append((b"webhook-allowed-rate", b"*"))  # 429 and Retry-After say when it is too much
    return Answer(200, headers, b"")


def _probe(trouble: str) -> Answer:
    if trouble:
        return Answer(503, [_TEXT], trouble.encode() + b"\n")
    return Answer(200, [_TEXT], b"ok\n")


async def _respond(send: Send, answer: Answer, *, more: bool = False) -> None:
    headers = [*answer.headers, (b"content-length", b"%d" % len(answer.body))]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body, "more_body": more})


async def _not_http(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return
    await receive()
    await send({"type": "websocket.close", "code": 1000})
