"""Verification by a query in a run: times asked for, what is measured against, what a crash changes of it."""

from datetime import datetime, timedelta

import pytest

from controller import schema
from controller.durations import parse_duration
from tests.conftest import NOON
from tests.integration.engine.again import compare
from tests.integration.engine.scene import DEGRADED, LABELS, MODEL, Scene, Staged, policy

QUERY = """{query: 'avg_over_time(accuracy{model="$model",version="$version"}[5m])', recovered: value >= 0.92,
 every: 1m, settle: 10m, for: 5m, within: 1h}"""


def steps(verify: str = QUERY, **changes: str) -> str:
    """A ladder of one step that is verified so."""
    for key, value in changes.items():
        verify = verify.replace(key, value)
    return f"steps: [{{name: retrain, command: {{argv: [a]}}, verify: [{' '.join(verify.split())}]}}]"


def minutes(scene: Scene) -> list[float]:
    """When Prometheus was asked for what it was, in minutes after noon."""
    return [(time - NOON) / timedelta(minutes=1) for _, time in scene.world.asked]


def ended(scene: Scene) -> tuple[str, str]:
    """Phase and verdict."""
    return scene.remediation().phase, scene.remediation().verdict


def why(scene: Scene) -> dict:
    """The values of the last transition."""
    t = schema.transitions.c
    return scene.rows(schema.transitions, order=t.version)[-1]._mapping["values"]


@pytest.fixture
def scene(stage: Staged) -> Scene:
    """A retrain that reports version 2."""
    found = stage(policy(steps()))
    found.world.outputs = {"version": "2"}
    return found


def test_recovered_by_a_query(stage_on_both: Staged):
    """Samples of the new version, from settle and the query's range on, until they held for `for`."""
    scene = stage_on_both(policy(steps()))
    scene.world.outputs, scene.world.values = {"version": "2"}, lambda query, time: 0.95
    scene.send()
    scene.advance("20m")
    assert ended(scene) == ("Succeeded", "recovered")
    assert minutes(scene) == [15, 16, 17, 18, 19, 20]
    assert {query for query, _ in scene.world.asked} == {'avg_over_time(accuracy{model="salary",version="2"}[5m])'}
    assert why(scene)["value"] == 0.95


@pytest.mark.parametrize("reason", ["no data", "2 series, want one", "connection refused"])
def test_no_number_is_unknown_in_the_end(scene, reason):
    """What was never seen is not recovered, and the page says why."""
    scene.world.values = lambda query, time: reason
    scene.send()
    scene.advance("59m")
    assert scene.remediation().phase == "Verifying"
    scene.advance("1m")
    assert ended(scene) == ("Escalated", "unknown")
    assert why(scene)["message"] == reason


def test_away_for_a_while(scene):
    """An outage in the middle restarts `for`, and no more."""
    scene.world.values = lambda query, time: "away" if time == NOON + timedelta(minutes=18) else 0.95
    scene.send()
    scene.advance("23m")
    assert scene.remediation().phase == "Verifying"
    scene.advance("1m")
    assert ended(scene) == ("Succeeded", "recovered")


def test_no_version_reported_is_unknown_at_once(scene):
    """A query about the new version cannot be asked where nobody says which it is."""
    scene.world.outputs = {}
    scene.send()
    scene.advance("15m")
    assert ended(scene) == ("Escalated", "unknown")
    assert why(scene)["message"] == "the query names $version, and the action has reported none"
    assert scene.world.asked == []


def test_before_is_of_the_step_s_start_and_asked_once(stage: Staged):
    """Without $version it is the same query of then; a crash in between changes nothing of it."""
    scene = stage(policy(steps(**PLAIN, **{"value >= 0.92": "value > before"})))
    scene.world.values = lambda query, time: 0.9 if time == NOON else 0.91
    scene.send()
    scene.advance("16m")
    scene.crash()
    scene.advance("4m")
    assert ended(scene) == ("Succeeded", "recovered")
    assert minutes(scene) == [0, 15, 0, 16, 17, 18, 19, 20]
    assert why(scene)["before"] == 0.9


def test_replayed_without_prometheus(scene):
    """Samples are inputs: the same history comes to the same verdict, at the times that were asked for."""
    scene.world.values = lambda query, time: 0.95
    scene.send()
    scene.advance("20m")
    compare(scene)


PLAIN = {',version="$version"': ""}
"""A query that needs no version, so that what was before can be asked."""


def test_nothing_is_started_where_all_is_well(stage_on_both: Staged):
    """What the step wants holds before it: the trigger was about something else."""
    scene = stage_on_both(policy(steps(**PLAIN)))
    scene.world.values = lambda query, time: 0.95
    scene.send()
    assert scene.trail() == ["Pending decided", "Cancelled not_degraded"]
    assert scene.world.acted == []
    assert why(scene) == {"before": 0.95, "recovered": "value >= 0.92"}


