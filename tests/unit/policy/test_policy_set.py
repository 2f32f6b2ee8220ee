import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.events.types import EventTypes
from controller.policy import Ambiguous, Installation, Model, PolicySet, build_set, parse_documents
from controller.policy.policy_set import selects
from tests.unit.policy.written import DRIFT, LADDER, policy_text

DRIFTED = "ml.data.drift.detected"


def policies(*texts):
    """The set of these documents."""
    documents, unread = parse_documents("---\n".join(texts), "p.yaml")
    found, problems = build_set(documents, Installation.of(EventTypes()), unread)
    assert [str(problem) for problem in problems] == []
    return found


def written(name, models, *, triggers=DRIFT, namespace="ml", rest="severity: P2"):
    return policy_text(f"models: {models}\n{triggers}\n{rest}\n{LADDER}", name, namespace)


def model(name="salary-predictor", namespace="ml", **labels):
    return f"kind: Model\nmetadata: {{name: {name}, namespace: {namespace}, labels: {labels}}}\n"


def names(found):
    return [policy.name for policy in found]


@pytest.mark.parametrize(
    ("models", "selected"),
    [
        ("{names: [salary-predictor]}", True),
        ("{names: [salary]}", False),
        ('{names: ["salary-*"]}', True),
        ('{names: ["*"]}', True),
        ('{names: ["Salary-*"]}', False),
        ('{names: ["salary-?redictor"]}', True),
        ('{names: ["[a-z]alary-predictor"]}', True),
        ('{names: [other, "sal*"]}', True),
        ("{matchLabels: {tier: prod}}", True),
        ("{matchLabels: {tier: dev}}", False),
        ("{matchLabels: {tier: prod, team: pay}}", False),
        ('{names: ["salary-*"], matchLabels: {tier: prod}}', True),
        ('{names: ["salary-*"], matchLabels: {tier: dev}}', False),
    ],
)
def test_selects_by_names_and_labels(models, selected):
    """A policy means the models that match a name, or a glob, and carry every label."""
    found = policies(written("p", models), model(tier="prod"))
    document = found.model("ml", "salary-predictor")
    assert names(found.triggered_by(DRIFTED, "ml", "salary-predictor", document)) == ["p"] * selected


def test_a_model_without_a_document_is_selected_by_name_only():
    """An unknown model has no labels; by name it is met, so that the decision can say unknown_model."""
    found = policies(written("by-label", "{matchLabels: {tier: prod}}"), written("by-name", '{names: ["*"]}'))
    assert names(found.triggered_by(DRIFTED, "ml", "salary-predictor", None)) == ["by-name"]


def test_policies_act_only_in_their_own_namespace():
    """A policy of another namespace is not asked."""
    found = policies(written("p", '{names: ["*"]}'), written("p", '{names: ["*"]}', namespace="other"))
    assert [policy.key for policy in found.triggered_by(DRIFTED, "other", "m", None)] == ["other/p"]


def test_only_the_types_of_triggers_start_a_policy():
    """An event that only require or unless names does not trigger."""
    trigger = f"triggers: [{{type: {DRIFTED}, require: [{{type: ml.performance.degraded}}]}}]"
    found = policies(written("p", "{names: [m]}", triggers=trigger))
    assert names(found.triggered_by("ml.performance.degraded", "ml", "m", None)) == []


def test_are_asked_by_severity_then_by_name():
    """Whatever selects the model, exact name or glob, the worst severity is asked first, then by name."""
    found = policies(
        written("b", "{names: [m]}"),
        written("a", '{names: ["*"]}'),
        written("z", '{names: ["m*"]}', rest="severity: P1"),
        written("c", "{names: [m]}", rest="severity: P3"),
    )
    for _ in range(2):
        assert names(found.triggered_by(DRIFTED, "ml", "m", None)) == ["z", "a", "b", "c"]
    assert names(found.policies) == ["z", "a", "b", "c"]


def test_a_policy_with_two_triggers_of_a_type_is_asked_once():
    """Triggers of one type, and names that repeat, are one policy."""
    trigger = f"triggers: [{{name: a, type: {DRIFTED}}}, {{name: b, type: {DRIFTED}}}]"
    found = policies(written("p", "{names: [m, m]}", triggers=trigger))
    assert names(found.triggered_by(DRIFTED, "ml", "m", None)) == ["p"]


def test_a_model_is_found_by_namespace_or_as_the_only_one():
    """With a namespace by both; without one as the only one so called; two are ambiguous, both named."""
    found = policies(model("m", "a"), model("n", "b"), model("m", "c"))
    assert found.model("a", "m").key == "a/m"
    assert found.model("b", "m") is None
    assert found.model(None, "n").key == "b/n"
    assert found.model(None, "m") == Ambiguous(("a", "c"))
    assert found.model(None, "x") is None


