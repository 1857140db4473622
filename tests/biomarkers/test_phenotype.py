import math

import pytest

from metasight.biomarkers.definitions import BiomarkerDefinitions
from metasight.biomarkers.mixing import Preference
from metasight.biomarkers.phenotype import infiltration_class, mixing_class, t_cell_location

D = BiomarkerDefinitions()
NAN = math.nan


@pytest.mark.parametrize(
    ("immune", "score", "found"),
    [
        (100.0, 5.0, "cold"),
        (100.0, NAN, "cold"),
        (2000.0, 1.2, "mixed"),
        (2000.0, 0.1, "compartmentalised"),
        (2000.0, NAN, ""),
    ],
)
def test_kerens_classes(immune, score, found):
    assert mixing_class(immune, score, D) == found


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
