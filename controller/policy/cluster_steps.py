"""Steps that act on a cluster, and the verification that asks it, read from a document."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Literal

from controller.durations import format_duration
from controller.policy.arguments import read_argument, read_env
from controller.policy.defaults import Fallback, duration
from controller.policy.reading import Fields, Place, either
from controller.policy.types import (
    MODEL_VERSION,
    VERDICT,
    Argument,
    JobAction,
    RolloutAction,
    RolloutVerification,
    WorkflowAction,
)

_PARAMETER = re.compile(r"[A-Za-z0-9_-]+")
_DEEDS = ("abort", "promote", "pause", "restart", "to")
EVERY = timedelta(seconds=5)


def read_workflow(place: Place, fallback: Fallback) -> WorkflowAction:
    """`workflow`: which template, with what, and where its outputs say what came of it."""
    fields = place.fields("workflow")
    outputs = fields.at("outputs").fields("outputs") if "outputs" in fields else None
    return WorkflowAction(
        template=read_reference(fields, "workflowTemplateRef"),
        timeout=duration(fields, "timeout", fallback.workflow_timeout),
        parameters={name: read_argument(value) for name, value in read_parameters(fields)},
        version_output=_read_output(outputs, "version", MODEL_VERSION),
        verdict_output=_read_output(outputs, "verdict", VERDICT),
    )


def read_job(place: Place, fallback: Fallback) -> JobAction:
    """`job`: which CronJob's template, with what in its environment."""
    fields = place.fields("job")
    timeout = duration(fields, "timeout", fallback.job_timeout)
    return JobAction(read_reference(fields, "cronJobRef"), timeout, read_env(fields))


def read_rollout(place: Place, fallback: Fallback) -> RolloutAction:
    """`rollout`: exactly one deed."""
    fields = place.fields("rollout")
    timeout = duration(fields, "timeout", fallback.rollout_timeout)
    deeds = [deed for deed in _DEEDS if deed in fields]
    if len(deeds) != 1:
        if isinstance(place.value, dict):
            place.refuse(f"want {either(_DEEDS)}, got {' and '.join(deeds) or 'none'}")
        return RolloutAction("pause", timeout)
    said = fields.at(deeds[0])
    match deeds[0]:
        case "abort":
            said.one_of("canary")
            return RolloutAction("abort", timeout)
        case "promote":
            far: Literal["next", "full"] = "full" if said.one_of("canary", "full") == "full" else "next"
            return RolloutAction("promote", timeout, promote=far)
        case "to":
            return RolloutAction("to", timeout, to=_read_version(said))
        case deed:
            if said.value is not True:
                said.want("true")
            return RolloutAction("pause" if deed == "pause" else "restart", timeout)


def read_rollout_verification(fields: Fields, fallback: Fallback) -> RolloutVerification:
    """`rollout` under `verify`."""
    wants: Literal["promoted", "stable"] = fields.at("rollout").one_of("promoted", "stable")
    within = duration(fields, "within", fallback.within)
    return RolloutVerification(wants, read_every(fields, EVERY, within), within)


def read_every(fields: Fields, fallback: timedelta, within: timedelta) -> timedelta:
    """`every`, shorter than the verification may last."""
    every = duration(fields, "every", fallback)
    if "every" in fields and every >= within > timedelta():
        fields.at("every").refuse(f'want less than within ({format_duration(within)}), got "{format_duration(every)}"')
    return every


def read_reference(fields: Fields, key: str) -> str:
    """The name of an object of the cluster, which never depends on an event: `key: {name: …}`."""
    place = fields.need(key, "a map with a name")
    name = place.fields("reference").need("name", "a name") if place else None
    return name.label() if name else ""


def read_parameters(fields: Fields) -> list[tuple[str, Place]]:
    """`parameters` of a Workflow, those that have a name that Argo takes."""
    good = []
    for name, place in fields.at("parameters").entries("parameters") if "parameters" in fields else []:
        if _PARAMETER.fullmatch(name):
            good.append((name, place))
        else:
            place.refuse("want a parameter's name of letters, digits, - and _")
    return good


def _read_output(outputs: Fields | None, key: str, fallback: str) -> str:
    place = outputs.get(key) if outputs else None
    if place is None:
        return fallback
    name = place.text("the name of an output parameter")
    if name and not _PARAMETER.fullmatch(name):
        place.want("the name of an output parameter: letters, digits, - and _")
    return name


def _read_version(place: Place) -> Argument:
    if place.value == "":
        place.want("a version or {expr: …}")
    return read_argument(place)
