"""Maps painted on H&E: tiles of each pair, a generator for each fold, a map for each patient.

A patient's map comes from the generator of the fold that leaves him out; the generator's own list
of whom it saw proves it, and a generator that saw him is refused. What biomarkers say on the map
goes to the models with an error, drawn from the map's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from metasight.biomarkers.map_error import biomarker_errors
from metasight.biomarkers.measure import measure
from metasight.biomarkers.names import GENERATED
from metasight.biomarkers.structures import structure_mask
from metasight.cohort.settings import MapSettings, SeveralHe
from metasight.engine.step import Inputs, StepKind
from metasight.engine.threads import one_torch_thread
from metasight.errors import MarkerError
from metasight.features.columns import ERROR
from metasight.ledger import Entry, Fate
from metasight.maps.agreement import structure_hits
from metasight.maps.density import DensityMap
from metasight.maps.generator import load_generator
from metasight.maps.generator_settings import GeneratorSettings
from metasight.maps.generator_shift import generator_shifts
from metasight.maps.ome import read_density_map, write_density_map
from metasight.maps.regions import Regions, on_grid_of, regions_of
from metasight.maps.training_tiles import MarkedSection, TilesSettings, collect_tiles, save_tiles
from metasight.maps.tumour import tumour_from_marker, tumour_from_painted
from metasight.protocol.study import SlideProtocol, require_roles
from metasight.steps import artefacts
from metasight.steps.failures import OF_ALL_SLIDES, why_failed
from metasight.steps.files import number
from metasight.steps.slides.choice import chosen_he
from metasight.steps.slides.map_regions import (
    TableArgument,
    ledger_rows,
    place_regions,
    save_comparison,
)
from metasight.steps.slides.one_slide import SlideArgument, opened
from metasight.steps.slides.pairs import (
    Pair,
    density_together,
    error_of,
    he_window,
    pairs_of,
    shown,
)
from metasight.steps.slides.patient import PATIENT
from metasight.steps.slides.sections import (
    REGION_UM,
    Measured,
    checking,
    definitions,
    marking,
    measure_section,
    read_cells,
    read_tissue,
    scanned_area_um2,
)
from metasight.steps.slides.tumour_share import JudgedShare, judged_share

MAP = "map of "
TILES = "training tiles of "
GENERATOR = "generator "
EVERYBODY = "all"
"""Names the generator that learns from every patient: it paints new ones, never these."""
COMPARED = "comparison of generators"
NEW_PATIENTS = -2
"""Its fold, which is nobody's."""
STAGE = "generated map"
NUCLEI = "nuclei"
REGIONS_UM = (64.0, 128.0)
SPREAD_UM = REGION_UM / math.sqrt(12)
"""Standard deviation of a region of 64 µm: what cells of a section are spread by to be compared."""
REGION_COLUMNS = ("generated", "measured", "error", "baseline", "row", "column")

Found = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class MapArgument:
    """A patient's slides, and how maps are made.

    Attributes
    ----------
    patient
        Pseudonym.
    slides
        All of them.
    protocol
        What measures on slides rest on.
    settings
        Of the study.
    fold
        The patient's; the generator of that number has not seen him.
    generator
        Folder of a generator trained elsewhere, instead.
    seed
        Of the study.
    several_he
        Which H&E counts where several may be used.
    table
        The patient's rows of the table of regions; None without any.
    """

    patient: str
    slides: tuple[SlideArgument, ...]
    protocol: SlideProtocol
    settings: MapSettings
    fold: int
    generator: Path | None
    seed: int
    several_he: SeveralHe = "first"
    table: TableArgument | None = None


def _pairs(inputs: Inputs, argument: MapArgument) -> list[Pair]:
    sections = {a.slide.name: a.slide.markers for a in argument.slides if a.slide.stain != "H&E"}
    return pairs_of(inputs[f"{PATIENT}{argument.patient}"], sections)


# ------------------------------------------------------------------ training


