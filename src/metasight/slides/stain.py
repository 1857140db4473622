"""Stains: optical density, what each dye absorbs, how much is where, one slide's look on another.

Light through a stained section falls off exponentially with the amount of each dye
(Beer–Lambert), so dyes add in optical density and not in colour. Everything here assumes
transmitted light and dyes that absorb; DAB also scatters, and its optical density above about 1
is not proportional to the antigen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from metasight.errors import SlideError

Rgb = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]
Floats32 = npt.NDArray[np.float32]
Method = Literal["macenko", "vahadane"]
Dye = Literal["haematoxylin", "eosin", "dab"]

# Ruifrok & Johnston, Anal Quant Cytol Histol 2001;23:291: optical density in red, green, blue.
# They only tell which estimated vector is which dye; they are not used to separate stains
# unless a caller asks for them.
RUIFROK: dict[Dye, tuple[float, float, float]] = {
    "haematoxylin": (0.650, 0.704, 0.286),
    "eosin": (0.072, 0.990, 0.105),
    "dab": (0.268, 0.570, 0.776),
}

_DARKEST = 1.0  # a grey level that is added so that a black pixel has an optical density
_STAINED_OD = 0.15 / np.log(10)  # Macenko's beta, given there in natural logarithms
_SPARSITY_OD = 0.1 / np.log(10)  # Vahadane's lambda, likewise
_ROUNDS = 60
_MOST_PIXELS = 200_000
_FEWEST_PIXELS = 500


@dataclass(frozen=True, kw_only=True)
class Stains:
    """What each dye absorbs and how much of it the slide carries at most.

    Attributes
    ----------
    names
        Dyes, in the order of ``vectors``.
    vectors
        (dyes, 3): optical density in red, green and blue, each row of length 1.
    strongest
        Per dye the 99th percentile of its amount (OD units) among the pixels looked at: the
        staining strength.
    background
        (3,) colour of empty glass, grey levels 0–255.
    """

    names: tuple[Dye, ...]
    vectors: Floats
    strongest: Floats
    background: Floats

    def __post_init__(self) -> None:
        if self.vectors.shape != (len(self.names), 3):
            raise ValueError("vectors must have one row of red, green, blue for each dye")
        if not np.allclose(np.linalg.norm(self.vectors, axis=1), 1.0, atol=1e-6):
            raise ValueError("each stain vector must have length 1")

    def angle_degrees(self, dye: Dye) -> float:
        """Angle between this slide's vector of ``dye`` and the published one, in degrees."""
        mine, published = self.vectors[self.names.index(dye)], _unit(np.array(RUIFROK[dye]))
        return float(np.degrees(np.arccos(np.clip(mine @ published, -1.0, 1.0))))


def background_colour(rgb: Rgb) -> Floats:
    """Colour of empty glass: the median of the pixels almost as bright as the brightest.

    Assumes that glass (or a lumen) shines through in at least one pixel of a hundred. Pure white
    and pure black are left out where anything else is there: scanners fill with them what they
    did not scan, and that is brighter than the glass beside it.

    Parameters
    ----------
    rgb
        (h, w, 3) uint8.

    Returns
    -------
    (3,) grey levels, at least 1.
    """
    pixels = _sample(rgb.reshape(-1, 3))
    red, green, blue = pixels.T
    # glass is bright in every channel, pale eosin is not
    light = np.minimum(np.minimum(red, green), blue)
    scanned = ((red > 0) | (green > 0) | (blue > 0)) & (light < 255)
    if scanned.mean() > 0.01:
        pixels, light = pixels[scanned], light[scanned]
    brightest = np.percentile(light, 99)
    glass = pixels[light >= 0.96 * brightest]
    return np.asarray(np.maximum(np.median(glass, axis=0), 1.0), dtype=np.float64)


