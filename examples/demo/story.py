"""The calendar: day by day the model serves, labels arrive a week late, monitors report, modelmend answers.

The calendar waits for the server, never the other way round: it stands still while events
are being decided, while an action runs, and while a verdict is due for which all labels
are there. So the story comes out the same on a slow machine, only later.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

from sklearn.ensemble import HistGradientBoostingRegressor

from examples.demo import DemoError, feed, monitors, versions
from examples.demo.data import Records
from examples.demo.model import fit, predict, read, save
from examples.demo.narrator import Narrator
from examples.demo.server import Item, Server
from examples.demo.verify import DAYS
from examples.demo.versions import MODEL, Version
from examples.demo.worlds import FIRST_DAY, REFERENCE, TRAINED_UNTIL, World, unserved

DAY = timedelta(days=1)
STANDSTILL = 300.0  # seconds that one remediation may hold the calendar

DRIFT, ERROR, FEED = "urn:bikes:drift-monitor", "urn:bikes:error-monitor", "urn:bikes:feed-check"


@dataclass(slots=True)
class Story:
    """The world in which modelmend mends."""

    records: Records
    work: Path
    server: Server
    narrator: Narrator
    limit: float  # bikes per hour: a larger error is a degradation
    month: float  # seconds that a month takes at least
    world: World = field(init=False)
    _serving: tuple[Version, HistGradientBoostingRegressor] = field(init=False)
    _drifted: set[str] = field(default_factory=set)  # features of which the last report said so
    _degraded: bool = False
    _broken_until: date | None = None  # the last day with nulls, while the feed is not restored

    def __post_init__(self) -> None:
        self.world = World("modelmend", unserved(self.records))
        version = versions.serving(self.work)
        self._serving = version, read(self.work, version)
        self.narrator.proof = self._proof

    def live(self) -> World:
        """Every day from FIRST_DAY until the last label has arrived."""
        day = FIRST_DAY
        while day <= self.records.last + monitors.LABEL_DELAY:
            began = time.monotonic()
            feed.set_today(self.work, day)
            self._labels_arrive(day - monitors.LABEL_DELAY)
            if day <= self.records.last:
                self._serve(day)
            self._report(day)
            took = time.monotonic() - began
            self._stand_still(day)
            self.narrator.calendar(day)
            time.sleep(max(0.0, self.month / 30.4 - took))
            day += DAY
        return self.world

    def _labels_arrive(self, day: date) -> None:
        if FIRST_DAY <= day <= self.records.last:
            write_labels(self.work, self.records, self.records.days(day, day))

    def _serve(self, day: date) -> None:
        version = versions.serving(self.work)
        if version != self._serving[0]:
            self._serving = version, read(self.work, version)
        hours = self.records.days(day, day)
        write_features(self.work, self.records, hours)
        bikes = predict(self._serving[1], self.records.features[hours], version.scale)
        self.world.predicted[hours] = bikes
        numbers = range(hours.start, hours.stop)
        rows = ((hour, day, version.number, one) for hour, one in zip(numbers, bikes.tolist(), strict=True))
        feed.append(self.work, feed.PREDICTIONS, rows)

    def _report(self, day: date) -> None:
        if day.day == monitors.LABEL_DELAY.days and day > FIRST_DAY + monitors.LABEL_DELAY:
            self._report_error(*monitors.month_before(day))
        if day <= self.records.last:
            self._check_feed(day)
            if monitors.ends_month(day):
                self._report_drift(day)

    def _report_drift(self, day: date) -> None:
        month = self.records.days(day.replace(day=1), day)
        found = monitors.drift(self.records, self.records.days(*REFERENCE), month)
        self.narrator.drift(found)
        events = []
        for one in found:
            data = {"feature": one.feature, "method": "wasserstein", "driftScore": round(one.score, 3)}
            data |= {"threshold": monitors.DRIFT_LIMIT, "sampleCount": one.samples, "kind": "data"}
            if one.drifted:
                events.append(self._event(DRIFT, "ml.data.drift.detected", day, one.feature, data))
            elif one.feature in self._drifted:
                about = {"feature": one.feature, "kind": "data"}
                events.append(self._event(DRIFT, "ml.data.drift.resolved", day, one.feature, about))
        self._drifted = {one.feature for one in found if one.drifted}
        self.server.send(events or [self._event(DRIFT, "ml.monitor.checked", day, "nothing", {})])

    def _report_error(self, first: date, last: date) -> None:
        error = self.world.error(self.records, first, last)
        hours = self.records.days(first, last)
        data: Item = {"metric": "mae", "direction": "above", "value": round(error, 2), "threshold": self.limit}
        data["sampleCount"] = hours.stop - hours.start
        if error > self.limit:
            event = self._event(ERROR, "ml.performance.degraded", last, "mae", data)
        elif self._degraded:
            event = self._event(ERROR, "ml.performance.recovered", last, "mae", data)
        else:
            event = self._event(ERROR, "ml.monitor.checked", last, "nothing", {})
        self._degraded = error > self.limit
        self.server.send([event])
        self.narrator.month(self.server, first, error)

    def _check_feed(self, day: date) -> None:
        share = monitors.null_share(self.records, self.records.days(day, day))
        if share > monitors.NULL_LIMIT:
            if self._broken_until is None:
                data = {"feature": "temp", "kind": "missing", "share": round(share, 3), "day": day.isoformat()}
                self.server.send([self._event(FEED, "ml.data.quality.failed", day, "temp", data)])
                self.narrator.broken(day, share)
            self._broken_until = day
        elif self._broken_until and day >= self._broken_until + timedelta(days=monitors.CLEAN_DAYS):
            about = {"feature": "temp", "kind": "missing"}
            self.server.send([self._event(FEED, "ml.data.quality.restored", day, "temp", about)])
            self.narrator.restored(day)
            self._broken_until = None

    def _event(self, source: str, type_: str, day: date, about: str, data: Item) -> Item:
        """One CloudEvent about this model; its id says month and subject: `drift-monitor-2012-02-temp`."""
        name = f"{source.rpartition(':')[2]}-{day:%Y-%m}-{about}-{type_.rpartition('.')[2]}"
        version = {"model": MODEL, "modelVersion": versions.serving(self.work).name, "period": f"{day:%Y-%m}"}
        return {"id": name, "source": source, "type": type_, "subject": MODEL, "data": {**version, **data}}

    def _proof(self, step: str) -> str:
        """What the verified weeks of the version that `step` made last came to."""
        since = next(one.since for one in reversed(versions.versions(self.work)) if one.made_by == step)
        error = self.world.error(self.records, since + DAY, since + timedelta(days=DAYS))
        return f"error of the following {DAYS} days {error:.1f}"

    def _stand_still(self, day: date) -> None:
        """Until no action runs, and no verdict is due whose labels are all there."""
        deadline = time.monotonic() + STANDSTILL
        while True:
            active = self.narrator.follow(self.server)
            due = versions.serving(self.work).since + timedelta(days=DAYS) + monitors.LABEL_DELAY
            if all(one["phase"] == "Verifying" and day < due for one in active):
                return
            if time.monotonic() > deadline:
                phases = ", ".join(f"{one['id']} {one['phase']}" for one in active)
                raise DemoError(f"the calendar stood still for {STANDSTILL:.0f} s: {phases}; see {self.server.log}")
            time.sleep(0.1)


def begin(records: Records, work: Path) -> Version:
    """Fill the work folder with the time until the first served day, train version 1 on it, serve it."""
    past = records.days(date.min, TRAINED_UNTIL)
    write_features(work, records, past)
    write_labels(work, records, past)
    version = Version(1, "model-1.joblib", 1.0, TRAINED_UNTIL, "training")
    save(work, version, fit(records.features[past], records.count[past]))
    versions.publish(work, version)
    feed.set_today(work, TRAINED_UNTIL)
    return version


def write_features(work: Path, records: Records, hours: slice) -> None:
    """Hand over the features of some hours: hour's number, day's number, one column a feature."""
    rows = ((hour, records.day[hour], *records.features[hour].tolist()) for hour in range(hours.start, hours.stop))
    feed.append(work, feed.FEATURES, rows)


def write_labels(work: Path, records: Records, hours: slice) -> None:
    """Hand over the labels of some hours: hour's number, day's number, bikes."""
    rows = ((hour, records.day[hour], records.count[hour]) for hour in range(hours.start, hours.stop))
    feed.append(work, feed.LABELS, rows)
