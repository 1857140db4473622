import numpy as np
import pytest

from metasight.cohort.outcome import SurvivalOutcome
from metasight.errors import FitError
from metasight.models.penalised_cox import Penalty, fit_elastic_net


def _fit(x, outcome, factor=None, **penalty):
    return fit_elastic_net(
        x,
        outcome,
        factor=np.ones(x.shape[1]) if factor is None else factor,
        penalty=Penalty(**penalty),
        seed=0,
        model="enet",
    )


def test_an_unpenalised_column_keeps_its_size(simulated):
    x, time, event = simulated(p=40)
    outcome = SurvivalOutcome(time, event.astype(np.int8))
    factor = np.ones(40)
    factor[0] = 0.0
    free, _ = _fit(x, outcome, factor, l1_ratios=(1.0,))
    shrunk, _ = _fit(x, outcome, l1_ratios=(1.0,))
    assert free.causes[0].coefficients[0] > shrunk.causes[0].coefficients[0] > 0


def test_more_columns_than_patients_can_be_fitted():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, 300))
    event = rng.exponential(np.exp(-1.5 * x[:, 3])) + 0.01
    head, _ = _fit(x, SurvivalOutcome(event, np.ones(80, dtype=np.int8)))
    assert np.abs(head.causes[0].coefficients).argmax() == 3


def test_competing_causes_get_hazards_of_their_own(simulated):
    x, time, event = simulated(n=300)
    rng = np.random.default_rng(1)
    status = np.where(event, 1, np.where(rng.random(300) < 0.6, 2, 0)).astype(np.int8)
    head, notes = _fit(x, SurvivalOutcome(time, status))
    assert head.scale == "product_integral"
    assert len(head.fit["tuning"]) == 2
    assert not notes
    few = np.where(event, 1, 0).astype(np.int8)
    few[np.flatnonzero(few == 0)[:4]] = 2
    head, notes = _fit(x, SurvivalOutcome(time, few))
    assert not head.causes[1].coefficients.any()
    assert "4 competing events" in notes[0]


def test_a_model_without_any_penalty_is_refused():
    assert Penalty(factors={"genes": 2.0}).of_columns(["clinical", "genes"]).tolist() == [1.0, 2.0]
    with pytest.raises(FitError, match="no modality"):
        Penalty(factors={"clinical": 0.0}).of_columns(["clinical"])