def collect(inputs: Inputs, out: Path, argument: MapArgument) -> None:
    """Training tiles of one patient's accepted pairs and regions, or why there are none."""
    he = chosen_he(inputs, argument.slides, argument.several_he)
    pairs = _pairs(inputs, argument) if he is not None else []
    table = argument.table
    regions = table.learnt_from(he.slide.name) if table is not None and he is not None else ()
    if he is None or not (pairs or regions):
        artefacts.TILES.write(out, {"none": "no accepted pair"})
        return
    checked = inputs[checking(he.slide.name)]
    tissue, mpp = read_tissue(artefacts.TISSUE.path(checked))
    asked = argument.settings
    settings = TilesSettings(most_tiles=asked.most_tiles, tile_um=asked.tile_um, seed=argument.seed)
    try:
        targets = _targets(inputs, argument, he, pairs)
        with opened(he) as slide:
            tiles = collect_tiles(slide, tissue, mpp, targets, settings, regions=regions)
    except OF_ALL_SLIDES:
        raise
    except Exception as error:  # noqa: BLE001 (a damaged file may raise anything)
        artefacts.TILES.write(out, {"none": why_failed(error)})
        return
    save_tiles(tiles, artefacts.TRAINING_TILES.path(out))
    told = [*tiles.markers, *(tiles.regions.markers if tiles.regions is not None else ())]
    artefacts.TILES.write(out, {"tiles": len(tiles), "markers": list(dict.fromkeys(told))})


def _targets(
    inputs: Inputs, argument: MapArgument, he: SlideArgument, pairs: Sequence[Pair]
) -> dict[str, MarkedSection]:
    """Cells of a patient's accepted sections on the H&E, and its own nuclei."""
    shared = he_window(inputs[checking(he.slide.name)])
    folder = inputs[f"{PATIENT}{argument.patient}"]
    targets: dict[str, MarkedSection] = {}
    for pair in pairs:
        there = shown(inputs, pair, shared)
        if there is None:
            continue
        for marker in pair.markers:
            targets[marker] = MarkedSection(
                cells=there.cells,
                window=there.window,
                error_um=error_of(folder, pair.section),
                section=pair.section,
            )
    nuclei = artefacts.CELLS.path(inputs[marking(he.slide.name)])
    if nuclei.is_file():
        targets[NUCLEI] = MarkedSection(
            cells=read_cells(nuclei, (NUCLEI,)),
            window=shared,
            section=he.slide.name,
            error_um=lambda x, _: np.zeros(len(x)),
        )
    return targets


@dataclass(frozen=True, kw_only=True)
class GeneratorArgument:
    """Whom a generator may learn from.

    Attributes
    ----------
    fold
        The fold that is left out.
    patients
        Pseudonyms of all other folds.
    settings, seed
        Of the study.
    """

    fold: int
    patients: tuple[str, ...]
    settings: MapSettings
    seed: int


def train(inputs: Inputs, out: Path, argument: GeneratorArgument) -> None:
    """The generator of one fold, or why it cannot be trained."""
    from metasight.maps.train import train_generator

    tiles = {}
    for patient in argument.patients:
        file = artefacts.TRAINING_TILES.path(inputs[f"{TILES}{patient}"])
        if file.is_file():
            tiles[patient] = file
    asked = argument.settings
    settings = GeneratorSettings(
        reads=asked.reads,
        steps=asked.steps,
        width=asked.width,
        members=asked.members,
        batch=asked.batch,
    )
    try:
        with one_torch_thread():
            train_generator(tiles, settings, seed=argument.seed + argument.fold, work=out)
    except MarkerError as error:
        artefacts.FAILED.write(out, {"failed": str(error)})


# ------------------------------------------------------------------ painting


