"""Numbers in words."""

from __future__ import annotations

import pytest

from metasight.estimate import Estimate
from metasight.report import wording
from metasight.validation.results import Contrast, NotEstimable

NONE = NotEstimable(not_estimable="2 events by 3652 days")


@pytest.mark.parametrize(
    ("value", "signed", "text"),
    [(-0.0214, False, "−0.021"), (0.0214, True, "+0.021"), (-0.0001, True, "0.000")],
)
def test_signs(value, signed, text):
    assert wording.number(value, 3, signed=signed) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (-1221.4, "−1221"),
        (0.0557, "0.0557"),
        (-190.0, "−190"),
        (3.14159, "3.14"),
        (11.0, "11"),
        (-4.8, "−4.8"),
        (0.0, "0"),
        (123456.0, "123456"),
        (float("nan"), "–"),
    ],
)
def test_significant_figures_without_powers_of_ten(value, text):
    assert wording.significant(value) == text


@pytest.mark.parametrize(
    ("days", "text"),
    [(1826, "5 years"), (3652, "10 years"), (365, "1 year"), (913, "2.5 years"), (182, "6 months")],
)
def test_horizons_in_years(days, text):
    assert wording.years(days) == text


def test_estimates_and_reasons():
    m = Estimate(value=0.6123, lower=0.55, upper=0.674)
    assert wording.metric(m, 2).replace("\u00a0", " ") == "0.61 (0.55 to 0.67)"
    assert wording.metric(Estimate(value=0.5)) == "0.500"
    assert wording.metric(NONE) == "not estimable: 2 events by 10 years"


def test_reading_of_a_difference():
    def of(low, high):
        return Contrast(difference=0.0, lower=low, upper=high, probability_better=0.5)

    assert wording.reading(of(0.01, 0.2)) == "better"
    assert wording.reading(of(-0.2, -0.01)) == "worse"
    assert wording.reading(of(-0.1, 0.2)) == "no clear difference"
    assert wording.reading(NONE) == "not estimable"


def test_a_reason_is_printed_once():
    notes = wording.Footnotes()
    assert notes.metric(NONE) == notes.contrast(NONE) == "not estimable (a)"
    assert notes.mark("other") == "not estimable (b)"
    assert notes.notes == ("(a) not estimable: 2 events by 10 years.", "(b) not estimable: other.")
