"""Watches, against a real API server."""

import contextlib
import threading
import time

import pytest

from controller.errors import TemporaryError
from controller.kube import ROLLOUT, WORKFLOW, AlreadyExists, Kind, Kube, Refused
from controller.kube.connection import Connection
from controller.kube.refusal import Gone
from tests.integration.kube.conftest import Watcher, allowed, eventually

pytestmark = pytest.mark.cluster


def create(kube, namespace, name, **labels):
    return kube.create(WORKFLOW, namespace, {"metadata": {"name": name, "labels": labels}})


def test_changes_come_in_order(kube, namespace):
    """What is there comes with the first sync, then each change in order."""
    create(kube, namespace, "before")
    with Watcher(kube, WORKFLOW, namespace) as watcher:
        eventually(lambda: watcher.syncs)
        assert set(watcher.world) == {"before"}
        create(kube, namespace, "one")
        kube.patch(WORKFLOW, namespace, "one", {"spec": {"n": 1}})
        kube.delete(WORKFLOW, namespace, "before")
        eventually(lambda: set(watcher.world) == {"one"})
        assert watcher.changes == [("ADDED", "one"), ("MODIFIED", "one"), ("DELETED", "before")]
        assert watcher.world["one"]["spec"] == {"n": 1}
        assert watcher.syncs == 1


def test_labels_choose(kube, namespace):
    """Only objects with the labels are followed; one that loses them is told as deleted."""
    with Watcher(kube, WORKFLOW, namespace, labels={"mine": "yes"}) as watcher:
        eventually(lambda: watcher.syncs)
        create(kube, namespace, "theirs", mine="no")
        create(kube, namespace, "ours", mine="yes")
        eventually(lambda: watcher.world)
        kube.patch(WORKFLOW, namespace, "ours", {"metadata": {"labels": {"mine": None}}})
        eventually(lambda: not watcher.world)
        assert watcher.changes == [("ADDED", "ours"), ("DELETED", "ours")]


def test_all_namespaces(kube, namespace):
    """Without a namespace, the whole cluster is followed."""
    with Watcher(kube, WORKFLOW, None) as watcher:
        eventually(lambda: watcher.syncs)
        create(kube, namespace, f"in-{namespace}")
        eventually(lambda: f"in-{namespace}" in watcher.world)


def test_nothing_is_missed_between_list_and_watch(kube, namespace, monkeypatch):
    """Objects made after the list and before the watch come as changes."""
    listed = kube.list

    def slow(*arguments, **more):
        found = listed(*arguments, **more)
        create(kube, namespace, "between")
        kube.delete(WORKFLOW, namespace, "short")
        return found

    create(kube, namespace, "short")
    monkeypatch.setattr(kube, "list", slow)
    with Watcher(kube, WORKFLOW, namespace) as watcher:
        eventually(lambda: set(watcher.world) == {"between"})
        assert watcher.changes == [("ADDED", "between"), ("DELETED", "short")]


def test_an_idle_watch_stops_within_a_second(kube, namespace):
    """Waiting for a change that does not come, a watch ends within a second of being told."""
    with Watcher(kube, WORKFLOW, namespace) as watcher:
        eventually(lambda: watcher.syncs)
        time.sleep(0.5)
        assert watcher.end() < 1.0


def test_stopping_gives_the_connection_back(kube, namespace, counts):
    """After many watches were stopped, calls work as before, and no thread is left."""
    before = threading.active_count()
    for _ in range(5):
        with Watcher(kube, WORKFLOW, namespace) as watcher:
            eventually(lambda watcher=watcher: watcher.syncs)
            watcher.end()
    assert kube.get(WORKFLOW, namespace, "one") is None
    assert threading.active_count() == before
    assert counts[("watch", "200")] <= 5


def test_an_old_version_lists_again(kube, namespace, monkeypatch, server):
    """Where the place in the history is no longer kept (410), the objects are listed again, with a pause."""
    server.compact()
    listed, calls = kube.list, []

    def first_old(*arguments, **more):
        items, version = listed(*arguments, **more)
        calls.append(version)
        return ([], "1") if len(calls) == 1 else (items, version)

    create(kube, namespace, "one")
    monkeypatch.setattr(kube, "list", first_old)
    with Watcher(kube, WORKFLOW, namespace) as watcher:
        eventually(lambda: set(watcher.world) == {"one"})
        assert [type(error) for error in watcher.errors] == [Gone]
        assert watcher.syncs == 2
        create(kube, namespace, "two")
        eventually(lambda: "two" in watcher.world)


