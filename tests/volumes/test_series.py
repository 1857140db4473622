from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from metasight.errors import VolumeError
from metasight.volumes.series import SeriesRule, choose_series, find_series

Maker = Callable[..., Any]


@pytest.fixture
def study(tmp_path: Path, write_ct: Maker, ct_slices: Maker) -> Path:
    """Localiser, sharp and smooth reconstruction, a coronal reformat, a thick one, a report."""
    write_ct(ct_slices(series="smooth"), name="study/a")
    write_ct(ct_slices(series="sharp", ConvolutionKernel="B70f"), name="study/b")
    thick = ct_slices(series="thick", SliceThickness=8.0)
    write_ct(thick, name="study/c")
    scout = ct_slices(series="scout", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    write_ct(scout[:1], name="study/d")
    coronal = ct_slices(series="coronal", ImageOrientationPatient=[1, 0, 0, 0, 0, -1])
    for k, data in enumerate(coronal):
        data.ImagePositionPatient = [0, 2.0 * k, 0]
    write_ct(coronal, name="study/e")
    mip = ct_slices(series="mip", ImageType=["DERIVED", "SECONDARY", "AXIAL", "MIP"])
    write_ct(mip, name="study/f")
    report = ct_slices(series="report")[:1]
    for tag in ("Rows", "Columns", "PixelData"):
        delattr(report[0], tag)
    report[0].Modality = "SR"
    write_ct(report, name="study/g")
    return tmp_path / "study"


@pytest.mark.parametrize(("kernel", "name"), [("smooth", "B30f"), ("sharp", "B70f")])
def test_the_wanted_kernel_of_the_axial_series_is_chosen(
    study: Path, kernel: Any, name: str
) -> None:
    choice = choose_series(find_series(study), SeriesRule(kernel=kernel))
    assert choice.chosen.first.kernel == name
    assert choice.reason == f"{kernel} kernel"
    left = "\n".join(choice.left)
    for why in (
        "localizer",
        "image type mip",
        "not axial",
        "thicker than 3 mm",
        f"kernel is not {kernel}",
        "1 file left: DICOM without an image (SR)",
    ):
        assert why in left, why
    assert len(choice.left) == 6


def test_coverage_comes_before_thin_slices(write_ct: Maker, ct_slices: Maker) -> None:
    write_ct(ct_slices(series="short", step_mm=1.0), name="s/a")
    folder = write_ct(ct_slices(series="long", step_mm=3.0 * 5), name="s/b").parent
    # 15 mm slices are too thick whatever they cover
    assert choose_series(find_series(folder), SeriesRule()).chosen.extent_mm == 5.0
    for k, data in enumerate(long := ct_slices(series="long", step_mm=15.0)):
        data.SliceThickness = 2.0
        data.InstanceNumber = k
    write_ct(long, name="s/b")
    choice = choose_series(find_series(folder), SeriesRule())
    assert choice.chosen.extent_mm == 75.0 and choice.reason == "covers most of the chest"


def test_acquisitions_of_one_series_are_told_apart(write_ct: Maker, ct_slices: Maker) -> None:
    before = ct_slices()
    after = ct_slices(AcquisitionNumber=2)
    found = find_series(write_ct([*before, *after]))
    assert [len(s.headers) for s in found.series] == [6, 6]
    assert {s.first.acquisition for s in found.series} == {"1", "2"}


def test_a_number_that_counts_slices_parts_nothing(write_ct: Maker, ct_slices: Maker) -> None:
    slices = ct_slices()
    for k, data in enumerate(slices):
        data.AcquisitionNumber = k
    assert len(find_series(write_ct(slices)).series) == 1


def test_the_choice_does_not_depend_on_file_names(
    tmp_path: Path, write_ct: Maker, ct_slices: Maker
) -> None:
    for name, first, second in (("x", "a", "b"), ("y", "b", "a")):
        write_ct(ct_slices(series="one"), name=name, prefix=first)
        write_ct(ct_slices(series="two"), name=name, prefix=second)
    chosen = [choose_series(find_series(tmp_path / n), SeriesRule()) for n in ("x", "y")]
    assert chosen[0].chosen.first.series_uid == chosen[1].chosen.first.series_uid


def test_a_pet_without_attenuation_correction_is_not_taken(
    write_ct: Maker, ct_slices: Maker
) -> None:
    pet = ct_slices(series="nac", Modality="PT", CorrectedImage=["DECY", "RAN"])
    write_ct(pet, name="p/a")
    corrected = ct_slices(series="ac", Modality="PT", CorrectedImage=["DECY", "ATTN"])
    folder = write_ct(corrected, name="p/b").parent
    choice = choose_series(find_series(folder), SeriesRule(modality="PT"))
    assert "ATTN" in choice.chosen.first.corrections
    assert "not corrected for attenuation" in choice.left[0]


def test_odd_objects_beside_a_good_series_do_no_harm(write_ct: Maker, ct_slices: Maker) -> None:
    odd = ct_slices(series="odd", Modality="OT")[:1]
    del odd[0].BitsStored
    skewed = ct_slices(series="skewed", ImageOrientationPatient=[0, 0, 0, 0, 0, 0])[:1]
    folder = write_ct([*ct_slices(), *odd, *skewed])
    choice = choose_series(find_series(folder), SeriesRule())
    assert len(choice.chosen.headers) == 6
    assert "1 file left: image of another kind (OT)" in choice.left
    assert "1 file left: image whose rows and columns are not at right angles" in choice.left


def test_no_series_says_what_there_was(study: Path) -> None:
    with pytest.raises(VolumeError, match="no PT series") as caught:
        choose_series(find_series(study), SeriesRule(modality="PT"))
    assert "modality is CT, not PT" in caught.value.value
