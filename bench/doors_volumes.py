"""Scans, masks and PET as hospitals have them: right, refused with a remedy, or wrong.

``python bench/doors_volumes.py`` prints the table; exit status 1 if a row is wrong; ``--flips``
counts what becomes of flipped bits of DICOM, which carries no checksum. Inputs are made
here (``tests/scan_files.py``); a refusal counts only if it names a remedy and repeats no text of
the file.
"""

from __future__ import annotations

import datetime as dt
import gzip
import shutil
import sys
import tempfile
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import numpy as np
import SimpleITK as sitk  # noqa: N813 (the name its manual uses)
from doors_common import Situation, main
from doors_pet import SETTINGS, flat_fields, near, pet_situations, refused
from pydicom import dcmread
from pydicom.dataset import Dataset

from metasight.cohort.scan_table import LesionRow, SeriesRow
from metasight.errors import VolumeError
from metasight.steps.scans.reading import lesion_of, read_ct, series_drawn_on
from metasight.volumes.volume import Mask, Volume
from scan_files import (
    CENTRE,
    RADIUS,
    SPHERE_ML,
    circle,
    sphere,
    write_ct,
    write_labels,
    write_rtstruct,
)

Z = np.arange(-50, 51, 2.5)
THICK = np.arange(-50, 51, 5.0)


# ------------------------------------------------------------------ outcomes


def whole(ct: Volume, slices: int, step_mm: float) -> str:
    """Right if every slice was read at its distance."""
    if ct.array.shape[0] != slices or abs(ct.spacing_mm[2] - step_mm) > 0.01:
        return f"wrong: {ct.array.shape[0]} slices of {ct.spacing_mm[2]:g} mm"
    return "right"


# ------------------------------------------------------------------ contours and masks


def lesion(path: Path, ct: Volume, region: str = "", **told: Any) -> Mask:
    row = LesionRow(path=path, region=region, point_mm=None, corner_mm=None)
    return lesion_of(replace(row, **told), ct, None)


def drawn(work: Path, contours: list[np.ndarray], **told: Any) -> Mask:
    ct = write_ct(work / "ct", Z)
    rt = write_rtstruct(work / "rt.dcm", {"GTV-1": contours}, of=ct)
    return lesion(rt, read_ct(work / "ct", SETTINGS), **told)


def again(change: Callable[[list[np.ndarray]], list[np.ndarray]]) -> Callable[[Path], str]:
    def run(work: Path) -> str:
        contours = sphere(Z)
        mask = drawn(work, [*contours, *change(contours)])
        if not any("drawn again" in note for note in mask.notes):
            return "wrong: nothing in the ledger"
        return near(mask.volume_ml, SPHERE_ML, 0.08, "ml")

    return run


def larger(contours: list[np.ndarray], mm: float) -> list[np.ndarray]:
    centre = np.array([*CENTRE[:2]])
    return [circle(float(c[0, 2]), float(np.linalg.norm(c[0, :2] - centre)) + mm) for c in contours]


def a_hole(work: Path) -> str:
    contours = sphere(Z)
    mask = drawn(work, [*contours, *[circle(float(z), 5.0) for z in (-2.5, 0.0, 2.5)]])
    if not any("holes" in note for note in mask.notes):
        return "wrong: nothing in the ledger"
    return near(mask.volume_ml, SPHERE_ML - 3 * np.pi * 25 * 2.5 / 1000, 0.08, "ml")


def drawn_on_the_thick_series(work: Path) -> str:
    thick = write_ct(work / "ct", THICK, series="thick")
    write_ct(work / "ct", np.arange(-50, 51, 1.0), series="thin")
    rt = write_rtstruct(work / "rt.dcm", {"GTV-1": sphere(THICK)}, of=thick)
    row = LesionRow(path=rt, region="", point_mm=None, corner_mm=None)
    ct = read_ct(work / "ct", SETTINGS, drawn=series_drawn_on(row, SeriesRow()))
    return near(lesion_of(row, ct, None).volume_ml, SPHERE_ML, 0.1, "ml")


