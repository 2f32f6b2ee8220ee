"""Samples of a verification by `query`: the number that it is now, and those that it is measured against.

Times are asked for explicitly. `before` is asked for the time at which the step began, so that it
is the same whenever it is asked; once known it is told again and not asked again.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from controller.policy import Measure, Unfillable, fill
from controller.prometheus import NoNumber, NoQuestion, Prometheus
from controller.verify.sample import Sample

NO_PROMETHEUS = "no Prometheus: set prometheus.url"


def sample(
    verification: Mapping[str, Any],
    told: Mapping[str, Any],
    cancelled: threading.Event,
    prometheus: Prometheus | None,
) -> Sample:
    """Ask once, by four calls of the client at most.

    `verification`: `query`, `pushTime`, `recovered`, `worse`, `every`, `for`. `told`: `model` (namespace/name),
    `now`, `stepBegan` (RFC 3339), `version` that the action reported, `versionBefore`, `versionStable` (each
    may be None), `before` (the number, None: not known yet), `only`: "before" where the step has not begun.
    """
    now = datetime.fromisoformat(told["now"])
    if prometheus is None:
        return Sample("missing", NO_PROMETHEUS, at=now)
    if told["only"] == "before":
        return _only_before(verification, told, cancelled, prometheus)
    query, reads = verification["query"], _reads(verification)
    if "$version" in query or "${version}" in query:
        if not told["version"]:
            return Sample("unknown", "the query names $version, and the action has reported none", at=now)
        if "before" in reads and told["before"] is None and not told["versionBefore"]:
            return Sample("unknown", "before is asked for, and the version before the step is not known", at=now)
    names = _names(told)
    try:
        numbers = {"value": prometheus.at(fill(query, {**names, "version": told["version"]}), now, cancelled)}
        if verification.get("pushTime"):
            pushed = fill(verification["pushTime"], {**names, "version": told["version"]})
            numbers["pushed"] = _asked("pushTime", lambda: prometheus.at(pushed, now, cancelled))
    except Unfillable as error:
        return Sample("unknown", str(error), at=now)
    except NoNumber as error:
        return Sample("missing", str(error), at=now)
    missing: list[str] = []
    for name, ask in (("before", before), ("stable", stable)):
        if name in reads:
            try:
                numbers[name] = ask(verification, told, cancelled, prometheus)
            except (NoNumber, Unfillable) as error:
                missing.append(f"{name}: {error}")
    return Sample("measured", "; ".join(missing), numbers, now)


def _only_before(
    verification: Mapping[str, Any], told: Mapping[str, Any], cancelled: threading.Event, prometheus: Prometheus
) -> Sample:
    try:
        return Sample("measured", "", {"before": before(verification, told, cancelled, prometheus)})
    except NoQuestion as error:
        return Sample("unknown", str(error))
    except (NoNumber, Unfillable) as error:
        return Sample("missing", str(error))


def before(
    verification: Mapping[str, Any], told: Mapping[str, Any], cancelled: threading.Event, prometheus: Prometheus
) -> float:
    """The query for the version before, mean over `for` until the step began; raises NoNumber, Unfillable."""
    if told["before"] is not None:
        return float(told["before"])
    query = fill(verification["query"], {**_names(told), "version": told["versionBefore"]})
    began, hold = datetime.fromisoformat(told["stepBegan"]), timedelta(seconds=verification["for"])
    return prometheus.mean(query, began - hold, began, timedelta(seconds=verification["every"]), cancelled)


def stable(
    verification: Mapping[str, Any], told: Mapping[str, Any], cancelled: threading.Event, prometheus: Prometheus
) -> float:
    """The query for the stable version now; raises NoNumber, Unfillable."""
    query = fill(verification["query"], {**_names(told), "version": told["versionStable"]})
    return prometheus.at(query, datetime.fromisoformat(told["now"]), cancelled)


def _asked(name: str, ask: Any) -> float:
    try:
        number: float = ask()
    except NoNumber as error:
        raise NoNumber(f"{name}: {error}") from error
    return number


def _names(told: Mapping[str, Any]) -> dict[str, str]:
    namespace, _, model = str(told["model"]).partition("/")
    return {"model": model, "namespace": namespace}


def _reads(verification: Mapping[str, Any]) -> frozenset[str]:
    sources = (verification["recovered"], verification.get("worse"))
    return frozenset[str]().union(*(Measure(source).reads for source in sources if source))
