"""Rubin's rules give what R's mice::pool.scalar gives."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from metasight.rubin import pool_imputations

HELD = json.loads((Path(__file__).parent / "models" / "data" / "imputed.json").read_text())
VALUES = np.array([1.1, 0.8, 1.4, 0.9])
VARIANCES = np.array([0.2, 0.25, 0.18, 0.22]) ** 2


@pytest.mark.parametrize(("held", "complete"), [("scalar", 57.0), ("infinite", np.inf)])
def test_they_are_those_of_mice(held, complete):
    found = pool_imputations(VALUES, VARIANCES, complete_freedom=complete)
    told = [found.value, found.variance, found.freedom, found.missing_information]
    r = HELD[held]
    np.testing.assert_allclose(told, [r["qbar"], r["t"], r["df"], r["fmi"]], rtol=1e-12)


def test_degrees_of_freedom_never_exceed_those_of_complete_data():
    same = np.full(20, 0.7)
    found = pool_imputations(same, np.full(20, 0.1), complete_freedom=30.0)
    assert found.variance == pytest.approx(0.1)
    assert 25 < found.freedom < 30


def test_quantities_are_pooled_each_on_its_own():
    both = pool_imputations(
        np.column_stack([VALUES, VALUES * 3]), np.column_stack([VARIANCES, VARIANCES])
    )
    one = pool_imputations(VALUES, VARIANCES)
    assert both.value == pytest.approx(float(one.value) * np.array([1.0, 3.0]))
    assert both.freedom[0] == pytest.approx(float(one.freedom))
    assert both.missing_information[1] > both.missing_information[0]


def test_one_imputation_cannot_be_pooled():
    with pytest.raises(ValueError, match="two imputations"):
        pool_imputations(VALUES[:1], VARIANCES[:1])
