"""A patient's marker sections brought onto the H&E: cells, where they were looked at, densities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from metasight.alignment.error import ErrorMap
from metasight.alignment.transform import Transform
from metasight.alignment.transform_file import load_transform
from metasight.engine.step import Inputs
from metasight.maps.density import DensityMap
from metasight.maps.together import BroughtSection, bring_onto, density_of_sections
from metasight.maps.window import TissueWindow
from metasight.steps import artefacts
from metasight.steps.slides.sections import checking, marking, read_cells, read_tissue

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


def pairs_of(folder: Path, sections: Mapping[str, tuple[str, ...]]) -> list[Pair]:
    """Accepted pairs among a patient's sections, from the patient's folder."""
    found = []
    for name, markers in sections.items():
        place = folder / f"alignment-{name}"
        told = artefacts.ALIGNMENT.read_if_there(place)
        if told is not None and told["accepted"]:
            found.append(
                Pair(
                    section=name,
                    markers=markers,
                    transform=load_transform(artefacts.TRANSFORM.path(place)),
                )
            )
    return found


def error_of(folder: Path, section: str) -> ErrorMap:
    """The alignment's own predicted error, from the patient's folder.

    What is told of a pair holds an expert's error too; maps must reckon with the alignment's.
    """
    told = artefacts.ALIGNMENT.read(folder / f"alignment-{section}")

    def tiles(name: str) -> npt.NDArray[np.float64]:
        return np.array(told["tiles"][name], dtype=np.float64)  # None becomes NaN

    x, y = told["tiles"]["origin_um"]
    return ErrorMap(
        p50_um=told["error_p50_um"],
        p90_um=told["error_p90_um"],
        tile_p50_um=tiles("p50_um"),
        tile_p90_um=tiles("p90_um"),
        tile_um=told["tiles"]["size_um"],
        origin_um=(x, y),
        in_place=float("nan"),
    ).own()


def he_window(checked: Path) -> TissueWindow:
    """Tissue of an H&E on the 16 µm grid, from the folder of its check."""
    tissue, mpp = read_tissue(artefacts.TISSUE.path(checked))
    return TissueWindow(mask=tissue, spacing_um=mpp).resampled(SPACING_UM)


def shown(inputs: Inputs, pair: Pair, shared: TissueWindow) -> BroughtSection | None:
    """A section's cells on the H&E, and the tissue that both show; None where they share none."""
    tissue, mpp = read_tissue(artefacts.TISSUE.path(inputs[checking(pair.section)]))
    return bring_onto(
        read_cells(artefacts.CELLS.path(inputs[marking(pair.section)]), pair.markers),
        TissueWindow(mask=tissue, spacing_um=mpp),
        pair.transform,
        shared,
        pair.markers,
    )


def density_together(
    inputs: Inputs,
    pairs: Sequence[Pair],
    shared: TissueWindow,
    markers: Sequence[str],
    *,
    bandwidth_um: float,
) -> DensityMap | None:
    """Densities of markers of several sections on the H&E; None where they share no tissue."""
    sections = [shown(inputs, pair, shared) for pair in pairs]
    there = [s for s in sections if s is not None]
    if len(there) < len(sections):
        return None
    return density_of_sections(there, shared, markers, bandwidth_um=bandwidth_um)
