"""The JSON API against its own OpenAPI document, over a database of either kind and the real engine."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate
from werkzeug.test import Client, TestResponse

from controller.engine.loop import Engine
from controller.engine.rules import Rules
from controller.errors import TemporaryError
from controller.events.types import EventTypes
from controller.events.wire import parse
from controller.metrics import Metrics
from controller.policy import Installation, PolicySet, build_set, parse_documents
from controller.settings import Settings
from controller.store import acts, quarantine
from controller.store.database import Database
from controller.store.intake import Intake
from controller.store.leader import Leadership
from controller.tokens import Tokens, create_token
from controller.web import Parts, create_app
from controller.web.openapi import document
from controller.web.routes import PREFIX, ROUTES, Route

DOCUMENT = json.loads(json.dumps(document()))
SETTINGS = Settings()
POLICIES = """
kind: Model
apiVersion: modelmend.io/v1alpha1
metadata: {name: salary-predictor, namespace: ml, labels: {tier: prod}}
spec: {baseline: {accuracy: 0.94}}
---
apiVersion: modelmend.io/v1alpha1
kind: RemediationPolicy
metadata: {name: retrain, namespace: ml}
spec:
  mode: enforce
  models: {names: ["salary-*"]}
  triggers: [{name: psi, type: ml.data.drift.detected, when: 'data.driftScore > 0.3'}]
  steps: [{name: train, command: {argv: [sleep, "60"], timeout: 5m}, verify: none}, {name: page, page: {}}]
---
apiVersion: modelmend.io/v1alpha1
kind: RemediationPolicy
metadata: {name: look, namespace: ml}
spec:
  mode: enforce
  models: {names: ["salary-*"]}
  wait: 5m
  triggers: [{name: any, type: ml.performance.degraded}]
  steps: [{name: page, page: {}}]
---
apiVersion: modelmend.io/v1alpha1
kind: RemediationPolicy
metadata: {name: watch, namespace: ml}
spec:
  models: {names: ["salary-*"]}
  triggers: [{name: any, type: ml.data.drift.detected}]
  steps: [{name: train, command: {argv: ["true"]}, verify: none}]
