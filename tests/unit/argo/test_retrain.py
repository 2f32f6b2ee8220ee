"""The steps of `retrain-model` on the real data, and on data that are made worse."""

import json
import sys
from datetime import date

import numpy as np
import pytest

from argo.retrain import champion as asking
from argo.retrain import evaluate, register, train, validate
from argo.retrain.data import FEATURES, Hours, load
from argo.retrain.model import error, fit, naive, predict
from argo.retrain.period import Period, read_period
from argo.retrain.registry import Registry, read_card
from argo.steps.api import Missing, Unreachable
from argo.steps.looks import Looks
from argo.steps.place import Place
from argo.steps.step import StepFailed

PERIOD = Period(date(2012, 6, 30), 12, 2)
WEEKS = ["--until=2012-06-30", "--train-weeks=12", "--holdout-weeks=2"]


@pytest.fixture(scope="module")
def hours():
    """All hours."""
    return load()


@pytest.fixture
def registry(tmp_path, monkeypatch):
    """An empty registry, where the steps look for theirs."""
    for step in (train, evaluate, register):
        monkeypatch.setattr(step, "ROOT", tmp_path)
    return Registry(tmp_path, "bikes")


def run(monkeypatch, step, *arguments):
    """A step's main, with these arguments."""
    monkeypatch.setattr(sys, "argv", [step.__name__, *arguments])
    return step.main()


def train_one(monkeypatch, version, *weeks):
    return run(monkeypatch, train, "--model=bikes", f"--version={version}", "--reason=drift", *(weeks or WEEKS))


def test_the_data_are_those_of_the_demo(hours):
    """The same rows in the same order, features and counts."""
    from examples.demo import data as demo

    theirs = demo.load()
    assert FEATURES == demo.FEATURES
    assert np.array_equal(hours.day, theirs.day)
    assert np.array_equal(hours.features, theirs.features, equal_nan=True)
    assert np.array_equal(hours.count, theirs.count)


def test_a_period_is_whole_weeks_and_the_last_are_held_out():
    """Training ends on the day before the hold-out begins; nothing is in both."""
    assert (PERIOD.train_from, PERIOD.train_until) == (date(2012, 3, 25), date(2012, 6, 16))
    assert (PERIOD.holdout_from, PERIOD.until) == (date(2012, 6, 17), date(2012, 6, 30))
    assert (PERIOD.train_until - PERIOD.train_from).days + 1 == 12 * 7


def test_without_a_day_the_period_ends_with_the_data(hours):
    """The last recorded day."""
    assert read_period("", 12, 2, hours).until == date(2012, 12, 31)


@pytest.mark.parametrize(
    ("until", "weeks", "said"),
    [("June", (12, 2), "until: want a day such as 2012-06-30, got 'June'"), ("", (0, 2), "at least one week of each")],
)
def test_a_period_that_is_none_is_refused(hours, until, weeks, said):
    """The parameter is named."""
    with pytest.raises(StepFailed, match=said):
        read_period(until, *weeks, hours)


def broken(hours, first, last, **columns):
    """The same hours, with a column or the counts replaced in a period."""
    features, count = hours.features.copy(), hours.count.copy()
    rows = (hours.day >= first.toordinal()) & (hours.day <= last.toordinal())
    for name, value in columns.items():
        if name == "count":
            count[rows] = value
        else:
            features[rows, FEATURES.index(name)] = value
    return Hours(hours.day, features, count)


def test_good_data_are_fit(hours, monkeypatch):
    """The period of the tests, as the step says it."""
    said = run(monkeypatch, validate, *WEEKS)
    assert said == "2014 hours from 2012-03-25 to train on, 336 from 2012-06-17 to 2012-06-30 held out"


