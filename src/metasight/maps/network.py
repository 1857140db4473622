"""The network that paints: H&E pixels to the density of each marker and how sure it is of it.

Pixels are unshuffled (2 × 2 of them become the channels of one), so that no layer runs at full
resolution: that is what makes it quick on a CPU. The first layer looks at 6 µm round each 2 µm:
with 4 × 4 a lymphocyte's nucleus was two pixels wide, and T cells were learnt more slowly.
A few convolutions bring that to the map's grid, on which a U-Net (MONAI's residual one; Kerfoot et
al. 2018, doi:10.1007/978-3-030-12029-0_40) looks round. Batch norm and no instance norm: an
instance's statistics depend on what else the tile shows, and the map would show the tiles.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from monai.networks.blocks.convolutions import Convolution
from monai.networks.nets.unet import UNet
from torch import Tensor, nn
from torch.nn import functional

from metasight.maps.generator_settings import GeneratorSettings

_UNSHUFFLE = 2
_FIRST = 16  # features at twice the pixel; the next layer halves again
_GREY_OD, _SPREAD_OD = 0.25, 0.25  # of stained tissue, roughly: it centres the input
_DENSEST_OD = 2.0
_NORM = ("BATCH", {"eps": 1e-3, "momentum": 0.05})
_ACT = ("LEAKYRELU", {"negative_slope": 0.1, "inplace": True})
# A region's relative excess spread: below it counting noise is all there is, and above it nothing
# is known at all.
_LEAST_LOG_DISPERSION, _MOST_LOG_DISPERSION = math.log(1e-3), math.log(1e3)


def optical_density_of(rgb: Tensor) -> Tensor:
    """Decadic optical density (n, 3, h, w) of grey levels 0–255 over white glass."""
    return -torch.log10((rgb.float() + 1.0) / 256.0)


class CountingNetwork(nn.Module):
    """What every network that paints has: each marker's unit, and the dispersion of its regions.

    Parameters
    ----------
    typical
        Per marker the mean density (cells/mm²) of the training tiles, above 0: its unit.
    scales
        Sizes of region.
    """

    typical: Tensor

    def __init__(self, typical: Sequence[float], scales: int) -> None:
        super().__init__()
        self.register_buffer("typical", torch.tensor(list(typical), dtype=torch.float32))
        # one dispersion a scale: the larger the region, the more of the errors within it cancel
        self.scale_offset = nn.Parameter(torch.zeros(scales, len(typical)))

    def dispersion(self, log_dispersion: Tensor, scale: int) -> Tensor:
        """Excess variance over squared mean of a region's count, pooled ``log_dispersion``."""
        log = log_dispersion + self.scale_offset[scale][:, None, None]
        return torch.exp(torch.clamp(log, _LEAST_LOG_DISPERSION, _MOST_LOG_DISPERSION))


class DensityNetwork(CountingNetwork):
    """Densities of markers on a grid, and their dispersion, from pixels.

    Parameters
    ----------
    typical
        See `CountingNetwork`.
    settings
        Width, depth and scale.
    """

    def __init__(self, typical: Sequence[float], settings: GeneratorSettings) -> None:
        super().__init__(typical, len(settings.region_um))
        w, n = settings.width, len(typical)
        self.scale = settings.scale
        layers: list[nn.Module] = [nn.PixelUnshuffle(_UNSHUFFLE)]
        layers += [_block(3 * _UNSHUFFLE**2, _FIRST), _block(_FIRST, w, strides=2)]
        inside, scale = w, 2 * _UNSHUFFLE
        while scale < settings.scale:
            outside = min(2 * inside, 2 * w)
            layers += [_block(inside, outside, strides=2), _block(outside, outside)]
            inside, scale = outside, scale * 2
        self.stem = nn.Sequential(*layers)
        channels = [2 * w, 3 * w, 4 * w, 4 * w, 4 * w][: settings.depth + 1]
        self.around = UNet(
            spatial_dims=2,
            in_channels=inside,
            out_channels=2 * w,
            channels=channels,
            strides=(2,) * settings.depth,
            num_res_units=1,
            norm=_NORM,
            act=_ACT,
        )
        self.features = inside
        self.head = nn.Conv2d(inside + 2 * w, 2 * n, kernel_size=1)
        nn.init.zeros_(self.head.weight)
        bias = torch.zeros(2 * n)
        bias[:n] = math.log(math.e - 1)  # softplus of it is 1: the typical density
        self.head.bias = nn.Parameter(bias)

    def forward(self, density_od: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Paint.

        Parameters
        ----------
        density_od
            (n, 3, h, w) optical density, ``h`` and ``w`` multiples of ``step_px``.

        Returns
        -------
        density
            (n, markers, h / scale, w / scale) cells/mm², above 0.
        log_dispersion
            The same shape: logarithm of the relative excess variance of a region, before the
            scale's offset.
        features
            (n, features, …) of the stem, for telling slides unlike those of training.
        """
        x = (torch.clamp(density_od, -0.1, _DENSEST_OD) - _GREY_OD) / _SPREAD_OD
        near = self.stem(x)
        known = torch.cat([near, self.around(near)], dim=1)
        level = self.head(known).chunk(2, dim=1)[0]
        # what the network sees is learnt for the density alone: how wrong it is while it learns
        # would otherwise be the easier thing to see
        spread = self.head(known.detach()).chunk(2, dim=1)[1]
        density = functional.softplus(level.float()) * self.typical[:, None, None]
        return density, spread.float(), near

    def described(self, density_od: Tensor, near: Tensor) -> Tensor:
        """What tells a slide unlike those of training: the stem's features, and colours."""
        return torch.cat([near.float(), colour_features(density_od, self.scale)], dim=1)


def _block(inside: int, outside: int, *, strides: int = 1) -> nn.Module:
    return Convolution(
        spatial_dims=2,
        in_channels=inside,
        out_channels=outside,
        strides=strides,
        kernel_size=3,
        norm=_NORM,
        act=_ACT,
        adn_ordering="NA",
        bias=False,
    )


def colour_features(od: Tensor, scale: int) -> Tensor:
    """Mean and spread of each channel's optical density within each pixel of the map."""
    mean = functional.avg_pool2d(od, scale)
    square = functional.avg_pool2d(od**2, scale)
    return torch.cat([mean, torch.sqrt(torch.clamp(square - mean**2, min=1e-8))], dim=1)
