"""The action `job`, with real Jobs."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from controller import actions
from controller.actions import Outcome
from controller.kube import CRON_JOB, JOB
from controller.remediation import ActionReason
from tests.integration.cluster.conftest import POD, QUOTA, end, ensure, eventually, intent, named

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]


@pytest.fixture
def write_cron_job(kube, namespace):
    """Write a suspended CronJob whose containers run this."""

    def write(code: str, env: list | None = None, *, meta: dict | None = None, **spec) -> str:
        container = {
            "name": "train",
            "image": "localhost/python:debian",
            "imagePullPolicy": "Never",
            "command": ["python3", "-c", code],
            "env": env or [],
        }
        pod = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 1, "containers": [container]}
        pod["initContainers"] = [{**container, "name": "before", "command": ["python3", "-c", "pass"]}]
        template = {"metadata": meta or {}, "spec": {"backoffLimit": 0, "template": {"spec": pod}, **spec}}
        body = {"schedule": "0 3 * * *", "suspend": True, "jobTemplate": template}
        kube.create(CRON_JOB, namespace, named("nightly-train", spec=body))
        return "nightly-train"

    return write


def job(namespace, env=None):
    return intent("job", namespace, {"cronJob": "nightly-train", "env": env or {}, "timeout": 600})


def test_a_job_is_what_the_cron_job_would_make(kube, namespace, write_cron_job):
    """One Job, from the template with our variables in every container; nobody's, kept a week, marked as ours."""
    meta = {"labels": {"team": "ml", "modelmend.io/model": "x"}, "annotations": {"note": "n"}}
    env = [{"name": "MODEL", "value": "none"}, {"name": "TABLE", "value": "$(MODEL)-history"}]
    write_cron_job("pass", env, meta=meta, suspend=True, ttlSecondsAfterFinished=0, activeDeadlineSeconds=500)
    mine = job(namespace, {"MODEL": "salary", "ODD": "$(x) `y` 'z'"})
    ref = ensure(kube, mine)
    assert [ensure(kube, mine), ensure(kube, mine, inherited=True)] == [ref, ref]
    (made,) = kube.list(JOB, namespace)[0]
    assert ref == {"kind": "Job", "namespace": namespace, "name": mine.key, "uid": made["metadata"]["uid"]}
    assert "ownerReferences" not in made["metadata"]
    labels, annotations = made["metadata"]["labels"], made["metadata"]["annotations"]
    assert (labels["team"], labels["modelmend.io/model"]) == ("ml", "salary")
    assert labels["modelmend.io/remediation"] == mine.remediation_id
    assert (annotations["note"], annotations["modelmend.io/intent"]) == ("n", mine.key)
    spec = made["spec"]
    assert (spec["ttlSecondsAfterFinished"], spec["activeDeadlineSeconds"]) == (604800, 500)
    pod = spec["template"]["spec"]
    for container in (*pod["initContainers"], *pod["containers"]):
        assert container["env"] == [
            {"name": "MODEL", "value": "salary"},
            {"name": "ODD", "value": "$$(x) `y` 'z'"},
            {"name": "TABLE", "value": "$(MODEL)-history"},
        ]


def test_a_real_job_completes(kube, namespace, write_cron_job):
    """It is done when the Job is complete, and its program had the variables."""
    dollar = "chr(36)"  # Kubernetes would expand the program's own text, too
    odd = f"{dollar} + '(MODEL) ' + 2 * {dollar} + '(x) ' + {dollar}"
    write_cron_job(
        f"import os; assert [os.environ['TABLE'], os.environ['ODD']] == ['salary-history', {odd}]",
        [{"name": "TABLE", "value": "$(MODEL)-history"}],
    )
    mine = job(namespace, {"MODEL": "salary", "ODD": "$(MODEL) $$(x) $"})
    assert end(kube, mine, ensure(kube, mine)) == Outcome("done", "Job complete")
    assert actions.halt(kube, mine) == Outcome("stopped", "it had ended, done: Job complete")


def test_a_failed_job_says_why(kube, namespace, write_cron_job):
    """It fails with the Job's own reason and message."""
    write_cron_job("raise SystemExit(1)")
    mine = job(namespace)
    ended = end(kube, mine, ensure(kube, mine))
    assert (ended.state, ended.reason) == ("failed", ActionReason.JOB_FAILED)
    assert ended.message == "BackoffLimitExceeded: Job has reached the specified backoff limit"


