import numpy as np
import pandas as pd
import pytest

from metasight.errors import FitError
from metasight.features.columns import Feature, FeatureTable, Kind
from metasight.models.likeness import Likeness


def _table(values, modality="scan"):
    names = [f"f{j:02d}" for j in range(values.shape[1])]
    frame = pd.DataFrame(values, index=[f"p{i:04d}" for i in range(len(values))], columns=names)
    return FeatureTable(
        frame, tuple(Feature(name=n, kind=Kind.CONTINUOUS, modality=modality) for n in names)
    )


def _cloud(n, p=20, seed=0):
    """Skewed, correlated: as radiomics are."""
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).normal(size=(4, p))
    return np.exp(0.4 * (rng.normal(size=(n, 4)) @ mixing)) + 0.1 * rng.normal(size=(n, p))


@pytest.mark.parametrize("n", [60, 300])
def test_patients_of_the_same_kind_are_seldom_unlike(n):
    likeness = Likeness.of(_table(_cloud(n)), ("scan",), model="m")
    far = likeness.distances(_table(_cloud(2000, seed=5))) > 1
    assert far.mean() < 0.04


def test_another_scanner_is_told_and_so_is_a_broken_correlation():
    likeness = Likeness.of(_table(_cloud(200)), ("scan",), model="m")
    other = _cloud(400, seed=6)
    assert (likeness.distances(_table(other * 3 + 4)) > 1).mean() > 0.9
    rng = np.random.default_rng(1)
    dealt = np.column_stack([rng.permutation(column) for column in other.T])
    # each value is usual, together they are not
    assert (likeness.distances(_table(dealt)) > 1).mean() > 0.5


def test_unknown_values_are_left_out_and_nothing_known_is_nan():
    likeness = Likeness.of(_table(_cloud(200)), ("scan",), model="m")
    values = _cloud(300, seed=7)
    values[:, ::2] = np.nan
    assert (likeness.distances(_table(values)) > 1).mean() < 0.05
    values[:] = np.nan
    assert np.isnan(likeness.distances(_table(values))).all()


def test_says_in_which_features_a_patient_is_furthest():
    likeness = Likeness.of(_table(_cloud(200)), ("scan",), model="m")
    values = np.tile(likeness.shape.centre, (1, 1))
    values[0, 7] += 50 * likeness.shape.scale[7]
    assert likeness.furthest(_table(values), most=1) == [("f07",)]


def test_state_gives_the_same_distances():
    likeness = Likeness.of(_table(_cloud(100)), ("scan",), model="m")
    again = Likeness.from_state(likeness.state)
    some = _table(_cloud(50, seed=8))
    np.testing.assert_array_equal(again.distances(some), likeness.distances(some))


def test_too_few_patients_or_no_column_is_refused():
    with pytest.raises(FitError, match="30 patients"):
        Likeness.of(_table(_cloud(20)), ("scan",), model="m")
    with pytest.raises(FitError, match="0 columns"):
        Likeness.of(_table(_cloud(100)), ("radiomics",), model="m")


def test_flags_and_columns_that_hardly_vary_are_no_trouble():
    """A count that is 0 in all but one patient is constant where that patient is left out."""
    values = _cloud(90)
    values[:, 3] = 0.0
    values[40, 3] = 2.0
    values[:, 5] = np.arange(90) % 2
    likeness = Likeness.of(_table(values), ("scan",), model="m")
    assert np.isfinite(likeness.limit)
    again = _cloud(400, seed=9)
    again[:, 3], again[:, 5] = 0.0, 1.0
    assert (likeness.distances(_table(again)) > 1).mean() < 0.05
