"""Tiles of all patients, a few at a time: each at its place, markers in the generator's order."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from metasight.maps.generator_folds import survey  # noqa: E402
from metasight.maps.network import optical_density_of  # noqa: E402
from metasight.maps.nucleus_looks import N_LOOKS  # noqa: E402
from metasight.maps.table_regions import TileRegions  # noqa: E402
from metasight.maps.tile_bank import TileBank  # noqa: E402
from metasight.maps.tile_nuclei import TileNuclei  # noqa: E402
from metasight.maps.training_tiles import Tiles, save_tiles  # noqa: E402

CPU = torch.device("cpu")


def tiles(n: int, markers: tuple[str, ...], seed: int) -> Tiles:
    rng = np.random.default_rng(seed)
    support = rng.random((n, len(markers), 4, 4)) < 0.8
    density = rng.gamma(2, 200, (n, len(markers), 4, 4)) * support
    return Tiles(
        rgb=rng.integers(0, 256, (n, 64, 64, 3), dtype=np.uint8),
        density=density.astype(np.float32),
        support=support,
        p90_um=rng.uniform(5, 40, (n, len(markers))).astype(np.float32),
        corner_um=np.zeros((n, 2), np.float32),
        markers=markers,
        sections=tuple(f"section {m}" for m in markers),
        mpp=1.0,
        spacing_um=16.0,
    )


@pytest.fixture
def bank(tmp_path):
    own = {
        "P1": tiles(3, ("Pan-CK", "CD3"), 0),
        "P2": tiles(2, ("CD3", "Pan-CK"), 1),
        "P3": tiles(2, ("CD3",), 2),
    }
    files = {}
    for patient, found in own.items():
        files[patient] = tmp_path / f"{patient}.h5"
        save_tiles(found, files[patient])
    return own, TileBank(files, survey(files, None, 1.0), "pixels")


def test_places_of_patients(bank):
    _, found = bank
    assert found.places(["P2", "P1"]) == [("P2", 0), ("P2", 1), ("P1", 0), ("P1", 1), ("P1", 2)]


def test_pixels_and_targets_in_the_generators_order(bank):
    own, found = bank
    markers = found.material.markers
    od, targets = found.read([("P1", 2), ("P2", 1)], CPU)
    assert od.shape == (2, 3, 64, 64)
    for row, (patient, number) in enumerate([("P1", 2), ("P2", 1)]):
        source = own[patient]
        plain = optical_density_of(torch.from_numpy(source.rgb[number]))
        assert torch.equal(od[row].permute(1, 2, 0), plain)
        for plane, marker in enumerate(markers):
            at = source.markers.index(marker)
            np.testing.assert_array_equal(targets.density[row, plane], source.density[number, at])
            np.testing.assert_array_equal(
                targets.support[row, plane] > 0, source.support[number, at]
            )
            assert float(targets.p90_um[row, plane]) == source.p90_um[number, at]


def test_a_marker_that_nobody_looked_at_has_no_support(bank):
    _, found = bank
    plane = found.material.markers.index("Pan-CK")
    _, targets = found.read([("P3", 0)], CPU)
    assert not targets.support[0, plane].any()
    assert not targets.density[0, plane].any()


def test_batches_hold_every_tile_once(bank):
    _, found = bank
    places = found.places(["P1", "P2", "P3"])
    sizes, seen = [], []
    for rgb, _ in found.batches(places, 3, CPU):
        sizes.append(len(rgb))
        seen.append(rgb)
    assert sizes == [3, 3, 1]
    whole, _ = found.read(places, CPU)
    assert torch.equal(torch.cat(seen), whole)


def test_regions_of_a_batch_are_in_the_generators_markers(tmp_path):
    own = {"P1": tiles(2, ("Pan-CK", "CD3"), 0), "P2": tiles(2, ("CD3",), 1)}
    rng = np.random.default_rng(3)
    covered = rng.random((2, 3, 4, 4)).astype(np.float32)
    count = rng.random((2, 3, 2)).astype(np.float32) * 9
    count[1, 2] = np.nan
    own["P2"] = replace(
        own["P2"],
        regions=TileRegions(covered=covered, count=count, markers=("CD20", "CD3")),
    )
    own["P3"] = replace(
        own["P1"],
        regions=TileRegions(covered=covered[:, :1], count=count[:, :1], markers=("CD20", "CD3")),
    )
    files = {p: tmp_path / f"{p}.h5" for p in own}
    for patient, found in own.items():
        save_tiles(found, files[patient])
    material = survey(files, None, 1.0)
    assert material.markers == ("Pan-CK", "CD3", "CD20")
    assert material.seen["P2"] == {"CD3", "CD20"}
    cells = np.nansum(count[..., 0]) + np.nansum(count[:, :1, 0])
    known = covered[np.isfinite(count[..., 0])].sum() + covered[:, :1].sum()
    assert material.typical["CD20"] == pytest.approx(cells / (known * 256e-6), rel=1e-5)
    bank = TileBank(files, material, "pixels")
    _, targets = bank.read([("P1", 0)], CPU)
    assert targets.regions is None
    _, targets = bank.read([("P1", 0), ("P2", 1), ("P3", 0)], CPU)
    assert targets.regions.covered.shape == (3, 3, 4, 4)
    assert not targets.regions.covered[0].any()
    assert torch.isnan(targets.regions.count[0]).all()
    np.testing.assert_array_equal(targets.regions.covered[1], covered[1])
    np.testing.assert_array_equal(targets.regions.count[1, :, 2], count[1, :, 0])
    np.testing.assert_array_equal(targets.regions.count[1, :, 1], count[1, :, 1])
    assert torch.isnan(targets.regions.count[:, :, 0]).all()
    assert not targets.regions.covered[2, 1:].any()


def test_nuclei_of_a_batch_lie_in_their_tile(tmp_path):
    rng = np.random.default_rng(4)
    files, own = {}, {}
    for name, count in (("P1", 5), ("P2", 3)):
        nuclei = TileNuclei(
            looks=rng.normal(size=(count, N_LOOKS)).astype(np.float32),
            tile=np.sort(rng.integers(0, 2, count)).astype(np.int32),
            pixel=rng.integers(0, 16, count).astype(np.int32),
        )
        own[name] = replace(tiles(2, ("CD3",), 5), nuclei=nuclei)
        files[name] = tmp_path / f"{name}.h5"
        save_tiles(own[name], files[name])
    bank = TileBank(files, survey(files, None, 1.0), "nuclei")
    for _ in range(2):  # from the file, then from memory
        seen, _ = bank.read([("P2", 1), ("P1", 0)], CPU)
        wanted = [(own["P2"].nuclei, 1, 0), (own["P1"].nuclei, 0, 1)]
        looks = np.concatenate([n.looks[n.tile == t] for n, t, _ in wanted])
        place = np.concatenate([n.pixel[n.tile == t] + 16 * at for n, t, at in wanted])
        np.testing.assert_array_equal(seen.looks, looks)
        np.testing.assert_array_equal(seen.place, place)
        assert (seen.tiles, seen.rows, seen.columns) == (2, 4, 4)
    centre, spread, per_mm2 = bank.nuclear_units(["P1", "P2"])
    both = np.concatenate([own[p].nuclei.looks for p in ("P1", "P2")])
    np.testing.assert_allclose(centre, both.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(spread, both.std(axis=0), atol=1e-5)
    assert per_mm2 == pytest.approx(8 / (4 * 0.064**2))
