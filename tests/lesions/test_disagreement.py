"""How far outlines lie apart, and what is said of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from metasight.lesions import disagreement as module
from metasight.lesions.disagreement import disagreement_of
from metasight.lesions.solidity import solidity_of
from metasight.segmentation.lesion import Outlines
from metasight.volumes.volume import Mask, Volume


def ball(radius: float) -> np.ndarray:
    z, y, x = np.ogrid[:41, :41, :41]
    return np.asarray((z - 20) ** 2 + (y - 20) ** 2 + (x - 20) ** 2 <= radius**2)


def outlines(voters: list[float], others: list[float], cut: float = 0.0) -> Outlines:
    hu = np.where(ball(8), 20.0, -850.0)
    scan = Volume.from_array(hu, unit="HU", spacing_mm=(1.0, 1.0, 1.0))
    made = [tuple(Mask.from_array(ball(r), on=scan) for r in radii) for radii in (voters, others)]
    return Outlines(
        scan=scan,
        answer=Mask.from_array(ball(8), on=scan),
        voters=made[0],
        others=made[1],
        cut_share=cut,
    )


def test_outlines_that_agree_leave_no_error() -> None:
    found = disagreement_of(outlines([8, 8, 8], [8, 8]))
    assert (found.n, found.dice_distance, found.size_apart_mm) == (5, 0.0, 0.0)
    assert found.volume_factor == 1.0
    assert set(found.errors.values()) == {0.0}


def test_size_apart_and_error_are_in_millimetres() -> None:
    found = disagreement_of(outlines([8, 10], [8, 8]))
    assert found.size_apart_mm == pytest.approx(4 / 4, abs=0.2)
    assert found.errors["tumour_size_mm"] == pytest.approx(np.sqrt(4**2 / 2), abs=0.4)
    assert found.volume_factor == pytest.approx(np.exp(3 * np.log(10 / 8) / 2), abs=0.05)
    assert 0 < found.dice_distance < 0.2


def test_what_is_apart_is_said() -> None:
    cut = disagreement_of(outlines([8, 8], [8], cut=0.5))
    assert "50 % of the border" in cut.in_words()
    assert cut.in_words().startswith("3 other outlines: size 0.0 mm apart")


def test_without_other_outlines_nothing_is_apart() -> None:
    found = disagreement_of(outlines([], []))
    assert (found.n, found.size_apart_mm, found.dice_distance) == (0, 0.0, 0.0)


def test_a_class_needs_more_than_half_of_the_outlines() -> None:
    apart = disagreement_of(outlines([8, 8, 8], [8]))
    own = solidity_of(outlines([8], []).scan, outlines([8], []).answer)
    assert set(apart.classes) == {own.attenuation}
    assert apart.on(own).attenuation == own.attenuation
    others = ("part-solid",) * 3 + (own.attenuation,) * 2
    doubted = replace(apart, classes=others, ctr_lower=0.3, ctr_upper=1.0).on(own)
    assert doubted.attenuation == "undecided"
    assert doubted.doubts[-1] == "solid by 2 of 5 outlines only"
    assert (doubted.ctr_lower, doubted.ctr_upper) == (0.3, 1.0)


def test_without_voting_outlines_a_class_stays() -> None:
    own = solidity_of(outlines([], []).scan, outlines([], []).answer)
    assert disagreement_of(outlines([], [])).on(own) == own


@pytest.mark.parametrize(("risk", "flagged"), [(0.9, True), (0.01, False), (None, None)])
def test_a_doubtful_outline_is_flagged_in_words(
    monkeypatch: pytest.MonkeyPatch, risk: float | None, flagged: bool | None
) -> None:
    monkeypatch.setattr(module, "wrong_probability", lambda *_: risk)
    found = disagreement_of(outlines([8, 8], [8]))
    assert (found.wrong_probability, found.flagged) == (risk, flagged)
    said = found.in_words()
    assert ("look at it" in said) is bool(flagged)
    assert ("probability that the outline is wrong" in said) is (risk is not None)
    assert "3 other outlines" in said