def test_what_is_well_is_asked_again_within_reason(stage: Staged):
    """While the condition lasts and nothing is degraded, its event is asked again hourly, however short the cooldown."""
    scene = stage(policy(steps(**PLAIN) + "\nlimits: {cooldown: 1m}"))
    scene.world.values = lambda query, time: 0.95
    event = scene.send()
    scene.advance("59m")
    assert scene.story(event) == ["remediate"]
    scene.advance("1m")
    assert scene.story(event) == ["remediate", "remediate"]
    assert scene.trail() == ["Pending decided", "Cancelled not_degraded"]


def test_a_query_that_is_none_starts_nothing(stage_on_both: Staged):
    """What Prometheus cannot read could never show that it helped: the step is held, and people are told in the end."""
    scene = stage_on_both(policy(steps(**PLAIN)))
    scene.world.values = lambda query, time: "answered 400: parse error"
    scene.send()
    assert scene.trail() == ["Pending decided", "Pending held"]
    assert why(scene)["query"] == "answered 400: parse error"
    scene.advance("23h")
    assert (scene.world.acted, scene.remediation().phase) == ([], "Pending")
    scene.advance("1h")
    assert scene.trail()[2:3] == ["Cancelled held"]
    assert scene.world.acted == []
    compare(scene)


def test_a_query_that_was_none_is_mended(stage: Staged):
    """Once Prometheus can read it the step starts; a new text of the policy is decided anew."""
    scene = stage(policy(steps(**PLAIN)))
    scene.world.values = lambda query, time: "answered 400: parse error"
    event = scene.send()
    scene.adopt(MODEL, policy(steps(**PLAIN, accuracy="precision") + "\nlimits: {cooldown: 1m}"))
    scene.advance("10m")
    assert scene.trail(scene.remediations()[0].id)[-1] == "Cancelled over"
    assert scene.story(event)[-1] == "remediate"
    assert scene.world.acted == []
    scene.world.values = lambda query, time: 0.8
    scene.advance("10m")
    assert len(scene.world.acted) == 1


def test_what_is_degraded_is_mended(stage_on_both: Staged):
    """Below what is wanted, the step starts, in the same moment."""
    scene = stage_on_both(policy(steps(**PLAIN)))
    scene.world.values = lambda query, time: 0.9 if time == NOON else 0.95
    scene.send()
    assert scene.trail() == ["Pending decided", "Running started", "Verifying action_done"]


@pytest.mark.parametrize("reason", ["no data", "connection refused"])
def test_what_is_not_known_is_mended(stage: Staged, reason: str):
    """It says only where it holds: without a number the step starts."""
    scene = stage(policy(steps(**PLAIN)))
    scene.world.values = lambda query, time: reason
    scene.send()
    assert scene.world.acted != []


def test_a_difference_says_nothing_of_before(stage: Staged):
    """A number is always as good as itself."""
    scene = stage(policy(steps(**PLAIN, **{"value >= 0.92": "value >= before"})))
    scene.world.values = lambda query, time: 0.95
    scene.send()
    assert scene.world.acted != []


def test_labels_start_all_the_same(stage: Staged):
    """No condition was said to be open, so none can be found to be none."""
    triggers = "triggers: [{type: ml.labels.available}]"
    scene = stage(policy(f"{triggers}\n{steps(**PLAIN)}"))
    scene.world.values = lambda query, time: 0.95
    scene.send(LABELS)
    assert scene.world.acted != []


def test_all_queries_must_hold_before(stage: Staged):
    """Two numbers are asked one after the other; one that is bad is enough to start."""
    verify = f"{QUERY}, {QUERY.replace('accuracy', 'recall')}"
    scene = stage(policy(steps(verify, **PLAIN)))
    scene.world.values = lambda query, time: 0.5 if "recall" in query else 0.95
    scene.send()
    assert scene.world.acted != []
    assert len(scene.world.asked) == 2


def test_many_slow_queries_before(stage: Staged):
    """However many numbers are asked for, and slowly, the first still counts when the last has come."""
    verify = ", ".join(QUERY.replace("accuracy", f"m{number}") for number in range(8))
    scene = stage(policy(steps(verify, **PLAIN)))

    def slow(query: str, time: datetime) -> float:
        scene.clock.advance(timedelta(seconds=30))
        return 0.95

    scene.world.values = slow
    scene.send()
    assert scene.trail() == ["Pending decided", "Cancelled not_degraded"]
    assert len(scene.world.asked) == 8


def test_a_crash_while_before_is_asked(stage: Staged):
    """The number is asked for again; the step neither starts twice nor never."""
    scene = stage(policy(steps(**PLAIN)))
    scene.world.values, scene.world.blind = (lambda query, time: 0.95), True
    scene.send()
    assert scene.trail() == ["Pending decided"]
    scene.crash()
    scene.world.blind = False
    scene.advance("1m")
    assert scene.trail() == ["Pending decided", "Cancelled not_degraded"]


