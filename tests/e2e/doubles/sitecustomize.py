"""Doubles of bugs and of crashes, in a real `modelmend serve`.

Python imports `sitecustomize` at start from PYTHONPATH, in the server and in the children that it
starts; so the real program runs with one function of it wrapped.

E2E_DEADLY_UNTIL_MENDED names a folder: deciding raises for one event and kills the process for
another, until a file `mended` is put there. E2E_DIES names a moment at which the process kills
itself: `before create`, `after create` (of a Workflow), `before patch`, `after patch` (of what
serves a model), `before recording` (how an action has ended).
"""

import os
import signal
from pathlib import Path

_folder = os.environ.get("E2E_DEADLY_UNTIL_MENDED")
_moment = os.environ.get("E2E_DIES")


def _die():
    os.kill(os.getpid(), signal.SIGKILL)


if _folder:
    import controller.decision

    _decide = controller.decision.decide

    def decide_or_die(event, *arguments):
        if not (Path(_folder) / "mended").exists():
            if event.id == "deadly":
                _die()
            if event.id == "raising":
                raise ZeroDivisionError("a bug in deciding")
        return _decide(event, *arguments)

    controller.decision.decide = decide_or_die  # before controller.engine.deciding imports it by name

if _moment == "before recording":
    import controller.engine.recording

    controller.engine.recording.record_action = lambda *_: _die()  # before controller.engine.loop imports it by name
elif _moment:
    import controller.kube

    _when, _call = _moment.split()
    _kinds = {"create": {"Workflow"}, "patch": {"Rollout", "Deployment"}}[_call]
    _ask = getattr(controller.kube.Kube, _call)

    def ask_and_die(kube, kind, *arguments, **named):
        if kind.name not in _kinds:
            return _ask(kube, kind, *arguments, **named)
        if _when == "after":
            _ask(kube, kind, *arguments, **named)
        return _die()

    setattr(controller.kube.Kube, _call, ask_and_die)
