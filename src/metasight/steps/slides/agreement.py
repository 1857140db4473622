"""All painted maps held against the sections that their generators did not see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from metasight.biomarkers.geojson import read_outlines
from metasight.biomarkers.phenotype import UNDECIDED
from metasight.engine.step import Inputs, StepKind
from metasight.errors import EvaluationError
from metasight.maps.agreement import agree, pearson_of_regions, spread_over
from metasight.maps.ome import read_density_map
from metasight.maps.regions import Regions
from metasight.protocol.markers import MarkerRoles
from metasight.steps import artefacts
from metasight.steps.files import number
from metasight.steps.slides.maps import REGION_COLUMNS, REGIONS_UM, read_map
from metasight.validation.agreement import agreement, kappa

AGREEMENT = "agreement of maps"
_EXAMPLES = 3
_LARGEST = 160

Found = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class AgreementArgument:
    """How maps are compared.

    Attributes
    ----------
    roles
        Markers that are compared.
    positive_per_mm2
        Marker → density from which a region counts as positive.
    seed
        Of shuffles and resamples.
    """

    roles: MarkerRoles
    positive_per_mm2: dict[str, float]
    seed: int


def judge_maps(inputs: Inputs, out: Path, argument: AgreementArgument) -> None:
    """Regions, biomarkers and phenotypes over all patients who have sections; example maps."""
    folders = {i.subject: i.folder for i in inputs.of(StepKind.PAINT_MAP)}
    told = {p: read_map(f) for p, f in sorted(folders.items())}
    compared = {p: t for p, t in told.items() if "reference" in t}
    artefacts.AGREEMENT.write(
        out,
        {
            "patients": len(told),
            "painted": sum("generator" in t for t in told.values()),
            "unlike": sum(bool((t.get("outlier") or {}).get("flagged")) for t in told.values()),
            "failed": sum("generator" not in t for t in told.values()),
            "compared": len(compared),
            "regions": _regions(folders, compared, argument),
            "table_regions": _of_table(folders, told, argument),
            "biomarkers": _biomarkers(list(compared.values())),
            "labels": _labels(list(compared.values())),
            "tls": _structures(list(compared.values())),
            "examples": _examples(folders, compared, argument.roles, out),
        },
    )


def _regions(
    folders: Mapping[str, Path], compared: Mapping[str, Found], argument: AgreementArgument
) -> list[Found]:
    if not compared:
        return []
    tables = {p: pd.read_parquet(artefacts.REGIONS.path(folders[p])) for p in compared}
    rows = []
    for marker in argument.roles.names:
        for region_um in REGIONS_UM:
            slides = [_regions_of(p, tables[p], t, marker, region_um) for p, t in compared.items()]
            slides = [s for s in slides if len(s)]
            if not slides:
                continue
            positive = argument.positive_per_mm2[marker]
            found = agree(marker, slides, threshold_per_mm2=positive, seed=argument.seed)
            rows.append({**_plain(asdict(found)), "of_ceiling": _plain(found.of_ceiling)})
    return rows


def _regions_of(
    patient: str, table: pd.DataFrame, told: Found, marker: str, region_um: float
) -> Regions:
    own = table[(table["marker"] == marker) & (table["region_um"] == region_um)]
    about = next(r for r in told["regions"] if (r["marker"], r["region_um"]) == (marker, region_um))

    def known(name: str) -> float:
        return float("nan") if about[name] is None else float(about[name])

    columns = {c: own[c].to_numpy() for c in REGION_COLUMNS}
    return Regions(
        patient=patient,
        region_um=region_um,
        noise_variance=known("noise_variance"),
        displaced_covariance=known("displaced_covariance"),
        **columns,
    )


def _of_table(
    folders: Mapping[str, Path], told: Mapping[str, Found], argument: AgreementArgument
) -> list[Found]:
    """Maps beside the regions of the study's table: a row a marker, counts and scores apart."""
    slides: dict[tuple[str, bool], list[Regions]] = {}
    for patient, found in told.items():
        if not found.get("table"):
            continue
        table = pd.read_parquet(artefacts.TABLE_REGIONS.path(folders[patient]))
        for about in found["table"]:
            key = (str(about["marker"]), bool(about["score"]))
            own = table[(table["marker"] == key[0]) & (table["score"] == key[1])]
            slides.setdefault(key, []).append(
                Regions(
                    patient=patient,
                    region_um=about["region_um"],
                    noise_variance=about["noise_variance"],
                    displaced_covariance=float("nan"),
                    **{c: own[c].to_numpy() for c in REGION_COLUMNS},
                )
            )
    rows = []
    for (marker, score), own_slides in sorted(slides.items()):
        median = float(np.median(np.repeat(*_sizes(own_slides))))
        sized = [replace(s, region_um=median) for s in own_slides]
        positive = argument.positive_per_mm2.get(marker, float("nan"))
        agreed = agree(marker, sized, threshold_per_mm2=positive, seed=argument.seed)
        row = {**_plain(asdict(agreed)), "of_ceiling": _plain(agreed.of_ceiling), "score": score}
        if score:  # of another unit than the map's: how it rises with it is all that can be told
            row |= dict.fromkeys(_OF_ONE_UNIT)
        rows.append(row)
    return rows