"""


def set_of(text: str) -> PolicySet:
    """The set of these documents, which must all be good."""
    documents, faults = parse_documents(text, "policies.yaml")
    policies, problems = build_set(documents, Installation.of(EventTypes()), faults)
    assert not problems, problems
    return policies


class World:
    """A database with an engine that the test turns by hand, and the app over it."""

    def __init__(self, db: Database, clock: Callable[[], datetime]) -> None:
        self.db = db
        self.metrics = Metrics(version="0")
        self.clock = clock
        self.leadership = Leadership.take(db)
        self.engine = Engine(self.leadership, Rules(PolicySet(), SETTINGS.fleet), metrics=self.metrics, workers=1)
        self.intake = Intake(db)
        self.intake.start()
        self.engine.adopt(set_of(POLICIES), ("broken.yaml: no",))
        self.app = self.create_app()
        self.settle()

    def create_app(self, **changes: Any) -> Flask:
        parts = {
            "db": self.db,
            "submit_act": self.submit_act,
            "metrics": self.metrics,
            "clock": self.clock,
            "status": lambda: {"ready": True},
        }
        return create_app(Parts(**parts | changes))

    def settle(self) -> None:
        while self.engine.round():
            pass

    def submit_act(self, *act: Any) -> dict[str, Any]:
        act_id = acts.add_act(self.db, *act)
        self.settle()
        outcome = acts.outcome(self.db, act_id)
        assert outcome is not None
        return outcome

    def send(self, id_: str, type_: str = "ml.data.drift.detected", **data: Any) -> None:
        now = self.clock()
        event = {
            "specversion": "1.0", "id": id_, "source": data.pop("source", "urn:detector"), "type": type_,
            "time": now.isoformat(), "data": {"model": "salary-predictor", "feature": "salary", **data},
        }  # fmt: skip
        body = json.dumps(event).encode()
        pattern = SETTINGS.model_pattern
        parsed = parse(
            "application/cloudevents+json", {}, body, now=now, types=EventTypes(), senders={}, model_pattern=pattern
        )
        self.intake.submit(parsed.events).result(10)
        self.settle()

    def quarantine_event(self, seq: int) -> str:
        with self.db.write() as conn:
            what = {"origin": "engine", "reason": "internal_error", "message": "boom", "body": {"a": 1}}
            quarantine.put(conn, self.clock(), **what, event_seq=seq)
        page: dict[str, Any] = Checked(self.app).get("/quarantine").json
        return str(page["items"][0]["digest"])

    def close(self) -> None:
        self.intake.stop()
        self.engine.stop(0)
        self.leadership.abandon()
        self.db.close()


class Checked:
    """A client that holds every answer against the OpenAPI document."""

    def __init__(self, app: Flask, **headers: str) -> None:
        self._client = Client(app)
        self._headers = headers

    def get(self, path: str, **options: Any) -> Any:
        return self.ask("GET", path, **options)

    def post(self, path: str, body: Any, **options: Any) -> Any:
        return self.ask("POST", path, json=body, **options)

    def ask(self, method: str, path: str, **options: Any) -> TestResponse:
        headers = {**self._headers, **options.pop("headers", {})}
        answer = self._client.open(f"{PREFIX}{path}", method=method, headers=headers, **options)
        operation = operation_of(method, path.partition("?")[0])
        described = operation["responses"][str(answer.status_code)]
        ((content_type, media),) = described["content"].items()
        assert answer.content_type == content_type
        check(media["schema"], answer.json)
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        return answer


def operation_of(method: str, path: str) -> dict[str, Any]:
    for template, operations in DOCUMENT["paths"].items():
        pattern = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(template))
        if re.fullmatch(pattern, PREFIX + path) and method.lower() in operations:
            return dict(operations[method.lower()])
    raise AssertionError(f"{method} {path} is not described")


def check(schema: dict[str, Any], value: Any) -> None:
    whole = {**schema, "components": DOCUMENT["components"]}
    errors = [f"{error.json_path}: {error.message}" for error in Draft202012Validator(whole).iter_errors(value)]
    assert errors == []


@contextmanager
def opened(url: str, clock: Callable[[], datetime]) -> Iterator[World]:
    world = World(Database(url, clock=clock), clock)
    try:
        yield world
    finally:
        world.close()


@pytest.fixture
def world(database_url: str, clock: Any) -> Iterator[World]:
    """A world on either kind of database."""
    with opened(database_url, clock) as made:
        yield made


@pytest.fixture
def small_world(sqlite_url: str, clock: Any) -> Iterator[World]:
    """A world on SQLite, for what does not depend on the database."""
    with opened(sqlite_url, clock) as made:
        yield made


@pytest.fixture(scope="module")
def quiet_world(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One world on SQLite for all that changes nothing in it."""
    file = tmp_path_factory.mktemp("quiet") / "modelmend.db"
    file.write_bytes(sqlite_template.read_bytes())
    with opened(f"sqlite:///{file}", lambda: datetime.fromisoformat("2025-01-23T12:00:00Z")) as made:
        made.send("drift-1", driftScore=0.44)
        yield made


def test_document_is_valid_openapi() -> None:
    """The document is OpenAPI 3.1, and is what the server hands out."""
    validate(DOCUMENT)
    assert DOCUMENT["openapi"] == "3.1.0"


def test_document_describes_every_route(quiet_world: World) -> None:
    """Every rule of the app but the pages, /metrics and the document itself is described, and nothing else."""
    rules = {
        (method.lower(), re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule))
        for rule in quiet_world.app.url_map.iter_rules()
        if not rule.endpoint.startswith("page_")
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    described = {(method, path) for path, operations in DOCUMENT["paths"].items() for method in operations}
    assert rules - described == {("get", "/metrics"), ("get", f"{PREFIX}/openapi.json")}
    assert described <= rules
    assert Client(quiet_world.app).get(f"{PREFIX}/openapi.json").json == DOCUMENT


