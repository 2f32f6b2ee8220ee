import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert

from controller import schema
from controller.store import listing, standing
from controller.store.database import Database
from controller.store.leader import Leadership
from controller.store.paging import instant

from . import filling
from .conftest import NOON, days

MINUTE = timedelta(minutes=1)


def read(db: Database, query: Callable[..., Any], *arguments: Any, **filters: Any) -> Any:
    """What a query answers; it must be JSON."""
    with db.read() as conn:
        answer = query(conn, *arguments, **filters)
    return json.loads(json.dumps(answer))


def ids(db: Database, query: Callable[..., Any], *arguments: Any, key: str = "id", **filters: Any) -> list[Any]:
    return [item[key] for item in read(db, query, *arguments, **filters)["items"]]


@pytest.mark.parametrize(
    ("shift", "shown"),
    [
        (timedelta(), "2025-01-23T12:00:00Z"),
        (timedelta(milliseconds=250), "2025-01-23T12:00:00.25Z"),
        (timedelta(microseconds=1), "2025-01-23T12:00:00.000001Z"),
    ],
)
def test_times_are_rfc_3339(shift: timedelta, shown: str) -> None:
    """UTC with a Z, and no more digits than it takes."""
    assert instant(NOON + shift) == shown


def test_events_come_newest_first_in_pages(db: Database) -> None:
    """Following `next` gives every event once, newest first, also while new ones arrive."""
    with db.write() as conn:
        for seq in range(1, 8):
            filling.event(conn, seq, NOON + seq * MINUTE)
    first = read(db, listing.events, limit=3)
    with db.write() as conn:
        filling.event(conn, 8, NOON)
    second = read(db, listing.events, limit=3, cursor=first["next"])
    third = read(db, listing.events, limit=3, cursor=second["next"])
    assert [item["seq"] for page in (first, second, third) for item in page["items"]] == [7, 6, 5, 4, 3, 2, 1]
    assert third["next"] is None


def test_a_page_is_bounded(db: Database) -> None:
    """However many are asked for, a page has at most 500 items."""
    with db.write() as conn:
        for seq in range(1, 503):
            filling.event(conn, seq, NOON)
    page = read(db, listing.events, limit=100_000)
    assert (len(page["items"]), page["next"] is None) == (500, False)


@pytest.mark.parametrize("cursor", ["x", "", "7b7d", "5b312c325d", "5b5b2274222c2278225d5d", "5b6e756c6c5d", "é"])
def test_a_cursor_of_somebody_else_is_refused(db: Database, cursor: str) -> None:
    """What is no cursor of ours is a ValueError that says so."""
    with pytest.raises(ValueError, match="want a cursor"):
        read(db, listing.events, cursor=cursor)


def test_events_are_filtered(db: Database) -> None:
    """Every filter narrows, together they narrow further."""
    with db.write() as conn:
        filling.event(conn, 1, NOON - days(1), namespace="ml", id="same", source="a")
        filling.event(conn, 2, NOON, model="other", id="same", source="b")
        filling.event(conn, 3, NOON, type="ml.labels.available", decided_at=None)
    expected: list[tuple[dict[str, Any], list[int]]] = [
        ({"namespace": "ml"}, [1]),
        ({"model": "salary-predictor"}, [3, 1]),
        ({"type": "ml.labels.available"}, [3]),
        ({"id": "same"}, [2, 1]),
        ({"id": "same", "source": "a"}, [1]),
        ({"since": NOON - timedelta(hours=1)}, [3, 2]),
        ({"since": NOON + timedelta(hours=2)}, []),
        ({"since": NOON - days(2)}, [3, 2, 1]),
        ({"undecided": True}, [3]),
        ({"undecided": False, "model": "other"}, [2]),
        ({"model": "nobody"}, []),
    ]
    for filters, seqs in expected:
        assert ids(db, listing.events, key="seq", **filters) == seqs, filters


