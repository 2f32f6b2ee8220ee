"""A cluster as a double, at `actions.ensure`, `actions.halt` and the client's `get`: Workflows that the test moves.

What watches would show is told by hand, so that the same history is the same each time. What an object comes to is
worked out by the real `actions.observe`.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pytest

from controller import actions
from controller.actions import Outcome
from controller.errors import TemporaryError
from controller.kube import Kind, Refused
from controller.remediation import Intent


@dataclass
class Objects:
    """Stands for `Kube`, and for what the API server holds."""

    away: bool = False  # the API server does not answer
    blind: bool = False  # there is no right to watch
    deaf: bool = False  # it does what is asked, and its answer gets lost
    objects: dict[str, dict[str, Any]] = field(default_factory=dict)
    created: Counter[str] = field(default_factory=Counter)
    halted: list[str] = field(default_factory=list)
    inherited: list[str] = field(default_factory=list)
    watched: set[tuple[str, str]] = field(default_factory=set)
    rollout: str = "done"  # what a rollout comes to, at once as a patch does
    rolled: list[dict[str, Any]] = field(default_factory=list)  # the orders of rollouts, in the order they were done

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Stand at the doors."""
        monkeypatch.setattr(actions, "ensure", self.ensure)
        monkeypatch.setattr(actions, "halt", self.halt)

    def ensure(
        self, kube: object, intent: Intent, write: object, *, inherited: bool, tried: bool = False
    ) -> dict[str, str] | Outcome:
        if self.away:
            raise TemporaryError("no answer")
        if intent.action == "rollout":
            self.rolled.append(dict(intent.end_state))
            return Outcome(self.rollout, "as scripted")  # type: ignore[arg-type]
        if inherited:
            self.inherited.append(intent.key)
        if intent.key not in self.objects:
            self.created[intent.key] += 1
            self.objects[intent.key] = {
                "kind": "Workflow",
                "metadata": {
                    "name": intent.key,
                    "namespace": "ml",
                    "uid": f"u{sum(self.created.values())}",
                    "annotations": {"modelmend.io/intent": intent.key},
                },
                "spec": {},
                "status": {"phase": "Running"},
            }
        if self.deaf:
            raise TemporaryError("the answer got lost")
        uid = self.objects[intent.key]["metadata"]["uid"]
        return {"kind": "Workflow", "namespace": "ml", "name": intent.key, "uid": uid}

    def halt(self, kube: object, intent: Intent) -> Outcome | None:
        if self.away:
            raise TemporaryError("no answer")
        if intent.key not in self.objects:
            return Outcome("stopped", "never begun")
        self.halted.append(intent.key)
        return None

    def get(self, kind: object, namespace: str, name: str) -> dict[str, Any] | None:
        """As `Kube.get`."""
        if self.away:
            raise TemporaryError("no answer")
        return self.objects.get(name)

    def watch(self, kind: Kind, namespace: str, **kwargs: Any) -> None:
        """Shows nothing, the test tells; but that it is asked, and that it fails where `blind`."""
        self.watched.add((kind.name, namespace))
        if self.blind:
            kwargs["failed"](Refused("no right to watch", status=403, reason="forbidden"))
        kwargs["stop"].wait()

    @property
    def last(self) -> str:
        """The name of the object created last."""
        return list(self.objects)[-1]

    def end(self, phase: str = "Succeeded", name: str | None = None, **status: Any) -> dict[str, Any]:
        """A Workflow comes to its end; returns it, for the watch to show."""
        found = self.objects[name or self.last]
        found["status"] = {"phase": phase, **status}
        return dict(found)