def test_everything_that_happened_is_answered_as_described(world: World) -> None:
    """One history, read and acted upon through every route, each answer as the document says."""
    api = Checked(world.app)
    world.send("drift-1", driftScore=0.44)
    world.send("perf-1", "ml.performance.degraded", metric="f1", value=0.5)
    world.send("other-1", "ml.data.drift.detected", driftScore=0.1, model="nobody")

    events = api.get("/events").json["items"]
    assert [event["id"] for event in events] == ["other-1", "perf-1", "drift-1"]
    drift = events[-1]
    full = api.get(f"/events/{drift['seq']}").json
    assert {decision["policy"]: decision["reason"] for decision in full["decisions"]} == {
        "ml/retrain": None,
        "ml/watch": "audit",
    }
    (condition,) = full["conditions"]
    assert api.get(f"/conditions/{condition['id']}").json == condition
    assert api.get("/conditions?state=open").json["items"][0]["state"] == "open"
    (question,) = api.get("/questions").json["items"]
    assert (question["policy"], question["reason"]) == ("ml/look", "waiting")
    decisions = api.get("/decisions?policy=ml/look").json["items"]
    assert [decision["reason"] for decision in decisions] == ["waiting"]
    assert api.get(f"/decisions/{decisions[0]['id']}").json["situation"]["known"] is True

    (running,) = api.get("/remediations?active=true").json["items"]
    (audited,) = api.get("/remediations?active=false").json["items"]
    assert (running["phase"], audited["phase"]) == ("Running", "Audited")
    shown = api.get(f"/remediations/{running['id']}").json
    assert shown["steps"] == ["train", "page"]
    assert [row["reason"] for row in shown["transitions"]] == ["decided", "started"]
    models = api.get("/models").json["items"]
    assert {(model["namespace"], model["name"]) for model in models} >= {("ml", "salary-predictor")}
    assert api.get("/models/ml/salary-predictor").json["activeRemediation"]["id"] == running["id"]
    policies = api.get("/policies").json
    assert [policy["name"] for policy in policies["items"]] == ["look", "retrain", "watch"]
    assert policies["refused"] == ["broken.yaml: no"]
    assert api.get("/policies/ml/look").json["text"]["spec"]["wait"] == "5m"

    assert "not now: waiting" in "\n".join(api.get("/explain?ref=perf-1").json["lines"])
    assert api.get(f"/explain?ref={running['id']}").json["kind"] == "remediation"
    assert api.get(f"/explain?ref={drift['seq']}").json["ref"] == "drift-1"

    cancelled = api.post(f"/remediations/{running['id']}/cancel", {"why": "wrong data"}).json
    assert cancelled["message"] == f"remediation {running['id']} is Stopping"
    silence = api.post("/silences", {"matchers": {"model": "salary-*"}, "for": "2h", "why": "known"})
    assert silence.status_code == 201
    assert api.get(f"/silences/{silence.json['id']}").json["state"] == "active"
    assert api.get("/silences?state=active").json["items"][0]["matchers"] == {"model": "salary-*"}
    assert api.post(f"/silences/{silence.json['id']}/expire", {"why": "done"}).json["ok"] is True
    assert api.get(f"/silences/{silence.json['id']}").json["state"] == "expired"
    until = (world.clock() + timedelta(days=1)).isoformat()
    api.post("/pause", {"policy": "ml/retrain", "until": until, "why": "migration"})
    (pause,) = api.get("/pauses?inForce=true").json["items"]
    assert (pause["scope"], pause["namespace"], pause["name"], pause["who"]) == ("policy", "ml", "retrain", "anonymous")
    api.post("/resume", {"policy": "ml/retrain", "why": "done"})
    assert api.get("/pauses?inForce=true").json["items"] == []
    assert api.post("/resume", {"policy": "ml/retrain", "model": "ml/x", "why": "fixed"}).json["message"] == (
        "the breaker of ml/retrain for ml/x is closed"
    )
    assert api.post(f"/conditions/{condition['id']}/end", {"why": "fixed"}).json["ok"] is True
    assert api.get(f"/conditions/{condition['id']}").json["endedBy"] == "operator:anonymous"
    digest = world.quarantine_event(drift["seq"])
    assert api.get(f"/quarantine/{digest}").json["body"] == {"a": 1}
    assert "decided again" in api.post(f"/quarantine/{digest}/replay", {"why": "fixed"}).json["message"]
    assert api.get("/quarantine").json["items"][0]["replayedAt"] is not None
    assert api.get("/status").json["policySet"]["members"] == 4


def test_pages_hold_everything_once(world: World) -> None:
    """Following `next` gives every item once, in order."""
    for number in range(5):
        world.send(f"d-{number}", driftScore=0.1)
    api, seen, path = Checked(world.app), [], "/events?limit=2"
    while True:
        page = api.get(path).json
        seen += [event["id"] for event in page["items"]]
        if page["next"] is None:
            break
        path = f"/events?limit=2&cursor={page['next']}"
    assert seen == ["d-4", "d-3", "d-2", "d-1", "d-0"]


