"""The action `request` against a real HTTP server."""

from __future__ import annotations

import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import psutil
import pytest

from controller import actions
from controller.actions import request
from controller.actions.outcome import MAX_OUTPUTS
from controller.call import NoAnswer, call
from controller.errors import PermanentError
from controller.remediation import Intent
from tests.integration.http_double import DROP, HANG, HttpDouble, Reply

KEY = "r-abc-0-1"


def intent(url: str, **end_state: Any) -> Intent:
    return Intent(1, "r-abc", 0, 1, "request", KEY, {"url": url, "timeout": 5.0, **end_state})


def nothing(pid: int, started: float) -> None: ...


def run(asked: Intent) -> actions.Outcome:
    return request.run(asked, nothing, threading.Event(), first_pause=0.01)


def test_2xx_is_done_and_its_object_the_outputs() -> None:
    """The body arrives as JSON under the intent's key; the answer's object becomes the outputs."""
    with HttpDouble(Reply(201, b'{"run": "42"}')) as double:
        asked = intent(
            f"{double.url}/hook?run=1", body={"model": "é"}, headers={"X-Team": "ml"}, traceparent="00-ab-cd-01"
        )
        before = []
        outcome = actions.run(asked, lambda *_: before.append(len(double.arrived)), threading.Event())
        assert before == [0]
        [arrived] = double.arrived
    assert outcome == actions.Outcome("done", f"{double.url} answered 201", {"run": "42"})
    assert (arrived.method, arrived.path, json.loads(arrived.body)) == ("POST", "/hook?run=1", {"model": "é"})
    headers = {name: arrived.headers[name] for name in ("idempotency-key", "content-type", "x-team", "traceparent")}
    assert headers == {
        "idempotency-key": KEY,
        "content-type": "application/json",
        "x-team": "ml",
        "traceparent": "00-ab-cd-01",
    }


def test_headers_of_the_policy_win_but_for_the_key() -> None:
    """A policy may set the content type and credentials, and never another idempotency key."""
    headers = {"content-type": "application/vnd.acme+json", "IDEMPOTENCY-KEY": "mine", "Authorization": "Bearer x"}
    with HttpDouble() as double:
        run(intent(double.url, body={}, headers=headers, method="PUT"))
        [arrived] = double.arrived
    assert arrived.method == "PUT"
    assert arrived.headers["content-type"] == "application/vnd.acme+json"
    assert (arrived.headers["idempotency-key"], arrived.headers["authorization"]) == (KEY, "Bearer x")


def test_500_500_200_is_done_under_one_key() -> None:
    """A receiver that fails twice and then takes it was asked three times under the same key."""
    with HttpDouble(Reply(500), Reply(503), Reply(200, b'{"ok": 1}')) as double:
        outcome = run(intent(double.url))
        keys = [arrived.headers["idempotency-key"] for arrived in double.arrived]
    assert (outcome.state, outcome.outputs, keys) == ("done", {"ok": 1}, [KEY] * 3)


def test_dropped_connection_is_tried_again() -> None:
    """A connection cut before the answer is no answer: the same key goes out again."""
    with HttpDouble(DROP, Reply(204)) as double:
        assert run(intent(double.url)) == actions.Outcome("done", f"{double.url} answered 204", {})


def test_429_waits_as_long_as_asked() -> None:
    """Retry-After decides the pause, not our own back-off."""
    with HttpDouble(Reply(429, headers={"Retry-After": "0"}), Reply(200)) as double:
        outcome = request.run(intent(double.url), nothing, threading.Event(), first_pause=3600)
    assert outcome.state == "done"


def test_429_that_asks_for_more_than_is_left_ends_at_once() -> None:
    """Where the receiver asks for a pause beyond the timeout, there is nothing to wait for."""
    with HttpDouble(Reply(429, headers={"Retry-After": "3600"})) as double:
        outcome = run(intent(double.url))
    assert outcome.state == "failed"
    assert outcome.message == (
        f"{double.url} answered 429; the next attempt would come after the timeout (3.6e+03 s) (1 attempt)"
    )


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422])
def test_other_4xx_fails_at_once(status: int) -> None:
    """What cannot be helped by asking again is asked once."""
    with HttpDouble(Reply(status)) as double:
        outcome = run(intent(double.url))
        assert len(double.arrived) == 1
    assert (outcome.state, outcome.message) == ("failed", f"{double.url} answered {status}")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect_is_not_followed(status: int) -> None:
    """A redirect fails: the operator wrote where the call goes, not the receiver."""
    with HttpDouble() as elsewhere, HttpDouble(Reply(status, headers={"Location": elsewhere.url})) as double:
        outcome = run(intent(double.url))
        assert elsewhere.arrived == []
    assert (outcome.state, outcome.message) == ("failed", f"{double.url} answered {status}: redirects are not followed")


