"""What was received: one immutable fact, whichever wire brought it.

Identity is `source` and `id` together (CloudEvents 1.0). Everything that the engine asks
of an event often stands in a field of its own, so that no later room reads the wire again.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

OWN_SOURCE = "modelmend"
"""The source of our own events; no sender may use it."""


@dataclass(frozen=True, slots=True)
class Event:
    """One validated event.

    `time` is aware UTC; where the sender gave none, or one ahead of our clock, it is the
    time of receipt (`time_marked` says that it lay ahead). `namespace` is what the sender
    wrote or its settings say, None where nobody said. `version` is the model's version as
    far as the event tells it. `family` None means a moment: it opens no condition.
    `model` None: it is about the dataset alone. Where both are named it is about the model.
    """

    source: str
    id: str
    type: str
    subject: str | None
    time: datetime
    time_marked: bool
    namespace: str | None
    model: str | None
    dataset: str | None
    version: str | None
    family: str | None
    over: bool  # ends conditions of its family; with family None (ml.monitor.checked): of all families
    about: str  # canonical key, `feature=salary;kind=data`; '' names nothing
    data: dict[str, Any]  # numbers are floats, integers beyond 2^53 stay integers
    extensions: dict[str, str | int | bool]
    digest: str  # SHA-256 over the content as sent; two deliveries of one event have the same

    @property
    def kind(self) -> Literal["model", "dataset"]:
        """What it is about."""
        return "model" if self.model is not None else "dataset"

    @property
    def subject_name(self) -> str:
        """The name of the model, or of the dataset that stands instead of one."""
        return self.model or self.dataset or ""

    @property
    def feature(self) -> str | None:
        """The feature that it is about; None: it names none."""
        return feature_of(self.about)


def about_key(data: dict[str, Any], keys: tuple[str, ...]) -> str:
    """What an event is about, as the canonical key of its condition: `feature=salary;kind=data`.

    Absent keys are left out, so an event that names nothing has the key ''.
    """
    return ";".join([f"{key}={_plain(data[key])}" for key in keys if data.get(key) is not None])


def feature_of(about: str) -> str | None:
    """The feature in such a key; None where it names none."""
    for part in about.split(";"):
        if part.startswith("feature="):
            text = part.removeprefix("feature=")
            return text.replace("%3D", "=").replace("%3B", ";").replace("%25", "%") if "%" in text else text
    return None


def _plain(value: Any) -> str:
    """The value as text in which `;`, `=` and `%` stand escaped, so that two keys never read alike."""
    if isinstance(value, (dict, list, bool)):
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    elif isinstance(value, float) and value.is_integer():
        text = str(int(value))
    else:
        text = str(value)
    if "%" in text or ";" in text or "=" in text:
        return text.replace("%", "%25").replace(";", "%3B").replace("=", "%3D")
    return text
