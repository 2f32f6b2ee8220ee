"""The schemas that a cluster is given, held equal to what the parser takes."""

import copy
import json
import re
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.durations import format_duration, parse_duration
from controller.events.types import EventTypes
from controller.policy import CLUSTER, Installation, build_set, parse_documents, read_object
from controller.policy.calendar import DAY
from controller.policy.cluster_steps import EVERY as ROLLOUT_EVERY
from controller.policy.defaults import BUILT_IN
from controller.policy.described import DURATION, OBJECTS, VERIFICATIONS
from controller.policy.keys import KEYS, KINDS
from controller.policy.reading import Place
from controller.policy.schemas import as_yaml, definitions
from controller.policy.steps import EVERY
from controller.policy.triggers import UTC
from tests.unit.policy.structural import at, places, refuses, validator

ROOT = Path(__file__).parents[3]
HEADS = {"document", "metadata", "model metadata"}
INSTALLATION = Installation.of(EventTypes(), ["oncall"], cluster=True, prometheus=True)

EVERYTHING = """
kind: RemediationPolicy
metadata: {name: all, namespace: ml}
spec:
  mode: enforce
  severity: P1
  models: {names: ["salary-*"], matchLabels: {tier: prod}, unknown: record}
  triggers:
  - name: drift
    type: ml.data.drift.detected
    when: 'data.driftScore > 0.3'
    distinct: {of: data.feature, atLeast: 3, within: 1d}
    require: [{type: ml.performance.degraded, when: 'data.value < 0.9', within: 2d, versions: any}]
  - {name: often, type: ml.data.drift.detected, count: {atLeast: 3, within: 1d}}
  - {name: long, type: ml.performance.degraded, sustained: 30m}
  wait: 5m
  unless: [{type: ml.data.quality.failed, when: 'data.feature == "x"', within: 6h}]
  dataQuality: ignore
  limits: {cooldown: 1d, budget: {max: 2, within: 7d}, breaker: {failures: 2, within: 14d}, maxAge: 2d, minSamples: 5, scope: policy}
  approval: {expires: 12h}
  probation: 12h
  steps:
  - name: retrain
    workflow:
      workflowTemplateRef: {name: retrain-model}
      parameters: {model: {expr: model.name}, reason: drift}
      outputs: {version: model-version, verdict: verdict}
      timeout: 6h
    verify:
    - {rollout: promoted, every: 5s, within: 6h}
    - {command: {argv: [python, check.py, {expr: model.name}], timeout: 1m, env: {A: b}, cwd: /srv}, every: 1m, settle: 10m, for: 5m, within: 4h}
    - {query: 'up{m="$model"}', recovered: value > 0.9, worse: value < before, pushTime: max(p), every: 1m, settle: 10m, for: 5m, within: 4h}
    - {report: {metric: accuracy}, recovered: value > 0.9, worse: value < before, within: 2d}
    - {analysis: {templateName: success-rate, args: {model: {expr: model.name}}}, every: 15s, within: 2h}
    - {quiet: 30m, settle: 10m, within: 4h}
    - {resolved: {}, settle: 10m, for: 5m, within: 4h}
    confirm: {metric: f1, within: 45d}
    onWorse: stop
    approve: true
  - {name: job, job: {cronJobRef: {name: nightly}, env: {MODEL: {expr: model.name}}, timeout: 6h}, verify: none}
  - {name: abort, rollout: {abort: canary, timeout: 30m}, verify: none}
  - {name: promote, rollout: {promote: full}, verify: none}
  - {name: pause, rollout: {pause: true}, verify: none}
  - {name: restart, rollout: {restart: true}, verify: none}
  - {name: to, rollout: {to: v5}, verify: none}
  - name: local
    command: {argv: [python, retrain.py], timeout: 15m, idempotent: true, env: {A: {expr: model.name}}, cwd: /srv}
    verify: none
  - name: call
    request: {url: "https://h/x", method: PUT, headers: {X: {expr: model.name}}, body: {a: [1, {expr: data}]}, timeout: 15m}
    verify: none
  - {name: page, page: {receiver: oncall}}
---
kind: RemediationPolicy
metadata: {name: dated, namespace: ml}
spec:
  models: {names: [salary]}
  triggers:
  - {name: much, type: ml.labels.available, sum: {of: data.count, atLeast: 100, within: 30d}}
  - {name: daily, type: ml.performance.degraded, consecutive: {periods: 3, every: 1d, timeZone: Europe/Rome, missing: ignore}}
  - {name: monthly, schedule: {cron: "0 3 1 * *", timeZone: Europe/Rome, spread: 6h}}
  - {name: age, since: {last: training, atLeast: 30d}}
  steps: [{name: page, page: {}}]
---
kind: Model
metadata: {name: salary, namespace: ml, labels: {tier: prod}}
spec:
  baseline: {f1: 0.93, rows: 100}
  serving: {kind: Rollout, name: salary, version: {image: "reg/salary:{version}", container: main}}
  versionNames: ["salary-{version}", "{version}"]
  gitops: {workflowTemplateRef: {name: git-set-version}, parameters: {path: deploy/salary}}
  inputs: [{dataset: "feast:customers", features: [salary, "age_*"]}]
  lastKnownGood: {soak: 3d, maxAge: 30d}
---
kind: Model
metadata: {name: other, namespace: ml}
spec:
  serving: {kind: Deployment, name: other, version: {env: MODEL_VERSION}}
  gitops: ignored
---
kind: Model
metadata: {name: third, namespace: ml}
spec: {serving: {kind: Deployment, name: third, version: {label: version}}}
---
kind: RemediationPolicy
metadata: {name: via, namespace: ml}
spec:
  models: {via: dataset}
  correlate: {by: dataset, models: 5, within: 10m}
  triggers: [{type: ml.data.quality.failed}]
  steps: [{name: page, page: {}}]
---
kind: Defaults
metadata: {name: defaults, namespace: ml}
spec:
  mode: enforce
  severity: P3
  wait: 5m
  unless: [{type: ml.data.quality.failed, within: 6h}]
  dataQuality: ignore
  limits: {cooldown: 12h, scope: model}
  approval: {expires: 12h}
  timeout: {command: 30m, request: 2m, workflow: 6h, job: 6h, rollout: 30m}
  settle: 5m
  for: 5m
  within: 4h
  lastKnownGood: {soak: 3d, maxAge: 30d}
  probation: 12h
---
kind: Freeze
metadata: {name: weekend, namespace: ml}
spec: {models: {names: ["*"], matchLabels: {tier: prod}}, cron: "0 18 * * 5", duration: 62h, timeZone: Europe/Rome, spread: 2h}
---
kind: Freeze
metadata: {name: holidays, namespace: ml}
spec: {models: {names: ["*"]}, start: "2026-12-20T18:00", end: "2027-01-07T08:00Z"}
"""


