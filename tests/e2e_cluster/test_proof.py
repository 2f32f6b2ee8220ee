"""Whether it helped is read from a real Prometheus that scrapes the model's pods; what did not help is put right, or told."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from controller.policy.serving import read_version
from tests.e2e_cluster.acting import trail, values
from tests.e2e_cluster.browser import Browser
from tests.e2e_cluster.measured import ACCURACY, HALF
from tests.integration.cluster.serving import SERVING

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]

AT_ONCE = []
"""No canary: a new version takes all traffic as soon as its pods are ready."""
LIMITS = {
    "cooldown": "1h",
    "budget": {"max": 100, "within": "7d"},
    "breaker": {"failures": 100, "within": "7d"},
}
AGAIN = LIMITS | {"cooldown": "1s"}
"""For a test in which the model may be changed twice."""
ACCURATE = {
    "query": 'avg(ml_model_accuracy{model="$model", version="$version"})',
    "recovered": "value >= 0.92 && value > before",
    "worse": "value < before - 0.02",
    "every": "1s",
    "settle": "0s",
    "for": "3s",
    "within": "90s",
}
PROMOTED = {"rollout": "promoted", "every": "1s", "within": "90s"}
PAGE = {"name": "page", "page": {}}
MODEL = {
    "kind": "Model",
    "metadata": {"name": "salary"},
    "spec": {
        "serving": {"kind": "Rollout", "name": "salary", "version": {"env": "VERSION"}},
        "versionNames": ["salary-{version}", "{version}"],
    },
}
BAD = {"type": "ml.performance.degraded", "when": 'data.metric == "accuracy" && data.value < 0.92'}
SUCCEEDED = ["Pending decided", "Running started", "Verifying action_done", "Succeeded recovered"]


def retrain(version, *verify, **more):
    """A step that trains this version; by default proved by its accuracy alone."""
    workflow = {"workflowTemplateRef": {"name": f"train-{version}"}, "timeout": "3m"}
    return {"name": f"retrain-{version}", "workflow": workflow, "verify": list(verify or [ACCURATE]), **more}


def policy(*steps, name="retrain", trigger=BAD, **spec):
    """One that answers low accuracy by these steps, with limits that a test does not meet; and the model."""
    body = {
        "mode": "enforce",
        "models": {"names": ["salary"]},
        "triggers": [trigger],
        "limits": LIMITS,
        "steps": list(steps),
    }
    return json.dumps({"kind": "RemediationPolicy", "metadata": {"name": name}, "spec": body | spec})


def bad(id_, version, *, metric="accuracy", value=0.8, **data):
    """An event of now: a detector has found a version wanting."""
    return {
        "specversion": "1.0",
        "id": id_,
        "type": "ml.performance.degraded",
        "source": "urn:monitor",
        "time": datetime.now(UTC).isoformat(),
        "data": {"model": "salary", "modelVersion": f"salary-{version}", "metric": metric, "value": value, **data},
    }


@pytest.fixture
def mend(stage, measured):
    """Makes `mend(policy, …, steps=)`: the model that serves v5, its Prometheus, and a modelmend that asks it."""

    def make(*policies, steps=HALF, start=True, **settings):
        model = measured(steps)
        made = stage(json.dumps(MODEL), *policies, prometheus={"url": model.prometheus.url}, **settings)
        if start:
            made.start()
        return made, model

    return make


def asked_for(model):
    """The version that the Rollout's template asks for."""
    return read_version(SERVING, model.read())


def test_a_retrain_is_proved_on_the_new_version_alone(mend):
    """Recovered by v6's accuracy, while v5 is still there, as bad as before, and so are both together."""
    stage, model = mend(policy(retrain("v6"), PAGE))
    stage.post(bad("e-1", "v5"))
    ended = stage.reach("e-1", "Succeeded")
    assert trail(ended) == SUCCEEDED
    assert ended["verdict"] == "recovered"
    assert model.accuracy() == {"v5": ACCURACY["v5"], "v6": ACCURACY["v6"]}
    (both,) = model.prometheus.values("avg(ml_model_accuracy)").values()
    assert both < 0.92
    assert model.serving() == {"v5": 1, "v6": 1}
    assert stage.pages() == []
    assert "helped, and that is verified" in stage.explain("e-1")


