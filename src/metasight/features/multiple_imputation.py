"""Multiple imputation by chained equations, for sensitivity analyses.

A gap is filled by a value drawn at random from what the regression of the feature on the others
leaves possible, coefficients drawn from their posterior too: proper imputations in Rubin's sense,
by fully conditional specification (van Buuren and Groothuis-Oudshoorn, J Stat Softw 2011;45(3)).
Numbers are filled by predictive mean matching, so that only values that were seen are filled in;
binary and categorical features by logistic regression.

Regressions are learnt from training rows alone. New rows are filled by the same draws of
coefficients and take no part in any fit (Hoogland et al., Stat Med 2020;39:3591; ``ignore`` of
``mice``). Of new patients no outcome is known: what fills their gaps was learnt without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

from metasight.errors import FitError
from metasight.features.columns import CENTRE, Feature, FeatureTable, Kind
from metasight.features.missing import numbers_and_texts, one_frame

Floats = NDArray[np.float64]

FEWEST_SEEN = 10
"""Training rows with a value below which a gap takes one of these values at random."""
_RIDGE = 1e-5
"""Relative to the diagonal of the linear regression, as in ``mice``."""
_SLOPE_SD, _INTERCEPT_SD = 2.5, 10.0
"""Prior of a logistic regression on standardised columns, which keeps a separated one finite."""
_SETTLED, _MOST_STEPS = 1e-6, 50


@dataclass(frozen=True, kw_only=True)
class MultipleImputer:
    """How gaps are filled by draws.

    Attributes
    ----------
    cycles
        Passes over the incomplete features; one suffices, and is made, where one is incomplete.
    donors
        Values seen from which predictive mean matching draws.
    most_predictors
        Columns that a regression reads besides the outcome: those most correlated with the
        feature or with its being missing, and no more than a third of the rows with a value.
    features
        Names of the features that are filled and read; the others stay as they are. Empty: all.
    """

    cycles: int = 5
    donors: int = 5
    most_predictors: int = 20
    features: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if min(self.cycles, self.donors, self.most_predictors) < 1:
            raise FitError("cycles, donors and predictors of an imputation must be at least 1")

    def complete(self, train: FeatureTable, outcome: Floats | None, *, seed: int) -> FeatureTable:
        """One imputation of training rows.

        Parameters
        ----------
        train
            Features that hold numbers or text; images, errors of measurement and the centre stay
            as they are, and so does a feature without any value.
        outcome
            Shape (n, q): columns that tell the outcome, which every regression reads; None leaves
            it out. Without it associations with the outcome would be drawn towards none (Moons et
            al., J Clin Epidemiol 2006;59:1092).
        seed
            Of the draws; another gives another imputation.

        Raises
        ------
        FitError
            A number is infinite.
        """
        return self._run(train, len(train.values), outcome, seed)

    def complete_new(self, train: FeatureTable, new: FeatureTable, *, seed: int) -> FeatureTable:
        """One imputation of new rows, by regressions of training rows that read no outcome.

        Parameters
        ----------
        train, new
            The same features.
        seed
            Of the draws.

        Raises
        ------
        FitError
            A number is infinite.
        """
        n = len(train.values)
        both = FeatureTable(
            pd.concat([train.values, new.values]).set_axis(
                pd.RangeIndex(n + len(new.values)), axis=0
            ),
            train.features,
        )
        values = self._run(both, n, None, seed).values.iloc[n:]
        return FeatureTable(values.set_axis(new.values.index, axis=0), new.features)

    def _run(
        self, table: FeatureTable, n_train: int, outcome: Floats | None, seed: int
    ) -> FeatureTable:
        variables = _variables(self._own(table), n_train)
        gaps = [v for v in variables if v.missing.any()]
        if not gaps:
            return table
        gaps.sort(key=lambda v: int(v.missing[:n_train].sum()))
        chosen = _predictors(gaps, variables, n_train, self.most_predictors)
        for k, v in enumerate(gaps):
            _start(v, n_train, (seed, 0, k))
        extra = np.zeros((len(table.values), 0))
        if outcome is not None:
            extra = np.asarray(outcome, dtype=np.float64)
        for cycle in range(1, 1 + (self.cycles if len(gaps) > 1 else 1)):
            for k, (v, predictors) in enumerate(zip(gaps, chosen, strict=True)):
                design = _design(predictors, extra, v.seen(n_train))
                _redraw(v, design, n_train, self.donors, (seed, cycle, k))
        return _filled(table, gaps)

    def _own(self, table: FeatureTable) -> FeatureTable:
        """What is filled and read."""
        own = tuple(f for f in table.features if _fills(f))
        if self.features:
            own = tuple(f for f in own if f.name in set(self.features))
        return FeatureTable(table.values[[f.name for f in own]], own)


def incomplete(table: FeatureTable) -> tuple[Feature, ...]:
    """Features that an imputation would fill, in the table's order."""
    missing = table.values.isna()
    some = dict(zip(table.values.columns, missing.any() & ~missing.all(), strict=True))
    return tuple(f for f in table.features if _fills(f) and some[f.name])


