"""Two generators compared in patients whom neither saw, by hand."""

from __future__ import annotations

import math

import pytest

from metasight.maps.generator_shift import generator_shifts

FOLD = {p: {"t_cells": v, "tls": 0.0} for p, v in zip("ABCD", (1.0, 2.0, 3.0, 4.0), strict=True)}


def test_a_constant_shift_in_standard_deviations():
    new = {p: {"t_cells": v["t_cells"] + 0.5, "tls": 0.0} for p, v in FOLD.items()}
    cells, tls = generator_shifts(FOLD, new)
    assert cells.patients == 4
    assert cells.shift_sd == pytest.approx(0.5 / math.sqrt(5 / 3))
    assert cells.pearson == pytest.approx(1.0)
    assert math.isnan(tls.shift_sd)
    assert math.isnan(tls.pearson)


def test_the_same_generator_does_not_shift():
    assert generator_shifts(FOLD, FOLD)[0].shift_sd == 0


def test_patients_without_a_value_do_not_count_and_too_few_are_not_compared():
    new = {"A": {"t_cells": 1.0}, "B": {"t_cells": None}, "C": {"t_cells": 3.0}}
    assert generator_shifts(FOLD, new) == ()
    new["D"] = {"t_cells": 4.0}
    assert generator_shifts(FOLD, new)[0].patients == 3


def test_no_patients_at_all():
    assert generator_shifts({}, {}) == ()
