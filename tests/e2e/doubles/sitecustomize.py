"""A double of a bug: deciding raises for one event and kills the process for another, until the bug is "mended".

Python imports `sitecustomize` at start from PYTHONPATH, in the server and in the children that it
starts; so the real program runs with one function of it wrapped. The folder named by
E2E_DEADLY_UNTIL_MENDED holds nothing at first; a file `mended` in it switches the double off.
"""

import os
import signal
from pathlib import Path

_folder = os.environ.get("E2E_DEADLY_UNTIL_MENDED")

if _folder:
    import controller.decision

    _decide = controller.decision.decide

    def decide_or_die(event, *arguments):
        if not (Path(_folder) / "mended").exists():
            if event.id == "deadly":
                os.kill(os.getpid(), signal.SIGKILL)
            if event.id == "raising":
                raise ZeroDivisionError("a bug in deciding")
        return _decide(event, *arguments)

    controller.decision.decide = decide_or_die  # before controller.engine.deciding imports it by name
