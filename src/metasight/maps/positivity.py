"""Which cells are positive: one stated rule for every marker.

Cells' signals are compared on a scale on which spreads are even: the inverse hyperbolic sine of
signal over 1, 4 or 16 times the noise, whichever parts them best. It is linear below that and
logarithmic above, and negative cells vary by more than noise where another dye shines through.
Two populations are sought; if they stand apart the threshold lies between them, at least three
noise levels up. If they do not, there is one population only, and it is positive if it lies above
five noise levels, or negative.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from metasight.errors import MarkerError

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

APART = 2.0
"""Two populations: their means lie this many pooled spreads further apart than the halves of one.

One normal population cut in two at its mean has halves 2.65 spreads apart.
"""

_ONE_POPULATION = 2.65
_SCALES = (1.0, 4.0, 16.0)  # the negative cells' own spread lies somewhere above the noise

_LEAST_NOISE_LEVELS, _ONE_POPULATION_NOISE_LEVELS = 3.0, 5.0
_FEWEST_CELLS = 20


@dataclass(frozen=True, kw_only=True)
class Positivity:
    """Positive cells of one marker and how they were told.

    Attributes
    ----------
    positive
        Shape ``(n,)``.
    threshold
        In the signal's unit; inf where no cell is positive, 0 where all are.
    separation
        Distance of the two populations over their pooled spread, less that of the halves of one
        population (2.65); NaN for a threshold that was given or too few cells.
    noise
        Standard deviation of a cell's signal where there is none of the marker.
    rule
        ``given``, ``between two populations`` or ``one population``.
    """

    positive: Flags
    threshold: float
    separation: float
    noise: float
    rule: str


def positive_cells(signal: Floats, noise: float, *, threshold: float | None = None) -> Positivity:
    """Tell positive cells from negative ones.

    Parameters
    ----------
    signal
        Mean signal of each cell, background-free, shape ``(n,)``.
    noise
        Standard deviation of such a mean without the marker, in the same unit.
    threshold
        The laboratory's own, which then decides.

    Raises
    ------
    MarkerError
        The noise is not positive.
    """
    if not noise > 0:
        raise MarkerError("a marker's noise must be above zero", value=str(noise))
    if threshold is not None:
        return Positivity(
            positive=signal >= threshold,
            threshold=threshold,
            separation=float("nan"),
            noise=noise,
            rule="given",
        )
    separation = float("nan")
    if len(signal) >= _FEWEST_CELLS:
        cut, separation = max((_split_at(signal, noise * s) for s in _SCALES), key=lambda c: c[1])
        if separation >= APART:
            level = max(cut, _LEAST_NOISE_LEVELS * noise)
            return Positivity(
                positive=signal >= level,
                threshold=level,
                separation=separation,
                noise=noise,
                rule="between two populations",
            )
    middle = float(np.median(signal)) if len(signal) else 0.0
    level = 0.0 if middle >= _ONE_POPULATION_NOISE_LEVELS * noise else float("inf")
    return Positivity(
        positive=signal >= level,
        threshold=level,
        separation=separation,
        noise=noise,
        rule="one population",
    )


def _split_at(signal: Floats, scale: float) -> tuple[float, float]:
    """Cut in the signal's unit, and separation, with spreads made even from ``scale`` upwards."""
    cut, separation = _split(np.arcsinh(signal / scale))
    return float(scale * np.sinh(cut)), separation


def _split(values: Floats) -> tuple[float, float]:
    """Best cut in two (least squares within, Otsu) and how far apart the halves are."""
    ordered = np.sort(values)
    n = len(ordered)
    sums, squares = ordered.cumsum(), (ordered**2).cumsum()
    k = np.arange(1, n)
    low_mean, high_mean = sums[:-1] / k, (sums[-1] - sums[:-1]) / (n - k)
    between = k * (n - k) * (high_mean - low_mean) ** 2
    at = int(np.argmax(between))
    within = (squares[-1] - (at + 1) * low_mean[at] ** 2 - (n - at - 1) * high_mean[at] ** 2) / n
    spread = np.sqrt(max(within, 1e-12))
    cut = (ordered[at] + ordered[at + 1]) / 2
    return float(cut), float((high_mean[at] - low_mean[at]) / spread - _ONE_POPULATION)
