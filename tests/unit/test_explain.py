import re
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest

from controller.decision import Happening, Reason
from controller.explain import explain_event, explain_remediation
from controller.explain.reasons import again, because
from controller.explain.story import told
from controller.judge import Verdict
from controller.remediation import ActionReason, Cause, Phase

MODEL = "ml/salary-predictor"
NOON, LATER = "2026-03-01T12:00:00Z", "2026-03-02T12:00:00.25Z"

# reason, values as decide() gives them (times and lengths as the store keeps them), the sentence
REASONS: list[tuple[Reason, dict[str, Any], str]] = [
    (Reason.UNKNOWN_MODEL, {"model": "salary-predictor", "namespace": "ml"},
     ("no Model document for ml/salary-predictor is in force; without one nothing is acted on, unless the policy says "
     "`models: {unknown: act}`")),
    (Reason.UNKNOWN_MODEL, {"model": "salary-predictor", "candidates": ["ml", "hr"]},
     ("the event names the model salary-predictor without a namespace, and there is one in each of ml, hr; let the sender "
     "say `namespace`")),
    (Reason.STALE, {"why": "over", "ended": NOON}, "what it reported was over by 2026-03-01 12:00:00 UTC"),
    (Reason.STALE, {"why": "used_up", "ended": NOON},
     "a remediation that ended recovered at 2026-03-01 12:00:00 UTC has answered it already"),
    (Reason.STALE, {"why": "too_old", "last_seen": NOON, "age": "3d", "max_age": "48h"},
     "its condition was last seen 2026-03-01 12:00:00 UTC, 3d before; maxAge is 48h"),
    (Reason.STALE, {"why": "too_old"}, "it was older than the policy's maxAge when its turn came"),
    (Reason.STALE, {"why": "former_version", "version": "v5", "stable": "v6", "canary": "v7"},
     "it is about version v5; v6 serves, v7 as its canary"),
    (Reason.STALE, {"why": "former_version", "version": "v5", "stable": "v6", "canary": None},
     "it is about version v5; v6 serves"),
    (Reason.STALE, {"why": "replaced_reference", "reference": "2025", "active": "2026"},
     "it was measured against 2025; the reference now is 2026"),
    (Reason.STALE, {"why": "before_deployment", "window_start": NOON, "deployed_at": LATER, "serving": "v6"},
     "what it measured began 2026-03-01 12:00:00 UTC; v6 was deployed 2026-03-02 12:00:00 UTC"),
    (Reason.STALE, {"why": "policy_gone"}, "the policy that asked is no longer in force"),
    (Reason.TOO_FEW_SAMPLES, {"sample_count": 120, "min_samples": 500}, "it rests on 120 samples; minSamples is 500"),
    (Reason.TOO_FEW_SAMPLES, {"sample_count": None, "min_samples": 500},
     "the event does not say on how many samples it rests (sampleCount); minSamples is 500"),
    (Reason.UNCORROBORATED, {"missing": ["ml.performance.degraded"]},
     "nothing corroborates it: `require` asks for ml.performance.degraded of ml/salary-predictor, and none is there"),
    (Reason.ACCUMULATING, {"seen": 3, "at_least": 5, "within": "24h"},
     "3 of the 5 that are needed within 24h came so far, this event included"),
    (Reason.ACCUMULATING, {"since": NOON, "sustained": "30m"},
     "its condition is open since 2026-03-01 12:00:00 UTC; it must last 30m"),
    (Reason.ACCUMULATING, {"since": None, "sustained": "30m"}, "it opened no condition that could last 30m"),
    (Reason.CONDITION_ERROR, {"when": "data.value < 1", "error": "no such field: value"},
     "the expression `data.value < 1` could not be evaluated: no such field: value"),
    (Reason.CONDITION_FALSE, {"when": "data.driftScore > 0.5"}, "the event does not meet `data.driftScore > 0.5`"),
    (Reason.CONDITION_FALSE, {}, "no trigger of the policy is true for this event"),
    (Reason.WAITING, {"until": NOON, "wait": "5m"},
     "the policy waits 5m for what else may come, until 2026-03-01 12:00:00 UTC"),
    (Reason.INHIBITED, {"condition": "c-1", "type": "ml.data.quality.failed", "state": "open", "until": None},
     ("`unless` holds: ml.data.quality.failed (c-1) is open; what is measured meanwhile may be the broken data, not the "
     "model")),
    (Reason.INHIBITED, {"condition": "c-1", "type": "ml.data.quality.failed", "state": "ended", "until": NOON},
     ("`unless` holds: ml.data.quality.failed (c-1) is over, but holds until 2026-03-01 12:00:00 UTC; what is measured "
     "meanwhile may be the broken data, not the model")),
    (Reason.PAUSED, {"id": "p-1", "scope": "namespace", "until": None, "why": "migration"},
     "pause p-1 of this namespace holds until it is resumed (“migration”)"),
    (Reason.PAUSED, {"id": "p-1", "scope": "all", "until": NOON, "why": "migration"},
     "pause p-1 of everything holds until 2026-03-01 12:00:00 UTC (“migration”)"),
    (Reason.SILENCED, {"id": "s-2", "scope": "silence", "until": NOON, "why": "known"},
     "silence s-2 mutes it until 2026-03-01 12:00:00 UTC (“known”)"),
    (Reason.FROZEN, {"freeze": "ml/weekend", "until": NOON},
     "freeze ml/weekend is in force until 2026-03-01 12:00:00 UTC; till then models are only restored, and people paged"),
    (Reason.ACCUMULATING, {"seen": 2, "at_least": 3, "within": "3d", "every": "1d", "periods": ["2026-03-01", "2026-02-28"]},
     "2 of the 3 periods of 1d that are needed without a break came so far (2026-03-01, 2026-02-28)"),
    (Reason.ACCUMULATING, {"seen": 800, "at_least": 10_000, "within": "60d", "counted": "sum"},
     "the sum is 800 of the 10000 that are needed within 60d so far, this event's included"),
    (Reason.ACCUMULATING, {"seen": 2.5, "at_least": 1000.0, "within": "60d", "counted": "sum"},
     "the sum is 2.5 of the 1000 that are needed within 60d so far, this event's included"),
    (Reason.STALE, {"why": "done_since", "ended": NOON},
     "the model was trained, or deployed, at 2026-03-01 12:00:00 UTC: what was due is done"),
    (Reason.IN_PROGRESS, {"remediation": "r-abc", "until": None},
     "remediation r-abc of ml/salary-predictor is not over yet; the event is attached to it"),
    (Reason.IN_PROGRESS, {"remediation": "r-abc", "until": NOON},
     "audited remediation r-abc counts as running until 2026-03-01 12:00:00 UTC"),
    (Reason.BREAKER_OPEN, {"failures": 2, "limit": 2, "within": "14d"},
     ("the breaker is open: 2 remediations of ml/salary-predictor did not help (2 within 14d open it); a person closes it "
     "with `modelmend resume --policy … --model ml/salary-predictor`")),
    (Reason.BUDGET_EXHAUSTED, {"spent": 2, "max": 2, "within": "7d", "until": NOON},
     "2 of 2 remediations within 7d are spent; the next is free 2026-03-01 12:00:00 UTC"),
    (Reason.COOLDOWN, {"last_end": NOON, "cooldown": "24h", "until": LATER, "by": "deployment by others"},
     "a deployment by others came 2026-03-01 12:00:00 UTC; cooldown 24h lifts 2026-03-02 12:00:00 UTC"),
    (Reason.COOLDOWN, {"last_end": NOON, "cooldown": "24h", "until": LATER},
     ("the last changing remediation of ml/salary-predictor ended 2026-03-01 12:00:00 UTC; cooldown 24h lifts 2026-03-02 "
     "12:00:00 UTC")),
    (Reason.COOLDOWN, {"last_end": NOON, "cooldown": "1d", "until": LATER, "by": "asking"},
     ("people were asked, and at 2026-03-01 12:00:00 UTC it was a no, by word or for want of an answer; nobody is asked by "
     "this policy about ml/salary-predictor for 1d after that, until 2026-03-02 12:00:00 UTC")),
    (Reason.FLEET_LIMIT, {"active": 5, "limit": 5},
     "5 remediations are active in the whole installation; the fleet's limit is 5"),
    (Reason.SHARED_CAUSE, {"cause": "dataset=feast:t", "models": 7, "condition": "c-1", "until": NOON},
     ("7 models met the policy's triggers because of one dataset, feast:t: people were told once; it holds until "
     "2026-03-01 12:00:00 UTC, or until a person ends condition c-1")),
    (Reason.INHIBITED, {"condition": "c-1", "type": "ml.data.quality.failed", "state": "open", "dataset": "feast:t"},
     ("`unless` holds: ml.data.quality.failed of the dataset feast:t (c-1) is open; what is measured meanwhile may be the "
     "broken data, not the model")),
    (Reason.NO_POLICY_MATCHED, {"dataset": "feast:t", "models": 0}, "no model in force reads it"),
    (Reason.NO_POLICY_MATCHED, {"dataset": "feast:t", "models": 2, "woken": ["ml/retrain"]},
     ("2 models read it, and for none is a policy in force that such an event triggers (`models: {via: dataset}`); it woke "
     "the open question of ml/retrain")),
    (Reason.AUDIT, {"mode": "audit"},
     "every guard passed; the policy is in mode audit: what would be done is recorded, nothing is done"),
    (Reason.NO_POLICY_MATCHED, {"model": "salary-predictor", "namespace": "ml", "woken": ["ml/retrain"]},
     ("no policy in force selects ml/salary-predictor and has a trigger of this type; it woke the open question of "
     "ml/retrain")),
    (Reason.NO_POLICY_MATCHED, {"model": "salary-predictor", "labels": [
        {"remediation": "r-1", "called": "confirmed_worse"}, {"remediation": "r-2", "why_not": "it waits for labels of f1"}]},
     ("no policy in force selects ml/salary-predictor and has a trigger of this type; its labels had the last word on "
     "remediation r-1: they said that the model is worse; its labels say nothing of remediation r-2, which `confirm` holds "
     "open: it waits for labels of f1")),
    (Reason.INTERNAL_ERROR, {"error": "KeyError('x')"},
     "deciding it failed twice (KeyError('x')); the event is in quarantine"),
    (Reason.POISON, {"error": "killed"},
     "deciding it killed the process that tried; the event stays in quarantine until replayed"),
]  # fmt: skip


