"""The size of a validation in the plan follows from the assumptions of the study file."""

import pytest
from pydantic import ValidationError

from metasight.study.anticipated import Anticipated, size_in_words
from metasight.validation.validation_size import risks_from, validation_size


def test_the_entry_holds_the_sizes():
    told = size_in_words(Anticipated(risk=0.15, c=0.7), (0.1, 0.2))
    risks, weights = risks_from(0.15, 0.7)
    size = validation_size(risks, weight=weights, thresholds=(0.1, 0.2))
    assert told.startswith(f"assuming a risk of 15 % and C 0.7: {size.n} patients with")
    assert f"O/E ({size.oe_n})" in told
    assert f"slope ({size.slope_n})" in told
    assert f"C ({size.c_n})" in told
    assert f"{size.net_benefit[0].n} at 10 %" in told


def test_without_assumptions_it_says_so():
    assert size_in_words(None, (0.1,)).startswith("not planned")


@pytest.mark.parametrize("given", [{"risk": 0, "c": 0.7}, {"risk": 0.2, "c": 0.5}, {"risk": 0.2}])
def test_assumptions_out_of_range_are_refused(given):
    with pytest.raises(ValidationError):
        Anticipated.model_validate(given)
