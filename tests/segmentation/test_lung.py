"""Lungs of a real scan with a large tumour at the pleura, and of scans that are no chest."""

from __future__ import annotations

import gzip
import tarfile
from pathlib import Path

import numpy as np
import pytest

from metasight.errors import VolumeError
from metasight.segmentation.lung import Lungs, find_lungs
from metasight.volumes.dicom import read_series
from metasight.volumes.masks import read_mask
from metasight.volumes.volume import Volume

Contours = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def lung1(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Volume, Contours]:
    """LUNG1-001 and its contours: GTV, right and left lung."""
    folder = tmp_path_factory.mktemp("lung1")
    source = shared / "data" / "volumes" / "lung1-001"
    with tarfile.open(source / "LUNG1-001_CT_dicom.tar.xz") as archive:
        archive.extractall(folder / "ct", filter="data")
    (folder / "rt.dcm").write_bytes(gzip.decompress((source / "RTSTRUCT_1-1.dcm.gz").read_bytes()))
    scan = read_series(folder / "ct")
    names = ("GTV-1", "Lung-Right", "Lung-Left")
    return scan, {n: read_mask(folder / "rt.dcm", scan, region=n).array for n in names}


@pytest.fixture(scope="module")
def found(lung1: tuple[Volume, Contours]) -> Lungs:
    return find_lungs(lung1[0])


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


def test_each_lung_agrees_with_its_contour(lung1: tuple[Volume, Contours], found: Lungs) -> None:
    _, told = lung1
    gtv = told["GTV-1"]
    assert dice(found.right.array & ~gtv, told["Lung-Right"] & ~gtv) >= 0.95
    assert dice(found.left.array & ~gtv, told["Lung-Left"] & ~gtv) >= 0.95


def test_the_whole_lungs_take_the_tumour_in(lung1: tuple[Volume, Contours], found: Lungs) -> None:
    gtv = lung1[1]["GTV-1"]
    whole = found.right_whole.array | found.left_whole.array
    assert (whole & gtv).sum() >= 0.95 * gtv.sum()
    assert not (found.right.array & found.left.array).any()


def test_the_airways_are_a_tree_of_air(lung1: tuple[Volume, Contours], found: Lungs) -> None:
    assert found.airways is not None
    assert 15 < found.airways.volume_ml < 160
    assert np.median(lung1[0].array[found.airways.array]) < -900


def made_up(lungs: int) -> Volume:
    """A body of soft tissue with so many air-filled boxes of 1 litre for lungs."""
    hu = np.full((60, 70, 110), -1000.0)
    hu[:, 5:65, 5:105] = 40.0
    for k in range(lungs):
        hu[8:52, 15:55, 12 + 48 * k : 48 + 48 * k] = -850.0
    return Volume.from_array(hu, unit="HU", spacing_mm=(2.5, 2.5, 2.5))


def test_two_boxes_are_two_lungs() -> None:
    found = find_lungs(made_up(2))
    assert found.right.volume_ml == pytest.approx(44 * 40 * 36 * 2.5**3 / 1000, rel=0.02)
    assert found.airways is None
    assert np.nonzero(found.right.array)[2].max() < np.nonzero(found.left.array)[2].min()


def with_bowel(scan: Volume) -> Volume:
    """With two loops of gas, each of half a litre, below everything else."""
    hu = np.concatenate([np.array(scan.array[:1]).repeat(30, axis=0), scan.array])
    hu[:30, 5:65, 5:105] = 40.0
    for k in range(2):
        hu[4:26, 25:43, 10 + 46 * k : 48 + 46 * k] = -995.0
    hu += np.random.default_rng(1).normal(0, 15, hu.shape)
    return Volume.from_array(hu, unit="HU", spacing_mm=(2.5, 2.5, 2.5))


def test_bowel_is_no_lung() -> None:
    with pytest.raises(VolumeError, match="no lung was found: the air is that of stomach and bow"):
        find_lungs(with_bowel(made_up(0)))


def test_bowel_below_two_lungs_is_left_out() -> None:
    found = find_lungs(with_bowel(made_up(2)))
    for lung in (found.right, found.left):
        assert lung.volume_ml == pytest.approx(44 * 40 * 36 * 2.5**3 / 1000, rel=0.02)
        assert np.nonzero(lung.array)[0].min() > 32


def test_a_lung_removed_is_not_guessed() -> None:
    with pytest.raises(VolumeError, match="only one lung was found"):
        find_lungs(made_up(1))


def test_a_scan_without_lung_is_refused() -> None:
    with pytest.raises(VolumeError, match="no lung was found"):
        find_lungs(made_up(0))
