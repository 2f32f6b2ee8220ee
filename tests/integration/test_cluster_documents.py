"""Documents of a cluster into force and their status out again, with a stand-in for the API."""

import logging
import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest

from controller.app import documents as documents_module
from controller.app.cluster import UNREAD, WATCHED, ClusterDocuments
from controller.app.documents import Reloader
from controller.app.statuses import PATCHES, Statuses
from controller.errors import ConfigError, Conflict, TemporaryError
from controller.events.types import EventTypes
from controller.kube import MODEL, REMEDIATION_POLICY, NotFound, Refused
from controller.metrics import Metrics
from controller.policy import Installation, PolicySet, document_from_text
from controller.store.database import Database

INSTALLATION = Installation.of(EventTypes(), cluster=True, prometheus=True)


def policy(name: str = "look", when: str = "data.driftScore > 0.3", version: int = 1, **spec: Any) -> dict[str, Any]:
    trigger = {"type": "ml.data.drift.detected", "when": when}
    whole = {"models": {"names": ["*"]}, "triggers": [trigger], "steps": [{"name": "page", "page": {}}], **spec}
    metadata = {"name": name, "namespace": "ml", "resourceVersion": str(version), "generation": 1}
    return {"kind": "RemediationPolicy", "metadata": metadata, "spec": whole}


def until(true, seconds: float = 10.0):
    deadline = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.01)
    return found


class StandIn:
    """A cluster whose watches the test speaks for, and which notes what is patched."""

    def __init__(self) -> None:
        self.watches: dict[Any, Any] = {}
        self.patches: list[tuple[str, dict[str, Any], str]] = []
        self.answers: dict[str, Exception] = {}

    def watch(self, kind, namespace, *, on, synced, stop, failed):
        assert namespace is None
        self.watches[kind] = SimpleNamespace(on=on, synced=synced, failed=failed)
        stop.wait()

    def patch(self, kind, namespace, name, body, *, resource_version, subresource):
        assert (namespace, subresource) == ("ml", "status")
        if error := self.answers.get(name):
            raise error
        self.patches.append((name, body["status"], resource_version))

    def begun(self) -> bool:
        return set(self.watches) == set(WATCHED)

    def sync(self, *policies: dict[str, Any]) -> None:
        """All three kinds are read; the policies are these."""
        for kind in WATCHED:
            self.watches[kind].synced(list(policies) if kind is REMEDIATION_POLICY else [])

    def say(self, happened: str, found: dict[str, Any]) -> None:
        self.watches[REMEDIATION_POLICY].on(happened, found)


@pytest.fixture
def kube():
    return StandIn()


@pytest.fixture
def changes():
    return []


@pytest.fixture
def cluster(kube, changes):
    followed = ClusterDocuments(kube, lambda: changes.append(1))
    followed.start()
    until(kube.begun)
    yield followed
    followed.stop()


def names(cluster) -> list[str]:
    return sorted(name for _, _, name in cluster.entries())


def test_documents_are_known_once_every_kind_was_read(cluster, kube):
    """Policies without models are half a set: only when every kind was read is anything known."""
    for kind in WATCHED[1:]:
        kube.watches[kind].synced([])
        assert not cluster.known
    kube.watches[WATCHED[0]].synced([])
    assert cluster.wait(1)


def test_a_change_of_status_alone_is_no_change(cluster, kube, changes):
    """Our own patches, and others' annotations, do not have everything read again; another text does."""
    kube.sync(policy())
    changes.clear()
    entry = cluster.entries()["RemediationPolicy", "ml", "look"]
    touched = policy(version=2)
    touched["status"] = {"mode": "audit"}
    touched["metadata"]["annotations"] = {"a": "b"}
    kube.say("MODIFIED", touched)
    assert changes == []
    assert cluster.entries()["RemediationPolicy", "ml", "look"] is entry
    assert cluster.seen()["RemediationPolicy", "ml", "look"] == (touched, entry)
    kube.say("MODIFIED", policy(when="data.driftScore > 0.4", version=3))
    assert changes == [1]


def test_what_is_gone_is_gone(cluster, kube, changes):
    """Deleted before our eyes, or missed and not there at the next reading: both leave the set."""
    kube.sync(policy("a"), policy("b"), policy("c"))
    kube.say("DELETED", policy("a"))
    assert names(cluster) == ["b", "c"]
    changes.clear()
    kube.sync(policy("c"))
    assert names(cluster) == ["c"]
    assert changes


