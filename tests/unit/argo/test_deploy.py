"""The step `deploy`, against an API server of this test that does what it is told."""

import copy
import sys

import pytest

from argo.steps import deploy as module
from argo.steps.api import Changed, Missing, Unreachable
from argo.steps.deploy import Order, deploy, parse, restart, seconds
from argo.steps.looks import Looks
from argo.steps.place import Place
from argo.steps.step import StepFailed
from controller.actions.resolving import manager
from controller.durations import parse_duration

PLACE = Place("env", "MODEL_VERSION")
MIDDAY = "2026-11-21T12:00:00Z"


class World:
    """One Rollout. Each look moves time on by a second; `script` holds what happens before the n-th read."""

    namespace = "ml"

    def __init__(self, version="v4", script=None):
        self.now = 0.0
        self.reads = 0
        self.patches = []
        self.script = script or {}
        env = [{"name": "MODEL_VERSION", "value": version}]
        self.obj = {
            "kind": "Rollout",
            "metadata": {"name": "salary", "generation": 1, "resourceVersion": "10"},
            "spec": {"template": {"spec": {"containers": [{"name": "main", "env": env}]}}},
            "status": {"observedGeneration": "1", "phase": "Healthy"},
        }

    def get(self, kind, name):
        """One read."""
        self.reads += 1
        if self.reads in self.script:
            self.script[self.reads](self)
        return copy.deepcopy(self.obj)

    def patch(self, kind, name, patch):
        """One change."""
        if patch["metadata"]["resourceVersion"] != self.obj["metadata"]["resourceVersion"]:
            raise Changed("the object has been modified")
        self.patches.append(patch)
        self.obj["spec"] |= patch["spec"]
        self.obj["metadata"] |= {"generation": 2, "resourceVersion": "11"}
        return copy.deepcopy(self.obj)

    def say(self, phase, message="", generation="2"):
        """What the controller writes."""
        self.obj["status"] = {"observedGeneration": generation, "phase": phase, "message": message}

    def looks(self, length=60.0):
        """The order's patience, in this world's time."""
        return Looks(length, clock=lambda: self.now, sleep=self.sleep)

    def sleep(self, length):
        """Time goes on."""
        self.now += length

    @property
    def version(self):
        """What the template asks for."""
        return PLACE.read(self.obj)


def order(version="v5", goal="canary", timeout=60.0, gitops=""):
    return Order("Rollout", "salary", PLACE, version, MIDDAY, goal, timeout, gitops)


def says(phase, message=""):
    return lambda world: world.say(phase, message)


def fails(error):
    def happen(world):
        raise error

    return happen


def test_it_sets_the_version_and_waits_for_its_canary():
    """The old status, Healthy, is not taken for the new; the patch carries the resourceVersion that was read."""
    world = World(script={3: says("Progressing"), 5: says("Paused", "CanaryPauseStep")})
    assert deploy(world, order(), world.looks()) == "v5"
    assert (world.version, world.reads) == ("v5", 5)
    assert [patch["metadata"] for patch in world.patches] == [{"resourceVersion": "10"}]


def test_run_again_it_only_waits():
    """The version stands already: nothing is changed."""
    world = World("v5", {3: says("Healthy")})
    assert deploy(world, order(), world.looks()) == "v5"
    assert world.patches == []


def test_somebody_else_who_changes_it_first_is_read_again():
    """The second patch goes to what was read anew; an API server that is away is asked again."""

    def scaled(world):
        world.obj["metadata"]["resourceVersion"] = "12"

    world = World()
    real = world.patch

    def first(kind, name, patch):
        world.patch = real
        scaled(world)
        return real(kind, name, patch)

    world.patch = first
    world.script = {2: fails(Unreachable("away")), 5: says("Healthy")}
    assert deploy(world, order(), world.looks()) == "v5"
    assert [patch["metadata"] for patch in world.patches] == [{"resourceVersion": "12"}]


def test_somebody_who_sets_another_version_ends_it():
    """It is not fought over; the message says what stands there now."""

    def undone(world):
        world.obj["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"] = "v4"

    world = World(script={3: undone})
    with pytest.raises(StepFailed, match=r"^Rollout ml/salary: v5 was set to v4 by somebody else meanwhile$"):
        deploy(world, order(), world.looks())
    assert (len(world.patches), world.version) == (1, "v4")


def test_what_fails_is_believed_at_the_third_look():
    """A Rollout may be Degraded from before for a moment."""
    world = World(script={2: says("Degraded", "old"), 3: says("Progressing"), 4: says("Degraded", "new")})
    with pytest.raises(StepFailed, match=r"^Rollout ml/salary: v5 failed: Degraded: new$"):
        deploy(world, order(), world.looks())
    assert world.reads == 6


def test_what_takes_too_long_is_told_with_the_last_status():
    """It looks once more when the time is up, and not later."""
    world = World(script={2: says("Progressing", "more replicas need to be updated")})
    said = r"^Rollout ml/salary: v5 is not healthy after 10 s: Progressing: more replicas .*0 of 0 available\)$"
    with pytest.raises(StepFailed, match=said):
        deploy(world, order(goal="healthy", timeout=10.0), world.looks(10.0))
    assert (world.now, world.reads) == (10.0, 11)


def test_an_api_server_that_stays_away_is_the_message():
    """Nothing was changed."""
    world = World(script={n: fails(Unreachable("the API server does not answer: refused")) for n in range(1, 99)})
    with pytest.raises(StepFailed, match="after 60 s: the API server does not answer: refused"):
        deploy(world, order(), world.looks())
    assert world.patches == []


