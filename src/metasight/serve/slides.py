"""A patient's slides: their files, what the run found on them, and what lies over them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from metasight.alignment.transform import Transform
from metasight.alignment.transform_file import load_transform
from metasight.cohort.slide_table import SlideRow, read_slide_table
from metasight.engine.step import StepKind
from metasight.maps.density import DensityMap
from metasight.maps.ome import read_density_map
from metasight.serve.last_run import LastRun
from metasight.steps import artefacts
from metasight.steps.slides.sections import checking
from metasight.study.file import Study

Rgba = npt.NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class SlideLine:
    """A slide of a patient.

    Attributes
    ----------
    name
        What results call it.
    stain, markers
        As the table of slides has them.
    verdict
        Of its quality; empty where it was not judged.
    """

    name: str
    stain: str
    markers: tuple[str, ...]
    verdict: str


@dataclass(frozen=True, kw_only=True)
class Aligned:
    """A marker section aligned with the H&E.

    Attributes
    ----------
    moving
        Name of the section.
    accepted
        Whether the pair passed the gate.
    p50_um, p90_um, gate_um
        Predicted error, and the largest that is accepted.
    folder
        Where the transform lies.
    tiles
        Predicted error by tile.
    """

    moving: str
    accepted: bool
    p50_um: float
    p90_um: float
    gate_um: float
    folder: Path
    tiles: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Painted:
    """A density map over the H&E.

    Attributes
    ----------
    key
        ``generated`` or ``measured``.
    path
        Its file.
    markers
        Planes.
    """

    key: str
    path: Path
    markers: tuple[str, ...]


def slide_rows(study: Study) -> Mapping[str, SlideRow]:
    """Slides of the study's table by their names."""
    rows = read_slide_table(study.folder, study.settings, study.protocol.marker)
    return {row.name: row for row in rows}


def slides_of_patient(run: LastRun, patient: str) -> tuple[SlideLine, ...]:
    """The slides of a patient, in the order of the table."""
    entries = run.ledger.get(patient, ())
    verdicts = {e.item: str(e.verdict) for e in entries if e.stage == "slide quality"}
    return tuple(
        SlideLine(
            name=row.name,
            stain=row.stain,
            markers=row.markers,
            verdict=verdicts.get(row.name, ""),
        )
        for row in slide_rows(run.study).values()
        if row.patient == patient
    )


def quality_of(run: LastRun, name: str) -> Mapping[str, Any] | None:
    """What was measured of a slide's quality; None where it was not."""
    if checking(name) not in run.steps:
        return None
    found: Mapping[str, Any] | None = artefacts.QUALITY.read_if_there(run.folder(checking(name)))
    return found


def alignments_on(run: LastRun, patient: str, fixed: str) -> tuple[Aligned, ...]:
    """Sections that were aligned with a slide."""
    folder = run.of_patient(StepKind.MEASURE_SLIDES, patient)
    return _alignments_in(folder, fixed) if folder is not None else ()


@lru_cache(maxsize=64)
def _alignments_in(folder: Path, fixed: str) -> tuple[Aligned, ...]:
    """Read once: every tile of an aligned section asks, and a result's folder never changes."""
    found = []
    for place in sorted(folder.glob("alignment-*")):
        told = artefacts.ALIGNMENT.read(place)
        if told["fixed"] == fixed:
            found.append(
                Aligned(
                    moving=told["moving"],
                    accepted=bool(told["accepted"]),
                    p50_um=float(told["error_p50_um"]),
                    p90_um=float(told["error_p90_um"]),
                    gate_um=float(told["gate_um"]),
                    folder=place,
                    tiles=told["tiles"],
                )
            )
    return tuple(found)


def maps_on(run: LastRun, patient: str) -> tuple[Painted, ...]:
    """Maps of a patient's H&E: the generated one, and the measured one that it is shown beside."""
    folder = run.of_patient(StepKind.PAINT_MAP, patient)
    if folder is None:
        return ()
    found = []
    for key, file in (("generated", artefacts.GENERATED), ("measured", artefacts.MEASURED)):
        if file.is_in(folder):
            path = file.path(folder)
            found.append(Painted(key=key, path=path, markers=_map_in(path).markers))
    return tuple(found)


