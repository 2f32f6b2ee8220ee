"""Bearer tokens: who may send, read, operate.

The file holds one line for each token::

    # name      roles      SHA-256 of the token in hex      [expires]
    detectors   send       9f86d081884c7d65…
    console     read       60303ae22b998861…                2027-01-01T00:00:00Z

`operate` includes `read` and `send`; `read` and `send` include nothing else. Two lines
may bear one name: while a token is being rotated, the old and the new are both valid.
The file is read again when it changes; one that is wrong then is logged, and what was
read before stays in force.

Why a bare SHA-256 and no bcrypt: slow hashes protect what people choose. These tokens
are 256 random bits, which no dictionary holds, and every request would pay for the slowness.
"""

from __future__ import annotations

import logging
import os
import re
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from hashlib import sha256
from hmac import compare_digest
from pathlib import Path
from time import monotonic

from controller.errors import ConfigError

PREFIX = "mm_"  # lets scanners of repositories and logs know what they have found
LOOK_EVERY = 1.0  # seconds between two looks at the file

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_MAKE_ONE = (
    "make it with `modelmend token new NAME --role send --tokens tokens`, and in Kubernetes "
    "`kubectl --namespace modelmend create secret generic modelmend-tokens --from-file=tokens`"
)

log = logging.getLogger(__name__)


class Role(StrEnum):
    """What a token's bearer may do."""

    SEND = "send"  # post events
    READ = "read"  # see everything
    OPERATE = "operate"  # change: pause, silence, cancel …; and send, and read


_INCLUDED = {
    Role.SEND: frozenset({Role.SEND}),
    Role.READ: frozenset({Role.READ}),
    Role.OPERATE: frozenset(Role),
}


@dataclass(frozen=True, slots=True)
class Token:
    """One line of the file: its bearer's name, its roles, the token's SHA-256; `expires` None: never."""

    name: str
    roles: frozenset[Role]
    digest: str
    expires: datetime | None = None
    granted: frozenset[Role] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "granted", frozenset().union(*(_INCLUDED[role] for role in self.roles)))

    def may(self, role: Role) -> bool:
        """Whether its bearer has this role, or one that includes it."""
        return role in self.granted


def new_token(name: str, roles: Iterable[Role | str], *, expires: datetime | None = None) -> tuple[str, str]:
    """A new secret, to be shown once, and the line to add to the file. ValueError: a bad name or role."""
    if _NAME.fullmatch(name) is None:
        raise ValueError(f'want a name of letters, digits and ._@- (at most 64), got "{name}"')
    wanted = sorted({Role(role) for role in roles})
    if not wanted:
        raise ValueError("want at least one role: send, read, operate")
    secret = PREFIX + secrets.token_urlsafe(32)
    parts = [name, ",".join(wanted), digest_of(secret)]
    if expires is not None:
        parts.append(expires.astimezone(UTC).isoformat().replace("+00:00", "Z"))
    return secret, " ".join(parts)


def create_token(path: Path, name: str, roles: Iterable[Role | str], *, expires: datetime | None = None) -> str:
    """Add a new token to the file, which is made where there is none; the secret, which is written nowhere."""
    secret, line = new_token(name, roles, expires=expires)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(handle, "r+b") as file:
        before = file.read()
        gap = b"" if not before or before.endswith(b"\n") else b"\n"
        file.write(gap + line.encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())
    return secret


def digest_of(secret: str) -> str:
    """SHA-256 of a token, in hex."""
    return sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def parse_tokens(text: str, file: str) -> tuple[Token, ...]:
    """The tokens of a file's text; ConfigError names every bad line."""
    tokens: list[Token] = []
    problems: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if words:
            token = _parse_line(words)
            if isinstance(token, Token):
                tokens.append(token)
            else:
                problems.append(f"{file}: line {number}: {token}")
    if problems:
        raise ConfigError(tuple(problems))
    return tuple(tokens)


def load_tokens(path: Path) -> tuple[Token, ...]:
    """The tokens of the file; ConfigError where it cannot be read or is wrong."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ConfigError((f"{path}: want a readable tokens file, there is none: {_MAKE_ONE}",)) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError((f"{path}: want a readable tokens file, got {error}",)) from error
    return parse_tokens(text, str(path))


def _parse_line(words: list[str]) -> Token | str:
    """The token, or what is wrong."""
    if len(words) not in (3, 4):
        return f"want `name roles sha256 [expires]`, got {len(words)} words"
    name, roles, digest, *rest = words
    if _NAME.fullmatch(name) is None:
        return f'want a name of letters, digits and ._@- (at most 64), got "{name}"'
    unknown = [role for role in roles.split(",") if role not in set(Role)]
    if unknown:
        return f'want roles of send, read, operate, got "{unknown[0]}"'
    if _DIGEST.fullmatch(digest) is None:  # never shown: it may be the secret itself, put there by mistake
        return "want the SHA-256 of the token, 64 hex digits (make the line with `modelmend token`)"
    expires = None
    if rest:
        try:
            expires = datetime.fromisoformat(rest[0])
        except ValueError:
            return f'want an RFC 3339 time as its end, got "{rest[0]}"'
        if expires.tzinfo is None:
            return f'want a time with its offset as its end, got "{rest[0]}"'
    return Token(name, frozenset(map(Role, roles.split(","))), digest, expires)


class Tokens:
    """The tokens in force: the file's, read again when it changes."""

    def __init__(self, path: Path, *, tick: Callable[[], float] = monotonic) -> None:
        """ConfigError where the file cannot be read at the start. `tick` counts seconds."""
        self._path = path
        self._tick = tick
        self._stamp = self._look()
        self._tokens = load_tokens(path)
        self._looked = tick()

    def bearer(self, secret: str, now: datetime) -> Token | None:
        """The token that `secret` is, None for an unknown or expired one.

        Every digest is compared, each in constant time: how long it takes tells nothing.
        """
        self._refresh()
        digest = digest_of(secret)
        found = None
        for token in self._tokens:
            if compare_digest(token.digest, digest) and (token.expires is None or now < token.expires):
                found = token
        return found

    def valid(self, now: datetime) -> tuple[Token, ...]:
        """The tokens that have not expired."""
        self._refresh()
        return tuple(token for token in self._tokens if token.expires is None or now < token.expires)

    def _refresh(self) -> None:
        tick = self._tick()
        if tick - self._looked < LOOK_EVERY:
            return
        self._looked = tick
        stamp = self._look()
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._tokens = load_tokens(self._path)
        except ConfigError as error:
            log.error("the tokens file is not used, the one before stays in force: %s", error)  # noqa: TRY400 — it says all
        else:
            log.info("read %d tokens from %s", len(self._tokens), self._path)

    def _look(self) -> tuple[int, int, int] | None:
        """What changes when the file does; None where there is none."""
        try:
            there = self._path.stat()
        except OSError:
            return None
        return there.st_mtime_ns, there.st_size, there.st_ino
