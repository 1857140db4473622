"""A click is answered by the stage that finds lesions, in a process of its own."""

from __future__ import annotations

import time
from concurrent.futures import Future
from pathlib import Path

import numpy as np
import pytest

from metasight.errors import VolumeError
from metasight.segmentation.agreement import dice
from metasight.serve.clicks import Click, Clicks, FoundLesion, Job, find
from metasight.serve.last_run import LastRun
from metasight.serve.scans import lesion_of, read_own_ct, scan_rows
from metasight.study.file import read_study
from metasight.volumes.volume import Volume


def click_of(folder: Path, **changed) -> Click:
    run = LastRun(read_study(folder))
    ((patient, row),) = scan_rows(run.study).items()
    mask = lesion_of(run, patient)
    assert mask is not None and run.study.settings.scans is not None
    middle = np.argwhere(mask.array).mean(axis=0)[::-1]
    point = tuple(float(v) for v in mask.grid.to_mm(middle))
    told = {"scans": row, "recipe": run.study.settings.scans.recipe(), "point_mm": point}
    return Click(**(told | changed))


def test_a_click_in_the_lesion_finds_it(finished_lungs: Path) -> None:
    click = click_of(finished_lungs)
    clicks = Clicks()
    try:
        name = clicks.ask(click)
        job = clicks.of(name, click.scans.patient)
        assert job is not None and clicks.of(name, "P" + 16 * "0") is None
        while not job.done:
            assert job.found is None and not job.problem and job.seconds < 240
            time.sleep(0.1)
        assert not job.problem, job.problem
        found = job.found
        assert found is not None
        run = LastRun(read_study(finished_lungs))
        drawn = lesion_of(run, click.scans.patient)
        ct = read_own_ct(click.scans, click.recipe)
        assert drawn is not None
        assert dice(found.mask_on(ct).array, drawn.array) > 0.6
        assert found.row["tumour_size_mm"] > 10 and "other outlines" in found.words
        assert isinstance(found.flagged, bool)
        other = Volume.from_array(np.zeros((5, 6, 7)), unit="HU", spacing_mm=(1, 1, 1))
        with pytest.raises(VolumeError, match="changed since"):
            found.mask_on(other)
        # air outside the body: the same process says so
        missed = clicks.of(
            clicks.ask(click_of(finished_lungs, point_mm=(0.0, 0.0, 1e6))), click.scans.patient
        )
        assert missed is not None
        while not missed.done:
            time.sleep(0.05)
        assert missed.found is None and "outside the scan" in missed.problem
    finally:
        clicks.close()


def job_with(error: BaseException | None) -> Job:
    answer: Future[FoundLesion] = Future()
    if error is not None:
        answer.set_exception(error)
    return Job(patient="P", click=None, begun=time.monotonic(), answer=answer)  # type: ignore[arg-type]


def test_what_went_wrong_is_said_without_what_it_quotes() -> None:
    assert job_with(None).problem == "" and not job_with(None).done
    assert "KeyError" in job_with(KeyError("MRN-1")).problem
    assert "MRN" not in job_with(KeyError("MRN-1")).problem
    assert "click" in job_with(VolumeError("nothing there", remedy="click within")).problem


def test_the_same_click_is_the_same_lesion(finished_lungs: Path) -> None:
    click = click_of(finished_lungs)
    one, other = find(click), find(click)
    assert np.array_equal(one.inside, other.inside) and one.row == other.row


def test_an_answer_under_way_is_given_up_when_the_workbench_closes(finished_lungs: Path) -> None:
    clicks = Clicks()
    click = click_of(finished_lungs)
    job = clicks.of(clicks.ask(click), click.scans.patient)
    begun = time.monotonic()
    clicks.close()
    assert job is not None and job.done and job.problem and time.monotonic() - begun < 8
    clicks.close()
