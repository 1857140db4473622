"""Slices belong together by numbers that agree, not by how they are written."""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.uid import generate_uid

from metasight.errors import VolumeError
from metasight.volumes.dicom import read_series
from metasight.volumes.grouping import differences, group, parts_of_one, spelled
from metasight.volumes.series import SeriesRule, find_series

Maker = Callable[..., Any]


@pytest.fixture
def varied(write_ct: Maker, ct_slices: Maker) -> Callable[..., Path]:
    """A series of 6 slices in which a tag takes the given values in turn."""

    def build(tag: str, values: list[Any], n: int = 6) -> Path:
        slices = ct_slices()[:n]
        for data, value in zip(slices, cycle(values), strict=False):
            setattr(data, tag, value)
        return write_ct(slices)

    return build


@pytest.mark.parametrize(
    ("tag", "values"),
    [
        ("ImageOrientationPatient", [[1, 0, 0, 0, 1, 0.000499], [1, 0, 0, 0, 1, 0.000501]]),
        ("ImageOrientationPatient", [[1, 0, 0, 0, 1, 0.0004], [1, 0, 0, 0, 1, 0.0006]]),
        (
            "ImageOrientationPatient",
            [[1, 0, 0, 0, 0.999848, -0.017499], [1, 0, 0, 0, 0.999848, -0.017501]],
        ),
        (
            "ImageOrientationPatient",
            [[1, 0, 0, 0, 1, 0], [1, 0, 0, 0, 1, 0], [1, 0, 0, 0, 1, 1e-3]],
        ),
        ("PixelSpacing", [["0.78125", "0.78125"], ["0.7812501", "0.7812501"]]),
        ("PixelSpacing", [["0.683594", "0.683594"], ["0.68359375", "0.68359375"]]),
        ("ConvolutionKernel", ["B30f", "B30F "]),
        ("ConvolutionKernel", [["Br40d", "3"], ["BR40D", "3"]]),
        (
            "ImageType",
            [["ORIGINAL", "PRIMARY", "AXIAL"], ["ORIGINAL", "PRIMARY", "AXIAL", "CT_SOM5 SPI"]],
        ),
        ("ImageType", [["ORIGINAL", "PRIMARY", "AXIAL"], ["ORIGINAL", "PRIMARY", "HELIX"]]),
    ],
)
def test_a_series_that_is_written_two_ways_is_one(varied, tag: str, values: list[Any]) -> None:
    folder = varied(tag, values)
    (series,) = find_series(folder).series
    assert len(series.headers) == 6
    volume = read_series(folder)
    assert volume.array.shape[0] == 6
    assert volume.spacing_mm[2] == pytest.approx(2.0, abs=0.002)


@pytest.mark.parametrize(
    ("tag", "values", "told"),
    [
        ("PixelSpacing", [[0.9, 0.8], [0.8, 0.7]], "pixel spacing"),
        ("ConvolutionKernel", ["B30f", "B70f"], "kernel"),
        ("ImageType", [["ORIGINAL", "PRIMARY"], ["ORIGINAL", "OTHER"]], "image type"),
        ("FrameOfReferenceUID", ["1.2.3", "1.2.4"], "frame of reference"),
        ("StudyInstanceUID", ["1.2.3", "1.2.4"], "study"),
    ],
)
def test_halves_of_a_series_that_interleave_are_refused(varied, tag, values, told) -> None:
    with pytest.raises(VolumeError, match=r"in parts that belong together|several") as caught:
        read_series(varied(tag, values))
    if tag != "StudyInstanceUID":  # two examinations are told first
        assert caught.value.value.endswith(f"differ in {told}")
        assert "3 and 3 slices" in caught.value.value


@pytest.mark.parametrize("lower", [2, 3, 4])
def test_halves_of_a_series_that_abut_are_refused(write_ct, ct_slices, lower: int) -> None:
    slices = ct_slices()
    for data in slices[:lower]:
        data.PixelSpacing = [0.7, 0.7]
    with pytest.raises(VolumeError, match="in parts that belong together"):
        read_series(write_ct(slices))


def test_one_slice_of_another_spacing_is_told_as_that(write_ct, ct_slices) -> None:
    slices = ct_slices()
    slices[2].PixelSpacing = [0.7, 0.7]
    with pytest.raises(VolumeError, match="in parts that belong together") as caught:
        read_series(write_ct(slices))
    assert "5 and 1 slices" in caught.value.value


def test_two_stations_of_one_series_are_refused_not_halved(write_ct, ct_slices, moved) -> None:
    """The second station begins where the first ended, with one slice of overlap."""
    first, second = ct_slices(), ct_slices(AcquisitionNumber=2)
    for k, data in enumerate(second):
        moved(data, z=10.0)
        data.SOPInstanceUID = generate_uid(entropy_srcs=["second", str(k)])
    with pytest.raises(VolumeError, match="in parts that belong together") as caught:
        read_series(write_ct([*first, *second]))
    assert "acquisition number" in caught.value.value


