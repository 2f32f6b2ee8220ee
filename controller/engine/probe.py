"""A child process that decides suspect events and writes nothing: `python -m controller.engine.probe SEQ …`.

The database's URL comes on stdin (a password in it must not stand in the process list).
Whatever it raises is the parent's to find again; only dying matters here.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence

from sqlalchemy import select

from controller import schema
from controller.engine.rules import Rules
from controller.engine.using import use
from controller.policy import PolicySet
from controller.settings import Fleet
from controller.store import policy_sets
from controller.store.database import Database
from controller.store.leader import Turn
from controller.store.ledger import Ledger
from controller.store.undecided import one


class _RollBackError(Exception):
    pass


def probe(url: str, seqs: Sequence[int]) -> None:
    """Decide the events in turn with the set in force, each said on stdout before; then roll back."""
    db = Database(url)
    with contextlib.suppress(_RollBackError), db.write() as conn:
        current = policy_sets.current(conn)
        rules = Rules(policy_sets.restored(conn, current) if current else PolicySet(), Fleet())
        last = conn.execute(select(schema.leader.c.last_input, schema.leader.c.last_decision)).one()
        turn = Turn(conn, db.now(conn), 0, last.last_input, last.last_decision)
        for seq in seqs:
            stored = one(conn, seq)
            if stored is not None:
                print(seq, flush=True)  # noqa: T201 — the parent reads it
                with contextlib.suppress(Exception), conn.begin_nested():
                    ledger = Ledger(turn)
                    use(ledger, rules, stored)
                    ledger.flush()
        raise _RollBackError
    db.close()


if __name__ == "__main__":
    probe(sys.stdin.read(), [int(seq) for seq in sys.argv[1:]])
