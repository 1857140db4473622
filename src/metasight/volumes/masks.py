"""A region from a file: RT structure set, DICOM SEG or a label map, on the grid of the scan.

Whatever the file, the result lies voxel for voxel on the scan, holds at least one voxel, and the
region that is meant is named: a file with several is refused until the caller says which, by name
or by number. Names of regions are free text, so messages tell regions by their numbers.
"""

from __future__ import annotations

import os
import re
import unicodedata
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import SimpleITK as sitk  # noqa: N813 (the name its manual uses)
from pydicom.dataset import Dataset

from metasight.errors import VolumeError
from metasight.volumes import vocabulary
from metasight.volumes.dicom_seg import (
    OffGridError,
    read_segment,
    segment_on_own_grid,
    segmented_series,
    segments,
)
from metasight.volumes.headers import DAMAGE, NotASlice, read_dataset
from metasight.volumes.label_files import SUFFIXES, LabelFile, read_label_file
from metasight.volumes.nifti import read_nifti_image
from metasight.volumes.parts import PartRule, Point, label_parts, one_part
from metasight.volumes.placing import GridRule, placed
from metasight.volumes.rtstruct import (
    fill_contours,
    read_contours,
    referenced_series,
    region_names,
)
from metasight.volumes.sources import Item
from metasight.volumes.volume import Mask, Volume

MIN_VOXELS = 8
"""2 × 2 × 2: the smallest region with an extent along every axis."""
_NAME_ONE = (
    "Give the name or the number of one region in the column `roi` of the table of scans (or with "
    "--roi)"
)
_LABELS = "label map"
_NUMBER = re.compile(r"\d{1,6}(?:[.,]0+)?")  # a table that passed through a spreadsheet has 2.0


@dataclass(frozen=True, kw_only=True)
class Region:
    """A region that a file holds: its number there and its name (empty in NIfTI)."""

    number: int
    name: str

    def __str__(self) -> str:
        shown = vocabulary.region(self.name)
        return f"{self.number} “{shown}”" if shown else str(self.number)


@dataclass(frozen=True, kw_only=True)
class MaskRule:
    """What is asked of a mask, and what may be mended.

    Attributes
    ----------
    min_voxels
        Refuse smaller masks.
    parts
        Of a mask in several parts: ``any`` takes it as it is, ``refuse`` and ``largest`` are of
        one lesion, see :func:`metasight.volumes.parts.one_part`.
    at_mm
        A point in the lesion, patient coordinates, that tells which part is meant.
    max_missing_contours
        Slices in a row without a contour that are interpolated.
    any_series
        Take a region that was drawn on another series of the same coordinates.
    grid
        Of a label map or segmentation whose voxels are not the scan's: refuse it, or resample it.
    """

    min_voxels: int = MIN_VOXELS
    parts: PartRule | Literal["any"] = "any"
    at_mm: Point | None = None
    max_missing_contours: int = 0
    any_series: bool = False
    grid: GridRule = "same"


@dataclass(frozen=True, kw_only=True)
class MaskShape:
    """What a mask looks like.

    Attributes
    ----------
    n_voxels, volume_ml
        Inside.
    n_components
        Parts that do not touch, not even by a corner.
    largest_share
        Share of the voxels in the largest part, 0 to 1.
    touches_edge
        Whether it reaches the first or last voxel of the scan along any axis: it may be cut off.
    """

    n_voxels: int
    volume_ml: float
    n_components: int
    largest_share: float
    touches_edge: bool


