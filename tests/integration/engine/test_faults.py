"""What goes wrong inside stops nothing but itself, and is never silent."""

import os
import sys
from pathlib import Path

import pytest
from sqlalchemy import func, select

from controller import schema
from controller.engine import careful, loop
from controller.engine.rules import Rules
from controller.errors import TemporaryError
from controller.events.event import Event
from controller.store.ledger import Ledger
from controller.store.undecided import Stored
from tests.integration.engine.scene import LEVEL, Scene, Staged, policy

REPOSITORY = Path(__file__).parents[3]


def bad(event: Event) -> bool:
    """Whether deciding this event is to go wrong."""
    return event.id.startswith("bad")


@pytest.fixture
def faulty(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Using an event whose id begins with `bad` raises."""
    real = loop.use

    def use(ledger: Ledger, rules: Rules, stored: Stored, **more: int):
        answers = real(ledger, rules, stored, **more)
        if bad(stored.event):
            raise ZeroDivisionError("no such luck")
        return answers

    monkeypatch.setattr(loop, "use", use)
    return monkeypatch


def quarantined(scene: Scene) -> list[tuple[str, str]]:
    """Reason and event of what is in quarantine."""
    return [(row.reason, row.body["id"]) for row in scene.rows(schema.quarantine)]


def test_event_that_raises_stops_only_itself(stage_on_both: Staged, faulty: pytest.MonkeyPatch):
    """An event whose deciding raises is decided `internal_error` and quarantined; the others of its batch go on."""
    scene = stage_on_both(policy("limits: {cooldown: 1h}"))
    events = [scene.event(id=name, feature=name) for name in ("e1", "bad", "e2")]
    scene.post(*events)
    scene.settle()
    assert scene.story("e1") == ["remediate"]
    assert scene.story("bad") == ["internal_error"]
    assert scene.story("e2") == ["in_progress", "cooldown"]
    assert quarantined(scene) == [("internal_error", "bad")]
    assert [row.about for row in scene.conditions()] == ["feature=e1", "feature=e2"]


def test_replay_from_quarantine(stage_on_both: Staged, faulty: pytest.MonkeyPatch):
    """Replayed once the fault is mended, an event is used as if it came now, evidence included; and once only."""
    scene = stage_on_both(policy("triggers: [{type: ml.data.drift.detected, count: {atLeast: 2, within: 1d}}]"))
    scene.send(id="bad")
    faulty.undo()
    scene.world.install(faulty)
    (row,) = scene.rows(schema.quarantine)
    answer = scene.act("replay", "event", row.digest)
    assert answer == {"ok": True, "event": "bad", "decisions": ["accumulating"]}
    assert scene.story(scene.send()) == ["remediate"]
    assert not scene.act("replay", "event", row.digest)["ok"]
    assert not scene.act("replay", "event", "nothing")["ok"]


def test_replay_that_raises_again(stage: Staged, faulty: pytest.MonkeyPatch, monkeypatch: pytest.MonkeyPatch):
    """A replay that raises is answered, and stops nothing."""
    from controller.engine import acting

    scene = stage(policy())
    scene.send(id="bad")
    monkeypatch.setattr(acting, "use", loop.use)
    (row,) = scene.rows(schema.quarantine)
    assert scene.act("replay", "event", row.digest) == {"ok": False, "gaveUp": True, "error": "internal error"}
    assert scene.story(scene.send()) == ["remediate"]


def test_question_that_raises_is_put_off(stage: Staged, monkeypatch: pytest.MonkeyPatch):
    """A question whose asking raises is asked again later, and the others are asked at once."""
    scene = stage(policy("wait: 5m", name="a"), policy("wait: 5m\nmode: audit", name="b"))
    event = scene.send()
    real, calls = loop.ask_again, []

    def ask_again(turn, rules, key):
        if key[1] == "a" and not calls:
            calls.append(key)
            raise ZeroDivisionError
        return real(turn, rules, key)

    monkeypatch.setattr(loop, "ask_again", ask_again)
    scene.advance("5m")
    assert (scene.story(event, "a"), scene.story(event, "b")) == (["waiting"], ["waiting", "audit"])
    scene.advance("1m")
    assert scene.story(event, "a") == ["waiting", "remediate"]


def test_repeat_that_raises_is_let_go(stage: Staged, monkeypatch: pytest.MonkeyPatch):
    """A repeat that cannot be used stops nothing: its event is decided already."""
    scene = stage(policy())
    event = scene.event(source=LEVEL)
    scene.post(event)
    scene.settle()

    def renew(ledger, rules, renewal):
        raise ZeroDivisionError

    monkeypatch.setattr(loop, "renew", renew)
    scene.post(event)
    scene.settle()
    assert scene.story(scene.send(feature="b")) == ["cooldown"]


def test_tick_that_raises_is_put_off(stage: Staged, monkeypatch: pytest.MonkeyPatch):
    """A remediation that cannot be moved is looked at later."""
    scene = stage(policy())
    real, calls = loop.tick, []

    def tick(turn, rules, remediation):
        if not calls:
            calls.append(remediation)
            raise ZeroDivisionError
        return real(turn, rules, remediation)

    monkeypatch.setattr(loop, "tick", tick)
    scene.send()
    assert scene.remediation().phase == "Pending"
    scene.advance("1m")
    assert scene.remediation().phase == "Succeeded"


def test_result_that_raises_is_not_done_twice(stage: Staged, monkeypatch: pytest.MonkeyPatch):
    """A result that cannot be recorded leaves the action's fate unknown; it is never done again."""
    scene = stage(policy("steps: [{name: a, command: {argv: [a], timeout: 1h}, verify: none}]"))

    def record_action(turn, rules, intent, acted):
        raise ZeroDivisionError

    with monkeypatch.context() as context:
        context.setattr(loop, "record_action", record_action)
        scene.send()
    scene.advance("2h")
    assert scene.trail()[-1] == "Escalated action_unknown"
    assert len(scene.world.acted) == 1


def test_store_away_between_commit_and_action(stage: Staged, monkeypatch: pytest.MonkeyPatch):
    """What was intended is begun when the store is back, though it went away right after the commit."""
    scene = stage(policy())
    real, calls = loop.starting.catch_up, []

    def catch_up(*given):
        calls.append(1)
        if len(calls) == 1:
            raise TemporaryError("gone")
        real(*given)

    monkeypatch.setattr(loop.starting, "catch_up", catch_up)
    scene.post(scene.event())
    with pytest.raises(TemporaryError):
        scene.settle()
    scene.settle()
    assert scene.remediation().phase == "Succeeded"


def test_policies_come_before_acts_and_suspects(stage: Staged, faulty: pytest.MonkeyPatch):
    """A process that starts has its policies in force before it carries out what people asked for."""
    scene = stage(policy())
    scene.send(id="bad")
    faulty.undo()
    scene.world.install(faulty)
    (row,) = scene.rows(schema.quarantine)
    scene.crash()
    assert scene.act("replay", "event", row.digest)["decisions"] == ["remediate"]


def test_newer_set_is_not_lost(stage: Staged, monkeypatch: pytest.MonkeyPatch):
    """A set proposed while another is being written comes into force after it."""
    from tests.integration.engine.scene import MODEL, policy_set

    scene = stage(policy())
    late = policy_set(MODEL, policy("wait: 1h"))
    real = loop.bring_into_force

    def bring_into_force(turn, rules, refused):
        real(turn, rules, refused)
        monkeypatch.setattr(loop, "bring_into_force", real)
        scene.engine.adopt(late)

    monkeypatch.setattr(loop, "bring_into_force", bring_into_force)
    scene.adopt(MODEL, policy("wait: 2h"))
    assert scene.engine.rules.policies.digest == late.digest


KILLS = """
import os, signal, sys
if "controller.engine.probe" in " ".join(sys.orig_argv):
    from controller.engine import using
    real = using.use
    def use(ledger, rules, stored, **more):
        if stored.event.id.startswith("bad"):
            os.kill(os.getpid(), signal.SIGKILL)
        return real(ledger, rules, stored, **more)
    using.use = use
"""


def test_event_that_kills_is_poison(stage_on_both: Staged, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """What was in hand at a death is tried in a child first; where that dies too, it is quarantined as poison."""
    scene = stage_on_both(policy())
    (tmp_path / "sitecustomize.py").write_text(KILLS)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(REPOSITORY)]))
    scene.post(scene.event(id="bad-1", feature="a"), scene.event(id="good-1", feature="b"))
    with scene.db.read() as conn:
        seqs = list(conn.execute(select(schema.events.c.seq).order_by(schema.events.c.seq)).scalars())
    for seq in seqs:
        careful.take(scene.leadership, seq)
    scene.crash()
    scene.settle()
    assert scene.story("bad-1") == ["poison"]
    assert quarantined(scene) == [("poison", "bad-1")]
    assert scene.story("good-1") == ["remediate"]
    assert sys.executable


