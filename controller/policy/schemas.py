"""The CustomResourceDefinitions of the documents, generated from what `described` says of their keys.

`make manifests` writes them to manifests/base/crds.yaml. Every object keeps keys that no
schema knows: an API server would else drop them without a word, and a mistyped `unles` is
a guard that is not there. So they arrive, and the parser refuses them by name.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import yaml

from controller.policy.described import OBJECTS, VERIFICATIONS, Key, Schema
from controller.policy.keys import API_VERSION

_GROUP, _VERSION = API_VERSION.split("/")
_KEEP = "x-kubernetes-preserve-unknown-fields"
_HEAD = "# Generated from controller/policy/described.py: `make manifests` writes it anew.\n"


def definitions() -> list[dict[str, Any]]:
    """One CustomResourceDefinition for each kind of document."""
    return [
        _definition(
            "RemediationPolicy",
            ("remediationpolicies", "remediationpolicy", "rp"),
            "Which events about which models lead to which steps, and what holds them back.",
            _spec("policy", "Models, triggers, guards, limits and steps."),
            _status(_POLICY_STATUS),
            [
                _column("Mode", ".status.mode"),
                _column("Severity", ".status.severity"),
                _ACCEPTED,
                _column("Decision", ".status.lastDecision.outcome"),
                _column("Reason", ".status.lastDecision.reason"),
                _column("Decided", ".status.lastDecision.time", wide=True),
                _MESSAGE,
            ],
        ),
        _definition(
            "Model",
            ("models", "model", "mdl"),
            "A model that policies of its namespace may mend; its labels are those that matchLabels asks for.",
            _spec("model", "How it is served and measured; may be left out."),
            _status(_MODEL_STATUS),
            [
                _column("Version", ".status.version"),
                _column("Canary", ".status.canary"),
                _column("Phase", ".status.phase"),
                _column("Remediation", ".status.lastRemediation.id"),
                _ACCEPTED,
                _MESSAGE,
            ],
        ),
        _definition(
            "Defaults",
            ("defaults", "defaults", "dft"),
            "What holds for the policies of its namespace where they say nothing; one for each namespace.",
            _spec("defaults", "What its policies fall back to."),
            _status({}),
            [_ACCEPTED, _MESSAGE],
        ),
        _definition(
            "Freeze",
            ("freezes", "freeze", "frz"),
            "A planned time in which models of its namespace are restored and people paged, and nothing else is done.",
            _spec("freeze", "Which models, and when."),
            _status({}),
            [_ACCEPTED, _MESSAGE],
        ),
    ]


def as_yaml() -> str:
    """All definitions as a file."""
    return _HEAD + yaml.safe_dump_all(definitions(), sort_keys=False, width=110, allow_unicode=True)


def _definition(
    kind: str, names: tuple[str, str, str], says: str, spec: Schema, status: Schema, columns: list[dict[str, Any]]
) -> dict[str, Any]:
    plural, singular, short = names
    root = {"type": "object", "description": says, "properties": {"spec": spec, "status": status}, _KEEP: True}
    if spec.get("required"):
        root["required"] = ["spec"]
    age = {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}
    version = {
        "name": _VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": [*columns, age],
        "schema": {"openAPIV3Schema": root},
    }
    called = {"kind": kind, "listKind": f"{kind}List", "plural": plural, "singular": singular}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{_GROUP}"},
        "spec": {
            "group": _GROUP,
            "scope": "Namespaced",
            "names": {**called, "shortNames": [short], "categories": ["modelmend"]},
            "versions": [version],
        },
    }


def _column(name: str, path: str, *, wide: bool = False) -> dict[str, Any]:
    return {"name": name, "type": "string", "jsonPath": path} | ({"priority": 1} if wide else {})


_ACCEPTED = _column("Accepted", '.status.conditions[?(@.type=="Accepted")].status')
_MESSAGE = _column("Message", '.status.conditions[?(@.type=="Accepted")].message', wide=True)


# ── what operators write ────────────────────────────────────────────────────────────────────────


def _spec(name: str, says: str) -> Schema:
    return {"description": says, **_object(OBJECTS[name])}


def _object(keys: Mapping[str, Key]) -> Schema:
    schema: Schema = {"type": "object", _KEEP: True}
    if required := [name for name, key in keys.items() if key.required]:
        schema["required"] = required
    schema["properties"] = {name: {"description": key.description, **_whole(key.shape)} for name, key in keys.items()}
    return schema


def _whole(shape: Schema) -> Schema:
    """A shape with the objects that it names put in."""
    schema: Schema = {}
    for word, value in shape.items():
        if word == "object":
            keys = _any_verification() if value == "verification" else OBJECTS[value]
            inner = _object(keys)
            if _KEEP in shape:  # or something else than an object
                inner = {"properties": inner["properties"]}
            schema |= inner
        else:
            schema[word] = _whole(value) if isinstance(value, dict) else value
    if schema.get("type") == "object" and "additionalProperties" not in schema:
        schema[_KEEP] = True
    return schema


def _any_verification() -> dict[str, Key]:
    """The keys of every verification, each told with the default that it has in each of them."""
    found: dict[str, dict[str, Key]] = {}
    for kind in VERIFICATIONS:
        for name, key in OBJECTS[kind].items():
            found.setdefault(name, {})[kind.removesuffix(" verification")] = key
    return {name: _merged(keys) for name, keys in found.items()}


def _merged(keys: Mapping[str, Key]) -> Key:
    first, *others = keys.values()
    if all(key.default == first.default for key in others):
        return first
    defaults = ", ".join(f"{key.default} ({kind})" for kind, key in keys.items())
    return Key(first.says, first.shape, defaults)


# ── what modelmend writes ───────────────────────────────────────────────────────────────────────


def _told(says: str, **more: Any) -> Schema:
    return {"description": says, "type": "string", **more}


_TIME = {"format": "date-time"}
_CONDITION: Schema = {
    "type": "object",
    "required": ["type", "status", "reason", "message", "lastTransitionTime"],
    "properties": {
        "type": _told("Accepted is the only one."),
        "status": _told("True: this text is in force.", enum=["True", "False", "Unknown"]),
        "reason": _told("Accepted or Refused."),
        "message": _told("What is wrong with it, every fault, as `modelmend check` says it."),
        "lastTransitionTime": _told("When the status last changed.", **_TIME),
        "observedGeneration": {
            "description": "The generation that this is about.",
            "type": "integer",
            "format": "int64",
        },
    },
}
_POLICY_STATUS: Schema = {
    "mode": _told("The mode in force, with that of the namespace's Defaults where the policy says none."),
    "severity": _told("The severity in force."),
    "inForce": _told("The digest of the earlier text that stays in force where this one is refused."),
    "lastDecision": {
        "description": "The newest decision.",
        "type": "object",
        "properties": {
            "time": _told("When it was taken.", **_TIME),
            "outcome": _told("remediate or suppress."),
            "reason": _told("Why it was suppressed."),
            "model": _told("About which model, namespace/name."),
            "event": _told("About which event: its id."),
            "remediation": _told("The remediation that it began, or that was under way."),
        },
    },
}
_MODEL_STATUS: Schema = {
    "phase": _told("The phase of its active remediation, or Idle."),
    "version": _told("The stable version, as its serving object, an event or a verified remediation told it."),
    "versionSince": _told("Since when it is known to be.", **_TIME),
    "canary": _told("The version that serves beside it."),
    "lastKnownGood": _told("The last version that was verified, or that soaked."),
    "lastKnownGoodSince": _told("Since when it is known to be good.", **_TIME),
    "lastRemediation": {
        "description": "The newest remediation that was not only audited.",
        "type": "object",
        "properties": {
            "id": _told("Its id: `modelmend explain ID` tells the story."),
            "policy": _told("Of which policy, namespace/name."),
            "phase": _told("Its phase."),
            "reason": _told("Why it is in that phase."),
            "verdict": _told("What verification proved: recovered, unchanged, worse, unknown, or none."),
            "endedAt": _told("When it ended.", **_TIME),
        },
    },
}


def _status(keys: Schema) -> Schema:
    conditions = {
        "description": "Whether the text is in force.",
        "type": "array",
        "items": _CONDITION,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
    }
    generation = {
        "description": "The generation that the status is about.",
        "type": "integer",
        "format": "int64",
    }
    return {
        "description": "What modelmend says of it.",
        "type": "object",
        "properties": {"conditions": conditions, "observedGeneration": generation, **keys},
    }


if __name__ == "__main__":
    sys.stdout.write(as_yaml())
