"""Pages and outcome events reach receivers outside, once under each key, also when they answer 500 first."""

import json
from collections import Counter

from tests.e2e.conftest import Serve
from tests.e2e.serving import drift, policy, until
from tests.integration.http_double import HttpDouble, Reply


def test_a_webhook_and_a_sink_are_told_once_per_key(serve: Serve) -> None:
    """The page goes to the webhook, each transition to the CloudEvents sink; what was answered 500 comes again."""
    with HttpDouble(Reply(500), Reply(200)) as pager, HttpDouble(Reply(500), Reply(200)) as sink:
        receivers = {"default": {"url": f"{pager.url}/page"}, "sink": {"url": f"{sink.url}/in", "kind": "cloudevents"}}
        fails = "{name: retrain, command: {argv: [/bin/sh, -c, 'exit 3']}, verify: none}"
        served = serve(policy(fails, "{name: page, page: {}}"), receivers=receivers)
        served.start()
        assert served.post(drift("e", "m")).status == 202
        until(lambda: served.rows("SELECT phase FROM remediations") == [("Escalated",)], "the ladder to end")
        undelivered = "SELECT count(*) FROM outbox WHERE sent_at IS NULL"
        until(lambda: served.rows(undelivered) == [(0,)], "the outbox to be empty")
        [(remediation,)] = served.rows("SELECT id FROM remediations")

        assert served.terminate() == 0
        served.start()  # nothing goes out again after a start
        served.post(drift("another", "m"))
        served.all_decided()
        assert served.terminate() == 0

        keys = [arrived.headers["idempotency-key"] for arrived in pager.arrived]
        assert len(keys) == 2
        assert len(set(keys)) == 1  # 500 first, then taken
        page = json.loads(pager.arrived[1].body)
        assert pager.arrived[0].body == pager.arrived[1].body
        assert (page["receiver"], page["page"], page["data"]["remediation"]) == ("default", True, remediation)
        assert "default/m" in page["text"]

        told = [json.loads(arrived.body) for arrived in sink.arrived]
        assert all(event["specversion"] == "1.0" and event["source"] == "modelmend" for event in told)
        times = Counter(event["id"] for event in told)
        assert times[told[0]["id"]] == 2  # 500 first, then taken
        del times[told[0]["id"]]
        assert set(times.values()) == {1}
        types = [event["type"].removeprefix("modelmend.remediation.") for event in told[1:]]
        assert types == ["pending", "running", "pending", "escalated"]
        assert {event["subject"] for event in told} == {"default/m"}
        assert {event["data"]["remediation"] for event in told} == {remediation}
        rows = served.rows("SELECT key, attempts FROM outbox")
        assert {key for key, _ in rows} == {*keys, *(event["id"] for event in told)}
