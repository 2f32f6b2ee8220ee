"""The ladder: actions and verifications, read from a document."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from typing import Any, Literal
from urllib.parse import urlsplit

from controller.events.content import metric_name
from controller.policy.arguments import read_argument, read_env
from controller.policy.cluster_steps import read_every, read_job, read_rollout, read_rollout_verification, read_workflow
from controller.policy.defaults import Fallback, check_room, duration
from controller.policy.keys import LATER
from controller.policy.measured import read_analysis, read_query, read_report
from controller.policy.reading import Fields, Place, either
from controller.policy.types import (
    Action,
    Argument,
    CommandAction,
    CommandVerification,
    Confirm,
    PageAction,
    QuietVerification,
    RequestAction,
    ResolvedVerification,
    RolloutAction,
    Step,
    Verification,
)

_ACTIONS = ("workflow", "job", "rollout", "command", "request", "page")
_VERIFICATIONS = ("rollout", "query", "report", "analysis", "command", "quiet", "resolved")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_OUR_HEADERS = ("idempotency-key", "content-length", "transfer-encoding", "connection", "host")
EVERY = timedelta(minutes=1)


def read_steps(place: Place, fallback: Fallback) -> tuple[Step, ...]:
    """The rungs in their order; a page may only be the last."""
    items = place.items("steps")
    steps = tuple(_read_step(item, fallback) for item in items)
    seen: set[str] = set()
    for at, (step, item) in enumerate(zip(steps, items, strict=True)):
        if step.name and step.name in seen:
            own = Place(step.name, f"{item.path}.name", item.faults)
            own.refuse(f'want a name of its own, "{step.name}" stands twice')
        seen.add(step.name)
        if not step.acting and at + 1 < len(steps):
            item.refuse("a page ends the ladder, want it as the last step")
    return steps


def _read_step(place: Place, fallback: Fallback) -> Step:
    fields = place.fields("step")
    name, worse = fields.need("name", "a name"), fields.get("onWorse")
    label = name.label() if name else ""
    kinds = [kind for kind in _ACTIONS if kind in fields]
    if len(kinds) != 1:
        if not any(key in fields for key in LATER["step"]):
            place.refuse(f"want one action, {either(_ACTIONS)}, got {' and '.join(kinds) or 'none'}")
        return Step(label, PageAction()) if not kinds else Step(label, _read_action(fields, kinds[0], fallback))
    action = _read_action(fields, kinds[0], fallback)
    if isinstance(action, PageAction):
        if "verify" in fields:
            fields.at("verify").refuse("a page has nothing to verify, leave it out")
        if "confirm" in fields:
            fields.at("confirm").refuse("a page brings nothing that labels could confirm, leave it out")
        if "approve" in fields:
            fields.at("approve").refuse("a page asks nobody before it, leave it out")
        return Step(label, action)
    verify = fields.need("verify", 'a list of verifications, or "none"')
    asked = fields.get("approve")
    verifications = _read_verifications(verify, fallback) if verify else ()
    own = action.timeout if isinstance(action, RolloutAction) else fallback.rollout_timeout
    step = Step(label, action, verifications, restore_within=own, approve=asked.flag() if asked else False)
    confirm = _read_confirm(fields.at("confirm"), step) if "confirm" in fields else None
    return replace(step, on_worse=_read_worse(step, worse), confirm=confirm)


def _read_confirm(place: Place, step: Step) -> Confirm | None:
    fields = place.fields("confirm")
    metric, within = fields.need("metric", "a metric's name"), fields.need("within", "a duration")
    if not step.verify:
        place.refuse("want a list of verifications under verify: labels confirm what early signs have shown")
    if metric is None or within is None:
        return None
    return Confirm(metric_name(metric.text("a metric's name")), within.duration())


def _read_worse(step: Step, place: Place | None) -> Literal["restore", "stop"]:
    """As written, or else to restore wherever there is something to go back to."""
    if place is None:
        return "restore" if step.brings_versions else "stop"
    found: Literal["restore", "stop"] = place.one_of("stop", "restore")
    if found == "restore" and not step.brings_versions:
        place.refuse("want stop: only what a workflow, or a rollout by to or promote, has brought can be undone")
    return found


def _read_action(fields: Fields, kind: str, fallback: Fallback) -> Action:
    place = fields.at(kind)
    if kind == "command":
        return _read_command(place, fallback)
    if kind == "request":
        return _read_request(place, fallback)
    if kind == "workflow":
        return read_workflow(place, fallback)
    if kind == "job":
        return read_job(place, fallback)
    if kind == "rollout":
        return read_rollout(place, fallback)
    receiver = place.fields("page").get("receiver")
    return PageAction(receiver.text("a receiver's name") if receiver else "default")


def _read_command(place: Place, fallback: Fallback) -> CommandAction:
    fields = place.fields("command")
    idempotent = fields.get("idempotent")
    return CommandAction(
        argv=_read_argv(fields),
        timeout=duration(fields, "timeout", fallback.command_timeout),
        idempotent=idempotent.flag() if idempotent else False,
        env=read_env(fields),
        cwd=_read_cwd(fields),
    )


def _read_argv(fields: Fields) -> tuple[Argument, ...]:
    place = fields.need("argv", "a list of arguments")
    items = place.items("arguments") if place else []
    for program in items[:1]:
        if not isinstance(program.value, str):
            program.want("the program as a string")
            return ()
    return tuple(read_argument(item) for item in items)


def _read_cwd(fields: Fields) -> str | None:
    place = fields.get("cwd")
    return place.text("a folder") if place else None


def _read_request(place: Place, fallback: Fallback) -> RequestAction:
    fields = place.fields("request")
    url, method, body = fields.need("url", "a URL"), fields.get("method"), fields.get("body")
    headers: dict[str, Argument] = {}
    for name, header in fields.at("headers").entries("headers") if "headers" in fields else []:
        if not _HEADER.fullmatch(name):
            header.refuse("want a header's name")
        elif name.lower() in _OUR_HEADERS:
            header.refuse("this header is set by modelmend")
        else:
            headers[name] = read_argument(header)
    return RequestAction(
        url=_read_url(url) if url else "",
        timeout=duration(fields, "timeout", fallback.request_timeout),
        method=method.one_of("POST", "PUT", "PATCH") if method else "POST",
        headers=headers,
        body=_read_body(body) if body else None,
    )


def _read_url(place: Place) -> str:
    if isinstance(place.value, dict):
        place.refuse("want the URL as a string: where a request goes must not depend on an event")
        return ""
    text = place.text("a URL such as https://host/path")
    try:
        parts = urlsplit(text)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        valid = False
    if text and (not valid or any(character.isspace() for character in text)):
        place.want("a URL such as https://host/path")
    return text


def _read_body(place: Place) -> Any:
    """JSON in which `{expr: …}` stands for a value."""
    value = place.value
    if isinstance(value, dict):
        if set(value) == {"expr"}:
            return Place(value["expr"], f"{place.path}.expr", place.faults).expression()
        return {key: _read_body(Place(part, f"{place.path}.{key}", place.faults)) for key, part in value.items()}
    if isinstance(value, list):
        return [_read_body(Place(part, f"{place.path}[{at}]", place.faults)) for at, part in enumerate(value)]
    return value


def _read_verifications(place: Place, fallback: Fallback) -> tuple[Verification, ...]:
    if place.value == "none":
        return ()
    if not isinstance(place.value, list):
        place.want('a list of verifications, or "none"')
        return ()
    found = (_read_verification(item, fallback) for item in place.items("verifications"))
    return tuple(verification for verification in found if verification)


def _read_verification(place: Place, fallback: Fallback) -> Verification | None:
    written = place.value if isinstance(place.value, dict) else {}
    kinds = [kind for kind in _VERIFICATIONS if kind in written]
    if len(kinds) != 1:
        place.refuse(f"want {either(_VERIFICATIONS)}, got {' and '.join(kinds) or 'none'}")
        return None
    fields = place.fields(f"{kinds[0]} verification")
    if kinds[0] == "rollout":
        return read_rollout_verification(fields, fallback)
    if kinds[0] == "query":
        return read_query(fields, fallback)
    if kinds[0] == "report":
        return read_report(fields, fallback)
    if kinds[0] == "analysis":
        return read_analysis(fields, fallback)
    settle = duration(fields, "settle", fallback.settle, zero=True)
    within = duration(fields, "within", fallback.within)
    if kinds[0] == "quiet":
        quiet = fields.at("quiet").duration()
        check_room(fields, within, ("settle", settle), ("quiet", quiet))
        return QuietVerification(quiet, settle, within)
    hold = duration(fields, "for", fallback.hold, zero=True)
    check_room(fields, within, ("settle", settle), ("for", hold))
    if kinds[0] == "resolved":
        resolved = fields.at("resolved")
        if resolved.value != {}:
            resolved.want("{}")
        return ResolvedVerification(settle, hold, within)
    command = fields.at("command").fields("verifying command")
    every = read_every(fields, EVERY, within)
    return CommandVerification(
        argv=_read_argv(command),
        timeout=duration(command, "timeout", fallback.command_timeout),
        every=every,
        settle=settle,
        hold=hold,
        within=within,
        env=read_env(command),
        cwd=_read_cwd(command),
    )