def test_the_digest_is_over_the_text_in_force():
    """The same documents in any order are the same set; another text is another."""
    one, two = written("a", "{names: [m]}"), written("b", "{names: [m]}")
    assert policies(one, two).digest == policies(two, one).digest
    assert policies(one).digest != policies(one, two).digest
    assert policies(one, model("m")).digest != policies(one, model("m", tier="prod")).digest
    assert repr(policies(one)).startswith("PolicySet(1 policies, 0 models, ")


_NAMES = st.sampled_from(["a", "b", "a-1", "a-2", "b-1"])
_GLOBS = st.sampled_from(["a", "b", "a-*", "*", "?", "*-1", "[ab]-1"])
_LABELS = st.dictionaries(st.sampled_from(["tier", "team"]), st.sampled_from(["x", "y"]), max_size=2)


@given(
    st.lists(st.tuples(st.lists(_GLOBS, max_size=2), _LABELS), max_size=6),
    st.lists(st.tuples(_NAMES, _LABELS), max_size=8),
)
def test_the_index_finds_what_asking_each_policy_would(selectors, models):
    """The index and a plain walk over all policies give the same, asked in any order and again."""
    texts = [
        written(
            f"p{at}",
            f"{{names: {globs or ['*']!r}, matchLabels: {labels or {'tier': 'x'}}}}"
            if labels
            else f"{{names: {globs or ['*']!r}}}",
        )
        for at, (globs, labels) in enumerate(selectors)
    ]
    found = policies(*texts) if texts else PolicySet()
    for name, labels in models * 2:
        document = Model("ml", name, digest=repr(sorted(labels.items())) + "d", labels=labels)
        for known in (document, None):
            asked = found.triggered_by(DRIFTED, "ml", name, known)
            assert asked == tuple(policy for policy in found.policies if selects(policy.models, name, known))


def test_a_flood_of_invented_models_is_forgotten(monkeypatch):
    """What lookups remember is bounded, and forgetting changes no answer."""
    monkeypatch.setattr("controller.policy.policy_set._REMEMBERED", 10)
    found = policies(written("p", '{names: ["m*"]}'))
    for number in range(100):
        assert names(found.triggered_by(DRIFTED, "ml", f"m{number}", None)) == ["p"]
        assert names(found.triggered_by(DRIFTED, "ml", f"x{number}", None)) == []
    assert len(found._triggered._remembered) <= 10


def test_a_lookup_costs_the_same_with_a_thousand_policies():
    """A thousand policies of one type for other models, by name or by glob, leave an event's lookup as it is."""

    def cost(number):
        texts = [written("mine", '{names: ["salary-*"]}')]
        texts += [written(f"exact-{at}", f"{{names: [model-{at}]}}") for at in range(number // 2)]
        texts += [written(f"glob-{at}", f'{{names: ["model-{at}-*"]}}') for at in range(number // 2)]
        found = policies(*texts)
        assert names(found.triggered_by(DRIFTED, "ml", "salary-predictor", None)) == ["mine"]
        best = float("inf")
        for _ in range(7):
            begun = time.process_time()
            for _ in range(2000):
                found.triggered_by(DRIFTED, "ml", "salary-predictor", None)
            best = min(best, time.process_time() - begun)
        return best

    assert cost(1000) < 3 * cost(10)


def reading(name, inputs, namespace="ml"):
    return f"kind: Model\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {{inputs: {inputs}}}\n"


@pytest.mark.parametrize(
    ("namespace", "feature", "found"),
    [
        (None, None, ["ml/all", "ml/some", "web/all"]),
        ("ml", None, ["ml/all", "ml/some"]),
        (None, "salary", ["ml/all", "ml/some", "web/all"]),
        (None, "age_group", ["ml/all", "ml/some", "web/all"]),
        (None, "height", ["ml/all", "web/all"]),
        ("other", None, []),
    ],
)
def test_who_reads_a_dataset(namespace, feature, found):
    """The models that name it, in their order: of one namespace or of all, and only those that read the feature."""
    held = policies(
        reading("some", '[{dataset: t, features: [salary, "age_*"]}, {dataset: u}]'),
        reading("all", "[{dataset: t}]"),
        reading("all", "[{dataset: t}]", "web"),
        reading("none", "[{dataset: u}]"),
    )
    assert [model.key for model in held.readers("t", namespace, feature)] == found
    assert held.readers("nobody", None, None) == ()


def test_via_a_dataset_is_apart():
    """A policy is found either by what is said of a model, or by what is said of a dataset that it reads."""
    held = policies(
        reading("m", "[{dataset: t}]"),
        written("own", "{names: [m]}"),
        written("via", "{via: dataset, names: [m]}"),
        written("other", "{via: dataset, names: [x]}"),
    )
    document = held.model("ml", "m")
    assert names(held.triggered_by(DRIFTED, "ml", "m", document)) == ["own"]
    assert names(held.triggered_via_dataset(DRIFTED, document)) == ["via"]
