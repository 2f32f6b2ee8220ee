"""The commands against the real server: every word goes over HTTP."""

import io
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from controller.app import App
from controller.cli import main
from controller.settings import Settings
from controller.tokens import create_token

POLICIES = """
apiVersion: modelmend.io/v1alpha1
kind: Model
metadata: {name: salary-predictor, namespace: ml}
spec: {}
---
apiVersion: modelmend.io/v1alpha1
kind: RemediationPolicy
metadata: {name: retrain, namespace: ml}
spec:
  mode: enforce
  models: {names: ["salary-*"]}
  triggers: [{name: psi, type: ml.data.drift.detected, when: 'data.driftScore > 0.3'}]
  steps: [{name: train, command: {argv: [sleep, "60"], timeout: 5m}, verify: none}]
---
apiVersion: modelmend.io/v1alpha1
kind: RemediationPolicy
metadata: {name: tell, namespace: ml}
spec:
  mode: enforce
  models: {names: ["salary-*"]}
  limits: {cooldown: 1h}
  triggers: [{type: ml.performance.degraded}]
  steps: [{name: page, page: {}}]
"""


class Shell:
    """Runs commands in this process; what they print is read back."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *line: str, code: int = 0) -> str:
        self._capsys.readouterr()
        got = main(list(line))
        said = self._capsys.readouterr()
        self.err = said.err
        assert got == code, (line, said)
        return said.out

    def json(self, *line: str, code: int = 0) -> Any:
        return json.loads(self(*line, "--output", "json", code=code))

    def until(self, true: Callable[[Any], Any], *line: str) -> Any:
        """Ask again until the answer is as wanted, for ten seconds at most."""
        deadline = time.monotonic() + 10
        while True:
            answer = self.json(*line)
            if true(answer):
                return answer
            assert time.monotonic() < deadline, answer
            time.sleep(0.02)


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[App]:
    """A running server with tokens, to which the environment points with the role operate."""
    (tmp_path / "policies.yaml").write_text(POLICIES)
    tokens = tmp_path / "tokens"
    monkeypatch.setenv("MODELMEND_TOKEN", create_token(tokens, "ada", ["operate"]))
    (tmp_path / "reader").write_text(create_token(tokens, "rita", ["read"]) + "\n")
    policies = (str(tmp_path / "policies.yaml"),)
    flags = {"listen": "127.0.0.1:0", "data": str(tmp_path / "data"), "tokens": str(tokens), "policies": policies}
    running = App(Settings.load(None, flags, {}))
    running.start()
    monkeypatch.setenv("MODELMEND_SERVER", running.address)
    monkeypatch.chdir(tmp_path)
    yield running
    running.stop(0)


@pytest.fixture
def shell(app: App, capsys: pytest.CaptureFixture[str]) -> Shell:
    """The commands, asking the running server."""
    return Shell(capsys)


def test_an_event_from_sending_to_cancelling(shell: Shell) -> None:
    """An event is sent, decided, shown in every list, explained, and its remediation cancelled."""
    sent = shell(
        "send",
        "--type",
        "ml.data.drift.detected",
        "--id",
        "d1",
        "--data",
        "driftScore=0.44",
        "--data",
        "model=salary-predictor",
    )
    assert sent == "accepted d1\n"
    again = shell(
        "send",
        "--type",
        "ml.data.drift.detected",
        "--id",
        "d1",
        "--data",
        "driftScore=0.45",
        "--data",
        "model=salary-predictor",
    )
    assert again.splitlines()[0].endswith(" d1")
    running = shell.until(
        lambda page: page["items"] and page["items"][0]["phase"] == "Running", "remediations", "--active"
    )
    id_ = running["items"][0]["id"]
    lines = shell("explain", "d1").splitlines()
    assert lines[0].startswith("event d1: ml.data.drift.detected from urn:modelmend:send")
    assert any(line.startswith("policy ml/retrain: acted: trigger psi was true") for line in lines)
    assert lines[-1].endswith("step 1 (train) started")
    assert shell("explain", id_).startswith(f"remediation {id_} of ml/salary-predictor by policy ml/retrain")
    assert shell("events", "--model", "salary-predictor").splitlines()[1].split()[2:4] == [
        "d1",
        "ml.data.drift.detected",
    ]
    assert "remediate" in shell("decisions", "--policy", "ml/retrain")
    assert "open" in shell("conditions", "--state", "open", "--model", "ml/salary-predictor")
    assert "Running" in shell("remediations", "--phase", "Running")
    assert id_ in shell("models", "--namespace", "ml")
    assert shell("policies").splitlines()[1].split() == ["ml/retrain", "enforce", "P2", "psi", "train"]
    assert "activeRemediations" in shell("status")
    assert shell("cancel", id_, "--reason", "wrong data") == f"remediation {id_} is Stopping\n"
    shell.until(lambda page: page["items"][0]["phase"] == "Cancelled", "remediations")
    assert "cancelled by ada with the command (“wrong data”)" in shell("explain", id_)
    shell("cancel", id_, "--reason", "again", code=1)
    assert shell.err == f"modelmend: remediation {id_} is Cancelled already\n"


def test_silences_and_pauses(shell: Shell) -> None:
    """What is paused or silenced is refused by name, and comes back when it is lifted."""
    said = shell("silence", "add", "model=ml/salary-*", "--for", "2h", "--reason", "known")
    id_ = said.split()[1]
    assert shell("silence", "list", "--state", "active").splitlines()[1].split()[:2] == [id_, "active"]
    shell(
        "send",
        "--type",
        "ml.performance.degraded",
        "--id",
        "p1",
        "--data",
        "metric=f1",
        "--data",
        "value=0.5",
        "--data",
        "model=salary-predictor",
    )
    silenced = shell.until(lambda told: told["answers"], "explain", "p1")
    assert silenced["answers"][0]["reason"] == "silenced"
    assert "(“known”); it is asked again " in silenced["lines"][-1]
    assert shell("silence", "expire", id_, "--reason", "over") == f"silence {id_} has ended\n"
    # The page is over at once, and its event is asked again: the last answer may be `cooldown` by now.
    shell.until(lambda told: any(item["outcome"] == "remediate" for item in told["items"]), "decisions")
    shell("silence", "expire", id_, "--reason", "over", code=1)
    assert shell("pause", "--namespace", "ml", "--reason", "move").startswith(
        "namespace ml is paused until it is resumed"
    )
    assert "move" in shell("status")
    assert shell("resume", "--namespace", "ml", "--reason", "moved") == "namespace ml is resumed\n"
    shell("resume", "--namespace", "ml", "--reason", "moved", code=1)
    assert shell.err == "modelmend: namespace ml was not paused\n"


def test_conditions_end(shell: Shell) -> None:
    """A condition is ended by a person's word, once."""
    shell(
        "send",
        "--type",
        "ml.performance.degraded",
        "--data",
        "metric=f1",
        "--data",
        "value=0.5",
        "--data",
        "model=salary-predictor",
    )
    (condition,) = shell.until(lambda page: page["items"], "conditions")["items"]
    assert shell("conditions", "end", condition["id"], "--reason", "fixed") == f"condition {condition['id']} is over\n"
    assert shell.json("conditions")["items"][0]["endedBy"] == "operator:ada"
    shell("conditions", "end", condition["id"], "--reason", "fixed", code=1)
    shell("conditions", "end", "c-nothing", "--reason", "fixed", code=1)


