"""The last step estimated again: derivatives, leave-one-out and covariance hold."""

import numpy as np
import pytest
from scipy.special import expit

from metasight.validation import last_step as module
from metasight.validation.last_step import SPREADS, LastStepData, last_step


def event(n=300, *, coefficients=(0.6, 0.0, -0.3), line=(0.2, 0.8), seed=0):
    rng = np.random.default_rng(seed)
    base, z = rng.normal(-1, 0.8, n), rng.normal(size=(n, 3)) * (1.0, 5.0, 0.2)
    unit = np.array(coefficients) / (1.0, 5.0, 0.2)
    hazard = np.exp(line[0] + line[1] * base + z @ unit)
    case = (rng.random(n) < -np.expm1(-hazard)).astype(float)
    return LastStepData(base=base[None], columns=z, case=case, control=1 - case, stage=None)


def stages(n=300, *, coefficients=(0.6, 0.0, -0.3), seed=0):
    rng = np.random.default_rng(seed)
    base, z = rng.normal(0, 1, n), rng.normal(size=(n, 3))
    both = np.stack([base - 0.3, base - 1.5])
    above = expit(both + z @ np.array(coefficients))
    stage = (rng.random(n) < above).sum(axis=0)
    draw = rng.random(n)
    stage = (draw < above[0]).astype(int) + (draw < above[1])
    zero = np.zeros(n)
    return LastStepData(base=both, columns=z, case=zero, control=zero, stage=stage)


def ones(data):
    return np.ones(len(data.columns), dtype=np.int32)


@pytest.mark.parametrize("data", [event(40), stages(40)], ids=["event", "stage"])
def test_the_derivatives_are_those_of_the_loss(data):
    design = np.stack([np.column_stack([np.ones(40), b, data.columns]) for b in data.base])
    theta, small = np.array([0.1, 0.9, 0.2, -0.02, 0.05]), 1e-5
    _, slope, curve = module._loss(data, design, ones(data), theta)
    for k, unit in enumerate(np.eye(5)):
        up, down = (
            module._loss(data, design, ones(data), theta + s * small * unit) for s in (1, -1)
        )
        assert slope[k] == pytest.approx((up[0] - down[0]) / (2 * small), rel=1e-5, abs=1e-6)
        assert curve[k] == pytest.approx((up[1] - down[1]) / (2 * small), rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("make", [event, stages])
def test_one_left_out_is_as_if_refitted_without_him(make):
    data = make(60)
    z = data.columns / data.columns.std(axis=0)
    design = np.stack([np.column_stack([np.ones(60), b, z]) for b in data.base])
    penalty = module._penalty(0.25, np.ones(3, dtype=bool))
    start = np.array([0.0, 1.0, 0, 0, 0])
    theta, hessian = module._maximum(data, design, ones(data), penalty, start)
    told = module._left_out(data, design, ones(data), theta, hessian)
    true = 0.0
    for k in range(60):
        weight = ones(data)
        weight[k] = 0
        without, _ = module._maximum(data, design, weight, penalty, theta)
        loss, _, _ = module._of_patients(data, np.einsum("cnq,q->cn", design, without))
        true += loss[k]
    assert told == pytest.approx(true, rel=0.01)


@pytest.mark.parametrize("make", [event, stages])
def test_corrections_are_found_whatever_the_unit_of_their_column(make):
    data = make(4000)
    found = last_step(data, ones(data))
    per_sd = found.coefficients * data.columns.std(axis=0)
    assert per_sd == pytest.approx([0.6, 0.0, -0.3], abs=0.12)
    scaled = LastStepData(
        base=data.base,
        columns=data.columns * 1000 + 7,
        case=data.case,
        control=data.control,
        stage=data.stage,
    )
    again = last_step(scaled, ones(data))
    assert again.coefficients * 1000 == pytest.approx(found.coefficients, rel=1e-6, abs=1e-9)
    moved = again.intercept + scaled.columns @ again.coefficients
    assert moved == pytest.approx(found.intercept + data.columns @ found.coefficients, abs=1e-5)


@pytest.mark.parametrize("make", [event, stages])
def test_its_covariance_is_that_over_studies(make):
    found = [last_step(make(400, seed=s), ones(make(400))) for s in range(150)]
    spread = np.std([f.coefficients[0] for f in found], ddof=1)
    told = np.mean([np.sqrt(f.covariance[2, 2]) for f in found])
    assert told == pytest.approx(spread, rel=0.25)


def test_a_patient_of_weight_zero_has_no_part():
    data = event(300)
    weight = ones(data)
    weight[200:] = 0
    some = LastStepData(
        base=data.base[:, :200],
        columns=data.columns[:200],
        case=data.case[:200],
        control=data.control[:200],
        stage=None,
    )
    one, two = last_step(data, weight), last_step(some, weight[:200])
    assert one.coefficients == pytest.approx(two.coefficients, rel=1e-9)
    assert one.spread == two.spread


def test_without_anything_to_correct_the_spread_is_small_and_a_constant_column_adds_nothing():
    data = event(500, coefficients=(0.0, 0.0, 0.0), line=(0.0, 1.0))
    constant = LastStepData(
        base=data.base,
        columns=np.column_stack([data.columns, np.full(500, 3.0)]),
        case=data.case,
        control=data.control,
        stage=None,
    )
    found = last_step(constant, ones(data))
    assert found.spread <= SPREADS[3]
    assert found.coefficients[3] == 0


def test_what_the_penalty_shrinks_counts_as_error():
    """With next to no patients the error of a correction is its spread before any was seen."""
    data = event(12, coefficients=(0.0, 0.0, 0.0))
    z = data.columns / data.columns.std(axis=0)
    design = np.stack([np.column_stack([np.ones(12), b, z]) for b in data.base])
    penalty = module._penalty(0.03, np.ones(3, dtype=bool))
    start = np.array([0.0, 1.0, 0, 0, 0])
    theta, hessian = module._maximum(data, design, ones(data), penalty, start)
    covariance = module._covariance(data, design, ones(data), theta, hessian, penalty)
    assert np.sqrt(np.diag(covariance))[2:] == pytest.approx([0.03] * 3, rel=0.05)
