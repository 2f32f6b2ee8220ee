import re
from pathlib import Path

import pytest

from controller.durations import format_duration, parse_duration
from controller.events.types import EventTypes
from controller.policy import Installation, build_set, parse_documents
from controller.policy.cel_checks import ROOTS
from controller.policy.cluster_steps import EVERY as ROLLOUT_EVERY
from controller.policy.defaults import BUILT_IN
from controller.policy.keys import KEYS, KINDS
from controller.policy.steps import EVERY

PAGE = Path("docs/policies.md").read_text()


@pytest.mark.parametrize("key", sorted({key for keys in KEYS.values() for key in keys}))
def test_every_key_is_documented(key):
    """No key can be written that the page does not name in code type."""
    assert re.search(rf"`[^`\n]*\b{key}\b[^`\n]*`", PAGE)


@pytest.mark.parametrize("word", [*KINDS, *ROOTS, *(field for fields in ROOTS.values() for field in fields or ())])
def test_every_kind_and_every_name_of_expressions_is_documented(word):
    """What a document may be, and what an expression may read, stands on the page."""
    assert f"`{word}`" in PAGE


DOCUMENTS = [
    pytest.param(text, id=f"{file.stem}-{at}")
    for file in (Path("docs/policies.md"), Path("docs/actions.md"))
    for at, text in enumerate(re.findall(r"```yaml\n(.*?)```", file.read_text(), re.DOTALL), start=1)
    if re.search(r"^kind: (RemediationPolicy|Model|Defaults|Freeze)$", text, re.MULTILINE)
]


@pytest.mark.parametrize("text", DOCUMENTS)
def test_every_document_on_the_pages_is_valid(text):
    """The examples of both pages check without a word."""
    documents, unread = parse_documents(text, "docs")
    problems = build_set(documents, Installation.of(EventTypes(), cluster=True, prometheus=True), unread)[1]
    assert [str(problem) for problem in problems] == []


@pytest.mark.parametrize(
    ("key", "length"),
    [
        ("cooldown", BUILT_IN.limits.cooldown),
        ("maxAge", BUILT_IN.limits.max_age),
        ("wait", BUILT_IN.wait),
        ("settle", BUILT_IN.settle),
        ("for", BUILT_IN.hold),
        ("within", BUILT_IN.within),
        ("expires", BUILT_IN.approval_expires),
        ("every", EVERY),
    ],
)
def test_the_documented_default_is_the_real_one(key, length):
    """A default in a table of the page is the one that holds."""
    documented = re.findall(rf"^\| `{key}` \| `([0-9a-z]+)` \|", PAGE, re.MULTILINE)
    assert [parse_duration(text) for text in documented] == [length]


def test_every_timeout_is_documented():
    """Each action falls back to what the page says."""
    documented = re.findall(r"^\| `timeout` \| `([0-9a-z]+)` \|", PAGE, re.MULTILINE)
    assert [parse_duration(text) for text in documented] == [
        BUILT_IN.workflow_timeout,
        BUILT_IN.job_timeout,
        BUILT_IN.command_timeout,
        BUILT_IN.request_timeout,
    ]
    assert f"Beside it `timeout`, by default `{format_duration(BUILT_IN.rollout_timeout)}`" in PAGE
    assert f"with the default {format_duration(ROLLOUT_EVERY)}, of `rollout`" in PAGE
