"""What a status says, and the patch that makes it say so."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.app.cluster import Entry
from controller.app.documents import Reading
from controller.app.status import LONGEST, Judgement, difference, model_status, policy_status
from controller.events.types import EventTypes
from controller.policy import NOTHING, Installation, ModelState, accept, read_object
from controller.store.newest import Newest, Shown

NOON = datetime(2025, 1, 23, 12, tzinfo=UTC)
INSTALLATION = Installation.of(EventTypes())
KEY = ("RemediationPolicy", "ml", "look")


def policy(name: str = "look", when: str = "data.driftScore > 0.3", **spec) -> dict:
    """An object of the cluster."""
    trigger = {"type": "ml.data.drift.detected", "when": when}
    ladder = [{"name": "page", "page": {}}]
    whole = {"models": {"names": ["*"]}, "triggers": [trigger], "steps": ladder} | spec
    return {"kind": "RemediationPolicy", "metadata": {"name": name, "namespace": "ml"}, "spec": whole}


def defaults(name: str, **spec) -> dict:
    return {"kind": "Defaults", "metadata": {"name": name, "namespace": "ml"}, "spec": spec}


def entry(found: dict) -> Entry:
    document, problems = read_object(found["kind"], found)
    return Entry(document, tuple(problems))


def reading(*objects: dict, before: Reading | None = None) -> Reading:
    """What one reading of these objects gives, after another."""
    entries = {(each["kind"], "ml", each["metadata"]["name"]): entry(each) for each in objects}
    documents = [each.document for each in entries.values() if each.document]
    problems = [problem for each in entries.values() for problem in each.problems]
    previous = before.accepted.policies.documents if before else ()
    return Reading(accept(documents, INSTALLATION, problems, previous), entries)


def status(read: Reading, key=KEY, shown=None, generation=1, now=NOON) -> dict:
    return Judgement(read).status(key, read.entries[key], generation, shown or {}, now)


def test_a_good_document_is_accepted():
    """What came into force says so, with the mode and severity that hold."""
    assert status(reading(policy(mode="enforce", severity="P1"))) == {
        "conditions": [
            {
                "type": "Accepted",
                "status": "True",
                "reason": "Accepted",
                "message": "in force",
                "lastTransitionTime": "2025-01-23T12:00:00Z",
                "observedGeneration": 1,
            }
        ],
        "observedGeneration": 1,
        "mode": "enforce",
        "severity": "P1",
        "inForce": None,
    }


def test_mode_and_severity_are_those_in_force():
    """A policy that says no mode shows its namespace's; a refused one that of its text before; one never good none."""
    read = reading(policy(), defaults("d", mode="enforce", severity="P3"))
    assert (status(read)["mode"], status(read)["severity"]) == ("enforce", "P3")
    worse = reading(policy(mode="audit", when="x >"), defaults("d", mode="enforce", severity="P3"), before=read)
    assert (status(worse)["mode"], status(worse)["severity"]) == ("enforce", "P3")
    assert status(worse)["inForce"] == read.accepted.policies.policies[0].digest
    never = status(reading(policy(when="x >")))
    assert (never["mode"], never["severity"], never["inForce"]) == (None, None, None)


def test_every_fault_is_told():
    """A refused document has all its faults in one message, within what the API takes."""
    (condition,) = status(reading(policy(when="x >", unles=[], limits={"cooldwn": "1h"})))["conditions"]
    assert (condition["status"], condition["reason"]) == ("False", "Refused")
    assert condition["message"].count("did you mean") == 2
    assert "; spec.triggers[0].when: " in condition["message"]
    (condition,) = status(reading(policy(**{f"{'x' * 200}{n}": 1 for n in range(200)})))["conditions"]
    assert len(condition["message"]) == LONGEST


def test_the_time_of_a_transition_stays_until_the_status_changes():
    """Another message or generation keeps lastTransitionTime; another status moves it."""
    good = status(reading(policy()))
    later = NOON + timedelta(hours=1)
    again = status(reading(policy(severity="P1")), shown=good, generation=2, now=later)
    assert again["conditions"][0]["lastTransitionTime"] == good["conditions"][0]["lastTransitionTime"]
    assert again["conditions"][0]["observedGeneration"] == 2
    bad = status(reading(policy(when="x >")), shown=good, generation=3, now=later)
    assert bad["conditions"][0]["lastTransitionTime"] == "2025-01-23T13:00:00Z"


def test_conditions_of_others_stay():
    """A condition of another type, which somebody else wrote, is not taken away."""
    foreign = {"type": "Reviewed", "status": "True"}
    found = status(reading(policy()), shown={"conditions": [foreign]})["conditions"]
    assert [each["type"] for each in found] == ["Accepted", "Reviewed"]


