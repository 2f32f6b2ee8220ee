import json
import shutil
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest

from examples.demo import feed, recalibrate, retrain, verify, versions
from examples.demo.data import Records
from examples.demo.model import predict, read
from examples.demo.pace import paced
from examples.demo.server import ROOT
from examples.demo.story import begin, write_features, write_labels
from examples.demo.versions import Version


def serve(work: Path, records: Records, first: date, last: date, *, scale: float = 1.0) -> None:
    """Write what serving these days leaves behind: features, labels and predictions (true count times `scale`)."""
    hours = records.days(first, last)
    write_features(work, records, hours)
    write_labels(work, records, hours)
    number = versions.serving(work).number
    rows = [
        (hour, date.fromordinal(int(records.day[hour])), number, scale * records.count[hour])
        for hour in range(hours.start, hours.stop)
    ]
    feed.append(work, feed.PREDICTIONS, rows)
    feed.set_today(work, last)


@pytest.fixture(scope="module")
def begun(tmp_path_factory, records: Records) -> Path:
    folder = tmp_path_factory.mktemp("begun")
    begin(records, folder)
    return folder


@pytest.fixture
def work(begun: Path, tmp_path: Path) -> Path:
    return shutil.copytree(begun, tmp_path / "work")


def test_the_first_version_is_trained_on_early_2011(work: Path, records: Records) -> None:
    """Version 1 knows January to April 2011, and the calendar stands at their end."""
    assert versions.serving(work) == Version(1, "model-1.joblib", 1.0, date(2011, 4, 30), "training")
    assert feed.today(work) == date(2011, 4, 30)
    assert len(feed.labels(work)) == records.days(date.min, date(2011, 4, 30)).stop


def test_recalibration_brings_the_level_back(work: Path, records: Records) -> None:
    """A model that predicts half of what came is scaled by two, without a training."""
    serve(work, records, date(2011, 5, 1), date(2011, 6, 7), scale=0.5)
    assert recalibrate.main(work) == {"version": "bike-demand-v2", "factor": 2.0}
    assert versions.serving(work) == Version(2, "model-1.joblib", pytest.approx(2.0), date(2011, 6, 7), "recalibrate")


def test_recalibration_looks_at_four_weeks(work: Path, records: Records) -> None:
    """What lies further back than four weeks has no say."""
    serve(work, records, date(2011, 5, 1), date(2011, 5, 31), scale=9.0)
    serve(work, records, date(2011, 6, 1), date(2011, 6, 28), scale=0.8)
    assert recalibrate.main(work)["factor"] == 1.25


def test_retraining_uses_every_label_that_arrived_and_no_other(work: Path, records: Records) -> None:
    """Hours without a label are not trained on."""
    serve(work, records, date(2011, 5, 1), date(2011, 6, 7))
    write_features(work, records, records.days(date(2011, 6, 8), date(2011, 6, 14)))
    assert retrain.main(work) == {"version": "bike-demand-v2", "hours": records.days(date.min, date(2011, 6, 7)).stop}


def test_a_retrained_model_knows_the_new_season(work: Path, records: Records) -> None:
    """After a training on May 2011 the error of June is well below that of the model of early 2011."""
    serve(work, records, date(2011, 5, 1), date(2011, 5, 31))
    first = versions.serving(work)
    retrain.main(work)
    june = records.days(date(2011, 6, 1), date(2011, 6, 30))
    old, new = (
        np.abs(predict(read(work, one), records.features[june]) - records.count[june]).mean()
        for one in (first, versions.serving(work))
    )
    assert new < 0.8 * old


def test_half_a_version_is_never_seen(work: Path) -> None:
    """The list of versions and the one that is served agree after each publication."""
    versions.publish(work, Version(2, "model-1.joblib", 1.5, date(2011, 6, 7), "recalibrate"))
    assert versions.versions(work)[-1] == versions.serving(work)
    assert not list(work.glob("*.new"))


@pytest.mark.parametrize(
    ("days", "scale", "expected"),
    [(13, 1.0, "waiting"), (14, 1.0, "recovered"), (14, 1.3, "unchanged"), (14, 3.0, "worse")],
)
def test_verification_judges_two_labelled_weeks_of_the_new_version(
    work: Path, records: Records, days: int, scale: float, expected: str
) -> None:
    """Recovered under the limit, worse far above the weeks before, else unchanged; without two weeks of labels none of these."""
    serve(work, records, date(2011, 5, 1), date(2011, 6, 7), scale=1.4)
    versions.publish(work, Version(2, "model-1.joblib", 1.0, date(2011, 6, 7), "recalibrate"))
    serve(work, records, date(2011, 6, 8), date(2011, 6, 7) + timedelta(days=days), scale=scale)
    assert verify.main(work, 40.0)[-1] == expected


@pytest.mark.parametrize("action", ["recalibrate", "retrain"])
def test_an_action_is_a_program_that_reads_the_decision_and_reports_json(
    work: Path, records: Records, action: str
) -> None:
    """Each action runs by itself: the decision on stdin, exit code 0, a JSON object as the last line."""
    serve(work, records, date(2011, 5, 1), date(2011, 6, 7))
    argv = [sys.executable, "-m", f"examples.demo.{action}", str(work), "bike-demand"]
    done = subprocess.run(argv, cwd=ROOT, input="{}", capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1])["version"] == "bike-demand-v2"


def test_verification_is_a_program_whose_last_line_is_the_verdict(work: Path, records: Records) -> None:
    """The verifying command needs only the standard library, and ends with the verdict."""
    serve(work, records, date(2011, 5, 1), date(2011, 5, 14))
    argv = [sys.executable, "-S", "-m", "examples.demo.verify", str(work), "40"]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "error 0.0 over 14 days, limit 40.0\nrecovered\n"


@pytest.mark.parametrize(
    ("month", "expected"),
    [
        (4.0, "within: 12s, every: 500ms, timeout: 1m"),
        (6.0, "within: 18s, every: 750ms, timeout: 1m"),
        (5.0, "within: 15s, every: 625ms, timeout: 1m"),
    ],
)
def test_the_policies_durations_go_with_the_month(month: float, expected: str) -> None:
    """A longer month stretches what is given in seconds; the timeouts, in minutes, stay."""
    assert paced("within: 12s, every: 500ms, timeout: 1m", month) == expected
