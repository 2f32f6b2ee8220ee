from pathlib import Path

import pytest

from controller.events.types import EventTypes
from controller.policy import Installation, build_set, parse_documents

FOLDER = Path("tests/golden/bad-config")
FILES = sorted(FOLDER.glob("*.yaml"))


def problems_of(file):
    """The messages for one file, checked as its first line says: `# on: PostgreSQL`, `# on: a machine alone`."""
    text = file.read_text()
    installation = Installation.of(
        EventTypes(),
        commands=not text.startswith("# on: PostgreSQL"),
        cluster=not text.startswith("# on: a machine alone"),
        prometheus=not text.startswith("# on: a machine alone"),
    )
    documents, unread = parse_documents(text, file.name)
    return [str(problem) for problem in build_set(documents, installation, unread)[1]]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_each_fault_alone_has_one_clear_message(file):
    """A document that is wrong in one way gets exactly the one message that stands beside it."""
    assert problems_of(file) == [file.with_suffix(".txt").read_text().rstrip("\n")]


def test_every_message_is_different():
    """No two faults are told alike."""
    messages = [file.with_suffix(".txt").read_text().partition(": ")[2] for file in FILES]
    same = {message for message in messages if messages.count(message) > 1}
    # one sentence for two ways to write too many macros
    assert {message.rpartition(": ")[2].strip() for message in same} <= {
        "at most one of map, filter, all, exists, exists_one in an expression"
    }
    assert len(FILES) > 100


def test_all_faults_of_a_set_are_told_at_once(installation):
    """A set with every fault of this folder gives every message: nothing hides behind another."""
    documents, unread, expected = [], [], set()
    for number, file in enumerate(FILES):
        text = file.read_text()
        if text.startswith("# on:") or "twice" in file.stem:
            continue
        # a namespace each, so that they are not refused for having one name
        text = text.replace("namespace: ml", f"namespace: ml{number}")
        found, wrong = parse_documents(text, file.name)
        documents += found
        unread += wrong
        expected.add(file.with_suffix(".txt").read_text().rstrip("\n").replace('"ml/', f'"ml{number}/'))
    told = {
        str(problem)
        for problem in build_set(documents, Installation.of(EventTypes(), cluster=True, prometheus=True), unread)[1]
    }
    assert {line for line in expected if '"default/' not in line} <= told
