from datetime import timedelta

import pytest

from controller import schema
from controller.store import quarantine
from controller.store.database import Database
from controller.store.leader import Leadership
from controller.store.retention import Retention, purge

from . import filling
from .conftest import NOON, days, rows

LONG_AGO = NOON - days(1000)
RECENT = NOON - days(1)
PROMISED = Retention()


def keys(db: Database, table: str, key: str = "id") -> list[object]:
    return [found for (found,) in rows(db, f"SELECT {key} FROM {table} ORDER BY {key}")]


def run(leadership: Leadership, **arguments: object) -> dict[str, int]:
    return purge(leadership, NOON, PROMISED, **arguments)


@pytest.mark.parametrize(("age", "stays"), [(89.9, True), (90.1, False)])
def test_events_stay_ninety_days(leadership: Leadership, db: Database, age: float, stays: bool) -> None:
    """A decided event stays 90 days from its receipt, and no longer."""
    with db.write() as conn:
        filling.event(conn, 1, NOON - days(age))
        filling.event(conn, 2, RECENT)
    assert run(leadership).get("events", 0) == (0 if stays else 1)
    assert keys(db, "events", "seq") == ([1, 2] if stays else [2])


def test_an_undecided_event_is_never_purged(leadership: Leadership, db: Database) -> None:
    """What was acknowledged is decided first, however long that takes."""
    with db.write() as conn:
        filling.event(conn, 1, LONG_AGO, decided_at=None)
        filling.event(conn, 2, LONG_AGO, renewed_at=LONG_AGO)
        filling.event(conn, 3, RECENT)
    assert run(leadership) == {}
    assert keys(db, "events", "seq") == [1, 2, 3]


def test_the_newest_event_of_a_condition_that_is_not_over_stays(leadership: Leadership, db: Database) -> None:
    """Open or unknown, a condition keeps its newest event; once it is over, the event goes."""
    with db.write() as conn:
        for seq in (1, 2, 3):
            filling.event(conn, seq, LONG_AGO)
        filling.event(conn, 4, RECENT)
        filling.condition(conn, 1, 1, ended=None)
        filling.condition(conn, 2, 2, ended=None, expires=LONG_AGO)
        filling.condition(conn, 3, 3, ended=RECENT)
    assert run(leadership) == {"events": 1}
    assert keys(db, "events", "seq") == [1, 2, 4]
    assert keys(db, "conditions") == ["c-1", "c-2", "c-3"]


def test_conditions_that_are_over_go_with_the_decisions(leadership: Leadership, db: Database) -> None:
    """A condition goes 400 days after its end; one that is not over, or is being answered or asked about, stays."""
    with db.write() as conn:
        filling.condition(conn, 1, 1, ended=NOON - days(401))
        filling.condition(conn, 2, 2, ended=NOON - days(399))
        filling.condition(conn, 3, 3, ended=None, last_seen=LONG_AGO, expires=LONG_AGO)
        filling.condition(conn, 4, 4, ended=LONG_AGO)
        filling.condition(conn, 5, 5, ended=LONG_AGO)
        filling.remediation(conn, "r-1", started=LONG_AGO, ended=None, evidence=["c-4"])
        filling.question(conn, 5, 5, condition_id="c-5")
    run(leadership)
    assert keys(db, "conditions") == ["c-2", "c-3", "c-4", "c-5"]


def test_an_open_question_keeps_its_event_and_decisions(leadership: Leadership, db: Database) -> None:
    """What may still be asked again stays with all its attempts."""
    with db.write() as conn:
        for seq in (1, 2):
            filling.event(conn, seq, LONG_AGO)
            filling.decision(conn, seq, seq, LONG_AGO)
        filling.decision(conn, 3, 1, LONG_AGO + timedelta(hours=1), attempt=2)
        filling.event(conn, 9, RECENT)
        filling.question(conn, 1, 3)
    run(leadership)
    assert keys(db, "events", "seq") == [1, 9]
    assert keys(db, "decisions") == [1, 3]
    assert keys(db, "questions", "event_seq") == [1]


def test_an_active_remediation_keeps_all_that_is_its_own(leadership: Leadership, db: Database) -> None:
    """A remediation that is not over stays with event, evidence, decision, transitions, intents, observations, inputs."""
    with db.write() as conn:
        for seq in (1, 2, 3):
            filling.event(conn, seq, LONG_AGO)
            filling.decision(conn, seq, seq, LONG_AGO)
            filling.add(conn, schema.inputs, seq=seq, now=LONG_AGO)
        filling.add(conn, schema.inputs, seq=9, now=RECENT)
        filling.event(conn, 9, RECENT)
        filling.condition(conn, 2, 2, ended=LONG_AGO)
        filling.remediation(conn, "r-1", started=LONG_AGO, ended=None, evidence=["c-2"])
    run(leadership)
    assert keys(db, "events", "seq") == [1, 2, 9]
    assert keys(db, "decisions") == [1]
    assert keys(db, "conditions") == ["c-2"]
    assert keys(db, "inputs", "seq") == [1, 2, 3, 9]
    for table in ("remediations", "transitions", "intents", "observations", "targets"):
        assert rows(db, f"SELECT count(*) FROM {table}") == [(1,)], table


