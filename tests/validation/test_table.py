import numpy as np
import pytest

from metasight.errors import EvaluationError
from metasight.predictions import Predictions
from metasight.validation.table import align

from .conftest import predictions
from .test_evaluate import plan


def test_every_model_is_on_the_same_patients_in_one_order():
    table = predictions(60).table
    table = table[~((table["model"] == "model1") & (table["patient"] == "p0007"))]
    got = align(Predictions(table), plan())
    assert got.n == 59
    assert got.n_dropped == 1
    assert "p0007" not in got.patients
    row = table[(table["model"] == "model0") & (table["repeat"] == 1)]
    row = row[(row["patient"] == got.patients[5]) & (row["horizon_days"] == 1200)]
    assert got.models["model0"].risk[1, 2, 5] == row["risk"].item()


def test_nodal_stage_is_an_order_and_two_classes():
    got = align(predictions(60, kind="nodal"), plan("nodal"))
    assert got.kind == "nodal"
    one, two = got.targets
    assert (one.data.status == 1).sum() == (got.stage >= 1).sum()
    assert (two.data.status == 1).sum() == (got.stage == 2).sum()
    risk = got.models["model0"].risk
    assert (risk[:, 0] >= risk[:, 1]).all()


def test_subset():
    got = align(predictions(60), plan())
    keep = np.arange(60) % 3 == 0
    part = got.subset(keep)
    assert part.n == 20
    assert (part.models["model0"].risk == got.models["model0"].risk[:, :, keep]).all()
    assert part.data.n == 20


def test_two_outcomes_of_a_patient():
    table = predictions(30).table.copy()
    table.loc[0, "time_days"] = 1.0
    with pytest.raises(EvaluationError, match="two outcomes"):
        align(Predictions(table), plan())


def test_nobody_in_common():
    table = predictions(30).table
    low = table["patient"] < "p0015"
    table = table[low == (table["model"] == "model0")]
    with pytest.raises(EvaluationError, match="no patient is predicted by every model"):
        align(Predictions(table), plan())


def test_nothing_observed():
    table = predictions(30, kind="nodal").table.copy()
    table["status"] = None
    with pytest.raises(EvaluationError, match="observed outcome"):
        align(Predictions(table), plan("nodal"))
