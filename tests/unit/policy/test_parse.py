import copy
import json
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.durations import format_duration
from controller.errors import ConfigError
from controller.events.types import EventTypes
from controller.policy import (
    DUE,
    Breaker,
    Budget,
    CommandAction,
    CommandVerification,
    Corroboration,
    Counter,
    Expression,
    Installation,
    Limits,
    ModelSelector,
    PageAction,
    QuietVerification,
    RequestAction,
    ResolvedVerification,
    Schedule,
    Since,
    build_set,
    model_from_text,
    parse_documents,
    policy_from_text,
)
from controller.policy.calendar import Cron, Periods
from tests.unit.policy.written import DRIFT, LADDER, policy_text, the_policy

hours = lambda number: timedelta(hours=number)  # noqa: E731 - a unit, not a function
minutes = lambda number: timedelta(minutes=number)  # noqa: E731
days = lambda number: timedelta(days=number)  # noqa: E731
QUALITY = Corroboration("ml.data.quality.failed", None, hours(6))


def test_what_is_not_written_is_as_the_design_says():
    """Every default of the design's table holds where a policy says nothing."""
    policy = the_policy(
        steps='steps: [{name: a, command: {argv: [x]}, verify: [{resolved: {}}]}, {name: b, request: {url: "http://h/"}, verify: [{quiet: 1m}]}, {name: p, page: {}}]'
    )
    assert (policy.mode, policy.severity, policy.wait) == ("audit", "P2", timedelta(0))
    assert policy.unless == (QUALITY,)
    assert policy.limits == Limits(hours(24), Budget(2, days(7)), Breaker(2, days(14)), hours(48), 0, "model")
    command, request, page = policy.steps
    assert command.action == CommandAction(("x",), minutes(15), idempotent=False)
    assert command.verify == (ResolvedVerification(minutes(10), minutes(5), hours(4)),)
    assert request.action == RequestAction("http://h/", minutes(15), "POST")
    assert request.verify == (QuietVerification(minutes(1), minutes(10), hours(4)),)
    assert page.action == PageAction("default")
    assert [step.on_worse for step in policy.steps] == ["stop"] * 3
    assert [step.changing for step in policy.steps] == [True, True, False]
    assert policy.models.unknown == "record"


def test_the_annotated_policy_is_read():
    """What this version knows of the design's annotated policy means what it says."""
    policy = the_policy(
        "mode: enforce",
        "severity: P1",
        "wait: 5m",
        "unless: [{type: ml.data.quality.failed, within: 6h}]",
        "limits: {cooldown: 24h, budget: {max: 2, within: 7d}, breaker: {failures: 2, within: 14d}, maxAge: 48h, minSamples: 500}",
        models='models: {names: ["salary-*"]}',
        triggers="""triggers:
  - {name: psi, type: ml.data.drift.detected, when: 'data.method == "psi" && data.driftScore > 0.25',
     distinct: {of: data.feature, atLeast: 5, within: 24h}, require: [{type: ml.performance.degraded, within: 72h}]}
  - {name: f1, type: ml.performance.degraded, when: 'data.metric == "f1" && data.value < 0.95 * model.baseline.f1'}
  - {name: alert, type: ml.performance.degraded, sustained: 30m}
  - {name: labels, type: ml.labels.available, count: {atLeast: 4, within: 60d}}
  - {name: accuracy, type: ml.performance.degraded, when: 'data.metric == "accuracy" && data.value < 0.92',
     consecutive: {periods: 3, every: 1d, timeZone: Europe/Rome}}
  - {name: many, type: ml.labels.available, sum: {of: data.count, atLeast: 10000, within: 60d}}
  - {name: monthly, schedule: {cron: "0 3 1 * *", timeZone: Etc/UTC, spread: 6h}}
  - {name: age, since: {last: training, atLeast: 30d}}""",
        steps="""steps:
  - name: retrain
    command: {argv: [python, retrain.py, {expr: model.name}], timeout: 15m, idempotent: false}
    verify: [{command: {argv: [python, check.py], timeout: 1m}, every: 1m, settle: 10m, for: 5m, within: 4h}]
  - {name: page, page: {receiver: oncall}}""",
    )
    psi, f1, alert, labels, accuracy, many, monthly, age = policy.triggers
    in_rome = Periods(hours(24), "Europe/Rome")
    assert accuracy.counter == Counter(3, hours(72), None, "consecutive", in_rome)
    assert many.counter == Counter(10_000, hours(24 * 60), Expression("data.count"), "sum")
    assert (monthly.type, monthly.due) == (DUE, Schedule(Cron("0 3 1 * *", "Etc/UTC"), hours(6)))
    assert (age.type, age.due) == (DUE, Since("training", hours(24 * 30)))
    assert psi.when == Expression('data.method == "psi" && data.driftScore > 0.25')
    assert psi.counter == Counter(5, hours(24), Expression("data.feature"), "distinct")
    assert psi.require == (Corroboration("ml.performance.degraded", None, hours(72)),)
    assert f1.counter is f1.sustained is None
    assert alert.sustained == minutes(30)
    assert labels.counter == Counter(4, days(60))
    assert policy.models == ModelSelector(("salary-*",))
    assert policy.unless == (QUALITY,)
    assert policy.limits.min_samples == 500
    retrain, page = policy.steps
    assert retrain.action == CommandAction(("python", "retrain.py", Expression("model.name")), minutes(15))
    assert retrain.verify == (
        CommandVerification(("python", "check.py"), minutes(1), minutes(1), minutes(10), minutes(5), hours(4)),
    )
    assert page.action == PageAction("oncall")
    assert (policy.key, policy.mode, policy.severity) == ("ml/retrain", "enforce", "P1")