def test_explain_of_an_id_that_two_sources_use(small_world: World) -> None:
    """An id that means two events is a 409 that names the sources; with the source it is answered."""
    small_world.send("same", driftScore=0.1, source="urn:a")
    small_world.send("same", driftScore=0.1, source="urn:b")
    api = Checked(small_world.app)
    refused = api.get("/explain?ref=same")
    assert (refused.status_code, sorted(refused.json["candidates"])) == (409, ["urn:a", "urn:b"])
    assert "from urn:b" in api.get("/explain?ref=same&source=urn:b").json["headline"]


# ── refusals ────────────────────────────────────────────────────────────────────────────────────

BODIES: dict[str, dict[str, Any]] = {
    "add_silence": {"matchers": {"model": "x"}, "for": "2h", "why": "w"},
    "pause": {"model": "x", "why": "w"},
    "resume": {"model": "x", "why": "w"},
}


def path_of(route: Route) -> str:
    path = re.sub(r"<[^>]+>", "nothing", route.path)
    return f"{path}?ref=nothing" if route.name == "explain" else path


def body_of(route: Route) -> dict[str, Any] | None:
    return BODIES.get(route.name, {"why": "w"}) if route.body else None


class Unforeseen:
    """A database that fails as nobody foresaw, or that is away."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def read(self) -> Any:
        raise self._error

    def submit(self, *act: Any) -> dict[str, Any]:
        raise self._error


def ask(app: Flask, route: Route, *, headers: dict[str, str] | None = None, more: str = "") -> Any:
    given: dict[str, Any] = {"json": body_of(route)} if route.body else {}
    joint = "&" if "?" in path_of(route) else "?"
    path = path_of(route) + (joint + more if more else "")
    return Checked(app, **(headers or {})).ask(route.method, path, **given)


each_route = pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
each_act = pytest.mark.parametrize("route", [route for route in ROUTES if route.body], ids=lambda route: route.name)


@each_route
def test_unknown_parameter_is_400(quiet_world: World, route: Route) -> None:
    """A misspelt filter is a fault that names it, whatever the route."""
    answer = ask(quiet_world.app, route, more="modle=x")
    assert answer.status_code == 400
    assert [error["path"] for error in answer.json["errors"]] == ["query.modle"]


@each_route
def test_tokens_are_asked_for(quiet_world: World, tmp_path: Path, route: Route) -> None:
    """With a tokens file: 401 without one, 403 without the role, and the bearer's name on what was done."""
    tokens = tmp_path / "tokens"
    secrets = {role: create_token(tokens, f"a-{role}", [role]) for role in ("send", "read", "operate")}
    app = quiet_world.create_app(tokens=Tokens(tokens))
    refused = ask(app, route)
    assert (refused.status_code, refused.headers["WWW-Authenticate"]) == (401, 'Bearer realm="modelmend"')
    assert ask(app, route, headers={"Authorization": "Bearer mm_wrong"}).status_code == 401
    lacking = "read" if route.role == "operate" else "send"
    assert ask(app, route, headers={"Authorization": f"Bearer {secrets[lacking]}"}).status_code == 403
    allowed = ask(app, route, headers={"Authorization": f"bearer {secrets['operate']}"})
    assert allowed.status_code not in (401, 403)


@each_route
def test_foreign_host_is_403(quiet_world: World, route: Route) -> None:
    """Without authentication a request under another name is refused: a browser's page may hide behind it."""
    assert ask(quiet_world.app, route, headers={"Host": "evil.example"}).status_code == 403
    insecure = quiet_world.create_app(insecure=True)
    assert ask(insecure, route, headers={"Host": "mend.example"}).status_code != 403


@each_route
def test_fault_of_ours_is_500(quiet_world: World, route: Route, caplog: pytest.LogCaptureFixture) -> None:
    """What nobody foresaw is a 500 that tells nothing of the inside, and is logged."""
    broken = Unforeseen(RuntimeError("secret detail"))
    app = quiet_world.create_app(db=broken, submit_act=broken.submit)
    answer = ask(app, route)
    assert answer.status_code == 500
    assert "secret detail" not in answer.text
    assert "secret detail" in caplog.text


