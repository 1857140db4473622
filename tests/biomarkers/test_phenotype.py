import math
from dataclasses import replace

import numpy as np
import pytest

from metasight.biomarkers.blocks import draw_blocks
from metasight.biomarkers.definitions import BiomarkerDefinitions
from metasight.biomarkers.mixing import Preference
from metasight.biomarkers.phenotype import infiltration_class, mixing_class, t_cell_location

D = BiomarkerDefinitions()
NAN = math.nan


BLOCKS = 20
AREA = np.full(BLOCKS, 250.0**2)


def drawn(n=BLOCKS):
    return draw_blocks(n, resamples=999, minimum_blocks=10, rng=np.random.default_rng(0))


def classed(per_mm2, score, definitions=D, spread=0.0, bootstrap=None):
    """Blocks of one density and of scores that vary by a factor of ``exp(±spread)``."""
    immune = np.full(BLOCKS, per_mm2 * AREA[0] / 1e6)
    within = np.full(BLOCKS, 0.0 if math.isnan(score) else 100.0)
    factor = np.exp(np.linspace(-spread, spread, BLOCKS))
    contacts = np.column_stack([np.nan_to_num(score) * within * factor, within])
    return mixing_class(
        immune, AREA, contacts, drawn() if bootstrap is None else bootstrap, definitions
    )


@pytest.mark.parametrize(
    ("immune", "score", "found", "probability"),
    [
        (100.0, 5.0, "cold", 1.0),
        (100.0, NAN, "cold", 1.0),
        (2000.0, 1.2, "mixed", 1.0),
        (2000.0, 0.1, "compartmentalised", 1.0),
        (2000.0, 0.32, "compartmentalised", 1 - math.log(0.32 / 0.306) / math.log(0.5 / 0.306)),
        (2000.0, 0.49, "mixed", math.log(0.49 / 0.306) / math.log(0.5 / 0.306)),
    ],
)
def test_kerens_classes(immune, score, found, probability):
    told = classed(immune, score)
    assert told.name == found
    assert told.probability[found] == pytest.approx(probability, abs=1e-6)
    assert sum(told.probability.values()) == pytest.approx(1)


def test_between_the_limits_no_class_is_called():
    told = classed(2000.0, 0.39)
    assert told.name == "undecided"
    assert told.probability["mixed"] == pytest.approx(0.494, abs=0.01)
    certain = replace(D, mixing_limit_low=0.38, mixing_limit_high=0.38)
    assert classed(2000.0, 0.39, certain).name == "mixed"


def test_a_score_that_varies_over_the_tissue_is_less_sure():
    narrow, wide = (classed(2000.0, 0.3, spread=s) for s in (0.1, 2.0))
    assert narrow.name == "compartmentalised"
    assert wide.probability["compartmentalised"] < narrow.probability["compartmentalised"] - 0.1
    assert wide.name == "undecided"


def test_a_density_at_the_limit_of_cold_is_undecided():
    immune = np.where(np.arange(BLOCKS) % 2, 700.0, 80.0) * AREA / 1e6
    contacts = np.tile([1.0, 100.0], (BLOCKS, 1))
    told = mixing_class(immune, AREA, contacts, drawn(), D)
    assert told.name == "undecided"
    assert 0.3 < told.probability["cold"] < 0.7


def test_what_cannot_be_told():
    assert classed(2000.0, NAN).name == ""
    immune = np.full(BLOCKS, 2000.0 * AREA[0] / 1e6)
    assert mixing_class(immune, AREA, None, drawn(), D).name == ""
    assert mixing_class(immune / 20, AREA, None, drawn(), D).name == "cold"
    few = drawn(4)
    told = mixing_class(immune[:4], AREA[:4], np.ones((4, 2)), few, D)
    assert (told.name, told.probability) == ("undecided", {})
    assert mixing_class(immune[:4], AREA[:4], None, few, D).name == ""


@pytest.mark.parametrize(
    ("epithelial", "stromal", "found"),
    [
        (500.0, 900.0, "inflamed"),
        (50.0, 900.0, "excluded"),
        (50.0, 90.0, "desert"),
        (500.0, NAN, "inflamed"),
        (50.0, NAN, "desert"),
        (NAN, 900.0, ""),
        (NAN, NAN, ""),
    ],
)
def test_inflamed_excluded_desert(epithelial, stromal, found):
    assert infiltration_class(epithelial, stromal, D) == found


@pytest.mark.parametrize(
    ("ratio", "z", "found"),
    [
        (1.6, 8.0, "infiltrated"),
        (0.4, -8.0, "excluded"),
        (1.1, 8.0, "uniform"),
        (1.6, 1.0, "uniform"),
        (NAN, NAN, ""),
    ],
)
def test_location_needs_chance_and_margin(ratio, z, found):
    preference = Preference(ratio=ratio, lower=NAN, upper=NAN, z=z)
    assert t_cell_location(preference, D) == found
