import argparse
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from controller.cli import _MODULES, main
from controller.cli.parser import build_parser

DOCUMENT = Path(__file__).parents[2] / "docs" / "commands.md"
COMMANDS = [
    "serve",
    "check",
    "send",
    "explain",
    "events",
    "decisions",
    "models",
    "policies",
    "remediations",
    "conditions",
    "status",
    "approve",
    "reject",
    "retry",
    "cancel",
    "silence",
    "pause",
    "resume",
    "quarantine",
    "token",
    "version",
]


def parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """The parsers of every command and of every part of one, in the order of the help."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for child in action.choices.values():
                yield child
                yield from parsers(child)


def reference(parser: argparse.ArgumentParser) -> str:
    """The section of a command: its arguments as a table, independent of how argparse breaks lines."""
    rows = []
    for action in parser._actions:
        if isinstance(action, argparse._HelpAction | argparse._SubParsersAction):
            continue
        values = " ".join(filter(None, [", ".join(action.option_strings), _value(action)]))
        must = " **required**;" if action.required and action.option_strings else ""
        rows.append(f"| `{values.replace('|', chr(92) + '|')}` |{must} {action.help} |")
    table = "\n".join(["| argument | meaning |", "|---|---|", *rows]) if rows else "It takes no arguments."
    return f"## `{parser.prog}`\n\n{parser.description}.\n\n{table}\n"


def _value(action: argparse.Action) -> str:
    if action.nargs == 0:
        return ""
    name = "{" + ",".join(map(str, action.choices)) + "}" if action.choices else str(action.metavar or action.dest)
    if not action.option_strings:
        name = name if action.metavar else name.upper()
    return {"*": f"[{name} …]", "+": f"{name} …", "?": f"[{name}]"}.get(str(action.nargs), name)


@pytest.mark.parametrize("parser", list(parsers(build_parser())), ids=lambda parser: parser.prog)
def test_command_is_documented(parser: argparse.ArgumentParser) -> None:
    """docs/commands.md has every command and part with the arguments that it takes, as `--help` says them."""
    section = reference(parser)
    assert section in DOCUMENT.read_text(encoding="utf-8"), section


def test_nothing_else_is_documented() -> None:
    """docs/commands.md has no command that is not there."""
    sections = re.findall(r"^## `(modelmend [\w ]+)`$", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
    assert sections == [parser.prog for parser in parsers(build_parser())]


def test_commands_are_those_of_the_design() -> None:
    """Every command of the design that this release has is there, and runs somewhere."""
    (commands,) = (a for a in build_parser()._actions if isinstance(a, argparse._SubParsersAction))
    assert sorted(commands.choices) == sorted(COMMANDS) == sorted(_MODULES)


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_is_printed(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Help is no error, and says the exit codes."""
    assert main([*command.split(), "--help"]) == 0
    assert "exit codes" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("", "COMMAND"),
        ("frobnicate", "invalid choice"),
        ("cancel r-1", "--reason"),
        ("silence add model=x --reason w", "--for"),
        ("silence add model=x --for 2h --until x --reason w", "not allowed with"),
        ("pause --model a --policy b --reason w", "not allowed with"),
        ("events --limit 0", "want a number from 1"),
        ("events --limit 9999999", "want a number from 1"),
        ("events --output yaml", "invalid choice"),
        ("token new ada", "--role"),
        ("token new ada --role root", "invalid choice"),
        ("check", "PATH"),
        ("serve --data x --database y", "not allowed with"),
        ("explain --sou x d1", "--sou"),
        ("conditions end", "ID"),
    ],
)
def test_bad_use_is_2(line: str, wanted: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Bad use exits 2 and says on standard error what was wanted."""
    assert main(line.split()) == 2
    assert wanted in capsys.readouterr().err


def test_server_stands_before_or_after_a_part() -> None:
    """`conditions --server X end ID` keeps its server: a part's parser does not overwrite it."""
    before = build_parser().parse_args(["conditions", "--server", "http://a", "end", "c-1", "--reason", "w"])
    after = build_parser().parse_args(["conditions", "end", "c-1", "--reason", "w", "--server", "http://b"])
    assert (before.server, after.server) == ("http://a", "http://b")
