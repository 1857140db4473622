"""Who leads an analysis when fits failed, and which patients a scheme is judged on."""

from __future__ import annotations

import pytest

from metasight.errors import FitError
from metasight.steps.risk.judging import EvaluateArgument, _leading, first_failure


def argument(*, leads: bool) -> EvaluateArgument:
    return EvaluateArgument(
        data="data",
        endpoint="dm",
        also_against=(),
        reference_model="clinical",
        headline_model="fusion",
        models=("clinical", "forest", "fusion"),
        thresholds=(0.1,),
        bootstrap=10,
        seed=1,
        subgroups=(),
        leads=leads,
    )


def failure(model: str, scheme: str = "kfold") -> dict[str, str]:
    return {
        "criterion": model,
        "stage": "fit dm",
        "item": f"{scheme} repeat 0 fold 1",
        "reason": f"{model} diverged",
    }


def test_without_failures_the_study_s_own_models_lead():
    assert _leading(argument(leads=True), []) == ("clinical", "fusion")


def test_the_headline_analysis_stops_where_its_model_failed():
    with pytest.raises(FitError, match="fusion diverged"):
        _leading(argument(leads=True), [failure("fusion")])


def test_in_another_analysis_the_ones_that_are_left_stand_in():
    assert _leading(argument(leads=False), [failure("fusion")]) == ("clinical", "forest")
    assert _leading(argument(leads=False), [failure("clinical")]) == ("forest", "fusion")
    every = [failure(m) for m in ("clinical", "forest", "fusion")]
    with pytest.raises(FitError):
        _leading(argument(leads=False), every)


def test_a_failure_with_a_centre_left_out_does_not_touch_the_random_folds():
    assert _leading(argument(leads=True), [failure("fusion", "centre")]) == ("clinical", "fusion")


def test_the_first_failure_is_told_as_the_error_that_it_was():
    error = first_failure([failure("a"), failure("b")], "b")
    assert error.problem == "b diverged"
    assert error.where == "kfold repeat 0 fold 1"
