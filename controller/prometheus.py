"""Asking Prometheus, or what speaks its HTTP API: one number at one time, or over a span.

What is no number is `NoNumber`, with the reason in words that may be shown: an answer with no
series or with several, NaN, an error, garbage, none at all. No address, header or token is in them.
"""

from __future__ import annotations

import math
import ssl
import threading
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import urlencode

from pydantic_core import from_json

from controller.call import Answer, call, origin
from controller.errors import ModelmendError
from controller.process import one_line
from controller.settings import Prometheus as Settings

MOST_POINTS = 240
"""Points of a span that are asked for, so that one series fits into an answer."""
T = TypeVar("T")
_SHOWN = 200  # characters of what Prometheus says of an error


class NoNumber(ModelmendError):
    """Prometheus gave no one number; the message says why."""


class NoQuestion(NoNumber):
    """Prometheus cannot read the query, or it is no number by its form: asking later changes nothing of that."""


class Prometheus:
    """A client. Safe to share between threads.

    A call blocks for the settings' timeout at most, beside what connecting takes (3 s for each address).

    :param settings: with a URL.
    """

    def __init__(self, settings: Settings) -> None:
        assert settings.url is not None
        self._settings = settings
        self._url = settings.url.rstrip("/")

    def at(self, query: str, time: datetime, cancelled: threading.Event) -> float:
        """The one number that the query is at this time; raises NoNumber."""
        data = self._ask("query", {"query": query, "time": _seconds(time)}, cancelled)
        kind, result = data.get("resultType"), data.get("result")
        if kind == "scalar":
            return _number(result)
        if kind != "vector" or not isinstance(result, list):
            raise NoQuestion(f"want one number, the query gives a {kind}")
        return _number(_only(result).get("value"))

    def mean(self, query: str, start: datetime, end: datetime, every: timedelta, cancelled: threading.Event) -> float:
        """The mean of the numbers that the query was from `start` to `end`; raises NoNumber where it never was one."""
        if end <= start:
            return self.at(query, end, cancelled)
        step = max(every, (end - start) / MOST_POINTS, timedelta(seconds=1)).total_seconds()
        asked = {"query": query, "start": _seconds(start), "end": _seconds(end), "step": f"{step:.3f}"}
        data = self._ask("query_range", asked, cancelled)
        if data.get("resultType") != "matrix" or not isinstance(data.get("result"), list):
            raise NoNumber(f"want numbers over time, the query gives a {data.get('resultType')}")
        points = _only(data["result"]).get("values")
        numbers = [number for point in points or () if (number := _read(point)) is not None and math.isfinite(number)]
        if not numbers:
            raise NoNumber("no finite number in that time")
        return math.fsum(numbers) / len(numbers)

    def _ask(self, what: str, asked: Mapping[str, str], cancelled: threading.Event) -> dict[str, Any]:
        """The `data` of an answer."""
        target = origin(self._url)
        try:
            answer = call(
                "POST",
                f"{self._url}/api/v1/{what}",
                headers=self._headers(),
                body=urlencode({**asked, "partial_response": "false"}).encode(),  # Thanos: all or nothing
                cancelled=cancelled,
                timeout=self._settings.timeout.total_seconds(),
                trust=self._trust(),
            )
        except ModelmendError as error:
            raise NoNumber(str(error)) from error
        return _data(answer, target)

    def _headers(self) -> dict[str, str]:
        ours = {"Content-Type": "application/x-www-form-urlencoded"}
        if self._settings.token_file is not None:
            token = _file("tokenFile", self._settings.token_file.read_text).strip()
            ours["Authorization"] = f"Bearer {token}"
        names = {name.lower() for name in ours}
        written = self._settings.headers.items()
        return {name: value for name, value in written if name.lower() not in names} | ours

    def _trust(self) -> ssl.SSLContext | None:
        file = self._settings.ca_file
        if file is None:
            return None
        return _file("caFile", lambda: ssl.create_default_context(cafile=file))


def _seconds(time: datetime) -> str:
    return f"{time.timestamp():.3f}"


def _file(key: str, read: Callable[[], T]) -> T:
    try:
        return read()
    except (OSError, ValueError) as error:
        raise NoNumber(f"prometheus.{key} cannot be read: {getattr(error, 'strerror', None) or 'not text'}") from error


def _data(answer: Answer, target: str) -> dict[str, Any]:
    said = f"{target} answered {answer.status}"
    if 300 <= answer.status < 400:
        raise NoNumber(f"{said}: redirects are not followed")
    if not answer.complete:
        raise NoNumber(f"{said}: the answer is too long, or broke off; more than one series?")
    try:
        body = from_json(answer.body)
    except ValueError:
        body = None
    told = body if isinstance(body, dict) else {}
    if answer.status != 200 or told.get("status") != "success":
        why = one_line(str(told.get("error") or ""))[:_SHOWN] or (
            "no JSON of Prometheus" if answer.status == 200 else ""
        )
        bad = answer.status == 400 and told.get("errorType") == "bad_data"
        raise (NoQuestion if bad else NoNumber)(f"{said}: {why}" if why else said)
    if told.get("isPartial"):
        raise NoNumber(f"{said}: only a part of the data was at hand")
    data = told.get("data")
    if not isinstance(data, dict):
        raise NoNumber(f"{said}: no JSON of Prometheus")
    return data


def _only(result: list[Any]) -> dict[str, Any]:
    if not result:
        raise NoNumber("no data")
    if len(result) > 1:
        raise NoNumber(f"{len(result)} series, want one: aggregate, or name more labels")
    if not isinstance(result[0], dict):
        raise NoNumber("no JSON of Prometheus")
    if "histogram" in result[0] or "histograms" in result[0]:
        raise NoNumber("a histogram, want a number")
    return result[0]


def _number(point: Any) -> float:
    number = _read(point)
    if number is None:
        raise NoNumber("no JSON of Prometheus")
    if not math.isfinite(number):
        raise NoNumber(f"{point[1]} is no number to go by")
    return number


def _read(point: Any) -> float | None:
    """The number of `[time, "number"]`, which may be NaN or infinite; None where it is something else."""
    if not isinstance(point, list) or len(point) != 2 or not isinstance(point[1], str):
        return None
    try:
        return None if "_" in point[1] else float(point[1])  # Python reads 1_0, Prometheus does not write it
    except ValueError:
        return None
