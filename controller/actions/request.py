"""The action `request`: an HTTP call, at least once under one idempotency key; a 2xx is done.

Every attempt carries `Idempotency-Key`, the intent's key, also those of a later server after a crash:
the receiver makes it once of it. 408, 429, 5xx and no answer are tried again, with a growing pause or
the one that `Retry-After` asks for, until the timeout; every other answer is final, redirects too.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Mapping
from typing import Any

from pydantic_core import to_json

from controller.actions.outcome import Outcome, Started, read_outputs
from controller.call import ANSWER, CONNECT, Answer, NoAnswer, call, origin, pause
from controller.errors import PermanentError
from controller.process import one_line, start_time
from controller.remediation import Intent

FIRST_PAUSE = 0.5
"""Seconds before the second attempt; doubled with each."""
LONGEST_PAUSE = 30.0
TIMEOUT = 900.0
"""Seconds for all attempts together, where the intent does not say."""


def run(intent: Intent, started: Started, cancelled: threading.Event, *, first_pause: float = FIRST_PAUSE) -> Outcome:
    """Call until it is done, refused, out of time or `cancelled`; blocks.

    `started` is told of this process before the first call leaves; what it raises is raised again, and
    then nothing was sent. An intent that was `first_tried_at` some time comes from an earlier process,
    whose call may have arrived.

    `end_state`: `url`, and optionally `method` (POST), `headers`, `body` (any JSON), `timeout` (seconds
    for all attempts), `traceparent`. Unknown is a call that went out and was never answered.
    """
    end_state = intent.end_state
    try:
        target = origin(end_state["url"])
    except PermanentError as error:
        return Outcome("failed", str(error))
    if cancelled.is_set():
        return _given_up(f"{target}: cancelled", 0, unanswered=intent.first_tried_at is not None, cancelled=True)
    started(os.getpid(), start_time(os.getpid()))
    headers = _headers(intent)
    body = None if end_state.get("body") is None else to_json(end_state["body"])
    deadline = time.monotonic() + float(end_state.get("timeout", TIMEOUT))
    unanswered = intent.first_tried_at is not None  # an attempt went out, and nobody knows what became of it
    last = f"{target}: no attempt was made"
    attempt = 0
    while (left := deadline - time.monotonic()) > 0 and not cancelled.is_set():
        attempt += 1
        asked = None
        try:
            answer = call(
                end_state.get("method", "POST"),
                end_state["url"],
                headers=headers,
                body=body,
                cancelled=cancelled,
                timeout=min(left, ANSWER),
                connect=min(left, CONNECT),
            )
        except PermanentError as error:
            return Outcome("failed", one_line(str(error)))
        except NoAnswer as error:
            unanswered = unanswered or error.sent
            last = str(error)
        else:
            # 409 under an idempotency key also says that the attempt before is still being worked on.
            if not answer.passing and not (answer.status == 409 and unanswered):
                return _final(answer, target)
            asked = answer.retry_after
            last = f"{target} answered {answer.status}"
        wait = asked if asked is not None else pause(attempt, first_pause, LONGEST_PAUSE, random.random())  # noqa: S311
        if wait >= deadline - time.monotonic():
            last += f"; the next attempt would come after the timeout ({wait:.3g} s)" if asked is not None else ""
            break
        cancelled.wait(wait)
    return _given_up(last, attempt, unanswered=unanswered, cancelled=cancelled.is_set())


def _headers(intent: Intent) -> dict[str, str]:
    ours = {"Idempotency-Key": intent.key, "Content-Type": "application/json"}
    if trace := intent.end_state.get("traceparent"):
        ours["traceparent"] = str(trace)
    written: Mapping[str, Any] = intent.end_state.get("headers") or {}
    kept = {
        name: str(value) for name, value in written.items() if name.lower() not in {"idempotency-key", "traceparent"}
    }
    names = {name.lower() for name in kept}
    return {name: value for name, value in ours.items() if name.lower() not in names} | kept


def _final(answer: Answer, target: str) -> Outcome:
    said = f"{target} answered {answer.status}"
    if 200 <= answer.status < 300:
        if not answer.complete:
            return Outcome("done", f"{said}; outputs ignored: the answer was too long or broke off")
        outputs, ignored = read_outputs(answer.body.strip())
        return Outcome("done", f"{said}; {ignored}" if ignored else said, outputs)
    if 300 <= answer.status < 400:
        return Outcome("failed", f"{said}: redirects are not followed")
    return Outcome("failed", said)


def _given_up(last: str, attempts: int, *, unanswered: bool, cancelled: bool) -> Outcome:
    tried = f"{last} ({attempts} attempt{'' if attempts == 1 else 's'})"
    if unanswered:
        return Outcome("unknown", f"{tried}: a call went out and was not answered")
    return Outcome("stopped" if cancelled else "failed", tried)
