"""The API server, spoken to with the pod's own account: an object is read, or patched, by its name."""

from __future__ import annotations

import json
import os
import ssl
from collections.abc import Callable, Mapping
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import HTTPSHandler, ProxyHandler, Request, build_opener

from argo.steps.step import StepFailed

Object = dict[str, Any]

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
MANAGER = "modelmend-argo"
"""Who changed it, as `kubectl get --show-managed-fields` tells."""
TIMEOUT = 10.0
"""Seconds that one call may take."""

_FOLDERS = {
    "Rollout": ("apis/argoproj.io/v1alpha1", "rollouts"),
    "Deployment": ("apis/apps/v1", "deployments"),
    "ReplicaSet": ("apis/apps/v1", "replicasets"),
}


class Refused(StepFailed):
    """The API server understood, and said no: asking again does not help."""


class Missing(Refused):
    """There is no such object."""


class Changed(Exception):
    """Somebody changed the object since it was read."""


class Unreachable(Exception):
    """The API server did not answer, or is overloaded: asking again may help."""


class Api:
    """The objects of one namespace. `token` is called for each request, since Kubernetes renews it."""

    def __init__(self, url: str, namespace: str, token: Callable[[], str], trust: ssl.SSLContext | None = None) -> None:
        self.namespace = namespace
        self._url = url
        self._token = token
        self._opener = build_opener(ProxyHandler({}), HTTPSHandler(context=trust))

    @classmethod
    def of_this_pod(cls) -> Api:
        """By what Kubernetes gives every pod. Raises StepFailed elsewhere."""
        try:
            host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
            namespace = (ACCOUNT / "namespace").read_text()
            trust = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
        except (KeyError, OSError) as error:
            raise StepFailed(f"this is no pod with a service account: {error}") from error
        host = f"[{host}]" if ":" in host else host
        return cls(f"https://{host}:{port}", namespace, (ACCOUNT / "token").read_text, trust)

    def get(self, kind: str, name: str) -> Object:
        """The object as it is now. Raises Missing, Refused, Unreachable."""
        return self._call("GET", kind, name)

    def patch(self, kind: str, name: str, patch: Mapping[str, Any]) -> Object:
        """The object after a JSON merge patch. Raises Changed where the patch carries an older resourceVersion."""
        return self._call("PATCH", kind, name, patch, f"?fieldManager={MANAGER}")

    def _call(
        self, method: str, kind: str, name: str, body: Mapping[str, Any] | None = None, query: str = ""
    ) -> Object:
        if not name:
            raise StepFailed(f"want the name of a {kind}, got none")  # it would mean all of them
        group, plural = _FOLDERS[kind]
        path = f"{group}/namespaces/{quote(self.namespace, safe='')}/{plural}/{quote(name, safe='')}"
        content = None if body is None else json.dumps(body).encode()
        request = Request(f"{self._url}/{path}{query}", content, method=method)
        request.add_header("Authorization", f"Bearer {self._token()}")
        request.add_header("Content-Type", "application/merge-patch+json")
        try:
            with self._opener.open(request, timeout=TIMEOUT) as answer:
                found: Object = json.load(answer)
                return found
        except HTTPError as error:
            with error:
                raise _said(error.code, _message(error), f"{kind} {self.namespace}/{name}") from error
        except (OSError, HTTPException, ValueError) as error:
            raise Unreachable(f"the API server does not answer: {error}") from error


def _said(status: int, message: str, what: str) -> Exception:
    if status == 409:
        return Changed(f"{what}: {message}")
    if status == 429 or status >= 500:
        return Unreachable(f"the API server answered {status}: {message}")
    return (Missing if status == 404 else Refused)(f"{what}: {message}")


def _message(error: HTTPError) -> str:
    try:
        return str(json.load(error)["message"])
    except (OSError, HTTPException, ValueError, TypeError, KeyError):
        return f"HTTP {error.code}"
