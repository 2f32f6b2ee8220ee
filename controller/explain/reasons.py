"""One sentence for each reason of `decision.Reason`, with the values that decided.

The values are those that `decide()` gave, as `store.plain` keeps them: times are
RFC 3339 text, lengths as policies write them. A key that is not there is said so or left out, never guessed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from controller.decision import Happening, Reason

Row = Mapping[str, Any]


def when(moment: Any) -> str:
    """A time as people read it: `2026-03-01 12:00:05 UTC`; `at an unknown time` where there is none."""
    if not isinstance(moment, str) or len(moment) < 19:
        return "at an unknown time"
    return f"{moment[:10]} {moment[11:19]} UTC"


def length(value: Any) -> str:
    """A duration as policies write it; `an unknown time` where there is none."""
    return value if isinstance(value, str) else "an unknown time"


def roughly(value: Any) -> str:
    """A duration to its two largest units, as people say an age: `667d2h12m5s` is `667d2h`."""
    return "".join(re.findall(r"\d+[a-z]+", length(value))[:2]) or length(value)


def amount(value: Any) -> str:
    """A count or a sum: `1000`, and not `1000.0`."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def listed(items: Any) -> str:
    """Several names in a row, by commas."""
    return ", ".join(str(item) for item in items) if isinstance(items, list | tuple) else str(items)


def relapse(values: Row) -> str:
    """What a decision relapses from; '': it is a case of its own."""
    if not values.get("relapse_of"):
        return ""
    return (
        f"a relapse: remediation {values['relapse_of']} had helped {when(values.get('helped'))}, and a trigger "
        f"became true again within its probation of {length(values.get('probation'))}"
    )


# ── reasons ─────────────────────────────────────────────────────────────────────────────────────
# Each takes the decision's values and, as `about`, the model (`namespace/name`), and completes
# "policy ml/retrain: not now: cooldown: …".

Sentence = Callable[[Row], str]


def _unknown_model(values: Row) -> str:
    name = values.get("model") or values["about"]
    if candidates := values.get("candidates"):
        return (
            f"the event names the model {name} without a namespace, and there is one in each of "
            f"{listed(candidates)}; let the sender say `namespace`"
        )
    return (
        f"no Model document for {values.get('namespace', '')}/{name} is in force; without one nothing is acted on, "
        f"unless the policy says `models: {{unknown: act}}`"
    )


_OF_POLICIES = {
    "policy_gone": "the policy that asked is no longer in force",
    "policy_changed": "the policy's text was changed meanwhile, and what was decided, or asked, was by one text",
}


def _stale(values: Row) -> str:
    match values.get("why"):
        case "over":
            return f"what it reported was over by {when(values.get('ended'))}"
        case "used_up":
            return f"a remediation that ended recovered at {when(values.get('ended'))} has answered it already"
        case "too_old" if values.get("age") is not None:
            return (
                f"its condition was last seen {when(values.get('last_seen'))}, {roughly(values['age'])} before; "
                f"maxAge is {length(values.get('max_age'))}"
            )
        case "too_old":
            return "it was older than the policy's maxAge when its turn came"
        case "done_since":
            return f"the model was trained, or deployed, at {when(values.get('ended'))}: what was due is done"
        case "former_version":
            serving = f"{values.get('stable')} serves"
            beside = f", {values['canary']} as its canary" if values.get("canary") else ""
            return f"it is about version {values.get('version')}; {serving}{beside}"
        case "replaced_reference":
            return f"it was measured against {values.get('reference')}; the reference now is {values.get('active')}"
        case "before_deployment":
            return (
                f"what it measured began {when(values.get('window_start'))}; "
                f"{values.get('serving') or 'what serves'} was deployed {when(values.get('deployed_at'))}"
            )
        case "policy_gone" | "policy_changed" as why:
            return _OF_POLICIES[why]
        case other:
            return f"it no longer says how the model is now ({other or 'no detail kept'})"


def _too_few_samples(values: Row) -> str:
    wanted = values.get("min_samples")
    if values.get("sample_count") is None:
        return f"the event does not say on how many samples it rests (sampleCount); minSamples is {wanted}"
    return f"it rests on {values['sample_count']} samples; minSamples is {wanted}"


