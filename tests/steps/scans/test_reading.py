"""CT, PET and lesion as the table names them: the right series, the right part, and refusals."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from metasight.cohort.scan_table import LesionRow, SeriesRow
from metasight.cohort.settings import ScanSettings
from metasight.errors import VolumeError
from metasight.steps.scans import lesion_of, read_ct, reading
from metasight.steps.scans.reading import (
    outlined,
    read_suv,
    series_drawn_on,
    uptake_within,
)
from scan_files import (
    CENTRE,
    SPHERE_ML,
    Field,
    Written,
    circle,
    sphere,
    write_ct,
    write_labels,
    write_pet,
    write_rtstruct,
)

SETTINGS = ScanSettings(path="scans.csv", id="patient")
THICK, THIN = np.arange(-60, 61, 5.0), np.arange(-60, 61, 1.0)
MEDIUM = np.arange(-50, 51, 2.5)


def row(path: Path, region: str = "", **told: object) -> LesionRow:
    plain = LesionRow(path=path, region=region, point_mm=None, corner_mm=None)
    return replace(plain, **told)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[Written, Written]:
    """A thick and a thin reconstruction of one scan in one folder."""
    folder = tmp_path_factory.mktemp("two")
    return write_ct(folder, THICK, series="thick"), write_ct(folder, THIN, series="thin")


@pytest.fixture(scope="module")
def medium(tmp_path_factory: pytest.TempPathFactory) -> Written:
    return write_ct(tmp_path_factory.mktemp("medium"), MEDIUM)


def test_the_series_that_the_lesion_was_drawn_on_is_measured(two, tmp_path: Path) -> None:
    thick, _ = two
    lesion = row(write_rtstruct(tmp_path / "rt.dcm", {"GTV-1": sphere(THICK)}, of=thick))
    chosen = []
    ct = read_ct(
        thick.folder,
        SETTINGS,
        drawn=series_drawn_on(lesion, SeriesRow()),
        on_choice=chosen.append,
    )
    assert ct.spacing_mm[2] == 5.0
    assert chosen[0].reason.startswith("the lesion was drawn on it")
    assert lesion_of(lesion, ct, None).volume_ml == pytest.approx(SPHERE_ML, rel=0.08)


def test_without_its_series_a_lesion_is_refused(two, tmp_path: Path) -> None:
    """By rule the thin one is read: a mask five times too thin would come of it."""
    thick, _ = two
    lesion = row(write_rtstruct(tmp_path / "rt.dcm", {"GTV-1": sphere(THICK)}, of=thick))
    ct = read_ct(thick.folder, SETTINGS)
    assert ct.spacing_mm[2] == 1.0
    with pytest.raises(VolumeError, match="drawn on another series"):
        lesion_of(lesion, ct, None)
    # by the study's own word the series is another: then its contours have gaps
    with pytest.raises(VolumeError, match="inside the region have no contour"):
        lesion_of(lesion, ct, None, any_series=True)
    filled = replace(lesion, max_missing_contours=4)
    mask = lesion_of(filled, ct, None, any_series=True)
    assert mask.volume_ml == pytest.approx(SPHERE_ML, rel=0.1)
    assert "interpolated" in mask.notes[0]


def test_the_table_s_series_goes_before_the_one_drawn_on(two, tmp_path: Path) -> None:
    thick, thin = two
    lesion = row(write_rtstruct(tmp_path / "rt.dcm", {"GTV-1": sphere(THICK)}, of=thick))
    named = SeriesRow(series=thin.uid)
    assert series_drawn_on(lesion, named) == frozenset()
    assert series_drawn_on(None, SeriesRow()) == frozenset()
    assert series_drawn_on(lesion, SeriesRow()) == frozenset({thick.uid})
    assert read_ct(thick.folder, SETTINGS, named=named).spacing_mm[2] == 1.0


@pytest.mark.parametrize(
    "again",
    [
        lambda cs: [cs[4]],
        lambda cs: [np.roll(cs[4], 7, axis=0)],
        lambda cs: [np.round(cs[4], 1)],
        lambda cs: cs,
        lambda cs: [circle(c[0][2], np.hypot(*(c[0][:2] - CENTRE[:2])) + 0.2) for c in cs],
    ],
    ids=["one", "from another point", "rounded", "all", "0.2 mm larger"],
)
def test_a_contour_drawn_again_changes_no_volume(medium, tmp_path: Path, again) -> None:
    ct = read_ct(medium.folder, SETTINGS)
    contours = sphere(MEDIUM)
    once = lesion_of(row(write_rtstruct(tmp_path / "a.dcm", {"G": contours})), ct, None)
    both = write_rtstruct(tmp_path / "b.dcm", {"G": [*contours, *again(contours)]})
    mask = lesion_of(row(both), ct, None)
    assert mask.volume_ml == pytest.approx(once.volume_ml, rel=0.07)
    assert "drawn again" in mask.notes[0] and once.notes == ()


def test_labels_are_named_by_number(medium, tmp_path: Path) -> None:
    ct = read_ct(medium.folder, SETTINGS)
    labels = np.zeros(ct.array.shape, dtype=np.uint8)
    labels[:5, :5, :5] = 1
    labels[10:14, 40:44, 60:64] = 2
    file = write_labels(tmp_path / "ml.nii.gz", labels, ct.image)
    assert lesion_of(row(file, "2"), ct, None).n_voxels == 64
    for region in ("", "lung_nodule"):
        with pytest.raises(VolumeError) as caught:
            lesion_of(row(file, region), ct, None)
        assert "number" in caught.value.remedy and "nodule" not in str(caught.value)


def test_a_mask_in_parts_is_refused_until_a_click_or_a_setting_names_one(
    medium, tmp_path: Path
) -> None:
    ct = read_ct(medium.folder, SETTINGS)
    labels = np.zeros(ct.array.shape, dtype=np.uint8)
    labels[18:23, 45:50, 63:68] = 1
    labels[2:5, 10:13, 10:13] = 1  # a speck of 27 voxels
    told = row(write_labels(tmp_path / "m.nii.gz", labels, ct.image))
    with pytest.raises(VolumeError, match="several parts"):
        lesion_of(told, ct, None)
    largest = lesion_of(replace(told, parts="largest"), ct, None)
    assert largest.n_voxels == 125 and "left out" in largest.notes[0]
    at = tuple(ct.grid.to_mm(np.array([11.0, 11.0, 3.0])).tolist())
    assert lesion_of(replace(told, point_mm=at), ct, None).n_voxels == 27


def test_a_lesion_without_file_and_point_is_named(medium) -> None:
    ct = read_ct(medium.folder, SETTINGS)
    nothing = LesionRow(path=None, region="", point_mm=None, corner_mm=None)
    with pytest.raises(VolumeError, match="neither a file nor a point"):
        lesion_of(nothing, ct, None)
    with pytest.raises(VolumeError, match="no lungs were found"):
        lesion_of(replace(nothing, point_mm=CENTRE), ct, None)


def test_a_pet_by_the_table_s_word(tmp_path: Path) -> None:
    told = Field(suv=4.0)

    def in_megabecquerel(data, _):
        data.RadiopharmaceuticalInformationSequence[0].RadionuclideTotalDose = 350
        data.SeriesNumber = 9

    folder = write_pet(tmp_path / "pet", told, edit=in_megabecquerel)
    chosen = []

    def read(unit, series=""):
        named = SeriesRow(series=series)
        return read_suv(folder, SETTINGS, named=named, dose_unit=unit, on_choice=chosen.append)

    with pytest.raises(VolumeError, match="not in Bq") as caught:
        read("Bq")
    assert "pet_dose_unit" in caught.value.remedy
    assert read("MBq", "9").array.max() == pytest.approx(4.0, rel=1e-3)
    with pytest.raises(VolumeError, match="that was asked for cannot be measured"):
        read("MBq", "8")
    assert len(chosen) == 2  # the choice is told although the first could not be read


def test_a_pet_of_other_coordinates_gives_no_uptake(medium, tmp_path: Path) -> None:
    """Two examinations each have their own origin: the lesion would be looked for beside itself."""
    ct = read_ct(medium.folder, SETTINGS)
    lesion = lesion_of(row(write_rtstruct(tmp_path / "rt.dcm", {"G": sphere(MEDIUM)})), ct, None)

    def read(frame: str | None):
        def edit(data, _):
            if frame is not None:
                data.FrameOfReferenceUID = frame

        folder = write_pet(tmp_path / f"pet {frame}", Field(suv=2.5), edit=edit)
        told = {"named": SeriesRow(), "dose_unit": "Bq", "on_choice": lambda _: None}
        return read_suv(folder, SETTINGS, **told)

    assert uptake_within(read(None), lesion, ct).suvmax == pytest.approx(2.5, rel=1e-3)
    assert uptake_within(read(""), lesion, ct).suvmax == pytest.approx(2.5, rel=1e-3)
    with pytest.raises(VolumeError, match="not in one frame of reference") as caught:
        uptake_within(read("1.2.3"), lesion, ct)
    assert "1.2.3" not in str(caught.value) and caught.value.remedy


def test_outlines_come_with_a_click_or_a_box_and_not_with_a_file(
    medium: Written, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ct = read_ct(medium.folder, SETTINGS)
    file = row(write_rtstruct(tmp_path / "rt.dcm", {"G": sphere(MEDIUM)}))
    mask, nothing = outlined(file, ct, None)
    assert nothing is None
    found = SimpleNamespace(mask=mask, outlines="several")
    monkeypatch.setattr(reading, "lesion_from_click", lambda *_, network: found)
    monkeypatch.setattr(reading, "lesion_from_axis", lambda *_, network: found)
    monkeypatch.setattr(reading, "lesion_from_box", lambda *_: found)
    for corner, end in ((None, None), (CENTRE, None), (None, CENTRE)):
        told = replace(file, path=None, point_mm=CENTRE, corner_mm=corner, end_mm=end)
        assert outlined(told, ct, SimpleNamespace()) == (mask, "several")  # type: ignore[arg-type]