def drawn_on_a_series_elsewhere(work: Path) -> str:
    other = write_ct(work / "other", THICK, series="thick")
    write_ct(work / "ct", Z)
    rt = write_rtstruct(work / "rt.dcm", {"GTV-1": sphere(THICK)}, of=other)
    row = LesionRow(path=rt, region="", point_mm=None, corner_mm=None)
    drawn_on = series_drawn_on(row, SeriesRow())
    return refused(lambda: read_ct(work / "ct", SETTINGS, drawn=drawn_on), "drawn on is not in")


def other_types(work: Path) -> str:
    write_ct(work / "ct", Z)
    kinds = {0: "OPEN_PLANAR", 3: "MEIER_1952"}
    rt = write_rtstruct(work / "rt.dcm", {"GTV-1": sphere(Z)}, kinds=kinds)
    return refused(lambda: lesion(rt, read_ct(work / "ct", SETTINGS)), "of a type that is not read")


def labelled(work: Path) -> tuple[Volume, Path]:
    write_ct(work / "ct", Z)
    ct = read_ct(work / "ct", SETTINGS)
    labels = np.zeros(ct.array.shape, dtype=np.uint8)
    labels[:4, :5, :5] = 1
    labels[18:23, 45:50, 63:68] = 2
    labels[2:5, 10:13, 10:13] = 3
    return ct, write_labels(work / "m.nii.gz", labels, ct.image)


def a_label(region: str) -> Callable[[Path], str]:
    def run(work: Path) -> str:
        ct, file = labelled(work)
        return near(lesion(file, ct, region).n_voxels, 125, 0, "voxels")

    return run


def stored_as(suffix: str) -> Callable[[Path], str]:
    def run(work: Path) -> str:
        ct, _ = labelled(work)
        labels = np.zeros(ct.array.shape, dtype=np.uint8)
        labels[18:23, 45:50, 63:68] = 2
        file = write_labels(work / f"m{suffix}", labels, ct.image)
        return near(lesion(file, ct, "2").n_voxels, 125, 0, "voxels")

    return run


def on_another_grid(rule: str) -> Callable[[Path], str]:
    """A sphere on 1 mm voxels, the scan has 2.5 mm."""

    def run(work: Path) -> str:
        write_ct(work / "ct", Z)
        ct = read_ct(work / "ct", SETTINGS)
        z, y, x = np.indices((40, 40, 40)) - 19.5
        fine = sitk.GetImageFromArray((z**2 + y**2 + x**2 <= RADIUS**2).astype(np.uint8))
        fine.SetOrigin([c - 19.5 for c in CENTRE])
        sitk.WriteImage(fine, str(work / "fine.nrrd"))
        if rule == "same":
            return refused(lambda: lesion(work / "fine.nrrd", ct), "not on the scan's grid")
        mask = lesion(work / "fine.nrrd", ct, grid="resample")
        if not any("resampled" in note for note in mask.notes):
            return "wrong: nothing in the ledger"
        return near(mask.volume_ml, SPHERE_ML, 0.05, "ml")

    return run


def in_parts(**told: Any) -> Callable[[Path], str]:
    def run(work: Path) -> str:
        ct, _ = labelled(work)
        labels = np.zeros(ct.array.shape, dtype=np.uint8)
        labels[18:23, 45:50, 63:68] = 1
        labels[2:5, 10:13, 10:13] = 1
        file = write_labels(work / "parts.nii.gz", labels, ct.image)
        if not told:
            return refused(lambda: lesion(file, ct), "several parts")
        mask = lesion(file, ct, **told)
        return near(mask.n_voxels, 125, 0, "voxels") if mask.notes else "wrong: no ledger row"

    return run


def named_regions(region: str, word: str) -> Callable[[Path], str]:
    def run(work: Path) -> str:
        write_ct(work / "ct", Z)
        regions = {"GTV Meier 1952": sphere(Z), "Lung": sphere(Z), "GTV": sphere(Z, radius=8)}
        rt = write_rtstruct(work / "rt.dcm", regions)
        ct = read_ct(work / "ct", SETTINGS)
        if word:
            return refused(lambda: lesion(rt, ct, region), word)
        return near(lesion(rt, ct, region).volume_ml, SPHERE_ML, 0.05, "ml")

    return run


