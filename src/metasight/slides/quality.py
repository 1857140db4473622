"""Whether a slide is good enough, in numbers with their limits, and what is wrong where it is not.

An overview of 8 µm a pixel shows pen, folds, tears, knife lines, bubbles, staining, glass and
how much tissue there is; sharpness is measured on tiles of 1 µm a pixel spread over the tissue.
What a slide's resolution or size cannot show is unknown, and is said to be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from metasight.errors import SlideError
from metasight.protocol.study import Definition
from metasight.slides.defects import OVERVIEW_MPP, bubbles, folds, knife_lines, pen, tears
from metasight.slides.focus import COARSEST_MPP, edge_width_um
from metasight.slides.reader import RGB, Pixels, Region, SlideReader
from metasight.slides.stain import (
    Rgb,
    background_colour,
    deconvolve,
    optical_density,
    published_stains,
)
from metasight.slides.tiling import TileGrid
from metasight.slides.tissue import Mask, tissue_mask

Stain = Literal["H&E", "IHC", "fluorescence"]
Floats32 = npt.NDArray[np.float32]

_MOST_OVERVIEW_PIXELS = 8_000_000
_FOCUS_MPP = 1.0
_FOCUS_TILE = 256
_MOST_FOCUS_TILES = 300
_LEAST_FOCUS_TILES = 3
# A fold or line on a scrap of tissue cannot be told from the scrap's own edge.
_ENOUGH_TO_SEE_MM2 = 2.0
_BLOCK_UM = 250.0
_FEWEST_BLOCKS = 40
_SOLID = 0.3  # of the density round it
_DEFINITION = "slide_quality_"


@dataclass(frozen=True, kw_only=True)
class Limit:
    """What one number of a slide may be: at least, at most, or both."""

    text: str
    unit: str
    least: float | None = None
    most: float | None = None

    def holds(self, value: float) -> bool | None:
        """None where the value is unknown."""
        if np.isnan(value):
            return None
        above = self.least is None or value >= self.least
        return above and (self.most is None or value <= self.most)

    def __str__(self) -> str:
        ends = [f"at least {self.least:g}"] if self.least is not None else []
        ends += [f"at most {self.most:g}"] if self.most is not None else []
        return " and ".join(ends) + (f" {self.unit}" if self.unit else "")


Limits = Mapping[str, Limit]


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One number of a slide, beside its limit.

    Attributes
    ----------
    name, value
        ``value`` is NaN where it could not be measured; ``why_not`` then says why.
    holds
        Whether it is within the limit; None where it is unknown.
    """

    name: str
    value: float
    limit: Limit
    why_not: str = ""

    @property
    def holds(self) -> bool | None:
        """Whether the value is within its limit."""
        return self.limit.holds(self.value)

    @property
    def sentence(self) -> str:
        """The number and its limit in words."""
        shown = self.why_not or f"{self.value:.3g} {self.limit.unit}".rstrip()
        return f"{self.limit.text}: {shown} (limit: {self.limit})"


@dataclass(frozen=True, kw_only=True)
class Quality:
    """A slide's quality.

    Attributes
    ----------
    stain
        What it was judged as.
    measurements
        In the order of the limits.
    tissue
        (h, w) bool at ``mpp``: tissue without pen.
    defects
        Mask at ``mpp`` by name, for the overlay.
    overview
        (h, w, 3) uint8 at ``mpp``.
    mpp
        Micrometres to an overview pixel.
    """

    stain: Stain
    measurements: tuple[Measurement, ...]
    tissue: Mask
    defects: Mapping[str, Mask]
    overview: Rgb
    mpp: float

    @property
    def sufficient(self) -> bool | None:
        """False where a limit is broken, None where one is unknown and none broken, else True."""
        held = [m.holds for m in self.measurements]
        if False in held:
            return False
        return None if None in held else True

    @property
    def reasons(self) -> tuple[str, ...]:
        """What is broken, or else what is unknown."""
        wanted = self.sufficient
        if wanted is True:
            return ()
        return tuple(m.sentence for m in self.measurements if m.holds is wanted)

    def __getitem__(self, name: str) -> float:
        return next(m.value for m in self.measurements if m.name == name)


def quality_definitions(definitions: Iterable[Definition]) -> tuple[Definition, ...]:
    """Those that `limits_of` reads, without their sources, which only reports print."""
    return tuple(
        d.model_copy(update={"source": ""}) for d in definitions if d.name.startswith(_DEFINITION)
    )