def read_mask(
    path: Path,
    volume: Volume,
    *,
    region: str | int | None = None,
    rule: MaskRule | None = None,
) -> Mask:
    """Read a region on a scan's grid.

    Parameters
    ----------
    path
        RT structure set, DICOM SEG, NIfTI, NRRD or MHA; a folder if it holds nothing else.
    volume
        The scan that it was drawn on.
    region
        Name or number of the region; may be left out if the file holds just one. A number may be
        text; a region of that name goes before a region of that number.
    rule
        What is asked of the mask, and what may be mended.

    Returns
    -------
    Mask
        ``mask.notes`` says what was mended.

    Raises
    ------
    VolumeError
        Not a mask file, no such region, several and none named, empty or too small, not whole, in
        parts where one is expected, drawn on another series, off the scan's grid.
    """
    asked = rule or MaskRule()
    mask = placed(_read(_file(path), volume, region, asked), volume, asked.grid).on(volume)
    if asked.parts != "any":
        mask = one_part(mask, rule=asked.parts, at_mm=asked.at_mm)
    n = mask.n_voxels
    if n < asked.min_voxels:
        raise VolumeError(
            f"the mask has fewer than {asked.min_voxels} voxels",
            where="mask",
            value=f"{n} voxel{'s' * (n > 1)}",
            remedy="Draw the whole region; a point can be given as a coordinate in the table",
        )
    return mask


def drawn_on(path: Path) -> frozenset[str]:
    """UIDs of the series, or else of the images, that a mask file says it was drawn on.

    Empty where it does not say.

    Raises
    ------
    VolumeError
        Not a mask file.
    """
    file = _file(path)
    if _is_label_map(file):
        return frozenset()
    data = _dicom(file)
    with _understood():
        return referenced_series(data) if data.Modality == "RTSTRUCT" else segmented_series(data)


def list_regions(path: Path) -> tuple[Region, ...]:
    """Regions that a mask file holds, in its order.

    Raises
    ------
    VolumeError
        Not a mask file.
    """
    file = _file(path)
    if _is_label_map(file):
        return _label_regions(_label_map(file))
    data = _dicom(file)
    with _understood():
        return _regions(data)


def mask_shape(mask: Mask) -> MaskShape:
    """Size, parts and position of a mask."""
    inside = mask.array
    labels, n = label_parts(mask)
    sizes = np.bincount(labels.ravel())[1:]
    edges = [inside.take(i, axis=a).any() for a in range(3) for i in (0, -1)]
    return MaskShape(
        n_voxels=mask.n_voxels,
        volume_ml=mask.volume_ml,
        n_components=n,
        largest_share=float(sizes.max() / sizes.sum()),
        touches_edge=bool(any(edges)),
    )


def _file(path: Path) -> Path:
    if path.is_dir():
        files = sorted(f for f in path.rglob("*") if f.is_file() and not f.name.startswith("."))
        if len(files) != 1:
            raise VolumeError(
                "a folder of masks must hold one file",
                where="mask",
                value=f"{len(files)} files",
                remedy="Give the path of the file",
            )
        return files[0]
    if not os.path.isfile(path):  # a name too long for the disk is not there either
        raise VolumeError(
            "there is no such file",
            where="mask",
            remedy="Check the path of the mask",
        )
    return path


def _is_label_map(path: Path) -> bool:
    return path.name.lower().endswith((".nii", ".nii.gz", *SUFFIXES))


def _label_map(path: Path) -> LabelFile:
    if path.name.lower().endswith(SUFFIXES):
        return read_label_file(path)
    return LabelFile(image=read_nifti_image(path), names={})


def _label_regions(read: LabelFile) -> tuple[Region, ...]:
    return tuple(Region(number=v, name=read.names.get(v, "")) for v in _labels(read.image))


def _dicom(path: Path) -> Dataset:
    item = Item(number=1, path=path, member=None, n_bytes=path.stat().st_size)
    data = read_dataset(item, pixels=True)
    if isinstance(data, NotASlice):
        raise VolumeError(
            "the file is no mask that is read",
            where="mask",
            value=data.reason,
            remedy="Give an RT structure set, a DICOM SEG, or a label map (.nii.gz, .nrrd, .mha)",
        )
    with _understood():
        modality = str(data.get("Modality", ""))
    if modality not in ("RTSTRUCT", "SEG"):
        raise VolumeError(
            "the file is no mask that is read",
            where="mask",
            value=f"DICOM of modality {vocabulary.modality(modality)}",
            remedy="Give an RT structure set, a DICOM SEG, or a label map (.nii.gz, .nrrd, .mha)",
        )
    return data


