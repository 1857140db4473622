"""Nodal stage, arms and tables: the model that was stated, and features that carry it."""

from __future__ import annotations

import functools
import tomllib
from importlib import resources

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from metasight.simulate.lung.settings import LungSettings, NodalEffects
from metasight.simulate.lung.table import (
    CLINICAL_COLUMNS,
    PREDICTORS,
    SimulatedNodalTable,
    simulate_nodal_table,
)
from metasight.validation.binary import binary_auc

SETTINGS = LungSettings(patients=400)
NULL = SETTINGS.model_copy(
    update={"effects": NodalEffects(solid=0, spiculation=0, heterogeneity=0, uptake=0)}
)


@functools.cache
def large(settings: LungSettings, **change: object) -> SimulatedNodalTable:
    return simulate_nodal_table(settings.model_copy(update={"patients": 15_000, **change}), 5)


def test_the_same_seed_is_the_same_cohort() -> None:
    one, two, other = (simulate_nodal_table(SETTINGS, s) for s in (1, 1, 2))
    assert one.image.equals(two.image)
    assert (one.stage == two.stage).all()
    assert not one.image.equals(other.image)


def test_columns_are_those_of_the_protocol() -> None:
    text = resources.files("metasight.protocol").joinpath("nsclc_occult_node.toml").read_text()
    protocol = tomllib.loads(text)
    known = {v["name"] for v in protocol["variable"]}
    assert set(CLINICAL_COLUMNS) <= known
    assert list(PREDICTORS) == protocol["clinical_predictors"]


def test_stages_are_as_frequent_as_asked() -> None:
    table = large(SETTINGS)
    share = np.bincount(table.true_stage, minlength=3) / len(table.true_stage)
    assert share[1] == pytest.approx(0.12, abs=0.01)
    assert share[2] == pytest.approx(0.08, abs=0.01)
    assert table.sbrt.mean() == pytest.approx(0.25, abs=0.015)


def test_true_probabilities_are_calibrated() -> None:
    table = large(SETTINGS)
    for probabilities in (table.probabilities, table.clinical_probabilities):
        assert probabilities.sum(axis=1) == pytest.approx(1.0)
        for stage in (0, 1, 2):
            p = probabilities[:, stage]
            cut = np.quantile(p, (0.25, 0.5, 0.75))
            group = np.searchsorted(cut, p)
            for g in range(4):
                seen = (table.true_stage[group == g] == stage).mean()
                assert seen == pytest.approx(p[group == g].mean(), abs=0.022)


def test_a_null_study_has_no_increment_and_a_planted_one_has() -> None:
    assert large(NULL).oracle.increment == pytest.approx(0.0, abs=1e-4)
    assert 0.10 < large(SETTINGS).oracle.increment < 0.22


def test_who_is_verified_depends_on_covariates_alone_unless_asked() -> None:
    """At random: given the probability of surgery the stage tells nothing; else it does."""

    def gap(table: SimulatedNodalTable) -> float:
        p = table.verification_probability
        node = table.true_stage > 0
        return float((~table.sbrt - p)[node].mean() - (~table.sbrt - p)[~node].mean())

    random = large(SETTINGS)
    assert abs(gap(random)) < 0.02
    assert (random.stage[random.sbrt] == -1).all()
    assert (random.stage[~random.sbrt] == random.true_stage[~random.sbrt]).all()
    told = large(SETTINGS, not_at_random=1.0)
    node = told.true_stage > 0
    assert told.sbrt[node].mean() > told.sbrt[~node].mean() + 0.1
    old = random.clinical["age_years"] > 75
    assert random.sbrt[old].mean() > random.sbrt[~old].mean() + 0.15


def test_untreated_nodes_recur() -> None:
    table = large(SETTINGS)
    recurred = table.regional_status == 1
    node = table.true_stage > 0
    assert recurred[table.sbrt & node].mean() > 4 * recurred[table.sbrt & ~node].mean()
    assert recurred[table.sbrt & node].mean() > 2 * recurred[~table.sbrt & node].mean()
    assert table.regional_days.min() >= 1
    assert {0, 1, 2} == set(table.regional_status)


def gain(train: SimulatedNodalTable, test: SimulatedNodalTable) -> float:
    """AUC on other patients that image features add to the table's."""
    columns = ["ctr", "sphericity", "surface_irregularity", "glcm_contrast", "run_entropy"]
    auc = []
    for image in (False, True):

        def frame(t: SimulatedNodalTable, *, image: bool = image) -> np.ndarray:
            suv = np.log(t.image["suvmax"].fillna(t.image["suvmax"].median()))
            extra = [t.image[columns].to_numpy(), suv.to_numpy()[:, None]] if image else []
            return np.hstack([t.clinical.to_numpy(), *extra])

        fit = make_pipeline(StandardScaler(), LogisticRegression(C=0.3))
        fit.fit(frame(train), train.true_stage > 0)
        risk = fit.predict_proba(frame(test))[:, 1]
        auc.append(binary_auc(risk, test.true_stage > 0).auc)
    return auc[1] - auc[0]


def train(settings: LungSettings) -> SimulatedNodalTable:
    return simulate_nodal_table(settings.model_copy(update={"patients": 4000}), 99)


def test_features_carry_the_planted_effect_and_not_the_null() -> None:
    planted = np.mean([gain(train(SETTINGS), simulate_nodal_table(SETTINGS, s)) for s in range(6)])
    nothing = np.mean([gain(train(NULL), simulate_nodal_table(NULL, s)) for s in range(6)])
    assert 0.07 < planted < 0.20
    assert abs(nothing) < 0.02


def test_missing_values_are_where_asked() -> None:
    table = large(SETTINGS, missing_fraction=0.2)
    assert table.clinical["ever_smoker"].isna().mean() == pytest.approx(0.2, abs=0.02)
    assert table.image["suvmax"].isna().mean() == pytest.approx(0.3, abs=0.06)
    assert not table.clinical["age_years"].isna().any()
