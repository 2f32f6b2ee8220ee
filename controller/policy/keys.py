"""Every key that a document may hold, by the object that holds it; documentation is checked against this."""

from __future__ import annotations

from collections.abc import Mapping

API_VERSION = "modelmend.io/v1alpha1"
KINDS = ("RemediationPolicy", "Model", "Defaults")
LATER_KINDS = ("Freeze", "Source")

KEYS: Mapping[str, tuple[str, ...]] = {
    "document": ("apiVersion", "kind", "metadata", "spec"),
    "metadata": ("name", "namespace"),
    "model metadata": ("name", "namespace", "labels"),
    "policy": ("mode", "severity", "models", "triggers", "wait", "unless", "dataQuality", "limits", "steps"),
    "models": ("names", "matchLabels", "unknown"),
    "trigger": ("name", "type", "when", "sustained", "count", "distinct", "require"),
    "count": ("atLeast", "within"),
    "distinct": ("of", "atLeast", "within"),
    "corroboration": ("type", "when", "within"),
    "limits": ("cooldown", "budget", "breaker", "maxAge", "minSamples", "scope"),
    "budget": ("max", "within"),
    "breaker": ("failures", "within"),
    "step": ("name", "command", "request", "page", "verify", "onWorse"),
    "command": ("argv", "timeout", "idempotent", "env", "cwd"),
    "request": ("url", "method", "headers", "body", "timeout"),
    "page": ("receiver",),
    "command verification": ("command", "every", "settle", "for", "within"),
    "verifying command": ("argv", "timeout", "env", "cwd"),
    "quiet verification": ("quiet", "settle", "within"),
    "resolved verification": ("resolved", "settle", "for", "within"),
    "expression": ("expr",),
    "model": ("baseline",),
    "defaults": ("mode", "severity", "wait", "unless", "dataQuality", "limits", "timeout", "settle", "for", "within"),
    "timeout": ("command", "request"),
}

LATER: Mapping[str, tuple[str, ...]] = {
    "policy": ("freeze", "correlate", "approval"),
    "models": ("via",),
    "trigger": ("consecutive", "sum", "schedule", "since"),
    "corroboration": ("versions",),
    "step": ("workflow", "rollout", "registry", "job", "confirm", "approve"),
    "request": ("status", "done", "failed"),
    "command": ("outputs",),
    "verification": ("rollout", "query", "report", "analysis", "recovered", "worse"),
    "model": ("serving", "versionNames", "registry", "inputs", "groundTruth", "lastKnownGood", "gitops"),
    "defaults": ("approval", "lastKnownGood"),
    "timeout": ("workflow", "job", "rollout"),
}
"""Keys that the design knows and this version does not: refused with another hint than a typing error."""
