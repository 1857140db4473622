"""Training tiles of all patients on disk, read a few at a time: memory is bounded by a batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from metasight.maps.generator_folds import Material
from metasight.maps.region_likelihood import RegionTargets, Targets
from metasight.maps.table_regions import TileRegions
from metasight.maps.training_tiles import load_tiles

Place = tuple[str, int]


class TileBank:
    """Tiles of all patients on disk, read a few at a time.

    Parameters
    ----------
    tiles
        Pseudonym → file.
    material
        What `survey` found.
    """

    def __init__(self, tiles: Mapping[str, Path], material: Material) -> None:
        self.tiles, self.material = dict(tiles), material

    def places(self, patients: Sequence[str]) -> list[Place]:
        """(patient, number) of every tile of ``patients``."""
        return [(p, n) for p in patients for n in range(self.material.headers[p].n)]

    def read(self, places: Sequence[Place], device: torch.device) -> tuple[Tensor, Targets]:
        """Pixels (n, 3, h, h) uint8 and targets of the generator's markers."""
        markers = self.material.markers
        rgb, density, support, p90 = [], [], [], []
        regions: list[TileRegions | None] = []
        for patient, number in places:
            part = load_tiles(self.tiles[patient], slice(number, number + 1))
            k = part.density.shape[-1]
            own = np.zeros((2, len(markers), k, k), dtype=np.float32)
            error = np.zeros(len(markers), dtype=np.float32)
            for plane, marker in enumerate(markers):
                if marker in part.markers:
                    at = part.markers.index(marker)
                    own[0, plane], own[1, plane] = part.density[0, at], part.support[0, at]
                    error[plane] = part.p90_um[0, at]
            rgb.append(part.rgb[0].transpose(2, 0, 1))
            density.append(own[0])
            support.append(own[1])
            p90.append(error)
            regions.append(part.regions)
        return torch.from_numpy(np.stack(rgb)).to(device), Targets(
            density=torch.from_numpy(np.stack(density)).to(device),
            support=torch.from_numpy(np.stack(support)).to(device),
            p90_um=torch.from_numpy(np.stack(p90)).to(device),
            regions=self._regions(regions, density[0].shape[-1], device),
        )

    def _regions(
        self, own: Sequence[TileRegions | None], k: int, device: torch.device
    ) -> RegionTargets | None:
        """Regions of a batch, in the generator's markers; None where no tile has any."""
        most = max((r.covered.shape[1] for r in own if r is not None), default=0)
        if not most:
            return None
        markers = self.material.markers
        covered = np.zeros((len(own), most, k, k), dtype=np.float32)
        count = np.full((len(own), most, len(markers)), np.nan, dtype=np.float32)
        for tile, part in enumerate(own):
            if part is None:
                continue
            n = part.covered.shape[1]
            covered[tile, :n] = part.covered[0]
            for at, marker in enumerate(part.markers):
                if marker in markers:
                    count[tile, :n, markers.index(marker)] = part.count[0, :, at]
        return RegionTargets(
            covered=torch.from_numpy(covered).to(device), count=torch.from_numpy(count).to(device)
        )

    def batches(
        self, places: Sequence[Place], size: int, device: torch.device
    ) -> Iterator[tuple[Tensor, Targets]]:
        """One batch after the other, in the order given."""
        for first in range(0, len(places), size):
            yield self.read(places[first : first + size], device)