def limits_of(definitions: tuple[Definition, ...], stain: Stain) -> Limits:
    """The protocol's limits for one stain: definitions named ``slide_quality_…``.

    A definition's value is ``[least, most]``, -1 standing for no limit; one whose name ends with
    ``_he``, ``_ihc`` or ``_fluorescence`` holds for that stain only.

    Raises
    ------
    SlideError
        The protocol has no limits.
    """
    suffix = {"H&E": "_he", "IHC": "_ihc", "fluorescence": "_fluorescence"}
    found: dict[str, Limit] = {}
    for d in definitions:
        if not d.name.startswith(_DEFINITION) or not isinstance(d.value, tuple):
            continue
        name = d.name.removeprefix(_DEFINITION)
        other = [s for k, s in suffix.items() if k != stain and name.endswith(s)]
        if other:
            continue
        least, most = (None if v < 0 else v for v in d.value)
        found[name.removesuffix(suffix[stain])] = Limit(
            text=d.text, unit=d.unit, least=least, most=most
        )
    if not found:
        raise SlideError(
            "the protocol has no limits of slide quality",
            remedy=f"Add definitions named {_DEFINITION}… to it",
        )
    return found


def judge(slide: SlideReader, stain: Stain, limits: Limits, *, nuclear: str = "DAPI") -> Quality:
    """Measure a slide's quality and hold it against the limits.

    Parameters
    ----------
    slide
        Open.
    stain
        What it is said to be; decides which limits and measures apply.
    limits
        See `limits_of`; only what they name is measured.
    nuclear
        Name of the nuclear channel of fluorescence: focus and contrast are measured on it.

    Raises
    ------
    SlideError
        The slide is fluorescence and is judged as brightfield, or the reverse; it has no such
        nuclear channel; or it cannot be decoded.
    """
    bright = slide.channels == RGB
    if bright != (stain != "fluorescence"):
        raise SlideError(
            f"the slide is {'brightfield' if bright else 'fluorescence'} and is given as {stain}",
            where=slide.name,
            value=", ".join(slide.channels),
            remedy="Correct its stain in study.toml",
        )
    look = _Brightfield(slide, stain) if bright else _Fluorescence(slide, nuclear)
    measurements = []
    for name, limit in limits.items():
        measure = look.measures.get(name)
        if measure is None:
            continue
        value, why_not = measure()
        measurements.append(Measurement(name=name, value=value, limit=limit, why_not=why_not))
    return Quality(
        stain=stain,
        measurements=tuple(measurements),
        tissue=look.tissue,
        defects=look.defects,
        overview=look.overview,
        mpp=look.mpp,
    )


Found = tuple[float, str]
_UNKNOWN = float("nan")


class _Look:
    """An overview of a slide, and what both kinds of light share."""

    slide: SlideReader
    overview: Rgb
    tissue: Mask
    mpp: float
    defects: dict[str, Mask]
    measures: dict[str, Callable[[], Found]]

    def tissue_area(self) -> Found:
        return float(self.tissue.sum()) * self.mpp**2 / 1e6, ""

    def focus_tiles(self) -> Iterator[Pixels]:
        """Tiles of 1 µm a pixel, evenly spread over the tissue."""
        mpp = max(_FOCUS_MPP, self.slide.mpp)
        width, height = self.slide.size_at(mpp)
        grid = TileGrid(
            width=width, height=height, mpp=mpp, tile_size=_FOCUS_TILE, step=_FOCUS_TILE
        )
        tiles = grid.on_tissue(self.tissue, self.mpp, 0.6)
        chosen = np.linspace(0, len(tiles) - 1, min(len(tiles), _MOST_FOCUS_TILES)).astype(int)
        for row, column in tiles[chosen].tolist():
            yield self.slide.read(grid.region(row, column), mpp)

    def out_of_focus(self, limit_um: float, light: Callable[..., Floats32]) -> Found:
        if self.slide.mpp > COARSEST_MPP:
            return _UNKNOWN, f"unknown: {self.slide.mpp:g} µm per pixel are too coarse"
        mpp = max(_FOCUS_MPP, self.slide.mpp)
        widths = [edge_width_um(light(tile), mpp) for tile in self.focus_tiles()]
        if len(widths) < _LEAST_FOCUS_TILES:
            return _UNKNOWN, "unknown: too little tissue in one piece"
        blurred = [not w <= limit_um for w in widths]  # no edges at all is no focus either
        return 100.0 * float(np.mean(blurred)), ""


def _overview(slide: SlideReader) -> tuple[Pixels, float]:
    full = slide.levels[0]
    area_um2 = full.width * full.height * slide.mpp**2
    mpp = max(OVERVIEW_MPP, slide.mpp, float(np.sqrt(area_um2 / _MOST_OVERVIEW_PIXELS)))
    width, height = slide.size_at(mpp)
    return slide.read(Region(x=0, y=0, width=width, height=height), mpp), mpp


