from __future__ import annotations

import re
from pathlib import Path

from controller.cli.parser import build_parser
from controller.decision import Reason
from controller.events.types import EventTypes
from controller.policy import Installation, build_set, parse_documents

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def part(name: str) -> str:
    """What stands between `<!-- name -->` and `<!-- /name -->`."""
    found = re.search(rf"<!-- {name} -->\n(.*)<!-- /{name} -->", README, re.DOTALL)
    assert found, name
    return found[1]


def test_every_reason_stands_in_the_table_in_the_order_of_the_guards():
    """The README's table of reasons has exactly the reasons of the code, in their order."""
    first_cells = [line.split("|")[1] for line in part("reasons").splitlines()[2:]]
    assert re.findall(r"`(\w+)`", " ".join(first_cells)) == [str(reason) for reason in Reason]


def test_every_command_stands_in_the_table():
    """The README's table of commands has exactly the commands of the program."""
    shown = re.findall(r"`(?:modelmend )?(\w+)`", part("commands"))
    choices = next(action.choices for action in build_parser()._actions if action.choices)
    assert sorted(shown) == sorted(choices)


def test_the_annotated_policy_is_good():
    """The README's policy and model are accepted as they stand."""
    blocks = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    assert len(blocks) == 1
    documents, problems = parse_documents(blocks[0], "README.md")
    policies, problems = build_set(documents, Installation.of(EventTypes()), problems)
    assert problems == ()
    assert [policy.key for policy in policies.policies] == ["ml/retrain-when-it-costs"]
    assert list(policies.models) == [("ml", "salary-predictor")]


def test_every_link_leads_somewhere():
    """No link of the README or of docs/ leads to a file that is not there."""
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_make_target_named_exists():
    """Every `make X` of the README is a target that `make help` shows."""
    targets = set(re.findall(r"^([a-z0-9-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"\$ make ([a-z0-9-]+)", README)) <= targets
