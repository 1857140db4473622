"""Immune phenotypes in words, from measured numbers and the protocol's limits."""

from __future__ import annotations

import math

from metasight.biomarkers.definitions import BiomarkerDefinitions
from metasight.biomarkers.mixing import Preference

COLD, MIXED, COMPARTMENTALISED = "cold", "mixed", "compartmentalised"
INFLAMED, EXCLUDED, DESERT = "inflamed", "excluded", "desert"
INFILTRATED, UNIFORM = "infiltrated", "uniform"


def mixing_class(immune_per_mm2: float, score: float, definitions: BiomarkerDefinitions) -> str:
    """Cold, mixed or compartmentalised (Keren et al., Cell 2018;174:1373).

    Parameters
    ----------
    immune_per_mm2
        Immune cells per mm² of tissue.
    score
        Tumour–immune over immune–immune contacts.

    Returns
    -------
    str
        Empty where an infiltrated tumour has no score.
    """
    if immune_per_mm2 < definitions.cold_below_per_mm2:
        return COLD
    if math.isnan(score) or math.isnan(immune_per_mm2):
        return ""
    return MIXED if score >= definitions.mixed_from_score else COMPARTMENTALISED


def infiltration_class(
    epithelial_per_mm2: float, stromal_per_mm2: float, definitions: BiomarkerDefinitions
) -> str:
    """Inflamed, excluded or desert by T cells per mm² of tumour epithelium and of stroma.

    Inflamed: T cells reach the epithelium. Excluded: they reach the stroma only. Desert: neither.
    A tumour without stroma (or without epithelium) is judged by what there is; empty where that
    does not decide.
    """
    limit = definitions.infiltrated_from_per_mm2
    if epithelial_per_mm2 >= limit:
        return INFLAMED
    if math.isnan(epithelial_per_mm2) or math.isnan(stromal_per_mm2):
        return DESERT if epithelial_per_mm2 < limit else ""
    return EXCLUDED if stromal_per_mm2 >= limit else DESERT


def t_cell_location(preference: Preference, definitions: BiomarkerDefinitions) -> str:
    """Whether T cells seek the tumour cells, keep out of them, or lie anywhere.

    A preference counts when it is beyond chance (|z| > 1.96 under random labelling) and beyond
    the margin; this asks for the relation of T cells to tumour cells whatever their number.
    """
    if math.isnan(preference.ratio) or math.isnan(preference.z):
        return ""
    margin = definitions.preference_margin
    if preference.z > 1.96 and preference.ratio > margin:
        return INFILTRATED
    if preference.z < -1.96 and preference.ratio < 1 / margin:
        return EXCLUDED
    return UNIFORM
