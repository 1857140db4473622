"""One risk a patient: of any node, or of the event by the last horizon."""

import numpy as np
import pandas as pd
import pytest

from metasight.errors import EvaluationError
from metasight.validation.out_of_fold import mean_out_of_fold_risk


def rows(**columns) -> pd.DataFrame:
    frame = pd.DataFrame({"model": "m", "endpoint": "e", **columns})
    return frame.astype({"horizon_days": "Int32", "label": "string"})


def test_nodal_disease_is_what_is_not_n0_averaged_over_repeats():
    table = rows(
        patient=["A", "A", "A", "A", "B", "B"],
        label=["N0", "N1", "N0", "N2", "N0", "N1"],
        horizon_days=[None] * 6,
        risk=[0.9, 0.1, 0.7, 0.3, 0.4, 0.6],
    )
    found = mean_out_of_fold_risk(table)
    assert found.to_dict() == pytest.approx({"A": 0.2, "B": 0.6})


def test_survival_takes_the_last_horizon_of_all():
    table = rows(
        patient=["A", "A", "A", "A", "B", "B"],
        label=[None] * 6,
        horizon_days=[365, 1826, 365, 1826, 365, 1826],
        risk=[0.1, 0.3, 0.2, 0.5, 0.6, 0.8],
    )
    found = mean_out_of_fold_risk(table)
    assert found.to_dict() == pytest.approx({"A": 0.4, "B": 0.8})
    assert np.isfinite(found).all()


@pytest.mark.parametrize("column", ["model", "endpoint"])
def test_risks_of_two_models_or_endpoints_are_not_averaged(column):
    table = rows(patient=["A", "B"], label=["N0", "N0"], horizon_days=[None, None], risk=[0.1, 0.2])
    table[column] = ["one", "two"]
    with pytest.raises(EvaluationError, match=f"of one {column}"):
        mean_out_of_fold_risk(table)