def test_before_is_fresh_after_a_hold(stage: Staged):
    """What was good when it was held is asked for again when it may start."""
    scene = stage(policy(steps(**PLAIN)))
    scene.world.values, scene.world.blind = (lambda query, time: 0.95), True
    scene.send()
    scene.act("pause")
    scene.world.blind = False
    scene.advance("1h")
    scene.world.values = lambda query, time: 0.5
    scene.act("resume")
    assert scene.trail() == ["Pending decided", "Pending held", "Running started", "Verifying action_done"]


def test_not_degraded_replays(stage: Staged):
    """What was seen before is an input, too."""
    scene = stage(policy(steps(**PLAIN)))
    scene.world.values = lambda query, time: 0.95
    scene.send()
    compare(scene)


REPORT = "{report: {metric: accuracy}, recovered: value >= 0.92, worse: value < before - 0.02, within: 2d}"
LOW = "triggers: [{type: ml.performance.degraded}]"


def told_by_the_detector(scene: Scene, value: float, *, starts: str = "1h") -> None:
    """A report an hour from now of a window that began so long after now."""
    began = scene.clock() + parse_duration(starts)
    scene.advance("2h")
    window = {"start": began.isoformat(), "end": scene.clock().isoformat()}
    scene.send(DEGRADED, value=value, window=window)


@pytest.mark.parametrize(
    ("value", "end"),
    [(0.95, ("Succeeded", "recovered")), (0.81, ("Failed", "unchanged")), (0.7, ("Escalated", "worse"))],
)
def test_verified_by_the_next_report(stage_on_both: Staged, value: float, end: tuple[str, str]):
    """The detector's next report about the metric says what came of it."""
    scene = stage_on_both(policy(f"{LOW}\n{steps(REPORT)}"))
    scene.send(DEGRADED, value=0.8)
    assert scene.remediation().phase == "Verifying"
    told_by_the_detector(scene, value)
    first = scene.remediations()[0]
    assert (first.phase, first.verdict) == end
    compare(scene)


def test_a_report_about_before_is_none(stage: Staged):
    """What was measured before the action's end does not count, and silence until the deadline is unknown."""
    scene = stage(policy(f"{LOW}\n{steps(REPORT)}"))
    scene.send(DEGRADED, value=0.8)
    told_by_the_detector(scene, 0.95, starts="0s")
    assert scene.remediation().phase == "Verifying"
    scene.advance("2d")
    assert ended(scene) == ("Escalated", "unknown")


SOON = "limits: {cooldown: 1s}\n"
"""A deployment by others starts the cooldown, too."""


def served(scene: Scene, version: str, role: str = "stable") -> None:
    """The registry says which version serves."""
    scene.send("ml.model.deployed", version=version, role=role, driftScore=None)


def test_before_and_stable_are_of_the_version_that_served(stage: Staged):
    """`before` is asked for the version of before the step, for the time at which it began."""
    scene = stage(policy(SOON + steps(**{"value >= 0.92": "value > before + 0.01 && value >= stable"})))
    scene.world.outputs = {"version": "2"}
    scene.world.values = lambda query, time: 0.95 if 'version="2"' in query else 0.9
    served(scene, "1")
    scene.advance("1m")
    scene.send()
    scene.advance("20m")
    assert ended(scene) == ("Succeeded", "recovered")
    assert (why(scene)["before"], why(scene)["stable"], why(scene)["value"]) == (0.9, 0.9, 0.95)
    asked = {(query[-9:-6], (time - NOON) / timedelta(minutes=1)) for query, time in scene.world.asked}
    assert ('"1"', 1) in asked
    compare(scene)


def test_without_a_version_before_it_is_unknown_at_once(stage: Staged):
    """Nobody knows what served: what reads `before` can never be told."""
    scene = stage(policy(steps(**{"value >= 0.92": "value > before"})))
    scene.world.outputs = {"version": "2"}
    scene.send()
    scene.advance("15m")
    assert ended(scene) == ("Escalated", "unknown")
    assert why(scene)["message"] == "before is asked for, and the version before the step is not known"


def test_the_stable_version_says_nothing_of_a_canary(stage: Staged):
    """An event about the canary is not answered by how well the stable version does."""
    scene = stage(policy(SOON + steps()))
    scene.world.values, scene.world.outputs = (lambda query, time: 0.95), {"version": "2"}
    served(scene, "1")
    served(scene, "2", "canary")
    scene.advance("1m")
    scene.send(modelVersion="2")
    assert "Running started" in scene.trail()


def test_how_the_version_that_serves_does_before(stage: Staged):
    """With a version in the query, what serves is asked before anything is started."""
    scene = stage(policy(SOON + steps()))
    scene.world.values = lambda query, time: 0.95
    served(scene, "1")
    scene.advance("1m")
    scene.send()
    assert scene.trail() == ["Pending decided", "Cancelled not_degraded"]
    assert [query for query, _ in scene.world.asked] == ['avg_over_time(accuracy{model="salary",version="1"}[5m])']
