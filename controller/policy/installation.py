"""What a policy leans on outside its own text: event types, receivers, the store's kind, retention."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from difflib import get_close_matches
from typing import Any, Literal

from controller.durations import format_duration
from controller.events.types import EventTypes
from controller.policy.defaults import Fallback
from controller.policy.types import (
    AnalysisVerification,
    CommandAction,
    CommandVerification,
    Corroboration,
    JobAction,
    Limits,
    PageAction,
    Policy,
    QueryVerification,
    QuietVerification,
    ResolvedVerification,
    RolloutAction,
    RolloutVerification,
    Step,
    Trigger,
    WorkflowAction,
)


@dataclass(frozen=True, slots=True)
class Installation:
    """What policies are checked against.

    `types` says of each known event type whether it opens a condition. `commands` is False
    where the store is PostgreSQL: several replicas cannot promise at most once for a local
    process. `cluster` is True where there is a Kubernetes to act on, `prometheus`
    where there is one to ask. `objects` is True for policies that stand in the cluster: a
    command would run under modelmend's own account, which may act in every namespace of models,
    and who may write objects in one of them shall get no hold of it. What is kept for
    `events_kept` and `decisions_kept` bounds every span.
    """

    types: Mapping[str, bool]
    receivers: frozenset[str]
    commands: bool
    events_kept: timedelta
    decisions_kept: timedelta
    cluster: bool = False
    objects: bool = False
    prometheus: bool = False

    @classmethod
    def of(
        cls,
        types: EventTypes,
        receivers: Iterable[str] = (),
        *,
        commands: bool = True,
        cluster: bool = False,
        prometheus: bool = False,
        events_kept: timedelta = timedelta(days=90),
        decisions_kept: timedelta = timedelta(days=400),
    ) -> Installation:
        """From the settings' parts; the receiver `default` exists always."""
        opens = {name: _opens(types, name) for name in types.names()}
        told = frozenset({"default", *receivers})
        return cls(opens, told, commands, events_kept, decisions_kept, cluster, prometheus=prometheus)

    @property
    def commandless(self) -> str:
        """Why no policy may run a command here; '' where one may."""
        if self.objects:
            return "not run for objects of a cluster, only for files"
        if not self.commands:
            return "not possible with a PostgreSQL store: a local process cannot be shared by replicas"
        return ""


def _opens(types: EventTypes, name: str) -> bool:
    kind = types.get(name)
    return kind is not None and kind.family is not None and not kind.over


def policy_faults(policy: Policy, installation: Installation) -> list[str]:
    """Everything in a policy that this installation cannot do, as `spec.…: …`."""
    faults: list[str] = []
    for at, trigger in enumerate(policy.triggers):
        faults += _trigger_faults(f"spec.triggers[{at}]", trigger, installation)
    written = _written_unless(policy.text["spec"])
    faults += _corroboration_faults("spec.unless", policy.unless[:written], installation)
    if policy.models.via is not None:
        faults += [
            f"spec.triggers[{at}]: want a policy of its own: this one is asked about events of datasets alone"
            for at, trigger in enumerate(policy.triggers)
            if trigger.due is not None
        ]
    told = any(trigger.due is None for trigger in policy.triggers)
    lasting = any(installation.types.get(trigger.type) for trigger in policy.triggers)
    for at, step in enumerate(policy.steps):
        faults += _step_faults(f"spec.steps[{at}]", step, installation, lasting=lasting, told=told)
    return faults + _span_faults(spans(policy), installation)


def defaults_faults(fallback: Fallback, spec: Mapping[str, Any], installation: Installation) -> list[str]:
    """The same of a Defaults document, whose text is `spec`."""
    faults = _corroboration_faults("spec.unless", fallback.unless[: _written_unless(spec)], installation)
    found = [("spec.wait", fallback.wait, "events"), *_limit_spans(fallback.limits)]
    found += [("spec.approval.expires", fallback.approval_expires, "decisions")]
    found += [("spec.timeout.command", fallback.command_timeout, "decisions")]
    found += [("spec.timeout.request", fallback.request_timeout, "decisions")]
    found += [("spec.timeout.workflow", fallback.workflow_timeout, "decisions")]
    found += [("spec.timeout.job", fallback.job_timeout, "decisions")]
    found += [("spec.timeout.rollout", fallback.rollout_timeout, "decisions")]
    return faults + _span_faults([*found, ("spec.within", fallback.within, "decisions")], installation)


def _written_unless(spec: Mapping[str, Any]) -> int:
    """How many entries of `unless` a text has of its own; those that it inherits come after them."""
    written = spec.get("unless")
    return len(written) if isinstance(written, list) else 0


def _trigger_faults(path: str, trigger: Trigger, installation: Installation) -> Iterator[str]:
    if trigger.due is None:
        yield from _type_faults(path, trigger.type, installation)
    if trigger.sustained and installation.types.get(trigger.type) is False:
        yield f"{path}.sustained: {trigger.type} is a moment: it opens no condition that could last"
    yield from _corroboration_faults(f"{path}.require", trigger.require, installation)


