"""Laws that hold whatever happens in whatever order, and the same history again from its inputs."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter
from sqlalchemy import select

from controller import schema
from controller.decision import Bar, Situation, decide
from controller.engine import careful, loop
from controller.store import remediations
from controller.store.database import Database
from controller.store.undecided import one
from tests.conftest import Clock
from tests.integration.engine.again import compare
from tests.integration.engine.conftest import MEMORY
from tests.integration.engine.history import FLEET, HISTORIES, SETS, unfold
from tests.integration.engine.laws import Record, check
from tests.integration.engine.objects import Objects
from tests.integration.engine.scene import Scene
from tests.integration.engine.world import World

EXAMPLES = 15
ASKING_SET = len(SETS) - 1
URGENT_SET = len(SETS) - 2
_SITUATION = TypeAdapter(Situation)


@pytest.fixture(autouse=True)
def faulty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Using an event whose id begins with `bad` raises, but in a replay by hand."""
    real = loop.use

    def use(ledger, rules, stored, **more):
        answers = real(ledger, rules, stored, **more)
        if stored.event.id.startswith("bad"):
            raise ZeroDivisionError("no such luck")
        return answers

    monkeypatch.setattr(loop, "use", use)


@contextmanager
def staged(template: Path) -> Iterator[Scene]:
    """A scene of one example's own."""
    with (
        tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder,
        pytest.MonkeyPatch.context() as patches,
    ):
        path = Path(folder) / "modelmend.db"
        shutil.copyfile(template, path)
        world, clock, objects = World(), Clock(), Objects()
        world.install(patches)
        objects.install(patches)
        # Nothing here kills a process: no child need show it.
        patches.setattr(careful, "_probe", lambda url, *seqs: None)
        db = Database(f"sqlite:///{path}", clock=clock)
        scene = Scene(db, clock, world, fleet=FLEET, objects=objects)
        try:
            yield scene
        finally:
            scene.leave()
            db.close()


def answered_alike(scene: Scene) -> None:
    """A stored situation is answered as it was; with a silence added it never leads to an act."""
    with scene.db.read() as conn:
        for row in conn.execute(select(schema.decisions).where(schema.decisions.c.situation.is_not(None))):
            stored = one(conn, row.event_seq)
            assert stored is not None
            facts = _SITUATION.validate_python(row.situation)
            policy = remediations.policy_of(conn, row.policy_digest)
            model = remediations.model_of(conn, row.model_digest, row.namespace, row.model)
            found = decide(stored.event, model, policy, facts, row.now)
            assert (found.outcome, found.reason or "", found.trigger) == (row.outcome, row.reason, row.trigger)
            muted = _SITUATION.validate_python(
                row.situation | {"silences": [*row.situation["silences"], vars_of(Bar("s", "silence", None, ""))]}
            )
            quiet = decide(stored.event, model, policy, muted, row.now)
            assert quiet.outcome == "suppress"
            assert quiet.reason != "audit"


def vars_of(bar: Bar) -> dict[str, Any]:
    """A bar as it is stored."""
    return {"id": bar.id, "scope": bar.scope, "until": bar.until, "why": bar.why}


@pytest.mark.slow
@pytest.mark.timeout(300)
@settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck), deadline=None)
@given(steps=HISTORIES, first=st.sampled_from([0, URGENT_SET, URGENT_SET, ASKING_SET, ASKING_SET]))
def test_laws(sqlite_template: Path, steps: list[tuple[str, dict[str, Any]]], first: int):
    """No limit is exceeded, nothing forgotten, nothing called recovered without proof; and it can be replayed."""
    with staged(sqlite_template) as scene:
        unfold(scene, steps, first)
        check(Record(scene))
        answered_alike(scene)
        compare(scene)
