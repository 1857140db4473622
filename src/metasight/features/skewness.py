"""Logarithms of right-skewed features, chosen on training rows.

Densities, volumes, counts and intensities are right-skewed: a few patients lie many standard
deviations above the rest and would decide a straight line. The logarithm is taken of a continuous
feature that is never negative, where it takes the skewness down. Which features, and how, is learnt
from training rows and stored; a new patient's values are transformed as theirs were. No outcome is
looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metasight.features.columns import FeatureTable, Kind

SKEWED = 0.5
"""Sample skewness above which a logarithm is considered."""

_FEWEST, _FEWEST_DISTINCT = 10, 5
"""Values, and different values, below which nothing is learnt of a feature's shape."""
_OFFSET_QUANTILE = 0.25


@dataclass(frozen=True, kw_only=True)
class Logarithm:
    """x becomes log(max(x, floor) + offset), the natural logarithm.

    Attributes
    ----------
    offset
        0 where training values are all above 0; else the lower quartile of those above 0 (1 for
        counts), ≥ 0.
    floor
        Smallest training value, ≥ 0: the logarithm of less would lie outside what was seen.
    """

    offset: float
    floor: float

    def of(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Transformed values, NaN where missing."""
        return np.asarray(np.log(np.maximum(x, self.floor) + self.offset))

    def error(self, x: NDArray[np.float64], error: NDArray[np.float64]) -> NDArray[np.float64]:
        """Standard error of the transformed value.

        Half the distance between the logarithms of value + error and value − error. For a small
        error that is the delta method's error / (value + offset), which for a value near 0 would be
        beyond all measure.
        """
        return np.asarray((self.of(x + error) - self.of(x - error)) / 2)


def skewness(x: NDArray[np.float64]) -> float:
    """Third standardised moment; 0 where values do not vary."""
    centred = x - x.mean()
    spread = float(np.sqrt((centred**2).mean()))
    if spread <= 1e-12 * max(1.0, float(np.abs(x).max())):
        return 0.0
    return float(((centred / spread) ** 3).mean())


@dataclass(frozen=True)
class Logarithms:
    """Features of which the logarithm is read.

    Attributes
    ----------
    learnt
        Feature → its logarithm.
    """

    learnt: Mapping[str, Logarithm] = field(default_factory=dict)

    @classmethod
    def of(cls, own: FeatureTable) -> Logarithms:
        """Learn from the rows of ``own``, for its continuous features."""
        found = {}
        for feature in own.features:
            if feature.kind is not Kind.CONTINUOUS:
                continue
            x = own.values[feature.name].to_numpy(dtype=float)
            chosen = _logarithm(x[np.isfinite(x)])
            if chosen is not None:
                found[feature.name] = chosen
        return cls(found)

    @property
    def state(self) -> dict[str, Any]:
        """Plain JSON."""
        return {name: [log.offset, log.floor] for name, log in self.learnt.items()}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Logarithms:
        """Inverse of :attr:`state`."""
        return cls({name: Logarithm(offset=o, floor=f) for name, (o, f) in state.items()})

    def apply(self, table: FeatureTable) -> FeatureTable:
        """The table with the logarithms in place of values, and of errors what they become."""
        if not self.learnt:
            return table
        values = table.values.copy()
        for feature in table.features:
            if feature.error_of in self.learnt:
                raw = table.values[feature.error_of].to_numpy(dtype=float)
                error = table.values[feature.name].to_numpy(dtype=float)
                values[feature.name] = self.learnt[feature.error_of].error(raw, error)
            elif feature.name in self.learnt:
                raw = table.values[feature.name].to_numpy(dtype=float)
                values[feature.name] = self.learnt[feature.name].of(raw)
        return FeatureTable(values, table.features)

    def named(self, column: str, feature: str) -> str:
        """Name of a feature's column in a design: ``log(size)'`` of ``size'``."""
        if feature not in self.learnt or not column.startswith(feature):
            return column
        return f"log({feature}){column[len(feature) :]}"


def _logarithm(x: NDArray[np.float64]) -> Logarithm | None:
    """The logarithm that takes the skewness down; None where there is none to take."""
    if len(x) < _FEWEST or float(x.min()) < 0 or len(np.unique(x)) < _FEWEST_DISTINCT:
        return None
    before = skewness(x)
    if before <= SKEWED:
        return None
    above = x[x > 0]
    offset = 0.0 if len(above) == len(x) else float(np.quantile(above, _OFFSET_QUANTILE))
    found = Logarithm(offset=offset, floor=float(x.min()))
    return found if abs(skewness(found.of(x))) < before else None
