"""Requests for POST /events: valid ones in every dress, and ones that were spoilt on purpose."""

import json
from dataclasses import dataclass
from hashlib import sha256
from random import Random
from typing import Any
from urllib.parse import quote

STRUCTURED, BATCH, JSON = "application/cloudevents+json", "application/cloudevents-batch+json", "application/json"
TYPES = (
    "ml.data.drift.detected", "ml.performance.degraded", "ml.data.quality.failed", "ml.data.drift.resolved",
    "ml.performance.recovered", "ml.data.quality.restored", "ml.labels.available", "ml.model.deployed", "ml.monitor.checked",
)  # fmt: skip
TEXTS = ("salary", "Größe", "数量", "a b", 'q"uo\\te', "tab\tline\n", "%41", "🙂", "x" * 200)
ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1.5, 2**53 + 1, 2**63, -(2**70), "", " ", "\x00", "a\x00b", "\x1b[31m", "\x7f", "\u0085", "\ufeff",
    "high", "0.4", "NaN", "5", "1e999", [], {}, [[]], {"a": {}}, "x" * 2000, "../../etc/passwd", "--help", "'; DROP TABLE events; --",
    "2025-13-01T00:00:00Z", "2025-01-01", "9999-12-31T23:59:60Z", "0000-01-01T00:00:00Z", "application/xml", "1.0", "0.3", "\u202e", "é",
)  # fmt: skip
NUMBERS = (
    b"NaN",
    b"Infinity",
    b"-Infinity",
    b"1e999",
    b"-1e999",
    b"1" * 400,
    b"1" * 5000,
    b"01",
    b"+1",
    b".5",
    b"0x1",
    b"1e-400",
)
PIECES = (
    b"{",
    b"}",
    b"[",
    b"]",
    b'"',
    b",",
    b":",
    b"\\u0000",
    b"\\ud800",
    b"\\",
    b"\xff",
    b"\xc0\x80",
    b"\xed\xa0\x80",
    b"\x00",
    b"null",
    b"\xef\xbb\xbf",
    b"[" * 300,
)
MEDIA = (
    STRUCTURED,
    BATCH,
    JSON,
    "text/plain",
    "",
    "application/cloudevents",
    "application/cloudevents+xml",
    STRUCTURED + "; charset=utf-16",
    "APPLICATION/JSON",
    "application/cloudevents+json;charset=utf-8",
    "*/*",
    ";;;",
)


@dataclass(frozen=True)
class Request:
    """One request as bytes; `valid` are the events in it, where it is valid by construction."""

    raw: bytes
    valid: tuple[dict[str, Any], ...] | None = None
    alone: bool = False  # its answer may close the connection


