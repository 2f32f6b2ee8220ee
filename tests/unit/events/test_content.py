"""What an event means once it is read: model and version, derived fields, numbers, digest."""

from datetime import timedelta
from typing import Any

import pytest

from controller.errors import InvalidEvent
from controller.events import about_key, feature_of
from controller.events.content import metric_name
from tests.unit.events.conftest import NOW, Read


@pytest.mark.parametrize(
    ("data", "subject", "model", "version"),
    [
        ({"model": "fraud"}, None, "fraud", None),
        ({"model": "fraud"}, "salary", "fraud", None),  # data wins over subject
        ({}, "salary", "salary", None),
        ({"modelVersion": "salary-predictor-v5"}, None, "salary-predictor", "v5"),
        ({"modelVersion": "salary-predictor-v5"}, "other", "other", "salary-predictor-v5"),  # not of this model: whole
        ({"modelVersion": "salary-predictor-v5", "model": "salary-predictor"}, None, "salary-predictor", "v5"),
        ({"modelVersion": "v5", "model": "fraud"}, None, "fraud", "v5"),
        ({"modelVersion": "fraud:3"}, None, "fraud", "3"),
        ({"model": "org/fraud v2"}, None, "org/fraud v2", None),
    ],
)
def test_where_the_model_comes_from(
    read: Read, example: dict[str, Any], data: dict[str, Any], subject: str | None, model: str, version: str | None
):
    """The model is data.model, else subject, else split from modelVersion; the version what is left."""
    (event,) = read(example | {"data": {"driftScore": 1, **data}, "subject": subject}).events
    assert (event.model, event.version) == (model, version)


def test_our_own_source_is_refused(read: Read, example: dict[str, Any]):
    """Nobody speaks as modelmend: what it finds out itself could else be forged."""
    with pytest.raises(InvalidEvent) as refused:
        read(example | {"source": "modelmend"})
    (fault,) = refused.value.faults
    assert (fault.path, fault.found) == ("source", '"modelmend"')


def test_the_version_pattern_is_configured(read: Read, example: dict[str, Any]):
    """Another installation writes versions another way."""
    example["data"]["modelVersion"] = "2024_salary"
    (event,) = read(example, model_pattern="(?P<version>[0-9]+)_(?P<model>.+)").events
    assert (event.model, event.version) == ("salary", "2024")


def test_a_deployment_tells_the_version_deployed(read: Read, example: dict[str, Any]):
    """ml.model.deployed is a moment, and its version is that of `version`."""
    event = read(example | {"type": "ml.model.deployed", "data": {"model": "fraud", "version": "fraud-v6"}}).events[0]
    assert (event.version, event.family, event.over) == ("v6", None, False)
    data = {"modelVersion": "fraud-v5", "version": "v6"}
    event = read(example | {"type": "ml.model.deployed", "data": data}).events[0]
    assert (event.model, event.version) == ("fraud", "v6")


def test_the_namespace_is_the_senders_where_data_has_none(read: Read, example: dict[str, Any]):
    """data.namespace, else the sender's by its exact source, else none."""
    senders = {"urn:drift-detector": {"namespace": "ml"}}
    assert read(example, senders=senders).events[0].namespace == "ml"
    assert read(example | {"source": "urn:other"}, senders=senders).events[0].namespace is None
    example["data"]["namespace"] = "shop"
    assert read(example, senders=senders).events[0].namespace == "shop"


