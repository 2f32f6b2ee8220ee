"""A server that is told to stop while it starts ends, also as the first process of a container."""

import signal
import subprocess
from pathlib import Path

from tests.e2e.serving import COMMAND, PATIENCE, until


def caught(pid: int) -> bool:
    """Whether the process has a handler for SIGTERM."""
    status = Path(f"/proc/{pid}/status").read_text()
    mask = next(line.split()[1] for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(mask, 16) & 1 << signal.SIGTERM - 1)


def test_told_to_stop_before_it_has_opened_its_store_it_never_opens_it(tmp_path):
    """There the kernel ignores SIGTERM for who has no handler, as here: Kubernetes would wait for 30 s, then kill."""
    ignoring = 'trap "" TERM; exec "$@"'
    serve = [COMMAND, "serve", "--data", "data", "--listen", "127.0.0.1:0"]
    process = subprocess.Popen(["sh", "-c", ignoring, "sh", *serve], cwd=tmp_path)
    until(lambda: caught(process.pid), "a handler for SIGTERM")
    process.terminate()
    assert process.wait(PATIENCE) == 128 + signal.SIGTERM
    assert not (tmp_path / "data").exists()