_OF_ONE_UNIT = (
    *("concordance", "slope", "intercept", "f1", "threshold_per_mm2", "f1_all_positive"),
    *("prevalence", "covered", "ceiling", "of_ceiling"),
)


def _sizes(slides: Sequence[Regions]) -> tuple[list[float], list[int]]:
    return [s.region_um for s in slides], [len(s) for s in slides]


def _plain(value: Any) -> Any:
    """Plain JSON, None for what is no number."""
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return number(value) if isinstance(value, float) else value


def _biomarkers(compared: Sequence[Found]) -> list[Found]:
    """Agreement of each biomarker between map and sections."""
    names = list(compared[0]["reference"]["values"]) if compared else []
    rows = []
    for name in names:
        pair = [
            (t["reference"]["values"].get(name), t["measures"].get(name, {}).get("value"))
            for t in compared
        ]
        measured, painted = np.array(pair, dtype=np.float64).T
        try:
            found = agreement(measured, painted)
        except EvaluationError:
            continue  # position-based measures need cells, which a map has not
        rows.append(
            {
                "name": name,
                **_plain(asdict(found)),
                "measured": [number(v) for v in measured],
                "painted": [number(v) for v in painted],
            }
        )
    return rows


def _labels(compared: Sequence[Found]) -> list[Found]:
    names = list(compared[0]["reference"]["labels"]) if compared else []
    rows = []
    for name in names:
        measured = [_decided(t["reference"]["labels"].get(name)) for t in compared]
        painted = [_decided(t["labels"].get(name)) for t in compared]
        try:
            found = kappa(measured, painted)
        except EvaluationError:
            continue
        rows.append({"name": name, **_plain(asdict(found))})
    return rows


def _decided(label: str | None) -> str | None:
    """The class, None where there is none to compare."""
    return None if label in {"", UNDECIDED} else label


def _structures(compared: Sequence[Found]) -> Found:
    """Tertiary lymphoid structures over all patients: found, confirmed, and by chance."""
    names = ("measured", "generated", "hit", "confirmed")
    total: Found = {name: sum(t["tls"][name] for t in compared) for name in names}
    chance = [
        t["tls"]["measured"] * t["tls"]["expected_rate"]
        for t in compared
        if t["tls"]["expected_rate"] is not None
    ]
    return {**total, "by_chance": float(sum(chance))}


def _examples(
    folders: Mapping[str, Path], compared: Mapping[str, Found], roles: MarkerRoles, out: Path
) -> list[Found]:
    """Maps of the patients at the worst, the middle and the best agreement of T cells."""
    scores: dict[str, float] = {}
    for patient in compared:
        table = pd.read_parquet(artefacts.REGIONS.path(folders[patient]))
        own = table[(table["marker"] == roles.t_cell) & (table["region_um"] == REGIONS_UM[-1])]
        r = pearson_of_regions(own["generated"].to_numpy(), own["measured"].to_numpy())
        if r is not None:
            scores[patient] = r
    told = []
    for place, patient in enumerate(spread_over(scores, _EXAMPLES)):
        arrays: dict[str, Any] = {}
        spacing = 0.0
        for kind in ("generated", "measured"):
            read = read_density_map(folders[patient] / f"{kind}.ome.tif")
            step = max(1, -(-max(read.support.shape) // _LARGEST))
            spacing = read.spacing_um * step
            for m in roles.names:
                arrays[f"{kind} {m}"] = read.plane(m)[::step, ::step]
        with (out / f"example{place}.npz").open("wb") as file:
            np.savez_compressed(file, **arrays)
        told.append(
            {
                "patient": patient,
                "pearson": scores[patient],
                "spacing_um": spacing,
                "outlines": _outlines(folders[patient]),
            }
        )
    return told


def _outlines(folder: Path) -> list[list[list[float]]]:
    """Outer rings of the TLS of a map, µm."""
    outlines = read_outlines(artefacts.STRUCTURES.path(folder), read_map(folder)["mpp"])
    parts = [p for outline in outlines for p in getattr(outline, "geoms", [outline])]
    return [[[x, y] for x, y in part.exterior.coords] for part in parts]
