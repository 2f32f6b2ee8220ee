"""Samples of a verification by `analysis`: how an AnalysisRun of Argo Rollouts stands, which the first look creates.

Its name is given, so that it is created once, whoever looks. It keeps running where nobody looks
any more, and goes by itself a week after its end; none is made that would never end.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from controller.errors import ModelmendError
from controller.kube import ANALYSIS_RUN, ANALYSIS_TEMPLATE, AlreadyExists, Kube
from controller.process import one_line
from controller.verify.sample import Sample, State

INTENT = "modelmend.io/intent"
"""The annotation that says whose it is: it holds the run's own name."""
KEPT = 7 * 24 * 3600
"""Seconds that the run stays after its end."""

Object = dict[str, Any]
_ENDS: Mapping[str, State] = {
    "Successful": "recovered",
    "Failed": "failed",
    "Inconclusive": "unknown",
    "Error": "unknown",
}
_COPIED = ("metrics", "dryRun", "measurementRetention")


def sample(verification: Mapping[str, Any], told: Mapping[str, Any], kube: Kube | None) -> Sample:
    """Look once, and create the run where there is none; three calls at most.

    `verification`: `template`, `args` (strings by name). `told`: `model` (namespace/name), `run`: the metadata that
    it is to have, `begun`: whether it was seen before.
    """
    if kube is None:
        return Sample("missing", "no cluster: start with --kubernetes")
    namespace, name = str(told["model"]).partition("/")[0], told["run"]["name"]
    called = f"AnalysisRun {namespace}/{name}"
    try:
        found = kube.get(ANALYSIS_RUN, namespace, name)
        if found is None and told["begun"]:
            return Sample("unknown", f"{called} was deleted")
        if found is None:
            return _create(kube, namespace, verification, told)
    except ModelmendError as error:
        return Sample("missing", one_line(str(error)))
    if (found["metadata"].get("annotations") or {}).get(INTENT) != name:
        return Sample("unknown", f"{called} is not ours")
    return _look(called, found)


def _look(called: str, run: Object) -> Sample:
    """How a run stands. Pure."""
    status = run.get("status") or {}
    phase = str(status.get("phase") or "Pending")
    words = ": ".join(part for part in (f"{called} is {phase}", str(status.get("message") or "")) if part)
    return Sample(_ENDS.get(phase, "unchanged"), one_line(words))


def _create(kube: Kube, namespace: str, verification: Mapping[str, Any], told: Mapping[str, Any]) -> Sample:
    template = kube.get(ANALYSIS_TEMPLATE, namespace, verification["template"])
    called = f"AnalysisTemplate {namespace}/{verification['template']}"
    if template is None:
        return Sample("missing", f"there is no {called}")
    spec = template.get("spec") or {}
    args, fault = arguments(spec, verification["args"])
    if fault:
        return Sample("unknown", f"{called}: {fault}")
    body = {
        "metadata": dict(told["run"]),
        "spec": {
            **{key: spec[key] for key in _COPIED if spec.get(key)},
            "args": args,
            "ttlStrategy": {"secondsAfterCompletion": KEPT},
        },
    }
    try:
        run = kube.create(ANALYSIS_RUN, namespace, body)
    except AlreadyExists:  # an answer that was lost: the next look sees whose it is
        return Sample("unchanged", f"AnalysisRun {namespace}/{told['run']['name']} is there")
    return Sample("unchanged", f"AnalysisRun {namespace}/{run['metadata']['name']} was created")


def arguments(spec: Mapping[str, Any], given: Mapping[str, str]) -> tuple[list[Object], str]:
    """The arguments of a run of the template with this spec; and why none may be made of it, '' where one may."""
    if spec.get("templates"):
        return [], "it is made of other templates: that is not supported"
    for metric in spec.get("metrics") or ():
        if metric.get("interval") and metric.get("count") in (None, 0, "0"):
            return [], f"its metric {metric.get('name')} has an interval and no count: it would never end"
    return _args(spec.get("args") or [], given)


def _args(declared: list[Object], given: Mapping[str, str]) -> tuple[list[Object], str]:
    """The template's arguments with the values that are given; and what is wrong with them."""
    names = {str(each.get("name")) for each in declared}
    if unknown := sorted(set(given) - names):
        return [], f"it has no argument {', '.join(unknown)}"
    filled = [
        {"name": each["name"], "value": given[each["name"]]} if each.get("name") in given else each for each in declared
    ]
    if missing := sorted(str(each.get("name")) for each in filled if "value" not in each and "valueFrom" not in each):
        return [], f"no value for its argument {', '.join(missing)}"
    return filled, ""
