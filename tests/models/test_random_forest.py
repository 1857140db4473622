import numpy as np

from metasight.cohort.outcome import SurvivalOutcome
from metasight.models.random_forest import (
    aalen_johansen,
    grow,
    interval_edges,
    outcome_codes,
    pseudo_values,
)


def _follow_up(n=300, seed=0):
    rng = np.random.default_rng(seed)
    time = np.ceil(rng.exponential(1000, n))
    return SurvivalOutcome(time, rng.choice([0, 1, 2], n, p=[0.3, 0.5, 0.2]).astype(np.int8))


def test_uncensored_incidence_is_the_share_of_events():
    rng = np.random.default_rng(0)
    y = SurvivalOutcome(np.ceil(rng.exponential(900, 200)), rng.integers(1, 3, 200).astype(np.int8))
    edges = interval_edges(y)
    held = np.bincount(outcome_codes(y, edges), minlength=3 * len(edges) + 1).astype(float)
    shares = [((y.status == 1) & (y.time_days <= e)).mean() for e in edges]
    np.testing.assert_allclose(aalen_johansen(held[None])[0], shares, atol=1e-12)


def test_incidence_lies_between_zero_and_one_and_never_falls():
    rng = np.random.default_rng(1)
    curves = aalen_johansen(rng.dirichlet(np.full(31, 0.2), 500))
    assert (curves >= 0).all()
    assert (curves <= 1).all()
    assert (np.diff(curves, axis=1) >= -1e-15).all()


def test_close_to_the_exact_aalen_johansen():
    y = _follow_up(2000)
    edges = interval_edges(y)
    held = np.bincount(outcome_codes(y, edges), minlength=3 * len(edges) + 1).astype(float)
    found = aalen_johansen(held[None])[0]
    survival, incidence, exact = 1.0, 0.0, {}
    for t in np.unique(y.time_days):
        at_risk = (y.time_days >= t).sum()
        now = y.time_days == t
        incidence += survival * (now & (y.status == 1)).sum() / at_risk
        survival *= 1 - (now & (y.status > 0)).sum() / at_risk
        exact[t] = incidence
    np.testing.assert_allclose(found, [exact[e] for e in edges], atol=0.01)


def test_pseudo_values_average_to_the_estimate():
    y = _follow_up()
    edges = interval_edges(y)
    codes = outcome_codes(y, edges)
    pseudo = pseudo_values(codes, len(edges))
    held = np.bincount(codes, minlength=3 * len(edges) + 1).astype(float)
    whole = aalen_johansen(held[None])[0]
    assert abs(pseudo.mean(axis=0)[-1] - whole[-1]) < 0.01


def test_stored_trees_find_the_leaves_sklearn_finds():
    from sklearn.ensemble import RandomForestRegressor

    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 6))
    codes = (x[:, 0] > 0).astype(np.int64)
    targets = np.eye(3)[codes]
    trees = grow(x, targets, codes, width=3, n_trees=7, seed=4)
    forest = RandomForestRegressor(
        n_estimators=7, min_samples_leaf=10, max_features="sqrt", random_state=4
    ).fit(x.astype(np.float32), targets)
    new = rng.normal(size=(500, 6)).astype(np.float32)
    for tree, estimator in zip(trees, forest.estimators_, strict=True):
        np.testing.assert_array_equal(tree.find(new), estimator.tree_.apply(new))
        np.testing.assert_allclose(tree.shares()[tree.find(new)], estimator.predict(new))


def test_finds_an_interaction():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(500, 4))
    codes = (x[:, 0] * x[:, 1] > 0).astype(np.int64)
    trees = grow(x, np.eye(3)[codes], codes, width=3, n_trees=60, seed=0)
    new = rng.normal(size=(500, 4))
    share = np.mean([t.shares()[t.find(new.astype(np.float32)), 1] for t in trees], axis=0)
    assert (share > 0.5).astype(int).tolist().count(1) > 100
    assert np.mean((share > 0.5) == (new[:, 0] * new[:, 1] > 0)) > 0.75