_CELLS_APART_UM = 200.0

# An edge wider than this is a blur of 2–3 µm: chromatin is gone, and nuclei touch.
_BLURRED_UM = 1.0


def _mean_of(density: Floats32) -> Floats32:
    """Mean of three channels; ten times as quick as numpy's along a short last axis."""
    total = density[..., 0] + density[..., 1] + density[..., 2]
    return np.asarray(total / np.float32(3.0), dtype=np.float32)


class _Brightfield(_Look):
    def __init__(self, slide: SlideReader, stain: Stain) -> None:
        self.slide, self.stain = slide, stain
        overview, self.mpp = _overview(slide)
        self.overview = np.asarray(overview, dtype=np.uint8)
        self.glass = background_colour(self.overview)
        self.density = optical_density(self.overview, self.glass)
        self.light = _mean_of(self.density)
        stained = tissue_mask(self.overview, self.mpp, self.glass)
        inked = pen(self.density, self.mpp)
        self.stained, self.tissue = stained, stained & ~inked
        self.defects = {"pen": inked}
        self.measures = {
            "tissue_area_mm2": self.tissue_area,
            "out_of_focus_percent": lambda: self.out_of_focus(_BLURRED_UM, self._tile_light),
            "pen_percent": self._pen,
            "folds_percent": lambda: self._area("folds", lambda: folds(*self._dense())),
            "tears_percent": lambda: self._area("tears", lambda: tears(self.tissue, self.mpp)),
            "knife_lines_percent": lambda: self._area(
                "knife lines", lambda: knife_lines(self.light, self.tissue, self.mpp)
            ),
            "bubbles_percent": lambda: self._area(
                "bubbles", lambda: bubbles(self.density, self.mpp)
            ),
            "staining_od": self._staining,
            "uneven_staining_ratio": self._unevenness,
            "glass_brightness": lambda: (float(self.glass.min()), ""),
            "glass_unevenness_od": self._glass_unevenness,
        }

    def _dense(self) -> tuple[Floats32, Mask, float]:
        return self.density, self.tissue, self.mpp

    def _tile_light(self, tile: Rgb) -> Floats32:
        return _mean_of(optical_density(tile, self.glass))

    def _pen(self) -> Found:
        inked = float((self.defects["pen"] & self.stained).sum())
        return 100.0 * inked / max(float(self.stained.sum()), 1.0), ""

    def _area(self, name: str, find: Callable[[], Mask]) -> Found:
        """Share of the section that a defect takes; gaps count though they are not tissue."""
        if self.tissue_area()[0] < _ENOUGH_TO_SEE_MM2:
            return 0.0, f"none told on less than {_ENOUGH_TO_SEE_MM2:g} mm² of tissue"
        self.defects[name] = find()
        return 100.0 * float(self.defects[name].sum()) / float(self.tissue.sum()), ""

    def _staining(self) -> Found:
        """Density of the section's dense parts: a median moves with how much fat there is.

        Ink counts: a section stained too dark to be told from black ink is over-stained.
        """
        if not self.stained.any():
            return _UNKNOWN, "unknown: no tissue"
        return float(np.percentile(self.light[self.stained], 90)), ""

    def _unevenness(self) -> Found:
        """95th over 5th percentile of a smooth trend of the density over the section.

        Of solid tissue only: where fat or alveoli thin it out, it is not the staining that is.
        """
        side = max(1, round(_BLOCK_UM / self.mpp))
        usual = cv2.boxFilter(self.light, -1, (side, side))
        weight = (self.tissue & (self.light > _SOLID * usual)).astype(np.float32)
        total = cv2.boxFilter(self._evenly_stained() * weight, -1, (side, side))[::side, ::side]
        share = cv2.boxFilter(weight, -1, (side, side))[::side, ::side]
        row, column = np.nonzero(share > 0.85)
        if len(row) < _FEWEST_BLOCKS:
            return 1.0, f"not told: fewer than {_FEWEST_BLOCKS} blocks of {_BLOCK_UM:g} µm"
        density = np.log(np.maximum(total[row, column] / share[row, column], 1e-3))
        y, x = (v / max(float(v.max()), 1.0) - 0.5 for v in (row, column))
        terms = np.stack([np.ones_like(x), x, y, x * x, y * y, x * y], axis=1)
        trend = terms @ np.linalg.lstsq(terms, density, rcond=None)[0]
        low, high = np.percentile(trend, [5, 95])
        return float(np.exp(high - low)), ""

    def _evenly_stained(self) -> Floats32:
        """Density that should be alike everywhere: on IHC the counterstain's, not the marker's."""
        if self.stain == "H&E":
            return self.light
        known = published_stains(("haematoxylin", "dab"), self.glass)
        return np.ascontiguousarray(deconvolve(self.overview, known)[..., 0])

    def _glass_unevenness(self) -> Found:
        reach = 2 * round(100.0 / self.mpp) + 1
        near = cv2.dilate(
            (self.stained | self.defects["pen"]).astype(np.uint8), np.ones((reach, reach), np.uint8)
        )
        filled = (self.overview == 0).all(axis=-1) | (self.overview == 255).all(axis=-1)
        clear = (near == 0) & ~filled
        if clear.sum() < 500:
            return 0.0, "not told: hardly any glass in the picture"
        smooth = cv2.GaussianBlur(self.light, (0, 0), 2.0)[clear]
        low, high = np.percentile(smooth, [2.5, 97.5])
        return float(high - low), ""


