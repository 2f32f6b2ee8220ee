"""Every reason of the design arises in a run of the whole engine, and with it what lifts it."""

from datetime import timedelta

from tests.integration.engine.scene import (
    BROKEN,
    CALM,
    CHECKED,
    DEGRADED,
    DRIFT,
    LABELS,
    LEVEL,
    MODEL,
    RECOVERED,
    RESTORED,
    Staged,
    model,
    policy,
)


def test_event_starts_a_remediation(stage_on_both: Staged):
    """An event that meets a policy without any guard against it is mended at once."""
    scene = stage_on_both(policy())
    assert scene.story(scene.send()) == ["remediate"]
    assert scene.trail() == ["Pending decided", "Running started", "Succeeded unverified"]
    assert scene.world.acted == [f"{scene.remediation().id}-0-1"]


def test_unknown_model(stage: Staged):
    """A model without a document is recorded and never acted on."""
    scene = stage(policy())
    event = scene.send(model="salery")
    assert scene.story(event) == ["unknown_model"]
    assert scene.questions() == []


def test_unknown_model_may_be_acted_on(stage: Staged):
    """`unknown: act` acts on a model without a document, in the namespace of the event."""
    scene = stage(policy('models: {names: ["*"], unknown: act}'))
    assert scene.story(scene.send(model="salery")) == ["remediate"]


def test_unknown_model_belongs_to_default(stage: Staged):
    """Without a namespace an unknown model belongs to `default`, and only policies there can say `unknown: act`."""
    acting = 'models: {names: ["*"], unknown: act}'
    scene = stage(policy(acting), policy(acting, name="there", namespace="default"))
    event = scene.send(model="salery", namespace=None)
    assert [(row.policy_ns, row.policy, row.outcome) for row in scene.decisions(event)] == [
        ("default", "there", "remediate")
    ]


def test_ambiguous_model(stage: Staged):
    """A name that two namespaces have, sent without one, is an unknown model, and both are named."""
    scene = stage(policy(), model("salary", "web"))
    (row,) = scene.decisions(scene.send(namespace=None))
    assert (row.reason, row.values["candidates"]) == ("unknown_model", ["ml", "web"])


def test_name_without_a_namespace_means_the_only_one(stage: Staged):
    """Without a namespace the event is about the only model so called."""
    scene = stage(policy())
    assert scene.story(scene.send(namespace=None)) == ["remediate"]


def test_no_policy_matched(stage: Staged):
    """What no policy asks for is recorded all the same."""
    scene = stage(policy())
    (row,) = scene.decisions(scene.send(DEGRADED))
    assert (row.policy, row.outcome, row.reason) == ("", "none", "no_policy_matched")


def test_condition_false_and_condition_error(stage: Staged):
    """An expression that is false, and one that reads what is not there, refuse for good."""
    scene = stage(policy(f"triggers: [{{type: {DRIFT}, when: 'data.driftShare > 0.5'}}]"))
    assert scene.story(scene.send(driftShare=0.2)) == ["condition_false"]
    assert scene.story(scene.send()) == ["condition_error"]
    assert scene.questions() == []
    assert scene.story(scene.send(driftShare=0.9)) == ["remediate"]


def test_too_few_samples(stage: Staged):
    """Fewer samples than asked for, or none named, are too few; labels carry no number and pass."""
    scene = stage(policy(f"triggers: [{{type: {DRIFT}}}, {{type: {LABELS}}}]\nlimits: {{minSamples: 500}}"))
    assert scene.story(scene.send(sampleCount=499)) == ["too_few_samples"]
    assert scene.story(scene.send()) == ["too_few_samples"]
    assert scene.story(scene.send(LABELS, count=3)) == ["remediate"]


def test_stale_too_old(stage: Staged):
    """What was last seen longer ago than `maxAge` is stale."""
    scene = stage(policy("limits: {maxAge: 2h}"))
    event = scene.send(at=scene.clock() - timedelta(hours=2, microseconds=1))
    (row,) = scene.decisions(event)
    assert (row.reason, row.values["why"]) == ("stale", "too_old")
    assert scene.story(scene.send(at=scene.clock() - timedelta(hours=2))) == ["remediate"]