def test_a_running_job_stops(kube, namespace, write_cron_job):
    """Halted, it is stopped only once none of its pods is left."""
    write_cron_job("import time; time.sleep(600)")
    mine = job(namespace)
    ref = ensure(kube, mine)
    eventually(lambda: kube.get(JOB, namespace, mine.key).get("status", {}).get("ready"))
    known = replace(mine, ref=ref)
    assert [actions.halt(kube, known), actions.halt(kube, known)] == [None, None]
    assert end(kube, mine, ref) == Outcome("stopped", "Job suspended, none of its pods is left")
    assert [each for each in kube.list(POD, namespace)[0] if each["status"]["phase"] == "Running"] == []
    assert actions.halt(kube, known).state == "stopped"


def test_a_job_in_a_queue_goes_on(kube, namespace, write_cron_job):
    """One that is suspended because a queue admits it later has not stopped; by our order it has."""
    write_cron_job("pass", suspend=True)
    mine = job(namespace)
    ref = ensure(kube, mine)

    def suspended():
        conditions = kube.get(JOB, namespace, mine.key).get("status", {}).get("conditions") or []
        return [each for each in conditions if each["type"] == "Suspended" and each["status"] == "True"]

    eventually(suspended)
    assert actions.observe(mine, ref, kube.get(JOB, namespace, mine.key)) is None
    assert actions.halt(kube, mine) is None
    assert end(kube, mine, ref).state == "stopped"


def test_a_missing_cron_job_is_named(kube, namespace, write_cron_job):
    """Without the CronJob it fails by its name; a Job that was made before it vanished is still ours."""
    mine = job(namespace)
    missing = Outcome("failed", f"there is no CronJob {namespace}/nightly-train", reason=ActionReason.NOT_FOUND)
    assert ensure(kube, mine) == missing
    write_cron_job("pass", suspend=True)
    ref = ensure(kube, mine)
    kube.delete(CRON_JOB, namespace, "nightly-train")
    assert ensure(kube, mine, inherited=True) == ref


def test_quota_and_missing_rights_are_failures_by_name(kube, namespace, write_cron_job, as_account):
    """No room: quota, with the API's words; no right: forbidden, with verb and resource, for reading and for making."""
    write_cron_job("pass")
    kube.create(QUOTA, namespace, named("none", spec={"hard": {"count/jobs.batch": "0"}}))
    eventually(lambda: (kube.get(QUOTA, namespace, "none").get("status") or {}).get("used"))
    refused = ensure(kube, job(namespace))
    assert (refused.state, refused.reason) == ("failed", ActionReason.QUOTA)
    assert "exceeded quota: none" in refused.message
    blind = as_account("blind", [("batch", "jobs", ["get", "create"])])
    seeing = as_account("seeing", [("batch", "jobs", ["get"]), ("batch", "cronjobs", ["get"])])
    for account, words in ((blind, 'cannot get resource "cronjobs"'), (seeing, 'cannot create resource "jobs"')):
        refused = ensure(account, job(namespace))
        assert (refused.state, refused.reason) == ("failed", ActionReason.FORBIDDEN)
        assert words in refused.message


def test_a_template_that_the_api_refuses_is_invalid(kube, namespace, write_cron_job):
    """A variable that no container can have is refused by the API, and the action fails with its words."""
    write_cron_job("pass")
    refused = ensure(kube, job(namespace, {"A=B": "x"}))
    assert (refused.state, refused.reason) == ("failed", ActionReason.INVALID)
    assert "env[0].name" in refused.message


def test_a_lost_job_is_of_unknown_fate(kube, namespace, write_cron_job):
    """Deleted by a person, or missing a minute after an earlier process tried: unknown, and not made again."""
    write_cron_job("import time; time.sleep(600)")
    mine = job(namespace)
    ref = ensure(kube, mine)
    kube.delete(JOB, namespace, mine.key)
    assert end(kube, mine, ref).reason == ActionReason.OBJECT_LOST
    old = replace(job(namespace), first_tried_at=datetime.now(UTC) - timedelta(seconds=61))
    assert ensure(kube, old, inherited=True).reason == ActionReason.OBJECT_LOST
    assert kube.get(JOB, namespace, old.key) is None
