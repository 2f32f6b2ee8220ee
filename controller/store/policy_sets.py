"""The policy sets that were in force: each a row, its documents' texts kept once by digest."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select

from controller import schema
from controller.policy import Document, PolicySet, document_from_text
from controller.policy import restored as unchecked
from controller.store.inserting import InsertNew
from controller.store.leader import Turn

_S = schema.policy_sets.c
_D = schema.documents.c
_ADD_DOCUMENTS = InsertNew(schema.documents)


@dataclass(frozen=True, slots=True)
class StoredSet:
    """A set as it was put in force; `members` are the digests of its documents."""

    seq: int
    since: datetime
    digest: str
    members: tuple[str, ...]
    refused: tuple[str, ...]


def current(conn: Connection) -> StoredSet | None:
    """The set in force; None: there never was one."""
    return _read(conn, None)


def by_seq(conn: Connection, seq: int) -> StoredSet | None:
    """An earlier set."""
    return _read(conn, seq)


def _read(conn: Connection, seq: int | None) -> StoredSet | None:
    query = select(_S.seq, _S.since, _S.digest, _S.members, _S.refused).order_by(_S.seq.desc()).limit(1)
    if seq is not None:
        query = query.where(_S.seq == seq)
    row = conn.execute(query).one_or_none()
    return StoredSet(row.seq, row.since, row.digest, tuple(row.members), tuple(row.refused)) if row else None


def documents(conn: Connection, stored: StoredSet) -> list[Document]:
    """The documents of a set, as `accept` takes them for what was in force before."""
    rows = conn.execute(select(_D.digest, _D.text).where(_D.digest.in_(stored.members)))
    texts = {row.digest: row.text for row in rows}
    return [document_from_text(texts[digest]) for digest in stored.members]


def restored(conn: Connection, stored: StoredSet) -> PolicySet:
    """The set as it was in force: accepted once, so asked nothing of the installation again.

    Raises ConfigError where this version cannot read a text.
    """
    return unchecked(documents(conn, stored))


def put(turn: Turn, policies: PolicySet, refused: tuple[str, ...]) -> list[tuple[str, str]]:
    """Write a set that comes into force; returns the policies whose text changed, came or went."""
    before = current(turn.conn)
    members = [document.digest for document in policies.documents]
    seq = before.seq + 1 if before else 1
    input_seq = turn.input("policy_set", str(seq))
    _ADD_DOCUMENTS.rows(turn.conn, [_row(document) for document in policies.documents])
    turn.conn.execute(
        insert(schema.policy_sets).values(
            seq=seq,
            input_seq=input_seq,
            since=turn.now,
            digest=policies.digest,
            members=members,
            refused=list(refused),
        )
    )
    changed = set(members) ^ set(before.members if before else ())
    query = select(_D.namespace, _D.name).where(_D.digest.in_(changed), _D.kind == "RemediationPolicy")
    return sorted({(row.namespace, row.name) for row in turn.conn.execute(query)})


def _row(document: Document) -> dict[str, Any]:
    return {
        "digest": document.digest,
        "kind": document.kind,
        "namespace": document.namespace,
        "name": document.name,
        "text": document.text,
    }
