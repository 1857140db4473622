import numpy as np
import pytest

from metasight.errors import EvaluationError
from metasight.validation.centres import pool_centres, reml_tau2

# Thirteen BCG trials (Colditz 1994): cases and others, vaccinated and not
BCG = np.array(
    [
        (4, 119, 11, 128),
        (6, 300, 29, 274),
        (3, 228, 11, 209),
        (62, 13536, 248, 12619),
        (33, 5036, 47, 5761),
        (180, 1361, 372, 1079),
        (8, 2537, 10, 619),
        (505, 87886, 499, 87892),
        (29, 7470, 45, 7232),
        (17, 1699, 65, 1600),
        (186, 50448, 141, 27197),
        (5, 2493, 3, 2338),
        (27, 16886, 29, 17825),
    ]
)


def bcg():
    a, b, c, d = BCG.T.astype(float)
    log_rr = np.log(a / (a + b)) - np.log(c / (c + d))
    return log_rr, 1 / a - 1 / (a + b) + 1 / c - 1 / (c + d)


def test_metafor_on_bcg():
    # Viechtbauer 2010 (J Stat Softw 36:3): REML tau2 0.3132, I2 92.22 %, mean -0.7145;
    # with test = "knha" the interval is -1.1082 to -0.3210 or so
    y, v = bcg()
    got = pool_centres(y, v**0.5, scale="identity")
    assert got.tau2 == pytest.approx(0.3132, abs=5e-5)
    assert got.i2 == pytest.approx(0.9222, abs=5e-5)
    assert got.value == pytest.approx(-0.7145, abs=5e-5)
    assert got.lower == pytest.approx(-1.1082, abs=5e-4)
    assert got.upper == pytest.approx(-0.3208, abs=5e-4)
    assert got.prediction_lower < got.lower


def test_equal_centres_have_no_variance_between_them():
    got = pool_centres([0.7, 0.7, 0.7], [0.03, 0.04, 0.05], scale="logit")
    assert got.tau2 == 0
    assert got.i2 == 0
    assert got.value == pytest.approx(0.7)


def test_reml_is_at_a_maximum():
    y, v = bcg()
    tau2 = reml_tau2(y, v)

    def loglik(t):
        w = 1 / (v + t)
        mean = (w * y).sum() / w.sum()
        return 0.5 * (np.log(w).sum() - np.log(w.sum()) - (w * (y - mean) ** 2).sum())

    assert loglik(tau2) >= max(loglik(tau2 * 1.01), loglik(tau2 * 0.99))


def test_two_centres_have_no_prediction_interval():
    got = pool_centres([0.9, 1.2], [0.1, 0.1], scale="log")
    assert got.prediction_lower is None
    assert got.lower < 1.04 < got.upper


def test_refusals():
    with pytest.raises(EvaluationError, match="two centres"):
        pool_centres([0.7], [0.1], scale="logit")
    with pytest.raises(EvaluationError, match="logit"):
        pool_centres([0.7, 1.0], [0.1, 0.1], scale="logit")


def test_alike_centres_do_not_give_an_interval_below_what_their_errors_allow():
    """C of 0.74, 0.75, 0.752: Hartung-Knapp alone is narrower than a fixed effect."""
    values, errors = [0.74, 0.75, 0.752], [0.03, 0.03, 0.03]
    plain = pool_centres(values, errors, scale="logit")
    careful = pool_centres(values, errors, scale="logit", ad_hoc=True)
    fixed = 1.96 * (0.03 / (0.7473 * 0.2527)) / 3**0.5
    logit = np.log(careful.value / (1 - careful.value))
    assert np.log(plain.upper / (1 - plain.upper)) - logit < fixed
    assert np.log(careful.upper / (1 - careful.upper)) - logit > fixed
    assert careful.value == plain.value
    assert careful.prediction_upper > careful.upper, "one degree of freedom less"


def test_where_centres_differ_the_ad_hoc_correction_changes_nothing_of_the_average():
    y, v = bcg()
    plain = pool_centres(y, v**0.5, scale="identity")
    careful = pool_centres(y, v**0.5, scale="identity", ad_hoc=True)
    assert (careful.lower, careful.upper) == (plain.lower, plain.upper)
