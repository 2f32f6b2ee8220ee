"""Commands that change something: each is one POST, answered by what the engine made of it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from typing import Any

from controller.cli.printing import as_json, note, print_json, print_list
from controller.cli.server import client
from controller.cli.tables import safe, since, text
from controller.client import Refused, path_of
from controller.errors import ConfigError


def cancel(arguments: argparse.Namespace) -> int:
    """Stop a remediation."""
    return _post(arguments, path_of("remediations", arguments.id, "cancel"), {})


def approve(arguments: argparse.Namespace) -> int:
    """Say yes to what a remediation asks."""
    return _answer(arguments, "approve")


def reject(arguments: argparse.Namespace) -> int:
    """Say no to it."""
    return _answer(arguments, "reject")


def _answer(arguments: argparse.Namespace, act: str) -> int:
    """Answers what is asked when the command is given: not what may be asked by the time it arrives."""
    with client(arguments) as server:
        asked = server.get(path_of("remediations", arguments.id))
    asking = {"asking": asked["version"]} if asked["phase"] == "AwaitingApproval" else {}
    return _post(arguments, path_of("remediations", arguments.id, act), asking)


def retry(arguments: argparse.Namespace) -> int:
    """Try the step again at which a remediation ended."""
    return _post(arguments, path_of("remediations", arguments.id, "retry"), {})


def silence(arguments: argparse.Namespace) -> int:
    """Add, list or expire silences."""
    if arguments.part == "list":
        return _silences(arguments)
    if arguments.part == "expire":
        return _post(arguments, path_of("silences", arguments.id, "expire"), {})
    body: dict[str, Any] = {"matchers": _matchers(arguments.matchers)}
    given = {"startsAt": arguments.start, "endsAt": arguments.until, "for": arguments.length}
    body |= {key: value for key, value in given.items() if value is not None}
    if arguments.all:
        body["all"] = True
    try:
        return _post(arguments, "/silences", body | ({"confirm": True} if arguments.yes else {}))
    except Refused as refused:
        if "confirm" not in refused.problem:
            raise
        muted = refused.problem["confirm"]
    if not sys.stdin.isatty():  # nobody is there to be asked
        note("it would silence everything; give --yes if it shall")
        return 2
    if not _confirmed(muted):
        note("nothing was silenced")
        return 1
    return _post(arguments, "/silences", body | {"confirm": True})


def _confirmed(muted: Mapping[str, Any]) -> bool:
    """Whether the person at the terminal means it."""
    print(
        f"It silences everything: {muted.get('models')} models, {muted.get('policies')} policies. Go on? [y/N] ",
        end="",
        file=sys.stderr,
        flush=True,
    )
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _silences(arguments: argparse.Namespace) -> int:
    columns = (
        ("ID", text("id")),
        ("STATE", text("state")),
        ("MATCHERS", text("matchers")),
        ("STARTS", since("startsAt")),
        ("ENDS", since("endsAt")),
        ("WHO", text("who")),
        ("WHY", text("why")),
    )
    with client(arguments) as server:
        answer = server.items("/silences", arguments.limit, state=arguments.state)
    return print_list(arguments, answer, columns, "no silences")


def _matchers(given: list[str]) -> dict[str, str]:
    matchers: dict[str, str] = {}
    for item in given:
        name, equals, pattern = item.partition("=")
        if not equals or not name or not pattern:
            raise ConfigError((f"silence: want matchers as name=glob, got {item!r}",))
        if name in ("model", "policy") and "/" in pattern:
            namespace, pattern = pattern.split("/", 1)
            _put(matchers, "namespace", namespace)
        _put(matchers, name, pattern)
    return matchers


def _put(matchers: dict[str, str], name: str, pattern: str) -> None:
    if matchers.setdefault(name, pattern) != pattern:
        raise ConfigError((f"silence: want one value for {name}, got {matchers[name]!r} and {pattern!r}",))


def pause(arguments: argparse.Namespace) -> int:
    """Stop everything, or a part."""
    return _post(arguments, "/pause", {**_scope(arguments), **({"until": arguments.until} if arguments.until else {})})


def resume(arguments: argparse.Namespace) -> int:
    """End a pause, close a breaker."""
    return _post(arguments, "/resume", _scope(arguments))


def _scope(arguments: argparse.Namespace) -> dict[str, str]:
    names = ("namespace", "policy", "model")
    return {name: value for name in names if (value := getattr(arguments, name)) is not None}


def quarantine(arguments: argparse.Namespace) -> int:
    """List what could not be used, or try it again."""
    if arguments.part == "replay":
        return _post(arguments, path_of("quarantine", arguments.digest, "replay"), {})
    columns = (
        ("DIGEST", text("digest")),
        ("ORIGIN", text("origin")),
        ("REASON", text("reason")),
        ("COUNT", text("count")),
        ("LAST SEEN", since("lastSeen")),
        ("REPLAYED", since("replayedAt")),
        ("MESSAGE", text("message")),
    )
    with client(arguments) as server:
        answer = server.items("/quarantine", arguments.limit)
    return print_list(arguments, answer, columns, "the quarantine is empty")


def end_condition(arguments: argparse.Namespace) -> int:
    """`modelmend conditions end`."""
    return _post(arguments, path_of("conditions", arguments.id, "end"), {})


def _post(arguments: argparse.Namespace, path: str, body: Mapping[str, Any]) -> int:
    with client(arguments) as server:
        answer = server.post(path, {**body, "why": arguments.reason})
    if as_json(arguments):
        print_json(answer)
    else:
        print(safe(str(answer.get("message") or "done")))
    return 0
