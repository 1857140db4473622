import numpy as np
import pytest

from metasight.errors import EvaluationError
from metasight.validation.decision_curve import net_benefit, net_benefit_class


def test_by_hand():
    got = net_benefit_class([0.9, 0.6, 0.4, 0.1], [1, 0, 1, 0], [0.5])
    assert got.model[0] == pytest.approx(1 / 4 - 1 / 4)
    assert got.treat_all[0] == pytest.approx(0)
    assert got.treated[0] == 0.5


def test_a_threshold_below_every_risk_treats_all(cohort):
    got = net_benefit(cohort.time, cohort.status, cohort.risk, 12, [0.001])
    assert got.model == pytest.approx(got.treat_all)


def test_a_threshold_above_every_risk_treats_none(cohort):
    got = net_benefit(cohort.time, cohort.status, cohort.risk * 0.5, 12, [0.9])
    assert got.model.tolist() == [0]


def test_without_censoring_it_is_that_of_the_class():
    rng = np.random.default_rng(0)
    time, risk = rng.uniform(1, 20, 200), rng.random(200)
    a = net_benefit(time, np.ones(200, dtype=int), risk, 10, [0.2, 0.6])
    b = net_benefit_class(risk, (time <= 10).astype(int), [0.2, 0.6])
    assert a.model == pytest.approx(b.model)


@pytest.mark.parametrize("threshold", [0.0, 1.0, -0.1])
def test_thresholds_are_risks(threshold):
    with pytest.raises(EvaluationError, match="threshold"):
        net_benefit_class([0.1, 0.9], [0, 1], [threshold])
