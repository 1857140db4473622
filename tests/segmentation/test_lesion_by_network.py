"""The network's outlines lie where the lesion is, whatever the field, and say how far apart."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from metasight.segmentation.lesion_by_network import RuleOutlines, outlined_by, shares_by
from metasight.segmentation.lesion_field import Field
from metasight.segmentation.lesion_network import LesionNetwork, shipped_lesion_network
from metasight.segmentation.lung import Lungs
from metasight.volumes.volume import Mask, Volume


def that_believes_the_rules() -> LesionNetwork:
    """A network whose own part is nothing."""
    weights = {k: np.zeros_like(v) for k, v in shipped_lesion_network().weights.items()}
    return LesionNetwork(weights | {"trust": np.array([20.0], dtype=np.float32)})


Floats = npt.NDArray[np.float64]


def ball(
    spacing_mm: float = 1.0, origin_mm: tuple[float, float, float] = (0, 0, 0)
) -> tuple[Volume, Floats, Field]:
    n = round(60 / spacing_mm)
    z, y, x = np.ogrid[:n, :n, :n]
    c = n // 2
    inside = ((z - c) ** 2 + (y - c) ** 2 + (x - c) ** 2) * spacing_mm**2 <= 49
    hu = np.where(inside, 30.0, -860.0)
    spacing = (spacing_mm,) * 3
    scan = Volume.from_array(hu, unit="HU", spacing_mm=spacing, origin_mm=origin_mm)
    air = Mask.from_array(~inside, on=scan)
    whole = Mask.from_array(np.ones(hu.shape), on=scan)
    lungs = Lungs(right=air, left=air, right_whole=whole, left_whole=whole, airways=None)
    at = scan.grid.to_mm(np.array([c, c, c], dtype=float))
    return scan, at, Field.cut(scan, lungs, at, 35.0, None)


@pytest.mark.parametrize("spacing", [0.8, 1.0, 1.4])
def test_shares_come_back_to_where_they_were_seen(spacing: float) -> None:
    """Crop, mirror and back: what the rules outlined is what is returned."""
    scan, at, field = ball(spacing, (10.0, -20.0, 30.0))
    rules = field.sharp > -400
    for share in shares_by(that_believes_the_rules(), field, scan, at, [rules]):
        both = (share > 0.5) & rules
        assert 2 * both.sum() / ((share > 0.5).sum() + rules.sum()) > 0.93
        assert share.min() >= 0 and share.max() <= 1


def of(rules: np.ndarray) -> RuleOutlines:
    return RuleOutlines(answer=rules, voters=[rules], others=[])


def test_the_shipped_network_outlines_a_ball() -> None:
    scan, at, field = ball()
    rules = field.sharp > -400
    found = outlined_by(shipped_lesion_network(), field, scan, at, of(rules))
    for outline in (found.network, found.answer):
        assert 2 * (outline & rules).sum() / (outline.sum() + rules.sum()) > 0.8
    assert found.spread.beside < 0.2 and found.spread.unsure < 0.4
    assert not (found.upper & ~found.network).any() and not (found.network & ~found.lower).any()
    again = outlined_by(shipped_lesion_network(), field, scan, at, of(rules))
    assert again.answer.tobytes() == found.answer.tobytes() and again.spread == found.spread


def test_what_the_network_does_not_see_stays_the_rules() -> None:
    scan, at, field = ball()
    rules = field.sharp > -400
    weights = dict(that_believes_the_rules().weights)
    weights["last_bias"] = np.full_like(weights["last_bias"], -50)
    found = outlined_by(LesionNetwork(weights), field, scan, at, of(rules))
    assert (found.answer == rules).all()
    assert not found.network.any()
    assert found.spread.beside == 1.0


def test_network_and_rules_that_agree_are_sure() -> None:
    scan, at, field = ball()
    rules = field.sharp > -400
    found = outlined_by(that_believes_the_rules(), field, scan, at, of(rules))
    assert found.spread.beside < 0.1
    assert 0 <= found.spread.level_volume < 0.3
