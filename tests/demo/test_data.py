from datetime import date, timedelta

import numpy as np
import pytest

from examples.demo import DemoError, data
from examples.demo.data import TEMPERATURES, Records, load
from examples.demo.worlds import FAULT


def test_all_hours_are_there_in_order_of_time(real: Records) -> None:
    """Every record of both years is there, in order of time, although the file is shuffled."""
    assert len(real.count) == 17_379
    assert (date.fromordinal(int(real.day[0])), real.last) == (date(2011, 1, 1), date(2012, 12, 31))
    moments = real.day * 24 + real.column("hour").astype(int)
    assert (np.diff(moments) > 0).all()


def test_days_are_cut_at_midnight(real: Records) -> None:
    """A span of days holds those days' hours and no others."""
    span = real.days(date(2012, 2, 28), date(2012, 3, 1))
    assert {date.fromordinal(int(day)) for day in real.day[span]} == {
        date(2012, 2, 28) + timedelta(days=n) for n in range(3)
    }


@pytest.mark.parametrize(
    ("text", "hour"), [("12am", 0), ("1am", 1), ("11am", 11), ("12pm", 12), ("1pm", 13), ("11pm", 23)]
)
def test_hours_are_read_as_the_clock_says(text: str, hour: int) -> None:
    """Midnight is 12am and noon is 12pm."""
    assert data.hour_of(text) == hour


def test_the_fault_is_only_where_it_is_said_to_be(real: Records, records: Records) -> None:
    """Both temperatures are null in August 2012; every other value is as it was recorded."""
    month = records.days(*FAULT)
    assert all(np.isnan(records.column(name)[month]).all() for name in TEMPERATURES)
    changed = ~np.isclose(real.features, records.features, equal_nan=True)
    assert changed.sum() == 2 * (month.stop - month.start)
    assert not np.isnan(real.column("temp")).any()


def test_another_file_is_refused(tmp_path) -> None:
    """A data set with another digest is refused by name, since the story would not be true of it."""
    other = tmp_path / "other.csv"
    other.write_text("dteday,hr\n")
    with pytest.raises(
        DemoError, match=r"other\.csv is not the data set of this story: sha256 [0-9a-f]{12}…, want 37243617704e…"
    ):
        load(other)


def test_a_missing_wheel_says_what_to_run(monkeypatch) -> None:
    """Without the wheel the message names the command that installs it."""
    monkeypatch.setattr(data, "DISTRIBUTION", "no-such-distribution")
    with pytest.raises(DemoError, match="run `make setup`"):
        load()
