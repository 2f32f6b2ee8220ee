"""Every test here runs real `modelmend serve` processes; none outlives its test."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.serving import Served

Serve = Callable[..., Served]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.e2e)
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(120))


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Makes installations: `serve(policies, database=…, **settings)`; not started yet. All end with the test."""
    made: list[Served] = []

    def make(policies: str, **settings: Any) -> Served:
        folder = tmp_path / f"installation-{len(made)}"
        folder.mkdir()
        made.append(Served(folder, policies, **settings))
        return made[-1]

    yield make
    for served in made:
        served.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> str | None:
    """None for SQLite in the installation's folder, else the URL of a PostgreSQL database: the test runs on both."""
    return None if request.param == "sqlite" else str(request.getfixturevalue("postgresql_url"))
