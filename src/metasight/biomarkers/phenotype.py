"""Immune phenotypes in words, from measured numbers and the protocol's limits."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from metasight.biomarkers.blocks import BlockBootstrap
from metasight.biomarkers.definitions import BiomarkerDefinitions
from metasight.biomarkers.mixing import Preference

Floats = npt.NDArray[np.float64]

COLD, MIXED, COMPARTMENTALISED = "cold", "mixed", "compartmentalised"
INFLAMED, EXCLUDED, DESERT = "inflamed", "excluded", "desert"
INFILTRATED, UNIFORM = "infiltrated", "uniform"
UNDECIDED = "undecided"


@dataclass(frozen=True, kw_only=True)
class MixingClass:
    """Cold, mixed or compartmentalised, and how sure that is.

    Attributes
    ----------
    name
        The class, "undecided" where none is probable enough, empty where it cannot be told.
    probability
        Of each class, summing to 1; empty where it cannot be told.
    """

    name: str
    probability: Mapping[str, float]


def mixing_class(
    immune: Floats,
    area_um2: Floats,
    contacts: Floats | None,
    bootstrap: BlockBootstrap,
    definitions: BiomarkerDefinitions,
) -> MixingClass:
    """Cold, mixed or compartmentalised (Keren et al., Cell 2018;174:1373), with probabilities.

    Density and score vary as they do over drawn blocks of tissue. The score that parts mixed
    from compartmentalised is itself uncertain: each value between the definitions' two limits,
    on a logarithmic scale, is as likely as any other.

    Parameters
    ----------
    immune, area_um2
        Immune cells and area of each block of tissue, shape ``(blocks,)``.
    contacts
        Tumour–immune and immune–immune contacts of each block, shape ``(blocks, 2)``; None from
        a density map, which has none: only cold can be told then.
    bootstrap
        Draws of the blocks. With too few blocks for any, no class is certain enough.

    Returns
    -------
    MixingClass
        Empty where an infiltrated tumour has no score.
    """
    unknown = MixingClass(name="", probability={})
    without_score = contacts is None or contacts[:, 1].sum() == 0
    by_block = np.column_stack([immune, area_um2])
    if not len(bootstrap.weights):
        cold = immune.sum() * 1e6 < definitions.cold_below_per_mm2 * area_um2.sum()
        return (
            unknown if without_score and not cold else MixingClass(name=UNDECIDED, probability={})
        )
    drawn = bootstrap.sums(by_block)
    cold_draw = drawn[:, 0] * 1e6 < definitions.cold_below_per_mm2 * drawn[:, 1]
    cold_share = float(cold_draw.mean())
    if contacts is None or without_score:
        if cold_share < definitions.class_probability:
            return unknown
        return MixingClass(name=COLD, probability={COLD: cold_share, "other": 1 - cold_share})
    mixed = _above_the_limit(bootstrap.sums(contacts)[~cold_draw], definitions)
    if not cold_draw.all() and not len(mixed):
        return unknown
    share = float(mixed.mean()) if len(mixed) else 0.0
    found = {
        COLD: cold_share,
        MIXED: (1 - cold_share) * share,
        COMPARTMENTALISED: (1 - cold_share) * (1 - share),
    }
    most = max(found, key=lambda name: found[name])
    sure = found[most] >= definitions.class_probability
    return MixingClass(name=most if sure else UNDECIDED, probability=found)


def _above_the_limit(contacts: Floats, definitions: BiomarkerDefinitions) -> Floats:
    """Probability that each draw's score is above the limit; draws without a score are left out."""
    there = contacts[:, 1] > 0
    score = contacts[there, 0] / contacts[there, 1]
    low, high = definitions.mixing_limit_low, definitions.mixing_limit_high
    if low == high:
        return np.asarray(score >= low, dtype=np.float64)
    within = np.log(np.clip(score, low, high) / low)
    return np.asarray(within / np.log(high / low), dtype=np.float64)


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
