"""Crops of lesions: a cube of CT round each, with its mask, and PET where there is one.

One HDF5 file a patient with the arrays ``ct_hu`` and ``mask``, and ``suv`` with PET, all on one
isotropic grid along the patient's axes. Attributes say the spacing, and what was measured of the
lesion and a network can be taught beside nodal stage.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt

from metasight.errors import VolumeError

MODALITY = "scan_network"
"""Modality whose one feature is the key of a patient's crop."""
ATTENUATIONS = ("pure ground glass", "part-solid", "solid")
"""Classes of attenuation; a lesion whose class is undecided has none."""

_KEPT_BYTES = 1 << 30


@dataclass(frozen=True, kw_only=True, eq=False)
class LesionCrop:
    """A cube round a lesion.

    Attributes
    ----------
    ct_hu
        ``(n, n, n)`` int16, axes z, y, x of the patient.
    mask
        The same shape, the lesion; at least one voxel.
    suv
        The same shape, float16, ≥ 0; None without PET.
    spacing_mm
        Distance of voxels along every axis.
    attenuation
        One of :data:`ATTENUATIONS`; empty where undecided.
    diameter_mm
        Longest diameter of the whole lesion, measured on the scan, above 0.
    held_share
        Share of the lesion's volume that lies in the cube; below 1 where it is larger.
    where
        Named in errors.

    Raises
    ------
    VolumeError
        Arrays that do not belong together or are no cube, an empty mask, values that are no
        numbers, a spacing or diameter of nothing, an unknown class.
    """

    ct_hu: npt.NDArray[np.int16]
    mask: npt.NDArray[np.bool_]
    suv: npt.NDArray[np.float16] | None
    spacing_mm: float
    attenuation: str
    diameter_mm: float
    held_share: float = 1.0
    where: str = "crop"

    def __post_init__(self) -> None:
        shapes = {a.shape for a in (self.ct_hu, self.mask, self.suv) if a is not None}
        edge = self.ct_hu.shape[0] if self.ct_hu.ndim == 3 else 0
        if shapes != {(edge, edge, edge)} or edge < 8:
            self._refuse("arrays are not cubes of one size", str(sorted(shapes)))
        if not self.mask.any():
            self._refuse("the lesion's mask is empty", "")
        if self.suv is not None and not (np.isfinite(self.suv).all() and self.suv.min() >= 0):
            self._refuse("uptake below 0 or no number", "")
        sizes = (self.spacing_mm, self.diameter_mm, self.held_share)
        if not (np.isfinite(sizes).all() and min(sizes) > 0 and self.held_share <= 1):
            self._refuse("spacing, diameter or share is impossible", str(sizes))
        if self.attenuation not in {"", *ATTENUATIONS}:
            self._refuse("unknown class of attenuation", self.attenuation)

    def _refuse(self, problem: str, value: str) -> None:
        raise VolumeError(problem, where=self.where, value=value, remedy="Make the crop again")


# ------------------------------------------------------------------ files


def write_crop(crop: LesionCrop, path: Path) -> None:
    """Write a crop; the same crop gives the same bytes."""
    with h5py.File(path, "w", track_order=False) as file:
        arrays = {"ct_hu": crop.ct_hu, "mask": crop.mask.astype(np.uint8)}
        if crop.suv is not None:
            arrays["suv"] = crop.suv
        for name, values in arrays.items():
            # times of creation would make two files of the same crop differ
            file.create_dataset(
                name, data=values, track_times=False, compression="gzip", shuffle=True
            )
        for name in ("spacing_mm", "attenuation", "diameter_mm", "held_share"):
            file.attrs[name] = getattr(crop, name)


def read_crop(path: Path, name: str) -> LesionCrop:
    """Read a crop; messages call it ``name``.

    Raises
    ------
    VolumeError
        No such file, no HDF5, an array or attribute is missing, or as :class:`LesionCrop`.
    """
    try:
        with h5py.File(path, "r") as file:
            return LesionCrop(
                ct_hu=np.asarray(file["ct_hu"][()], dtype=np.int16),
                mask=np.asarray(file["mask"][()]) > 0,
                suv=np.asarray(file["suv"][()], dtype=np.float16) if "suv" in file else None,
                spacing_mm=float(file.attrs["spacing_mm"]),
                attenuation=str(file.attrs["attenuation"]),
                diameter_mm=float(file.attrs["diameter_mm"]),
                held_share=float(file.attrs["held_share"]),
                where=name,
            )
    except (OSError, KeyError) as error:
        raise VolumeError(
            "the crop of a lesion cannot be read",
            where=name,
            value=type(error).__name__,
            remedy="Make it again",
        ) from error


@dataclass(frozen=True)
class CropFolder:
    """The crops of a cohort, read when a model asks.

    A crop's key is what a feature of kind ``crop`` holds. Crops that were read are kept for the
    next fit, up to 1 GiB in all.

    Attributes
    ----------
    folder
        Holds ``<key>.h5``.
    """

    folder: Path
    _kept: dict[str, LesionCrop] = field(default_factory=dict, repr=False, compare=False)

    def read(self, key: str) -> LesionCrop:
        """The crop of a key.

        Raises
        ------
        VolumeError
            As :func:`read_crop`.
        """
        if key not in self._kept:
            crop = read_crop(self.folder / f"{key}.h5", key)
            bytes_each = 5 * crop.ct_hu.size
            if (len(self._kept) + 1) * bytes_each > _KEPT_BYTES:
                return crop
            self._kept[key] = crop
        return self._kept[key]

    def described(self, key: str) -> dict[str, float]:
        """What a scanner leaves on a crop: by this a centre is told, if by anything.

        Returns
        -------
        HU at the 5th, 50th and 95th percentile, and ``noise_hu``: the median absolute second
        difference along x, which anatomy of several voxels hardly has.
        """
        hu = self.read(key).ct_hu.astype(np.float64)
        low, middle, high = np.percentile(hu, (5, 50, 95))
        rough = np.median(np.abs(np.diff(hu, n=2, axis=2)))
        return {
            "crop low_hu": float(low),
            "crop middle_hu": float(middle),
            "crop high_hu": float(high),
            "crop noise_hu": float(rough),
        }
