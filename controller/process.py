"""One local process: started once at most, its output bounded, ended together with its whole group.

The program runs as the leader of a session of its own, so that one signal reaches all that
it started. Where at most once matters, a *launcher* stands in for it first: a tiny Python
that blocks on a pipe until its pid was written down, and only then becomes the program by
exec, which keeps pid and start time. Should we die before that, the kernel closes the pipe
and the launcher goes without having done anything; should we die after it, pid and start
time name exactly the process that is left. (Writing the pid down after an ordinary start
would leave a gap in which a crash loses a running program.)

No shell is involved anywhere.
"""

from __future__ import annotations

import contextlib
import os
import re
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Literal

import psutil

KEPT_OUTPUT = 64 * 1024
"""Bytes kept of each of stdout and stderr: the last ones."""
BEFORE_START = "cancelled before it was started"
GRACE = 10.0
"""Seconds between SIGTERM and SIGKILL."""
LOST_AFTER = 10.0
"""Seconds after SIGKILL until a process that is still there (stuck in the kernel) is given up."""

MAX_MESSAGE = 400
"""Characters of a message."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_CHUNK = 64 * 1024
_LOOK = 0.1  # seconds between two looks at `cancelled`: an Event cannot be waited for together with pipes
_LOOK_WITHOUT_PIDFD = 0.02
_LAST_WORDS = 0.25  # seconds for output still in the pipe when the leader has gone and others hold it open

# Python ignores SIGPIPE, and a C locale makes it set LC_CTYPE: neither must reach the program.
_LAUNCHER = """\
import os, signal, sys
gate, failed, drop = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
os.set_inheritable(gate, False)
os.set_inheritable(failed, False)
if os.read(gate, 1) != b"1":
    os._exit(0)
if drop:
    os.environ.pop(drop, None)
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
try:
    os.execvpe(sys.argv[4], sys.argv[4:], os.environ)
except OSError as error:
    os.write(failed, (error.strerror or str(error)).encode())
except ValueError as error:
    os.write(failed, str(error).encode())
os._exit(127)
"""

Started = Callable[[int, float], None]
"""Is told pid and start time (seconds since 1970, as psutil says it) and makes them durable."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended.

    `exited`: by itself, `code` is its exit code, or minus the signal that ended it.
    `not_started`: nothing ran; `error` says why. `stopped`: on our order, and seen to be gone.
    `lost`: on our order, and not seen to be gone.
    """

    how: Literal["exited", "not_started", "stopped", "lost"]
    code: int | None = None
    stdout: bytes = b""
    stderr: bytes = b""
    error: str = ""
    timed_out: bool = False


class _Tail:
    """The last `KEPT_OUTPUT` bytes of a stream of any length."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def add(self, chunk: bytes) -> None:
        self._bytes += chunk
        if len(self._bytes) > 4 * KEPT_OUTPUT:
            del self._bytes[:-KEPT_OUTPUT]

    def value(self) -> bytes:
        return bytes(self._bytes[-KEPT_OUTPUT:])


def environment(extra: Mapping[str, str], inherited: Mapping[str, str] | None = None) -> dict[str, str]:
    """What a program gets: the server's environment (or `inherited`) and `extra`, but none of our own settings.

    Every `MODELMEND_*` variable is left out, because some of them are secrets (token, database URL).
    """
    server = os.environ if inherited is None else inherited
    return {name: value for name, value in server.items() if not name.startswith("MODELMEND_")} | dict(extra)


