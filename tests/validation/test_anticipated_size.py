"""Riley's criteria at a stated share of the largest R², from what a study is known to hold."""

import numpy as np

from metasight.validation.anticipated_size import (
    R2_SHARE,
    anticipated_binary_size,
    anticipated_survival_size,
)
from metasight.validation.sample_size import (
    development_binary,
    development_survival,
    largest_r2_binary,
    largest_r2_survival,
)


def test_survival_counts_person_years():
    time = np.full(100, 2 * 365.25)  # 200 person-years
    found = anticipated_survival_size(time, 20, horizon_days=1826, parameters=10)
    r2 = R2_SHARE * largest_r2_survival(0.1, 2.0)
    expected = development_survival(
        r2_cox_snell=r2, parameters=10, rate=0.1, timepoint=1826 / 365.25, mean_follow_up=2.0
    )
    assert found.size.n == expected.n
    assert "0.100 events a year, mean follow-up 2.0 years, horizon 5 years" in found.assumptions
    assert found.assumptions.startswith("R² at 15% of its largest")


def test_a_class_counts_those_who_were_examined():
    found = anticipated_binary_size(30, 120, parameters=8)
    r2 = R2_SHARE * largest_r2_binary(0.25)
    expected = development_binary(r2_cox_snell=r2, parameters=8, prevalence=0.25)
    assert found.size.n == expected.n
    assert found.assumptions.endswith("prevalence 0.25")


def test_what_cannot_be_computed_says_why():
    # more events than Riley's R² allows: three a patient
    found = anticipated_survival_size(np.full(10, 365.25), 30, horizon_days=365, parameters=5)
    assert found.size is None
    assert "r2_cox_snell" in found.assumptions
