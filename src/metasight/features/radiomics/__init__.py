"""Radiomics as IBSI defines it: features of a region of a scan, and how far they can be trusted.

``extract(volume, mask, settings)`` gives name → value; ``definitions()`` tells of each feature
its IBSI code, family, aggregations and pyradiomics' name.
"""

from metasight.features.radiomics.definitions import LEFT_OUT, Definition, definitions
from metasight.features.radiomics.extract import Radiomics, extract, measure
from metasight.features.radiomics.settings import RadiomicsSettings

__all__ = [
    "LEFT_OUT",
    "Definition",
    "Radiomics",
    "RadiomicsSettings",
    "definitions",
    "extract",
    "measure",
]
