"""What is said of a dataset guards and triggers the models that read it."""

from sqlalchemy import select

from controller import schema
from controller.explain import explain_event
from controller.settings import Fleet
from controller.store import listing
from tests.integration.engine.again import compare
from tests.integration.engine.scene import (
    BROKEN,
    CHECKED,
    DEGRADED,
    DRIFT,
    LEVEL,
    RESTORED,
    Scene,
    Staged,
    policy,
)

TABLE = "feast:customer_features"
VIA = f"models: {{via: dataset}}\ntriggers: [{{type: {BROKEN}}}, {{type: {DRIFT}}}]\ndataQuality: ignore"


def reader(name: str, features: str = "", namespace: str = "ml", dataset: str = TABLE) -> str:
    """A model that reads the table, or only these features of it."""
    only = f", features: [{features}]" if features else ""
    spec = f'spec: {{inputs: [{{dataset: "{dataset}"{only}}}]}}'
    return f"kind: Model\nmetadata: {{name: {name}, namespace: {namespace}}}\n{spec}\n"


def said(
    scene: Scene, kind: str = BROKEN, *, dataset: str = TABLE, namespace: str | None = None, **told: object
) -> str:
    """Have something said of the table, and not of a model."""
    return scene.send(kind, model=None, namespace=namespace, dataset=dataset, **told)


def answered(scene: Scene, event: str) -> dict[str, str]:
    """The last answer for each model, '' for none."""
    return {row.model: row.reason or row.outcome for row in scene.decisions(event)}


def test_two_models_on_one_broken_table(stage_on_both: Staged):
    """One event about a dataset starts one remediation for each model that reads it, and none for others."""
    scene = stage_on_both(policy(VIA), reader("a"), reader("b"), reader("c", dataset="other"))
    event = said(scene)
    assert answered(scene, event) == {"a": "remediate", "b": "remediate"}
    assert [row.model for row in scene.remediations()] == ["a", "b"]
    assert len({row.id for row in scene.remediations()}) == 2
    assert len(scene.world.acted) == 2
    (condition,) = scene.conditions()
    assert (condition.kind, condition.namespace, condition.name) == ("dataset", "", TABLE)
    compare(scene)


def test_a_model_that_reads_nothing_is_not_met(stage: Staged):
    """Where no model reads the dataset, no policy matched; the condition is kept."""
    scene = stage(policy(VIA))
    (row,) = scene.decisions(said(scene))
    assert (row.policy, row.model, row.reason) == ("", "", "no_policy_matched")
    assert row._mapping["values"] == {"dataset": TABLE, "models": 0}
    assert len(scene.conditions()) == 1


def test_via_meets_no_event_of_a_model(stage: Staged):
    """Policies via a dataset answer no event about a model, the others none about a dataset."""
    scene = stage(policy(VIA, name="via"), policy("dataQuality: ignore"), reader("a"))
    own = scene.send(DRIFT, model="a")
    table = said(scene, DRIFT)
    assert [row.policy for row in scene.decisions(own)] == ["retrain"]
    assert [row.policy for row in scene.decisions(table)] == ["via"]


def test_an_event_with_both_is_about_the_model(stage: Staged):
    """An event that names a model and a dataset is about the model."""
    scene = stage(policy(VIA, name="via"), policy(), reader("a"))
    event = scene.send(DRIFT, model="a", dataset=TABLE)
    assert [row.policy for row in scene.decisions(event)] == ["retrain"]
    assert [row.kind for row in scene.conditions()] == ["model"]


def test_namespace_narrows(stage: Staged):
    """With a namespace only its models are met, without one those of every namespace."""
    both = (reader("a"), reader("b", namespace="web"), policy(VIA), policy(VIA, namespace="web"))
    scene = stage(*both)
    assert answered(scene, said(scene, namespace="web")) == {"b": "remediate"}
    assert answered(scene, said(scene)) == {"a": "remediate", "b": "cooldown"}


def test_names_and_labels_narrow(stage: Staged):
    """Beside `via`, names select among the models that read the dataset."""
    scene = stage(policy(VIA.replace("dataset}", "dataset, names: [a]}")), reader("a"), reader("b"))
    assert answered(scene, said(scene)) == {"a": "remediate"}


