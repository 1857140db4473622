"""Predictions of one endpoint as arrays: every model and repeat on the same patients, in one order.

Nodal stage is put on the same footing as survival: a stage at or above a threshold is an event on
day 1, a lower one is followed to day 3 without an event, and the horizon is day 2. Nothing is
censored before the horizon, so every censored-data metric is then the plain one of a class.
"""

# ruff: noqa: PLR0917 (numba kernels take their arguments by position)

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from metasight.errors import EvaluationError
from metasight.predictions import EXTERNAL_FOLD, NODAL_LABELS, Predictions
from metasight.validation.ordering import Floats, FollowUp, Ints, follow_up
from metasight.validation.results import EvaluationPlan, Kind

CLASS_HORIZON = 2.0


@dataclass(frozen=True, kw_only=True)
class Target:
    """What is predicted: the event by a horizon, or a stage at or above a threshold.

    Attributes
    ----------
    name
        ``"1826 days"`` or ``"N1 or worse"``.
    horizon_days
        ``None`` for nodal stage.
    data
        Follow-up in ascending time.
    horizon
        Horizon on the scale of ``data``.
    headline
        Whether the plan asks for it; the others only enter integrals.
    """

    name: str
    horizon_days: int | None
    data: FollowUp
    horizon: float
    headline: bool


@dataclass(frozen=True, kw_only=True)
class ModelRisks:
    """One model's risks in every repeat.

    Attributes
    ----------
    risk
        Shape ``(repeats, targets, n)``.
    ranking
        What C ranks by, shape ``(repeats, n)``.
    strata
        Dense fold number, shape ``(repeats, n)``.
    """

    risk: Floats
    ranking: Floats
    strata: Ints


@dataclass(frozen=True, kw_only=True)
class Aligned:
    """Every model on the same ``n`` patients.

    Attributes
    ----------
    kind
        survival, competing or nodal.
    patients, centre
        Shape ``(n,)``, patients sorted.
    data
        Follow-up that C is computed on: time and status, or for nodal stage a higher stage as an
        earlier event.
    stage
        Observed class index; empty for survival.
    targets
        Ascending horizon, or thresholds.
    models
        By name, in order of the names.
    n_unobserved, n_dropped
        Patients without an observed outcome, and patients that some model did not predict.
    n_folds
        Distinct (repeat, fold) pairs.
    external
        Whether the models were fitted elsewhere: no fold was drawn from these patients.
    """

    kind: Kind
    patients: npt.NDArray[np.object_]
    centre: npt.NDArray[np.object_]
    data: FollowUp
    stage: Ints
    targets: tuple[Target, ...]
    models: dict[str, ModelRisks]
    n_unobserved: int
    n_dropped: int
    n_folds: int
    external: bool = False

    @property
    def n(self) -> int:
        """Patients."""
        return int(self.patients.size)

    def subset(self, keep: npt.NDArray[np.bool_]) -> Aligned:
        """Return the same models on the patients of ``keep``, shape ``(n,)``."""
        return Aligned(
            kind=self.kind,
            patients=self.patients[keep],
            centre=self.centre[keep],
            data=_subset(self.data, keep),
            stage=self.stage[keep] if self.stage.size else self.stage,
            targets=tuple(
                Target(
                    name=t.name,
                    horizon_days=t.horizon_days,
                    data=_subset(t.data, keep),
                    horizon=t.horizon,
                    headline=t.headline,
                )
                for t in self.targets
            ),
            models={
                name: ModelRisks(
                    risk=m.risk[:, :, keep],
                    ranking=m.ranking[:, keep],
                    strata=np.stack([_dense(s[keep]) for s in m.strata]),
                )
                for name, m in self.models.items()
            },
            n_unobserved=0,
            n_dropped=0,
            n_folds=self.n_folds,
            external=self.external,
        )


def _subset(data: FollowUp, keep: npt.NDArray[np.bool_]) -> FollowUp:
    time, status = np.empty(data.n), np.empty(data.n, dtype=np.int64)
    time[data.order], status[data.order] = data.time, data.status
    return follow_up(time[keep], status[keep])


def _dense(values: npt.NDArray[np.int64]) -> Ints:
    return np.unique(values, return_inverse=True)[1].astype(np.int64)


