"""A scan and a mask in patient coordinates, usable as soon as they exist.

Every volume of metasight has one frame: DICOM's patient coordinates (x to the left, y to the
back, z to the head, mm), array axes (z, y, x) that run the same way, an orthonormal right-handed
direction, finite float32 voxels and a stated unit. Readers bring files into this frame or refuse
them; whoever is given a :class:`Volume` need not ask again.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk  # noqa: N813 (the name its manual uses)

from metasight.errors import VolumeError
from metasight.volumes.grid import Grid, check_grid

Unit = Literal["HU", "SUVbw", "SUVlbm", "SUVlbmJanma", "SUVbsa", "BQML", "CNTS", "probability"]
Voxels = npt.NDArray[np.float32]
Booleans = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class ScanFacts:
    """What a scan's header says that image quality depends on; nothing that names a patient.

    Attributes
    ----------
    modality
        ``CT``, ``PT``, …; empty where the file has no header (NIfTI).
    manufacturer, model
        Of the scanner; empty if not said.
    kernel
        Convolution kernel as the header spells it; empty if not said.
    slice_thickness_mm
        Nominal thickness of a slice, not the distance between slices; None if not said.
    tube_voltage_kv
        Peak voltage; None if not said.
    contrast_agent
        Whether the header names a contrast agent; None if it has no such field. An empty field
        does not prove that none was given.
    missing_slices_mm
        Positions along the stack, mm from its first slice, at which a slice was missing and was
        interpolated between its neighbours.
    identical_copies
        Slices that were there twice, byte for byte, and were used once.
    tilt_degrees
        Gantry tilt that was undone by shifting each slice within its plane; 0 if none.
    lossy
        Whether the pixels were ever compressed with loss.
    padded_share
        Share of voxels that the file marks as outside the reconstruction (set to air).
    frame_of_reference, series_uid, image_uids
        UIDs of the scan's coordinates, of the series and of its images, to tell another scan's
        contours; never printed.
    choice
        Why this series was read and others were not, a line each.
    """

    modality: str = ""
    manufacturer: str = ""
    model: str = ""
    kernel: str = ""
    slice_thickness_mm: float | None = None
    tube_voltage_kv: float | None = None
    contrast_agent: bool | None = None
    missing_slices_mm: tuple[float, ...] = ()
    identical_copies: int = 0
    tilt_degrees: float = 0.0
    lossy: bool = False
    padded_share: float = 0.0
    frame_of_reference: str = field(default="", repr=False)
    series_uid: str = field(default="", repr=False)
    image_uids: frozenset[str] = field(default=frozenset(), repr=False)
    choice: tuple[str, ...] = ()


class _Voxels:
    """Lets numpy see an image's voxels and keeps the image alive as long as numpy does.

    SimpleITK's own view does not: once the image is gone, reading the view ends the process.
    """

    def __init__(self, image: sitk.Image) -> None:
        self._image = image
        self.__array_interface__ = sitk.GetArrayViewFromImage(image).__array_interface__


@dataclass(frozen=True, kw_only=True, eq=False)
class Volume:
    """A scan: finite float32 voxels of a stated unit in patient coordinates.

    Attributes
    ----------
    image
        3-D, float32, LPS mm; treat it as read-only.
    unit
        Of the voxels.
    facts
        What the header said and the reader did.

    Raises
    ------
    VolumeError
        Not 3-D, not float32, a voxel that is not finite, an impossible spacing, an axis that is
        not orthonormal or does not run to the patient's left, back and head, too large.
    """

    image: sitk.Image
    unit: Unit
    facts: ScanFacts = field(default_factory=ScanFacts)

    def __post_init__(self) -> None:
        check_grid(Grid.of(self.image) if self.image.GetDimension() == 3 else None, "volume")
        if self.image.GetPixelID() != sitk.sitkFloat32:
            raise VolumeError(
                "voxels are not float32", where="volume", value=self.image.GetPixelIDTypeAsString()
            )
        check_finite(sitk.GetArrayViewFromImage(self.image), "volume")

    @classmethod
    def from_array(
        cls,
        voxels: npt.NDArray[np.generic],
        *,
        unit: Unit,
        spacing_mm: tuple[float, float, float],
        origin_mm: tuple[float, float, float] = (0.0, 0.0, 0.0),
        facts: ScanFacts | None = None,
    ) -> Volume:
        """Make a volume of an array (z, y, x); spacing and origin are given as (x, y, z)."""
        _check_axes(voxels, "volume")
        image = sitk.GetImageFromArray(np.ascontiguousarray(voxels, dtype=np.float32))
        _place(image, spacing_mm, origin_mm)
        return cls(image=image, unit=unit, facts=facts or ScanFacts())

    @property
    def array(self) -> Voxels:
        """(z, y, x) voxels, a read-only view."""
        return np.asarray(_Voxels(self.image))

    @property
    def grid(self) -> Grid:
        """Where the voxels lie."""
        return Grid.of(self.image)

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance of voxels along x, y, z."""
        return self.grid.spacing_mm

    @property
    def spacing_zyx_mm(self) -> tuple[float, float, float]:
        """Distance of voxels in the order of the array's axes."""
        x, y, z = self.grid.spacing_mm
        return z, y, x

    def of_array(self, voxels: npt.NDArray[np.generic], *, unit: Unit | None = None) -> Volume:
        """Other voxels (z, y, x) on this volume's grid, with its facts."""
        image = sitk.GetImageFromArray(np.ascontiguousarray(voxels, dtype=np.float32))
        if image.GetSize() != self.image.GetSize():
            raise VolumeError(
                "an array does not have the volume's shape",
                value=f"{voxels.shape}, not {self.array.shape}",
            )
        image.CopyInformation(self.image)
        return replace(self, image=image, unit=unit or self.unit)

    def require(self, *units: Unit) -> Volume:
        """Return itself if its unit is one of ``units``; refuse it otherwise."""
        if self.unit not in units:
            raise VolumeError(
                "a volume of another unit is needed",
                where="volume",
                value=f"{self.unit}, not {' or '.join(units)}",
            )
        return self