@contextmanager
def _understood() -> Iterator[None]:
    """Name damage that pydicom only meets when a value is looked at."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd but readable values
        try:
            yield
        except (*DAMAGE, OverflowError) as error:
            raise VolumeError(
                "the mask file is damaged or contradicts itself",
                where="mask",
                value=type(error).__name__,
                remedy="Copy or export it again",
            ) from error


def _regions(data: Dataset) -> tuple[Region, ...]:
    if data.Modality == "RTSTRUCT":
        return tuple(Region(number=n, name=name) for n, name in region_names(data))
    return tuple(Region(number=s.number, name=s.label) for s in segments(data))


def _read(path: Path, volume: Volume, region: str | int | None, rule: MaskRule) -> Mask:
    if _is_label_map(path):
        return _read_labels(path, region)
    data = _dicom(path)
    with _understood():
        found = _regions(data)
        chosen = _choose(found, region)
        if data.Modality == "SEG":
            return _segment(data, chosen.number, volume, rule)
        return fill_contours(
            read_contours(data, chosen.number),
            volume,
            max_missing=rule.max_missing_contours,
            any_series=rule.any_series,
        )


def _segment(data: Dataset, number: int, volume: Volume, rule: MaskRule) -> Mask:
    try:
        return read_segment(data, number, volume, any_series=rule.any_series)
    except OffGridError:
        if rule.grid == "same":
            raise
        return segment_on_own_grid(data, number, volume, any_series=rule.any_series)


def _choose(found: Sequence[Region], region: str | int | None) -> Region:
    there = ", ".join(str(r) for r in found[:20]) + (", …" if len(found) > 20 else "")
    if region is None:
        if len(found) == 1:
            return found[0]
        raise VolumeError(
            "the file holds several regions and none is named" if found else "no region in it",
            where="mask",
            value=there,
            remedy=_NAME_ONE if found else "Draw the region",
        )
    fit = [r for r in found if isinstance(region, str) and r.name and r.name == region]
    if not fit and isinstance(region, str):
        fit = [r for r in found if r.name and _plain(r.name) == _plain(region)]
    if not fit and (number := _number(region)) is not None:
        fit = [r for r in found if r.number == number]
    if len(fit) != 1:
        raise VolumeError(
            "there is no such region" if not fit else "several regions have this name",
            where="mask",
            value=f"there are {there}" if found else "there are none",
            remedy=_NAME_ONE,
        )
    return fit[0]


def _number(region: str | int) -> int | None:
    """A region's number, which a table holds as text."""
    if isinstance(region, int):
        return region
    text = region.strip()
    return int(re.split(r"[.,]", text)[0]) if _NUMBER.fullmatch(text) else None


def _plain(name: str) -> str:
    """A name without the differences that a table's typist does not see."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def _labels(image: sitk.Image) -> tuple[int, ...]:
    values = np.unique(sitk.GetArrayFromImage(image))
    if not np.all(np.isfinite(values)) or np.any(values != np.rint(values)) or values.min() < 0:
        raise VolumeError(
            "a mask must hold whole numbers from 0",
            where=_LABELS,
            value=f"{values.min():g} to {values.max():g}",
            remedy="Threshold probabilities first",
        )
    return tuple(int(v) for v in values if v != 0)


def _read_labels(path: Path, region: str | int | None) -> Mask:
    read = _label_map(path)
    found = _label_regions(read)
    if not found:
        raise VolumeError("the mask is empty", where=_LABELS, remedy="Draw the region")
    unnamed = not any(r.name for r in found)
    if unnamed and isinstance(region, str) and _number(region) is None:
        raise VolumeError(
            "this label map has numbers, no names",
            where=_LABELS,
            remedy="Give the number of the label in the column `roi` of the table of scans (or "
            "with --roi)",
        )
    chosen = _choose(found, region)
    inside = sitk.GetImageFromArray(
        (sitk.GetArrayFromImage(read.image) == chosen.number).astype(np.uint8)
    )
    inside.CopyInformation(read.image)
    return Mask(image=inside, name=chosen.name)
