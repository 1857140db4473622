"""Coefficients over imputations are those of mice's pool, and cover the truth."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from metasight.cohort.outcome import NodalOutcome, SurvivalOutcome
from metasight.errors import FitError
from metasight.features.columns import Feature, FeatureTable, Kind
from metasight.features.multiple_imputation import MultipleImputer
from metasight.models.pooled_coefficients import (
    PooledCoefficients,
    examined,
    outcome_columns,
    pooled_coefficients,
)
from metasight.models.preparation import Preparation

DATA = Path(__file__).parent / "data"
HELD = json.loads((DATA / "imputed.json").read_text())
READS = Preparation(modalities=("clinical",), full_rank=True)
FEATURES = (
    Feature(name="a", kind=Kind.CONTINUOUS),
    Feature(name="b", kind=Kind.CONTINUOUS),
    Feature(name="c", kind=Kind.BINARY),
)


class Given(MultipleImputer):
    """Imputations that were made elsewhere, the seed telling which."""

    def complete(self, train, outcome, *, seed):
        return table_of(IMPUTED[seed])


def read() -> list[pd.DataFrame]:
    frame = pd.read_csv(DATA / "imputed.csv")
    return [part.reset_index(drop=True) for _, part in frame.groupby(".imp")]


IMPUTED = read()


def table_of(frame: pd.DataFrame) -> FeatureTable:
    index = [f"p{i:04d}" for i in range(len(frame))]
    return FeatureTable(frame[["a", "b", "c"]].astype(float).set_axis(index), FEATURES)


def outcome_of(kind: str):
    frame = IMPUTED[0]
    if kind == "nodal":
        return NodalOutcome(frame["stage"].to_numpy(np.int8))
    return SurvivalOutcome(frame["time"].to_numpy(float), frame["status"].to_numpy(np.int8))


@pytest.mark.parametrize(
    ("kind", "held", "tolerance"), [("survival", "cox", 1e-6), ("nodal", "ordinal", 2e-3)]
)
def test_they_are_those_of_mice(kind, held, tolerance):
    """``polr`` gives its information by numerical differences, hence the wider tolerance."""
    found = pooled_coefficients(
        READS, table_of(IMPUTED[0]), outcome_of(kind), imputer=Given(), imputations=5, seed=0
    )
    assert [c.name for c in found.coefficients] == ["a", "b", "c"]
    for c, r in zip(found.coefficients, HELD[held], strict=True):
        assert c.pooled.value == pytest.approx(r["estimate"], rel=tolerance)
        assert c.pooled.se**2 == pytest.approx(r["variance"], rel=tolerance)
        assert c.freedom == pytest.approx(r["df"], rel=tolerance)
        assert c.missing_information == pytest.approx(r["fmi"], rel=tolerance)
    assert found.scale == ("log odds ratio" if kind == "nodal" else "log hazard ratio")


def test_what_is_written_is_read_again():
    found = pooled_coefficients(
        READS, table_of(IMPUTED[0]), outcome_of("survival"), imputer=Given(), imputations=5, seed=0
    )
    again = PooledCoefficients.from_json(json.loads(json.dumps(found.to_json())))
    assert again == found
    assert found.coefficients[0].single is not None


def test_the_outcome_is_told_by_its_nelson_aalen_hazard_as_mice_does():
    columns = outcome_columns(outcome_of("survival"))
    np.testing.assert_allclose(columns[:, 0], IMPUTED[0]["status"])
    np.testing.assert_allclose(columns[:, 1], IMPUTED[0]["hazard"], rtol=1e-9)


def test_competing_events_have_columns_of_their_own_and_a_stage_has_two():
    time = np.array([1.0, 2.0, 3.0, 4.0])
    told = outcome_columns(SurvivalOutcome(time, np.array([1, 2, 0, 1], dtype=np.int8)))
    np.testing.assert_allclose(told[:, 0], [1, 0, 0, 1])
    np.testing.assert_allclose(told[:, 1], [1 / 4, 1 / 4, 1 / 4, 5 / 4])
    np.testing.assert_allclose(told[:, 2], [0, 1, 0, 0])
    np.testing.assert_allclose(told[:, 3], [0, 1 / 3, 1 / 3, 1 / 3])
    stage = outcome_columns(NodalOutcome(np.array([0, 1, 2], dtype=np.int8)))
    np.testing.assert_allclose(stage, [[0, 0], [1, 0], [1, 1]])


def test_patients_whose_nodes_were_not_examined_are_not_read():
    stage = outcome_of("nodal").stage.copy()
    stage[:10] = -1
    table, outcome = examined(table_of(IMPUTED[0]), NodalOutcome(stage))
    assert len(table.values) == len(outcome) == 140
    assert (outcome.stage >= 0).all()


def simulated(seed: int, *, at_random: bool, n: int = 300):
    """Log hazard ratios 0.7 of ``a``, of which some are missing, and −0.5 of ``b``."""
    rng = np.random.default_rng([seed, 77])
    b = rng.normal(size=n)
    a = 0.5 * b + rng.normal(size=n)
    onset = rng.exponential(1000 * np.exp(-(0.7 * a - 0.5 * b)))
    end = rng.uniform(300, 3000, n)
    status = (onset <= end).astype(np.int8)
    chance = 0.4 if not at_random else 1 / (1 + np.exp(0.8 - b - 0.8 * status))
    gone = a.copy()
    gone[rng.random(n) < chance] = np.nan
    index = [f"p{i:04d}" for i in range(n)]
    values = pd.DataFrame({"a": gone, "b": b}, index=index)
    return FeatureTable(values, FEATURES[:2]), SurvivalOutcome(np.minimum(onset, end) + 1, status)


@pytest.mark.parametrize("at_random", [False, True], ids=["MCAR", "MAR"])
def test_over_imputations_the_truth_is_met_and_covered(at_random):
    """Missing completely at random, or depending on the other predictor and on the event."""
    values, covered = [], 0
    for seed in range(40):
        table, outcome = simulated(seed, at_random=at_random)
        found = pooled_coefficients(
            READS, table, outcome, imputer=MultipleImputer(), imputations=10, seed=seed
        )
        a = found.coefficients[0]
        assert a.name == "a"
        assert 0 < a.missing_information < 1
        values.append(a.pooled.value)
        low, high = a.pooled.ends
        covered += low <= 0.7 <= high
    error = np.std(values, ddof=1) / np.sqrt(len(values))
    assert abs(np.mean(values) - 0.7) < 3 * error + 0.02
    assert covered >= 35


def test_too_many_parameters_are_refused():
    table, outcome = simulated(1, at_random=False, n=60)
    few = SurvivalOutcome(outcome.time_days, np.r_[1, 1, np.zeros(58)].astype(np.int8))
    with pytest.raises(FitError, match="as many parameters"):
        pooled_coefficients(READS, table, few, imputer=MultipleImputer(), imputations=2, seed=1)


def test_a_column_that_some_imputation_lacks_is_named_and_not_pooled():
    """A binary predictor that is constant in one imputation."""

    class Once(Given):
        def complete(self, train, outcome, *, seed):
            found = table_of(IMPUTED[seed])
            return found if seed else FeatureTable(found.values.assign(c=0.0), FEATURES)

    found = pooled_coefficients(
        READS, table_of(IMPUTED[0]), outcome_of("survival"), imputer=Once(), imputations=3, seed=0
    )
    assert [c.name for c in found.coefficients] == ["a", "b"]
    assert found.not_pooled == ("c",)
