"""A planted stain shift and a planted link of centre and outcome: found, shown, warned of."""

import numpy as np
import pandas as pd
import pytest

from metasight import leakage
from metasight.cohort.outcome import SurvivalOutcome
from metasight.cohort.splits import leave_one_centre_out, repeated_kfold
from metasight.features.bags import BagFolder, PatchFeatures, write_patch_features
from metasight.features.columns import Feature, FeatureTable, Kind
from metasight.features.images import ImageFolders
from metasight.models import crossfit
from metasight.models.registry import ModelSettings, build
from metasight.predictions import Predictions
from metasight.validation.discrimination import harrell_c
from metasight.validation.evaluate import centre_gap
from metasight.validation.results import EvaluationPlan

YEAR = 365.25
HORIZONS = np.array([1826])


def confounded(folder, *, shift, confounding, seed=0, n=150):
    """Three centres; their stains differ by ``shift``, their hazards by ``confounding``."""
    rng = np.random.default_rng(seed)
    centre = np.arange(n) % 3
    names = [f"P{i:03d}" for i in range(n)]
    for i, name in enumerate(names):
        features = rng.normal(size=(25, 6))
        features[:, centre[i]] += shift
        write_patch_features(
            PatchFeatures(
                features=features.astype(np.float32),
                coords=np.zeros((25, 2), np.int64),
                encoder="e",
            ),
            folder / f"{name}.h5",
        )
    event = rng.exponential(8 * YEAR * np.exp(-confounding * (centre - 1)))
    censored = rng.uniform(5 * YEAR, 9 * YEAR, n)
    outcome = SurvivalOutcome(np.minimum(event, censored), (event <= censored).astype(np.int8))
    index = pd.Index(names, name="patient")
    table = FeatureTable(
        pd.DataFrame({"bags": pd.Series(names, index=index, dtype=object)}),
        (Feature(name="bags", kind=Kind.BAG, modality="embedding"),),
    )
    return crossfit.Data(
        tuple(names),
        table,
        outcome,
        pd.Series([f"C{c}" for c in centre], index=index),
        pd.Series("all", index=index),
        "dmfs",
    )


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bags")
    data = confounded(folder, shift=2.0, confounding=1.3)
    return data, ImageFolders(bags=BagFolder(folder))


def predictions(data, bags, splits):
    model = build(
        ModelSettings(
            kind="attention_mil",
            name="slides",
            modalities=("embedding",),
            inner_folds=3,
            network={"epochs": 25},
        ),
        bags,
    )
    return Predictions.concat(
        crossfit.fit_fold(model, data, s, HORIZONS, seed=1).predictions for s in splits
    )


def c_of(found):
    t = found.table
    return harrell_c(t["time_days"].astype(float), t["status"].astype(int), t["risk"]).c


def test_random_folds_are_far_better_than_centres_left_out(planted):
    data, bags = planted
    splits = repeated_kfold(data.patients, data.outcome.status, folds=3, repeats=1, seed=1)
    random_folds = predictions(data, bags, splits)
    left_out = predictions(data, bags, leave_one_centre_out(data.centre))
    assert c_of(random_folds) > 0.6  # of which nothing is biology
    plan = EvaluationPlan(
        endpoint="dmfs",
        horizons_days=(1826,),
        tau_days=1826,
        reference_model="slides",
        headline_model="slides",
        n_bootstrap=50,
    )
    gap = centre_gap(random_folds, left_out, plan)[0]
    # within a centre nothing was learnt, and the report's gap table says so beside the C above
    assert abs(gap.left_out_centres.value - 0.5) < 0.12
    assert c_of(random_folds) - gap.left_out_centres.value > 0.1


def test_the_centre_is_told_from_the_patches_and_warned_of(planted, tmp_path):
    data, bags = planted
    splits = repeated_kfold(data.patients, data.outcome.status, folds=3, repeats=1, seed=1)
    check = leakage.centre_shortcut(crossfit.predict_centre(data, splits, bags), data.centre)
    assert check.verdict == "warn"
    alike = confounded(tmp_path, shift=0.0, confounding=0.0)
    found = crossfit.predict_centre(alike, splits, ImageFolders(bags=BagFolder(tmp_path)))
    assert leakage.centre_shortcut(found, alike.centre).verdict == "pass"
