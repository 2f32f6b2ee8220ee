"""Commands that need no server: serve itself, check, token, version."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from controller import __version__
from controller.cli.printing import as_json, note, print_json
from controller.cli.tables import safe, since, table, text
from controller.durations import format_duration
from controller.errors import ConfigError

if TYPE_CHECKING:
    from controller.policy import PolicySet, Problem
    from controller.settings import Settings

_DEFAULT_TOKENS = ".modelmend/tokens"
_TERMINATED = 128 + signal.SIGTERM  # as shells say it
_SETTINGS = (
    "listen",
    "data",
    "database",
    "policies",
    "kubernetes",
    "kubeconfig",
    "context",
    "tokens",
    "insecure",
    "log_level",
    "log_format",
)


def version(arguments: argparse.Namespace) -> int:
    """`modelmend version`."""
    print(f"modelmend {__version__}")
    return 0


def serve(arguments: argparse.Namespace) -> int:
    """`modelmend serve`: returns when it was told to stop and has done so."""
    # The first process of a container has no default for it: told so while it starts, it would not end at all.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(_TERMINATED))
    from controller.settings import Settings

    flags = {name: getattr(arguments, name) for name in _SETTINGS}
    settings = Settings.load(_path(arguments.config), flags, os.environ)
    from controller.app import run

    return run(settings) or 0


def check(arguments: argparse.Namespace) -> int:
    """`modelmend check`: every problem of the files, 2 where there is one; warnings change nothing of that."""
    from controller.events.types import EventTypes
    from controller.policy import Installation, build_set, freeze_warnings, policy_warnings, read_documents
    from controller.settings import Settings

    flags = {name: getattr(arguments, name) for name in ("kubernetes", "kubeconfig", "context")}
    flags["kubernetes"] = True if arguments.live else arguments.kubernetes
    settings = Settings.load(_path(arguments.config), flags, os.environ)
    installation = Installation.of(
        EventTypes(settings.event_types),
        settings.receivers,
        commands=settings.database_url.startswith("sqlite"),
        cluster=settings.kubernetes,
        prometheus=settings.prometheus.url is not None,
        events_kept=settings.retention.events,
        decisions_kept=settings.retention.decisions,
    )
    documents, faults = read_documents(map(Path, arguments.paths))
    found, problems = build_set(documents, installation, faults)
    if arguments.live:
        problems += _ask_cluster(settings, found)
    periods = {source: sender.period for source, sender in settings.senders.items() if sender.period is not None}
    warnings = list(policy_warnings(found.policies, periods))
    warnings += freeze_warnings(found, datetime.now(UTC))
    if as_json(arguments):
        told = {"ok": not problems, "problems": list(map(str, problems)), "warnings": warnings}
        print_json({**told, **_ahead(found)})
    else:
        for problem in problems:
            note(str(problem))
        for warning in warnings:
            note(f"warning: {warning}")
        if not problems:
            print(f"good: {len(found.policies)} policies, {len(found.models)} models")
            for line in _told(_ahead(found)):
                print(line)
    return 2 if problems else 0


def _ahead(policies: PolicySet) -> dict[str, list[dict[str, Any]]]:
    """The next due times of schedules and windows of freezes, as JSON."""
    from controller.policy.outlook import freezes, schedules
    from controller.store.paging import instant

    now = datetime.now(UTC)
    return {
        "schedules": [
            {
                "policy": dated.policy.key,
                "trigger": dated.trigger.name,
                "spread": format_duration(dated.schedule.spread),
                "next": [instant(due) for due in dated.times],
            }
            for dated in schedules(policies, now)
        ],
        "freezes": [
            {
                "freeze": planned.freeze.key,
                "spread": format_duration(planned.freeze.spread),
                "next": [{"start": instant(window.start), "end": instant(window.end)} for window in planned.windows],
            }
            for planned in freezes(policies, now)
        ],
    }


def _told(ahead: dict[str, list[dict[str, Any]]]) -> Iterator[str]:
    """The same as lines."""
    for dated in ahead["schedules"]:
        later = "" if dated["spread"] == "0s" else f", each model up to {dated['spread']} later"
        times = ", ".join(map(_minute, dated["next"]))
        yield f"schedule {dated['policy']} {dated['trigger']}: due next {times} UTC{later}"
    for planned in ahead["freezes"]:
        windows = [f"{_minute(window['start'])} to {_minute(window['end'])} UTC" for window in planned["next"]]
        yield f"freeze {planned['freeze']}: {', '.join(windows) or 'over'}"


def _minute(moment: str) -> str:
    return moment[:16].replace("T", " ")


def _ask_cluster(settings: Settings, policies: PolicySet) -> tuple[Problem, ...]:
    from controller.kube import Kube
    from controller.live import live_problems

    kube = Kube.connect(settings.kubeconfig, settings.context)
    try:
        return tuple(live_problems(kube, policies))
    finally:
        kube.close()


def token(arguments: argparse.Namespace) -> int:
    """`modelmend token new` and `modelmend token list`."""
    file = Path(arguments.tokens or os.environ.get("MODELMEND_TOKENS") or _DEFAULT_TOKENS)
    return _new_token(arguments, file) if arguments.part == "new" else _list_tokens(arguments, file)


def _new_token(arguments: argparse.Namespace, file: Path) -> int:
    from controller.tokens import create_token

    try:
        expires = None if arguments.expires is None else _moment(arguments.expires)
        secret = create_token(file, arguments.name, arguments.role, expires=expires)
    except ValueError as error:
        raise ConfigError((f"token new: {error}",)) from error
    except OSError as error:
        raise ConfigError((f"{file}: want a file that can be written, got: {error.strerror}",)) from error
    if as_json(arguments):
        print_json({"name": arguments.name, "roles": arguments.role, "token": secret, "file": str(file)})
    else:
        note(f"added {arguments.name} ({', '.join(arguments.role)}) to {file}; the token is shown this once:")
        print(secret)
    return 0


def _list_tokens(arguments: argparse.Namespace, file: Path) -> int:
    from controller.tokens import load_tokens

    now = datetime.now(UTC)
    rows = [
        {
            "name": kept.name,
            "roles": sorted(kept.roles),
            "expires": kept.expires.isoformat() if kept.expires else None,
            "valid": kept.expires is None or now < kept.expires,
        }
        for kept in load_tokens(file)
    ]
    if as_json(arguments):
        print_json({"items": rows, "next": None})
    elif rows:
        columns = (
            ("NAME", text("name")),
            ("ROLES", text("roles")),
            ("EXPIRES", since("expires")),
            ("VALID", text("valid")),
        )
        print(table(columns, rows, now))
    else:
        note(f"no tokens in {safe(str(file))}")
    return 0


def _moment(given: str) -> datetime:
    try:
        moment = datetime.fromisoformat(given)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise ValueError(f"--expires: want an RFC 3339 time with an offset, got {given!r}")
    return moment


def _path(file: str | None) -> Path | None:
    return None if file is None else Path(file)