def _type_faults(path: str, kind: str, installation: Installation) -> Iterator[str]:
    if kind and kind not in installation.types:
        near = get_close_matches(kind, installation.types, n=1)
        yield f'{path}.type: unknown event type "{kind}"' + (f', did you mean "{near[0]}"?' if near else "")


def _corroboration_faults(path: str, entries: tuple[Corroboration, ...], installation: Installation) -> list[str]:
    faults: list[str] = []
    for at, entry in enumerate(entries):
        faults += _type_faults(f"{path}[{at}]", entry.type, installation)
        if entry.within is None and installation.types.get(entry.type) is False:
            faults.append(f"{path}[{at}].within: want a duration: {entry.type} is a moment, it opens no condition")
    return faults


def _step_faults(path: str, step: Step, installation: Installation, *, lasting: bool, told: bool) -> Iterator[str]:
    clusterless = "needs a cluster: start with --kubernetes"
    if isinstance(step.action, PageAction) and step.action.receiver not in installation.receivers:
        known = ", ".join(sorted(installation.receivers))
        yield f'{path}.page.receiver: want a configured receiver ({known}), got "{step.action.receiver}"'
    if isinstance(step.action, CommandAction) and installation.commandless:
        yield f"{path}.command: {installation.commandless}"
    if isinstance(step.action, WorkflowAction | JobAction | RolloutAction) and not installation.cluster:
        yield f"{path}.{step.action.kind}: {clusterless}"
    for at, verification in enumerate(step.verify):
        if isinstance(verification, RolloutVerification) and not installation.cluster:
            yield f"{path}.verify[{at}].rollout: {clusterless}"
        if isinstance(verification, AnalysisVerification) and not installation.cluster:
            yield f"{path}.verify[{at}].analysis: {clusterless}"
        if isinstance(verification, QueryVerification) and not installation.prometheus:
            yield f"{path}.verify[{at}].query: needs a Prometheus: set prometheus.url"
        if isinstance(verification, CommandVerification) and installation.commandless:
            yield f"{path}.verify[{at}].command: {installation.commandless}"
        if isinstance(verification, QuietVerification) and not told:
            yield f"{path}.verify[{at}].quiet: no trigger is an event of a source that could show life"
        if isinstance(verification, ResolvedVerification) and not lasting:
            yield f"{path}.verify[{at}].resolved: no trigger's type opens a condition that could be resolved"


_Span = tuple[str, timedelta, Literal["events", "decisions"]]


def spans(policy: Policy) -> Iterator[_Span]:
    """Every window, limit and timeout of a policy, its path, and what must be kept that long."""
    yield "spec.wait", policy.wait, "events"
    for at, trigger in enumerate(policy.triggers):
        path = f"spec.triggers[{at}]"
        if trigger.sustained:
            yield f"{path}.sustained", trigger.sustained, "events"
        if trigger.counter:
            key = ".periods" if trigger.counter.kind == "consecutive" else ".within"
            yield f"{path}.{trigger.counter.kind}{key}", trigger.counter.within, "events"
        yield from _corroboration_spans(f"{path}.require", trigger.require)
    yield from _corroboration_spans("spec.unless", policy.unless)
    yield from _limit_spans(policy.limits)
    yield "spec.approval.expires", policy.approval_expires, "decisions"
    if policy.correlate:
        yield "spec.correlate.within", policy.correlate.within, "decisions"
    for at, step in enumerate(policy.steps):
        if not isinstance(step.action, PageAction):
            yield f"spec.steps[{at}].{step.action.kind}.timeout", step.action.timeout, "decisions"
        if step.confirm:
            yield f"spec.steps[{at}].confirm.within", step.confirm.within, "decisions"
        for number, verification in enumerate(step.verify):
            path = f"spec.steps[{at}].verify[{number}]"
            yield f"{path}.within", verification.within, "decisions"
            if isinstance(verification, CommandVerification):
                yield f"{path}.command.timeout", verification.timeout, "decisions"
            if isinstance(verification, QuietVerification):
                yield f"{path}.quiet", verification.quiet, "events"


def _corroboration_spans(path: str, entries: tuple[Corroboration, ...]) -> Iterator[_Span]:
    for at, entry in enumerate(entries):
        if entry.within:
            yield f"{path}[{at}].within", entry.within, "events"


def _limit_spans(limits: Limits) -> Iterator[_Span]:
    yield "spec.limits.cooldown", limits.cooldown, "decisions"
    yield "spec.limits.budget.within", limits.budget.within, "decisions"
    yield "spec.limits.breaker.within", limits.breaker.within, "decisions"
    yield "spec.limits.maxAge", limits.max_age, "events"


def _span_faults(found: Iterable[_Span], installation: Installation) -> list[str]:
    kept = {"events": installation.events_kept, "decisions": installation.decisions_kept}
    return [
        f"{path}: want less than the retention of {what} ({format_duration(kept[what])}), "
        f'got "{format_duration(length)}"'
        for path, length, what in found
        if length >= kept[what]
    ]
