"""What is computed of a final fit, for which kinds of model, and that it survives JSON."""

from __future__ import annotations

import json

import numpy as np
import pytest

from metasight.cohort.outcome import NodalOutcome, SurvivalOutcome
from metasight.models.final_fit import FinalFit, final_fit
from metasight.models.registry import ModelSettings, build


def of(kind: str, made_up, **settings) -> FinalFit:
    table, frame = made_up
    if kind == "ordinal":
        outcome = NodalOutcome(frame["positive"].to_numpy(np.int8))
    else:
        status = frame["status"].to_numpy(np.int8)
        if kind in {"cox", "elastic_net_cox"}:
            status = (status == 1).astype(np.int8)
        outcome = SurvivalOutcome(frame["time"].to_numpy(float), status)
    fitted = build(ModelSettings(kind=kind, name="m", **settings)).fit(table, outcome, seed=0)
    before = json.dumps(fitted.state)
    found = final_fit(fitted, table, outcome)
    assert json.dumps(fitted.state) == before
    assert FinalFit.from_json(json.loads(json.dumps(found.to_json()))) == found
    return found


def test_a_cox_model_has_intervals_and_both_kinds_of_test(made_up, by_r):
    found = of("cox", made_up)
    assert len(found.intervals) == 5
    by_term = {t.term: t for t in found.over_time}
    assert list(by_term) == ["marker", "node", "size", "stage", "GLOBAL"]
    assert by_term["GLOBAL"].chisq == pytest.approx(by_r["zph km chisq"][-1], rel=1e-6)
    assert found.over_days[-1].chisq == pytest.approx(by_r["zph identity chisq"][-1], rel=1e-6)
    assert [t.term for t in found.straight] == ["marker", "size"]
    assert found.straight[1].chisq == pytest.approx(
        by_r["linearity of size: chisq, p"][0], rel=1e-6
    )


def test_of_competing_causes_it_is_the_event_s(made_up, by_r):
    found = of("cause_specific_cox", made_up)
    assert found.over_time[-1].chisq == pytest.approx(by_r["zph km chisq"][-1], rel=1e-6)


def test_a_fine_gray_model_has_intervals_alone(made_up):
    found = of("fine_gray", made_up)
    assert len(found.intervals) == 5
    assert (found.over_time, found.over_days, found.straight) == ((), (), ())


@pytest.mark.parametrize("kind", ["elastic_net_cox", "ordinal", "forest"])
def test_other_models_have_nothing(kind, made_up):
    assert of(kind, made_up) == FinalFit()


def test_a_missing_value_is_tested_as_the_model_fills_it(made_up):
    table, frame = made_up
    values = table.values.copy()
    values.loc[values.index[:7], "size"] = np.nan
    found = of("cox", (type(table)(values, table.features), frame))
    assert {t.term for t in found.straight} == {"marker", "size"}
    assert all(np.isfinite([t.chisq, t.p]).all() for t in found.straight)
