"""The error of biomarkers that are measured on a painted map."""

from __future__ import annotations

import math

import numpy as np

from metasight.biomarkers.definitions import BiomarkerDefinitions
from metasight.biomarkers.measure import measure
from metasight.maps.density import DensityMap
from metasight.maps.drawn import drawn_map
from metasight.maps.window import TissueWindow


def biomarker_errors(
    painted: DensityMap,
    tumour: TissueWindow | None,
    definitions: BiomarkerDefinitions,
    *,
    draws: int,
    seed: int,
) -> dict[str, float]:
    """Standard deviation of each biomarker over maps that the painted one's error allows.

    Parameters
    ----------
    painted
        With its error.
    tumour
        Region found on the painted map; the same in every drawn one.
    definitions
        Of the biomarkers.
    draws
        How many maps are drawn.
    seed
        Of the maps.

    Returns
    -------
    Name → error in the biomarker's unit, NaN where fewer than two maps gave a value.
    """
    drawn: dict[str, list[float]] = {}
    for draw in range(draws):
        other = drawn_map(painted, seed=seed, draw=draw)
        for m in measure(other, painted.window, tumour, definitions, seed=seed).measures:
            drawn.setdefault(m.name, []).append(m.value)
    errors = {}
    for name, values in drawn.items():
        spread = np.array(values)
        spread = spread[np.isfinite(spread)]
        errors[name] = float(spread.std(ddof=1)) if len(spread) > 1 else math.nan
    return errors
