"""Many models at once: one Workflow for each, none twice, none lost; and what becomes of it when all are taken away."""

from __future__ import annotations

import time
from collections import Counter

import psutil
import pytest

from tests.e2e.serving import drift
from tests.e2e_cluster.acting import trail, values
from tests.e2e_cluster.arrivals import TEMPLATE, documents
from tests.integration.cluster.conftest import NAMESPACE

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

MODELS = 500
BATCH = 100
SECONDS = 120.0


def test_500_events_for_500_models_make_500_workflows(stage, kube, namespace):
    """Each once by uid and by name, also when all are posted again; deleted all at once, each is told as lost."""
    stage = stage(documents(namespace, MODELS))
    stage.template("wait", TEMPLATE["spec"]["templates"][0], arguments=TEMPLATE["spec"]["arguments"])
    stage.start()
    events = [drift(f"e-{number}", f"m-{number}") for number in range(MODELS)]
    batches = [events[start : start + BATCH] for start in range(0, MODELS, BATCH)]
    began = time.monotonic()
    for batch in batches:
        stage.post(*batch)
    phases = "SELECT phase, count(*) FROM remediations GROUP BY phase"
    recorded = "SELECT count(*) FROM intents WHERE ref IS NOT NULL"
    stage.until(lambda: stage.served.rows(recorded) == [(MODELS,)], "a Workflow on record for each", SECONDS)
    print(f"{MODELS} Workflows on record {time.monotonic() - began:.1f} s after the first was posted")
    once(stage)
    assert stage.served.rows(phases) == [("Running", MODELS)]

    for batch in batches:
        stage.post(*batch)
    stage.served.all_decided()
    once(stage)
    assert stage.served.rows(phases) == [("Running", MODELS)]
    assert stage.served.rows("SELECT count(*) FROM events") == [(MODELS,)]
    memory = psutil.Process(stage.served.process.pid).memory_info().rss
    print(f"resident with {MODELS} Workflows: {memory / 1e6:.0f} MB; requests: {dict(stage.asked())}")

    began = time.monotonic()
    kube.delete(NAMESPACE, None, namespace)
    lost = "SELECT phase, reason, count(*) FROM remediations GROUP BY phase, reason"
    stage.until(lambda: stage.served.rows(lost) == [("Escalated", "action_unknown", MODELS)], "the end of all", SECONDS)
    print(f"all told as lost {time.monotonic() - began:.1f} s after the namespace's deletion")
    one = stage.about("e-0")
    assert trail(one) == ["Pending decided", "Running started", "Escalated action_unknown"]
    assert values(one, "action_unknown")["reason"] == "object_lost"
    told = Counter(
        page["data"]["remediation"]
        for page in stage.until(lambda: len(stage.pages()) >= MODELS and stage.pages(), "all pages", SECONDS)
    )
    assert set(told.values()) == {1}
    assert stage.served.ready()


def once(stage):
    """Every remediation has its Workflow, and there is no other."""
    found = stage.workflows()
    names = [each["metadata"]["name"] for each in found]
    about = [each["spec"]["arguments"]["parameters"][0]["value"] for each in found]
    assert len({each["metadata"]["uid"] for each in found}) == len(found)
    assert sorted(names) == sorted(key for (key,) in stage.served.rows("SELECT key FROM intents"))
    assert sorted(about) == sorted(f"m-{number}" for number in range(MODELS))
