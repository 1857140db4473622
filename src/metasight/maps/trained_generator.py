"""A generator that metasight trained, ready to paint: from pixels or from nuclei."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from metasight.errors import MarkerError
from metasight.maps.counting_network import optical_density_of
from metasight.maps.generator import PaintedTile, PaintsPixels, SlideTile, TilePainter
from metasight.maps.generator_settings import GeneratorSettings
from metasight.maps.nucleus_looks import read_nuclei
from metasight.maps.nucleus_network import NucleiSeen, NucleusNetwork
from metasight.maps.outlier import OutlierModel
from metasight.maps.tile_nuclei import inside, pixels_of
from metasight.slides.reader import SlideReader

if TYPE_CHECKING:
    from metasight.maps.network import DensityNetwork

Network: TypeAlias = "DensityNetwork | NucleusNetwork"
Seen = Tensor | NucleiSeen


def network_of(settings: GeneratorSettings, typical: Sequence[float]) -> Network:
    """A network with new weights, of the kind that the settings name."""
    if settings.reads == "nuclei":
        return NucleusNetwork(typical, settings)
    from metasight.maps.network import DensityNetwork  # and MONAI with it

    return DensityNetwork(typical, settings)


class TrainedGenerator(ABC):
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
        members: Sequence[Network],
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
    ) -> TrainedGenerator:
        """From the arrays of its file; the settings say whether it reads pixels or nuclei.

        Raises
        ------
        MarkerError
            An array is missing, too many or of another shape.
        """
        members = []
        for number in range(settings.members):
            prefix = f"member{number}."
            network = network_of(settings, [1.0] * len(markers))
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
        kind = NucleusGenerator if settings.reads == "nuclei" else PixelGenerator
        return kind(
            members,
            factor,
            outliers,
            markers=markers,
            settings=settings,
            identity=identity,
            trained_on=trained_on,
        )

    @abstractmethod
    def on(
        self, slide: SlideReader, tissue: npt.NDArray[np.bool_], tissue_mpp: float
    ) -> TilePainter:
        """What paints the tiles of a slide; see :class:`metasight.maps.generator.Generator`."""

    def _painted(self, seen: Seen) -> PaintedTile:
        with torch.inference_mode():
            density, error, features = paint_density(self.members, seen, self.settings)
        factor = self.error_factor[:, None, None]
        return PaintedTile(
            density=density[0].cpu().numpy(),
            error=error[0].cpu().numpy() * factor,
            features=features[0].cpu().numpy(),
        )


class PixelGenerator(PaintsPixels, TrainedGenerator):
    """Paints from pixels."""

    def __init__(self, members: Sequence[Network], *args: Any, **kwargs: Any) -> None:
        super().__init__(members, *args, **kwargs)
        for member in self.members:
            member.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

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
        return self._painted(od)


class NucleusGenerator(TrainedGenerator):
    """Paints from nuclei, which are looked for over the whole slide before its first tile."""

    def on(
        self, slide: SlideReader, tissue: npt.NDArray[np.bool_], tissue_mpp: float
    ) -> TilePainter:
        """Find the slide's nuclei; a tile is then painted from those that lie in it."""
        nuclei = read_nuclei(slide, tissue, tissue_mpp, mpp=self.mpp)
        row, column = pixels_of(nuclei, self.spacing_um)

        def paint_tile(tile: SlideTile) -> PaintedTile:
            own, place = inside(row - tile.row, column - tile.column, (tile.rows, tile.columns))
            seen = NucleiSeen(
                looks=torch.from_numpy(nuclei.looks[own]).to(self.device),
                place=torch.from_numpy(place).to(self.device),
                tiles=1,
                rows=tile.rows,
                columns=tile.columns,
            )
            return self._painted(seen)

        return paint_tile


def paint_density(
    members: Sequence[Network], seen: Seen, settings: GeneratorSettings
) -> tuple[Tensor, Tensor, Tensor]:
    """Density, error of the largest region and features of a batch, averaged over the members.

    The error joins what a member says of itself and how far the members lie apart.

    Parameters
    ----------
    members
        All of one kind.
    seen
        Optical density of pixels, or nuclei: what that kind reads.
    settings
        Of the generator.
    """
    side = round(settings.region_um[-1] / settings.spacing_um)
    area_mm2 = settings.region_um[-1] ** 2 / 1e6
    means, regions, variances, features = [], [], [], []
    for member in members:
        with torch.autocast(seen.device.type, torch.bfloat16, enabled=seen.device.type == "cuda"):
            density, log, near = member(seen)
        features.append(near)
        mean = _region_mean(density, side)
        excess = member.dispersion(_region_mean(log, side), len(settings.region_um) - 1)
        means.append(density)
        regions.append(mean)
        variances.append(mean / area_mm2 + excess * mean**2)
    between = torch.stack(regions).var(dim=0, correction=0)
    error = torch.sqrt(torch.stack(variances).mean(dim=0) + between)
    told = members[0].described(seen, features[0])  # type: ignore[arg-type]
    return torch.stack(means).mean(dim=0), error, told


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