def test_a_second_defaults_is_refused_and_the_first_goes_on():
    """Of two Defaults in a namespace the newcomer is refused; the one in force stays so, and says so."""
    first = reading(defaults("a", severity="P1"))
    both = reading(defaults("a", severity="P1"), defaults("b", severity="P4"), before=first)
    assert status(both, ("Defaults", "ml", "a"))["conditions"][0]["status"] == "True"
    refused = status(both, ("Defaults", "ml", "b"))["conditions"][0]
    assert "want one Defaults in a namespace" in refused["message"]


def test_two_that_were_never_in_force_are_both_refused():
    """What is not in force because of another document is told that document's fault."""
    both = reading(defaults("a", severity="P1"), defaults("b", severity="P4"))
    for name in ("a", "b"):
        condition = status(both, ("Defaults", "ml", name))["conditions"][0]
        assert condition["status"] == "False"
        assert "want one Defaults in a namespace" in condition["message"]


def newest(**changes) -> Newest:
    values = {"id": 1, "policy": ("ml", "look"), "time": NOON, "outcome": "suppress", "reason": "audit"}
    return Newest(**values | {"model": ("ml", "salary"), "event": "e-1", "remediation": None} | changes)


def test_the_newest_decision_is_told_and_never_an_earlier_one():
    """A decision is told in words of the API; where a later one is told already, that stays."""
    assert policy_status(newest(), {})["lastDecision"] == {
        "time": "2025-01-23T12:00:00Z",
        "outcome": "suppress",
        "reason": "audit",
        "model": "ml/salary",
        "event": "e-1",
        "remediation": None,
    }
    assert policy_status(newest(), {"lastDecision": {"time": "2025-01-23T12:00:01Z"}}) == {}
    assert policy_status(newest(), {"lastDecision": {"time": "2025-01-23T11:00:00Z"}}) != {}


def test_a_model_tells_its_phase_and_version():
    """Active: that phase; over: Idle, with the story's end; a version that was not asked for yet is not spoken of."""
    shown = Shown(
        "r-1",
        ("ml", "salary"),
        ("ml", "look"),
        "Running",
        "acting",
        "none",
        holds_model=True,
        started=NOON,
        ended=None,
    )
    told = model_status(shown, NOTHING)
    assert (told["phase"], told["version"], told["canary"]) == ("Running", None, None)
    assert told["lastRemediation"]["endedAt"] is None
    state = ModelState(stable="v5", stable_since=NOON, canary="v6", last_known_good="v4", good_since=NOON)
    assert model_status(None, state) == {
        "phase": "Idle",
        "version": "v5",
        "versionSince": "2025-01-23T12:00:00Z",
        "canary": "v6",
        "lastKnownGood": "v4",
        "lastKnownGoodSince": "2025-01-23T12:00:00Z",
    }
    gone = model_status(None, replace(state, unknown_since=NOON, canary=None))
    assert (gone["version"], gone["versionSince"], gone["lastKnownGood"]) == (None, None, "v4")


VALUES = st.recursive(
    st.none() | st.booleans() | st.text("ab", max_size=2),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)
STATUS = st.dictionaries(st.sampled_from("abc"), VALUES, max_size=3)


def merged(found, patch):
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    result = dict(found) if isinstance(found, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


def stored(value):
    """What the API server keeps of a value: no nulls."""
    return {key: stored(part) for key, part in value.items() if part is not None} if isinstance(value, dict) else value


@given(STATUS, STATUS)
def test_a_patch_makes_it_so_and_is_the_last(shown, wanted):
    """After the patch the wanted keys are as wanted, others as they were; then there is nothing left to do."""
    shown = stored(shown)
    after = merged(shown, difference(shown, wanted))
    assert difference(after, wanted) == {}
    for key, value in wanted.items():
        assert stored({key: after.get(key)}) == stored({key: value})
    assert {key: after[key] for key in after if key not in wanted} == {
        key: shown[key] for key in shown if key not in wanted
    }


@pytest.mark.parametrize(
    ("shown", "wanted", "patch"),
    [
        ({}, {"a": None}, {}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1}}, {"a": {"c": None}}),
        ({"a": 1, "foreign": 2}, {"a": 1}, {}),
        ({"a": 1}, {"a": None}, {"a": None}),
    ],
)
def test_only_what_differs_is_in_the_patch(shown, wanted, patch):
    """What is as it should be is not written; what should not be there is taken away."""
    assert difference(shown, wanted) == patch
