"""One risk a patient out of the folds that left the patient out."""

from __future__ import annotations

import pandas as pd

from metasight.errors import EvaluationError


def mean_out_of_fold_risk(rows: pd.DataFrame) -> pd.Series:
    """Mean over the repeats of each patient's risk.

    For nodal stage the risk of any nodal disease: 1 less the probability of N0. For a survival
    endpoint the risk by the last horizon that was predicted.

    Parameters
    ----------
    rows
        Of one model, of folds that left the patient out, in the shape of
        `metasight.predictions.Predictions`.

    Returns
    -------
    Series
        Index ``patient``, values in [0, 1].

    Raises
    ------
    EvaluationError
        The rows are of several models or endpoints.
    """
    _require_one(rows)
    if rows["horizon_days"].notna().any():
        last = rows[rows["horizon_days"] == rows["horizon_days"].max()]
        by_horizon: pd.Series = last.groupby("patient")["risk"].mean()
        return by_horizon
    any_node: pd.Series = 1 - mean_out_of_fold_stages(rows)["N0"].rename("risk")
    return any_node


def mean_out_of_fold_stages(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean over the repeats of each patient's probability of each nodal stage.

    Parameters
    ----------
    rows
        As for `mean_out_of_fold_risk`, of a nodal stage endpoint.

    Returns
    -------
    DataFrame
        Index ``patient``, a column a stage; rows sum to 1.

    Raises
    ------
    EvaluationError
        The rows are of several models or endpoints.
    """
    _require_one(rows)
    stages: pd.DataFrame = rows.pivot_table(index="patient", columns="label", values="risk")
    return stages


def _require_one(rows: pd.DataFrame) -> None:
    for column in ("model", "endpoint"):
        if rows[column].nunique() != 1:
            raise EvaluationError(
                f"risks of one {column} are averaged",
                value=", ".join(sorted(map(str, rows[column].unique()))),
            )
