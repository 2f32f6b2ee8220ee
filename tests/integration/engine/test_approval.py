"""People are asked before a step starts: once, about one text, for a time; the first answer counts."""

from datetime import timedelta

import pytest
from sqlalchemy import delete, insert, select

from controller import schema
from controller.settings import Fleet
from controller.store import acts
from tests.integration.engine.again import compare
from tests.integration.engine.scene import BROKEN, CALM, DRIFT, MODEL, Scene, Staged, model, policy

ASKS = "mode: approve"
BY_HAND = (
    "steps: [{name: train, command: {argv: [a]}, verify: [{command: {argv: [c]}, every: 1m, settle: 0s, for: 1m, within: 1h}]}, "
    "{name: promote, command: {argv: [b]}, approve: true, verify: none}]"
)


def answer(scene: Scene, act: str, **body: object) -> dict:
    """A person's answer to the newest remediation, by the page."""
    return scene.act(act, "remediation", scene.remediation().id, way="page", **body)


def pages(scene: Scene) -> list[str]:
    """What people were told, in words."""
    return [row.body["summary"] for row in scene.outbox() if row.body.get("page")]


def test_nothing_is_done_without_a_yes_and_everything_with_it(stage_on_both: Staged):
    """Asked, approved, done: the action waits for the answer, and the trail says who gave it, when and how."""
    scene = stage_on_both(policy(ASKS))
    event = scene.send()
    assert scene.trail() == ["Pending decided", "AwaitingApproval awaiting"]
    assert scene.story(event) == ["remediate"]
    assert scene.world.acted == []
    scene.crash()
    scene.settle()
    assert answer(scene, "approve")["ok"]
    assert scene.trail()[2:] == ["Pending approved", "Running started", "Succeeded unverified"]
    t = [row for row in scene.rows(schema.transitions) if row.reason == "approved"]
    assert t[0][6] == {"who": "ada", "why": "because", "way": "page"}
    compare(scene)


def test_people_are_told_once_with_a_link(stage: Staged):
    """One message for an asking; it says what would start, until when, and where to answer."""
    scene = stage(policy(ASKS))
    scene.send()
    scene.send(feature="other")
    scene.advance("5h")
    until = (scene.clock() + timedelta(hours=19)).isoformat().replace("+00:00", "Z")
    assert pages(scene) == [
        (
            "[P2] ml/salary: policy retrain: may step 'retrain' start? without an answer by "
            f"{until} it is a no: https://mend.example/remediations/{scene.remediation().id}"
        )
    ]


def test_it_holds_the_model_and_the_budget_while_it_waits(stage: Staged):
    """Another event is in progress, and the asking counts for the budget; a no gives it back."""
    scene = stage(policy(f"{ASKS}\nlimits: {{cooldown: 1s, budget: {{max: 1, within: 7d}}}}"))
    scene.send()
    assert scene.story(scene.send(feature="b")) == ["in_progress"]
    answer(scene, "reject")
    event = scene.send(feature="c")
    scene.advance("1d")
    assert scene.story(event)[-1] == "remediate"


def test_only_the_step_that_says_so_is_asked_about(stage: Staged):
    """Train freely, promote by hand: the first rung runs, the second waits for its own yes."""
    scene = stage(policy(BY_HAND))
    scene.world.says = "unchanged"
    scene.send()
    scene.advance("2h")
    assert scene.remediation().phase == "AwaitingApproval"
    assert scene.remediation().step == 1
    assert len(scene.world.acted) == 1
    answer(scene, "approve")
    assert scene.trail()[-1] == "Succeeded unverified"


def test_a_no_ends_it_and_nothing_was_done(stage_on_both: Staged):
    """Rejected: cancelled, nothing started, and its comment is kept."""
    scene = stage_on_both(policy(ASKS))
    scene.send()
    assert answer(scene, "reject")["ok"]
    assert scene.trail()[-1] == "Cancelled rejected"
    assert scene.world.acted == []
    compare(scene)


@pytest.mark.parametrize("how", ["reject", "expire"])
def test_people_are_asked_again_a_day_later_at_the_earliest(stage: Staged, how: str):
    """However short the cooldown: after a no, or no answer, the same policy asks about the model a day later."""
    scene = stage(policy(f"{ASKS}\nlimits: {{cooldown: 1m, maxAge: 7d}}\napproval: {{expires: 3h}}"))
    first = scene.send()
    if how == "reject":
        answer(scene, "reject")
    else:
        scene.advance("3h")
    ended = scene.clock()
    assert scene.trail()[-1] == f"Cancelled {'rejected' if how == 'reject' else 'expired'}"
    second = scene.send(feature="b")
    scene.advance("23h")
    assert len(scene.remediations()) == 1
    assert scene.story(first)[-1] == "cooldown"
    values = scene.decisions(second)[-1].values
    assert (values["by"], values["cooldown"]) == ("asking", "1d")
    scene.advance("1h")
    assert len(scene.remediations()) == 2
    assert scene.remediation().started_at - ended == timedelta(days=1)
    assert len(pages(scene)) == 2
    compare(scene)


