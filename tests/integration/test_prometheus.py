"""Asking a Prometheus that misbehaves: an HTTP double in its place, for what the real one never does.

The real one is asked in tests/integration/prometheus.
"""

import json
import ssl
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

import pytest

from controller.prometheus import NoNumber, NoQuestion, Prometheus
from controller.settings import Prometheus as Settings
from tests.integration.http_double import DROP, HANG, HttpDouble, Reply

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def vector(*values: Any) -> Reply:
    """An instant answer with a series for each value."""
    result = [{"metric": {"n": str(n)}, "value": [NOON.timestamp(), value]} for n, value in enumerate(values)]
    return good({"resultType": "vector", "result": result})


def good(data: Any, **more: Any) -> Reply:
    """An answer that Prometheus calls a success."""
    return Reply(200, json.dumps({"status": "success", "data": data, **more}).encode())


def matrix(*values: str) -> Reply:
    """One series over time."""
    points = [[NOON.timestamp() + n, value] for n, value in enumerate(values)]
    return good({"resultType": "matrix", "result": [{"metric": {}, "values": points}]})


def asked(double: HttpDouble, **more: Any) -> float:
    """The number at noon."""
    client = Prometheus(Settings(url=double.url, **{"timeout": "500ms", **more}))
    return client.at("up", NOON, threading.Event())


def why(*replies: Reply, **more: Any) -> str:
    """Why there is no number."""
    with HttpDouble(*replies) as double, pytest.raises(NoNumber) as error:
        asked(double, **more)
    return str(error.value).replace(double.url, "URL")


def test_one_number_at_a_time():
    """The query and the time go as a form; the answer is a number."""
    with HttpDouble(vector("0.93")) as double:
        assert asked(double) == 0.93
    [arrived] = double.arrived
    form = parse_qs(arrived.body.decode())
    assert (arrived.method, arrived.path) == ("POST", "/api/v1/query")
    assert form == {"query": ["up"], "time": ["1795262400.000"], "partial_response": ["false"]}


def test_a_scalar_is_a_number_too():
    """`scalar(up)` has no series."""
    with HttpDouble(good({"resultType": "scalar", "result": [1.0, "0.5"]})) as double:
        assert asked(double) == 0.5