def test_data_with_every_fault_are_refused_with_all_of_them(hours):
    """A feed that broke for two of twelve weeks, counts below zero, days that are not recorded."""
    first, last = PERIOD.train_from, PERIOD.train_until
    bad = broken(hours, first, date(2012, 4, 7), temp=np.nan, count=-1.0)
    bad = broken(bad, first, last, hum=np.nan)
    keep = (bad.day < date(2012, 5, 1).toordinal()) | (bad.day > date(2012, 5, 20).toordinal())
    with pytest.raises(StepFailed) as refused:
        validate.check(Hours(bad.day[keep], bad.features[keep], bad.count[keep]), first, last, "training")
    assert str(refused.value) == (
        "the training data from 2012-03-25 to 2012-06-16 are not fit: 1534 of 2016 hours are recorded, want 90%, "
        "temp is missing in 22%, want at most 15%, hum is missing in 100%, want at most 15%, "
        "some counts are missing or below zero"
    )


def test_a_period_without_data_is_refused(hours):
    """Nothing is divided by nothing."""
    with pytest.raises(StepFailed, match="0 of 336 hours are recorded"):
        validate.check(hours, date(2013, 6, 1), date(2013, 6, 14), "hold-out")


def test_a_model_is_better_than_the_mean_of_the_hour(hours):
    """On hours that neither has seen; and the same hours always give the same model."""
    training, holdout = PERIOD.training(hours), PERIOD.holdout(hours)
    predicted = predict(fit(training), holdout.features)
    assert predicted.min() >= 0
    assert error(predicted, holdout) < 0.9 * error(naive(training, holdout), holdout)
    assert np.array_equal(predicted, predict(fit(training), holdout.features))


def test_an_hour_that_was_never_seen_gets_the_mean(hours):
    """The naive prediction knows no day of the week that its training lacks."""
    one_day = hours.between(date(2012, 6, 4), date(2012, 6, 4))
    week = hours.between(date(2012, 6, 4), date(2012, 6, 10))
    predicted = naive(one_day, week)
    assert np.array_equal(predicted[:24], one_day.count)
    assert set(predicted[24:]) == {one_day.count.mean()}


def test_a_candidate_is_trained_once(monkeypatch, registry):
    """Run again, the step finds it; a registered version is not trained again either."""
    assert train_one(monkeypatch, "w-1").startswith("w-1 of bikes: trained on 2014 hours in ")
    written = (registry.candidate("w-1") / "model.joblib").stat().st_mtime_ns
    assert train_one(monkeypatch, "w-1") == "w-1 of bikes is trained already"
    assert (registry.candidate("w-1") / "model.joblib").stat().st_mtime_ns == written
    registry.candidate("w-1").rename(registry.version("w-1"))
    assert train_one(monkeypatch, "w-1") == "w-1 of bikes is trained already"
    assert read_card(registry.version("w-1"))["reason"] == "drift"


def evaluated(registry, version, rival, hours):
    return evaluate.evaluate(registry, version, rival, hours, PERIOD)


def test_the_worse_of_two_is_refused_and_the_better_accepted(monkeypatch, registry, hours):
    """Twelve weeks of data beat one, whoever is the champion; as good as the champion is good enough."""
    train_one(monkeypatch, "good")
    train_one(monkeypatch, "poor", "--until=2012-06-30", "--train-weeks=1", "--holdout-weeks=2")
    for version in ("good", "poor"):
        registry.candidate(version).rename(registry.version(version))
    better, worse = evaluated(registry, "good", "poor", hours), evaluated(registry, "poor", "good", hours)
    assert (better["decision"], worse["decision"]) == ("accepted", "refused")
    assert (better["error"], better["rivalError"]) == (worse["rivalError"], worse["error"])
    assert worse["message"] == (
        f"candidate poor is off by {worse['error']:.1f} bikes an hour, champion good by {better['error']:.1f} "
        "(336 hours from 2012-06-17 to 2012-06-30): refused"
    )
    assert evaluated(registry, "good", "good", hours)["decision"] == "accepted"
    assert evaluated(registry, "good", None, hours)["decision"] == "accepted"
    assert evaluated(registry, "poor", None, hours)["decision"] == "refused"


def test_a_champion_that_the_registry_lacks_is_no_comparison(monkeypatch, registry, hours):
    """The step fails, and says which version serves."""
    train_one(monkeypatch, "w-1")
    with pytest.raises(StepFailed, match=r"^theirs serves and is not in the registry"):
        evaluated(registry, "w-1", "theirs", hours)


