"""A child process that decides one suspect event and writes nothing: `python -m controller.engine.probe SEQ`.

The database's URL comes on stdin (a password in it must not stand in the process list).
Whatever it raises is the parent's to find again; only dying matters here.
"""

from __future__ import annotations

import contextlib
import sys

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


def probe(url: str, seq: int) -> None:
    """Decide the event with the set in force, then roll back."""
    db = Database(url)
    with contextlib.suppress(_RollBackError), db.write() as conn:
        current = policy_sets.current(conn)
        rules = Rules(policy_sets.restored(conn, current) if current else PolicySet(), Fleet())
        stored = one(conn, seq)
        if stored is not None:
            ledger = Ledger(Turn(conn, db.now(conn), 0, 0, 0))
            use(ledger, rules, stored)
            ledger.flush()
        raise _RollBackError
    db.close()


if __name__ == "__main__":
    probe(sys.stdin.read(), int(sys.argv[1]))
