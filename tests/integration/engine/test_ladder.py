"""A remediation in a run: its rungs, its verdicts, what a crash leaves of it, whom it tells."""

import sys

import pytest

from controller import schema
from controller.engine.working import Workers
from controller.settings import Fleet
from controller.store import remediations
from tests.integration.engine.again import compare
from tests.integration.engine.scene import (
    CALM,
    CHECKED,
    DRIFT,
    LABELS,
    LEVEL,
    Scene,
    Staged,
    model,
    policy,
)

CHECK = "verify: [{command: {argv: [check], timeout: 1m}, every: 1m, settle: 10m, for: 5m, within: 1h}]"
CHECKED_STEP = f"steps: [{{name: retrain, command: {{argv: [a], timeout: 6h}}, {CHECK}}}]"
TWO = f"steps: [{{name: retrain, command: {{argv: [a], timeout: 6h}}, {CHECK}}}, {{name: tell, page: {{}}}}]"
QUIET = "steps: [{name: hook, command: {argv: [a]}, verify: [{quiet: 30m, settle: 10m, within: 4h}]}]"
RESOLVED = "steps: [{name: hook, command: {argv: [a]}, verify: [{resolved: {}, settle: 10m, for: 5m, within: 4h}]}]"


def test_verified_by_a_command(stage_on_both: Staged):
    """Samples count from `settle`, and `recovered` must hold for `for`."""
    scene = stage_on_both(policy(CHECKED_STEP))
    scene.send()
    scene.advance("14m59s")
    assert scene.remediation().phase == "Verifying"
    scene.advance("1s")
    assert (scene.remediation().phase, scene.remediation().verdict) == ("Succeeded", "recovered")
    assert scene.trail() == ["Pending decided", "Running started", "Verifying action_done", "Succeeded recovered"]


def test_relapse_restarts_the_clock(stage: Staged):
    """A contrary or a missing sample between starts `for` again."""
    scene = stage(policy(CHECKED_STEP))
    scene.world.samples.extend(["recovered", "recovered", "missing", "recovered", "recovered", "unchanged"])
    scene.send()
    scene.advance("20m59s")  # the last contrary sample was taken at 15m
    assert scene.remediation().phase == "Verifying"
    scene.advance("1s")
    assert scene.remediation().verdict == "recovered"


@pytest.mark.parametrize(
    ("says", "phase", "verdict"),
    [("unchanged", "Failed", "unchanged"), ("missing", "Escalated", "unknown"), ("worse", "Escalated", "worse")],
)
def test_verdicts_of_a_command(stage: Staged, says: str, phase: str, verdict: str):
    """Unchanged fails, worse and unknown stop and page."""
    scene = stage(policy(CHECKED_STEP))
    scene.world.says = says
    scene.send()
    scene.advance("1h")
    found = scene.remediation()
    assert (found.phase, found.verdict, found.holds_model) == (phase, verdict, False)
    assert [row.receiver for row in scene.outbox()].count("default") == (phase == "Escalated")


def test_unchanged_takes_the_next_rung(stage: Staged):
    """Where a rung did not help the next one is taken; the last one pages."""
    scene = stage(policy(TWO))
    scene.world.says = "unchanged"
    scene.send()
    scene.advance("1h")
    assert scene.trail()[-2:] == ["Pending unchanged", "Escalated paged"]
    assert scene.remediation().verdict == "unchanged"


def test_silent_command_is_unknown(stage: Staged):
    """A verifying command that never answers proves nothing."""
    scene = stage(policy(CHECKED_STEP))
    scene.world.blind = True
    scene.send()
    scene.advance("1h")
    assert (scene.remediation().phase, scene.remediation().verdict) == ("Escalated", "unknown")


def test_quiet_with_a_sign_of_life(stage_on_both: Staged):
    """Quiet while the detector lives is recovered, and ends what triggered."""
    scene = stage_on_both(policy(QUIET))
    scene.send()
    scene.advance("15m")
    scene.send(CHECKED)
    scene.send(DRIFT, feature="other", driftScore=0.1, model="salary")
    scene.advance("30m")
    assert scene.remediation().phase == "Verifying"  # what met the trigger at 15m began the quiet anew
    scene.send(CHECKED)
    scene.advance("1m")
    assert scene.remediation().verdict == "recovered"
    assert all(row.ended is not None for row in scene.conditions() if row.about == "")


def test_quiet_of_the_dead(stage: Staged):
    """Silence of a detector that shows no life proves nothing."""
    scene = stage(policy(QUIET))
    scene.send()
    scene.advance("4h")
    assert (scene.remediation().phase, scene.remediation().verdict) == ("Escalated", "unknown")