@pytest.mark.parametrize(
    ("line", "unless"),
    [
        ("mode: audit", (QUALITY,)),
        ("dataQuality: ignore", ()),
        ("unless: [{type: ml.data.quality.failed, within: 1h}]", (Corroboration(QUALITY.type, None, hours(1)),)),
        ("unless: [{type: ml.data.quality.failed}]", (Corroboration(QUALITY.type),)),
        (
            "unless: [{type: ml.data.quality.failed, when: 'data.feature == \"x\"', within: 1d}]",
            (Corroboration(QUALITY.type, Expression('data.feature == "x"'), days(1)), QUALITY),
        ),
        (
            "unless: [{type: ml.model.deployed, within: 2h}]",
            (Corroboration("ml.model.deployed", None, hours(2)), QUALITY),
        ),
    ],
)
def test_the_default_unless_is_turned_off_by_one_key_alone(line, unless):
    """Written entries join the default; one of its type without `when` sets its window; only dataQuality ends it."""
    assert the_policy(line).unless == unless


def test_a_policy_that_only_pages_has_no_default_unless():
    """The default guards steps that change; paging needs no such guard, but may have one."""
    page = "steps: [{name: page, page: {}}]"
    assert the_policy(steps=page).unless == ()
    written = the_policy("unless: [{type: ml.data.quality.failed, within: 1h}]", steps=page)
    assert written.unless == (Corroboration(QUALITY.type, None, hours(1)),)
    assert written.page_only
    assert not written.changing


def test_a_trigger_without_a_name_is_called_as_its_type():
    """A name is needed only to tell triggers of one type apart."""
    assert the_policy().triggers[0].name == "ml.data.drift.detected"


def test_the_digest_of_a_trigger_is_over_type_when_and_counter_alone():
    """What else changes in a trigger keeps its evidence; a changed counter starts from zero."""

    def digest(trigger):
        return the_policy(triggers=f"triggers: [{trigger}]").triggers[0].digest

    plain = "type: ml.data.drift.detected, when: 'data.driftScore > 0.3', count: {atLeast: 3, within: 1d}"
    same = [f"{{{plain}}}", f"{{name: other, {plain}}}", f"{{{plain}, require: [{{type: ml.performance.degraded}}]}}"]
    assert len({digest(trigger) for trigger in same}) == 1
    changed = [
        f"{{{plain.replace(*swap)}}}"
        for swap in [("0.3", "0.4"), ("3, w", "4, w"), ("1d", "2d"), ("drift.d", "quality.f")]
    ]
    changed[-1] = changed[-1].replace("quality.fetected", "quality.failed")
    assert len({digest(trigger) for trigger in [same[0], *changed]}) == 5


