"""What is easily got wrong: each of these was, once."""

from datetime import timedelta

import pytest
from sqlalchemy import update

from controller import schema
from tests.integration.engine.scene import CALM, DEGRADED, DRIFT, LABELS, LEVEL, MODEL, RECOVERED, Staged, policy

HOUR = timedelta(hours=1)
FAST = "steps: [{name: a, command: {argv: [a]}, verify: none}]"
QUIET = "steps: [{name: a, command: {argv: [a]}, verify: [{quiet: 30m, settle: 10m, within: 4h}]}]"


def test_an_older_moment_does_not_displace_a_newer_one(stage: Staged):
    """A late delivery of an older moment leaves the newest one standing for `unless`."""
    scene = stage(policy(f"unless: [{{type: {LABELS}, within: 6h}}]"))
    scene.send(LABELS)
    scene.send(LABELS, at=scene.clock() - 10 * HOUR)
    scene.clock.now += HOUR
    assert scene.story(scene.send()) == ["inhibited"]


def test_silence_of_one_source_ends_nothing_of_another(stage: Staged):
    """A `quiet` drift detector does not end the accuracy alert that corroborated it."""
    scene = stage(policy(f"triggers: [{{type: {DRIFT}, require: [{{type: {DEGRADED}}}]}}]\n{QUIET}"))
    scene.send(DEGRADED, source=LEVEL)
    scene.send()
    scene.advance("35m")
    scene.send(CALM, feature="other")
    scene.advance("5m")
    assert scene.remediation().verdict == "recovered"
    ended = {row.type: row.ended_by for row in scene.conditions()}
    assert ended == {DRIFT: f"remediation:{scene.remediation().id}", DEGRADED: None}


def test_a_storm_while_quiet_is_verified_leaves_few_rows(stage: Staged):
    """However many events come while `quiet` runs, a batch keeps at most the newest sign of each kind."""
    scene = stage(policy(QUIET))
    scene.send()
    scene.advance("11m")
    scene.post(*(scene.event() for _ in range(200)))
    scene.settle()
    signs = [row.value["state"] for row in scene.rows(schema.observations) if row.verify_index is not None]
    assert len(signs) <= 2 * 200 / 16
    assert set(signs) == {"life", "met"}


def test_a_clock_set_back_holds_nothing_up(stage: Staged):
    """What is due is measured by the time that never goes back, so an hour's step back delays nothing."""
    scene = stage(policy(FAST))
    scene.send(LABELS)
    scene.clock.now -= HOUR
    scene.send(at=scene.clock())
    assert scene.trail()[-1] == "Succeeded unverified"


def test_a_purged_newest_event_makes_unless_hold_and_require_unmet(stage: Staged):
    """Where the event that `when` asks is no longer kept, nobody can say: `require` is unmet, nothing fails."""
    need = f"{{type: {DEGRADED}, within: 30d, when: 'data.value < 0.9'}}"
    scene = stage(policy(f"triggers: [{{type: {DRIFT}, require: [{need}]}}]"))
    scene.send(DEGRADED)
    scene.send(RECOVERED)
    with scene.db.write() as conn:
        conn.execute(schema.events.delete().where(schema.events.c.type == DEGRADED))
    assert scene.story(scene.send()) == ["uncorroborated"]


@pytest.mark.parametrize(
    ("body", "closed"),
    [
        ({"policy": "ml/retrain"}, False),
        ({"model": "ml/salary"}, False),
        ({"policy": "ml/retrain", "model": "ml/salary"}, True),
    ],
)
def test_only_policy_and_model_together_close_a_breaker(stage: Staged, body: dict[str, str], closed: bool):
    """Lifting a pause of a policy, or of a model, leaves breakers as they are."""
    scene = stage(
        policy(
            f"limits: {{cooldown: 1s, budget: {{max: 9, within: 7d}}, breaker: {{failures: 1, within: 14d}}}}\n{FAST}"
        )
    )
    scene.world.outcome = "failed"
    scene.send()
    scene.advance("1m")
    assert scene.story(scene.send()) == ["breaker_open"]
    scope, ref = next(iter(body.items()))
    scene.act("resume", scope, ref, **body)
    assert (scene.story(scene.send()) == ["breaker_open"]) is not closed


