"""What the code asks of the Kubernetes API, read from the code; and what the roles that are shipped grant."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import yaml

from controller import kube
from controller.kube import DEFAULTS, DEPLOYMENT, FREEZE, JOB, MODEL, REMEDIATION_POLICY, ROLLOUT, WORKFLOW, Kind

ROOT = Path(__file__).parents[2]
ROLE = ROOT / "manifests" / "components" / "namespace" / "role.yaml"
CLUSTER_ROLE = ROOT / "manifests" / "base" / "account.yaml"

Right = tuple[str, str]
"""A verb and a resource: `("patch", "rollouts.argoproj.io/status")`."""

VERBS = {
    "get": ("get",),
    "list": ("list",),
    "watch": ("list", "watch"),
    "create": ("create",),
    "patch": ("patch",),
    "apply": ("patch", "create"),
    "delete": ("delete",),
    "events": ("list",),
}
"""What each method of `Kube` that asks for objects needs."""

DOCUMENTS = (DEFAULTS, FREEZE, MODEL, REMEDIATION_POLICY)
MADE = (JOB, WORKFLOW)
SERVING = (DEPLOYMENT, ROLLOUT)

MEANT: dict[str, tuple[Kind, ...]] = {
    "actions/made.py: get(kind)": MADE,
    "actions/made.py: create(kind)": MADE,
    "actions/made.py: patch(kind)": MADE,
    "actions/rollout.py: get(KINDS[serving['kind']])": SERVING,
    "actions/rollout.py: get(kind)": SERVING,
    "actions/rollout.py: patch(kind)": SERVING,
    "app/cluster.py: watch(kind)": DOCUMENTS,
    "app/statuses.py: patch(KINDS[key[0]])": DOCUMENTS,
    "engine/following.py: get(KINDS[kind])": SERVING,
    "engine/following.py: watch(KINDS[kind])": (*MADE, *SERVING),
    "engine/working.py: get(KINDS[ref['kind']])": (*MADE, *SERVING),
    "verify/rollout.py: get(KINDS[serving['kind']])": SERVING,
}
"""Which kinds the code means where it says so by a variable; those that it calls by name speak for themselves."""

SUBRESOURCES: dict[str, dict[Kind, tuple[str, ...]]] = {
    "actions/rollout.py: patch(kind)": {ROLLOUT: ("", "status")},
    "app/statuses.py: patch(KINDS[key[0]])": dict.fromkeys(DOCUMENTS, ("status",)),
}
"""What of the objects it patches, where that is not the object itself."""

NOT_SERVING = {"live.py"}
"""Called by `modelmend check --live`, under the account of whoever types it."""


def calls() -> dict[str, str]:
    """Every call in the code that asks the API for objects → the method of `Kube`."""
    found: dict[str, str] = {}
    for file in sorted((ROOT / "controller").rglob("*.py")):
        name = file.relative_to(ROOT / "controller").as_posix()
        if name not in NOT_SERVING and not name.startswith("kube/"):
            found |= {f"{name}: {asked}": method for asked, method in _asked(ast.parse(file.read_text()))}
    return found


def _asked(code: ast.Module) -> Iterator[tuple[str, str]]:
    for call in ast.walk(code):
        if not isinstance(call, ast.Call):
            continue
        words = [call.func, *call.args]  # `kube.get(KIND, …)`, or `partial(kube.watch, KIND, …)`
        for at, word in enumerate(words):
            if isinstance(word, ast.Attribute) and word.attr in VERBS and ast.unparse(word.value).endswith("kube"):
                yield f"{word.attr}({ast.unparse(words[at + 1])})", word.attr


def needed() -> set[Right]:
    """The rights that the code uses. Raises KeyError for a call whose kinds stand in no table here."""
    rights = set()
    for call, method in calls().items():
        constant = getattr(kube, call.partition("(")[2].rstrip(")"), None)
        for kind in (constant,) if isinstance(constant, Kind) else MEANT[call]:
            for part in SUBRESOURCES.get(call, {}).get(kind, ("",)):
                resource = f"{kind.resource}/{part}" if part else kind.resource
                rights |= {(verb, resource) for verb in VERBS[method]}
    return rights


def granted(file: Path) -> list[set[Right]]:
    """What the roles of a manifest grant: one set for each rule."""
    return [
        {
            (verb, named(group, resource))
            for verb in rule["verbs"]
            for group in rule["apiGroups"]
            for resource in rule["resources"]
        }
        for document in yaml.safe_load_all(file.read_text())
        for rule in document.get("rules", [])
    ]


def named(group: str, resource: str) -> str:
    """A resource as messages call it: `rollouts.argoproj.io/status`."""
    name, _, part = resource.partition("/")
    return (f"{name}.{group}" if group else name) + (f"/{part}" if part else "")