def paint_patient(inputs: Inputs, out: Path, argument: MapArgument) -> None:
    """Paint a patient's H&E, measure the map, and hold it against the sections where there are any.

    Writes ``map.json`` with the ledger rows, features and their errors.
    """
    try:
        told = _painted(inputs, out, argument)
    except OF_ALL_SLIDES:
        raise
    except Exception as error:  # noqa: BLE001 (a damaged file may raise anything)
        told = {"features": {}, "ledger": [_row(argument, Fate.FAILED, "", why_failed(error))]}
    told = {"patient": argument.patient, "fold": argument.fold, **told}
    artefacts.MAP.write(out, told)


def read_map(folder: Path) -> Found:
    """What is told of a painted map.

    Raises
    ------
    StoreError
        It has another format.
    """
    found: Found = artefacts.MAP.read(folder)
    return found


def _row(argument: MapArgument, verdict: Fate, value: str, reason: str) -> Found:
    entry = Entry(
        patient=argument.patient,
        item="H&E",
        stage=STAGE,
        verdict=verdict,
        criterion="",
        value=value,
        reason=reason,
    )
    return asdict(entry)


def _painted(inputs: Inputs, out: Path, argument: MapArgument) -> Found:
    from metasight.maps.predict import paint

    he = chosen_he(inputs, argument.slides, argument.several_he)
    if he is None:
        raise MarkerError(
            "there is no H&E slide that can be painted on",
            where="patient",
            remedy="See the slides' quality in the ledger",
        )
    folder = argument.generator or inputs.one(StepKind.TRAIN_GENERATOR)
    if folder is None:
        raise MarkerError("there is no generator to paint with", where=STAGE)
    if artefacts.FAILED.is_in(folder):
        raise MarkerError(
            "the generator could not be trained",
            where=STAGE,
            value=str(artefacts.FAILED.read(folder)["failed"]),
        )
    generator = load_generator(folder, sha256=argument.settings.sha256)
    checked = inputs[checking(he.slide.name)]
    tissue, mpp = read_tissue(artefacts.TISSUE.path(checked))
    with opened(he) as slide, one_torch_thread():
        painted = paint(slide, tissue, mpp, generator, patients=(argument.patient,))
    write_density_map(painted.map, artefacts.GENERATED.path(out))
    unlike = painted.outlier is not None and painted.outlier.flagged
    told: Found = {
        "generator": painted.generator,
        "generator_saw": len(generator.trained_on),
        "markers": list(painted.map.markers),
        "mpp": artefacts.QUALITY.read(checked)["mpp"],
        "outlier": None
        if painted.outlier is None
        else {
            "score": number(painted.outlier.score),
            "threshold": number(painted.outlier.threshold),
            "flagged": unlike,
        },
    }
    section = _section(painted.map, argument, out, checked)
    told["measures"] = measured = _with_errors(section, painted.map, argument)
    told["labels"] = dict(section.biomarkers.labels)
    told["tumour_percent"] = section.tumour.percent
    told["tumour_share"] = _share(painted.map, argument, he, checked)
    told |= _compared(inputs, out, argument, section, he)
    beside, of_table = _beside_table(inputs, out, argument, painted.map, he)
    told |= beside
    text = f"tumour area {told['tumour_percent']:.1f} %"
    if painted.outlier is not None:
        text += f", unlike training by {painted.outlier.score:.2f}"
    if unlike:
        reason = "the slide is unlike those that the generator learnt from; its map is not used"
        own = _row(argument, Fate.EXCLUDED, text, reason)
    else:
        own = _row(argument, Fate.KEPT, text, "")
    return told | {"features": {} if unlike else measured, "ledger": [own, *of_table]}


def _beside_table(
    inputs: Inputs, out: Path, argument: MapArgument, painted: DensityMap, he: SlideArgument
) -> tuple[Found, list[Found]]:
    """The map beside the patient's regions of the table, and the ledger's rows of these."""
    table = argument.table
    if table is None:
        return {}, []
    checked = inputs[checking(he.slide.name)]
    placed = place_regions(table, he.slide.name, painted, artefacts.QUALITY.read(checked)["mpp"])
    tile_px = round(argument.settings.tile_um / painted.spacing_um)
    rows = ledger_rows(
        table,
        he.slide.name,
        placed,
        argument.patient,
        tile_px=tile_px if argument.generator is None else None,
    )
    if table.use == "train":
        return {}, rows
    own = artefacts.DENSITY.path(inputs[marking(he.slide.name)])
    nuclei = on_grid_of(read_density_map(own), painted) if own.is_file() else None
    return {"table": save_comparison(argument.patient, painted, placed, nuclei, out)}, rows