def test_stale_over(stage: Staged):
    """An event not later than the end of its condition is over already, and opens nothing."""
    scene = stage(policy())
    scene.send(DEGRADED)
    late = scene.clock()
    scene.advance("1h")
    scene.send(RECOVERED)
    scene.send(CALM)
    scene.adopt(MODEL, policy(f"triggers: [{{type: {DEGRADED}}}]"))
    (row,) = scene.decisions(scene.send(DEGRADED, at=late))
    assert (row.reason, row.values["why"]) == ("stale", "over")
    assert [bool(row.ended) for row in scene.conditions()] == [True]


def test_sustained(stage: Staged):
    """A condition must last: the first event is asked again when it has, and then acts."""
    scene = stage(policy(f"triggers: [{{type: {DEGRADED}, sustained: 30m}}]"))
    event = scene.send(DEGRADED)
    scene.advance("29m")
    assert scene.story(event) == ["accumulating"]
    scene.advance("1m")
    assert scene.story(event) == ["accumulating", "remediate"]


def test_sustained_ends_with_its_condition(stage: Staged):
    """A condition that is over before it lasted long enough closes the question, and nothing happens."""
    scene = stage(policy(f"triggers: [{{type: {DEGRADED}, sustained: 30m}}]"))
    event = scene.send(DEGRADED)
    scene.advance("10m")
    scene.send(RECOVERED)
    assert scene.story(event) == ["accumulating", "stale"]
    scene.advance("2h")
    assert scene.remediations() == []


def test_sustained_asks_the_newest_event(stage: Staged):
    """`sustained` goes by the condition's age, and `when` by its newest event."""
    when = f"triggers: [{{type: {DEGRADED}, sustained: 30m, when: 'data.value < 0.9'}}]"
    scene = stage(policy(when))
    event = scene.send(DEGRADED, value=0.8)
    scene.advance("10m")
    better = scene.send(DEGRADED, value=0.95)
    scene.advance("30m")
    assert scene.story(event) == ["accumulating", "condition_false"]
    assert scene.story(better) == ["condition_false"]
    worse = scene.send(DEGRADED, value=0.7)
    assert scene.story(worse) == ["remediate"]


def test_count(stage: Staged):
    """A counter acts with the event that completes it; what has left the window counts no more."""
    scene = stage(policy(f"triggers: [{{type: {DRIFT}, count: {{atLeast: 3, within: 1h}}}}]"))
    first = scene.send()
    scene.advance("40m")
    second = scene.send()
    scene.advance("20m")
    third = scene.send()
    scene.advance("1m")
    fourth = scene.send()
    assert [scene.story(event) for event in (first, second, third, fourth)] == [
        ["accumulating"],
        ["accumulating"],
        ["accumulating"],
        ["remediate"],
    ]


def test_count_within_one_batch(stage: Staged):
    """Events of one batch count one another in their order."""
    scene = stage(policy(f"triggers: [{{type: {DRIFT}, count: {{atLeast: 3, within: 1h}}}}]"))
    events = [scene.event(feature=f"f{number}") for number in range(3)]
    scene.post(*events)
    scene.settle()
    assert [scene.story(event.id) for event in events] == [["accumulating"], ["accumulating"], ["remediate"]]


def test_count_goes_by_the_events_time(stage: Staged):
    """A window goes by the events' own time: a late event counts where it happened."""
    scene = stage(policy(f"triggers: [{{type: {DRIFT}, count: {{atLeast: 2, within: 1h}}}}]"))
    scene.send(feature="a", at=scene.clock() - timedelta(hours=1))
    assert scene.story(scene.send(feature="b")) == ["accumulating"]
    assert scene.story(scene.send(feature="c", at=scene.clock() - timedelta(minutes=59))) == ["remediate"]


def test_distinct(stage: Staged):
    """`distinct` counts different values, however often each comes."""
    scene = stage(policy(f"triggers: [{{type: {DRIFT}, distinct: {{of: data.feature, atLeast: 3, within: 24h}}}}]"))
    answers = [scene.story(scene.send(feature=feature))[0] for feature in "aabbac"]
    assert answers == ["accumulating"] * 5 + ["remediate"]