def test_it_expires_to_a_no_and_a_late_answer_is_told_so(stage_on_both: Staged):
    """At the end of its time it is over, also where the answer comes in the very moment."""
    scene = stage_on_both(policy(ASKS))
    scene.send()
    scene.clock.now += timedelta(hours=24)
    late = answer(scene, "approve")
    assert not late["ok"]
    assert late["error"].startswith("nobody answered in time, which was a no from ")
    assert scene.trail()[-1] == "Cancelled expired"
    assert scene.world.acted == []
    compare(scene)


def test_it_lapses_when_the_condition_is_over(stage: Staged):
    """What it would have mended is over: nobody is asked any more."""
    scene = stage(policy(ASKS))
    scene.send()
    scene.advance("1h")
    scene.send(CALM)
    assert scene.trail()[-1] == "Cancelled over"
    assert answer(scene, "approve")["error"].startswith("what it was asked about has been over since ")


def test_it_lapses_when_the_event_is_too_old(stage: Staged):
    """Nobody says yes to what was last seen longer ago than `maxAge`: at the end of that time the asking is over."""
    scene = stage(policy(f"{ASKS}\nlimits: {{maxAge: 2h}}"))
    scene.send()
    scene.clock.now += timedelta(hours=2, seconds=1)
    assert not answer(scene, "approve")["ok"]
    assert scene.trail()[-1] == "Cancelled over"


def test_a_changed_policy_text_voids_the_asking(stage_on_both: Staged):
    """An asking is about one text: when another comes into force it lapses, and a yes to it counts no more."""
    scene = stage_on_both(policy(ASKS))
    scene.send()
    scene.adopt(MODEL, policy(f"{ASKS}\nseverity: P1"))
    assert scene.trail()[-1] == "Cancelled over"
    assert not answer(scene, "approve")["ok"]
    assert scene.world.acted == []
    compare(scene)


def test_a_yes_that_is_held_is_void_for_a_changed_policy(stage: Staged):
    """Approved, then paused, then the text changes: the yes was to another text."""
    scene = stage(policy(ASKS))
    scene.send()
    scene.act("pause")
    assert answer(scene, "approve")["ok"]
    assert scene.trail()[-1] == "Pending held"
    scene.adopt(MODEL, policy(f"{ASKS}\nseverity: P1"))
    assert scene.trail()[-1] == "Cancelled over"


def test_an_unchanged_set_leaves_the_asking_alone(stage: Staged):
    """Other documents may come and go."""
    scene = stage(policy(ASKS))
    scene.send()
    scene.adopt(MODEL, policy(ASKS), policy("severity: P3", name="other"))
    assert scene.remediation().phase == "AwaitingApproval"


def test_what_may_hold_it_is_asked_again_when_the_answer_is_yes(stage: Staged):
    """Pause, silence and `unless` hold an approved step; when they are gone it starts without another asking."""
    scene = stage(policy(ASKS))
    scene.send()
    scene.send(BROKEN)
    assert answer(scene, "approve")["ok"]
    assert (scene.remediation().phase, scene.remediation().hold_reason) == ("Pending", "inhibited")
    scene.send("ml.data.quality.restored")
    scene.advance("7h")
    assert scene.trail()[-2:] == ["Running started", "Succeeded unverified"]
    assert len(pages(scene)) == 1


@pytest.mark.parametrize(
    ("first", "second"), [("approve", "approve"), ("approve", "reject"), ("reject", "approve"), ("reject", "cancel")]
)
def test_the_first_answer_counts_and_the_second_hears_of_it(stage_on_both: Staged, first: str, second: str):
    """Twice, or against each other: one transition, and a clear no with who and when to the other."""
    scene = stage_on_both(policy(ASKS))
    scene.send()
    scene.world.busy = True
    at = scene.clock().isoformat().replace("+00:00", "Z")
    assert answer(scene, first)["ok"]
    scene.advance("1m")
    late = answer(scene, second)
    if second == "cancel":
        assert late["error"].endswith("is Cancelled already")
    else:
        word = "approved" if first == "approve" else "rejected"
        assert not late["ok"]
        assert late["error"] == f"it was {word} by ada at {at}"
        assert late["decided"] == {"reason": word, "at": at, "who": "ada", "why": "because", "way": "page"}
    assert len(scene.world.acted) == 0
    compare(scene)