def _condition_error(values: Row) -> str:
    if values.get("query"):
        return (
            f"the query of its verification cannot be asked, so nothing would show whether it helped: {values['query']}"
        )
    expression = f" `{values['when']}`" if values.get("when") else ""
    return f"the expression{expression} could not be evaluated: {values.get('error')}"


def _condition_false(values: Row) -> str:
    if values.get("when"):
        return f"the event does not meet `{values['when']}`"
    return "no trigger of the policy is true for this event"


def _accumulating(values: Row) -> str:
    if values.get("every"):
        counted = f" ({', '.join(values['periods'])})" if values.get("periods") else ""
        return (
            f"{amount(values.get('seen'))} of the {amount(values['at_least'])} periods of {length(values['every'])} "
            f"that are needed without a break came so far{counted}"
        )
    if values.get("counted") == "sum":
        return (
            f"the sum is {amount(values.get('seen'))} of the {amount(values['at_least'])} that are needed within "
            f"{length(values.get('within'))} so far, this event's included"
        )
    if "at_least" in values:
        return (
            f"{amount(values.get('seen'))} of the {amount(values['at_least'])} that are needed within "
            f"{length(values.get('within'))} came so far, this event included"
        )
    if values.get("since") is None:
        return f"it opened no condition that could last {length(values.get('sustained'))}"
    return f"its condition is open since {when(values['since'])}; it must last {length(values.get('sustained'))}"


def _uncorroborated(values: Row) -> str:
    missing = listed(values.get("missing", []))
    return f"nothing corroborates it: `require` asks for {missing} of {values['about']}, and none is there"


def _waiting(values: Row) -> str:
    return f"the policy waits {length(values.get('wait'))} for what else may come, until {when(values.get('until'))}"


def _inhibited(values: Row) -> str:
    of_dataset = f" of the dataset {values['dataset']}" if values.get("dataset") else ""
    condition = f"{values.get('type')}{of_dataset} ({values.get('condition')})"
    match values.get("state"):
        case "open":
            state = "is open"
        case "unknown":
            state = "is not known to be over"
        case "ended":
            state = f"is over, but holds until {when(values.get('until'))}"
        case other:
            state = f"holds ({other})"
    return f"`unless` holds: {condition} {state}; what is measured meanwhile may be the broken data, not the model"


def _paused(values: Row) -> str:
    until = f"until {when(values['until'])}" if values.get("until") else "until it is resumed"
    scope = values.get("scope")
    what = "everything" if scope in (None, "all") else f"this {scope}"
    return f"pause {values.get('id')} of {what} holds {until} (“{values.get('why')}”)"


def _silenced(values: Row) -> str:
    return f"silence {values.get('id')} mutes it until {when(values.get('until'))} (“{values.get('why')}”)"


def _frozen(values: Row) -> str:
    return (
        f"freeze {values.get('freeze')} is in force until {when(values.get('until'))}; "
        f"till then models are only restored, and people paged"
    )


def _in_progress(values: Row) -> str:
    if values.get("until"):
        return f"audited remediation {values.get('remediation')} counts as running until {when(values['until'])}"
    return f"remediation {values.get('remediation')} of {values['about']} is not over yet; the event is attached to it"


def _breaker_open(values: Row) -> str:
    return (
        f"the breaker is open: {values.get('failures')} remediations of {values['about']} did not help "
        f"({values.get('limit')} within {length(values.get('within'))} open it); a person closes it with "
        f"`modelmend resume --policy {values.get('policy') or '…'} --model {values['about']}`"
    )


def _budget_exhausted(values: Row) -> str:
    frees = f"; the next is free {when(values['until'])}" if values.get("until") else ""
    within = length(values.get("within"))
    return f"{values.get('spent')} of {values.get('max')} remediations within {within} are spent{frees}"


def _cooldown(values: Row) -> str:
    if (by := values.get("by")) == "asking":
        return (
            f"people were asked, and at {when(values.get('last_end'))} it was a no, by word or for want of an answer; "
            f"nobody is asked by this policy about {values['about']} for {length(values.get('cooldown'))} after that, "
            f"until {when(values.get('until'))}"
        )
    if by:
        return (
            f"a {by} came {when(values.get('last_end'))}; "
            f"cooldown {length(values.get('cooldown'))} lifts {when(values.get('until'))}"
        )
    return (
        f"the last changing remediation of {values['about']} ended {when(values.get('last_end'))}; "
        f"cooldown {length(values.get('cooldown'))} lifts {when(values.get('until'))}"
    )


