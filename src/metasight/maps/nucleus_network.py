"""The network that paints from nuclei: from the looks of each to the cells it stands for.

Every nucleus is told by itself, from its looks; a pixel's density is the sum over the nuclei that
lie in it. What a nucleus stands for is a number of cells rather than a probability: nuclei that are
overlooked are made up for by those that are found. T cells within nests of tumour, which a network
of pixels blurs into their surroundings, stay where they lie.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from metasight.maps.generator_settings import GeneratorSettings
from metasight.maps.network import CountingNetwork
from metasight.maps.nucleus_looks import N_LOOKS, OWN

_FURTHEST = 5.0  # spreads of the training nuclei: beyond it a look tells nothing more
_MOST_CELLS = 4.0  # a nucleus stands for
_LEAST_LOG = -12.0
_BACKGROUND = 0.01  # of the typical density, where no nucleus is found: at the start


@dataclass(frozen=True, kw_only=True)
class NucleiSeen:
    """Nuclei of a batch of tiles of equal size.

    Attributes
    ----------
    looks
        (nuclei, `N_LOOKS`).
    place
        (nuclei,) tile · rows · columns + row · columns + column of the map's pixel.
    tiles, rows, columns
        Shape of the batch on the map's grid.
    """

    looks: Tensor
    place: Tensor
    tiles: int
    rows: int
    columns: int

    @property
    def device(self) -> torch.device:
        """Where the numbers lie."""
        return self.looks.device

    def summed(self, values: Tensor) -> Tensor:
        """Sum of ``values`` (nuclei, f) over each pixel's nuclei: (tiles, f, rows, columns)."""
        flat = values.new_zeros(values.shape[1], self.tiles * self.rows * self.columns)
        flat = flat.index_add(1, self.place, values.T)
        return flat.view(-1, self.tiles, self.rows, self.columns).transpose(0, 1)


class NucleusNetwork(CountingNetwork):
    """Densities of markers on a grid, and their dispersion, from nuclei.

    Parameters
    ----------
    typical
        See `CountingNetwork`.
    settings
        Width and the map's pixel.
    """

    centre: Tensor
    spread: Tensor
    per_nucleus: Tensor

    def __init__(self, typical: Sequence[float], settings: GeneratorSettings) -> None:
        super().__init__(typical, len(settings.region_um))
        n, hidden = len(typical), 2 * settings.width
        self.pixel_mm2 = settings.spacing_um**2 / 1e6
        self.register_buffer("centre", torch.zeros(N_LOOKS))
        self.register_buffer("spread", torch.ones(N_LOOKS))
        self.register_buffer("per_nucleus", torch.ones(n))
        self.seen = nn.Sequential(
            nn.Linear(N_LOOKS, hidden), nn.GELU(), nn.Linear(hidden, hidden), nn.GELU()
        )
        self.head = nn.Linear(hidden, 2 * n)
        self.background = nn.Parameter(torch.full((n,), math.log(_BACKGROUND)))
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def settle(self, centre: Tensor, spread: Tensor, nuclei_per_mm2: float) -> None:
        """Take the units of the training nuclei: done once, before training.

        Parameters
        ----------
        centre, spread
            (`N_LOOKS`,) mean and standard deviation of their looks.
        nuclei_per_mm2
            Of the training tiles, above 0.
        """
        self.centre.copy_(centre)
        self.spread.copy_(spread.clamp(min=1e-6))
        self.per_nucleus.copy_(self.typical / nuclei_per_mm2)

    def forward(self, nuclei: NucleiSeen) -> tuple[Tensor, Tensor, Tensor]:
        """Paint.

        Returns
        -------
        density
            (tiles, markers, rows, columns) cells/mm², above 0.
        log_dispersion
            The same shape, mean over a pixel's nuclei; see :class:`DensityNetwork`.
        features
            (tiles, looks, rows, columns) sums over a pixel's nuclei, and their number last.
        """
        unit = torch.clamp((nuclei.looks - self.centre) / self.spread, -_FURTHEST, _FURTHEST)
        known = self.seen(unit)
        level = self.head(known).chunk(2, dim=1)[0]
        # as for pixels: how wrong a density is must not be the easier thing to learn
        log = self.head(known.detach()).chunk(2, dim=1)[1]
        cells = torch.exp(
            torch.clamp(level + torch.log(self.per_nucleus), _LEAST_LOG, math.log(_MOST_CELLS))
        )
        density = nuclei.summed(cells) / self.pixel_mm2
        density = density + (torch.exp(self.background) * self.typical)[:, None, None]
        own = torch.cat([nuclei.looks[:, : len(OWN)], torch.ones_like(log[:, :1])], dim=1)
        features = nuclei.summed(own)
        number = features[:, -1:].clamp(min=1.0)
        return density, nuclei.summed(log) / number, features

    def described(self, nuclei: NucleiSeen, features: Tensor) -> Tensor:
        """What tells a slide unlike those of training: mean looks of the nuclei, and number.

        A pixel without a nucleus shows those of the tile's nuclei on average, so that it tells
        nothing.
        """
        total, number = features[:, :-1], features[:, -1:]
        whole = total.sum(dim=(2, 3), keepdim=True) / number.sum(dim=(2, 3), keepdim=True).clamp(
            min=1.0
        )
        mean = torch.where(number > 0, total / number.clamp(min=1.0), whole)
        return torch.cat([mean, number], dim=1)
