import numpy as np
import pandas as pd
import pytest

from metasight.errors import EvaluationError
from metasight.predictions import Predictions
from metasight.validation.discrimination import harrell_c
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


def by_hand(columns: dict, time, status, **own) -> Predictions:
    """One model's predictions in one fold: ``columns`` maps horizon or stage to risks."""
    rows = []
    for key, risks in columns.items():
        stage = isinstance(key, str)
        for i, risk in enumerate(risks):
            rows.append(
                {
                    "patient": f"p{i}",
                    "centre": "north",
                    "arm": None,
                    "model": "model0",
                    "repeat": 0,
                    "fold": 0,
                    "endpoint": "dm",
                    "risk": risk,
                    "horizon_days": None if stage else key,
                    "label": key if stage else None,
                    "time_days": time[i],
                    "status": status[i],
                }
            )
    return Predictions(pd.DataFrame(rows))


def test_c_ranks_by_the_last_horizon_where_the_risks_cross():
    """Patient 0 has the higher early risk, patient 2 the higher late one."""
    early, late = [0.30, 0.20, 0.10], [0.35, 0.50, 0.70]
    time, status = np.array([900.0, 600.0, 300.0]), np.array([1.0, 1.0, 1.0])
    got = align(
        by_hand({400: early, 1200: late}, time, status),
        plan(horizons_days=(400, 1200), reference_model="model0"),
    )
    assert got.models["model0"].ranking[0].tolist() == late
    # the late risks put all three pairs in the order of the events, the early ones none
    assert harrell_c(time, status, got.models["model0"].ranking[0]).c == 1
    assert harrell_c(time, status, early).c == 0


def test_the_last_horizon_is_that_of_the_plan_not_a_later_one_of_the_table():
    risks = {400: [0.1, 0.2], 1200: [0.3, 0.2], 1800: [0.3, 0.4]}
    table = by_hand(risks, [700.0, 900.0], [1.0, 0.0])
    got = align(table, plan(horizons_days=(400, 1200), reference_model="model0"))
    assert got.models["model0"].ranking[0].tolist() == [0.3, 0.2]
    assert [t.headline for t in got.targets] == [True, True, False]


def test_stages_rank_by_the_expected_stage_not_by_the_chance_of_any_node():
    """P(any node) is 0.5 and 0.4, the expected stage 0.5 and 0.8: the orders differ."""
    risks = {"N0": [0.5, 0.6, 0.9], "N1": [0.5, 0.0, 0.1], "N2": [0.0, 0.4, 0.0]}
    got = align(by_hand(risks, [np.nan] * 3, [1.0, 2.0, 0.0]), plan("nodal", reference_model="m"))
    np.testing.assert_allclose(got.models["model0"].ranking[0], [0.5, 0.8, 0.1])
    np.testing.assert_allclose(
        got.models["model0"].risk[0], [[0.5, 0.4, 0.1], [0.0, 0.4, 0.0]], atol=1e-12
    )
    # a higher stage is an earlier event, so the patient with N2 comes first
    follow = np.empty(3)
    follow[got.data.order] = got.data.time
    assert follow.tolist() == [2, 1, 3]
