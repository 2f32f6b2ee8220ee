import re
from pathlib import Path
from typing import get_args

import pytest
from prometheus_client.parser import text_string_to_metric_families

from controller.decision import Reason
from controller.metrics import ACTIONS, ENDED_PHASES, PHASES, UNASKED, Metrics
from controller.policy import Action
from controller.remediation import Phase

DOCUMENT = Path(__file__).parents[2] / "docs" / "metrics.md"


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(version="1.2.3", sources=["urn:drift-detector"], receivers=["default"])


def samples(metrics: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Every sample as Prometheus reads it."""
    body, _ = metrics.render()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }


def names(metrics: Metrics) -> set[str]:
    body, _ = metrics.render()
    return {
        found for found in re.findall(r"^# HELP (\S+)", body.decode(), re.MULTILINE) if found.startswith("modelmend")
    }


def test_names_have_our_prefix_and_help(metrics: Metrics) -> None:
    """Every metric of ours begins with modelmend_ and has a help text that is a sentence."""
    body, _ = metrics.render()
    ours = re.findall(r"^# HELP (\S+) (.*)$", body.decode(), re.MULTILINE)
    assert all(name.startswith(("modelmend_", "process_")) for name, _ in ours)
    assert [name for name, text in ours if not text.endswith(".")] == []


def test_closed_labels_begin_at_zero(metrics: Metrics) -> None:
    """A failure that never happened is a series at 0, so that the first one is a change."""
    found = samples(metrics)
    assert found["modelmend_events_invalid_total", (("reason", "schema"),)] == 0
    assert found["modelmend_requests_refused_total", (("status", "429"),)] == 0
    assert found["modelmend_outbox_sent_total", (("receiver", "default"), ("result", "failed"))] == 0
    assert found["modelmend_reconcile_errors_total", (("kind", "temporary"),)] == 0
    assert [found["modelmend_remediations_active", (("phase", phase),)] for phase in PHASES] == [0] * 5


def test_every_declared_family_gives_samples(metrics: Metrics) -> None:
    """No metric is invisible until something happens, but for those labelled by policy."""
    body, _ = metrics.render()
    empty = {family.name for family in text_string_to_metric_families(body.decode()) if not family.samples}
    assert empty == {"modelmend_remediations"}
    metrics.policies_known(["ml/retrain"])
    assert samples(metrics)[
        "modelmend_decisions_total", (("outcome", "remediate"), ("policy", "ml/retrain"), ("reason", ""))
    ] == 0  # fmt: skip


def test_unknown_sources_share_one_series(metrics: Metrics) -> None:
    """What a sender writes as its source does not make a series."""
    assert metrics.source_label("urn:drift-detector") == "urn:drift-detector"
    assert {metrics.source_label(f"urn:invented:{number}") for number in range(1000)} == {"other"}


def test_unknown_statuses_share_one_series(metrics: Metrics) -> None:
    """A refusal by a status that nobody foresaw is counted all the same."""
    metrics.request_refused(418)
    metrics.request_refused(404)
    found = samples(metrics)
    assert found["modelmend_requests_refused_total", (("status", "other"),)] == 1
    assert found["modelmend_requests_refused_total", (("status", "404"),)] == 1


def test_active_phases_fall_back_to_zero(metrics: Metrics) -> None:
    """A phase in which nothing is any more is set to 0, not left as it was."""
    metrics.set_active({"Running": 3})
    metrics.set_active({"Verifying": 1})
    found = samples(metrics)
    assert found["modelmend_remediations_active", (("phase", "Running"),)] == 0
    assert found["modelmend_remediations_active", (("phase", "Verifying"),)] == 1


def test_label_sets_are_those_of_the_domain() -> None:
    """The closed label sets are the enumerations' own values."""
    assert set(PHASES) == {phase for phase in Phase if not phase.terminal}
    assert set(ENDED_PHASES) == {phase for phase in Phase if phase.terminal}
    assert set(UNASKED) <= set(Reason)
    assert set(ACTIONS) == {action.kind for action in get_args(Action)}


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", "text/plain; version=0.0.4"),
        ("application/openmetrics-text; version=1.0.0", "application/openmetrics-text; version=1.0.0"),
        ("text/plain; version=nonsense", "text/plain; version=0.0.4"),
        ("application/openmetrics-text; version=x", "text/plain; version=0.0.4"),
        ("\x00;;;=,,", "text/plain; version=0.0.4"),
    ],
)
def test_accept_header_chooses_the_form(metrics: Metrics, accept: str, content_type: str) -> None:
    """Prometheus gets the form that it asks for; a header that means nothing gets plain text."""
    _, got = metrics.render(accept)
    assert got.startswith(content_type)


def test_two_processes_in_one_do_not_share() -> None:
    """Each Metrics has a registry of its own: a test, or a replay, counts for itself."""
    one, other = Metrics(version="1"), Metrics(version="1")
    one.events_duplicate.inc()
    assert samples(other)["modelmend_events_duplicate_total", ()] == 0


def test_every_metric_is_documented(metrics: Metrics) -> None:
    """docs/metrics.md has every metric with its labels, and none that is not there."""
    documented = dict(
        re.findall(r"^\| `(modelmend_\w+)(\{[\w,]*\})?` \|", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
    )
    assert set(documented) == names(metrics)
    metrics.policies_known(["ml/retrain"])
    for name, labels in documented.items():
        found = {tuple(key for key, _ in sample) for (full, sample) in samples(metrics) if full == name}
        if found:  # histograms have only suffixed samples
            assert found == {tuple(sorted(filter(None, labels.strip("{}").split(","))))}, name
