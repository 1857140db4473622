"""How like the training patients a patient is: what tells a model to be silent.

The distance is Mahalanobis' per value that is known, of features made about normal (Yeo and
Johnson, Biometrika 2000;87:954: texture is skewed), with a covariance shrunk towards its diagonal
(Ledoit and Wolf, J Multivar Anal 2004;88:365), so that many features of few patients can be judged.
What is far for a patient from the same hospitals is learnt by leaving training patients out in
turn: the limit is the distance that one in a hundred of them exceeds (the farthest of them where
they are fewer), so that about as many of later patients of the same kind are found unlike.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metasight.errors import FitError
from metasight.features.columns import FeatureTable, Kind
from metasight.models.base import State

Floats = NDArray[np.float64]

FEWEST = 30
"""Training patients below which what is unusual cannot be told."""

_FOLDS = 10
_SHARE = 0.99
_MOST_KNOWN_MISSING = 0.5
_FEWEST_VALUES = 3


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Where patients lie and how they spread.

    Attributes
    ----------
    centre, scale
        Shape (p,): median, and spread by quartiles, of each feature.
    power
        Shape (p,): Yeo and Johnson's λ of each standardised feature; 1 leaves it as it is.
    covariance
        Shape (p, p), of features so transformed, shrunk.
    """

    centre: Floats
    scale: Floats
    power: Floats
    covariance: Floats

    @classmethod
    def of(cls, values: Floats) -> Shape:
        """From training patients, (n, p); NaN is unknown."""
        from sklearn.covariance import ledoit_wolf

        centre = np.nanmedian(values, axis=0)
        low, high = np.nanquantile(values, [0.25, 0.75], axis=0)
        scale = (high - low) / 1.349  # of a normal distribution: its standard deviation
        sd = np.nanstd(values, axis=0)
        scale = np.where(scale > 1e-9 * np.maximum(np.abs(centre), 1e-300), scale, sd)
        scale = np.where(scale > 0, scale, 1.0)
        z = (values - centre) / scale
        power = np.array([_power(column[np.isfinite(column)]) for column in z.T])
        straight = np.nan_to_num(_straightened(z, power))
        covariance = np.asarray(ledoit_wolf(straight)[0])
        return cls(centre=centre, scale=scale, power=power, covariance=covariance)

    def distances(self, values: Floats) -> Floats:
        """Root of the mean squared distance per known value, shape (n,); NaN without any."""
        z = _straightened((values - self.centre) / self.scale, self.power)
        known = np.isfinite(z)
        out = np.full(len(z), np.nan)
        patterns, which = np.unique(known, axis=0, return_inverse=True)
        for number, pattern in enumerate(patterns):
            if not pattern.any():
                continue
            rows = which.ravel() == number
            part = z[np.ix_(rows, pattern)]
            solved = np.linalg.solve(self.covariance[np.ix_(pattern, pattern)], part.T)
            out[rows] = np.sqrt((part.T * solved).sum(axis=0) / pattern.sum())
        return out


def _power(column: Floats) -> float:
    """λ of the largest likelihood within [0, 2]: beyond, no value can lie far."""
    from scipy.optimize import minimize_scalar
    from scipy.stats import yeojohnson_llf

    if len(np.unique(column)) < _FEWEST_VALUES:  # a flag, or the same in all who are left
        return 1.0
    found = minimize_scalar(
        lambda power: -yeojohnson_llf(power, column), bounds=(0.0, 2.0), method="bounded"
    )
    return float(found.x)


def _straightened(z: Floats, power: Floats) -> Floats:
    """Yeo and Johnson's transform of each column, NaN left as it is."""
    from scipy.stats import yeojohnson

    out = np.full(z.shape, np.nan)
    for j, own in enumerate(power):
        known = np.isfinite(z[:, j])
        out[known, j] = yeojohnson(z[known, j], lmbda=own)
    return out


@dataclass(frozen=True, kw_only=True)
class Likeness:
    """Training patients as one cloud, and how far from it is too far.

    Attributes
    ----------
    features
        Names of the columns looked at.
    shape
        Of the cloud.
    limit
        Distance beyond which a patient is unlike those of training.
    """

    features: tuple[str, ...]
    shape: Shape
    limit: float

    @property
    def state(self) -> State:
        """Plain JSON."""
        return {
            "features": list(self.features),
            "centre": self.shape.centre.tolist(),
            "scale": self.shape.scale.tolist(),
            "power": self.shape.power.tolist(),
            "covariance": self.shape.covariance.tolist(),
            "limit": self.limit,
        }

    @classmethod
    def from_state(cls, state: State) -> Likeness:
        """Inverse of :attr:`state`."""
        names = ("centre", "scale", "power", "covariance")
        parts = {k: np.array(state[k], dtype=np.float64) for k in names}
        return cls(features=tuple(state["features"]), shape=Shape(**parts), limit=state["limit"])

    @classmethod
    def of(cls, table: FeatureTable, modalities: tuple[str, ...], *, model: str) -> Likeness:
        """Learn from training patients.

        Parameters
        ----------
        table
            Training rows.
        modalities
            Looked at; columns that are not numbers, or are unknown in half of the patients, and
            errors of others are not.
        model
            Named in errors.

        Raises
        ------
        FitError
            Fewer than 30 patients have a value, or there is no such column.
        """
        own = table.of_modality(modalities).without_errors()
        numeric = [f.name for f in own.features if f.kind in {Kind.CONTINUOUS, Kind.ORDINAL}]
        values = own.values[numeric].to_numpy(dtype=np.float64)
        known = np.isfinite(values).mean(axis=0)
        varies = np.array([len(np.unique(c[np.isfinite(c)])) > 1 for c in values.T], dtype=bool)
        kept = np.flatnonzero((known > _MOST_KNOWN_MISSING) & varies)
        names = tuple(numeric[j] for j in kept)
        values = values[:, kept]
        values = values[np.isfinite(values).any(axis=1)]
        if not names or len(values) < FEWEST:
            raise FitError(
                f"likeness to training needs {FEWEST} patients with a measured value",
                where=model,
                value=f"{len(values)} patients, {len(names)} columns",
                remedy="Leave abstain_by out, or name other modalities",
            )
        return cls(features=names, shape=Shape.of(values), limit=_limit(values))

    def distances(self, table: FeatureTable) -> Floats:
        """Distance of each patient, in units of :attr:`limit`: above 1 is unlike; NaN unmeasured.

        Shape (n,).
        """
        values = table.values[list(self.features)].to_numpy(dtype=np.float64)
        return self.shape.distances(values) / self.limit

    def furthest(self, table: FeatureTable, most: int = 3) -> list[tuple[str, ...]]:
        """The features in which each patient is furthest from training, a tuple a row."""
        values = table.values[list(self.features)].to_numpy(dtype=np.float64)
        z = np.nan_to_num(np.abs((values - self.shape.centre) / self.shape.scale))
        order = np.argsort(-z, axis=1, kind="stable")[:, :most]
        return [tuple(self.features[j] for j in row) for row in order]


def _limit(values: Floats) -> float:
    """From the distances of training patients to clouds without them; every tenth is left out."""
    place = np.arange(len(values)) % _FOLDS
    left = np.empty(len(values))
    for k in range(_FOLDS):
        left[place == k] = Shape.of(values[place != k]).distances(values[place == k])
    return float(np.quantile(left, _SHARE, method="higher"))
