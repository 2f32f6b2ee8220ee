"""Who may write policies in one namespace gets no hold of modelmend's account, which may act in all of them."""

from controller.events.types import EventTypes
from controller.policy import Installation, accept, build_set, parse_documents, read_object

INSTALLATION = Installation.of(EventTypes(), cluster=True, prometheus=True)
SPEC = {
    "models": {"names": ["*"]},
    "triggers": [{"type": "ml.data.drift.detected"}],
    "steps": [
        {"name": "ask", "request": {"url": "http://ci.example.com/"}, "verify": [{"command": {"argv": ["id"]}}]},
        {"name": "run", "command": {"argv": ["id"]}, "verify": "none"},
    ],
}
OBJECT = {"metadata": {"name": "p", "namespace": "ml"}, "spec": SPEC}
FILE = {"kind": "RemediationPolicy", **OBJECT}


def test_a_command_in_an_object_is_refused_by_name():
    """As an action, and as a verification."""
    document, problems = read_object("RemediationPolicy", OBJECT)
    found, problems = build_set([document], INSTALLATION, problems)
    assert found.policies == ()
    assert [problem.message for problem in problems] == [
        "spec.steps[0].verify[0].command: not run for objects of a cluster, only for files",
        "spec.steps[1].command: not run for objects of a cluster, only for files",
    ]


def test_in_a_file_it_is_run():
    """Files are given by who runs modelmend."""
    documents, problems = parse_documents(str(FILE), "policies.yaml")
    assert build_set(documents, INSTALLATION, problems)[1] == ()


def test_one_that_was_accepted_from_a_file_does_not_stay_in_force_for_an_object():
    """Else a file that became an object would be a way around it."""
    documents, _ = parse_documents(str(FILE), "policies.yaml")
    document, problems = read_object("RemediationPolicy", OBJECT)
    accepted = accept([document], INSTALLATION, problems, documents)
    assert accepted.policies.policies == ()