def _section(painted: DensityMap, argument: MapArgument, out: Path, checked: Path) -> Measured:
    """The map measured as a section is."""
    quality = artefacts.QUALITY.read(checked)
    return measure_section(
        painted,
        painted.window,
        argument.protocol,
        out,
        slide=quality["slide"],
        scanned_area_um2=scanned_area_um2(quality),
        mpp=quality["mpp"],
        seed=argument.seed,
    )


def _share(
    painted: DensityMap, argument: MapArgument, he: SlideArgument, checked: Path
) -> Found | None:
    """The tumour's share of the section, with the map's error, and what criteria make of it.

    None from a map that states no error: it cannot decide.
    """
    roles = require_roles(argument.protocol, where=STAGE)
    if not np.isfinite(painted.error[:, painted.support]).all():
        return None
    area = tumour_from_painted(
        painted,
        roles.tumour,
        scanned_area_um2=scanned_area_um2(artefacts.QUALITY.read(checked)),
        seed=argument.seed,
    )
    judged = judged_share(
        argument.patient, he.slide.name, argument.protocol, area.estimate, area.basis
    )
    return {"percent": judged.percent, "ledger": [asdict(e) for e in judged.entries]}


def _with_errors(section: Measured, painted: DensityMap, argument: MapArgument) -> Found:
    """Biomarkers, each with its error: the spread over maps drawn from the map's own."""
    errors = biomarker_errors(
        painted,
        section.tumour.region,
        definitions(argument.protocol),
        draws=argument.settings.draws,
        seed=argument.seed,
    )
    values = {m["name"]: m["value"] for m in section.found["measures"]}
    return {
        name: {
            "value": value,
            "error": number(errors[name]) if value is not None else None,
        }
        for name, value in values.items()
    }


def _compared(
    inputs: Inputs, out: Path, argument: MapArgument, section: Measured, he: SlideArgument
) -> Found:
    """Regions and biomarkers of the map beside what the patient's sections show; empty without any.

    Biomarkers of the sections are measured as the map's are: on densities, brought onto the H&E.
    """
    painted, pairs = section.density, _pairs(inputs, argument)
    roles = require_roles(argument.protocol, where=STAGE)
    shared, markers = he_window(inputs[checking(he.slide.name)]), roles.names
    counted = density_together(inputs, pairs, shared, markers, bandwidth_um=0.0)
    smooth = density_together(inputs, pairs, shared, markers, bandwidth_um=SPREAD_UM)
    if counted is None or smooth is None:
        return {}
    write_density_map(counted, artefacts.MEASURED.path(out))
    folder = inputs[f"{PATIENT}{argument.patient}"]
    p90 = {m: error_of(folder, p.section).p90_um for p in pairs for m in p.markers}
    own = artefacts.DENSITY.path(inputs[marking(he.slide.name)])
    nuclei = read_density_map(own) if own.is_file() else None
    regions = [
        regions_of(
            argument.patient,
            painted,
            counted,
            marker,
            region_um=region_um,
            p90_um=p90[marker],
            nuclei=nuclei,
        )
        for region_um in REGIONS_UM
        for marker in markers
    ]
    told = _save_regions(regions, [m for _ in REGIONS_UM for m in markers], out)
    tumour = tumour_from_marker(smooth, roles.tumour, scanned_area_um2=smooth.window.area_um2)
    reference = measure(
        smooth, smooth.window, tumour.region, definitions(argument.protocol), seed=argument.seed
    )
    hits = structure_hits(
        structure_mask(section.biomarkers.aggregates, painted),
        structure_mask(reference.aggregates, painted),
        spacing_um=painted.spacing_um,
        tolerance_um=max(p90.values()),
        seed=argument.seed,
    )
    return {
        "regions": told,
        "reference": {
            "values": {m.name: number(m.value) for m in reference.measures},
            "labels": dict(reference.labels),
        },
        "tls": {
            "measured": hits.measured,
            "generated": hits.generated,
            "hit": hits.hit,
            "confirmed": hits.confirmed,
            "expected_rate": number(hits.expected_rate),
        },
    }


