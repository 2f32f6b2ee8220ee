"""The types of object that modelmend reads or writes in a cluster, and their addresses in the API."""

from __future__ import annotations

import re
from dataclasses import dataclass

from controller.kube.refusal import Refused

_LONGEST_NAME = 253
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Kind:
    """One type of object: `group` is "" for the core API, `name` is what `kind:` says in its documents."""

    group: str
    version: str
    plural: str
    namespaced: bool
    name: str

    @property
    def api_version(self) -> str:
        """What `apiVersion:` says in its documents."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def resource(self) -> str:
        """Its name in roles and messages: `workflows.argoproj.io`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def collection(self, namespace: str | None) -> str:
        """The path of all objects of `namespace`, or of the cluster with None. Raises Refused for no valid name."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        if namespace is None or not self.namespaced:
            return f"{root}/{self.plural}"
        return f"{root}/namespaces/{checked(namespace, 'namespace')}/{self.plural}"

    def object(self, namespace: str | None, name: str, subresource: str | None = None) -> str:
        """The path of one object. Raises Refused for no valid name, or a missing namespace."""
        if self.namespaced and namespace is None:
            raise Refused(f"{self.resource} {name!r}: no namespace given", status=0, reason="invalid")
        path = f"{self.collection(namespace)}/{checked(name, f'name of {self.resource}')}"
        return f"{path}/{subresource}" if subresource else path


def checked(name: object, what: str) -> str:
    """`name`, if the API could have an object of it.

    Sent all the same, an empty name would address the whole collection and `..` another one.
    Raises Refused.
    """
    if not isinstance(name, str) or len(name) > _LONGEST_NAME or not _NAME.fullmatch(name) or ".." in name:
        raise Refused(f"{what}: want a Kubernetes name, got {str(name)[:60]!r}", status=0, reason="invalid")
    return name


WORKFLOW = Kind("argoproj.io", "v1alpha1", "workflows", namespaced=True, name="Workflow")
WORKFLOW_TEMPLATE = Kind("argoproj.io", "v1alpha1", "workflowtemplates", namespaced=True, name="WorkflowTemplate")
ROLLOUT = Kind("argoproj.io", "v1alpha1", "rollouts", namespaced=True, name="Rollout")
ANALYSIS_TEMPLATE = Kind("argoproj.io", "v1alpha1", "analysistemplates", namespaced=True, name="AnalysisTemplate")
ANALYSIS_RUN = Kind("argoproj.io", "v1alpha1", "analysisruns", namespaced=True, name="AnalysisRun")
DEPLOYMENT = Kind("apps", "v1", "deployments", namespaced=True, name="Deployment")
JOB = Kind("batch", "v1", "jobs", namespaced=True, name="Job")
CRON_JOB = Kind("batch", "v1", "cronjobs", namespaced=True, name="CronJob")
REMEDIATION_POLICY = Kind("modelmend.io", "v1alpha1", "remediationpolicies", namespaced=True, name="RemediationPolicy")
MODEL = Kind("modelmend.io", "v1alpha1", "models", namespaced=True, name="Model")
DEFAULTS = Kind("modelmend.io", "v1alpha1", "defaults", namespaced=True, name="Defaults")
FREEZE = Kind("modelmend.io", "v1alpha1", "freezes", namespaced=True, name="Freeze")

KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        WORKFLOW,
        WORKFLOW_TEMPLATE,
        ROLLOUT,
        ANALYSIS_TEMPLATE,
        ANALYSIS_RUN,
        DEPLOYMENT,
        JOB,
        CRON_JOB,
        REMEDIATION_POLICY,
        MODEL,
        DEFAULTS,
        FREEZE,
    )
}
"""Every kind by the name that documents give it."""
