import numpy as np
import pandas as pd
import pytest

from metasight.errors import FitError
from metasight.models.elastic_net import COX, Problem
from metasight.models.partial_likelihood import PartialLikelihood
from metasight.models.tuning import stratified_folds, tune


def test_folds_share_every_stratum_evenly():
    stratum = np.array([0] * 103 + [1] * 21 + [2] * 4)
    fold = stratified_folds(stratum, 5, np.random.default_rng(0))
    for value in (0, 1, 2):
        counts = np.bincount(fold[stratum == value], minlength=5)
        assert counts.max() - counts.min() <= 1
    sizes = np.bincount(fold, minlength=5)
    assert sizes.max() - sizes.min() <= 1


def _problem(x, time, event):
    likelihood = PartialLikelihood.of(time, event)
    return Problem(
        family=COX,
        matrix=np.asfortranarray(x[likelihood.order]),
        time=likelihood.time,
        label=likelihood.event,
        factor=np.ones(x.shape[1]),
    )


def test_chooses_the_smallest_deviance(simulated):
    tuned = tune(_problem(*simulated()), l1_ratios=(0.05, 1.0), n_folds=5, seed=1, model="enet")
    lowest = min(min(p["deviance"]) for p in tuned.summary["path"])
    chosen = next(p for p in tuned.summary["path"] if p["l1_ratio"] == tuned.summary["l1_ratio"])
    at = chosen["penalties"].index(pytest.approx(tuned.summary["penalty"]))
    assert chosen["deviance"][at] == lowest
    assert tuned.coefficients[0] > 0.2


def test_too_few_events_are_refused(simulated):
    x, time, event = simulated()
    few = np.zeros_like(event)
    few[np.flatnonzero(event)[:2]] = True
    with pytest.raises(FitError, match="too few"):
        tune(_problem(x, time, few), l1_ratios=(1.0,), n_folds=5, seed=1, model="enet")


def test_copies_of_a_patient_stay_in_one_fold():
    rng = np.random.default_rng(0)
    patient = rng.integers(0, 40, 90)
    stratum = (patient % 4 == 0).astype(np.int64)
    fold = stratified_folds(stratum, 5, np.random.default_rng(1), patient)
    for number in np.unique(patient):
        assert len(set(fold[patient == number])) == 1
    alone = np.arange(90)
    assert np.array_equal(
        stratified_folds(stratum, 5, np.random.default_rng(1), alone),
        stratified_folds(stratum, 5, np.random.default_rng(1)),
    )


def test_copies_are_told_by_their_names():
    from metasight.features.columns import COPY_MARK, Feature, FeatureTable, Kind

    names = [f"P1{COPY_MARK}0", f"P2{COPY_MARK}1", f"P1{COPY_MARK}2"]
    values = pd.DataFrame({"x": [1.0, 2.0, 1.0]}, index=names)
    table = FeatureTable(values, (Feature(name="x", kind=Kind.CONTINUOUS),))
    assert table.patient_number.tolist() == [0, 1, 0]
