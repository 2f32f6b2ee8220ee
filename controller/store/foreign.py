"""What SQLite, PostgreSQL and SQLAlchemy raise, said once in our own words.

Classified by code, never by message. What is none of these is a bug of ours and passes
through as it is.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from sqlalchemy import exc

from controller.errors import ConfigError, Conflict, ModelmendError, PermanentError, TemporaryError

_SQLITE_AGAIN: Final = {
    sqlite3.SQLITE_BUSY: "is locked by another process",
    sqlite3.SQLITE_LOCKED: "is locked",
    sqlite3.SQLITE_NOMEM: "is out of memory",
    sqlite3.SQLITE_READONLY: "cannot be written: it is read-only",
    sqlite3.SQLITE_INTERRUPT: "was interrupted",
    sqlite3.SQLITE_IOERR: "cannot be read or written: input/output error",
    sqlite3.SQLITE_FULL: "cannot be written: the disk is full",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened",
    sqlite3.SQLITE_PROTOCOL: "is locked by another process",
    sqlite3.SQLITE_PERM: "cannot be opened: permission denied",
}
_ADVICE: Final = (
    "stop modelmend, restore the file from a backup, or move it away together with its -wal and -shm files "
    "to begin with an empty one"
)
_SQLITE_DAMAGED: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)

# SQLSTATE classes, https://www.postgresql.org/docs/current/errcodes-appendix.html
_PG_AGAIN: Final = {
    "08": "cannot be reached",
    "25": "does not take writes, or ended an idle transaction",
    "40": "could not serialize the transaction",
    "53": "is out of resources",
    "55": "is locked",
    "57": "is shutting down or cancelled the statement",
    "58": "had a system error",
}
_PG_DAMAGED: Final = "XX"


def translated(error: Exception, place: str) -> ModelmendError | None:
    """Our error for a foreign one, or None where it is a bug of ours.

    `place` names the database without its password, for people.
    """
    original = getattr(error, "orig", None) if isinstance(error, exc.DBAPIError) else error
    if isinstance(original, sqlite3.Error):
        return _of_sqlite(original, place)
    sqlstate = getattr(original, "sqlstate", None)
    if type(original).__module__.startswith("psycopg"):
        return _of_postgres(original, sqlstate, place)
    if isinstance(error, exc.TimeoutError):
        return TemporaryError(f"{place}: no free connection", retry_after=1.0)
    return None


def _of_sqlite(error: sqlite3.Error, place: str) -> ModelmendError | None:
    code = getattr(error, "sqlite_errorcode", None)
    primary = None if code is None else code & 0xFF
    if primary in _SQLITE_DAMAGED:
        return ConfigError((f"{place}: the database file is damaged ({_short(error)}): {_ADVICE}",))
    if primary in _SQLITE_AGAIN:
        return TemporaryError(f"{place} {_SQLITE_AGAIN[primary]} ({_short(error)})")
    if isinstance(error, sqlite3.IntegrityError):
        return Conflict(f"{place}: {_short(error)}")
    if isinstance(error, sqlite3.DataError) or primary == sqlite3.SQLITE_TOOBIG:
        return PermanentError(f"{place} cannot hold the value: {_short(error)}")
    return None


def _of_postgres(error: object, sqlstate: str | None, place: str) -> ModelmendError | None:
    kind = type(error).__name__
    family = (sqlstate or "")[:2]
    if family == "23":
        return Conflict(f"{place}: {_short(error)}")
    if family in _PG_AGAIN:
        return TemporaryError(f"{place} {_PG_AGAIN[family]} ({_short(error)})")
    if family == _PG_DAMAGED:
        return ConfigError((f"{place}: the server found its data damaged ({_short(error)}): restore a backup",))
    if sqlstate is None and kind in ("OperationalError", "InterfaceError", "ConnectionTimeout"):
        return TemporaryError(f"{place} cannot be reached ({_short(error)})")
    if family == "28" or sqlstate == "3D000":
        return ConfigError((f"{place}: {_short(error)}",))
    if family == "22" or kind in ("DataError", "NumericValueOutOfRange"):
        return PermanentError(f"{place} cannot hold the value: {_short(error)}")
    return None


def _short(error: object) -> str:
    return " ".join(str(error).split())[:200]
