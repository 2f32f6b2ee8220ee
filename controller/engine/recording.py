"""Recording what the outside world answered: the end of an action, a sample of a verification."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from controller.engine.learning import learn_trained
from controller.engine.moving import give
from controller.engine.rules import Rules
from controller.remediation import Acted, Intent, Phase, Remediation, Transition
from controller.store import remediations
from controller.store.leader import Turn
from controller.store.ledger import Ledger
from controller.verify import Sample


def record_action(turn: Turn, rules: Rules, intent: Intent, acted: Acted) -> Transition | None:
    """Write how an action ended, and move its remediation; None where that has gone on without it."""
    remediation = remediations.read(turn.conn, intent.remediation_id)
    if remediation is None or not remediations.is_open(turn.conn, intent):  # an end may be seen twice
        return None
    input_seq = turn.input("observation", remediation.id)
    value = {"state": acted.state, "message": acted.message, "outputs": acted.outputs}
    value |= {"reason": acted.reason} if acted.reason else {}
    remediations.observe(turn, remediation, input_seq, value, at=turn.now, intent=intent)
    remediations.finished(turn, intent, acted)
    if acted.state == "done":
        ledger = Ledger(turn)
        ledger.load([(remediation.namespace, remediation.model)])
        learn_trained(ledger, rules, remediation, acted.outputs)
        ledger.flush()
    if (remediation.step, remediation.attempt) != (intent.step, intent.attempt):
        return None
    if remediation.phase not in (Phase.RUNNING, Phase.STOPPING):
        return None
    return give(turn, rules, remediation, acted, input_seq)


def record_sample(turn: Turn, asked: Remediation, sample: Sample) -> None:
    """Write a sample of the verification for which it was `asked`, and have the remediation looked at."""
    remediation = remediations.read(turn.conn, asked.id)
    if remediation is None or remediation.version != asked.version:
        return
    input_seq = turn.input("observation", remediation.id)
    value: dict[str, Any] = {"state": sample.state, "message": sample.message}
    value |= {"numbers": dict(sample.numbers)} if sample.numbers else {}
    value |= {"first": True} if remediation.phase is Phase.PENDING else {}  # how it was before anything was done
    about = replace(remediation, verify_index=asked.verify_index)
    remediations.observe(turn, about, input_seq, value, at=sample.at or turn.now, intent=None)
    remediations.look_again(turn, [remediation.id], turn.now)
