"""Actions against real processes."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from controller import actions
from controller.actions import command
from controller.actions.outcome import MAX_OUTPUTS
from controller.remediation import Intent


def intent(code: str = "", *, argv: list[str] | None = None, key: str = "r-1-0-1", **end_state: Any) -> Intent:
    """A command intent that runs Python `code`."""
    program = argv if argv is not None else [sys.executable, "-c", textwrap.dedent(code)]
    return Intent(1, "r-1", 0, 1, "command", key, {"argv": program, "model": "ml/salary", **end_state})


def nothing(pid: int, started: float) -> None: ...


def run(asked: Intent, started: Callable[[int, float], None] = nothing) -> actions.Outcome:
    return actions.run(asked, started, threading.Event())


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    return path


@pytest.fixture
def strays() -> Iterator[list[int]]:
    """Processes that a test leaves alive on purpose."""
    pids: list[int] = []
    yield pids
    for pid in pids:
        with contextlib.suppress(psutil.Error):
            psutil.Process(pid).kill()


def gone(*pids: int) -> bool:
    """Whether all of them end within seconds (a zombie has ended)."""
    look, until = threading.Event(), time.monotonic() + 5
    while (living := [pid for pid in pids if command._alive(pid)]) and time.monotonic() < until:
        look.wait(0.01)
    return not living


# ── what a program gets ──────────────────────────────────────────────────────────────────────────────────────────────


def test_decision_and_variables_reach_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """The decision arrives on stdin, three variables say on whose behalf, and our own secrets stay here."""
    monkeypatch.setenv("MODELMEND_TOKEN", "secret")
    monkeypatch.setenv("SHARED", "yes")
    code = """
        import json, os, sys
        own = {k: v for k, v in os.environ.items() if k.startswith("MODELMEND_")}
        print(json.dumps({"stdin": json.load(sys.stdin), "own": own, "shared": os.environ["SHARED"], "x": os.environ["X"]}))
    """
    outcome = run(intent(code, stdin={"reason": "drift", "score": 0.44}, env={"X": "1"}))
    assert outcome.state == "done"
    assert outcome.outputs == {
        "stdin": {"reason": "drift", "score": 0.44},
        "own": {"MODELMEND_REMEDIATION": "r-1", "MODELMEND_MODEL": "ml/salary", "MODELMEND_IDEMPOTENCY_KEY": "r-1-0-1"},
        "shared": "yes",
        "x": "1",
    }


def test_no_shell_reads_the_arguments(tmp_path: Path) -> None:
    """Arguments arrive as they are, whatever a shell would make of them."""
    nasty = f"$(touch {tmp_path}/x); `id` * \n 'é' \\"
    outcome = run(intent(argv=[sys.executable, "-c", "import json,sys; print(json.dumps({'a': sys.argv[1]}))", nasty]))
    assert outcome.outputs == {"a": nasty}
    assert not (tmp_path / "x").exists()


def test_pid_is_that_of_the_program_and_it_leads_a_session() -> None:
    """Pid and start time that were committed are those of the program itself, the leader of its own session."""
    said: list[tuple[int, float]] = []
    code = """
        import json, os
        import psutil
        print(json.dumps({"pid": os.getpid(), "group": os.getpgid(0), "session": os.getsid(0),
                          "started": psutil.Process().create_time(), "open": sorted(os.listdir("/proc/self/fd"))}))
    """
    outcome = run(intent(code), lambda *one: said.append(one))
    [(pid, started)] = said
    assert outcome.outputs["pid"] == outcome.outputs["group"] == outcome.outputs["session"] == pid
    assert outcome.outputs["started"] == started
    assert outcome.outputs["open"] == ["0", "1", "2", "3"]  # 3 is the folder that was listed: none of our pipes


def test_signals_and_locale_are_as_without_a_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither SIGPIPE ignored nor LC_CTYPE set, both of which Python does to itself, reach the program."""
    for name in ("LC_ALL", "LC_CTYPE", "LANG"):
        monkeypatch.delenv(name, raising=False)
    # SIGPIPE is bit 12 of the mask: the fourth hex digit from the right is even where it is not ignored. What
    # whoever started the tests ignores (nohup: SIGHUP) is passed on.
    not_ignored = r"^SigIgn:\s+[0-9a-f]*[02468ace][0-9a-f]{3}$"
    assert run(intent(argv=["grep", "-q", "-E", not_ignored, "/proc/self/status"])).state == "done"
    assert run(intent(argv=["grep", "-q", "LC_CTYPE", "/proc/self/environ"])).message == "exit code 1"


