"""examples/policies as a whole: its README, and what all of its files have in common."""

import re

import pytest

from controller.cli import main
from tests.scenarios.conftest import EXAMPLES, text_of
from tests.scenarios.story import drift, low

POLICIES = EXAMPLES / "policies"
README = (POLICIES / "README.md").read_text()
SCENARIOS = re.findall(
    r"^\| .*? \| \[(\S+\.yaml)\]\(\1\) \| \[(\S+\.py)\]\(\.\./\.\./tests/scenarios/\2\) \|$", README, re.MULTILINE
)


def test_every_file_stands_in_the_table_once():
    """No policy of the folder is missing from its README, and none that it names is missing from the folder."""
    named = re.findall(r"\[(\S+\.yaml)\]\(\1\)", README)
    assert sorted(named) == sorted(file.name for file in POLICIES.glob("*.yaml"))


def test_every_scenario_plays_the_file_beside_it():
    """The table's tests exist, and each brings its policy into force; and there is no test without a row."""
    tests = {file.name: file.read_text() for file in (EXAMPLES.parent / "tests" / "scenarios").glob("test_*.py")}
    del tests["test_catalogue.py"]
    assert {test for _, test in SCENARIOS} == set(tests)
    for policy, test in SCENARIOS:
        assert f'"{policy.removesuffix(".yaml")}"' in tests[test]


@pytest.mark.parametrize("policy", [policy for policy, _ in SCENARIOS])
def test_it_checks_without_a_word(policy, tmp_path, capsys):
    """`modelmend check` accepts it beside the models and policies of the folder, and warns of nothing."""
    settings = tmp_path / "settings.yaml"
    settings.write_text("prometheus: {url: 'http://prometheus.monitoring:9090'}\n")
    files = sorted({POLICIES / policy, *EXAMPLES.glob("models/*.yaml"), *POLICIES.glob("*.yaml")})
    assert main(["check", "--kubernetes", "--config", str(settings), *map(str, files)]) == 0
    assert "warning" not in capsys.readouterr().out.lower()


@pytest.mark.parametrize("policy", [policy for policy, _ in SCENARIOS])
def test_it_begins_with_when_a_team_wants_it(policy):
    """Words first, and then one document, or more."""
    text = text_of(policy.removesuffix(".yaml"))
    words, _, rest = text.partition("apiVersion: ")
    assert len(words.split()) > 20
    assert all(line.startswith("# ") for line in words.splitlines())
    assert rest


@pytest.mark.parametrize("policy", [policy for policy, _ in SCENARIOS])
def test_as_shipped_it_only_records(policy, play):
    """Brought into force as it stands, whatever is said of any model, a policy that acts begins nothing."""
    story = play(policy.removesuffix(".yaml"), "salary-predictor", "bike-demand", begin="2025-03-28 08:00", audit=True)
    assert {each.mode for each in story.in_force.policies if not each.page_only} <= {"audit"}
    story.at("2025-03-28 09:00", *(drift(name, 0.5) for name in "abcde"), low("f1", 0.1), low("accuracy", 0.1))
    story.at("2025-03-29 09:00")
    assert story.started == []
