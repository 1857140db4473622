"""Genes against a risk with covariates beside it: least squares' own t, and what chance gives."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit
from scipy.stats import false_discovery_control, linregress

from metasight.biology.association import associate, prepare
from metasight.errors import EvaluationError


def cohort(n: int = 60, genes: int = 8, seed: int = 0):
    rng = np.random.default_rng(seed)
    index = pd.Index([f"p{i}" for i in range(n)])
    risk = pd.Series(expit(rng.normal(size=n)), index=index)
    covariates = pd.DataFrame(
        {"purity": rng.random(n), "centre": rng.choice(["A", "B", "C"], n)}, index=index
    )
    expression = pd.DataFrame(
        rng.normal(size=(n, genes)), index=index, columns=[f"G{i}" for i in range(genes)]
    )
    expression["G0"] += 0.8 * logit(risk) + 3 * covariates["purity"]
    return expression, risk, covariates


def least_squares(y, x, others):
    """Coefficient and t of ``x`` in a regression of y on it, an intercept and ``others``."""
    design = np.column_stack([x, np.ones(len(y)), others])
    beta, *_ = np.linalg.lstsq(design, y, rcond=None)
    left = y - design @ beta
    rank = np.linalg.matrix_rank(design)
    variance = left @ left / (len(y) - rank) * np.linalg.pinv(design.T @ design)[0, 0]
    return beta[0], beta[0] / np.sqrt(variance), len(y) - rank


def test_effect_t_and_freedom_are_those_of_the_whole_regression():
    expression, risk, covariates = cohort()
    found = associate(prepare(expression, risk, covariates))
    dummies = pd.get_dummies(covariates, drop_first=True, dtype=float).to_numpy()
    for gene in ("G0", "G3"):
        beta, t, freedom = least_squares(expression[gene].to_numpy(), logit(risk), dummies)
        assert found.table.loc[gene, "effect"] == pytest.approx(beta)
        assert found.table.loc[gene, "t"] == pytest.approx(t)
        assert found.freedom == freedom == 60 - 5
    assert found.adjusted == ("purity", "centre")
    assert found.table["fdr"].to_numpy() == pytest.approx(
        false_discovery_control(found.table["p"].to_numpy())
    )
    assert found.table["fdr"].idxmin() == "G0"


def test_without_covariates_it_is_a_plain_regression():
    expression, risk, covariates = cohort()
    found = associate(prepare(expression, risk, covariates[[]]))
    wanted = linregress(logit(risk), expression["G5"])
    assert found.table.loc["G5", "effect"] == pytest.approx(wanted.slope)
    assert found.table.loc["G5", "p"] == pytest.approx(wanted.pvalue)


@pytest.mark.parametrize("spare", ["constant", "twice", "a sum"])
def test_a_covariate_that_says_nothing_new_changes_nothing_wherever_it_stands(spare):
    """What stands behind it in the table must still be taken out whole."""
    expression, risk, covariates = cohort()
    covariates = covariates.assign(age=np.random.default_rng(5).normal(60, 9, 60))
    expression["G1"] += 2 * covariates["age"]
    wanted = associate(prepare(expression, risk, covariates))
    extra = {
        "constant": np.full(60, 3.0),
        "twice": covariates["purity"],
        "a sum": 2 * covariates["purity"] + 1,
    }[spare]
    more = covariates.copy()
    more.insert(1, "spare", extra)
    found = associate(prepare(expression, risk, more))
    assert found.freedom == wanted.freedom
    np.testing.assert_allclose(found.table["t"], wanted.table["t"], rtol=1e-8)


def test_genes_that_do_not_vary_beside_the_covariates_are_named():
    expression, risk, covariates = cohort()
    expression["flat"] = 7.0
    expression["of purity"] = 2 - covariates["purity"]
    found = associate(prepare(expression, risk, covariates))
    assert found.constant == ("flat", "of purity")
    assert "flat" not in found.table.index


def test_units_of_a_gene_and_of_covariates_do_not_matter_to_t():
    expression, risk, covariates = cohort()
    one = associate(prepare(expression, risk, covariates)).table
    scaled = covariates.assign(purity=covariates["purity"] * 1000 - 5)
    two = associate(prepare(expression * 10 + 4, risk, scaled)).table
    np.testing.assert_allclose(two["t"], one["t"], rtol=1e-9)
    np.testing.assert_allclose(two["effect"], 10 * one["effect"], rtol=1e-9)


def test_permutations_break_the_risks_relation_to_genes_only():
    prepared = prepare(*cohort())
    drawn = prepared.shuffled(400, seed=1)
    assert drawn.shape == (400, 60)
    np.testing.assert_allclose(np.sort(drawn, axis=1), np.tile(np.sort(prepared.risk), (400, 1)))
    np.testing.assert_array_equal(drawn, prepared.shuffled(400, seed=1))
    t = prepared.t_of(drawn)
    assert abs(t.mean()) < 0.1
    # Student's t of 55: the spread is √(55 / 53)
    assert t.std() == pytest.approx(np.sqrt(55 / 53), rel=0.06)


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda e, r, c: (e, r.iloc[::-1], c), "of different patients"),
        (lambda e, r, c: (e.assign(G1=np.nan), r, c), "is missing"),
        (lambda e, r, c: (e, r, c.assign(purity=None)), "is missing"),
        (lambda e, r, c: (e, r.replace(r.iloc[0], 1.0), c), r"within \(0, 1\)"),
        (lambda e, r, c: (e.set_axis(["G0", *e.columns[:-1]], axis=1), r, c), "in two columns"),
        (lambda e, r, c: (e.head(9), r.head(9), c.head(9)), "too few patients"),
        (lambda e, r, c: (e, r, c.assign(purity=logit(r))), "explain the risk wholly"),
    ],
)
def test_refusals(spoil, problem):
    with pytest.raises(EvaluationError, match=problem):
        prepare(*spoil(*cohort()))
