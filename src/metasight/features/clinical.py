"""From features to the columns of a design matrix: splines, levels, standardisation.

Restricted cubic splines follow Harrell (Regression Modeling Strategies, 2nd ed., §2.4.5–2.4.6):
truncated power basis, linear beyond the outer knots, scaled by the squared distance of the outer
knots as ``rms::rcs`` does, so that coefficients have the scale of the variable.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metasight.errors import FitError
from metasight.features.columns import Feature, FeatureTable, Kind

HARRELL_QUANTILES = {
    3: (0.10, 0.50, 0.90),
    4: (0.05, 0.35, 0.65, 0.95),
    5: (0.05, 0.275, 0.50, 0.725, 0.95),
}
"""Knot positions by number of knots (Harrell, table 2.3)."""

_CONSTANT = 1e-10
_ALIASED = 1e-7


def knots_for(effective_n: int) -> int:
    """Knots a study of ``effective_n`` (events, or the rarer class) can carry: 3, 4 or 5."""
    if effective_n < 100:
        return 3
    return 4 if effective_n < 300 else 5


def restricted_cubic_spline(
    x: NDArray[np.float64], knots: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Restricted cubic spline basis as ``rms::rcs``.

    Parameters
    ----------
    x
        Shape (n,).
    knots
        Shape (k,), k ≥ 3, strictly ascending.

    Returns
    -------
    Shape (n, k - 1): the variable itself, then k - 2 nonlinear terms, each linear beyond the
    outer knots.
    """
    last, before = knots[-1], knots[-2]
    scale = (last - knots[0]) ** 2

    def cubed(t: float) -> NDArray[np.float64]:
        return np.asarray(np.maximum(x - t, 0.0) ** 3)

    terms = [x]
    for t in knots[:-2]:
        bend = (
            cubed(t)
            - cubed(before) * (last - t) / (last - before)
            + cubed(last) * (before - t) / (last - before)
        )
        terms.append(bend / scale)
    return np.column_stack(terms)


@dataclass(frozen=True, kw_only=True)
class Design:
    """How features become columns.

    Attributes
    ----------
    splines
        Whether features marked ``spline`` are bent.
    knots
        Number of knots, 3 to 5; ``None`` lets :func:`knots_for` choose by the effective size.
    """

    splines: bool = False
    knots: int | None = None

    def __post_init__(self) -> None:
        if self.knots is not None and self.knots not in HARRELL_QUANTILES:
            raise FitError("a spline has 3, 4 or 5 knots", value=str(self.knots))

    def fit(self, table: FeatureTable, *, effective_n: int) -> FittedDesign:
        """Learn knots, levels, means and scales from the rows of ``table``.

        Parameters
        ----------
        table
            No value missing (see :mod:`metasight.features.missing`).
        effective_n
            Events (or patients in the rarer class) among these rows.

        Raises
        ------
        FitError
            No column varies.
        """
        notes: list[str] = []
        terms = [self._term(f, table, effective_n, notes) for f in table.features]
        raw, names = _raw_columns(terms, table)
        mean, scale = raw.mean(axis=0), raw.std(axis=0)
        varies = scale > _CONSTANT * np.maximum(1.0, np.abs(mean))
        notes += [f"{names[j]}: constant in training, dropped" for j in np.flatnonzero(~varies)]
        keep = np.flatnonzero(varies)
        if not len(keep):
            raise FitError(
                "no column varies between training patients",
                where="design matrix",
                remedy="Check the column mapping and the model's features",
            )
        modality = {f.name: f.modality for f in table.features}
        owner = [t["feature"] for t in terms for _ in range(_width(t))]
        return FittedDesign(
            {
                "terms": terms,
                "keep": keep.tolist(),
                "columns": [names[j] for j in keep],
                "modalities": [modality[owner[j]] for j in keep],
                "mean": mean[keep].tolist(),
                "scale": scale[keep].tolist(),
                "notes": notes,
            }
        )

    def _term(
        self, feature: Feature, table: FeatureTable, effective_n: int, notes: list[str]
    ) -> dict[str, Any]:
        term: dict[str, Any] = {"feature": feature.name, "levels": [], "knots": []}
        if feature.kind is Kind.CATEGORICAL:
            seen = set(table.values[feature.name])
            unknown = seen - set(feature.levels)
            if unknown:
                raise _unseen(feature.name, unknown)
            term["levels"] = [level for level in feature.levels if level in seen]
        elif feature.spline and self.splines:
            k = self.knots or knots_for(effective_n)
            x = table.values[feature.name].to_numpy(float)
            term["knots"], tied = _knots(x, k)
            if tied:
                notes.append(
                    f"{feature.name}: tied values, {len(term['knots']) or 'no'} spline knots"
                )
        return term


