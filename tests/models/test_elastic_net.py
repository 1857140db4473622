import numpy as np
import pytest

from metasight.errors import FitError
from metasight.models.elastic_net import COX, LOGISTIC, Problem
from metasight.models.partial_likelihood import PartialLikelihood


def _cox(x, time, event, factor=None):
    likelihood = PartialLikelihood.of(time, event)
    return Problem(
        family=COX,
        matrix=np.asfortranarray(x[likelihood.order]),
        time=likelihood.time,
        label=likelihood.event,
        factor=np.ones(x.shape[1]) if factor is None else factor,
    )


def _slope(problem, beta):
    """Gradient of the log likelihood by central differences."""
    step = 1e-5
    out = np.empty(len(beta))
    for j in range(len(beta)):
        up, down = beta.copy(), beta.copy()
        up[j] += step
        down[j] -= step
        out[j] = (problem.loglik(up) - problem.loglik(down)) / (2 * step)
    return out / len(problem.label)


@pytest.mark.parametrize("l1_ratio", [0.0, 0.05, 0.5, 1.0])
@pytest.mark.parametrize("family", [COX, LOGISTIC])
def test_solutions_meet_the_optimality_conditions(family, l1_ratio, simulated):
    x, time, event = simulated()
    factor = np.ones(x.shape[1])
    factor[:2] = [0.0, 0.3]
    if family == COX:
        problem = _cox(x, time, event, factor)
    else:
        problem = Problem(
            family=LOGISTIC,
            matrix=np.asfortranarray(x),
            time=np.zeros(len(x)),
            label=event.astype(float),
            factor=factor,
        )
    path = problem.solve(l1_ratio, problem.penalties(l1_ratio, 20))
    for penalty, beta in zip(path.penalties, path.coefficients, strict=True):
        slope = _slope(problem, beta) - penalty * (1 - l1_ratio) * factor * beta
        bound = penalty * l1_ratio * factor
        inside = beta == 0
        assert (np.abs(slope[inside]) <= bound[inside] + 1e-5).all()
        np.testing.assert_allclose(slope[~inside], (bound * np.sign(beta))[~inside], atol=1e-5)


def test_agrees_with_scikit_survival(simulated):
    linear_model = pytest.importorskip("sksurv.linear_model")
    from sksurv.util import Surv

    x, time, event = simulated(ties=False)
    problem = _cox(x, time, event)
    path = problem.solve(0.5, problem.penalties(0.5, 12))
    other = linear_model.CoxnetSurvivalAnalysis(
        l1_ratio=0.5, alphas=path.penalties, tol=1e-14, max_iter=1_000_000
    ).fit(x, Surv.from_arrays(event, time))
    np.testing.assert_allclose(path.coefficients.T, other.coef_, atol=2e-4)


def test_the_path_starts_with_every_penalised_column_at_zero(simulated):
    x, time, event = simulated()
    factor = np.ones(x.shape[1])
    factor[0] = 0.0
    problem = _cox(x, time, event, factor)
    path = problem.solve(1.0, problem.penalties(1.0, 10))
    assert path.coefficients[0, 0] != 0
    np.testing.assert_allclose(path.coefficients[0, 1:], 0.0, atol=1e-6)
    assert np.count_nonzero(path.coefficients[-1]) > 2
    assert (np.diff(path.logliks) >= -1e-9).all()


def test_unpenalised_logistic_is_that_of_glm(reference, values, continuous_table):
    expected = values["rotterdam_nodepos_binary"]["glm"]
    table, _, frame = continuous_table(
        reference / "data" / "rotterdam.csv", expected["terms"][1:], "status"
    )
    train = (frame["test"] == 0).to_numpy()
    x = table.values.to_numpy()[train]
    mean, scale = x.mean(axis=0), x.std(axis=0)
    problem = Problem(
        family=LOGISTIC,
        matrix=np.asfortranarray(np.column_stack([np.ones(len(x)), (x - mean) / scale])),
        time=np.zeros(len(x)),
        label=frame["nodepos"].to_numpy(float)[train],
        factor=np.zeros(x.shape[1] + 1),
    )
    found = problem.solve(0.0, np.array([0.0])).coefficients[-1]
    per_unit = found[1:] / scale
    np.testing.assert_allclose(per_unit, expected["coef"][1:], atol=1e-5)
    assert found[0] - per_unit @ mean == pytest.approx(expected["coef"][0], abs=1e-4)


def test_an_unpenalised_separating_column_is_refused(simulated):
    x, _, event = simulated()
    separating = np.where(event, 1.0, -1.0)
    problem = Problem(
        family=LOGISTIC,
        matrix=np.asfortranarray(np.column_stack([np.ones(len(x)), separating, x[:, 0]])),
        time=np.zeros(len(x)),
        label=event.astype(float),
        factor=np.array([0.0, 0.0, 1.0]),
    )
    with pytest.raises(FitError):
        problem.solve(0.5, problem.penalties(0.5, 5))
