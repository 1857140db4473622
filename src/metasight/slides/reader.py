"""What a slide is to the rest of metasight: pixels at a stated resolution.

Every reader gives the same pixels for the same request, whatever the file: the grid of a
resolution starts at the slide's upper left corner, a pixel is the mean of what it covers, and a
region's pixels do not depend on the region that they were read with.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Protocol, Self, runtime_checkable

import cv2
import numpy as np
import numpy.typing as npt

from metasight.errors import SlideError
from metasight.slides.resample import average_onto, covered

Pixels = npt.NDArray[Any]

RGB = ("red", "green", "blue")

# Finer than any scanner's objective, coarser than any overview that is still a slide: a density
# in dots per inch left by an export program lies above (72 dpi are 353 µm).
PLAUSIBLE_MPP = (0.05, 20.0)
_SAME_RATIO = 0.02  # pixels of a scanner are square to about a part in a thousand
_SAME_SCALE = 1e-4
_ROUNDED_PX = 2.0  # a level of a level is cut off twice
_FINER_THAN_SCANNED = 0.95
_SMALL_BESIDE = 2.0
_MOST_PIXELS_AT_ONCE = 48_000_000  # of the level that is read from


@dataclass(frozen=True, kw_only=True)
class Region:
    """A rectangle of pixels on the grid of one resolution.

    Attributes
    ----------
    x, y
        Column and row of its upper left pixel; the slide's upper left pixel is (0, 0).
    width, height
        Pixels, at least 1.
    """

    x: int
    y: int
    width: int
    height: int

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1:
            raise ValueError(f"a region needs pixels: {self.width} × {self.height}")


@dataclass(frozen=True, kw_only=True)
class Level:
    """One resolution that the file holds: pixels, and level-0 pixels to one of them."""

    width: int
    height: int
    downsample: float


@dataclass(frozen=True, kw_only=True)
class ReadAs:
    """What the study says of a file, where the file is silent, wrong or leaves a choice.

    Attributes
    ----------
    mpp
        Micrometres a pixel; None where the file is to say them.
    replaces_mpp
        Whether ``mpp`` is of this very file and replaces what it says. Else it fills the gap of a
        file that says nothing, and a file's own resolution stands.
    picture
        Number, from 1, of the picture to read of a file that holds several.
    channels
        Name of a fluorescence channel as the file spells it, or its number from 1 → the name that
        the study gives it. Capitals, separators and a fluorophore beside it make no difference.
    spellings
        Usual spellings of the study's channels → the name; for channels that ``channels`` leaves.
    """

    mpp: float | None = None
    replaces_mpp: bool = True
    picture: int | None = None
    channels: Mapping[str, str] = field(default_factory=dict)
    spellings: Mapping[str, str] = field(default_factory=dict)


@runtime_checkable
class SlideReader(Protocol):
    """A slide that is open.

    Attributes
    ----------
    name
        How messages call the slide; never a path.
    software
        What decodes it, with its version: recorded in the manifest.
    levels
        Full resolution first.
    mpp
        Micrometres to a level-0 pixel, in both directions.
    mpp_source
        Where that is from: the file, or the study's settings.
    channels
        ``("red", "green", "blue")`` for brightfield, marker names for fluorescence.
    dtype
        uint8, or uint16 for fluorescence.
    properties
        What the file says of the scan; nothing that names a patient.
    notes
        What had to be decided when it was opened, and why; for the ledger.
    """

    name: str
    software: str
    levels: tuple[Level, ...]
    mpp: float
    mpp_source: str
    channels: tuple[str, ...]
    dtype: np.dtype[Any]
    properties: dict[str, str]
    notes: tuple[str, ...]

    def size_at(self, mpp: float) -> tuple[int, int]:
        """Width and height in pixels of ``mpp`` micrometres that the slide fills."""
        ...

    def read(self, region: Region, mpp: float) -> Pixels:
        """(height, width, channels) of ``region`` on the grid of ``mpp``."""
        ...

    def close(self) -> None:
        """Let go of the file."""
        ...


def stated_number(text: str | None) -> float | None:
    """A number as a file states it, also with a decimal comma; None where it states none."""
    if text is None:
        return None
    try:
        return float(text)
    except ValueError:
        pass
    whole, comma, decimals = text.strip().partition(",")
    # no resolution needs a separator of thousands: a lone comma is a decimal one
    if comma and decimals.isdigit() and whole.lstrip("-").isdigit():
        return float(f"{whole}.{decimals}")
    return None


_GIVE_MPP = (
    "Ask the scanner's operator and give the micrometres a pixel of this file in study.toml under"
    " [slides.mpp_of], or as [slides] mpp for all files that do not say them, or on the command"
    " line as --mpp"
)


def checked_mpp(
    x: float | None,
    y: float | None,
    *,
    name: str,
    override: float | None = None,
    default: float | None = None,
) -> tuple[float, str]:
    """Micrometres a pixel, from the study's settings or else from the file, and which of them.

    Parameters
    ----------
    x, y
        What the file says; None where it says nothing.
    name
        Of the slide.
    override
        Replaces what the file says.
    default
        Is used where the file says nothing, or nothing that a scan can have.

    Raises
    ------
    SlideError
        There is none, it is implausible, or it differs between the directions.
    """
    for given in (override, default):
        if given is not None and not _plausible(given):
            raise SlideError(
                f"the resolution given is implausible; it must be within {_PLAUSIBLE} µm per pixel",
                where=name,
                value=f"{given:g}",
                remedy=_GIVE_MPP,
            )
    if override is not None:
        return float(override), "settings"
    if default is not None and not (_plausible(x) and _plausible(y)):
        return float(default), "settings"
    if x is None or y is None:
        raise SlideError(
            "the file does not state its resolution in micrometres per pixel (mpp)",
            where=name,
            remedy=_GIVE_MPP,
        )
    if not (_plausible(x) and _plausible(y)):
        raise SlideError(
            f"the file's resolution is implausible; mpp must be within {_PLAUSIBLE} µm per pixel",
            where=name,
            value=f"{x:g} × {y:g}",
            remedy=_GIVE_MPP,
        )
    if abs(x / y - 1) > _SAME_RATIO:
        raise SlideError(
            "the file's pixels are not square",
            where=name,
            value=f"{x:g} × {y:g} µm",
            remedy=_GIVE_MPP,
        )
    return float(np.sqrt(x * y)), "file"


def mpp_note(x: float | None, y: float | None, read_as: ReadAs) -> str:
    """What the ledger says of a resolution of the study beside another one of the file.

    Empty where only one of them speaks, or both say the same to 2 %.
    """
    given = read_as.mpp
    if given is None or x is None or y is None:
        return ""
    if _alike(given, x) and _alike(given, y):
        return ""
    said = f"{x:.4g}" if _alike(x, y) else f"{x:.4g} × {y:.4g}"
    if read_as.replaces_mpp:
        return f"{given:.4g} µm a pixel, given for this file, replace the {said} that it states"
    if not (_plausible(x) and _plausible(y)):
        return (
            f"the study's {given:.4g} µm a pixel are used; no scan has the {said} that the file "
            "states"
        )
    return (
        f"the file states {said} µm a pixel and the study {given:.4g}; the file's value is used "
        "(mpp_of in study.toml, or --mpp once per file, replaces it)"
    )


_PLAUSIBLE = f"{PLAUSIBLE_MPP[0]:g}–{PLAUSIBLE_MPP[1]:g}"


def _alike(one: float, other: float) -> bool:
    return abs(one - other) <= _SAME_RATIO * min(one, other)


def _plausible(mpp: float | None) -> bool:
    return mpp is not None and PLAUSIBLE_MPP[0] <= mpp <= PLAUSIBLE_MPP[1]


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """How one resolution is read: from which level, and how many of its pixels make one."""

    level: int
    reduction: int
    scale: float
    width: int
    height: int
    fine_width: int
    fine_height: int


class PyramidReader(ABC):
    """Reads at any resolution from whatever levels a file has; a format adds `read_level`.

    Parameters
    ----------
    name, software, levels, mpp, mpp_source, channels, dtype, properties, notes
        See `SlideReader`.
    reductions
        Factors by which `read_level` can decode a level smaller at once, 1 first.
    """

    def __init__(
        self,
        *,
        name: str,
        software: str,
        levels: Sequence[Level],
        mpp: tuple[float, str],
        channels: Sequence[str],
        dtype: np.dtype[Any],
        properties: Mapping[str, str],
        notes: Sequence[str] = (),
        reductions: Sequence[int] = (1,),
    ) -> None:
        self.name = name
        self.software = software
        self.levels = tuple(levels)
        self.mpp, self.mpp_source = mpp
        self.channels = tuple(channels)
        self.dtype = dtype
        self.properties = dict(properties)
        self.notes = tuple(n for n in notes if n)
        self._reductions = tuple(reductions)
        self._plans: dict[float, _Plan] = {}
        # glass is white; in the dark field of fluorescence it is black
        self._empty = 255 if self.channels == RGB else 0

    @abstractmethod
    def read_level(self, level: int, region: Region, reduction: int) -> Pixels:
        """Pixels of one level, decoded ``reduction`` times smaller; inside the level."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the file."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def size_at(self, mpp: float) -> tuple[int, int]:
        """Width and height in whole pixels of ``mpp`` micrometres that the slide fills."""
        scale = mpp / self.mpp
        full = self.levels[0]
        width, height = (int(n / scale + _SAME_SCALE) for n in (full.width, full.height))
        return max(width, 1), max(height, 1)

    def read(self, region: Region, mpp: float) -> Pixels:
        """(height, width, channels) of ``region`` on the grid of ``mpp``.

        What lies outside the slide is white in brightfield and 0 in fluorescence.

        Raises
        ------
        SlideError
            ``mpp`` is more than 5 % finer than the scan, the region is outside the slide, or
            its tiles cannot be decoded.
        """
        plan = self._plans.get(mpp)
        if plan is None:
            plan = self._plans[mpp] = self._plan(mpp)
        inside = _inside(region, plan.width, plan.height, self.name)
        if inside is region and plan.scale == 1.0:
            return self._part(plan.level, inside, plan.reduction)
        part = self._averaged(plan, inside)
        if inside is region:
            return part
        out = np.full((region.height, region.width, part.shape[2]), self._empty, self.dtype)
        row, column = inside.y - region.y, inside.x - region.x
        out[row : row + inside.height, column : column + inside.width] = part
        return out

    def _plan(self, mpp: float) -> _Plan:
        """The coarsest level, and how much smaller it is decoded, that is fine enough."""
        scale = mpp / self.mpp
        if scale < _FINER_THAN_SCANNED:
            raise SlideError(
                f"pixels of {mpp:g} µm are finer than the scan",
                where=self.name,
                value=f"{self.mpp:.4g} µm",
                remedy="Ask for the scan's resolution or coarser",
            )
        enough = [
            i
            for i, level in enumerate(self.levels)
            if level.downsample <= scale * (1 + _SAME_SCALE)
        ] or [0]
        level = max(enough, key=lambda i: self.levels[i].downsample)
        left = scale / self.levels[level].downsample
        # A reduced pixel that a new pixel's edge cuts is shared out as a whole: only where none is
        # cut, or where they are small beside the new pixel, is that as good as full resolution.
        reduction = max(
            r
            for r in self._reductions
            if r == 1 or abs(left / r - 1) < _SAME_SCALE or left / r >= _SMALL_BESIDE
        )
        left /= reduction
        at = self.levels[level]
        width, height = self.size_at(mpp)
        return _Plan(
            level=level,
            reduction=reduction,
            scale=1.0 if abs(left - 1) < _SAME_SCALE else left,
            width=width,
            height=height,
            fine_width=max(at.width // reduction, 1),
            fine_height=max(at.height // reduction, 1),
        )

    def _averaged(self, plan: _Plan, region: Region) -> Pixels:
        """`region`, in bands that need a bounded number of the level's pixels each."""
        width = int(region.width * plan.scale) + 2
        rows = max(1, int(_MOST_PIXELS_AT_ONCE / (width * plan.scale)))
        if rows >= region.height:
            return self._band(plan, region)
        out = np.empty((region.height, region.width, len(self.channels)), dtype=self.dtype)
        for first in range(0, region.height, rows):
            band = Region(
                x=region.x,
                y=region.y + first,
                width=region.width,
                height=min(rows, region.height - first),
            )
            out[first : first + band.height] = self._band(plan, band)
        return out

    def _band(self, plan: _Plan, band: Region) -> Pixels:
        scale = plan.scale
        top, bottom = covered(band.y, band.height, scale)
        left, right = covered(band.x, band.width, scale)
        fine = Region(
            x=left,
            y=top,
            width=min(right, plan.fine_width) - left,
            height=min(bottom, plan.fine_height) - top,
        )
        pixels = self._part(plan.level, fine, plan.reduction)
        if scale == 1.0:
            return pixels
        whole = round(scale)
        exact = abs(scale - whole) < 1e-9 and fine.width == band.width * whole
        if exact and fine.height == band.height * whole:
            small = cv2.resize(pixels, (band.width, band.height), interpolation=cv2.INTER_AREA)
            return small.reshape(band.height, band.width, -1)
        return average_onto(
            pixels,
            first=(top, left),
            scale=(scale, scale),
            start=(band.y, band.x),
            shape=(band.height, band.width),
        )

    def _part(self, level: int, region: Region, reduction: int) -> Pixels:
        pixels = self.read_level(level, region, reduction)
        if pixels.shape != (region.height, region.width, len(self.channels)):
            raise SlideError(
                "the file gave pixels of another shape than it says it has",
                where=self.name,
                value=f"{pixels.shape}",
                remedy="Export the slide again",
            )
        return pixels


def level_downsamples(sizes: Sequence[tuple[int, int]], *, name: str) -> tuple[Level, ...]:
    """Levels with the factor that they were made with.

    A level's last column is cut off where the width is odd, so the ratio of two widths is not
    quite the factor: with 2221 of 4443 pixels it is 2, not 2.0005. Where it is no whole number
    the longer side tells it best: a cut-off pixel of 50 is 2 %, of 20,000 nothing.

    Raises
    ------
    SlideError
        A level does not show the whole slide, or is larger than it.
    """
    full = sizes[0]
    longer = 0 if full[0] >= full[1] else 1
    out = []
    for size in sizes:
        ratio = full[longer] / size[longer]
        whole = round(ratio)
        made_with_it = whole >= 1 and all(
            n // whole <= m <= -(-n // whole) for n, m in zip(full, size, strict=True)
        )
        fits = all(
            abs(n / ratio - m) <= _ROUNDED_PX + _SAME_RATIO * m
            for n, m in zip(full, size, strict=True)
        )
        if not made_with_it and (not fits or ratio < 1):
            raise SlideError(
                "a level of the slide does not show what its first one shows",
                where=name,
                value=f"{size[0]} × {size[1]} of {full[0]} × {full[1]} pixels",
                remedy="Export the slide again; every level must show all of it",
            )
        downsample = float(whole) if made_with_it else ratio
        out.append(Level(width=size[0], height=size[1], downsample=downsample))
    return tuple(out)


def _inside(region: Region, width: int, height: int, name: str) -> Region:
    """The part of ``region`` that lies on the slide."""
    right, bottom = region.x + region.width, region.y + region.height
    if region.x >= 0 and region.y >= 0 and right <= width and bottom <= height:
        return region
    left, top = max(region.x, 0), max(region.y, 0)
    right, bottom = min(right, width), min(bottom, height)
    if left >= right or top >= bottom:
        raise SlideError(
            "the region is outside the slide",
            where=name,
            value=f"x {region.x}, y {region.y} of {width} × {height} pixels",
            remedy="Give x and y in pixels of the resolution asked for",
        )
    return Region(x=left, y=top, width=right - left, height=bottom - top)