def test_files_are_sent_as_they_stand(shell: Shell, tmp_path: Path) -> None:
    """A file may hold one event or a batch; of a batch the good ones are stored and the others named, exit 1."""
    good = {
        "specversion": "1.0",
        "id": "f1",
        "source": "urn:x",
        "type": "ml.data.drift.detected",
        "data": {"driftScore": 0.1, "model": "m"},
    }
    (tmp_path / "one.json").write_text(json.dumps(good))
    (tmp_path / "batch.json").write_text(json.dumps([{**good, "id": "f2"}, {**good, "id": "f3", "data": {}}]))
    assert shell("send", "one.json") == "accepted f1\n"
    assert shell("send", "one.json") == "duplicate f1\n"
    assert shell("send", "batch.json", code=1) == "accepted f2\n"
    assert "driftScore" in shell.err
    assert "f3" in shell.err
    assert shell.json("send", "batch.json", code=1)["duplicates"] == ["f2"]
    shell("send", "--type", "nope", code=1)
    assert "want a type that is built in" in shell.err


def test_quarantine_is_empty(shell: Shell) -> None:
    """An empty list is said on standard error and is no failure."""
    assert shell("quarantine", "list") == ""
    assert shell.err == "the quarantine is empty\n"
    shell("quarantine", "replay", "nothing", "--reason", "w", code=1)


