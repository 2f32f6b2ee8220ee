"""The step `deploy`: set a version on a Rollout or a Deployment, and wait until it is there.

An object that carries the version already is only waited for, so running the step again does
no harm. It never puts an old version back: that is the next rung of the remediation's ladder.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from argo.steps.api import Api, Changed, Unreachable
from argo.steps.health import Goal, judge
from argo.steps.looks import Looks
from argo.steps.managed import manager
from argo.steps.place import Place
from argo.steps.step import Parameters, StepFailed, report, run

Object = dict[str, Any]

FAILURES = 3
"""Looks that must find it failed: a status may lag a moment behind a change."""

RESTARTED = "kubectl.kubernetes.io/restartedAt"
_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be: `version` on the object `kind` `name`; without one, pods that are younger than `restart`.

    `restart` is a time that stays the same when the step is run again, such as that of the Workflow's creation.
    What Argo CD or Flux manage is changed only where `gitops` is `ignored`.
    """

    kind: str
    name: str
    place: Place
    version: str
    restart: str
    goal: Goal
    timeout: float
    gitops: str = ""


def deploy(api: Api, order: Order, looks: Looks) -> str:
    """Carry the order out; the version that serves then. Raises StepFailed with what the object said last."""
    done, failures, said = False, 0, "never looked at"
    for _ in looks:
        try:
            obj = api.get(order.kind, order.name)
            if not done:
                obj, done = ensure(api, order, obj), True
        except (Changed, Unreachable) as error:
            said = str(error)
            continue
        if order.version and (found := order.place.read(obj)) != order.version:
            raise StepFailed(f"{_what(api, order)} was set to {found} by somebody else meanwhile")
        health = judge(obj, order.goal)
        failures = failures + 1 if health.state == "failed" else 0
        said = health.message
        if health.state == "reached":
            return order.version or order.place.read(obj) or ""
        if failures == FAILURES:
            raise StepFailed(f"{_what(api, order)} failed: {said}")
    raise StepFailed(f"{_what(api, order)} is not {order.goal} after {order.timeout:g} s: {said}")


def ensure(api: Api, order: Order, obj: Object) -> Object:
    """The object, in the state that is wanted. Raises Changed where somebody was quicker: read it again."""
    if obj["spec"].get("workloadRef"):
        raise StepFailed(f"{_what(api, order)}: its pod template stands in another object (workloadRef)")
    patch = order.place.patch(obj, order.version) if order.version else restart(obj, order.restart)
    if (order.version and order.place.read(obj) == order.version) or contains(obj, patch):
        return obj
    if order.gitops != "ignored" and (who := manager(obj)):
        how = "set it in Git (git-set-version), or say `ignored` in the parameter gitops"
        raise StepFailed(f"{_what(api, order)}: {who} sets its spec and would undo the change: {how}")
    patch["metadata"] = {"resourceVersion": obj["metadata"]["resourceVersion"]}
    return api.patch(order.kind, order.name, patch)


def restart(obj: Object, at: str) -> Object:
    """The merge patch by which its controller replaces the pods that are older than `at`."""
    if obj["kind"] == "Rollout":
        return {"spec": {"restartAt": at}}
    return {"spec": {"template": {"metadata": {"annotations": {RESTARTED: at}}}}}


def contains(obj: Any, patch: Any) -> bool:
    """Whether a merge patch would change nothing."""
    if not isinstance(patch, dict):
        return bool(obj == patch)
    return isinstance(obj, dict) and all(contains(obj.get(key), value) for key, value in patch.items())


def seconds(text: str) -> float:
    """A duration such as 90s, 10m or 1h30m."""
    match = _DURATION.fullmatch(text)
    if not match or not any(match.groups()):
        raise StepFailed(f"timeout: want a duration such as 90s, 10m or 1h30m, got {text!r}")
    hours, minutes, rest = (int(part or 0) for part in match.groups())
    return 3600.0 * hours + 60.0 * minutes + rest


def serving_arguments(parser: Parameters) -> None:
    """The parameters that say what serves the model, and where its version stands."""
    parser.add_argument("--kind", choices=("Rollout", "Deployment"), required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--version-in", required=True)
    parser.add_argument("--version-name", required=True)
    parser.add_argument("--container", default="")


def parse(arguments: Sequence[str]) -> Order:
    """The order that the template's parameters give."""
    parser = Parameters()
    serving_arguments(parser)
    parser.add_argument("--version", default="")
    parser.add_argument("--restart", required=True)
    parser.add_argument("--wait", choices=("canary", "healthy"), required=True)
    parser.add_argument("--timeout", required=True)
    parser.add_argument("--gitops", choices=("", "ignored"), default="")
    given = parser.parse_args(arguments)
    place = Place(given.version_in, given.version_name, given.container)
    if given.version:
        place.check(given.version)
    timeout = seconds(given.timeout)
    return Order(given.kind, given.name, place, given.version, given.restart, given.wait, timeout, given.gitops)


def main() -> str:
    """Deploy what the arguments say, as the pod's account."""
    order = parse(sys.argv[1:])
    version = deploy(Api.of_this_pod(), order, Looks(order.timeout))
    report(verdict="promoted", model_version=version)
    return f"{order.kind} {order.name}: {version or 'restarted'} is {order.goal}"


def _what(api: Api, order: Order) -> str:
    return f"{order.kind} {api.namespace}/{order.name}: {order.version or 'the restart'}"


if __name__ == "__main__":
    sys.exit(run(main))