def test_working_folder(tmp_path: Path) -> None:
    """`cwd` is where the program runs."""
    outcome = run(intent("import json, os; print(json.dumps({'cwd': os.getcwd()}))", cwd=str(tmp_path)))
    assert outcome.outputs == {"cwd": str(tmp_path)}


def test_program_that_ignores_its_input() -> None:
    """A decision larger than a pipe that nobody reads holds nothing up."""
    assert run(intent("pass", stdin={"text": "x" * 1_000_000})).state == "done"


def test_large_input_arrives_whole() -> None:
    """A decision larger than a pipe arrives byte for byte while output flows the other way."""
    code = """
        import json, sys
        text = ""
        while chunk := sys.stdin.read(1000):
            text += chunk
            print("." * 2000)
        print(json.dumps({"length": len(json.loads(text)["text"])}))
    """
    assert run(intent(code, stdin={"text": "é" * 300_000})).outputs == {"length": 300_000}


# ── how it ends ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("code", "state", "message"),
    [
        ("pass", "done", "exit code 0"),
        (
            "import sys; print('a'); print('disk full', file=sys.stderr); sys.exit(3)",
            "failed",
            "exit code 3: disk full",
        ),
        ("import sys; sys.exit(255)", "failed", "exit code 255"),
        ("import os; os.kill(os.getpid(), 9)", "failed", "killed by SIGKILL"),
        ("import os; os.write(2, b'\\xff\\x00bad\\x1b[1m'); os._exit(1)", "failed", "exit code 1: � bad [1m"),
    ],
)
def test_exit(code: str, state: str, message: str) -> None:
    """Exit 0 is done; everything else failed, with its code or signal and its last words, cleaned."""
    outcome = run(intent(code))
    assert (outcome.state, outcome.message) == (state, message)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (intent(argv=["/no/such/program"]), "'/no/such/program' could not be started: No such file or directory"),
        (
            intent(argv=["no-such-program-at-all"]),
            "'no-such-program-at-all' could not be started: No such file or directory",
        ),
        (intent(argv=["/etc/passwd"]), "'/etc/passwd' could not be started: Permission denied"),
        (intent("pass", cwd="/no/such/folder"), "could not be started: No such file or directory: /no/such/folder"),
        (intent(argv=[]), "the program could not be started: argv is empty"),
        (intent(argv=["echo", "a\0b"]), "'echo' could not be started: argv holds a NUL character"),
        (intent(argv=["echo", "x" * 3_000_000]), "'echo' could not be started: Argument list too long"),
    ],
    ids=["missing", "not in PATH", "not executable", "no folder", "empty", "NUL", "too long"],
)
def test_program_that_cannot_be_started(asked: Intent, message: str) -> None:
    """What cannot be started failed, and the message says why."""
    outcome = run(asked)
    assert outcome.state == "failed"
    assert message in outcome.message


def test_last_of_a_thousand_lines_of_json_is_the_output() -> None:
    """Of a program that logs JSON, the last line alone is its outputs."""
    outcome = run(
        intent("import json\nfor n in range(1000): print(json.dumps({'line': n, 'pad': 'x' * 100}))\nprint('\\n\\n')")
    )
    assert (outcome.state, outcome.outputs["line"]) == ("done", 999)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (f'{{"a": "{"x" * MAX_OUTPUTS}"}}'.encode(), "outputs ignored: 16393 bytes, at most 16384 are kept"),
        (b'{"a": \xff}', "outputs ignored: no valid JSON"),
        (b'{"a": NaN}', "outputs ignored: no valid JSON"),
        (b'{\n "a": 1\n}', "outputs ignored: the JSON object must stand on the last line alone"),
        (b"[1, 2]", "exit code 0"),
        (b"trained", "exit code 0"),
    ],
    ids=["long", "bad utf-8", "NaN", "pretty", "list", "text"],
)
def test_output_that_is_no_output(line: bytes, message: str) -> None:
    """What is no bounded JSON object on the last line is ignored, said, and does not make the program fail."""
    outcome = run(intent(f"import os; os.write(1, {line!r})"))
    assert (outcome.state, outcome.outputs) == ("done", {})
    assert outcome.message.startswith(message)


def test_flood_of_output_neither_blocks_nor_fills_memory() -> None:
    """100 MB on stdout and as much on stderr pass through; the last line still counts, memory stays bounded."""
    code = """
        import os, threading
        block = b"x" * 65535 + b"\\n"
        def flood(fd):
            for _ in range(1600):
                os.write(fd, block)
        other = threading.Thread(target=flood, args=(2,))
        other.start(); flood(1); other.join()
        os.write(1, b'{"done": true}\\n')
    """
    before = psutil.Process().memory_info().rss
    outcome = run(intent(code))
    assert outcome.outputs == {"done": True}
    assert psutil.Process().memory_info().rss - before < 16 * 2**20


