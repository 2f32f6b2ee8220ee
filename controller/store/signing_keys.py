"""Keys that sign what we give out and take back: made once, kept here, so that restarts and replicas agree."""

from __future__ import annotations

from secrets import token_hex

from sqlalchemy import select

from controller import schema
from controller.store.database import Database
from controller.store.inserting import InsertNew

_BYTES = 32
_INSERT = InsertNew(schema.signing_keys)


def signing_key(db: Database, name: str) -> bytes:
    """The key of this name, made where there is none yet; raises what `Database.write` raises."""
    with db.write() as conn:
        _INSERT.rows(conn, [{"name": name, "secret": token_hex(_BYTES)}])
        k = schema.signing_keys.c
        return bytes.fromhex(conn.execute(select(k.secret).where(k.name == name)).scalar_one())