def read(text: str) -> list[tuple[str, dict[str, Any]]]:
    """Kind and spec of each document."""
    documents, problems = parse_documents(text, "test.yaml")
    assert not problems
    return [(document.kind, document.spec) for document in documents]


def problems_of(kind: str, spec: Any) -> list[str]:
    """What the parser says of an object with this spec."""
    found = {"kind": kind, "metadata": {"name": "all", "namespace": "ml"}, "spec": spec}
    document, problems = read_object(kind, found)
    documents = [replace(document, file="test.yaml")] if document else []  # an object may have no command
    return [str(problem) for problem in build_set(documents, INSTALLATION, problems)[1]]


DOCUMENTS = read(EVERYTHING)
PLACES = [(number, path) for number, (_, spec) in enumerate(DOCUMENTS) for path in places(spec)]
OTHERS = [None, True, False, 0, -1, 1, 1.5, 10**12, "", "x", "1d", "100y1d", "canary", [], ["x"], [1], {}, {"x": 1}, {"expr": "model.name"}]  # fmt: skip


def test_described_are_the_keys_of_the_parser():
    """Every key that the parser knows is described for the cluster, and no other."""
    described = {name: sorted(keys) for name, keys in OBJECTS.items()}
    assert described == {name: sorted(keys) for name, keys in KEYS.items() if name not in HEADS}


