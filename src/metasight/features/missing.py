"""Imputation fitted on training rows, with an indicator where training values were missing.

Single imputation: it keeps every patient in the model and lets a prediction be made for a new
patient with a gap, which multiple imputation does not. The indicator lets the model learn that
being unmeasured is itself informative (Sperrin et al., J Clin Epidemiol 2020;125:183).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from metasight.errors import FitError
from metasight.features.columns import Feature, FeatureTable, Kind

INDICATOR_SUFFIX = "_missing"
_RIDGE = 1e-3
"""Share of the sample size added to the diagonal of each chained regression."""


@dataclass(frozen=True, kw_only=True)
class Imputer:
    """How gaps are filled.

    Attributes
    ----------
    strategy
        ``median``: the training median (continuous, ordinal) or the most frequent value (binary,
        categorical; the first in order among equals). ``iterative``: chained ridge regressions of
        every incomplete numeric feature on all others, started at the medians, the predicted mean
        clipped to the range seen and moved to the nearest value seen where the feature is binary
        or ordinal; nothing is drawn at random, so no seed is needed.
    rounds
        Passes of the chained regressions.
    indicator_from
        Training patients who must lack the value before an indicator column is added: an
        indicator of two patients can only be fitted to noise. Fewer are noted.
    """

    strategy: Literal["median", "iterative"] = "median"
    rounds: int = 5
    indicator_from: int = 10

    def __post_init__(self) -> None:
        if self.rounds < 1 or self.indicator_from < 1:
            raise FitError("imputation rounds and indicator count must be at least 1")

    def fit(self, table: FeatureTable) -> FittedImputer:
        """Learn the fills from the rows of ``table``.

        A column with no value in any row is dropped and noted: there is nothing to impute from.

        Raises
        ------
        FitError
            No column has any value, or a numeric column holds an infinity.
        """
        numbers, texts = numbers_and_texts(table)
        missing = _missing(table, numbers, texts)
        fills: dict[str, float | str] = {}
        indicators: list[str] = []
        notes: list[str] = []
        for feature in table.features:
            gaps = missing[feature.name]
            if gaps == len(table.values):
                notes.append(f"{feature.name}: no value in any training row, dropped")
                continue
            column = numbers[feature.name] if feature.name in numbers else texts[feature.name]
            fills[feature.name] = _fill(column, feature)
            if gaps >= self.indicator_from:
                indicators.append(feature.name)
            elif gaps:
                notes.append(f"{feature.name}: {gaps} imputed, too few for a missingness indicator")
        if not fills:
            raise FitError(
                "no feature has any value",
                where="imputation",
                remedy="Check the column mapping and the model's modalities",
            )
        state: dict[str, Any] = {
            "strategy": self.strategy,
            "rounds": self.rounds,
            "fills": fills,
            "indicators": indicators,
            "chains": [],
            "notes": notes,
        }
        if self.strategy == "iterative":
            state["chains"] = _fit_chains(table, fills, self.rounds)
        return FittedImputer(state)


@dataclass(frozen=True)
class FittedImputer:
    """Fills learnt from training rows.

    Attributes
    ----------
    state
        Plain JSON: ``strategy``, ``rounds``, ``fills`` (name → value), ``indicators`` (names),
        ``chains`` (one regression an incomplete feature), ``notes``.
    """

    state: dict[str, Any]

    def transform(self, table: FeatureTable) -> FeatureTable:
        """Return the kept features without gaps, then one 0/1 column an indicator.

        Parameters
        ----------
        table
            Must hold every feature that was kept in training; other columns are ignored.

        Returns
        -------
        No value is missing. Indicators are named ``<feature>_missing`` and carry the modality of
        their feature.

        Raises
        ------
        FitError
            A feature is not in the table, or holds an infinity.
        """
        fills = self.state["fills"]
        kept = _kept(table, fills)
        own = FeatureTable(table.values[list(fills)], kept)
        numbers, texts = numbers_and_texts(own)
        columns: dict[str, NDArray[Any]] = {}
        for feature in kept:
            name = feature.name
            if name in numbers:
                columns[name] = np.where(np.isnan(numbers[name]), fills[name], numbers[name])
            else:
                columns[name] = np.where(pd.isna(texts[name]), fills[name], texts[name])
        if self.state["chains"]:
            _apply_chains(self.state, numbers, kept, columns)
        extra = []
        for feature in kept:
            name = feature.name
            if name in self.state["indicators"]:
                gap = np.isnan(numbers[name]) if name in numbers else pd.isna(texts[name])
                columns[name + INDICATOR_SUFFIX] = np.asarray(gap, dtype=np.float64)
                extra.append(
                    Feature(
                        name=name + INDICATOR_SUFFIX, kind=Kind.BINARY, modality=feature.modality
                    )
                )
        return FeatureTable(one_frame(columns, table.values.index), (*kept, *extra))


def numbers_and_texts(
    table: FeatureTable,
) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]]:
    """Numeric columns as floats and categorical columns as objects, by name.

    Raises
    ------
    FitError
        A number is infinite.
    """
    numeric = [f.name for f in table.features if f.kind is not Kind.CATEGORICAL]
    block = table.values[numeric].to_numpy(dtype=np.float64, na_value=np.nan)
    infinite = np.isinf(block).any(axis=0)
    if bool(infinite.any()):
        raise FitError("a value is infinite", where=f"feature {numeric[int(infinite.argmax())]}")
    columns = np.ascontiguousarray(block.T)
    texts = {
        f.name: table.values[f.name].to_numpy(dtype=object)
        for f in table.features
        if f.kind is Kind.CATEGORICAL
    }
    return dict(zip(numeric, columns, strict=True)), texts


def _missing(
    table: FeatureTable, numbers: dict[str, NDArray[Any]], texts: dict[str, NDArray[Any]]
) -> dict[str, int]:
    return {
        f.name: int(
            np.isnan(numbers[f.name]).sum() if f.name in numbers else pd.isna(texts[f.name]).sum()
        )
        for f in table.features
    }


def one_frame(columns: dict[str, NDArray[Any]], index: pd.Index[Any]) -> pd.DataFrame:
    """One block where all columns are numbers: thousands of columns would be slow one by one."""
    if all(c.dtype != object for c in columns.values()):
        return pd.DataFrame(np.column_stack(list(columns.values())), index, list(columns))
    return pd.DataFrame(columns, index=index)


def _kept(table: FeatureTable, fills: dict[str, Any]) -> tuple[Feature, ...]:
    by_name = {f.name: f for f in table.features}
    absent = [name for name in fills if name not in by_name]
    if absent:
        raise FitError(
            "a feature that the model was fitted on is not in the table",
            where="imputation",
            value=", ".join(absent[:5]),
            remedy="Give the column; its values may be missing",
        )
    return tuple(by_name[name] for name in fills)


def _fill(column: NDArray[Any], feature: Feature) -> float | str:
    present = column[~pd.isna(column)]
    if feature.kind is Kind.CATEGORICAL:
        values, counts = np.unique(present.astype(str), return_counts=True)
        order = {level: i for i, level in enumerate(feature.levels)}
        common = [str(v) for v in values[counts == counts.max()]]
        return min(common, key=lambda v: (order.get(v, len(order)), v))
    if feature.kind is Kind.BINARY:
        return float(present.mean() > 0.5)
    if feature.kind is Kind.ORDINAL:
        # The lower median is always a value that was seen.
        return float(np.sort(present)[(len(present) - 1) // 2])
    return float(np.median(present))


def _numeric_block(
    kept: tuple[Feature, ...], columns: dict[str, NDArray[Any]]
) -> tuple[list[str], NDArray[np.float64]]:
    names, blocks = [], []
    for feature in kept:
        if feature.kind is Kind.CATEGORICAL:
            for level in feature.levels[1:]:
                names.append(f"{feature.name}={level}")
                blocks.append((columns[feature.name] == level).astype(np.float64))
        else:
            names.append(feature.name)
            blocks.append(columns[feature.name])
    return names, np.column_stack(blocks)


def _fit_chains(
    table: FeatureTable, fills: dict[str, float | str], rounds: int
) -> list[dict[str, Any]]:
    kept = _kept(table, fills)
    numbers, texts = numbers_and_texts(FeatureTable(table.values[list(fills)], kept))
    raw = {**numbers, **texts}
    gaps = {name: np.asarray(pd.isna(column)) for name, column in raw.items()}
    full = {name: np.where(gaps[name], fills[name], column) for name, column in raw.items()}
    names, block = _numeric_block(kept, full)
    targets = [f for f in kept if f.kind is not Kind.CATEGORICAL and gaps[f.name].any()]
    chains: list[dict[str, Any]] = []
    for _ in range(rounds):
        chains = []
        for feature in targets:
            j = names.index(feature.name)
            chain = _regress(block, j, ~gaps[feature.name], feature)
            chains.append(chain)
            block[gaps[feature.name], j] = _chain_values(chain, block[gaps[feature.name]], j)
    return chains


def _regress(
    block: NDArray[np.float64], j: int, rows: NDArray[np.bool_], feature: Feature
) -> dict[str, Any]:
    others = np.delete(block, j, axis=1)[rows]
    y = block[rows, j]
    centre, scale = others.mean(axis=0), others.std(axis=0)
    scale[scale < 1e-12] = 1.0
    z = (others - centre) / scale
    gram = z.T @ z + _RIDGE * len(y) * np.eye(z.shape[1])
    slope = np.linalg.solve(gram, z.T @ (y - y.mean())) / scale
    stepped = feature.kind is not Kind.CONTINUOUS
    return {
        "feature": feature.name,
        "intercept": float(y.mean() - centre @ slope),
        "slope": slope.tolist(),
        "range": [float(y.min()), float(y.max())],
        "values": np.unique(y).tolist() if stepped else [],
    }


def _chain_values(chain: dict[str, Any], rows: NDArray[np.float64], j: int) -> NDArray[np.float64]:
    mean = chain["intercept"] + np.delete(rows, j, axis=1) @ np.array(chain["slope"])
    clipped = np.clip(mean, *chain["range"])
    if not chain["values"]:
        return np.asarray(clipped)
    seen = np.array(chain["values"])
    return np.asarray(seen[np.abs(clipped[:, None] - seen).argmin(axis=1)])


def _apply_chains(
    state: dict[str, Any],
    numbers: dict[str, NDArray[Any]],
    kept: tuple[Feature, ...],
    columns: dict[str, NDArray[Any]],
) -> None:
    names, block = _numeric_block(kept, columns)
    for _ in range(state["rounds"]):
        for chain in state["chains"]:
            j = names.index(chain["feature"])
            gap = np.isnan(numbers[chain["feature"]])
            if gap.any():
                block[gap, j] = _chain_values(chain, block[gap], j)
    for chain in state["chains"]:
        columns[chain["feature"]] = block[:, names.index(chain["feature"])]