def _fills(feature: Feature) -> bool:
    return not (feature.kind.is_key or feature.error_of or feature.modality == CENTRE)


# ------------------------------------------------------------------------------------ variables


@dataclass
class _Variable:
    """A feature in numbers; of a category its position in ``levels``. Gaps are filled in place."""

    feature: Feature
    values: Floats
    missing: NDArray[np.bool_]
    levels: tuple[str, ...]

    def seen(self, n_train: int) -> NDArray[np.intp]:
        """Training rows with a value."""
        return np.flatnonzero(~self.missing[:n_train])

    @property
    def width(self) -> int:
        """Number of columns."""
        return max(len(self.levels) - 1, 1)

    @property
    def columns(self) -> Floats:
        """Shape (n, width): the number, or 0/1 for each level but the first."""
        if len(self.levels) < 2:
            return self.values[:, None]
        codes = np.arange(1.0, len(self.levels))
        return np.asarray(self.values[:, None] == codes, dtype=np.float64)


def _variables(table: FeatureTable, n_train: int) -> list[_Variable]:
    numbers, texts = numbers_and_texts(table)
    found = []
    for feature in table.features:
        levels: tuple[str, ...] = ()
        if feature.kind is Kind.CATEGORICAL:
            text = texts[feature.name]
            seen = set(text[:n_train][~pd.isna(text[:n_train])])
            levels = tuple(level for level in feature.levels if level in seen)
            code = {level: float(k) for k, level in enumerate(levels)}
            values = np.array([np.nan if pd.isna(t) else code.get(t, np.nan) for t in text])
            missing = np.asarray(pd.isna(text), dtype=np.bool_)
            # a level that training does not know reads as the first one, and stays what it is
            values[np.isnan(values) & ~missing] = 0.0
        else:
            values = numbers[feature.name].astype(np.float64)
            missing = np.isnan(values)
        if not missing[:n_train].all():
            found.append(_Variable(feature, values.copy(), missing, levels))
    return found


