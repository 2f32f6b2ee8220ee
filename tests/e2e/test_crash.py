"""kill -9 in the middle of a storm, and events that cannot be decided."""

import contextlib
import json
import random
import threading
from http.client import HTTPException
from pathlib import Path

import pytest

from tests.e2e.conftest import Serve
from tests.e2e.serving import Served, drift, policy, until
from tests.e2e.storm import Storm, mixed
from tests.integration.http_double import HttpDouble

EVENTS = 10_000
DOUBLES = Path(__file__).parent / "doubles"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_kill_9_in_a_storm_loses_nothing(serve: Serve, database: str | None) -> None:
    """10,000 events, three kill -9: after each, every event that got a 2xx is there once, and gets its decision."""
    with HttpDouble() as hook:
        request = policy(f"{{name: hook, request: {{url: '{hook.url}/retrain', method: POST}}, verify: none}}")
        served = serve(request, database=database)
        served.start()
        events = [drift(f"e-{number}", f"m-{number % 40}") for number in range(EVENTS)]
        with Storm(lambda: served.url, mixed(events)) as storm:
            for kill_at in sorted(random.sample(range(500, 8_500), 3)):
                until(lambda at=kill_at: len(storm.known()) >= at, f"{kill_at} events to be acknowledged")
                served.kill()
                _all_there_once(served, storm.known())
                served.start()
            storm.wait()
        assert storm.acknowledged == {event["id"] for event in events}
        _all_there_once(served, storm.acknowledged)
        served.all_decided()

        # Each event was asked once by the one policy; what was asked again later has a higher attempt.
        first_answers = served.rows("SELECT count(*), count(DISTINCT event_seq) FROM decisions WHERE attempt = 1")
        assert first_answers == [(EVENTS, EVENTS)]
        assert served.rows("SELECT count(*) FROM quarantine") == [(0,)]
        served.all_mended()
        started = [(row["model"], row["phase"]) for row in served.items("remediations")]
        assert sorted(started) == sorted((f"m-{number}", "Succeeded") for number in range(40))
        # A request cut off by a crash goes out again, under the key that it had.
        keys = {arrived.headers["idempotency-key"] for arrived in hook.arrived}
        assert len(keys) == 40
        assert served.terminate() == 0


def _all_there_once(served: Served, acknowledged: set[str]) -> None:
    stored = served.stored()
    assert len(stored) == len(set(stored))
    assert acknowledged <= set(stored)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_an_event_that_raises_and_one_that_kills_stop_nothing_but_themselves(
    serve: Serve, database: str | None
) -> None:
    """The deadly event ends up as `poison`, the raising one as `internal_error`, all others decided; both replay."""
    served = serve(policy("{name: page, page: {}}"), database=database)
    bug = {"PYTHONPATH": str(DOUBLES), "E2E_DEADLY_UNTIL_MENDED": str(served.folder)}
    served.start(**bug)
    ids = [f"before-{n}" for n in range(20)] + ["raising", "deadly"] + [f"after-{n}" for n in range(20)]
    # The answer may get lost: the process dies as soon as it has stored the batch.
    sender = threading.Thread(target=_post, args=(served, [drift(id_, f"m-{id_}") for id_ in ids]))
    sender.start()
    assert served.died() == -9  # in its batch
    sender.join()
    assert sorted(served.stored()) == sorted(ids)
    served.launch(**bug)
    assert served.died() == -9  # again, but this time the batch was noted first
    served.start(**bug)  # a child that tried it has died instead, and has said at which

    served.all_decided()
    unusual = served.rows(
        "SELECT e.id, d.reason FROM events e JOIN decisions d ON d.event_seq = e.seq "
        "WHERE d.outcome <> 'remediate' AND d.attempt = 1"  # a page ends Escalated, so it is asked again: cooldown
    )
    assert sorted(unusual) == [("deadly", "poison"), ("raising", "internal_error")]
    assert served.rows("SELECT count(*) FROM decisions WHERE attempt = 1") == [(len(ids),)]
    assert served.post(drift("later")).status == 202
    served.all_decided()
    assert "poison" in served.run("explain", "deadly").stdout

    listed = json.loads(served.run("quarantine", "list", "--output", "json").stdout)["items"]
    digests = {item["reason"]: item["digest"] for item in listed}
    assert sorted(digests) == ["internal_error", "poison"]
    # Replayed while the bug is still there: the answer is no, and nothing else suffers.
    for digest in digests.values():
        refused = served.run("quarantine", "replay", digest, "--reason", "try")
        assert refused.returncode == 1, refused.stdout + refused.stderr
    assert served.ready()
    (served.folder / "mended").touch()
    for digest in digests.values():
        done = served.run("quarantine", "replay", digest, "--reason", "mended")
        assert done.returncode == 0, done.stderr
        assert "remediate" in done.stdout
    again = served.rows(
        "SELECT e.id, d.outcome FROM events e JOIN decisions d ON d.event_seq = e.seq "
        "WHERE d.attempt = 2 AND e.id IN ('deadly', 'raising')"
    )
    assert sorted(again) == [("deadly", "remediate"), ("raising", "remediate")]
    assert served.terminate() == 0


def _post(served: Served, events: list[dict[str, object]]) -> None:
    with contextlib.suppress(OSError, HTTPException):
        assert served.post(*events).status == 202
