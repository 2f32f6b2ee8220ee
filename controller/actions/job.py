"""The action `job`: a Job from a CronJob's template, made once, done when it is complete.

The Job is not owned by the CronJob: its limit on finished Jobs, or its deletion, would take
away what we go by. It goes by itself a week after its end.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from datetime import datetime
from typing import Any

from controller.actions import made
from controller.actions.made import KEPT, Object
from controller.actions.outcome import Outcome, Ref
from controller.kube import CRON_JOB, JOB, Kube
from controller.process import one_line
from controller.remediation import ActionReason, Intent

_BY_HAND = {"cronjob.kubernetes.io/instantiate": "manual"}
"""How kubectl marks a Job that the CronJob's schedule did not make."""


def ensure(kube: Kube, intent: Intent, *, inherited: bool, tried: bool, now: datetime) -> Ref | Outcome:
    """Create the intent's Job, unless it is there; the CronJob may be suspended.

    `end_state`: `cronJob`, `env` (strings by name, for every container); see `made.metadata` for the rest.

    :param tried: an attempt that got no answer may have created it.
    """
    name = intent.end_state["cronJob"]
    cron_job = kube.get(CRON_JOB, made.namespace(intent), name)
    if cron_job is None:
        found = kube.get(JOB, made.namespace(intent), intent.key)
        if found is not None and made.owned(intent, found):
            return made.ref(JOB, found)
        message = f"there is no CronJob {made.namespace(intent)}/{name}"
        return Outcome("unknown" if inherited or tried else "failed", message, reason=ActionReason.NOT_FOUND)
    body = _body(cron_job["spec"]["jobTemplate"], intent.end_state["env"])
    return made.create(kube, JOB, intent, body, inherited=inherited, now=now)


def observe(intent: Intent, ref: Ref, obj: Object | None) -> Outcome | None:
    """The end that a Job shows, None while it goes on. Pure.

    SuccessCriteriaMet and FailureTarget come before the end: pods still run.
    """
    if obj is None:
        return made.lost(f"Job {ref['namespace']}/{ref['name']} was deleted")
    if not made.owned(intent, obj):
        return None
    status = obj.get("status") or {}
    holds = {each["type"]: each for each in status.get("conditions") or () if each.get("status") == "True"}
    if "Complete" in holds:
        return Outcome("done", "Job complete")
    if failed := holds.get("Failed"):
        message = one_line(f"{failed.get('reason') or 'Job failed'}: {failed.get('message') or ''}".rstrip(": "))
        return Outcome("failed", message, reason=ActionReason.JOB_FAILED)
    # One that waits in a queue is suspended, too: only our own order makes it an end.
    at_rest = "Suspended" in holds and not status.get("active") and not status.get("terminating")
    if made.halted(obj) and obj["spec"].get("suspend") and at_rest:
        return Outcome("stopped", "Job suspended, none of its pods is left")
    return None


def halt(kube: Kube, intent: Intent) -> Outcome | None:
    """Have the Job stop: suspended, its pods are ended; None: asked. Raises TemporaryError, Refused, Conflict."""
    found = made.find(kube, JOB, intent)
    if isinstance(found, Outcome):
        return found
    ended = observe(intent, made.ref(JOB, found), found)
    if ended is None and not (made.halted(found) and found["spec"].get("suspend")):
        made.stop(kube, JOB, found, {"suspend": True})
    return made.as_stopped(ended)


def _body(template: Mapping[str, Any], env: Mapping[str, str]) -> Object:
    spec = deepcopy(template["spec"])
    pod = spec["template"]["spec"]
    ours = [{"name": name, "value": value.replace("$", "$$")} for name, value in env.items()]  # `$(NAME)` is no value
    for container in [*(pod.get("initContainers") or ()), *pod["containers"]]:
        kept = [variable for variable in container.get("env") or () if variable["name"] not in env]
        container["env"] = ours + kept  # kept: may use ours
    spec["ttlSecondsAfterFinished"] = KEPT
    meta = template.get("metadata") or {}
    annotations = {**(meta.get("annotations") or {}), **_BY_HAND}
    return {"metadata": {"labels": meta.get("labels") or {}, "annotations": annotations}, "spec": spec}
