"""The error tree: what went wrong, and whether trying again can help.

::

    ModelmendError
    ├── ConfigError        settings or documents are wrong: names file, document, field, wanted, found
    ├── InvalidEvent       a sender's fault: every fault with its path (HTTP 400)
    ├── TemporaryError     try again after `retry_after`: store or API server away, 5xx, 429
    ├── Conflict           somebody else changed it: read again, reconcile again (409)
    ├── PermanentError     trying again cannot help: 403, 404, 422; the step fails, named
    └── NotLeader          this process no longer leads its database: stop deciding and saving

Foreign exceptions (SQLAlchemy's, requests', the operating system's) are translated
once, at the edge that met them, and chained as the cause.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong at one place: `path` as `spec.limits.cooldown` or `data.driftScore`."""

    path: str
    wanted: str
    found: str

    def __str__(self) -> str:
        return f"{self.path}: want {self.wanted}, got {self.found}"


class ModelmendError(Exception):
    """Everything that modelmend raises by itself."""


class ConfigError(ModelmendError):
    """Settings or documents are wrong; `problems` are complete one-line messages, all of one run."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class InvalidEvent(ModelmendError):
    """What a sender posted is not a valid event; `faults` holds every fault found."""

    def __init__(self, title: str, faults: tuple[Fault, ...] = (), *, status: int = 400) -> None:
        super().__init__("; ".join([title, *map(str, faults)]))
        self.title = title
        self.faults = faults
        self.status = status


class TemporaryError(ModelmendError):
    """Trying again may help, not before `retry_after` seconds."""

    def __init__(self, message: str, *, retry_after: float = 5.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Conflict(ModelmendError):
    """The state changed since it was read: read again and reconcile again."""


class PermanentError(ModelmendError):
    """Trying again cannot help."""


class NotLeader(ModelmendError):
    """Another process has taken over the database: nothing may be decided or saved here."""
