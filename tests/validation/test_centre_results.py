"""Leave-one-centre-out as JSON, and which models have every measure in every centre."""

from __future__ import annotations

import json

import pytest

from metasight.estimate import Estimate
from metasight.validation.centre_results import CentreEvaluation
from metasight.validation.evaluate import evaluate, evaluate_centres
from metasight.validation.results import NotEstimable

from .conftest import predictions
from .test_evaluate import plan


@pytest.fixture(scope="module")
def left_out() -> CentreEvaluation:
    told = predictions(240, models=3, repeats=1, by_centre=True)
    return evaluate_centres(told, plan(min_group_events=5, n_bootstrap=20))


def test_json_both_ways(left_out):
    text = json.dumps(left_out.to_json(), allow_nan=False)
    assert CentreEvaluation.from_json(json.loads(text)) == left_out


def test_reference_and_headline_model_are_evaluated_in_full(left_out):
    for name, full in (("model0", True), ("model1", True), ("model2", False)):
        summary = left_out.models[name]
        assert len(summary.net_benefit) == (2 if full else 0)
        assert isinstance(summary.slope, NotEstimable) is not full
        assert isinstance(summary.centres[0].slope, Estimate) is full


@pytest.mark.parametrize("external", [True, False])
def test_of_other_predictions_external_ones_alone_are_in_full(external):
    told = predictions(240, models=2, repeats=1, folds=1)
    if external:
        told = type(told)(told.table.assign(fold=-1))
    found = evaluate(told, plan(min_group_events=5, n_bootstrap=20))
    summary = found.models["model0"].centres
    assert isinstance(summary.slope, NotEstimable) is not external
    assert len(summary.net_benefit) == (2 if external else 0)