@each_route
def test_store_away_is_503(quiet_world: World, route: Route) -> None:
    """A store that is away is a 503 that says when to come again."""
    away = Unforeseen(TemporaryError("the store is away", retry_after=7))
    answer = ask(quiet_world.create_app(db=away, submit_act=away.submit), route)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "7")


@pytest.mark.parametrize("route", [route for route in ROUTES if 404 in route.refusals], ids=lambda route: route.name)
def test_what_is_not_there_is_404(small_world: World, route: Route) -> None:
    """What is not there is a 404; of acts on a scope, that nothing was paused is a 409."""
    expected = {"pause": 200, "resume": 409}.get(route.name, 404)
    assert ask(small_world.app, route).status_code == expected


@each_act
def test_refused_act_is_409(small_world: World, route: Route) -> None:
    """The engine's no is a 409 with its words."""
    world = small_world
    world.send("drift-1", driftScore=0.44)
    world.quarantine_event(1)
    api = Checked(world.create_app(submit_act=lambda *act: {"ok": False, "error": "it is over already"}))
    things = {"remediations": "id", "conditions": "id", "quarantine": "digest"}
    kind = route.path.split("/")[1]
    if kind in things:
        thing = Checked(world.app).get(f"/{kind}").json["items"][0][things[kind]]
    else:
        thing = world.submit_act(
            "silence", "silence", "", {"matchers": {}, "ends_at": "2099-01-01T00:00:00Z"}, "a", "w"
        )["id"]
    answer = api.post(re.sub(r"<[^>]+>", thing, route.path), body_of(route))
    assert (answer.status_code, answer.json["detail"]) == (409, "it is over already")


@each_act
def test_body_too_large_is_413(quiet_world: World, route: Route) -> None:
    """A body beyond 64 KiB is refused unread."""
    body = {**(body_of(route) or {}), "why": "x" * 70_000}
    assert Checked(quiet_world.app).post(path_of(route), body).status_code == 413


@each_act
@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_other_media_type_is_415(quiet_world: World, route: Route, content_type: str) -> None:
    """A form, which any page may post from a browser, is not understood."""
    headers = {"Content-Type": content_type} if content_type else {}
    answer = Checked(quiet_world.app).ask("POST", path_of(route), data=b'{"why": "w"}', headers=headers)
    assert answer.status_code == 415


@each_act
def test_why_is_asked_for(quiet_world: World, route: Route) -> None:
    """No act without a reason, but a yes and another try; a blank one is none."""
    if route.name in ("approve", "retry"):
        return
    without = {key: value for key, value in (body_of(route) or {}).items() if key != "why"}
    for body in (without, {**without, "why": ""}, {**without, "why": "  "}):
        answer = Checked(quiet_world.app).post(path_of(route), body)
        assert answer.status_code == 400
        assert [error["path"] for error in answer.json["errors"]] == ["why"]


SILENCE = {"matchers": {"model": "x"}, "for": "2h", "why": "w"}
BAD_BODIES = [
    ("/silences", {"for": "2h", "why": "w"}, 'matchers, or "all": true'),
    ("/silences", {"for": "2h", "why": "w", "matchers": {"model": "**"}}, 'matchers, or "all": true'),
    ("/silences", SILENCE | {"all": True}, "either matchers or all"),
    ("/silences", SILENCE | {"matchers": {"colour": "red"}}, "labels.<name>, not 'colour'"),
    ("/silences", SILENCE | {"matchers": {"model": ""}}, "at least 1 character"),
    ("/silences", SILENCE | {"matchers": {"model": "ml/x"}}, "a name; its namespace is a matcher of its own"),
    ("/silences", SILENCE | {"for": "0s"}, "longer than 0s"),
    ("/silences", SILENCE | {"for": "2 hours"}, "longer than 0s, as 30m"),
    ("/silences", SILENCE | {"for": "2y"}, "at most a year"),
    ("/silences", SILENCE | {"endsAt": "2099-01-01T00:00:00Z"}, "either endsAt or for"),
    ("/silences", {"matchers": {"model": "x"}, "why": "w"}, "either endsAt or for"),
    ("/silences", {"matchers": {"model": "x"}, "why": "w", "endsAt": "2001-01-01T00:00:00Z"}, "an end after its start"),
    ("/silences", {"matchers": {"model": "x"}, "why": "w", "endsAt": 5}, "RFC 3339"),
    ("/silences", {"matchers": {"model": "x"}, "why": "w", "endsAt": "2099-13-01T00:00:00Z"}, "month"),
    ("/pause", {"why": "w", "model": "x", "policy": "y"}, "at most one of"),
    ("/pause", {"why": "w", "until": "2001-01-01T00:00:00Z"}, "still to come"),
    ("/pause", {"why": "w", "until": "tomorrow"}, "RFC 3339"),
    ("/pause", {"why": "w", "until": "2099-01-01T00:00:00"}, "RFC 3339"),
    ("/pause", {"why": "w", "model": "a/b/c"}, "name or namespace/name"),
    ("/pause", {"why": "w", "namespace": "a/b"}, "match pattern"),
    ("/pause", {"why": 5}, "valid string"),
    ("/resume", {"why": "w", "namespace": "ml", "model": "x"}, "a namespace alone"),
    ("/resume", {"why": "w", "until": "2099-01-01T00:00:00Z"}, "no such key"),
    ("/pause", [], "an object"),
    ("/pause", "w", "an object"),
]