def test_an_api_server_that_is_away_changes_nothing(cluster, kube, changes, caplog):
    """A watch that fails leaves what was read, and is told once until it works again."""
    kube.sync(policy())
    changes.clear()
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            kube.watches[REMEDIATION_POLICY].failed(TemporaryError("list remediationpolicies: no answer"))
    assert names(cluster) == ["look"]
    assert changes == []
    assert cluster.trouble == "list remediationpolicies: no answer"
    assert len(caplog.records) == 1
    kube.say("MODIFIED", policy(version=2))
    assert cluster.trouble == ""


class Adopted(list):
    """The sets that were handed on."""

    def __call__(self, policies, refused) -> None:
        self.append((sorted(each.name for each in policies.policies), refused, policies))

    @property
    def last(self) -> list[str]:
        return self[-1][0]


@pytest.fixture
def adopted():
    return Adopted()


@pytest.fixture
def make_reloader(kube, adopted, tmp_path, monkeypatch):
    """Makes a reloader over the files of a folder and the stand-in; all end with the test."""
    monkeypatch.setattr(documents_module, "FIRST_READING", 0.05)
    made = []

    def make(before=()):
        reloader = Reloader((tmp_path,), INSTALLATION, 0.05, adopted, Metrics(version="1"), list(before))
        cluster = ClusterDocuments(kube, reloader.changed)
        reloader.watch(cluster)
        cluster.start()
        until(kube.begun)
        made.append((reloader, cluster))
        return reloader

    yield make
    for reloader, cluster in made:
        reloader.stop()
        cluster.stop()


def test_files_and_cluster_are_one_set(make_reloader, kube, adopted, tmp_path):
    """What stands in files and what stands in the cluster are in force together, from the start."""
    (tmp_path / "model.yaml").write_text("kind: Model\nmetadata: {name: salary, namespace: ml}\n")
    reloader = make_reloader()
    kube.sync(policy())
    reloader.first(insist=True)
    assert adopted.last == ["look"]
    assert list(adopted[-1][2].models) == [("ml", "salary")]
    assert reloader.waiting == ""


def test_a_burst_is_few_changes(make_reloader, kube, adopted):
    """A hundred objects within a moment are adopted once or a few times, and all of them are in force."""
    reloader = make_reloader()
    kube.sync()
    reloader.first(insist=True)
    reloader.start()
    began, pause = time.monotonic(), threading.Event()
    for number in range(100):
        kube.say("ADDED", policy(f"p-{number}"))
        pause.wait(0.003)
    took = time.monotonic() - began
    until(lambda: len(adopted.last) == 100)
    assert len(adopted) <= 3 + took / documents_module.SETTLE


def test_nothing_is_in_force_before_the_cluster_was_read(make_reloader, kube, adopted):
    """Where nothing ever was in force, the files alone are not put in force either: they are half of it."""
    reloader = make_reloader()
    reloader.first(insist=True)
    reloader.start()
    assert adopted == []
    assert "not known yet: no answer" in reloader.waiting
    kube.watches[MODEL].failed(Refused("list models: forbidden", status=403, reason="forbidden"))
    assert "list models: forbidden" in reloader.waiting
    kube.sync(policy())
    until(lambda: adopted)
    assert adopted.last == ["look"]
    assert reloader.waiting == ""


def test_a_bad_file_at_the_very_first_start_is_an_error(make_reloader, tmp_path):
    """A bad file raises as without a cluster, whether or not the cluster answers; a bad object never does."""
    (tmp_path / "bad.yaml").write_text("kind: Modell\nmetadata: {name: x}\n")
    with pytest.raises(ConfigError, match=r"bad\.yaml"):
        make_reloader().first(insist=True)


def test_a_bad_object_at_the_very_first_start_is_none(make_reloader, kube, adopted):
    """Nobody who writes to the cluster can keep the server from starting."""
    reloader = make_reloader()
    kube.sync(policy("good"), policy("bad", when="x >"))
    reloader.first(insist=True)
    assert adopted.last == ["good"]
    assert 'RemediationPolicy "ml/bad"' in adopted[-1][1][0]


def test_the_stored_set_serves_while_the_cluster_is_away(make_reloader, kube, adopted, caplog):
    """At a start without an answer what was in force stays, with a warning; the cluster's word then replaces it."""
    before = []
    for name in ("stays", "gone"):
        text = policy(name)
        text["metadata"] = {"name": name, "namespace": "ml"}
        before.append(document_from_text({"apiVersion": "modelmend.io/v1alpha1", **text}))
    reloader = make_reloader(before)
    with caplog.at_level(logging.WARNING):
        reloader.first(insist=False)
    assert adopted.last == ["gone", "stays"]
    assert str(UNREAD) in adopted[-1][1]
    assert "not known yet" in caplog.text
    reloader.start()
    kube.sync(policy("stays"))
    until(lambda: adopted.last == ["stays"])
    assert adopted[-1][1] == ()