def test_an_event_tells_what_came_of_it(db: Database) -> None:
    """One event comes with its decisions of all attempts, its condition, its open question and its remediations."""
    with db.write() as conn:
        filling.event(conn, 1, NOON, family="drift", about="feature=f1")
        filling.document(
            conn, "p1", "RemediationPolicy", "retrain", {"spec": {"steps": [{"name": "retrain"}, {"name": "page"}]}}
        )
        filling.condition(conn, 1, 1, ended=None)
        filling.condition(conn, 2, 1, ended=None)
        filling.decision(conn, 1, 1, NOON)
        filling.decision(conn, 2, 1, NOON + MINUTE, attempt=2, outcome="remediate", reason="", remediation_id="r-1")
        filling.remediation(conn, "r-1", started=NOON + MINUTE, ended=None)
        filling.question(conn, 1, 2)
    event = read(db, listing.event, 1, NOON)
    assert (event["id"], event["decided"], event["data"], event["receivedAt"]) == (
        "e-1",
        True,
        {"driftScore": 0.44},
        "2025-01-23T12:00:00Z",
    )
    assert [(d["id"], d["policy"], d["outcome"], d["reason"], d["remediation"]) for d in event["decisions"]] == [
        (1, "ml/retrain", "suppress", "cooldown", None),
        (2, "ml/retrain", "remediate", None, "r-1"),
    ]
    assert [(c["id"], c["state"], c["model"]) for c in event["conditions"]] == [("c-1", "open", "salary-predictor")]
    assert [(q["decision"], q["policy"], q["retryOn"]) for q in event["questions"]] == [
        (2, "ml/retrain", "remediation_ended")
    ]
    assert [(r["id"], r["steps"]) for r in event["remediations"]] == [("r-1", ["retrain", "page"])]
    assert read(db, listing.event, 4711, NOON) is None


def test_an_over_event_shows_what_it_ended(db: Database) -> None:
    """An "it is over" event that names nothing comes with every condition that it ended."""
    with db.write() as conn:
        filling.event(conn, 1, NOON, over=True, about="")
        filling.condition(conn, 1, 1, ended=NOON)
        filling.condition(conn, 2, 1, ended=NOON, ended_by="operator:ada")
    assert [c["id"] for c in read(db, listing.event, 1, NOON)["conditions"]] == ["c-1"]


def test_the_state_of_a_condition_follows_from_now(db: Database) -> None:
    """Open until it expires, unknown from then on, over once ended: derived, filtered and shown alike."""
    with db.write() as conn:
        filling.condition(conn, 1, 1, ended=None, expires=NOON + days(1))
        filling.condition(conn, 2, 1, ended=None, expires=NOON)
        filling.condition(conn, 3, 1, ended=NOON, expires=NOON + days(1))
        filling.condition(conn, 4, 1, ended=None, expires=NOON + days(1), family="quality", source="b", namespace="x")
    for state, found in (("open", ["c-4", "c-1"]), ("unknown", ["c-2"]), ("over", ["c-3"])):
        page = read(db, listing.conditions, NOON, state=state)
        assert [item["id"] for item in page["items"]] == found
        assert {item["state"] for item in page["items"]} == {state}
    assert ids(db, listing.conditions, NOON + days(2), state="open") == []
    assert ids(db, listing.conditions, NOON, family="quality") == ["c-4"]
    assert ids(db, listing.conditions, NOON, source="b", namespace="x", model="salary-predictor") == ["c-4"]
    assert read(db, listing.condition, "c-2", NOON)["state"] == "unknown"
    assert read(db, listing.condition, "c-9", NOON) is None