def outlines_on(run: LastRun, patient: str, slide: str, mpp: float) -> tuple[tuple[str, str], ...]:
    """Structures of a patient on one of the slides: (name, path of its outline, level-0 pixels).

    Where they were measured on another section, which is aligned with this slide, they are brought
    over; where it is not, none are shown.

    Parameters
    ----------
    slide, mpp
        Name of the slide, and its µm a level-0 pixel.
    """
    folder = run.of_patient(StepKind.MEASURE_SLIDES, patient)
    if folder is None or not artefacts.STRUCTURES.is_in(folder):
        return ()
    measured = artefacts.BIOMARKERS.read(folder)
    own = measured.get("slide", "")  # results of before it was kept are of an unknown frame
    back = None
    if own != slide:
        pair = next((a for a in alignments_on(run, patient, slide) if a.moving == own), None)
        if pair is None or not pair.accepted:
            return ()
        back = transform_in(pair.folder).inverse()

    def placed(ring: Sequence[Sequence[float]]) -> Sequence[Sequence[float]]:
        if back is None:
            return ring
        points: list[list[float]] = (
            back.points(np.array(ring, dtype=float) * measured["mpp"]) / mpp
        ).tolist()
        return points

    told = json.loads(artefacts.STRUCTURES.path(folder).read_text("utf-8"))
    return tuple(
        (
            str(f["properties"]["name"]),
            _svg_path([placed(ring) for ring in _rings(f["geometry"])]),
        )
        for f in told["features"]
    )


def _rings(geometry: Mapping[str, Any]) -> list[Sequence[Sequence[float]]]:
    rings = geometry["coordinates"]
    if geometry["type"] == "MultiPolygon":
        rings = [ring for polygon in rings for ring in polygon]
    return list(rings)


def _svg_path(rings: Sequence[Sequence[Sequence[float]]]) -> str:
    return " ".join("M" + " L".join(f"{x:.1f} {y:.1f}" for x, y in ring) + " Z" for ring in rings)


@lru_cache(maxsize=4)
def _map_in(path: Path) -> DensityMap:
    """A map, read once for all its markers."""
    return read_density_map(path)


@lru_cache(maxsize=8)
def transform_in(folder: Path) -> Transform:
    """The transform of an alignment."""
    return load_transform(artefacts.TRANSFORM.path(folder))


def error_picture(aligned: Aligned) -> tuple[Rgba, tuple[float, float], float]:
    """Predicted error (p90) by tile as colours, a pixel a tile; its origin and tile size in µm.

    From pale (none) to dark red (the gate and above); tiles without an estimate are clear.
    """
    values = np.array(
        [[np.nan if v is None else v for v in row] for row in aligned.tiles["p90_um"]], dtype=float
    )
    share = np.clip(np.nan_to_num(values / aligned.gate_um), 0, 1)
    out = np.zeros((*values.shape, 4), np.uint8)
    out[..., 0] = np.rint(255 - 100 * share)
    out[..., 1] = out[..., 2] = np.rint(240 * (1 - share))
    out[..., 3] = np.where(np.isnan(values), 0, 255)
    x, y = aligned.tiles["origin_um"]
    return out, (float(x), float(y)), float(aligned.tiles["size_um"])


def map_picture(path: Path, marker: str) -> tuple[Rgba, float, tuple[float, float], float]:
    """A plane of a map as colours; pixel size and origin in µm, and the end of the scale.

    The scale ends at the plane's 99th percentile, in cells per mm²; off the tissue it is clear.

    Raises
    ------
    MarkerError
        The map has no such marker.
    """
    read = _map_in(path)
    plane = read.plane(marker)
    stated = plane[read.support]
    end = float(np.percentile(stated, 99)) if stated.size else 1.0
    share = np.clip(np.nan_to_num(plane) / max(end, 1e-9), 0, 1)
    colours = cv2.applyColorMap(np.rint(255 * share).astype(np.uint8), cv2.COLORMAP_VIRIDIS)
    rgba = np.dstack([colours[..., ::-1], np.where(read.support, 255, 0).astype(np.uint8)])
    return rgba, read.spacing_um, read.origin_um, end


def png(rgba: Rgba) -> bytes:
    """A picture as PNG."""
    bgra = np.ascontiguousarray(rgba[..., [2, 1, 0, 3]])
    return bytes(cv2.imencode(".png", bgra)[1])
