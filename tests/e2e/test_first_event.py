"""The line from one POST to its explanation."""

import json

from tests.e2e.conftest import Serve
from tests.e2e.serving import drift, policy, until

EXAMPLE = {
    "specversion": "1.0",
    "id": "drift-99201",
    "type": "ml.data.drift.detected",
    "source": "urn:drift-detector",
    "time": "2025-01-23T12:00:00Z",
    "data": {"feature": "salary", "driftScore": 0.44, "threshold": 0.30, "modelVersion": "salary-predictor-v5"},
}


def test_the_example_is_accepted_once_and_explained(serve: Serve, database: str | None) -> None:
    """The example event answers 202, again as a duplicate; `explain` says what was decided and why."""
    served = serve(policy("{name: page, page: {}}"), database=database)
    served.start()

    first, again = served.post(EXAMPLE), served.post(EXAMPLE)

    assert (first.status, first.json["accepted"], first.json["duplicates"]) == (202, ["drift-99201"], [])
    assert (again.status, again.json["accepted"], again.json["duplicates"]) == (202, [], ["drift-99201"])
    served.all_decided()
    told = served.run("explain", "drift-99201")
    assert told.returncode == 0, told.stderr
    assert "policy default/mend: not now: stale" in told.stdout
    assert "delivered 2 times" in told.stdout
    as_json = served.run("explain", "drift-99201", "--output", "json")
    answer = json.loads(as_json.stdout)["answers"]
    assert [(a["policy"], a["outcome"], a["reason"], a["values"]["why"]) for a in answer] == [
        ("default/mend", "suppress", "stale", "too_old")
    ]
    assert served.rows("SELECT id, seen FROM events") == [("drift-99201", 2)]


def test_an_act_is_explained_too(serve: Serve) -> None:
    """A fresh event leads to its action and to Succeeded; `explain` tells the story of event and remediation."""
    served = serve(
        policy("{name: retrain, command: {argv: [/bin/sh, -c, 'echo $MODELMEND_MODEL >> ran']}, verify: none}")
    )
    served.start()

    assert served.post(drift("fresh")).status == 202
    until(lambda: served.items("remediations", phase="Succeeded"), "the remediation to succeed")

    assert (served.folder / "ran").read_text() == "default/salary-predictor\n"
    told = served.run("explain", "fresh")
    assert "policy default/mend: acted" in told.stdout, told.stdout + told.stderr
    remediation = served.items("remediations")[0]["id"]
    of_it = served.run("explain", remediation, "--output", "json")
    assert of_it.returncode == 0, of_it.stderr
    assert [story["phase"] for story in json.loads(of_it.stdout)["stories"]] == ["Succeeded"]