def test_backlog_of_an_unclean_stop_is_taken_with_care(stage: Staged, monkeypatch: pytest.MonkeyPatch):
    """After an unclean stop each id is committed as in hand before its event is decided, and the whole backlog is decided."""
    scene = stage(policy())
    scene.post(*(scene.event(feature=f"f{number}") for number in range(5)))
    taken: list[int] = []
    real = careful.take
    monkeypatch.setattr(careful, "take", lambda leadership, *seqs: (taken.extend(seqs), real(leadership, *seqs)))
    scene.crash()
    scene.settle()
    e = schema.events.c
    with scene.db.read() as conn:
        left = conn.execute(select(func.count()).where(e.decided_at.is_(None) | e.in_hand)).scalar_one()
    assert (len(taken), left, sum(scene.tally().values())) == (5, 0, 5)


def test_a_sample_that_cannot_be_recorded_is_taken_again(stage: Staged, monkeypatch: pytest.MonkeyPatch):
    """A fault of ours in recording one sample costs that sample, not the verification."""
    scene = stage(
        policy(
            "steps: [{name: retrain, command: {argv: [x]}, verify: "
            "[{command: {argv: [y]}, every: 5m, settle: 0s, for: 0s, within: 1h}]}]"
        )
    )
    real, calls = loop.record_sample, []

    def record_sample(*given):
        calls.append(1)
        if len(calls) == 1:
            raise ZeroDivisionError("no such luck")
        return real(*given)

    monkeypatch.setattr(loop, "record_sample", record_sample)
    scene.send()
    assert scene.remediation().phase == "Verifying"
    scene.advance("2m")
    assert (scene.remediation().phase, len(calls)) == ("Succeeded", 2)