@pytest.mark.parametrize(("age", "stays"), [(399, 1), (401, 0)])
def test_remediations_stay_four_hundred_days(leadership: Leadership, db: Database, age: float, stays: int) -> None:
    """A remediation stays 400 days from its end, and goes with everything that belongs to it."""
    with db.write() as conn:
        filling.decision(conn, 1, 1, NOON - days(age))
        filling.remediation(conn, "r-1", started=LONG_AGO, ended=NOON - days(age))
    run(leadership)
    for table in ("remediations", "transitions", "intents", "observations", "targets", "decisions"):
        assert rows(db, f"SELECT count(*) FROM {table}") == [(stays,)], table


def test_an_audited_remediation_stays_while_it_holds(leadership: Leadership, db: Database) -> None:
    """One that is terminal but still counted by its policy's limits stays."""
    with db.write() as conn:
        filling.remediation(conn, "r-1", started=LONG_AGO, ended=LONG_AGO, held_until=RECENT)
    run(leadership)
    assert keys(db, "remediations") == ["r-1"]


def test_what_labels_may_still_confirm_stays(leadership: Leadership, db: Database) -> None:
    """One that succeeded provisionally stays while labels may still come, with its decision."""
    with db.write() as conn:
        filling.decision(conn, 1, 1, LONG_AGO)
        filling.remediation(conn, "r-1", started=LONG_AGO, ended=LONG_AGO, confirm_until=NOON + days(1))
    run(leadership)
    assert keys(db, "remediations") == ["r-1"]
    assert keys(db, "decisions") == [1]


def test_decisions_stay_four_hundred_days_and_outlive_their_events(leadership: Leadership, db: Database) -> None:
    """A decision answers "why" for 400 days, its event only for 90."""
    with db.write() as conn:
        for number, age in ((1, 401), (2, 399), (3, 91)):
            filling.event(conn, number, NOON - days(age))
            filling.decision(conn, number, number, NOON - days(age))
        filling.event(conn, 9, RECENT)
    assert run(leadership) == {"events": 3, "decisions": 1}
    assert keys(db, "decisions") == [2, 3]


def test_the_outbox_is_never_purged_before_it_is_delivered(leadership: Leadership, db: Database) -> None:
    """Waiting notifications stay, and their remediation with them; delivered and dead ones go after 400 days."""
    with db.write() as conn:
        for number, (sent, dead) in enumerate(((None, None), (LONG_AGO, None), (None, LONG_AGO), (RECENT, None)), 1):
            values = {"remediation_id": f"r-{number}", "next_at": LONG_AGO, "sent_at": sent, "dead_at": dead}
            filling.add(conn, schema.outbox, key=f"k-{number}", body={}, **values)
            filling.remediation(conn, f"r-{number}", started=LONG_AGO, ended=LONG_AGO)
    run(leadership)
    assert keys(db, "outbox", "key") == ["k-1", "k-4"]
    assert keys(db, "remediations") == ["r-1"]


def test_acts_silences_pauses_and_evidence_go_once_over(leadership: Leadership, db: Database) -> None:
    """Acts not yet used, silences and pauses in force, and evidence within 400 days stay; the rest goes."""
    with db.write() as conn:
        for number, (at, used) in enumerate(((LONG_AGO, 1), (LONG_AGO, None), (RECENT, 2), (RECENT, 3)), 1):
            filling.add(conn, schema.acts, kind=f"act-{number}", body={}, at=at, input_seq=used)
        for name, starts, ends, early in (
            ("over", LONG_AGO, LONG_AGO + days(1), None),
            ("early", LONG_AGO, NOON + days(1), LONG_AGO),
            ("in force", LONG_AGO, NOON + days(1), None),
        ):
            filling.add(
                conn, schema.silences, id=name, matchers={}, starts_at=starts, ends_at=ends, ended_early_at=early
            )
        for name, until, lifted in (
            ("in force", None, None),
            ("lifted", None, LONG_AGO),
            ("ran out", LONG_AGO, None),
            ("until later", NOON + days(1), None),
        ):
            filling.add(conn, schema.pauses, id=name, since=LONG_AGO, until=until, lifted_at=lifted)
        for seq, at in ((1, NOON - days(401)), (2, NOON - days(399))):
            filling.add(conn, schema.evidence, event_seq=seq, time=at)
    run(leadership)
    assert keys(db, "acts", "kind") == ["act-2", "act-3", "act-4"]
    assert keys(db, "silences") == ["in force"]
    assert keys(db, "pauses") == ["in force", "until later"]
    assert keys(db, "evidence", "event_seq") == [2]