def test_distinct_without_its_value(stage: Staged):
    """What `of` cannot read is an error of the condition, and no evidence."""
    scene = stage(policy(f"triggers: [{{type: {DRIFT}, distinct: {{of: data.feature, atLeast: 1, within: 24h}}}}]"))
    assert scene.story(scene.send()) == ["condition_error"]
    assert scene.story(scene.send(feature="a")) == ["remediate"]


REQUIRE = f"triggers: [{{name: both, type: {DRIFT}, require: [{{type: {DEGRADED}, within: 72h}}]}}]"


def test_drift_on_monday_and_degradation_on_tuesday(stage_on_both: Staged):
    """Drift waits as an open question for the degradation that corroborates it."""
    scene = stage_on_both(policy(REQUIRE))
    drift = scene.send()
    assert scene.story(drift) == ["uncorroborated"]
    scene.advance("1d")
    degraded = scene.send(DEGRADED)
    assert scene.story(drift) == ["uncorroborated", "remediate"]
    (row,) = scene.decisions(degraded)
    assert (row.reason, row.values["woken"]) == ("no_policy_matched", ["ml/retrain"])


def test_degradation_on_monday_and_drift_on_tuesday(stage_on_both: Staged):
    """The other way round the degradation is there already."""
    scene = stage_on_both(policy(REQUIRE))
    scene.send(DEGRADED)
    scene.advance("1d")
    assert scene.story(scene.send()) == ["remediate"]


def test_require_remembers_what_is_over(stage: Staged):
    """`require` with `within` is met by what was last seen within it, be it over since; later no more."""
    scene = stage(policy(REQUIRE))
    scene.send(DEGRADED)
    scene.advance("1h")
    scene.send(RECOVERED)
    scene.advance("70h")
    assert scene.story(scene.send(feature="a")) == ["remediate"]
    scene.advance("48h")
    assert scene.story(scene.send(feature="b")) == ["uncorroborated"]


def test_first_reason_of_several_triggers(stage: Staged):
    """Of triggers that are not true the reason is the first found of uncorroborated, accumulating, error, false."""
    triggers = (
        f"triggers: [{{name: a, type: {DRIFT}, when: 'false'}}, "
        f"{{name: b, type: {DRIFT}, count: {{atLeast: 2, within: 1h}}}}, "
        f"{{name: c, type: {DRIFT}, require: [{{type: {DEGRADED}}}]}}]"
    )
    scene = stage(policy(triggers))
    (row,) = scene.decisions(scene.send())
    assert (row.reason, row.trigger) == ("uncorroborated", "c")
    (row,) = scene.decisions(scene.send())
    assert (row.outcome, row.trigger) == ("remediate", "b")


def test_wait_runs_once(stage_on_both: Staged):
    """`wait` begins when the trigger is true; later events join it and do not lengthen it."""
    scene = stage_on_both(policy("wait: 5m"))
    first = scene.send(feature="a")
    scene.advance("3m")
    second = scene.send(feature="b")
    scene.advance("1m59s")
    assert (scene.story(first), scene.story(second)) == (["waiting"], ["waiting"])
    scene.advance("1s")
    assert scene.story(first) == ["waiting"]
    assert scene.story(second) == ["waiting", "remediate"]
    assert len(scene.remediations()) == 1


def test_wait_begins_when_require_is_met(stage: Staged):
    """While `require` is not met nothing waits; the wait begins with what corroborates."""
    scene = stage(policy(f"wait: 5m\n{REQUIRE}"))
    drift = scene.send()
    scene.advance("1h")
    scene.send(DEGRADED)
    assert scene.story(drift) == ["uncorroborated", "waiting"]
    scene.advance("5m")
    assert scene.story(drift) == ["uncorroborated", "waiting", "remediate"]


def test_wait_is_not_served_twice(stage: Staged):
    """What has waited and is then refused otherwise does not wait again when it is asked again."""
    scene = stage(policy("wait: 5m"))
    scene.act("pause", until=(scene.clock() + timedelta(hours=1)).isoformat())
    event = scene.send()
    scene.advance("5m")
    assert scene.story(event) == ["waiting", "paused"]
    scene.advance("55m")
    assert scene.story(event) == ["waiting", "paused", "remediate"]