def test_a_bad_change_keeps_the_text_before(make_reloader, kube, adopted, caplog):
    """A refused text leaves the one before in force; the refusal is logged once, not at every other change."""
    reloader = make_reloader()
    kube.sync(policy())
    reloader.first(insist=True)
    reloader.start()
    kube.say("MODIFIED", policy(when="x >", version=2))
    until(lambda: adopted[-1][1])
    assert "0.3" in str(adopted[-1][2].policies[0].text)
    kube.say("ADDED", policy("other"))
    until(lambda: adopted.last == ["look", "other"])
    assert caplog.text.count("refused: cluster") == 1


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"a": value}
    return value


@pytest.mark.parametrize("levels", [100, 500, 900])
def test_a_deeply_nested_object_costs_only_itself(make_reloader, kube, adopted, levels):
    """Nested beyond what readers could follow, an object is refused by name at a start and later; others come into force."""
    body = {"name": "ask", "request": {"url": "https://x.test/", "body": nested(levels)}, "verify": "none"}
    reloader = make_reloader()
    kube.sync(policy("good"), policy("deep", steps=[body]))
    reloader.first(insist=True)
    assert adopted.last == ["good"]
    (problem,) = adopted[-1][1]
    assert problem.startswith('cluster: RemediationPolicy "ml/deep": spec.steps[0].request.body.a.a')
    assert problem.endswith("want at most 32 levels of nesting in a document")
    reloader.start()
    kube.say("ADDED", policy("later"))
    until(lambda: adopted.last == ["good", "later"])