@pytest.mark.parametrize(
    "body", [{"all": True}, {"matchers": {"policy": "*t*"}}, {"matchers": {"model": "*", "policy": "[a-z]*"}}]
)
def test_a_silence_of_everything_is_asked_about_once_more(small_world: World, body: Any) -> None:
    """What mutes all models and policies is refused with their numbers until `confirm` is said; less is not."""
    small_world.engine.adopt(set_of(POLICIES.replace("name: look", "name: let")), ())
    small_world.settle()
    api = Checked(small_world.app)
    asked = api.post("/silences", body | {"for": "2h", "why": "w"})
    assert (asked.status_code, asked.json["confirm"]) == (400, {"models": 1, "policies": 3})
    assert "it would silence everything: 1 models, 3 policies" in asked.json["detail"]
    assert api.get("/silences").json["items"] == []
    assert api.post("/silences", body | {"for": "2h", "why": "w", "confirm": True}).status_code == 201
    less: tuple[dict[str, str], ...] = ({"policy": "retrain"}, {"model": "salary-*"}, {"policy": "*t*", "feature": "a"})
    for matchers in less:
        assert api.post("/silences", {"matchers": matchers, "for": "2h", "why": "w"}).status_code == 201


def test_a_retry_that_is_refused_names_model_and_policy(small_world: World) -> None:
    """A guard's no to a retry reads as in an explanation: whose breaker it is, and the command that closes it."""
    small_world.send("d1", driftScore=0.44)
    said = {"ok": False, "reason": "breaker_open", "values": {"failures": 2, "limit": 2, "within": 1209600}}
    api = Checked(small_world.create_app(submit_act=lambda *_: said))
    (found,) = api.get("/remediations?policy=ml/retrain").json["items"]
    refused = api.post(f"/remediations/{found['id']}/retry", {})
    assert refused.status_code == 409
    assert "2 remediations of ml/salary-predictor did not help" in refused.json["detail"]
    assert "`modelmend resume --policy ml/retrain --model ml/salary-predictor`" in refused.json["detail"]


def test_an_answer_by_the_api(world: World) -> None:
    """What awaits is listed; the first answer counts, a second is a 409 with who decided; a no needs its why."""
    world.engine.adopt(set_of(POLICIES.replace("mode: enforce", "mode: approve")), ())
    world.send("d1", driftScore=0.44)
    api = Checked(world.app, **{"User-Agent": "modelmend/0"})
    (waiting,) = api.get("/remediations?phase=AwaitingApproval").json["items"]
    assert api.get("/status").json["activeRemediations"] == {"AwaitingApproval": 1}
    path = f"/remediations/{waiting['id']}"
    version = api.get(path).json["version"]
    assert api.post(f"{path}/reject", {}).status_code == 400
    assert api.post(f"{path}/approve", {"asking": version + 1}).status_code == 409
    assert api.post(f"{path}/retry", {}).status_code == 409
    said = api.post(f"{path}/approve", {"asking": version, "why": "go"})
    assert (said.status_code, said.json["message"]) == (200, f"remediation {waiting['id']}: train is approved")
    late = api.post(f"{path}/reject", {"asking": version, "why": "stop"})
    assert (late.status_code, late.json["decided"]["who"], late.json["decided"]["why"]) == (409, "anonymous", "go")
    assert late.json["decided"]["way"] == "command"
    assert late.json["detail"].startswith("it was approved by anonymous at ")


