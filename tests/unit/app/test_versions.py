"""The versions that serving objects ask for, read in small doses."""

import logging
import threading

import pytest

from controller.app import facts
from controller.app.facts import VERSIONS, Versions
from controller.errors import TemporaryError
from controller.kube import Refused
from controller.policy import Model, Serving, VersionPlace


class StandIn:
    """An API server with Deployments, which counts what it is asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.image = "reg/salary:v5"
        self.error: Exception | None = None

    def get(self, kind, namespace, name):
        self.asked.append(f"{kind.name} {namespace}/{name}")
        if self.error:
            raise self.error
        containers = [{"name": "main", "image": self.image}]
        return {"spec": {"template": {"spec": {"containers": containers}}}} if self.image else None


def model(name: str = "salary", *, place: VersionPlace | None = VersionPlace("image", "reg/salary:{version}")) -> Model:  # noqa: B008
    return Model("ml", name, serving=Serving("Deployment", name, place))


@pytest.fixture
def kube():
    return StandIn()


@pytest.fixture
def clock(monkeypatch):
    class Clock:
        now = 1000.0

        def monotonic(self):
            return self.now

    clock = Clock()
    monkeypatch.setattr(facts, "time", clock)
    return clock


def test_each_is_read_at_most_every_half_minute(kube, clock):
    """Between two readings of one object lie 30 s, however often is looked; then a change is seen."""
    versions = Versions(kube)
    for _ in range(10):
        versions.read([model()])
    assert kube.asked == ["Deployment ml/salary"]
    assert versions.of(("ml", "salary")) == (True, "v5")
    kube.image = "reg/salary:v6"
    clock.now += 30
    versions.read([model()])
    assert versions.of(("ml", "salary")) == (True, "v6")


def test_many_take_turns(kube, clock):
    """A look reads a bounded number, the longest unread first, so that every model gets its turn."""
    versions = Versions(kube)
    models = [model(f"m-{number}") for number in range(3 * VERSIONS)]
    versions.read(models)
    assert len(kube.asked) == VERSIONS
    assert versions.of(("ml", "m-14")) == (False, None)
    for _ in range(2):
        clock.now += 1
        versions.read(models)
    assert len(set(kube.asked)) == 3 * VERSIONS


def test_what_cannot_be_known_is_left_out(kube, clock, caplog):
    """No serving, no place, no object, no right: no version; a missing right is said once."""
    versions = Versions(kube)
    versions.read([Model("ml", "bare"), model("placeless", place=None)])
    assert kube.asked == []
    assert versions.of(("ml", "bare")) == (True, None)
    kube.image = ""
    versions.read([model()])
    assert versions.of(("ml", "salary")) == (True, None)
    kube.error = Refused("get deployments: forbidden", status=403, reason="forbidden")
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            clock.now += 30
            versions.read([model()])
    assert caplog.text.count("the version of model ml/salary is not known") == 1


def test_an_api_server_that_is_away_leaves_what_was_known(kube, clock):
    """No answer is no news: the version of before is told on, and one never read is not spoken of."""
    versions = Versions(kube)
    versions.read([model()])
    kube.error = TemporaryError("no answer")
    clock.now += 30
    versions.read([model(), model("late")])
    assert versions.of(("ml", "salary")) == (True, "v5")
    assert versions.of(("ml", "late")) == (False, None)


def test_a_stop_is_seen_between_two_readings(kube, clock):
    """Told to stop during one reading, it begins no other: each may wait ten seconds for its answer."""
    stop = threading.Event()
    versions = Versions(kube, stop)
    read = kube.get

    def told_meanwhile(*asked):
        stop.set()
        return read(*asked)

    kube.get = told_meanwhile
    versions.read([model("a"), model("b")])
    assert len(kube.asked) == 1
