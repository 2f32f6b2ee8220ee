"""Actions and verifications with every expression evaluated: plain JSON, ready to be written down and done.

A value becomes text so: a string as it is; a whole number without a point (3.0 is "3"),
another number as JSON writes it; true, false and null as JSON; a time as RFC 3339; a list
or a map as JSON without spaces. In a request's body a value keeps its JSON type, whole
numbers without a point.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from controller.policy.bindings import EXACT, Bindings
from controller.policy.expression import Expression, ExpressionError
from controller.policy.model import GitOps, Model
from controller.policy.serving import NoPlace, check_version, normalised
from controller.policy.types import (
    LAST_KNOWN_GOOD,
    Action,
    AnalysisVerification,
    Argument,
    CommandAction,
    CommandVerification,
    JobAction,
    QueryVerification,
    QuietVerification,
    ReportVerification,
    RequestAction,
    RolloutAction,
    RolloutVerification,
    Verification,
    WorkflowAction,
)

MAX_ARGUMENT = 64 * 1024
"""Characters of one argument; Linux refuses a program with one over 128 KiB."""
MAX_BODY = 1024 * 1024


def render(action: Action, bindings: Bindings, model: Model) -> dict[str, Any]:
    """What the action is to do for this event and model; durations in seconds. Raises ExpressionError.

    workflow: `template`, `parameters`, `outputs`, `timeout`, `serving`; job: `cronJob`, `env`, `timeout`;
    rollout: `do`, `promote`, `to`, `about`, `serving`, `gitops`, `timeout`; command: `argv`, `timeout`,
    `idempotent`, `env`, `cwd`; request: `url`, `method`, `headers`, `body`, `timeout`; page: `receiver`.
    """
    if isinstance(action, WorkflowAction | JobAction | RolloutAction):
        return _cluster(action, bindings, model)
    if isinstance(action, CommandAction):
        return {
            "argv": _argv(action.argv, bindings),
            "timeout": action.timeout.total_seconds(),
            "idempotent": action.idempotent,
            "env": _env(action.env, bindings),
            "cwd": action.cwd,
        }
    if isinstance(action, RequestAction):
        return {
            "url": action.url,
            "method": action.method,
            "headers": {name: _header(value, bindings) for name, value in action.headers.items()},
            "body": _body(action.body, bindings),
            "timeout": action.timeout.total_seconds(),
        }
    return {"receiver": action.receiver}


def render_verification(verification: Verification, bindings: Bindings, model: Model) -> dict[str, Any]:
    """What the verification is to do; `kind` is its key in a document, durations in seconds."""
    if isinstance(verification, RolloutVerification):
        return {
            "kind": "rollout",
            "wants": verification.wants,
            "every": verification.every.total_seconds(),
            "within": verification.within.total_seconds(),
            "serving": render_serving(model),
        }
    if isinstance(verification, AnalysisVerification):
        return {
            "kind": "analysis",
            "template": verification.template,
            "args": {name: _argument(value, bindings) for name, value in verification.args.items()},
            "every": verification.every.total_seconds(),
            "within": verification.within.total_seconds(),
        }
    if isinstance(verification, ReportVerification):
        return {"kind": "report", "metric": verification.metric, "within": verification.within.total_seconds()}
    times = {"settle": verification.settle.total_seconds(), "within": verification.within.total_seconds()}
    if isinstance(verification, QuietVerification):
        return {"kind": "quiet", "quiet": verification.quiet.total_seconds(), **times}
    times["for"] = verification.hold.total_seconds()
    if isinstance(verification, QueryVerification):
        return {"kind": "query", **_query(verification), **times}
    if isinstance(verification, CommandVerification):
        return {
            "kind": "command",
            "argv": _argv(verification.argv, bindings),
            "timeout": verification.timeout.total_seconds(),
            "every": verification.every.total_seconds(),
            "env": _env(verification.env, bindings),
            "cwd": verification.cwd,
            **times,
        }
    return {"kind": "resolved", **times}


def _query(verification: QueryVerification) -> dict[str, Any]:
    """The texts, whose $names are filled in when it is asked: the version is reported only then."""
    return {
        "query": verification.query.text,
        "pushTime": verification.push_time.text if verification.push_time else None,
        "recovered": verification.recovered.source,
        "worse": verification.worse.source if verification.worse else None,
        "every": verification.every.total_seconds(),
    }


def _cluster(action: WorkflowAction | JobAction | RolloutAction, bindings: Bindings, model: Model) -> dict[str, Any]:
    if isinstance(action, WorkflowAction):
        return {
            "template": action.template,
            "parameters": {name: _parameter(value, bindings) for name, value in action.parameters.items()},
            "outputs": {"version": action.version_output, "verdict": action.verdict_output},
            "timeout": action.timeout.total_seconds(),
            "serving": render_serving(model),
        }
    if isinstance(action, JobAction):
        return {
            "cronJob": action.cron_job,
            "env": _env(action.env, bindings),
            "timeout": action.timeout.total_seconds(),
        }
    return {
        "do": action.do,
        "promote": action.promote,
        "to": None if action.to is None else _version(action.to, bindings, model),
        "about": bindings.event.get("version"),
        "serving": render_serving(model),
        "gitops": render_gitops(model),
        "timeout": action.timeout.total_seconds(),
    }


def _parameter(argument: Argument, bindings: Bindings) -> str:
    """What goes to Argo, which evaluates `{{…}}` in a value: an operator may write that, an event may not."""
    text = _argument(argument, bindings)
    if not isinstance(argument, str) and "{{" in text:
        raise ExpressionError(f"{argument.source}: its value has {{{{, which Argo would evaluate")
    return text


def _version(argument: Argument, bindings: Bindings, model: Model) -> str:
    """The version to set; from an event it may be anything, so it must fit where it is written.

    The last known good one is told when the intent is written: until then another may have become it.
    """
    if argument == LAST_KNOWN_GOOD:
        return LAST_KNOWN_GOOD
    version = normalised(_parameter(argument, bindings), model.version_names)
    if model.serving is not None and model.serving.version is not None:
        try:
            check_version(model.serving.version.plain(), version)
        except NoPlace as error:
            raise ExpressionError(f"to: {error}") from error
    return version


def render_serving(model: Model) -> dict[str, Any] | None:
    """The object that serves it, as JSON; None: the Model names none."""
    return model.serving.plain() if model.serving else None


def render_gitops(model: Model) -> Any:
    """How what Git decides is changed, as JSON."""
    if isinstance(model.gitops, GitOps):
        return {"template": model.gitops.template, "parameters": dict(model.gitops.parameters)}
    return model.gitops


def as_text(value: Any) -> str:
    """A value of an expression as an argument; see the module's docstring."""
    if isinstance(value, str):
        return value
    plain = _plain(value)
    return plain if isinstance(plain, str) else json.dumps(plain, separators=(",", ":"), ensure_ascii=False)


