"""The doors that senders use, against a really running server on a real store."""

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from cloudevents.core.bindings.http import to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent

from controller.receiver import Limits
from controller.receiver.body import Receive, Scope, Send
from controller.store.intake import Receipt
from controller.tokens import Tokens, create_token
from tests.integration.receiving import BATCH, STRUCTURED, Running, example, running


@pytest.fixture
def door(sqlite_url: str) -> Iterator[Running]:
    with running(sqlite_url) as here:
        yield here


def post(door: Running, event: Any, headers: dict[str, str] = STRUCTURED, **more: Any) -> httpx.Response:
    return httpx.post(f"{door.url}/events", content=json.dumps(event), headers=headers, **more)


def test_the_example_is_stored_in_every_mode(database_url: str):
    """202 means that the event is in the store, whole; and the same again is 202 as a duplicate."""
    with running(database_url) as door:
        answer = post(door, example())
        assert (answer.status_code, answer.json()) == (
            202,
            {"accepted": ["drift-99201"], "duplicates": [], "conflicts": []},
        )
        event = example()
        data = event.pop("data")
        binary = {"content-type": "application/json"} | {f"ce-{name}": value for name, value in event.items()}
        for answer in (post(door, example()), post(door, data, binary), post(door, [example()], BATCH)):
            assert (answer.status_code, answer.json()) == (
                202,
                {"accepted": [], "duplicates": ["drift-99201"], "conflicts": []},
            )
        (row,) = door.rows()
        assert (row["source"], row["id"], row["model"], row["version"], row["seen"]) == (
            "urn:drift-detector",
            "drift-99201",
            "salary-predictor",
            "v5",
            4,
        )
        assert row["data"] == data | {"drifted": True}
        assert (row["conflicts"], row["decided_at"]) == (0, None)


def test_the_sdk_is_an_independent_producer(door: Running):
    """What the cloudevents SDK sends is accepted, in both its modes."""
    event = example()
    data = event.pop("data")
    del event["time"]
    sent = CloudEvent(event | {"datacontenttype": "application/json"}, data)
    for message in (to_structured_event(sent), to_binary_event(sent)):
        answer = httpx.post(f"{door.url}/events", content=message.body, headers=message.headers)
        assert answer.status_code == 202, answer.text
    assert [(row["id"], row["conflicts"]) for row in door.rows()] == [("drift-99201", 0)]


def test_other_content_under_one_identity(door: Running):
    """The first stays, the difference is recorded and counted, and the sender is not refused."""
    post(door, example())
    changed = example(data={"driftScore": 0.9, "model": "salary-predictor"})
    answer = post(door, changed)
    assert (answer.status_code, answer.json()["conflicts"]) == (202, ["drift-99201"])
    (row,) = door.rows()
    assert (row["data"]["driftScore"], row["conflicts"]) == (0.44, 1)
    assert row["conflict_digest"] not in (None, row["digest"])
    assert (door.counted("events_duplicate"), door.counted("events_conflicting")) == (1, 1)


def test_an_invalid_event_is_a_problem_with_paths(door: Running):
    """400 is RFC 9457, lists every fault, and stores nothing."""
    answer = post(door, example(data={"driftScore": "high", "model": "m", "threshold": None, "kind": 1}))
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json() == {
        "type": "about:blank",
        "title": "Bad Request",
        "status": 400,
        "detail": "invalid event",
        "errors": [
            {
                "path": "data.driftScore",
                "wanted": "a finite number",
                "found": '"high"',
                "detail": 'data.driftScore: want a finite number, got "high"',
            },
            {
                "path": "data.kind",
                "wanted": "one of data, prediction, label, concept",
                "found": "1",
                "detail": "data.kind: want one of data, prediction, label, concept, got 1",
            },
        ],
    }
    assert door.rows() == []
    assert door.counted("events_invalid", reason="schema") == 1


@pytest.mark.parametrize(
    ("event", "headers", "status", "reason"),
    [
        (example(type="acme.x"), STRUCTURED, 422, "unknown_type"),
        (example(), {"content-type": "text/plain"}, 415, "media_type"),
        (example(), {}, 415, "media_type"),
        (example(id=""), STRUCTURED, 400, "malformed"),
        (example(), {"content-type": "application/json"}, 400, "malformed"),
    ],
)
def test_refusals_by_status(door: Running, event: Any, headers: dict[str, str], status: int, reason: str):
    """An unknown type is 422, an unknown media type 415, the rest 400; each is counted by its reason."""
    answer = post(door, event, headers)
    assert (answer.status_code, answer.json()["status"]) == (status, status)
    assert (door.counted("events_invalid", reason=reason), door.counted("requests_refused", status=str(status))) == (
        1,
        1,
    )
    assert door.rows() == []


