"""What is done to a slide: check, align, map, measure. Steps and command line call the same.

Each function reads open slides, writes its pictures and results into a folder, and returns what
it found as plain data. Nothing it writes holds a path or a patient's identifier.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd

from metasight.alignment.align import Alignment, AlignmentSettings, align
from metasight.alignment.checkerboard import checkerboard, error_picture
from metasight.alignment.section import Section
from metasight.alignment.slide_section import section_of_slide
from metasight.alignment.transform_file import save_transform
from metasight.biomarkers.definitions import BiomarkerDefinitions, definitions_from_protocol
from metasight.biomarkers.geojson import tls_annotations, write_geojson
from metasight.biomarkers.measure import measure
from metasight.biomarkers.results import Biomarkers
from metasight.errors import ProtocolError
from metasight.estimate import Estimate
from metasight.maps.cells import Cells
from metasight.maps.density import DensityMap, density_from_cells
from metasight.maps.markers import MarkerSettings
from metasight.maps.ome import write_density_map
from metasight.maps.tumour import TumourArea, tumour_from_marker
from metasight.maps.whole_slide import WORKING_MPP, Progress, SlideMarkers, cells_of_slide
from metasight.maps.window import TissueWindow
from metasight.protocol.markers import MarkerNames, roles_of, study_name
from metasight.protocol.study import Definition, SlideProtocol, require_roles
from metasight.segmentation.slide_nuclei import NucleusTable, nuclei_on_slide
from metasight.slides.quality import Quality, Stain, judge, limits_of, overlay
from metasight.slides.reader import PyramidReader
from metasight.slides.scale_bar import with_scale_bar
from metasight.steps import artefacts
from metasight.steps.files import number

# Sections share regions, not cells: a marker from another section is spread over this (DESIGN §5).
REGION_UM = 64.0
_DENSITY_UM = 16.0

Mask = npt.NDArray[np.bool_]
Found = dict[str, Any]


def checking(slide: str) -> str:
    """Name of the step that checks a slide."""
    return f"check {slide}"


def marking(slide: str) -> str:
    """Name of the step that reads a slide's markers."""
    return f"markers of {slide}"


# ------------------------------------------------------------------ check


def check(
    slide: PyramidReader,
    stain: Stain,
    definitions: tuple[Definition, ...],
    out: Path,
    *,
    nuclear: str,
) -> Found:
    """Judge a slide; write ``overview.png``, ``defects.png`` and ``tissue.npz``.

    Raises
    ------
    SlideError
        The slide cannot be decoded, or is of another kind of light than ``stain``.
    """
    quality = judge(slide, stain, limits_of(definitions, stain), nuclear=nuclear)
    _write_png(artefacts.OVERVIEW.path(out), with_scale_bar(quality.overview, quality.mpp))
    _write_png(artefacts.DEFECTS.path(out), with_scale_bar(overlay(quality), quality.mpp))
    write_tissue(artefacts.TISSUE.path(out), quality)
    found = {
        "slide": slide.name,
        "stain": stain,
        "sufficient": quality.sufficient,
        "reasons": list(quality.reasons),
        "measurements": [
            {
                "name": m.name,
                "text": m.limit.text,
                "value": number(m.value),
                "unit": m.limit.unit,
                "limit": str(m.limit),
                "holds": m.holds,
                "why_not": m.why_not,
            }
            for m in quality.measurements
        ],
        **described(slide),
    }
    artefacts.QUALITY.write(out, found)
    return found


def described(slide: PyramidReader) -> Found:
    """Reader, resolution and size of a slide."""
    full = slide.levels[0]
    return {
        "reader": slide.software,
        "mpp": slide.mpp,
        "mpp_source": slide.mpp_source,
        "channels": list(slide.channels),
        "width": full.width,
        "height": full.height,
        "properties": slide.properties,
        "notes": list(slide.notes),
    }


def scanned_area_um2(quality: Found) -> float:
    """Of a slide's whole scanned field, from what `check` told of it."""
    return float(quality["width"] * quality["height"] * quality["mpp"] ** 2)


