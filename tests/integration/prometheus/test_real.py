"""Verification by a query with a real Prometheus, which scrapes a real exporter once a second.

`settle` is nothing here and `for` three seconds, so that a proof takes seconds; what is asked,
when, and what it comes to, is as in a run.
"""

import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from controller.judge import Judgement, Sample, Verdict, judge_query
from controller.policy import QueryVerification, render_verification
from controller.prometheus import NoNumber
from controller.prometheus import Prometheus as Client
from controller.settings import Prometheus as Settings
from controller.verify import query
from tests.integration.prometheus.server import Prometheus
from tests.unit.policy.written import bindings, the_policy

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]

ACCURACY = 'query: \'avg(accuracy{model="$model", version="$version"})\''
SECOND = timedelta(seconds=1)


@dataclass
class Proof:
    """A verification in its own time: the action ends when it is made."""

    prometheus: Prometheus
    verify: str
    told: dict[str, Any]
    samples: list[Sample] = field(default_factory=list)

    def __post_init__(self) -> None:
        times = "settle: 0s, for: 3s, every: 1s, within: 40s"
        steps = f"steps: [{{name: a, command: {{argv: [x]}}, verify: [{{{self.verify}, {times}}}]}}]"
        [spec] = the_policy(steps=steps).steps[0].verify
        assert isinstance(spec, QueryVerification)
        self.spec, self.began = spec, datetime.now(UTC)
        self.rendered = render_verification(spec, bindings(), None)  # type: ignore[arg-type]  # a query asks no Model
        self._client = Client(Settings(url=self.prometheus.url, timeout=SECOND))

    def look(self) -> Sample:
        """One sample, as a worker takes it and the engine keeps it."""
        now = datetime.now(UTC)
        known = [sample.numbers["before"] for sample in self.samples if "before" in sample.numbers]
        told = {"model": "ml/salary", "now": now.isoformat(), "stepBegan": self.began.isoformat(), "only": None}
        told |= {"version": "v2", "versionBefore": "v1", "versionStable": "v1", "before": known[0] if known else None}
        taken = query.sample(self.rendered, told | self.told, threading.Event(), self._client)
        self.samples.append(Sample(taken.at or now, taken.state, taken.message, taken.numbers))
        return self.samples[-1]

    def judged(self) -> Judgement:
        """What was shown by now."""
        return judge_query(self.spec, self.samples, self.began, self.began, datetime.now(UTC))

    def until(self, verdict: Verdict | None = None, *, seconds: float = 45) -> Judgement:
        """Look each second until there is a verdict, which must be this one; None: for so long there is none."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.look()
            found = self.judged()
            if found.verdict is not None:
                assert found.verdict is verdict, found
                return found
            time.sleep(1)
        assert verdict is None, self.samples
        return self.judged()


@pytest.fixture
def proof(prometheus: Prometheus) -> Any:
    """Begins a proof of these keys."""

    def begin(verify: str, **told: Any) -> Proof:
        return Proof(prometheus, verify, told)

    return begin


def shown(prometheus: Prometheus, asked: str, value: float) -> None:
    """Wait until Prometheus has scraped this."""
    deadline = time.monotonic() + 30
    while list(prometheus.values(asked).values()) != [value]:
        assert time.monotonic() < deadline, prometheus.ask("query", query=asked)
        time.sleep(0.1)


def test_recovered(exporter, prometheus, proof):
    """The new version is good enough for three seconds; the old one, which is not, is not asked."""
    exporter.is_now("v1", 0.5)
    exporter.is_now("v2", 0.95)
    found = proof(f"{ACCURACY}, recovered: value >= 0.92").until(Verdict.RECOVERED)
    assert found.values["value"] == 0.95
    assert found.values["samples"] >= 3


def test_worse_than_before_by_range(exporter, prometheus, proof):
    """`before` is the old version's mean over the three seconds before the step began, also later and after its end."""
    exporter.is_now("v1", 0.9)
    shown(prometheus, "accuracy", 0.9)
    time.sleep(4)
    started = proof(f"{ACCURACY}, recovered: value >= before, worse: value < before - 0.02")
    exporter.is_now("v1", 0.1)  # what it is by now does not matter
    exporter.is_now("v2", 0.8)
    found = started.until(Verdict.WORSE)
    assert found.values["before"] == pytest.approx(0.9)


def test_stable_is_asked_now(exporter, proof):
    """The stable version is measured at the same time as the new one."""
    exporter.is_now("v1", 0.9)
    exporter.is_now("v2", 0.95)
    found = proof(f"{ACCURACY}, recovered: value > stable").until(Verdict.RECOVERED)
    assert (found.values["value"], found.values["stable"]) == (0.95, 0.9)


