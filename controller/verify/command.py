"""Samples of a verification by `command`: one run of the verifying command, one word.

It exits 0 and its last line is `recovered`, `unchanged` or `worse`; the line before, if there is
one, is kept for people. Anything else is a missing sample, which decides nothing, and says why. A
verifying command looks and changes nothing, so it may run again and again: no pid is written down
before it starts.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from pydantic_core import to_json

from controller import process
from controller.verify.sample import Sample, State

TIMEOUT = 900.0
"""Seconds for one run, where the verification does not say."""
_SHOWN = 120  # characters of an answer that is none

_ANSWERS: tuple[State, ...] = ("recovered", "unchanged", "worse")


def sample(
    verification: Mapping[str, Any],
    told: Mapping[str, Any],
    cancelled: threading.Event,
    *,
    grace: float = process.GRACE,
) -> Sample:
    """Run the verifying command once; blocks for its timeout plus `grace` at most.

    `verification`: `argv`, and optionally `timeout` (seconds), `env`, `cwd`. `told`: `stdin` (any JSON),
    and optionally `model` (namespace/name) and `traceparent`. When it is too slow or `cancelled`, its
    whole group gets SIGTERM, and SIGKILL after `grace` seconds.
    """
    timeout = float(verification.get("timeout", TIMEOUT))
    argv = verification["argv"]
    ended = process.run(
        argv,
        stdin=to_json(told.get("stdin", {})),
        env=process.environment({**verification.get("env", {}), **_variables(told)}),
        cwd=verification.get("cwd"),
        cancelled=cancelled,
        timeout=timeout,
        grace=grace,
    )
    if ended.how == "not_started":
        return Sample("missing", f"{argv[0] if argv else 'the command'!r} could not be started: {ended.error}")
    if ended.timed_out:
        return Sample("missing", f"no answer within {timeout:g} s")
    if ended.how != "exited":
        return Sample("missing", "cancelled")
    if ended.code != 0:
        return Sample(
            "missing", process.one_line(f"{process.how_it_ended(ended.code)}{process.last_words(ended.stderr)}")
        )
    return _read(ended.stdout)


def _read(stdout: bytes) -> Sample:
    line = process.last_line(stdout).decode(errors="replace")
    for state in _ANSWERS:
        if line == state:
            before, _, _ = stdout.rstrip().rpartition(b"\n")
            return Sample(state, process.one_line(process.last_line(before).decode(errors="replace")))
    if not line:
        return Sample("missing", "it said nothing: want recovered, unchanged or worse as the last line")
    return Sample(
        "missing", f"want recovered, unchanged or worse as the last line, got {process.one_line(line)[:_SHOWN]!r}"
    )


def _variables(told: Mapping[str, Any]) -> dict[str, str]:
    stdin = told.get("stdin")
    remediation = stdin.get("remediation") if isinstance(stdin, Mapping) else None
    own = {
        "MODELMEND_REMEDIATION": str(remediation or ""),
        "MODELMEND_MODEL": str(told.get("model", "")),
    }
    if trace := told.get("traceparent"):
        own["TRACEPARENT"] = str(trace)
    return own