def test_inhibited_by_a_broken_feed(stage_on_both: Staged):
    """What was measured on a broken feed never triggers; what is measured after it was restored does."""
    scene = stage_on_both(policy())
    scene.send(BROKEN)
    event = scene.send()
    assert scene.story(event) == ["inhibited"]
    scene.advance("1h")
    scene.send(RESTORED)
    scene.advance("5h59m")
    still = scene.send()
    assert scene.story(still) == ["inhibited"]
    scene.advance("1m")
    assert (scene.story(event), scene.story(still)) == (["inhibited"], ["inhibited"])
    assert scene.story(scene.send()) == ["remediate"]


def test_inhibited_is_asked_again_after_a_renewal_only(stage_on_both: Staged):
    """A stateful source's repeat asks again, but only when `unless` holds no more."""
    scene = stage_on_both(policy())
    scene.send(BROKEN, source=LEVEL)
    firing = scene.event(id="alert", source=LEVEL)
    scene.post(firing)
    scene.settle()
    scene.advance("1h")
    scene.post(firing)
    scene.settle()
    assert scene.story("alert") == ["inhibited"]
    scene.send(RESTORED, source=LEVEL)
    scene.advance("3h")
    scene.post(firing)
    scene.settle()
    scene.advance("3h")
    assert scene.story("alert") == ["inhibited"]
    scene.post(firing)
    scene.settle()
    assert scene.story("alert") == ["inhibited", "remediate"]


def test_inhibited_question_ends_too_old_not_acted_on(stage: Staged):
    """Renewed only while `unless` held, an inhibited event never acts: its question outlives and ends as stale."""
    scene = stage(policy("limits: {maxAge: 8h}"))
    scene.send(BROKEN, source=LEVEL)
    firing = scene.event(id="alert", source=LEVEL)
    scene.post(firing)
    scene.settle()
    scene.advance("1h")
    scene.send(RESTORED, source=LEVEL)
    scene.advance("2h")
    scene.post(firing)
    scene.settle()
    scene.advance("20h")
    assert scene.story("alert")[-1] == "stale"
    assert "remediate" not in scene.story("alert")
    assert scene.remediations() == []


def test_unknown_feed_inhibits(stage: Staged):
    """A broken feed that nobody speaks of any more is unknown, and unknown inhibits."""
    scene = stage(policy())
    scene.send(BROKEN, source="urn:brief")
    scene.advance("3d")
    (row,) = scene.decisions(scene.send())
    assert (row.reason, row.values["state"]) == ("inhibited", "unknown")


def test_checked_ends_the_conditions_of_its_source(stage: Staged):
    """A detector that looked and found nothing ends its own conditions of that model, and no others."""
    scene = stage(policy("limits: {cooldown: 1h}"))
    scene.send(BROKEN, source="urn:a")
    scene.send(BROKEN, source="urn:b")
    scene.send(CHECKED, source="urn:a")
    assert [row.ended is not None for row in sorted(scene.conditions(), key=lambda row: row.source)] == [True, False]


def test_moments_of_one_source(stage_on_both: Staged):
    """A source may say many things that open no condition: each is used, and none stands for another."""
    scene = stage_on_both(policy(f"triggers: [{{type: {DRIFT}, require: [{{type: {LABELS}, within: 1h}}]}}]"))
    for kind in (CHECKED, CALM, RECOVERED, RESTORED, LABELS, CHECKED):
        assert scene.story(scene.send(kind)) == ["no_policy_matched"]
    assert scene.story(scene.send()) == ["remediate"]
    scene.advance("1d1h")
    assert scene.story(scene.send()) == ["uncorroborated"]


def test_data_quality_may_be_ignored(stage: Staged):
    """`dataQuality: ignore` turns the built-in `unless` off."""
    scene = stage(policy("dataQuality: ignore"))
    scene.send(BROKEN)
    assert scene.story(scene.send())[0] == "remediate"