def test_daemon_that_keeps_the_output_open_holds_nothing_up(strays: list[int]) -> None:
    """A daemon left behind with our pipe in its hands lives on, and nobody waits for it."""
    code = """
        import json, os, subprocess, sys
        daemon = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"], start_new_session=True)
        print(json.dumps({"daemon": daemon.pid}), flush=True)
        os._exit(0)
    """
    outcome = run(intent(code))
    strays.append(outcome.outputs["daemon"])
    assert outcome.state == "done"
    assert psutil.Process(outcome.outputs["daemon"]).is_running()


# ── at most once ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_nothing_runs_when_the_pid_cannot_be_committed(tmp_path: Path) -> None:
    """Where `started` raises, the program never runs, its stand-in is gone, and the error comes through."""
    marker, seen = tmp_path / "ran", []

    def away(pid: int, started: float) -> None:
        seen.append(pid)
        raise ConnectionError("database away")

    with pytest.raises(ConnectionError, match="database away"):
        run(intent(argv=["touch", str(marker)]), away)
    assert gone(*seen)
    assert not marker.exists()


def test_nothing_runs_before_the_pid_is_committed(tmp_path: Path) -> None:
    """While `started` is at work the program has not begun; afterwards it runs once."""
    marker, before = tmp_path / "ran", []
    run(intent(argv=["sh", "-c", f"echo x >> {marker}"]), lambda pid, started: before.append(marker.exists()))
    assert before == [False]
    assert marker.read_text() == "x\n"


@pytest.mark.parametrize("when", ["before", "between"])
def test_cancelled_in_time_means_nothing_ran(tmp_path: Path, when: str) -> None:
    """Cancelled before the release, the action is stopped without the program having run."""
    cancelled = threading.Event()
    if when == "before":
        cancelled.set()
    outcome = actions.run(intent(argv=["touch", str(tmp_path / "ran")]), lambda *_: cancelled.set(), cancelled)
    assert (outcome.state, outcome.message) == ("stopped", "cancelled before it was started")
    assert not (tmp_path / "ran").exists()


SERVER = """
import json, sys, threading
from controller import actions
from controller.remediation import Intent
def started(pid, at):
    print(json.dumps([pid, at]), flush=True)
    if sys.argv[1] == "before":
        threading.Event().wait()
actions.run(Intent(1, "r-1", 0, 1, "command", "r-1-0-1", {"argv": json.loads(sys.argv[2])}), started, threading.Event())
"""


def server(when: str, argv: list[str]) -> subprocess.Popen[bytes]:
    """A process of its own that runs a command action; it tells pid and start time before it releases the program."""
    return subprocess.Popen([sys.executable, "-c", SERVER, when, json.dumps(argv)], stdout=subprocess.PIPE)


def committed(process: subprocess.Popen[bytes]) -> tuple[int, float]:
    assert process.stdout
    pid, started = json.loads(process.stdout.readline())
    return pid, started


