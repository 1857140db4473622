"""A band that holds a whole curve over thresholds, not each of its points by itself."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class BandPoint:
    """The curve and its simultaneous band at one threshold.

    Attributes
    ----------
    threshold
        Risk at or above which one acts, in (0, 1).
    value
        The curve in the patients as they are, per patient.
    lower, upper
        ``None`` where there is no band.
    reason
        Why there is none; empty where there is one.
    """

    threshold: float
    value: float
    lower: float | None
    upper: float | None
    reason: str


@dataclass(frozen=True, kw_only=True)
class ThresholdBand:
    """A curve over thresholds with a band that holds all of it with the stated confidence.

    Attributes
    ----------
    points
        By ascending threshold. The band is simultaneous over those that have one.
    confidence
        Of the whole band.
    critical
        Standard errors that the band reaches to either side; ``None`` where no point has a band.
    resamples
        Bootstrap resamples that it rests on.
    """

    points: tuple[BandPoint, ...]
    confidence: float
    critical: float | None
    resamples: int

    @property
    def above_zero(self) -> tuple[float, ...]:
        """Thresholds at which the whole band lies above 0."""
        return tuple(p.threshold for p in self.points if p.lower is not None and p.lower > 0)

    @property
    def below_zero(self) -> tuple[float, ...]:
        """Thresholds at which the whole band lies below 0."""
        return tuple(p.threshold for p in self.points if p.upper is not None and p.upper < 0)
