"""A command in flight when its server is killed: at most once, or again where the policy says so."""

import random
import time

import psutil
import pytest

from tests.e2e.conftest import Serve
from tests.e2e.serving import Served, drift, policy, until

MOMENTS = 20


def _counting(takes: str, *, idempotent: bool = False) -> str:
    """Notes that it ran, for which model and as which process; then takes its time."""
    script = f'echo "$1 $$" >> ran; {takes}; echo "$1" >> finished'
    argv = f"[/bin/sh, -c, '{script}', sh, {{expr: model.name}}]"
    return f"{{name: retrain, command: {{argv: {argv}, idempotent: {str(idempotent).lower()}}}, verify: none}}"


def _ran(served: Served, model: str, file: str = "ran") -> list[list[str]]:
    path = served.folder / file
    lines = [line.split() for line in path.read_text().splitlines()] if path.exists() else []
    return [line for line in lines if line[0] == model]


def _ended(served: Served, model: str) -> tuple[str, str, str]:
    query = "SELECT phase, reason, verdict FROM remediations WHERE model = :model AND ended_at IS NOT NULL"
    [row] = until(lambda: served.rows(query, model=model), f"the remediation of {model} to end")
    return row


def _alive(pid: str) -> bool:
    try:
        return psutil.Process(int(pid)).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_an_orphan_is_killed_its_outcome_unknown_and_people_are_paged(serve: Serve) -> None:
    """A command that runs at kill -9 is dead after the restart, its fate unknown, with a page in the outbox."""
    served = serve(policy(_counting("sleep 600")), receivers={"default": {"url": "http://127.0.0.1:9/"}})
    served.start()
    served.post(drift("e", "m"))
    [[_, pid]] = until(lambda: _ran(served, "m"), "the command to run")
    served.kill()
    assert _alive(pid)  # it has a session of its own: it outlives its server

    served.start()

    assert _ended(served, "m") == ("Escalated", "action_unknown", "unknown")
    assert not _alive(pid)
    assert (_ran(served, "m"), _ran(served, "m", "finished")) == ([["m", pid]], [])
    assert served.rows("SELECT outcome FROM intents") == [("unknown",)]
    pages = served.rows("SELECT receiver, body FROM outbox")
    assert [receiver for receiver, body in pages if '"page":true' in body] == ["default"]
    assert served.terminate() == 0


def test_an_idempotent_command_runs_again(serve: Serve) -> None:
    """With `idempotent: true` the orphan is killed all the same, and the command is run once more, to its end."""
    served = serve(policy(_counting("[ -e mended ] || sleep 600", idempotent=True)))
    served.start()
    served.post(drift("e", "m"))
    [[_, pid]] = until(lambda: _ran(served, "m"), "the command to run")
    served.kill()
    (served.folder / "mended").touch()

    served.start()

    assert _ended(served, "m") == ("Succeeded", "unverified", "none")
    assert not _alive(pid)
    assert (len(_ran(served, "m")), len(_ran(served, "m", "finished"))) == (2, 1)
    outcomes = served.rows("SELECT attempt, outcome FROM intents ORDER BY attempt")
    assert outcomes == [(1, "unknown"), (2, "done")]
    assert served.terminate() == 0


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_command_runs_at_most_once_whenever_the_server_is_killed(serve: Serve) -> None:
    """Killed at 20 random moments after the 202, the command's effect is never seen twice, and its end is told truly."""
    served = serve(policy(_counting("sleep 0.1")))
    served.start()
    moments = random.Random()
    ends = []
    for number in range(MOMENTS):
        model = f"m-{number}"
        assert served.post(drift(f"e-{number}", model)).status == 202
        time.sleep(moments.uniform(0.0, 0.3))
        served.kill()
        served.start()
        end, ran = _ended(served, model), _ran(served, model)
        ends.append(end)
        assert len(ran) <= 1, f"{model} ran {len(ran)} times"
        assert not any(_alive(pid) for _, pid in ran)
        if end[0] == "Succeeded":
            assert len(ran) == len(_ran(served, model, "finished")) == 1
        else:
            assert end == ("Escalated", "action_unknown", "unknown")
    assert served.rows("SELECT count(*) FROM remediations") == [(MOMENTS,)]
    assert served.terminate() == 0
