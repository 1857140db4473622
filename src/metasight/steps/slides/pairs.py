"""A patient's marker sections brought onto the H&E: cells, where they were looked at, densities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from metasight.alignment.error import ErrorMap
from metasight.alignment.transform import Transform
from metasight.alignment.transform_file import load_transform
from metasight.engine.step import Inputs
from metasight.maps.cells import Cells
from metasight.maps.density import DensityMap, density_from_cells
from metasight.maps.window import TissueWindow
from metasight.steps.files import read_json
from metasight.steps.slides.sections import read_cells, read_tissue

SPACING_UM = 16.0


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A marker section and how it lies on the H&E.

    Attributes
    ----------
    section
        Name of its slide.
    markers
        That it shows.
    transform
        From the H&E to the section.
    """

    section: str
    markers: tuple[str, ...]
    transform: Transform


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A section in the H&E's frame.

    Attributes
    ----------
    cells
        At their places on the H&E.
    window
        Where both sections have tissue, on the 16 µm grid.
    """

    cells: Cells
    window: TissueWindow


def pairs_of(folder: Path, sections: Mapping[str, tuple[str, ...]]) -> list[Pair]:
    """Accepted pairs among a patient's sections, from the patient's folder."""
    found = []
    for name, markers in sections.items():
        place = folder / f"alignment-{name}"
        told = place / "alignment.json"
        if told.is_file() and read_json(told)["accepted"]:
            found.append(
                Pair(
                    section=name, markers=markers, transform=load_transform(place / "transform.npz")
                )
            )
    return found


def error_of(folder: Path, section: str) -> ErrorMap:
    """Predicted error of a pair, from the patient's folder."""
    told = read_json(folder / f"alignment-{section}" / "alignment.json")

    def tiles(name: str) -> npt.NDArray[np.float64]:
        return np.array(told["tiles"][name], dtype=np.float64)  # None becomes NaN

    return ErrorMap(
        p50_um=told["error_p50_um"],
        p90_um=told["error_p90_um"],
        tile_p50_um=tiles("p50_um"),
        tile_p90_um=tiles("p90_um"),
        tile_um=told["tiles"]["size_um"],
        origin_um=(0.0, 0.0),
        in_place=float("nan"),
    )


def he_window(checked: Path) -> TissueWindow:
    """Tissue of an H&E on the 16 µm grid, from the folder of its check."""
    tissue, mpp = read_tissue(checked / "tissue.npz")
    return TissueWindow(mask=tissue, spacing_um=mpp).resampled(SPACING_UM)


def shown(inputs: Inputs, pair: Pair, shared: TissueWindow) -> Shown | None:
    """A section's cells on the H&E, and the tissue that both show; None where they share none.

    Where a section does not reach, no cell was seen because nobody looked.
    """
    tissue, mpp = read_tissue(inputs[f"check {pair.section}"] / "tissue.npz")
    own = TissueWindow(mask=tissue, spacing_um=mpp)
    row, column = np.nonzero(shared.mask)
    centres = (np.stack([column, row], axis=1) + 0.5) * shared.spacing_um + shared.origin_um
    there = pair.transform.points(centres)
    seen = shared.mask.copy()
    seen[row, column] = own.contains(there[:, 0], there[:, 1])
    if not seen.any():
        return None
    read = read_cells(inputs[f"markers of {pair.section}"] / "cells.parquet", pair.markers)
    moved = pair.transform.inverse().points(np.stack([read.x_um, read.y_um], axis=1))
    return Shown(
        cells=replace(read, x_um=moved[:, 0], y_um=moved[:, 1]),
        window=TissueWindow(mask=seen, spacing_um=shared.spacing_um, origin_um=shared.origin_um),
    )


def density_together(
    inputs: Inputs,
    pairs: Sequence[Pair],
    shared: TissueWindow,
    markers: Sequence[str],
    *,
    bandwidth_um: float,
) -> DensityMap | None:
    """Densities of markers of several sections on the H&E; None where they share no tissue.

    Only tissue that every section shows counts. ``bandwidth_um`` spreads each cell, because
    sections share regions, not cells.
    """
    seen = shared.mask.copy()
    cells: dict[str, Cells] = {}
    for pair in pairs:
        there = shown(inputs, pair, shared)
        if there is None:
            return None
        seen &= there.window.mask
        for marker in pair.markers:
            cells[marker] = there.cells.take(there.cells.positive[marker])
    if not seen.any() or not set(markers) <= set(cells):
        return None
    window = TissueWindow(mask=seen, spacing_um=shared.spacing_um, origin_um=shared.origin_um)
    maps = [
        density_from_cells(
            cells[m],
            window,
            markers={m: (m,)},
            spacing_um=shared.spacing_um,
            bandwidth_um=bandwidth_um,
        )
        for m in markers
    ]
    return DensityMap(
        density=np.concatenate([d.density for d in maps]),
        error=np.concatenate([d.error for d in maps]),
        support=seen,
        markers=tuple(markers),
        spacing_um=shared.spacing_um,
        origin_um=shared.origin_um,
    )
