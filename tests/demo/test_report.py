from datetime import date

import pytest

from examples.demo import report
from examples.demo.data import Records
from examples.demo.report import Act, Outcome
from examples.demo.worlds import FAULT, FIRST_DAY, hold_out_error, live_offline


@pytest.fixture(scope="module")
def outcomes(records: Records) -> list[Outcome]:
    limit = 1.2 * hold_out_error(records)
    never, always = (live_offline(records, limit, retrain=retrain) for retrain in (False, True))
    worlds = ((never, "grey"), (never, "blue"), (always, "orange"))
    return [
        Outcome(one, one.error(records, FIRST_DAY, records.last), len(one.trained), 0, color) for one, color in worlds
    ]


def test_retraining_at_every_alarm_trains_much_and_on_the_fault(outcomes: list[Outcome]) -> None:
    """The second baseline trains about once a month, on the broken feed too."""
    trained = outcomes[2].world.trained
    assert 15 <= len(trained) <= 25
    assert any(FAULT[0] <= day <= FAULT[1] for day in trained)
    assert outcomes[2].error < 0.6 * outcomes[0].error


def test_the_table_has_a_line_for_each_way_of_living(records: Records, outcomes: list[Outcome]) -> None:
    """Names, errors, months over the limit and trainings stand in the table."""
    lines = report.table(records, outcomes, 57.4).splitlines()
    assert [line.split("  ")[0] for line in lines[1:]] == [
        "no retraining",
        "no retraining",
        "retraining at every alarm",
    ]
    assert lines[1].split()[2:] == ["89.2", "bikes/h", "11", "0", "0"]


def test_there_is_a_bar_for_every_month(records: Records, outcomes: list[Outcome]) -> None:
    """Twenty months, from May 2011 to December 2012."""
    lines = report.bars(records, outcomes, 57.4).splitlines()
    assert (len(lines), lines[0][:7], lines[-1][:7]) == (20, "2011-05", "2012-12")


def test_the_plot_is_a_picture(tmp_path, records: Records, outcomes: list[Outcome]) -> None:
    """The plot is written, into a folder that was not there."""
    path = tmp_path / "new" / "demo.png"
    report.plot(
        path, records, outcomes, 57.4, [Act(date(2012, 3, 7), "recalibrate"), Act(date(2012, 9, 7), "inhibited")]
    )
    assert path.read_bytes().startswith(b"\x89PNG")
