"""Every leakage check can pass, warn and fail, and says with which figures."""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd
import pytest

from metasight import leakage
from metasight.cohort.outcome import NodalOutcome, SurvivalOutcome
from metasight.cohort.splits import Split, pairs_of_folds
from metasight.features.columns import Feature, FeatureTable, Kind
from metasight.predictions import Predictions


def rows(patients, risks, *, fold=0, repeat=0, time=None, status=None, horizons=(500, 1000)):
    n = len(patients)
    time = np.arange(1.0, n + 1) if time is None else time
    status = np.ones(n) if status is None else status
    return [
        {
            "patient": p,
            "centre": "North",
            "arm": None,
            "model": "m",
            "repeat": repeat,
            "fold": fold,
            "endpoint": "dm",
            "horizon_days": h,
            "label": None,
            "risk": risks[i] if h == max(horizons) else 1 - risks[i],
            "time_days": time[i],
            "status": status[i],
        }
        for i, p in enumerate(patients)
        for h in horizons
    ]


def survival(*folds) -> Predictions:
    return Predictions(pd.DataFrame([r for f in folds for r in f]))


def test_discrimination_is_that_of_the_last_horizon():
    falling = [0.9, 0.6, 0.3]  # the earlier the event, the higher the risk
    assert leakage.discrimination(survival(rows("abc", falling))).c == 1.0


def test_patients_of_two_folds_are_never_compared():
    """The second fold's model gives everybody more; within folds all pairs are right."""
    told = survival(
        rows("abc", [0.30, 0.20, 0.10]),
        rows("def", [0.93, 0.92, 0.91], fold=1, time=[4.0, 5, 6]),
    )
    assert leakage.discrimination(told).c == 1.0
    assert leakage.discrimination(told).concordant == 6


def test_stages_are_judged_by_any_node_and_unknown_ones_not_at_all():
    table = []
    for patient, n0, status in (("a", 0.9, 0), ("b", 0.4, 2), ("c", 0.5, 1), ("d", 0.01, None)):
        for label, risk in (("N0", n0), ("N1", (1 - n0) / 2), ("N2", (1 - n0) / 2)):
            row = rows([patient], [0.5])[0]
            row |= {"horizon_days": None, "label": label, "risk": risk, "time_days": np.nan}
            table.append(row | {"status": status})
    found = leakage.discrimination(Predictions(pd.DataFrame(table)))
    assert (found.c, found.concordant) == (1.0, 2.0)


def split(train, test, fold=0):
    return Split(scheme="kfold", repeat=0, fold=fold, train=tuple(train), test=tuple(test))


def audit(train, fold=0):
    handed = hashlib.sha256("\n".join(sorted(train)).encode()).hexdigest()
    return {"scheme": "kfold", "repeat": 0, "fold": fold, "handed": handed}


SPLITS = [split("ab", "cd"), split("cd", "ab", 1)]


def test_folds():
    told = survival(rows("cd", [0.2, 0.1]), rows("ab", [0.2, 0.1], fold=1))
    good = [audit("ab"), audit("cd", 1)]
    assert leakage.folds_disjoint(SPLITS, good, told).verdict == "pass"
    one_more = [audit("abc"), audit("cd", 1)]
    check = leakage.folds_disjoint(SPLITS, one_more, told)
    assert check.verdict == "fail"
    assert check.finding.startswith("1 fits were handed other patients, 0 predictions")
    own = survival(rows("ad", [0.2, 0.1]), rows("cb", [0.2, 0.1], fold=1))
    check = leakage.folds_disjoint(SPLITS, good, own)
    assert check.verdict == "fail"
    assert "2 predictions of others" in check.finding


def test_fits_without_a_pair_of_folds_are_counted_and_can_fail():
    three = [split("cdef", "ab"), split("abef", "cd", 1), split("abcd", "ef", 2)]
    told = survival(*(rows(s.test, [0.2, 0.1], fold=s.fold) for s in three))
    own = [audit(s.train, s.fold) for s in three]
    pairs = [audit(t, n) | {"scheme": "pair"} for t, n in (("ef", 1), ("cd", 2), ("ab", 5))]
    check = leakage.folds_disjoint(three, [*own, *pairs], told)
    assert check.verdict == "pass"
    assert check.finding == (
        "6 fits were handed exactly their training patients, 3 of them without a pair of folds"
    )
    assert [p.fold for _, _, p in pairs_of_folds(three)] == [1, 2, 5]
    pairs[1] = audit("cda", 2) | {"scheme": "pair"}  # a is in the first fold
    check = leakage.folds_disjoint(three, [*own, *pairs], told)
    assert check.verdict == "fail"
    assert check.finding.startswith("1 fits were handed other patients")


