"""Training tiles of all patients on disk, read a few at a time: memory does not grow with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from metasight.errors import MarkerError
from metasight.maps.counting_network import optical_density_of
from metasight.maps.generator_folds import Material
from metasight.maps.generator_settings import Reads
from metasight.maps.nucleus_looks import N_LOOKS
from metasight.maps.nucleus_network import NucleiSeen
from metasight.maps.region_likelihood import RegionTargets, Targets
from metasight.maps.table_regions import TileRegions
from metasight.maps.tile_nuclei import TileNuclei
from metasight.maps.trained_generator import Seen
from metasight.maps.training_tiles import Tiles, load_nuclei, load_tiles

Place = tuple[str, int]

_KEPT_BYTES = 2**30


@dataclass(frozen=True, kw_only=True)
class _Tile:
    """One tile, its planes in the order of the generator's markers."""

    rgb: npt.NDArray[np.uint8] | None
    nuclei: TileNuclei | None
    density: npt.NDArray[np.float32]
    support: npt.NDArray[np.float32]
    p90_um: npt.NDArray[np.float32]
    regions: TileRegions | None

    @property
    def n_bytes(self) -> int:
        """Memory that it takes, nearly."""
        own = self.density.nbytes + self.support.nbytes
        own += self.nuclei.looks.nbytes + self.nuclei.pixel.nbytes if self.nuclei else 0
        return own + (self.regions.covered.nbytes if self.regions else 0)


def _in_markers(part: Tiles, markers: Sequence[str], reads: Reads) -> _Tile:
    """The only tile of ``part``."""
    k = part.density.shape[-1]
    own = np.zeros((2, len(markers), k, k), dtype=np.float32)
    error = np.zeros(len(markers), dtype=np.float32)
    for plane, marker in enumerate(markers):
        if marker in part.markers:
            at = part.markers.index(marker)
            own[0, plane], own[1, plane] = part.density[0, at], part.support[0, at]
            error[plane] = part.p90_um[0, at]
    return _Tile(
        rgb=part.rgb[0] if reads == "pixels" else None,
        nuclei=part.nuclei if reads == "nuclei" else None,
        density=own[0],
        support=own[1],
        p90_um=error,
        regions=part.regions,
    )


class TileBank:
    """Tiles of all patients on disk, read a few at a time.

    Nuclei take little room: up to 1 GiB of them is kept once read, pixels never.

    Parameters
    ----------
    tiles
        Pseudonym → file.
    material
        What `survey` found.
    reads
        Whether pixels or nuclei are wanted of a tile.
    """

    def __init__(self, tiles: Mapping[str, Path], material: Material, reads: Reads) -> None:
        self.tiles, self.material, self.reads = dict(tiles), material, reads
        self._kept: dict[Place, _Tile] = {}
        self._room = _KEPT_BYTES

    def places(self, patients: Sequence[str]) -> list[Place]:
        """(patient, number) of every tile of ``patients``."""
        return [(p, n) for p in patients for n in range(self.material.headers[p].n)]

    def read(self, places: Sequence[Place], device: torch.device) -> tuple[Seen, Targets]:
        """What the generator reads of the tiles, and targets of its markers.

        Pixels are optical density (n, 3, h, h).
        """
        parts = [self._tile(place) for place in places]
        seen = _nuclei(parts, device) if self.reads == "nuclei" else _pixels(parts, device)
        density, support, p90 = (
            torch.from_numpy(np.stack([getattr(part, name) for part in parts])).to(device)
            for name in ("density", "support", "p90_um")
        )
        regions = self._regions([p.regions for p in parts], density.shape[-1], device)
        return seen, Targets(density=density, support=support, p90_um=p90, regions=regions)

    def _tile(self, place: Place) -> _Tile:
        if place in self._kept:
            return self._kept[place]
        patient, number = place
        part = load_tiles(self.tiles[patient], slice(number, number + 1))
        tile = _in_markers(part, self.material.markers, self.reads)
        if tile.nuclei is not None and self._room >= (taken := tile.n_bytes):
            self._kept[place], self._room = tile, self._room - taken
        return tile

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

    def nuclear_units(self, patients: Sequence[str]) -> tuple[Tensor, Tensor, float]:
        """Mean and standard deviation of the nuclei's looks, and their number a mm².

        Raises
        ------
        MarkerError
            A file's tiles were collected without their nuclei, or show none.
        """
        total, square = np.zeros(N_LOOKS), np.zeros(N_LOOKS)
        n, area_mm2 = 0, 0.0
        for patient in patients:
            nuclei = load_nuclei(self.tiles[patient])
            if nuclei is None:
                raise MarkerError(
                    "training tiles hold no nuclei, which the generator is to learn from",
                    where=self.tiles[patient].name,
                    remedy="Collect the tiles again, or let the generator read pixels",
                )
            looks = nuclei.looks.astype(np.float64)
            total, square = total + looks.sum(axis=0), square + (looks**2).sum(axis=0)
            n, area_mm2 = n + len(looks), area_mm2 + self.material.headers[patient].area_mm2
        if not n:
            raise MarkerError("no nucleus was found in any training tile")
        mean = total / n
        spread = np.sqrt(np.maximum(square / n - mean**2, 0.0))
        centre, width = (torch.from_numpy(v.astype(np.float32)) for v in (mean, spread))
        return centre, width, n / area_mm2

    def batches(
        self, places: Sequence[Place], size: int, device: torch.device
    ) -> Iterator[tuple[Seen, Targets]]:
        """One batch after the other, in the order given."""
        for first in range(0, len(places), size):
            yield self.read(places[first : first + size], device)


def _pixels(parts: Sequence[_Tile], device: torch.device) -> Tensor:
    rgb = np.stack([part.rgb.transpose(2, 0, 1) for part in parts if part.rgb is not None])
    return optical_density_of(torch.from_numpy(rgb).to(device))


def _nuclei(parts: Sequence[_Tile], device: torch.device) -> NucleiSeen:
    k = parts[0].density.shape[-1]
    own = [part.nuclei for part in parts if part.nuclei is not None]
    looks = np.concatenate([n.looks for n in own])
    place = np.concatenate([n.pixel.astype(np.int64) + t * k * k for t, n in enumerate(own)])
    return NucleiSeen(
        looks=torch.from_numpy(looks).to(device),
        place=torch.from_numpy(place).to(device),
        tiles=len(parts),
        rows=k,
        columns=k,
    )
