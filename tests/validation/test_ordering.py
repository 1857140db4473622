import numpy as np
import pytest

from metasight.errors import EvaluationError
from metasight.validation.ordering import as_outcome, as_strata, as_vector, as_weights, follow_up


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


def test_patients_of_one_day_keep_the_order_in_which_they_came():
    data = follow_up([2, 1, 2, 1, 2], [0, 1, 2, 0, 1])
    assert data.order.tolist() == [1, 3, 0, 2, 4]
    assert data.status.tolist() == [1, 0, 0, 2, 1]
    assert data.n == 5


def test_nothing_competes_where_no_status_is_two():
    assert not follow_up([1, 2], [0, 1]).competing


def test_follow_up_cut_at_a_horizon_keeps_an_event_of_that_day():
    data = follow_up([4, 2, 3, 5], [1, 2, 1, 1])
    cut = data.censored_at(3)
    assert cut.time.tolist() == [2, 3, 3, 3]
    assert cut.status.tolist() == [2, 1, 0, 0]
    assert (cut.order == data.order).all()
    later = data.censored_at(99)
    assert later.time.tolist() == data.time.tolist()
    assert later.status.tolist() == data.status.tolist()


def test_a_refusal_quotes_the_value_and_says_what_to_give():
    with pytest.raises(EvaluationError) as error:
        follow_up([3, -2, np.inf], [1, 0, 0])
    assert error.value.value == "-2.0"
    assert "days from time zero" in error.value.remedy
    with pytest.raises(EvaluationError) as error:
        follow_up([3, 2], [1, -1])
    assert error.value.value == "-1"
    with pytest.raises(EvaluationError) as error:
        as_vector([0.1, np.inf], 2, "risk")
    assert (error.value.problem, error.value.value) == (
        "risk has missing or infinite values",
        "inf",
    )
    with pytest.raises(EvaluationError, match="shape \\(2,\\) for 3 patients"):
        as_vector([0.1, 0.2], 3, "risk")


@pytest.mark.parametrize(
    ("outcome", "problem"),
    [
        ([0, 1, 2], "0 or 1"),
        ([0, 1, np.nan], "0 or 1"),
        ([[0, 1], [1, 0]], "0 or 1"),
        ([1, 1, 1], "one class"),
        ([0], "one class"),
        ([], "one class"),
    ],
)
def test_an_outcome_has_two_classes(outcome, problem):
    with pytest.raises(EvaluationError, match=problem):
        as_outcome(outcome)


def test_an_outcome_may_be_given_as_true_and_false():
    assert as_outcome([True, False]).tolist() == [1.0, 0.0]


def test_weights_may_leave_somebody_out_but_not_everybody():
    assert as_weights([0, 3], 2).tolist() == [0, 3]
    with pytest.raises(EvaluationError, match="one value a patient"):
        as_weights([1, 2], 3)


def test_strata_of_words_are_numbered_in_their_order():
    assert as_strata(np.array(["b", "a", "c", "a"]), 4).tolist() == [1, 0, 2, 0]
    assert as_strata(None, 3).tolist() == [0, 0, 0]
    with pytest.raises(EvaluationError, match="strata must have one value"):
        as_strata(["a"], 2)
