"""10,000 events for one model."""

import pytest

from tests.e2e.conftest import Serve
from tests.e2e.serving import Served, drift, policy, until
from tests.e2e.storm import Storm, mixed
from tests.integration.http_double import HttpDouble

EVENTS = 10_000
LAST_ATTEMPTS = (
    "SELECT d.outcome, d.reason, count(*) FROM decisions d WHERE d.model = :model AND d.attempt = (SELECT max(o.attempt) FROM decisions o "
    "WHERE o.event_seq = d.event_seq AND o.policy_ns = d.policy_ns AND o.policy = d.policy) GROUP BY 1, 2"
)


def _counts(served: Served, model: str) -> dict[tuple[str, str], int]:
    return {(outcome, reason): count for outcome, reason, count in served.rows(LAST_ATTEMPTS, model=model)}


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_ten_thousand_events_lead_to_one_remediation(serve: Serve) -> None:
    """One remediation, the rest refused by name, all counted once; when the cooldown lifts, one more only if still open."""
    with HttpDouble() as hook:
        step = f"{{name: hook, request: {{url: '{hook.url}/retrain', method: POST}}, verify: none}}"
        served = serve(policy(step, limits="{cooldown: 30s}"))
        served.start()
        events = [_drift(number, "m") for number in range(EVENTS)] + [_drift(number, "other") for number in range(100)]
        with Storm(lambda: served.url, mixed(events, batch=90)) as storm:
            storm.wait()
        until(lambda: len(hook.arrived) == 2, "both models to be mended")  # before that, "over" would start nothing
        assert served.post(drift("clear", type="ml.data.drift.resolved", data={"model": "other"})).status == 202
        served.all_decided()

        assert set(storm.statuses) == {202}
        assert len(served.stored()) == EVENTS + 101
        counts = _counts(served, "m")
        assert sum(counts.values()) == EVENTS
        assert counts["remediate", ""] == 1
        assert set(counts) <= {("remediate", ""), ("suppress", "in_progress"), ("suppress", "cooldown")}
        assert served.rows("SELECT model, count(*) FROM remediations GROUP BY 1 ORDER BY 1") == [("m", 1), ("other", 1)]
        assert len(hook.arrived) == 2
        told = 'modelmend_decisions_total{outcome="remediate",policy="default/mend",reason=""}'
        assert served.metric(told) == 2

        until(lambda: not served.rows("SELECT 1 FROM questions"), "the open questions to be answered")
        until(lambda: not served.items("remediations", active="true"), "the remediations to end")
        assert served.rows("SELECT model, count(*) FROM remediations GROUP BY 1 ORDER BY 1") == [("m", 2), ("other", 1)]
        assert len(hook.arrived) == 3
        counts = _counts(served, "m")
        assert (sum(counts.values()), counts["remediate", ""]) == (EVENTS, 2)
        counts = _counts(served, "other")  # its last open question was closed: what it was about is over
        assert (sum(counts.values()), counts["remediate", ""], counts["suppress", "stale"]) == (101, 1, 1)
        assert served.terminate() == 0


def _drift(number: int, model: str) -> dict[str, object]:
    """Each tenth is about another feature, and each is an event of its own."""
    return drift(f"{model}-{number}", data={"model": model, "feature": f"f-{number % 10}", "driftScore": 0.44})
