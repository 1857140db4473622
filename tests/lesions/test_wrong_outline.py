"""The probability that an outline is wrong goes with how far its makers lie apart."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from metasight.lesions.wrong_outline import COEFFICIENTS, TERMS, terms_of, wrong_probability
from metasight.segmentation.lesion import Outlines
from metasight.segmentation.lesion_by_network import Spread
from metasight.volumes.volume import Mask, Volume

SURE = Spread(beside=0.03, level_volume=0.1, unsure=0.05)
UNSURE = Spread(beside=0.5, level_volume=2.0, unsure=0.4)


def ball(radius: float) -> np.ndarray:
    z, y, x = np.ogrid[:41, :41, :41]
    return np.asarray((z - 20) ** 2 + (y - 20) ** 2 + (x - 20) ** 2 <= radius**2)


def outlines(spread: Spread | None, *, radii: dict[str, float], cut: float = 0.1) -> Outlines:
    scan = Volume.from_array(np.zeros((41, 41, 41)), unit="HU", spacing_mm=(1.0, 1.0, 1.0))
    return Outlines(
        scan=scan,
        answer=Mask.from_array(ball(8), on=scan),
        voters=(),
        others=(),
        cut_share=cut,
        spread=spread,
        compared={n: Mask.from_array(ball(r), on=scan) for n, r in radii.items()},
    )


ALIKE = {"rules": 8.0, "network": 8.0, "lower": 8.5, "upper": 7.5}
APART = {"rules": 14.0, "network": 6.0, "lower": 15.0, "upper": 4.0}


def test_makers_that_agree_are_believed_and_others_are_not() -> None:
    sure = wrong_probability(outlines(SURE, radii=ALIKE), 16.0)
    doubtful = wrong_probability(outlines(UNSURE, radii=APART, cut=0.5), 16.0)
    assert sure is not None and doubtful is not None
    assert 0 < sure < doubtful < 1
    assert doubtful > 2 * sure


def test_without_a_network_nothing_is_said() -> None:
    assert wrong_probability(outlines(None, radii=ALIKE), 16.0) is None


def test_an_outline_that_vanishes_has_no_size() -> None:
    gone = {n: r for n, r in ALIKE.items() if n != "upper"}
    found = wrong_probability(outlines(SURE, radii=gone), 16.0)
    assert found is not None and 0 < found < 1


def test_terms_are_in_their_order() -> None:
    sizes = {"rules": 11.0, "network": 16.0, "lower": 20.0, "upper": 10.0}
    found = dict(zip(TERMS, terms_of(SURE, 0.3, 16.0, sizes), strict=True))
    assert len(COEFFICIENTS) == len(TERMS)
    assert (found["level_apart"], found["rules_apart"], found["network_apart"]) == (2.0, 1.0, 0.0)
    assert (found["cut_share"], found["unsure"]) == (0.3, SURE.unsure)
    other = terms_of(replace(SURE, unsure=0.2), 0.3, 16.0, sizes)
    assert other[TERMS.index("unsure")] == 0.2
