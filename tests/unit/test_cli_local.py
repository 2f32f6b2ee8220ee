import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from controller import __version__
from controller.cli import main
from controller.cli.sending import _value
from controller.tokens import load_tokens

GOOD = """
apiVersion: modelmend.io/v1alpha1
kind: RemediationPolicy
metadata: {name: look}
spec:
  triggers: [{type: ml.performance.degraded}]
  models: {names: ["*"]}
  steps: [{name: page, page: {}}]
"""


@pytest.fixture(autouse=True)
def in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands run in an empty folder, without our own variables."""
    monkeypatch.chdir(tmp_path)
    for name in ("MODELMEND_SERVER", "MODELMEND_TOKEN", "MODELMEND_TOKENS", "MODELMEND_CONFIG"):
        monkeypatch.delenv(name, raising=False)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """The version is one line."""
    assert main(["version"]) == 0
    assert capsys.readouterr().out == f"modelmend {__version__}\n"


@pytest.mark.parametrize(
    ("module", "forbidden"),
    [
        ("local", {"requests", "flask", "sqlalchemy", "pydantic", "uvicorn", "cel", "prometheus_client"}),
        ("asking", {"flask", "sqlalchemy", "pydantic", "uvicorn", "cel", "prometheus_client"}),
        ("sending", {"flask", "sqlalchemy", "pydantic", "uvicorn", "cel", "prometheus_client"}),
        ("acting", {"flask", "sqlalchemy", "pydantic", "uvicorn", "cel", "prometheus_client"}),
    ],
)
def test_commands_import_only_what_they_need(module: str, forbidden: set[str]) -> None:
    """A command that only asks loads neither the server nor the store: it answers at once."""
    program = f"import sys, controller.cli.{module}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout.split()
    assert forbidden & set(loaded) == set()


def test_check_of_a_good_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A good set is counted, exit 0."""
    (tmp_path / "good.yaml").write_text(GOOD)
    assert main(["check", "."]) == 0
    assert capsys.readouterr().out == "good: 1 policies, 0 models\n"


