"""A recalibrated model: a line on the risk's scale, over the whole curve, order kept."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit, logit

from metasight.errors import FitError
from metasight.models.recalibrated import Recalibration, recalibrated_state
from metasight.models.registry import build, load
from metasight.models.settings import ModelSettings
from models.test_state_checks import follow_up, nodes, table

HORIZONS = np.array([365, 1000, 1826, 2500])
SURVIVAL = Recalibration(scale="cloglog", intercept=0.3, slope=0.7, horizon_days=1826)
STAGE = Recalibration(scale="logit", intercept=-0.4, slope=1.3, horizon_days=None)
AT = {"cox": HORIZONS, "forest": HORIZONS, "ordinal": np.array([], dtype=int)}
KINDS = {
    "cox": follow_up(),
    "cause_specific_cox": follow_up(competing=True),
    "fine_gray": follow_up(competing=True),
    "forest": follow_up(),
}


def cloglog(risk):
    return np.log(-np.log1p(-risk))


@pytest.mark.parametrize("kind", KINDS)
def test_at_its_horizon_the_log_hazard_is_on_the_line_and_the_curve_rises(kind):
    fitted = build(ModelSettings(kind=kind, name="m", n_trees=10)).fit(table(), KINDS[kind], seed=1)
    state = recalibrated_state(fitted.state, SURVIVAL, "recalibrated")
    moved = load(json.loads(json.dumps(state)))
    before, after = (m.predict(table(), HORIZONS) for m in (fitted, moved))
    inside = (before[:, 2] > 1e-6) & (before[:, 2] < 1 - 1e-6)
    assert cloglog(after[inside, 2]) == pytest.approx(0.3 + 0.7 * cloglog(before[inside, 2]))
    assert (np.diff(after, axis=1) >= 0).all()
    assert ((after >= 0) & (after <= 1)).all()
    assert (np.argsort(after[:, 2], kind="stable") == np.argsort(before[:, 2], kind="stable")).all()
    assert moved.state["notes"][-1] == "recalibrated"


def test_of_proportional_hazards_it_is_the_slope_on_the_linear_predictor():
    """The ratio of two patients' hazards is raised to the slope, at every horizon alike."""
    fitted = build(ModelSettings(kind="cox", name="m")).fit(table(), follow_up(), seed=1)
    moved = load(recalibrated_state(fitted.state, SURVIVAL, "x"))
    before, after = (-np.log1p(-m.predict(table(), HORIZONS)) for m in (fitted, moved))
    assert after[0] / after[1] == pytest.approx((before[0] / before[1]) ** 0.7)
    baseline = after[0] / before[0]
    assert baseline == pytest.approx(np.full(4, baseline[0]))


@pytest.mark.parametrize("kind", ["ordinal", "logistic", "forest"])
def test_stages_keep_their_order_and_add_to_one(kind):
    fitted = build(ModelSettings(kind=kind, name="m", n_trees=10)).fit(table(), nodes(), seed=1)
    moved = load(recalibrated_state(fitted.state, STAGE, "x"))
    none = np.array([], dtype=int)
    before, after = fitted.predict(table(), none), moved.predict(table(), none)
    assert after.sum(axis=1) == pytest.approx(np.ones(len(after)))
    assert (after >= 0).all()
    held = np.clip(1 - before[:, 0], 1e-9, 1 - 1e-9)
    assert 1 - after[:, 0] == pytest.approx(expit(-0.4 + 1.3 * logit(held)), abs=1e-6)
    top = np.clip(before[:, 2], 1e-9, 1 - 1e-9)
    assert after[:, 2] == pytest.approx(expit(-0.4 + 1.3 * logit(top)), abs=1e-6)


@pytest.mark.parametrize("kind", ["cox", "forest", "ordinal"])
def test_coefficients_add_what_the_columns_say_on_the_same_scale(kind):
    outcome = nodes() if kind == "ordinal" else follow_up()
    fitted = build(ModelSettings(kind=kind, name="m", n_trees=10)).fit(table(), outcome, seed=1)
    z = fitted.reader.matrix(table())
    line = SURVIVAL if kind != "ordinal" else STAGE
    added = replace(line, coefficients=(0.4, *[-0.1] * (z.shape[1] - 1)))
    states = [recalibrated_state(fitted.state, x, "x") for x in (line, added)]
    plain, moved = (load(json.loads(json.dumps(s))).predict(table(), AT[kind]) for s in states)
    scale = (lambda r: logit(1 - r[:, 0])) if kind == "ordinal" else (lambda r: cloglog(r[:, 2]))
    inside = (plain > 1e-9).all(axis=1) & (plain < 1 - 1e-9).all(axis=1)
    gap = scale(moved[inside]) - scale(plain[inside])
    assert gap == pytest.approx(z[inside] @ np.array(added.coefficients), abs=1e-5)
    assert (np.diff(moved, axis=1) >= 0).all() or kind == "ordinal"


def test_risks_of_zero_and_one_stay():
    risk = np.array([[0.0, 0.0], [0.2, 1.0]])
    assert SURVIVAL.curve(risk, risk[:, 1])[0].tolist() == [0.0, 0.0]
    assert SURVIVAL.curve(risk, risk[:, 1])[1, 1] == 1.0
    assert STAGE.stages(np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])).tolist() == [
        [1.0, 0.0, 0.0],
        [0.0, 0.0, 1.0],
    ]


@pytest.mark.parametrize("slope", [0.0, -0.5, float("nan")])
def test_a_line_that_reverses_patients_is_refused(slope):
    with pytest.raises(FitError, match="order of the patients"):
        Recalibration(scale="logit", intercept=0.0, slope=slope, horizon_days=None)


def test_a_survival_line_needs_a_horizon_and_a_stage_has_none():
    with pytest.raises(FitError):
        Recalibration(scale="cloglog", intercept=0.0, slope=1.0, horizon_days=None)
    with pytest.raises(FitError):
        Recalibration(scale="logit", intercept=0.0, slope=1.0, horizon_days=365)


def test_twice_is_refused():
    fitted = build(ModelSettings(kind="ordinal", name="m")).fit(table(), nodes(), seed=1)
    once = recalibrated_state(fitted.state, STAGE, "x")
    with pytest.raises(FitError, match="already"):
        recalibrated_state(once, STAGE, "x")


@pytest.mark.parametrize(
    "change",
    [
        {"slope": 0},
        {"slope": "steep"},
        {"intercept": 1e9},
        {"scale": "probit"},
        {"horizon_days": -1},
        {"coefficients": [0.1]},
        {"coefficients": ["a"]},
        {"head": {"kind": "recalibrated"}},
        {"head": {"kind": "hazards"}},
    ],
)
def test_a_damaged_line_is_refused_when_it_is_loaded(change):
    fitted = build(ModelSettings(kind="cox", name="m")).fit(table(), follow_up(), seed=1)
    state = recalibrated_state(fitted.state, SURVIVAL, "x")
    state["head"] |= change
    with pytest.raises(FitError):
        load(state)


def test_its_width_is_checked_as_that_of_the_head_within():
    fitted = build(ModelSettings(kind="cox", name="m")).fit(table(), follow_up(), seed=1)
    state = json.loads(json.dumps(recalibrated_state(fitted.state, SURVIVAL, "x")))
    state["head"]["head"]["causes"][0]["coefficients"].append(0.0)
    with pytest.raises(FitError, match="coefficients for"):
        load(state)
