"""Differences between centres taken out of features: location and scale with empirical Bayes.

Johnson, Li and Rabinovic, Biostatistics 2007;8:118 (ComBat), parametric priors. It is fitted on
training patients and applied to others, so that it can live inside folds; the outcome is never
one of its covariates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from metasight.errors import FitError

Floats = npt.NDArray[np.float64]
_WHERE = "harmonisation"
FEWEST_OF_A_CENTRE = 3
"""Patients below which a centre's effect is not estimated."""

_TOLERANCE = 1e-10
_MOST_ITERATIONS = 10_000


@dataclass(frozen=True, kw_only=True, eq=False)
class Harmonised:
    """Features after harmonisation.

    Attributes
    ----------
    values
        Same index and columns as the table that was given.
    notes
        What was not harmonised and why, a line each; empty if everything was.
    """

    values: pd.DataFrame
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Harmonisation:
    """A fitted harmonisation; :func:`fit` makes it.

    Attributes
    ----------
    features, covariates
        Column names, in order.
    centres
        Centres whose effects were estimated, in sorted order.
    grand_mean, scale
        Shape (features,): mean over centres and pooled SD of the residuals.
    slopes
        Shape (covariates, features).
    shift, spread
        Shape (centres, features): the centres' additive effect in units of ``scale`` and their
        multiplicative effect on the SD, after shrinkage.
    untouched
        Feature → why it passes through unchanged.
    """

    features: tuple[str, ...]
    covariates: tuple[str, ...]
    centres: tuple[str, ...]
    grand_mean: Floats
    scale: Floats
    slopes: Floats
    shift: Floats
    spread: Floats
    untouched: dict[str, str]

    @property
    def state(self) -> dict[str, Any]:
        """Plain JSON; what was not estimated is null."""
        numbers = {
            name: _listed(getattr(self, name))
            for name in ("grand_mean", "scale", "slopes", "shift", "spread")
        }
        return {
            "features": list(self.features),
            "covariates": list(self.covariates),
            "centres": list(self.centres),
            "untouched": dict(self.untouched),
            **numbers,
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Harmonisation:
        """Inverse of :attr:`state`."""
        numbers = {
            name: np.array(state[name], dtype=np.float64)  # null becomes NaN
            for name in ("grand_mean", "scale", "slopes", "shift", "spread")
        }
        numbers["slopes"] = numbers["slopes"].reshape(
            len(state["covariates"]), len(state["features"])
        )
        return cls(
            features=tuple(state["features"]),
            covariates=tuple(state["covariates"]),
            centres=tuple(state["centres"]),
            untouched=dict(state["untouched"]),
            **numbers,
        )

    def apply(
        self,
        table: pd.DataFrame,
        centre: Sequence[str],
        covariates: pd.DataFrame | None = None,
        *,
        unseen: Literal["refuse", "pass"],
    ) -> Harmonised:
        """Take the centres' effects out of a table.

        Parameters
        ----------
        table
            Features, one row a patient; NaN stays NaN.
        centre
            Of each row.
        covariates
            As at :func:`fit`, same columns.
        unseen
            A centre that was not estimated has no known effect: ``refuse`` it, or ``pass`` its
            patients through unchanged with a note.

        Raises
        ------
        FitError
            Other columns than were fitted, or an unseen centre that is to be refused.
        """
        if tuple(table.columns) != self.features:
            raise FitError("the features are not those that were fitted", where=_WHERE)
        design = _covariates(covariates, len(table))
        if design.shape[1] != len(self.covariates):
            raise FitError("the covariates are not those that were fitted", where=_WHERE)
        centres = np.asarray([str(c) for c in centre])
        strange = sorted(set(centres.tolist()) - set(self.centres))
        if strange and unseen == "refuse":
            raise FitError(
                "a centre was not in the training data",
                where=_WHERE,
                value=f"{len(strange)} centres",
                remedy="Fit with it, or let its patients pass unchanged",
            )
        values = table.to_numpy(dtype=np.float64, copy=True)
        known = np.array([f not in self.untouched for f in self.features])
        for k, name in enumerate(self.centres):
            rows = np.ix_(centres == name, known)
            if not len(rows[0]):
                continue
            expected = self.grand_mean[known] + design[centres == name] @ self.slopes[:, known]
            scaled = (values[rows] - expected) / self.scale[known]
            scaled = (scaled - self.shift[k, known]) / self.spread[k, known]
            values[rows] = scaled * self.scale[known] + expected
        notes = [f"centre {c}: not in the training data, unchanged" for c in strange]
        notes += [f"{f}: {why}, unchanged" for f, why in self.untouched.items()]
        result = pd.DataFrame(values, index=table.index, columns=table.columns)
        return Harmonised(values=result, notes=tuple(notes))

    def error_scale(self, centre: Sequence[str]) -> Floats:
        """What a standard error is multiplied by, shape (n, features); 1 where unchanged."""
        labels = np.asarray([str(c) for c in centre])
        scale = np.ones((len(labels), len(self.features)))
        known = np.array([f not in self.untouched for f in self.features])
        for k, name in enumerate(self.centres):
            scale[np.ix_(labels == name, known)] = 1 / self.spread[k, known]
        return scale


def _listed(values: Floats) -> list[Any]:
    if values.ndim > 1:
        return [_listed(row) for row in values]
    return [float(v) if np.isfinite(v) else None for v in values]


def fit(
    table: pd.DataFrame, centre: Sequence[str], covariates: pd.DataFrame | None = None
) -> Harmonisation:
    """Estimate each centre's location and scale effect on each feature.

    Assumes that effects of one centre on all features come from one prior, and that patients of
    the centres differ otherwise only in the covariates: what is not given here and differs
    between centres is taken out with them.

    Parameters
    ----------
    table
        Features of the training patients, one row each; NaN where undefined.
    centre
        Of each row. A centre of fewer than three patients is not estimated.
    covariates
        What may differ between centres and is to be kept (stage, size), numeric, finite; never
        the outcome.

    Raises
    ------
    FitError
        Fewer than two centres with three patients, lengths that differ, covariates that are not
        finite or cannot be told from the centres, or no feature that can be harmonised.
    """
    values = table.to_numpy(dtype=np.float64)
    labels = np.asarray([str(c) for c in centre])
    if len(labels) != len(values):
        raise FitError(
            "table and centres differ in length",
            where=_WHERE,
            value=f"{len(values)}, {len(labels)}",
        )
    design = _covariates(covariates, len(values))
    names, counts = np.unique(labels, return_counts=True)
    names = names[counts >= FEWEST_OF_A_CENTRE]
    if len(names) < 2:
        raise FitError(
            "harmonisation needs two centres of three patients", where=_WHERE, value=f"{len(names)}"
        )
    member = labels[:, None] == names[None, :]
    used = member.any(axis=1)
    values, design, member = values[used], design[used], member[used]
    _check_rank(member, design)
    standard = _standardise(values, member, design, tuple(map(str, table.columns)))
    known = np.array([str(c) not in standard.untouched for c in table.columns])
    if not known.any():
        raise FitError(
            "no feature can be harmonised",
            where=_WHERE,
            value=next(iter(standard.untouched.values())),
        )
    shift = np.zeros((len(names), len(known)))
    spread = np.ones((len(names), len(known)))
    for k in range(len(names)):
        z = standard.z[member[:, k]][:, known]
        shift[k, known], variance = _shrunk(z)
        spread[k, known] = np.sqrt(variance)
    return Harmonisation(
        features=tuple(table.columns),
        covariates=() if covariates is None else tuple(map(str, covariates.columns)),
        centres=tuple(map(str, names)),
        grand_mean=standard.grand_mean,
        scale=standard.scale,
        slopes=standard.slopes,
        shift=shift,
        spread=spread,
        untouched=standard.untouched,
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Standard:
    z: Floats
    grand_mean: Floats
    scale: Floats
    slopes: Floats
    untouched: dict[str, str]


def _standardise(
    values: Floats, member: npt.NDArray[np.bool_], design: Floats, names: tuple[str, ...]
) -> _Standard:
    """Least squares of each feature on centres and covariates, and its residuals' scale."""
    n_centres, n_covariates = member.shape[1], design.shape[1]
    whole = np.column_stack([member.astype(np.float64), design])
    z = np.full(values.shape, np.nan)
    mean, scale = np.full(values.shape[1], np.nan), np.full(values.shape[1], np.nan)
    slopes = np.zeros((n_covariates, values.shape[1]))
    untouched: dict[str, str] = {}
    for f in range(values.shape[1]):
        there = np.isfinite(values[:, f])
        counts = member[there].sum(axis=0)
        if counts.min() < FEWEST_OF_A_CENTRE:
            untouched[names[f]] = "fewer than three values in a centre"
            continue
        coefficients = np.linalg.lstsq(whole[there], values[there, f], rcond=None)[0]
        residual = values[there, f] - whole[there] @ coefficients
        sd = float(np.sqrt((residual**2).mean()))
        if any(np.ptp(values[there & member[:, k], f]) == 0 for k in range(n_centres)):
            untouched[names[f]] = "all values of a centre are equal"
            continue
        mean[f] = float(counts @ coefficients[:n_centres]) / counts.sum()
        scale[f], slopes[:, f] = sd, coefficients[n_centres:]
        z[there, f] = (values[there, f] - mean[f] - design[there] @ slopes[:, f]) / sd
    return _Standard(z=z, grand_mean=mean, scale=scale, slopes=slopes, untouched=untouched)


def _shrunk(z: Floats) -> tuple[Floats, Floats]:
    """One centre's shift and variance for each feature after shrinkage, z of shape (n, features).

    The posterior means under a normal prior of the shift and an inverse gamma prior of the
    variance, whose parameters are the moments over features; one feature alone is not shrunk.
    """
    n = np.isfinite(z).sum(axis=0)
    raw = np.nanmean(z, axis=0)
    raw_variance = np.nanvar(z, axis=0, ddof=1)
    if z.shape[1] < 2:
        return raw, raw_variance
    centre, width = float(raw.mean()), float(raw.var(ddof=1))
    m, s2 = float(raw_variance.mean()), float(raw_variance.var(ddof=1))
    if width <= 0 or s2 <= 0:
        return raw, raw_variance
    shape, rate = (2 * s2 + m**2) / s2, (m * s2 + m**3) / s2
    shift, variance = raw, raw_variance
    for _ in range(_MOST_ITERATIONS):
        new_shift = (n * width * raw + variance * centre) / (n * width + variance)
        around = np.nansum((z - new_shift) ** 2, axis=0)
        new_variance = (0.5 * around + rate) / (n / 2 + shape - 1)
        change = max(
            float(np.max(np.abs(new_shift - shift))),
            float(np.max(np.abs(new_variance - variance) / variance)),
        )
        shift, variance = new_shift, new_variance
        if change < _TOLERANCE:
            return shift, variance
    raise FitError("empirical Bayes did not converge", where=_WHERE)


def _covariates(covariates: pd.DataFrame | None, n: int) -> Floats:
    if covariates is None:
        return np.empty((n, 0))
    design = covariates.to_numpy(dtype=np.float64)
    if len(design) != n or not np.isfinite(design).all():
        raise FitError(
            "covariates must be finite, a row for each patient",
            where=_WHERE,
            value=f"{len(design)} rows, {n} patients",
        )
    return design


def _check_rank(member: npt.NDArray[np.bool_], design: Floats) -> None:
    whole = np.column_stack([member.astype(np.float64), design])
    if np.linalg.matrix_rank(whole) < whole.shape[1]:
        raise FitError(
            "a covariate is confounded with the centres",
            where=_WHERE,
            remedy="Leave it out: its effect cannot be separated from that of the centre",
        )
