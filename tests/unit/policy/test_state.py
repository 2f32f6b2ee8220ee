"""What is known of a model: what serves, since when, which version is known to be good."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.policy.state import (
    NOTHING,
    OTHERS,
    ModelState,
    Serves,
    known_good,
    serves_from,
    shown_serving,
    told_deployed,
    told_reference,
    trained,
    verified,
)

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
V5 = Serves(stable="v5", stable_revision="a")
V6_BESIDE = Serves(stable_revision="a", canary="v6", canary_revision="b")
V6 = Serves(stable="v6", stable_revision="b")
BACK = Serves(stable_revision="a")


def seen(*shown: Serves, by: str = OTHERS, since: ModelState = NOTHING) -> ModelState:
    """The state after these, an hour apart, the first at noon."""
    for number, each in enumerate(shown):
        since = shown_serving(since, each, by, NOON + number * HOUR)
    return since


def test_what_is_seen_first_was_deployed_nobody_knows_when():
    """The first version seen serves since then; that it was deployed then is not said."""
    state = seen(V5)
    assert (state.stable, state.stable_since, state.deployed_at) == ("v5", NOON, None)
    assert state.shown() == {"version": "v5"}


def test_a_canary_serves_beside_the_stable_version_and_is_promoted():
    """Beside: each has its role. Promoted: deployed at that time, and nothing is a canary."""
    beside = seen(V5, V6_BESIDE)
    assert [beside.role(version) for version in ("v5", "v6", "v4", None)] == ["stable", "canary", "unknown", "unknown"]
    assert [beside.former(version) for version in ("v5", "v6", "v4", None)] == [False, False, True, False]
    after = seen(V6, since=beside)
    assert (after.stable, after.canary, after.deployed_at, after.deployed_by) == ("v6", None, NOON, OTHERS)
    assert after.former("v5")


def test_an_aborted_canary_is_no_canary():
    """It serves nobody: what is said of it is about a former version."""
    state = seen(V5, V6_BESIDE, BACK)
    assert (state.stable, state.canary, state.deployed_at) == ("v5", None, None)
    assert state.former("v6")


def test_a_canary_beside_what_nobody_saw_leaves_the_stable_version_unknown():
    """Nothing is called former then; what the canary is, is known."""
    state = seen(V6_BESIDE)
    assert (state.serving, state.role("v6"), state.role("v5"), state.former("v5")) == (None, "canary", "unknown", False)


def test_a_canary_that_became_stable_unseen_is_known_by_its_revision():
    """Promoted, and followed by the next at once: its version was seen as the canary's."""
    state = seen(V5, V6_BESIDE, Serves(stable_revision="b", canary="v7", canary_revision="c"))
    assert (state.stable, state.canary, state.deployed_at) == ("v6", "v7", NOON + 2 * HOUR)


def test_a_deployment_that_replaces_its_pods_serves_both():
    """Neither version is former meanwhile, and the newer is no canary."""
    state = seen(Serves(stable="v5"), Serves(arriving="v6"))
    assert (state.serving, state.role("v6"), state.former("v6"), state.former("v5")) == ("v5", "unknown", False, False)
    assert seen(Serves(stable="v6"), since=state).former("v5")


def test_an_object_that_is_gone_leaves_what_was_known_marked():
    """The state is kept and no role is told; the same version again is no deployment, another one is."""
    gone = seen(V5, Serves(told=False))
    assert (gone.stable, gone.serving, gone.unknown_since) == ("v5", None, NOON + HOUR)
    assert not gone.former("v4")
    assert gone.shown() == {}
    assert seen(V5, since=gone).deployed_at is None
    assert seen(V6, since=gone).deployed_at == NOON


def test_who_brought_a_canary_is_who_deployed_it():
    """A person promotes what a remediation brought: the deployment stays the remediation's."""
    beside = seen(V6_BESIDE, by="r-1", since=seen(V5))
    assert seen(V6, by=OTHERS, since=beside).deployed_by == "r-1"


def test_deployed_is_told_where_no_object_is_seen():
    """The first told was deployed then, the next ends a canary; one told late changes nothing."""
    state = told_deployed(NOTHING, "v5", NOON, OTHERS, role="stable", watched=False)
    assert (state.stable, state.deployed_at) == ("v5", NOON)
    state = told_deployed(state, "v6", NOON + HOUR, OTHERS, role="canary", watched=False)
    assert (state.role("v6"), state.deployed_at) == ("canary", NOON)
    state = told_deployed(state, "v6", NOON + 2 * HOUR, OTHERS, role="stable", watched=False)
    assert (state.stable, state.canary, state.deployed_at) == ("v6", None, NOON + 2 * HOUR)
    assert told_deployed(state, "v4", NOON, OTHERS, role="stable", watched=False) == state


