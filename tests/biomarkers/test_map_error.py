"""A biomarker's error on a painted map is its spread over maps that the map's error allows."""

from types import SimpleNamespace

import numpy as np
import pytest

from metasight.biomarkers import map_error
from metasight.biomarkers.map_error import biomarker_errors


@pytest.fixture
def measured(monkeypatch):
    """Maps are numbers 0, 1, 2 …; biomarkers are made of them."""
    told = {
        "ten_times": lambda k: 10.0 * k,
        "once": lambda k: 5.0 if k == 0 else float("nan"),
        "never": lambda _: float("nan"),
    }

    def measure(number, *_, **__):
        measures = [SimpleNamespace(name=n, value=f(number)) for n, f in told.items()]
        return SimpleNamespace(measures=measures)

    class Drawn(int):
        window = None

    monkeypatch.setattr(map_error, "drawn_map", lambda _, *, seed, draw: Drawn(draw + seed - 7))
    monkeypatch.setattr(map_error, "measure", measure)
    return SimpleNamespace(window=None)


def test_the_error_is_the_standard_deviation_over_draws(measured):
    found = biomarker_errors(measured, None, None, draws=4, seed=7)
    assert found["ten_times"] == pytest.approx(np.std([0, 10, 20, 30], ddof=1))


def test_one_value_has_no_spread(measured):
    found = biomarker_errors(measured, None, None, draws=4, seed=7)
    assert np.isnan(found["once"])
    assert np.isnan(found["never"])