def test_quiet_is_broken_by_a_repeat(stage: Staged):
    """A stateful source that repeats what triggered is not quiet."""
    scene = stage(policy(QUIET))
    firing = scene.event(id="alert", source=LEVEL)
    scene.post(firing)
    scene.settle()
    for _ in range(24):
        scene.advance("10m")
        scene.post(firing)
        scene.settle()
    scene.advance("1m")
    assert scene.remediation().verdict == "unchanged"


def test_quiet_is_about_its_trigger(stage: Staged):
    """An event of the type that does not meet the trigger is a sign of life, and nothing more."""
    scene = stage(policy(QUIET + f"\ntriggers: [{{type: {DRIFT}, when: 'data.driftScore > 0.3'}}]"))
    scene.send()
    scene.advance("30m")
    scene.send(driftScore=0.1)
    scene.advance("10m")
    assert scene.remediation().verdict == "recovered"


def test_resolved(stage_on_both: Staged):
    """Resolved: the condition was ended by an event later than the action, and stays over for a while."""
    scene = stage_on_both(policy(RESOLVED))
    scene.send()
    scene.advance("20m")
    scene.send(CALM)
    scene.advance("4m59s")
    assert scene.remediation().phase == "Verifying"
    scene.advance("1s")
    assert scene.remediation().verdict == "recovered"


def test_resolved_too_early(stage: Staged):
    """What ended before the action did not end because of it: that is no proof."""
    scene = stage(policy(RESOLVED))
    scene.world.busy = True
    scene.send()
    scene.advance("1m")
    early = scene.clock()
    scene.advance("1m")
    scene.world.busy = False
    scene.settle()
    scene.advance("1m")
    scene.send(CALM, at=early)
    scene.advance("4h")
    assert (scene.remediation().phase, scene.remediation().verdict) == ("Escalated", "unknown")


def test_resolved_waits_for_no_moment(stage_on_both: Staged):
    """New labels corroborated the drift: no event ever ends them, and the drift being over is what counts."""
    needs = f"triggers: [{{type: {DRIFT}, require: [{{type: {LABELS}, within: 1d}}]}}]"
    scene = stage_on_both(policy(f"{needs}\n{RESOLVED}"))
    scene.send(LABELS)
    scene.send()
    scene.advance("20m")
    scene.send(CALM)
    scene.advance("5m")
    assert scene.remediation().verdict == "recovered"
    compare(scene)


def test_resolved_and_open_again(stage: Staged):
    """A condition that opens again while it is watched is not over."""
    scene = stage(policy(RESOLVED))
    scene.send()
    scene.advance("20m")
    scene.send(CALM)
    scene.advance("2m")
    scene.send()
    scene.advance("3h59m")
    assert (scene.remediation().phase, scene.remediation().verdict) == ("Failed", "unchanged")


def test_verifications_one_after_another(stage: Staged):
    """The clock of the second verification starts when the first is done."""
    both = "verify: [{resolved: {}, settle: 0s, for: 5m, within: 1h}, {command: {argv: [c]}, every: 1m, settle: 10m, for: 0s, within: 1h}]"
    scene = stage(policy(f"steps: [{{name: a, command: {{argv: [a]}}, {both}}}]"))
    scene.send()
    scene.advance("50m")
    scene.send(CALM)
    scene.advance("5m")
    assert scene.trail()[-1] == "Verifying verified"
    scene.advance("10m")
    assert scene.trail()[-1] == "Succeeded recovered"


def test_recovery_uses_up_its_events(stage: Staged):
    """What was seen before a verified end is used up, for every policy; what comes later is not."""
    scene = stage(policy(CHECKED_STEP), policy(name="zeal", spec="limits: {cooldown: 1h}"))
    first = scene.send(feature="a")
    assert (scene.story(first, "retrain"), scene.story(first, "zeal")) == (["remediate"], ["in_progress"])
    scene.advance("15m")
    row = scene.decisions(first, "zeal")[-1]
    assert (row.reason, row.values["why"]) == ("stale", "used_up")
    scene.advance("1h")
    assert scene.story(scene.send(feature="a"), "zeal") == ["remediate"]


def test_action_timed_out(stage: Staged):
    """An action over its timeout is stopped first, and the next rung taken when it was seen to stop."""
    scene = stage(policy(TWO))
    scene.world.busy = True
    scene.send()
    scene.advance("6h")
    assert scene.trail()[-3:] == ["Stopping timed_out", "Pending stopped", "Escalated paged"]


def test_unknown_fate_stops_and_pages(stage: Staged):
    """An action whose fate is unknown is not done again, and people are paged."""
    scene = stage(policy(TWO))
    scene.world.outcome = "unknown"
    scene.send()
    assert scene.trail()[-1] == "Escalated action_unknown"
    assert len(scene.world.acted) == 1
    assert scene.outbox()[-1].body["page"]


