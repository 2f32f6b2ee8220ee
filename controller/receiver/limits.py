"""The bounds at the door, each with the reason for its size."""

from __future__ import annotations

from dataclasses import dataclass

HEAD_BYTES = 64 * 1024  # request line and headers: eight times what Apache and nginx take
HEAD_COUNT = 128  # CloudEvents attributes, a proxy's own, and room
HEAD_SECONDS = 10.0  # from the first byte (or the connection) to the end of the headers
SMALL_BODY = 64 * 1024  # read to its end even where it is refused, so that the connection can be kept
LINGER_BYTES = 64 * 1024 * 1024  # of a refused body, thrown away so that its sender gets to read why
LINGER_SECONDS = 2.0
PARSE_ASIDE = 128 * 1024  # larger bodies (about 400 events, 5 ms) are parsed in a thread, not in the loop


@dataclass(frozen=True, slots=True)
class Limits:
    """What settings decide. Bytes, seconds, events."""

    max_body: int = 1024 * 1024  # of a single event, and of a request to what is mounted
    max_batch: int = 8 * 1024 * 1024  # of a batch
    body_seconds: float = 10.0  # from the end of the headers to the end of the body
    held: int = 256 * 1024 * 1024  # of all bodies being read at one time; beyond it 503
    backlog: int = 100_000  # events stored and not yet decided; beyond it 429
    retry_after: int = 5  # seconds that a sender is asked to wait then
