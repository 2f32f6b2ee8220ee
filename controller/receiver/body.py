"""Reading what is sent, within bounds of size, time and memory."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from controller.receiver.limits import LINGER_BYTES, LINGER_SECONDS

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Scope = MutableMapping[str, Any]


class TooLarge(Exception):
    """The body is larger than what is taken."""


class TooSlow(Exception):
    """The body did not end in time."""


class TooMany(Exception):
    """Too much is being read at one time."""


class Gone(Exception):
    """The sender went away before the end of its body."""


class Bodies:
    """Reads bodies; knows how much all requests together hold that are not read to their end."""

    def __init__(self, *, seconds: float, held: int) -> None:
        self._seconds = seconds
        self._most_held = held
        self._held = 0

    async def read(self, receive: Receive, most: int) -> bytes:
        """The whole body, of at most `most` bytes. Raises TooLarge as soon as it is, TooSlow, TooMany, Gone."""
        try:
            async with asyncio.timeout(self._seconds):
                message = await receive()
                body: bytes = message.get("body", b"")
                if message["type"] == "http.disconnect":
                    raise Gone
                if len(body) > most:
                    raise TooLarge
                return await self._rest(receive, most, body) if message.get("more_body") else body
        except TimeoutError:
            raise TooSlow from None

    async def _rest(self, receive: Receive, most: int, first: bytes) -> bytes:
        parts, size = [first], len(first)
        self._held += size
        try:
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Gone
                part = message.get("body", b"")
                parts.append(part)
                size += len(part)
                self._held += len(part)
                if size > most:
                    raise TooLarge
                if self._held > self._most_held:
                    raise TooMany
                if not message.get("more_body"):
                    return b"".join(parts)
        finally:
            self._held -= size


async def throw_away(receive: Receive) -> None:
    """Read what is still coming, within bounds, so that the sender gets to read its answer instead of a reset."""
    size = 0
    try:
        async with asyncio.timeout(LINGER_SECONDS):
            while size < LINGER_BYTES:
                message = await receive()
                if message["type"] == "http.disconnect" or not message.get("more_body"):
                    return
                size += len(message.get("body", b""))
    except TimeoutError:
        return