def run(
    argv: Sequence[str],
    *,
    stdin: bytes,
    env: Mapping[str, str],
    cwd: str | None,
    cancelled: threading.Event,
    timeout: float | None = None,
    grace: float = GRACE,
    started: Started | None = None,
) -> Ended:
    """Run `argv` to its end and say how it ended. Blocks; times are seconds.

    With `started`, the program begins only after `started(pid, start time)` has returned; what that
    raises is raised again, and then nothing ran. When `cancelled` is set or `timeout` is over, the
    group gets SIGTERM, and SIGKILL after `grace`. What a program leaves behind on purpose (a daemon
    of its own session, or, after a normal end, of its group) is let live, but not waited for: its
    output goes nowhere.
    """
    if not argv or any("\0" in part for part in argv):
        return Ended("not_started", error="argv is empty" if not argv else "argv holds a NUL character")
    if cancelled.is_set():
        return Ended("not_started", error=BEFORE_START)
    with contextlib.ExitStack() as stack:
        try:
            process, gate, refused = _spawn(argv, env, cwd, stack, gated=started is not None)
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            return Ended("not_started", error=_why(error, cwd))
        if started is not None:
            try:
                started(process.pid, start_time(process.pid))
            except BaseException:
                _discard(process)
                raise
            if cancelled.is_set():
                _discard(process)
                return Ended("not_started", error=BEFORE_START)
            with contextlib.suppress(BrokenPipeError):  # killed while it waited: then it has ended
                os.write(gate, b"1")
        return _attend(process, stdin, refused, cancelled, timeout, grace)


def _why(error: BaseException, cwd: str | None) -> str:
    if not isinstance(error, OSError) or not error.strerror:
        return str(error)
    return f"{error.strerror}: {cwd}" if cwd is not None and error.filename == cwd else error.strerror


def _spawn(
    argv: Sequence[str], env: Mapping[str, str], cwd: str | None, stack: contextlib.ExitStack, *, gated: bool
) -> tuple[subprocess.Popen[bytes], int, int]:
    """The process, the pipe's end that releases it, and the end on which exec's failure arrives (-1: none)."""
    gate_in = gate_out = failed_in = failed_out = -1
    command = list(argv)
    fds: tuple[int, ...] = ()
    if gated:
        gate_in, gate_out = os.pipe()
        stack.callback(os.close, gate_out)
        failed_in, failed_out = os.pipe()
        stack.callback(os.close, failed_in)
        drop = "" if "LC_CTYPE" in env else "LC_CTYPE"
        command = [sys.executable, "-I", "-S", "-c", _LAUNCHER, str(gate_in), str(failed_out), drop, *argv]
        fds = (gate_in, failed_out)
    try:
        process = subprocess.Popen(  # noqa: S603  (the operator's policy names the program; no shell)
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            env=dict(env),
            cwd=cwd,
            pass_fds=fds,
            start_new_session=True,
        )
    finally:
        for fd in fds:
            os.close(fd)
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            stack.callback(pipe.close)
    return process, gate_out, failed_in


def _discard(process: subprocess.Popen[bytes]) -> None:
    """End a launcher that was never released; it has not become the program and cannot any more."""
    process.kill()
    process.wait()


class _Attendance:
    """Feeds stdin, drains stdout, stderr and the launcher's complaint, without ever blocking on one of them."""

    def __init__(self, process: subprocess.Popen[bytes], stdin: bytes, refused: int) -> None:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        self._stdin: IO[bytes] = process.stdin
        self._left = memoryview(stdin)
        self._refused = refused
        self.stdout, self.stderr, self.complaint = _Tail(), _Tail(), _Tail()
        self._selector = selectors.DefaultSelector()
        os.set_blocking(process.stdin.fileno(), False)
        self._selector.register(process.stdin, selectors.EVENT_WRITE)
        for pipe, tail in ((process.stdout, self.stdout), (process.stderr, self.stderr)):
            self._watch(pipe.fileno(), tail)
        if refused >= 0:
            self._watch(refused, self.complaint)
        self._pidfd = -1
        self._look = _LOOK_WITHOUT_PIDFD
        if hasattr(os, "pidfd_open"):
            with contextlib.suppress(OSError):
                self._pidfd = os.pidfd_open(process.pid)
                self._selector.register(self._pidfd, selectors.EVENT_READ, None)
                self._look = _LOOK

    def _watch(self, fd: int, tail: _Tail) -> None:
        os.set_blocking(fd, False)
        self._selector.register(fd, selectors.EVENT_READ, tail)

    def turn(self, wait: float | None = None) -> bool:
        """Move what can be moved, waiting for it at most `wait` seconds; whether anything moved."""
        moved = False
        for key, _ in self._selector.select(self._look if wait is None else wait):
            if isinstance(key.data, _Tail):
                moved = self._drain(key.fd, key.data) or moved
            elif key.fd != self._pidfd:
                self._feed()
        return moved

    def _drain(self, fd: int, tail: _Tail) -> bool:
        try:
            chunk = os.read(fd, _CHUNK)
        except BlockingIOError:
            return False
        if not chunk:
            self._selector.unregister(fd)
            return False
        tail.add(chunk)
        return True

    def _feed(self) -> None:
        try:
            if self._left:
                self._left = self._left[os.write(self._stdin.fileno(), self._left[:_CHUNK]) :]
        except BlockingIOError:
            return
        except OSError:  # it does not read its input, or has gone
            self._left = self._left[:0]
        if not self._left:
            self._selector.unregister(self._stdin)
            self._stdin.close()

    def close(self) -> None:
        self._selector.close()
        if self._pidfd >= 0:
            os.close(self._pidfd)