def test_a_watch_that_ended_is_taken_up_where_it_was(kube, namespace, monkeypatch, counts):
    """The API ends each watch after its time: the next goes on from there, without listing, and misses nothing."""
    monkeypatch.setattr("controller.kube.watching.LASTS", 1.0)
    with Watcher(kube, WORKFLOW, namespace) as watcher:
        names = [f"w-{number}" for number in range(30)]
        for name in names:
            create(kube, namespace, name)
            time.sleep(0.1)
        eventually(lambda: set(watcher.world) == set(names))
        assert counts.of("watch") >= 3
        seen = [name for happened, name in watcher.changes if happened == "ADDED"]
        assert len(seen) == len(set(seen))
        assert counts.of("list") == 1
        assert watcher.errors == []


def test_the_whole_state_is_read_again_now_and_then(kube, namespace):
    """Every `resync` seconds the whole state comes anew."""
    create(kube, namespace, "one")
    with Watcher(kube, WORKFLOW, namespace, resync=1.0) as watcher:
        eventually(lambda: watcher.syncs >= 3)
        assert set(watcher.world) == {"one"}
        assert watcher.errors == []


def test_a_watch_of_an_unknown_type_waits(kube, namespace, counts):
    """A type that the cluster does not have is told, and asked for again less and less often."""
    unknown = Kind("argoproj.io", "v1alpha1", "workflowz", namespaced=True, name="Workflowz")
    with Watcher(kube, unknown, namespace) as watcher:
        time.sleep(4)
        assert 1 <= counts.of("list") <= 7
        assert {error.reason for error in watcher.errors} == {"no_kind"}
        assert watcher.end() < 1.0


def test_an_error_of_the_callers_ends_the_watch(kube, namespace):
    """What a callback raises is not taken for the API's: it ends the watch and comes out."""
    watcher = Watcher(kube, WORKFLOW, namespace)
    watcher._on = lambda happened, item: 1 / 0

    def run():
        with contextlib.suppress(ZeroDivisionError):
            kube.watch(WORKFLOW, namespace, on=watcher._on, synced=watcher._synced, stop=watcher.stop)
            raise AssertionError

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    eventually(lambda: watcher.syncs)
    create(kube, namespace, "one")
    thread.join(10)
    assert not thread.is_alive()


@pytest.mark.slow
def test_the_server_is_away_and_comes_back(server, kube, namespace, counts):
    """The API server is killed for a while: calls fail as temporary, watches see all that changed, few requests."""
    create(kube, namespace, "kept")
    other = Kube.connect(server.kubeconfig)
    with Watcher(kube, WORKFLOW, namespace) as watcher, Watcher(kube, ROLLOUT, namespace) as rollouts:
        eventually(lambda: watcher.syncs and rollouts.syncs)
        create(kube, namespace, "one")
        eventually(lambda: "one" in watcher.world)
        before = counts.of("list") + counts.of("watch")
        server.kill()
        try:
            for _ in range(3):
                with pytest.raises(TemporaryError, match=r"no answer: .*refused"):
                    other.get(WORKFLOW, namespace, "one")
            time.sleep(10)
        finally:
            server.start()
        attempts = counts.of("list") + counts.of("watch") - before
        assert attempts <= 2 * 20
        other.delete(WORKFLOW, namespace, "one")
        create(other, namespace, "two")
        eventually(lambda: set(watcher.world) == {"kept", "two"}, 30)
        eventually(lambda: rollouts.syncs >= 2, 30)
    other.close()


@pytest.mark.slow
def test_a_starting_server_gives_no_final_answer(server, kube, limited, namespace):
    """While the API server starts, nobody is told that a type or a right is missing; a true refusal stays one."""
    create(kube, namespace, "kept")
    eventually(lambda: allowed(limited, namespace))
    for _ in range(3):
        found = []
        server.kill()
        server.launch()
        deadline = time.monotonic() + 90
        with Watcher(limited, WORKFLOW, namespace) as watcher:
            while time.monotonic() < deadline and len(found) < 50:
                for each in (kube, limited):
                    with contextlib.suppress(TemporaryError):
                        found.append(each.get(WORKFLOW, namespace, "kept")["metadata"]["name"])
                with contextlib.suppress(TemporaryError), pytest.raises(AlreadyExists):
                    kube.create(WORKFLOW, namespace, {"metadata": {"name": "kept"}})
            server._until_ready()
            assert set(found) == {"kept"}
            eventually(lambda watcher=watcher: set(watcher.world) == {"kept"}, 15)
            with pytest.raises(Refused):
                limited.get(ROLLOUT, namespace, "kept")


def test_the_connection_is_what_the_client_opens(kube):
    """The connection is opened by the `kubernetes` client's own loader, with its repeating switched off."""
    assert isinstance(kube._connection, Connection)
    assert kube._connection._api.configuration.retries is False