@dataclass(frozen=True)
class FittedDesign:
    """Columns learnt from training rows.

    Attributes
    ----------
    state
        Plain JSON: ``terms``, ``keep``, ``columns`` (names), ``modalities`` (one a column),
        ``mean``, ``scale``, ``notes``.
    """

    state: dict[str, Any]

    @property
    def columns(self) -> list[str]:
        """Column names, ``age_years``, ``age_years'`` (spline), ``subtype=luminal_a``."""
        return list(self.state["columns"])

    @property
    def owners(self) -> list[str]:
        """Feature that each column belongs to."""
        own = [t["feature"] for t in self.state["terms"] for _ in range(_width(t))]
        return [own[j] for j in self.state["keep"]]

    def knots(self, feature: str) -> list[float]:
        """Knots of a feature's spline, ascending; empty where it is straight or unknown."""
        found = [t["knots"] for t in self.state["terms"] if t["feature"] == feature]
        return list(found[0]) if found else []

    def transform(self, table: FeatureTable) -> NDArray[np.float64]:
        """Standardised columns, shape (n, p): training mean 0 and standard deviation 1.

        Raises
        ------
        FitError
            A categorical value was not seen in training (the feature is named).
        """
        raw, _ = _raw_columns(self.state["terms"], table)
        kept = raw[:, self.state["keep"]]
        return np.asarray((kept - np.array(self.state["mean"])) / np.array(self.state["scale"]))


def _width(term: dict[str, Any]) -> int:
    if term["levels"]:
        return len(term["levels"]) - 1
    return len(term["knots"]) - 1 if term["knots"] else 1


def _raw_columns(
    terms: list[dict[str, Any]], table: FeatureTable
) -> tuple[NDArray[np.float64], list[str]]:
    blocks: list[NDArray[np.float64]] = []
    names: list[str] = []
    for term in terms:
        name = term["feature"]
        column = table.values[name]
        if term["levels"]:
            unknown = set(column) - set(term["levels"])
            if unknown:
                raise _unseen(name, unknown)
            text = column.to_numpy(object)
            for level in term["levels"][1:]:
                blocks.append((text == level).astype(float)[:, None])
                names.append(f"{name}={level}")
            continue
        x = column.to_numpy(float)
        if term["knots"]:
            basis = restricted_cubic_spline(x, np.array(term["knots"]))
            blocks.append(basis)
            names += [name + "'" * i for i in range(basis.shape[1])]
        else:
            blocks.append(x[:, None])
            names.append(name)
    if not blocks:
        return np.empty((len(table.values), 0)), names
    return np.column_stack(blocks), names


def spline_knots(x: NDArray[np.float64], effective_n: int) -> list[float]:
    """Knots at Harrell's quantiles, as many as :func:`knots_for` gives.

    Parameters
    ----------
    x
        Shape (n,), no value missing.
    effective_n
        Events, or patients in the rarer class.

    Returns
    -------
    Ascending; moved apart where values tie, and empty with fewer than three distinct ones.
    """
    return _knots(x, knots_for(effective_n))[0]


def _knots(x: NDArray[np.float64], k: int) -> tuple[list[float], bool]:
    """Knots, and whether values tie where they should be."""
    knots = np.quantile(x, HARRELL_QUANTILES[k])
    tied = len(np.unique(knots)) < k
    return (_distinct_knots(x, knots) if tied else knots.tolist()), tied


def _distinct_knots(x: NDArray[np.float64], knots: NDArray[np.float64]) -> list[float]:
    """Knots moved apart where values tie at a quantile; empty (linear) below three.

    The outer knots become the smallest and largest value if they tie with an inner one.
    """
    moved = np.unique(np.concatenate([knots[1:-1], [min(knots[0], knots[1]), knots[-1]]]))
    if len(moved) == len(knots) - 1:
        ends = np.unique([x.min(), *moved, x.max()])
        moved = np.unique([*moved, ends[0] if ends[0] < moved[0] else ends[-1]])
    return moved.tolist() if len(moved) >= 3 else []


def independent(z: NDArray[np.float64]) -> NDArray[np.intp]:
    """Positions of columns not determined by earlier ones (Gram–Schmidt); ``z`` is centred."""
    kept: list[int] = []
    basis = np.empty((z.shape[0], 0))
    for j in range(z.shape[1]):
        rest = z[:, j] - basis @ (basis.T @ z[:, j])
        rest = rest - basis @ (basis.T @ rest)
        norm = float(np.linalg.norm(rest))
        if norm > _ALIASED * float(np.linalg.norm(z[:, j])):
            kept.append(j)
            basis = np.column_stack([basis, rest / norm])
    return np.array(kept, dtype=np.intp)


def _unseen(feature: str, values: set[Any]) -> FitError:
    return FitError(
        "a level was not seen in training",
        where=f"feature {feature}",
        value=", ".join(sorted(map(str, values))),
        remedy="Merge rare levels in the column mapping, or leave the value missing",
    )