@dataclass(frozen=True, kw_only=True, eq=False)
class Mask:
    """A region: voxels that are 0 or 1, in patient coordinates.

    Attributes
    ----------
    image
        3-D, uint8, LPS mm, at least one voxel is 1 and none is above 1.
    name
        What the region is, in the file's or the caller's words; empty if not said.
    notes
        What the reader did to make it, for the ledger: contours drawn twice, slices filled in,
        parts left out. Never text of the file.

    Raises
    ------
    VolumeError
        Empty, other values than 0 and 1, or a grid that a :class:`Volume` could not have.
    """

    image: sitk.Image
    name: str = ""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        where = "mask"
        check_grid(Grid.of(self.image) if self.image.GetDimension() == 3 else None, where)
        if self.image.GetPixelID() != sitk.sitkUInt8:
            raise VolumeError(
                "voxels are not uint8", where=where, value=self.image.GetPixelIDTypeAsString()
            )
        largest = int(sitk.GetArrayViewFromImage(self.image).max())
        if largest == 0:
            raise VolumeError(
                "the mask is empty", where=where, remedy="Draw the region, or name another one"
            )
        if largest > 1:
            raise VolumeError(
                "the mask has other values than 0 and 1",
                where=where,
                value=str(largest),
                remedy="Say which label is meant",
            )

    @classmethod
    def from_array(
        cls,
        inside: npt.NDArray[np.generic],
        *,
        on: Volume | Mask,
        name: str = "",
        notes: tuple[str, ...] = (),
    ) -> Mask:
        """Make a mask of an array (z, y, x), non-zero inside, on the grid of ``on``."""
        array = np.asarray(inside)
        _check_axes(array, "mask")
        image = sitk.GetImageFromArray(np.ascontiguousarray(array != 0, dtype=np.uint8))
        if image.GetSize() != on.image.GetSize():
            raise VolumeError(
                "an array does not have the volume's shape",
                where="mask",
                value=f"{array.shape}, not {on.array.shape}",
            )
        image.CopyInformation(on.image)
        return cls(image=image, name=name, notes=notes)

    @property
    def array(self) -> Booleans:
        """(z, y, x) True inside, a read-only view."""
        view: Booleans = np.asarray(_Voxels(self.image)).view(np.bool_)
        return view

    @property
    def grid(self) -> Grid:
        """Where the voxels lie."""
        return Grid.of(self.image)

    @property
    def spacing_zyx_mm(self) -> tuple[float, float, float]:
        """Distance of voxels in the order of the array's axes."""
        x, y, z = self.grid.spacing_mm
        return z, y, x

    @property
    def n_voxels(self) -> int:
        """Voxels inside, at least 1."""
        return int(np.count_nonzero(self.array))

    @property
    def volume_ml(self) -> float:
        """Voxels inside times the volume of a voxel."""
        return self.n_voxels * self.grid.voxel_volume_mm3 / 1000.0

    def on(self, volume: Volume) -> Mask:
        """Return itself if it lies on the volume's grid.

        Raises
        ------
        VolumeError
            It does not: other size or spacing, or some corner more than 0.05 mm away.
        """
        ours, theirs = self.grid, volume.grid
        if not ours.matches(theirs):
            raise VolumeError(
                "the mask is not on the scan's grid",
                where="mask",
                value=ours.difference(theirs),
                remedy="Export the mask on the grid of the series that is measured",
            )
        return self


def check_finite(voxels: npt.NDArray[np.generic], where: str) -> None:
    """Refuse NaN and infinity. A sum in float64 is finite if and only if all float32 are."""
    with np.errstate(invalid="ignore"):
        finite = all(np.isfinite(plane.sum(dtype=np.float64)) for plane in voxels)
    if not finite:
        n = sum(int(np.count_nonzero(~np.isfinite(plane))) for plane in voxels)
        raise VolumeError(
            "voxels are not numbers (NaN or infinity)",
            where=where,
            value=f"{n} voxels",
            remedy="Export the scan again; background must be air or 0, not NaN",
        )


def _check_axes(array: npt.NDArray[np.generic], where: str) -> None:
    if array.ndim != 3:
        raise VolumeError(
            "the image is not three-dimensional",
            where=where,
            value=f"{array.ndim} dimensions",
            remedy="Give an array of slices, rows and columns",
        )


def _place(image: sitk.Image, spacing_mm: tuple[float, ...], origin_mm: tuple[float, ...]) -> None:
    if not all(np.isfinite(s) and s > 0 for s in spacing_mm):  # ITK would only print a warning
        raise VolumeError(
            "voxel spacing must be above 0",
            value=" × ".join(f"{s:g}" for s in spacing_mm),
            remedy="Give the spacing in mm",
        )
    image.SetSpacing([float(s) for s in spacing_mm])
    image.SetOrigin([float(o) for o in origin_mm])
