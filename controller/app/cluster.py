"""The documents that a cluster holds, followed as they change: a thread for each kind.

What was read stays while the API server is away; only an object that is seen to be deleted is
gone. `known` says whether everything was read once.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from controller.errors import ModelmendError
from controller.kube import DEFAULTS, FREEZE, MODEL, REMEDIATION_POLICY, Kind, Kube
from controller.policy import CLUSTER, Document, Problem, read_object

log = logging.getLogger(__name__)

Key = tuple[str, str, str]
"""Kind, namespace, name, as `Document.key`."""
Object = dict[str, Any]

WATCHED = (DEFAULTS, FREEZE, MODEL, REMEDIATION_POLICY)
AGAIN = 5.0
"""Seconds after which a watch that broke by a fault of our own is begun anew."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What an object says; the same entry as long as it says the same, whatever happens to its status."""

    document: Document | None
    problems: tuple[Problem, ...]


class ClusterDocuments:
    """Policies, models, defaults and freezes of all namespaces.

    `changed` is called, by any thread, when one of them says something else than before.
    """

    def __init__(self, kube: Kube, changed: Callable[[], None]) -> None:
        self._kube = kube
        self._changed = changed
        self._lock = threading.Lock()
        self._objects: dict[Key, Object] = {}
        self._entries: dict[Key, Entry] = {}
        self._troubles: dict[Kind, str] = {}
        self._unread = set(WATCHED)
        self._read = threading.Event()
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._follow, args=(kind,), name=f"watch-{kind.plural}", daemon=True)
            for kind in WATCHED
        ]

    def start(self) -> None:
        """Begin to follow."""
        for thread in self._threads:
            thread.start()

    def call_off(self) -> None:
        """Begin nothing more; returns at once."""
        self._stop.set()

    def stop(self, within: float = 2.0) -> None:
        """Follow no more. Threads that wait longer than `within` seconds for an answer end with the process."""
        self.call_off()
        deadline = time.monotonic() + within
        for thread in self._threads:
            if thread.is_alive():
                thread.join(max(deadline - time.monotonic(), 0.0))

    def wait(self, seconds: float) -> bool:
        """Wait until everything was read once, `seconds` at most; whether it was."""
        return self._read.wait(seconds)

    @property
    def known(self) -> bool:
        """Whether everything was read once."""
        return self._read.is_set()

    @property
    def trouble(self) -> str:
        """Why not, or '' while nothing has failed yet."""
        with self._lock:
            return next((self._troubles[kind] for kind in WATCHED if kind in self._troubles), "")

    def entries(self) -> dict[Key, Entry]:
        """What every object says now."""
        with self._lock:
            return dict(self._entries)

    def seen(self) -> dict[Key, tuple[Object, Entry]]:
        """The objects as last seen, status included, each with what it says; not to be changed."""
        with self._lock:
            return {key: (found, self._entries[key]) for key, found in self._objects.items()}

    def _follow(self, kind: Kind) -> None:
        while not self._stop.is_set():
            try:
                self._kube.watch(
                    kind,
                    None,
                    on=lambda happened, found: self._see(kind, happened, found),
                    synced=lambda found: self._see_all(kind, found),
                    stop=self._stop,
                    failed=lambda error: self._note(kind, error),
                )
            except Exception:
                log.exception("watching %s broke off", kind.resource)
                self._stop.wait(AGAIN)

    def _note(self, kind: Kind, error: ModelmendError) -> None:
        with self._lock:
            again = self._troubles.get(kind) == str(error)
            self._troubles[kind] = str(error)
        log.log(logging.DEBUG if again else logging.WARNING, "documents in the cluster: %s", error)

    def _see(self, kind: Kind, happened: str, found: Object) -> None:
        key = _key(kind, found)
        with self._lock:
            self._troubles.pop(kind, None)
            changed = self._forget(key) if happened == "DELETED" else self._put(key, found)
        if changed:
            self._changed()

    def _see_all(self, kind: Kind, found: list[Object]) -> None:
        objects = {_key(kind, each): each for each in found}
        with self._lock:
            self._troubles.pop(kind, None)
            gone = [key for key in self._objects if key[0] == kind.name and key not in objects]
            changed = [self._forget(key) for key in gone] + [self._put(key, each) for key, each in objects.items()]
            first = kind in self._unread
            self._unread.discard(kind)
            if not self._unread:
                self._read.set()
        if any(changed) or first:
            self._changed()

    def _put(self, key: Key, found: Object) -> bool:
        """Take an object as it is now; whether it says something else."""
        entry, before = _entry(key, found), self._entries.get(key)
        self._objects[key] = found
        if entry == before:
            return False
        self._entries[key] = entry
        return True

    def _forget(self, key: Key) -> bool:
        self._objects.pop(key, None)
        return self._entries.pop(key, None) is not None


def _entry(key: Key, found: Object) -> Entry:
    try:
        document, problems = read_object(key[0], found)
    except Exception as error:  # one object must not end the watch of its kind
        log.exception("%s %s/%s cannot be read", *key)
        return Entry(None, (Problem(CLUSTER, key, f"cannot be read: {error!r}"),))
    return Entry(document, tuple(problems))


def _key(kind: Kind, found: Object) -> Key:
    return kind.name, found["metadata"]["namespace"], found["metadata"]["name"]


UNREAD = Problem(CLUSTER, None, "its documents could not be read yet: those of the store stay in force")
"""What stands for the documents of a cluster that never answered: all that may have come from it stays."""
