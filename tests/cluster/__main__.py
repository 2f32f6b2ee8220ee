"""`python -m tests.cluster up | down | run COMMAND... | env | load ARCHIVE... | stop PROGRAM | start PROGRAM`."""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

from tests.cluster import cluster
from tests.cluster.components import COMMANDS
from tests.cluster.host import ClusterError, say


def main() -> int:
    """Carry out one command; 1, with a message, where that fails."""
    parser = argparse.ArgumentParser(prog="python -m tests.cluster", description="A Kubernetes for the tests.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser(
        "up", help="get a cluster: CLUSTER=node (the default), kind, or given (where KUBECONFIG is set)"
    )
    commands.add_parser("down", help="take it down and leave nothing behind")
    run = commands.add_parser(
        "run", help="run a command on it: what is up stays up, else it is got and taken down after"
    )
    run.add_argument("words", nargs=argparse.REMAINDER, metavar="COMMAND")
    commands.add_parser("env", help='print its environment: eval "$(python -m tests.cluster env)"')
    commands.add_parser("load", help="give it images").add_argument("archives", nargs="+", type=Path, metavar="ARCHIVE")
    for name, told in (("stop", "end a program of the node, as a crash does"), ("start", "start it again")):
        commands.add_parser(name, help=told).add_argument("program", choices=sorted(COMMANDS), metavar="PROGRAM")
    asked = parser.parse_args()
    began = time.monotonic()
    try:
        if asked.command == "run":
            return run_on_it(asked.words)
        carry_out(asked)
    except ClusterError as error:
        say(str(error))
        return 1
    if asked.command in {"up", "down"}:
        say(f"{asked.command} took {time.monotonic() - began:.1f} s")
    return 0


def run_on_it(words: list[str]) -> int:
    """Run a command with the cluster's environment; its exit code."""
    try:
        found, ours = cluster.current(), False
    except ClusterError:
        found, ours = cluster.up(), cluster.chosen() != "given"
    try:
        return subprocess.run(words, env=os.environ | found.environment, check=False).returncode
    finally:
        if ours:
            cluster.down()


def carry_out(asked: argparse.Namespace) -> None:
    """Do what was asked for."""
    match asked.command:
        case "up":
            cluster.up()
        case "down":
            cluster.down()
        case "env":
            for name, value in cluster.current().environment.items():
                print(f"export {name}={shlex.quote(value)}")
        case "load":
            for archive in asked.archives:
                cluster.current().load(archive)
        case "stop":
            cluster.current().stop(asked.program)
        case "start":
            cluster.current().start(asked.program)


if __name__ == "__main__":
    sys.exit(main())
