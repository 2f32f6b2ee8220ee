"""Documents of a cluster whose API server is away: nothing changes, and nothing is decided that nobody can know."""

import pytest

from tests.e2e.serving import drift, until
from tests.integration.cluster.documents.conftest import in_force, policy
from tests.integration.cluster.documents.gate import Gate

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]


@pytest.fixture
def gate(kubeconfig, tmp_path):
    gate = Gate(kubeconfig, tmp_path / "through-the-gate")
    yield gate
    gate.close()


def about(documents, id_: str) -> dict:
    """A drift event about a model of the test's namespace."""
    return drift(id_, data={"model": "salary", "namespace": documents.namespace, "driftScore": 0.44})


def decisions(served, id_: str) -> list[tuple[str, str]]:
    query = "SELECT d.outcome, d.policy FROM events e JOIN decisions d ON d.event_seq = e.seq WHERE e.id = :id AND d.attempt = 1"
    return served.rows(query, id=id_)


def test_nothing_is_decided_before_the_documents_are_known(documents, installation, gate):
    """Where nothing was ever in force and the API server is away, events are kept undecided and readyz says why."""
    documents.write(policy())
    served = installation(kubeconfig=str(gate.kubeconfig))
    process = served.launch()
    until(served.listens, "the door")
    answer = served.ask("GET", "/readyz")
    assert answer.status == 503
    assert b"documents are not known yet" in answer.body
    assert b"no answer" in answer.body
    assert served.post(about(documents, "early")).status == 202
    assert process.poll() is None
    assert decisions(served, "early") == []

    gate.open()
    served.content()
    assert until(lambda: decisions(served, "early"), "a decision") == [("remediate", "look")]
    assert served.terminate() == 0


def test_what_was_in_force_stays_while_the_api_server_is_away(documents, installation, gate):
    """Away while it runs, away when it starts: the set of before decides; what changed meanwhile comes with it."""
    gate.open()
    documents.write(policy())
    served = installation(kubeconfig=str(gate.kubeconfig))
    served.start()
    until(lambda: in_force(served, documents.namespace), "the policy to be in force")

    gate.close()
    documents.write(policy("other"))
    documents.delete("policy", "look")
    served.post(about(documents, "first"))
    assert until(lambda: decisions(served, "first"), "a decision") == [("remediate", "look")]
    assert served.ready()
    assert served.terminate() == 0

    served.start()
    assert "documents are not known yet" in served.log.read_text()
    assert list(in_force(served, documents.namespace)) == ["look"]
    served.post(about(documents, "second"))
    assert until(lambda: decisions(served, "second"), "a decision")[0][1] == "look"

    gate.open()
    until(lambda: list(in_force(served, documents.namespace)) == ["other"], "what changed meanwhile")
    assert served.terminate() == 0