def test_features_narrow(stage: Staged):
    """What names a feature concerns the models that read it; what names none concerns all."""
    scene = stage(policy(VIA), reader("a", 'salary, "age_*"'), reader("b"))
    assert answered(scene, said(scene, feature="height")) == {"b": "remediate"}
    scene.advance("1d")
    assert answered(scene, said(scene, feature="age_group"))["a"] == "remediate"
    scene.advance("1d")
    assert set(answered(scene, said(scene))) == {"a", "b"}


def test_broken_input_guards(stage_on_both: Staged):
    """A broken table holds the models that read it, by default, and six hours after it is mended."""
    scene = stage_on_both(policy(), reader("a", "salary"), reader("b"))
    said(scene, feature="salary")
    event = scene.send(model="a")
    (row,) = scene.decisions(event)
    assert (row.reason, row._mapping["values"]["dataset"]) == ("inhibited", TABLE)
    said(scene, RESTORED, feature="salary")
    assert scene.story(scene.send(model="a")) == ["inhibited"]
    assert scene.story(scene.send()) == ["remediate"]  # ml/salary reads no table
    scene.advance("6h")
    assert scene.story(scene.send(model="a")) == ["remediate"]
    compare(scene)


def test_broken_feature_that_is_not_read_does_not_guard(stage: Staged):
    """A condition about a feature that the model does not read holds nothing."""
    scene = stage(policy(), reader("a", "salary"))
    said(scene, feature="height")
    assert scene.story(scene.send(model="a")) == ["remediate"]


def test_explicit_unless_and_require_see_inputs(stage: Staged):
    """`require` is met, and `unless` holds, by a condition of a model's input."""
    needs = f"triggers: [{{type: {DEGRADED}, require: [{{type: {DRIFT}}}]}}]"
    held = f"triggers: [{{type: {CHECKED}}}]\nunless: [{{type: {DRIFT}}}]"
    scene = stage(policy(needs), policy(held, name="x"), reader("a"))
    event = scene.send(DEGRADED, model="a")
    assert scene.story(event) == ["uncorroborated"]
    said(scene, DRIFT)
    assert scene.story(event) == ["uncorroborated", "remediate"]
    assert scene.story(scene.send(CHECKED, model="a"), "x") == ["inhibited"]


def test_end_of_a_dataset_condition_gives_up_what_waits(stage: Staged):
    """What was about to be done for each model is given up when the table is mended."""
    scene = stage(policy(f"{VIA}\nwait: 10m"), reader("a"), reader("b"))
    event = said(scene)
    assert answered(scene, event) == {"a": "waiting", "b": "waiting"}
    assert len(scene.questions()) == 2
    said(scene, RESTORED)
    assert {row.model: row._mapping["values"]["why"] for row in scene.decisions(event)[2:]} == {
        "a": "over",
        "b": "over",
    }
    assert scene.questions() == []


def test_hold_before_a_rung(stage: Staged):
    """A table that breaks before a step begins holds it; mended, and six hours on, the step goes on."""
    steps = ", ".join(f"{{name: {name}, command: {{argv: [{name}]}}, verify: none}}" for name in ("first", "second"))
    scene = stage(policy(f"steps: [{steps}]"), reader("a"))
    scene.world.busy = True
    scene.send(model="a")
    said(scene)
    scene.world.script.append("failed")
    scene.world.busy = False
    scene.settle()
    assert scene.trail()[-1] == "Pending held"
    said(scene, RESTORED)
    scene.advance("6h")
    assert scene.trail()[-1] == "Succeeded unverified"
    compare(scene)


def test_a_person_ends_it(stage: Staged):
    """An operator ends a dataset's condition; the questions of every model concerned are asked."""
    scene = stage(policy(f"{VIA}\nwait: 10m"), reader("a"), reader("b"))
    event = said(scene)
    (condition,) = scene.conditions()
    with scene.db.read() as conn:
        (shown,) = listing.conditions(conn, scene.clock(), dataset=TABLE)["items"]
        assert listing.conditions(conn, scene.clock(), model=TABLE)["items"] == []
    assert (shown["model"], shown["dataset"], shown["namespace"]) == (None, TABLE, "")
    assert scene.act("end_condition", "condition", condition.id)["ok"]
    assert answered(scene, event) == {"a": "stale", "b": "stale"}
    compare(scene)