def test_an_answer_to_an_earlier_asking_is_not_one_to_the_next(stage: Staged):
    """A form that was open for the first rung does not approve the second."""
    both = BY_HAND.replace("{name: train,", "{name: train, approve: true,")
    scene = stage(policy(both))
    scene.world.says = "unchanged"
    scene.send()
    asking = scene.remediation().version
    assert answer(scene, "approve", asking=asking)["ok"]
    scene.advance("2h")
    assert (scene.remediation().phase, scene.remediation().step) == ("AwaitingApproval", 1)
    late = answer(scene, "approve", asking=asking)
    assert late["error"].endswith("it asks about another step now")
    assert scene.remediation().phase == "AwaitingApproval"
    assert answer(scene, "approve", asking=scene.remediation().version)["ok"]
    assert scene.trail()[-1] == "Succeeded unverified"


def test_an_answer_that_came_before_the_asking_is_not_one_to_it(stage_on_both: Staged):
    """A yes that names no asking is to what was asked when it was given, however late it is used."""
    scene = stage_on_both(policy(BY_HAND))
    scene.world.says = "unchanged"
    scene.send()
    scene.advance("30m")
    given = acts.add_act(scene.db, "approve", "remediation", scene.remediation().id, {"asking": None}, "ada", "")
    a = schema.acts
    with scene.db.write() as conn:  # the engine was away until the second rung asked
        act = conn.execute(select(a)).one()._mapping
        conn.execute(delete(a))
    scene.advance("2h")
    assert scene.remediation().phase == "AwaitingApproval"
    with scene.db.write() as conn:
        conn.execute(insert(a).values(**act))
    scene.settle()
    late = acts.outcome(scene.db, given)
    assert late is not None
    assert (late["ok"], late["error"].endswith("after the answer")) == (False, True)
    assert len(scene.world.acted) == 1
    assert answer(scene, "approve")["ok"]
    compare(scene)


def test_who_is_not_asked_hears_so(stage: Staged):
    """An answer to a remediation that asks nobody, or to none, is a no."""
    scene = stage(policy())
    scene.send()
    assert answer(scene, "approve")["error"].endswith("is Succeeded: it asks nobody")
    assert scene.act("reject", "remediation", "r-aaaaaaaaaaaa")["error"] == "no remediation r-aaaaaaaaaaaa"


def test_an_answer_to_another_asking_hears_so(stage: Staged):
    """An answer to what was never asked is told that, and not that nobody is asked."""
    scene = stage(policy(ASKS))
    scene.send()
    told = answer(scene, "approve", asking=scene.remediation().version + 7)
    assert told["error"] == f"your answer was to another asking than that of remediation {scene.remediation().id} now"
    assert scene.remediation().phase == "AwaitingApproval"


def test_cancelled_while_awaiting_is_a_persons_no(stage: Staged):
    """Cancelled before acting: no open question is left, and the cooldown holds."""
    scene = stage(policy(ASKS))
    scene.send()
    answer(scene, "cancel")
    assert scene.questions() == []
    assert scene.story(scene.send(feature="b")) == ["cooldown"]


def test_an_approved_mode_counts_in_the_fleet(stage: Staged):
    """What awaits an answer holds a slot of the fleet, as what acts does."""
    scene = stage(policy(ASKS), model("other"), fleet=Fleet(active=1, share=1.0))
    scene.send(DRIFT)
    assert scene.story(scene.send(DRIFT, model="other")) == ["fleet_limit"]


def test_retry_goes_on_at_the_rung_where_it_ended(stage_on_both: Staged):
    """A failed ladder is tried again at its last acting step, as a new remediation that continues the old one."""
    ladder = "steps: [{name: a, command: {argv: [a]}, verify: none}, {name: b, command: {argv: [b]}, verify: none}, {name: p, page: {}}]"
    scene = stage_on_both(policy(f"wait: 5m\nlimits: {{cooldown: 1h}}\n{ladder}"))
    scene.world.outcome = "failed"
    scene.send()
    scene.advance("6m")
    first = scene.remediation()
    assert (first.phase, first.step) == ("Escalated", 2)
    refused = scene.act("retry", "remediation", first.id)
    assert (refused["ok"], refused["reason"]) == (False, "cooldown")
    asked = len(scene.decisions())
    scene.clock.now += timedelta(hours=1)
    scene.world.outcome = "done"
    done = scene.act("retry", "remediation", first.id)
    assert done["ok"], done
    second = scene.remediation()
    assert (second.id, second.continues, second.step) == (done["remediation"], first.id, 1)
    assert second.phase == "Succeeded"
    assert scene.world.acted[-1].startswith(f"{second.id}-1-")
    assert len(scene.decisions()) >= asked + 1
    compare(scene)


