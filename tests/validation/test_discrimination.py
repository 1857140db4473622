import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metasight.errors import EvaluationError
from metasight.validation.bootstrap import resampled_concordance
from metasight.validation.curves import censoring_survival
from metasight.validation.discrimination import harrell_c, pair_order, uno_c
from metasight.validation.ordering import follow_up

from .conftest import make


def brute(c, *, tau=np.inf, weights=None, strata=None, uno=False):
    """Every ordered pair, one by one."""
    n = c.time.size
    w = np.ones(n) if weights is None else weights
    s = np.zeros(n) if strata is None else strata
    g = censoring_survival(c.time, c.status, weights=w)
    before, at = g.before(c.time), g.at(c.time)
    second = at if (c.status == 2).any() else before
    above = pairs = 0.0
    for i in range(n):
        if c.status[i] != 1 or c.time[i] > tau:
            continue
        for j in range(n):
            if i == j or s[i] != s[j]:
                continue
            longer = c.time[j] > c.time[i] or (c.time[j] == c.time[i] and c.status[j] == 0)
            removed = c.status[j] == 2 and c.time[j] <= c.time[i]
            if not (longer or removed):
                continue
            pair = w[i] * w[j]
            if uno:
                pair /= before[i] * (second[i] if longer else before[j])
            pairs += pair
            above += pair * (1 if c.risk[i] > c.risk[j] else 0.5 if c.risk[i] == c.risk[j] else 0)
    return above / pairs


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.booleans(), st.booleans(), st.booleans())
def test_equals_every_pair_counted(seed, competing, stratified, weighted):
    c = make(40, seed, competing=competing)
    rng = np.random.default_rng(seed)
    w = rng.integers(0, 4, 40).astype(float) if weighted else None
    s = c.strata if stratified else None
    try:
        got = harrell_c(c.time, c.status, c.risk, weights=w, strata=s, tau=25)
        assert got.c == pytest.approx(brute(c, tau=25, weights=w, strata=s), abs=1e-12)
        got = uno_c(c.time, c.status, c.risk, tau=20, weights=w, strata=s)
        assert got.c == pytest.approx(brute(c, tau=20, weights=w, strata=s, uno=True), abs=1e-12)
    except EvaluationError as error:
        assert "no pair" in error.problem or followed_to_the_end(c, 20, w)


def followed_to_the_end(c, tau, weights=None):
    """Whether an event by ``tau`` shares its day with the censoring of all who are left."""
    rows = np.repeat(np.arange(c.time.size), 1 if weights is None else weights.astype(int))
    time, status = c.time[rows], c.status[rows]
    last = time.max()
    return last <= tau and {0, 1} <= set(status[time == last]) and 2 in c.status


def test_nobody_past_tau_needs_a_weight():
    """A seed that failed: on day 27 the last patients are censored beside an event; tau is 20."""
    c = make(40, 4672, competing=True)
    w = np.random.default_rng(4672).integers(0, 4, 40).astype(float)
    assert censoring_survival(c.time, c.status, weights=w).at(27) == 0
    got = uno_c(c.time, c.status, c.risk, tau=20, weights=w)
    assert got.c == pytest.approx(brute(c, tau=20, weights=w, uno=True), abs=1e-12)


# The last two patients, an event and a censoring, share day 3; at day 2 somebody competes.
CLOSED = ([1, 2, 3, 3], [1, 2, 1, 0], [0.9, 0.2, 0.5, 0.4])


def test_an_event_on_the_day_on_which_all_the_others_are_censored_has_no_weight():
    with pytest.raises(
        EvaluationError, match="no patient is followed past an event by tau"
    ) as error:
        uno_c(*CLOSED, tau=3)
    assert "before the last follow-up" in error.value.remedy
    # by day 2 nobody is censored: three pairs of the event on day 1, all won
    assert uno_c(*CLOSED, tau=2).concordant == 3
    assert uno_c(*CLOSED, tau=2).c == 1


