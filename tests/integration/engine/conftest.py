"""What tests of the engine share: a scene on a database of either kind, and a world that answers."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from controller.store.database import Database
from tests.conftest import Clock
from tests.integration.engine.objects import Objects
from tests.integration.engine.scene import MODEL, Scene, Staged
from tests.integration.engine.world import World

MEMORY = Path("/dev/shm")


@pytest.fixture
def sqlite_url(sqlite_template: Path) -> Iterator[str]:
    """A migrated SQLite file in memory where there is such a folder: that commits last is proved elsewhere."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        path = Path(folder) / "modelmend.db"
        shutil.copyfile(sqlite_template, path)
        yield f"sqlite:///{path}"


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """A world that does all that it is asked, at once."""
    double = World()
    double.install(monkeypatch)
    return double


@pytest.fixture
def objects(monkeypatch: pytest.MonkeyPatch) -> Objects:
    """A cluster that creates what it is asked for."""
    double = Objects()
    double.install(monkeypatch)
    return double


@pytest.fixture
def stage(sqlite_url: str, clock: Clock, world: World) -> Iterator[Staged]:
    """Makes a scene with documents in force, on SQLite."""
    yield from _staging(sqlite_url, clock, world)


@pytest.fixture
def stage_on_both(database_url: str, clock: Clock, world: World) -> Iterator[Staged]:
    """The same on either kind of database: for what rests on the database itself."""
    yield from _staging(database_url, clock, world)


def _staging(url: str, clock: Clock, world: World) -> Iterator[Staged]:
    db = Database(url, clock=clock)
    made: list[Scene] = []

    def make(*documents: str, **settings: Any) -> Scene:
        scene = Scene(db, clock, world, **settings)
        made.append(scene)
        if documents:
            scene.adopt(MODEL, *documents)
        return scene

    yield make
    for scene in made:
        scene.leave()
    db.close()
