"""Bringing back what served before a step made it worse: a rung that no policy writes, behind the ladder's last.

It is written into the remediation's parameters, like every rung with all expressions
evaluated, and read back from there. Whether the new version is still a canary, to be
aborted, or serves everything by now is seen in the object when it is done.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from controller.policy.model import Model
from controller.policy.render import render_gitops, render_serving
from controller.policy.types import PageAction, RolloutAction, RolloutVerification, Step

NAME = "restore"
"""Of the rung, for people."""
EVERY = timedelta(seconds=5)


def why_not(step: Step, model: Model, version: str | None) -> str | None:
    """Why the version of before cannot be brought back after this step; None: it can."""
    if step.on_worse == "stop":
        return "the policy says onWorse: stop"
    if not step.brings_versions:
        return f"nothing tells what {step.name} has changed"
    if model.serving is None or model.serving.version is None:
        return "the Model does not say where its version stands (serving.version)"
    return None if version else "which version served before is not known"


def undo(step: Step, model: Model, version: str, brought: str | None) -> dict[str, Any]:
    """The parameters of the rung.

    :param version: that served before.
    :param brought: what the step has brought, as far as it is known: another one that is found there is left alone.
    """
    seconds = step.restore_within.total_seconds()
    serving = render_serving(model)
    action: dict[str, Any] = {"do": "restore", "promote": None, "to": version, "about": brought, "serving": serving}
    action |= {"gitops": render_gitops(model), "timeout": seconds}
    stable: dict[str, Any] = {"kind": "rollout", "wants": "stable", "every": EVERY.total_seconds(), "within": seconds}
    return {"name": NAME, "kind": "rollout", "action": action, "verify": [{**stable, "serving": serving}]}


def paging() -> dict[str, Any]:
    """The parameters of a page where the ladder has no further rung."""
    return {"name": "page", "kind": "page", "action": {"receiver": "default"}, "verify": []}


def undoing(parameters: Mapping[str, Any]) -> Step:
    """The rung that these parameters, of `undo` or `paging`, describe."""
    action = parameters["action"]
    if parameters["kind"] == "page":
        return Step(parameters["name"], PageAction(action["receiver"]))
    within = timedelta(seconds=action["timeout"])
    wants = RolloutVerification("stable", EVERY, within)
    return Step(parameters["name"], RolloutAction("restore", within, to=action["to"]), (wants,), undoes=True)