def flipped(packed: str) -> Callable[[Path], str]:
    """300 single bits of a packed file, each refused or without effect."""

    def run(work: Path) -> str:
        ct, file = labelled(work)
        whole_file = file.read_bytes()
        if packed == "zip":
            with zipfile.ZipFile(work / "ct.zip", "w", zipfile.ZIP_STORED) as archive:
                for one in sorted((work / "ct").iterdir())[:6]:
                    archive.write(one, one.name)
            whole_file = (work / "ct.zip").read_bytes()
            ct = read_ct(work / "ct.zip", SETTINGS)
        expected = ct.array if packed == "zip" else lesion(file, ct, "2").array
        random = np.random.default_rng(1)
        silent = 0
        target = work / ("damaged.zip" if packed == "zip" else "damaged.nii.gz")
        for number in range(300):
            damaged = bytearray(whole_file)
            damaged[random.integers(len(damaged))] ^= 1 << int(random.integers(8))
            one = target.with_name(f"{number}{target.name}")
            one.write_bytes(bytes(damaged))
            try:
                if packed == "zip":
                    found: Any = read_ct(one, SETTINGS).array
                else:
                    found = lesion(one, ct, "2").array
            except VolumeError:
                continue
            finally:
                one.unlink()
            silent += not np.array_equal(found, expected)
        return "right" if not silent else f"wrong: {silent} of 300 read otherwise in silence"

    return run


# ------------------------------------------------------------------ series


def written_two_ways(tag: str, *values: Any) -> Callable[[Path], str]:
    def run(work: Path) -> str:
        def edit(data: Dataset, k: int) -> None:
            setattr(data, tag, values[k % len(values)])

        write_ct(work / "ct", Z, edit=edit)
        return whole(read_ct(work / "ct", SETTINGS), len(Z), 2.5)

    return run


def halves(tag: str, value: Any, *, abut: bool = False) -> Callable[[Path], str]:
    def run(work: Path) -> str:
        def edit(data: Dataset, k: int) -> None:
            if k < len(Z) // 2 if abut else k % 2:
                setattr(data, tag, value)

        write_ct(work / "ct", Z, edit=edit)
        return refused(lambda: read_ct(work / "ct", SETTINGS), "in parts that belong together")

    return run


def sent_twice(work: Path) -> str:
    write_ct(work / "ct", Z, series="a")
    write_ct(work / "ct", Z, series="b")
    return whole(read_ct(work / "ct", SETTINGS), len(Z), 2.5)


def two_in_one(tag: str, first: str, second: str, word: str) -> Callable[[Path], str]:
    def run(work: Path) -> str:
        write_ct(work / "ct", Z, series="a", **{tag: first})
        write_ct(work / "ct", Z, series="b", **{tag: second})
        return refused(lambda: read_ct(work / "ct", SETTINGS), word)

    return run


def chosen_by(**named: Any) -> Callable[[Path], str]:
    def run(work: Path) -> str:
        early = {"StudyInstanceUID": "1.2.3", "StudyDate": "20200301", "SeriesNumber": 3}
        late = {"StudyInstanceUID": "1.2.4", "StudyDate": "20300301", "SeriesNumber": 4}
        write_ct(work / "ct", Z, series="a", **early)
        write_ct(work / "ct", THICK, series="b", **late)
        return whole(read_ct(work / "ct", SETTINGS, named=SeriesRow(**named)), len(THICK), 5.0)

    return run


def derived(accepted: bool) -> Callable[[Path], str]:
    def run(work: Path) -> str:
        write_ct(work / "ct", Z, ImageType=["DERIVED", "SECONDARY", "MPR"], SeriesNumber=7)
        named = SeriesRow(series="7", accepted=accepted)
        if not accepted:
            return refused(lambda: read_ct(work / "ct", SETTINGS, named=named), "image type mpr")
        return whole(read_ct(work / "ct", SETTINGS, named=named), len(Z), 2.5)

    return run


def one_bad_slice(word: str, **tags: Any) -> Callable[[Path], str]:
    def run(work: Path) -> str:
        def edit(data: Dataset, k: int) -> None:
            if k == len(Z) - 1:
                for tag, value in tags.items():
                    setattr(data, tag, value)

        write_ct(work / "ct", Z, edit=edit)
        return refused(lambda: read_ct(work / "ct", SETTINGS), word)

    return run


