"""How steps end."""

import pytest

from argo.steps.step import LONGEST, Parameters, StepFailed, report, run


def failing(error):
    def step():
        raise error

    return step


@pytest.mark.parametrize(
    ("step", "status", "line"),
    [
        (lambda: "done", 0, "done"),
        (failing(StepFailed("the champion\n is better")), 1, "the champion is better"),
        (failing(ValueError("boom")), 1, "ValueError: boom"),
        (lambda: "x" * 5000, 0, "x" * LONGEST),
    ],
)
def test_the_last_line_says_what_came_of_it(step, status, line, capsys, tmp_path):
    """On standard output and where Kubernetes looks for it; one line, whatever the message was."""
    word = tmp_path / "termination-log"
    word.touch()
    assert run(step, word) == status
    assert capsys.readouterr().out.splitlines()[-1] == line
    assert word.read_text() == line


def test_outside_a_container_nothing_is_written(tmp_path):
    """There is no file to write to."""
    assert run(lambda: "done", tmp_path / "termination-log") == 0
    assert not (tmp_path / "termination-log").exists()


def test_outputs_are_files(monkeypatch, tmp_path):
    """The folder is made; a later report adds to an earlier one."""
    monkeypatch.setenv("OUTPUTS", str(tmp_path / "outputs"))
    report(verdict="promoted")
    report(model_version="v5")
    assert {file.name: file.read_text() for file in (tmp_path / "outputs").iterdir()} == {
        "verdict": "promoted",
        "model-version": "v5",
    }


def test_a_missing_parameter_fails_the_step():
    """As a message, not as an exit."""
    parser = Parameters()
    parser.add_argument("--model", required=True)
    with pytest.raises(StepFailed, match="the following arguments are required: --model"):
        parser.parse_args([])
