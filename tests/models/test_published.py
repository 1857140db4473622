import json

import numpy as np
import pandas as pd
import pytest

from metasight.cohort.outcome import NodalOutcome, SurvivalOutcome
from metasight.errors import FitError
from metasight.features.columns import Feature, FeatureTable, Kind
from metasight.models.published import (
    cts5,
    fudan_2012,
    noninvasive_by_ct,
    nottingham_prognostic_index,
)
from metasight.models.registry import ModelSettings, build


def _columns(**values):
    return {k: np.atleast_1d(np.asarray(v, dtype=float)) for k, v in values.items()}


@pytest.mark.parametrize(
    ("nodes", "grade", "size", "age", "expected"),
    [(2, 1, 5, 56, 2.621796), (3, 1, 5, 56, 2.621796), (4, 3, 15, 78, 4.891548)],
)
def test_cts5_has_the_published_values(nodes, grade, size, age, expected):
    found = cts5(_columns(positive_nodes=nodes, grade=grade, tumour_size_mm=size, age_years=age))
    assert found[0] == pytest.approx(expected, abs=1e-9)


def test_cts5_caps_size_and_classes_nodes():
    base = _columns(grade=[2] * 6, tumour_size_mm=[20] * 6, age_years=[60] * 6)
    nodes = _columns(positive_nodes=[0, 1, 3, 9, 10, 30])
    steps = np.diff(cts5({**base, **nodes})) / 0.438
    np.testing.assert_allclose(steps, [1, 1, 1, 1, 0], atol=1e-12)
    sizes = _columns(
        positive_nodes=[0, 0], grade=[1, 1], tumour_size_mm=[30, 80], age_years=[60] * 2
    )
    assert cts5(sizes)[0] == cts5(sizes)[1]


def test_npi_classes_nodes():
    values = _columns(tumour_size_mm=[20] * 4, positive_nodes=[0, 1, 3, 4], grade=[2, 2, 2, 3])
    np.testing.assert_allclose(nottingham_prognostic_index(values), [3.4, 4.4, 4.4, 6.4])


def test_nodal_rules():
    values = _columns(ctr=[0.25, 0.26, 0.1], tumour_size_mm=[20, 20, 21])
    np.testing.assert_array_equal(noninvasive_by_ct(values), [0, 1, 1])
    odds = np.exp(
        fudan_2012(
            _columns(
                age_years=[0, 1, 0, 0, 0],
                tumour_size_mm=[0, 0, 10, 0, 0],
                central=[0, 0, 0, 1, 0],
                adenocarcinoma=[0, 0, 0, 0, 1],
            )
        )
    )
    np.testing.assert_allclose(odds, [1, 0.974, 2.769, 3.204, 3.537])


def _lung(n=200, seed=0):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "age_years": rng.normal(62, 9, n),
            "tumour_size_mm": rng.uniform(5, 40, n),
            "central": rng.integers(0, 2, n).astype(float),
            "adenocarcinoma": rng.integers(0, 2, n).astype(float),
        },
        index=[f"p{i:03d}" for i in range(n)],
    )
    kinds = [Kind.CONTINUOUS, Kind.CONTINUOUS, Kind.BINARY, Kind.BINARY]
    table = FeatureTable(
        frame, tuple(Feature(name=c, kind=k) for c, k in zip(frame, kinds, strict=True))
    )
    positive = rng.random(n) < 0.2 + 0.01 * (frame["tumour_size_mm"].to_numpy() - 20)
    stage = positive.astype(np.int8) + (positive & (rng.random(n) < 0.4)).astype(np.int8)
    return table, NodalOutcome(stage)


def test_fudan_keeps_its_odds_ratios_and_refits_its_intercept():
    table, stage = _lung()
    fitted = build(ModelSettings(kind="fudan_2012", name="Fudan")).fit(table, stage, seed=0)
    risk = 1 - fitted.predict(table, np.array([]))[:, 0]
    score = fitted.reader.values(table)
    logit = np.log(risk / (1 - risk))
    np.testing.assert_allclose(logit - score, (logit - score)[0], atol=1e-9)
    assert risk.mean() == pytest.approx(stage.n_events / len(stage), abs=1e-9)
    assert "baseline refitted" in json.dumps(fitted.state)


def test_the_published_order_is_kept_where_the_data_deny_it():
    table, _ = _lung()
    size = table.values["tumour_size_mm"].to_numpy()
    upside_down = NodalOutcome((size < 15).astype(np.int8))
    fitted = build(ModelSettings(kind="nodal_size", name="size")).fit(table, upside_down, seed=0)
    risk = 1 - fitted.predict(table, np.array([]))[:, 0]
    assert (np.diff(risk[np.argsort(size)]) > 0).all()
    assert any("opposite direction" in note for note in fitted.state["notes"])


def test_cts5_says_whom_it_is_for_and_an_absent_input_is_refused():
    table, _ = _lung()
    rng = np.random.default_rng(1)
    outcome = SurvivalOutcome(rng.exponential(size=200) + 0.1, np.ones(200, dtype=np.int8))
    with pytest.raises(FitError, match="positive_nodes"):
        build(ModelSettings(kind="cts5", name="CTS5")).fit(table, outcome, seed=0)
    values = table.values.assign(positive_nodes=rng.poisson(1, 200) * 1.0, grade=np.nan)
    more = (
        Feature(name="positive_nodes", kind=Kind.CONTINUOUS),
        Feature(name="grade", kind=Kind.ORDINAL),
    )
    with pytest.raises(FitError, match="no value in any training patient"):
        build(ModelSettings(kind="cts5", name="CTS5")).fit(
            FeatureTable(values, (*table.features, *more)), outcome, seed=0
        )
    values["grade"] = rng.integers(1, 4, 200) * 1.0
    fitted = build(ModelSettings(kind="cts5", name="CTS5")).fit(
        FeatureTable(values, (*table.features, *more)), outcome, seed=0
    )
    assert "postmenopausal" in fitted.state["reader"]["applies_to"]
    assert fitted.head.causes[0].coefficients[0] == fitted.reader.scale