def test_names_are_found_by_namespace():
    """A document without a namespace is in `default`."""
    documents, problems = parse_documents("kind: Model\nmetadata: {name: m}\n", "m.yaml")
    assert problems == []
    assert documents[0].key == ("Model", "default", "m")


def test_a_model_has_labels_and_baselines(installation):
    """A Model's labels and numbers are what `model` means in expressions."""
    text = "kind: Model\nmetadata: {name: m, namespace: ml, labels: {tier: prod}}\nspec: {baseline: {accuracy: 0.945, n: 3}}\n"
    found, problems = build_set(parse_documents(text, "m.yaml")[0], installation)
    assert problems == ()
    model = found.models["ml", "m"]
    assert (model.labels, model.baseline) == ({"tier": "prod"}, {"accuracy": 0.945, "n": 3.0})
    assert model.documented
    assert model_from_text(model.text) == model


def test_defaults_of_a_namespace_replace_the_built_in_ones(installation):
    """Every key of a Defaults document holds for policies of its namespace that do not write it themselves."""
    text = (
        """kind: Defaults
metadata: {name: ours, namespace: ml}
spec:
  mode: enforce
  severity: P3
  wait: 5m
  unless: [{type: ml.data.quality.failed, within: 1d}]
  limits: {cooldown: 12h, budget: {max: 1, within: 1d}, breaker: {failures: 3, within: 7d}, maxAge: 1d, minSamples: 9}
  timeout: {command: 2h, request: 1m}
  settle: 1m
  for: 2m
  within: 1h
---
"""
        + policy_text(
            f"models: {{names: [m]}}\n{DRIFT}\nseverity: P1\nlimits: {{maxAge: 3d}}\n"
            'steps: [{name: a, command: {argv: [x]}, verify: [{resolved: {}}]}, {name: b, request: {url: "http://h/"}, verify: none}]'
        )
        + "---\n"
        + policy_text(f"models: {{names: [m]}}\n{DRIFT}\n{LADDER}", namespace="other")
    )
    found, problems = build_set(parse_documents(text, "p.yaml")[0], installation)
    assert [str(problem) for problem in problems] == []
    ours, other = found.policy("ml", "retrain"), found.policy("other", "retrain")
    assert (ours.mode, ours.severity, ours.wait) == ("enforce", "P1", minutes(5))
    assert ours.unless == (Corroboration(QUALITY.type, None, days(1)),)
    assert ours.limits == Limits(hours(12), Budget(1, days(1)), Breaker(3, days(7)), days(3), 9, "model")
    assert (ours.steps[0].action.timeout, ours.steps[1].action.timeout) == (hours(2), minutes(1))
    assert ours.steps[0].verify == (ResolvedVerification(minutes(1), minutes(2), hours(1)),)
    assert other.mode == "audit"
    assert policy_from_text(ours.text) == ours, "a kept text says all, the defaults of its time included"


def test_defaults_may_turn_the_default_unless_off(installation):
    """`dataQuality: ignore` in a Defaults document holds for its namespace."""
    text = "kind: Defaults\nmetadata: {name: d, namespace: ml}\nspec: {dataQuality: ignore}\n---\n" + policy_text(
        f"models: {{names: [m]}}\n{DRIFT}\n{LADDER}"
    )
    found, problems = build_set(parse_documents(text, "p.yaml")[0], installation)
    assert (found.policies[0].unless, problems) == ((), ())


def test_the_version_may_be_left_out():
    """A document with and without apiVersion is the same document."""
    text = policy_text(f"models: {{names: [m]}}\n{DRIFT}\n{LADDER}")
    without, _ = parse_documents(text, "p.yaml")
    versioned, _ = parse_documents("apiVersion: modelmend.io/v1alpha1\n" + text, "p.yaml")
    assert without == versioned


def test_words_of_yaml_1_1_stay_words(installation):
    """`on`, `no` and `12:30` are strings."""
    text = "kind: Model\nmetadata: {name: m, labels: {a: on, b: no, c: 12:30}}\n"
    found, problems = build_set(parse_documents(text, "m.yaml")[0], installation)
    assert problems == ()
    assert found.models["default", "m"].labels == {"a": "on", "b": "no", "c": "12:30"}


