"""A patient's scans are those that the run measured, kept open in bounded memory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from metasight.errors import VolumeError
from metasight.serve.last_run import LastRun
from metasight.serve.scans import (
    OpenScans,
    frames_of,
    lesion_of,
    lesion_shown,
    measured_of,
    read_scans,
    scan_rows,
    series_facts,
)
from metasight.study.file import read_study
from metasight.volumes.volume import Mask, Volume


@pytest.fixture(scope="module")
def run(finished_lungs: Path) -> LastRun:
    return LastRun(read_study(finished_lungs))


@pytest.fixture(scope="module")
def opened(run: LastRun):
    ((patient, row),) = scan_rows(run.study).items()
    assert run.study.settings.scans is not None
    return patient, row, read_scans(row, run.study.settings.scans.recipe())


def test_the_diameters_drawn_are_those_that_were_reported(run: LastRun, opened) -> None:
    patient, _, scan = opened
    drawn, why = lesion_shown(run, patient, scan.ct)
    assert drawn is not None and not why
    reported = measured_of(run, patient)
    for own in drawn["calipers"]:
        assert own["longest_mm"] == pytest.approx(reported[f"{own['plane']}_longest_mm"], abs=0.051)
    (size,) = [c for c in drawn["calipers"] if c["is_size"]]
    assert size["plane"] == reported["tumour_size_plane"]
    assert set(map(int, drawn["outlines"]["axial"])) == set(
        np.flatnonzero(lesion_of(run, patient).array.any(axis=(1, 2)))  # type: ignore[union-attr]
    )


def test_a_lesion_of_another_scan_is_not_drawn(run: LastRun, opened) -> None:
    patient, _, scan = opened
    other = Volume.from_array(np.zeros((5, 6, 7)), unit="HU", spacing_mm=(1, 1, 1))
    drawn, why = lesion_shown(run, patient, other)
    assert drawn is None and "another scan" in why
    drawn, why = lesion_shown(run, "P" + 16 * "0", scan.ct)
    assert drawn is None and "no lesion" in why


def test_other_diameters_than_those_reported_are_not_drawn(
    run: LastRun, opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient, _, scan = opened
    mask = lesion_of(run, patient)
    assert mask is not None
    half = mask.array.copy()
    half[: int(np.flatnonzero(half.any(axis=(1, 2))).mean())] = False
    smaller = Mask.from_array(half, on=scan.ct)
    monkeypatch.setattr("metasight.serve.scans.lesion_of", lambda *_: smaller)
    drawn, why = lesion_shown(run, patient, scan.ct)
    assert drawn is None and "not those" in why


def test_facts_name_nobody(opened) -> None:
    _, _, scan = opened
    facts = series_facts(scan)
    assert scan.pet is not None and {"CT", "PET", "Series"} <= {name for name, _ in facts}
    assert "SIM" not in str(facts) and scan.ct.facts.series_uid not in str(facts)
    assert frames_of(scan.ct)["axial"]["slices"] == scan.ct.grid.size[2]


def test_one_is_read_once_and_the_oldest_is_let_go(run: LastRun, opened, monkeypatch) -> None:
    patient, row, scan = opened
    reads = []
    monkeypatch.setattr(
        "metasight.serve.scans.read_scans", lambda s, r: reads.append(s.patient) or scan
    )
    recipe = run.study.settings.scans.recipe()  # type: ignore[union-attr]
    scans = OpenScans(most_bytes=scan.n_bytes + 1)
    other = replace(row, patient="P" + 16 * "1")
    for one in (row, row, other, other, row):
        assert scans.of(one, recipe) is scan
    assert reads == [patient, other.patient, patient]
    scans.forget()
    scans.of(row, recipe)
    assert len(reads) == 4


def test_no_ct(run: LastRun, opened) -> None:
    _, row, _ = opened
    with pytest.raises(VolumeError, match="no CT"):
        read_scans(replace(row, ct=None), run.study.settings.scans.recipe())  # type: ignore[union-attr]
