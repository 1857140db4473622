import pytest

from metasight.errors import EvaluationError
from metasight.validation.results import EvaluationPlan

BASE = {"endpoint": "dm", "reference_model": "a", "headline_model": "b"}


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"thresholds": (0.0,)}, "threshold"),
        ({"confidence": 1.0}, "confidence"),
        ({"n_bootstrap": 5}, "too few bootstrap"),
    ],
)
def test_a_plan_that_exists_is_usable(changes, problem):
    with pytest.raises(EvaluationError, match=problem):
        EvaluationPlan(**BASE, **changes)


def test_settings_carry_no_patient():
    plan = EvaluationPlan(**BASE, subgroups={"age": {"p1": "young"}})
    assert plan.settings().subgroups == ("age",)
    assert "p1" not in repr(plan.settings())