def test_life_of_the_source_ends_it(stage: Staged):
    """`ml.monitor.checked` about a dataset ends its conditions from that source, and not a model's of that name."""
    scene = stage(policy(VIA), reader("a"))
    said(scene)
    scene.send(BROKEN, model=TABLE)
    said(scene, CHECKED)
    assert {row.kind: row.ended is not None for row in scene.conditions()} == {"dataset": True, "model": False}


def test_a_repeat_renews(stage: Staged):
    """A repeat from a stateful source renews the dataset's condition, and asks who was inhibited by another."""
    scene = stage(policy(f"models: {{via: dataset}}\nunless: [{{type: {BROKEN}}}]"), reader("a"))
    said(scene)
    drifted = scene.event(DRIFT, source=LEVEL, id="level", model=None, namespace=None, dataset=TABLE)
    scene.post(drifted)
    scene.settle()
    assert scene.story("level") == ["inhibited"]
    said(scene, RESTORED)
    scene.advance("10m")
    scene.post(drifted)
    scene.settle()
    assert scene.story("level") == ["inhibited", "remediate"]
    compare(scene)


def test_limits_hold_over_models(stage_on_both: Staged):
    """The fleet's limit holds across the models of one event, and slots that come free are used."""
    names = [f"m{number}" for number in range(6)]
    scene = stage_on_both(policy(VIA), *map(reader, names), fleet=Fleet(active=2, share=1.0))
    scene.world.busy = True
    event = said(scene)
    assert sorted(answered(scene, event).values()) == ["fleet_limit"] * 4 + ["remediate"] * 2
    scene.world.busy = False
    scene.settle()
    assert set(answered(scene, event).values()) == {"remediate"}
    compare(scene)


def test_counting_goes_by_model(stage: Staged):
    """A counting trigger via a dataset counts for each model what concerns it."""
    spec = f"models: {{via: dataset}}\ntriggers: [{{type: {DRIFT}, count: {{atLeast: 2, within: 1d}}}}]"
    scene = stage(policy(spec), reader("a", "salary"), reader("b"))
    said(scene, DRIFT, feature="height")
    assert answered(scene, said(scene, DRIFT, feature="salary")) == {"a": "accumulating", "b": "remediate"}
    compare(scene)


def test_changed_inputs_close_a_question(stage: Staged):
    """A model that no longer reads the dataset is asked about no more."""
    via = policy(f"{VIA}\nwait: 10m")
    scene = stage(via, reader("a"))
    event = said(scene)
    scene.adopt(reader("a", dataset="other"), via)
    scene.advance("10m")
    assert scene.story(event) == ["waiting", "stale"]


def test_explain_names_each_model(stage: Staged):
    """Why, for an event about a dataset, is said for each model; where none was met, how many read it."""
    scene = stage(policy(VIA), reader("a"), reader("b"))
    for number, dataset in enumerate((TABLE, "nobody:reads"), start=1):
        said(scene, dataset=dataset, id=f"x{number}")
    with scene.db.read() as conn:
        seqs = conn.execute(select(schema.events.c.seq).order_by(schema.events.c.seq)).scalars().all()
        first, second = (listing.event(conn, seq, scene.clock()) for seq in seqs)
    assert first is not None
    assert second is not None
    lines = explain_event(first, first["decisions"], (), first["conditions"]).lines
    assert f"about the dataset {TABLE}" in lines[0]
    assert [line[:38] for line in lines if line.startswith("policy")] == [
        "policy ml/retrain for ml/a: acted: tri",
        "policy ml/retrain for ml/b: acted: tri",
    ]
    assert any("condition" in line for line in lines)
    (line,) = (line for line in explain_event(second, second["decisions"]).lines if "policy" in line)
    assert "no model in force reads it" in line


def test_restart_between(stage_on_both: Staged):
    """After a crash each model's question and remediation goes on by itself."""
    scene = stage_on_both(policy(f"{VIA}\nwait: 10m"), reader("a"), reader("b"))
    event = said(scene)
    scene.crash()
    scene.settle()
    scene.advance("10m")
    assert answered(scene, event) == {"a": "remediate", "b": "remediate"}
    assert len(scene.world.acted) == 2
    compare(scene)