def test_a_sum_that_was_reached() -> None:
    """Of a sum the sum is told, and what was needed: not a number of events."""
    values = {"seen": 1200, "counted": "sum", "at_least": 1000.0, "within": "1h"}
    row = decision(outcome="remediate", reason=None, values=values, remediation="r-1")
    (answer,) = explain_event(EVENT, [row]).answers
    assert "the newest that were counted come to 1200, and 1000 are needed within 1h" in answer.sentence
    assert "events counted" not in answer.sentence


@pytest.mark.parametrize(
    ("state", "version", "note"),
    [
        ({}, None, None),
        ({}, "v6", "about version v6; what serves is not known"),
        ({"stable": "v5", "canary": "v6"}, "v6", "about version v6, the canary: v5 is stable, v6 is its canary"),
        ({"stable": "v5", "last_known_good": "v4"}, "v5", "about version v5, the stable one: v5 is stable, v4 is the last known good"),
        ({"stable": "v5"}, "v4", "about version v4, neither: v5 is stable"),
        ({"stable": "v5"}, None, "v5 is stable"),
        ({"stable": "v5", "unknown_since": NOON}, "v5", "about version v5; what serves is not known"),
    ],
)  # fmt: skip
def test_what_served_is_told(state: dict[str, Any], version: str | None, note: str | None) -> None:
    """The role of the event's version, and what served when it was decided last."""
    event = {"id": "e", "type": "t", "source": "s", "model": "m", "time": NOON, "receivedAt": NOON, "decidedAt": NOON}
    row = {"id": 1, "policy": "ml/p", "attempt": 1, "outcome": "remediate", "reason": None, "now": NOON, "values": {}}
    found = explain_event(
        event, [row | {"situation": {"state": state, "version": version}, "namespace": "ml", "model": "m"}]
    )
    assert list(found.notes[1:]) == ([note] if note else [])