class Mutants:
    """Requests out of one seed; ids are unique over a run."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self._seed = seed
        self._count = 0

    def event(self) -> dict[str, Any]:
        """A valid event of any type, with anything optional that its type may have."""
        pick, chance = self.random.choice, self.random.random
        self._count += 1
        kind = pick(TYPES)
        data: dict[str, Any] = {"note": pick(TEXTS), "nested": {"list": [1, 2.5, pick(TEXTS), None]}}
        if "drift" in kind:
            data |= {
                "feature": pick(TEXTS[:4]),
                "driftScore": pick((0, 1, 0.44, -3.5, 1e300)),
                "threshold": 0.3,
                "kind": "label",
            }
        if "performance" in kind:
            data |= {
                "metric": pick(("f1", "F1Score", "RMSE")),
                "value": pick((0, 0.9)),
                "slice": pick(("eu", {"region": "eu", "age": 30})),
            }
        if "labels" in kind:
            data["count"] = pick((0, 1000))
        if "deployed" in kind:
            data["version"] = pick(("v5", "salary-v6", "2025.01"))
        event: dict[str, Any] = {
            "specversion": "1.0",
            "id": self._identity(),
            "source": pick(("urn:a", "/b/c?d#e", "https://d.example/x%20y")),
            "type": kind,
            "data": data,
        }
        where = chance()
        if where < 0.4:
            data["model"] = pick(("salary", "org/fraud v2", "m"))
        elif where < 0.7:
            event["subject"] = pick(("salary", "a.b:c@d"))
        else:
            data["modelVersion"] = "salary-predictor-v5"
        if chance() < 0.7:
            event["time"] = pick(
                ("2025-01-23T12:00:00Z", "2025-01-23T12:00:00.123456789+05:30", "2025-01-23t12:00:00z")
            )
        if chance() < 0.3:
            event |= {
                "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                "partition": pick(("eu", "größe")),
            }
        return event

    def _identity(self) -> str:
        """An id that no change of a few bytes turns into another's."""
        return sha256(f"{self._seed} {self._count}".encode()).hexdigest()[:20]

    def valid(self) -> Request:
        """A valid request in any mode and any dress."""
        mode = self.random.random()
        if mode < 0.5:
            event = self.event()
            return Request(self.http(self.written(event), STRUCTURED), (event,))
        if mode < 0.8:
            event = self.event()
            return Request(self.http(self.written(event["data"]), JSON, self.headers(event)), (event,))
        events = tuple(self.event() for _ in range(self.random.randrange(1, 6)))
        return Request(self.http(self.written(list(events)), BATCH), events)

    def spoilt(self) -> Request:
        """A request in which something was changed; it may still be valid."""
        return self.random.choice(
            (self._spoilt_json, self._spoilt_bytes, self._spoilt_batch, self._spoilt_head, self._spoilt_number)
        )()

    def raw(self) -> Request:
        """A request whose bytes were changed anywhere, its framing included."""
        raw = bytearray(self.valid().raw)
        for _ in range(self.random.choice((1, 1, 2, 5))):
            self._cut(raw)
        return Request(bytes(raw), alone=True)

    def written(self, value: Any) -> bytes:
        """JSON in one of its many spellings."""
        return json.dumps(
            value, ensure_ascii=self.random.random() < 0.5, indent=self.random.choice((None, None, 1))
        ).encode()

    def headers(self, event: dict[str, Any]) -> dict[str, str]:
        """The `ce-` headers of an event."""
        return {f"ce-{name}": quote(value, safe="/:?#+. ") for name, value in event.items() if name != "data"}

    def http(
        self, body: bytes, content_type: str, headers: dict[str, str] | None = None, *, length: int | None = None
    ) -> bytes:
        """The request as HTTP/1.1 with a Content-Length."""
        lines = [
            b"POST /events HTTP/1.1",
            b"Host: x",
            b"Content-Length: %d" % (len(body) if length is None else length),
        ]
        if content_type:
            lines.append(b"Content-Type: " + content_type.encode())
        for name, value in (headers or {}).items():
            lines.append(name.title().encode() + b": " + value.encode("latin-1", "replace"))
        return b"\r\n".join(lines) + b"\r\n\r\n" + body

    def _spoil(self, event: dict[str, Any]) -> None:
        place = event["data"] if self.random.random() < 0.6 else event
        name = self.random.choice(
            [
                *place,
                "model",
                "modelVersion",
                "namespace",
                "window",
                "sampleCount",
                "time",
                "subject",
                "datacontenttype",
                "Bad_Name",
                "\x00",
            ]
        )
        if self.random.random() < 0.2:
            place.pop(name, None)
        else:
            place[name] = self.random.choice(ODD)

    def _spoilt_json(self) -> Request:
        event = self.event()
        self._spoil(event)
        if (
            isinstance(event.get("data"), dict)
            and all(isinstance(value, str) for name, value in event.items() if name != "data")
            and self.random.random() < 0.3
        ):
            headers = {
                name: value for name, value in self.headers(event).items() if name.isascii() and name.isprintable()
            }
            return Request(self.http(self.written(event["data"]), JSON, headers))
        return Request(self.http(self.written(event), STRUCTURED))

    def _spoilt_batch(self) -> Request:
        events: list[Any] = [self.event() for _ in range(4)]
        self._spoil(events[1])
        if self.random.random() < 0.3:
            events[2] = self.random.choice(ODD)
        return Request(self.http(self.written(events), BATCH))

    def _spoilt_bytes(self) -> Request:
        body = bytearray(self.written(self.event()))
        for _ in range(self.random.choice((1, 1, 1, 3))):
            self._cut(body)
        return Request(self.http(bytes(body), STRUCTURED))

    def _spoilt_number(self) -> Request:
        event = self.event()
        event["data"] |= {"driftScore": 123456.5, "value": 123456.5, "more": [123456.5]}
        return Request(self.http(self.written(event).replace(b"123456.5", self.random.choice(NUMBERS)), STRUCTURED))

    def _spoilt_head(self) -> Request:
        event, pick = self.event(), self.random.choice
        kind = pick(("media", "header", "twice", "chunked", "encoding", "many", "path", "method"))
        body, headers, media = self.written(event), {}, STRUCTURED
        if kind in ("header", "twice"):
            body, headers, media = self.written(event["data"]), self.headers(event), JSON
        if kind == "media":
            media = pick(MEDIA)
        elif kind == "header":
            headers[pick(list(headers))] = pick(("%", "%zz", "%00", "%FF", '"', '"a', "é", "a%0Ab", "", "%2525"))
        elif kind == "encoding":
            headers["content-encoding"] = pick(("gzip", "identity", "br", "x"))
        elif kind == "many":
            headers |= {f"x-{n}": "1" for n in range(pick((100, 130, 300)))}
        raw = self.http(body, media, headers)
        if kind == "twice":
            raw = raw.replace(b"\r\n\r\n", b"\r\nCe-Id: again\r\n\r\n", 1)
        elif kind == "chunked":
            head, _, _ = raw.partition(b"\r\n\r\n")
            head = head.replace(b"Content-Length: %d" % len(body), b"Transfer-Encoding: chunked")
            cut = self.random.randrange(1, len(body))
            chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:cut], body[cut:]))
            return Request(head + b"\r\n\r\n" + chunks + b"0\r\n\r\n", (event,), alone=True)
        elif kind == "path":
            raw = raw.replace(
                b"/events",
                pick(
                    (
                        b"/events/",
                        b"/event",
                        b"/webhooks/x",
                        b"/events?access_token=a",
                        b"/%65vents",
                        b"//events",
                        b"/events%00",
                        b"/healthz",
                    )
                ),
                1,
            )
        elif kind == "method":
            raw = raw.replace(b"POST", pick((b"PUT", b"GET", b"DELETE", b"PATCH", b"OPTIONS")), 1)
        return Request(raw, alone=True)

    def _cut(self, raw: bytearray) -> None:
        place = self.random.randrange(len(raw)) if raw else 0
        kind = self.random.randrange(6)
        if kind == 0 and raw:
            raw[place] = self.random.randrange(256)
        elif kind == 1:
            del raw[place : place + self.random.choice((1, 2, 10, 100))]
        elif kind == 2:
            raw[place:place] = self.random.choice(PIECES)
        elif kind == 3:
            del raw[place:]
        elif kind == 4:
            raw[place:place] = raw[place : place + 20]
        else:
            raw[place:place] = bytes(self.random.randrange(256) for _ in range(3))
