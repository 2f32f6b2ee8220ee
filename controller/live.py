"""Whether a cluster has what policies and models name: the questions of `modelmend check --live`.

Each object is asked for once, and nothing is changed. What the cluster will not answer (a
right is missing, a type is not installed) is a problem of whatever needed the answer; that it
does not answer at all is raised.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from controller.actions.resolving import manager
from controller.kube import ANALYSIS_TEMPLATE, CRON_JOB, KINDS, WORKFLOW_TEMPLATE, Kind, Kube, Refused
from controller.policy import (
    AnalysisVerification,
    GitOps,
    JobAction,
    Model,
    Policy,
    PolicySet,
    Problem,
    RolloutAction,
    Serving,
    Step,
    WorkflowAction,
    read_version,
)
from controller.policy.policy_set import selects
from controller.verify.analysis import arguments

GIT_PARAMETERS = frozenset({"kind", "name", "namespace", "version", "remediation", "branch"})
"""What the action `rollout` tells a Workflow that writes a version into Git, beside the Model's own parameters."""

_REFERENCE = re.compile(r"workflow\.parameters(?:\.([A-Za-z0-9_-]+)|\[\\?['\"]([A-Za-z0-9_-]+))")
_OF_SPEC = ("pause", "restart", "to")

Object = Mapping[str, Any]


def live_problems(kube: Kube, policies: PolicySet) -> list[Problem]:
    """Everything that the documents in force name and that is not in the cluster as they need it.

    Raises TemporaryError where the cluster does not answer.
    """
    cluster = _Cluster(kube)
    files = {document.key: document.file for document in policies.documents}
    problems = []
    for policy in policies.policies:
        key = ("RemediationPolicy", policy.namespace, policy.name)
        faults = _policy_faults(cluster, policy, policies)
        problems += [Problem(files.get(key, ""), key, fault) for fault in faults]
    for model in policies.models.values():
        key = ("Model", model.namespace, model.name)
        problems += [Problem(files.get(key, ""), key, fault) for fault in _model_faults(cluster, model)]
    return problems


class _Cluster:
    """What the cluster said, each answer kept."""

    def __init__(self, kube: Kube) -> None:
        self._kube = kube
        self._said: dict[tuple[Kind, str, str], Object | Refused | None] = {}

    def get(self, kind: Kind, namespace: str, name: str) -> Object | Refused | None:
        """The object, None where there is none, or why it may not be asked for."""
        asked = kind, namespace, name
        if asked not in self._said:
            try:
                self._said[asked] = self._kube.get(kind, namespace, name)
            except Refused as refused:
                self._said[asked] = refused
        return self._said[asked]

    def serving(self, namespace: str, serving: Serving) -> Object | Refused | None:
        """The object that serves a model."""
        return self.get(KINDS[serving.kind], namespace, serving.name)


def _policy_faults(cluster: _Cluster, policy: Policy, policies: PolicySet) -> Iterator[str]:
    for at, step in enumerate(policy.steps):
        path, action = f"spec.steps[{at}].{step.action.kind}", step.action
        yield from _proof_faults(cluster, f"spec.steps[{at}]", policy.namespace, step)
        if isinstance(action, WorkflowAction):
            given = frozenset(action.parameters)
            yield from _template_faults(cluster, path, policy.namespace, action.template, given, frozenset())
        elif isinstance(action, JobAction):
            found = cluster.get(CRON_JOB, policy.namespace, action.cron_job)
            yield from _missing(f"{path}.cronJobRef", f"CronJob {policy.namespace}/{action.cron_job}", found)
        elif isinstance(action, RolloutAction) and action.do in _OF_SPEC:
            for model in policies.models.values():
                if model.namespace == policy.namespace and selects(policy.models, model.name, model):
                    yield from _managed_faults(cluster, path, action, model)


def _proof_faults(cluster: _Cluster, path: str, namespace: str, step: Step) -> Iterator[str]:
    for number, verification in enumerate(step.verify):
        if isinstance(verification, AnalysisVerification):
            found = cluster.get(ANALYSIS_TEMPLATE, namespace, verification.template)
            called = f"AnalysisTemplate {namespace}/{verification.template}"
            yield from _missing(f"{path}.verify[{number}].analysis.templateName", called, found)
            if found is not None and not isinstance(found, Refused):
                _, fault = arguments(found.get("spec") or {}, dict.fromkeys(verification.args, ""))
                yield from (f"{path}.verify[{number}].analysis: {called}: {fault}",) if fault else ()


