import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from examples.demo.server import ROOT

PROMISES = 11


def start(output: Path, temporary: Path) -> subprocess.Popen[str]:
    temporary.mkdir()
    argv = [sys.executable, "-m", "examples.demo", "--output", str(output)]
    environment = {**os.environ, "TMPDIR": str(temporary)}
    return subprocess.Popen(
        argv, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


@pytest.mark.slow
@pytest.mark.e2e
@pytest.mark.timeout(900)
def test_the_story_happens_as_told(tmp_path: Path) -> None:
    """The whole demo, on a real server: every promise is proved by the record, and nothing is left behind."""
    demo = start(tmp_path / "out", tmp_path / "tmp")
    printed, _ = demo.communicate()
    assert demo.returncode == 0, printed
    assert printed.count("  ✓ ") == PROMISES
    assert "✗" not in printed
    assert "\x1b" not in printed
    assert (tmp_path / "out" / "demo.png").read_bytes().startswith(b"\x89PNG")
    assert "modelmend" in (tmp_path / "out" / "demo.txt").read_text()
    assert list((tmp_path / "tmp").glob("modelmend-demo-*")) == []


@pytest.mark.slow
@pytest.mark.e2e
@pytest.mark.timeout(300)
def test_a_demo_that_is_stopped_takes_its_server_with_it(tmp_path: Path) -> None:
    """SIGTERM in the middle: exit code 1, the work folder named, no process left."""
    demo = start(tmp_path / "out", tmp_path / "tmp")
    assert demo.stdout is not None
    for line in demo.stdout:
        if line.startswith("2011-05"):
            break
    children = psutil.Process(demo.pid).children(recursive=True)
    assert children
    demo.send_signal(signal.SIGTERM)
    rest, _ = demo.communicate()
    assert demo.returncode == 1
    assert "The demo failed: interrupted\nEverything it wrote is in " in rest
    deadline = time.monotonic() + 30
    while any(child.is_running() for child in children) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(child.is_running() for child in children)
