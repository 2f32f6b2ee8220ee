"""Verification by `analysis`, with Argo Rollouts' own controller: AnalysisRuns that really run."""

import uuid

import pytest

from controller.kube import ANALYSIS_RUN, ANALYSIS_TEMPLATE
from controller.verify import Sample, analysis
from tests.e2e_cluster.acting import PYTHON
from tests.integration.cluster.conftest import eventually, named

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(150)]

RIGHTS = [
    ("argoproj.io", "analysistemplates", ["get"]),
    ("argoproj.io", "analysisruns", ["get", "create"]),
]


def job(code: str) -> dict:
    """A metric that is a Job: successful when its program exits 0."""
    container = {"name": "main", "image": PYTHON, "command": ["python3", "-c", code, "{{args.exit}}"]}
    pod = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 0, "containers": [container]}
    spec = {"backoffLimit": 0, "template": {"spec": pod}}
    return {"name": "job", "provider": {"job": {"spec": spec}}}


EXIT = job("import sys; sys.exit(int(sys.argv[1]))")
UNREACHABLE = {
    "name": "web",
    "consecutiveErrorLimit": 0,
    "provider": {"web": {"url": "http://127.0.0.1:9/{{args.exit}}", "jsonPath": "{$.ok}"}},
}


@pytest.fixture
def looked(kube, namespace, as_account):
    """Samples until one settles it, by an account with no more rights than the manifests give."""

    def until_settled(metric: dict, **args: str) -> Sample:
        kube.create(ANALYSIS_TEMPLATE, namespace, named("rate", spec={"metrics": [metric], "args": [{"name": "exit"}]}))
        account = as_account("modelmend", RIGHTS)
        name = f"r-{uuid.uuid4().hex[:8]}-0-1-v0"
        run = {"name": name, "annotations": {analysis.INTENT: name}, "labels": {"modelmend.io/model": "salary"}}
        spec, begun = {"kind": "analysis", "template": "rate", "args": args}, False

        def settled() -> Sample | None:
            nonlocal begun
            found = analysis.sample(spec, {"model": f"{namespace}/salary", "run": run, "begun": begun}, account)
            assert found.state in ("unchanged", "recovered", "failed", "unknown"), found
            begun = True
            return found if found.state != "unchanged" else None

        return eventually(settled, 120)

    return until_settled


def test_successful_is_recovered(kube, namespace, looked):
    """What the template measures has passed; there is one run, with the arguments that were given, under our labels."""
    found = looked(EXIT, exit="0")
    assert found.state == "recovered", found
    [run], _ = kube.list(ANALYSIS_RUN, namespace)
    assert run["spec"]["args"] == [{"name": "exit", "value": "0"}]
    assert run["metadata"]["labels"]["modelmend.io/model"] == "salary"


def test_failed_is_unchanged(looked):
    """What it measures is not as it should be."""
    found = looked(EXIT, exit="1")
    assert found.state == "failed", found
    assert "is Failed" in found.message


def test_an_error_is_unknown(looked):
    """What could not be measured proves nothing."""
    found = looked(UNREACHABLE, exit="0")
    assert found.state == "unknown", found
    assert "is Error" in found.message


def test_one_that_a_person_deletes_is_unknown(kube, namespace, as_account):
    """It is not made anew."""
    kube.create(
        ANALYSIS_TEMPLATE,
        namespace,
        named(
            "rate", spec={"metrics": [job("import time; time.sleep(600)")], "args": [{"name": "exit", "value": "0"}]}
        ),
    )
    run = {"name": "r-0-1-v0", "annotations": {analysis.INTENT: "r-0-1-v0"}}
    told = {"model": f"{namespace}/salary", "run": run, "begun": False}
    spec = {"kind": "analysis", "template": "rate", "args": {}}
    assert analysis.sample(spec, told, kube).state == "unchanged"
    kube.delete(ANALYSIS_RUN, namespace, "r-0-1-v0")
    eventually(lambda: kube.get(ANALYSIS_RUN, namespace, "r-0-1-v0") is None)
    assert analysis.sample(spec, told | {"begun": True}, kube) == Sample(
        "unknown", f"AnalysisRun {namespace}/r-0-1-v0 was deleted"
    )