def test_roles_are_kept(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader reads and does no more; nobody without a token does anything. That is bad use: 2."""
    assert "version" in shell("status", "--token-file", "reader")
    shell("pause", "--reason", "w", "--token-file", "reader", code=2)
    assert shell.err == "modelmend: rita lacks the role operate\n"
    shell(
        "send",
        "--type",
        "ml.data.drift.detected",
        "--data",
        "driftScore=1",
        "--data",
        "model=m",
        "--token-file",
        "reader",
        code=2,
    )
    monkeypatch.delenv("MODELMEND_TOKEN")
    shell("events", code=2)
    assert shell.err == "modelmend: a bearer token is needed\n"


def test_netrc_is_not_read(shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials in ~/.netrc do not replace the token."""
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login x password y\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    assert "version" in shell("status")


def test_what_is_not_there(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not there is a no: 1; a server that is not there is no answer: 2."""
    shell("explain", "nothing", code=1)
    assert shell.err == "modelmend: no event and no remediation nothing\n"
    monkeypatch.setenv("MODELMEND_SERVER", "http://127.0.0.1:9")
    shell("status", code=2)
    assert shell.err == "modelmend: http://127.0.0.1:9 cannot be reached: is `modelmend serve` running there?\n"


def test_lists_are_read_page_by_page(shell: Shell, tmp_path: Path) -> None:
    """--limit goes beyond a page of the server, and says when there is more."""
    event = {
        "specversion": "1.0",
        "source": "urn:x",
        "type": "ml.data.drift.detected",
        "data": {"driftScore": 0.1, "model": "m"},
    }
    (tmp_path / "many.json").write_text(json.dumps([{**event, "id": f"e{number}"} for number in range(620)]))
    shell("send", "many.json")
    assert len(shell.json("events", "--limit", "600")["items"]) == 600
    assert len(shell.json("events", "--limit", "10000")["items"]) == 620
    assert len(shell("events", "--limit", "3").splitlines()) == 4
    assert shell.err == "there are more: --limit 6 shows further ones\n"


def test_foreign_text_does_not_reach_the_terminal(shell: Shell) -> None:
    """What a sender wrote is printed with its control characters escaped."""
    shell(
        "send",
        "--type",
        "ml.data.drift.detected",
        "--id",
        "e1",
        "--data",
        "driftScore=0.1",
        "--data",
        "model=m",
        "--data",
        "feature=a\u202eb",
    )
    shown = shell("events") + shell("explain", "e1")
    assert "\u202e" not in shown
    assert "\\u202e" in shown


def test_a_silence_of_everything_asks_at_the_terminal(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a terminal it is refused; at one the person is told how much, and a yes is needed; `--yes` says it."""
    everything = ("silence", "add", "--all", "--for", "2h", "--reason", "w")
    shell(*everything, code=2)
    assert shell.err == "it would silence everything; give --yes if it shall\n"
    for typed, code in (("n\n", 1), ("", 1), ("y\n", 0)):
        terminal = io.StringIO(typed)
        terminal.isatty = lambda: True  # type: ignore[method-assign]
        monkeypatch.setattr("sys.stdin", terminal)
        shell(*everything, code=code)
        assert "It silences everything: 1 models, 2 policies. Go on? [y/N]" in shell.err
        assert ("nothing was silenced" in shell.err) == (code == 1)
        assert "confirm" not in shell.err
    shell(*everything, "--yes")


def test_a_list_is_asked_for_by_one_phase(shell: Shell) -> None:
    """What awaits is one phase: another beside it is refused, and not silently left out."""
    shell("remediations", "--awaiting", "--phase", "Failed", code=2)
    assert "want either --awaiting or --phase" in shell.err


def test_an_answer_by_command(shell: Shell, app: App, tmp_path: Path) -> None:
    """What awaits is listed and answered; who is late is told who was first, with exit code 1."""
    (tmp_path / "policies.yaml").write_text(POLICIES.replace("mode: enforce", "mode: approve"))
    shell.until(lambda told: told["items"][0]["text"]["spec"]["mode"] == "approve", "policies")
    shell(
        "send",
        "--type",
        "ml.data.drift.detected",
        "--id",
        "a1",
        "--data",
        "driftScore=0.5",
        "--data",
        "model=salary-predictor",
    )
    (waiting,) = shell.until(lambda told: told["items"], "remediations", "--awaiting")["items"]
    assert f"remediation {waiting['id']}: train is rejected" in shell("reject", waiting["id"], "--comment", "not now")
    shell("approve", waiting["id"], code=1)
    assert "it was rejected by ada at" in shell.err
    assert "train was rejected by ada with the command (“not now”)" in shell("explain", waiting["id"]).replace(
        "step 1 (train)", "train"
    )
    shell("retry", waiting["id"], code=1)
    assert "not now: " in shell.err
    assert shell.json("remediations", "--awaiting")["items"] == []