def test_the_object_is_believed_and_not_what_is_told():
    """While an object is seen, `ml.model.deployed` says nothing of what serves; once it is gone, it does."""
    state = seen(V5)
    assert told_deployed(state, "v9", NOON + HOUR, OTHERS, role="stable", watched=True) == state
    gone = seen(V5, Serves(told=False))
    assert told_deployed(gone, "v9", NOON + 2 * HOUR, OTHERS, role="stable", watched=True).serving == "v9"


def test_reference_data_counts_while_its_version_serves():
    """Told before the version serves, it waits; another version ends it."""
    state = told_reference(seen(V5), "v6", "2026-11")
    assert state.reference is None
    state = seen(V6, since=state)
    assert state.reference == "2026-11"
    assert seen(V5, since=state).reference is None


def test_an_earlier_training_changes_nothing():
    """The last training is what counts."""
    state = trained(NOTHING, NOON, "r-1")
    assert trained(state, NOON - HOUR, OTHERS) == state
    assert (state.trained_at, state.trained_by) == (NOON, "r-1")


def test_what_was_verified_serves_and_is_good():
    """Where no object is seen, the version that was brought serves; where one is, it alone says that."""
    state = verified(NOTHING, "v6", "r-1", NOON, watched=False)
    assert (state.stable, state.deployed_by, state.last_known_good, state.good_since) == ("v6", "r-1", "v6", NOON)
    state = verified(seen(V6), "v6", "r-1", NOON, watched=True)
    assert (state.stable, state.last_known_good) == ("v6", "v6")
    state = verified(seen(V5), "v6", "r-1", NOON, watched=True, promoted=True)
    assert (state.stable, state.last_known_good) == ("v5", "v6")
    assert verified(seen(V5), "v6", "r-1", NOON, watched=True) == seen(V5)
    assert verified(seen(V5), None, "r-1", NOON, watched=True).last_known_good == "v5"
    assert verified(NOTHING, None, "r-1", NOON, watched=True) == NOTHING


def test_a_good_version_is_good_until_it_serves_no_more():
    """It keeps since when; replaced, it has an end; back in service, none."""
    good = known_good(seen(V5), "v5", "soak", NOON)
    assert (good.good_since, good.good_until, good.good_by) == (NOON, None, "soak")
    replaced = shown_serving(good, V6, OTHERS, NOON + HOUR)
    assert (replaced.last_known_good, replaced.good_until) == ("v5", NOON + HOUR)
    assert shown_serving(replaced, V5, OTHERS, NOON + 2 * HOUR).good_until is None
    assert known_good(good, "v5", "r-1", NOON + HOUR) == good


SHOWN = st.builds(
    Serves,
    told=st.booleans(),
    stable=st.sampled_from([None, "v5", "v6"]),
    stable_revision=st.sampled_from(["", "a", "b"]),
    canary=st.sampled_from([None, "v6", "v7"]),
    canary_revision=st.sampled_from(["", "b", "c"]),
    arriving=st.sampled_from([None, "v7"]),
).filter(lambda shown: not shown.stable_revision or shown.stable_revision != shown.canary_revision)


@given(st.lists(SHOWN, min_size=1, max_size=6))
def test_the_same_twice_teaches_nothing(shown):
    """Whatever was seen before, seeing the last again changes nothing, whenever it is and whoever is at work."""
    state = seen(*shown)
    assert shown_serving(state, shown[-1], "r-9", NOON + 99 * HOUR) == state


@given(st.lists(SHOWN, max_size=6))
def test_what_serves_is_never_called_former(shown):
    """Neither the stable version nor the canary nor what arrives."""
    state = seen(*shown)
    assert not any(state.former(version) for version in (state.stable, state.canary, state.arriving))
    assert state.canary is None or state.canary != state.serving


@pytest.mark.parametrize("shown", [V5, V6_BESIDE, Serves(told=False)])
def test_what_was_seen_is_kept_as_json(shown):
    """And read back the same."""
    assert serves_from(shown.plain()) == shown
    assert replace(shown) == shown