def test_registering_twice_is_registering_once(monkeypatch, registry):
    """The card holds training and evaluation; the candidate is gone, also where the step was cut off before that."""
    train_one(monkeypatch, "w-1")
    given = ("--model=bikes", "--version=w-1", f"--evaluation={json.dumps({'decision': 'accepted', 'error': 41.5})}")
    assert run(monkeypatch, register, *given) == f"w-1 is registered in {registry.version('w-1')}"
    card = read_card(registry.version("w-1"))
    assert (card["evaluation"]["error"], card["hours"]) == (41.5, 2014)
    registry.candidate("w-1").mkdir()
    assert run(monkeypatch, register, *given) == "w-1 is registered already"
    assert [path.name for path in registry.folder.iterdir()] == ["w-1"]


def test_what_was_never_trained_is_not_registered(monkeypatch, registry):
    """The version is named."""
    with pytest.raises(StepFailed, match=r"the registry has no \.candidate-w-1 of bikes"):
        run(monkeypatch, register, "--model=bikes", "--version=w-1", "--evaluation={}")


class Objects:
    """An API server of a Rollout and a ReplicaSet."""

    namespace = "ml"

    def __init__(self, *, current, stable, away=0):
        self.asked = []
        self.away = away
        self.objects = {
            "Rollout": self.serving("new", {"currentPodHash": current, "stableRS": stable}),
            "ReplicaSet": self.serving("old", {}),
        }

    def serving(self, version, status):
        env = [{"name": "V", "value": version}]
        template = {"spec": {"containers": [{"name": "main", "env": env}]}}
        return {"kind": "Rollout", "spec": {"template": template}, "status": status}

    def get(self, kind, name):
        self.asked.append((kind, name))
        if self.away:
            self.away -= 1
            raise Unreachable("away")
        if name == "nobody":
            raise Missing("Rollout ml/nobody: not found")
        return self.objects[kind]


def champion(api, name="bikes", patience=5.0, variable="V", *, first=False):
    now = [0.0]
    looks = Looks(patience, clock=lambda: now[0], sleep=lambda length: now.__setitem__(0, now[0] + length))
    return asking.champion(api, "Rollout", name, Place("env", variable), looks, first=first)


def test_the_champion_is_what_is_stable():
    """Fully promoted, that is the template's version; in a canary it is that of the stable ReplicaSet."""
    assert champion(Objects(current="b", stable="b")) == "new"
    canary = Objects(current="b", stable="a")
    assert (champion(canary), canary.asked) == ("old", [("Rollout", "bikes"), ("ReplicaSet", "bikes-a")])
    assert champion(Objects(current="b", stable="")) == "new"


def test_that_none_serves_is_believed_only_where_it_can_be():
    """A variable that is empty, or a registry without versions; a name that is mistyped spares nobody the champion."""
    api = Objects(current="b", stable="b")
    with pytest.raises(StepFailed, match=r"^Rollout ml/bikes: which version serves cannot be told: no .* declares VV$"):
        champion(api, variable="VV")
    assert champion(api, variable="VV", first=True) is None
    api.objects["Rollout"] = api.serving("", {"currentPodHash": "b", "stableRS": "b"})
    assert champion(api) is None


def test_what_is_registered_is_counted(monkeypatch, registry):
    """Not what is only trained; a registry that nobody has written to has none."""
    assert registry.versions() == set()
    train_one(monkeypatch, "w-1")
    assert registry.versions() == set()
    registry.candidate("w-1").rename(registry.version("w-1"))
    assert registry.versions() == {"w-1"}


def test_an_api_server_that_is_away_is_asked_again():
    """For a while; then the step fails."""
    assert champion(Objects(current="b", stable="b", away=3)) == "new"
    with pytest.raises(StepFailed, match=r"^away$"):
        champion(Objects(current="b", stable="b", away=99))
    with pytest.raises(StepFailed, match="not found"):
        champion(Objects(current="b", stable="b"), "nobody")