def _save_regions(regions: Sequence[Regions], markers: Sequence[str], out: Path) -> list[Found]:
    """Write ``regions.parquet``, a row a region; return what holds for all regions of a size."""
    frames, told = [], []
    for own, marker in zip(regions, markers, strict=True):
        about = {"marker": marker, "region_um": own.region_um}
        columns = {c: getattr(own, c) for c in REGION_COLUMNS}
        frames.append(pd.DataFrame({**about, **columns}))
        told.append(
            {
                **about,
                "noise_variance": number(own.noise_variance),
                "displaced_covariance": number(own.displaced_covariance),
            }
        )
    pd.concat(frames, ignore_index=True).to_parquet(artefacts.REGIONS.path(out))
    return told


# ------------------------------------------------------------------ the cohort


@dataclass(frozen=True, kw_only=True)
class Generated:
    """What painted maps tell of a cohort, by pseudonym.

    Attributes
    ----------
    features
        Biomarkers, with a column of error each.
    tumour_share
        Tumour's share of the scanned field and what criteria make of it; of maps with an error.
    entries
        Ledger rows.
    """

    features: dict[str, dict[str, Any]]
    tumour_share: dict[str, JudgedShare]
    entries: list[Entry]


def generated(inputs: Inputs) -> Generated:
    """What all painted maps tell; a map that is not used tells nothing."""
    features: dict[str, dict[str, Any]] = {}
    tumour: dict[str, JudgedShare] = {}
    entries: list[Entry] = []
    for own in inputs.of(StepKind.PAINT_MAP):
        found = read_map(own.folder)
        entries += map(Entry.from_row, found["ledger"])
        row: dict[str, Any] = {}
        for measure_name, told in found["features"].items():
            row[f"{GENERATED}{measure_name}"] = told["value"]
            row[f"{GENERATED}{measure_name}{ERROR}"] = told["error"]
        features[found["patient"]] = row
        share = found["tumour_share"] if row else None
        if share is not None:
            tumour[found["patient"]] = JudgedShare(
                percent=share["percent"], entries=tuple(map(Entry.from_row, share["ledger"]))
            )
    return Generated(features=features, tumour_share=tumour, entries=entries)


# ------------------------------------------------------------------ new patients


def compare_generators(inputs: Inputs, out: Path, argument: None) -> None:
    """Biomarkers by the generator for new patients beside those by the folds' generators.

    In patients whom neither saw, for they have no marker sections. Writes ``generators.json``.
    """
    del argument
    told: dict[StepKind, dict[str, dict[str, float | None]]] = {}
    for kind in (StepKind.PAINT_MAP, StepKind.PAINT_AGAIN):
        told[kind] = {
            i.subject: {
                name: measured["value"] for name, measured in read_map(i.folder)["features"].items()
            }
            for i in inputs.of(kind)
        }
    again = told[StepKind.PAINT_AGAIN]
    shifts = generator_shifts(
        {p: v for p, v in told[StepKind.PAINT_MAP].items() if p in again}, again
    )
    artefacts.GENERATORS.write(
        out,
        {
            "patients": len(again),
            "biomarkers": [
                {
                    "name": s.name,
                    "patients": s.patients,
                    "shift_sd": number(s.shift_sd),
                    "pearson": number(s.pearson),
                }
                for s in shifts
            ],
        },
    )
