"""The command `modelmend`: parse, do one thing, answer with an exit code.

0 done; 1 the answer is no; 2 bad use, or no answer could be had. What is asked for goes
to standard output, everything else, in one clear line each, to standard error. Each
command imports what it needs when it runs, so that `modelmend version` stays quick.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

from controller.cli.parser import build_parser
from controller.errors import ConfigError, Conflict, ModelmendError

DONE, NO, BAD_USE = 0, 1, 2
_INTERRUPTED = 130

_MODULES = {
    "serve": "local",
    "check": "local",
    "token": "local",
    "version": "local",
    "send": "sending",
    "approve": "acting",
    "reject": "acting",
    "retry": "acting",
    "cancel": "acting",
    "silence": "acting",
    "pause": "acting",
    "resume": "acting",
    "quarantine": "acting",
    "explain": "asking",
    "events": "asking",
    "decisions": "asking",
    "models": "asking",
    "policies": "asking",
    "remediations": "asking",
    "conditions": "asking",
    "status": "asking",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command (default: the process's arguments) and return its exit code."""
    try:
        arguments = build_parser().parse_args(argv)
    except SystemExit as stop:  # argparse has said why: 0 for --help, 2 for bad use
        return stop.code if isinstance(stop.code, int) else BAD_USE
    try:
        code = _run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read our output has enough of it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except KeyboardInterrupt:
        return _INTERRUPTED
    return code


def _run(arguments: argparse.Namespace) -> int:
    module = importlib.import_module(f"controller.cli.{_MODULES[arguments.command]}")
    try:
        code: int = getattr(module, arguments.command)(arguments)
    except ConfigError as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)
        return BAD_USE
    except ModelmendError as error:
        print(f"modelmend: {error}", file=sys.stderr)
        return NO if isinstance(error, Conflict) or getattr(error, "status", None) in (404, 409) else BAD_USE
    return code
