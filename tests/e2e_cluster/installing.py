"""An installation as its documentation makes it: image, `kubectl apply -k`, secret; and its removal."""

from __future__ import annotations

import fcntl
import json
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from tests.cluster import building, cluster
from tests.cluster.host import CACHE
from tests.e2e.serving import COMMAND, until
from tests.e2e_cluster.kubectl import Kubectl, Object

ROOT = Path(__file__).parents[2]
IMAGE = os.environ.get("MODELMEND_IMAGE", "localhost/modelmend:test")
"""Built and loaded, unless the variable names one that the cluster gets by itself."""

NAMESPACE = "modelmend"
PATIENCE = 180.0
"""Seconds until a test gives up waiting: far more than an idle machine needs."""

ENVIRONMENT = {"MODELMEND_FLEET_ACTIVE": "1000", "MODELMEND_FLEET_SHARE": "100%"}
"""All tests share one installation: none shall wait for the models of another."""

OVERLAY = """\
resources: [{overlay}]
namespace: {namespace}
nameSuffix: "{suffix}"
images: [{{name: modelmend, newName: {image}, newTag: {tag}}}]
patches:
- target: {{kind: StatefulSet|Deployment, name: modelmend}}
  patch: |
    apiVersion: apps/v1
    kind: Deployment
    metadata: {{name: modelmend}}
    spec: {{template: {{spec: {{containers: [{{name: modelmend, env: {environment}}}]}}}}}}
"""
"""What tests change of what is shipped: where the image comes from, the environment; a second one has other names."""


