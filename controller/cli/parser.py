"""The commands and their options: what `modelmend --help` says, and docs/commands.md with it."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any

OUTPUTS = ("table", "json")
ROLES = ("send", "read", "operate")

_EPILOG = "exit codes: 0 done; 1 the answer is no; 2 bad use, or no answer could be had"


def build_parser() -> argparse.ArgumentParser:
    """The whole command line; the chosen command stands in `command`, a part of it in `part`."""
    parser = argparse.ArgumentParser(
        prog="modelmend",
        description="Mends machine-learning models in production: policies turn drift and degradation events into "
        "verified remediations.",
        epilog=_EPILOG,
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def add(name: str, summary: str, *parents: argparse.ArgumentParser) -> argparse.ArgumentParser:
        return commands.add_parser(
            name, help=summary, description=summary, parents=list(parents), epilog=_EPILOG, allow_abbrev=False
        )

    for fill in (_serving, _asking, _acting):
        fill(add)
    return parser


Add = Callable[..., argparse.ArgumentParser]
Parts = Any  # argparse keeps the type of what add_subparsers gives to itself


def _server_options() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(add_help=False)
    # SUPPRESS: the parser of a part (`conditions end`) would else overwrite what stood before it.
    options.add_argument(
        "--server",
        metavar="URL",
        default=argparse.SUPPRESS,
        help="the server to ask; else MODELMEND_SERVER, else http://127.0.0.1:8080",
    )
    options.add_argument(
        "--token-file",
        metavar="FILE",
        default=argparse.SUPPRESS,
        help="file with the bearer token; else the token itself in MODELMEND_TOKEN",
    )
    options.add_argument(
        "--output", choices=OUTPUTS, default=argparse.SUPPRESS, help="for people or for programs (default: table)"
    )
    return options


def _list_options(*names: str) -> argparse.ArgumentParser:
    helps = {
        "model": "only of this model: name, or namespace/name",
        "dataset": "only of this dataset",
        "namespace": "only of this namespace",
        "policy": "only of this policy: name (in default), or namespace/name",
        "source": "only from this CloudEvents source",
        "type": "only of this event type",
        "state": "only in this state",
        "family": "only of this family: drift, performance, quality",
        "reason": "only with this reason",
        "outcome": "only with this outcome: remediate, suppress, none",
        "phase": "only in this phase",
    }
    options = argparse.ArgumentParser(add_help=False)
    for name in names:
        options.add_argument(f"--{name}", metavar=name.upper(), help=helps[name])
    options.add_argument("--limit", type=_count, default=50, metavar="N", help="at most this many (default: 50)")
    return options


def _why_option() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(add_help=False)
    options.add_argument("--reason", required=True, metavar="TEXT", help="why, in words for the record")
    return options


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 100_000:
        raise argparse.ArgumentTypeError(f"want a number from 1 to 100000, got {text!r}")
    return int(text)


def _part(
    parts: Parts, name: str, summary: str, parents: Sequence[argparse.ArgumentParser] = ()
) -> argparse.ArgumentParser:
    """A part of a command: `modelmend silence add`."""
    described = f"{summary[0].upper()}{summary[1:]}"
    part: argparse.ArgumentParser = parts.add_parser(
        name, help=summary, description=described, parents=list(parents), allow_abbrev=False
    )
    return part


def _serving(add: Add) -> None:
    serve = add("serve", "Receive events, decide, act and verify, until told to stop")
    serve.add_argument(
        "--config", metavar="FILE", help="settings as YAML; MODELMEND_* variables, then flags, win over it"
    )
    serve.add_argument("--listen", metavar="HOST:PORT", help="address to listen on (default: 127.0.0.1:8080)")
    where = serve.add_mutually_exclusive_group()
    where.add_argument("--data", metavar="DIR", help="folder of the SQLite file (default: .modelmend)")
    where.add_argument("--database", metavar="URL", help="postgresql://… instead of the SQLite file")
    serve.add_argument(
        "--policies", metavar="PATH", nargs="+", action="extend", help="files or folders of policies and models"
    )
    serve.add_argument(
        "--kubernetes", action="store_true", default=None, help="watch a cluster for policies and models, and act on it"
    )
    serve.add_argument(
        "--kubeconfig", metavar="FILE", help="how it is reached (default: KUBECONFIG, the pod, or ~/.kube/config)"
    )
    serve.add_argument("--context", metavar="NAME", help="context of the kubeconfig (default: its current one)")
    serve.add_argument("--tokens", metavar="FILE", help="tokens file, as `modelmend token new` writes it")
    serve.add_argument(
        "--insecure", action="store_true", default=None, help="listen beyond loopback without authentication"
    )
    serve.add_argument("--log-level", metavar="LEVEL", help="debug, info, warning, error (default: info)")
    serve.add_argument("--log-format", choices=("json", "text"), help="one JSON object a line, or text for people")

    check = add("check", "Check policies and models as serve would read them; print every error")
    check.add_argument("paths", nargs="+", metavar="PATH", help="files or folders of policies and models")
    check.add_argument(
        "--config", metavar="FILE", help="settings whose event types, receivers and retention they must fit"
    )
    check.add_argument(
        "--kubernetes", action="store_true", default=None, help="as `serve --kubernetes` would; no cluster is asked"
    )
    check.add_argument(
        "--live", action="store_true", help="ask the cluster, too, whether it has what the documents name"
    )
    check.add_argument("--kubeconfig", metavar="FILE", help="how the cluster is reached, with --live or --kubernetes")
    check.add_argument("--context", metavar="NAME", help="context of the kubeconfig (default: its current one)")
    check.add_argument("--output", choices=OUTPUTS, default="table", help="for people or for programs (default: table)")

    token = add("token", "Make tokens, and say which there are")
    parts = token.add_subparsers(dest="part", metavar="PART", required=True)
    new = _part(parts, "new", "make a token; it is shown once, its digest is kept")
    new.add_argument("name", help="whose it is; acts are recorded under this name")
    new.add_argument("--role", choices=ROLES, action="append", required=True, help="what it may do; may be repeated")
    new.add_argument("--expires", metavar="TIME", help="its end, RFC 3339 (default: never)")
    listed = _part(parts, "list", "names and roles of the tokens")
    for part in (new, listed):
        part.add_argument("--tokens", metavar="FILE", help="tokens file; else MODELMEND_TOKENS, else .modelmend/tokens")
        part.add_argument(
            "--output", choices=OUTPUTS, default="table", help="for people or for programs (default: table)"
        )

    add("version", "The version of this program")


def _asking(add: Add) -> None:
    server = _server_options()
    explain = add("explain", "Why modelmend acted or did not, in plain sentences", server)
    explain.add_argument("ref", metavar="REF", help="an event's id or seq, or a remediation's id")
    explain.add_argument("--source", help="the event's source, where its id is not enough")
    events = add(
        "events",
        "Events received, newest first",
        server,
        _list_options("model", "dataset", "namespace", "type", "source"),
    )
    events.add_argument(
        "--undecided", action="store_true", default=None, help="only those that wait for their decision"
    )
    add(
        "decisions",
        "Decisions, newest first",
        server,
        _list_options("model", "namespace", "policy", "outcome", "reason"),
    )
    add("models", "Models known", server, _list_options("namespace"))
    add("policies", "Policies in force, and documents refused", server)
    remediations = add(
        "remediations", "Remediations, newest first", server, _list_options("model", "namespace", "policy", "phase")
    )
    remediations.add_argument(
        "--awaiting", action="store_true", default=None, help="only those that await a person's answer"
    )
    remediations.add_argument("--active", action="store_true", default=None, help="only those that are not over")
    add("status", "What the server is doing", server)
    why = _why_option()
    conditions = add(
        "conditions",
        "What is wrong with models, and with datasets that they read; end one by hand",
        server,
        _list_options("model", "dataset", "namespace", "family", "source", "state"),
    )
    parts = conditions.add_subparsers(dest="part", metavar="PART")
    end = _part(parts, "end", "end a condition by a person's word", [server, why])
    end.add_argument("id", metavar="ID", help="the condition's id")


def _acting(add: Add) -> None:
    server, why = _server_options(), _why_option()
    send = add("send", "Send an event from a file, from standard input or from options", server)
    send.add_argument(
        "file", nargs="?", metavar="FILE", help="an event as JSON, or a list of them; - is standard input"
    )
    send.add_argument("--type", help="make an event of this type, with an id and the time of now")
    send.add_argument("--source", default="urn:modelmend:send", help="its source (default: urn:modelmend:send)")
    send.add_argument("--id", help="its id (default: a new one)")
    send.add_argument("--time", metavar="TIME", help="when it happened, RFC 3339 (default: now)")
    send.add_argument("--subject", help="its subject")
    send.add_argument(
        "--data", action="append", default=[], metavar="KEY=VALUE", help="its data; numbers and JSON as such; repeat"
    )

    for name, summary, needed in (
        ("approve", "Say yes to the step that a remediation asks about", False),
        ("reject", "Say no to it: the remediation ends", True),
        ("retry", "Try the step again at which a remediation ended, through all limits", False),
    ):
        answer = add(name, summary, server)
        answer.add_argument("id", metavar="ID", help="the remediation's id")
        answer.add_argument(
            "--comment", dest="reason", metavar="TEXT", required=needed, default="", help="words for the record"
        )

    cancel = add("cancel", "Stop a remediation's action and end it", server, why)
    cancel.add_argument("id", metavar="ID", help="the remediation's id")

    silence = add("silence", "Mute for a time what matches; list silences; end one", server)
    parts = silence.add_subparsers(dest="part", metavar="PART", required=True)
    new = _part(parts, "add", "add a silence", [server, why])
    new.add_argument(
        "matchers", nargs="*", metavar="NAME=GLOB", help="all must match: namespace, model, policy, type, source, "
        "severity, feature, metric, slice, labels.<name>",
    )  # fmt: skip
    new.add_argument("--all", action="store_true", help="mute everything, instead of matchers")
    new.add_argument("--yes", action="store_true", help="do not ask where it mutes every model and every policy")
    until = new.add_mutually_exclusive_group(required=True)
    until.add_argument("--for", dest="length", metavar="DURATION", help="how long, as 2h or 3d")
    until.add_argument("--until", metavar="TIME", help="its end, RFC 3339")
    new.add_argument("--from", dest="start", metavar="TIME", help="its start, RFC 3339 (default: now)")
    listed = _part(parts, "list", "list silences", [server, _list_options()])
    listed.add_argument("--state", choices=("pending", "active", "expired"), help="only in this state")
    expire = _part(parts, "expire", "end a silence now", [server, why])
    expire.add_argument("id", metavar="ID", help="the silence's id")

    _pausing(add, server, why)

    quarantine = add("quarantine", "What could not be used; try it again", server)
    parts = quarantine.add_subparsers(dest="part", metavar="PART", required=True)
    _part(parts, "list", "list the quarantine", [server, _list_options()])
    replay = _part(parts, "replay", "try an item again", [server, why])
    replay.add_argument("digest", metavar="DIGEST", help="the item's digest")


def _pausing(add: Add, server: argparse.ArgumentParser, why: argparse.ArgumentParser) -> None:
    pause = add("pause", "Stop everything, or one namespace, policy or model, until resumed", server, why)
    scope = pause.add_mutually_exclusive_group()
    scope.add_argument("--namespace", help="only this namespace")
    scope.add_argument("--policy", help="only this policy: name (in default), or namespace/name")
    scope.add_argument("--model", help="only this model: name (in default), or namespace/name")
    pause.add_argument("--until", metavar="TIME", help="RFC 3339 (default: until resumed)")

    resume = add("resume", "End a pause; with --policy and --model also close the policy's breaker", server, why)
    resume.add_argument("--namespace", help="the pause of this namespace")
    resume.add_argument("--policy", help="the pause of this policy: name (in default), or namespace/name")
    resume.add_argument("--model", help="the pause of this model: name (in default), or namespace/name")