def test_the_definitions_are_of_all_kinds():
    """There is one definition for each kind of document, under our group."""
    assert {each["spec"]["names"]["kind"] for each in definitions()} == set(KINDS)
    assert {each["spec"]["group"] for each in definitions()} == {"modelmend.io"}


def test_the_file_is_what_the_generator_gives():
    """manifests/base/crds.yaml is up to date: `make manifests` writes it anew."""
    assert (ROOT / "manifests" / "base" / "crds.yaml").read_text() == as_yaml()


def test_the_documents_here_use_every_key(monkeypatch):
    """What the tests below change holds every key of every object, so that none goes untried."""
    written: dict[str, set[str]] = defaultdict(set)
    fields = Place.fields

    def noted(place, *kinds, later=None):
        for kind in kinds:
            written[kind] |= set(place.value)
        return fields(place, *kinds, later=later)

    monkeypatch.setattr(Place, "fields", noted)
    for kind, spec in DOCUMENTS:
        assert problems_of(kind, spec) == []
    assert {name: set(keys) - written[name] for name, keys in KEYS.items() if name not in HEADS} == {
        name: set() for name in OBJECTS
    }


@pytest.mark.parametrize("number", range(len(DOCUMENTS)))
def test_what_uses_every_key_is_good_for_both(number):
    """A document with every key is taken by the parser and by the schema."""
    kind, spec = DOCUMENTS[number]
    assert problems_of(kind, spec) == []
    assert not refuses(kind, spec)


@pytest.mark.parametrize("number", range(len(DOCUMENTS)))
def test_what_the_schema_refuses_the_parser_refuses(number):
    """No value anywhere in a document, and no missing key, is refused by the schema and good for the parser."""
    kind, spec = DOCUMENTS[number]
    tried = refused = 0
    for path in places(spec):
        for value in [*OTHERS, ...]:
            changed = copy.deepcopy(spec)
            parent = at(changed, path[:-1])
            if value is ...:
                del parent[path[-1]]
            else:
                parent[path[-1]] = value
            tried += 1
            if refuses(kind, changed):
                refused += 1
                assert problems_of(kind, changed), f"{path}: {value!r} is good for the parser"
    assert refused > tried / 4


@pytest.mark.parametrize("number", range(len(DOCUMENTS)))
def test_an_unknown_key_reaches_the_parser(number):
    """Every object keeps a key that nobody knows, so that the parser can name it."""
    kind, spec = DOCUMENTS[number]
    for path in [(), *places(spec)]:
        changed = copy.deepcopy(spec)
        found = at(changed, path)
        if isinstance(found, dict):
            found["unles"] = 1
            kept = validator(kind).keeps(path, "unles")
            assert kept, f"{path}: a mistyped key would be dropped"


def _files() -> list[Path]:
    pages = [*(ROOT / "docs").glob("*.md"), ROOT / "README.md"]
    return sorted([*(ROOT / "examples").rglob("*.yaml"), *(ROOT / "manifests").rglob("*.yaml"), *pages])


@pytest.mark.parametrize("file", _files(), ids=lambda file: str(file.relative_to(ROOT)))
def test_every_example_fits(file):
    """The schema takes every document of the examples and of the pages."""
    text = file.read_text()
    text = text.replace("$BASELINE", "1")  # the demo fills it in
    for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL) if file.suffix == ".md" else [text]:
        for document in parse_documents(block, file.name)[0]:
            assert refuses(document.kind, document.spec) == []


GOLDEN = sorted((ROOT / "tests" / "golden" / "bad-config").glob("*.yaml"))