def test_a_kept_text_that_this_version_cannot_read_is_said_to_be(installation):
    """A remediation of a text that is not understood fails by name instead of guessing."""
    text = copy.deepcopy(the_policy().text)
    text["spec"]["steps"][0]["registry"] = {}
    with pytest.raises(ConfigError, match=r"RemediationPolicy ml/retrain: spec.steps\[0\].registry: not supported yet"):
        policy_from_text(text)


def test_a_message_is_one_line_whatever_a_key_holds(installation):
    """Line ends and terminal escapes of a document reach no log and no terminal as they are."""
    text = 'kind: Model\nmetadata: {name: m}\nspec: {"a\\nb\\e[31m": 1}\n'
    problems = build_set(parse_documents(text, "m.yaml")[0], installation)[1]
    assert [str(problem) for problem in problems] == [
        'm.yaml: Model "default/m": spec.a\\nb\\x1b[31m: unknown key, want baseline, serving, versionNames, gitops, inputs or lastKnownGood'
    ]


def test_every_example_of_the_repository_is_valid(installation):
    """The policies and models under examples/ check without a word."""
    problems = []
    for file in sorted(Path("examples").glob("policies/*.yaml")) + sorted(Path("examples").glob("models/*.yaml")):
        documents, unread = parse_documents(file.read_text(), str(file))
        problems += build_set(documents, installation, unread)[1]
        assert documents, file
    assert [str(problem) for problem in problems] == []


# A policy as data, of every form that is known.
_DURATION = st.integers(1, 60 * 24).map(lambda number: format_duration(timedelta(minutes=number)))
_WHEN = st.sampled_from(["data.driftScore > 0.3", 'data.feature == "salary"', "has(data.x) && data.x > 1.0", "true"])
_TYPE = st.sampled_from(["ml.data.drift.detected", "ml.performance.degraded", "ml.data.quality.failed"])


def _some(**fields):
    return st.fixed_dictionaries({}, optional=fields)


_CORROBORATION = st.builds(lambda kind, rest: {"type": kind, **rest}, _TYPE, _some(when=_WHEN, within=_DURATION))
_COUNTER = st.one_of(
    st.just({}),
    _DURATION.map(lambda length: {"sustained": length}),
    st.builds(lambda least, length: {"count": {"atLeast": least, "within": length}}, st.integers(1, 9), _DURATION),
    st.builds(
        lambda least, length: {"distinct": {"of": "data.feature", "atLeast": least, "within": length}},
        st.integers(1, 9),
        _DURATION,
    ),
)
_TRIGGER = st.builds(
    lambda kind, counter, rest: {"type": kind, **counter, **rest},
    _TYPE,
    _COUNTER,
    _some(when=_WHEN, require=st.lists(_CORROBORATION, min_size=1, max_size=2)),
)
_ARGV = st.lists(st.one_of(st.text("abc -=/é", max_size=5), st.just({"expr": "model.name"})), max_size=3).map(
    lambda rest: ["python", *rest]
)
_ACTION = st.one_of(
    st.builds(
        lambda argv, rest: {"command": {"argv": argv, **rest}},
        _ARGV,
        _some(timeout=_DURATION, idempotent=st.booleans()),
    ),
    _some(
        method=st.sampled_from(["POST", "PUT"]),
        headers=st.just({"X-Model": {"expr": "model.name"}}),
        body=st.recursive(
            st.none() | st.booleans() | st.integers() | st.text("ab é€", max_size=3), st.lists, max_leaves=4
        ),
    ).map(lambda rest: {"request": {"url": "https://ci.example/hook", **rest}}),
    _some(
        parameters=st.dictionaries(
            st.sampled_from(["model", "git-path"]), st.sampled_from(["", "x", {"expr": "model.name"}]), max_size=2
        ),
        outputs=_some(version=st.just("v"), verdict=st.just("said")),
        timeout=_DURATION,
    ).map(lambda rest: {"workflow": {"workflowTemplateRef": {"name": "retrain-model"}, **rest}}),
    _some(env=st.just({"MODEL": {"expr": "model.name"}}), timeout=_DURATION).map(
        lambda rest: {"job": {"cronJobRef": {"name": "nightly"}, **rest}}
    ),
    st.builds(
        lambda deed, rest: {"rollout": {**deed, **rest}},
        st.sampled_from(
            [
                {"abort": "canary"},
                {"promote": "canary"},
                {"promote": "full"},
                {"pause": True},
                {"restart": True},
                {"to": "v5"},
                {"to": {"expr": "data.goodVersion"}},
            ]
        ),
        _some(timeout=_DURATION),
    ),
)
_TIMES = {"settle": "1m", "within": "3d"}
_VERIFY = st.one_of(
    st.just("none"),
    st.lists(
        st.one_of(
            _DURATION.map(lambda length: {"quiet": length, **_TIMES}),
            _DURATION.map(lambda length: {"resolved": {}, "for": length, **_TIMES}),
            st.builds(
                lambda wants, every: {"rollout": wants, "every": every, "within": "3d"},
                st.sampled_from(["promoted", "stable"]),
                _DURATION,
            ),
            st.builds(lambda argv, every: {"command": {"argv": argv}, "every": every, **_TIMES}, _ARGV, _DURATION),
        ),
        min_size=1,
        max_size=2,
    ),
)
_SPEC = st.builds(
    lambda triggers, steps, paged, rest: {
        "models": {"names": ["salary-*"]},
        "triggers": [{"name": f"t{at}", **trigger} for at, trigger in enumerate(triggers)],
        "steps": [{"name": f"s{at}", **action, "verify": verify} for at, (action, verify) in enumerate(steps)]
        + [{"name": "page", "page": {}}] * paged,
        **rest,
    },
    st.lists(_TRIGGER, min_size=1, max_size=3),
    st.lists(st.tuples(_ACTION, _VERIFY), min_size=1, max_size=3),
    st.booleans(),
    _some(
        mode=st.sampled_from(["audit", "enforce"]),
        severity=st.sampled_from(["P1", "P4"]),
        wait=_DURATION,
        unless=st.lists(_CORROBORATION, min_size=1, max_size=2),
        limits=_some(cooldown=_DURATION, maxAge=_DURATION, minSamples=st.integers(0, 9), scope=st.just("policy")),
    ),
)