@pytest.mark.parametrize("promoted", [False, True], ids=["a canary", "promoted by a person"])
def test_what_is_worse_is_taken_back_and_people_are_told(mend, promoted):
    """v7 is worse: as a canary it is aborted, where it serves all v5 is set again; seen to serve, and somebody is paged."""
    judged = ACCURATE | ({"for": "8s"} if promoted else {})
    stage, model = mend(policy(retrain("v7", judged, onWorse="restore"), PAGE))
    model.set({"spec": {"rollbackWindow": {"revisions": 3}}})
    stage.post(bad("e-1", "v5"))
    stage.reach("e-1", "Verifying")
    if promoted:
        model.set({"status": {"promoteFull": True}}, "status")
    ended = stage.reach("e-1", "Escalated")
    assert trail(ended)[3:] == ["Pending worse", "Running started", "Verifying action_done", "Escalated restored"]
    assert ended["verdict"] == "worse"
    assert asked_for(model) == ("v5" if promoted else "v7")
    assert bool(model.status.get("abort")) is not promoted
    assert model.serving() == {"v5": 2}
    model.measured(v5=ACCURACY["v5"])
    assert len(stage.workflows()) == 1
    told = stage.paged()
    assert told["page"] is True
    assert told["data"]["verdict"] == "worse"
    assert "version v5 is brought back" in stage.explain("e-1")


def test_a_dead_exporter_proves_nothing(mend):
    """v6 measures well until its exporter dies: unknown, people are told, and what serves is left as it is."""
    judged = ACCURATE | {"for": "6s", "within": "20s"}
    stage, model = mend(policy(retrain("v6", judged), PAGE))
    stage.post(bad("e-1", "v5"))
    good = f"SELECT id FROM observations WHERE value LIKE '%{ACCURACY['v6']}%'"
    stage.until(lambda: stage.served.rows(good), "a good measure on record")
    model.exporter_ends("v6")
    model.measured(v5=ACCURACY["v5"])
    ended = stage.reach("e-1", "Escalated")
    assert trail(ended)[2:] == ["Verifying action_done", "Escalated unknown"]
    assert ended["verdict"] == "unknown"
    assert model.serving() == {"v5": 1, "v6": 1}
    assert stage.paged()["data"]["reason"] == "unknown"
    stage.explain("e-1")


def test_a_second_rung_helps_where_the_first_changed_nothing(mend):
    """v8 is neither good nor worse: unchanged. The next training gives v6, which is proved; nobody is woken."""
    first = retrain("v8", ACCURATE | {"within": "20s"})
    stage, model = mend(policy(first, retrain("v6"), PAGE))
    stage.post(bad("e-1", "v5"))
    ended = stage.reach("e-1", "Succeeded", 120)
    assert trail(ended) == [*SUCCEEDED[:3], "Pending unchanged", *SUCCEEDED[1:]]
    assert ended["verdict"] == "recovered"
    assert model.accuracy() == {"v5": ACCURACY["v5"], "v6": ACCURACY["v6"]}
    assert len(stage.workflows()) == 2
    assert stage.pages() == []
    stage.explain("e-1")


ABORT = policy(
    {
        "name": "abort",
        "rollout": {"abort": "canary"},
        "verify": [{"rollout": "stable", "every": "1s", "within": "90s"}],
    },
    PAGE,
    name="abort-bad-canary",
    trigger={
        "type": "ml.performance.degraded",
        "when": 'data.metric == "error_rate" && data.value > 0.05 && event.role == "canary"',
    },
)


def test_an_alarm_about_the_canary_takes_the_model_over(mend):
    """While a retrain waits for its proof its canary errs: the canary is aborted, the retrain ends preempted."""
    patient = ACCURATE | {"recovered": "value >= 0.99", "within": "1h"}
    stage, model = mend(policy(retrain("v6", patient), PAGE), ABORT)
    stage.post(bad("e-1", "v5"))
    stage.reach("e-1", "Verifying")
    model.measured(v5=ACCURACY["v5"], v6=ACCURACY["v6"])
    stage.post(bad("e-2", "v5", metric="error_rate", value=0.2))
    stage.until(lambda: stage.answers("e-2"), "an answer about the stable version")
    assert stage.about("e-2") is None
    stage.post(bad("e-3", "v6", metric="error_rate", value=0.2))
    aborted = stage.reach("e-3", "Succeeded")
    assert trail(aborted) == ["Pending decided", "Pending took_over", *SUCCEEDED[1:]]
    taken_over = stage.reach("e-1", "Cancelled")
    assert trail(taken_over)[-1] == "Cancelled preempted"
    assert model.status["abort"] is True
    assert model.serving() == {"v5": 2}
    model.measured(v5=ACCURACY["v5"])
    assert stage.pages() == []
    stage.explain("e-1")
    stage.explain("e-3")