@pytest.mark.parametrize("file", GOLDEN, ids=lambda file: file.stem)
def test_what_is_wrong_is_wrong_for_the_parser_first(file):
    """Of the documents with one fault, none is refused by the schema that the parser would take."""
    for document in parse_documents(file.read_text(), file.name)[0]:
        if refuses(document.kind, document.spec):
            assert problems_of(document.kind, document.spec)


def _enums(schema: Any, path: tuple[Any, ...] = ()) -> Any:
    if "enum" in schema and schema["enum"] != [True]:
        yield path, schema["enum"]
    for key, part in schema.get("properties", {}).items():
        yield from _enums(part, (*path, key))
    if isinstance(schema.get("items"), dict):
        yield from _enums(schema["items"], (*path, 0))


@pytest.mark.parametrize("kind", KINDS)
def test_words_are_those_of_the_parser(kind):
    """Where only some words are good, the schema has exactly those that the parser names when it wants one."""
    found = list(_enums(validator(kind).schema))
    for path, words in found:
        number, place = next(
            (number, place) for number, place in PLACES
            if DOCUMENTS[number][0] == kind and tuple(0 if isinstance(key, int) else key for key in place) == path
        )  # fmt: skip
        spec = copy.deepcopy(DOCUMENTS[number][1])
        at(spec, place[:-1])[place[-1]] = "nonsense"
        (message,) = [each for each in problems_of(kind, spec) if '"nonsense"' in each]
        wanted = message.rpartition("want ")[2].partition(", got")[0]
        assert re.split(r", | or ", wanted) == words, place
    assert found or kind == "Freeze"


DEFAULTS = {
    "wait": BUILT_IN.wait,
    "probation": BUILT_IN.probation,
    "settle": BUILT_IN.settle,
    "for": BUILT_IN.hold,
    "within": BUILT_IN.within,
    "cooldown": BUILT_IN.limits.cooldown,
    "maxAge": BUILT_IN.limits.max_age,
    "expires": BUILT_IN.approval_expires,
}
TIMEOUTS = {
    "workflow": BUILT_IN.workflow_timeout,
    "job": BUILT_IN.job_timeout,
    "rollout": BUILT_IN.rollout_timeout,
    "command": BUILT_IN.command_timeout,
    "verifying command": BUILT_IN.command_timeout,
    "request": BUILT_IN.request_timeout,
}


def test_lengths_that_hold_by_default_are_the_parsers():
    """A duration that `kubectl explain` calls the default is the one that the parser falls back to."""
    for name, keys in OBJECTS.items():
        for key, described in keys.items():
            if key in DEFAULTS and described.default is not None and name != "lastKnownGood":
                assert parse_duration(described.default) == DEFAULTS[key], (name, key)
    for name, length in TIMEOUTS.items():
        assert OBJECTS[name]["timeout"].default == format_duration(length)
        if name in OBJECTS["timeout"]:
            assert OBJECTS["timeout"][name].default == format_duration(length)
    for key, length in {"soak": BUILT_IN.known_good.soak, "maxAge": BUILT_IN.known_good.max_age}.items():
        assert parse_duration(OBJECTS["lastKnownGood"][key].default or "") == length
    assert OBJECTS["rollout verification"]["every"].default == format_duration(ROLLOUT_EVERY)
    assert OBJECTS["consecutive"]["every"].default == format_duration(DAY)
    assert OBJECTS["command verification"]["every"].default == format_duration(EVERY)