def test_a_batch_with_bad_events(door: Running):
    """The valid ones are stored, and the answer says which were and which were not."""
    post(door, example("b"))
    answer = post(
        door, [example("a"), example("b"), example("c", specversion="0"), example("d", type="acme.x"), 5], BATCH
    )
    body = answer.json()
    assert answer.status_code == 400
    assert body["detail"] == "3 of 5 events are not valid, the others are stored"
    assert (body["accepted"], body["duplicates"], body["conflicts"]) == (["a"], ["b"], [])
    assert body["rejected"] == [
        {"index": 2, "id": "c", "title": "invalid event"},
        {"index": 3, "id": "d", "title": "unknown event type"},
        {"index": 4, "id": None, "title": "invalid event"},
    ]
    assert [error["path"] for error in body["errors"]] == ["[2].specversion", "[3].type", "[4]"]
    assert [row["id"] for row in door.rows()] == ["b", "a"]


def test_a_large_batch(door: Running):
    """A batch that is parsed aside of the loop loses nothing."""
    answer = post(door, [example(f"e{n}") for n in range(2000)], BATCH)
    assert (answer.status_code, len(answer.json()["accepted"])) == (202, 2000)
    assert [row["id"] for row in door.rows()] == [f"e{n}" for n in range(2000)]


def test_no_answer_before_the_event_is_on_disk(door: Running):
    """While the store is held, the sender waits; the answer follows the commit."""
    with ThreadPoolExecutor(1) as threads:
        with door.db.write():
            answer = threads.submit(post, door, example())
            time.sleep(0.3)
            assert not answer.done()
        assert answer.result(10).status_code == 202
    assert len(door.rows()) == 1


