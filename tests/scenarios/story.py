"""A story about the policies of examples/: an installation at a place in Rome, played by events over days or weeks.

    story = play("retrain-wide-drift", "salary-predictor", begin="2025-03-28 08:00")
    assert story.at("2025-03-28 09:00", drift("age", 0.31)) == ["accumulating"]
    assert story.later("5m") == ["remediate"]
    assert story.started == [("2025-03-28 09:05", "retrain-model", {"model": "salary-predictor"})]

The engine, the store (SQLite), the actions and the verifications are the real ones; the clock is
moved by the test, and the cluster and Prometheus are doubles. All times are local ones of Rome.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from controller import schema
from controller.durations import format_duration
from controller.settings import Sender
from tests.conftest import Clock
from tests.integration.engine.scene import DETECTOR, Scene
from tests.scenarios.cluster import Cluster
from tests.scenarios.prometheus import Numbers

ROME = ZoneInfo("Europe/Rome")
DAILY = {DETECTOR: Sender(period=timedelta(days=1))}


@dataclass(frozen=True, slots=True)
class Said:
    """What a detector says, without when."""

    type: str
    data: Mapping[str, Any] = field(default_factory=dict)


def low(metric: str, value: float, **data: Any) -> Said:
    """Performance is degraded."""
    return Said("ml.performance.degraded", {"metric": metric, "value": value, "sampleCount": 5_000, **data})


def fine(metric: str, **data: Any) -> Said:
    """Performance is good again."""
    return Said("ml.performance.recovered", {"metric": metric, **data})


def drift(feature: str, psi: float, **data: Any) -> Said:
    """A feature drifts, by its PSI."""
    data = {"feature": feature, "driftScore": psi, "method": "psi", "sampleCount": 5_000, **data}
    return Said("ml.data.drift.detected", data)


def predictions(psi: float, **data: Any) -> Said:
    """The distribution of the predictions drifts."""
    return Said("ml.data.drift.detected", {"kind": "prediction", "driftScore": psi, "sampleCount": 5_000, **data})


def calm(**data: Any) -> Said:
    """The detector looked and found nothing."""
    return Said("ml.monitor.checked", data)


def labels(count: int, **data: Any) -> Said:
    """Labels came."""
    return Said("ml.labels.available", {"count": count, **data})


def deployed(version: str, **data: Any) -> Said:
    """Somebody has deployed a version."""
    return Said("ml.model.deployed", {"version": version, **data})


def trained(**data: Any) -> Said:
    """Somebody has trained the model."""
    return Said("ml.model.trained", data)


def broken(**data: Any) -> Said:
    """Data is broken."""
    return Said("ml.data.quality.failed", data)


def mended(**data: Any) -> Said:
    """The data is good again."""
    return Said("ml.data.quality.restored", data)


def rome(text: str) -> datetime:
    """`2025-03-30 09:00` in Rome, as UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=ROME).astimezone(UTC)


def in_rome(moment: datetime) -> str:
    """The opposite."""
    return moment.astimezone(ROME).strftime("%Y-%m-%d %H:%M")


class Story(Scene):
    """See above. `about` is the model that is spoken of where an event names none."""

    clock: Clock
    objects: Cluster
    about: str
    _told = 0
    _moments = 0

    def __init__(self, *args: Any, **settings: Any) -> None:
        self.measures = Numbers()
        super().__init__(*args, **settings)

    def lead(self) -> None:
        super().lead()
        self.engine.rules = replace(self.engine.rules, senders=DAILY)
        self.engine._workers._prometheus = self.measures

    def leave(self) -> None:
        self.engine._following.stop()
        super().leave()

    def settle(self) -> None:
        """As a scene's; and what has changed in the cluster is seen."""
        super().settle()
        while self.objects.changed:
            changed, self.objects.changed = self.objects.changed, {}
            for (kind, _), obj in changed.items():
                self.engine._following._changed((kind, "ml"), "MODIFIED", obj)
            super().settle()

    # what happens

    def at(self, when: str, *said: Said) -> list[str]:
        """It becomes `when`, and then this is said, one by one; the answers given since last asked.

        Every second time modelmend is killed and started again first.
        """
        self._moments += 1
        if self._moments % 2 == 0:
            self.crash()
            self.settle()
        left = rome(when) - self.clock()
        assert left >= timedelta(0), f"{when} is over"
        if left:
            self.advance(format_duration(left))
        for each in said:
            self.send(each.type, **{"model": self.about, **each.data})
        return self.answers()

    def later(self, length: str, *said: Said) -> list[str]:
        """Time passes, and then this is said."""
        self.advance(length)
        return self.at(in_rome(self.clock()), *said)

    def answers(self) -> list[str]:
        """The decisions since this was asked last, as they were taken: reasons, or `remediate`."""
        d = schema.decisions.c
        rows = self.rows(schema.decisions, d.id > self._told, order=d.id)
        self._told = max((row.id for row in rows), default=self._told)
        return [row.reason or row.outcome for row in rows]

    def ends(self, phase: str = "Succeeded", message: str = "", **outputs: str) -> None:
        """The newest Workflow comes to its end; outputs `version` and `verdict` are what they are called by Argo."""
        named = {{"version": "model-version"}.get(name, name): value for name, value in outputs.items()}
        self.objects.end(self.objects.workflows()[-1]["metadata"]["name"], phase, named, message)
        self.settle()

    def rolled_out(self, version: str) -> None:
        """What a retraining Workflow brings: this version serves, and the Workflow says so."""
        self.objects.release(self.about, version)
        self.settle()
        self.ends(version=version, verdict="promoted")
        self.promoted()

    def released(self, version: str) -> None:
        """Somebody brings a version, which gets all traffic."""
        self.objects.release(self.about, version)
        self.settle()
        self.promoted()

    def promoted(self) -> None:
        """What the Rollout asks for gets all traffic."""
        self.objects.promote(self.about)
        self.settle()

    # what has come of it

    @property
    def started(self) -> list[tuple[str, str, dict[str, Any]]]:
        """Every action that was begun: when, what, and with which parameters."""
        t = schema.transitions
        begun = self.rows(t, t.c.reason == "started", order=t.c.version)
        told = []
        for each in self.rows(schema.intents, order=schema.intents.c.id):
            mine = [row.now for row in begun if (row.remediation_id, row.step) == (each.remediation_id, each.step)]
            told.append((in_rome(mine[each.attempt - 1]), *_shown(each.action, each.end_state)))
        return told

    @property
    def endings(self) -> list[str]:
        """The phase and verdict of each remediation, oldest first: `Succeeded recovered`."""
        return [f"{row.phase} {row.verdict}" for row in self.remediations()]

    @property
    def told_of_a_shared_cause(self) -> list[dict[str, Any]]:
        """What people were told of many models with one cause."""
        return [row.body for row in self.outbox() if "fleet" in row.body["type"]]

    @property
    def pages(self) -> list[str]:
        """What people were told at once."""
        return [row.body["summary"] for row in self.outbox() if row.body.get("page")]


def _shown(action: str, wanted: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    if action == "workflow":
        return wanted["template"], dict(wanted["parameters"])
    if action == "rollout":
        return f"rollout {wanted['do']}", {"to": wanted["to"]} if wanted.get("to") else {}
    return action, {}
