"""What senders are told: 202 with what became of each event, or RFC 9457 problems with every fault."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from math import ceil
from typing import Any

from pydantic_core import to_json

from controller.errors import Fault, InvalidEvent, TemporaryError
from controller.events.wire import Rejected
from controller.store.intake import Receipt

MOST_ERRORS = 100  # faults listed in one answer; `rejected` names every event all the same

Headers = list[tuple[bytes, bytes]]
_JSON = (b"content-type", b"application/json")
_PROBLEM = (b"content-type", b"application/problem+json")


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole HTTP response; `headers` without content-length."""

    status: int
    headers: Headers
    body: bytes


def stored(receipt: Receipt) -> Answer:
    """202: everything sent is on disk, now or from before."""
    body = {"accepted": receipt.accepted, "duplicates": receipt.duplicates, "conflicts": receipt.conflicts}
    return Answer(202, [_JSON], to_json(body))


def problem(status: int, detail: str, *, headers: Iterable[tuple[bytes, bytes]] = (), **more: Any) -> Answer:
    """A refusal: type, title, status, detail, and what else is known."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail, **more}
    return Answer(status, [_PROBLEM, *headers], to_json(body))


def invalid(error: InvalidEvent) -> Answer:
    """400, 413, 415 or 422 for a request that holds one event, or cannot be read at all."""
    return problem(error.status, error.title, errors=_errors(error.faults))


def invalid_in_batch(rejected: Sequence[Rejected], receipt: Receipt) -> Answer:
    """400 (422 where only types are unknown) for a batch: the valid events are stored, these are not."""
    status = 422 if all(one.status == 422 for one in rejected) else 400
    count = len(rejected) + len(receipt.accepted) + len(receipt.duplicates)
    return problem(
        status,
        f"{len(rejected)} of {count} events are not valid, the others are stored",
        accepted=receipt.accepted,
        duplicates=receipt.duplicates,
        conflicts=receipt.conflicts,
        rejected=[{"index": one.index, "id": one.id, "title": one.title} for one in rejected],
        errors=_errors([fault for one in rejected for fault in one.faults]),
    )


def again(status: int, error: TemporaryError) -> Answer:
    """429 or 503: nothing was stored, and the same request may be sent again after `Retry-After` seconds."""
    return problem(status, str(error), headers=[(b"retry-after", b"%d" % max(1, ceil(error.retry_after)))])


def _errors(faults: Sequence[Fault]) -> list[dict[str, str]]:
    return [
        {"path": fault.path, "wanted": fault.wanted, "found": fault.found, "detail": str(fault)}
        for fault in faults[:MOST_ERRORS]
    ]
