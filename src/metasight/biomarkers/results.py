"""Named values with their unit, interval, null and definition."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from metasight.biomarkers.tls import Aggregate
from metasight.errors import MarkerError

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Measure:
    """One biomarker of one section.

    Attributes
    ----------
    name
        Lower snake case with its unit; the column's name in the feature table.
    unit
        As printed.
    value
        NaN where it could not be measured: never 0 for "not known".
    lower, upper
        95 % interval by tissue resampling; NaN where the tissue is too small for one.
    null_mean, null_z, null_p
        Under random labelling within the window: its mean, how many standard deviations away
        the value lies, and a two-sided p; NaN where the measure has no such null.
    definition
        Entry of the definitions that it follows.
    reason
        Why the value is missing; empty where there is one.
    """

    name: str
    unit: str
    value: float
    lower: float = math.nan
    upper: float = math.nan
    null_mean: float = math.nan
    null_z: float = math.nan
    null_p: float = math.nan
    definition: str
    reason: str = ""

    def __post_init__(self) -> None:
        if math.isnan(self.value) != bool(self.reason):
            raise MarkerError(
                "a missing biomarker needs a reason, and only a missing one", where=self.name
            )


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A function of distance with its random labelling.

    Attributes
    ----------
    name, unit
        As of a measure.
    radius_um, value
        Shape ``(bins,)``.
    null_lower, null_upper
        Pointwise 95 % band under random labelling.
    """

    name: str
    unit: str
    radius_um: Floats
    value: Floats
    null_lower: Floats
    null_upper: Floats


@dataclass(frozen=True, kw_only=True)
class Biomarkers:
    """All measures of one section.

    Attributes
    ----------
    measures
        In a fixed order, the same names for every section.
    labels
        Classes in words: ``mixing_class`` (cold, mixed, compartmentalised, undecided),
        ``infiltration_class`` (inflamed, excluded, desert), ``t_cell_location`` (infiltrated,
        uniform, excluded); empty where unknown.
    probabilities
        Of each class of a label, where the tissue is large enough to state them; so far of
        ``mixing_class`` only.
    aggregates
        The TLS found.
    curves
        L, pair correlation and G, where cells were given.
    window_area_mm2
        Tissue looked at.
    n_cells
        Cells in it; 0 from a density map.
    """

    measures: tuple[Measure, ...]
    labels: Mapping[str, str]
    probabilities: Mapping[str, Mapping[str, float]]
    aggregates: tuple[Aggregate, ...]
    curves: tuple[Curve, ...]
    window_area_mm2: float
    n_cells: int

    def __getitem__(self, name: str) -> Measure:
        for found in self.measures:
            if found.name == name:
                return found
        raise KeyError(name)

    def values(self) -> dict[str, float]:
        """Feature columns: value by name, NaN where missing."""
        return {m.name: m.value for m in self.measures}


def missing(name: str, unit: str, definition: str, reason: str) -> Measure:
    """A measure that could not be taken, and why."""
    return Measure(name=name, unit=unit, value=math.nan, definition=definition, reason=reason)


def stated(
    name: str,
    unit: str,
    value: float,
    *,
    definition: str,
    interval: tuple[float, float] = (math.nan, math.nan),
    null: tuple[float, float] | Floats | None = None,
    undefined: str = "the cells that it compares do not occur",
) -> Measure:
    """A measure with its interval and null.

    Parameters
    ----------
    null
        (mean, standard deviation) where they are known exactly, or the values of the
        permutations.
    undefined
        The reason to give should the value be NaN.
    """
    if not math.isfinite(value):
        return missing(name, unit, definition, undefined)
    mean, z, p = _against(value, null)
    return Measure(
        name=name,
        unit=unit,
        value=float(value),
        lower=interval[0],
        upper=interval[1],
        null_mean=mean,
        null_z=z,
        null_p=p,
        definition=definition,
    )


def _against(value: float, null: tuple[float, float] | Floats | None) -> tuple[float, float, float]:
    if null is None:
        return math.nan, math.nan, math.nan
    if isinstance(null, tuple):
        mean, deviation = null
        if not deviation > 0:
            return mean, math.nan, math.nan
        z = (value - mean) / deviation
        return mean, z, float(2 * stats.norm.sf(abs(z)))
    drawn = null[np.isfinite(null)]
    if len(drawn) < 0.9 * len(null) or not len(drawn):
        return math.nan, math.nan, math.nan
    mean, deviation = float(drawn.mean()), float(drawn.std(ddof=1))
    as_far = int((np.abs(drawn - mean) >= abs(value - mean) - 1e-12).sum())
    z = (value - mean) / deviation if deviation > 0 else math.nan
    return mean, z, (1 + as_far) / (1 + len(drawn))
