"""Files are written as pydicom writes them, byte for byte."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from metasight.simulate.lung import dicom_writer
from metasight.simulate.lung.dicom import CtSeries, Machine, Study, ct_slice
from metasight.simulate.lung.raster import Grid

STUDY = Study(
    patient="SIM-0001",
    date="20200101",
    female=True,
    age_years=60,
    weight_kg=70.25,
    height_m=1.7,
    centre="Nördlich",
    seed=1,
)
MACHINE = Machine(manufacturer="X", model="Y", kernel="B30f", kvp=120, mas=100)
GRID = Grid(shape=(6, 32, 40), origin_mm=(-100.5, -80.25, -300.0), spacing_mm=(1.25, 0.7, 0.7))


def slices():
    hu = np.random.default_rng(1).integers(-1000, 1000, GRID.shape).astype(np.int16)
    series = CtSeries(name="a", number=2, machine=MACHINE, thickness_mm=1.25, contrast=True)
    for k in range(GRID.shape[0]):
        ds = ct_slice(STUDY, series, hu[k], GRID, k)
        inner = Dataset()
        inner.CodeValue, inner.CodeMeaning = f"{k}", "ä"
        ds.ProcedureCodeSequence = Sequence([inner])
        ds.add_new((0x0019, 0x0010), "LO", "MAKER")
        ds.add_new((0x0019, 0x1001), "OB", bytes([k, 1]))
        yield ds


@pytest.mark.parametrize("most_kept", [20_000, 3])
def test_the_bytes_are_pydicoms(tmp_path: Path, monkeypatch, most_kept: int) -> None:
    monkeypatch.setattr(dicom_writer, "_MOST_KEPT", most_kept)
    for k, ds in enumerate(slices()):
        own, theirs = tmp_path / f"own-{k}", tmp_path / f"theirs-{k}"
        dicom_writer.write(ds, own)
        ds.save_as(theirs, enforce_file_format=True)
        assert own.read_bytes() == theirs.read_bytes()
        assert dcmread(own).InstitutionName == "Nördlich"


def test_values_that_look_alike_are_not_taken_for_each_other(tmp_path: Path) -> None:
    ds = next(slices())
    for value in ("1", "1.0", 1, 1.0, "01"):
        ds.RescaleSlope = value
        dicom_writer.write(ds, tmp_path / "own")
        ds.save_as(tmp_path / "theirs", enforce_file_format=True)
        assert (tmp_path / "own").read_bytes() == (tmp_path / "theirs").read_bytes()
