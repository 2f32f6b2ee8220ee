"""How a step ends: outputs as files, which Argo reads, and one last line that says what came of it.

The line is printed, and written where Kubernetes looks for a container's last word, so that
it becomes the message of the step in `kubectl get workflow` and in modelmend's record.
"""

from __future__ import annotations

import argparse
import os
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

LAST_WORD = Path("/dev/termination-log")
LONGEST = 1024
"""Characters of a last line: it goes into the Workflow, which goes into etcd."""


class StepFailed(Exception):
    """The step cannot do what it is asked to; the message is one line for people."""


class Parameters(argparse.ArgumentParser):
    """Reads a template's parameters; one that is wrong fails the step."""

    def error(self, message: str) -> NoReturn:
        raise StepFailed(message)


def report(**outputs: str) -> None:
    """Leave outputs for Argo, `model_version="v5"` as `model-version`, in the folder that OUTPUTS names."""
    folder = Path(os.environ.get("OUTPUTS", "/tmp/outputs"))  # noqa: S108 the pod's own
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in outputs.items():
        (folder / name.replace("_", "-")).write_text(value)


def run(step: Callable[[], str], last_word: Path = LAST_WORD) -> int:
    """Do the step, end with the line that it returns or fails with; 0 or 1 for the exit status."""
    try:
        status, line = 0, step()
    except StepFailed as failed:
        status, line = 1, str(failed)
    except Exception as error:  # noqa: BLE001 whatever it is, people get a last line
        traceback.print_exc()
        status, line = 1, f"{type(error).__name__}: {error}"
    line = " ".join(line.split())[:LONGEST]
    print(line, flush=True)
    if last_word.exists():  # in a container only
        last_word.write_text(line)
    return status