def test_inputs_go_up_to_the_first_that_is_needed(leadership: Leadership, db: Database) -> None:
    """The log of inputs is cut at its old end only, before what a kept decision came from."""
    with db.write() as conn:
        for seq in range(1, 8):
            filling.add(conn, schema.inputs, seq=seq, now=LONG_AGO if seq < 7 else RECENT)
        filling.decision(conn, 4, 4, RECENT)
    assert run(leadership) == {"inputs": 3}
    assert keys(db, "inputs", "seq") == [4, 5, 6, 7]


def test_documents_stay_while_anything_names_them(leadership: Leadership, db: Database) -> None:
    """A text goes when no kept set, decision or remediation names it; the set in force is never old."""
    with db.write() as conn:
        for digest in ("in-force", "before", "decided", "remedied", "forgotten"):
            filling.document(conn, digest, "RemediationPolicy", "retrain")
        filling.document(conn, "a-model", "Model", "salary-predictor")
        filling.document(conn, "an-old-model", "Model", "salary-predictor")
        filling.policy_set(conn, 1, LONG_AGO, ["forgotten", "an-old-model"])
        filling.policy_set(conn, 2, LONG_AGO + days(1), ["before"])
        filling.policy_set(conn, 3, NOON - days(300), ["in-force"])
        filling.decision(conn, 1, 1, RECENT, policy_digest="decided", model_digest="a-model")
        filling.remediation(conn, "r-1", started=LONG_AGO, ended=None, policy_digest="remedied")
    # The second was still in force 400 days ago: decisions that are kept may rest on it.
    assert run(leadership) == {"policy_sets": 1, "documents": 2}
    assert keys(db, "documents", "digest") == ["a-model", "before", "decided", "in-force", "remedied"]
    assert keys(db, "policy_sets", "seq") == [2, 3]


def test_the_set_in_force_stays_however_old(leadership: Leadership, db: Database) -> None:
    """A set that came into force years ago and still is stays with its documents."""
    with db.write() as conn:
        filling.document(conn, "p1", "RemediationPolicy", "retrain")
        filling.policy_set(conn, 1, LONG_AGO, ["p1"])
    assert run(leadership) == {}


def test_what_people_may_still_replay_keeps_its_event(leadership: Leadership, db: Database) -> None:
    """An event in quarantine stays until it was replayed."""
    with db.write() as conn:
        filling.event(conn, 1, LONG_AGO)
        filling.event(conn, 2, RECENT)
        quarantine.put(conn, LONG_AGO, origin="engine", reason="poison", message="m", body={}, event_seq=1)
    assert run(leadership) == {}
    with db.write() as conn:
        (digest,) = conn.exec_driver_sql("SELECT digest FROM quarantine").scalars()
        quarantine.replayed(conn, digest, NOON)
    assert run(leadership) == {"events": 1}


def test_numbers_are_never_given_out_twice(leadership: Leadership, intake, db: Database) -> None:
    """When all events are old, the newest stays, so that the next event gets a number of its own."""
    with db.write() as conn:
        for seq in (1, 2, 3):
            filling.event(conn, seq, LONG_AGO)
            filling.add(conn, schema.acts, kind="resume", body={}, at=LONG_AGO, input_seq=seq)
    run(leadership)
    assert keys(db, "events", "seq") == [3]
    assert keys(db, "acts") == [3]


def test_chunks_are_bounded_and_all_is_done(leadership: Leadership, db: Database, monkeypatch) -> None:
    """A thousand rows go in transactions of at most the chunk's size, between which others get their turn."""
    with db.write() as conn:
        for seq in range(1, 103):
            filling.event(conn, seq, LONG_AGO if seq < 102 else RECENT)
    left: list[int] = []
    transaction = leadership.transaction

    def counted():
        left.append(rows(db, "SELECT count(*) FROM events")[0][0])
        return transaction()

    monkeypatch.setattr(leadership, "transaction", counted)
    assert run(leadership, chunk=20) == {"events": 101}
    assert left == [102, 82, 62, 42, 22, 2]


def test_a_stop_is_heeded_between_chunks(leadership: Leadership, db: Database) -> None:
    """A stop does not wait until everything is purged."""
    with db.write() as conn:
        for seq in range(1, 51):
            filling.event(conn, seq, LONG_AGO)
    asked: list[int] = []

    def stopping() -> bool:
        asked.append(1)
        return len(asked) > 2

    assert run(leadership, chunk=10, stopping=stopping) == {"events": 20}


def test_retention_is_as_configured(leadership: Leadership, db: Database) -> None:
    """Both times are the installation's own."""
    with db.write() as conn:
        for seq, age in ((1, 8), (2, 6), (3, 1)):
            filling.event(conn, seq, NOON - days(age))
            filling.decision(conn, seq, seq, NOON - days(age))
    assert purge(leadership, NOON, Retention(events=days(5), decisions=days(7))) == {"events": 2, "decisions": 1}
