"""What scenarios share: `play`, which brings files of examples/ into force in a story of their own."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from controller.store.database import Database
from tests.conftest import Clock
from tests.integration.engine.again import compare
from tests.integration.engine.world import World
from tests.scenarios.cluster import Cluster
from tests.scenarios.story import Story, rome

EXAMPLES = Path(__file__).parents[2] / "examples"

Play = Callable[..., Story]


def text_of(name: str) -> str:
    """A file of examples/policies or examples/models as it stands; but the mode is what its comment says it may be."""
    folder = "models" if (EXAMPLES / "models" / f"{name}.yaml").exists() else "policies"
    return (EXAMPLES / folder / f"{name}.yaml").read_text()


@pytest.fixture
def play(sqlite_url: str, clock: Clock) -> Iterator[Play]:
    """Begins a story: names of files, of which the first model's is spoken about; `begin` in Rome's time.

    Policies are shipped as `mode: audit`; here they are turned to `enforce`, as their comment tells a team to.
    """
    made: list[Story] = []
    db = Database(sqlite_url, clock=clock)

    def play(*names: str, begin: str, serves: str = "v5", audit: bool = False, **settings: Any) -> Story:
        clock.now = rome(begin)
        cluster = Cluster()
        story = Story(db, clock, World(), objects=cluster, receivers={"default": "webhook"}, **settings)
        made.append(story)
        texts = [text_of(name) for name in names]
        enforced = [text if audit else text.replace("mode: audit ", "mode: enforce ") for text in texts]
        story.about = next(name for name in names if (EXAMPLES / "models" / f"{name}.yaml").exists())
        story.adopt(*enforced)
        for model in story.in_force.models.values():
            cluster.serves(model.serving.plain(), serves)
        story.settle()
        return story

    yield play
    for story in made:
        compare(story)
        story.leave()
    db.close()
