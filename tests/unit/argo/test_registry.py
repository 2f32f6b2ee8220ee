"""The registry holds whole versions only, whatever happens while one is written."""

import os
import time
from pathlib import Path

import pytest

from argo.retrain.registry import Registry, read_card
from argo.steps.step import StepFailed

FILES = {"model.joblib": b"trees", "card.json": b'{"model": "bikes"}'}


@pytest.fixture
def registry(tmp_path):
    """An empty one."""
    return Registry(tmp_path, "bikes")


def names(registry):
    """What is in its folder."""
    return sorted(path.name for path in registry.folder.iterdir())


def test_a_version_is_written_with_all_its_files(registry):
    """And nothing else is left in the folder."""
    registry.keep(registry.version("w-1"), FILES)
    assert {path.name: path.read_bytes() for path in registry.version("w-1").iterdir()} == FILES
    assert names(registry) == ["w-1"]
    assert read_card(registry.version("w-1")) == {"model": "bikes"}


@pytest.mark.parametrize("at", ["fsync", "rename"])
def test_a_crash_while_writing_leaves_no_version(registry, monkeypatch, at):
    """Files and folder reach the disk before the name does; the next run writes it whole."""
    done = []

    def crash(*_):
        done.append(at)
        raise OSError("the power is gone")

    monkeypatch.setattr(os if at == "fsync" else Path, at, crash)
    with pytest.raises(OSError, match="the power is gone"):
        registry.keep(registry.version("w-1"), FILES)
    assert (done, registry.version("w-1").exists()) == ([at], False)
    monkeypatch.undo()
    registry.keep(registry.version("w-1"), FILES)
    assert names(registry) == ["w-1"]


def test_files_and_folders_are_synced_before_and_after_the_name(registry, monkeypatch):
    """Two files, their folder, then the rename, then the folder that holds the name."""
    said = []
    real_sync, real_rename = os.fsync, Path.rename
    monkeypatch.setattr(os, "fsync", lambda handle: said.append("fsync") or real_sync(handle))
    monkeypatch.setattr(Path, "rename", lambda path, to: said.append("rename") or real_rename(path, to))
    registry.keep(registry.version("w-1"), FILES)
    assert said == ["fsync", "fsync", "fsync", "rename", "fsync"]


def test_a_version_that_is_there_stays(registry):
    """Also where another writer was quicker between the look and the rename."""
    registry.keep(registry.version("w-1"), FILES)
    registry.keep(registry.version("w-1"), {"model.joblib": b"other"})
    assert (registry.version("w-1") / "model.joblib").read_bytes() == b"trees"


def test_of_two_that_write_at_once_one_wins_and_nothing_mixes(registry, monkeypatch):
    """The slower one finds it done and clears up."""
    real = Path.rename

    def slower(path, to):
        monkeypatch.setattr(Path, "rename", real)
        registry.keep(to, {"model.joblib": b"quicker"})
        return real(path, to)

    monkeypatch.setattr(Path, "rename", slower)
    registry.keep(registry.version("w-1"), FILES)
    assert {path.name: path.read_bytes() for path in registry.version("w-1").iterdir()} == {"model.joblib": b"quicker"}
    assert names(registry) == ["w-1"]


def test_what_was_left_behind_is_swept_and_versions_are_not(registry):
    """Only what is older than the time given."""
    registry.keep(registry.version("w-1"), FILES)
    registry.keep(registry.candidate("w-2"), FILES)
    registry.keep(registry.candidate("w-3"), FILES)
    (registry.folder / ".writing-x").mkdir()
    for left in (registry.version("w-1"), registry.candidate("w-2"), registry.folder / ".writing-x"):
        os.utime(left, (1000.0, 1000.0))
    registry.sweep(time.time() - 3600)
    assert names(registry) == [".candidate-w-3", "w-1"]


@pytest.mark.parametrize("name", ["", "../../etc", "a/b", ".hidden", "a b", "x" * 129])
def test_a_name_that_leads_elsewhere_is_refused(tmp_path, registry, name):
    """For models as for versions."""
    with pytest.raises(StepFailed, match="want letters, digits, dots, dashes and underscores"):
        Registry(tmp_path, name)
    with pytest.raises(StepFailed, match="want letters"):
        registry.version(name)


def test_a_version_that_is_not_there_is_named(registry):
    """For people."""
    with pytest.raises(StepFailed, match="the registry has no w-9 of bikes"):
        read_card(registry.version("w-9"))