@pytest.mark.parametrize(("reason", "values", "sentence"), REASONS)
def test_reason_sentence(reason: Reason, values: dict[str, Any], sentence: str) -> None:
    """Each reason is told in a plain sentence with the values that decided."""
    assert because(reason, values, MODEL) == sentence


def test_every_reason_is_tried() -> None:
    """The table above leaves no reason out."""
    assert {reason for reason, _, _ in REASONS} == set(Reason)


@pytest.mark.parametrize("reason", list(Reason))
def test_missing_values_do_not_raise(reason: Reason) -> None:
    """A decision of another release, whose values lack every key, is still explained."""
    assert because(reason, {}, MODEL)


def test_unknown_reason_shows_its_values() -> None:
    """A reason that this release does not know is told by its values."""
    assert because("moonlight", {"phase": "full"}, MODEL) == "phase full"


@pytest.mark.parametrize("happening", list(Happening))
def test_every_happening_has_words(happening: Happening) -> None:
    """What an open question waits for is told, whatever it is."""
    said = again(None, happening)
    assert said is not None
    assert said.startswith("it is asked again when ")


def test_time_and_happening_are_both_told() -> None:
    """A pause with an end lifts by itself or by a person."""
    assert again(NOON, "lifted") == "it is asked again 2026-03-01 12:00:00 UTC, or when a person lifts it"


