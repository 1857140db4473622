"""Probability that an outline from a click is one that nobody should use.

Wrong is a Dice overlap with the reader's outline below 0.5, a volume outside half to twice the
reader's, or a longest diameter more than 5 mm off. How far network and rules lie apart tells it, by
a logistic regression.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from metasight.lesions.size import size_of
from metasight.segmentation.lesion import Outlines
from metasight.segmentation.lesion_by_network import Spread

Floats = npt.NDArray[np.float64]

TERMS = (
    "beside",
    "level_volume",
    "unsure",
    "level_apart",
    "rules_apart",
    "network_apart",
    "cut_share",
    "log_size",
)
FLAGGED_FROM = 0.277
"""About 15 % of the right outlines that it was fitted on are flagged."""
INTERCEPT = -4.8544
COEFFICIENTS = (0.2840, 0.2809, 4.8925, 0.2869, 1.3588, 0.7869, 3.0326, 0.8743)
"""Fitted by ``bench/lesion_network_judged.py --fit --phantoms 24`` on 354 outlines of 71 real
nodules (LIDC-IDRI, CC BY 3.0; each by a network that had not seen its patient) and 48 of 24
phantoms. The terms were chosen on the patients of two of the four folds.
"""
_SPECK_MM, _APART_MM = 1.0, 5.0


def terms_of(
    spread: Spread, cut_share: float, size_mm: float, others_mm: Mapping[str, float]
) -> Floats:
    """What the probability is computed from, in the order of ``TERMS``.

    Parameters
    ----------
    size_mm
        Longest diameter of the outline.
    others_mm
        Of what ``rules``, ``network``, ``lower`` and ``upper`` odds give; 0 where that is nothing.
    """
    return np.array(
        [
            spread.beside,
            spread.level_volume,
            spread.unsure,
            (others_mm["lower"] - others_mm["upper"]) / _APART_MM,
            abs(size_mm - others_mm["rules"]) / _APART_MM,
            abs(size_mm - others_mm["network"]) / _APART_MM,
            cut_share,
            np.log(max(size_mm, _SPECK_MM) / 10),
        ]
    )


def wrong_probability(outlines: Outlines, size_mm: float) -> float | None:
    """Of the outlines from one click; None where no network drew it.

    Parameters
    ----------
    size_mm
        Longest diameter of the outline.
    """
    if outlines.spread is None:
        return None
    sizes = dict.fromkeys(("rules", "network", "lower", "upper"), 0.0)
    sizes |= {name: size_of(mask).longest_mm for name, mask in outlines.compared.items()}
    terms = terms_of(outlines.spread, outlines.cut_share, size_mm, sizes)
    odds = INTERCEPT + float(terms @ np.array(COEFFICIENTS))
    return float(1 / (1 + np.exp(-odds)))
