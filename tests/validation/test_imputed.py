"""Performance over imputations beside single imputation, on the same patients and resamples."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from metasight.estimate import Estimate
from metasight.predictions import Predictions
from metasight.validation.evaluate import evaluate
from metasight.validation.imputed import ImputedEvaluation, evaluate_imputed
from metasight.validation.results import Contrast, NotEstimable

from .conftest import predictions
from .test_evaluate import plan


def only(given: Predictions, *models: str) -> Predictions:
    return Predictions(given.table[given.table["model"].isin(models)])


@pytest.mark.parametrize("kind", ["survival", "nodal"])
def test_figures_are_those_of_the_evaluation_and_the_same_predictions_change_nothing(kind):
    given, asked = predictions(150, kind=kind), plan(kind)
    found = evaluate_imputed(given, given, asked, imputations=5)
    whole = evaluate(given, asked)
    for m in found.models:
        known = whole.models[m.model]
        c = known.ordinal_c if kind == "nodal" else known.harrell_c
        assert m.discrimination.single == m.discrimination.multiple == c
        assert m.discrimination.change == Contrast(
            difference=0.0, lower=0.0, upper=0.0, probability_better=0.5
        )
        target = next(t for t in known.targets if t.target == found.target)
        assert m.auc.single == target.auc
        assert not m.complete
    c = next(d for d in found.differences if d.measure == "C")
    comparison = next(x for x in whole.comparisons if x.headline)
    assert c.single == (comparison.ordinal_c if kind == "nodal" else comparison.harrell_c)
    assert c.reference == asked.reference_model
    assert found.n == whole.data.n_patients


def worse(given: Predictions, model: str) -> Predictions:
    """The risks of a model go to other patients."""
    table = given.table.copy()
    own = table["model"] == model
    table.loc[own, "risk"] = 1 - table.loc[own, "risk"]
    return Predictions(table)


def test_a_change_is_multiple_minus_single():
    given, asked = predictions(150), plan()
    found = evaluate_imputed(given, worse(given, asked.headline_model), asked, imputations=5)
    lead = next(m for m in found.models if m.model == asked.headline_model)
    one, many = lead.discrimination.single, lead.discrimination.multiple
    assert isinstance(one, Estimate)
    assert isinstance(many, Estimate)
    assert many.value == pytest.approx(1 - one.value)
    assert lead.discrimination.change.difference == pytest.approx(many.value - one.value)
    c = next(d for d in found.differences if d.measure == "C")
    assert c.change.difference == pytest.approx(c.multiple.difference - c.single.difference)
    assert c.change.difference == pytest.approx(lead.discrimination.change.difference)


def test_a_model_without_a_missing_predictor_keeps_its_predictions():
    given, asked = predictions(150), plan()
    over = only(worse(given, asked.headline_model), asked.headline_model)
    found = evaluate_imputed(given, over, asked, imputations=5, complete=[asked.reference_model])
    by_name = {m.model: m for m in found.models}
    assert by_name.keys() == {asked.headline_model, asked.reference_model}
    assert by_name[asked.reference_model].complete
    assert by_name[asked.reference_model].discrimination.change.difference == 0
    assert {d.reference for d in found.differences} == {asked.reference_model}


def test_without_the_headline_model_there_is_no_increment():
    given, asked = predictions(150), plan()
    found = evaluate_imputed(given, only(given, asked.reference_model), asked, imputations=5)
    assert [m.model for m in found.models] == [asked.reference_model]
    assert found.differences == ()


def test_what_is_written_is_read_again_and_names_no_patient():
    given, asked = predictions(150), plan()
    told = json.dumps(evaluate_imputed(given, given, asked, imputations=5).to_json())
    assert ImputedEvaluation.from_json(json.loads(told)).to_json() == json.loads(told)
    assert not any(str(p) in told for p in pd.unique(given.table["patient"]))


def test_constant_risks_have_no_estimate_or_one_of_a_half():
    given, asked = predictions(150), plan()
    flat = Predictions(given.table.assign(risk=0.2))
    found = evaluate_imputed(given, flat, asked, imputations=5)
    for m in found.models:
        c = m.discrimination.multiple
        assert isinstance(c, NotEstimable) or c.value == pytest.approx(0.5)