def optical_density(rgb: Rgb, background: npt.ArrayLike = (255.0, 255.0, 255.0)) -> Floats32:
    """Decadic optical density per channel.

    Below 0 where a pixel is brighter than ``background``: noise round the glass is kept, so that
    averages are not biased.

    Parameters
    ----------
    rgb
        (h, w, 3) uint8; any leading shape is kept. Fewer channels may be given.
    background
        Colour of empty glass in the same channels, see `background_colour`.

    Returns
    -------
    float32 of the shape of ``rgb``; 0 is glass, 1 lets a tenth of the light through.
    """
    glass = np.asarray(background, dtype=np.float64) + _DARKEST
    table = np.log10(glass[:, None] / (np.arange(256)[None, :] + _DARKEST))
    table = table.astype(np.float32)  # a table: 256 logarithms, not 10⁸
    out = np.empty(rgb.shape, dtype=np.float32)
    for channel in range(rgb.shape[-1]):
        np.take(table[channel], rgb[..., channel], out=out[..., channel])
    return out


def estimate_stains(
    rgb: Rgb,
    *,
    dyes: tuple[Dye, Dye] = ("haematoxylin", "eosin"),
    method: Method = "macenko",
    background: npt.ArrayLike | None = None,
    mask: npt.NDArray[np.bool_] | None = None,
) -> Stains:
    """What two dyes absorb on this slide, found from its pixels.

    ``macenko`` (Macenko et al., ISBI 2009): stained pixels lie between the two dyes in the plane
    that explains most of their optical density; the dyes are the 1st and 99th percentile of the
    angle in it. ``vahadane`` (after Vahadane et al., IEEE TMI 2016;35:1962): sparse non-negative
    factorisation, begun at Macenko's answer; slower, and less moved by a third colour.

    Parameters
    ----------
    rgb
        (h, w, 3) uint8 with tissue.
    dyes
        Which two; they are told apart by the published vectors.
    background
        Colour of empty glass; estimated where it is None.
    mask
        (h, w); only these pixels are looked at.

    Raises
    ------
    SlideError
        Fewer than 500 stained pixels, or no two colours in them.
    """
    glass = background_colour(rgb) if background is None else np.asarray(background, np.float64)
    pixels = rgb[mask] if mask is not None else rgb.reshape(-1, 3)
    density = optical_density(_sample(pixels), glass).astype(np.float64)
    stained = density[(density >= _STAINED_OD).all(axis=1)]
    if len(stained) < _FEWEST_PIXELS:
        raise SlideError(
            "too little stained tissue to separate the dyes",
            value=f"{len(stained)} stained pixels",
            remedy=f"Give a region with at least {_FEWEST_PIXELS}",
        )
    vectors = _macenko(stained)
    if method == "vahadane":
        vectors = _vahadane(stained, vectors)
    vectors = _named(vectors, dyes)
    amounts = _amounts(density, vectors)
    return Stains(
        names=dyes,
        vectors=vectors,
        strongest=np.percentile(amounts, 99, axis=0),
        background=glass,
    )


def published_stains(
    dyes: tuple[Dye, ...], background: npt.ArrayLike = (255.0, 255.0, 255.0)
) -> Stains:
    """Ruifrok's vectors, for tissue too little to estimate its own; strength 1."""
    vectors = np.array([_unit(np.array(RUIFROK[d])) for d in dyes])
    return Stains(
        names=dyes,
        vectors=vectors,
        strongest=np.ones(len(dyes)),
        background=np.asarray(background, dtype=np.float64),
    )


def deconvolve(rgb: Rgb, stains: Stains) -> Floats32:
    """Amount of each dye in each pixel, in optical density.

    Least squares; a pixel of another colour leaves a residual that `residual` gives. Small
    negative amounts are noise and are kept, so that averages are not biased.

    Returns
    -------
    (h, w, dyes) float32.
    """
    inverse = np.linalg.pinv(stains.vectors).astype(np.float32)
    return np.asarray(optical_density(rgb, stains.background) @ inverse, dtype=np.float32)


