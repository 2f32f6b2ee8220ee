"""Why modelmend acted and why it did not: plain sentences from rows, and the same as JSON.

Pure: it is given rows as the JSON API lists them (`store.listing`) and says what they
say; what it cannot know from them it does not guess. The sentences of reasons stand in
`reasons`, those of a remediation's transitions in `story`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from controller.explain.reasons import again, amount, because, length, relapse, when
from controller.explain.story import told

Row = Mapping[str, Any]

__all__ = ["Answer", "Explanation", "Story", "explain_event", "explain_remediation"]

_ENDINGS = {
    "Succeeded": "it succeeded",
    "Failed": "it failed: no step helped",
    "Escalated": "it was handed to people",
    "Cancelled": "it was cancelled",
    "Audited": "it was recorded only",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What one policy said to one event by its last attempt: a sentence, and the values that it rests on."""

    policy: str  # namespace/name; empty: no policy matched
    outcome: str
    reason: str | None
    sentence: str
    again: str | None  # when the open question is asked again; None: it is not
    values: dict[str, Any]
    attempt: int
    now: str
    remediation: str | None
    earlier: tuple[str, ...]  # reasons of the attempts before, oldest first
    model: str | None = None  # for which model, where the event is about a dataset

    @property
    def line(self) -> str:
        """The answer as one line for people."""
        if not self.policy:
            reason = "" if self.outcome == "none" else f"{self.reason}: "
            return f"no policy was asked: {reason}{self.sentence}"
        verdict = "acted" if self.outcome == "remediate" else f"not now: {self.reason}"
        asked = f"policy {self.policy} for {self.model}" if self.model else f"policy {self.policy}"
        parts = [f"{asked}: {verdict}: {self.sentence}"]
        if self.again:
            parts.append(self.again)
        if self.earlier:
            parts.append(f"asked {self.attempt} times, before: {', '.join(self.earlier)}")
        return "; ".join(parts)


