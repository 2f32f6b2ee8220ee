"""Bringing a policy set into force: a row, and questions that it may answer."""

from __future__ import annotations

from controller.decision import Reason
from controller.engine.dating import keep_dates
from controller.engine.rules import Rules
from controller.store import policy_sets, questions, remediations, states
from controller.store.leader import Turn
from controller.store.ledger import Ledger


def bring_into_force(turn: Turn, rules: Rules, refused: tuple[str, ...]) -> None:
    """Write the set of `rules`, where it is not in force already; ask what a changed text or limit may lift.

    :param refused: messages about documents that are not in the set, or not as they stand in their files.
    """
    before = policy_sets.current(turn.conn)
    if before is None or (before.digest, before.refused) != (rules.policies.digest, refused):
        questions.ask_about(turn, policy_sets.put(turn, rules.policies, refused))
        keep_dates(turn, rules.policies)
        # A freeze may have been lifted, or moved; and people are asked about one text.
        questions.ask_lifted(turn, (Reason.FROZEN,))
        waiting = (*remediations.waiting_to_start(turn.conn), *remediations.waiting_for_people(turn.conn))
        remediations.look_again(turn, waiting, turn.now)
        states.ask_all(turn)
    questions.ask_for_fleet(turn, rules.fleet_limit - Ledger(turn).fleet_active)
