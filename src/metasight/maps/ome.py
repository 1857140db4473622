"""Density maps on disk: pyramidal OME-TIFF that any viewer opens and that reads back equal.

Planes in order: the density of each marker, its standard error, and the support (1 or 0), all
float32; ``PhysicalSizeX`` is the grid's spacing in µm. Each level halves the one before by the
mean over the supported pixels. What OME-XML has no place for (origin, format version) stands in
a structured annotation.
"""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile

from metasight.errors import MarkerError
from metasight.maps.density import DensityMap
from metasight.slides.tiff_index import DAMAGED

FORMAT = "metasight-density-map-1"
_TILE = 256
_SUPPORT = "support"
_ERROR = " (standard error)"

Planes = npt.NDArray[np.float32]


def write_density_map(density_map: DensityMap, path: Path) -> None:
    """Write ``density_map`` as OME-TIFF; the same map gives the same bytes."""
    base = np.concatenate(
        [density_map.density, density_map.error, density_map.support[None].astype(np.float32)]
    )
    names = [*density_map.markers, *(m + _ERROR for m in density_map.markers), _SUPPORT]
    note = json.dumps(
        {"format": FORMAT, "origin_um": list(density_map.origin_um), "unit": "cells/mm²"},
        ensure_ascii=False,
    )
    metadata = {
        "axes": "CYX",
        "Channel": {"Name": names},
        "PhysicalSizeX": density_map.spacing_um,
        "PhysicalSizeXUnit": "µm",
        "PhysicalSizeY": density_map.spacing_um,
        "PhysicalSizeYUnit": "µm",
        "Description": note,
        "UUID": "urn:uuid:00000000-0000-0000-0000-000000000000",
    }
    levels = _pyramid(base)
    with tifffile.TiffWriter(path, ome=True) as out:
        for number, level in enumerate(levels):
            out.write(
                level,
                tile=(_TILE, _TILE),
                compression="zlib",
                photometric="minisblack",
                resolutionunit="CENTIMETER",
                resolution=(1e4 / density_map.spacing_um / 2**number,) * 2,
                software=False,
                **(
                    {"metadata": metadata, "subifds": len(levels) - 1}
                    if number == 0
                    else {"subfiletype": 1, "metadata": None}
                ),
            )


def _pyramid(base: Planes) -> list[Planes]:
    levels = [base]
    while max(levels[-1].shape[1:]) > _TILE:
        levels.append(_halved(levels[-1]))
    return levels


def _halved(level: Planes) -> Planes:
    """Mean over the supported pixels of each 2 × 2; a pixel with none has no support."""
    _, ny, nx = level.shape
    wide = np.pad(level, ((0, 0), (0, ny % 2), (0, nx % 2)), constant_values=np.nan)
    wide[-1] = np.nan_to_num(wide[-1])
    blocks = wide.reshape(len(level), wide.shape[1] // 2, 2, wide.shape[2] // 2, 2)
    there = blocks[-1] > 0
    n = there.sum(axis=(1, 3))
    total = np.where(there, np.nan_to_num(blocks), 0).sum(axis=(2, 4))
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = (total / n).astype(np.float32)
    mean[-1] = n > 0
    return np.ascontiguousarray(mean)


def read_density_map(path: Path) -> DensityMap:
    """Read what :func:`write_density_map` wrote, equal to the last bit.

    Raises
    ------
    MarkerError
        The file cannot be read, or is no density map of this format.
    """
    try:
        with tifffile.TiffFile(path) as tiff:
            xml = tiff.ome_metadata
            # decode nothing before the file has said that it is ours
            planes = tiff.series[0].asarray() if xml and tiff.series else None
    except DAMAGED as error:
        raise MarkerError(
            "the density map cannot be read", where=path.name, value=type(error).__name__
        ) from error
    if xml is None or planes is None or planes.ndim != 3:
        raise MarkerError("not a density map", where=path.name, remedy=f"Expected {FORMAT}")
    names, spacing_um, note = _described(xml, path)
    n = (len(names) - 1) // 2
    if note.get("format") != FORMAT or len(planes) != len(names) or names[-1] != _SUPPORT:
        raise MarkerError("not a density map", where=path.name, remedy=f"Expected {FORMAT}")
    try:
        x, y = note["origin_um"]
        return DensityMap(
            density=np.asarray(planes[:n], dtype=np.float32),
            error=np.asarray(planes[n : 2 * n], dtype=np.float32),
            support=planes[-1] > 0,
            markers=tuple(names[:n]),
            spacing_um=spacing_um,
            origin_um=(float(x), float(y)),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise MarkerError(
            "not a density map", where=path.name, value=type(error).__name__
        ) from error


def _described(xml: str, path: Path) -> tuple[list[str], float, dict[str, Any]]:
    try:
        root = ET.fromstring(xml)  # noqa: S314 (expat of Python ≥ 3.11 bounds entity expansion)
    except ET.ParseError as error:
        raise MarkerError("not a density map", where=path.name) from error
    space = {"ome": root.tag.partition("}")[0].lstrip("{")}
    pixels = root.find(".//ome:Pixels", space)
    text = root.find(".//ome:Image/ome:Description", space)
    if pixels is None or text is None or not text.text:
        raise MarkerError("not a density map", where=path.name, remedy=f"Expected {FORMAT}")
    names = [channel.get("Name", "") for channel in pixels.findall("ome:Channel", space)]
    try:
        note = dict(json.loads(text.text))
        spacing_um = float(pixels.get("PhysicalSizeX", "nan"))
    except (TypeError, ValueError) as error:
        raise MarkerError("not a density map", where=path.name) from error
    return names, spacing_um, note
