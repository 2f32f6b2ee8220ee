"""Whether a silence mutes everything that there is: it is asked about once more."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from sqlalchemy import Connection

from controller.store import standing

_OF_EVENTS = frozenset({"type", "source", "feature", "metric", "slice"})
_PAGE = 500


def swept(conn: Connection, matchers: Mapping[str, str]) -> dict[str, int] | None:
    """How many models and policies it mutes, where that is all of them; None where it leaves something.

    A matcher on what events or severities are narrows it. One that names the only model, or the
    only policy, there is was meant so, and where there is no model nothing is muted.
    """
    narrowing = {name: pattern for name, pattern in matchers.items() if set(pattern) != {"*"}}
    if _OF_EVENTS & narrowing.keys() or "severity" in narrowing:
        return None
    models, policies = _all(standing.models, conn), _all(standing.policies, conn)
    about_models = {name: pattern for name, pattern in narrowing.items() if name != "policy"}
    muted = [model for model in models if all(_meets(model, *pair) for pair in about_models.items())]
    named = [policy for policy in policies if fnmatchcase(policy["name"], narrowing.get("policy", "*"))]
    meant = (about_models and len(models) < 2) or ("policy" in narrowing and len(policies) < 2)
    if not models or meant or len(muted) < len(models) or len(named) < len(policies):
        return None
    return {"models": len(muted), "policies": len(named)}


def _all(read: Any, conn: Connection) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor = None
    while True:
        page = read(conn, limit=_PAGE, cursor=cursor)
        found += page["items"]
        cursor = page["next"]
        if cursor is None:
            return found


def _meets(model: Mapping[str, Any], name: str, pattern: str) -> bool:
    if name.startswith("labels."):
        value = model["labels"].get(name.removeprefix("labels."))
    else:
        value = model["namespace"] if name == "namespace" else model["name"]
    return value is not None and fnmatchcase(str(value), pattern)
