"""Who else sets the spec of an object: Argo CD and Flux would undo what a step changes.

They are known by the marks by which modelmend itself knows them; a test holds the two equal.
"""

from __future__ import annotations

from typing import Any

Object = dict[str, Any]

_MARKS = {
    "argocd.argoproj.io/tracking-id": "Argo CD",
    "argocd.argoproj.io/instance": "Argo CD",
    "kustomize.toolkit.fluxcd.io/name": "Flux",
    "helm.toolkit.fluxcd.io/name": "Flux",
}
"""Labels and annotations of what is kept as Git says."""
_INSTANCE = "app.kubernetes.io/instance"
"""By itself no mark, since every Helm chart sets it, too; together with Argo CD among those who have applied, it is."""
_ARGO_CD = frozenset({"argocd-controller", "argocd-application-controller"})


def manager(obj: Object) -> str | None:
    """Who sets this object's spec, where its marks name somebody."""
    meta = obj["metadata"]
    marks = {**(meta.get("labels") or {}), **(meta.get("annotations") or {})}
    if who := next((name for mark, name in _MARKS.items() if mark in marks), None):
        return who
    appliers = {each.get("manager") for each in meta.get("managedFields") or ()}
    return "Argo CD" if _INSTANCE in marks and appliers & _ARGO_CD else None