def rows_less(work: Path) -> str:
    write_ct(work / "ct", Z, Rows=95)
    return refused(lambda: read_ct(work / "ct", SETTINGS), "more pixel data than the header says")


def a_byte_of_the_zip_s_directory(work: Path) -> str:
    write_ct(work / "ct", Z)
    archive = Path(shutil.make_archive(str(work / "ct"), "zip", work / "ct"))
    content = bytearray(archive.read_bytes())
    content[content.index(b"PK\x01\x02") + 6] = 99
    archive.write_bytes(bytes(content))
    return refused(lambda: read_ct(archive, SETTINGS), "archive")


def text_where_the_modality_is(work: Path) -> str:
    write_ct(work / "ct", Z)
    report = dcmread(next((work / "ct").iterdir()))
    del report.Rows, report.Columns, report.PixelData
    report.Modality = "MEIER 1952"
    report.save_as(work / "ct" / "x.dcm")
    chosen: list[Any] = []
    read_ct(work / "ct", SETTINGS, on_choice=chosen.append)
    lines = " ".join(chosen[0].lines)
    return "right" if "not shown" in lines and "MEIER" not in lines else f"wrong: {lines}"


def longer_than_its_header(work: Path) -> str:
    ct, file = labelled(work)
    longer = work / "longer.nii.gz"
    longer.write_bytes(gzip.compress(gzip.decompress(file.read_bytes()) + b"\0" * 8))
    return refused(lambda: lesion(longer, ct, "2"), "longer than its header says")


# ------------------------------------------------------------------ all


def mask_situations() -> list[Situation]:
    at = (45.0 + 1.25, 0.0, 0.0)
    rows: dict[str, Callable[[Path], str]] = {
        "contour copied": again(lambda cs: [cs[4]]),
        "contour copied from another point": again(lambda cs: [np.roll(cs[4], 7, axis=0)]),
        "contour copied, rounded to 0.1 mm": again(lambda cs: [np.round(cs[4], 1)]),
        "every contour twice": again(list),
        "every contour three times": again(lambda cs: cs + cs),
        "every contour redrawn 0.2 mm larger": again(lambda cs: larger(cs, 0.2)),
        "cavity drawn as a contour within": a_hole,
        "contours on every second slice": lambda work: refused(
            lambda: drawn(work, sphere(Z)[::2]), "inside the region have no contour"
        ),
        "contours on every second slice, filled by the study's word": lambda work: near(
            drawn(work, sphere(Z)[::2], max_missing_contours=1).volume_ml, SPHERE_ML, 0.1, "ml"
        ),
        "one slice of the stack without a contour": lambda work: refused(
            lambda: drawn(work, sphere(Z)[:3] + sphere(Z)[4:]), "inside the region have no contour"
        ),
        "contours of types that are not read": other_types,
        "drawn on the thick series of the folder": drawn_on_the_thick_series,
        "drawn on a series that is not there": drawn_on_a_series_elsewhere,
        "label map, roi 2": a_label("2"),
        "label map, roi 2.0": a_label("2.0"),
        "label map, roi a name": lambda work: refused(
            lambda: lesion(labelled(work)[1], read_ct(work / "ct", SETTINGS), "nodule"), "numbers"
        ),
        "label map as NRRD": stored_as(".nrrd"),
        "label map as MetaImage": stored_as(".mha"),
        "label map on another grid": on_another_grid("same"),
        "label map on another grid, resampled by the study's word": on_another_grid("resample"),
        "mask in two parts": in_parts(),
        "mask in two parts, the largest by the study's word": in_parts(parts="largest"),
        "mask in two parts, a click in one": in_parts(point_mm=at),
        "several regions, none named; a patient's name among them": named_regions("", "several"),
        "region misspelt; a patient's name among them": named_regions("GTV-9", "no such region"),
        "region by its number": named_regions("1", ""),
        "NIfTI longer than its header says": longer_than_its_header,
        "300 flipped bits of a .nii.gz": flipped("nii.gz"),
        "300 flipped bits of a zip": flipped("zip"),
    }
    return [Situation(name=name, run=run) for name, run in rows.items()]


