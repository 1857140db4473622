import numpy as np
import pytest

from metasight.validation.bootstrap import draw
from metasight.validation.curve_samples import _banded, _indices, _smooth, curve_samples
from metasight.validation.links import to_logit
from metasight.validation.results import CalibrationCurve, NotEstimable
from metasight.validation.smoothing import spline_basis
from metasight.validation.table import align
from oracles.calibration import pseudo_value_calibration, spline_calibration
from oracles.logistic_fit import fit_logistic

from .conftest import predictions
from .test_evaluate import plan


@pytest.mark.parametrize("kind", ["survival", "competing"])
def test_indices_are_those_of_each_repeat_averaged(kind):
    aligned = align(predictions(150, kind=kind), plan())
    target, risk = aligned.targets[-1], aligned.models["model0"].risk[:, -1]
    curve, (ici, _, e90, _) = curve_samples(target, risk, draw(150, 20, 0), kind, 0.95)
    data = aligned.data
    late = data.time > 1800  # what happens later is not known by the horizon
    time, status = np.where(late, 1801, data.time), np.where(late, 0, data.status)
    each = [spline_calibration(time, status, r[data.order], 1800) for r in risk]
    assert ici.value == pytest.approx(np.mean([e.ici for e in each]), abs=1e-5)
    assert e90.value == pytest.approx(np.mean([e.e90 for e in each]), abs=1e-5)
    assert isinstance(curve, CalibrationCurve)
    inside = (np.array(curve.lower) <= curve.observed) & (curve.observed <= np.array(curve.upper))
    assert inside.mean() > 0.9


def test_constant_risks_have_no_curve():
    aligned = align(predictions(100), plan())
    flat = np.full((1, 100), 0.3)
    curve, indices = curve_samples(aligned.targets[-1], flat, draw(100, 20, 0), "survival", 0.95)
    assert isinstance(curve, NotEstimable)
    assert all(isinstance(i, NotEstimable) for i in indices)


@pytest.mark.parametrize("at", [0, 1])
def test_of_a_class_every_resample_is_a_fit_to_the_repeated_patients(at):
    aligned = align(predictions(120, kind="nodal", models=1, repeats=1), plan("nodal", **ALONE))
    target, risk = aligned.targets[at], aligned.models["model0"].risk[:, at]
    draws = draw(aligned.n, 3, 1)
    smooth, basis, knots = _smooth(target, risk[0], draws)
    found = _indices(smooth.risk(basis), risk[0], draws)
    y = (aligned.stage > at).astype(int)
    for b, weight in enumerate(draws):
        rows = np.repeat(np.arange(aligned.n), weight)
        fit = fit_logistic(spline_basis(to_logit(risk[0][rows]), knots), y[rows])
        gap = np.abs(fit.risk(basis)[rows] - risk[0][rows])
        want = [gap.mean(), np.median(gap), np.quantile(gap, 0.9), gap.max()]
        assert found[b] == pytest.approx(want, abs=1e-7)


ALONE = {"reference_model": "model0", "headline_model": "model0"}


@pytest.mark.parametrize("kind", ["survival", "competing"])
def test_a_curve_without_a_model_lies_near_the_spline(kind):
    """Loess of pseudo-values assumes nothing of hazards; in true risks both are the diagonal."""
    aligned = align(predictions(400, kind=kind, models=1, repeats=1), plan(kind, **ALONE))
    target, risk = aligned.targets[-1], aligned.models["model0"].risk[:, -1]
    curve, _ = curve_samples(target, risk, draw(400, 20, 0), kind, 0.95)
    time, status = np.empty(400), np.empty(400, dtype=np.int64)
    time[target.data.order], status[target.data.order] = target.data.time, target.data.status
    free = pseudo_value_calibration(time, status, risk[0], target.horizon)
    order = np.argsort(risk[0])
    nearby = np.interp(curve.predicted, risk[0][order], free.observed[order])
    assert np.abs(nearby - curve.observed).mean() < 0.06


def test_a_band_needs_ten_resamples_with_a_fit():
    grid = np.linspace(0.1, 0.9, 5)
    curve = np.tile(grid, (12, 1))
    curve[1:] += np.linspace(-0.05, 0.05, 11)[:, None]
    few = curve.copy()
    few[2:4] = np.nan
    whole, part = (_banded(c, grid, "spline", 0.9) for c in (curve, few))
    assert np.isnan(part.lower).all()
    assert part.observed == tuple(grid)
    assert whole.lower == pytest.approx(tuple(grid - 0.045))
    assert whole.upper == pytest.approx(tuple(grid + 0.045))


def test_a_resample_of_nobody_and_one_without_a_fit_have_no_index():
    observed = np.array([[0.2, 0.4], [np.nan, 0.4], [0.2, 0.4]])
    draws = np.array([[1, 1], [1, 1], [0, 0]], dtype=np.int32)
    found = _indices(observed, np.array([0.1, 0.1]), draws)
    assert found[0] == pytest.approx([0.2, 0.2, 0.28, 0.3])
    assert np.isnan(found[1:]).all()