def test_an_object_that_cannot_be_read_does_not_end_the_watch(cluster, kube, caplog):
    """A fault of ours in reading one object is its problem, logged whole; the next change is taken."""
    kube.sync(policy("good"))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("controller.app.cluster.read_object", lambda *_: 1 // 0)
        kube.say("ADDED", policy("broken"))
    kube.say("ADDED", policy("next"))
    assert names(cluster) == ["broken", "good", "next"]
    (problem,) = cluster.entries()["RemediationPolicy", "ml", "broken"].problems
    assert "ZeroDivisionError" in str(problem)
    assert "Traceback" in caplog.text


def test_a_reload_that_fails_is_tried_again(make_reloader, kube, adopted, tmp_path, monkeypatch, caplog):
    """A change of the cluster or of a file is not lost with the reading that fails on it."""
    reloader = make_reloader()
    kube.sync()
    reloader.first(insist=True)
    failures = iter(range(2))
    accept = documents_module.accept

    def fail(*arguments):
        if next(failures, None) is not None:
            raise OSError("out of file handles")
        return accept(*arguments)

    monkeypatch.setattr(documents_module, "AGAIN", -3)
    monkeypatch.setattr(documents_module, "accept", fail)
    reloader.start()
    kube.say("ADDED", policy())
    until(lambda: adopted.last == ["look"])
    assert caplog.text.count("policies could not be reloaded") == 2
    failures = iter(range(1))  # a new one for `fail`
    (tmp_path / "model.yaml").write_text("kind: Model\nmetadata: {name: salary, namespace: ml}\n")
    until(lambda: list(adopted[-1][2].models) == [("ml", "salary")])


# ── statuses ────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def told(make_reloader, kube, adopted, sqlite_url):
    """Reads these policies, puts them in force, and gives what writes their statuses."""
    opened = []

    def start(*policies, in_force=None):
        reloader = make_reloader()
        kube.sync(*policies)
        reloader.first(insist=True)
        database = Database(sqlite_url)
        opened.append(database)
        decides = in_force or (lambda: adopted[-1][2])
        return Statuses(kube, reloader._cluster, database, lambda: reloader.latest, decides)

    yield start
    for database in opened:
        database.close()


def conditions(kube) -> dict[str, str]:
    return {name: status["conditions"][0]["status"] for name, status, _ in kube.patches}


def test_every_document_is_told_once(told, kube):
    """One patch for each document, for the object as it was seen; none while the watch has not shown it."""
    statuses = told(policy("good"), policy("bad", when="x >", version=7))
    statuses.look()
    assert conditions(kube) == {"good": "True", "bad": "False"}
    assert {name: version for name, _, version in kube.patches} == {"good": "1", "bad": "7"}
    statuses.look()
    assert len(kube.patches) == 2


def test_nothing_is_written_that_is_said_already(told, kube):
    """Shown by the watch as it was written, a status is written no more; changed by somebody else, it is."""
    statuses = told(policy())
    statuses.look()
    shown = policy(version=2)
    shown["status"] = kube.patches[0][1]
    kube.say("MODIFIED", shown)
    statuses.look()
    assert len(kube.patches) == 1
    meddled = policy(version=3)
    meddled["status"] = shown["status"] | {"mode": "enforce"}
    kube.say("MODIFIED", meddled)
    statuses.look()
    assert kube.patches[1][1] == {"mode": "audit"}


def test_patches_are_few_at_a_time_and_acceptance_goes_first(told, kube):
    """A look writes a bounded number; where a condition is new it goes before anything else, and all get their turn."""
    said = {"type": "Accepted", "status": "True", "reason": "Accepted", "message": "in force", "observedGeneration": 1}
    others = []
    for number in range(20):
        other = policy(f"other-{number}")
        condition = said | {"lastTransitionTime": "2025-01-01T00:00:00Z"}
        other["status"] = {"conditions": [condition], "observedGeneration": 1, "mode": "wrong"}
        others.append(other)
    statuses = told(*others, policy("new"))
    statuses.look()
    assert len(kube.patches) == PATCHES
    assert kube.patches[0][0] == "new"
    for _ in range(4):
        statuses.look()
    assert len({name for name, _, _ in kube.patches}) == 21


def test_what_is_not_in_force_yet_is_not_told(told, kube):
    """Between reading and deciding by it, and where this process does not decide, no status is written."""
    sets = [PolicySet(), None]
    statuses = told(policy(), in_force=lambda: sets[0])
    statuses.look()
    sets.pop(0)
    statuses.look()
    assert kube.patches == []


def test_a_text_that_was_not_read_yet_is_not_judged(told, kube):
    """An object that changed after the last reading is left alone until it was read."""
    statuses = told(policy())
    kube.say("MODIFIED", policy(when="data.driftScore > 0.9", version=2))
    statuses.look()
    assert kube.patches == []


class Meddled:
    """A lock that lets somebody in the moment it is given up for the first time."""

    def __init__(self, lock, meddle) -> None:
        self._lock, self._meddle = lock, meddle

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()
        meddle, self._meddle = self._meddle, lambda: None
        meddle()


def test_an_object_that_goes_during_a_look_hinders_no_other(told, kube):
    """One that came after the last reading and is deleted while statuses are compared: the others are told."""
    statuses = told(policy())
    kube.say("ADDED", policy("short"))
    cluster = statuses._cluster
    cluster._lock = Meddled(cluster._lock, lambda: kube.say("DELETED", policy("short")))
    statuses.look()
    assert conditions(kube) == {"look": "True"}


def test_a_forbidden_patch_is_said_once_and_tried_ever_later(told, kube, caplog):
    """One line in the log for each document, however often it is refused, and the next attempt is put off."""
    kube.answers = {"look": Refused("patch: forbidden", status=403, reason="forbidden")}
    statuses = told(policy(), policy("fine"))
    for _ in range(20):
        statuses.look()
    assert caplog.text.count("cannot be written") == 1
    (delay,) = [each for key, each in statuses._delays.items() if key[2] == "look"]
    assert delay.failures == 1
    assert [name for name, _, _ in kube.patches] == ["fine"]
    statuses._delays["RemediationPolicy", "ml", "look"].until = 0.0
    statuses.look()
    assert (delay.failures, caplog.text.count("cannot be written")) == (2, 1)


@pytest.mark.parametrize("error", [Conflict("changed"), NotFound("gone")])
def test_an_object_that_changed_meanwhile_is_compared_again(told, kube, error, caplog):
    """A conflict, and an object just deleted, are nobody's fault: nothing is logged, and it is tried again soon."""
    kube.answers = {"look": error}
    statuses = told(policy())
    statuses.look()
    assert "cannot be written" not in caplog.text
    kube.answers = {}
    statuses._delays["RemediationPolicy", "ml", "look"].until = 0.0
    statuses.look()
    assert len(kube.patches) == 1


def test_an_api_server_that_is_away_is_said_once(told, kube, caplog):
    """While nothing can be written the thread rests as long as it is asked to, and says so once."""
    kube.answers = {"look": TemporaryError("no answer", retry_after=0.05)}
    statuses = told(policy())
    tried = threading.Event()
    look = statuses.look

    def counted() -> None:
        tried.set()
        look()

    statuses.look = counted
    statuses.start()
    for _ in range(2):
        assert tried.wait(10)
        tried.clear()
    kube.answers = {}
    until(lambda: kube.patches)
    statuses.stop()
    assert caplog.text.count("statuses are not up to date: no answer") == 1
