"""Who may read what a run writes, whatever the user's umask."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

import worker_steps
from metasight.engine.contents import Contents
from metasight.engine.placement import Placement
from metasight.engine.private import closed_to_others, private_folder
from metasight.engine.progress import Silent
from metasight.engine.run import Work
from metasight.engine.step import Step
from metasight.engine.store import Store


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(params=[0o000, 0o022, 0o077])
def umask(request):
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def test_a_folder_that_is_made_is_its_user_s_alone(tmp_path, umask):
    assert mode(private_folder(tmp_path / "a" / "b")) == 0o700


def test_a_folder_that_is_there_is_closed_to_others_and_its_group_stays(tmp_path, umask):
    (tmp_path / "a").mkdir()
    (tmp_path / "a").chmod(0o755)
    assert mode(private_folder(tmp_path / "a")) == 0o750
    (tmp_path / "a").chmod(0o2770)
    assert mode(private_folder(tmp_path / "a")) == 0o2770


def test_nothing_that_is_written_is_for_others(tmp_path, umask):
    with closed_to_others():
        (tmp_path / "file").write_text("")
        (tmp_path / "folder").mkdir()
    assert mode(tmp_path / "file") == 0o660 & ~umask
    assert mode(tmp_path / "folder") == 0o770 & ~umask
    (tmp_path / "after").write_text("")
    assert mode(tmp_path / "after") == 0o666 & ~umask


@pytest.mark.parametrize("scheduler", ["inline", "local"])
def test_no_result_is_for_others(tmp_path, scheduler):
    before = os.umask(0)
    try:
        contents = Contents(tmp_path / "contents.json")
        store = Store(tmp_path / "store", contents)
        place = Placement(scheduler=scheduler, workers=1 if scheduler == "local" else None)
        one = Step(name="a", label="s", function=worker_steps.write)
        with Work(store, contents, tmp_path / "last", scheduler=place, progress=Silent()) as own:
            own.make([one])
            own.remember()
    finally:
        os.umask(before)
    written = list(tmp_path.rglob("*"))
    assert len(written) >= 5
    assert [p for p in written if mode(p) & 0o007] == []