def _plain(value: Any) -> Any:
    """A value of an expression as JSON."""
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ExpressionError(f"{value} is no value that could be passed on")
        return int(value) if value.is_integer() and abs(value) <= EXACT else value
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, timedelta):
        return _plain(value.total_seconds())
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, Mapping):
        return {as_text(key): _plain(part) for key, part in value.items()}
    if isinstance(value, str | int) or value is None:
        return value
    raise ExpressionError(f"a value of type {type(value).__name__} cannot be passed on")


def _argument(argument: Argument, bindings: Bindings) -> str:
    if isinstance(argument, str):
        return argument
    try:
        text = as_text(argument.evaluate(bindings))
    except ExpressionError as error:
        raise ExpressionError(f"{argument.source}: {error}") from error
    if "\0" in text or len(text) > MAX_ARGUMENT:
        raise ExpressionError(f"{argument.source}: its value cannot be an argument")
    return text


def _argv(argv: tuple[Argument, ...], bindings: Bindings) -> list[str]:
    return [_argument(argument, bindings) for argument in argv]


def _env(env: Mapping[str, Argument], bindings: Bindings) -> dict[str, str]:
    return {name: _argument(value, bindings) for name, value in env.items()}


def _header(value: Argument, bindings: Bindings) -> str:
    text = _argument(value, bindings)
    if any(ord(character) < 32 or ord(character) > 126 for character in text):
        raise ExpressionError("a header's value must be printable ASCII on one line")
    return text


def _body(body: Any, bindings: Bindings) -> Any:
    rendered = _filled(body, bindings)
    if len(json.dumps(rendered)) > MAX_BODY:
        raise ExpressionError("the request's body would be too large")
    return rendered


def _filled(part: Any, bindings: Bindings) -> Any:
    if isinstance(part, Expression):
        try:
            return _plain(part.evaluate(bindings))
        except ExpressionError as error:
            raise ExpressionError(f"{part.source}: {error}") from error
    if isinstance(part, dict):
        return {key: _filled(value, bindings) for key, value in part.items()}
    if isinstance(part, list):
        return [_filled(value, bindings) for value in part]
    return part
