"""The calls that modelmend makes to the Kubernetes API; each bounded in time, never repeated behind one's back.

Objects are the API's own JSON as dicts. What each call may raise:

- TemporaryError: no answer, 408, 429, 5xx, a race for a quota (`retry_after` as the API says)
- Conflict: the object changed since the resourceVersion given; AlreadyExists: the name is taken
- Refused: trying again cannot help, with a one-word `reason`; NotFound: the object is missing

A write whose answer got lost raises TemporaryError and may have happened: names and
resourceVersions, not memory, keep a repeated call from having a second effect.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import Any

from controller.errors import Conflict, ModelmendError, TemporaryError
from controller.kube.connection import Answer, Connection, connect
from controller.kube.kind import Kind, checked
from controller.kube.nesting import read_cut
from controller.kube.refusal import SOON, Gone, NotFound, Refused, refusal
from controller.kube.watching import RESYNC, Following, labelled

Object = dict[str, Any]
Objects = list[Object]

MANAGER = "modelmend"
"""The field manager of all that we write."""

_PAGE = "250"
_MERGE = "application/merge-patch+json"
_APPLY = "application/apply-patch+yaml"


class Kube:
    """One cluster's API; safe to use from many threads."""

    def __init__(self, connection: Connection) -> None:
        """Over an open connection: see `connect`."""
        self._connection = connection

    @classmethod
    def connect(
        cls,
        kubeconfig: Path | None = None,
        context: str | None = None,
        *,
        counted: Callable[[str, str], None] | None = None,
        environ: Mapping[str, str] = os.environ,
    ) -> Kube:
        """Find the cluster: `kubeconfig`, else $KUBECONFIG, else the pod that we run in, else ~/.kube/config.

        `counted(verb, code)` is called once for every request; code: the HTTP status, or "none"
        for no answer. Nothing is sent yet. Raises ConfigError where none of them works.
        """
        return cls(connect(kubeconfig, context, environ, counted))

    @property
    def namespace(self) -> str | None:
        """The namespace that we run in, or that the kubeconfig's context names."""
        return self._connection.namespace

    def close(self) -> None:
        """Close idle connections."""
        self._connection.close()

    def version(self) -> str:
        """The API server's version, `v1.37.1`: also the cheapest question whether it answers."""
        return str(self._ask("get", "version", "GET", "/version").get("gitVersion", ""))

    def get(self, kind: Kind, namespace: str | None, name: str) -> Object | None:
        """One object; None where it, or its namespace, is missing."""
        try:
            return self._ask("get", _called(kind, namespace, name), "GET", kind.object(namespace, name))
        except NotFound:
            return None

    def list(self, kind: Kind, namespace: str | None, labels: Mapping[str, str] | str = "") -> tuple[Objects, str]:
        """All objects of a namespace (None: of the cluster), and the resourceVersion that they had together."""
        query = {"limit": _PAGE} | labelled(labels)
        try:
            return self._pages(kind, namespace, query)
        except Gone:  # reading took longer than the API keeps old versions
            return self._pages(kind, namespace, query)

    def create(self, kind: Kind, namespace: str | None, body: Object) -> Object:
        """Create the object under the name in its metadata. Raises AlreadyExists."""
        body = _complete(kind, namespace, body)
        name = checked(body["metadata"].get("name"), f"name of {kind.resource}")
        asked = _called(kind, namespace, name)
        return self._ask("create", asked, "POST", kind.collection(namespace), {"fieldManager": MANAGER}, body)

    def patch(
        self,
        kind: Kind,
        namespace: str | None,
        name: str,
        body: Object,
        *,
        resource_version: str | None = None,
        subresource: str | None = None,
    ) -> Object:
        """Change the object by a merge patch; lists are replaced whole.

        With `resource_version` only if the object still has it: raises Conflict. `subresource`
        "status" falls back to the object itself where its CRD has no such subresource.
        """
        patch = {**body}
        if resource_version:
            patch["metadata"] = {**patch.get("metadata", {}), "resourceVersion": resource_version}
        return self._change(kind, namespace, name, patch, _MERGE, {}, subresource)

    def apply(
        self,
        kind: Kind,
        namespace: str | None,
        name: str,
        body: Object,
        *,
        subresource: str | None = None,
        force: bool = True,
    ) -> Object:
        """Server-side apply: these fields are ours and have these values; created if missing.

        Without `force`, Conflict where another manager owns one with another value.
        """
        body = _complete(kind, namespace, body)
        body["metadata"]["name"] = name
        query = {"force": "true" if force else "false"}
        return self._change(kind, namespace, name, body, _APPLY, query, subresource)

    def delete(self, kind: Kind, namespace: str | None, name: str, *, uid: str | None = None) -> bool:
        """Delete the object, and what it owns after it; False where it, or the one with this `uid`, is not there."""
        options: Object = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
        if uid:
            options["preconditions"] = {"uid": uid}
        try:
            self._ask("delete", _called(kind, namespace, name), "DELETE", kind.object(namespace, name), {}, options)
        except NotFound:
            return False
        except Conflict:
            if uid:
                return False
            raise
        return True

    def watch(
        self,
        kind: Kind,
        namespace: str | None,
        *,
        labels: Mapping[str, str] | str = "",
        on: Callable[[str, Object], None],
        synced: Callable[[Objects], None],
        stop: threading.Event,
        failed: Callable[[ModelmendError], None] | None = None,
        resync: float = RESYNC,
    ) -> None:
        """Follow all objects of a namespace (None: of the cluster) until `stop`, which ends it within a second.

        (Where the API server just then leaves a request unanswered: within that call's own time.)
        `synced` is given the whole state: at first, after anything may have been missed, and
        every `resync` seconds; what it lacks was deleted. Between two of those, `on` is given
        each change: ADDED, MODIFIED or DELETED, and the object. `failed` is told of every attempt
        that failed; it goes on trying, also where a right or the CRD is missing. What the
        callbacks raise ends the watch.
        """
        selector = labelled(labels)
        asked = f"watch {_called(kind, namespace, '')}"

        def changes(query: Mapping[str, str], silence: float) -> Generator[bytes, None, None]:
            path = kind.collection(namespace)
            try:
                yield from self._connection.lines(path, {**query, **selector}, asked, silence=silence, stop=stop)
            except Refused as error:
                if error.reason == "forbidden":
                    self._check_ready(error)
                raise

        following = Following(asked, lambda: self.list(kind, namespace, labels), changes, on, synced, failed)
        following.run(stop, resync)

    def _change(
        self,
        kind: Kind,
        namespace: str | None,
        name: str,
        body: Any,
        content_type: str,
        query: Mapping[str, str],
        subresource: str | None,
    ) -> Object:
        verb = "apply" if content_type == _APPLY else "patch"
        asked = _called(kind, namespace, name)
        query = {"fieldManager": MANAGER, **query}
        try:
            path = kind.object(namespace, name, subresource)
            return self._ask(verb, asked, "PATCH", path, query, body, content_type)
        except NotFound:  # says the same of a missing object and of a missing subresource
            if subresource != "status":
                raise
        return self._ask(verb, asked, "PATCH", kind.object(namespace, name), query, body, content_type)

    def _pages(self, kind: Kind, namespace: str | None, query: dict[str, str]) -> tuple[Objects, str]:
        asked = _called(kind, namespace, "")
        items: Objects = []
        more = ""
        path = kind.collection(namespace)
        while True:
            here = query | ({"continue": more} if more else {})
            page = self._ask("list", asked, "GET", path, here, read=read_cut)
            meta = page.get("metadata") or {}
            items += page.get("items") or []
            more = meta.get("continue") or ""
            if not more:
                break
        for item in items:  # in lists of built-in types they are left out
            item.setdefault("apiVersion", kind.api_version)
            item.setdefault("kind", kind.name)
        version = str(meta.get("resourceVersion") or "")
        if not version:
            raise TemporaryError(f"list {asked}: the answer has no resourceVersion", retry_after=SOON)
        return items, version

    def _ask(
        self,
        verb: str,
        what: str,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
        *,
        read: Callable[[bytes], Any] = json.loads,
    ) -> Object:
        """The object in a 2xx answer; anything else raises."""
        answer = self._connection.request(verb, method, path, query or {}, body, content_type)
        error = _error(answer, f"{verb} {what}")
        if isinstance(error, Refused) and error.reason == "forbidden":
            self._check_ready(error)
            answer = self._connection.request(verb, method, path, query or {}, body, content_type)
            error = _error(answer, f"{verb} {what}")
        if error is not None:
            raise error
        try:
            found = read(answer.body)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise TemporaryError(f"{verb} {what}: the answer is no object", retry_after=SOON)
        return found

    def _check_ready(self, refused: Refused) -> None:
        """Raise TemporaryError unless the API server has read the roles: starting, it refuses everybody everything."""
        if self._connection.request("get", "GET", "/readyz", {}).status != 200:
            raise TemporaryError(f"{refused} (and /readyz is not ok: it may be starting)", retry_after=SOON)


def _error(answer: Answer, asked: str) -> ModelmendError | None:
    if 200 <= answer.status < 300:
        return None
    return refusal(answer.status, answer.headers, answer.body, asked)


def _called(kind: Kind, namespace: str | None, name: str) -> str:
    return " ".join([kind.resource, "/".join(part for part in (namespace, name) if part)]).strip()


def _complete(kind: Kind, namespace: str | None, body: Object) -> Object:
    """A copy of `body` that says what it is and where."""
    metadata = dict(body.get("metadata") or {})
    if kind.namespaced:
        metadata["namespace"] = checked(namespace, "namespace")
    return {**body, "apiVersion": kind.api_version, "kind": kind.name, "metadata": metadata}