def test_nobody_there_fails_after_the_timeout() -> None:
    """A call that never reached anybody failed: it cannot have happened."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        outcome = run(intent(f"http://127.0.0.1:{port}/x", timeout=0.2))
    assert outcome.state == "failed"
    assert outcome.message.startswith(f"http://127.0.0.1:{port}: connection refused (")


def test_receiver_that_hangs_is_unknown() -> None:
    """A call that went out and was never answered may have happened."""
    with HttpDouble(HANG) as double:
        outcome = run(intent(double.url, timeout=0.3))
    assert outcome.state == "unknown"
    assert "no answer within 0.3 s (1 attempt): a call went out and was not answered" in outcome.message


def test_conflict_after_an_unanswered_attempt_is_asked_again() -> None:
    """Under an idempotency key, 409 after a cut connection says that the first attempt is still at work."""
    with HttpDouble(DROP, Reply(409), Reply(200, b'{"run": 1}')) as double:
        assert run(intent(double.url)).outputs == {"run": 1}


def test_receiver_that_dribbles_is_cut_off() -> None:
    """A byte now and then does not keep a call alive beyond its time."""
    with (
        HttpDouble(Reply(dribble=True)) as double,
        pytest.raises(NoAnswer, match=r"no answer within 0\.3 s") as caught,
    ):
        call("POST", double.url, headers={}, body=b"{}", cancelled=threading.Event(), timeout=0.3)
    assert caught.value.sent


@pytest.mark.parametrize(("replies", "state"), [((HANG,), "unknown"), ((Reply(503),), "stopped")])
def test_cancel_ends_a_call(replies: tuple[Reply, ...], state: str) -> None:
    """Cancelled in the middle of a call its fate is unknown; cancelled between refused attempts it is stopped."""
    cancelled = threading.Event()
    with HttpDouble(*replies) as double, ThreadPoolExecutor(1) as pool:
        future = pool.submit(request.run, intent(double.url, timeout=60.0), nothing, cancelled, first_pause=30)
        double.wait_for(1)
        cancelled.set()
        assert future.result(timeout=5).state == state


def test_long_answer_is_done_without_outputs() -> None:
    """An answer beyond the bound is not read to its end, and the 2xx still counts."""
    with HttpDouble(Reply(200, b'{"a": "' + b"x" * 10_000_000 + b'"}'), Reply(200)) as double:
        outcome = run(intent(double.url))
    assert (outcome.state, outcome.outputs) == ("done", {})
    assert outcome.message.endswith("outputs ignored: the answer was too long or broke off")


@pytest.mark.parametrize("body", [b"[1]", b"ok", b"", b'{"a": NaN}', b'{"a": "' + b"x" * MAX_OUTPUTS + b'"}'])
def test_answer_that_is_no_bounded_object_has_no_outputs(body: bytes) -> None:
    """Whatever a 2xx says, it is done; only a bounded JSON object is kept."""
    with HttpDouble(Reply(200, body)) as double:
        outcome = run(intent(double.url))
    assert (outcome.state, outcome.outputs) == ("done", {})


def test_messages_keep_secrets() -> None:
    """Neither path, query, password nor header stands in a message, whatever fails."""
    with HttpDouble(Reply(403)) as double:
        url = f"http://user:hunter2@127.0.0.1:{double.port}/T0/hunter2?token=hunter2"
        told = [run(intent(url, headers={"Authorization": "hunter2"})).message]
        assert double.arrived[0].headers["authorization"] == "hunter2"
        told.append(run(intent(url, headers={"X": "hunter2\r\nY: 1"})).message)
        told.append(run(intent(f"{double.url}/\x00hunter2", headers={"X": "hunter2 ☃"})).message)
    told.append(run(intent("ftp://hunter2@x/hunter2")).message)
    told.append(run(intent("http://127.0.0.1:99999/hunter2")).message)
    told.append(run(intent("hunter2")).message)
    told.append(run(intent(url, timeout=0.1)).message)
    assert [message for message in told if "hunter2" in message or not message] == []


def test_password_in_the_url_is_sent_as_basic_credentials() -> None:
    """User and password of a URL go out as credentials, decoded."""
    with HttpDouble() as double:
        run(intent(f"http://us%40er:p%3Aw@127.0.0.1:{double.port}/"))
        assert double.arrived[0].headers["authorization"] == "Basic dXNAZXI6cDp3"


def test_proxies_and_netrc_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call goes where the policy says, whatever proxy the environment names."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with HttpDouble() as double:
        assert run(intent(double.url)).state == "done"


@pytest.mark.parametrize("url", ["", "salary", "http://", "http://[::1", "http://host:0/", "file:///etc/passwd"])
def test_address_that_is_none_fails(url: str) -> None:
    """What is no http address fails at once."""
    assert run(intent(url)).message.startswith("not a valid URL")
    with pytest.raises(PermanentError):
        call("POST", url, headers={}, body=None, cancelled=threading.Event())


def test_tls_to_a_plain_server_says_so() -> None:
    """An https call to a server that speaks plain HTTP names TLS as the cause."""
    with HttpDouble() as double:
        outcome = run(intent(double.url.replace("http:", "https:"), timeout=0.3))
    assert "TLS failed" in outcome.message


def test_nothing_is_sent_when_the_attempt_cannot_be_committed() -> None:
    """Where `started` raises, no call leaves, and the error comes through."""

    def away(pid: int, started: float) -> None:
        raise ConnectionError("database away")

    with HttpDouble() as double:
        with pytest.raises(ConnectionError):
            actions.run(intent(double.url), away, threading.Event())
        assert double.arrived == []


def test_call_of_an_earlier_process_stays_unknown_while_nobody_answers() -> None:
    """After a crash the call goes out again under its key; if nobody answers, the first may have arrived."""
    before = replace(intent("http://127.0.0.1:9/", timeout=0.1), first_tried_at=datetime(2026, 1, 23, tzinfo=UTC))
    assert run(before).state == "unknown"
    with HttpDouble(Reply(200, b'{"run": 1}')) as double:
        again = replace(before, end_state={"url": double.url})
        assert run(again).outputs == {"run": 1}
        assert double.arrived[0].headers["idempotency-key"] == KEY


def test_request_has_no_orphan() -> None:
    """The pid in a request's intent is a server's own: it is never killed."""
    here = psutil.Process()
    assert not actions.orphan(replace(intent("http://x/"), pid=here.pid, pid_started=here.create_time()))