class Installation:
    """A modelmend that runs in the cluster, as `manifests/overlays/<overlay>` and a secret make it.

    `suffix` is added to the names of the namespace and of what is in it, so that there may be another.
    """

    def __init__(self, folder: Path, overlay: str, suffix: str = "") -> None:
        self.kubectl = Kubectl()
        self.namespace = f"{NAMESPACE}{suffix}"
        self._suffix = suffix
        self._here = f"--namespace={self.namespace}"
        self._ours = (self._here, "--selector=app.kubernetes.io/name=modelmend")
        self.said_without_secret = ""
        self.token = ""
        self._folder = folder
        self._overlay = overlay
        self._forwarding: subprocess.Popen[str] | None = None
        self._forwarded = ""

    # ── its life ────────────────────────────────────────────────────────────────────────────────

    def install(self) -> None:
        """Follow the documentation; between its two commands the pod says what it lacks."""
        self.apply()
        self.said_without_secret = until(self.last_words, "the end of a pod without its secret", PATIENCE)
        tokens = self._folder / "tokens"
        self.token = modelmend("token", "new", "tests", "--role", "operate", "--tokens", tokens).stdout.strip()
        self.kubectl("create", "secret", "generic", "modelmend-tokens", self._here, f"--from-file={tokens}")
        self.restart()

    def apply(self, **environment: str) -> None:
        """`kubectl apply -k`, with `environment` beside that of all tests."""
        image, _, tag = IMAGE.rpartition(":")
        overlay = os.path.relpath(ROOT / "manifests" / "overlays" / self._overlay, self._folder)
        own = json.dumps([{"name": key, "value": value} for key, value in (ENVIRONMENT | environment).items()])
        names = {"namespace": self.namespace, "suffix": self._suffix}
        (self._folder / "kustomization.yaml").write_text(
            OVERLAY.format(overlay=overlay, image=image, tag=tag, environment=own, **names)
        )
        self.kubectl("apply", f"--kustomize={self._folder}")

    def restart(self) -> None:
        """Delete the pod, as the drain of a node does, and wait until the next one is ready."""
        before = {pod["metadata"]["uid"] for pod in self.pods()}
        self.kubectl("delete", "pod", *self._ours)

        def anew() -> bool:
            pods = self.pods()
            return bool(pods) and all(ready(pod) and pod["metadata"]["uid"] not in before for pod in pods)

        try:
            until(anew, "a new pod that is ready", PATIENCE)
        except AssertionError as late:
            told = self.kubectl("describe", "pods", *self._ours)
            raise AssertionError(f"{late}\n{told[-3000:]}\n{self.log()[-3000:]}") from late
        self._stop_forwarding()
        self.wait()

    def wait(self) -> None:
        """Wait until its Service answers: that knows of a pod a moment later than the pod is ready."""

        def answers() -> bool:
            try:
                return self.ask("GET", "/readyz").status_code == 200
            except requests.ConnectionError:
                return False

        until(answers, f"an answer of {self.url}", PATIENCE)

    def remove(self) -> None:
        """Leave nothing of it behind."""
        self._stop_forwarding()
        self.kubectl("delete", "namespace", self.namespace, "--ignore-not-found")
        self.kubectl("delete", "clusterrole,clusterrolebinding", self.namespace, "--ignore-not-found")
        cluster.current().renew_disks()

    # ── looking at it ───────────────────────────────────────────────────────────────────────────

    def pods(self) -> list[Object]:
        """Its pods."""
        return self.kubectl.list("pods", *self._ours)

    def last_words(self) -> str:
        """What its container said before it ended; '' while none has."""
        for pod in self.pods():
            for status in pod["status"].get("containerStatuses", []):
                for state in (status["state"], status["lastState"]):
                    if "terminated" in state:
                        return state["terminated"].get("message", "")
        return ""

    def log(self) -> str:
        """What it has logged since its last start."""
        return self.kubectl("logs", *self._ours, "--tail=-1")

    # ── speaking to it ──────────────────────────────────────────────────────────────────────────

    @property
    def url(self) -> str:
        """Its Service: a node's are reached from this machine, others by `kubectl port-forward`."""
        if cluster.current().way == "node":
            return f"http://{self.kubectl.get('service', self.namespace, self._here)['spec']['clusterIP']}"
        if self._forwarding is None:
            forward = [*self.kubectl.command, "port-forward", self._here, f"service/{self.namespace}", ":80"]
            self._forwarding = subprocess.Popen(forward, stdout=subprocess.PIPE, text=True)
            found = re.search(r"127\.0\.0\.1:\d+", self._forwarding.stdout.readline())
            assert found, "port-forward has ended"
            self._forwarded = f"http://{found[0]}"
        return self._forwarded

    def _stop_forwarding(self) -> None:
        if self._forwarding is not None:
            self._forwarding.kill()
            self._forwarding.communicate()
            self._forwarding = None

    def ask(self, method: str, path: str, **more: Any) -> requests.Response:
        """One request with the tests' token."""
        bearer = {"Authorization": f"Bearer {self.token}"} | more.pop("headers", {})
        return requests.request(method, self.url + path, headers=bearer, timeout=60, **more)

    def post(self, event: Object) -> requests.Response:
        """Post an event."""
        structured = {"Content-Type": "application/cloudevents+json"}
        return self.ask("POST", "/events", headers=structured, data=json.dumps(event))

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`modelmend explain`, say, which asks it."""
        return modelmend(*arguments, MODELMEND_SERVER=self.url, MODELMEND_TOKEN=self.token)


def modelmend(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command on this machine; its exit code is for the test to judge."""
    own = {key: value for key, value in os.environ.items() if not key.startswith("MODELMEND_")}
    return subprocess.run(
        [COMMAND, *map(str, arguments)], env=own | environment, capture_output=True, text=True, timeout=60, check=False
    )


def ready(pod: Object) -> bool:
    """Whether it says that it is."""
    said = {condition["type"]: condition["status"] for condition in pod["status"].get("conditions", [])}
    return said.get("Ready") == "True" and "deletionTimestamp" not in pod["metadata"]


@contextmanager
def sole() -> Iterator[None]:
    """One run at a time in a cluster, as the names of an installation are fixed; its image is there meanwhile.

    The definitions of documents are removed in the end where they were not there before.
    """
    CACHE.mkdir(parents=True, exist_ok=True)
    kubectl = Kubectl()
    with (CACHE / "installed.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        defined = kubectl.get("customresourcedefinition", "models.modelmend.io")
        if "MODELMEND_IMAGE" not in os.environ:
            cluster.current().load(building.build(IMAGE, ROOT))
        yield
        if defined is None:
            kubectl("delete", "--ignore-not-found", f"--filename={ROOT / 'manifests/base/crds.yaml'}")


@contextmanager
def removed(installation: Installation) -> Iterator[Installation]:
    """Remove it in the end, and before what a run that was killed has left of it."""
    installation.remove()
    try:
        yield installation
    finally:
        installation.remove()