def _predictors(
    targets: Sequence[_Variable], variables: Sequence[_Variable], n_train: int, most: int
) -> list[list[_Variable]]:
    """Of each target the other variables that its regression reads.

    All where they are few; else those that correlate most with the target or with its being
    missing, as ``mice::quickpred`` chooses (van Buuren et al., Stat Med 1999;18:681).
    """
    if sum(v.width for v in variables) - 1 <= min(most, n_train // 3):
        scores = np.zeros((len(targets), len(variables)))
    else:
        scores = _correlations(targets, variables, n_train)
    found = []
    for target, score in zip(targets, scores, strict=True):
        limit = min(most, len(target.seen(n_train)) // 3)
        kept: list[int] = []
        width = 0
        for k in np.argsort(-score, kind="stable"):
            v = variables[k]
            if v is not target and width + v.width <= limit:
                kept.append(int(k))
                width += v.width
        found.append([variables[k] for k in sorted(kept)])
    return found


def _correlations(
    targets: Sequence[_Variable], variables: Sequence[_Variable], n_train: int
) -> Floats:
    """Largest absolute correlation of any columns of two variables, shape (targets, variables).

    Of rows that have both values; 0 where fewer than :data:`FEWEST_SEEN` have.
    """
    read = [_standardised(v, n_train) for v in variables]
    wanted = [
        np.column_stack([_standardised(v, n_train), v.missing[:n_train].astype(np.float64)])
        for v in targets
    ]
    x, y = np.column_stack(read), np.column_stack(wanted)
    x_known, y_known = (~np.isnan(x)).astype(np.float64), (~np.isnan(y)).astype(np.float64)
    x, y = np.nan_to_num(x), np.nan_to_num(y)
    n = np.maximum(y_known.T @ x_known, 1.0)
    x_mean, y_mean = y_known.T @ x / n, y.T @ x_known / n
    x_variance = y_known.T @ x**2 / n - x_mean**2
    y_variance = (y**2).T @ x_known / n - y_mean**2
    product = np.sqrt(np.maximum(x_variance * y_variance, 0.0))
    usable = (product > 1e-10) & (n >= FEWEST_SEEN)
    every = np.abs(
        np.where(usable, (y.T @ x / n - x_mean * y_mean) / np.where(usable, product, 1), 0)
    )
    rows = np.concatenate([[0], np.cumsum([w.shape[1] for w in wanted])])[:-1]
    columns = np.concatenate([[0], np.cumsum([r.shape[1] for r in read])])[:-1]
    return np.maximum.reduceat(np.maximum.reduceat(every, rows, axis=0), columns, axis=1)


def _standardised(v: _Variable, n_train: int) -> Floats:
    """Columns in training rows, of mean 0 and variance 1; NaN where missing."""
    columns = np.where(v.missing[:n_train, None], np.nan, v.columns[:n_train])
    spread = np.nanstd(columns, axis=0)
    return np.asarray((columns - np.nanmean(columns, axis=0)) / np.where(spread > 0, spread, 1.0))


def _design(predictors: Sequence[_Variable], outcome: Floats, rows: NDArray[np.intp]) -> Floats:
    """Intercept and columns of mean 0 and variance 1 in ``rows``; constant ones are dropped."""
    n = len(outcome) if not predictors else len(predictors[0].values)
    matrix = np.column_stack([np.ones((n, 1)), *(v.columns for v in predictors), outcome])
    seen = matrix[rows]
    mean, scale = seen.mean(axis=0), seen.std(axis=0)
    varies = scale > 1e-10 * np.maximum(1.0, np.abs(mean))
    found = (matrix[:, varies] - mean[varies]) / scale[varies]
    return np.column_stack([np.ones(n), found])


# ---------------------------------------------------------------------------------------- draws


def _rng(key: tuple[int, int, int], part: int) -> np.random.Generator:
    """Draws of a variable in a cycle: of coefficients and training rows (0), or new rows (1).

    They are apart, so that no new row changes what is drawn for a training row.
    """
    return np.random.default_rng([*key, part])


def _parts(v: _Variable, n_train: int) -> list[tuple[int, NDArray[np.intp]]]:
    """Rows without a value: of training (0), and new ones (1)."""
    gaps = np.flatnonzero(v.missing)
    parts = [(0, gaps[gaps < n_train]), (1, gaps[gaps >= n_train])]
    return [(part, rows) for part, rows in parts if len(rows)]


def _start(v: _Variable, n_train: int, key: tuple[int, int, int]) -> None:
    """Fill gaps with values of training rows at random."""
    seen = v.values[v.seen(n_train)]
    for part, rows in _parts(v, n_train):
        v.values[rows] = _rng(key, part).choice(seen, size=len(rows))


def _redraw(
    v: _Variable, design: Floats, n_train: int, donors: int, key: tuple[int, int, int]
) -> None:
    """Fill gaps from the regression of training rows with a value, its coefficients drawn."""
    seen = v.seen(n_train)
    known = v.values[seen]
    if len(seen) < FEWEST_SEEN or bool((known == known[0]).all()):
        _start(v, n_train, key)
        return
    draw = np.random.default_rng([*key, 2])
    if v.levels or v.feature.kind is Kind.BINARY:
        classes, code = np.unique(known, return_inverse=True)
        weights = _drawn_logistic(design[seen], code, len(classes), draw)
        for part, rows in _parts(v, n_train):
            share = np.cumsum(_probabilities(design[rows] @ weights), axis=1)[:, :-1]
            above = _rng(key, part).random((len(rows), 1)) > share
            v.values[rows] = classes[above.sum(axis=1)]
        return
    fitted, drawn = _drawn_linear(design[seen], known, draw)
    for part, rows in _parts(v, n_train):
        v.values[rows] = _matched(
            design[seen] @ fitted, known, design[rows] @ drawn, donors, _rng(key, part)
        )


def _drawn_linear(x: Floats, y: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Coefficients of a linear regression, and a draw from their posterior."""
    information = x.T @ x
    information[np.diag_indices_from(information)] *= 1 + _RIDGE
    fitted = np.asarray(np.linalg.solve(information, x.T @ y), dtype=np.float64)
    freedom = max(len(y) - x.shape[1], 1)
    spread = np.sqrt(float(((y - x @ fitted) ** 2).sum()) / rng.chisquare(freedom))
    return fitted, fitted + spread * _along(information, rng)


def _along(information: Floats, rng: np.random.Generator) -> Floats:
    """A normal draw with this information."""
    lower = np.linalg.cholesky(information)
    z = rng.standard_normal(len(information))
    return np.asarray(solve_triangular(lower, z, lower=True, trans="T"))


def _matched(
    predicted: Floats, known: Floats, wanted: Floats, donors: int, rng: np.random.Generator
) -> Floats:
    """A value of one of the nearest by predicted mean, for each wanted one.

    Type 1 matching: means of donors by the fitted coefficients, of recipients by drawn ones (van
    Buuren, Flexible Imputation of Missing Data, 2018, §3.4). Ties between donors fall at random.
    """
    order = rng.permutation(len(known))
    order = order[np.argsort(predicted[order], kind="stable")]
    means = predicted[order]
    k = min(donors, len(known))
    at = np.searchsorted(means, wanted)
    near = np.clip(at[:, None] + np.arange(-k, k), 0, len(known) - 1)
    distance = np.abs(means[near] - wanted[:, None])
    # beyond an end the same neighbour is met again: it counts once
    distance[:, 1:][near[:, 1:] == near[:, :-1]] = np.inf
    nearest = np.argsort(distance, axis=1, kind="stable")[:, :k]
    pick = nearest[np.arange(len(wanted)), rng.integers(0, k, len(wanted))]
    return np.asarray(known[order[near[np.arange(len(wanted)), pick]]])


def _probabilities(scores: Floats) -> Floats:
    """Of each class, shape (n, classes); the first class has score 0."""
    every = np.column_stack([np.zeros(len(scores)), scores])
    every = np.exp(every - every.max(axis=1, keepdims=True))
    return np.asarray(every / every.sum(axis=1, keepdims=True))


def _drawn_logistic(
    x: Floats, code: NDArray[np.intp], n_classes: int, rng: np.random.Generator
) -> Floats:
    """A draw of the coefficients of a multinomial logistic regression, shape (p, classes − 1).

    From the normal approximation at the posterior mode.
    """
    p, k = x.shape[1], n_classes - 1
    prior = np.tile(np.r_[_INTERCEPT_SD**-2, np.full(p - 1, _SLOPE_SD**-2)], k)
    is_class = (code[:, None] == np.arange(1, n_classes)).astype(np.float64)
    b = np.zeros(k * p)
    for _ in range(_MOST_STEPS):
        share = _probabilities(x @ b.reshape(k, p).T)[:, 1:]
        slope = ((is_class - share).T @ x).ravel() - prior * b
        information = np.diag(prior)
        for i in range(k):
            for j in range(k):
                weight = share[:, i] * ((i == j) - share[:, j])
                information[i * p : (i + 1) * p, j * p : (j + 1) * p] += (x * weight[:, None]).T @ x
        step = np.linalg.solve(information, slope)
        # the posterior is log-concave; a bounded step cannot run away
        step /= max(1.0, float(np.abs(step).max()) / 5.0)
        b += step
        if float(np.abs(step).max()) < _SETTLED:
            break
    return np.asarray((b + _along(information, rng)).reshape(k, p).T)


def _filled(table: FeatureTable, gaps: Sequence[_Variable]) -> FeatureTable:
    """The table with the gaps of these variables filled."""
    columns: dict[str, NDArray[Any]] = {
        f.name: table.values[f.name].to_numpy(dtype=object)
        if f.kind is Kind.CATEGORICAL or f.kind.is_key
        else table.values[f.name].to_numpy(dtype=np.float64, na_value=np.nan)
        for f in table.features
    }
    for v in gaps:
        name = v.feature.name
        column = columns[name].copy()
        found = v.values[v.missing]
        if v.levels:
            column[v.missing] = np.array(v.levels, dtype=object)[found.astype(np.intp)]
        else:
            column[v.missing] = found
        columns[name] = column
    return FeatureTable(one_frame(columns, table.values.index), table.features)
