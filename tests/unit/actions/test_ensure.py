"""What is made and written in the cluster, and what a refusal comes to, by a cluster of a few objects."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from controller import actions
from controller.actions import Outcome
from controller.actions.resolving import manager
from controller.errors import ModelmendError
from controller.kube import Kind, Kube, Refused
from controller.remediation import ActionReason, Intent

NOW = datetime(2025, 1, 23, 12, tzinfo=UTC)
SERVING = {"kind": "Deployment", "name": "salary", "version": {"in": "env", "name": "VERSION", "container": None}}
ORDER = {"promote": None, "about": None, "serving": SERVING, "gitops": None, "timeout": 600}
TOLD = {"stdin": {"remediation": "r-abc"}, "model": "ml/salary", "traceparent": "00-1-2-01"}


class Cluster(Kube):
    """Objects by kind and name; `refuses` answers whatever would change one, `blind` whatever would read one."""

    def __init__(self, *objects: dict[str, Any]) -> None:
        self.objects = {(each["kind"], each["metadata"]["name"]): each for each in objects}
        self.refuses: ModelmendError | None = None
        self.blind: ModelmendError | None = None

    def get(self, kind: Kind, namespace: str | None, name: str) -> dict[str, Any] | None:
        if self.blind:
            raise self.blind
        return self.objects.get((kind.name, name))

    def create(self, kind: Kind, namespace: str | None, body: dict[str, Any]) -> dict[str, Any]:
        if self.refuses:
            raise self.refuses
        whole = {**body, "kind": kind.name, "metadata": {**body["metadata"], "namespace": namespace, "uid": "1"}}
        self.objects[kind.name, body["metadata"]["name"]] = whole
        return whole

    def patch(
        self,
        kind: Kind,
        namespace: str | None,
        name: str,
        body: dict[str, Any],
        *,
        resource_version: str | None = None,
        subresource: str | None = None,
    ) -> dict[str, Any]:
        if self.refuses:
            raise self.refuses
        obj = self.objects[kind.name, name]
        obj["spec"] |= body.get("spec", {})
        return obj


def intent(kind: str, tried: datetime = NOW, **end_state: Any) -> Intent:
    return Intent(1, "r-abc", 0, 1, kind, "r-abc-0-1", end_state | TOLD, first_tried_at=tried)


def ensure(kube: Kube, mine: Intent, *, inherited: bool = False, tried: bool = False) -> dict[str, str] | Outcome:
    return actions.ensure(kube, mine, lambda *_: None, inherited=inherited, tried=tried, clock=lambda: NOW)


def deployment(**meta: Any) -> dict[str, Any]:
    container = {"name": "main", "env": [{"name": "VERSION", "value": "v5"}]}
    return {
        "kind": "Deployment",
        "metadata": {"namespace": "ml", "name": "salary", "uid": "1", "resourceVersion": "7", "generation": 1, **meta},
        "spec": {"replicas": 1, "template": {"spec": {"containers": [container]}}},
        "status": {"observedGeneration": 1},
    }


def cron_job(*env: dict[str, str]) -> dict[str, Any]:
    template = {"spec": {"template": {"spec": {"containers": [{"name": "main", "env": list(env)}]}}}}
    return {"kind": "CronJob", "metadata": {"name": "nightly"}, "spec": {"jobTemplate": template}}


FORBIDDEN = Refused("no right to create", status=403, reason="forbidden")
WORKFLOW = intent("workflow", template="retrain", parameters={})
JOB = intent("job", cronJob="nightly", env={})


@pytest.mark.parametrize("mine", [WORKFLOW, JOB], ids=["workflow", "job"])
@pytest.mark.parametrize(
    ("inherited", "tried", "state"), [(False, False, "failed"), (False, True, "unknown"), (True, False, "unknown")]
)
def test_a_refusal_after_an_attempt_without_an_answer_is_unknown(
    mine: Intent, *, inherited: bool, tried: bool, state: str
) -> None:
    """The first attempt may have arrived: only where there was none, a refusal proves that nothing was begun."""
    kube = Cluster(cron_job())
    kube.refuses = FORBIDDEN
    ended = ensure(kube, mine, inherited=inherited, tried=tried)
    assert isinstance(ended, Outcome)
    assert (ended.state, ended.reason) == (state, ActionReason.FORBIDDEN)


@pytest.mark.parametrize(("tried", "state"), [(False, "failed"), (True, "unknown")])
def test_a_missing_cron_job_proves_nothing_after_an_attempt(*, tried: bool, state: str) -> None:
    """Its Job may have been made, and both deleted."""
    ended = ensure(Cluster(), JOB, tried=tried)
    assert isinstance(ended, Outcome)
    assert (ended.state, ended.reason) == (state, ActionReason.NOT_FOUND)


def test_an_attempt_of_this_process_is_made_again_however_late() -> None:
    """Only what an earlier process began long ago is given up as lost: an API server may be away for an hour."""
    long_ago = NOW - timedelta(hours=1)
    mine = intent("workflow", long_ago, template="retrain", parameters={})
    assert ensure(Cluster(), mine, tried=True) == {
        "kind": "Workflow",
        "namespace": "ml",
        "name": "r-abc-0-1",
        "uid": "1",
    }
    lost = ensure(Cluster(), mine, inherited=True, tried=True)
    assert isinstance(lost, Outcome)
    assert (lost.state, lost.reason) == ("unknown", ActionReason.OBJECT_LOST)


@pytest.mark.parametrize(("resolved", "state"), [(False, "failed"), (True, "unknown")])
def test_a_rollout_has_begun_only_when_it_was_written_down(*, resolved: bool, state: str) -> None:
    """An attempt without an answer that wrote nothing has set nothing."""
    kube = Cluster(deployment())
    end_state = {**ORDER, "do": "to", "to": "v4"} | ({"resolved": {}} if resolved else {})
    kube.blind = FORBIDDEN
    ended = ensure(kube, intent("rollout", **end_state), tried=True)
    assert isinstance(ended, Outcome)
    assert (ended.state, ended.reason) == (state, ActionReason.FORBIDDEN)


@pytest.mark.parametrize("gitops", [None, {"template": "git-set-version", "parameters": {}}])
def test_what_is_written_down_is_the_order_and_what_it_came_to(gitops: dict[str, Any] | None) -> None:
    """The decision is told anew at every call: it is not kept once more with each end state."""
    kube = Cluster(deployment())
    kept: list[dict[str, Any]] = []
    mine = intent("rollout", **{**ORDER, "do": "to", "to": "v4", "gitops": gitops})
    actions.ensure(kube, mine, lambda end_state, _: kept.append(end_state), inherited=False, clock=lambda: NOW)
    (end_state,) = kept
    assert end_state.keys() == {*ORDER, "do", "to", "resolved"}
    assert end_state["resolved"]["to"] == "v4"


def test_a_serving_object_that_is_gone_is_named_from_what_is_kept() -> None:
    """What is observed is read from the store, where nobody says of which model it was."""
    kept = {**ORDER, "do": "to", "to": "v4", "resolved": {}}
    ref = {"kind": "Deployment", "namespace": "ml", "name": "salary", "uid": ""}
    ended = actions.observe(Intent(1, "r-abc", 0, 1, "rollout", "r-abc-0-1", kept), ref, None)
    assert ended == Outcome("unknown", "Deployment ml/salary was deleted", reason=ActionReason.OBJECT_LOST)


@pytest.mark.parametrize(
    ("value", "written"),
    [("salary", "salary"), ("$(PASSWORD)", "$$(PASSWORD)"), ("$$(PASSWORD)", "$$$$(PASSWORD)"), ("5 $", "5 $$")],
)
def test_a_jobs_variables_are_data(value: str, written: str) -> None:
    """Kubernetes would put the container's secret in the place of `$(PASSWORD)`; the template's own may do that."""
    kube = Cluster(cron_job({"name": "TABLE", "value": "$(MODEL)-history"}))
    ensure(kube, intent("job", cronJob="nightly", env={"MODEL": value}))
    (container,) = kube.objects["Job", "r-abc-0-1"]["spec"]["template"]["spec"]["containers"]
    assert container["env"] == [
        {"name": "MODEL", "value": written},
        {"name": "TABLE", "value": "$(MODEL)-history"},
    ]


INSTANCE = {"labels": {"app.kubernetes.io/instance": "salary"}}


@pytest.mark.parametrize(
    ("meta", "who"),
    [
        (INSTANCE, None),
        ({"managedFields": [{"manager": "argocd-controller"}]}, None),
        (INSTANCE | {"managedFields": [{"manager": "helm"}, {"manager": "kubectl-edit"}]}, None),
        (INSTANCE | {"managedFields": [{"manager": "helm"}, {"manager": "argocd-controller"}]}, "Argo CD"),
        (INSTANCE | {"managedFields": [{"manager": "argocd-application-controller"}]}, "Argo CD"),
        ({"annotations": {"argocd.argoproj.io/tracking-id": "x"}}, "Argo CD"),
        ({"labels": {"kustomize.toolkit.fluxcd.io/name": "x"}}, "Flux"),
    ],
)
def test_who_sets_a_spec_is_told_by_marks(meta: dict[str, Any], who: str | None) -> None:
    """The label by which Argo CD once tracked is everybody's: it counts where Argo CD has applied the object, too."""
    assert manager(deployment(**meta)) == who