def test_reconstructions_at_the_same_places_are_no_parts(write_ct, ct_slices) -> None:
    before, after = ct_slices(), ct_slices(AcquisitionNumber=2)
    assert len(read_series(write_ct([*before, *after])).array) == 6


def test_a_localiser_in_the_series_is_no_part(write_ct, ct_slices, moved) -> None:
    scout = ct_slices(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])[:1]
    moved(scout[0], z=1.0)
    assert len(read_series(write_ct([*ct_slices(), *scout])).array) == 6


def test_a_thick_reconstruction_under_the_same_uid_is_no_part(write_ct, ct_slices, moved) -> None:
    thick = ct_slices(SliceThickness=8.0, PixelSpacing=[0.7, 0.7])[:2]
    for data in thick:
        moved(data, z=1.0)
    assert len(read_series(write_ct([*ct_slices(), *thick])).array) == 6


def test_other_series_are_no_parts(write_ct, ct_slices, moved) -> None:
    other = ct_slices(series="other")
    for data in other:
        moved(data, z=1.0)
    assert len(read_series(write_ct([*ct_slices(), *other])).array) == 6


def test_what_groups_differ_in(write_ct, ct_slices) -> None:
    one, other = find_series(
        write_ct([*ct_slices(), *ct_slices(series="b", ConvolutionKernel="B70f", Rows=24)])
    ).series
    assert differences(one.headers, other.headers) == "kernel"
    assert differences(one.headers, one.headers) == ""
    assert not parts_of_one(one.headers, other.headers)


def test_spelling() -> None:
    assert spelled(" B30 f") == spelled("b30F")
    assert spelled("B30f") != spelled("B31f")
    assert group([]) == []


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    order=st.permutations(range(6)),
    seed=st.integers(0, 2**32 - 1),
    position_mm=st.sampled_from([0.0, 1e-4, 0.009]),
    cosine=st.sampled_from([0.0, 1e-6, 9e-5]),
    doubled=st.booleans(),
)
def test_order_copies_and_jitter_leave_a_volume_unchanged_or_it_is_refused(
    tmp_path_factory, ct_slices, order, seed, position_mm, cosine, doubled
) -> None:
    """DICOM's numbers are rounded texts, archives rename files and send series twice."""
    random = np.random.default_rng(seed)
    plain = ct_slices()
    folder = tmp_path_factory.mktemp("jitter")
    expected = read_series(_written(plain, folder / "plain"))
    slices = [*ct_slices()]
    if doubled:
        slices += ct_slices(series="again")
        order = [*order, *(6 + k for k in order)]
    for data in slices:
        place = np.array([float(v) for v in data.ImagePositionPatient])
        place += random.uniform(-position_mm, position_mm, 3)
        axes = np.array([1.0, 0, 0, 0, 1, 0]) + random.uniform(-cosine, cosine, 6)
        data.ImagePositionPatient = [round(float(v), 6) for v in place]
        data.ImageOrientationPatient = [round(float(v), 7) for v in axes]
    try:
        found = read_series(_written([slices[k] for k in order], folder / "jittered"))
    except VolumeError:
        return
    np.testing.assert_array_equal(found.array, expected.array)
    assert found.grid.size == expected.grid.size
    assert found.grid.distance_mm(expected.grid) < 0.05


def _written(slices: list[Any], folder: Path) -> Path:
    from pydicom import dcmwrite

    folder.mkdir()
    for k, data in enumerate(slices):
        dcmwrite(folder / f"{k:03d}.dcm", data, enforce_file_format=True)
    return folder


def test_jitter_is_read_not_refused(tmp_path, ct_slices) -> None:
    """The property above would hold of a program that refuses everything."""
    random = np.random.default_rng(0)
    slices = ct_slices()
    for data in slices:
        axes = np.array([1.0, 0, 0, 0, 1, 0]) + random.uniform(-9e-5, 9e-5, 6)
        data.ImageOrientationPatient = [round(float(v), 7) for v in axes]
        place = np.array([float(v) for v in data.ImagePositionPatient])
        data.ImagePositionPatient = [round(v, 6) for v in place + random.uniform(-9e-3, 9e-3, 3)]
    assert read_series(_written(slices, tmp_path / "j")).array.shape == (6, 24, 20)


@pytest.mark.parametrize("rule", [SeriesRule(), SeriesRule(kernel="smooth")])
def test_the_order_of_files_changes_no_byte(tmp_path, ct_slices, rule) -> None:
    slices = ct_slices()
    slices[0].ConvolutionKernel = "B30F"
    ways = [slices, slices[::-1], slices[3:] + slices[:3]]
    read = [read_series(_written(w, tmp_path / str(k)), rule=rule) for k, w in enumerate(ways)]
    assert len({v.facts for v in read}) == 1
    assert len({v.grid for v in read}) == 1
