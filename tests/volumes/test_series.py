from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import generate_uid

from metasight.errors import VolumeError
from metasight.volumes.series import SeriesRule, candidates, choose_series, find_series

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


def test_candidates_are_what_the_rule_could_choose(study: Path) -> None:
    found = find_series(study)
    kernels = [s.first.kernel for s in candidates(found, SeriesRule())]
    assert len(kernels) == 3 and "B70f" in kernels  # no localiser, reformat, projection or report
    assert candidates(found, SeriesRule(modality="PT")) == ()


def test_no_series_says_what_there_was(study: Path) -> None:
    with pytest.raises(VolumeError, match="no PT series") as caught:
        choose_series(find_series(study), SeriesRule(modality="PT"))
    assert "modality is CT, not PT" in caught.value.value


def follow_up(ct_slices: Maker, **tags: Any) -> list[Any]:
    return list(ct_slices(series="later", StudyInstanceUID="1.5", StudyDate="20300301", **tags))


@pytest.fixture
def two_examinations(write_ct: Maker, ct_slices: Maker) -> Path:
    """Baseline and follow-up of one patient in one folder."""
    write_ct(ct_slices(StudyInstanceUID="1.4", StudyDate="20200301"), name="both/a")
    return Path(write_ct(follow_up(ct_slices, SeriesNumber=7), name="both/b")).parent


def test_two_examinations_are_refused_until_one_is_named(two_examinations: Path) -> None:
    found = find_series(two_examinations)
    with pytest.raises(VolumeError, match="several examinations") as caught:
        choose_series(found, SeriesRule())
    assert caught.value.value == "2 examinations in 2 series"
    assert "column `date`" in caught.value.remedy and "column `series`" in caught.value.remedy
    assert "2030" not in str(caught.value) and "1.5" not in str(caught.value)
    later = SeriesRule(study_date=dt.date(2030, 3, 1))
    choice = choose_series(found, later)
    assert choice.chosen.first.study == "1.5"
    assert choice.reason == "of the examination on the date in the table of scans; the only one"
    assert "2030" not in " ".join(choice.lines)
    by_number = choose_series(found, SeriesRule(series="7"))
    by_uid = choose_series(found, SeriesRule(series=choice.chosen.first.series_uid))
    assert by_number.chosen.first.study == by_uid.chosen.first.study == "1.5"
    assert by_uid.reason == "asked for by name; the only one"


def test_a_date_without_a_series_is_told(two_examinations: Path) -> None:
    with pytest.raises(VolumeError, match="no series of the date") as caught:
        choose_series(find_series(two_examinations), SeriesRule(study_date=dt.date(2021, 1, 1)))
    assert "2021" not in str(caught.value)


def test_two_patients_are_refused_whatever_their_dates(write_ct: Maker, ct_slices: Maker) -> None:
    write_ct(ct_slices(series="a", PatientID="MRN-1"), name="p/a")
    folder = write_ct(ct_slices(series="b", PatientID="MRN-2"), name="p/b").parent
    with pytest.raises(VolumeError, match="several patients") as caught:
        choose_series(find_series(folder), SeriesRule())
    assert "MRN" not in str(caught.value)


def test_files_without_an_id_are_not_another_patient(write_ct: Maker, ct_slices: Maker) -> None:
    write_ct(ct_slices(series="a", PatientID="MRN-1"), name="p/a")
    folder = write_ct(ct_slices(series="b", PatientID="", PatientName=""), name="p/b").parent
    assert len(choose_series(find_series(folder), SeriesRule()).chosen.headers) == 6


def test_a_report_of_another_examination_does_no_harm(write_ct: Maker, ct_slices: Maker) -> None:
    scout = ct_slices(series="s", StudyInstanceUID="1.9", ImageType=["ORIGINAL", "PRIMARY", "MPR"])
    folder = write_ct([*ct_slices(StudyInstanceUID="1.4"), *scout])
    assert choose_series(find_series(folder), SeriesRule()).chosen.first.study == "1.4"


def test_the_series_that_the_lesion_was_drawn_on_is_read(study: Path) -> None:
    thick = next(s for s in find_series(study).series if s.first.thickness_mm == 8.0)
    rule = SeriesRule(drawn_on=frozenset({thick.first.series_uid, "1.2.3"}))
    choice = choose_series(find_series(study), rule)
    assert choice.chosen.first.thickness_mm == 8.0
    assert choice.reason == "the lesion was drawn on it; the only one"
    with pytest.raises(VolumeError, match="drawn on is not in the folder") as caught:
        choose_series(find_series(study), SeriesRule(drawn_on=frozenset({"1.2.3"})))
    assert "1.2.3" not in str(caught.value)
    # the study's own word goes first
    smooth = next(s for s in find_series(study).series if s.first.kernel == "B30f")
    named = SeriesRule(series=smooth.first.series_uid, drawn_on=rule.drawn_on)
    assert choose_series(find_series(study), named).chosen.first.kernel == "B30f"


@pytest.mark.parametrize(("name", "kind"), [("mip", "image type mip"), ("coronal", "not axial")])
def test_what_is_refused_by_rule_is_read_if_the_table_accepts_it(
    study: Path, name: str, kind: str
) -> None:
    uid = str(generate_uid(entropy_srcs=[name]))
    with pytest.raises(VolumeError, match="cannot be measured or is not there") as caught:
        choose_series(find_series(study), SeriesRule(series=uid))
    assert kind in caught.value.value and "column `accept`" in caught.value.remedy
    choice = choose_series(find_series(study), SeriesRule(series=uid, accept_derived=True))
    assert choice.chosen.first.series_uid == uid
    assert f"although {kind}" in choice.reason


def test_text_of_the_file_is_in_no_line_of_the_choice(write_ct: Maker, ct_slices: Maker) -> None:
    secret = "Meier Anna 1952"
    write_ct(ct_slices(series="a", ConvolutionKernel=secret, SeriesNumber=3), name="s/a")
    report = ct_slices(series="r")[:1]
    for tag in ("Rows", "Columns", "PixelData"):
        delattr(report[0], tag)
    report[0].Modality = "MEIER ANNA"
    folder = write_ct(report, name="s/b").parent
    lines = " ".join(choose_series(find_series(folder), SeriesRule()).lines)
    assert "not shown" in lines
    assert not any(w in lines for w in ("Meier", "MEIER", "1952"))


def test_the_series_of_the_images_that_the_lesion_was_drawn_on(study: Path) -> None:
    thick = next(s for s in find_series(study).series if s.first.thickness_mm == 8.0)
    rule = SeriesRule(drawn_on=frozenset({thick.headers[2].sop_uid}))
    assert choose_series(find_series(study), rule).chosen.number == thick.number