def test_crash_while_an_action_runs(stage_on_both: Staged):
    """A command that a crash cut off is not run again: its fate is unknown."""
    scene = stage_on_both(policy(TWO))
    scene.world.busy = True
    scene.send()
    _begin(scene)
    scene.crash()
    scene.world.busy = False
    scene.settle()
    assert scene.trail()[-1] == "Escalated action_unknown"
    assert scene.world.acted == []


def test_idempotent_command_runs_again(stage: Staged):
    """One that says `idempotent: true` is run again after a crash, under a further attempt."""
    scene = stage(policy("steps: [{name: a, command: {argv: [a], idempotent: true}, verify: none}]"))
    scene.world.busy = True
    scene.send()
    _begin(scene)
    scene.crash()
    scene.world.busy = False
    scene.settle()
    scene.advance("5s")
    assert scene.trail()[-3:] == ["Pending run_again", "Running started", "Succeeded unverified"]
    assert scene.world.acted == [f"{scene.remediation().id}-0-2"]


def test_an_idempotent_command_is_not_run_for_ever(stage: Staged):
    """A command that is cut off each time it runs is given up after three attempts, and people are told."""
    scene = stage(policy("steps: [{name: a, command: {argv: [a], idempotent: true}, verify: none}]"))
    scene.world.busy = True
    scene.send()
    for pause in ("5s", "10s", "0s"):
        _begin(scene)
        scene.crash()
        scene.settle()
        scene.advance(pause)
    assert scene.trail()[-1] == "Escalated action_unknown"
    assert [line for line in scene.trail() if "run_again" in line] == ["Pending run_again"] * 2


def test_crash_before_an_action_began(stage_on_both: Staged):
    """What was intended and not begun is done after the crash, once."""
    scene = stage_on_both(policy())
    scene.world.busy = True
    scene.send()
    scene.crash()
    scene.world.busy = False
    scene.settle()
    assert scene.remediation().phase == "Succeeded"
    assert len(scene.world.acted) == 1


def test_crash_while_a_sample_is_taken(stage: Staged):
    """A sample that a crash lost is taken again."""
    scene = stage(policy(CHECKED_STEP))
    scene.send()
    scene.world.blind = True
    scene.advance("10m")
    scene.crash()
    scene.world.blind = False
    scene.settle()
    scene.advance("5m")
    assert scene.remediation().verdict == "recovered"


def test_crash_while_stopping(stage: Staged):
    """A command that was being stopped in a crash is of unknown fate."""
    scene = stage(policy(TWO))
    scene.world.busy = scene.world.stubborn = True
    scene.send()
    _begin(scene)
    scene.act("cancel", "remediation", scene.remediation().id)
    scene.crash()
    scene.settle()
    assert scene.trail()[-1] == "Escalated action_unknown"


def _begin(scene: Scene) -> None:
    """The action at hand has begun, and is not over."""
    with scene.db.read() as conn:
        (intent,) = remediations.open_intents(conn)
    scene.engine._note_process(intent, 4_000_000, 0.0)


def test_outbox_tells_each_phase_once(stage: Staged):
    """The sink hears of every phase in order under keys of its own; a person of what needs one."""
    scene = stage(policy(TWO))
    scene.world.says = "unchanged"
    scene.send()
    scene.advance("1h")
    rows = scene.outbox()
    assert [(row.receiver, row.body["type"].rpartition(".")[2]) for row in rows] == [
        ("sink", "pending"),
        ("sink", "running"),
        ("sink", "verifying"),
        ("sink", "pending"),
        ("sink", "escalated"),
        ("default", "escalated"),
    ]
    assert len({row.key for row in rows}) == len(rows)
    assert [row.ordinal for row in rows] == [1, 2, 3, 4, 5, 5]


def test_fleet_limit(stage_on_both: Staged):
    """One question for each slot that comes free: the worst severity first, then the oldest."""
    names = ["a", "b", "c", "d"]
    documents = [model(name) for name in names]
    documents += [
        policy(f"severity: {severity}\nmodels: {{names: [{name}]}}\n{TWO}", name=f"for-{name}")
        for name, severity in zip(names, ["P2", "P2", "P1", "P2"], strict=True)
    ]

    scene = stage_on_both(*documents, fleet=Fleet(active=1, share=1.0))
    scene.world.busy = True
    events = {}
    for name in names:
        events[name] = scene.send(model=name)
        scene.advance("1m")
    assert [scene.story(events[name]) for name in names] == [["remediate"], *[["fleet_limit"]] * 3]
    scene.act("cancel", "remediation", scene.remediation().id)
    assert [scene.story(events[name])[-1] for name in names] == ["remediate", "fleet_limit", "remediate", "fleet_limit"]
    scene.act("cancel", "remediation", scene.remediation().id)
    assert [scene.story(events[name])[-1] for name in names] == ["remediate", "remediate", "remediate", "fleet_limit"]
    assert scene.story(events["d"]) == ["fleet_limit"]


