"""Tiles altered: turned with their targets, resized with their densities, restained per tile."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from metasight.maps.augmentation import (  # noqa: E402
    _blurred,
    _resized,
    _restained,
    _turned,
    altered,
    altered_nuclei,
)
from metasight.maps.generator_settings import StainShift  # noqa: E402
from metasight.maps.nucleus_looks import N_LOOKS, OWN  # noqa: E402
from metasight.maps.nucleus_network import NucleiSeen  # noqa: E402
from metasight.maps.region_likelihood import RegionTargets, Targets  # noqa: E402

NOTHING = StainShift(
    strength=1.0, colour=0.0, glass_od=0.0, blur_um=0.0, noise_od=0.0, resolution=0.0
)


def batch(n: int = 2, px: int = 32, k: int = 8):
    """Optical density whose means over 4 × 4 pixels are the targets' density."""
    rng = np.random.default_rng(0)
    od = torch.from_numpy(rng.random((n, 3, px, px), dtype=np.float32))
    mean = torch.nn.functional.avg_pool2d(od, px // k)[:, :2]
    support = torch.ones((n, 2, k, k))
    return od, Targets(density=mean.clone(), support=support, p90_um=torch.zeros((n, 2)))


def test_targets_turn_with_the_pixels():
    rng, seen = np.random.default_rng(1), set()
    for _ in range(60):
        od, targets = batch()
        turned, other = _turned(od, targets, rng)
        mean = torch.nn.functional.avg_pool2d(turned, 4)[:, :2]
        torch.testing.assert_close(mean, other.density)
        seen.add(turned.numpy().tobytes())
    assert len(seen) == 8  # of the square's symmetries


def test_larger_is_sparser():
    """At 1.1 times the size a cell a pixel is a cell a 1.21 pixels; the middle stays the middle."""
    od = torch.zeros((1, 3, 33, 33))
    od[:, :, 16, 16] = 1.0
    targets = Targets(
        density=torch.full((1, 2, 8, 8), 100.0),
        support=torch.ones((1, 2, 8, 8)),
        p90_um=torch.zeros((1, 2)),
    )
    shown, other = _resized(od, targets, 0.1)
    assert float(shown[0, 0].argmax()) == 16 * 33 + 16
    np.testing.assert_allclose(other.density[other.support > 0], 100 / 1.21, rtol=1e-5)
    # smaller: what was not looked at comes in from the edge and is left out
    shown, other = _resized(od, targets, -0.1)
    np.testing.assert_allclose(other.density[other.support > 0], 100 / 0.81, rtol=1e-5)
    assert other.support[0, 0, 0].sum() == 0
    assert other.support[0, 0, 4, 4] == 1


def test_no_shift_changes_nothing_but_the_turn():
    from metasight.maps.network import optical_density_of

    rgb = torch.from_numpy(
        np.random.default_rng(2).integers(1, 255, (2, 3, 32, 32), dtype=np.uint8)
    )
    _, targets = batch()
    plain = optical_density_of(rgb)
    od, _ = altered(plain, targets, NOTHING, np.random.default_rng(3))
    for one, two in zip(od, plain, strict=True):
        np.testing.assert_allclose(np.sort(one.ravel()), np.sort(two.ravel()), atol=2e-5)


def test_the_same_seed_draws_the_same():
    plain = torch.full((2, 3, 32, 32), 0.3)
    _, targets = batch()
    one, two, other = (
        altered(plain, targets, StainShift(), np.random.default_rng(s))[0] for s in (4, 4, 5)
    )
    assert torch.equal(one, two)
    assert not torch.equal(one, other)


def test_dyes_are_stronger_or_weaker_within_the_limit():
    """White light through one dye: the density changes by a factor of at most the strength."""
    shift = StainShift(strength=1.5, colour=0.0, glass_od=0.0)
    od = torch.ones((200, 3, 1, 1)) * torch.tensor([0.65, 0.70, 0.29])[None, :, None, None]
    mixed = _restained(od, shift, np.random.default_rng(6))
    factor = (mixed.norm(dim=1) / od.norm(dim=1)).ravel().numpy()
    assert factor.min() > 1 / 1.55
    assert factor.max() < 1.55
    assert factor.std() > 0.1


def test_glass_stays_glass_but_for_its_own_shift():
    glass = torch.zeros((500, 3, 2, 2))
    mixed = _restained(glass, StainShift(glass_od=0.03), np.random.default_rng(7))
    assert float(mixed[:, :, 0, 0].std()) == pytest.approx(0.03, rel=0.1)
    assert torch.equal(mixed[:, :, 0, 0], mixed[:, :, 1, 1])


def test_blur_is_a_gaussian_that_loses_no_dye():
    od = torch.zeros((1, 1, 41, 41))
    od[0, 0, 20, 20] = 1.0
    soft = _blurred(od, 2.0)
    assert float(soft.sum()) == pytest.approx(1.0, abs=1e-4)
    x = torch.arange(41.0) - 20
    variance = float((soft[0, 0].sum(dim=0) * x**2).sum())
    assert variance == pytest.approx(4.0, rel=0.12)  # cut at 2.5 widths
    assert torch.equal(_blurred(od, 0.29), od)


def with_regions(targets, covered):
    count = torch.full((*covered.shape[:2], 2), 5.0)
    regions = RegionTargets(covered=covered, count=count)
    return Targets(
        density=targets.density,
        support=targets.support,
        p90_um=targets.p90_um,
        regions=regions,
    )


def test_regions_turn_with_the_pixels():
    rng = np.random.default_rng(2)
    od, targets = batch()
    covered = torch.nn.functional.avg_pool2d(od, 4)[:, 2:]
    turned, other = _turned(od, with_regions(targets, covered), rng)
    torch.testing.assert_close(
        torch.nn.functional.avg_pool2d(turned, 4)[:, 2:], other.regions.covered
    )
    assert (other.regions.count == 5).all()


def test_a_resized_region_keeps_its_cells_unless_it_is_cut():
    od, targets = batch(1)
    covered = torch.zeros((1, 2, 8, 8))
    covered[0, 0, 3:5, 3:5] = 1.0
    covered[0, 1, 0:2, 0:2] = 1.0
    _, larger = _resized(od, with_regions(targets, covered), 0.2)
    assert float(larger.regions.covered[0, 0].sum()) == pytest.approx(4 * 1.44)
    assert larger.regions.count[0, 0].tolist() == [5, 5]
    assert torch.isnan(larger.regions.count[0, 1]).all()  # a part of it is outside the tile now
    _, smaller = _resized(od, with_regions(targets, covered), -0.2)
    assert smaller.regions.count[0, 0].tolist() == [5, 5]
    assert float(smaller.regions.covered[0, 0].sum()) == pytest.approx(4 * 0.64)


def test_nuclei_of_a_tile_are_stained_together_and_outlined_apart():
    spread = torch.arange(1.0, N_LOOKS + 1)
    place = torch.arange(4000) % 16 + 16 * (torch.arange(4000) // 2000)
    nuclei = NucleiSeen(looks=torch.zeros((4000, N_LOOKS)), place=place, tiles=2, rows=4, columns=4)
    found = altered_nuclei(nuclei, spread, np.random.default_rng(1)).looks / spread
    one, other = found[:2000], found[2000:]
    stained = OWN.index("od_red")
    assert abs(float(one[:, stained].mean() - other[:, stained].mean())) > 0.05
    for plain in (OWN.index("log_area"), len(OWN) + stained):
        assert float(one[:, plain].mean()) == pytest.approx(0.0, abs=0.01)
        assert float(one[:, plain].std()) == pytest.approx(0.1, rel=0.05)
    same = altered_nuclei(nuclei, spread, np.random.default_rng(1)).looks / spread
    assert torch.equal(same, found)
