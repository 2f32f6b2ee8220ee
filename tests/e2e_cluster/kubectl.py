"""The administrator's kubectl: what a test makes in the cluster, and looks at."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from tests.cluster import cluster, host
from tests.cluster.host import ClusterError

Object = dict[str, Any]


class Kubectl:
    """Called, it gives what it prints. Raises ClusterError with what kubectl says."""

    def __init__(self) -> None:
        here = cluster.current()
        self.kubeconfig = here.kubeconfig
        self.command = [str(here.kubectl), f"--kubeconfig={here.kubeconfig}"]

    def __call__(self, *arguments: str | Path, stdin: str = "") -> str:
        done = subprocess.run(
            [*self.command, *map(str, arguments)],
            env=host.environment(),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        if done.returncode:
            raise ClusterError(done.stderr.strip() or done.stdout.strip())
        return done.stdout

    def get(self, *arguments: str) -> Any:
        """One object, None where there is none."""
        found = self("get", *arguments, "--ignore-not-found", "--output=json")
        return json.loads(found) if found.strip() else None

    def list(self, *arguments: str) -> list[Object]:
        """Objects, none or more."""
        return json.loads(self("get", *arguments, "--output=json"))["items"]

    def apply(self, *documents: Object | str, namespace: str = "default") -> str:
        """Apply documents, YAML or objects; `namespace` is for those that name none."""
        given = "\n---\n".join(each if isinstance(each, str) else json.dumps(each) for each in documents)
        return self("apply", f"--namespace={namespace}", "--filename=-", stdin=given)

    def review(self, kind: str, spec: Object, *flags: str) -> Any:
        """The status of a review of authorization.k8s.io, such as SelfSubjectRulesReview."""
        review = {"apiVersion": "authorization.k8s.io/v1", "kind": kind, "spec": spec}
        path = f"/apis/authorization.k8s.io/v1/{kind.lower()}s"
        return json.loads(self("create", f"--raw={path}", "--filename=-", *flags, stdin=json.dumps(review)))["status"]