def test_no_data(exporter, proof):
    """A version that nobody measures is no data, and no data is unknown."""
    exporter.is_now("v1", 0.95)
    started = proof(f"{ACCURACY}, recovered: value >= 0.92")
    assert started.look().message == "no data"
    assert (
        judge_query(
            started.spec, started.samples, started.began, started.began, started.began + timedelta(minutes=1)
        ).verdict
        is Verdict.UNKNOWN
    )


def test_several_series(exporter, prometheus, proof):
    """Two pods that were not aggregated are not one number."""
    exporter.is_now("v2", 0.95)
    exporter.is_now("v2", 0.96, pod="b")
    shown(prometheus, "count(accuracy)", 2.0)
    taken = proof("query: 'accuracy{version=\"$version\"}', recovered: value >= 0.92").look()
    assert (taken.state, taken.message) == ("missing", "2 series, want one: aggregate, or name more labels")


def test_nan(exporter, prometheus, proof):
    """No requests, no rate of errors: 0/0 is no number."""
    exporter.is_now("v2", 0.95)
    shown(prometheus, "accuracy", 0.95)
    taken = proof("query: 'sum(accuracy{version=\"$version\"} * 0) / 0', recovered: value >= 0.92").look()
    assert (taken.state, taken.message) == ("missing", "NaN is no number to go by")


def test_bad_query(proof):
    """What Prometheus cannot read it says itself."""
    taken = proof("query: no_such_function(up), recovered: value >= 0.92").look()
    assert taken.state == "missing"
    assert 'answered 400: invalid parameter "query"' in taken.message
    assert 'unknown function with name "no_such_function"' in taken.message


def test_away_and_back(exporter, prometheus, proof):
    """While Prometheus is away samples are missing; restarted, it tells what was before the step, and the proof goes on."""
    exporter.is_now("v1", 0.9)
    shown(prometheus, "accuracy", 0.9)
    time.sleep(4)
    started = proof(f"{ACCURACY}, recovered: value > before")
    exporter.is_now("v2", 0.95)
    shown(prometheus, 'accuracy{version="v2"}', 0.95)
    prometheus.stop()
    assert "connection refused" in started.look().message
    assert started.judged().verdict is None
    prometheus.start()
    found = started.until(Verdict.RECOVERED)
    assert found.values["before"] == pytest.approx(0.9)
    assert found.values["since"] > started.samples[0].at


def test_an_exporter_that_dies_is_no_data(exporter, prometheus, proof):
    """Prometheus marks what it no longer scrapes as gone: the last good number does not go on."""
    exporter.is_now("v2", 0.95)
    shown(prometheus, "accuracy", 0.95)
    exporter.dies()
    deadline = time.monotonic() + 30
    while prometheus.values("accuracy"):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    taken = proof(f"{ACCURACY}, recovered: value >= 0.92").look()
    assert (taken.state, taken.message) == ("missing", "no data")


def test_what_was_pushed_before_does_not_count(exporter, prometheus, proof):
    """A good number from before the action is no proof; the next push is."""
    exporter.is_now("v2", 0.95)
    exporter.pushed.set(time.time() - 60)
    shown(prometheus, "accuracy", 0.95)
    started = proof(f"{ACCURACY}, recovered: value >= 0.92, pushTime: max(push_time_seconds)")
    started.until(None, seconds=6)
    exporter.pushed.set(time.time())
    started.until(Verdict.RECOVERED)


def test_values_reach_prometheus_as_they_are(exporter, prometheus):
    """A version with quotes, backslashes and regular expressions in it is that label, in `=` and in `=~`."""
    odd = "v\"2\\.'*\n[é"
    exporter.is_now(odd, 0.7)
    exporter.is_now("v2", 0.9)
    shown(prometheus, "count(accuracy)", 2.0)
    client = Client(Settings(url=prometheus.url))
    for matcher in ("=", "=~"):
        for quote in "\"'":
            asked = query.fill(f"accuracy{{version{matcher}{quote}$version{quote}}}", {"version": odd})
            assert client.at(asked, datetime.now(UTC), threading.Event()) == 0.7


def test_the_time_is_the_one_that_is_asked_for(exporter, prometheus):
    """A number at a time before anything was scraped is no data, whatever it is now."""
    exporter.is_now("v2", 0.95)
    shown(prometheus, "accuracy", 0.95)
    with pytest.raises(NoNumber, match="no data"):
        Client(Settings(url=prometheus.url)).at("accuracy", datetime.now(UTC) - timedelta(hours=1), threading.Event())
