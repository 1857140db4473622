import numpy as np
import pytest

from metasight.validation.bootstrap import draw
from metasight.validation.curve_samples import curve_samples
from metasight.validation.results import CalibrationCurve, NotEstimable
from metasight.validation.table import align
from oracles.calibration import spline_calibration

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
