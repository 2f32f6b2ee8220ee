"""Steps that act on a cluster, and Models that say where: read, filled in, and rendered."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from controller.events.types import EventTypes
from controller.policy import (
    Action,
    Expression,
    ExpressionError,
    GitOps,
    Installation,
    JobAction,
    Model,
    PageAction,
    RolloutAction,
    RolloutVerification,
    Serving,
    Step,
    VersionPlace,
    WorkflowAction,
    build_set,
    parse_documents,
    render,
    render_verification,
)
from tests.unit.cases import policy
from tests.unit.policy.written import bindings, policy_text, the_policy

MINUTES_30, HOURS_6 = timedelta(minutes=30), timedelta(hours=6)
IMAGE = VersionPlace("image", "reg/salary:{version}", "main")
SERVING = Serving("Rollout", "salary-predictor", IMAGE)
SALARY = Model(
    "ml", "salary-predictor", serving=SERVING, version_names=("salary-predictor-{version}", "{version}")
)  # fmt: skip
SERVED = {
    "kind": "Rollout",
    "name": "salary-predictor",
    "version": {"in": "image", "name": "reg/salary:{version}", "container": "main"},
}


def action(text: str) -> Action:
    """The action of a step written so."""
    return the_policy(steps=f"steps: [{{name: a, {text}, verify: none}}]").steps[0].action


def model(spec: str) -> Model:
    """The Model of this spec."""
    text = f"kind: Model\nmetadata: {{name: salary-predictor, namespace: ml}}\nspec: {spec}\n"
    found, problems = build_set(parse_documents(text, "m.yaml")[0], Installation.of(EventTypes()))
    assert [str(problem) for problem in problems] == []
    return found.models["ml", "salary-predictor"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("workflow: {workflowTemplateRef: {name: retrain-model}}", WorkflowAction("retrain-model", HOURS_6)),
        (
            """workflow: {workflowTemplateRef: {name: retrain-model}, timeout: 2h, outputs: {version: v, verdict: said},
            parameters: {model: {expr: model.name}, reason: drift, note: ''}}""",
            WorkflowAction(
                "retrain-model",
                timedelta(hours=2),
                {"model": Expression("model.name"), "reason": "drift", "note": ""},
                "v",
                "said",
            ),
        ),
        (
            "workflow: {workflowTemplateRef: {name: t}, outputs: {version: v}}",
            WorkflowAction("t", HOURS_6, {}, "v", "verdict"),
        ),
        (
            "job: {cronJobRef: {name: nightly-train}, env: {MODEL: {expr: model.name}}}",
            JobAction("nightly-train", HOURS_6, {"MODEL": Expression("model.name")}),
        ),
        ("job: {cronJobRef: {name: nightly-train}, timeout: 1m}", JobAction("nightly-train", timedelta(minutes=1))),
        ("rollout: {abort: canary}", RolloutAction("abort", MINUTES_30)),
        ("rollout: {promote: canary}", RolloutAction("promote", MINUTES_30, promote="next")),
        ("rollout: {promote: full, timeout: 1h}", RolloutAction("promote", timedelta(hours=1), promote="full")),
        ("rollout: {pause: true}", RolloutAction("pause", MINUTES_30)),
        ("rollout: {restart: true}", RolloutAction("restart", MINUTES_30)),
        ("rollout: {to: v5}", RolloutAction("to", MINUTES_30, to="v5")),
        (
            "rollout: {to: {expr: data.goodVersion}}",
            RolloutAction("to", MINUTES_30, to=Expression("data.goodVersion")),
        ),
    ],
)
def test_an_action_on_a_cluster_is_read(text: str, expected: Action) -> None:
    """Each means what it says, and has the design's timeout where it says none."""
    assert action(text) == expected