# cause, from, to, step (after), values, sentence; the steps are retrain, recalibrate, page
STORY: list[tuple[Cause, str, str, int, dict[str, Any], str]] = [
    (Cause.DECIDED, "", "Pending", 0, {"decision": 4}, "decided; step 1 (retrain) comes first"),
    (Cause.DECIDED, "", "Pending", 1, {"decision": 4, "relapse_of": "r-1", "helped": NOON, "probation": "5m"},
     ("decided: a relapse: remediation r-1 had helped 2026-03-01 12:00:00 UTC, and a trigger became true again within its "
     "probation of 5m; step 2 (recalibrate) comes next, behind the one that helped")),
    (Cause.DECIDED, "", "Pending", 2,
     {"decision": 4, "relapse_of": "r-1", "helped": NOON, "probation": "5m", "no_step_left": True},
     ("decided: a relapse: remediation r-1 had helped 2026-03-01 12:00:00 UTC, and a trigger became true again within its "
     "probation of 5m; no step is left behind the one that helped, so people are told")),
    (Cause.AUDITED, "", "Audited", 0, {}, "recorded only: the policy is in mode audit, nothing was done"),
    (Cause.STARTED, "Pending", "Running", 0, {}, "step 1 (retrain) started"),
    (Cause.HELD, "Pending", "Pending", 1, {"held": "paused", "id": "p-1", "scope": "all", "until": None, "why": "stop"},
     "step 2 (recalibrate) is held: paused: pause p-1 of everything holds until it is resumed (“stop”)"),
    (Cause.HELD, "Pending", "Cancelled", 1, {"held": "paused", "id": "p-1", "scope": "all", "until": None, "why": "stop"},
     ("step 2 (recalibrate) was held until its time was up, so it was given up and people were told; paused: pause p-1 "
     "of everything holds until it is resumed (“stop”)")),
    (Cause.ACTION_DONE, "Running", "Verifying", 0, {"message": "exit 0", "outputs": {}},
     "the action of step 1 (retrain) is done: exit 0; whether it helped is verified next"),
    (Cause.ACTION_FAILED, "Running", "Pending", 1, {"message": "exit 3"},
     "the action of step 1 (retrain) failed: exit 3; step 2 (recalibrate) is next"),
    (Cause.ACTION_FAILED, "Running", "Failed", 1, {"message": "exit 3"},
     "the action of step 2 (recalibrate) failed: exit 3; no step is left"),
    (Cause.ACTION_UNKNOWN, "Running", "Escalated", 0, {"message": "cut off"},
     "what became of the action of step 1 (retrain) is not known: cut off; it stopped there and people were told"),
    (Cause.RUN_AGAIN, "Running", "Pending", 0, {"message": "cut off"},
     "the action of step 1 (retrain) was cut off: cut off; the policy calls it idempotent, so it is run again"),
    (Cause.TIMED_OUT, "Running", "Stopping", 0, {"deadline": NOON},
     "the action of step 1 (retrain) ran longer than its timeout (until 2026-03-01 12:00:00 UTC); it is being stopped"),
    (Cause.STOPPED, "Stopping", "Pending", 1, {"message": "killed"},
     "the action of step 1 (retrain) was seen to stop: killed; step 2 (recalibrate) is next"),
    (Cause.VERIFIED, "Verifying", "Verifying", 0, {"quiet_since": NOON, "quiet": "30m"},
     "one verification of step 1 (retrain) is passed (quiet for 30m since 2026-03-01 12:00:00 UTC); the next begins"),
    (Cause.RECOVERED, "Verifying", "Succeeded", 0, {"since": NOON, "samples": 4, "message": "mae 41"},
     "step 1 (retrain) helped, and that is verified (so since 2026-03-01 12:00:00 UTC; 4 samples; mae 41)"),
    (Cause.RECOVERED, "Verifying", "Succeeded", 0, {"over_since": NOON, "conditions": ["c-1", "c-2"]},
     "step 1 (retrain) helped, and that is verified (over since 2026-03-01 12:00:00 UTC: c-1, c-2)"),
    (Cause.UNVERIFIED, "Running", "Succeeded", 0, {"message": ""},
     "the action of step 1 (retrain) is done; the policy asks for no proof, so there is none"),
    (Cause.UNCHANGED, "Verifying", "Pending", 1, {"samples": 3, "told": 3, "message": "mae 99"},
     "step 1 (retrain) did not help (3 samples; mae 99); step 2 (recalibrate) is next"),
    (Cause.UNCHANGED, "Verifying", "Failed", 1, {"open": ["c-1"], "ended_before_action": [], "renewed": ["c-1"]},
     "step 2 (recalibrate) did not help (still open: c-1; renewed since: c-1); no step is left"),
    (Cause.WORSE, "Verifying", "Escalated", 0, {"samples": 2},
     "after step 1 (retrain) the model is worse (2 samples); it stopped there and people were told"),
    (Cause.WORSE, "Verifying", "Escalated", 0, {"samples": 2, "not_restored": "why"},
     "after step 1 (retrain) the model is worse (2 samples); what served before is not brought back: why; it stopped there and people were told"),
    (Cause.WORSE, "Verifying", "Pending", 3, {"samples": 2, "restores": "v4"},
     "the model became worse (2 samples); version v4 is brought back"),
    (Cause.PROVISIONAL, "Verifying", "Succeeded", 0, {"samples": 3, "metric": "f1", "until": NOON},
     "step 1 (retrain) helped by early signs (3 samples); labels of f1 have the last word, until 2026-03-01 12:00:00 UTC"),
    (Cause.CONFIRMED, "Succeeded", "Succeeded", 0, {"metric": "f1", "event": "e1"},
     "labels of f1 confirm that step 1 (retrain) helped (event e1)"),
    (Cause.CONFIRMED_WORSE, "Succeeded", "Succeeded", 0, {"metric": "f1", "event": "e1", "restores": "v4"},
     "labels of f1 say that the model is worse (event e1); version v4 is brought back; people were told"),
    (Cause.CONFIRMED_WORSE, "Succeeded", "Succeeded", 0, {"metric": "f1", "event": "e1", "not_restored": "why"},
     "labels of f1 say that the model is worse (event e1); nothing is brought back: why; people were told"),
    (Cause.UNCONFIRMED, "Succeeded", "Succeeded", 0, {"until": NOON},
     "no labels came until 2026-03-01 12:00:00 UTC: whether step 1 (retrain) helped is unknown; people were told"),
    (Cause.RELAPSED, "Succeeded", "Succeeded", 0, {"event": "e1"},
     "its trigger became true again within its probation (event e1); the breaker counts it"),
    (Cause.RESTORED, "Verifying", "Escalated", 3, {"samples": 1},
     "what served before serves again, and that is verified (1 samples); people were told"),
    (Cause.NOT_RESTORED, "Running", "Escalated", 3, {"version": "v4", "message": "no right"},
     "VERSION v4 COULD NOT BE BROUGHT BACK, or nobody saw it: no right; people were told to look now"),
    (Cause.UNKNOWN, "Verifying", "Escalated", 0, {"met": 0, "sign_of_life": False},
     ("whether step 1 (retrain) helped could not be seen (its source gave no sign of life); it stopped there and people "
     "were told")),
    (Cause.PAGED, "Pending", "Escalated", 2, {}, "step 3 (page): people were told"),
    (Cause.SUPERSEDED, "Running", "Cancelled", 0, {"message": "the event is about v6, the newest is v7", "reason": "other_revision"},
     ("nothing was touched by step 1 (retrain): what the event was about has been replaced: "
     "the event is about v6, the newest is v7")),
    (Cause.NOT_DEGRADED, "Pending", "Cancelled", 0, {"before": 0.95, "recovered": "value >= 0.92"},
     "nothing was started: it was 0.95 before step 1 (retrain), so `value >= 0.92` holds already"),
    (Cause.OVER, "Pending", "Cancelled", 0, {"why": "over", "ended": NOON},
     "step 1 (retrain) was not started: what it reported was over by 2026-03-01 12:00:00 UTC"),
    (Cause.AWAITING, "Pending", "AwaitingApproval", 0, {"until": NOON},
     "a person is asked before step 1 (retrain), until 2026-03-01 12:00:00 UTC"),
    (Cause.APPROVED, "AwaitingApproval", "Pending", 0, {"who": "ada", "why": "go"},
     "step 1 (retrain) was approved by ada (“go”); what may hold it is asked again"),
    (Cause.REJECTED, "AwaitingApproval", "Cancelled", 0, {"who": "ada", "why": "no"},
     "step 1 (retrain) was rejected by ada (“no”); nothing more is done"),
    (Cause.EXPIRED, "AwaitingApproval", "Cancelled", 0, {"until": NOON},
     "nobody answered until 2026-03-01 12:00:00 UTC whether step 1 (retrain) may start, and that is a no"),
    (Cause.DECIDED, "", "Pending", 0, {"decision": 4, "waits_for": "r-1"},
     "decided; step 1 (retrain) comes first, once remediation r-1 has been stopped for it"),
    (Cause.WAITS, "Pending", "Pending", 0, {"remediation": "r-1"}, "it waits for remediation r-1 to stop"),
    (Cause.TOOK_OVER, "Pending", "Pending", 0, {"remediation": "r-1"},
     "it took the model over from remediation r-1; step 1 (retrain) comes first"),
    (Cause.PREEMPTED, "Running", "Stopping", 0, {"by": "r-1"},
     "the urgent remediation r-1 wants the model; the action of step 1 (retrain) is being stopped"),
    (Cause.PREEMPTED, "Stopping", "Cancelled", 0, {"message": "killed"},
     "the action of step 1 (retrain) was seen to stop: killed; an urgent remediation goes on with the model"),
    (Cause.PREEMPTED, "Verifying", "Cancelled", 0, {"by": "r-1"},
     "the urgent remediation r-1 took the model over"),
    (Cause.CANCELLED, "Running", "Stopping", 0, {"who": "ada", "why": "wrong data"},
     "cancelled by ada (“wrong data”); the action of step 1 (retrain) is being stopped"),
    (Cause.CANCELLED, "Stopping", "Cancelled", 0, {"message": "killed"},
     "the action of step 1 (retrain) was seen to stop: killed"),
    (Cause.CANCELLED, "Pending", "Cancelled", 0, {"who": "ada", "why": "wrong data"}, "cancelled by ada (“wrong data”)"),
]  # fmt: skip


