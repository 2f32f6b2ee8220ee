"""What a real API server does not do on demand: a double that answers by a script. These need no cluster."""

import json
import socket
import threading
import time

import pytest

from controller.errors import Conflict, PermanentError, TemporaryError
from controller.kube import WORKFLOW, AlreadyExists, Kube, NotFound, Refused
from controller.kube.nesting import read_cut
from controller.kube.refusal import Gone, refusal
from controller.kube.watching import Pace
from tests.integration.http_double import DROP, HANG, HttpDouble, Reply
from tests.integration.kube.conftest import Watcher, eventually

EMPTY = Reply(body=json.dumps({"items": [], "metadata": {"resourceVersion": "7"}}).encode())
ENDS = Reply(body=b"")


def connected(url, folder, counts=None):
    """A connection to what listens at `url`."""
    path = folder / "kubeconfig"
    cluster = {"name": "c", "cluster": {"server": url}}
    context = {"name": "x", "context": {"cluster": "c", "user": "u"}}
    user = {"name": "u", "user": {"token": "secret-token"}}
    path.write_text(json.dumps({"clusters": [cluster], "contexts": [context], "users": [user], "current-context": "x"}))
    return Kube.connect(path, counted=counts)


def status(code, reason, message="said", **details):
    """The body of an answer as the API writes it."""
    told = {"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message}
    return json.dumps(told | ({"details": details} if details else {})).encode()


NAMED = {"name": "one", "kind": "workflows"}


@pytest.mark.parametrize(
    ("code", "body", "error", "reason"),
    [
        (500, b"oops", TemporaryError, None),
        (503, status(503, "ServiceUnavailable"), TemporaryError, None),
        (504, status(504, "Timeout"), TemporaryError, None),
        (429, status(429, "TooManyRequests", retryAfterSeconds=3), TemporaryError, None),
        (408, b"", TemporaryError, None),
        (409, status(409, "AlreadyExists", **NAMED), AlreadyExists, None),
        (409, status(409, "Conflict", **NAMED), Conflict, None),
        (409, status(409, "Conflict", name="few", kind="resourcequotas"), TemporaryError, None),
        (409, b"not json", Conflict, None),
        (410, status(410, "Expired"), Gone, None),
        (404, status(404, "NotFound", **NAMED), NotFound, "not_found"),
        (404, status(404, "NotFound", name="ml", kind="namespaces"), Refused, "no_namespace"),
        (404, status(404, "NotFound"), Refused, "no_kind"),
        (404, b"404 page not found\n", Refused, "no_kind"),
        (403, status(403, "Forbidden"), Refused, "forbidden"),
        (403, status(403, "Forbidden", "exceeded quota: few"), Refused, "quota"),
        (403, status(403, "Forbidden", causes=[{"reason": "NamespaceTerminating"}]), Refused, "no_namespace"),
        (401, b"", Refused, "unauthorized"),
        (400, b"[]", Refused, "bad_request"),
        (405, b"", Refused, "other"),
        (415, status(415, "UnsupportedMediaType"), Refused, "other"),
        (422, status(422, "Invalid", causes="no list"), Refused, "invalid"),
        (302, b"<html>", Refused, "other"),
    ],
)
def test_every_answer_has_its_error(code, body, error, reason):
    """The status and what the API says with it decide between again, changed meanwhile, and never."""
    raised = refusal(code, {}, body, "create it")
    assert type(raised) is error
    assert getattr(raised, "reason", None) == reason
    assert isinstance(raised, PermanentError) == (reason is not None)
    assert str(raised).startswith("create it: ")


@pytest.mark.parametrize(
    ("headers", "body", "seconds"),
    [
        ({"Retry-After": "7"}, b"", 7.0),
        ({"Retry-After": "7"}, status(429, "TooManyRequests", retryAfterSeconds=3), 7.0),
        ({}, status(429, "TooManyRequests", retryAfterSeconds=3), 3.0),
        ({"Retry-After": "99999999999999"}, b"", 3600.0),
        ({"Retry-After": "Thu, 23 Jan 2025 12:00:00 GMT"}, b"", 1.0),
        ({"Retry-After": "-1"}, b"", 1.0),
    ],
)
def test_the_api_says_how_long_to_wait(headers, body, seconds):
    """`retry_after` is what the header or the body says, bounded, and a second where they say nothing intelligible."""
    assert refusal(429, headers, body, "get it").retry_after == seconds


def test_a_long_message_is_cut():
    """An answer of any length makes one short line."""
    raised = refusal(500, {}, b"x\n" * 100_000, "get it")
    assert len(str(raised)) < 600
    assert "\n" not in str(raised)


DEEP = b'{"a":' * 9_000 + b"1" + b"}" * 9_000


@pytest.mark.parametrize("body", [b"", b"null", b"[1]", b"<html>", b'{"cut":', DEEP])
def test_a_success_without_an_object_is_asked_again(tmp_path, body):
    """A 2xx whose body is no object gives no None: it is a temporary error, and one request."""
    with HttpDouble(Reply(status=201, body=body)) as double:
        kube = connected(double.url, tmp_path)
        with pytest.raises(TemporaryError, match="no object"):
            kube.create(WORKFLOW, "ml", {"metadata": {"name": "one"}})
        assert len(double.arrived) == 1


@pytest.mark.parametrize("reply", [DROP, Reply(status=503, headers={"Retry-After": "1"}), Reply(status=500)])
def test_nothing_is_repeated(tmp_path, counts, reply):
    """A connection that is cut, and a server that asks for patience, each see one request."""
    with HttpDouble(reply) as double:
        kube = connected(double.url, tmp_path, counts)
        for call in (
            lambda: kube.get(WORKFLOW, "ml", "one"),
            lambda: kube.apply(WORKFLOW, "ml", "one", {}),
            lambda: kube.patch(WORKFLOW, "ml", "one", {}, subresource="status"),
            lambda: kube.create(WORKFLOW, "ml", {"metadata": {"name": "one"}}),
        ):
            with pytest.raises(TemporaryError) as error:
                call()
            assert "secret-token" not in str(error.value)
        assert len(double.arrived) == sum(counts.values()) == 4


def test_a_call_ends_in_time(tmp_path, monkeypatch, counts):
    """A server that never answers costs the time of one answer, counted as none."""
    monkeypatch.setattr("controller.kube.connection.ANSWER", 0.5)
    with HttpDouble(HANG) as double:
        began = time.monotonic()
        with pytest.raises(TemporaryError, match=r"no answer: .*timed out"):
            connected(double.url, tmp_path, counts).get(WORKFLOW, "ml", "one")
        assert time.monotonic() - began < 3
        assert counts == {("get", "none"): 1}


def test_a_redirect_is_not_followed(tmp_path):
    """An answer that points elsewhere is refused: the token goes nowhere else."""
    with HttpDouble() as elsewhere, HttpDouble(Reply(status=307, headers={"Location": elsewhere.url})) as double:
        with pytest.raises(Refused):
            connected(double.url, tmp_path).get(WORKFLOW, "ml", "one")
        assert elsewhere.arrived == []


def test_a_page_that_expired_begins_anew(tmp_path):
    """Where the API no longer keeps the list's version, it is read once more from its beginning."""
    page = {"items": [{"metadata": {"name": "old"}}], "metadata": {"resourceVersion": "1", "continue": "more"}}
    whole = {"items": [{"metadata": {"name": "new"}}], "metadata": {"resourceVersion": "2"}}
    expired = Reply(status=410, body=status(410, "Expired"))
    with HttpDouble(Reply(body=json.dumps(page).encode()), expired, Reply(body=json.dumps(whole).encode())) as double:
        items, version = connected(double.url, tmp_path).list(WORKFLOW, "ml")
        assert ([item["metadata"]["name"] for item in items], version) == (["new"], "2")


@pytest.mark.parametrize("answer", [ENDS, DROP, Reply(body=b'{"type": "ADDED", "obj'), Reply(status=500)])
def test_watches_that_end_at_once_are_not_a_storm(tmp_path, counts, answer):
    """A server that ends every watch at once is asked ever more seldom."""
    with HttpDouble(EMPTY, answer) as double, Watcher(connected(double.url, tmp_path, counts), WORKFLOW, "ml"):
        time.sleep(4)
        assert 2 <= len(double.arrived) <= 12


def test_an_error_within_a_watch_lists_again(tmp_path):
    """An ERROR that the API sends as a change is told, and the whole state is read again."""
    error = json.dumps({"type": "ERROR", "object": json.loads(status(500, "InternalError", "etcd is away"))})
    with HttpDouble(EMPTY, Reply(body=error.encode() + b"\n"), EMPTY, ENDS) as double:
        with Watcher(connected(double.url, tmp_path), WORKFLOW, "ml") as watcher:
            eventually(lambda: watcher.syncs == 2)
            assert "etcd is away" in str(watcher.errors[0])
        assert "watch=true" in double.arrived[1].path
        assert "watch=true" not in double.arrived[2].path


def with_deep(name, version):
    """An object nested deeper than Python reads, as the API writes it."""
    return b'{"metadata": {"name": "%s", "resourceVersion": "%d"}, "spec": %s}' % (name.encode(), version, DEEP)


def test_an_object_nested_too_deeply_does_not_hide_the_others(tmp_path):
    """In a list and as a change it is shown, cut off far below what anybody reads; what comes after it is too."""
    whole = b'{"items": [%s, {"metadata": {"name": "b"}}], "metadata": {"resourceVersion": "7"}}' % with_deep("a", 1)
    later = json.dumps({"metadata": {"name": "d", "resourceVersion": "9"}}).encode()
    changes = [b'{"type": "ADDED", "object": %s}\n' % each for each in (with_deep("c", 8), later)]
    with HttpDouble(Reply(body=whole), Reply(body=b"".join(changes)), ENDS) as double:
        with Watcher(connected(double.url, tmp_path), WORKFLOW, "ml") as watcher:
            eventually(lambda: len(watcher.world) == 4)
            assert "resourceVersion=9" in double.wait_for(3)[2].path
        assert watcher.raised is None
        assert watcher.changes == [("ADDED", "c"), ("ADDED", "d")]


@pytest.mark.parametrize("text", ["[" * 5_000, '{"a":' * 5_000 + "]" * 5_000])
def test_deep_nonsense_is_no_json(text):
    """What is deep and no JSON besides raises as any other does."""
    with pytest.raises(ValueError, match=r"ends within|Expecting"):
        read_cut(text.encode())


def test_brackets_in_strings_do_not_count():
    """Only what is nested is cut: strings with brackets, quotes and backslashes around it stay as they are."""
    text = r'"]}\\\"[{"'
    found = read_cut(b'{"before": %s, "deep": %s, "after": %s}' % (text.encode(), DEEP, text.encode()))
    assert found["before"] == found["after"] == json.loads(text)


class Silent(threading.Thread):
    """An API server whose watches begin, and then say nothing and never end."""

    def __init__(self):
        super().__init__(daemon=True)
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listening.getsockname()[1]}"
        self.watches = []

    def run(self):
        while True:
            try:
                connection, _ = self.listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        while asked := connection.recv(65536):
            if b"watch=true" in asked:
                self.watches.append(connection)
                connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            else:
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(EMPTY.body), EMPTY.body))

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.listening.close()
        for connection in self.watches:
            connection.close()


