"""What no test within one process can show: kill -9, and a disk that is full."""

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from controller.store.database import Database
from controller.store.leader import Leadership

from .conftest import rows

_SENDER = """
import sys, threading
from datetime import UTC, datetime
from controller.events.event import Event
from controller.store.database import Database
from controller.store.intake import Intake
from controller.store.leader import Leadership

now = datetime.now(UTC)
def drift(id):
    return Event("urn:d", id, "ml.data.drift.detected", None, now, False, None, "m", None, None, "drift", False, "",
                 {"driftScore": 0.4, "pad": "x" * 200}, {}, id)
db = Database(sys.argv[1])
leadership = Leadership.take(db)
intake = Intake(db)
intake.start()
say = threading.Lock()
def send(thread):
    number = 0
    while True:
        number += 1
        receipt = intake.submit([drift(f"{thread}-{number}")]).result()
        with say:
            print(*receipt.accepted, flush=True)
for thread in range(8):
    threading.Thread(target=send, args=(thread,), daemon=True).start()
threading.Event().wait()
"""

_FILLER = """
import resource, signal, sys
from datetime import UTC, datetime
from controller.errors import TemporaryError
from controller.events.event import Event
from controller.store.database import Database
from controller.store.intake import Intake
from controller.store.leader import Leadership

db = Database(sys.argv[1])
leadership = Leadership.take(db)
intake = Intake(db)
intake.start()
now = datetime.now(UTC)
def drift(number):
    return Event("urn:d", f"e-{number}", "t", None, now, False, None, "m", None, None, None, False, "",
                 {"pad": "x" * 2000}, {}, "d")
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a write beyond the limit fails as on a full disk
free = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, free[1]))
number = 0
try:
    while number < 100_000:
        number += 1
        print(*intake.submit([drift(number)]).result().accepted, flush=True)
except TemporaryError as error:
    print("full", error, flush=True)
resource.setrlimit(resource.RLIMIT_FSIZE, free)
print(*intake.submit([drift("after")]).result().accepted, flush=True)
with db.read() as conn:
    print("stored", conn.exec_driver_sql("SELECT count(*) FROM events").scalar(), "acknowledged", number, flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("lines", [1, 200, 1500])
def test_what_was_acknowledged_survives_kill_9(database_url: str, lines: int) -> None:
    """Every id that was acknowledged before the process was killed is stored afterwards, once."""
    process = subprocess.Popen([sys.executable, "-c", _SENDER, database_url], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    acknowledged = [process.stdout.readline().strip() for _ in range(lines)]
    process.send_signal(signal.SIGKILL)
    acknowledged += [line.strip() for line in process.stdout if line.endswith("\n")]
    process.stdout.close()
    process.wait()
    assert process.returncode == -signal.SIGKILL

    db = Database(database_url)
    leadership = Leadership.take(db)
    assert leadership.unclean
    stored = [id_ for (id_,) in rows(db, "SELECT id FROM events")]
    assert len(acknowledged) >= lines
    assert set(acknowledged) <= set(stored)
    assert len(stored) == len(set(stored))
    leadership.stop()
    db.close()


@pytest.mark.slow
def test_a_full_disk_acknowledges_nothing_and_heals(sqlite_url: str) -> None:
    """Where no byte more can be written the request fails as temporary and what was acknowledged stays.

    Once there is room again the same process goes on.
    """
    run = subprocess.run([sys.executable, "-c", _FILLER, sqlite_url], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    *acknowledged, full, after, counts = run.stdout.splitlines()
    assert full.startswith("full ")
    assert "cannot be" in full
    assert after == "e-after"
    assert len(acknowledged) > 10
    assert counts == f"stored {len(acknowledged) + 1} acknowledged {len(acknowledged) + 1}"
    db = Database(sqlite_url)
    assert {id_ for (id_,) in rows(db, "SELECT id FROM events")} == {*acknowledged, "e-after"}
    assert rows(db, "PRAGMA integrity_check") == [("ok",)]
    db.close()


@pytest.mark.slow
def test_every_commit_is_synced_before_it_is_answered(sqlite_url: str, tmp_path: Path) -> None:
    """The answer is written after the sync of the log that holds the event, as the kernel saw it."""
    strace = shutil.which("strace")
    once = _SENDER.replace("while True:", "for _ in range(3):").replace("range(8)", "range(1)")
    script = once.replace("threading.Event().wait()", "threading.Event().wait(2)")
    trace = tmp_path / "trace"
    command = [str(strace), "-f", "-o", str(trace), "-e", "trace=fdatasync,fsync,write", sys.executable, "-c", script]
    if strace is None or subprocess.run([*command, sqlite_url], check=False, capture_output=True).returncode != 0:
        _synced_by_sqlite(sqlite_url)  # no tracer here, or none allowed
        return
    calls = [line for line in trace.read_text().splitlines() if "sync(" in line or 'write(1, "0-' in line]
    answers = [index for index, line in enumerate(calls) if "write(1, " in line]
    assert len(answers) == 3
    assert all("sync(" in calls[index - 1] for index in answers)


def _synced_by_sqlite(url: str) -> None:
    """Without a tracer: a committing connection's own setting says that it waits for the disk."""
    db = Database(url)
    with db.write() as conn:
        assert conn.exec_driver_sql("PRAGMA synchronous").scalar() == 2
    db.close()
