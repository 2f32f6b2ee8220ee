import re
from pathlib import Path

import pytest

from controller.durations import parse_duration
from controller.events.types import EventTypes
from controller.policy import Installation, build_set, parse_documents
from controller.policy.cel_checks import ROOTS
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


def test_every_yaml_on_the_page_is_valid():
    """The examples of the page check without a word."""
    problems = []
    for text in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL):
        documents, unread = parse_documents(text, "docs/policies.md")
        problems += build_set(documents, Installation.of(EventTypes()), unread)[1]
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
        ("every", EVERY),
    ],
)
def test_the_documented_default_is_the_real_one(key, length):
    """A default in a table of the page is the one that holds."""
    documented = re.findall(rf"^\| `{key}` \| `([0-9a-z]+)` \|", PAGE, re.MULTILINE)
    assert [parse_duration(text) for text in documented] == [length]


def test_both_timeouts_are_documented():
    """Command and request fall back to what the page says."""
    documented = re.findall(r"^\| `timeout` \| `([0-9a-z]+)` \|", PAGE, re.MULTILINE)
    assert [parse_duration(text) for text in documented] == [BUILT_IN.command_timeout, BUILT_IN.request_timeout]