def test_free_slot_passes_on(stage: Staged):
    """A question that has no use for the slot that came free leaves it to the next one."""
    documents = [model("a"), model("b"), policy(TWO)]
    scene = stage(*documents, fleet=Fleet(active=1, share=1.0))
    scene.world.busy = True
    scene.send()
    held = scene.send(model="a")
    waits = scene.send(model="b")
    scene.act("pause", "model", "ml/a")
    scene.act("cancel", "remediation", scene.remediation().id)
    assert scene.story(held) == ["fleet_limit", "paused"]
    assert scene.story(waits) == ["fleet_limit", "remediate"]


def test_a_slot_is_not_lost_with_a_newer_event(stage_on_both: Staged):
    """What was asked for a free slot and is refused at once by a newer event's answer leaves the slot to the next."""
    documents = [model("b"), model("c"), policy("limits: {cooldown: 1s}")]
    scene = stage_on_both(*documents, fleet=Fleet(active=1, share=1.0))
    scene.world.busy = True
    scene.send()
    held, waits = (scene.send(model=name) for name in ("b", "c"))
    assert (scene.story(held), scene.story(waits)) == (["fleet_limit"], ["fleet_limit"])
    scene.act("pause", "model", "ml/b")
    scene.world.busy = False
    scene.pool.run(scene.world.lets(scene.engine))
    assert scene.story(scene.send(model="b")) == ["paused"]
    assert scene.story(waits) == ["fleet_limit", "remediate"]


def test_more_models_make_more_room(stage: Staged):
    """Where the share of a grown set of models allows more, who waits for a slot is asked."""
    documents = [model("a"), policy(TWO)]
    scene = stage(*documents, fleet=Fleet(active=5, share=0.5))
    scene.world.busy = True
    scene.send()
    event = scene.send(model="a")
    assert scene.story(event) == ["fleet_limit"]
    scene.adopt("kind: Model\nmetadata: {name: salary, namespace: ml}\n", *documents, model("b"), model("c"))
    assert scene.story(event) == ["fleet_limit", "remediate"]


def test_real_commands(stage: Staged, monkeypatch: pytest.MonkeyPatch):
    """Real processes in real threads: an action that fails, one that helps, and a command that says so."""
    monkeypatch.undo()  # the double leaves the doors
    help_ = f'[{sys.executable}, -c, "print(1)"]'
    check = f"""[{sys.executable}, -c, "print('recovered')"]"""
    scene = stage(
        policy(
            'steps: [{name: a, command: {argv: ["false"]}, verify: none}, '
            f"{{name: b, command: {{argv: {help_}}}, verify: [{{command: {{argv: {check}}}, every: 1m, settle: 0s, for: 0s, within: 1h}}]}}]"
        )
    )
    engine = scene.engine
    engine._workers = Workers(2, engine._note_process, engine._note_resolved, engine.wake)
    scene.post(scene.event())
    deadline = 600
    while not scene.remediations() or scene.remediation().ended_at is None:
        assert (deadline := deadline - 1), scene.trail()
        if not engine.round():
            engine._wake.wait(0.05)
            engine._wake.clear()
    engine._workers.stop(1.0)
    assert scene.trail() == [
        "Pending decided",
        "Running started",
        "Pending action_failed",
        "Running started",
        "Verifying action_done",
        "Succeeded recovered",
    ]
    assert all(row.pid for row in scene.rows(schema.intents))


SOON = "limits: {cooldown: 1m, budget: {max: 9, within: 1d}, breaker: {failures: 9, within: 1d}}"


@pytest.mark.parametrize("says", ["worse", "missing"])
def test_stopped_is_not_begun_again_by_the_same_event(stage_on_both: Staged, says: str):
    """Worse and unknown end with people told: only a new event, or a person's word, begins it again."""
    scene = stage_on_both(policy(CHECKED_STEP + "\n" + SOON))
    scene.world.says = says
    scene.send()
    scene.advance("1d")
    assert len(scene.world.acted) == 1
    scene.send()
    assert len(scene.world.acted) == 2
    compare(scene)


def test_a_command_cut_off_is_not_run_again_by_the_same_event(stage_on_both: Staged):
    """Nobody knows what it did, so it runs once, however short the cooldown."""
    scene = stage_on_both(policy(CHECKED_STEP + "\n" + SOON))
    scene.world.outcome = "unknown"
    scene.send()
    scene.advance("1d")
    assert (len(scene.world.acted), scene.trail()[-1]) == (1, "Escalated action_unknown")
    compare(scene)