@pytest.mark.parametrize(
    ("hashes", "verdict"),
    [
        ({}, "not done"),
        ({"cox": ("a", "a")}, "pass"),
        ({"cox": ("a", "a"), "forest": ("a", "b")}, "fail"),
    ],
)
def test_corrupted_rows(hashes, verdict):
    assert leakage.corrupted_rows(hashes).verdict == verdict


def of_concordance(c: float, n: int = 40) -> Predictions:
    """Every patient has an event; a share ``c`` of pairs is concordant (the last are turned)."""
    risk = np.linspace(0.9, 0.1, n)
    turned = round(n * np.sqrt(1 - c))
    risk[:turned] = risk[:turned][::-1]
    return survival(rows([f"p{i:03d}" for i in range(n)], risk))


def test_noise_is_judged_by_its_standard_error():
    assert leakage.noise_replay([], "m").verdict == "not done"
    assert leakage.noise_replay([of_concordance(0.5)] * 3, "m").verdict == "pass"
    assert leakage.noise_replay([of_concordance(0.9)] * 3, "m").verdict == "fail"
    # far below a half is no leakage, but is shown
    assert leakage.noise_replay([of_concordance(0.02)] * 3, "m").verdict == "warn"


def test_replays_that_disagree_widen_the_error():
    """0.9 and 0.1 on average are a half, whatever each one's error says."""
    mixed = [of_concordance(0.95), of_concordance(0.02)] * 2
    assert leakage.noise_replay(mixed, "m").verdict == "pass"


def test_one_risk_for_all_finds_nothing():
    flat = survival(rows("abcd", [0.3] * 4))
    check = leakage.noise_replay([flat], "m")
    assert check.verdict == "pass"
    assert "C 0.500" in check.finding


def table(**columns) -> FeatureTable:
    values = pd.DataFrame(columns)
    values.index = [f"p{i}" for i in range(len(values))]
    features = tuple(
        Feature(name=c, kind=Kind.CONTINUOUS, error_of="a" if c == "error" else "") for c in columns
    )
    return FeatureTable(values, features)


def test_a_patient_entered_twice():
    rng = np.random.default_rng(0)
    columns = {c: rng.normal(size=10) for c in "abcde"}
    assert leakage.duplicates(table(**columns)).verdict == "pass"
    twice = {c: np.r_[v[:9], v[2]] for c, v in columns.items()}
    check = leakage.duplicates(table(**twice))
    assert check.verdict == "warn"
    assert check.finding.startswith("2 of 10 patients")
    # errors of measurement are no measurements
    few = {c: twice[c] for c in "abcd"} | {"error": np.ones(10)}
    assert leakage.duplicates(table(**few)).verdict == "not done"
    # four values each are too few to tell two patients by
    sparse = table(**{c: np.where(np.arange(10) < 5, np.nan, v) for c, v in twice.items()})
    assert sparse.values.notna().sum().sum() == 25
    assert leakage.duplicates(sparse).verdict == "pass"


def test_a_proxy_of_the_outcome_in_either_direction():
    rng = np.random.default_rng(1)
    time = rng.permutation(30) + 1.0
    outcome = SurvivalOutcome(time, np.ones(30, np.int8))
    assert leakage.single_features(table(a=rng.normal(size=30)), outcome).verdict == "pass"
    for sign in (-1, 1):
        check = leakage.single_features(table(a=sign * time), outcome)
        assert check.verdict == "warn"
        assert check.finding == "a reach C > 0.95"
    few = np.where(np.arange(30) < 26, np.nan, time)  # four events with a value
    assert leakage.single_features(table(a=few), outcome).finding == "none usable"


def test_a_proxy_of_nodal_stage_is_told_among_the_examined():
    stage = np.array([0] * 10 + [1] * 5 + [2] * 5 + [-1] * 10, np.int8)
    proxy = np.r_[np.zeros(10), np.ones(10), np.arange(10) - 50.0]
    assert leakage.single_features(table(a=proxy), NodalOutcome(stage)).verdict == "warn"


def test_centres_told_from_features():
    centre = pd.Series(["A", "B"] * 10, index=[f"p{i}" for i in range(20)])
    is_a = (centre == "A").to_numpy()
    sure = pd.DataFrame({"A": is_a * 0.8 + 0.1, "B": 0.9 - is_a * 0.8}, index=centre.index)
    assert leakage.centre_shortcut(sure, centre).verdict == "warn"
    flat = sure * 0 + 0.5
    check = leakage.centre_shortcut(flat, centre)
    assert (check.verdict, check.finding) == ("pass", "mean AUC 0.50 over 2 centres")
    assert leakage.centre_shortcut(None, centre).verdict == "not done"


def test_times_whose_c_is_the_auc():
    time, status = leakage.as_times(np.array([True, False, True]))
    assert time.tolist() == [1, 2, 1]
    assert status.tolist() == [1, 0, 1]
