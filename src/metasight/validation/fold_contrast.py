"""A difference between models with an interval that counts the fitting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Method = Literal["Nadeau–Bengio", "nested cross-validation"]
NADEAU_BENGIO: Method = "Nadeau–Bengio"
NESTED: Method = "nested cross-validation"


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
        Interval and standard error from the spread over folds.
    folds
        Folds of all repeats that had a value.
    method
        How fitting was counted: the spread over folds, corrected for overlapping training sets
        (Nadeau and Bengio), or nested cross-validation (Bates, Hastie and Tibshirani).
    splits
        Divisions into folds that nested cross-validation rests on; 0 of the other.
    """

    difference: float
    lower: float
    upper: float
    se: float
    folds: int
    method: Method = NADEAU_BENGIO
    splits: int = 0