def test_without_competing_events_only_g_before_the_event_counts():
    time, _, risk = CLOSED
    got = uno_c(time, [1, 0, 1, 0], risk, tau=3)
    # day 1: three pairs of weight 1; day 3: G(3−) = 2/3 once one of three was censored on day 2
    assert got.concordant == pytest.approx(3 + (3 / 2) ** 2)
    assert got.c == 1


def test_a_resample_without_weights_has_no_value():
    time, status, risk = map(np.array, CLOSED)
    data, order = follow_up(time, status), pair_order(time, status, risk)
    draws = np.array([[1, 1, 1, 1], [2, 1, 1, 0], [1, 1, 0, 2]], dtype=np.int32)
    by_three = resampled_concordance(draws, data, order, tau=3, censoring=True)
    assert np.isnan(by_three).tolist() == [True, False, False]
    by_two = resampled_concordance(draws, data, order, tau=2, censoring=True)
    assert by_two.tolist() == [1, 1, 1]


@pytest.mark.parametrize("competing", [False, True])
def test_a_weight_is_a_repeated_row(competing):
    c = make(60, 5, competing=competing)
    w = np.random.default_rng(5).integers(0, 4, 60)
    rows = np.repeat(np.arange(60), w)
    for metric, tau in ((harrell_c, None), (uno_c, 25)):
        weighted = metric(c.time, c.status, c.risk, tau=tau, weights=w)
        repeated = metric(c.time[rows], c.status[rows], c.risk[rows], tau=tau)
        assert weighted.c == pytest.approx(repeated.c, abs=1e-12)
        assert weighted.concordant == pytest.approx(repeated.concordant)


def test_only_the_order_of_the_risks_matters(cohort):
    a = harrell_c(cohort.time, cohort.status, cohort.risk)
    b = harrell_c(cohort.time, cohort.status, np.exp(5 * cohort.risk))
    assert a.c == b.c
    reverse = harrell_c(cohort.time, cohort.status, -cohort.risk)
    assert a.c + reverse.c == pytest.approx(1)


def test_constant_risk_is_one_half(cohort):
    assert harrell_c(cohort.time, cohort.status, np.ones(120)).c == 0.5


def test_strata_ignore_a_shift_between_folds(cohort):
    shifted = cohort.risk + 10.0 * cohort.strata
    a = harrell_c(cohort.time, cohort.status, cohort.risk, strata=cohort.strata)
    b = harrell_c(cohort.time, cohort.status, shifted, strata=cohort.strata)
    assert a.c == b.c
    assert harrell_c(cohort.time, cohort.status, shifted).c != pytest.approx(a.c, abs=1e-3)


def test_without_censoring_uno_is_harrell():
    c = make(80, 3, competing=False)
    status = np.ones(80, dtype=int)
    h = harrell_c(c.time, status, c.risk, tau=30)
    assert uno_c(c.time, status, c.risk, tau=30).c == pytest.approx(h.c, abs=1e-12)


def test_a_competing_event_outlives_everyone():
    got = harrell_c([1, 2, 3], [2, 1, 1], [0.1, 0.9, 0.8])
    # events at 2 and 3 each against the competing event at 1, and the event at 2 before that at 3
    assert (got.concordant, got.discordant) == (3, 0)


def test_refusals(cohort):
    with pytest.raises(EvaluationError, match="needs tau"):
        uno_c(cohort.time, cohort.status, cohort.risk, tau=None)
    with pytest.raises(EvaluationError, match="no pair"):
        harrell_c([1, 2, 3], [0, 0, 0], [0.1, 0.2, 0.3])
    with pytest.raises(EvaluationError, match="missing or infinite"):
        harrell_c([1, 2], [1, 0], [np.nan, 0.2])
    with pytest.raises(EvaluationError, match="strata"):
        harrell_c([1, 2], [1, 0], [0.1, 0.2], strata=[1])
