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
    "policy": (
        "mode",
        "severity",
        "models",
        "triggers",
        "wait",
        "unless",
        "dataQuality",
        "limits",
        "approval",
        "steps",
    ),
    "models": ("names", "matchLabels", "via", "unknown"),
    "trigger": ("name", "type", "when", "sustained", "count", "distinct", "require"),
    "count": ("atLeast", "within"),
    "distinct": ("of", "atLeast", "within"),
    "corroboration": ("type", "when", "within"),
    "limits": ("cooldown", "budget", "breaker", "maxAge", "minSamples", "scope"),
    "budget": ("max", "within"),
    "breaker": ("failures", "within"),
    "approval": ("expires",),
    "step": ("name", "workflow", "job", "rollout", "command", "request", "page", "approve", "verify", "onWorse"),
    "workflow": ("workflowTemplateRef", "parameters", "outputs", "timeout"),
    "reference": ("name",),
    "outputs": ("version", "verdict"),
    "job": ("cronJobRef", "env", "timeout"),
    "rollout": ("abort", "promote", "pause", "restart", "to", "timeout"),
    "command": ("argv", "timeout", "idempotent", "env", "cwd"),
    "request": ("url", "method", "headers", "body", "timeout"),
    "page": ("receiver",),
    "rollout verification": ("rollout", "every", "within"),
    "command verification": ("command", "every", "settle", "for", "within"),
    "verifying command": ("argv", "timeout", "env", "cwd"),
    "quiet verification": ("quiet", "settle", "within"),
    "resolved verification": ("resolved", "settle", "for", "within"),
    "expression": ("expr",),
    "model": ("baseline", "serving", "versionNames", "gitops", "inputs"),
    "input": ("dataset", "features"),
    "serving": ("kind", "name", "version"),
    "serving version": ("image", "env", "label", "container"),
    "gitops": ("workflowTemplateRef", "parameters"),
    "defaults": (
        "mode",
        "severity",
        "wait",
        "unless",
        "dataQuality",
        "limits",
        "approval",
        "timeout",
        "settle",
        "for",
        "within",
    ),
    "timeout": ("command", "request", "workflow", "job", "rollout"),
}

LATER: Mapping[str, tuple[str, ...]] = {
    "policy": ("freeze", "correlate"),
    "trigger": ("consecutive", "sum", "schedule", "since"),
    "corroboration": ("versions",),
    "step": ("registry", "confirm"),
    "reference": ("clusterScope",),
    "request": ("status", "done", "failed"),
    "command": ("outputs",),
    "verification": ("query", "report", "analysis", "recovered", "worse"),
    "model": ("registry", "groundTruth", "lastKnownGood"),
    "serving version": ("alias",),
    "defaults": ("lastKnownGood",),
}
"""Keys that the design knows and this version does not: refused with another hint than a typing error."""