@pytest.mark.parametrize(("cause", "before", "after", "step", "values", "sentence"), STORY)
def test_transition_sentence(
    cause: Cause, before: str, after: str, step: int, values: dict[str, Any], sentence: str
) -> None:
    """Each transition is told in a plain sentence that names the step and what was seen."""
    row = {"from": before, "to": after, "reason": cause, "step": step, "values": values, "now": NOON}
    assert told(row, ["retrain", "recalibrate", "page"], MODEL) == sentence


def test_every_cause_is_tried() -> None:
    """The table above leaves no cause out."""
    assert {cause for cause, *_ in STORY} == set(Cause)


EVENT = {
    "seq": 7, "id": "drift-99201", "type": "ml.data.drift.detected", "source": "urn:drift-detector",
    "namespace": None, "model": "salary-predictor", "about": "feature=salary;kind=data", "time": NOON,
    "timeMarked": False, "receivedAt": NOON, "seen": 1, "conflicts": 0, "lastSeenAt": NOON, "decidedAt": NOON,
}  # fmt: skip


def decision(**changes: Any) -> dict[str, Any]:
    """A decision row as the JSON API lists it."""
    row = {
        "id": 1, "event": 7, "policy": "ml/retrain", "namespace": "ml", "model": "salary-predictor", "attempt": 1,
        "outcome": "suppress", "reason": "cooldown", "trigger": "psi", "now": NOON, "remediation": None,
        "values": {"last_end": NOON, "cooldown": "24h", "until": LATER},
    }  # fmt: skip
    return row | changes


