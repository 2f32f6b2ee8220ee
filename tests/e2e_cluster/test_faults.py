"""What goes wrong between modelmend and a real cluster: each fault ends in the right phase and reason, no Workflow twice."""

from __future__ import annotations

import json
import threading

import pytest
import yaml

from controller.kube import WORKFLOW, Kind
from tests.cluster import cluster
from tests.e2e.serving import drift
from tests.e2e_cluster.acting import PYTHON, ROOT, moment, trail, values
from tests.integration.cluster.conftest import ACCOUNT, BINDING, POD, QUOTA, ROLE, grant, named, with_token

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]

BRIEF = {"suspend": {"duration": "1s"}}
WAITS = {"suspend": {}}

CLUSTER_ROLE = Kind("rbac.authorization.k8s.io", "v1", "clusterroles", namespaced=False, name="ClusterRole")
CLUSTER_BINDING = Kind(
    "rbac.authorization.k8s.io", "v1", "clusterrolebindings", namespaced=False, name="ClusterRoleBinding"
)
REVIEW = Kind("authorization.k8s.io", "v1", "subjectaccessreviews", namespaced=False, name="SubjectAccessReview")


def ladder(template="retrain", timeout="1h"):
    """A policy that retrains by a Workflow, else pages; and two models."""
    return f"""\
kind: RemediationPolicy
metadata: {{name: retrain}}
spec:
  mode: enforce
  models: {{names: [salary, wages]}}
  triggers: [{{type: ml.data.drift.detected}}]
  steps:
  - name: retrain
    workflow: {{workflowTemplateRef: {{name: {template}}}, timeout: {timeout}}}
    verify: none
  - {{name: page, page: {{}}}}
---
kind: Model
metadata: {{name: salary}}
---
kind: Model
metadata: {{name: wages}}
"""


def python(*lines):
    """A container that runs this as soon as its pod does."""
    return {"container": {"image": PYTHON, "command": ["python3", "-c", "\n".join(lines)]}}


# ── the controller dies ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("point", "there"), [("before create", 0), ("after create", 1), ("before recording", 1)], ids=str
)
def test_killed_at_any_point_it_makes_one_workflow(stage, point, there):
    """Kill -9 before the Workflow is created, before its creation or its end is recorded: one Workflow, and it goes on."""
    stage = stage(ladder())
    stage.template("retrain", BRIEF)
    stage.start(dies=point)
    stage.post_to_its_death(drift("e-1", "salary"))
    before = [found["metadata"]["uid"] for found in stage.workflows()]
    assert len(before) == there
    stage.start()
    ended = stage.reach("e-1", "Succeeded")
    assert trail(ended) == ["Pending decided", "Running started", "Succeeded unverified"]
    only = stage.workflow()
    assert only["metadata"]["name"] == f"{ended['id']}-0-1"
    assert before in ([], [only["metadata"]["uid"]])
    stage.explain("e-1")


@pytest.mark.parametrize("serving", [True, False], ids=["while it serves", "while it is down"])
def test_a_deleted_workflow_is_not_made_again(stage, kube, namespace, serving):
    """Deleted by a person: nobody knows how far it came; people are told, and there is no second one."""
    stage = stage(ladder())
    stage.template("retrain", WAITS)
    stage.start()
    stage.post(drift("e-1", "salary"))
    stage.until(
        lambda: (found := stage.about("e-1")) and found["intents"] and found["intents"][0]["ref"],
        "a Workflow on record",
    )
    if not serving:
        stage.served.kill()
    kube.delete(WORKFLOW, namespace, stage.workflow()["metadata"]["name"])
    if not serving:
        stage.start()
    ended = stage.reach("e-1", "Escalated")
    assert trail(ended) == ["Pending decided", "Running started", "Escalated action_unknown"]
    assert values(ended, "action_unknown")["reason"] == "object_lost"
    assert stage.paged()["data"]["reason"] == "action_unknown"
    said = stage.explain("e-1")
    assert "was deleted" in said
    stage.post(drift("e-2", "salary"))
    stage.until(lambda: stage.answers("e-2") == ["cooldown"], "an answer to the next event")
    assert stage.workflows() == []


# ── the cluster refuses ────────────────────────────────────────────────────────────────────────────


def test_a_missing_template_is_named(stage):
    """Argo's own answer becomes not_found with the template's name, and the ladder goes on to people."""
    stage = stage(ladder("retrian"))
    stage.start()
    stage.post(drift("e-1", "salary"))
    ended = stage.reach("e-1", "Escalated")
    assert trail(ended) == ["Pending decided", "Running started", "Pending action_failed", "Escalated paged"]
    failed = values(ended, "action_failed")
    assert failed["reason"] == "not_found"
    assert '"retrian" not found' in failed["message"]
    assert stage.paged()["page"] is True
    assert '"retrian" not found' in stage.explain("e-1")
    stage.workflow()