def _attend(
    process: subprocess.Popen[bytes],
    stdin: bytes,
    refused: int,
    cancelled: threading.Event,
    timeout: float | None,
    grace: float,
) -> Ended:
    begun = time.monotonic()
    stop_at = kill_at = lost_at = float("inf")
    if timeout is not None:
        stop_at = begun + timeout
    timed_out = stopping = killed = False
    attendance = _Attendance(process, stdin, refused)
    try:
        while not _gone(process.pid):
            attendance.turn()
            now = time.monotonic()
            if not stopping and (cancelled.is_set() or now >= stop_at):
                stopping, timed_out, kill_at = True, not cancelled.is_set(), now + grace
                _signal_group(process.pid, signal.SIGTERM)
            if not killed and now >= kill_at:
                killed, lost_at = True, now + LOST_AFTER
                _signal_group(process.pid, signal.SIGKILL)
            if now >= lost_at:
                return Ended("lost", None, attendance.stdout.value(), attendance.stderr.value(), timed_out=timed_out)
        if stopping:  # the leader went; those of its group that did not must not go on acting
            _signal_group(process.pid, signal.SIGKILL)
        last = time.monotonic() + _LAST_WORDS
        while attendance.turn(0) and time.monotonic() < last:
            pass
        code = process.wait()
        output = attendance.stdout.value(), attendance.stderr.value()
    finally:
        attendance.close()
    if stopping:
        return Ended("stopped", code, *output, timed_out=timed_out)
    complaint = attendance.complaint.value().decode(errors="replace")
    if complaint:
        return Ended("not_started", code, error=complaint)
    return Ended("exited", code, *output)


def _gone(pid: int) -> bool:
    """Whether our child has ended; it stays a zombie, so that its number cannot be given to another meanwhile."""
    if hasattr(os, "waitid"):
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def _signal_group(leader: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, number)


def how_it_ended(code: int | None) -> str:
    """`exit code 3` or `killed by SIGKILL`, of a code as `Ended` has it."""
    if code is None or code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"


def last_line(output: bytes) -> bytes:
    """The last line that is not blank, without surrounding blanks; b'' where there is none."""
    return output.rstrip().rpartition(b"\n")[2].strip()


def last_words(stderr: bytes) -> str:
    """`: ` and the last line of what it complained about; '' where it did not."""
    line = last_line(stderr).decode(errors="replace")
    return f": {line}" if line else ""


def one_line(text: str) -> str:
    """`text` without control characters and at most `MAX_MESSAGE` characters long (the end is kept)."""
    line = _CONTROL.sub(" ", text).strip()
    return line if len(line) <= MAX_MESSAGE else "…" + line[1 - MAX_MESSAGE :]


def start_time(pid: int) -> float:
    """When `pid` was started, in seconds since 1970."""
    return float(psutil.Process(pid).create_time())