REMEDIATION = {
    "id": "r-abcdefgh2345", "decision": 2, "event": 7, "namespace": "ml", "model": "salary-predictor",
    "policy": "ml/retrain", "phase": "Succeeded", "verdict": "recovered", "endedAt": LATER, "phaseSince": LATER,
    "steps": ["retrain"],
    "transitions": [
        {"from": "", "to": "Pending", "reason": "decided", "step": 0, "values": {}, "now": NOON},
        {"from": "Pending", "to": "Running", "reason": "started", "step": 0, "values": {}, "now": NOON},
    ],
}  # fmt: skip


def test_refusal_that_may_lift() -> None:
    """A refusal is told with its reason, its values, when it is asked again and what it was refused for before."""
    waiting = decision(reason="waiting", values={"until": NOON, "wait": "5m"})
    question = {"decision": 2, "retryAt": LATER, "retryOn": None}
    explained = explain_event(EVENT, [decision(id=2, attempt=2), waiting], questions=[question])
    assert explained.lines == (
        (
            "event drift-99201: ml.data.drift.detected from urn:drift-detector about salary-predictor (feature=salary, "
            "kind=data)"
        ),
        "  happened 2026-03-01 12:00:00 UTC, received 2026-03-01 12:00:00 UTC",
        (
            "policy ml/retrain: not now: cooldown: the last changing remediation of ml/salary-predictor ended 2026-03-01 "
            "12:00:00 UTC; cooldown 24h lifts 2026-03-02 12:00:00 UTC; it is asked again 2026-03-02 12:00:00 UTC; asked 2 "
            "times, before: waiting"
        ),
    )


