from __future__ import annotations

import numpy as np
import pytest

from metasight.errors import VolumeError
from metasight.features.radiomics import RadiomicsSettings
from metasight.features.radiomics.stability import icc, jittered, stability
from metasight.volumes.volume import Mask, Volume

SETTINGS = RadiomicsSettings(
    families=("morphology", "statistics", "GLCM"),
    aggregations=("3D:avg",),
    interpolation="none",
    intensity_range=None,
    outlier_sigma=None,
    rounding=False,
    bin_size=25.0,
    bin_start="multiple",
)

# six subjects, four judges: Shrout and Fleiss, Psychol Bull 1979;86:420, table 2
JUDGES = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]


def ball_in_noise(
    *, radius_mm: float, spacing: tuple[float, float, float], seed: int = 0
) -> tuple[Volume, Mask]:
    """A ball of 40 HU in air of −800 HU, noise of 30 HU; spacing as (x, y, z)."""
    half = [int(np.ceil((radius_mm + 8.0) / s)) for s in spacing]
    x, y, z = (np.arange(-h, h + 1) * s for h, s in zip(half, spacing, strict=True))
    far = z[:, None, None] ** 2 + y[None, :, None] ** 2 + x[None, None, :] ** 2
    inside = far <= radius_mm**2
    noise = np.random.default_rng(seed).normal(0.0, 30.0, inside.shape)
    volume = Volume.from_array(
        np.where(inside, 40.0, -800.0) + noise, unit="HU", spacing_mm=spacing
    )
    return volume, Mask.from_array(inside, on=volume)


def test_icc_of_shrout_and_fleiss() -> None:
    agreement, consistency = icc(JUDGES)
    assert agreement == pytest.approx(0.29, abs=0.005)
    assert consistency == pytest.approx(0.71, abs=0.005)


def test_a_judge_who_adds_a_constant_agrees_less_but_is_as_consistent() -> None:
    first = np.random.default_rng(0).normal(size=(30, 2))
    before, after = icc(first), icc(first + np.array([0.0, 3.0]))
    assert after[1] == pytest.approx(before[1])
    assert abs(after[0]) < abs(before[0])


def test_an_icc_needs_patients_and_finite_values() -> None:
    assert all(np.isnan(icc(np.ones((4, 3)))))
    for bad in (np.ones((2, 3)), np.ones((4, 1)), np.full((4, 3), np.nan)):
        with pytest.raises(VolumeError):
            icc(bad)


def test_the_boundary_moves_by_the_stated_sd() -> None:
    # along rays from a ball's centre, whose last voxel inside ends at 11.5 mm
    moved = []
    for seed in range(12):
        _, mask = ball_in_noise(radius_mm=11.5, spacing=(1.0, 1.0, 1.5))
        array = jittered(mask, sd_mm=1.0, correlation_mm=4.0, seed=seed).array
        centre = np.array(array.shape) // 2
        moved.append(
            [
                np.count_nonzero(array[centre[0], centre[1], centre[2] :]) - 0.5,
                np.count_nonzero(array[centre[0], centre[1] :, centre[2]]) - 0.5,
                np.count_nonzero(array[centre[0], centre[1], : centre[2] + 1]) - 0.5,
                np.count_nonzero(array[centre[0], : centre[1] + 1, centre[2]]) - 0.5,
            ]
        )
    radii = np.array(moved)
    assert radii.mean() == pytest.approx(11.5, abs=0.3)
    assert 0.6 < radii.std() < 1.4


def test_same_seed_same_mask() -> None:
    _, mask = ball_in_noise(radius_mm=8.0, spacing=(1.0, 1.0, 1.0))
    first, again, other = (
        jittered(mask, sd_mm=1.0, correlation_mm=4.0, seed=s).array for s in (1, 1, 2)
    )
    assert (first == again).all()
    assert (first != other).any()


def test_a_jitter_that_leaves_nothing_is_refused() -> None:
    _, mask = ball_in_noise(radius_mm=0.5, spacing=(1.0, 1.0, 1.0))
    with pytest.raises(VolumeError, match="nothing of the region"):
        for seed in range(20):
            jittered(mask, sd_mm=1.0, correlation_mm=5.0, seed=seed)
    with pytest.raises(VolumeError, match="above 0"):
        jittered(mask, sd_mm=0.0, correlation_mm=4.0, seed=0)


def test_more_jitter_less_stability_and_size_is_stable() -> None:
    cases = [
        ball_in_noise(radius_mm=r, spacing=(1.0, 1.0, 1.5), seed=i)
        for i, r in enumerate((6.0, 8.0, 10.0, 12.0, 14.0))
    ]
    little, much = (
        stability(cases, SETTINGS, sd_mm=sd, correlation_mm=4.0, replicates=2, seed=0)
        for sd in (0.5, 2.0)
    )
    assert (little["n"] == 5).all()
    assert little.loc["morphology:volume (mesh)", "icc_agreement"] > 0.97
    names = ["morphology:sphericity", "morphology:surface area", "statistics:variance"]
    assert (little.loc[names, "icc_agreement"] > much.loc[names, "icc_agreement"]).all()
    with pytest.raises(VolumeError, match="three patients"):
        stability(cases[:2], SETTINGS, sd_mm=1.0, correlation_mm=4.0, replicates=1, seed=0)
