"""Quality defects of a CT series, each by its name."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydicom.dataset import FileDataset

from metasight.simulate.lung.dicom import CtSeries, Study, ct_slice, write_ct
from metasight.simulate.lung.dicom_writer import write
from metasight.simulate.lung.phantom import SimulatedScan
from metasight.simulate.lung.raster import Grid
from metasight.simulate.lung.scanner import Scanner
from metasight.simulate.lung.settings import ScanSettings

Hu = npt.NDArray[np.int16]

UNUSABLE = (
    "slice missing",
    "duplicate slice",
    "thick slices",
    "lung cut",
    "motion",
    "metal",
    "excessive noise",
    "wrong offset",
    "truncated file",
)
"""A scan with one of these must be refused or mended by name."""

HARMLESS = ("localizer in folder", "second reconstruction")
"""The scan is good; who reads the folder must find it."""

DEFECTS = UNUSABLE + HARMLESS

_THICK_MM = 7.0
_NOISY_HU = 120.0  # in the middle of the body: a chest scanned at a tenth of its dose or less
_CUT_MM = 30.0  # of lung beyond the field of view
_MOTION_MM = 3.5
_METAL_HU = 3071


def scan_with(defect: str, settings: ScanSettings) -> ScanSettings:
    """How the scan is taken: thick slices and noise are made by the scanner."""
    if defect == "thick slices":
        return settings.model_copy(update={"interval_mm": _THICK_MM, "thickness_mm": _THICK_MM})
    if defect == "excessive noise":
        scanner = Scanner(kernel=settings.kernel, slice_thickness_mm=settings.thickness_mm, noise=1)
        return settings.model_copy(update={"noise": _NOISY_HU / scanner.noise_hu})
    return settings


def spoilt(defect: str, scan: SimulatedScan, rng: np.random.Generator) -> SimulatedScan:
    """The scan with defects of its pixels: lung cut, motion, metal; others leave it as it is."""
    if defect == "lung cut":
        return _cut(scan)
    if defect == "motion":
        return replace(scan, ct_hu=_moved(scan.ct_hu, scan.grid, scan.lungs, rng))
    if defect == "metal":
        return replace(scan, ct_hu=_with_metal(scan.ct_hu, scan.grid, scan.lungs, rng))
    return scan


def _cut(scan: SimulatedScan) -> SimulatedScan:
    """Leave out columns on the side without the lesion, so that the lung ends at the border."""
    columns = np.flatnonzero(scan.lungs.any(axis=(0, 1)))
    step = scan.spacing_mm[2]
    n = round(_CUT_MM / step)
    left = scan.lesion is None or scan.lesion.centre_mm[0] > 0
    first = int(columns[0]) + n if left else 0
    last = scan.grid.shape[2] if left else int(columns[-1]) + 1 - n
    keep = np.s_[:, :, first:last]
    x, y, z = scan.grid.origin_mm
    grid = Grid(
        shape=(*scan.grid.shape[:2], last - first),
        spacing_mm=scan.spacing_mm,
        origin_mm=(x + first * step, y, z),
    )
    return replace(
        scan,
        grid=grid,
        ct_hu=np.ascontiguousarray(scan.ct_hu[keep]),
        labels=np.ascontiguousarray(scan.labels[keep]),
        lesion_mask=scan.lesion_mask[keep].copy(),
        solid_mask=scan.solid_mask[keep].copy(),
    )


def _moved(hu: Hu, grid: Grid, lungs: npt.NDArray[np.bool_], rng: np.random.Generator) -> Hu:
    """Breathing during the scan: double contours, and slices that jump against each other."""
    slices = np.flatnonzero(lungs.any(axis=(1, 2)))
    low, high = np.quantile(slices, (0.1, 0.7)).astype(int)
    out = hu.copy()
    row = grid.spacing_mm[1]
    phase = rng.uniform(0, 2 * np.pi)
    for k in range(low, high):
        swing = np.sin(phase + 2 * np.pi * k * grid.spacing_mm[0] / 25.0)
        n = max(1, round(_MOTION_MM * (1 + 0.6 * swing) / row))
        jump = round(4.0 * swing / row)
        mean = np.roll(hu[k], n + jump, axis=0) / 2.0 + np.roll(hu[k], jump - n, axis=0) / 2.0
        out[k] = np.round(mean).astype(np.int16)
    return out


def _with_metal(hu: Hu, grid: Grid, lungs: npt.NDArray[np.bool_], rng: np.random.Generator) -> Hu:
    """A rod beside the spine, with streaks of bright and dark across each slice it is in."""
    slices = np.flatnonzero(lungs.any(axis=(1, 2)))
    low, high = np.quantile(slices, (0.35, 0.75)).astype(int)
    _, y, x = grid.axes()
    px, py = rng.uniform(18, 28) * rng.choice((-1, 1)), rng.uniform(60, 75)
    dx, dy = x[None, :] - px, y[:, None] - py
    away, turn = np.hypot(dx, dy), np.arctan2(dy, dx)
    out = hu.astype(np.float32)
    for k in range(low, high):
        waves = sum(np.cos(m * turn + rng.uniform(0, 6.28)) for m in (7, 12, 19, 26))
        streaks = 330.0 * waves / (1 + away / 60.0)
        out[k] += np.where(hu[k] > -1000, streaks, 0.15 * streaks)
        out[k][away < 4.0] = _METAL_HU
    return np.round(np.clip(out, -1024, 3071)).astype(np.int16)


@dataclass(frozen=True, kw_only=True)
class Written:
    """A CT folder.

    Attributes
    ----------
    slices
        Data sets of the good series, from the feet up; without those that were left out.
    series_uid
        Its identifier.
    """

    slices: list[FileDataset]
    series_uid: str


def write_with(  # noqa: PLR0917
    defect: str,
    folder: Path,
    study: Study,
    series: CtSeries,
    scan: SimulatedScan,
    rng: np.random.Generator,
) -> Written:
    """Write a CT series with what a defect does to its files (``""`` for none)."""
    hu, grid = scan.ct_hu, scan.grid
    slices = write_ct(folder, study, series, hu, grid)
    paths = sorted(folder.glob("CT-*.dcm"))
    inside = np.flatnonzero(scan.lungs.any(axis=(1, 2)))
    k = int(rng.choice(inside[len(inside) // 4 : 3 * len(inside) // 4]))
    if defect == "slice missing":
        paths[k].unlink()
        slices = slices[:k] + slices[k + 1 :]
    elif defect == "duplicate slice":
        again = ct_slice(study, series, hu[k], grid, k)
        again.SOPInstanceUID = again.file_meta.MediaStorageSOPInstanceUID = study.uid("twice", k)
        write(again, folder / f"CT-{series.number}-{k + 1:04d}b.dcm")
    elif defect == "wrong offset":
        for ds, path in zip(slices, paths, strict=True):
            ds.RescaleIntercept = "0"
            write(ds, path)
    elif defect == "truncated file":
        whole = paths[k].read_bytes()
        paths[k].write_bytes(whole[: len(whole) * 2 // 3])
    elif defect == "localizer in folder":
        _write_localizer(folder, study, series, scan)
    elif defect == "second reconstruction":
        other = replace(
            series,
            name="second",
            number=series.number + 1,
            machine=replace(series.machine, kernel="B80f"),
        )
        rough = hu + np.round(rng.normal(0, 60, hu.shape)).astype(np.int16)
        # a sharper kernel, on every second slice: the worse choice for measuring
        wide = Grid(
            shape=(-(-grid.shape[0] // 2), *grid.shape[1:]),
            origin_mm=grid.origin_mm,
            spacing_mm=(2 * grid.spacing_mm[0], *grid.spacing_mm[1:]),
        )
        write_ct(folder, study, other, np.clip(rough[::2], -1024, 3071).astype(np.int16), wide)
    return Written(slices=slices, series_uid=str(slices[0].SeriesInstanceUID))


def _write_localizer(folder: Path, study: Study, series: CtSeries, scan: SimulatedScan) -> None:
    """A frontal projection, as CT files name it: LOCALIZER, and in its own series."""
    front = scan.ct_hu.astype(np.float32).mean(axis=1)[::-1]
    ds = ct_slice(study, series, np.round(front).astype(np.int16), scan.grid, 0)
    ds.SeriesInstanceUID = study.uid("localizer series")
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = study.uid("localizer")
    ds.ImageType, ds.SeriesNumber = ["ORIGINAL", "PRIMARY", "LOCALIZER"], 1
    ds.SeriesDescription = "SIMULATED topogram"
    ds.Rows, ds.Columns = front.shape
    x, y, z = scan.origin_mm
    top = z + (scan.grid.shape[0] - 1) * scan.spacing_mm[0]
    ds.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]
    ds.ImagePositionPatient = [f"{x:.4f}", f"{y:.4f}", f"{top:.4f}"]
    ds.PixelSpacing = [f"{scan.spacing_mm[0]:g}", f"{scan.spacing_mm[2]:g}"]
    write(ds, folder / "CT-1-0001.dcm")