def test_a_relapse_goes_on_with_the_next_rung(mend):
    """v6 was proved and then fell: another remediation continues the first, at the rung after the one that helped."""
    stage, model = mend(policy(retrain("v6"), retrain("v9"), PAGE, limits=AGAIN), steps=AT_ONCE)
    stage.post(bad("e-1", "v5"))
    first = stage.reach("e-1", "Succeeded")
    model.measured(v6=ACCURACY["v6"])
    model.becomes("v6", 0.6)
    model.measured(v6=0.6)
    stage.post(bad("e-2", "v6", value=0.6))
    second = stage.reach("e-2", "Succeeded", 120)
    assert second["continues"] == first["id"]
    assert [each["metadata"]["name"] for each in stage.workflows() if second["id"] in each["metadata"]["name"]] == [
        f"{second['id']}-1-1"
    ]
    assert second["verdict"] == "recovered"
    assert model.serving() == {"v9": 2}
    model.measured(v9=ACCURACY["v9"])
    stage.explain("e-2")


def test_labels_that_confirm_the_worse_take_it_back(mend):
    """Early signs were good and the model was let go; the labels, weeks late, say otherwise: v5 serves again."""
    confirmed = retrain("v6", PROMOTED, ACCURATE, confirm={"metric": "accuracy", "within": "45d"})
    stage, model = mend(policy(confirmed, PAGE), steps=AT_ONCE)
    stage.post(bad("e-1", "v5"))
    provisional = stage.reach("e-1", "Succeeded")
    assert trail(provisional)[-1] == "Succeeded provisional"
    assert model.serving() == {"v6": 2}
    assert stage.pages() == []
    stage.post(bad("e-2", "v6", value=0.5))
    stage.until(lambda: len(stage.remediations()) == 2, "a restoring remediation")
    restoring = stage.remediations()[1]
    assert restoring["continues"] == provisional["id"]
    stage.until(lambda: not stage.remediations()[1]["active"], "its end")
    ended = stage.remediations()[1]
    assert trail(ended)[-1] == "Escalated restored"
    assert asked_for(model) == "v5"
    assert model.serving() == {"v5": 2}
    model.measured(v5=ACCURACY["v5"])
    judged = stage.about("e-1")
    assert (judged["phase"], judged["verdict"], judged["reason"]) == ("Succeeded", "worse", "confirmed_worse")
    assert {told["data"]["reason"] for told in stage.pages()} <= {"confirmed_worse", "restored"}
    assert stage.pages()
    stage.explain("e-1")
    stage.explain(ended["id"])


PROMOTE = policy(
    {"name": "promote", "rollout": {"promote": "full"}, "approve": True, "verify": [PROMOTED, ACCURATE]},
    PAGE,
    name="promote",
    trigger={"type": "ml.labels.available"},
)


def token(stage, name):
    """A token of somebody who operates."""
    file = str(stage.served.folder.parent / "tokens")
    done = stage.served.run("token", "new", name, "--role", "operate", "--tokens", file, "--output", "json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["token"]


def test_a_canary_is_promoted_when_a_person_says_so_on_the_page(mend, tmp_path):
    """Nothing moves until ada has signed in, read what would be done and pressed Approve; then all traffic is on it."""
    stage, model = mend(PROMOTE, start=False, tokens=str(tmp_path / "tokens"))
    stage.served.token, hers = token(stage, "program"), token(stage, "ada")
    stage.start()
    model.canary("v6")
    model.measured(v5=ACCURACY["v5"], v6=ACCURACY["v6"])
    stage.post({**bad("e-1", "v6"), "type": "ml.labels.available", "data": {"model": "salary", "count": 500}})
    asked = stage.reach("e-1", "AwaitingApproval")
    before = model.read()["spec"], model.status["currentStepIndex"]

    ada = Browser(stage.served.url)
    ada.open(f"/remediations/{asked['id']}")
    assert "Sign in" in ada.text
    ada.press("Sign in", token=hers)
    assert "Approve" in ada.text
    assert (model.read()["spec"], model.status["currentStepIndex"]) == before
    assert stage.about("e-1")["phase"] == "AwaitingApproval"
    ada.press("Approve", comment="looks right")
    assert ada.status == 200
    ended = stage.reach("e-1", "Succeeded")
    assert trail(ended)[:4] == ["Pending decided", "AwaitingApproval awaiting", "Pending approved", "Running started"]
    assert values(ended, "approved")["who"] == "ada"
    assert model.serving() == {"v6": 2}
    model.measured(v6=ACCURACY["v6"])
    assert "approved by ada" in stage.explain("e-1")