def residual(rgb: Rgb, stains: Stains) -> Floats32:
    """Optical density that the dyes do not explain: pen, pigment, folds; (h, w), at least 0."""
    density = optical_density(rgb, stains.background)
    explained = deconvolve(rgb, stains) @ stains.vectors.astype(np.float32)
    return np.asarray(np.linalg.norm(density - explained, axis=-1), dtype=np.float32)


def normalise(rgb: Rgb, source: Stains, target: Stains) -> Rgb:
    """``rgb`` as it would look with the target's dyes, strength and glass.

    Raises
    ------
    SlideError
        The two were not estimated for the same dyes.
    """
    if source.names != target.names:
        raise SlideError(
            "stains with different dyes cannot be compared",
            value=f"{', '.join(source.names)} and {', '.join(target.names)}",
            remedy="Estimate both with the same dyes",
        )
    amounts = deconvolve(rgb, source)
    # one matrix: amounts → scaled amounts → optical density in the target's colours
    colours = (target.strongest / source.strongest)[:, None] * target.vectors
    density = amounts @ colours.astype(np.float32)
    light = (target.background + _DARKEST).astype(np.float32)
    shown = light * np.power(np.float32(10.0), -density) - _DARKEST
    return np.asarray(np.clip(np.rint(shown), 0, 255), dtype=np.uint8)


def _sample(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Every n-th pixel, at most 200,000: no seed, the same ones every time."""
    step = max(1, len(pixels) // _MOST_PIXELS)
    return pixels[::step]


def _unit(vector: Floats) -> Floats:
    return np.asarray(vector / np.linalg.norm(vector), dtype=np.float64)


def _macenko(stained: Floats) -> Floats:
    _, axes = np.linalg.eigh(np.cov(stained.T))
    plane = axes[:, [2, 1]]
    plane = plane * np.where(plane.sum(axis=0) < 0, -1.0, 1.0)  # the dyes absorb: point outwards
    in_plane = stained @ plane
    angle = np.arctan2(in_plane[:, 1], in_plane[:, 0])
    ends = np.percentile(angle, [1, 99])
    if ends[1] - ends[0] < 1e-3:
        raise SlideError(
            "the stained tissue has one colour only",
            remedy="Check that the section carries two dyes",
        )
    vectors = np.array([plane @ [np.cos(a), np.sin(a)] for a in ends])
    return np.array([_unit(np.maximum(v, 0.0)) for v in vectors])


def _vahadane(stained: Floats, start: Floats) -> Floats:
    """Dictionary of two unit vectors, none negative, with amounts that are sparse and ≥ 0."""
    step = max(1, len(stained) // 50_000)
    density = stained[::step]
    vectors = start.copy()
    amounts = np.maximum(_amounts(density, vectors), 0.0)
    for _ in range(_ROUNDS):
        for dye, other in ((0, 1), (1, 0)):  # coordinate descent: each step has a closed form
            rest = density - np.outer(amounts[:, other], vectors[other])
            amounts[:, dye] = np.maximum(rest @ vectors[dye] - _SPARSITY_OD, 0.0)
        for dye, other in ((0, 1), (1, 0)):
            rest = density - np.outer(amounts[:, other], vectors[other])
            vectors[dye] = _unit(np.maximum(amounts[:, dye] @ rest, 1e-9))
    return vectors


def _named(vectors: Floats, dyes: tuple[Dye, Dye]) -> Floats:
    """Rows in the order of ``dyes``: the order that lies nearer to the published vectors."""
    published = np.array([_unit(np.array(RUIFROK[d])) for d in dyes])
    as_is = np.trace(vectors @ published.T)
    swapped = np.trace(vectors[::-1] @ published.T)
    return vectors if as_is >= swapped else vectors[::-1].copy()


def _amounts(density: Floats, vectors: Floats) -> Floats:
    return np.asarray(density @ np.linalg.pinv(vectors), dtype=np.float64)
