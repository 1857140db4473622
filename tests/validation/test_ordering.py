import numpy as np
import pytest

from metasight.errors import EvaluationError
from metasight.validation.ordering import as_strata, as_weights, follow_up


def test_order_leads_back_to_the_caller():
    time = np.array([3.0, 1.0, 2.0])
    data = follow_up(time, [1, 0, 2])
    assert data.time.tolist() == [1, 2, 3]
    assert (data.time == time[data.order]).all()
    assert data.status.tolist() == [0, 2, 1]
    assert data.competing


@pytest.mark.parametrize(
    ("time", "status", "problem"),
    [
        ([0.0, 1], [1, 0], "above zero"),
        ([np.nan, 1], [1, 0], "missing"),
        ([1.0, 2], [1, 3], "none of 0, 1, 2"),
        ([1.0, 2], [1], "one length"),
        ([], [], "one length"),
    ],
)
def test_bad_follow_up(time, status, problem):
    with pytest.raises(EvaluationError, match=problem):
        follow_up(time, status)


def test_weights_and_strata():
    assert as_weights(None, 2).tolist() == [1, 1]
    assert as_strata(np.array([7, 3, 7]), 3).tolist() == [1, 0, 1]
    for bad in ([-1.0, 1], [0.0, 0]):
        with pytest.raises(EvaluationError, match="weights"):
            as_weights(bad, 2)
