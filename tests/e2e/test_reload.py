"""Policies change while it runs, for good and for bad; and a start with bad ones."""

from tests.e2e.conftest import Serve
from tests.e2e.serving import PATIENCE, Served, drift, policy, until

ABOVE_ONE = policy("{name: page, page: {}}").replace("> 0.3", "> 1.0")
ABOVE_A_THIRD = policy("{name: page, page: {}}")
TWO_FAULTS = ABOVE_A_THIRD.replace("mode: enforce", "mode: enforced").replace("triggers:", "trigers:")


def _answers(served: Served, id_: str) -> list[tuple[str, str]]:
    query = (
        "SELECT d.outcome, d.reason FROM events e JOIN decisions d ON d.event_seq = e.seq "
        "WHERE e.id = :id AND d.attempt = 1"
    )
    return until(lambda: served.rows(query, id=id_), f"a decision on {id_}")


def _reloads(served: Served, result: str) -> float:
    return served.metric(f'modelmend_reloads_total{{result="{result}"}}')


def test_policies_are_reloaded_and_bad_ones_refused(serve: Serve) -> None:
    """A good change comes into force while running; a bad one is refused, named, counted, at a restart too."""
    served = serve(ABOVE_ONE)
    served.start()
    served.post(drift("first", "m-1"))
    assert _answers(served, "first") == [("suppress", "condition_false")]

    served.policies.write_text(ABOVE_A_THIRD)
    until(lambda: _reloads(served, "changed") == 1, "the change to be seen")
    until(lambda: "0.3" in str(served.get("policies")["items"]), "the change to be in force")
    served.post(drift("second", "m-2"))
    assert _answers(served, "second") == [("remediate", "")]
    in_force = served.get("policies")["digest"]

    served.policies.write_text(TWO_FAULTS)
    until(lambda: _reloads(served, "refused") == 1, "the bad document to be refused")
    until(lambda: served.get("policies")["refused"], "the refusal to be shown")
    _refused_and_named(served, in_force)
    assert "trigers" in served.log.read_text()
    served.post(drift("third", "m-3"))
    assert _answers(served, "third") == [("remediate", "")]
    assert served.terminate() == 0

    served.start()  # with the bad file still there
    until(lambda: served.get("policies")["refused"], "the refusal to be shown")
    _refused_and_named(served, in_force)
    served.post(drift("fourth", "m-4"))
    assert _answers(served, "fourth") == [("remediate", "")]

    served.policies.write_text(ABOVE_A_THIRD)
    until(lambda: not served.get("policies")["refused"], "the refusal to be over")
    until(lambda: served.metric("modelmend_documents_refused") == 0, "no document to be refused")
    assert served.terminate() == 0


def _refused_and_named(served: Served, in_force: str) -> None:
    """Both faults are named by every means, and what was in force stays so."""
    found = served.get("policies")
    assert found["digest"] == in_force
    assert [item["name"] for item in found["items"]] == ["mend"]
    assert any("enforced" in message for message in found["refused"])
    assert any("trigers" in message for message in found["refused"])
    assert all(str(served.policies) in message for message in found["refused"])
    until(lambda: served.metric("modelmend_documents_refused") >= 1, "the refusal to be counted")
    command = served.run("policies")
    assert "mend" in command.stdout
    assert "refused: " in command.stderr
    assert "trigers" in command.stderr
    assert "trigers" in served.run("status").stdout


def test_a_bad_document_at_the_very_first_start_exits_2(serve: Serve, database: str | None) -> None:
    """Where the store never had a set in force, `serve` prints every error of a bad document and exits 2."""
    served = serve(TWO_FAULTS, database=database)
    assert served.launch().wait(PATIENCE) == 2
    said = served.log.read_text()
    assert "enforced" in said
    assert "trigers" in said
    assert said.count(str(served.policies)) >= 2
    assert "Traceback" not in said

    served.policies.write_text(ABOVE_A_THIRD)
    served.start()  # nothing of the failed start is in the way
    assert served.terminate() == 0


def test_bad_settings_exit_2(serve: Serve) -> None:
    """Bad settings end `serve` with 2 and name every one of them."""
    served = serve(ABOVE_A_THIRD, workers=0, backlog="many")
    assert served.launch().wait(PATIENCE) == 2
    said = served.log.read_text()
    assert "workers" in said
    assert "backlog" in said
    assert "Traceback" not in said