def _model_faults(cluster: _Cluster, model: Model) -> Iterator[str]:
    if isinstance(model.gitops, GitOps):
        given = frozenset(model.gitops.parameters)
        yield from _template_faults(
            cluster, "spec.gitops", model.namespace, model.gitops.template, given, GIT_PARAMETERS
        )
    if model.serving is None:
        return
    found = cluster.serving(model.namespace, model.serving)
    called = _called(model.namespace, model.serving)
    yield from _missing("spec.serving", called, found)
    place = model.serving.version
    if place is None or found is None or isinstance(found, Refused):
        return
    if read_version(model.serving.plain(), found) is None:
        container = f" of container {place.container}" if place.container else ""
        yield f"spec.serving.version: {called} carries no version in {place.where} {place.name}{container}"
    selector = (found["spec"].get("selector") or {}).get("matchLabels") or {}
    if place.where == "label" and place.name in selector:
        yield f"spec.serving.version.label: want one that may change, the selector of {called} asks for {place.name}"


def _template_faults(
    cluster: _Cluster, path: str, namespace: str, name: str, given: frozenset[str], ours: frozenset[str]
) -> Iterator[str]:
    """`given` are a document's parameters, `ours` those that come by themselves: a template need not know them."""
    called = f"WorkflowTemplate {namespace}/{name}"
    template = cluster.get(WORKFLOW_TEMPLATE, namespace, name)
    yield from _missing(f"{path}.workflowTemplateRef", called, template)
    if template is None or isinstance(template, Refused):
        return
    known, required = parameters(template["spec"])
    for parameter in sorted(given - known) if known is not None else ():
        near = get_close_matches(parameter, sorted(known or ()), n=1)
        hint = f', did you mean "{near[0]}"?' if near else ""
        yield f"{path}.parameters.{parameter}: {called} has no such parameter{hint}"
    for parameter in sorted(required - given - ours):
        yield f'{path}.parameters: want "{parameter}", which {called} has no value for'


def parameters(spec: Object) -> tuple[frozenset[str] | None, frozenset[str]]:
    """The parameters that a WorkflowTemplate's spec knows (None: any), and those of them that must be given.

    It declares them in its arguments or as inputs of its entrypoint, or only refers to them.
    """
    declared = (spec.get("arguments") or {}).get("parameters") or []
    own = {each["name"] for each in declared}
    entries = [each for each in spec.get("templates") or () if each.get("name") == spec.get("entrypoint")]
    asked = [each for entry in entries for each in (entry.get("inputs") or {}).get("parameters") or ()]
    inputs = [each for each in asked if each["name"] not in own]
    referred = {dot or bracket for dot, bracket in _REFERENCE.findall(json.dumps(spec))}
    # Argo takes a `default` of an input only, not of an argument.
    open_ = {each["name"] for each in declared if not {"value", "valueFrom"} & each.keys()}
    open_ |= {each["name"] for each in inputs if not {"value", "valueFrom", "default"} & each.keys()}
    required = frozenset(open_ | (referred - own - {"json"}))
    if "json" in referred:  # `workflow.parameters.json` is all of them
        return None, required
    return frozenset(own | {each["name"] for each in inputs} | referred), required


def _managed_faults(cluster: _Cluster, path: str, action: RolloutAction, model: Model) -> Iterator[str]:
    if model.serving is None or model.gitops == "ignored":
        return
    called = _called(model.namespace, model.serving)
    if isinstance(model.gitops, GitOps):
        if action.do != "to":
            yield f"{path}.{action.do}: target_managed: Model {model.key} has Git set {called}, to versions only"
        return
    found = cluster.serving(model.namespace, model.serving)
    who = manager(dict(found)) if found is not None and not isinstance(found, Refused) else None
    if who:
        hint = f"say how by `gitops` in Model {model.key}"
        yield f"{path}.{action.do}: target_managed: {who} sets the spec of {called} and would undo the change: {hint}"


def _missing(path: str, called: str, found: Object | Refused | None) -> Iterator[str]:
    if found is None:
        yield f"{path}: there is no {called} in the cluster"
    elif isinstance(found, Refused):
        yield f"{path}: whether there is a {called} cannot be told: {found}"


def _called(namespace: str, serving: Serving) -> str:
    return f"{serving.kind} {namespace}/{serving.name}"