@pytest.mark.parametrize(("path", "body", "wanted"), BAD_BODIES)
def test_bad_body_is_400_with_what_was_wanted(quiet_world: World, path: str, body: Any, wanted: str) -> None:
    """Each fault of a body alone is a 400 that says what was wanted, and nothing is stored."""
    api = Checked(quiet_world.app)
    before = api.get("/silences").json, api.get("/pauses").json
    answer = api.post(path, body)
    assert answer.status_code == 400
    assert wanted in answer.json["errors"][0]["wanted"], answer.json
    assert (api.get("/silences").json, api.get("/pauses").json) == before


@pytest.mark.parametrize(
    "query",
    [
        "limit=0", "limit=501", "limit=x", "cursor=zz", "cursor=5b5d", "cursor=5b312c325d", "cursor=%00", "undecided=2",
        "since=yesterday", "limit=1&limit=2", "cursor=5b313030303030303030303030303030303030303030305d",
        "cursor=5b22e2808b225d", "cursor=5b5b2274222c2278225d5d",
    ],
)  # fmt: skip
def test_bad_query_is_400(quiet_world: World, query: str) -> None:
    """Each fault of a query alone is a 400."""
    assert Checked(quiet_world.app).get(f"/events?{query}").status_code == 400


def test_model_named_with_odd_characters_is_found(small_world: World) -> None:
    """A model's name may hold what a URL escapes."""
    client, url = Client(small_world.app), f"{PREFIX}/models/ml/credit%2Frisk%20%2B%20age"
    assert client.get(url).status_code == 404
    small_world.send("d", driftScore=0.1, model="credit/risk + age", namespace="ml")
    assert client.get(url).json["name"] == "credit/risk + age"


def test_who_is_the_token(small_world: World, tmp_path: Path) -> None:
    """An act bears the name of the token that asked for it."""
    tokens = tmp_path / "tokens"
    secret = create_token(tokens, "ada", ["operate"])
    api = Checked(small_world.create_app(tokens=Tokens(tokens)), Authorization=f"Bearer {secret}")
    api.post("/pause", {"why": "looking"})
    assert [(pause["who"], pause["why"]) for pause in api.get("/pauses").json["items"]] == [("ada", "looking")]


def test_unknown_path_and_method_are_problems(quiet_world: World) -> None:
    """404 and 405 are problems too; 405 says which methods there are."""
    client = Client(quiet_world.app)
    for answer, status in ((client.get("/api/v1/nope"), 404), (client.get("/api/v1/pause"), 405)):
        assert (answer.status_code, answer.content_type) == (status, "application/problem+json")
    assert "POST" in client.get("/api/v1/pause").headers["Allow"]


def test_metrics_are_served_to_readers(small_world: World, tmp_path: Path) -> None:
    """/metrics answers on loopback, and with tokens to the role read; refusals are counted in it."""
    Client(small_world.app).get("/api/v1/nope")
    open_answer = Client(small_world.app).get("/metrics", headers={"Accept": "text/plain"})
    assert 'modelmend_requests_refused_total{status="404"} 1.0' in open_answer.text
    tokens = tmp_path / "tokens"
    secret = create_token(tokens, "prometheus", ["read"])
    guarded = Client(small_world.create_app(tokens=Tokens(tokens)))
    assert guarded.get("/metrics").status_code == 401
    assert guarded.get("/metrics", headers={"Authorization": f"Bearer {secret}"}).status_code == 200


@given(
    path=st.text(max_size=40),
    query=st.dictionaries(
        st.sampled_from(["ref", "cursor", "limit", "id", "model", "since", "source", "x"]), st.text()
    ),
    body=st.recursive(st.none() | st.integers() | st.text() | st.booleans(), lambda x: st.dictionaries(st.text(), x)),
)
def test_no_request_is_a_500(quiet_world: World, path: str, query: dict[str, str], body: Any) -> None:
    """Whatever is asked, the answer is no fault of ours, and is as described."""
    client = Client(quiet_world.app)
    for route in ROUTES:
        url = PREFIX + re.sub(r"<[^>]+>", lambda _: quote(path, safe="") or "x", route.path)
        given: dict[str, Any] = {"json": body} if route.body else {}
        answer = client.open(url, method=route.method, query_string=query, **given)
        assert answer.status_code < 500, (url, query, answer.text)
