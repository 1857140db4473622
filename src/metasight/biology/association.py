"""Genes that go with an imaging risk, other things equal.

Each gene's expression is regressed on the risk's log-odds, with stage, centre and purity beside it;
genes are ranked by the t statistic. Covariates are taken out of both sides (Frisch and Waugh,
Econometrica 1933;1:387), and a permutation deals out what is left of the risk, so that it breaks
the risk's relation to genes and keeps every other (Winkler et al., NeuroImage 2014;92:381).

The risk must be out-of-fold: one that saw a patient's outcome is related to all that follows it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.linalg import qr
from scipy.special import logit
from scipy.stats import false_discovery_control
from scipy.stats import t as student

from metasight.errors import EvaluationError

Floats = npt.NDArray[np.float64]

_FEWEST_FREEDOM = 5


@dataclass(frozen=True, kw_only=True)
class Associated:
    """Every gene's relation to the risk.

    Attributes
    ----------
    table
        Index gene; columns ``effect`` (change of expression per unit of the risk's log-odds),
        ``t``, ``p`` (two-sided), ``fdr`` (Benjamini–Hochberg).
    patients, freedom
        Patients, and degrees of freedom left.
    adjusted
        Covariates.
    constant
        Genes that do not vary, which are left out.
    """

    table: pd.DataFrame
    patients: int
    freedom: int
    adjusted: tuple[str, ...]
    constant: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """Expression and risk without what the covariates explain.

    Attributes
    ----------
    expression
        (patients, genes).
    risk
        (patients,).
    basis
        Orthonormal columns of the covariates, (patients, k).
    genes
        Names of the columns.
    freedom
        Degrees of freedom of a gene's regression.
    adjusted, constant
        Names of covariates, and of genes left out.
    """

    expression: Floats
    risk: Floats
    basis: Floats
    genes: tuple[str, ...]
    freedom: int
    adjusted: tuple[str, ...]
    constant: tuple[str, ...]

    def t_of(self, risks: Floats) -> Floats:
        """Statistic t of every gene for each risk, (k, patients) to (k, genes)."""
        left = risks - (risks @ self.basis) @ self.basis.T
        norm = np.sqrt((left**2).sum(axis=1, keepdims=True))
        scale = np.sqrt((self.expression**2).sum(axis=0))
        r = np.clip((left / norm) @ self.expression / scale, -1 + 1e-12, 1 - 1e-12)
        return np.asarray(r * np.sqrt(self.freedom / (1 - r**2)), dtype=np.float64)

    def shuffled(self, number: int, seed: int) -> Floats:
        """``number`` permutations of the risk, shape ``(number, patients)``."""
        rng = np.random.default_rng([seed, 0x6765])
        return np.stack([rng.permutation(self.risk) for _ in range(number)])


def prepare(expression: pd.DataFrame, risk: pd.Series, covariates: pd.DataFrame) -> Prepared:
    """Check and take the covariates out.

    Parameters
    ----------
    expression
        Patients × genes, on a scale on which differences mean something (log).
    risk
        Out-of-fold probability by patient, within (0, 1).
    covariates
        By patient; text becomes a column a level.

    Raises
    ------
    EvaluationError
        Other patients, missing values, a risk outside (0, 1), a gene twice, or too few patients.
    """
    if not (expression.index.equals(risk.index) and expression.index.equals(covariates.index)):
        raise EvaluationError("expression, risk and covariates are of different patients")
    y = expression.to_numpy(dtype=np.float64)
    p = risk.to_numpy(dtype=np.float64)
    if not np.isfinite(y).all() or covariates.isna().to_numpy().any():
        raise EvaluationError(
            "an expression or a covariate is missing", remedy="Leave the gene or the patient out"
        )
    if not ((p > 0) & (p < 1)).all():
        raise EvaluationError("a risk lies within (0, 1)")
    if not expression.columns.is_unique:
        twice = expression.columns[expression.columns.duplicated()][0]
        raise EvaluationError("a gene name occurs in two columns", value=str(twice))
    basis = _basis(covariates)
    freedom = len(p) - basis.shape[1] - 1
    if freedom < _FEWEST_FREEDOM:
        raise EvaluationError(
            "too few patients for the covariates",
            value=f"{len(p)} patients, {basis.shape[1]} terms",
        )
    x = logit(p)
    left = x - basis @ (basis.T @ x)
    if not (left**2).sum() > 1e-9 * max(((x - x.mean()) ** 2).sum(), 1e-12):
        raise EvaluationError("the covariates explain the risk wholly")
    residual = y - basis @ (basis.T @ y)
    varies = (residual**2).sum(axis=0) > 1e-12 * np.maximum((y**2).sum(axis=0), 1e-12)
    names = [str(g) for g in expression.columns]
    return Prepared(
        expression=residual[:, varies],
        risk=left,
        basis=basis,
        freedom=freedom,
        genes=tuple(g for g, v in zip(names, varies, strict=True) if v),
        adjusted=tuple(str(c) for c in covariates.columns),
        constant=tuple(g for g, v in zip(names, varies, strict=True) if not v),
    )


def _basis(covariates: pd.DataFrame) -> Floats:
    """Orthonormal columns that span an intercept and the covariates, (patients, k).

    Columns are pivoted: behind one that is a sum of those before it, the next would otherwise be
    measured against a direction of chance, and part of it be left in.
    """
    columns = [np.ones(len(covariates))]
    if covariates.shape[1]:
        dummies = pd.get_dummies(covariates, drop_first=True, dtype=float)
        columns += list(dummies.to_numpy(dtype=np.float64).T)
    basis, triangle, _ = qr(np.column_stack(columns), mode="economic", pivoting=True)
    size = np.abs(np.diag(triangle))
    return np.asarray(basis[:, size > 1e-9 * max(1.0, float(size[0]))], dtype=np.float64)


def associate(prepared: Prepared) -> Associated:
    """Every gene's effect, t, p and false discovery rate."""
    t = prepared.t_of(prepared.risk[None])[0]
    effect = prepared.risk @ prepared.expression / (prepared.risk**2).sum()
    p = 2 * student.sf(np.abs(t), prepared.freedom)
    table = pd.DataFrame(
        {"effect": effect, "t": t, "p": p, "fdr": false_discovery_control(p)},
        index=pd.Index(prepared.genes, name="gene"),
    )
    return Associated(
        table=table,
        patients=len(prepared.risk),
        freedom=prepared.freedom,
        adjusted=prepared.adjusted,
        constant=prepared.constant,
    )