def killed(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    assert process.stdout
    process.stdout.close()


def test_kill_9_between_commit_and_release_means_it_never_ran(tmp_path: Path) -> None:
    """A server that dies after the commit and before the release leaves nothing that runs."""
    process = server("before", ["touch", str(tmp_path / "ran")])
    pid, started = committed(process)
    assert psutil.pid_exists(pid)
    killed(process)
    assert gone(pid)
    assert not (tmp_path / "ran").exists()
    assert not command.orphan(pid, started, "r-1-0-1")


FAMILY = """
import os, signal, subprocess, sys
if len(sys.argv) > 2:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); signal.pause()"], stdout=subprocess.PIPE)
child.stdout.readline()
open(sys.argv[1], "w").write(f"{os.getpid()} {child.pid}\\n")
signal.pause()
"""


def test_orphan_is_killed_with_its_grandchildren(fifo: Path) -> None:
    """After kill -9 of the server, the next one kills what runs: the very process, and its whole group."""
    process = server("after", [sys.executable, "-c", FAMILY, str(fifo), "stubborn"])
    pid, started = committed(process)
    family = [int(one) for one in fifo.read_text().split()]
    assert family[0] == pid
    killed(process)
    asked = Intent(1, "r-1", 0, 1, "command", "r-1-0-1", {}, pid, started)
    assert not command.orphan(pid, started - 5, "another key", grace=0.2)  # the number alone is nobody
    assert psutil.pid_exists(family[1])
    assert command.orphan(pid, started, asked.key, grace=0.2)
    assert gone(*family)
    assert not actions.orphan(asked)


def test_orphan_is_known_by_its_key_when_the_clock_was_set(fifo: Path) -> None:
    """A start time that reads differently since the clock was set does not save an orphan that holds the key."""
    process = server("after", [sys.executable, "-c", FAMILY, str(fifo)])
    pid, started = committed(process)
    family = [int(one) for one in fifo.read_text().split()]
    killed(process)
    assert command.orphan(pid, started + 3600, "r-1-0-1", grace=0.2)
    assert gone(*family)


def test_orphan_finds_members_whose_leader_is_gone(fifo: Path) -> None:
    """Members of the group that outlived their leader are killed when they hold the intent's key."""
    process = server("after", [sys.executable, "-c", FAMILY, str(fifo)])
    pid, started = committed(process)
    leader, child = (int(one) for one in fifo.read_text().split())
    killed(process)
    os.kill(leader, signal.SIGKILL)
    assert gone(leader)
    assert not command.orphan(pid, started, "another key", grace=0.2)
    assert psutil.pid_exists(child)
    assert command.orphan(pid, started, "r-1-0-1", grace=0.2)
    assert gone(child)


def test_intent_without_a_pid_has_no_orphan() -> None:
    """An intent whose program was never committed left nothing behind."""
    assert not actions.orphan(intent("pass"))


# ── cancel ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def cancel_when_ready(asked: Intent, fifo: Path, *, grace: float) -> tuple[actions.Outcome, list[int]]:
    """Run, wait until the program has written its pids into the fifo, cancel."""
    cancelled = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(command.run, asked, nothing, cancelled, grace=grace)
        pids = [int(one) for one in fifo.read_text().split()]
        cancelled.set()
        return future.result(timeout=20), pids


def test_cancel_ends_a_program_by_sigterm(fifo: Path) -> None:
    """A program that heeds SIGTERM is stopped by it, and may still say its outputs."""
    code = f"""
        import signal, sys
        signal.signal(signal.SIGTERM, lambda *_: (print('{{"saved": 7}}', flush=True), sys.exit(0)))
        import os; open({str(fifo)!r}, "w").write(str(os.getpid()))
        signal.pause()
    """
    outcome, pids = cancel_when_ready(intent(code), fifo, grace=10)
    assert outcome == actions.Outcome("stopped", "stopped: exit code 0", {"saved": 7})
    assert gone(*pids)


def test_cancel_kills_what_ignores_sigterm(fifo: Path) -> None:
    """A program and its child that ignore SIGTERM are both gone after the grace."""
    outcome, pids = cancel_when_ready(
        intent(argv=[sys.executable, "-c", FAMILY, str(fifo), "stubborn"]), fifo, grace=0.2
    )
    assert (outcome.state, outcome.message) == ("stopped", "stopped: killed by SIGKILL")
    assert gone(*pids)


def test_cancel_leaves_no_member_of_the_group(fifo: Path) -> None:
    """A child that ignores SIGTERM does not outlive a leader that heeds it."""
    outcome, pids = cancel_when_ready(intent(argv=[sys.executable, "-c", FAMILY, str(fifo)]), fifo, grace=10)
    assert (outcome.state, outcome.message) == ("stopped", "stopped: killed by SIGTERM")
    assert gone(*pids)


def test_cancel_reaches_children_at_once(fifo: Path) -> None:
    """SIGTERM goes to the whole group: a leader that only waits for its child ends with it, long before the grace."""
    code = f"""
        import os, signal, subprocess, sys
        signal.signal(signal.SIGTERM, lambda *_: None)
        child = subprocess.Popen([sys.executable, "-c", "print(flush=True); import signal; signal.pause()"], stdout=-1)
        child.stdout.readline()
        open({str(fifo)!r}, "w").write(f"{{os.getpid()}} {{child.pid}}")
        sys.exit(child.wait() == -signal.SIGTERM and 7)
    """
    outcome, pids = cancel_when_ready(intent(code), fifo, grace=60)
    assert (outcome.state, outcome.message) == ("stopped", "stopped: exit code 7")
    assert gone(*pids)


def test_unknown_kind_of_action_fails() -> None:
    """An intent of a kind that is not built in fails by name."""
    assert run(Intent(1, "r-1", 0, 1, "workflow", "k", {})).message == "no such action: workflow"