@pytest.mark.parametrize(
    ("data", "drifted"),
    [
        ({"driftScore": 0.4, "threshold": 0.3}, True),
        ({"driftScore": 0.3, "threshold": 0.3}, False),
        ({"pValue": 0.01, "threshold": 0.05}, True),
        ({"pValue": 0.2, "threshold": 0.05}, False),
        ({"pValue": 0.2, "driftScore": 0.9, "threshold": 0.05}, False),  # the threshold is the p-value's
        ({"driftScore": 0.4}, None),
        ({"driftScore": 0.4, "drifted": True}, True),  # nothing to derive from: the sender's word stands
        ({"driftScore": 0.2, "threshold": 0.3, "drifted": True}, False),
    ],
)
def test_drifted_is_derived_in_the_right_direction(
    read: Read, example: dict[str, Any], data: dict[str, Any], drifted: bool | None
):
    """A score drifts above its threshold, a p-value below it."""
    (event,) = read(example | {"data": {"model": "m", **data}}).events
    assert event.data.get("drifted") is drifted


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("F1Score", "f1"),
        ("f1_score", "f1"),
        ("F1", "f1"),
        ("f1-score", "f1"),
        ("RocAuc", "roc_auc"),
        ("ROC-AUC", "roc_auc"),
        ("Accuracy", "accuracy"),
        ("accuracy_score", "accuracy"),
        ("MAE", "mae"),
        ("R2Score", "r2"),
        ("LogLoss", "log_loss"),
        ("error_rate", "error_rate"),
        ("F1ByLabel", "f1_by_label"),
        ("HTTPErrors", "http_errors"),
        ("score", "score"),
        ("%", "%"),
    ],
)
def test_metric_names_are_normalised(written: str, name: str):
    """One metric has one name, whoever writes it; the name is its own normal form."""
    assert metric_name(written) == name
    assert metric_name(name) == name


def test_the_normalised_metric_is_the_conditions_key(read: Read, example: dict[str, Any]):
    """Degraded and recovered meet under one key, however each writes the metric."""
    degraded = example | {
        "type": "ml.performance.degraded",
        "data": {"model": "m", "metric": "F1Score", "value": 0.7, "slice": "a;b=c"},
    }
    recovered = example | {
        "type": "ml.performance.recovered",
        "data": {"model": "m", "metric": "f1_score", "slice": "a;b=c"},
    }
    one, two = read(degraded).events[0], read(recovered).events[0]
    assert one.about == two.about == "metric=f1;slice=a%3Bb%3Dc"
    assert one.data["metric"] == "f1"


def test_keys_that_differ_read_differently(read: Read, example: dict[str, Any]):
    """No two slices share a key: text, objects and escapes stay apart."""
    slices = [
        "a",
        "a,b",
        {"a": "b"},
        {"a": "b,c:d"},
        {"a": "b", "c": "d"},
        '{"a":"c"}',
        "1",
        {"a": 1},
        {"a": "1"},
        "%3B",
        ";",
    ]
    keys = {
        read(
            example
            | {"type": "ml.performance.degraded", "data": {"model": "m", "metric": "f1", "value": 1, "slice": part}}
        )
        .events[0]
        .about
        for part in slices
    }
    assert len(keys) == len(slices)


def test_numbers_of_data_are_floats(read: Read, example: dict[str, Any]):
    """Integers become floats wherever they stand, booleans stay, and what a float would change stays an integer."""
    example["data"] |= {
        "driftScore": 1,
        "list": [1, {"x": 2}],
        "flag": True,
        "exact": 2**53,
        "big": 2**53 + 1,
        "least": -(2**63),
    }
    data = read(example).events[0].data
    assert [type(value) for value in (data["driftScore"], data["list"][0], data["list"][1]["x"], data["exact"])] == [
        float
    ] * 4
    assert data["flag"] is True
    assert (data["big"], data["least"]) == (2**53 + 1, -(2**63))


def test_line_ends_may_stand_in_data(read: Read, example: dict[str, Any]):
    """Tabs and line ends are text; they are kept."""
    example["data"]["note"] = "a\tb\r\nc"
    assert read(example).events[0].data["note"] == "a\tb\r\nc"