def write_tissue(path: Path, quality: Quality) -> None:
    """A mask and its resolution, readable without pickle; the same mask gives the same bytes."""
    with path.open("wb") as file:
        np.savez_compressed(file, tissue=quality.tissue, mpp=np.array(quality.mpp))


def read_tissue(path: Path) -> tuple[Mask, float]:
    """The mask of `write_tissue` and its micrometres a pixel."""
    with np.load(path, allow_pickle=False) as archive:
        return archive["tissue"], float(archive["mpp"])


# ------------------------------------------------------------------ align


def align_slides(
    fixed: PyramidReader,
    moving: PyramidReader,
    protocol: SlideProtocol,
    out: Path,
    *,
    nuclear: str,
) -> Found:
    """Align one slide to another; write its transform and its two pictures, and say what was found.

    Raises
    ------
    AlignmentError
        A slide shows next to no tissue. A pair that does not fit is no error: it is refused.
    """
    settings = alignment_settings(protocol)
    still, other = (section_of_slide(s, nuclear, settings) for s in (fixed, moving))
    found = write_alignment(still, other, align(still, other, settings), settings, out)
    artefacts.ALIGNMENT.write(out, found)
    return found


def write_alignment(
    still: Section, other: Section, alignment: Alignment, settings: AlignmentSettings, out: Path
) -> Found:
    """Write an alignment's transform and its two pictures; return what is told of it."""
    save_transform(alignment.transform, artefacts.TRANSFORM.path(out))
    _write_png(artefacts.CHECKERBOARD.path(out), checkerboard(still, other, alignment))
    _write_png(artefacts.ALIGNMENT_ERROR.path(out), error_picture(still, alignment))
    return {
        "fixed": still.name,
        "moving": other.name,
        "accepted": alignment.accepted,
        "reasons": list(alignment.reasons),
        "error_p50_um": number(alignment.error.p50_um),
        "error_p90_um": number(alignment.error.p90_um),
        "gate_um": settings.gate_um,
        "overlap": number(alignment.overlap),
        "unmatched": number(alignment.unmatched),
        "mirrored": bool(alignment.mirrored),
        "models": list(alignment.models),
        "why": list(alignment.why),
        "tiles": {
            "size_um": alignment.error.tile_um,
            "origin_um": list(alignment.error.origin_um),
            "p50_um": _numbers(alignment.error.tile_p50_um),
            "p90_um": _numbers(alignment.error.tile_p90_um),
        },
    }


def alignment_settings(protocol: SlideProtocol) -> AlignmentSettings:
    """What the protocol defines of alignment; the rest as built in."""

    def defined(name: str, otherwise: float) -> float:
        value = protocol.definitions.get(name, otherwise)
        if not isinstance(value, int | float):
            raise ProtocolError("a definition is one number", where=name, value=str(value))
        return float(value)

    usual = AlignmentSettings()
    return AlignmentSettings(
        gate_um=defined("alignment_error_gate_um", usual.gate_um),
        finest_um=defined("alignment_resolution_um", usual.finest_um),
        longest_px=int(defined("alignment_most_px", usual.longest_px)),
    )


# ------------------------------------------------------------------ map


def marker_settings(
    markers: Sequence[MarkerNames], nuclear: str, thresholds: Mapping[str, float]
) -> MarkerSettings:
    """The study's nuclear channel, its laboratory's thresholds and what its markers stain."""
    of_marker = {study_name(m, markers): value for m, value in thresholds.items()}
    roles = roles_of(markers)
    if roles is None:
        return MarkerSettings(nuclear=nuclear, thresholds=of_marker)
    return MarkerSettings(
        nuclear=nuclear,
        thresholds=of_marker,
        tumour_marker=roles.tumour,
        lymphocyte_markers=roles.lymphocytes,
    )


def map_markers(
    slide: PyramidReader,
    tissue: Mask,
    tissue_mpp: float,
    out: Path,
    *,
    markers: tuple[str, ...],
    channels: tuple[str, ...],
    settings: MarkerSettings,
    progress: Progress | None = None,
) -> tuple[SlideMarkers, Found]:
    """Cells of a slide and their density; write ``cells.parquet`` and ``density.ome.tif``."""
    read = cells_of_slide(
        slide, tissue, tissue_mpp, markers, settings, channels=channels, progress=progress
    )
    found = write_marked(
        read.cells,
        TissueWindow(mask=tissue, spacing_um=tissue_mpp),
        out,
        slide=slide.name,
        mpp=read.mpp,
        thresholds=read.thresholds,
        rules=read.rules,
        notes=slide.notes,
    )
    return read, found


