"""Commands that only ask: each is one GET, printed as a table or as JSON."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from controller.cli import acting
from controller.cli.printing import as_json, note, print_json, print_list
from controller.cli.server import client
from controller.cli.tables import Cell, Column, Row, full_name, safe, since, table, text
from controller.errors import ConfigError


def _remediation_of(key: str) -> Cell:
    def cell(row: Row, _now: datetime) -> str:
        found = row.get(key)
        return f"{found['id']} {found['phase']}" if found else "-"

    return cell


def _version_of(key: str, since_key: str) -> Cell:
    """A version and since when; one that is not known to serve any more stands in brackets."""
    age = since(since_key)

    def cell(row: Row, now: datetime) -> str:
        version = row.get(key)
        if not version:
            return "-"
        named = f"({version})" if key == "stable" and row.get("unknownSince") else version
        return f"{named} {age(row, now)}" if row.get(since_key) else str(named)

    return cell


def _written(key: str, otherwise: str) -> Cell:
    """What a policy's document says, else its namespace's Defaults, else the built-in default."""

    def cell(row: Row, _now: datetime) -> str:
        text = row["text"]
        return str(text.get("spec", {}).get(key) or text.get("defaults", {}).get(key) or otherwise)

    return cell


def _spec(row: Row, key: str) -> list[Mapping[str, Any]]:
    return [item for item in row["text"].get("spec", {}).get(key) or [] if isinstance(item, Mapping)]


def _about(row: Row, now: datetime) -> str:
    if row.get("dataset") and not row.get("model"):
        return f"dataset {row['dataset']}"
    return _named(row, now) if row.get("model") else "-"


_named = full_name("namespace", "model")
_MODEL = ("MODEL", _about)

_EVENTS: Sequence[Column] = (
    ("SEQ", text("seq")),
    ("AGE", since("time")),
    ("ID", text("id")),
    ("TYPE", text("type")),
    _MODEL,
    ("ABOUT", text("about")),
    ("SEEN", text("seen")),
    ("DECIDED", since("decidedAt")),
    ("SOURCE", text("source")),
)
_DECISIONS: Sequence[Column] = (
    ("AGE", since("now")),
    ("EVENT", text("event")),
    ("POLICY", text("policy")),
    _MODEL,
    ("OUTCOME", text("outcome")),
    ("REASON", text("reason")),
    ("ATTEMPT", text("attempt")),
    ("REMEDIATION", text("remediation")),
)
_REMEDIATIONS: Sequence[Column] = (
    ("ID", text("id")),
    ("AGE", since("startedAt")),
    ("POLICY", text("policy")),
    _MODEL,
    ("PHASE", text("phase")),
    ("STEP", lambda row, _now: str(row["step"] + 1)),
    ("REASON", text("reason")),
    ("VERDICT", text("verdict")),
    ("HELD", text("holdReason")),
    ("ENDED", since("endedAt")),
)
_CONDITIONS: Sequence[Column] = (
    ("ID", text("id")),
    ("STATE", text("state")),
    _MODEL,
    ("FAMILY", text("family")),
    ("ABOUT", text("about")),
    ("SINCE", since("since")),
    ("LAST SEEN", since("lastSeen")),
    ("ENDED", since("ended")),
    ("SOURCE", text("source")),
)
_MODELS: Sequence[Column] = (
    ("MODEL", full_name("namespace", "name")),
    ("DOCUMENT", text("documented")),
    ("STABLE", _version_of("stable", "stableSince")),
    ("CANARY", text("canary")),
    ("LAST KNOWN GOOD", _version_of("lastKnownGood", "goodSince")),
    ("LABELS", text("labels")),
    ("FIRST SEEN", since("firstSeen")),
    ("ACTIVE", _remediation_of("activeRemediation")),
    ("LAST", _remediation_of("lastRemediation")),
)
_POLICIES: Sequence[Column] = (
    ("POLICY", full_name("namespace", "name")),
    ("MODE", _written("mode", "audit")),
    ("SEVERITY", _written("severity", "P2")),
    ("TRIGGERS", lambda row, _now: ", ".join(t.get("name") or t.get("type", "?") for t in _spec(row, "triggers"))),
    ("STEPS", lambda row, _now: ", ".join(step.get("name", "?") for step in _spec(row, "steps"))),
)
_PAUSES: Sequence[Column] = (
    ("PAUSED", text("scope")),
    ("NAME", full_name("namespace", "name")),
    ("SINCE", since("since")),
    ("UNTIL", since("until")),
    ("WHO", text("who")),
    ("WHY", text("why")),
)


def events(arguments: argparse.Namespace) -> int:
    """`modelmend events`."""
    given = {"dataset": arguments.dataset, "type": arguments.type, "source": arguments.source}
    given["undecided"] = arguments.undecided
    return _list(arguments, "/events", _EVENTS, "no events", **_model(arguments), **given)


def decisions(arguments: argparse.Namespace) -> int:
    """`modelmend decisions`."""
    given = {"policy": arguments.policy, "outcome": arguments.outcome, "reason": arguments.reason}
    return _list(arguments, "/decisions", _DECISIONS, "no decisions", **_model(arguments), **given)


def remediations(arguments: argparse.Namespace) -> int:
    """`modelmend remediations`."""
    if arguments.awaiting and arguments.phase:
        raise ConfigError(("remediations: want either --awaiting or --phase, got both",))
    phase = "AwaitingApproval" if arguments.awaiting else arguments.phase
    given = {"policy": arguments.policy, "phase": phase, "active": arguments.active}
    return _list(arguments, "/remediations", _REMEDIATIONS, "no remediations", **_model(arguments), **given)


def conditions(arguments: argparse.Namespace) -> int:
    """`modelmend conditions`, and `modelmend conditions end`."""
    if arguments.part == "end":
        return acting.end_condition(arguments)
    given = {"dataset": arguments.dataset, "family": arguments.family}
    given |= {"source": arguments.source, "state": arguments.state}
    return _list(arguments, "/conditions", _CONDITIONS, "no conditions", **_model(arguments), **given)


def models(arguments: argparse.Namespace) -> int:
    """`modelmend models`."""
    return _list(arguments, "/models", _MODELS, "no models", namespace=arguments.namespace)


def policies(arguments: argparse.Namespace) -> int:
    """`modelmend policies`: those in force; documents refused follow on standard error."""
    with client(arguments) as server:
        answer = server.items("/policies", 100_000)
    code = print_list(arguments, answer, _POLICIES, "no policies in force")
    if not as_json(arguments):
        for message in answer.get("refused") or ():
            note(f"refused: {message}")
    return code


def status(arguments: argparse.Namespace) -> int:
    """`modelmend status`."""
    with client(arguments) as server:
        answer = server.get("/status")
        pauses = server.items("/pauses", 1000, inForce=True)
    if as_json(arguments):
        print_json(answer)
        return 0
    width = max(len(key) for key in answer)
    for key, value in answer.items():
        print(f"{key:<{width}}  {safe(_flat(value))}")
    if pauses["items"]:
        print(table(_PAUSES, pauses["items"], datetime.now(UTC)))
    return 0


def _flat(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_flat(item)}" for key, item in value.items()) or "-"
    if isinstance(value, list):
        return "; ".join(map(_flat, value)) or "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value is None or value == "" else str(value)


def explain(arguments: argparse.Namespace) -> int:
    """`modelmend explain`."""
    with client(arguments) as server:
        answer = server.get("/explain", ref=arguments.ref, source=arguments.source)
    if as_json(arguments):
        print_json(answer)
    else:
        for line in answer["lines"]:
            print(safe(line))
    return 0


def _model(arguments: argparse.Namespace) -> dict[str, str | None]:
    """`--model ml/x` asks for the namespace and the name."""
    namespace, model = arguments.namespace, arguments.model
    if model and "/" in model and namespace is None:
        namespace, model = model.split("/", 1)
    return {"namespace": namespace, "model": model}


def _list(arguments: argparse.Namespace, path: str, columns: Sequence[Column], none: str, **filters: Any) -> int:
    with client(arguments) as server:
        answer = server.items(path, arguments.limit, **filters)
    return print_list(arguments, answer, columns, none)
