"""Following objects in the cluster: how they stand, as watches tell it, until the engine has used it.

One watch for each kind and namespace that an action of ours goes by. What comes is kept by
name, the newest only; the engine looks up which intent it is about. Nothing is concluded
here: a watch may lag or begin anew, the store says what is awaited.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from typing import Any

from controller.actions import Ref
from controller.errors import ModelmendError
from controller.kube import KINDS, Kube
from controller.remediation import Intent

log = logging.getLogger(__name__)

OURS = "modelmend.io/remediation"
"""The label of what we create; of other objects (a Rollout) all of the namespace are followed."""
STOPS = 2.0
"""Seconds that all watches together are given to end."""
AGAIN = 5.0
"""Seconds after which a watch that broke by a fault of our own is begun anew."""
_CREATED = frozenset({"Workflow", "Job"})

Place = tuple[str, str]
"""Kind and namespace."""
Name = tuple[str, str, str]
"""Kind, namespace and name."""


@dataclass(frozen=True, slots=True)
class News:
    """What came since the last look: objects by name (None: deleted), and places that were read whole."""

    objects: dict[Name, dict[str, Any] | None]
    whole: dict[Place, int]  # which reading of it, counted from 1

    def __bool__(self) -> bool:
        return bool(self.objects or self.whole)


def created_kind(intent: Intent) -> str | None:
    """What kind of object an action creates, if any: a rollout only where Git sets the version."""
    if intent.action == "rollout":
        return "Workflow" if isinstance(intent.end_state.get("gitops"), dict) else None
    return {"workflow": "Workflow", "job": "Job"}.get(intent.action)


def created_ref(intent: Intent, objects: Collection[Name]) -> Ref | None:
    """The object under an intent's key, whose creation is not recorded yet; its owner is not checked by its uid."""
    for kind, namespace, name in objects:
        if kind in _CREATED and name == intent.key:
            return {"kind": kind, "namespace": namespace, "name": name, "uid": ""}
    return None


class Following:
    """Watches in threads of their own; `on_news` tells the engine to look at `news`."""

    def __init__(self, kube: Kube | None, on_news: Callable[[], None]) -> None:
        self._kube = kube
        self._on_news = on_news
        self._lock = threading.Lock()
        self._threads: dict[Place, threading.Thread] = {}
        self._objects: dict[Name, dict[str, Any] | None] = {}
        self._whole: dict[Place, int] = {}
        self._ailing: set[Place] = set()
        self._readings = 0
        self._stop = threading.Event()
        self.looked = 0.0  # of the monotonic clock: when what cannot be watched was asked for last

    def follow(self, kind: str, namespace: str) -> bool:
        """Watch the objects of this kind there from now on; False: it is done already, or there is no cluster."""
        place = (kind, namespace)
        if self._kube is None or place in self._threads or self._stop.is_set():
            return False
        run = partial(self._run, self._kube, place)
        thread = threading.Thread(target=run, name=f"watch {kind} {namespace}", daemon=True)
        self._threads[place] = thread
        thread.start()
        return True

    def ask_for(self, names: Collection[Name]) -> None:
        """Have these objects among the news, as they are now: a watch shows only what changes from now on."""
        if self._kube is not None and names:
            run = partial(self._ask_for, self._kube, tuple(names))
            threading.Thread(target=run, name="look at serving objects", daemon=True).start()

    def _ask_for(self, kube: Kube, names: Collection[Name]) -> None:
        for kind, namespace, name in names:
            try:
                found = kube.get(KINDS[kind], namespace, name)
            except ModelmendError as error:
                log.warning("%s %s/%s cannot be read: %s", kind, namespace, name, error)
                continue
            with self._lock:
                self._objects.setdefault((kind, namespace, name), found)  # what a watch has shown since is newer
        self._on_news()

    def news(self) -> News:
        """What is not used yet."""
        with self._lock:
            return News(dict(self._objects), dict(self._whole))

    def ailing(self) -> frozenset[Place]:
        """Where watching fails now."""
        with self._lock:
            return frozenset(self._ailing)

    def used(self, news: News) -> None:
        """The engine has used this; what came meanwhile stays."""
        with self._lock:
            for name, found in news.objects.items():
                if self._objects.get(name) is found:
                    self._objects.pop(name, None)
            for place, reading in news.whole.items():
                if self._whole.get(place) == reading:
                    del self._whole[place]

    def stop(self) -> None:
        """Watch no more; threads that an API server keeps waiting end with the process."""
        self._stop.set()
        until = time.monotonic() + STOPS
        for thread in self._threads.values():
            thread.join(max(until - time.monotonic(), 0.0))

    def _run(self, kube: Kube, place: Place) -> None:
        kind, namespace = place
        while not self._stop.is_set():
            try:
                kube.watch(
                    KINDS[kind],
                    namespace,
                    labels=OURS if kind in _CREATED else "",
                    on=partial(self._changed, place),
                    synced=partial(self._synced, place),
                    failed=partial(self._failed, place),
                    stop=self._stop,
                )
            except Exception:
                log.exception("following %s in %s broke off", kind, namespace)
            self._stop.wait(AGAIN)

    def _changed(self, place: Place, change: str, found: dict[str, Any]) -> None:
        with self._lock:
            self._objects[*place, found["metadata"]["name"]] = None if change == "DELETED" else found
        self._on_news()

    def _synced(self, place: Place, found: Collection[dict[str, Any]]) -> None:
        with self._lock:
            for each in found:
                self._objects[*place, each["metadata"]["name"]] = each
            self._readings += 1
            self._whole[place] = self._readings
            well_again = place in self._ailing
            self._ailing.discard(place)
        if well_again:
            log.info("%s in %s are followed again", *place)
        self._on_news()

    def _failed(self, place: Place, error: ModelmendError) -> None:
        with self._lock:
            known = place in self._ailing
            self._ailing.add(place)
        if not known:  # once an outage, not once an attempt
            log.warning("%s in %s cannot be followed, tried again until it works: %s", *place, error)