class _Unwilling:
    """An intake that fails with what it is given."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def submit(self, events: Any) -> "Future[Receipt]":
        future: Future[Receipt] = Future()
        future.set_exception(self.error)
        return future

    def backlog(self) -> int:
        return 0


def test_a_store_that_is_away_is_503(door: Running):
    """Nothing was stored, so the sender is asked to come again."""
    door.intake.stop()
    answer = post(door, example())
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert answer.json()["detail"] == "modelmend is stopping"


def test_an_error_of_our_own_is_500_and_nothing_else(sqlite_url: str, caplog: pytest.LogCaptureFixture):
    """An unforeseen error in one request is logged and answered; the next is served."""
    with running(sqlite_url, intake=_Unwilling(ZeroDivisionError())) as door:
        assert [post(door, example()).status_code for _ in range(2)] == [500, 500]
        assert httpx.get(f"{door.url}/healthz").status_code == 200
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == [
        "a request to /events failed"
    ] * 2


def test_a_full_backlog_is_429(sqlite_url: str):
    """With too many events undecided, senders are asked to wait; the connection is kept."""
    with running(sqlite_url, limits=Limits(backlog=2)) as door, httpx.Client() as client:
        for n in range(2):
            assert post(door, example(f"e{n}")).status_code == 202
        for _ in range(2):
            answer = client.post(f"{door.url}/events", content=json.dumps(example("e3")), headers=STRUCTURED)
            assert (answer.status_code, answer.headers["retry-after"]) == (429, "5")
            assert "connection" not in answer.headers
        assert len(door.rows()) == 2


def test_too_large_bodies_are_413(sqlite_url: str):
    """By their stated length before they are read; without one, as soon as they are too large; batches may be larger."""
    with running(sqlite_url, limits=Limits(max_body=4096, max_batch=8192)) as door:
        large = example(data={"driftScore": 1, "model": "m", "x": "x" * 5000})
        sent = 0

        def endless() -> Iterator[bytes]:
            nonlocal sent
            while sent < 100_000_000:
                sent += 4096
                yield b"x" * 4096

        assert post(door, large).status_code == 413
        assert post(door, [large], BATCH).status_code == 202
        assert post(door, [large, large], BATCH).status_code == 413
        answer = httpx.post(f"{door.url}/events", content=b"x" * 20_000_000, headers=STRUCTURED)
        assert answer.json()["detail"] == "at most 4096 bytes are taken"
        try:
            answer = httpx.post(f"{door.url}/events", content=endless(), headers=STRUCTURED)
            assert answer.status_code == 413
        except httpx.WriteError:  # it went on sending after the answer
            assert sent < 100_000_000
        assert door.counted("requests_refused", status="413") == 4
        assert [row["id"] for row in door.rows()] == ["drift-99201"]


def test_slow_bodies_end_and_hold_up_nobody(sqlite_url: str):
    """200 senders that never finish get 408; meanwhile others are served at once."""
    with running(sqlite_url, limits=Limits(body_seconds=1.0)) as door:
        slow = [door.connect() for _ in range(200)]
        for connection in slow:
            connection.sendall(b"POST /events HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{")
        begun = time.monotonic()
        assert post(door, example()).status_code == 202
        assert time.monotonic() - begun < 1
        assert {connection.recv(65536)[:12] for connection in slow} == {b"HTTP/1.1 408"}
        for connection in slow:
            connection.close()


def test_heads_are_bounded(door: Running):
    """Headers and trailers without end are cut off with 431, too many headers refused."""
    many = {f"x-{n}": "1" for n in range(200)}
    assert post(door, example(), STRUCTURED | many).status_code == 431
    with door.connect() as connection:
        connection.sendall(b"POST /events HTTP/1.1\r\nhost: x\r\nx-long: ")
        answer = b""
        try:
            for _ in range(200):
                connection.sendall(b"x" * 4096)
                time.sleep(0.001)
            answer = connection.recv(100)
        except OSError:  # it was cut off while it still sent
            answer = answer or b"HTTP/1.1 431"
        assert answer.startswith(b"HTTP/1.1 431")
    assert post(door, example()).status_code == 202


def test_a_sender_that_goes_away_does_no_harm(door: Running):
    """Half a body and a closed connection: nothing is stored, the next is served."""
    with door.connect() as connection:
        connection.sendall(b"POST /events HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{")
    assert post(door, example()).status_code == 202
    assert len(door.rows()) == 1


def test_pipelined_requests_are_answered_in_order(door: Running):
    """Requests that come in one piece are each answered, in the order sent."""
    bodies = [json.dumps(example(f"e{n}")).encode() for n in range(20)]
    request = b"POST /events HTTP/1.1\r\nhost: x\r\ncontent-type: application/cloudevents+json\r\ncontent-length: %d\r\n\r\n%b"
    with door.connect() as connection:
        connection.sendall(b"".join(request % (len(body), body) for body in bodies))
        text = b""
        while text.count(b'"conflicts":[]}') < 20:
            text += connection.recv(65536)
    assert [f"e{n}" for n in range(20)] == [part.split(b'"')[0].decode() for part in text.split(b'{"accepted":["')[1:]]


def test_headers_that_stand_twice(door: Running):
    """Two ids are no id: a header that must be one is refused when it stands twice."""
    event = example()
    body = json.dumps(event.pop("data")).encode()
    pairs = [
        ("content-type", "application/json"),
        *((f"ce-{name}", value) for name, value in event.items()),
        ("ce-id", "other"),
    ]
    answer = httpx.post(f"{door.url}/events", content=body, headers=pairs)
    assert (answer.status_code, answer.json()["errors"][0]["detail"]) == (
        400,
        "ce-id: want one header, got two or more",
    )


def test_compressed_bodies_are_not_understood(door: Running):
    """A Content-Encoding is refused, not taken for broken JSON."""
    assert post(door, example(), STRUCTURED | {"content-encoding": "gzip"}).status_code == 415


@pytest.fixture
def tokens_file(tmp_path: Path) -> Path:
    return tmp_path / "tokens"


def test_who_may_send(sqlite_url: str, tokens_file: Path):
    """No or wrong credentials are 401, a role that does not include sending 403; with neither is anything read or stored."""
    secrets = {role: create_token(tokens_file, role, [role]) for role in ("send", "read", "operate")}
    with running(sqlite_url, tokens=Tokens(tokens_file)) as door:
        nobody = post(door, example("a"))
        wrong = post(door, example("b"), STRUCTURED | {"authorization": "Bearer nonsense"})
        basic = post(door, example("c"), STRUCTURED | {"authorization": f"Basic {secrets['send']}"})
        reader = post(door, example("d"), STRUCTURED | {"authorization": f"Bearer {secrets['read']}"})
        assert [answer.status_code for answer in (nobody, wrong, basic, reader)] == [401, 401, 401, 403]
        assert nobody.headers["www-authenticate"] == 'Bearer realm="modelmend"'
        assert wrong.headers["www-authenticate"] == 'Bearer realm="modelmend", error="invalid_token"'
        assert (
            reader.headers["www-authenticate"] == 'Bearer realm="modelmend", error="insufficient_scope", scope="send"'
        )
        assert door.rows() == []
        assert post(door, example("e"), STRUCTURED | {"authorization": f"bearer {secrets['send']}"}).status_code == 202
        assert (
            post(door, example("f"), STRUCTURED | {"authorization": f"Bearer {secrets['operate']}"}).status_code == 202
        )
        assert post(door, example("g"), params={"access_token": secrets["send"]}).status_code == 202
        assert post(door, example("h"), params=[("access_token", secrets["send"])] * 2).status_code == 401
        assert httpx.post(f"{door.url}/webhooks/alertmanager", content=b"{}").status_code == 401
        assert httpx.get(f"{door.url}/healthz").status_code == 200


def test_a_refused_sender_gets_to_read_why(sqlite_url: str, tokens_file: Path):
    """Who sends a large body without credentials reads 401, not a broken connection."""
    create_token(tokens_file, "a", ["send"])
    with running(sqlite_url, tokens=Tokens(tokens_file)) as door:
        answer = httpx.post(f"{door.url}/events", content=b"x" * 10_000_000, headers=STRUCTURED)
        assert (answer.status_code, answer.headers["connection"]) == (401, "close")


def test_the_token_of_a_query_is_seen_by_nobody_else(sqlite_url: str):
    """What is mounted, and every log, sees the query with the token blackened."""
    seen: list[bytes] = []

    async def mounted(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["query_string"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body"})

    with running(sqlite_url, mounted=mounted) as door:
        httpx.get(f"{door.url}/api/v1/events?limit=5&access_token=mm_secret&model=a%20b")
    assert seen == [b"limit=5&access_token=redacted&model=a+b"]


def test_everything_else_goes_to_what_is_mounted(sqlite_url: str):
    """Other paths get the request with its body whole; a body too large or too slow never gets there."""
    seen: list[tuple[str, str, bytes]] = []

    async def mounted(scope: Scope, receive: Receive, send: Send) -> None:
        message = await receive()
        seen.append((scope["method"], scope["path"], message["body"]))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"here"})

    with running(sqlite_url, mounted=mounted, limits=Limits(max_body=1000, body_seconds=0.3)) as door:
        assert httpx.get(f"{door.url}/").text == "here"
        assert httpx.post(f"{door.url}/api/v1/silences", content=b"x" * 1000).text == "here"
        assert httpx.post(f"{door.url}/api/v1/silences", content=b"x" * 1001).status_code == 413
        assert httpx.post(f"{door.url}/api/v1/silences", content=iter([b"x"] * 1001)).status_code == 413
        with door.connect() as connection:
            connection.sendall(b"POST /api/v1/pause HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\n{")
            assert connection.recv(100).startswith(b"HTTP/1.1 408")
    assert seen == [("GET", "/", b""), ("POST", "/api/v1/silences", b"x" * 1000)]


def test_the_handshake(door: Running):
    """Consent is the presence of WebHook-Allowed-Origin; a callback is never called."""
    called = threading.Event()
    with running_collector(called) as callback:
        asked = {
            "webhook-request-origin": "detector.example.com",
            "webhook-request-rate": "120",
            "webhook-request-callback": callback,
        }
        answer = httpx.options(f"{door.url}/events", headers=asked)
        assert answer.status_code == 200
        assert (
            answer.headers["webhook-allowed-origin"],
            answer.headers["webhook-allowed-rate"],
            answer.headers["allow"],
        ) == ("detector.example.com", "*", "POST")
        assert not called.wait(0.3)
    plain = httpx.options(f"{door.url}/events")
    assert "webhook-allowed-origin" not in plain.headers
    assert (
        "webhook-allowed-rate"
        not in httpx.options(f"{door.url}/events", headers={"webhook-request-origin": "a"}).headers
    )


class running_collector:  # noqa: N801 — used as a block
    """A server that notes that somebody called."""

    def __init__(self, called: threading.Event) -> None:
        import socket

        self._called = called
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._wait, daemon=True)

    def _wait(self) -> None:
        try:
            self._socket.accept()[0].close()
        except OSError:
            return
        self._called.set()

    def __enter__(self) -> str:
        self._thread.start()
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}/consent"

    def __exit__(self, *_: object) -> None:
        self._socket.shutdown(2)
        self._socket.close()
        self._thread.join(5)


def test_doors_that_do_not_exist(door: Running):
    """Another method is 405 with what is allowed, an unknown source or path 404; all are problems."""
    get = httpx.get(f"{door.url}/events")
    assert (get.status_code, get.headers["allow"], get.json()["title"]) == (405, "POST, OPTIONS", "Method Not Allowed")
    source = httpx.post(f"{door.url}/webhooks/nope", content=b"{}")
    assert (source.status_code, source.json()["detail"]) == (404, 'no source is called "nope"')
    assert httpx.get(f"{door.url}/nowhere").status_code == 404


def test_probes(door: Running):
    """/healthz says that the process answers, /readyz that it does its work, or why not."""
    assert [httpx.get(f"{door.url}{path}").status_code for path in ("/healthz", "/readyz")] == [200, 200]
    door.trouble.append("the store is away")
    unready = httpx.get(f"{door.url}/readyz")
    assert (unready.status_code, unready.text) == (503, "the store is away\n")
    assert httpx.get(f"{door.url}/healthz").status_code == 200
    assert httpx.head(f"{door.url}/healthz").text == ""


def test_sources_that_nobody_configured_share_one_label(sqlite_url: str):
    """What senders write does not decide how many series there are."""
    with running(sqlite_url, senders={"urn:known": {"namespace": "ml"}}) as door:
        for n in range(5):
            post(door, example(f"e{n}", source=f"urn:made-up:{n}"))
        post(door, example(source="urn:known"))
        post(door, example(source="urn:known"))
        assert (
            door.counted("events_received", source="other"),
            door.counted("events_received", source="urn:known"),
        ) == (5, 1)
        assert door.rows()[-1]["namespace"] == "ml"


def test_concurrent_senders_share_commits(door: Running):
    """Many senders at once: each gets its own answer, and each event is stored once."""
    with httpx.Client(limits=httpx.Limits(max_connections=32)) as client, ThreadPoolExecutor(16) as threads:

        def send(n: int) -> tuple[int, list[str]]:
            answer = client.post(f"{door.url}/events", content=json.dumps(example(f"e{n}")), headers=STRUCTURED)
            return answer.status_code, answer.json()["accepted"]

        answers = list(threads.map(send, range(400)))
    assert answers == [(202, [f"e{n}"]) for n in range(400)]
    assert sorted(row["id"] for row in door.rows()) == sorted(f"e{n}" for n in range(400))


@pytest.mark.parametrize(
    ("rest", "status"),
    [
        (b"NONSENSE\r\n\r\n", b"400"),
        (b"POST /events HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", b"400"),
        (b"POST /events HTTP/1.1\r\ncontent-length: 99999999999999999999999\r\n\r\n", b"400"),
        (b"POST /events HTTP/1.1\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n{}", b"400"),
    ],
)
def test_what_is_no_http(door: Running, rest: bytes, status: bytes):
    """Broken HTTP is a problem with 400; a whole request before it on the same connection keeps its own answer."""
    body = json.dumps(example()).encode()
    good = b"POST /events HTTP/1.1\r\nhost: x\r\ncontent-type: application/cloudevents+json\r\ncontent-length: %d\r\n\r\n%b"
    with door.connect() as connection:
        connection.sendall(rest)
        alone = _all_of(connection)
    with door.connect() as connection:
        connection.sendall(good % (len(body), body) + rest)
        behind = _all_of(connection)
    assert alone.startswith(b"HTTP/1.1 " + status)
    assert b"application/problem+json" in alone
    assert behind.startswith(b"HTTP/1.1 202")
    assert [row["id"] for row in door.rows()] == ["drift-99201"]


def _all_of(connection: Any) -> bytes:
    """Everything until the server closes."""
    text = b""
    while part := connection.recv(65536):
        text += part
    return text
