"""Signed-in people: a cookie that nobody but us can write, and a token bound to it in every form.

The cookie says whom it was given to and until when, under HMAC-SHA256; nothing is kept of it
in the store. Whoever it was given to is looked up for each request: a token that is revoked or
has expired ends its sessions.
"""

from __future__ import annotations

import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from hmac import compare_digest
from hmac import digest as hmac_digest

from pydantic_core import from_json, to_json

LASTS = timedelta(hours=12)
"""A working day: who was signed in by a token signs in again after it."""
_LONGEST = 2048  # characters of a cookie


@dataclass(frozen=True, slots=True)
class Session:
    """What a cookie says: `subject` is `token:…`, `proxy:…` or `nobody:`; `nonce` tells sessions apart."""

    subject: str
    nonce: str
    until: datetime


class Sessions:
    """Gives out cookies and takes them back, under one key."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    @staticmethod
    def new_key() -> bytes:
        """A key for a process that shares its sessions with nobody."""
        return secrets.token_bytes(32)

    def open(self, subject: str, now: datetime) -> Session:
        """A new session from now on."""
        return Session(subject, secrets.token_urlsafe(16), now + LASTS)

    def cookie(self, session: Session) -> str:
        """The value of its cookie."""
        body = to_json([session.subject, session.nonce, int(session.until.timestamp())])
        return f"{_text(body)}.{_text(self._mac(b'session', body))}"

    def read(self, cookie: str, now: datetime) -> Session | None:
        """The session of a cookie of ours that has not expired, else None."""
        body, _, mac = cookie[:_LONGEST].partition(".")
        try:
            said = _bytes(body)
            if not compare_digest(self._mac(b"session", said), _bytes(mac)):
                return None
        except (ValueError, NotBase64):
            return None
        subject, nonce, until = from_json(said)
        session = Session(subject, nonce, datetime.fromtimestamp(until, UTC))
        return session if now < session.until else None

    def form_token(self, session: Session) -> str:
        """What every form of this session carries, which a page of another origin cannot know."""
        return _text(self._mac(b"form", f"{session.nonce}\0{session.subject}".encode()))

    def fits(self, session: Session, given: str) -> bool:
        """Whether a form that carries `given` was made for this session."""
        return compare_digest(self.form_token(session).encode(), given.encode("utf-8", "surrogatepass"))

    def of_token(self, digest: str) -> str:
        """The subject of the bearer of the token with this digest: the digest itself is not given out."""
        return f"token:{_text(self._mac(b'token', digest.encode()))}"

    def _mac(self, use: bytes, body: bytes) -> bytes:
        return hmac_digest(self._key, use + b"\0" + body, sha256)


def _text(raw: bytes) -> str:
    return urlsafe_b64encode(raw).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    return urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
