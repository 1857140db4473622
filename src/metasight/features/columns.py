"""What a feature is: its name, kind, unit and modality, and a table of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from metasight.errors import FitError

CENTRE = "centre"
"""Feature, and its modality, that tells a patient's hospital; only harmonising reads it."""

ERROR = "_error"
"""Ends the name of the column with a feature's standard error of measurement."""

COPY_MARK = "·"
"""Stands between a pseudonym and the number of its copy in a bootstrap resample."""


class Kind(StrEnum):
    """How a feature's values are to be read."""

    CONTINUOUS = "continuous"
    BINARY = "binary"
    ORDINAL = "ordinal"
    CATEGORICAL = "categorical"
    BAG = "bag"
    CROP = "crop"

    @property
    def is_key(self) -> bool:
        """Whether the column holds no values but keys of images, which networks alone can read."""
        return self in {Kind.BAG, Kind.CROP}


@dataclass(frozen=True, kw_only=True)
class Feature:
    """One column that a model may read.

    Attributes
    ----------
    name
        Column name in the feature table.
    kind
        Continuous and ordinal columns hold floats; binary columns hold 0.0 or 1.0; categorical
        columns hold one of ``levels`` as text; a bag column holds the key of a patient's patch
        features in a :class:`metasight.features.bags.BagFolder`, a crop column that of a lesion in
        a :class:`metasight.features.crops.CropFolder`; networks alone can read these.
        Missing is NaN (or None for text).
    modality
        ``clinical``, ``genes``, ``spatial``, …: the unit of ablation and fusion.
    unit
        As in the protocol's data dictionary; empty for a pure number.
    levels
        Allowed values of a categorical feature, in order; the first is the reference.
    spline
        Whether a regression model may bend it (continuous only).
    error_of
        Name of the feature whose standard error of measurement, patient by patient, this column
        holds; empty for a feature of its own.
    """

    name: str
    kind: Kind
    modality: str = "clinical"
    unit: str = ""
    levels: tuple[str, ...] = ()
    spline: bool = False
    error_of: str = ""

    def __post_init__(self) -> None:
        if self.kind is Kind.CATEGORICAL and len(self.levels) < 2:
            raise FitError(
                "a categorical feature needs at least two levels",
                where=f"feature {self.name}",
                remedy="Give its levels in the data dictionary",
            )
        if self.spline and self.kind is not Kind.CONTINUOUS:
            raise FitError("only a continuous feature can be a spline", where=self.name)


@dataclass(frozen=True)
class FeatureTable:
    """Feature values, one row a patient, with what each column is.

    Attributes
    ----------
    values
        Index: study pseudonym, unique. Columns: exactly the names of ``features``, in order.
    features
        One entry a column.
    """

    values: pd.DataFrame
    features: tuple[Feature, ...]

    def __post_init__(self) -> None:
        names = [f.name for f in self.features]
        if names != list(self.values.columns):
            raise FitError("feature table and feature list differ", where="feature table")
        if not self.values.index.is_unique:
            raise FitError("a patient has two rows", where="feature table")

    @property
    def patient_number(self) -> NDArray[np.int64]:
        """Which patient each row belongs to, shape (n,): copies in a resample share a number.

        Inner folds keep the copies of a patient together (:data:`COPY_MARK`).
        """
        names = [str(name).partition(COPY_MARK)[0] for name in self.values.index]
        return np.asarray(pd.factorize(np.asarray(names, dtype=object))[0], dtype=np.int64)

    def of_modality(self, modalities: Iterable[str]) -> FeatureTable:
        """Columns of the given modalities, in table order."""
        wanted = set(modalities)
        kept = tuple(f for f in self.features if f.modality in wanted)
        return FeatureTable(self.values[[f.name for f in kept]], kept)

    def without_errors(self) -> FeatureTable:
        """Columns that are features of their own, not the error of another."""
        kept = tuple(f for f in self.features if not f.error_of)
        return FeatureTable(self.values[[f.name for f in kept]], kept)

    def lacking(self, modality: str) -> NDArray[np.bool_]:
        """Who has no value at all of a modality, shape (n,)."""
        names = [f.name for f in self.features if f.modality == modality]
        return np.asarray(self.values[names].isna().all(axis=1), dtype=np.bool_)

    def rows(self, patients: Iterable[str]) -> FeatureTable:
        """Take the given patients, in the order given."""
        return FeatureTable(self.values.loc[list(patients)], self.features)
