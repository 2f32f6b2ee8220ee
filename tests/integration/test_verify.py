"""Verifying commands against real processes."""

from __future__ import annotations

import json
import os
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from controller import verify
from controller.process import run as run_process
from controller.verify import Sample


def check(code: str, told: dict[str, Any] | None = None, **more: Any) -> Sample:
    verification = {
        "kind": "command",
        "argv": [sys.executable, "-c", textwrap.dedent(code)],
        "timeout": 30.0,
        "cwd": None,
    }
    return verify.sample(verification | more, told or {}, threading.Event(), grace=0.2)


@pytest.mark.parametrize("state", ["recovered", "unchanged", "worse"])
def test_last_line_is_the_sample(state: str) -> None:
    """The last line that is not blank is the sample, the line before it is what people are told."""
    assert check(f"print('worse'); print('error 12.5'); print('  {state} \\n\\n')") == Sample(state, "error 12.5")
    assert check(f"print('{state}')") == Sample(state)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("pass", "it said nothing: want recovered, unchanged or worse as the last line"),
        ("print('missing')", "want recovered, unchanged or worse as the last line, got 'missing'"),
        ("print('Recovered')", "want recovered, unchanged or worse as the last line, got 'Recovered'"),
        ("print('recovered'); print('bye')", "want recovered, unchanged or worse as the last line, got 'bye'"),
        (
            "import os; os.write(1, b'\\xffrecovered')",
            "want recovered, unchanged or worse as the last line, got '�recovered'",
        ),
        ("import sys; print('recovered'); sys.exit('no labels yet')", "exit code 1: no labels yet"),
        ("import os; print('recovered', flush=True); os.kill(os.getpid(), 9)", "killed by SIGKILL"),
    ],
)
def test_anything_else_is_missing_and_says_why(code: str, message: str) -> None:
    """Another word, another exit code, or silence is a missing sample, never a verdict."""
    assert check(code) == Sample("missing", message)


def test_command_that_is_not_there_is_missing() -> None:
    """A verifying command that cannot be started is a missing sample."""
    found = check("", argv=["/no/such/check"])
    assert found == Sample("missing", "'/no/such/check' could not be started: No such file or directory")


def test_decision_and_variables_reach_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told what the action was told, in the folder and with the variables that the policy gives."""
    monkeypatch.setenv("MODELMEND_TOKEN", "secret")
    code = """
        import json, os, sys
        told = json.load(sys.stdin)
        own = {k: v for k, v in os.environ.items() if k.startswith("MODELMEND_") or k == "X"}
        json.dump([told, own, os.getcwd()], open("seen", "w"))
        print("recovered")
    """
    told = {"stdin": {"remediation": "r-1", "step": "retrain"}, "model": "ml/salary"}
    assert check(code, told, env={"X": "1"}, cwd=str(tmp_path)) == Sample("recovered")
    assert json.loads((tmp_path / "seen").read_text()) == [
        told["stdin"],
        {"MODELMEND_REMEDIATION": "r-1", "MODELMEND_MODEL": "ml/salary", "X": "1"},
        str(tmp_path),
    ]


def test_too_slow_is_missing_and_ended() -> None:
    """A command that hangs, and ignores SIGTERM, is ended after its timeout: a missing sample."""
    code = (
        "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('recovered', flush=True); signal.pause()"
    )
    assert check(code, timeout=0.5) == Sample("missing", "no answer within 0.5 s")


def test_cancel_ends_it(tmp_path: Path) -> None:
    """Cancelled, it is ended and counts for nothing."""
    fifo, cancelled = tmp_path / "fifo", threading.Event()
    os.mkfifo(fifo)
    code = f"import signal; open({str(fifo)!r}, 'w').write('x'); print('recovered', flush=True); signal.pause()"
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(verify.sample, {"argv": [sys.executable, "-c", code]}, {}, cancelled)
        assert fifo.read_text() == "x"
        cancelled.set()
        assert future.result(timeout=10) == Sample("missing", "cancelled")


def test_many_at_a_time_do_not_mix() -> None:
    """Programs that run side by side, gated or not, keep their inputs and outputs apart and inherit no pipe."""
    argv = [sys.executable, "-c", "import os, sys; print(sys.stdin.read(), len(os.listdir('/proc/self/fd')))"]

    def one(number: int) -> bytes:
        gate = (lambda pid, started: None) if number % 2 else None
        never = threading.Event()
        return run_process(argv, stdin=b"%d" % number, env=os.environ, cwd=None, cancelled=never, started=gate).stdout

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(one, range(40))) == [b"%d 4\n" % number for number in range(40)]