def _fleet_limit(values: Row) -> str:
    return (
        f"{values.get('active')} remediations are active in the whole installation; "
        f"the fleet's limit is {values.get('limit')}"
    )


def _shared_cause(values: Row) -> str:
    by, _, name = str(values.get("cause")).partition("=")
    return (
        f"{values.get('models')} models met the policy's triggers because of one {by}, {name}: people were told once; "
        f"it holds until {when(values.get('until'))}, or until a person ends condition {values.get('condition')}"
    )


def _of_labels(told: Row) -> str:
    """What labels said of a remediation that waits for them, or why nothing."""
    if told.get("called"):
        word = "confirmed that it helped" if told["called"] == "confirmed" else "said that the model is worse"
        return f"its labels had the last word on remediation {told['remediation']}: they {word}"
    waiting = f"remediation {told['remediation']}, which `confirm` holds open"
    return f"its labels say nothing of {waiting}: {told.get('why_not')}"


def _no_policy_matched(values: Row) -> str:
    woken = values.get("woken") or values.get("questions")
    more = f"; it woke the open question of {listed(woken)}" if woken else ""
    more += "".join(f"; {_of_labels(told)}" for told in values.get("labels") or ())
    if values.get("dataset"):
        if not (models := values.get("models")):
            return f"no model in force reads it{more}"
        read = "1 model reads it" if models == 1 else f"{models} models read it"
        return (
            f"{read}, and for none is a policy in force that such an event triggers (`models: {{via: dataset}}`){more}"
        )
    return f"no policy in force selects {values['about']} and has a trigger of this type{more}"


def _internal_error(values: Row) -> str:
    return f"deciding it failed twice ({values.get('error') or values.get('message')}); the event is in quarantine"


_REASONS: dict[Reason, Sentence | str] = {
    Reason.UNKNOWN_MODEL: _unknown_model,
    Reason.STALE: _stale,
    Reason.TOO_FEW_SAMPLES: _too_few_samples,
    Reason.UNCORROBORATED: _uncorroborated,
    Reason.ACCUMULATING: _accumulating,
    Reason.CONDITION_ERROR: _condition_error,
    Reason.CONDITION_FALSE: _condition_false,
    Reason.WAITING: _waiting,
    Reason.INHIBITED: _inhibited,
    Reason.PAUSED: _paused,
    Reason.SILENCED: _silenced,
    Reason.FROZEN: _frozen,
    Reason.IN_PROGRESS: _in_progress,
    Reason.BREAKER_OPEN: _breaker_open,
    Reason.BUDGET_EXHAUSTED: _budget_exhausted,
    Reason.COOLDOWN: _cooldown,
    Reason.FLEET_LIMIT: _fleet_limit,
    Reason.SHARED_CAUSE: _shared_cause,
    Reason.AUDIT: "every guard passed; the policy is in mode audit: what would be done is recorded, nothing is done",
    Reason.NO_POLICY_MATCHED: _no_policy_matched,
    Reason.INTERNAL_ERROR: _internal_error,
    Reason.POISON: "deciding it killed the process that tried; the event stays in quarantine until replayed",
}

_HAPPENINGS: dict[Happening, str] = {
    Happening.REMEDIATION_ENDED: "when that remediation has ended",
    Happening.FLEET: "when a slot of the fleet comes free",
    Happening.LIFTED: "when a person lifts it",
    Happening.CORROBORATED: "when what `require` names comes",
    Happening.UNINHIBITED: "when `unless` no longer holds and its own condition was renewed after that",
}


def again(retry_at: Any, retry_on: Any) -> str | None:
    """When an open question is asked again; None where nothing wakes it."""
    ways = [when(retry_at)] if retry_at else []
    if retry_on in set(Happening):
        ways.append(_HAPPENINGS[Happening(retry_on)])
    return f"it is asked again {', or '.join(ways)}" if ways else None


def because(reason: str, values: Row, model: str) -> str:
    """The sentence of a reason; of an unknown one (a newer release wrote it) its values as they are."""
    sentence = _REASONS.get(Reason(reason)) if reason in set(Reason) else None
    if sentence is None:
        return ", ".join(f"{key} {value}" for key, value in values.items()) or reason
    return sentence if isinstance(sentence, str) else sentence({**values, "about": model})