def test_question_of_an_earlier_attempt_promises_nothing() -> None:
    """What another decision asks again is not told of this one."""
    explained = explain_event(EVENT, [decision()], questions=[{"decision": 99, "retryAt": LATER, "retryOn": None}])
    assert explained.answers[0].again is None


def test_act_is_told_with_its_story() -> None:
    """An act names what was true, what corroborated it, and the remediation, whose story follows."""
    values = {"corroborated_by": ["c-1"], "seen": 5, "since": NOON}
    acted = decision(id=2, outcome="remediate", reason=None, values=values, remediation=REMEDIATION["id"])
    explained = explain_event(EVENT, [acted], [REMEDIATION])
    assert explained.lines[2:] == (
        (
            "policy ml/retrain: acted: trigger psi was true and no guard refused; 5 events counted; its condition is open "
            "since 2026-03-01 12:00:00 UTC; corroborated by c-1; remediation r-abcdefgh2345 at 2026-03-01 12:00:00 UTC"
        ),
        "remediation r-abcdefgh2345: it succeeded 2026-03-02 12:00:00 UTC, verdict recovered",
        "  2026-03-01 12:00:00 UTC  decided; step 1 (retrain) comes first",
        "  2026-03-01 12:00:00 UTC  step 1 (retrain) started",
    )


