"""One simulated patient: sections cut, stained and scanned, and the truth about them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from shapely.geometry import Polygon

from metasight.alignment.transform_file import save_transform
from metasight.biomarkers.definitions import BiomarkerDefinitions
from metasight.biomarkers.tls import count_tls
from metasight.maps.cells import Cells
from metasight.maps.density import density_from_cells
from metasight.maps.ome import write_density_map
from metasight.maps.window import TissueWindow
from metasight.simulate.breast.cells import B_CELL, MARKER_KINDS, T_CELL, SectionCells, draw_cells
from metasight.simulate.breast.centres import Centre, centre_of
from metasight.simulate.breast.he import paint_he
from metasight.simulate.breast.laying import Defects, draw_defects, draw_transform, lay, lie_still
from metasight.simulate.breast.markers import (
    CHANNELS,
    MARKERS,
    paint_chromogenic,
    paint_fluorescence,
)
from metasight.simulate.breast.other import other_stain, other_tissue_at
from metasight.simulate.breast.patients import Patients, draw_patients
from metasight.simulate.breast.settings import BreastSettings
from metasight.simulate.breast.slide_files import write_brightfield, write_fluorescence
from metasight.simulate.breast.tissue import GRID_UM, KINDS, Regions, biology_of, tissue_at
from metasight.simulate.settings import STAMP

_SPOILT_UM = 4.0
_LEAST_LYMPHOCYTES = 45


@dataclass(frozen=True, kw_only=True)
class SlideLine:
    """A line of ``slides.csv``."""

    file: str
    stain: str
    markers: str


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a patient gets, drawn from the seed and the patient's number alone.

    Attributes
    ----------
    number
        From 0.
    patients
        One patient's biology.
    paired, spoilt, other_tissue, other_stain
        Whether there are marker sections, and what is wrong with the H&E.
    """

    number: int
    patients: Patients
    paired: bool
    spoilt: bool
    other_tissue: bool
    other_stain: bool


def name_of(number: int) -> str:
    """Id of patient ``number`` (from 0)."""
    return f"SIM-{number + 1:04d}"


def plan_of(settings: BreastSettings, seed: int, number: int) -> Plan:
    """Biology and slides of one patient, independent of all others."""
    rng = np.random.default_rng([seed, 1, number])
    centre = np.array([number % settings.centres], dtype=np.int64)
    patients = draw_patients(rng, centre)
    drawn = np.random.default_rng([seed, 2, number]).random(4)
    return Plan(
        number=number,
        patients=patients,
        paired=_in_turn(settings.pair_fraction, seed, number),
        spoilt=bool(drawn[1] < settings.spoilt_fraction),
        other_tissue=bool(drawn[2] < settings.other_tissue_fraction),
        other_stain=bool(drawn[3] < settings.other_stain_fraction),
    )


def _in_turn(share: float, seed: int, number: int) -> bool:
    """True for a share of the patients, spread evenly: of n first ones n · share, give or take two.

    A golden-ratio sequence: it does not line up with the centres' turns.
    """
    start = float(np.random.default_rng([seed, 3]).random())
    return bool((start + (number + 1) * 0.618033988749895) % 1.0 < share)


@dataclass(frozen=True, kw_only=True)
class _Section:
    regions: Regions
    cells: SectionCells
    defects: Defects
    seed: tuple[int, ...]


def make_specimen(
    settings: BreastSettings, seed: int, number: int, slides: Path, truth: Path
) -> tuple[SlideLine, ...]:
    """Write one patient's slides and truth.

    Parameters
    ----------
    slides, truth
        Existing folders; the truth's ``patient.json`` is written last.

    Returns
    -------
    Lines of the table of slides.
    """
    plan = plan_of(settings, seed, number)
    centre = centre_of(settings, seed, int(plan.patients.centre[0]))
    block = (seed, 4, number)
    lines, told = [], {}
    first = _section(settings, plan, block, 0)
    lines.append(_write_he(settings, plan, centre, first, slides))
    _write_truth_map(first, truth / "density-HE.ome.tif")
    told["HE"] = _about(first)
    if plan.paired:
        panels = [MARKERS] if settings.markers == "fluorescence" else [(m,) for m in MARKERS]
        for depth, panel in enumerate(panels, start=1):
            section = _section(settings, plan, block, depth)
            name = "mIHC" if len(panel) > 1 else panel[0]
            lines.append(_write_markers(settings, plan, centre, section, panel, slides, truth))
            _write_truth_map(section, truth / f"density-{name}.ome.tif")
            told[name] = _about(section)
    _write_json(truth / "tls.geojson", _structures(first))
    _write_json(truth / "patient.json", _patient_truth(plan, centre, first, told, lines))
    return tuple(lines)


def _section(settings: BreastSettings, plan: Plan, block: tuple[int, ...], number: int) -> _Section:
    biology = biology_of(plan.patients, 0)
    depth = number * settings.section_gap_um
    cut = other_tissue_at if plan.other_tissue else tissue_at
    regions = cut(settings, biology, block, depth)
    seed = (*block, 100 + number)
    return _Section(
        regions=regions,
        cells=draw_cells(regions, biology.grade, (*seed, 1)),
        seed=seed,
        defects=draw_defects(settings.defect_fraction, regions.tissue, seed),
    )


