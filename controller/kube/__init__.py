"""The Kubernetes API: the only code that speaks to it, and where its traps end.

`kind` names the types of object that we read and write, `refusal` turns what the API
answers into our errors, `connection` sends one bounded request over the `kubernetes`
client's configuration and transport, `client` holds the calls, `watching` follows
objects as they change.

The client's generated classes are not used: their custom-object calls answer None to a
2xx they did not expect, guess a patch's content type and pass network errors through
raw. One way for all kinds has none of that, and built-in types patch as custom ones do.
"""

from controller.kube.client import Kube
from controller.kube.kind import (
    ANALYSIS_RUN,
    ANALYSIS_TEMPLATE,
    CRON_JOB,
    DEFAULTS,
    DEPLOYMENT,
    FREEZE,
    JOB,
    KINDS,
    MODEL,
    REMEDIATION_POLICY,
    ROLLOUT,
    WORKFLOW,
    WORKFLOW_TEMPLATE,
    Kind,
)
from controller.kube.refusal import AlreadyExists, NotFound, Reason, Refused

__all__ = [
    "ANALYSIS_RUN",
    "ANALYSIS_TEMPLATE",
    "CRON_JOB",
    "DEFAULTS",
    "DEPLOYMENT",
    "FREEZE",
    "JOB",
    "KINDS",
    "MODEL",
    "REMEDIATION_POLICY",
    "ROLLOUT",
    "WORKFLOW",
    "WORKFLOW_TEMPLATE",
    "AlreadyExists",
    "Kind",
    "Kube",
    "NotFound",
    "Reason",
    "Refused",
]
