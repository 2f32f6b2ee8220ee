"""SIGTERM, and a second process beside the first."""

import json
import socket
import time

import pytest

from tests.e2e.conftest import Serve
from tests.e2e.serving import PATIENCE, drift, policy, until
from tests.e2e.storm import Storm

PAGE = policy("{name: page, page: {}}")


@pytest.mark.timeout(180)
def test_sigterm_loses_no_request(serve: Serve, database: str | None) -> None:
    """Every event with a 2xx is in the store after a SIGTERM among concurrent senders; the start after is a clean one."""
    served = serve(PAGE, database=database)
    served.start()
    requests = [[drift(f"e-{number}", f"m-{number % 50}")] for number in range(20_000)]

    with Storm(lambda: served.url, requests, senders=8, insist=False) as storm:
        until(lambda: len(storm.known()) > 300, "the senders to be at work")
        assert served.terminate() == 0
        storm.wait()

    stored = served.stored()
    assert len(storm.acknowledged) > 300
    assert len(stored) == len(set(stored))
    assert storm.acknowledged <= set(stored)
    assert set(storm.statuses) <= {202, 503}
    assert "modelmend has stopped" in served.log.read_text()
    assert served.rows("SELECT clean_stop FROM leader") == [(True,)]
    served.start()
    served.all_decided()
    assert served.rows("SELECT count(*) FROM events WHERE in_hand") == [(0,)]  # nothing was suspect
    assert sorted(served.stored()) == sorted(stored)
    assert served.terminate() == 0


def test_a_request_in_flight_is_answered(serve: Serve) -> None:
    """A body of which only half had come at SIGTERM is stored and answered all the same."""
    served = serve(PAGE)
    served.start()
    body = json.dumps(drift("slow")).encode()
    port = int(served.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as sender:
        head = f"POST /events HTTP/1.1\r\nHost: x\r\nContent-Type: application/cloudevents+json\r\nContent-Length: {len(body)}\r\n\r\n"
        sender.sendall(head.encode() + body[:20])
        time.sleep(0.3)
        assert served.process is not None
        served.process.terminate()
        time.sleep(0.3)
        sender.sendall(body[20:])
        answer = sender.recv(4096)
    assert answer.startswith(b"HTTP/1.1 202"), answer
    assert served.died() == 0
    assert served.stored() == ["slow"]


def test_a_second_process_is_refused_by_name(serve: Serve, database: str | None) -> None:
    """A second process on the same database exits 2 and names the first, which goes on."""
    served = serve(PAGE, database=database)
    served.start()
    first, url = served.process, served.url
    assert first is not None

    second = served.launch()
    code = second.wait(PATIENCE)

    assert code == 2
    assert f"already served by pid {first.pid} on " in served.log.read_text()
    served.process, served.url = first, url
    assert served.post(drift("after")).status == 202
    served.all_decided()
    assert served.terminate() == 0
