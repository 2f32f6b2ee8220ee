"""Samples of an AnalysisRun, with a double of the API in place of the cluster; the real one is in tests/integration/cluster."""

from typing import Any

import pytest

from controller.errors import TemporaryError
from controller.kube import AlreadyExists, Kind
from controller.verify import analysis

TEMPLATE = {
    "metadata": {"name": "rate"},
    "spec": {"metrics": [{"name": "m"}], "args": [{"name": "model"}, {"name": "least", "value": "0.9"}]},
}
ENDLESS = {"name": "e", "interval": "1m"}
RUN = {"name": "r-1-0-1-v0", "annotations": {"modelmend.io/intent": "r-1-0-1-v0"}}


class Cluster:
    """Templates and runs by name; `fault` is what each call raises."""

    def __init__(self, *, template: Any = TEMPLATE, run: Any = None, fault: Exception | None = None) -> None:
        self.template, self.run, self.fault = template, run, fault
        self.hidden = False  # it is there, and a read does not show it yet

    def get(self, kind: Kind, namespace: str, name: str) -> Any:
        if self.fault:
            raise self.fault
        return self.template if kind.name == "AnalysisTemplate" else None if self.hidden else self.run

    def create(self, kind: Kind, namespace: str, body: Any) -> Any:
        if self.run is not None:
            raise AlreadyExists("it is there")
        self.run = body
        return body


def look(cluster: Cluster | None, *, begun: bool = False, **args: str) -> tuple[str, str]:
    """State and message of one sample."""
    spec = {"kind": "analysis", "template": "rate", "args": args}
    found = analysis.sample(spec, {"model": "ml/salary", "run": RUN, "begun": begun}, cluster)  # type: ignore[arg-type]
    return found.state, found.message


def test_created_once():
    """The first look creates it with the template's metrics and the arguments filled in; the next sees how it stands."""
    cluster = Cluster()
    assert look(cluster, model="salary") == ("unchanged", "AnalysisRun ml/r-1-0-1-v0 was created")
    assert cluster.run["spec"] == {
        "metrics": [{"name": "m"}],
        "args": [{"name": "model", "value": "salary"}, {"name": "least", "value": "0.9"}],
        "ttlStrategy": {"secondsAfterCompletion": 604800},
    }
    assert look(cluster, model="salary", begun=True) == ("unchanged", "AnalysisRun ml/r-1-0-1-v0 is Pending")


@pytest.mark.parametrize(
    ("phase", "state"),
    [
        ("Running", "unchanged"),
        ("Successful", "recovered"),
        ("Failed", "failed"),
        ("Inconclusive", "unknown"),
        ("Error", "unknown"),
        ("New in a later version", "unchanged"),
    ],
)
def test_how_it_stands(phase, state):
    """Only Successful is recovered."""
    run = {"metadata": RUN, "status": {"phase": phase, "message": "so it is"}}
    assert look(Cluster(run=run)) == (state, f"AnalysisRun ml/r-1-0-1-v0 is {phase}: so it is")


def test_one_that_was_deleted_is_unknown():
    """It is not created anew: nobody knows what it had found."""
    assert look(Cluster(), begun=True) == ("unknown", "AnalysisRun ml/r-1-0-1-v0 was deleted")


def test_one_of_others_is_not_believed():
    """A name alone may be anybody's."""
    run = {"metadata": {"name": RUN["name"]}, "status": {"phase": "Successful"}}
    assert look(Cluster(run=run)) == ("unknown", "AnalysisRun ml/r-1-0-1-v0 is not ours")


def test_an_answer_that_was_lost():
    """It was created, and the answer did not arrive: the next look sees it."""
    cluster = Cluster(run={"metadata": RUN})
    cluster.hidden = True
    assert look(cluster, model="salary") == ("unchanged", "AnalysisRun ml/r-1-0-1-v0 is there")


@pytest.mark.parametrize(
    ("cluster", "args", "found"),
    [
        (None, {}, ("missing", "no cluster: start with --kubernetes")),
        (Cluster(template=None), {}, ("missing", "there is no AnalysisTemplate ml/rate")),
        (Cluster(fault=TemporaryError("away")), {}, ("missing", "away")),
        (Cluster(), {}, ("unknown", "AnalysisTemplate ml/rate: no value for its argument model")),
        (Cluster(), {"mdoel": "x"}, ("unknown", "AnalysisTemplate ml/rate: it has no argument mdoel")),
        (
            Cluster(template={"spec": {"templates": [{"templateName": "x"}]}}),
            {},
            ("unknown", "AnalysisTemplate ml/rate: it is made of other templates: that is not supported"),
        ),
        (
            Cluster(template={"spec": {"metrics": [{"name": "m", "interval": "1m", "count": 3}, ENDLESS]}}),
            {},
            ("unknown", "AnalysisTemplate ml/rate: its metric e has an interval and no count: it would never end"),
        ),
    ],
)
def test_what_cannot_be_made(cluster, args, found):
    """Each says why; what may come about later is missing, what cannot is unknown."""
    assert look(cluster, **args) == found