def test_a_silent_watch_stops_within_a_second(tmp_path):
    """A watch on which nothing ever comes ends when it is told to."""
    with Silent() as silent, Watcher(connected(silent.url, tmp_path), WORKFLOW, "ml") as watcher:
        eventually(lambda: silent.watches)
        time.sleep(0.3)
        assert watcher.end() < 1.0


def test_a_watch_that_fell_silent_begins_anew(tmp_path, monkeypatch):
    """Where the server forgets to end a watch, we do: no change is waited for on a dead connection for ever."""
    monkeypatch.setattr("controller.kube.watching.LASTS", 1.0)
    monkeypatch.setattr("controller.kube.watching.GRACE", 0.5)
    with Silent() as silent, Watcher(connected(silent.url, tmp_path), WORKFLOW, "ml") as watcher:
        eventually(lambda: len(silent.watches) == 2)
        assert watcher.errors == []


def test_pauses_double_and_are_spread():
    """Pauses after failures double up to their limit, half of each by chance; a steady watch begins from the first."""
    pace = Pace()
    failed = TemporaryError("away", retry_after=0.0)
    assert [pace.after(0.0, failed, 1.0) for _ in range(8)] == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0]
    assert pace.after(0.0, failed, 0.0) == 5.0
    assert pace.after(300.0, None, 1.0) == 0.2
    assert pace.after(0.0, None, 1.0) == 0.2
    assert pace.after(0.0, None, 1.0) == 0.4
    assert pace.after(0.0, TemporaryError("busy", retry_after=7.0), 1.0) == 7.0
    assert pace.after(0.0, TemporaryError("busy", retry_after=3600.0), 1.0) == 60.0
    for _ in range(8):
        longest = pace.after(0.0, Refused("no", status=403, reason="forbidden"), 1.0)
    assert longest == 30.0


def test_installations_without_a_cluster_do_not_pay():
    """Importing the room does not import the `kubernetes` client."""
    import subprocess
    import sys

    code = "import sys, controller.kube; print(any(name.split('.')[0] == 'kubernetes' for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout.strip() == b"False"
