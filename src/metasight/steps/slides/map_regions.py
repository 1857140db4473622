"""A patient's regions of a table: which are on the measured H&E, and the map beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from metasight.cohort.region_table import RegionRow
from metasight.ledger import Entry, Fate
from metasight.maps.density import DensityMap
from metasight.maps.table_regions import (
    PlacedRegion,
    compare_with_table,
    lay_regions,
    unusable,
    why_unusable,
)
from metasight.steps import artefacts
from metasight.steps.files import number

STAGE = "region table"
OTHER_SLIDE = "another H&E of the patient is the one that is measured"
COLUMNS = ("generated", "measured", "error", "baseline", "row", "column")

Found = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class TableArgument:
    """A patient's rows of the table of regions.

    Attributes
    ----------
    rows
        On any H&E of the patient.
    use
        As study.toml says.
    """

    rows: tuple[RegionRow, ...]
    use: Literal["train", "test", "both"]

    def on(self, slide: str) -> tuple[RegionRow, ...]:
        """Rows of one slide."""
        return tuple(r for r in self.rows if r.slide == slide)

    def learnt_from(self, slide: str) -> tuple[RegionRow, ...]:
        """Rows of one slide that a generator may learn from; of other patients it paints."""
        return () if self.use == "test" else self.on(slide)


def ledger_rows(
    table: TableArgument,
    slide: str,
    placed: Sequence[PlacedRegion],
    patient: str,
    *,
    tile_px: int | None,
) -> list[Found]:
    """A ledger row for the regions that can be used, and one for each reason why others cannot.

    Parameters
    ----------
    table
        Of the patient.
    slide
        Name of the H&E that is measured.
    placed
        Its regions on the grid.
    patient
        Pseudonym.
    tile_px
        Side of a training tile on the grid; None where nothing is trained here.
    """
    rows, own = len(table.rows), table.on(slide)
    learns = tile_px is not None and table.use != "test"
    reasons = unusable(own, placed, longest_px=tile_px if learns else None)
    reasons[OTHER_SLIDE] += rows - len(own)
    left = rows - sum(reasons.values())

    def entry(verdict: Fate, n: int, reason: str) -> Found:
        value = f"{n} of {rows} regions"
        return asdict(
            Entry(
                patient=patient,
                item="regions",
                stage=STAGE,
                verdict=verdict,
                value=value,
                reason=reason,
            )
        )

    told = [entry(Fate.KEPT, left, "")] if left else []
    return told + [entry(Fate.EXCLUDED, n, reason) for reason, n in reasons.items() if n]


def place_regions(
    table: TableArgument, slide: str, painted: DensityMap, mpp: float
) -> list[PlacedRegion]:
    """The rows of a slide on the grid of its painted map."""
    return lay_regions(table.on(slide), painted.support, spacing_um=painted.spacing_um, mpp=mpp)


def save_comparison(
    patient: str,
    painted: DensityMap,
    placed: Sequence[PlacedRegion],
    nuclei: DensityMap | None,
    out: Path,
) -> list[Found]:
    """Write ``table-regions.parquet``, a row a region and marker; return what holds for all.

    Nothing is written where no region can be compared.
    """
    usable = [p for p in placed if not why_unusable(p)]
    frames, told = [], []
    for marker in painted.markers:
        for score in (False, True):
            found = compare_with_table(patient, painted, usable, marker, score=score, nuclei=nuclei)
            if not len(found):
                continue
            about = {"marker": marker, "score": score}
            columns = {c: getattr(found, c) for c in COLUMNS}
            frames.append(pd.DataFrame({**about, **columns}))
            told.append(
                {
                    **about,
                    "region_um": number(found.region_um),
                    "regions": len(found),
                    "noise_variance": number(found.noise_variance),
                }
            )
    if frames:
        table = pd.concat(frames, ignore_index=True)
        table["score"] = table["score"].astype(np.bool_)
        table.to_parquet(artefacts.TABLE_REGIONS.path(out))
    return told
