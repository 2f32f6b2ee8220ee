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

HELD_UP = "steps: [{name: retrain, command: {argv: [a], timeout: 6h}, verify: none}]"


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


def test_in_progress_attaches(stage: Staged):
    """Later events of the model attach to the remediation that runs."""
    scene = stage(policy(HELD_UP))
    scene.world.busy = True
    scene.send()
    (row,) = scene.decisions(scene.send(feature="b"))
    assert (row.reason, row.remediation_id) == ("in_progress", scene.remediation().id)


def test_end_of_the_remediation_asks_again(stage: Staged):
    """When the remediation ends, what attached to it is asked again."""
    scene = stage(policy(HELD_UP + "\nlimits: {cooldown: 1h}"))
    scene.world.busy = True
    scene.send(feature="a")
    second = scene.send(feature="b")
    scene.advance("10m")
    scene.world.busy = False
    scene.settle()
    assert scene.story(second) == ["in_progress", "cooldown"]
    scene.advance("1h")
    assert scene.story(second) == ["in_progress", "cooldown", "remediate"]


def test_cooldown_lifts_and_the_condition_is_over(stage_on_both: Staged):
    """When the cooldown lifts and the condition is over, nothing happens."""
    scene = stage_on_both(policy())
    scene.send()
    scene.advance("1h")
    second = scene.send()
    assert scene.story(second) == ["cooldown"]
    scene.advance("1h")
    scene.send(CALM)
    assert scene.story(second) == ["cooldown", "stale"]
    scene.advance("3d")
    assert len(scene.remediations()) == 1


def test_cooldown_lifts_and_the_condition_is_open(stage_on_both: Staged):
    """When the cooldown lifts and the condition is still open, exactly one further remediation follows."""
    scene = stage_on_both(policy())
    scene.send()
    scene.advance("1h")
    events = [scene.send() for _ in range(3)]
    scene.advance("22h59m59s")
    assert len(scene.remediations()) == 1
    scene.advance("1s")
    assert [scene.story(event) for event in events] == [["cooldown"], ["cooldown"], ["cooldown", "remediate"]]
    scene.advance("10d")
    assert len(scene.remediations()) == 2


def test_cooldown_is_the_models(stage: Staged):
    """Cooldown counts the changing remediations of all policies, `scope: policy` its own only."""
    other = f"triggers: [{{type: {DEGRADED}}}]"
    scene = stage(policy(), policy(other, name="other"), policy(other + "\nlimits: {scope: policy}", name="own"))
    scene.send()
    event = scene.send(DEGRADED)
    assert scene.story(event, "other") == ["cooldown"]
    assert scene.story(event, "own") == ["remediate"]


def test_budget(stage: Staged):
    """No more remediations in the window than the budget has; the question is asked when the oldest leaves it."""
    scene = stage(policy("limits: {cooldown: 1h, budget: {max: 2, within: 7d}}"))
    first = scene.clock()
    scene.send()
    scene.advance("1d")
    scene.send()
    scene.advance("5d")
    third = scene.send()
    assert scene.story(third) == ["budget_exhausted"]
    scene.advance("1d")
    assert scene.story(third) == ["budget_exhausted", "remediate"]
    assert scene.remediation().started_at == first + timedelta(days=7)


def test_budget_is_given_back(stage: Staged):
    """A remediation that was cancelled before it acted gives its budget back, and keeps the cooldown."""
    scene = stage(policy("limits: {cooldown: 1h, budget: {max: 1, within: 7d}}"))
    event = scene.event()
    scene.post(event)
    scene.engine._use_events()
    assert scene.remediation().phase == "Pending"
    scene.act("cancel", "remediation", scene.remediation().id)
    assert scene.remediation().phase == "Cancelled"
    again = scene.send(feature="b")
    assert scene.story(again) == ["cooldown"]
    scene.advance("1h")
    assert scene.story(again) == ["cooldown", "remediate"]


def test_breaker(stage_on_both: Staged):
    """After so many that did not help it stops, until a person closes the breaker; then one more is tried."""
    scene = stage_on_both(
        policy("limits: {cooldown: 1h, budget: {max: 9, within: 7d}, breaker: {failures: 2, within: 14d}}")
    )
    scene.world.outcome = "failed"
    scene.send()
    scene.advance("1d")
    event = scene.send()
    assert [row.phase for row in scene.remediations()] == ["Failed", "Failed"]
    assert scene.story(event)[-1] == "breaker_open"
    scene.advance("1h")
    third = scene.send()
    assert scene.story(third) == ["breaker_open"]
    scene.act("resume", "policy", "ml/retrain", policy="ml/retrain", model="ml/other")
    assert scene.story(third)[-1] == "breaker_open"
    scene.act("resume", "policy", "ml/retrain", policy="ml/retrain", model="ml/salary")
    assert scene.story(third) == ["breaker_open", "breaker_open", "remediate", "cooldown"]
    assert len(scene.remediations()) == 3


def test_audit_has_a_ledger_of_its_own(stage: Staged):
    """Audit counts as running until `held_until`, cools down from there, and never counts for what is enforced."""
    audit = (
        "mode: audit\nsteps: [{name: retrain, command: {argv: [a], timeout: 2h}, "
        "verify: [{resolved: {}, settle: 1m, for: 1m, within: 4h}]}]"
    )
    scene = stage(policy(audit + "\nlimits: {cooldown: 1d}", name="watch"), policy())
    first = scene.send()
    assert (scene.story(first, "watch"), scene.story(first, "retrain")) == (["audit"], ["remediate"])
    watched = next(row for row in scene.remediations() if row.mode == "audit")
    assert (watched.phase, watched.verdict, watched.holds_model) == ("Audited", "none", False)
    assert watched.held_until == scene.clock() + timedelta(hours=6)
    scene.advance("5h")
    second = scene.send()
    assert scene.story(second, "watch") == ["in_progress"]
    scene.advance("1h")
    assert scene.story(second, "watch") == ["in_progress", "cooldown"]
    scene.advance("23h")
    assert scene.story(second, "watch") == ["in_progress", "cooldown"]
    scene.advance("1h")
    assert scene.story(second, "watch") == ["in_progress", "cooldown", "audit"]
    assert scene.story(second, "retrain") == ["cooldown", "remediate"]


def test_audit_comes_after_every_guard(stage: Staged):
    """`audit` is answered only where every other guard has passed."""
    scene = stage(policy("mode: audit"))
    scene.act("pause")
    event = scene.send()
    assert scene.story(event) == ["paused"]
    scene.act("resume")
    assert scene.story(event) == ["paused", "audit"]
    assert scene.world.acted == []


PAGE = "steps: [{name: page, page: {}}]"


def test_page_only_holds_nobody(stage: Staged):
    """A policy that only pages holds no model, is held by none, and counts its own."""
    scene = stage(policy(PAGE, name="tell"), policy(HELD_UP, name="do"))
    scene.world.busy = True
    event = scene.send()
    assert (scene.story(event, "tell"), scene.story(event, "do")) == (["remediate", "cooldown"], ["remediate"])
    told = next(row for row in scene.remediations() if row.policy == "tell")
    assert (told.phase, told.reason, told.verdict, told.holds_model) == ("Escalated", "paged", "none", False)
    again = scene.send()
    assert scene.story(again, "tell") == ["cooldown"]


def test_page_is_not_inhibited(stage: Staged):
    """People are told of a broken feed's model too: the built-in `unless` is for steps that change."""
    scene = stage(policy(PAGE))
    scene.send(BROKEN)
    assert scene.story(scene.send())[0] == "remediate"
