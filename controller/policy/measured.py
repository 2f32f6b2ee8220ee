"""Verifications that measure, read from a document: by a query, a detector's report, or an analysis."""

from __future__ import annotations

from datetime import timedelta

from controller.events.content import metric_name
from controller.policy.arguments import read_argument
from controller.policy.cluster_steps import read_every
from controller.policy.defaults import Fallback, check_room, duration
from controller.policy.measure import Measure
from controller.policy.reading import Fields
from controller.policy.types import AnalysisVerification, QueryVerification, ReportVerification

EVERY = timedelta(minutes=1)
ANALYSIS_EVERY = timedelta(seconds=15)


def read_query(fields: Fields, fallback: Fallback) -> QueryVerification | None:
    """`query` under `verify`; None where it cannot be read."""
    query = fields.at("query").query()
    recovered, worse = read_measures(fields)
    pushed = fields.get("pushTime")
    push_time = pushed.query() if pushed else None
    within = duration(fields, "within", fallback.within)
    settle = duration(fields, "settle", fallback.settle, zero=True)
    hold = duration(fields, "for", fallback.hold, zero=True)
    every = read_every(fields, EVERY, within)
    if query is None or recovered is None:
        return None
    reach = [("the query's range", query.reach)] if query.reach else []
    check_room(fields, within, ("settle", settle), *reach, ("for", hold))
    found = QueryVerification(query, recovered, worse, push_time, every, settle, hold, within)
    if "stable" in found.reads and "version" not in query.names:
        fields.at("query").refuse("want $version in it: stable is the same query for the stable version")
    return found


def read_measures(fields: Fields) -> tuple[Measure | None, Measure | None]:
    """`recovered`, which must be there, and `worse`."""
    recovered = fields.need("recovered", "an expression over value, before and stable")
    worse = fields.get("worse")
    return recovered.measure() if recovered else None, worse.measure() if worse else None


def read_report(fields: Fields, fallback: Fallback) -> ReportVerification:
    """`report` under `verify`."""
    metric = fields.at("report").fields("report").need("metric", "the name of a metric")
    recovered, worse = fields.get("recovered"), fields.get("worse")
    found = ReportVerification(
        metric=metric_name(metric.text("the name of a metric")) if metric else "",
        recovered=recovered.measure() if recovered else None,
        worse=worse.measure() if worse else None,
        within=duration(fields, "within", fallback.within),
    )
    for place, measure in ((recovered, found.recovered), (worse, found.worse)):
        if place is not None and measure is not None and "stable" in measure.reads:
            place.refuse("stable is known to a query only, want value and before")
    return found


def read_analysis(fields: Fields, fallback: Fallback) -> AnalysisVerification:
    """`analysis` under `verify`."""
    analysis = fields.at("analysis").fields("analysis")
    template = analysis.need("templateName", "the name of an AnalysisTemplate")
    args = analysis.at("args").entries("arguments") if "args" in analysis else []
    within = duration(fields, "within", fallback.within)
    return AnalysisVerification(
        template=template.label() if template else "",
        args={name: read_argument(place) for name, place in args},
        every=read_every(fields, ANALYSIS_EVERY, within),
        within=within,
    )