def align(predictions: Predictions, plan: EvaluationPlan) -> Aligned:
    """Bring one endpoint of a predictions table into arrays.

    Parameters
    ----------
    predictions
        Any number of models and repeats.
    plan
        Its endpoint and horizons.

    Raises
    ------
    EvaluationError
        The endpoint is not predicted, a headline horizon or a stage is missing, a patient has two
        outcomes, or no patient is predicted by every model.
    """
    table = predictions.select(endpoint=plan.endpoint).table
    nodal = bool(table["label"].notna().any())
    unobserved = int(table.loc[table["status"].isna(), "patient"].nunique())
    table = table[table["status"].notna()]
    if table.empty:
        raise EvaluationError(
            "no patient has an observed outcome",
            where=plan.endpoint,
            value=f"{unobserved} patients without one",
            remedy="An endpoint that was never observed cannot be evaluated",
        )
    outcome = _outcomes(table, plan.endpoint)
    keys = ["model", "repeat", "patient", "label" if nodal else "horizon_days"]
    wide = table.set_index(keys)["risk"].unstack(keys[-1])  # noqa: PD010 (nothing to aggregate)
    folds = table.groupby(["model", "repeat", "patient"])["fold"].first()
    blocks = list(wide.groupby(level=["model", "repeat"], sort=True))
    shared = set(outcome.index)
    for _, block in blocks:
        shared &= set(block.index.get_level_values("patient"))
    if not shared:
        raise EvaluationError(
            "no patient is predicted by every model in every repeat",
            where=plan.endpoint,
            remedy="Compare models on the patients that all of them predict",
        )
    outcome = outcome.loc[sorted(shared)]
    columns = list(NODAL_LABELS) if nodal else _columns(wide, plan)
    missing = [c for c in columns if c not in wide.columns or wide[c].isna().any()]
    if missing:
        raise EvaluationError(
            "some models do not predict every class" if nodal else "a headline horizon is missing",
            where=plan.endpoint,
            value=", ".join(map(str, missing)),
            remedy="Every model must predict it for every patient",
        )
    return _arrays(
        plan, outcome, wide, folds, columns, nodal, unobserved, table["patient"].nunique()
    )


def _outcomes(table: pd.DataFrame, endpoint: str) -> pd.DataFrame:
    seen = table[["patient", "centre", "time_days", "status"]].drop_duplicates()
    if bool(seen["patient"].duplicated().any()):
        raise EvaluationError(
            "a patient has two outcomes or two centres",
            where=endpoint,
            value=f"{int(seen['patient'].duplicated().sum())} patients",
            remedy="Every row of a patient must carry the same time, status and centre",
        )
    return seen.set_index("patient")


def _columns(wide: pd.DataFrame, plan: EvaluationPlan) -> list[int]:
    """Headline horizons, and up to tau those that every model predicts."""
    if not plan.horizons_days:
        raise EvaluationError(
            "no headline horizon",
            where=plan.endpoint,
            remedy="Give horizons_days in the plan",
        )
    limit = plan.tau_days if plan.tau_days is not None else 0.0
    horizons = [int(str(c)) for c in wide.columns]
    common = [h for h in horizons if h <= limit and not wide[h].isna().any()]
    return sorted(set(plan.horizons_days) | set(common))


def _arrays(
    plan: EvaluationPlan,
    outcome: pd.DataFrame,
    wide: pd.DataFrame,
    folds: pd.Series,
    columns: list[str] | list[int],
    nodal: bool,
    unobserved: int,
    n_seen: int,
) -> Aligned:
    patients = outcome.index.to_numpy(dtype=object)
    status = outcome["status"].to_numpy(dtype=np.int64)
    time = outcome["time_days"].to_numpy(dtype=np.float64)
    models = {}
    for name in wide.index.get_level_values("model").unique():
        risk, ranking, strata = [], [], []
        for repeat in wide.loc[name].index.get_level_values("repeat").unique():
            block = wide.loc[(name, repeat)].loc[patients, columns].to_numpy(dtype=np.float64)
            fold = folds.loc[(name, repeat)].loc[patients].to_numpy(dtype=np.int64)
            strata.append(_dense(fold))
            if nodal:
                tails = np.cumsum(block[:, ::-1], axis=1)[:, ::-1]
                risk.append(np.clip(tails[:, 1:].T, 0, 1))
                ranking.append(block @ np.arange(block.shape[1]))
            else:
                risk.append(block.T)
                ranking.append(block[:, _ranking_column(columns, plan)])
        models[str(name)] = ModelRisks(
            risk=np.stack(risk), ranking=np.stack(ranking), strata=np.stack(strata)
        )
    kind: Kind = "nodal" if nodal else ("competing" if (status == 2).any() else "survival")
    if nodal:
        highest = len(NODAL_LABELS) - 1
        data = follow_up(1.0 + highest - status, (status > 0).astype(np.int64))
        targets = _stage_targets(status)
    else:
        data = follow_up(time, status)
        targets = tuple(
            Target(
                name=f"{h} days",
                horizon_days=int(h),
                data=data,
                horizon=float(h),
                headline=h in plan.horizons_days,
            )
            for h in columns
        )
    return Aligned(
        kind=kind,
        patients=patients,
        centre=outcome["centre"].astype(object).fillna("").to_numpy(dtype=object),
        data=data,
        stage=status if nodal else np.empty(0, dtype=np.int64),
        targets=targets,
        models=models,
        n_unobserved=unobserved,
        n_dropped=n_seen - len(patients),
        external=bool((folds == EXTERNAL_FOLD).all()),
        n_folds=int(folds.reset_index()[["repeat", "fold"]].drop_duplicates().shape[0]),
    )


def _ranking_column(columns: list[str] | list[int], plan: EvaluationPlan) -> int:
    return columns.index(max(plan.horizons_days))  # type: ignore[arg-type]


def _stage_targets(stage: Ints) -> tuple[Target, ...]:
    names = {1: "N1 or worse", 2: "N2"}
    out = []
    for k, name in names.items():
        above = stage >= k
        data = follow_up(np.where(above, 1.0, 3.0), above.astype(np.int64))
        out.append(
            Target(name=name, horizon_days=None, data=data, horizon=CLASS_HORIZON, headline=True)
        )
    return tuple(out)