def write_marked(
    cells: Cells,
    window: TissueWindow,
    out: Path,
    *,
    slide: str,
    mpp: float,
    thresholds: Mapping[str, float | None],
    rules: Mapping[str, str],
    notes: Sequence[str],
) -> Found:
    """Write marked cells, their density and ``markers.json``, and return what that says.

    ``rules`` names the markers, in order, and how each one's positivity was told.
    """
    write_cells(artefacts.CELLS.path(out), cells)
    density = density_from_cells(cells, window, spacing_um=_DENSITY_UM)
    write_density_map(density, artefacts.DENSITY.path(out))
    found: Found = {
        "slide": slide,
        "cells": len(cells),
        "mpp": mpp,
        "markers": [
            {
                "marker": m,
                "positive": int(cells.positive[m].sum()),
                "per_mm2": float(cells.positive[m].sum()) / window.area_mm2,
                "threshold": number(thresholds[m]),
                "rule": rule,
            }
            for m, rule in rules.items()
        ],
        "tissue_mm2": window.area_mm2,
        "notes": list(notes),
    }
    artefacts.MARKERS.write(out, found)
    return found


def map_nuclei(slide: PyramidReader, tissue: Mask, tissue_mpp: float, out: Path) -> Found:
    """Nuclei of an H&E and their density, all and those like a lymphocyte's.

    An H&E carries no marker: what looks like a lymphocyte is not known to be a T or a B cell.
    """
    mpp = max(WORKING_MPP, slide.mpp)
    table = nuclei_on_slide(slide, tissue, tissue_mpp, mpp=mpp)
    cells = Cells(
        x_um=table.x_um,
        y_um=table.y_um,
        type_code=table.lymphocyte_like.astype(np.int16),
        type_names=("other", "lymphocyte_like"),
        positive={
            "nuclei": np.ones(len(table), dtype=np.bool_),
            "lymphocyte_like": table.lymphocyte_like,
        },
    )
    looks = {name: getattr(table, name) for name in LOOKS}
    write_cells(artefacts.CELLS.path(out), cells, looks)
    window = TissueWindow(mask=tissue, spacing_um=tissue_mpp)
    write_density_map(
        density_from_cells(cells, window, spacing_um=_DENSITY_UM), artefacts.DENSITY.path(out)
    )
    found = {
        "slide": slide.name,
        "cells": len(cells),
        "mpp": mpp,
        "markers": [
            {
                "marker": name,
                "positive": int(flags.sum()),
                "per_mm2": float(flags.sum()) / window.area_mm2,
                "threshold": None,
                "rule": "shape and darkness",
            }
            for name, flags in cells.positive.items()
        ],
        "tissue_mm2": window.area_mm2,
        "notes": list(slide.notes),
    }
    artefacts.MARKERS.write(out, found)
    return found


LOOKS = ("area_um2", "amount", "contrast", "axis_ratio")
"""Columns of an H&E's cells that tell how each nucleus looks; see `NucleusTable`."""


def write_cells(
    path: Path, cells: Cells, looks: Mapping[str, npt.NDArray[np.float64]] | None = None
) -> None:
    """One row a cell: position, type, each marker's positivity, and how its nucleus looks."""
    frame = pd.DataFrame(
        {"x_um": cells.x_um, "y_um": cells.y_um, "type": cells.type_code}
        | {f"positive {m}": flags for m, flags in cells.positive.items()}
        | {name: values.astype(np.float32) for name, values in (looks or {}).items()}
    )
    frame.attrs = {}
    frame.to_parquet(path, compression="zstd", index=False)


def read_cells(path: Path, markers: tuple[str, ...]) -> Cells:
    """The cells of `write_cells`."""
    frame = pd.read_parquet(path)
    return Cells(
        x_um=frame["x_um"].to_numpy(dtype=np.float64),
        y_um=frame["y_um"].to_numpy(dtype=np.float64),
        type_code=frame["type"].to_numpy(dtype=np.int16),
        type_names=("other", *markers),
        positive={m: frame[f"positive {m}"].to_numpy(dtype=np.bool_) for m in markers},
    )