def test_event_notes() -> None:
    """Duplicates, differing deliveries, a clock ahead and the state of its condition are told."""
    event = EVENT | {"seen": 3, "conflicts": 1, "timeMarked": True, "decidedAt": None}
    condition = {"id": "c-1", "state": "over", "since": NOON, "ended": LATER, "endedBy": "event:drift-7"}
    assert explain_event(event, [], conditions=[condition]).notes == (
        (
            "happened 2026-03-01 12:00:00 UTC, which lay ahead of our clock: the time of receipt is taken, received "
            "2026-03-01 12:00:00 UTC"
        ),
        "delivered 3 times, last 2026-03-01 12:00:00 UTC",
        "1 deliveries under the same source and id said something else; the first stays",
        "condition c-1 is over: since 2026-03-01 12:00:00 UTC, ended 2026-03-02 12:00:00 UTC by event drift-7",
        "it is not decided yet",
    )


def test_event_that_no_policy_was_asked_about() -> None:
    """An event that no policy matched says so, and one that could not be decided says why."""
    unmatched = decision(policy="", outcome="none", reason="no_policy_matched", values={})
    broken = decision(policy="", reason="internal_error", values={"error": "boom"})
    assert explain_event(EVENT, [unmatched]).lines[-1].startswith("no policy was asked: no policy in force selects")
    assert (
        explain_event(EVENT, [broken]).lines[-1].startswith("no policy was asked: internal_error: deciding it failed")
    )


def test_remediation_is_explained_by_its_own_decision() -> None:
    """Of several decisions the one that started it is told, and the event that it answers."""
    own = decision(id=2, outcome="remediate", reason=None, values={}, remediation=REMEDIATION["id"])
    attached = decision(id=3, reason="in_progress", remediation=REMEDIATION["id"])
    explained = explain_remediation(REMEDIATION, EVENT, [own, attached])
    assert [answer.outcome for answer in explained.answers] == ["remediate"]
    assert explained.notes[0].startswith("answers event drift-99201")


def test_remediation_whose_event_was_purged() -> None:
    """Retention may have taken the event; the remediation is explained all the same."""
    assert "no longer kept" in explain_remediation(REMEDIATION, None).notes[0]


def test_remediation_that_is_held() -> None:
    """What is not over says its phase, and what holds it."""
    held = REMEDIATION | {"phase": "Pending", "holdReason": "paused", "holdUntil": LATER, "continues": "r-old"}
    explained = explain_remediation(held, EVENT)
    assert explained.notes[1:] == ("continues r-old", "held now: paused, at most until 2026-03-02 12:00:00 UTC")
    assert explained.stories[0].sentence == "remediation r-abcdefgh2345 is Pending since 2026-03-02 12:00:00 UTC"


def test_json_holds_the_same() -> None:
    """The JSON holds what the lines say, and the values as they were."""
    told_as_json = explain_event(EVENT, [decision()]).as_dict()
    assert told_as_json["answers"][0]["values"] == {"last_end": NOON, "cooldown": "24h", "until": LATER}
    assert told_as_json["lines"][0] == told_as_json["headline"]


DOCUMENT = Path(__file__).parents[2] / "docs" / "reasons.md"


def documented(heading: str) -> dict[str, str]:
    """The rows of the first table below a heading: first cell → the whole row."""
    section = DOCUMENT.read_text(encoding="utf-8").split(f"| {heading} |", 1)[1].split("\n\n", 1)[0]
    return dict(re.findall(r"^\| `(\w+)` (\|.*)$", section, re.MULTILINE))


def test_every_reason_is_documented_with_its_values() -> None:
    """docs/reasons.md has each reason, in the order of the guards, with the keys of its values."""
    rows = documented("reason")
    assert list(rows) == [str(reason) for reason in Reason]
    for reason, values, _ in REASONS:
        assert [key for key in values if f"`{key}`" not in rows[reason]] == [], reason


@pytest.mark.parametrize(
    ("heading", "words"),
    [("cause", Cause), ("action reason", ActionReason), ("phase", Phase), ("verdict", Verdict)],
)
def test_every_word_of_a_remediation_is_documented(heading: str, words: type[StrEnum]) -> None:
    """docs/reasons.md has each cause, phase and verdict."""
    assert set(documented(heading)) == set(words)