def test_a_question_that_closes_hands_over_to_what_is_still_open(stage: Staged):
    """An alert that fires on is asked about again when a later one that took its place is over."""
    scene = stage(policy(f"triggers: [{{type: {DEGRADED}, sustained: 30m}}]"))
    scene.send(DEGRADED, slice="a")
    scene.advance("20m")
    scene.send(DEGRADED, slice="b")
    scene.advance("5m")
    scene.send(RECOVERED, slice="b", metric="accuracy")
    scene.advance("10m")
    assert [row.trigger for row in scene.remediations()] == [DEGRADED]


def test_what_waits_is_not_displaced_by_what_lacks_corroboration(stage: Staged):
    """While one trigger waits, an event whose own trigger lacks its `require` does not take the question."""
    triggers = f"triggers: [{{type: {DEGRADED}}}, {{type: {DRIFT}, require: [{{type: {LABELS}, within: 1h}}]}}]"
    scene = stage(policy(f"wait: 5m\n{triggers}"))
    first = scene.send(DEGRADED)
    second = scene.send(DRIFT)
    scene.advance("5m")
    assert (scene.story(first), scene.story(second)) == (["waiting", "remediate"], ["uncorroborated"])


def test_an_id_used_again_after_its_event_was_purged_is_acted_on(stage: Staged):
    """A source that counts its ids anew gets a remediation of its own."""
    scene = stage(policy(f"limits: {{cooldown: 1s}}\n{FAST}"))
    scene.send(id="one")
    with scene.db.write() as conn:
        conn.execute(schema.conditions.delete())
        # SQLite would give its number out again; retention keeps the newest row for that reason.
        conn.execute(update(schema.events).values(id="purged"))
    scene.advance("1m")
    scene.send(id="one")
    assert len(scene.remediations()) == 2


def test_a_repeat_that_makes_a_condition_known_again_corroborates(stage: Staged):
    """A required alert that had become unknown and is repeated wakes the question that lacked it."""
    scene = stage(policy(f"triggers: [{{type: {DRIFT}, require: [{{type: {DEGRADED}}}]}}]"))
    alert = scene.event(DEGRADED, source=LEVEL, id="alert")
    scene.post(alert)
    scene.settle()
    scene.advance("6h")  # a stateful source's conditions expire after 5h
    event = scene.send()
    assert scene.story(event) == ["uncorroborated"]
    scene.post(alert)
    scene.settle()
    assert scene.story(event) == ["uncorroborated", "remediate"]


def test_a_page_to_nobody_is_kept(stage: Staged):
    """Where the receiver is not configured the page is written all the same, to be found among the dead letters."""
    scene = stage(policy("steps: [{name: tell, page: {}}]"), receivers={"other": "webhook"})
    scene.send()
    assert [(row.receiver, row.body["page"]) for row in scene.outbox()] == [("default", True)]


def test_setting_aside_does_not_repeat_what_failed(stage: Staged, monkeypatch: pytest.MonkeyPatch):
    """An event whose model cannot even be looked up is quarantined, and the next one is decided."""
    scene = stage(policy(FAST), MODEL.replace("salary", "wages"))
    whole = type(scene.engine.rules).model_of

    def looks_up(rules, event):
        if event.id == "bad":
            raise OSError("no such luck")
        return whole(rules, event)

    monkeypatch.setattr(type(scene.engine.rules), "model_of", looks_up)
    bad, good = scene.event(id="bad"), scene.event(id="good", model="wages")
    scene.post(bad, good)
    scene.settle()
    assert (scene.story("bad"), scene.story("good")) == (["internal_error"], ["remediate"])