def test_a_quota_is_named_and_when_it_is_raised_the_next_event_succeeds(stage, kube, namespace):
    """Used up: reason quota, nothing is created, people are told. Raised: the next event's Workflow comes."""
    kube.create(QUOTA, namespace, named("few", spec={"hard": {"count/workflows.argoproj.io": "0"}}))
    stage = stage(ladder())
    stage.until(lambda: kube.get(QUOTA, namespace, "few").get("status", {}).get("hard"), "the quota in force")
    stage.template("retrain", BRIEF)
    stage.start()
    stage.post(drift("e-1", "salary"))
    ended = stage.reach("e-1", "Escalated")
    assert trail(ended) == ["Pending decided", "Running started", "Pending action_failed", "Escalated paged"]
    failed = values(ended, "action_failed")
    assert failed["reason"] == "quota"
    assert "count/workflows.argoproj.io=1" in failed["message"]
    assert "exceeded quota" in stage.explain("e-1")
    assert stage.workflows() == []

    kube.patch(QUOTA, namespace, "few", {"spec": {"hard": {"count/workflows.argoproj.io": "9"}}})

    def raised():
        return kube.get(QUOTA, namespace, "few")["status"]["hard"] == {"count/workflows.argoproj.io": "9"}

    stage.until(raised, "the quota raised")
    stage.post(drift("e-2", "wages"))
    mended = stage.reach("e-2", "Succeeded")
    assert stage.workflow()["metadata"]["name"] == f"{mended['id']}-0-1"


# ── rights ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def account(kube, namespace, tmp_path):
    """A kubeconfig of a service account of this namespace, without any right."""
    kube.create(ACCOUNT, namespace, named("modelmend"))
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 600}}
    path = f"{ACCOUNT.object(namespace, 'modelmend')}/token"
    token = json.loads(kube._connection.request("create", "POST", path, {}, request).body)["status"]["token"]
    return str(with_token(cluster.current().kubeconfig, token, tmp_path / "kubeconfig"))


@pytest.fixture
def reader(kube, namespace, account):
    """The same; called, it may read our documents anywhere, as the ClusterRole of an installation lets it."""

    def grant_reading():
        rule = {"apiGroups": ["modelmend.io"], "resources": ["*"], "verbs": ["get", "list", "watch"]}
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": namespace}
        kube.create(CLUSTER_ROLE, None, named(namespace, rules=[rule]))
        kube.create(CLUSTER_BINDING, None, named(namespace, subjects=[subject(namespace)], roleRef=role))
        return account

    yield grant_reading
    kube.delete(CLUSTER_BINDING, None, namespace)
    kube.delete(CLUSTER_ROLE, None, namespace)


def subject(namespace):
    return {"kind": "ServiceAccount", "name": "modelmend", "namespace": namespace}


def test_without_any_right_it_says_which_one_it_lacks(stage, account, reader):
    """It listens, keeps what is posted and decides nothing by half a set; once granted, it decides without a restart."""
    stage = stage(ladder("nothing-of-the-kind"), kubeconfig=account)
    stage.served.launch()
    stage.until(stage.served.listens, "its address")
    stage.until(lambda: 'cannot list resource "' in stage.served.ask("GET", "/readyz").body.decode(), "what it lacks")
    stage.post(drift("e-1", "salary"))
    assert stage.about("e-1") is None
    assert sum(stage.asked().values()) <= 100, stage.asked()
    reader()
    stage.until(stage.served.ready, "it to be ready")
    stage.until(lambda: stage.about("e-1"), "its decision")


def test_a_missing_right_is_named_once_and_when_it_is_granted_the_next_event_succeeds(stage, kube, namespace, reader):
    """Reason forbidden with verb and resource, no storm of retries; with the Role that is shipped, all works."""
    stage = stage(ladder(), kubeconfig=reader())
    stage.template("retrain", BRIEF)
    stage.start()
    stage.post(drift("e-1", "salary"))
    ended = stage.reach("e-1", "Escalated")
    failed = values(ended, "action_failed")
    assert failed["reason"] == "forbidden"
    assert 'cannot create resource "workflows" in API group "argoproj.io"' in failed["message"]
    assert "cannot create resource" in stage.explain("e-1")
    before = stage.asked()
    assert before["create", "403"] == 2, before  # again, once, where the API server says that it is ready
    threading.Event().wait(10)  # the claim is about these seconds
    after = stage.asked()
    assert after["create", "403"] == 2
    assert sum((after - before).values()) <= 30, after - before  # a watch is tried again, ever more rarely
    print(f"requests in 10 s: {dict(after - before)}")

    for document in yaml.safe_load_all((ROOT / "manifests/components/namespace/role.yaml").read_text()):
        if document["kind"] == "Role":
            kube.create(ROLE, namespace, document)
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "modelmend"}
    kube.create(BINDING, namespace, named("modelmend", subjects=[subject(namespace)], roleRef=role))
    stage.until(lambda: _may_create(kube, namespace), "the right in force")
    stage.post(drift("e-2", "wages"))
    mended = stage.reach("e-2", "Succeeded")
    assert stage.workflow()["metadata"]["name"] == f"{mended['id']}-0-1"