def test_a_namespace_has_its_own_timeouts() -> None:
    """Defaults set the timeouts of workflows, jobs and rollouts where a policy says none."""
    defaults = (
        "kind: Defaults\nmetadata: {name: d, namespace: ml}\nspec: {timeout: {workflow: 3h, job: 2h, rollout: 1h}}\n"
    )
    policy = policy_text(
        "models: {names: [m]}\ntriggers: [{type: ml.data.drift.detected}]\nsteps:\n"
        "- {name: a, workflow: {workflowTemplateRef: {name: t}}, verify: none}\n"
        "- {name: b, job: {cronJobRef: {name: c}}, verify: none}\n"
        "- {name: c, rollout: {pause: true}, verify: none}\n"
        "- {name: d, rollout: {pause: true, timeout: 5m}, verify: none}"
    )
    documents, unread = parse_documents(f"{defaults}---\n{policy}", "test.yaml")
    found, problems = build_set(documents, Installation.of(EventTypes(), cluster=True, prometheus=True), unread)
    assert [str(problem) for problem in problems] == []
    actions = [step.action for step in found.policies[0].steps]
    assert [getattr(one, "timeout", None) for one in actions] == [
        timedelta(hours=3),
        timedelta(hours=2),
        timedelta(hours=1),
        timedelta(minutes=5),
    ]


def test_a_rollout_is_verified() -> None:
    """It is asked every five seconds, until the deadline of its namespace, where nothing else is said."""
    policy = the_policy(
        steps="steps: [{name: a, rollout: {abort: canary}, verify: [{rollout: stable, within: 10m}, "
        "{rollout: promoted, every: 30s}]}]"
    )
    assert policy.steps[0].verify == (
        RolloutVerification("stable", timedelta(seconds=5), timedelta(minutes=10)),
        RolloutVerification("promoted", timedelta(seconds=30), timedelta(hours=4)),
    )
    assert render_verification(policy.steps[0].verify[0], bindings(), SALARY) == {
        "kind": "rollout",
        "wants": "stable",
        "every": 5.0,
        "within": 600.0,
        "serving": SERVED,
    }


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("{}", {}),
        ("{serving: {kind: Deployment, name: s}}", {"serving": Serving("Deployment", "s")}),
        (
            '{serving: {kind: Rollout, name: salary-predictor, version: {image: "reg/salary:{version}", container: main}}}',
            {"serving": SERVING},
        ),
        (
            "{serving: {kind: Rollout, name: s, version: {env: MODEL_VERSION}}}",
            {"serving": Serving("Rollout", "s", VersionPlace("env", "MODEL_VERSION"))},
        ),
        (
            "{serving: {kind: Rollout, name: s, version: {label: app.kubernetes.io/version}}}",
            {"serving": Serving("Rollout", "s", VersionPlace("label", "app.kubernetes.io/version"))},
        ),
        (
            '{versionNames: ["salary-predictor-{version}", "{version}"]}',
            {"version_names": ("salary-predictor-{version}", "{version}")},
        ),
        ("{gitops: ignored}", {"gitops": "ignored"}),
        (
            "{gitops: {workflowTemplateRef: {name: git-set-version}, parameters: {path: app.yaml}}}",
            {"gitops": GitOps("git-set-version", {"path": "app.yaml"})},
        ),
    ],
)
def test_a_model_says_where_it_is_served(spec: str, expected: dict[str, Any]) -> None:
    """Serving object, place of the version, names of versions and GitOps are read; what is not said is not there."""
    found = model(spec)
    assert (found.serving, found.version_names, found.gitops) == (
        expected.get("serving"),
        expected.get("version_names", ()),
        expected.get("gitops"),
    )


def test_a_workflow_is_rendered() -> None:
    """Every parameter becomes a string, whatever its type was; the Model's serving object goes along."""
    workflow = action(
        "workflow: {workflowTemplateRef: {name: t}, parameters: {model: {expr: model.name}, score: {expr: data.driftScore}, "
        "n: {expr: data.n}, all: {expr: data.features}, evil: {expr: data.feature}}}"
    )
    evil = '"}\n- {workflow.name} $(reboot)'
    rendered = render(workflow, bindings(driftScore=0.44, n=3, features=["a", 1.5], feature=evil), SALARY)
    assert rendered == {
        "template": "t",
        "parameters": {
            "model": "salary-predictor",
            "score": "0.44",
            "n": "3",
            "all": '["a",1.5]',
            "evil": evil,
        },
        "outputs": {"version": "model-version", "verdict": "verdict"},
        "timeout": 21600.0,
        "serving": SERVED,
    }
    assert (
        render(workflow, bindings(driftScore=0, n=3, features=[], feature=""), Model.bare("ml", "m"))["serving"] is None
    )


