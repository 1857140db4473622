import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metasight.errors import FitError
from metasight.features.clinical import (
    Design,
    FittedDesign,
    independent,
    knots_for,
    restricted_cubic_spline,
    spline_knots,
)
from metasight.features.columns import Feature, FeatureTable, Kind

FEATURES = (
    Feature(name="age", kind=Kind.CONTINUOUS, spline=True),
    Feature(name="nodes", kind=Kind.CONTINUOUS, spline=True),
    Feature(name="grade", kind=Kind.ORDINAL),
    Feature(name="type", kind=Kind.CATEGORICAL, levels=("a", "b", "c")),
)


def _table(n=200, seed=0):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "age": rng.normal(60, 10, n),
            "nodes": rng.poisson(0.4, n) * 1.0,
            "grade": rng.integers(1, 4, n) * 1.0,
            "type": rng.choice(["a", "b", "c"], n),
        },
        index=[f"p{i:03d}" for i in range(n)],
    )
    return FeatureTable(frame, FEATURES)


def test_spline_is_that_of_rcs():
    # Hmisc::rcspline.eval(c(1, 3, 5, 8), knots = c(2, 4, 6), inclx = TRUE), norm = 2
    found = restricted_cubic_spline(np.array([1.0, 3.0, 5.0, 8.0]), np.array([2.0, 4.0, 6.0]))
    x = np.array([1.0, 3.0, 5.0, 8.0])
    by_hand = [0.0, 1 / 16, (27 - 2 * 1) / 16, (216 - 2 * 64 + 8) / 16]
    np.testing.assert_allclose(found, np.column_stack([x, by_hand]))


@given(
    st.lists(st.floats(-50, 50), min_size=5, max_size=5, unique=True).filter(
        lambda k: np.diff(np.sort(k)).min() > 0.1
    )
)
def test_spline_is_linear_beyond_the_outer_knots(knots):
    knots = np.sort(np.array(knots))
    beyond = knots[-1] + np.array([1.0, 2.0, 3.0])
    before = knots[0] - np.array([3.0, 2.0, 1.0])
    for x in (beyond, before):
        basis = restricted_cubic_spline(x, knots)
        size = np.abs(basis).max() + 1.0
        assert np.abs(np.diff(basis, n=2, axis=0)).max() < 1e-6 * size


def test_columns_are_standardised_on_training_rows():
    fitted = Design(splines=True).fit(_table(), effective_n=150)
    matrix = fitted.transform(_table())
    np.testing.assert_allclose(matrix.mean(axis=0), 0, atol=1e-10)
    np.testing.assert_allclose(matrix.std(axis=0), 1, atol=1e-10)
    assert fitted.columns[:3] == ["age", "age'", "age''"]
    assert fitted.columns[-2:] == ["type=b", "type=c"]
    restored = FittedDesign(json.loads(json.dumps(fitted.state)))
    other = _table(seed=3)
    assert np.array_equal(restored.transform(other), fitted.transform(other))


def test_knots_follow_the_effective_size_and_ties_make_a_variable_linear():
    assert [knots_for(n) for n in (51, 150, 900)] == [3, 4, 5]
    fitted = Design(splines=True).fit(_table(), effective_n=51)
    terms = {t["feature"]: t for t in fitted.state["terms"]}
    assert len(terms["age"]["knots"]) == 3
    assert "nodes" in " ".join(fitted.state["notes"])
    knots = terms["nodes"]["knots"]
    assert knots == sorted(set(knots))


def test_unseen_levels_are_refused_and_constants_dropped():
    table = _table()
    values = table.values.assign(grade=2.0)
    values.loc[values["type"] == "c", "type"] = "a"
    fitted = Design().fit(FeatureTable(values, FEATURES), effective_n=50)
    assert fitted.columns == ["age", "nodes", "type=b"]
    assert any("grade: constant" in n for n in fitted.state["notes"])
    with pytest.raises(FitError, match=r"feature type.*value: c"):
        fitted.transform(table)
    flat = FeatureTable(values[["grade"]], (FEATURES[2],))
    with pytest.raises(FitError, match="no column varies"):
        Design().fit(flat, effective_n=50)
    with pytest.raises(FitError, match="3, 4 or 5"):
        Design(knots=9)


def test_independent_keeps_the_first_of_what_determines_another():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, 3))
    z = np.column_stack([x, x[:, 0] - 2 * x[:, 2], rng.normal(size=50)])
    assert independent(z).tolist() == [0, 1, 2, 4]


def test_every_column_knows_its_feature_and_a_spline_its_knots():
    table = _table()
    design = Design(splines=True, knots=3).fit(table, effective_n=50)
    owners = ["age", "age", *["nodes"] * design.columns.count("nodes"), "grade", "type", "type"]
    bent = sum(c.startswith("nodes'") for c in design.columns)
    assert design.owners == [*owners[:3], *["nodes"] * bent, *owners[3:]]
    ages = table.values["age"].to_numpy()
    assert design.knots("age") == pytest.approx(np.quantile(ages, [0.1, 0.5, 0.9]))
    assert design.knots("grade") == design.knots("no such feature") == []
    assert spline_knots(ages, 50) == design.knots("age")
    assert spline_knots((table.values["grade"] > 2).to_numpy(float), 50) == []
