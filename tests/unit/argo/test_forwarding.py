"""Argo Events forwards each CloudEvent as it was: what its own code made of argo/sensor.yaml, taken by ours.

recorded.json is written by forwarding/main.go, which also has Argo Events validate both files.
"""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from controller.events.types import EventTypes
from controller.events.wire import parse
from controller.settings import Settings

HERE = Path(__file__).parent / "forwarding"
GIVEN = json.loads((HERE / "given.json").read_text())
RECORDED = json.loads((HERE / "recorded.json").read_text())

SENSOR = Path(__file__).parents[3] / "argo" / "sensor.yaml"
[TRIGGER] = yaml.safe_load(SENSOR.read_text())["spec"]["triggers"]
[DEPENDENCY] = yaml.safe_load(SENSOR.read_text())["spec"]["dependencies"]


def received(case):
    """What modelmend's door makes of what was sent."""
    sent = RECORDED["cases"][case]
    settings = Settings()
    return parse(
        sent["contentType"],
        {},
        sent["body"].encode(),
        now=datetime(2025, 1, 23, 12, 0, 5, tzinfo=UTC),
        types=EventTypes(None),
        senders=settings.senders,
        model_pattern=settings.model_pattern,
    )


def test_the_record_is_of_the_sensor_as_it_is():
    """Whoever changes its templates records anew."""
    http = TRIGGER["template"]["http"]
    assert DEPENDENCY["filters"] == RECORDED["filters"]
    assert http["payload"][0]["src"]["dataTemplate"] == RECORDED["payload"]
    assert http["dynamicHeaders"][0]["src"]["dataTemplate"] == RECORDED["contentType"]
    assert GIVEN.keys() == RECORDED["cases"].keys()


@pytest.mark.parametrize("case", ["structured", "binary", "batch"])
def test_identity_data_and_extensions_are_the_senders(case):
    """One event however it came, two of a batch; nothing of Argo Events' own context."""
    parsed = received(case)
    assert [(event.source, event.id) for event in parsed.events] == [
        ("urn:drift-detector", "drift-99201"),
        ("urn:drift-detector", "drift-99202"),
    ][: len(parsed.events)]
    assert (len(parsed.events), parsed.rejected) == (2 if case == "batch" else 1, ())
    for event in parsed.events:
        assert event.data.items() >= GIVEN["structured"]["body"]["data"].items()
        assert event.extensions["traceparent"] == GIVEN["structured"]["body"]["traceparent"]
    assert "of Argo Events" not in RECORDED["cases"][case]["body"]


@pytest.mark.parametrize("case", GIVEN)
def test_what_is_no_cloudevent_is_not_forwarded(case):
    """No id is made up for it, and it fails nothing: the sensor's filter drops it, and only it."""
    assert RECORDED["cases"][case]["passed"] == (case in ("structured", "binary", "batch"))


def test_what_modelmend_refuses_is_not_sent_again():
    """One bad event would hold up all that follow, for as long as the sensor tries; a bad token may be mended."""
    allowed = TRIGGER["policy"]["status"]["allow"]
    assert allowed == [200, 202, 400, 413, 415, 422]


def test_the_comment_says_how_long_it_tries():
    """The waits between the attempts, without and with jitter."""
    retry = TRIGGER["retryStrategy"]
    waits = [int(retry["duration"][:-1]) * float(retry["factor"]) ** n for n in range(retry["steps"] - 1)]
    jitter = 1 + float(retry["jitter"])
    said = f"{max(waits):.0f} s apart and up to a fifth more: for {sum(waits) / 60:.0f} to {sum(waits) * jitter / 60:.0f} min"
    assert said in SENSOR.read_text()
