"""Invented histories: what may happen to an installation, in any order, as data that Hypothesis shrinks."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from hypothesis import strategies as st

from controller import schema
from controller.durations import parse_duration
from controller.events.event import Event
from controller.settings import Fleet
from tests.integration.engine.scene import (
    BROKEN,
    CALM,
    CHECKED,
    DEGRADED,
    DETECTOR,
    DRIFT,
    LABELS,
    LEVEL,
    RECOVERED,
    RESTORED,
    Scene,
    model,
    policy,
)

FLEET = Fleet(active=1, share=1.0)
MODELS = ("a", "b", "c")
SHARED = "kind: Model\nmetadata: {name: %s, namespace: ml}\nspec: {serving: {kind: Rollout, name: shared, version: {image: 'reg/m:{version}'}}}\n"
DEPLOYED = "ml.model.deployed"
DOCUMENTS = tuple(SHARED % name if name in ("b", "c") else model(name) for name in MODELS)

_ASK = "verify: [{command: {argv: [c], timeout: 1m}, every: 10m, settle: 10m, for: 10m, within: 2h}]"
_QUIET = "verify: [{quiet: 30m, settle: 10m, within: 4h}]"
_RESOLVED = "verify: [{resolved: {}, settle: 10m, for: 5m, within: 4h}]"
_TRIGGERS = (
    f"triggers: [{{name: drift, type: {DRIFT}, when: 'data.driftScore > 0.3'}}, {{name: low, type: {DEGRADED}}}]"
)

SETS: tuple[tuple[str, ...], ...] = (
    (
        policy(
            f"{_TRIGGERS}\nwait: 5m\nlimits: {{cooldown: 2h, budget: {{max: 2, within: 1d}}, breaker: {{failures: 2, within: 2d}}}}\n"
            f"steps: [{{name: r, command: {{argv: [a], timeout: 1h}}, {_ASK}}}, {{name: s, command: {{argv: [b], timeout: 1h, idempotent: true}}, verify: none}}, {{name: p, page: {{}}}}]",
            name="retrain",
        ),
        policy(
            f"severity: P1\ntriggers: [{{name: twice, type: {DEGRADED}, count: {{atLeast: 2, within: 6h}}}}]\n"
            f"limits: {{cooldown: 1h, scope: policy}}\nsteps: [{{name: h, request: {{url: 'http://there', timeout: 10m}}, {_RESOLVED}}}]",
            name="hook",
        ),
        policy(
            f"mode: audit\n{_TRIGGERS}\nlimits: {{cooldown: 3h}}\nsteps: [{{name: r, command: {{argv: [a], timeout: 1h}}, {_QUIET}}}]",
            name="watch",
        ),
        policy(
            f"triggers: [{{name: long, type: {DRIFT}, sustained: 30m}}, {{name: labels, type: {LABELS}}}]\n"
            "limits: {cooldown: 6h}\nsteps: [{name: p, page: {}}]",
            name="tell",
        ),
    ),
    (
        policy(
            f"triggers: [{{name: both, type: {DRIFT}, require: [{{type: {DEGRADED}, within: 12h}}]}}]\n"
            f"limits: {{cooldown: 1h, budget: {{max: 3, within: 2d}}}}\nsteps: [{{name: r, command: {{argv: [a], timeout: 2h}}, {_QUIET}}}, {{name: p, page: {{}}}}]",
            name="retrain",
        ),
        policy(
            f"severity: P1\nunless: [{{type: {BROKEN}, within: 1h}}]\ntriggers: [{{name: twice, type: {DEGRADED}, count: {{atLeast: 2, within: 6h}}}}]\n"
            f"limits: {{cooldown: 30m, maxAge: 6h}}\nsteps: [{{name: h, command: {{argv: [a], timeout: 10m}}, {_RESOLVED}}}]",
            name="hook",
        ),
        policy(
            f"{_TRIGGERS}\nlimits: {{cooldown: 3h}}\nsteps: [{{name: r, command: {{argv: [a], timeout: 1h}}, verify: none}}]",
            name="watch",
        ),
    ),
    (
        policy(
            f"severity: P3\ntriggers: [{{name: many, type: {DRIFT}, distinct: {{of: data.feature, atLeast: 2, within: 1d}}}}]\n"
            f"limits: {{cooldown: 1h}}\nsteps: [{{name: r, command: {{argv: [a], timeout: 1h}}, {_ASK}}}]",
            name="features",
        ),
    ),
)

_STABLE = "verify: [{rollout: stable, every: 1m, within: 10m}]"
URGENT: tuple[str, ...] = (
    policy(
        f"triggers: [{{name: low, type: {DEGRADED}}}]\nlimits: {{breaker: {{failures: 2, within: 2d}}}}\n"
        f"steps: [{{name: abort, rollout: {{abort: canary, timeout: 10m}}, {_STABLE}}}, {{name: p, page: {{}}}}]",
        name="abort",
    ),
    policy(
        f"triggers: [{{name: feature, type: {DEGRADED}, when: 'data.feature == \"x\"'}}]\n"
        f"steps: [{{name: halt, rollout: {{pause: true, timeout: 10m}}, {_STABLE}}},"
        f" {{name: r, command: {{argv: [a], timeout: 1h}}, {_ASK}}}]",
        name="halt",
    ),
    policy(
        f"{_TRIGGERS}\nlimits: {{cooldown: 2h, budget: {{max: 4, within: 1d}}}}\n"
        f"steps: [{{name: bring, rollout: {{to: v5}}, {_ASK}}},"
        f" {{name: r, command: {{argv: [a], timeout: 1h}}, {_ASK}}}, {{name: p, page: {{}}}}]",
        name="retrain",
    ),
)
"""Two urgent policies, one of which may also change something, beside one that is not."""
ASKING: tuple[str, ...] = (
    policy(
        f"mode: approve\n{_TRIGGERS}\napproval: {{expires: 5h}}\nlimits: {{cooldown: 2h, budget: {{max: 3, within: 2d}}}}\n"
        f"steps: [{{name: r, command: {{argv: [a], timeout: 1h}}, {_ASK}}},"
        f" {{name: s, command: {{argv: [b], timeout: 1h, idempotent: true}}, verify: none}}, {{name: p, page: {{}}}}]",
        name="retrain",
    ),
    policy(
        f"severity: P1\ntriggers: [{{name: twice, type: {DEGRADED}, count: {{atLeast: 2, within: 6h}}}}]\nlimits: {{cooldown: 1h}}\n"
        f"steps: [{{name: r, command: {{argv: [a], timeout: 1h}}, {_ASK}}},"
        f" {{name: s, approve: true, command: {{argv: [b], timeout: 1h}}, {_ASK}}}]",
        name="hook",
    ),
    URGENT[0],
)
"""People are asked before every step of the first, and before the second step of the other."""
SETS = (*SETS, URGENT, ASKING)

Step = Callable[["Run"], Any]


@dataclass
class Run:
    """A history as it unfolds: the scene, and what was said so far."""

    scene: Scene
    sent: list[Event] = field(default_factory=list)

    def send(self, kind: str, *, model: str, feature: str | None, source: str, age: str, bad: bool) -> None:
        name = f"{'bad' if bad else 'e'}-{len(self.sent)}"
        at = self.scene.clock() - parse_duration(age)
        told = {"version": "v4"} if kind == DEPLOYED else {}
        event = self.scene.event(kind, id=name, source=source, at=at, model=model, feature=feature, **told)
        self.sent.append(event)
        self.scene.post(event)

    def again(self, back: int) -> None:
        """Deliver an event once more."""
        if self.sent:
            self.scene.post(self.sent[-1 - back % len(self.sent)])

    def crash(self, rounds: int) -> None:
        """Die after so many rounds, with everything that workers had in hand."""
        for _ in range(rounds):
            self.scene.engine.round()
        self.scene.crash()
        self.scene.settle()

    def until(self, hours: int | None) -> dict[str, str]:
        return {} if hours is None else {"until": (self.scene.clock() + timedelta(hours=hours)).isoformat()}

    def pause(self, scope: str, ref: str, hours: int | None) -> None:
        self.scene.act("pause", scope, ref, **self.until(hours))

    def resume(self, scope: str, ref: str) -> None:
        named = {scope: ref} if scope in ("policy", "model") else {}
        self.scene.act("resume", scope, ref, **named)

    def close_breaker(self, name: str) -> None:
        self.scene.act("resume", "policy", "ml/retrain", policy="ml/retrain", model=f"ml/{name}")

    def silence(self, name: str, hours: int) -> None:
        ends = self.scene.clock() + timedelta(hours=hours)
        self.scene.act("silence", matchers={"model": name}, ends_at=ends.isoformat())

    def expire(self) -> None:
        for row in self.scene.rows(schema.silences):
            self.scene.act("expire", "silence", row.id)

    def cancel(self) -> None:
        for row in self.scene.rows(schema.remediations, schema.remediations.c.ended_at.is_(None)):
            self.scene.act("cancel", "remediation", row.id)

    def answer(self, kind: str) -> None:
        """Answer all that is asked; some of it may be answered already, or over."""
        waiting = schema.remediations.c.phase == "AwaitingApproval"
        for row in self.scene.rows(schema.remediations, waiting):
            self.scene.act(kind, "remediation", row.id)

    def retry(self) -> None:
        found = self.scene.rows(schema.remediations, schema.remediations.c.ended_at.is_not(None))
        for row in sorted(found, key=lambda row: row.decision_id)[-2:]:
            self.scene.act("retry", "remediation", row.id)

    def end_condition(self, place: int) -> None:
        found = self.scene.conditions()
        if found:
            self.scene.act("end_condition", "condition", sorted(row.id for row in found)[place % len(found)])

    def replay_quarantined(self) -> None:
        for row in self.scene.rows(schema.quarantine):
            self.scene.act("replay", "event", row.digest)


def _named(name: str, /, **arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[str, dict[str, Any]]]:
    return st.tuples(st.just(name), st.fixed_dictionaries(arguments))


_MODEL = st.sampled_from(MODELS[:2])
_HOURS = st.sampled_from([1, 1, 5, None])
_KINDS = st.sampled_from(
    [DRIFT, DRIFT, DRIFT, DEGRADED, DEGRADED, CALM, RECOVERED, BROKEN, RESTORED, CHECKED, LABELS, DEPLOYED, DEPLOYED]
)
_SCOPES = [("all", ""), ("policy", "ml/retrain"), ("model", "ml/a"), ("namespace", "ml")]

_SEND = _named(
    "send",
    kind=_KINDS,
    model=st.sampled_from(["a"] * 6 + ["b"] * 4 + ["c", "nobody"]),
    feature=st.sampled_from([None, "x", "y"]),
    source=st.sampled_from([DETECTOR, LEVEL]),
    age=st.sampled_from(["0s", "0s", "0s", "10m", "3h", "3d"]),
    bad=st.sampled_from([False] * 19 + [True]),
)
_ADVANCE = _named("advance", by=st.sampled_from(["1s", "5m", "10m", "1h", "3h", "1d", "3d"]))
_ANSWER = _named("answer", kind=st.sampled_from(["approve", "approve", "approve", "reject"]))
_RARE = st.one_of(
    _named("again", back=st.integers(0, 3)),
    _named(
        "world",
        outcome=st.sampled_from(["done", "done", "failed", "unknown"]),
        says=st.sampled_from(["recovered", "unchanged", "worse", "missing"]),
    ),
    _named("cluster", rollout=st.sampled_from(["done", "failed", "unknown"])),
    _named("hands", busy=st.booleans(), stubborn=st.booleans(), blind=st.booleans()),
    _named("adopt", number=st.integers(0, len(SETS) - 1)),
    _named("crash", rounds=st.integers(0, 2)),
    st.sampled_from(_SCOPES).flatmap(lambda s: _named("pause", scope=st.just(s[0]), ref=st.just(s[1]), hours=_HOURS)),
    st.sampled_from(_SCOPES).map(lambda s: ("resume", {"scope": s[0], "ref": s[1]})),
    _named("close_breaker", name=_MODEL),
    _named("silence", name=_MODEL, hours=st.sampled_from([1, 5])),
    _named("expire"),
    _named("cancel"),
    _named("retry"),
    _named("end_condition", place=st.integers(0, 9)),
    _named("replay_quarantined"),
)


def _often(number: int) -> st.SearchStrategy[tuple[str, dict[str, Any]]]:
    """Of thirty things that happen seventeen are events, six that time passes, and two that people answer."""
    return _SEND if number < 17 else _ADVANCE if number < 23 else _ANSWER if number < 25 else _RARE


HISTORIES = st.lists(st.integers(0, 29).flatmap(_often), min_size=20, max_size=60)


def unfold(scene: Scene, steps: list[tuple[str, dict[str, Any]]], first: int = 0) -> None:
    """Let a history happen, with this set of policies first. Events in a row are one batch for the engine."""
    run = Run(scene)
    scene.adopt(*DOCUMENTS, *SETS[first])
    for name, told in steps:
        if name in ("send", "again"):
            getattr(run, name)(**told)
            continue
        if name == "crash":
            run.crash(**told)
            continue
        scene.settle()
        if name == "advance":
            scene.advance(**told)
        elif name == "adopt":
            scene.adopt(*DOCUMENTS, *SETS[told["number"]])
        elif name in ("world", "hands", "cluster"):
            for key, value in told.items():
                setattr(scene.objects if name == "cluster" else scene.world, key, value)
        else:
            getattr(run, name)(**told)
        scene.settle()
    scene.settle()
