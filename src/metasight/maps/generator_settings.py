"""How a generator is built and trained; nothing here loads torch, so a plan may name it.

The sizes have physical reasons: 1 µm a pixel shows the size and texture of a nucleus, 16 µm is
about one cell, and only what lies within 64–128 µm may be compared with another section (DESIGN
§6). Everything else is the usual size of a small network.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

import numpy as np

from metasight.errors import MarkerError

Reads = Literal["nuclei", "pixels"]


@dataclass(frozen=True, kw_only=True)
class StainShift:
    """How far tiles are altered in training, so that another laboratory's look is nothing new.

    Attributes
    ----------
    strength
        Largest factor by which each dye is made stronger or weaker.
    colour
        Standard deviation of each dye's optical density per channel, relative to its own.
    glass_od
        Standard deviation of the optical density of empty glass.
    blur_um
        Widest additional Gaussian blur (standard deviation).
    noise_od
        Largest standard deviation of noise in optical density.
    resolution
        Largest relative error of the stated µm a pixel.
    """

    strength: float = 1.7
    colour: float = 0.12
    glass_od: float = 0.02
    blur_um: float = 1.2
    noise_od: float = 0.03
    resolution: float = 0.10

    def __post_init__(self) -> None:
        if not self.strength >= 1:
            raise MarkerError(
                "a stain's strength varies by a factor of at least 1", value=str(self.strength)
            )
        rest = (self.colour, self.glass_od, self.blur_um, self.noise_od, self.resolution)
        if not (min(rest) >= 0 and max(rest) < np.inf and self.resolution <= 0.3):
            raise MarkerError("a stain shift is not negative, and of resolution at most 0.3")


@dataclass(frozen=True, kw_only=True)
class GeneratorSettings:
    """A generator's network and its training.

    Attributes
    ----------
    reads
        ``nuclei``: how each nucleus that is found looks; learns from few patients in minutes on a
        CPU, and keeps a T cell where it lies. ``pixels``: a convolutional network, which wants
        more patients and a GPU, and sees what is no nucleus.
    mpp
        Resolution that the H&E is read at, µm a pixel.
    spacing_um
        Side of a pixel of the map.
    region_um
        Sides of the regions over which painted and measured cells are compared; the last is the
        one whose interval is calibrated.
    width
        Features of the first layer; the others grow with it. 24 trains on a few patients on a CPU;
        of pixels, 64 and more want a GPU. Of nuclei both layers have twice as many.
    depth
        Halvings below the map's grid: how far round a pixel is looked (3: about 0.4 mm), 1 to 4.
        Without a meaning for nuclei.
    members
        Networks that are trained from different starts, each with other patients held out, and
        averaged.
    steps
        Changes of the weights at most, a batch each. A study of ten patients and one of a thousand
        need about as many; rounds over the tiles would give the small one too few.
    round_steps, patience
        Steps between two looks at the held-out patients (and two checkpoints), and how many looks
        without a better loss end training. Much is learnt only when steps become small, towards
        the end: patience is long.
    batch
        Tiles that are seen at once. A tile of pixels takes ten times as long as one of nuclei.
    learning_rate, weight_decay
        Of AdamW, peak of a one-cycle schedule.
    held_out
        Share of the patients that a member holds out to stop and to calibrate; at least one.
    shift
        How tiles are altered.
    device
        ``auto`` takes a GPU where there is one.
    """

    reads: Reads = "nuclei"
    mpp: float = 1.0
    spacing_um: float = 16.0
    region_um: tuple[float, ...] = (64.0, 128.0)
    width: int = 24
    depth: int = 3
    members: int = 3
    steps: int = 1000
    round_steps: int = 50
    patience: int = 20
    batch: int = 16
    learning_rate: float = 2e-3
    weight_decay: float = 1e-3
    held_out: float = 0.2
    shift: StainShift = StainShift()
    device: Literal["auto", "cpu", "cuda"] = "auto"

    def __post_init__(self) -> None:
        scale = self.spacing_um / self.mpp if self.mpp > 0 else 0.0
        if not (scale >= 4 and abs(np.log2(scale) % 1) < 1e-9):
            raise MarkerError(
                "the map's spacing must be 4, 8, 16, 32 … pixels of the H&E",
                value=f"{self.spacing_um:g} µm at {self.mpp:g} µm a pixel",
            )
        whole = [abs(r / self.spacing_um - round(r / self.spacing_um)) for r in self.region_um]
        if (
            not self.region_um
            or max(whole) > 1e-9
            or list(self.region_um) != sorted(set(self.region_um))
            or min(self.region_um) < self.spacing_um
        ):
            raise MarkerError(
                "regions are multiples of the map's spacing, smallest first",
                value=", ".join(f"{r:g}" for r in self.region_um),
            )
        counts = (self.width, self.members, self.steps, self.round_steps, self.patience, self.batch)
        if min(counts) < 1 or not 1 <= self.depth <= 4:
            raise MarkerError("width, depth (1 to 4), members, steps, patience and batch are ≥ 1")
        if not (self.learning_rate > 0 and self.weight_decay >= 0 and 0 < self.held_out < 1):
            raise MarkerError("the learning rate is above 0 and the share held out within (0, 1)")

    @property
    def rounds(self) -> int:
        """Rounds at most; the last may be shorter than the others."""
        return -(-self.steps // self.round_steps)

    @property
    def scale(self) -> int:
        """Pixels of the H&E to a pixel of the map."""
        return round(self.spacing_um / self.mpp)

    @property
    def step_px(self) -> int:
        """Tiles must be a multiple of this many H&E pixels: the network halves that often."""
        return int(self.scale * 2**self.depth)

    def as_json(self) -> dict[str, Any]:
        """Plain data, for the generator's file and for a hash."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> GeneratorSettings:
        """Settings that `as_json` wrote.

        Raises
        ------
        MarkerError
            A setting is missing, unknown or impossible.
        """
        given = dict(data)
        if set(given) != {f.name for f in fields(cls)}:
            odd = sorted(set(given) ^ {f.name for f in fields(cls)})
            raise MarkerError("a generator's settings are of another version", value=", ".join(odd))
        try:
            shift = StainShift(**given.pop("shift"))
            regions = tuple(float(r) for r in given.pop("region_um"))
            return cls(**given, shift=shift, region_um=regions)
        except (TypeError, ValueError) as error:
            raise MarkerError("a generator's settings cannot be read") from error
