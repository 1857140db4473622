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
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from monai.networks.blocks.convolutions import Convolution
from monai.networks.nets.unet import UNet
from torch import Tensor, nn
from torch.nn import functional

from metasight.errors import MarkerError
from metasight.maps.generator import PaintedTile
from metasight.maps.generator_settings import GeneratorSettings
from metasight.maps.outlier import OutlierModel

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


class DensityNetwork(nn.Module):
    """Densities of markers on a grid, and their dispersion.

    Parameters
    ----------
    typical
        Per marker the mean density (cells/mm²) of the training tiles, above 0: its unit.
    settings
        Width, depth and scale.
    """

    typical: Tensor

    def __init__(self, typical: list[float], settings: GeneratorSettings) -> None:
        super().__init__()
        w, scales = settings.width, len(settings.region_um)
        n = len(typical)
        self.register_buffer("typical", torch.tensor(typical, dtype=torch.float32))
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
        # one dispersion a scale: the larger the region, the more of the errors within it cancel
        self.scale_offset = nn.Parameter(torch.zeros(scales, n))
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

    def dispersion(self, log_dispersion: Tensor, scale: int) -> Tensor:
        """Excess variance over squared mean of a region's count, pooled ``log_dispersion``."""
        log = log_dispersion + self.scale_offset[scale][:, None, None]
        return torch.exp(torch.clamp(log, _LEAST_LOG_DISPERSION, _MOST_LOG_DISPERSION))


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


class NetworkGenerator:
    """A trained generator of metasight; see :class:`metasight.maps.generator.Generator`.

    Parameters
    ----------
    members
        Networks whose maps are averaged.
    error_factor
        Per marker what the stated error is multiplied by, from held-out patients.
    outliers
        What the training slides look like.
    markers, settings, identity, trained_on
        Of the generator's card.
    """

    def __init__(
        self,
        members: list[DensityNetwork],
        error_factor: npt.NDArray[np.float32],
        outliers: OutlierModel,
        *,
        markers: tuple[str, ...],
        settings: GeneratorSettings,
        identity: str,
        trained_on: frozenset[str],
    ) -> None:
        self.device = device_of(settings)
        self.members = [m.to(self.device).eval() for m in members]
        for member in self.members:
            member.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.error_factor = error_factor
        self.outliers: OutlierModel | None = outliers
        self.markers, self.settings = markers, settings
        self.identity, self.trained_on = identity, trained_on
        self.spacing_um, self.mpp = settings.spacing_um, settings.mpp
        self.step_px = settings.step_px

    @classmethod
    def of(
        cls,
        tensors: Mapping[str, npt.NDArray[Any]],
        *,
        markers: tuple[str, ...],
        settings: GeneratorSettings,
        identity: str,
        trained_on: frozenset[str],
    ) -> NetworkGenerator:
        """From the arrays of its file.

        Raises
        ------
        MarkerError
            An array is missing, too many or of another shape.
        """
        members = []
        for number in range(settings.members):
            prefix = f"member{number}."
            network = DensityNetwork([1.0] * len(markers), settings)
            state = {
                name.removeprefix(prefix): torch.from_numpy(np.array(array))
                for name, array in tensors.items()
                if name.startswith(prefix)
            }
            try:
                network.load_state_dict(state, strict=True)
            except RuntimeError as error:
                raise MarkerError(
                    "the generator's weights do not fit the network its card describes",
                    value=f"member {number}",
                    remedy="Train it again with this version",
                ) from error
            members.append(network)
        try:
            outliers = OutlierModel(
                centre=tensors["outlier.centre"],
                whitening=tensors["outlier.whitening"],
                threshold=tensors["outlier.threshold"].item(),
            )
            factor = tensors["error_factor"]
        except KeyError as error:
            raise MarkerError("the generator's file is incomplete", value=str(error)) from error
        return cls(
            members,
            factor,
            outliers,
            markers=markers,
            settings=settings,
            identity=identity,
            trained_on=trained_on,
        )

    def paint_tile(self, rgb: npt.NDArray[np.uint8]) -> PaintedTile:
        """Paint (h, w, 3) pixels over white glass; sides multiples of ``step_px``.

        Raises
        ------
        MarkerError
            The sides are no such multiples.
        """
        if rgb.shape[0] % self.step_px or rgb.shape[1] % self.step_px or rgb.shape[2:] != (3,):
            raise MarkerError(
                f"a tile's sides are multiples of {self.step_px} pixels", value=f"{rgb.shape}"
            )
        pixels = torch.from_numpy(np.ascontiguousarray(rgb)).to(self.device)
        with torch.inference_mode():
            od = optical_density_of(pixels.permute(2, 0, 1)[None])
            density, error, features = paint_density(self.members, od, self.settings)
        factor = self.error_factor[:, None, None]
        return PaintedTile(
            density=density[0].cpu().numpy(),
            error=error[0].cpu().numpy() * factor,
            features=features[0].cpu().numpy(),
        )


def paint_density(
    members: Sequence[DensityNetwork], od: Tensor, settings: GeneratorSettings
) -> tuple[Tensor, Tensor, Tensor]:
    """Density, error of the largest region and features of a batch, averaged over the members.

    The error joins what a member says of itself and how far the members lie apart.
    """
    side = round(settings.region_um[-1] / settings.spacing_um)
    area_mm2 = settings.region_um[-1] ** 2 / 1e6
    means, regions, variances, seen = [], [], [], []
    for member in members:
        with torch.autocast(od.device.type, torch.bfloat16, enabled=od.device.type == "cuda"):
            density, log, near = member(od)
        mean = _region_mean(density, side)
        excess = member.dispersion(_region_mean(log, side), len(settings.region_um) - 1)
        means.append(density)
        regions.append(mean)
        variances.append(mean / area_mm2 + excess * mean**2)
        seen.append(near.float())
    between = torch.stack(regions).var(dim=0, correction=0)
    error = torch.sqrt(torch.stack(variances).mean(dim=0) + between)
    features = torch.cat([seen[0], colour_features(od, settings.scale)], dim=1)
    return torch.stack(means).mean(dim=0), error, features


def colour_features(od: Tensor, scale: int) -> Tensor:
    """Mean and spread of each channel's optical density within each pixel of the map."""
    mean = functional.avg_pool2d(od, scale)
    square = functional.avg_pool2d(od**2, scale)
    return torch.cat([mean, torch.sqrt(torch.clamp(square - mean**2, min=1e-8))], dim=1)


def _region_mean(x: Tensor, side: int) -> Tensor:
    """Mean over the region centred on each pixel, of what lies on the tile."""
    before, after = (side - 1) // 2, side // 2

    def summed(image: Tensor) -> Tensor:
        wide = functional.pad(image, (before, after, before, after))
        return functional.avg_pool2d(wide, side, stride=1)

    return summed(x) / summed(torch.ones_like(x[:1, :1]))


def device_of(settings: GeneratorSettings) -> torch.device:
    """The device that the settings name; ``auto`` is a GPU where there is one.

    Raises
    ------
    MarkerError
        A GPU is asked for and there is none.
    """
    there = torch.cuda.is_available()
    if settings.device == "cuda" and not there:
        raise MarkerError("no GPU is to be seen", remedy="Set the generator's device to auto")
    return torch.device("cuda" if there and settings.device != "cpu" else "cpu")