def test_headers_and_token(tmp_path):
    """Mimir's tenant, and a token that is read anew for each call; ours wins over a written one."""
    token = tmp_path / "token"
    token.write_text("one\n")
    settings = Settings.model_validate(
        {"url": "http://x", "headers": {"X-Scope-OrgID": "ml", "authorization": "x"}, "tokenFile": str(token)}
    )
    with HttpDouble(vector("1")) as double:
        client = Prometheus(settings.model_copy(update={"url": f"{double.url}/prometheus/"}))
        client.at("up", NOON, threading.Event())
        token.write_text("two\n")
        client.at("up", NOON, threading.Event())
    first, second = double.arrived
    assert (first.path, first.headers["x-scope-orgid"]) == ("/prometheus/api/v1/query", "ml")
    assert [arrived.headers["authorization"] for arrived in (first, second)] == ["Bearer one", "Bearer two"]


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (vector(), "no data"),
        (vector("1", "2"), "2 series, want one: aggregate, or name more labels"),
        (vector("NaN"), "NaN is no number to go by"),
        (vector("+Inf"), "+Inf is no number to go by"),
        (vector("many"), "no JSON of Prometheus"),
        (vector(0.93), "no JSON of Prometheus"),
        (matrix("1"), "want one number, the query gives a matrix"),
        (good({"resultType": "string", "result": [1, "x"]}), "want one number, the query gives a string"),
        (good({"resultType": "vector", "result": [{"histogram": [1, {}]}]}), "a histogram, want a number"),
        (good({"resultType": "vector", "result": ["x"]}), "no JSON of Prometheus"),
        (good({"resultType": "vector", "result": {}}), "want one number, the query gives a vector"),
        (
            good({"resultType": "vector", "result": []}, isPartial=True),
            "URL answered 200: only a part of the data was at hand",
        ),
        (good([]), "URL answered 200: no JSON of Prometheus"),
        (Reply(200, b"<html>sign in</html>"), "URL answered 200: no JSON of Prometheus"),
        (Reply(200, b"\xff\xfe"), "URL answered 200: no JSON of Prometheus"),
        (Reply(200, b'{"status": "success"}'), "URL answered 200: no JSON of Prometheus"),
        (
            Reply(400, b'{"status":"error","errorType":"bad_data","error":"parse\\nerror"}'),
            "URL answered 400: parse error",
        ),
        (Reply(503, b"no healthy upstream"), "URL answered 503"),
        (Reply(401, b""), "URL answered 401"),
        (Reply(302, b"", {"Location": "http://elsewhere/"}), "URL answered 302: redirects are not followed"),
        (DROP, "URL: connection cut"),
        (HANG, "URL: no answer within 0.5 s"),
        (Reply(dribble=True), "URL: no answer within 0.5 s"),
        (
            Reply(200, b'{"status":"success","data":"' + b"x" * 200_000 + b'"}'),
            "URL answered 200: the answer is too long, or broke off; more than one series?",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_number(reply, reason):
    """Each says why in words."""
    assert why(reply) == reason


def test_what_is_no_question():
    """A query that Prometheus cannot read, or that gives no number by its form, is told from what may pass."""
    unread = Reply(400, b'{"status":"error","errorType":"bad_data","error":"parse error"}')
    for reply in (unread, matrix("1")):
        with HttpDouble(reply) as double, pytest.raises(NoQuestion):
            asked(double)
    for reply in (vector(), Reply(503, b""), Reply(400, b"proxy")):
        with HttpDouble(reply) as double, pytest.raises(NoNumber) as raised:
            asked(double)
        assert not isinstance(raised.value, NoQuestion)


def test_nobody_there():
    """A Prometheus that is away is no number."""
    with HttpDouble() as double:
        pass
    with pytest.raises(NoNumber, match="connection refused"):
        asked(double)


@pytest.mark.parametrize(("key", "name"), [("token_file", "tokenFile"), ("ca_file", "caFile")])
def test_a_file_that_is_not_there(tmp_path, key, name):
    """What cannot be read is said by the setting's name, and nothing is asked."""
    assert (
        why(vector("1"), **{key: tmp_path / "none"}) == f"prometheus.{name} cannot be read: No such file or directory"
    )
    (tmp_path / "bad").write_bytes(b"\xff")
    assert why(vector("1"), **{key: tmp_path / "bad"}).startswith(f"prometheus.{name} cannot be read: ")


def test_a_call_ends_when_it_is_told_to():
    """A stop waits for no query."""
    cancelled = threading.Event()
    with HttpDouble(HANG) as double:
        client = Prometheus(Settings(url=double.url, timeout=MINUTE))
        threading.Timer(0.2, cancelled.set).start()
        began = time.monotonic()
        with pytest.raises(NoNumber, match="cancelled"):
            client.at("up", NOON, cancelled)
    assert time.monotonic() - began < 5


def mean(*replies: Reply, hold: timedelta = 5 * MINUTE) -> tuple[float, HttpDouble]:
    """The mean until noon."""
    with HttpDouble(*replies) as double:
        client = Prometheus(Settings(url=double.url))
        return client.mean("up", NOON - hold, NOON, MINUTE, threading.Event()), double


def test_mean_over_a_span():
    """Points that are no numbers are left out, as Prometheus leaves out those without data."""
    number, double = mean(matrix("1", "2", "NaN", "+Inf", "6"))
    form = {key: value for key, [value] in parse_qs(double.arrived[0].body.decode()).items()}
    assert number == 3.0
    assert (form["start"], form["end"], form["step"]) == ("1795262100.000", "1795262400.000", "60.000")


def test_a_long_span_has_few_points():
    """A day of one series fits into an answer."""
    _, double = mean(matrix("1"), hold=timedelta(days=1))
    assert parse_qs(double.arrived[0].body.decode())["step"] == ["360.000"]


def test_no_span_is_a_moment():
    """`for: 0s` asks for the number at the end."""
    number, double = mean(vector("0.7"), hold=timedelta())
    assert (number, double.arrived[0].path) == (0.7, "/api/v1/query")


@pytest.mark.parametrize("reply", [matrix(), matrix("NaN"), good({"resultType": "matrix", "result": []}), vector("1")])
def test_no_mean(reply):
    """A span without a number has no mean."""
    with pytest.raises(NoNumber):
        mean(reply)


def test_certificates_are_those_of_the_file(tmp_path):
    """A `caFile` that holds no certificate trusts nothing."""
    (tmp_path / "ca.pem").write_text("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n")
    with pytest.raises(ssl.SSLError):
        ssl.create_default_context(cafile=tmp_path / "ca.pem")
    assert why(vector("1"), ca_file=tmp_path / "ca.pem").startswith("prometheus.caFile cannot be read: ")