def test_what_is_not_there_ends_it_at_once():
    """No waiting for an object that nobody has made."""
    world = World(script={1: fails(Missing("Rollout ml/salary: not found"))})
    with pytest.raises(StepFailed, match="not found"):
        deploy(world, order(), world.looks())
    assert world.now == 0


@pytest.mark.parametrize(("set_before", "patched"), [(None, [{"restartAt": MIDDAY}]), (MIDDAY, [])])
def test_a_restart_is_one_restart_however_often_it_is_run(set_before, patched):
    """The time is the Workflow's, so that a second run finds it set; the version that serves is reported."""
    world = World("v4", {1: says("Healthy"), 2: says("Healthy")})
    world.obj["spec"]["restartAt"] = set_before
    world.obj["metadata"]["generation"] = 2
    assert deploy(world, order(version=""), world.looks()) == "v4"
    assert [patch["spec"] for patch in world.patches] == patched


def test_a_deployment_is_restarted_as_kubectl_does():
    """By an annotation of its pod template."""
    annotations = restart({"kind": "Deployment"}, MIDDAY)["spec"]["template"]["metadata"]["annotations"]
    assert annotations == {"kubectl.kubernetes.io/restartedAt": MIDDAY}


def test_a_template_in_another_object_is_refused():
    """A Rollout with workloadRef would take a template of its own for it."""
    world = World()
    world.obj["spec"]["workloadRef"] = {"kind": "Deployment", "name": "salary"}
    with pytest.raises(StepFailed, match="workloadRef"):
        deploy(world, order(), world.looks())
    assert world.patches == []


def test_a_name_that_is_mistyped_is_not_added():
    """It would be read back, and `promoted` said of pods that have the old version."""
    world = World()
    wanted = Order("Rollout", "salary", Place("env", "MODEL_VERSON"), "v5", MIDDAY, "canary", 60.0)
    with pytest.raises(StepFailed, match="no container declares MODEL_VERSON"):
        deploy(world, wanted, world.looks())
    assert world.patches == []


MANAGED = {
    "nobody": {},
    "Argo CD by annotation": {"annotations": {"argocd.argoproj.io/tracking-id": "salary:x"}},
    "Argo CD by label": {"labels": {"argocd.argoproj.io/instance": "salary"}},
    "Flux": {"labels": {"kustomize.toolkit.fluxcd.io/name": "salary"}},
    "Flux by Helm": {"labels": {"helm.toolkit.fluxcd.io/name": "salary"}},
    "a Helm chart": {"labels": {"app.kubernetes.io/instance": "salary"}, "managedFields": [{"manager": "helm"}]},
    "Argo CD as manager": {
        "labels": {"app.kubernetes.io/instance": "salary"},
        "managedFields": [{"manager": "argocd-controller"}],
    },
}


@pytest.mark.parametrize("case", MANAGED)
def test_what_git_sets_is_not_changed(case):
    """By the marks by which modelmend knows it; the message says who and what to do, and `ignored` is obeyed."""
    world = World(script={3: says("Healthy"), 5: says("Healthy")})
    world.obj["metadata"] |= MANAGED[case]
    who = manager(world.obj)
    if who:
        with pytest.raises(StepFailed, match=f"v5: {who} sets its spec .*git-set-version.*`ignored`"):
            deploy(world, order(), world.looks())
        assert world.patches == []
    assert deploy(world, order(gitops="ignored" if who else ""), world.looks()) == "v5"


def test_what_git_has_set_already_is_waited_for():
    """Nothing is changed, so nobody undoes it."""
    world = World("v5", {1: says("Healthy", ""), 2: says("Healthy")})
    world.obj["metadata"] |= {**MANAGED["Flux"], "generation": 2}
    assert deploy(world, order(), world.looks()) == "v5"


@pytest.mark.parametrize("text", ["90s", "10m", "1h30m", "0s", "2h", "1h0m5s"])
def test_durations_are_those_of_policies(text):
    """Hours, minutes and seconds."""
    assert seconds(text) == parse_duration(text).total_seconds()


@pytest.mark.parametrize("text", ["", "10", "m", "-5s", "1d", "5m1h", "10 m"])
def test_what_is_no_duration_is_refused(text):
    """The message gives an example."""
    with pytest.raises(StepFailed, match="timeout: want a duration such as 90s"):
        seconds(text)


ARGUMENTS = [
    "--kind=Rollout",
    "--name=salary",
    "--version-in=env",
    "--version-name=V",
    "--restart=x",
    "--wait=canary",
    "--timeout=1m",
]


def test_a_parameter_that_is_wrong_is_one_line():
    """It fails like any step, and not by argparse's exit."""
    with pytest.raises(StepFailed, match=r"argument --kind: invalid choice: 'Pod'"):
        parse(["--kind=Pod", *ARGUMENTS[1:]])
    with pytest.raises(StepFailed, match="version: want what can be a variable's value of one line"):
        parse([*ARGUMENTS, "--version=a\nb"])
    assert parse([*ARGUMENTS, "--version=--kind=Pod"]).version == "--kind=Pod"


def test_it_reports_what_serves(monkeypatch, tmp_path):
    """Outputs are files, named as the template names them."""
    world = World("v5")
    world.say("Healthy", generation="1")
    monkeypatch.setenv("OUTPUTS", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["deploy", *ARGUMENTS, "--version=v5"])
    monkeypatch.setattr(module.Api, "of_this_pod", lambda: world)
    monkeypatch.setattr(module, "parse", lambda arguments: order())
    assert module.main() == "Rollout salary: v5 is canary"
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {
        "model-version": "v5",
        "verdict": "promoted",
    }
