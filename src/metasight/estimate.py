"""A value with its interval: one type for every stage, and how it is written."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A number and its interval.

    Attributes
    ----------
    value
        The point estimate, in the unit of the field that holds it; NaN where it is not defined.
    lower, upper
        Ends of the interval, at the level that the field states; None where there is none.
    se
        Standard error; None where the method gives none.
    """

    value: float
    lower: float | None = None
    upper: float | None = None
    se: float | None = None

    @classmethod
    def of(cls, value: float, lower: float, upper: float) -> Estimate:
        """From numbers of which any may be NaN: an end that is NaN is none."""
        return cls(value=float(value), lower=_finite(lower), upper=_finite(upper))

    @property
    def ends(self) -> tuple[float, float]:
        """Lower and upper end, for an estimate that is known to have an interval.

        Raises
        ------
        ValueError
            It has none.
        """
        if self.lower is None or self.upper is None:
            raise ValueError("the estimate has no interval")
        return self.lower, self.upper

    def to_json(self) -> dict[str, float | None]:
        """Plain values; null for what is not defined."""
        return {
            "value": _finite(self.value),
            "lower": _finite(self.lower),
            "upper": _finite(self.upper),
            "se": _finite(self.se),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, float | None]) -> Estimate:
        """What `to_json` wrote; a value of null is NaN.

        Raises
        ------
        ValueError
            Entries are missing or unknown.
        """
        if set(data) != {"value", "lower", "upper", "se"}:
            raise ValueError(f"not an estimate: {', '.join(sorted(data))}")
        value = data["value"]
        return cls(
            value=math.nan if value is None else float(value),
            lower=data["lower"],
            upper=data["upper"],
            se=data["se"],
        )


def _finite(value: float | None) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None
