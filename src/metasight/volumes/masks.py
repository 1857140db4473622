"""A region from a file: RT structure set, DICOM SEG or NIfTI, on the grid of the scan.

Whatever the file, the result lies voxel for voxel on the scan, holds at least one voxel, and the
region that is meant is named: a file with several is refused until the caller says which.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk  # noqa: N813 (the name its manual uses)
from pydicom.dataset import Dataset
from scipy import ndimage

from metasight.errors import VolumeError
from metasight.volumes.dicom_seg import read_segment, segments
from metasight.volumes.headers import DAMAGE, NotASlice, read_dataset
from metasight.volumes.nifti import read_nifti_image
from metasight.volumes.rtstruct import fill_contours, read_contours, region_names
from metasight.volumes.sources import Item
from metasight.volumes.volume import Mask, Volume

MIN_VOXELS = 8
"""2 × 2 × 2: the smallest region with an extent along every axis."""
_TOUCHING = ndimage.generate_binary_structure(3, 3)


@dataclass(frozen=True, kw_only=True)
class Region:
    """A region that a file holds: its number there and its name (empty in NIfTI)."""

    number: int
    name: str

    def __str__(self) -> str:
        return f"{self.number} “{self.name}”" if self.name else str(self.number)


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
    min_voxels: int = MIN_VOXELS,
    one_component: bool = False,
) -> Mask:
    """Read a region on a scan's grid.

    Parameters
    ----------
    path
        RT structure set, DICOM SEG or NIfTI; a folder if it holds nothing else.
    volume
        The scan that it was drawn on.
    region
        Name or number of the region; may be left out if the file holds just one.
    min_voxels
        Refuse smaller masks.
    one_component
        Refuse a mask in several parts, as one lesion cannot be.

    Raises
    ------
    VolumeError
        Not a mask file, no such region, several and none named, empty or too small, in parts
        where one is expected, off the scan's grid.
    """
    mask = _read(_file(path), volume, region).on(volume)
    n = mask.n_voxels
    where = f"mask {mask.name}".strip()
    if n < min_voxels:
        raise VolumeError(
            f"the mask has fewer than {min_voxels} voxels",
            where=where,
            value=f"{n} voxel{'s' * (n > 1)}",
            remedy="Draw the whole region; a point can be given as a coordinate in the table",
        )
    if one_component and (shape := mask_shape(mask)).n_components > 1:
        raise VolumeError(
            "the mask is in several parts",
            where=where,
            value=f"{shape.n_components} parts, {shape.largest_share:.0%} in the largest",
            remedy="Draw one lesion a region",
        )
    return mask


def list_regions(path: Path) -> tuple[Region, ...]:
    """Regions that a mask file holds, in its order.

    Raises
    ------
    VolumeError
        Not a mask file.
    """
    file = _file(path)
    if _is_nifti(file):
        return tuple(Region(number=v, name="") for v in _labels(read_nifti_image(file)))
    data = _dicom(file)
    with _understood():
        return _regions(data)


def mask_shape(mask: Mask) -> MaskShape:
    """Size, parts and position of a mask."""
    inside = mask.array
    labels, n = ndimage.label(inside, structure=_TOUCHING)
    sizes = np.bincount(labels.ravel())[1:]
    edges = [inside.take(i, axis=a).any() for a in range(3) for i in (0, -1)]
    return MaskShape(
        n_voxels=mask.n_voxels,
        volume_ml=mask.volume_ml,
        n_components=int(n),
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
    if not path.is_file():
        raise VolumeError("there is no such file", where="mask", remedy="Check the path")
    return path


def _is_nifti(path: Path) -> bool:
    return path.name.lower().endswith((".nii", ".nii.gz"))


def _dicom(path: Path) -> Dataset:
    item = Item(number=1, path=path, member=None, n_bytes=path.stat().st_size)
    data = read_dataset(item, pixels=True)
    if isinstance(data, NotASlice):
        raise VolumeError(
            "the file is no mask that is read",
            where="mask",
            value=data.reason,
            remedy="Give an RT structure set, a DICOM SEG or a NIfTI file",
        )
    with _understood():
        modality = str(data.get("Modality", "not said"))
    if modality not in ("RTSTRUCT", "SEG"):
        raise VolumeError(
            "the file is no mask that is read",
            where="mask",
            value=f"DICOM of modality {modality}",
            remedy="Give an RT structure set, a DICOM SEG or a NIfTI file",
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


def _read(path: Path, volume: Volume, region: str | int | None) -> Mask:
    if _is_nifti(path):
        return _read_nifti(path, region)
    data = _dicom(path)
    with _understood():
        found = _regions(data)
        chosen = _choose(found, region)
        if data.Modality == "SEG":
            return read_segment(data, chosen.number, volume)
        return fill_contours(read_contours(data, chosen.number), volume)


def _choose(found: Sequence[Region], region: str | int | None) -> Region:
    names = ", ".join(str(r) for r in found[:20])
    if region is None:
        if len(found) == 1:
            return found[0]
        raise VolumeError(
            "the file holds several regions and none is named" if found else "no region in it",
            where="mask",
            value=names,
            remedy="Name the region that is meant",
        )
    fit = [r for r in found if (r.number if isinstance(region, int) else r.name) == region]
    if len(fit) != 1:
        raise VolumeError(
            "there is no such region" if not fit else "several regions have this name",
            where="mask",
            value=f"{region}; there are {names or 'none'}",
            remedy="Give the name or number of one region",
        )
    return fit[0]


def _labels(image: sitk.Image) -> tuple[int, ...]:
    values = np.unique(sitk.GetArrayFromImage(image))
    if not np.all(np.isfinite(values)) or np.any(values != np.rint(values)) or values.min() < 0:
        raise VolumeError(
            "a mask must hold whole numbers from 0",
            where="NIfTI mask",
            value=f"{values.min():g} to {values.max():g}",
            remedy="Threshold probabilities first",
        )
    return tuple(int(v) for v in values if v != 0)


def _read_nifti(path: Path, region: str | int | None) -> Mask:
    if isinstance(region, str):
        raise VolumeError(
            "a NIfTI mask has numbers, no names",
            where="NIfTI mask",
            value=region,
            remedy="Give the number of the region",
        )
    image = read_nifti_image(path)
    labels = _labels(image)
    if not labels:
        raise VolumeError("the mask is empty", where="NIfTI mask", remedy="Draw the region")
    chosen = _choose([Region(number=v, name="") for v in labels], region)
    inside = sitk.GetImageFromArray(
        (sitk.GetArrayFromImage(image) == chosen.number).astype(np.uint8)
    )
    inside.CopyInformation(image)
    return Mask(image=inside)
