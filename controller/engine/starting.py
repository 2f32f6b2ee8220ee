"""What work there is in the world, found in the store: actions to start, to stop, and what a crash cut off."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from controller import actions
from controller.actions import made
from controller.engine.before import next_before
from controller.engine.following import Following, created_kind
from controller.engine.working import ActionEnded, Workers
from controller.remediation import IN_CLUSTER, Acted, Intent, Phase, Remediation
from controller.store import remediations
from controller.store.database import Database
from controller.store.leader import Leadership, Turn
from controller.store.ledger import Ledger
from controller.store.plain import plain
from controller.store.undecided import one


def context(conn: Connection, r: Remediation) -> dict[str, Any]:
    """What an action or a verifying command is told beside its own parameters; `stdin` is the decision."""
    stored = one(conn, r.event_seq)
    event = stored.event if stored else None
    model = remediations.model_of(conn, r.model_digest, r.namespace, r.model)
    told = {
        "remediation": r.id,
        "policy": f"{r.policy_ns}/{r.policy}",
        "trigger": r.trigger,
        "severity": r.severity,
        "step": r.rung.name,
        "attempt": r.attempt,
        "actionEnded": plain(r.action_ended),
        "model": {
            "namespace": model.namespace,
            "name": model.name,
            "labels": dict(model.labels),
            "baseline": dict(model.baseline),
        },
        "event": {
            "source": event.source,
            "id": event.id,
            "type": event.type,
            "subject": event.subject,
            "time": plain(event.time),
            "data": event.data,
        }
        if event
        else None,
    }
    trace = event.extensions.get("traceparent") if event else None
    extra: dict[str, Any] = {"stdin": told, "model": f"{r.namespace}/{r.model}"}
    return extra | {"traceparent": trace} if trace else extra


def asked_about(turn: Turn, r: Remediation) -> Remediation:
    """The remediation, standing on the verification that a sample is wanted of, also where its rung has not begun."""
    return replace(r, verify_index=next_before(turn.conn, r, turn.now)) if r.phase is Phase.PENDING else r


def sample_context(turn: Turn, r: Remediation) -> dict[str, Any]:
    """The same for a verification: beside it, what the action reported, and what it was where it was a rollout."""
    conn, acted = turn.conn, r.parameters[r.step]
    rollout = acted["action"] if acted["kind"] == "rollout" else None
    told = context(conn, r) | {"outputs": remediations.outputs(conn, r), "rollout": rollout}
    kind = acted["verify"][r.verify_index]["kind"]
    if kind == "query":
        return told | _measured_against(turn, r, told)
    return told | _run(turn, r, told) if kind == "analysis" else told


def _run(turn: Turn, r: Remediation, told: dict[str, Any]) -> dict[str, Any]:
    """The metadata of an AnalysisRun, as of all that we make, and whether it was seen before."""
    name = f"{r.key}-v{r.verify_index}"
    intent = Intent(0, r.id, r.step, r.attempt, "analysis", name, told)
    seen = any(sample.state == "unchanged" for sample in remediations.samples(turn.conn, r))
    return {"run": made.metadata(intent), "begun": seen}


def _measured_against(turn: Turn, r: Remediation, told: dict[str, Any]) -> dict[str, Any]:
    """What a query is asked for: which versions, at which times, and what is known of `before`."""
    version = told["outputs"].get("version") or (told["rollout"] or {}).get("to")
    pending, serving = r.phase is Phase.PENDING, _serving(turn, r)
    known = [sample.numbers["before"] for sample in remediations.samples(turn.conn, r) if "before" in sample.numbers]
    return {
        "now": turn.now.isoformat(),
        "only": "before" if pending else None,
        "stepBegan": (turn.now if pending else remediations.step_began(turn.conn, r)).isoformat(),
        "version": str(version) if version else None,
        "versionBefore": serving if pending else r.version_before,
        "versionStable": serving,
        "before": known[0] if known and not pending else None,
    }


def _serving(turn: Turn, r: Remediation) -> str | None:
    """The version that serves everything now, as far as is known."""
    ledger, key = Ledger(turn), (r.namespace, r.model)
    ledger.load([key])
    return ledger.state(key).serving


def catch_up(db: Database, workers: Workers, following: Following) -> None:
    """Start what is intended and not in hand, stop what is to stop: from the store, so nothing between is lost."""
    with db.read() as conn:
        for intent_id, phase in remediations.intents_to_begin_or_stop(conn):
            in_hand = workers.has(intent_id)
            if in_hand and phase == Phase.STOPPING:
                workers.cancel(intent_id)
            elif not in_hand and not workers.has(("halt", intent_id)):
                intent, remediation = remediations.with_remediation(conn, intent_id)
                # Before it is begun: its end is seen also where nobody could record that it was begun.
                if kind := created_kind(intent):
                    following.follow(kind, remediation.namespace)
                _hand_over(conn, workers, intent, remediation)


def _hand_over(conn: Connection, workers: Workers, intent: Intent, r: Remediation) -> None:
    if r.phase is Phase.RUNNING:
        workers.act(intent, context(conn, r))
    elif intent.action in IN_CLUSTER:
        workers.halt(intent, context(conn, r))
    elif intent.first_tried_at is None:
        workers.report(ActionEnded(intent, Acted("stopped", "never begun")))


def cut_off(leadership: Leadership) -> list[ActionEnded]:
    """Commands that an earlier process had begun: killed if they still run, their fate unknown.

    What was intended and never begun, and requests (sent again under their key), simply start; what
    was begun in the cluster goes on there.
    """
    with leadership.db.read() as conn:
        intents = remediations.open_intents(conn)
        found = [(intent, remediations.read(conn, intent.remediation_id)) for intent in intents]
    ended = []
    for intent, remediation in found:
        if intent.action in IN_CLUSTER:
            continue
        if intent.action == "command" and intent.first_tried_at is not None:
            killed = actions.orphan(intent)
            message = "cut off by a restart" + (": its process was still running and was killed" if killed else "")
            stopped = killed and remediation is not None and remediation.phase is Phase.STOPPING
            ended.append(ActionEnded(intent, Acted("stopped" if stopped else "unknown", message)))
        elif remediation is not None and remediation.phase is Phase.STOPPING:
            never = Acted("stopped", "never begun")
            cut = Acted("unknown", "cut off by a restart while it was being stopped")
            ended.append(ActionEnded(intent, never if intent.first_tried_at is None else cut))
    with leadership.transaction() as turn:
        active = remediations.verifying(turn.conn)
        remediations.look_again(turn, active, turn.now)
    return ended
