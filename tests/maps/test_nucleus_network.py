"""The network of nuclei: sums where they lie, its units, its beginning, and what it learns."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from metasight.maps.generator_settings import GeneratorSettings  # noqa: E402
from metasight.maps.nucleus_looks import N_LOOKS, OWN  # noqa: E402
from metasight.maps.nucleus_network import NucleiSeen, NucleusNetwork  # noqa: E402

SMALL = GeneratorSettings(width=8, members=1, device="cpu")
TYPICAL = [300.0, 40.0]
PIXEL_MM2 = 0.016**2


def network() -> NucleusNetwork:
    torch.manual_seed(0)
    own = NucleusNetwork(TYPICAL, SMALL)
    own.settle(torch.zeros(N_LOOKS), torch.ones(N_LOOKS), 5000.0)
    return own


def seen(place: list[int], looks: torch.Tensor | None = None) -> NucleiSeen:
    looks = torch.zeros((len(place), N_LOOKS)) if looks is None else looks
    return NucleiSeen(
        looks=looks, place=torch.tensor(place, dtype=torch.int64), tiles=2, rows=2, columns=3
    )


def test_sums_over_a_pixels_nuclei() -> None:
    nuclei = seen([0, 0, 4, 7])
    values = torch.tensor([[1.0, 10.0], [2.0, 20.0], [3.0, 30.0], [4.0, 40.0]])
    found = nuclei.summed(values)
    assert found.shape == (2, 2, 2, 3)
    assert found[0, 0].tolist() == [[3, 0, 0], [0, 3, 0]]
    assert found[1, 1].tolist() == [[0, 40, 0], [0, 0, 0]]


def test_an_untrained_network_gives_each_nucleus_its_share_of_the_typical_density() -> None:
    density, log, _ = network()(seen([0, 0, 4]))
    background = 0.01 * np.array(TYPICAL)
    each = np.array(TYPICAL) / 5000.0 / PIXEL_MM2
    np.testing.assert_allclose(density[0, :, 0, 0].detach(), background + 2 * each, rtol=1e-5)
    np.testing.assert_allclose(density[0, :, 1, 1].detach(), background + each, rtol=1e-5)
    np.testing.assert_allclose(density[1, :, 0, 0].detach(), background, rtol=1e-5)
    assert float(log.detach().abs().max()) == 0


def test_tiles_without_a_nucleus_are_painted_with_the_background() -> None:
    density, log, features = network()(seen([]))
    assert density.shape == log.shape == (2, 2, 2, 3)
    np.testing.assert_allclose(density[:, 0].detach(), 3.0, rtol=1e-5)
    assert float(features.detach().abs().max()) == 0


def test_looks_are_taken_in_the_units_of_training() -> None:
    rng = np.random.default_rng(2)
    own, other = network(), network()
    centre, spread = torch.arange(N_LOOKS).float(), torch.full((N_LOOKS,), 3.0)
    other.settle(centre, spread, 5000.0)
    with torch.no_grad():
        for one, two in zip(own.parameters(), other.parameters(), strict=True):
            one.copy_(torch.from_numpy(rng.normal(size=tuple(one.shape)).astype(np.float32)) * 0.3)
            two.copy_(one)
    looks = torch.from_numpy(rng.normal(size=(5, N_LOOKS)).astype(np.float32))
    place = [0, 1, 2, 3, 8]
    np.testing.assert_allclose(
        own(seen(place, looks))[0].detach(),
        other(seen(place, looks * spread + centre))[0].detach(),
        rtol=1e-3,
    )


def test_what_describes_a_slide_is_a_mean_that_empty_pixels_do_not_change() -> None:
    looks = torch.zeros((4, N_LOOKS))
    looks[:, 0] = torch.tensor([1.0, 3.0, 5.0, 7.0])
    nuclei = seen([0, 0, 4, 7], looks)
    own = network()
    found = own.described(nuclei, own(nuclei)[2])
    assert found.shape == (2, len(OWN) + 1, 2, 3)
    assert found[0, 0].tolist() == [[2, 3, 3], [3, 5, 3]]
    assert found[0, -1].tolist() == [[2, 0, 0], [0, 1, 0]]


def test_it_learns_which_nuclei_a_regions_cells_are() -> None:
    """Counts of whole tiles alone: small nuclei are T cells, and there are as many as are told."""
    rng = np.random.default_rng(3)
    own = network()
    optimiser = torch.optim.Adam(own.parameters(), 0.01)
    for _ in range(300):
        small = rng.random(60) < rng.random()
        looks = rng.normal(size=(60, N_LOOKS)).astype(np.float32)
        looks[:, 0] = np.where(small, -1.5, 1.0)
        nuclei = NucleiSeen(
            looks=torch.from_numpy(looks), place=torch.arange(60), tiles=1, rows=8, columns=8
        )
        cells = own(nuclei)[0][0].sum(dim=(1, 2)) * PIXEL_MM2
        wanted = torch.tensor([float(small.sum()), float((~small).sum())])
        loss = ((torch.sqrt(cells) - torch.sqrt(wanted)) ** 2).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    looks = torch.from_numpy(rng.normal(size=(200, N_LOOKS)).astype(np.float32))
    looks[:, 0] = torch.tensor([-1.5, 1.0]).repeat(100)
    of_type = own(seen([0, 4] * 100, looks))[0][0].detach() * PIXEL_MM2 / 100
    assert float(of_type[0, 0, 0]) > 5 * float(of_type[0, 1, 1])
    assert float(of_type[1, 1, 1]) > 5 * float(of_type[1, 0, 0])
    assert float(of_type[0, 0, 0]) == pytest.approx(1.0, abs=0.25)