def _write_he(
    settings: BreastSettings, plan: Plan, centre: Centre, s: _Section, slides: Path
) -> SlideLine:
    canvas = lie_still(s.regions, s.cells, s.defects, mpp=settings.mpp, seed=(*s.seed, 2))
    scanner = other_stain(centre) if plan.other_stain else centre
    blur = _SPOILT_UM if plan.spoilt else 0.0
    rgb = paint_he(canvas, scanner, out_of_focus_um=blur)
    suffix = ".svs" if centre.file_kind == "svs" else ".ome.tif"
    file = f"{name_of(plan.number)}-HE{suffix}"
    write_brightfield(slides / file, rgb, mpp=settings.mpp, jpeg=centre.jpeg, kind=centre.file_kind)
    return SlideLine(file=file, stain="H&E", markers="")


def _write_markers(  # noqa: PLR0917
    settings: BreastSettings,
    plan: Plan,
    centre: Centre,
    s: _Section,
    panel: tuple[str, ...],
    slides: Path,
    truth: Path,
) -> SlideLine:
    transform, side = draw_transform(settings, s.seed)
    canvas = lay(
        s.regions, s.cells, s.defects, transform, side, mpp=settings.markers_mpp, seed=(*s.seed, 2)
    )
    name = "mIHC" if len(panel) > 1 else panel[0]
    file = f"{name_of(plan.number)}-{name}.ome.tif"
    save_transform(transform, truth / f"transform-{name}.npz")
    mpp = settings.markers_mpp
    if len(panel) > 1:
        write_fluorescence(slides / file, paint_fluorescence(canvas, centre), CHANNELS, mpp=mpp)
        return SlideLine(file=file, stain="fluorescence", markers=";".join(panel))
    rgb = paint_chromogenic(canvas, panel[0], centre)
    write_brightfield(slides / file, rgb, mpp=mpp, jpeg=centre.jpeg, kind="ome")
    return SlideLine(file=file, stain="IHC", markers=panel[0])


# ------------------------------------------------------------------ truth


def _window(s: _Section) -> TissueWindow:
    return TissueWindow(mask=s.regions.tissue > 0.5, spacing_um=GRID_UM)


def _true_cells(s: _Section) -> Cells:
    c = s.cells
    return Cells(
        x_um=c.x_um,
        y_um=c.y_um,
        type_code=c.kind,
        type_names=KINDS,
        positive={marker: c.kind == kind for marker, kind in MARKER_KINDS.items()}
        | {"nuclei": np.ones(len(c), dtype=bool)},
    )


def _write_truth_map(s: _Section, path: Path) -> None:
    """Density of each marker's cells and of nuclei of this section, in the H&E's frame."""
    write_density_map(density_from_cells(_true_cells(s), _window(s)), path)


def _about(s: _Section) -> dict[str, Any]:
    area = _window(s).area_mm2
    count = np.bincount(s.cells.kind, minlength=len(KINDS))
    return {
        "depth_um": s.regions.depth_um,
        "tissue_mm2": round(area, 4),
        "cells": {k: int(n) for k, n in zip(KINDS, count, strict=True)},
        "per_mm2": {m: round(float(count[k]) / area, 1) for m, k in MARKER_KINDS.items()},
        "tls_by_definition": _tls_by_definition(s),
        "defects": list(s.defects.names),
    }


def _tls_by_definition(s: _Section) -> int:
    """TLS that the protocol's definition finds among the true cells of the section."""
    window = _window(s).resampled(16.0)
    counts = []
    for kind in (T_CELL, B_CELL):
        mine = s.cells.kind == kind
        x, y = s.cells.x_um[mine], s.cells.y_um[mine]
        inside = window.contains(x, y)
        counts.append(window.counts(x[inside], y[inside]).astype(np.float64))
    return count_tls(counts[0], counts[1], window, BiomarkerDefinitions())


def _structures(s: _Section) -> dict[str, Any]:
    """Lymphoid structures that the section meets, as GeoJSON in µm of the H&E."""
    features = []
    lymphocytes = np.isin(s.cells.kind, (T_CELL, B_CELL))
    at = np.stack([s.cells.x_um, s.cells.y_um], axis=1)[lymphocytes]
    for structure in s.regions.structures:
        ring = structure.outline(s.regions.depth_um)
        if Polygon(ring).area < 1.0:
            continue
        closed: npt.NDArray[np.float64] = np.vstack([ring, ring[:1]]).round(2)
        angle = np.arctan2(at[:, 1] - structure.y_um, at[:, 0] - structure.x_um)
        away = np.hypot(at[:, 0] - structure.x_um, at[:, 1] - structure.y_um)
        held = int((away <= structure.radius_at(angle, s.regions.depth_um)).sum())
        features.append(
            {
                "type": "Feature",
                "geometry": {"type": "Polygon", "coordinates": [closed.tolist()]},
                "properties": {
                    "simulated": STAMP,
                    "lymphocytes": held,
                    "area_um2": round(float(Polygon(ring).area), 1),
                    "counts_as_tls": held >= _LEAST_LYMPHOCYTES,
                },
            }
        )
    return {"type": "FeatureCollection", "simulated": STAMP, "features": features}


def _patient_truth(
    plan: Plan,
    centre: Centre,
    first: _Section,
    told: dict[str, Any],
    lines: list[SlideLine],
) -> dict[str, Any]:
    p = plan.patients
    structures = _structures(first)["features"]
    return {
        "simulated": STAMP,
        "patient": name_of(plan.number),
        "centre": centre.name,
        "paired": plan.paired,
        "spoilt": plan.spoilt,
        "other_tissue": plan.other_tissue,
        "other_stain": plan.other_stain,
        "latents": {
            k: round(float(getattr(p, k)[0]), 6)
            for k in ("tls", "t_cells", "mixing", "exclusion", "tumour", "fat")
        },
        "biology": asdict(biology_of(p, 0)),
        "sections": told,
        "tls": sum(f["properties"]["counts_as_tls"] for f in structures),
        "slides": [asdict(line) for line in lines],
    }


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n", "utf-8")