def _may_create(kube, namespace):
    asked = {"namespace": namespace, "verb": "create", "group": "argoproj.io", "resource": "workflows"}
    spec = {"user": f"system:serviceaccount:{namespace}:modelmend", "resourceAttributes": asked}
    review = {"apiVersion": REVIEW.api_version, "kind": REVIEW.name, "spec": spec}
    answer = kube._connection.request("create", "POST", REVIEW.collection(None), {}, review)
    return json.loads(answer.body)["status"]["allowed"]


def test_a_workflow_that_it_may_neither_follow_nor_stop_is_an_unknown_fate(stage, namespace, kube, reader):
    """It may create and read Workflows only: its timeout cannot stop the Workflow, so people are told which right lacks."""
    grant(kube, namespace, "modelmend", [("argoproj.io", "workflows", ["create", "get"])])
    stage = stage(ladder(timeout="3s"), kubeconfig=reader())
    stage.template("retrain", WAITS)
    stage.until(lambda: _may_create(kube, namespace), "the right in force")
    stage.start()
    stage.post(drift("e-1", "salary"))
    ended = stage.reach("e-1", "Escalated")
    assert trail(ended)[1:] == ["Running started", "Stopping timed_out", "Escalated action_unknown"]
    unknown = values(ended, "action_unknown")
    assert unknown["reason"] == "forbidden"
    assert 'cannot patch resource "workflows"' in unknown["message"]
    assert stage.paged()["data"]["reason"] == "action_unknown"
    assert 'cannot list resource "workflows"' in stage.served.log.read_text()
    assert sum(stage.asked().values()) <= 40, stage.asked()
    stage.explain("e-1")


# ── stopping ───────────────────────────────────────────────────────────────────────────────────────


def test_a_timeout_stops_the_workflow_and_the_next_rung_waits_for_its_end(stage):
    """Asked to stop, its exit handler still runs: only after the Workflow's end does the ladder go on."""
    stage = stage(ladder(timeout="6s"))
    handler = {"name": "bye", "suspend": {"duration": "2s"}}
    stage.template("retrain", WAITS, onExit="bye", templates=[handler])
    stage.start()
    stage.post(drift("e-1", "salary"))
    stage.until(lambda: stage.workflows() and stage.workflow()["spec"].get("shutdown"), "the Workflow asked to stop")
    assert stage.about("e-1")["phase"] == "Stopping"
    assert stage.pages() == []
    ended = stage.reach("e-1", "Escalated")
    assert trail(ended)[1:] == ["Running started", "Stopping timed_out", "Pending stopped", "Escalated paged"]
    stopped = stage.workflow()
    assert stopped["spec"]["shutdown"] == "Stop"
    assert stopped["status"]["phase"] == "Failed"
    when = {row["reason"]: moment(row["now"]) for row in ended["transitions"]}
    assert when["stopped"] >= moment(stopped["status"]["finishedAt"])
    assert (when["stopped"] - when["timed_out"]).total_seconds() >= 1  # Argo counts whole seconds
    stage.paged()
    stage.explain("e-1")


def test_a_person_cancels_and_the_pod_ends(stage, kube, namespace):
    """`modelmend cancel` stops the real Workflow: Cancelled when its container has ended, and nothing follows."""
    stage = stage(ladder())
    stage.template("retrain", python("import time", "time.sleep(300)"))
    stage.start()
    stage.post(drift("e-1", "salary"))

    def running():
        return [pod for pod in kube.list(POD, namespace)[0] if pod["status"]["phase"] == "Running"]

    stage.until(running, "a pod that runs")
    done = stage.served.run("cancel", stage.about("e-1")["id"], "--reason", "wrong data")
    assert done.returncode == 0, done.stderr
    print(done.stdout)
    ended = stage.reach("e-1", "Cancelled")
    assert trail(ended)[1:] == ["Running started", "Stopping cancelled", "Cancelled cancelled"]
    stopped = stage.workflow()
    assert stopped["spec"]["shutdown"] == "Stop"
    assert stopped["status"]["phase"] == "Failed"
    assert stage.pages() == []
    assert "wrong data" in stage.explain("e-1")
    stage.until(lambda: not running(), "the end of its container")


# ── the Workflow fails ─────────────────────────────────────────────────────────────────────────────


def test_a_container_that_fails_is_told_with_its_message(stage):
    """Workflow failed: step, exit code and what it had to say are in the record, and `explain` tells them."""
    stage = stage(ladder())
    stage.template(
        "retrain", python("open('/dev/termination-log', 'w').write('no data for 2025')", "raise SystemExit(3)")
    )
    stage.start()
    stage.post(drift("e-1", "salary"))
    ended = stage.reach("e-1", "Escalated")
    assert trail(ended)[1:] == ["Running started", "Pending action_failed", "Escalated paged"]
    failed = values(ended, "action_failed")
    assert failed["reason"] == "workflow_failed"
    assert failed["message"] == "main: Error (exit code 3): no data for 2025"
    assert failed["message"] in stage.explain("e-1")
    assert stage.paged()["subject"] == f"{stage.namespace}/salary"