def test_a_job_is_rendered() -> None:
    """Its variables are strings."""
    job = action("job: {cronJobRef: {name: nightly}, env: {MODEL: {expr: model.name}, N: {expr: data.n}}, timeout: 1h}")
    assert render(job, bindings(n=3), SALARY) == {
        "cronJob": "nightly",
        "env": {"MODEL": "salary-predictor", "N": "3"},
        "timeout": 3600.0,
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("abort: canary", {"do": "abort"}),
        ("promote: canary", {"do": "promote", "promote": "next"}),
        ("promote: full", {"do": "promote", "promote": "full"}),
        ("pause: true", {"do": "pause"}),
        ("restart: true", {"do": "restart"}),
        ("to: v4", {"do": "to", "to": "v4"}),
        ("to: {expr: data.good}", {"do": "to", "to": "v3"}),
    ],
)
@pytest.mark.parametrize(("version", "about"), [(None, None), ("v5", "v5"), ("salary-predictor-v5", "v5")])
def test_a_rollout_is_rendered(text: str, expected: dict[str, Any], version: str | None, about: str | None) -> None:
    """What to do, and of which version the event spoke, by the version's own name."""
    seen = bindings(SALARY, version=version, good="salary-predictor-v3")
    assert render(action(f"rollout: {{{text}}}"), seen, SALARY) == {
        "promote": None,
        "to": None,
        "about": about,
        "serving": SERVED,
        "gitops": None,
        "timeout": 1800.0,
        **expected,
    }


def test_how_git_is_told_is_rendered() -> None:
    """`ignored` and the template with its parameters reach the action."""
    pause = action("rollout: {pause: true}")
    ignored = Model("ml", "m", gitops="ignored")
    told = Model("ml", "m", gitops=GitOps("git-set-version", {"path": "app.yaml"}))
    assert render(pause, bindings(), ignored)["gitops"] == "ignored"
    assert render(pause, bindings(), told)["gitops"] == {
        "template": "git-set-version",
        "parameters": {"path": "app.yaml"},
    }


@pytest.mark.parametrize(
    ("written", "data", "message"),
    [
        ("{expr: data.good}", {"good": "v5/../../evil"}, "to: want a version that can be an image's tag, got 'v5/../../evil'"),
        ("{expr: data.good}", {"good": ""}, "to: want a version that can be an image's tag, got ''"),
        ("v5/evil", {}, "to: want a version that can be an image's tag, got 'v5/evil'"),
        ("{expr: data.good}", {}, 'data.good: no field "good"'),
    ],
)  # fmt: skip
def test_a_version_of_an_event_cannot_become_anything_else(written: str, data: dict[str, Any], message: str) -> None:
    """What cannot stand at the Model's place for versions stops the step before it begins."""
    with pytest.raises(ExpressionError) as failed:
        render(action(f"rollout: {{to: {written}}}"), bindings(**data), SALARY)
    assert str(failed.value) == message


@pytest.mark.parametrize(
    ("written", "kind"),
    [
        ("rollout: {abort: canary}", "restore"),
        ("rollout: {pause: true}", "restore"),
        ("rollout: {promote: canary}", "change"),
        ("rollout: {restart: true}", "change"),
        ("rollout: {to: v4}", "change"),
        ("command: {argv: [fix]}", "change"),
    ],
)
def test_what_a_step_is(written: str, kind: str) -> None:
    """Abort and pause restore; every other action but a page changes."""
    step = Step("s", action(written))
    assert (step.kind, step.changing, step.restoring, step.acting) == (kind, kind == "change", kind == "restore", True)


def test_what_a_policy_is() -> None:
    """Urgent is a policy whose first step restores; it changes only where a step does, and holds the model all the same."""
    abort, fix = Step("abort", action("rollout: {abort: canary}")), Step("fix", action("command: {argv: [fix]}"))
    page = Step("page", PageAction())

    def is_(*steps: Step) -> tuple[bool, bool, bool, bool]:
        found = replace(policy(), steps=steps)
        return found.urgent, found.changing, found.acting, found.page_only

    assert is_(abort, page) == (True, False, True, False)
    assert is_(abort, fix) == (True, True, True, False)
    assert is_(fix, abort) == (False, True, True, False)
    assert is_(page) == (False, False, False, True)