def series_situations() -> list[Situation]:
    axes = "ImageOrientationPatient"
    rows: dict[str, Callable[[Path], str]] = {
        "direction cosines at a rounding edge": written_two_ways(
            axes, [1, 0, 0, 0, 1, 0.000499], [1, 0, 0, 0, 1, 0.000501]
        ),
        "direction cosines in the last digit": written_two_ways(
            axes, [1, 0, 0, 0, 1, 0.0004], [1, 0, 0, 0, 1, 0.0006]
        ),
        "pixel spacing in the last digit": written_two_ways(
            "PixelSpacing", ["2.5", "2.5"], ["2.5000001", "2.5000001"]
        ),
        "kernel spelled two ways": written_two_ways("ConvolutionKernel", "B30f", "B30F "),
        "image type with more words": written_two_ways(
            "ImageType", ["ORIGINAL", "PRIMARY", "AXIAL"], ["ORIGINAL", "PRIMARY", "AXIAL", "SPI"]
        ),
        "two kernels interleaved under one UID": halves("ConvolutionKernel", "B70f"),
        "upper half of another pixel spacing": halves("PixelSpacing", [2.4, 2.4], abut=True),
        "the series sent twice": sent_twice,
        "two patients in one folder": two_in_one("PatientID", "4711", "4712", "several patients"),
        "two examinations in one folder": two_in_one(
            "StudyInstanceUID", "1.2.3", "1.2.4", "several examinations"
        ),
        "two examinations, one named by its date": chosen_by(date=dt.date(2030, 3, 1)),
        "two examinations, one named by its series": chosen_by(series="4"),
        "reformat named in the table": derived(accepted=False),
        "reformat named in the table with a reason": derived(accepted=True),
        "one slice at z = 1e30": one_bad_slice(
            "impossible position", ImagePositionPatient=[0, 0, 1e30]
        ),
        "one slice of slope 1e30": one_bad_slice("no HU scale has", RescaleSlope="1e30"),
        "one slice of doubled slope": one_bad_slice("do not fit its neighbours", RescaleSlope=2),
        "one slice with no frames": one_bad_slice("impossible number of frames", NumberOfFrames=0),
        "one row less than stored": rows_less,
        "a byte of a zip's directory": a_byte_of_the_zip_s_directory,
        "a name where the modality is": text_where_the_modality_is,
    }
    return [Situation(name=name, run=run) for name, run in rows.items()]


def situations() -> list[Situation]:
    """All of scans, masks and PET."""
    return [*mask_situations(), *series_situations(), *flat_fields(), *pet_situations()]


def flips_in_dicom(work: Path, flips: int = 300) -> dict[str, dict[str, int]]:
    """What becomes of single flipped bits of uncompressed DICOM, which carries no checksum."""
    folder = write_ct(work / "ct", Z).folder
    files = sorted(folder.iterdir())
    plain = read_ct(folder, SETTINGS)
    n_pixels = len(dcmread(files[0]).PixelData)
    random = np.random.default_rng(3)
    told: dict[str, dict[str, int]] = {}
    for part in ("header", "pixels"):
        counts = {"refused": 0, "the same": 0, "recorded": 0, "silent": 0}
        for _ in range(flips):
            file = files[int(random.integers(len(files)))]
            content = file.read_bytes()
            border = len(content) - n_pixels
            low, high = (132, border) if part == "header" else (border, len(content))
            damaged = bytearray(content)
            damaged[int(random.integers(low, high))] ^= 1 << int(random.integers(8))
            file.write_bytes(bytes(damaged))
            try:
                found = read_ct(folder, SETTINGS)
                same = found.grid == plain.grid and np.array_equal(found.array, plain.array)
                # a slice that the flip takes out of the series is interpolated, and in the ledger
                noted = found.facts.missing_slices_mm or found.facts.choice != plain.facts.choice
                counts["the same" if same else "recorded" if noted else "silent"] += 1
            except VolumeError:
                counts["refused"] += 1
            finally:
                file.write_bytes(content)
        told[part] = counts
    return told


if __name__ == "__main__":
    if sys.argv[1:] == ["--flips"]:
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's, of what a flipped bit makes of a value
            for part, counts in flips_in_dicom(Path(folder)).items():
                print(f"300 flipped bits of a DICOM file's {part}: {counts}")
        sys.exit(0)
    sys.exit(main(situations()))