def test_decisions_are_filtered_and_paged(db: Database) -> None:
    """Decisions come newest first; those taken at one time are told apart by their id."""
    with db.write() as conn:
        for number in range(1, 7):
            filling.decision(
                conn, number, number, NOON + (number // 3) * MINUTE, policy="" if number == 6 else "retrain"
            )
        filling.decision(
            conn,
            7,
            7,
            NOON,
            policy="other",
            namespace="x",
            model="m",
            outcome="remediate",
            reason="",
            remediation_id="r-1",
        )
    first = read(db, listing.decisions, limit=4)
    second = read(db, listing.decisions, limit=4, cursor=first["next"])
    assert [item["id"] for page in (first, second) for item in page["items"]] == [6, 5, 4, 3, 7, 2, 1]
    assert first["items"][0]["policy"] == ""
    assert "situation" not in first["items"][0]
    for filters, found in (
        ({"policy": "ml/other"}, [7]),
        ({"policy": "other"}, []),
        ({"model": "m", "namespace": "x"}, [7]),
        ({"event": 3}, [3]),
        ({"outcome": "remediate"}, [7]),
        ({"reason": "cooldown", "event": 2}, [2]),
        ({"remediation": "r-1"}, [7]),
    ):
        assert ids(db, listing.decisions, **filters) == found, filters
    assert read(db, listing.decision, 3)["situation"] == {"facts": 1}
    assert read(db, listing.decision, 99) is None


def test_a_remediation_tells_its_story(db: Database) -> None:
    """One remediation comes with its transitions, intents, observations and notifications."""
    with db.write() as conn:
        filling.remediation(conn, "r-1", started=NOON, ended=NOON + MINUTE)
        filling.add(conn, schema.outbox, key="k", remediation_id="r-1", body={"type": "x"}, next_at=NOON)
    found = read(db, listing.remediation, "r-1")
    assert (found["phase"], found["active"], found["policy"], found["steps"]) == ("Succeeded", False, "ml/retrain", [])
    assert [(t["from"], t["to"], t["now"]) for t in found["transitions"]] == [("", "Pending", "2025-01-23T12:00:00Z")]
    assert [i["endState"] for i in found["intents"]] == [{"argv": ["true"]}]
    assert [o["value"] for o in found["observations"]] == [{"state": "done"}]
    assert [n["key"] for n in found["notifications"]] == ["k"]
    assert read(db, listing.remediation, "r-9") is None


def test_remediations_are_filtered(db: Database) -> None:
    """Newest first; by model, policy, phase and whether they are over."""
    with db.write() as conn:
        filling.remediation(conn, "r-1", started=NOON - days(1), ended=NOON)
        filling.remediation(conn, "r-2", started=NOON, ended=None)
        filling.remediation(conn, "r-3", started=NOON, ended=NOON, model="other", policy="page")
    assert ids(db, listing.remediations) == ["r-3", "r-2", "r-1"]
    assert ids(db, listing.remediations, active=True) == ["r-2"]
    assert ids(db, listing.remediations, active=False, model="salary-predictor", namespace="ml") == ["r-1"]
    assert ids(db, listing.remediations, policy="ml/page") == ["r-3"]
    assert ids(db, listing.remediations, phase="Running") == ["r-2"]


def test_silences_and_pauses_have_states(db: Database) -> None:
    """What is in force now, what will be and what was."""
    with db.write() as conn:
        for name, starts, ends, early in (
            ("active", -1, 1, None), ("pending", 1, 2, None), ("expired", -2, -1, None), ("early", -1, 1, NOON),
        ):  # fmt: skip
            filling.add(
                conn, schema.silences, id=name, matchers={"model": "x"}, starts_at=NOON + days(starts),
                ends_at=NOON + days(ends), ended_early_at=early,
            )  # fmt: skip
        for name, until, lifted in (
            ("for ever", None, None),
            ("a while", NOON + days(1), None),
            ("ran out", NOON, None),
            ("lifted", None, NOON),
        ):
            filling.add(conn, schema.pauses, id=name, scope="all", since=NOON - days(1), until=until, lifted_at=lifted)
    assert ids(db, listing.silences, NOON, state="active") == ["active"]
    assert ids(db, listing.silences, NOON, state="pending") == ["pending"]
    assert set(ids(db, listing.silences, NOON, state="expired")) == {"expired", "early"}
    assert len(ids(db, listing.silences, NOON)) == 4
    assert read(db, listing.silence, "early", NOON)["state"] == "expired"
    assert read(db, listing.silence, "none", NOON) is None
    assert set(ids(db, listing.pauses, NOON)) == {"for ever", "a while"}
    assert set(ids(db, listing.pauses, NOON, in_force=False)) == {"ran out", "lifted"}
    assert len(ids(db, listing.pauses, NOON, in_force=None)) == 4


def test_quarantine_lists_without_bodies(db: Database) -> None:
    """The list is short; one item comes with what it was."""
    with db.write() as conn:
        filling.add(conn, schema.quarantine, digest="d1", origin="engine", reason="poison", body={"big": 1}, count=2)
        filling.add(conn, schema.quarantine, digest="d2", origin="grafana", reason="schema", body={}, count=1)
    assert ids(db, listing.quarantine, key="digest") == ["d2", "d1"]
    assert ids(db, listing.quarantine, key="digest", origin="engine", reason="poison") == ["d1"]
    assert "body" not in read(db, listing.quarantine)["items"][0]
    assert read(db, listing.quarantined, "d1")["body"] == {"big": 1}
    assert read(db, listing.quarantined, "none") is None


def test_policies_and_models_are_those_in_force(db: Database) -> None:
    """Documents of the newest set alone count; a model without a document is listed once it was seen."""
    with db.write() as conn:
        filling.document(conn, "p0", "RemediationPolicy", "retrain", {"old": True})
        filling.document(conn, "p1", "RemediationPolicy", "retrain", {"spec": {}})
        filling.document(conn, "m1", "Model", "salary-predictor", {"metadata": {"labels": {"tier": "prod"}}})
        filling.policy_set(conn, 1, NOON - days(1), ["p0"])
        filling.policy_set(conn, 2, NOON, ["p1", "m1"], refused=("bad.yaml: no",))
        conn.execute(insert(schema.models).values(namespace="default", name="stranger", first_seen=NOON))
        filling.remediation(conn, "r-1", started=NOON - days(1), ended=NOON)
        filling.remediation(conn, "r-2", started=NOON, ended=None)
        filling.condition(conn, 1, 1, ended=None)
        filling.condition(conn, 2, 1, ended=NOON)
        filling.question(conn, 1, 1)
    assert read(db, standing.policy_set)["refused"] == ["bad.yaml: no"]
    assert [(p["name"], p["digest"]) for p in read(db, standing.policies)["items"]] == [("retrain", "p1")]
    assert read(db, standing.policy, "ml", "retrain")["text"] == {"spec": {}}
    assert read(db, standing.policy, "ml", "none") is None
    models = read(db, standing.models)["items"]
    assert [(m["namespace"], m["name"], m["documented"], m["labels"]) for m in models] == [
        ("default", "stranger", False, {}),
        ("ml", "salary-predictor", True, {"tier": "prod"}),
    ]
    assert (models[1]["activeRemediation"]["id"], models[1]["lastRemediation"]["id"]) == ("r-2", "r-1")
    assert ids(db, standing.models, key="name", namespace="ml") == ["salary-predictor"]
    first = read(db, standing.models, limit=1)
    assert ids(db, standing.models, key="name", cursor=first["next"]) == ["salary-predictor"]
    whole = read(db, standing.model, "ml", "salary-predictor", NOON)
    assert [c["id"] for c in whole["conditions"]] == ["c-1"]
    assert len(whole["questions"]) == 1
    assert whole["text"] == {"metadata": {"labels": {"tier": "prod"}}}
    assert read(db, standing.model, "default", "stranger", NOON)["text"] is None
    assert read(db, standing.model, "ml", "nobody", NOON) is None


def test_status_counts_what_waits(leadership: Leadership, db: Database) -> None:
    """The status holds backlog, active remediations by phase, the last input, the leader and the set in force."""
    empty = read(db, standing.status, NOON)
    assert (empty["backlog"], empty["lastInput"], empty["policySet"], empty["leader"]["epoch"]) == (0, None, None, 1)
    with leadership.transaction() as turn:
        turn.input("tick", "")
        filling.event(turn.conn, 1, NOON, decided_at=None)
        filling.remediation(turn.conn, "r-1", started=NOON, ended=None)
        filling.condition(turn.conn, 1, 1, ended=None)
        filling.question(turn.conn, 1, 1)
        filling.policy_set(turn.conn, 1, NOON, ["p1"], refused=("x",))
        filling.add(turn.conn, schema.pauses, id="p", scope="all", since=NOON)
        filling.add(turn.conn, schema.outbox, key="k", body={}, next_at=NOON)
        filling.add(turn.conn, schema.quarantine, digest="d", body={})
    status = read(db, standing.status, NOON)
    assert status["activeRemediations"] == {"Running": 1}
    assert [
        status[key]
        for key in ("backlog", "openConditions", "openQuestions", "pausesInForce", "outboxPending", "quarantined")
    ] == [1] * 6
    assert status["lastInput"]["kind"] == "tick"
    assert status["policySet"] == {
        "seq": 1,
        "inputSeq": 0,
        "since": "2025-01-23T12:00:00Z",
        "digest": "set-1",
        "members": 1,
        "refused": ["x"],
    }


@pytest.mark.parametrize(
    ("query", "filters", "index"),
    [
        (listing.events, {}, "SCAN events"),
        (listing.events, {"id": "e-1"}, "sqlite_autoindex_events_1"),
        (listing.events, {"id": "e-1", "source": "s"}, "sqlite_autoindex_events_1"),
        (listing.events, {"model": "m"}, "events_of_model"),
        (listing.events, {"undecided": True}, "events_undecided"),
        (listing.decisions, {}, "decisions_now"),
        (listing.decisions, {"model": "m", "namespace": "n"}, "decisions_of_model"),
        (listing.decisions, {"policy": "n/p"}, "decisions_of_policy"),
        (listing.decisions, {"event": 1}, "sqlite_autoindex_decisions_1"),
        (listing.decisions, {"remediation": "r"}, "decisions_of_remediation"),
        (listing.remediations, {}, "remediations_started"),
        (listing.remediations, {"active": True}, "remediations_ended|remediations_due|remediations_started"),
        (listing.remediations, {"model": "m", "namespace": "n"}, "remediations_of_model"),
    ],
)
def test_long_lists_use_an_index(
    sqlite_url: str, query: Callable[..., Any], filters: dict[str, Any], index: str
) -> None:
    """No list of a table that grows is sorted or searched as a whole: SQLite's own plan names the index."""
    from sqlalchemy import event as hooks

    db = Database(sqlite_url)
    plans: list[str] = []

    def explain(conn, cursor, statement, parameters, context, executemany) -> None:
        if statement.startswith("SELECT"):
            found = cursor.connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters).fetchall()
            plans.append("; ".join(row[3] for row in found))

    hooks.listen(db._readers, "before_cursor_execute", explain)
    read(db, query, **filters)
    hooks.remove(db._readers, "before_cursor_execute", explain)
    assert any(name in plans[0] for name in index.split("|")), plans
    if not filters or "namespace" in filters or "policy" in filters:
        assert "TEMP B-TREE FOR ORDER BY" not in plans[0], plans  # ties within one time may be sorted
    db.close()
