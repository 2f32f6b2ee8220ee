"""What is told outside when a remediation moves: outcome events to sinks, pages to people.

Rows of the outbox, written in the transaction of the transition that they tell of; each
has a key that depends on nothing but remediation, version and receiver, so that a receiver
can drop what it was told twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from controller.engine.rules import Rules
from controller.events.event import Event
from controller.remediation import Cause, Phase, Remediation
from controller.store import remediations
from controller.store.leader import Turn
from controller.store.outbox_rows import Note, enqueue
from controller.store.plain import plain

CLOUDEVENTS = "cloudevents"


def notify(
    turn: Turn,
    rules: Rules,
    remediation: Remediation,
    values: Mapping[str, Any],
    *,
    page: str | None = None,
) -> None:
    """Write the outbox rows of one transition: to every sink, and to `page` if somebody is to be paged."""
    told = [name for name, kind in sorted(rules.receivers.items()) if kind == CLOUDEVENTS]
    body = _body(turn, remediation, values)
    if rules.public_url:
        body["data"]["link"] = f"{rules.public_url}/remediations/{remediation.id}"
    rows = [_row(turn, remediation, name, body) for name in told if name != page]
    if page is not None:  # without such a receiver the row ends among the dead letters, for people to find
        rows.append(
            _row(
                turn,
                remediation,
                page,
                body
                | {"page": True, "summary": _summary(remediation, _case(turn, remediation), body["data"].get("link"))},
            )
        )
    if rows:
        enqueue(turn.conn, rows)


def notify_fleet(turn: Turn, receivers: Mapping[str, str], event: Event) -> None:
    """Tell every sink, and page once, that many models have one cause; for an event that no policy answers."""
    page = str(event.data.get("receiver") or "default")
    told = {"time": plain(event.time), "subject": f"{event.namespace}/{event.model}", "data": plain(event.data)}
    body = {"type": event.type, **told}
    sinks = [name for name, kind in sorted(receivers.items()) if kind == CLOUDEVENTS and name != page]
    notes = [Note(f"{event.id}-{name}", event.id, 0, name, body, turn.now) for name in sinks]
    paged = body | {"page": True, "summary": _fleet_summary(event)}
    enqueue(turn.conn, [*notes, Note(f"{event.id}-{page}", event.id, 0, page, paged, turn.now)])


def _fleet_summary(event: Event) -> str:
    data = event.data
    models = f"{float(data.get('count') or 0):.0f} models"
    cause = f"{data.get('by')} {data.get('name')}"
    return (
        f"[{data.get('severity')}] {models}: policy {data.get('policy')}: one cause, {cause}; nothing is done for them"
    )


def _row(turn: Turn, remediation: Remediation, receiver: str, body: dict[str, Any]) -> Note:
    key = f"{remediation.id}-{remediation.version}-{receiver}"
    return Note(key, remediation.id, remediation.version, receiver, body, turn.now)


def _body(turn: Turn, remediation: Remediation, values: Mapping[str, Any]) -> dict[str, Any]:
    step = remediation.steps[remediation.step].name if remediation.steps else None
    return {
        "type": f"modelmend.remediation.{remediation.phase.lower()}",
        "time": plain(turn.now),
        "subject": f"{remediation.namespace}/{remediation.model}",
        "data": {
            "remediation": remediation.id,
            "namespace": remediation.namespace,
            "model": remediation.model,
            "policy": f"{remediation.policy_ns}/{remediation.policy}",
            "severity": remediation.severity,
            "mode": remediation.mode,
            "phase": str(remediation.phase),
            "reason": str(remediation.reason),
            "verdict": str(remediation.verdict),
            "step": step,
            "trigger": remediation.trigger,
            "values": plain(dict(values)),
        },
    }


def _case(turn: Turn, remediation: Remediation) -> str:
    """What is to be known of a relapse: that it is one, and of what."""
    before = remediations.read(turn.conn, remediation.continues) if remediation.continues else None
    if before is None or before.reason is not Cause.RELAPSED:
        return ""
    return f"relapse, {before.id} had helped {plain(before.ended_at)}: "


def _summary(remediation: Remediation, case: str, link: str | None) -> str:
    """One line for a person at night."""
    model = f"{remediation.namespace}/{remediation.model}"
    step = remediation.steps[remediation.step].name
    until = plain(remediation.approval_expires)
    endings = {
        Phase.AWAITING_APPROVAL: f"may step {step!r} start? without an answer by {until} it is a no",
        Phase.ESCALATED: f"step {step!r}: {remediation.reason.replace('_', ' ')}; a person is needed",
        Phase.CANCELLED: f"step {step!r} was held for too long and given up",
    }
    ending = endings.get(remediation.phase, str(remediation.phase))
    told = f"[{remediation.severity}] {model}: policy {remediation.policy}: {case}{ending}"
    return f"{told}: {link}" if link else told
