"""The one table that every model writes and that validation reads.

Our own model, a published score, a clinician's guess and a remote centre's predictions all come
in this shape, so that the same code judges them on the same patients (DESIGN §2.3, §5).

One row is one prediction: a patient, a model, one repeat and fold of the cross-fitting, one
endpoint, and either a horizon (survival endpoints) or a class (nodal stage).
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from metasight.errors import EvaluationError
from metasight.formats import read_table, write_table

FORMAT = 1
"""Of ``predictions.parquet``."""

EXTERNAL_FOLD = -1
"""Fold number of predictions made on a table that no fold was drawn from."""

NODAL_LABELS = ("N0", "N1", "N2")

SCHEMA = pa.schema(
    [
        ("patient", pa.string()),
        ("centre", pa.string()),
        ("arm", pa.string()),
        ("model", pa.string()),
        ("repeat", pa.int32()),
        ("fold", pa.int32()),
        ("endpoint", pa.string()),
        ("horizon_days", pa.int32()),
        ("label", pa.string()),
        ("risk", pa.float64()),
        ("time_days", pa.float64()),
        ("status", pa.int8()),
    ]
)
_DTYPES = {
    "patient": "string",
    "centre": "string",
    "arm": "string",
    "model": "string",
    "repeat": "Int32",
    "fold": "Int32",
    "endpoint": "string",
    "horizon_days": "Int32",
    "label": "string",
    "risk": "float64",
    "time_days": "float64",
    "status": "Int8",
}
_ORDER = ["endpoint", "model", "repeat", "fold", "patient", "horizon_days", "label"]


class Predictions:
    """Out-of-fold (or external) predictions, valid on construction and sorted.

    Parameters
    ----------
    table
        Columns of :data:`SCHEMA`. Survival rows have ``horizon_days`` set, ``label`` missing,
        ``risk`` the probability of the event by the horizon, ``status`` 0 censored, 1 event,
        2 competing event, ``time_days`` > 0. Nodal rows have ``label`` one of N0, N1, N2,
        ``horizon_days`` missing, ``status`` the observed class index or missing where nodes were
        not examined, ``time_days`` missing.

    Raises
    ------
    EvaluationError
        A column is missing, a risk is outside [0, 1] or is missing, a patient is predicted
        twice by the same model, repeat, endpoint and horizon or label, or survival rows lack a
        time or a status.

    Notes
    -----
    Only one prediction a patient, model, repeat, endpoint, horizon: a patient in two folds of a
    repeat is leakage or double counting, and is refused here.
    """

    def __init__(self, table: pd.DataFrame) -> None:
        missing = [c for c in _DTYPES if c not in table.columns]
        if missing:
            raise EvaluationError(
                "columns are missing from the predictions",
                value=", ".join(missing),
                remedy="Give every column of predictions.parquet, which docs/methods.md lists",
            )
        table = table[list(_DTYPES)].astype(_DTYPES)
        _check(table)
        self.table = table.sort_values(_ORDER, kind="stable").reset_index(drop=True)

    def __len__(self) -> int:
        return len(self.table)

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the models, in order of first appearance after sorting."""
        return tuple(str(m) for m in self.table["model"].unique())

    @property
    def endpoints(self) -> tuple[str, ...]:
        """Names of the endpoints predicted."""
        return tuple(str(e) for e in self.table["endpoint"].unique())

    def horizons_days(self, endpoint: str) -> tuple[int, ...]:
        """Horizons predicted for ``endpoint``, ascending; empty for nodal stage."""
        rows = self.table.loc[self.table["endpoint"] == endpoint, "horizon_days"].dropna()
        return tuple(int(h) for h in np.sort(rows.unique()))

    def select(
        self,
        *,
        endpoint: str | None = None,
        model: str | None = None,
        patients: Iterable[str] | None = None,
        arm: str | None = None,
    ) -> Predictions:
        """Rows of one endpoint, model, arm or set of patients.

        Raises
        ------
        EvaluationError
            Nothing is left.
        """
        keep = pd.Series(True, index=self.table.index)
        if endpoint is not None:
            keep &= self.table["endpoint"] == endpoint
        if model is not None:
            keep &= self.table["model"] == model
        if arm is not None:
            keep &= (self.table["arm"] == arm).fillna(False).astype(bool)
        if patients is not None:
            keep &= self.table["patient"].isin(set(patients))
        if not bool(keep.any()):
            raise EvaluationError(
                "no predictions left",
                value=f"endpoint={endpoint}, model={model}, arm={arm}",
                remedy="Ask for an endpoint, model and patients that were predicted",
            )
        return Predictions(self.table[keep])

    def to_parquet(self, path: Path) -> None:
        """Write the table; the same predictions give the same bytes."""
        arrow = pa.Table.from_pandas(self.table, schema=SCHEMA, preserve_index=False)
        write_table(arrow, path, own=FORMAT)

    @classmethod
    def from_parquet(cls, path: Path) -> Predictions:
        """Read and check a predictions table.

        Raises
        ------
        StoreError
            The file has another format.
        """
        return cls(read_table(path, own=FORMAT).to_pandas())

    @classmethod
    def concat(cls, parts: Iterable[Predictions]) -> Predictions:
        """Stack predictions; a patient predicted twice is refused."""
        return cls(pd.concat([p.table for p in parts], ignore_index=True))


def _check(table: pd.DataFrame) -> None:
    risk = table["risk"].to_numpy(dtype=float)
    bad = ~((risk >= 0) & (risk <= 1))
    if bad.any():
        first = table.loc[bad].iloc[0]
        raise EvaluationError(
            f"{int(bad.sum())} risks are missing or outside [0, 1]",
            where=f"model {first['model']}, endpoint {first['endpoint']}",
            value=str(first["risk"]),
            remedy="A risk is a probability by the horizon, or of the label",
        )
    survival = table["horizon_days"].notna()
    if bool((survival == table["label"].notna()).any()):
        raise EvaluationError(
            "each row needs a horizon or a label, and not both",
            remedy="Survival rows set horizon_days; nodal rows set label",
        )
    rows = table[survival]
    if bool(rows["time_days"].isna().any() or rows["status"].isna().any()):
        raise EvaluationError(
            "survival rows need time_days and status", remedy="0 censored, 1 event, 2 competing"
        )
    twice = table.duplicated(
        ["patient", "model", "repeat", "endpoint", "horizon_days", "label"], keep=False
    )
    if bool(twice.any()):
        raise EvaluationError(
            f"{int(twice.sum())} rows predict the same patient, model, repeat and horizon again",
            remedy="A patient belongs to one fold of a repeat",
        )