def test_the_digest_is_over_content(read: Read, example: dict[str, Any]):
    """Key order, receipt, sender's settings and what each hop adds do not change it; content does."""
    digest = read(example).events[0].digest
    turned = {name: example[name] for name in reversed(example)} | {
        "data": {k: example["data"][k] for k in reversed(example["data"])}
    }
    same = [
        read(turned),
        read(example, now=NOW + timedelta(days=1)),
        read(example, senders={"urn:drift-detector": {"namespace": "ml"}}),
        read(example | {"traceparent": "00-1", "tracestate": "x", "knativeerrorcode": 500}),
        read(example | {"time": "2025-01-23T13:00:00+01:00"}),
    ]
    assert {parsed.events[0].digest for parsed in same} == {digest}
    others = [
        read(example | {"subject": "m"}),
        read(example | {"time": "2025-01-23T12:00:01Z"}),
        read(example | {"region": "eu"}),
        read(example | {"data": example["data"] | {"driftScore": 0.45}}),
        read(example | {"id": "drift-99202"}),
    ]
    assert len({parsed.events[0].digest for parsed in others} | {digest}) == 6


def test_an_absent_time_is_content_too(read: Read, example: dict[str, Any]):
    """The same event without a time, delivered twice, is no conflict."""
    del example["time"]
    assert read(example).events[0].digest == read(example, now=NOW + timedelta(hours=1)).events[0].digest


@pytest.mark.parametrize("name", ["a", "A.b_c:d@e+f-g", "org/model", "fraud detection", "7", "x" * 253])
def test_names_that_may_be_models(read: Read, example: dict[str, Any], name: str):
    """Names as registries, hubs and clusters have them."""
    assert read(example | {"data": {"driftScore": 1, "model": name}}).events[0].model == name


@pytest.mark.parametrize(
    "name", ["", " a", "a ", "-a", ".", "..", "a/../b", "/a", "a/", "a//b", "a\nb", "é", "x" * 254, "a;b", "$(a)"]
)
def test_names_that_may_not(read: Read, example: dict[str, Any], name: str):
    """Nothing that could be an option, a path that climbs, or a piece of shell."""
    with pytest.raises(InvalidEvent, match=r"data\.model: want a model's name"):
        read(example | {"data": {"driftScore": 1, "model": name}})


@pytest.mark.parametrize(
    ("told", "subject", "about"),
    [
        ({"dataset": "feast:t"}, None, (None, "feast:t")),
        ({"dataset": "feast:t"}, "feast:t", (None, "feast:t")),  # the subject is the dataset
        ({"dataset": "feast:t", "modelVersion": "v5"}, None, (None, "feast:t")),  # no model in it
        ({"dataset": "feast:t"}, "salary", ("salary", "feast:t")),
        ({"dataset": "feast:t", "model": "salary"}, "feast:t", ("salary", "feast:t")),
        ({"dataset": "feast:t", "modelVersion": "salary-v5"}, None, ("salary", "feast:t")),
    ],
)
def test_a_dataset_may_stand_instead_of_a_model(
    read: Read, example: dict[str, Any], told: dict[str, str], subject: str | None, about: tuple[str | None, str]
):
    """An event that names only a dataset is about the dataset; one that names a model too is about the model."""
    named = {"subject": subject} if subject else {}
    (event,) = read(example | named | {"data": {"driftScore": 1, "feature": "age", **told}}).events
    assert (event.model, event.dataset) == about
    assert (event.kind, event.subject_name) == ("model" if about[0] else "dataset", about[0] or about[1])
    assert event.feature == "age"


def test_a_deployment_needs_a_model(read: Read, example: dict[str, Any]):
    """What is deployed is a model: a dataset does not stand for it."""
    with pytest.raises(InvalidEvent, match=r"data\.model: want a model"):
        read(example | {"type": "ml.model.deployed", "data": {"version": "v5", "dataset": "feast:t"}})


@pytest.mark.parametrize("feature", ["age", "a=b;c%3D", "x%25"])
def test_the_feature_of_a_key(feature: str):
    """What `about_key` escapes is read back as it was."""
    assert feature_of(about_key({"feature": feature, "kind": "data"}, ("feature", "kind"))) == feature
    assert feature_of(about_key({"kind": f"feature={feature}"}, ("feature", "kind"))) is None