def read_looks(path: Path) -> NucleusTable | None:
    """The nuclei of `map_nuclei`; None where there are none or a table told no sizes."""
    if not path.is_file():
        return None
    frame = pd.read_parquet(path)
    if not set(LOOKS) <= set(frame.columns):
        return None
    return NucleusTable(
        x_um=frame["x_um"].to_numpy(dtype=np.float64),
        y_um=frame["y_um"].to_numpy(dtype=np.float64),
        lymphocyte_like=frame["positive lymphocyte_like"].to_numpy(dtype=np.bool_),
        **{name: frame[name].to_numpy(dtype=np.float64) for name in LOOKS},
    )


# ------------------------------------------------------------------ measure


def definitions(protocol: SlideProtocol) -> BiomarkerDefinitions:
    """The protocol's definitions over the markers of this study.

    Raises
    ------
    ProtocolError
        The protocol names no markers.
    """
    roles = require_roles(protocol, where="biomarkers")
    return definitions_from_protocol(
        protocol,
        BiomarkerDefinitions(
            tumour_types=(roles.tumour,),
            t_cell_types=(roles.t_cell,),
            b_cell_types=(roles.b_cell,),
        ),
    )


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Biomarkers of a section, its tumour, and what is told of them."""

    biomarkers: Biomarkers
    tumour: TumourArea
    density: DensityMap
    found: Found


def measure_section(
    data: Cells | DensityMap,
    window: TissueWindow,
    protocol: SlideProtocol,
    out: Path,
    *,
    slide: str,
    scanned_area_um2: float,
    mpp: float,
    seed: int,
) -> Measured:
    """Measure a section; write ``biomarkers.json`` and ``structures.geojson``.

    Parameters
    ----------
    data
        Cells of one section, or the density of markers brought together from several.
    window
        Its tissue.
    slide
        Name of the slide in whose frame all of it is: the GeoJSON is laid over that one.
    scanned_area_um2
        Of the scanned field, of which a criterion may ask the tumour's share.
    mpp
        Of that slide.
    seed
        Of nulls and intervals.
    """
    if isinstance(data, Cells):
        density = density_from_cells(data, window, spacing_um=_DENSITY_UM)
    else:
        density = data
    roles = require_roles(protocol, where="biomarkers")
    tumour = tumour_from_marker(density, roles.tumour, scanned_area_um2=scanned_area_um2)
    found = measure(data, window, tumour.region, definitions(protocol), seed=seed)
    write_geojson(tls_annotations(found.aggregates, mpp), artefacts.STRUCTURES.path(out))
    told = {
        "slide": slide,
        "from": "cells of one section" if isinstance(data, Cells) else "densities of sections",
        "tumour_area_percent": Estimate.of(tumour.percent, tumour.lower, tumour.upper).to_json(),
        "tumour_area_basis": tumour.basis,
        "window_mm2": found.window_area_mm2,
        "mpp": mpp,
        "cells": found.n_cells,
        "labels": dict(found.labels),
        "probabilities": {k: dict(v) for k, v in found.probabilities.items()},
        "measures": [
            {
                "name": m.name,
                "unit": m.unit,
                **Estimate.of(m.value, m.lower, m.upper).to_json(),
                "null_z": number(m.null_z),
                "null_p": number(m.null_p),
                "definition": m.definition,
                "reason": m.reason,
            }
            for m in found.measures
        ],
    }
    artefacts.BIOMARKERS.write(out, told)
    return Measured(biomarkers=found, tumour=tumour, density=density, found=told)


def _numbers(values: npt.NDArray[np.float64]) -> list[list[float | None]]:
    return [[number(round(float(v), 1)) for v in row] for row in values]


def _write_png(path: Path, rgb: npt.NDArray[np.uint8]) -> None:
    done, data = cv2.imencode(".png", np.ascontiguousarray(rgb[..., ::-1]))
    if not done:
        raise ValueError("a picture could not be encoded")
    path.write_bytes(data.tobytes())