def test_retry_goes_through_every_guard_and_leaves_nothing_when_refused(stage: Staged):
    """Paused, or over, or by a policy that is gone: a no that says so, and neither a row nor a question more."""
    scene = stage(policy("limits: {cooldown: 1s}"))
    scene.world.busy = True
    scene.send()
    id_ = scene.remediation().id
    assert scene.act("retry", "remediation", id_)["error"].startswith(f"remediation {id_} is Running")
    scene.act("cancel", "remediation", id_)
    assert scene.remediation().phase == "Cancelled"
    scene.advance("1m")
    before = scene.decisions(), scene.questions()
    scene.act("pause")
    assert scene.act("retry", "remediation", id_)["reason"] == "paused"
    scene.act("resume")
    scene.send(CALM)
    before = scene.decisions(), scene.questions()
    refused = scene.act("retry", "remediation", id_)
    assert (refused["reason"], refused["values"]["why"]) == ("stale", "over")
    assert (scene.decisions(), scene.questions()) == before
    scene.adopt(MODEL, policy(name="other"))
    assert scene.act("retry", "remediation", id_)["error"] == "policy ml/retrain is no longer in force"
    assert scene.act("retry", "remediation", "r-aaaaaaaaaaaa")["error"] == "no remediation r-aaaaaaaaaaaa"
    assert len(scene.remediations()) == 1


def test_retry_needs_nothing_counted_anew(stage_on_both: Staged):
    """What was counted before the first remediation counts for the next; a counter is no limit."""
    counting = f"triggers: [{{type: {DRIFT}, count: {{atLeast: 2, within: 1h}}}}]"
    limits = "limits: {cooldown: 1s, breaker: {failures: 9, within: 1d}, budget: {max: 9, within: 1d}}"
    scene = stage_on_both(policy(f"{limits}\n{counting}"))
    scene.world.outcome = "failed"
    scene.send()
    scene.send()
    first = scene.remediation()
    assert first.phase == "Failed"
    scene.advance("1m")
    for tried in range(2):
        done = scene.act("retry", "remediation", scene.remediation().id)
        assert done["ok"], (tried, done)
        assert [row._mapping["values"]["seen"] for row in scene.decisions() if row.outcome == "remediate"][-1] == 2
        scene.clock.now += timedelta(minutes=1)
    compare(scene)


def test_retry_in_a_freeze_is_refused(stage: Staged):
    """It would be held until the freeze ends: the person hears so at once."""
    scene = stage(policy("limits: {cooldown: 1s}"))
    scene.world.outcome = "failed"
    scene.send()
    day = timedelta(days=1)
    start, end = scene.clock() - day, scene.clock() + day
    window = f"start: {start:%Y-%m-%dT%H:%M:%SZ}, end: {end:%Y-%m-%dT%H:%M:%SZ}"
    freeze = f'kind: Freeze\nmetadata: {{name: f, namespace: ml}}\nspec: {{models: {{names: ["*"]}}, {window}}}\n'
    scene.adopt(MODEL, policy("limits: {cooldown: 1s}"), freeze)
    scene.clock.now += timedelta(minutes=1)
    assert scene.act("retry", "remediation", scene.remediations()[0].id)["reason"] == "frozen"
    assert len(scene.remediations()) == 1


def test_retry_asks_people_again(stage: Staged):
    """What needs a yes needs one for another try, too."""
    scene = stage(policy(f"{ASKS}\nlimits: {{cooldown: 1s}}"))
    scene.world.outcome = "failed"
    scene.send()
    answer(scene, "approve")
    first = scene.remediation()
    assert first.phase == "Failed"
    scene.clock.now += timedelta(seconds=2)
    done = scene.act("retry", "remediation", first.id)
    if done["ok"]:
        assert scene.remediation().phase == "AwaitingApproval"
    else:
        assert done["reason"] == "in_progress"
        assert scene.remediation().phase == "AwaitingApproval"


def test_retry_of_a_step_that_is_gone(stage: Staged):
    """The policy in force has no step of that name: there is nothing to go on with."""
    scene = stage(policy("limits: {cooldown: 1s}"))
    scene.world.outcome = "failed"
    scene.send()
    id_ = scene.remediation().id
    scene.adopt(MODEL, policy("mode: audit\nsteps: [{name: other, command: {argv: [a]}, verify: none}]"))
    assert scene.act("retry", "remediation", id_)["error"] == "the policy has no step 'retrain' any more"
