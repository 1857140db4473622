"""A difference between models with an interval that counts the fitting."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class FoldContrast:
    """Model minus reference with an interval that counts the fitting.

    It is of the procedure, fitted to as many patients as a training fold has, not of the locked
    model.

    Attributes
    ----------
    difference
        Model minus reference, averaged over folds and repeats.
    lower, upper, se
        Interval and standard error from the spread over folds (Nadeau and Bengio).
    folds
        Folds of all repeats that had a value.
    """

    difference: float
    lower: float
    upper: float
    se: float
    folds: int
