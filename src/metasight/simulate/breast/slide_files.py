"""Simulated slides as files: pyramidal OME-TIFF and SVS-like TIFF that say what they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import tifffile

from metasight.simulate.settings import STAMP

Rgb = npt.NDArray[np.uint8]
Counts = npt.NDArray[np.uint16]

_TILE = 256
_SMALLEST = 512
_UUID = "urn:uuid:00000000-0000-0000-0000-000000000000"


def write_brightfield(path: Path, rgb: Rgb, *, mpp: float, jpeg: int, kind: str) -> None:
    """Write an RGB slide as ``svs`` or ``ome``; the same picture gives the same bytes."""
    levels = _halvings(rgb)
    options: dict[str, Any] = {
        "tile": (_TILE, _TILE),
        "compression": "jpeg",
        "photometric": "rgb",
        "compressionargs": {"level": jpeg},
        "software": False,
        "maxworkers": 1,
    }
    if kind == "ome":
        with tifffile.TiffWriter(path, ome=True) as out:
            out.write(levels[0], subifds=len(levels) - 1, metadata=_ome(mpp, "YXS"), **options)
            for reduced in levels[1:]:
                out.write(reduced, subfiletype=1, metadata=None, **options)
        return
    with tifffile.TiffWriter(path) as out:
        for number, level in enumerate(levels):
            height, width = level.shape[:2]
            text = (
                f"Aperio Image Library (not: simulated)\n{width}x{height} JPEG|"
                f"AppMag = {10 / mpp:g}|MPP = {mpp:g}|Note = {STAMP}"
            )
            out.write(level, description=text, metadata=None, **options)
            if number == 0:  # Aperio's second page is the thumbnail
                out.write(
                    levels[-1], metadata=None, photometric="rgb", rowsperstrip=64, software=False
                )


def write_fluorescence(path: Path, counts: Counts, names: tuple[str, ...], *, mpp: float) -> None:
    """Write channels of ``(channel, y, x)`` as pyramidal OME-TIFF."""
    levels = [counts]
    while max(levels[-1].shape[1:]) > 2 * _SMALLEST:
        levels.append(np.stack([_halved(plane) for plane in levels[-1]]))
    options: dict[str, Any] = {
        "tile": (_TILE, _TILE),
        "compression": "deflate",
        "compressionargs": {"level": 1},
        "photometric": "minisblack",
        "software": False,
        "maxworkers": 1,
    }
    metadata = _ome(mpp, "CYX") | {"Channel": {"Name": list(names)}}
    with tifffile.TiffWriter(path, ome=True) as out:
        out.write(levels[0], subifds=len(levels) - 1, metadata=metadata, **options)
        for reduced in levels[1:]:
            out.write(reduced, subfiletype=1, metadata=None, **options)


def _ome(mpp: float, axes: str) -> dict[str, Any]:
    return {
        "axes": axes,
        "PhysicalSizeX": mpp,
        "PhysicalSizeXUnit": "µm",
        "PhysicalSizeY": mpp,
        "PhysicalSizeYUnit": "µm",
        "Description": STAMP,
        "UUID": _UUID,
    }


def _halvings(rgb: Rgb) -> list[Rgb]:
    levels = [rgb]
    while max(levels[-1].shape[:2]) > 2 * _SMALLEST:
        levels.append(np.asarray(_halved(levels[-1])))
    return levels


def _halved(image: npt.NDArray[Any]) -> npt.NDArray[Any]:
    height, width = image.shape[0] // 2, image.shape[1] // 2
    return np.asarray(
        cv2.resize(image[: 2 * height, : 2 * width], (width, height), interpolation=cv2.INTER_AREA)
    )
