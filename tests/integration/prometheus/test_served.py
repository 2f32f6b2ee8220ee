"""A real `modelmend serve` that asks a real Prometheus: from an event to its proof."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.serving import Served, drift, policy, until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]

RETRAIN = """{name: retrain, command: {argv: [/bin/sh, -c, 'echo "{\\"version\\": \\"v2\\"}"']}, verify: [{
 query: 'avg(accuracy{model="$model",version="$version"})', recovered: value >= 0.92,
 settle: 0s, for: 3s, every: 1s, within: 20s}]}"""


@pytest.fixture
def serve(tmp_path: Path, prometheus) -> Iterator[Callable[[], Served]]:
    """Starts an installation that asks this Prometheus."""
    made: list[Served] = []

    def start() -> Served:
        folder = tmp_path / "installation"
        folder.mkdir()
        rules = policy(" ".join(RETRAIN.split()))
        made.append(Served(folder, rules, prometheus={"url": prometheus.url, "timeout": "1s"}))
        made[0].start()
        return made[0]

    yield start
    for served in made:
        served.close()


def ended(served: Served) -> dict:
    """The remediation, once it is over."""
    until(lambda: [found for found in served.items("remediations") if found["endedAt"]], "the end")
    return served.items("remediations")[0]


def test_recovered_and_explained(exporter, serve):
    """The new version's accuracy is proved, and `explain` says by which numbers."""
    exporter.is_now("v2", 0.95)
    served = serve()
    served.post(drift("one", model="salary"))
    found = ended(served)
    assert (found["phase"], found["verdict"]) == ("Succeeded", "recovered")
    told = served.run("explain", found["id"])
    assert "step 1 (retrain) helped, and that is verified" in told.stdout
    assert "value 0.95" in told.stdout


def test_an_exporter_that_died_is_unknown(exporter, serve):
    """The old version was measured, the new one is not: nobody knows, and people are told why."""
    exporter.is_now("v1", 0.95)
    served = serve()
    served.post(drift("one", model="salary"))
    found = ended(served)
    assert (found["phase"], found["verdict"]) == ("Escalated", "unknown")
    told = json.loads(served.run("explain", found["id"], "--output", "json").stdout)
    assert "no data" in json.dumps(told)
