"""A lesion's mask as a file: what was measured can be drawn, exported and corrected later."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np
import SimpleITK as sitk  # noqa: N813 (the name its manual uses)

from metasight.errors import VolumeError
from metasight.volumes.volume import Mask

FORMAT = 1
"""Of ``lesion_mask.npz``."""
_DAMAGED = (
    OSError,
    EOFError,
    ValueError,
    KeyError,
    RuntimeError,  # a member that asks for a password or a method that there is not
    zipfile.BadZipFile,
    zlib.error,
)
_PARTS = ("format", "bits", "size", "spacing_mm", "origin_mm", "direction")


def save_mask(mask: Mask, path: Path) -> None:
    """Write a mask with its place; the same mask gives the same bytes.

    Parameters
    ----------
    mask
        Its name and notes are not written: they are the ledger's.
    path
        Ends in ``.npz``: ``bits`` (packed, z, y, x), ``size`` (x, y, z), ``spacing_mm``,
        ``origin_mm``, ``direction`` (row-major 3 × 3), ``format``.
    """
    image = mask.image
    with path.open("wb") as file:
        np.savez_compressed(
            file,
            allow_pickle=False,
            format=np.array(FORMAT),
            bits=np.packbits(sitk.GetArrayViewFromImage(image).ravel()),
            size=np.array(image.GetSize()),
            spacing_mm=np.array(image.GetSpacing()),
            origin_mm=np.array(image.GetOrigin()),
            direction=np.array(image.GetDirection()),
        )


def load_mask(path: Path) -> Mask:
    """Read what :func:`save_mask` wrote.

    Raises
    ------
    VolumeError
        It is no such file, of another format, or its parts do not fit together.
    """
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            parts = {name: file[name] for name in _PARTS}
    except _DAMAGED as error:
        raise VolumeError(
            "the file of the lesion's mask cannot be read",
            where=path.name,
            remedy="Run the study again; it is made anew",
        ) from error
    if parts["format"] != FORMAT:
        raise VolumeError(
            "the file of the lesion's mask has another format",
            where=path.name,
            value=str(parts["format"]),
            remedy="Run the study again with this version",
        )
    size = tuple(int(n) for n in parts["size"])
    voxels = int(np.prod(size))
    if len(size) != 3 or voxels > 8 * parts["bits"].size:
        raise VolumeError(
            "the file of the lesion's mask holds fewer voxels than it says",
            where=path.name,
            remedy="Run the study again; it is made anew",
        )
    array = np.unpackbits(parts["bits"], count=voxels).reshape(size[::-1])
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(parts["spacing_mm"].tolist())
    image.SetOrigin(parts["origin_mm"].tolist())
    image.SetDirection(parts["direction"].tolist())
    return Mask(image=image)
