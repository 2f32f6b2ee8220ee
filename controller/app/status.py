"""What the `status` of a document in a cluster should say: from the last reading and the store's rows. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from controller.app.cluster import Entry, Key
from controller.app.documents import Reading
from controller.policy import Document, ModelState, Policy
from controller.store.newest import Name, Newest, Shown

Status = dict[str, Any]

IDLE = "Idle"
LONGEST = 8000
"""Characters of a message: the API takes 32,768, people read fewer."""


class Judgement:
    """Which documents one reading accepted, why not, and what is in force under their names."""

    def __init__(self, reading: Reading) -> None:
        self._in_force: dict[Key, Document] = {each.key: each for each in reading.accepted.policies.documents}
        self._policies: dict[Name, Policy] = {
            (policy.namespace, policy.name): policy for policy in reading.accepted.policies.policies
        }
        self._faults: dict[Key, list[str]] = defaultdict(list)
        for problem in reading.accepted.problems:
            if problem.key is not None:
                self._faults[problem.key].append(problem.message)

    def status(self, key: Key, entry: Entry, generation: int, shown: Mapping[str, Any], now: datetime) -> Status:
        """What is the same for every kind, and of a policy what is in force; None takes a key away."""
        faults, document = self._refused(key, entry), self._in_force.get(key)
        before = {each.get("type"): each for each in shown.get("conditions") or ()}
        accepted = _condition(before.get("Accepted", {}), faults, generation, now)
        others = [each for type_, each in before.items() if type_ != "Accepted"]
        status: Status = {"conditions": [accepted, *others], "observedGeneration": generation}
        if key[0] == "RemediationPolicy":
            policy = self._policies.get(key[1:])
            status["mode"] = policy.mode if policy else None
            status["severity"] = policy.severity if policy else None
            status["inForce"] = document.digest if document and faults else None
        return status

    def _refused(self, key: Key, entry: Entry) -> list[str]:
        """Why the text is not in force; nothing where it is."""
        if self._faults.get(key):
            return self._faults[key]
        document = self._in_force.get(key)
        if document and entry.document and _own(document) == entry.document.text:
            return []
        near = [fault for other, faults in self._faults.items() if other[:2] == key[:2] for fault in faults]
        return near or ["another document stands in its way"]


def policy_status(decision: Newest, shown: Mapping[str, Any]) -> Status:
    """What a policy says of its newest decision; never of an earlier one than it says already."""
    if str((shown.get("lastDecision") or {}).get("time") or "") > moment(decision.time):
        return {}
    return {
        "lastDecision": {
            "time": moment(decision.time),
            "outcome": decision.outcome,
            "reason": decision.reason or None,
            "model": "/".join(decision.model),
            "event": decision.event or None,
            "remediation": decision.remediation,
        }
    }


def model_status(remediation: Shown | None, state: ModelState) -> Status:
    """What a model says of its remediations, and of its versions as far as they are known."""
    status: Status = {"phase": remediation.phase if remediation and remediation.ended is None else IDLE}
    status |= {
        "version": state.serving,
        "versionSince": moment(state.stable_since) if state.serving and state.stable_since else None,
        "canary": state.canary,
        "lastKnownGood": state.last_known_good,
        "lastKnownGoodSince": moment(state.good_since) if state.good_since else None,
    }
    if remediation is not None:
        status["lastRemediation"] = {
            "id": remediation.id,
            "policy": "/".join(remediation.policy),
            "phase": remediation.phase,
            "reason": remediation.reason or None,
            "verdict": remediation.verdict,
            "endedAt": moment(remediation.ended) if remediation.ended else None,
        }
    return status


def difference(shown: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """The merge patch that makes the keys of `wanted` what it says, and touches no others; {}: nothing to do."""
    patch: dict[str, Any] = {}
    for key, value in wanted.items():
        found = shown.get(key)
        if isinstance(value, dict) and isinstance(found, dict):
            gone = dict.fromkeys(found.keys() - value.keys())
            if inner := difference(found, value | gone):
                patch[key] = inner
        elif value != found:
            patch[key] = value
    return patch


def moment(time: datetime) -> str:
    """`2026-01-23T12:00:00Z`: whole seconds, as other controllers write them."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _condition(before: Mapping[str, Any], faults: Iterable[str], generation: int, now: datetime) -> Status:
    message = "; ".join(faults)
    status = "False" if message else "True"
    changed = moment(now) if before.get("status") != status else before.get("lastTransitionTime")
    return {
        "type": "Accepted",
        "status": status,
        "reason": "Refused" if message else "Accepted",
        "message": _short(message) or "in force",
        "lastTransitionTime": changed,
        "observedGeneration": generation,
    }


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _own(document: Document) -> dict[str, Any]:
    """The text as it was written, without what its namespace's Defaults add."""
    return {key: value for key, value in document.text.items() if key != "defaults"}