class _Fluorescence(_Look):
    def __init__(self, slide: SlideReader, nuclear: str) -> None:
        self.slide = slide
        if nuclear not in slide.channels:
            raise SlideError(
                "the slide has no such nuclear channel",
                where=slide.name,
                value=nuclear,
                remedy=f"Name one of its channels as [slides] nuclear in study.toml or with "
                f"--nuclear: {', '.join(slide.channels)}",
            )
        self.nuclear = slide.channels.index(nuclear)
        planes, self.mpp = _overview(slide)
        self.top = float(np.iinfo(slide.dtype).max)
        self.planes = planes.astype(np.float32) / self.top
        total = self.planes.max(axis=-1)
        dark, bright = np.percentile(total, [1, 99.5])
        shown = np.clip((total - dark) / max(float(bright - dark), 1e-6), 0, 1)
        self.overview = np.repeat((shown * 255).astype(np.uint8)[..., None], 3, axis=2)
        self.dark = float(dark)
        # Cells shine on a dark field: the picture of their light is tissue on glass turned over.
        # Stroma between them is as dark as glass, so gaps of a few cells' width are closed.
        lit = tissue_mask(255 - self.overview, self.mpp).astype(np.uint8)
        side = 2 * round(_CELLS_APART_UM / 2 / self.mpp) + 1
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
        around = cv2.copyMakeBorder(lit, side, side, side, side, cv2.BORDER_CONSTANT, value=0)
        closed = cv2.morphologyEx(around, cv2.MORPH_CLOSE, disc)[side:-side, side:-side]
        self.tissue = np.asarray(closed > 0, dtype=np.bool_)
        self.defects = {}
        self.measures = {
            "tissue_area_mm2": self.tissue_area,
            "out_of_focus_percent": lambda: self.out_of_focus(_BLURRED_UM, self._nuclear_light),
            "saturated_percent": self._saturated,
            "contrast_ratio": self._contrast,
        }

    def _nuclear_light(self, tile: Pixels) -> Floats32:
        return np.asarray(tile[..., self.nuclear], dtype=np.float32) / np.float32(self.top)

    def _saturated(self) -> Found:
        """On the tiles that focus is measured on: an overview's averages hide single pixels."""
        full = [(tile >= 0.999 * self.top).any(axis=-1).mean() for tile in self.focus_tiles()]
        if not full:
            return _UNKNOWN, "unknown: no tissue"
        return 100.0 * float(np.mean(full)), ""

    def _contrast(self) -> Found:
        """Nuclear light on tissue over that beside it."""
        if not self.tissue.any() or self.tissue.all():
            return _UNKNOWN, "unknown: no tissue, or nothing beside it"
        nuclear = self.planes[..., self.nuclear]
        beside = float(np.median(nuclear[~self.tissue]))
        return float(np.median(nuclear[self.tissue])) / max(beside, 1.0 / self.top), ""


_COLOURS = {
    "pen": (0, 200, 0),
    "folds": (220, 0, 0),
    "tears": (255, 140, 0),
    "knife lines": (0, 60, 255),
    "bubbles": (170, 0, 200),
}


def overlay(quality: Quality) -> Rgb:
    """The overview with the tissue's outline and each defect in its colour."""
    out = quality.overview.copy()
    for name, mask in quality.defects.items():
        tint = np.array(_COLOURS[name], dtype=np.float32)
        out[mask] = (0.4 * out[mask] + 0.6 * tint).astype(np.uint8)
    outlines, _ = cv2.findContours(
        quality.tissue.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE
    )
    line = (255, 255, 0) if quality.stain == "fluorescence" else (0, 0, 0)
    cv2.drawContours(out, outlines, -1, line, 1)
    return out