@given(_SPEC)
def test_every_valid_policy_is_read_back_from_its_own_text(spec):
    """A policy of any form is accepted, and the text that a decision keeps gives the same policy, digest and all."""
    text = json.dumps({"kind": "RemediationPolicy", "metadata": {"name": "p", "namespace": "ml"}, "spec": spec})
    documents, unread = parse_documents(text, "p.yaml")
    found, problems = build_set(documents, Installation.of(EventTypes(), cluster=True, prometheus=True), unread)
    assert [str(problem) for problem in problems] == []
    policy = found.policies[0]
    stored = json.loads(json.dumps(policy.text))
    assert policy_from_text(stored) == policy
    assert policy_from_text(stored).digest == policy.digest
    assert len(policy.triggers) == len(spec["triggers"])
    assert [step.name for step in policy.steps] == [step["name"] for step in spec["steps"]]


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["", "1h", "none", "ml", "data.x > 1.0", "*"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["name", "type", "expr", "argv", "within"]), inner, max_size=2)
    ),
    max_leaves=5,
)


@given(_SPEC, st.data())
def test_a_policy_broken_anywhere_is_refused_by_messages_or_accepted(spec, data):
    """Whatever JSON stands at whatever place: messages that name the document, and never an exception."""
    broken = json.loads(json.dumps(spec))
    place = broken
    while True:
        key = data.draw(st.sampled_from(sorted(place)) if isinstance(place, dict) else st.integers(0, len(place) - 1))
        if not isinstance(place[key], dict | list) or not place[key] or data.draw(st.booleans()):
            place[key] = data.draw(_JSON)
            break
        place = place[key]
    text = json.dumps({"kind": "RemediationPolicy", "metadata": {"name": "p", "namespace": "ml"}, "spec": broken})
    documents, unread = parse_documents(text, "p.yaml")
    found, problems = build_set(documents, Installation.of(EventTypes(), cluster=True, prometheus=True), unread)
    assert len(found.policies) + bool(problems) == 1
    for problem in problems:
        assert str(problem).startswith('p.yaml: RemediationPolicy "ml/p": spec')
        assert "\n" not in str(problem)