@dataclass(frozen=True, slots=True)
class Told:
    """One transition of a remediation and its sentence."""

    at: str
    phase: str
    reason: str
    sentence: str
    values: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Story:
    """One remediation from decision to end."""

    remediation: str
    policy: str
    model: str
    phase: str
    verdict: str
    sentence: str
    steps: tuple[Told, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why, for one event or one remediation; `lines` is the whole of it as text."""

    kind: Literal["event", "remediation"]
    ref: str
    headline: str
    notes: tuple[str, ...]
    answers: tuple[Answer, ...]
    stories: tuple[Story, ...]

    @property
    def lines(self) -> tuple[str, ...]:
        """The explanation for people; indented lines belong to the one before them."""
        lines = [self.headline, *(f"  {note}" for note in self.notes)]
        lines += [answer.line for answer in self.answers]
        for story in self.stories:
            lines.append(story.sentence)
            lines += [f"  {when(step.at)}  {step.sentence}" for step in story.steps]
        return tuple(lines)

    def as_dict(self) -> dict[str, Any]:
        """The explanation as JSON holds it, `lines` included."""
        return {**asdict(self), "lines": list(self.lines)}


def explain_event(
    event: Row,
    decisions: Sequence[Row],
    remediations: Sequence[Row] = (),
    conditions: Sequence[Row] = (),
    questions: Sequence[Row] = (),
) -> Explanation:
    """What was decided for an event and why.

    :param decisions: all attempts of all policies for this event.
    :param remediations: those that it led to or was attached to, with their `transitions`.
    :param conditions: those that it opened or renewed.
    :param questions: the open questions that it asks.
    """
    return Explanation(
        "event",
        str(event["id"]),
        _headline(event),
        _event_notes(event, decisions, conditions),
        _answers(decisions, questions, each_model=not event.get("model")),
        tuple(_story(remediation) for remediation in remediations),
    )


def explain_remediation(remediation: Row, event: Row | None, decisions: Sequence[Row] = ()) -> Explanation:
    """Why a remediation was started, what it did and what came of it.

    :param event: the event that completed the trigger; None where retention has taken it.
    :param decisions: the decision that started it (others of the same event may be among them).
    """
    own = [row for row in decisions if row["id"] == remediation["decision"]]
    headline = f"remediation {remediation['id']} of {_model(remediation)} by policy {_policy(remediation)}"
    notes = [f"answers {_headline(event)}"] if event else ["the event that it answers is no longer kept"]
    if said := _versions(own):
        notes.append(said)
    if remediation.get("continues"):
        notes.append(f"continues {remediation['continues']}")
    if remediation.get("holdReason"):
        notes.append(f"held now: {remediation['holdReason']}, at most until {when(remediation.get('holdUntil'))}")
    return Explanation(
        "remediation",
        str(remediation["id"]),
        headline,
        tuple(notes),
        _answers(own, ()),
        (_story(remediation),),
    )


def _model(row: Row) -> str:
    if row.get("dataset") and not row.get("model"):
        return f"the dataset {row['dataset']}"
    namespace, name = row.get("namespace"), row.get("model") or "a model that it does not name"
    return f"{namespace}/{name}" if namespace else str(name)


def _policy(row: Row) -> str:
    return str(row.get("policy") or "")


def _headline(event: Row) -> str:
    about = f" ({event['about'].replace(';', ', ')})" if event.get("about") else ""
    return f"event {event['id']}: {event['type']} from {event['source']} about {_model(event)}{about}"


def _event_notes(event: Row, decisions: Sequence[Row], conditions: Sequence[Row]) -> tuple[str, ...]:
    marked = ", which lay ahead of our clock: the time of receipt is taken" if event.get("timeMarked") else ""
    notes = [f"happened {when(event['time'])}{marked}, received {when(event['receivedAt'])}"]
    if (seen := event.get("seen") or 1) > 1:
        notes.append(f"delivered {seen} times, last {when(event.get('lastSeenAt'))}")
    if event.get("conflicts"):
        notes.append(
            f"{event['conflicts']} deliveries under the same source and id said something else; the first stays"
        )
    for condition in conditions:
        ended = f", ended {when(condition['ended'])} by {_ender(condition)}" if condition.get("ended") else ""
        since = when(condition["since"])
        notes.append(f"condition {condition['id']} is {condition['state']}: since {since}{ended}")
    if said := _versions(decisions):
        notes.append(said)
    if not event.get("decidedAt") and not decisions:
        notes.append("it is not decided yet")
    return tuple(notes)


def _versions(decisions: Sequence[Row]) -> str:
    """What served when the last of these was taken, and what of it the event is about; '': nothing is known."""
    last: Row = next((row["situation"] for row in reversed(decisions) if row.get("situation")), {})
    state, version = last.get("state") or {}, last.get("version")
    stable = None if state.get("unknown_since") else state.get("stable")
    told = [f"{stable} is stable"] if stable else []
    told += [f"{state['canary']} is its canary"] if state.get("canary") else []
    told += [f"{state['last_known_good']} is the last known good"] if state.get("last_known_good") else []
    if not told:
        return f"about version {version}; what serves is not known" if version else ""
    role = {state.get("canary"): "the canary", stable: "the stable one"}.get(version, "neither")
    about = f"about version {version}, {role}: " if version else ""
    return about + ", ".join(told)


def _ender(condition: Row) -> str:
    """Who ended a condition: `event drift-7`, or an operator's name."""
    kind, _, name = str(condition.get("endedBy") or "").partition(":")
    return f"event {name}" if kind == "event" else name or kind


def _answers(decisions: Sequence[Row], questions: Sequence[Row], *, each_model: bool = False) -> tuple[Answer, ...]:
    by_policy: dict[tuple[str, str], list[Row]] = {}
    for row in sorted(decisions, key=lambda row: int(row["attempt"])):
        by_policy.setdefault((_policy(row), _model(row)), []).append(row)
    asked = {question.get("decision"): question for question in questions}
    return tuple(
        _answer(attempts, asked.get(attempts[-1]["id"]), model if each_model and policy else None)
        for (policy, model), attempts in by_policy.items()
    )


def _answer(attempts: Sequence[Row], question: Row | None, model: str | None) -> Answer:
    last = attempts[-1]
    values = dict(last.get("values") or {})
    reason = last.get("reason") or None
    if last["outcome"] == "remediate":
        sentence = _acted(last, values)
    else:
        sentence = because(str(reason or ""), values, _model(last))
    return Answer(
        policy=_policy(last),
        outcome=str(last["outcome"]),
        reason=reason,
        sentence=sentence,
        again=again(question.get("retryAt"), question.get("retryOn")) if question else None,
        values=values,
        attempt=int(last["attempt"]),
        now=str(last["now"]),
        remediation=last.get("remediation"),
        earlier=tuple(str(row.get("reason") or row["outcome"]) for row in attempts[:-1]),
        model=model,
    )


def _acted(decision: Row, values: Row) -> str:
    parts = [f"trigger {decision.get('trigger')} was true and no guard refused"]
    if values.get("counted") == "sum":
        needed = f"{amount(values.get('at_least'))} are needed within {length(values.get('within'))}"
        parts.append(f"the newest that were counted come to {amount(values.get('seen'))}, and {needed}")
    elif values.get("seen"):
        parts.append(f"{values['seen']} events counted")
    if said := relapse(values):
        parts.append(said)
    if values.get("since"):
        parts.append(f"its condition is open since {when(values['since'])}")
    if values.get("corroborated_by"):
        parts.append(f"corroborated by {', '.join(map(str, values['corroborated_by']))}")
    return f"{'; '.join(parts)}; remediation {decision.get('remediation')} at {when(decision['now'])}"


def _story(remediation: Row) -> Story:
    model = _model(remediation)
    steps = [str(name) for name in remediation.get("steps") or ()]
    transitions = remediation.get("transitions") or ()
    phase, verdict = str(remediation["phase"]), str(remediation.get("verdict") or "none")
    ending = _ENDINGS.get(phase)
    if ending is None:
        sentence = f"remediation {remediation['id']} is {phase} since {when(remediation.get('phaseSince'))}"
    else:
        proof = "" if verdict == "none" else f", verdict {verdict}"
        ended = f" {when(remediation['endedAt'])}" if remediation.get("endedAt") else ""
        sentence = f"remediation {remediation['id']}: {ending}{ended}{proof}"
    told_steps = (
        Told(
            str(row["now"]), str(row["to"]), str(row["reason"]), told(row, steps, model), dict(row.get("values") or {})
        )
        for row in transitions
    )
    return Story(str(remediation["id"]), _policy(remediation), model, phase, verdict, sentence, tuple(told_steps))
