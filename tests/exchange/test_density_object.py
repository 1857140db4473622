"""A density map on a DICOM slide: the values to the last bit, at the slide's own coordinates."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace

import highdicom as hd
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from exchange.test_patient_objects import NOT_KNOWN
from exchange_made import ALGORITHM, MADE, PATIENT
from metasight.errors import StudyError
from metasight.exchange.density_object import (
    PADDING,
    density_object,
    slide_header,
    values_in,
    write_density_objects,
)
from metasight.maps.density import DensityMap
from slide_files import tissue_like, write_dicom

MPP = 0.5


@pytest.fixture
def header(tmp_path) -> Dataset:
    """As a scanner writes it: rows run down the slide's x, columns along its y."""
    write_dicom(tmp_path / "slide", tissue_like(600, 800), mpp=MPP)
    data = dcmread(tmp_path / "slide" / "level-0.dcm", stop_before_pixels=True)
    data.ImageOrientationSlide = [0, -1, 0, -1, 0, 0]
    origin = Dataset()
    origin.XOffsetInSlideCoordinateSystem, origin.YOffsetInSlideCoordinateSystem = 20.0, 40.0
    data.TotalPixelMatrixOriginSequence = [origin]
    data.PatientID, data.ContainerIdentifier = "MRN-4711", "BARCODE-99"
    return data


def made_map(side: int = 40) -> DensityMap:
    support = np.ones((side, side + 10), dtype=bool)
    support[:3] = False
    rng = np.random.default_rng(0)
    density = rng.gamma(2, 300, (2, *support.shape)).astype(np.float32)
    density[:, ~support] = np.nan
    error = np.full_like(density, np.nan)
    error[0, support] = 12.5
    return DensityMap(
        density=density,
        error=error,
        support=support,
        markers=("CD3", "CD20"),
        spacing_um=10.0,
        origin_um=(5.0, 7.0),
    )


@pytest.mark.parametrize("side", [40, 300], ids=["one tile", "several tiles"])
def test_values_read_back_and_what_is_not_stated_is_padding(tmp_path, header, side) -> None:
    density_map = made_map(side)
    slide = slide_header(header, PATIENT)
    write_density_objects(tmp_path / "out", density_map, slide, ALGORITHM, mpp=MPP, made=MADE)
    names = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert names == ["01-density.dcm", "01-error.dcm", "02-density.dcm"]
    data = dcmread(tmp_path / "out" / "02-density.dcm")
    values = values_in(data)
    assert np.array_equal(
        values[density_map.support], density_map.plane("CD20")[density_map.support]
    )
    assert (values[~density_map.support] == PADDING).all()
    assert data.FloatPixelPaddingValue == PADDING
    theirs = hd.pm.ParametricMap.from_dataset(data)
    assert np.array_equal(theirs.get_total_pixel_matrix(), values)


def test_each_pixel_lies_where_it_was_measured(header) -> None:
    made = density_object(
        made_map(), "CD3", slide_header(header, PATIENT), ALGORITHM, mpp=MPP, made=MADE
    )
    place = made.PerFrameFunctionalGroupsSequence[0].PlanePositionSlideSequence[0]
    # the map's first pixel has its middle 10 µm (x) and 12 µm (y) from the slide's corner, the
    # slide's first pixel 0.25 µm; columns run to −y, rows to −x
    assert float(place.YOffsetInSlideCoordinateSystem) == pytest.approx(40 - 0.00975)
    assert float(place.XOffsetInSlideCoordinateSystem) == pytest.approx(20 - 0.01175)
    measures = made.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    assert [float(v) for v in measures.PixelSpacing] == [0.01, 0.01]
    assert made.FrameOfReferenceUID == header.FrameOfReferenceUID
    mapping = made.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence[0]
    assert mapping.MeasurementUnitsCodeSequence[0].CodeValue == "/mm2"


def test_barcode_and_patient_stay_behind(tmp_path, header) -> None:
    slide = slide_header(header, PATIENT)
    write_density_objects(tmp_path / "out", made_map(), slide, ALGORITHM, mpp=MPP, made=MADE)
    for path in (tmp_path / "out").iterdir():
        raw = path.read_bytes()
        assert b"BARCODE" not in raw and b"MRN" not in raw
        assert dcmread(path).PatientID == PATIENT
        assert "research" in dcmread(path).SeriesDescription


def test_the_validator_finds_no_error(tmp_path, header) -> None:
    dciodvfy = shutil.which("dciodvfy")
    if dciodvfy is None:
        pytest.skip("dciodvfy is not installed (Debian: dicom3tools)")
    slide = slide_header(header, PATIENT)
    write_density_objects(tmp_path / "out", made_map(), slide, ALGORITHM, mpp=MPP, made=MADE)
    for path in (tmp_path / "out").iterdir():
        told = subprocess.run([dciodvfy, path], capture_output=True, text=True, check=False)
        lines = (told.stdout + told.stderr).splitlines()
        rest = [x for x in lines if not NOT_KNOWN.search(x) and "<QUANTITY>" not in x]
        assert rest == ["ParametricMap"]


def test_a_slide_that_says_not_where_it_lies_is_refused(tmp_path, header) -> None:
    del header.ImageOrientationSlide
    with pytest.raises(StudyError, match="ImageOrientationSlide"):
        slide_header(header, PATIENT)
    with pytest.raises(StudyError, match="no DICOM whole-slide image"):
        slide_header(Dataset(), PATIENT)


def test_the_same_map_has_the_same_bytes(tmp_path, header) -> None:
    slide = slide_header(header, PATIENT)
    for name in ("a", "b"):
        write_density_objects(tmp_path / name, made_map(), slide, ALGORITHM, mpp=MPP, made=MADE)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()
    other = replace(ALGORITHM, run="another")
    made = density_object(made_map(), "CD3", slide, other, mpp=MPP, made=MADE)
    assert made.SOPInstanceUID != dcmread(tmp_path / "a" / "01-density.dcm").SOPInstanceUID