def test_check_warns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is no fault but most likely not meant is said, and the set is good."""
    acting = GOOD.replace("page: {}", 'command: {argv: ["true"]}, verify: none')
    correlating = acting.rstrip() + "\n  correlate: {by: feature, models: 5, within: 10m}\n"
    (tmp_path / "p.yaml").write_text(correlating)
    assert main(["check", "."]) == 0
    said = capsys.readouterr()
    assert said.out == "good: 1 policies, 0 models\n"
    assert "warning: RemediationPolicy" in said.err
    assert "spec.wait: 0s is less than correlate.within (10m)" in said.err
    (tmp_path / "p.yaml").write_text(correlating + "  wait: 10m\n")
    assert main(["check", ".", "--output", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["warnings"] == []


def test_check_tells_what_lies_ahead(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The next due times of schedules, and the next windows of freezes, are printed; one that is over is said to be."""
    dated = GOOD.replace(
        "{type: ml.performance.degraded}", '{name: monthly, schedule: {cron: "0 3 1 * *", spread: 6h}}'
    )
    freeze = "---\nkind: Freeze\nmetadata: {name: weekend}\nspec: {models: {names: ['*']}, cron: '0 18 * * 5', duration: 62h}\n"
    past = "---\nkind: Freeze\nmetadata: {name: gone}\nspec: {models: {names: ['*']}, start: '2020-01-01', end: '2020-01-02'}\n"
    (tmp_path / "good.yaml").write_text(dated + freeze + past)
    assert main(["check", "."]) == 0
    _, schedule, gone, weekend = capsys.readouterr().out.splitlines()
    assert re.fullmatch(
        r"schedule default/look monthly: due next( \S+-01 03:00,?){3} UTC, each model up to 6h later", schedule
    )
    assert gone == "freeze default/gone: over"
    assert len(re.findall(r" 18:00 to \S+ 08:00 UTC", weekend)) == 3
    assert main(["check", ".", "--output", "json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert [len(found["next"]) for found in (*answer["schedules"], *answer["freezes"])] == [3, 0, 3]
    assert all(due.endswith("Z") for found in answer["schedules"] for due in found["next"])


def test_check_prints_every_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every error of every file is printed, one a line, exit 2."""
    (tmp_path / "a.yaml").write_text(GOOD.replace("triggers", "trigers"))
    (tmp_path / "b.yaml").write_text(GOOD.replace("look", "b").replace("page: {}", "pge: {}"))
    assert main(["check", "a.yaml", "b.yaml", "missing.yaml"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert {line.split(":")[0] for line in lines} == {"a.yaml", "b.yaml", "missing.yaml"}
    assert main(["check", "a.yaml", "--output", "json"]) == 2
    answer = json.loads(capsys.readouterr().out)
    assert answer["ok"] is False
    assert all(problem.startswith("a.yaml: ") for problem in answer["problems"])


def test_check_knows_the_settings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A policy on a registered type is good where the settings register it."""
    (tmp_path / "p.yaml").write_text(GOOD.replace("ml.performance.degraded", "acme.unfair"))
    (tmp_path / "c.yaml").write_text("eventTypes: {acme.unfair: {schema: {type: object}}}\n")
    assert main(["check", "p.yaml"]) == 2
    assert "acme.unfair" in capsys.readouterr().err
    assert main(["check", "p.yaml", "--config", "c.yaml"]) == 0


def test_check_warns_of_late_proofs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is hardly meant is told, and refused by nobody: exit 0."""
    steps = "{name: look, command: {argv: [x]}, verify: [{quiet: 30m}]}"
    (tmp_path / "p.yaml").write_text(GOOD.replace("{name: page, page: {}}", steps))
    (tmp_path / "c.yaml").write_text("senders: {urn:daily: {period: 1d}}\n")
    assert main(["check", "p.yaml", "--config", "c.yaml"]) == 0
    said = capsys.readouterr()
    assert said.out == "good: 1 policies, 0 models\n"
    assert said.err.startswith('warning: RemediationPolicy "')
    assert "within: 4h is shorter than the period of urn:daily (1d)" in said.err
    assert main(["check", "p.yaml", "--config", "c.yaml", "--output", "json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["warnings"]) == 1


def test_check_asks_for_a_prometheus(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A policy with a query is refused where the settings name nobody to ask."""
    steps = "{name: look, command: {argv: [x]}, verify: [{query: up, recovered: value > 0.9}]}"
    (tmp_path / "p.yaml").write_text(GOOD.replace("{name: page, page: {}}", steps))
    (tmp_path / "c.yaml").write_text("prometheus: {url: 'http://prometheus:9090'}\n")
    assert main(["check", "p.yaml"]) == 2
    assert "spec.steps[0].verify[0].query: needs a Prometheus: set prometheus.url" in capsys.readouterr().err
    assert main(["check", "p.yaml", "--config", "c.yaml"]) == 0


def test_serve_with_bad_settings_is_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Bad settings are all told, exit 2, and nothing is made."""
    assert main(["serve", "--listen", "0.0.0.0:8080", "--log-level", "loud"]) == 2
    said = capsys.readouterr().err
    assert "listen" in said or "log" in said
    assert list(tmp_path.iterdir()) == []


def test_token_is_shown_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A new token goes to standard output alone; the file keeps its digest."""
    assert main(["token", "new", "ada", "--role", "read", "--role", "operate"]) == 0
    said = capsys.readouterr()
    secret = said.out.strip()
    file = tmp_path / ".modelmend" / "tokens"
    assert secret not in said.err + file.read_text()
    assert [(kept.name, sorted(kept.roles)) for kept in load_tokens(file)] == [("ada", ["operate", "read"])]
    assert main(["token", "list"]) == 0
    listed = capsys.readouterr().out
    assert "ada" in listed
    assert secret not in listed


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        (["token", "new", "a b", "--role", "read"], "want a name"),
        (["token", "new", "ada", "--role", "read", "--expires", "soon"], "--expires: want an RFC 3339 time"),
        (["token", "new", "ada", "--role", "read", "--expires", "2099-01-01T00:00:00"], "--expires: want an RFC 3339"),
        (["token", "new", "ada", "--role", "read", "--tokens", "/dev/null/x"], "/dev/null/x: want a file that"),
        (["token", "list"], "want a readable tokens file"),
        (["send"], "want a FILE"),
        (["send", "x.json", "--type", "t"], "want a FILE"),
        (["send", "missing.json"], "want a readable file"),
        (["send", "--type", "t", "--data", "x"], "want --data key=value"),
        (["silence", "add", "model", "--for", "2h", "--reason", "w"], "want matchers as name=glob"),
        (["silence", "add", "model=a", "model=b", "--for", "2h", "--reason", "w"], "want one value for model"),
        (["status", "--server", "http://[bad"], "server: want an address such as"),
        (["status", "--server", "ftp://host"], "server: want an address such as"),
        (["status", "--server", "host:notaport"], "server: want an address such as"),
        (["status", "--token-file", "missing"], "want a readable file with one token"),
        (["status", "--token-file", "two"], "want one token, got several words"),
        (["status", "--token-file", "empty"], "want one token, got an empty file"),
    ],
)
def test_bad_use_is_one_line(tmp_path: Path, line: list[str], wanted: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Bad use exits 2 with one line on standard error that says what was wanted."""
    (tmp_path / "two").write_text("mm_a mm_b")
    (tmp_path / "empty").write_text("\n")
    assert main(line) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert wanted in said


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.44", 0.44), ("7", 7), ("true", True), ("null", None), ('"7"', "7"), ("[1]", [1]), ('{"a": 1}', {"a": 1}),
        ("salary", "salary"), ("NaN", "NaN"), ("", ""), ("1e999", "1e999"), ("a=b", "a=b"),
    ],
)  # fmt: skip
def test_data_values(text: str, value: object) -> None:
    """Numbers and JSON are taken as such, all else is text; what JSON does not know is no number."""
    assert _value(text) == value
