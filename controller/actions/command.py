"""The action `command`: a local process, at most once, without a shell.

The program gets the decision as JSON on stdin and three variables: MODELMEND_REMEDIATION,
MODELMEND_MODEL (namespace/name) and MODELMEND_IDEMPOTENCY_KEY; besides them the server's
environment without any other `MODELMEND_*`. Exit code 0 means done. A JSON object as the last
line of its output is its outputs.

At most once: the program begins only after its pid and start time were committed (see
`controller.process`). If this server dies before that, nothing ran; if it dies later, the next
one finds the process by pid and start time and kills its group (`orphan`), and nobody can say
how far it came.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Mapping
from typing import Any

import psutil
from pydantic_core import to_json

from controller import process
from controller.actions.outcome import Outcome, Started, read_outputs
from controller.process import how_it_ended, last_line, last_words, one_line
from controller.remediation import Intent

KEY_VARIABLE = "MODELMEND_IDEMPOTENCY_KEY"
SAME_START = 1.0
"""Seconds by which two readings of one process's start time may differ: the clock may be set meanwhile."""
ORPHAN_GRACE = 5.0
"""Seconds between SIGTERM and SIGKILL for what an earlier server left behind."""
_LOOK = 0.02


def run(intent: Intent, started: Started, cancelled: threading.Event, *, grace: float = process.GRACE) -> Outcome:
    """Run the intent's program to its end, or until `cancelled` is set; blocks.

    `end_state`: `argv` (list of str), and optionally `stdin` (the decision, any JSON), `env`, `cwd`,
    `model` (namespace/name), `traceparent`. The timeout is the engine's, who sets `cancelled`.
    Raises what `started` raises; then nothing ran.
    """
    end_state = intent.end_state
    ended = process.run(
        end_state["argv"],
        stdin=to_json(end_state.get("stdin", {})),
        env=process.environment({**end_state.get("env", {}), **variables(intent)}),
        cwd=end_state.get("cwd"),
        cancelled=cancelled,
        grace=grace,
        started=started,
    )
    if ended.how == "not_started":
        if ended.error == process.BEFORE_START:
            return Outcome("stopped", ended.error)
        return Outcome("failed", one_line(f"{_program(end_state)} could not be started: {ended.error}"))
    if ended.how == "lost":
        return Outcome("unknown", f"{_program(end_state)} is still there after SIGKILL")
    outputs, ignored = read_outputs(last_line(ended.stdout))
    if ended.how == "stopped":
        return Outcome("stopped", f"stopped: {how_it_ended(ended.code)}", outputs)
    if ended.code != 0:
        return Outcome("failed", one_line(f"{how_it_ended(ended.code)}{last_words(ended.stderr)}"), outputs)
    return Outcome("done", ignored or "exit code 0", outputs)


def variables(intent: Intent) -> dict[str, str]:
    """What tells the program on whose behalf it runs."""
    own = {
        "MODELMEND_REMEDIATION": intent.remediation_id,
        "MODELMEND_MODEL": str(intent.end_state.get("model", "")),
        KEY_VARIABLE: intent.key,
    }
    if trace := intent.end_state.get("traceparent"):
        own["TRACEPARENT"] = str(trace)
    return own


def _program(end_state: Mapping[str, Any]) -> str:
    argv = end_state["argv"]
    return repr(argv[0]) if argv else "the program"


def orphan(pid: int, pid_started: float, key: str, *, grace: float = ORPHAN_GRACE) -> bool:
    """Kill what an earlier server left of the program it started as `pid`; whether anything was alive.

    It is that very process when its start time (seconds since 1970) is the same, or, after the clock
    was set, when its environment holds the intent's `key`: then its whole group gets SIGTERM, and
    SIGKILL after `grace` seconds. Where only the leader is gone, members of its group are killed that
    hold the key in their environment; a number used again by others is thereby never hit. What left the
    group (a daemon in a session of its own) is let live, as it is when a command ends. Blocks until they
    are gone; at most twice `grace`.
    """
    leader = _alive(pid)
    if leader is not None and _same(leader, pid_started, key):
        members = _members(pid)
    else:
        members = [member for member in _members(pid) if member.pid != pid and _holds(member, key)]
    if not members:
        return False
    _send(members, signal.SIGTERM)
    living = _wait(members, grace)
    late = [member for member in _members(pid) if member not in living and _holds(member, key)]  # forked meanwhile
    _send([*living, *late], signal.SIGKILL)
    _wait([*living, *late], grace)
    return True


def _alive(pid: int) -> psutil.Process | None:
    try:
        found = psutil.Process(pid)
    except psutil.Error:
        return None
    return found if _lives(found) else None


def _same(leader: psutil.Process, pid_started: float, key: str) -> bool:
    return abs(leader.create_time() - pid_started) <= SAME_START or _holds(leader, key)


def _holds(member: psutil.Process, key: str) -> bool:
    try:
        return member.environ().get(KEY_VARIABLE) == key
    except psutil.Error:
        return False


def _members(group: int) -> list[psutil.Process]:
    """Everything alive in the process group."""
    members = []
    for pid in psutil.pids():
        with contextlib.suppress(OSError):
            if os.getpgid(pid) == group and (member := _alive(pid)) is not None:
                members.append(member)
    return members


def _wait(members: list[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Those that still live after at most `seconds`; a zombie does not (not every container's init reaps)."""
    until = time.monotonic() + seconds
    pause = threading.Event()
    while (living := [member for member in members if _lives(member)]) and time.monotonic() < until:
        pause.wait(_LOOK)
    return living


def _lives(member: psutil.Process) -> bool:
    try:
        return member.is_running() and member.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _send(members: list[psutil.Process], number: signal.Signals) -> None:
    for member in members:
        with contextlib.suppress(psutil.Error):  # it ended by itself
            member.send_signal(number)