def test_other_defaults_are_the_parsers():
    """Words and numbers that `kubectl explain` calls the default are what the parser falls back to."""
    limits = BUILT_IN.limits
    told = {(name, key): described.default for name, keys in OBJECTS.items() for key, described in keys.items()}
    expected = {
        ("policy", "mode"): BUILT_IN.mode,
        ("policy", "severity"): BUILT_IN.severity,
        ("models", "unknown"): "record",
        ("limits", "minSamples"): str(limits.min_samples),
        ("limits", "scope"): limits.scope,
        ("limits", "budget"): f"{{max: {limits.budget.max}, within: {limits.budget.within.days}d}}",
        ("limits", "breaker"): f"{{failures: {limits.breaker.failures}, within: {limits.breaker.within.days}d}}",
        ("page", "receiver"): "default",
        ("step", "onWorse"): told["step", "onWorse"],
        ("step", "approve"): "false",
        ("command", "idempotent"): "false",
        ("request", "method"): "POST",
        ("outputs", "version"): "model-version",
        ("outputs", "verdict"): "verdict",
        ("consecutive", "missing"): "break",
        ("consecutive", "timeZone"): UTC,
        ("schedule", "timeZone"): UTC,
        ("schedule", "spread"): "0s",
        ("freeze", "timeZone"): UTC,
        ("freeze", "spread"): "0s",
    }
    assert {place: told[place] for place in expected} == expected
    lengths = {*DEFAULTS, "timeout", "every", "soak", *OBJECTS["timeout"]}
    assert [
        place
        for place, default in told.items()
        if default and place not in expected and place[1] not in lengths and place[0] != "defaults"
    ] == []


def test_the_api_server_is_given_no_defaults():
    """No `default` stands in a schema: written into a policy it would stand before its namespace's Defaults."""
    properties = [key for each in definitions() for key in _words(each["spec"]["versions"][0]["schema"])]
    assert "type" in properties
    assert "default" not in properties


def _words(schema: Any) -> Any:
    """Every word of the schema language that is used, not the names of properties."""
    for key, value in schema.items():
        yield key
        if key == "properties":
            for part in value.values():
                yield from _words(part)
        elif isinstance(value, dict):
            yield from _words(value)


@given(st.one_of(st.from_regex(DURATION, fullmatch=True), st.text(alphabet="0123456789ywdhms ", max_size=12)))
def test_every_duration_of_the_parser_fits_the_pattern(text):
    """What the parser reads as a duration matches the schema's pattern."""
    try:
        parse_duration(text)
    except ValueError:
        return
    assert re.search(DURATION, text)


def test_verifications_are_told_as_one():
    """The defaults that differ between verifications are told with the verification that they belong to."""
    every = at(validator("RemediationPolicy").schema, ("properties", "steps", "items", "properties", "verify", "items"))["properties"]["every"]  # fmt: skip
    assert every["description"].endswith("Default: 5s (rollout), 1m (command), 1m (query), 15s (analysis).")
    assert len(VERIFICATIONS) == 7


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ({"sepc": {}, "spec": {}}, 'sepc: unknown key, did you mean "spec"?'),
        ({}, "spec: want a map, got nothing"),
        ({"spec": "x"}, 'spec: want a map, got "x"'),
        ({"spec": {}, "metadata": {"name": "x" * 70, "namespace": "ml"}}, "metadata.name: want a name of"),
    ],
)
def test_a_head_that_is_wrong_names_its_document(found, message):
    """A fault outside the spec is told of that document, so that no other is kept back by it."""
    whole = {"apiVersion": "modelmend.io/v1alpha1", "kind": "RemediationPolicy", "metadata": {"name": "p", "namespace": "ml"}, **found}  # fmt: skip
    document, problems = read_object("RemediationPolicy", whole)
    assert document is None
    assert [(problem.file, problem.key[:2]) for problem in problems] == [(CLUSTER, ("RemediationPolicy", "ml"))]
    assert problems[0].message.startswith(message)


def test_an_object_is_the_document_of_its_file():
    """What a file and an object of the same content say has one digest, whatever the API has added to the object."""
    kind, spec = DOCUMENTS[2]
    (document, *_), _ = parse_documents(EVERYTHING.split("---")[2], "models.yaml")
    metadata = {"name": "salary", "namespace": "ml", "labels": {"tier": "prod"}, "uid": "u", "annotations": {"a": "b"}}
    added = {"metadata": metadata | {"managedFields": [{}], "generation": 3}, "status": {"phase": "Idle"}}
    found, problems = read_object(kind, json.loads(json.dumps({"kind": kind, "spec": spec, **added})))
    assert problems == []
    assert found.digest == document.digest
