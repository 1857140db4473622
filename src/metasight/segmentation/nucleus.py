"""Nuclei by classical means: in H&E, in haematoxylin beside DAB, and in fluorescence.

The image is an amount that is high in nuclei: optical density in red light, where haematoxylin
absorbs and eosin hardly does, or the DAPI signal. Foreground is what exceeds both the slide's
threshold and its own surroundings; touching nuclei are parted by a watershed from peaks of
amount and depth; each nucleus is then cut at half its own height above its surroundings, so that
dark and pale nuclei get their own size and not that of one threshold. All lengths are in µm, so
that any resolution from 0.2 to 1 µm per pixel is treated alike.
"""

# mypy: disallow-untyped-calls=False

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from metasight.errors import MarkerError
from metasight.segmentation.cross_entropy import threshold_of_least_cross_entropy
from metasight.segmentation.nucleus_parting import depth_of, flooded, peaks_of, ring_of
from metasight.segmentation.nucleus_pieces import (
    cut_each,
    moments_of_labels,
    percentile_of_labels,
)
from metasight.slides.stain import Rgb, background_colour, optical_density

Floats = npt.NDArray[np.float64]
Image = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int32]
Mask = npt.NDArray[np.bool_]

FINEST_MPP, COARSEST_MPP = 0.1, 1.05
_LITTLE_DAB = 0.15  # optical density: below it a pixel is taken for haematoxylin alone
_LEAST_CLEAR = 0.05  # of the pixels


@dataclass(frozen=True, kw_only=True)
class NucleusSettings:
    """Sizes of nuclei and how clearly they must show.

    Attributes
    ----------
    smoothing_um
        Standard deviation of the Gaussian against noise and chromatin texture.
    surroundings_um
        Standard deviation of the Gaussian that gives the local level: wider than a nucleus,
        narrower than a nest.
    seed_um
        Smoothing of the peaks: half the radius of a small nucleus (4 µm).
    seed_distance_um
        Two centres are at least this far apart: the radius of the smallest nucleus.
    depth_um
        Depth inside the foreground from which shape says no more.
    shape_weight
        Weight of depth beside amount where peaks are sought.
    above_surroundings
        Share of the staining strength by which foreground exceeds its surroundings.
    minimum_contrast
        Share of the staining strength by which a nucleus stands out from the ring round it; what
        is fainter is out of focus or no nucleus.
    minimum_area_um2
        A disc of 5 µm: below it are debris and cut-off caps.
    lymphocyte_area_um2, lymphocyte_axis_ratio, lymphocyte_amount
        A nucleus is like a lymphocyte's if it is at most as large (a disc of 11 µm, blur
        included), at most as long, and its chromatin at least as dense, as a share of the
        staining strength.
    """

    smoothing_um: float = 1.0
    surroundings_um: float = 15.0
    seed_um: float = 2.0
    seed_distance_um: float = 2.5
    depth_um: float = 6.0
    shape_weight: float = 0.75
    above_surroundings: float = 0.075
    minimum_contrast: float = 0.2
    minimum_area_um2: float = 20.0
    lymphocyte_area_um2: float = 100.0
    lymphocyte_axis_ratio: float = 2.0
    lymphocyte_amount: float = 0.6


@dataclass(frozen=True, kw_only=True)
class NuclearLevels:
    """What is nuclear on this slide, in the image's own unit.

    Attributes
    ----------
    threshold
        Between nuclei and the rest, by least cross entropy (Li and Lee, Pattern Recognit
        1993;26:617): unlike Otsu's it is not drawn up by a few very dark nuclei, such as DAB's.
    strength
        95th percentile of the foreground: how dark (bright) nuclei get.
    ceiling
        Amounts above it say no more of a nucleus; beside DAB, which is darker than any
        haematoxylin, it is the strength. None for none.
    """

    threshold: float
    strength: float
    ceiling: float | None = None


@dataclass(frozen=True, kw_only=True)
class Nuclei:
    """Nuclei of one image.

    Attributes
    ----------
    labels
        int32, shape ``(y, x)``: 0 or the nucleus' number from 1.
    mpp
        µm per pixel.
    x_um, y_um
        Centroids from the image's corner, shape ``(n,)``.
    area_um2
        Of each nucleus.
    amount, contrast
        Mean amount, and how far the nucleus stands out from the ring round it, as shares of the
        staining strength.
    axis_ratio
        Longer over shorter axis of the ellipse of equal moments, at least 1.
    lymphocyte_like
        By size, shape and density of chromatin. It is a call about looks: plasma cells, small
        apoptotic and pyknotic nuclei share them.
    """

    labels: Labels
    mpp: float
    x_um: Floats
    y_um: Floats
    area_um2: Floats
    amount: Floats
    contrast: Floats
    axis_ratio: Floats
    lymphocyte_like: Mask

    def __len__(self) -> int:
        return len(self.x_um)


def haematoxylin_image(rgb: Rgb, background: npt.ArrayLike | None = None) -> Image:
    """Optical density in red light: haematoxylin's, and DAB's where it covers a nucleus.

    Eosin lets red light through, so this needs no stain vectors; measured on
    ``slides/histolytics`` it tells nuclei better than deconvolved haematoxylin does.
    """
    glass = background_colour(rgb) if background is None else background
    red = optical_density(rgb[..., :1], np.asarray(glass)[:1])
    return np.ascontiguousarray(red[..., 0])


def nuclear_levels(image: Image, mpp: float, settings: NucleusSettings) -> NuclearLevels:
    """Threshold and strength of an image, or of a sample of a slide's tissue.

    Raises
    ------
    MarkerError
        The image is flat: it shows no nuclei, or is no nuclear channel.
    """
    return _levels_of(blurred(image, settings.smoothing_um / mpp))


def _levels_of(smooth: Image) -> NuclearLevels:
    ascending = np.sort(smooth, axis=None)
    if not float(ascending[-1] - ascending[0]) > 0:
        raise MarkerError("the nuclear image is flat", remedy="Check which channel is nuclear")
    threshold, strength = _threshold_and_strength(ascending)
    return NuclearLevels(threshold=threshold, strength=strength)


def _threshold_and_strength(ascending: Image) -> tuple[float, float]:
    threshold = threshold_of_least_cross_entropy(ascending)
    foreground = ascending[np.searchsorted(ascending, np.float32(threshold), side="right") :]
    at = 0.95 * (len(foreground) - 1)
    low, high = foreground[int(at)], foreground[min(int(at) + 1, len(foreground) - 1)]
    return threshold, float(low) + float(high - low) * (at - int(at))


def levels_beside_dab(
    image: Image, dab: npt.NDArray[np.floating], mpp: float, settings: NucleusSettings
) -> NuclearLevels:
    """Threshold, strength and ceiling of haematoxylin in a section with DAB.

    They are taken where there is little DAB: dark DAB would draw the threshold up until pale
    nuclei beside it are lost, and the share of positive cells with them. Where nearly all tissue
    is brown, from all of it.

    Parameters
    ----------
    image
        Of `haematoxylin_image`.
    dab
        Optical density of DAB, same shape.

    Raises
    ------
    MarkerError
        The image is flat.
    """
    smooth = blurred(image, settings.smoothing_um / mpp)
    clear = np.sort(smooth[blurred(np.asarray(dab), settings.smoothing_um / mpp) < _LITTLE_DAB])
    if clear.size < _LEAST_CLEAR * smooth.size or not float(clear[-1] - clear[0]) > 0:
        return nuclear_levels(image, mpp, settings)
    threshold, strength = _threshold_and_strength(clear)
    return NuclearLevels(threshold=threshold, strength=strength, ceiling=strength)


def detect_nuclei(
    image: npt.NDArray[np.floating] | npt.NDArray[np.integer],
    mpp: float,
    settings: NucleusSettings | None = None,
    levels: NuclearLevels | None = None,
) -> Nuclei:
    """Find nuclei in an image in which they are bright.

    Parameters
    ----------
    image
        Amount of a nuclear dye, shape ``(y, x)``; any unit.
    mpp
        µm per pixel, 0.1 to 1.05.
    settings
        Sizes and contrasts.
    levels
        The slide's, so that tiles are treated alike; taken from the image where None.

    Raises
    ------
    MarkerError
        The resolution is outside the range, or the image is flat.
    """
    if not FINEST_MPP <= mpp <= COARSEST_MPP:
        raise MarkerError(
            "nuclei cannot be recognised at this resolution",
            value=f"{mpp:g} µm per pixel",
            remedy=f"Read the slide at {FINEST_MPP:g} to 1 µm per pixel",
        )
    s = settings or NucleusSettings()
    amount = np.asarray(image, dtype=np.float32)
    if levels is not None and levels.ceiling is not None:
        amount = np.minimum(amount, np.float32(levels.ceiling))
    smooth = blurred(amount, s.smoothing_um / mpp)
    levels = levels or _levels_of(smooth)
    parted = _parted(amount, smooth, mpp, s, levels)
    fine = blurred(amount, 0.5 / mpp)
    labels, height, base = _cut_at_half(fine, parted, mpp)
    return _measured(fine, labels, (height - base) / levels.strength, mpp, s, levels)


def detect_in_he(rgb: Rgb, mpp: float, settings: NucleusSettings | None = None) -> Nuclei:
    """Find nuclei in H&E; beside DAB give `detect_nuclei` the levels of `levels_beside_dab`."""
    return detect_nuclei(haematoxylin_image(rgb), mpp, settings)


def detect_in_fluorescence(
    nuclear: npt.NDArray[np.integer] | npt.NDArray[np.floating],
    mpp: float,
    settings: NucleusSettings | None = None,
) -> Nuclei:
    """Find nuclei in DAPI or another nuclear channel, in counts."""
    return detect_nuclei(fluorescence_image(nuclear), mpp, settings)


def fluorescence_image(
    nuclear: npt.NDArray[np.integer] | npt.NDArray[np.floating], dark: float | None = None
) -> Image:
    """Square root of a nuclear channel's counts above the dark level.

    Photon noise is then the same in dim and bright nuclei, and a few very bright ones do not set
    the threshold. Whoever goes through a slide in tiles gives the slide's ``dark`` level; it is
    the 1st percentile of the counts where None.
    """
    counts = np.asarray(nuclear, dtype=np.float32)
    level = float(np.percentile(counts, 1)) if dark is None else dark
    return np.asarray(np.sqrt(np.maximum(counts - level, 0)), dtype=np.float32)


def blurred(image: npt.NDArray[np.floating], sigma_px: float) -> Image:
    """Gaussian blur, cut off at four standard deviations, the image reflected at its edges.

    As ``scipy.ndimage.gaussian_filter`` in single precision, some ten times as fast.
    """
    reach = int(4 * sigma_px + 0.5)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma_px) ** 2)
    kernel /= kernel.sum()
    return np.asarray(
        cv2.sepFilter2D(
            np.ascontiguousarray(image, dtype=np.float32),
            cv2.CV_32F,
            kernel,
            kernel,
            borderType=cv2.BORDER_REFLECT,
        ),
        dtype=np.float32,
    )


def widely_blurred(image: Image, sigma_px: float) -> Image:
    """As `blurred` with a wide Gaussian: on a grid that is a seventh of the width coarse.

    Averaging to the grid and interpolating from it blur too; what they add is left out of the
    Gaussian. Right to a thousandth of the image's contrast, the edges reflected as there.
    """
    step = int(sigma_px / 7)
    if step < 2:
        return blurred(image, sigma_px)
    reach = step * -(-int(4 * sigma_px) // step)
    rows, columns = (-(-n // step) for n in image.shape)
    bottom, right = (
        m * step - n + reach for m, n in zip((rows, columns), image.shape, strict=True)
    )
    wide = cv2.copyMakeBorder(image, 0, bottom, 0, right, cv2.BORDER_REFLECT)
    size = wide.shape[1] // step, wide.shape[0] // step
    coarse = cv2.resize(wide, size, interpolation=cv2.INTER_AREA)
    added = (step**2 - 1) / 12 + step**2 / 6
    smooth = blurred(np.asarray(coarse), np.sqrt(sigma_px**2 - added) / step)
    fine = cv2.resize(
        smooth[:rows, :columns],
        (columns * step, rows * step),
        interpolation=cv2.INTER_LINEAR,
    )
    return np.asarray(fine[: image.shape[0], : image.shape[1]], dtype=np.float32)


def _disc(radius_um: float, mpp: float) -> Mask:
    r = max(1, round(radius_um / mpp))
    y, x = np.ogrid[-r : r + 1, -r : r + 1]
    return np.asarray(x * x + y * y <= r * r, dtype=np.bool_)


def _opened(mask: Mask, disc: Mask) -> Mask:
    """Morphological opening; beyond the edge there is nothing."""
    reach = disc.shape[0] // 2
    padded = np.pad(mask.astype(np.uint8), reach)
    opened = cv2.morphologyEx(padded, cv2.MORPH_OPEN, disc.astype(np.uint8))
    return np.asarray(opened[reach:-reach, reach:-reach], dtype=np.bool_)


def _without_holes(mask: Mask) -> Mask:
    """What cannot be reached from outside by steps over edges of empty pixels."""
    padded = np.pad(mask.astype(np.uint8), 1)
    cv2.floodFill(padded, None, (0, 0), 2, flags=4)
    return np.asarray(padded[1:-1, 1:-1] != 2, dtype=np.bool_)


def _parted(
    amount: Image, smooth: Image, mpp: float, s: NucleusSettings, levels: NuclearLevels
) -> Labels:
    """Foreground, parted into nuclei by a watershed."""
    # in place: a tile has millions of pixels, and new memory costs more than the sums
    least = widely_blurred(amount, s.surroundings_um / mpp)
    least += s.above_surroundings * levels.strength
    foreground = smooth > np.maximum(least, levels.threshold, out=least)
    foreground = _without_holes(_opened(foreground, _disc(1.0, mpp)))
    depth = depth_of(foreground, int(np.ceil(s.depth_um / mpp)))
    depth *= mpp
    np.minimum(depth, s.depth_um, out=depth)
    depth /= s.depth_um
    height = blurred(amount, s.seed_um / mpp)
    height /= levels.strength
    shape = blurred(depth, 1.0 / mpp)
    shape *= s.shape_weight
    height += shape
    peaks = peaks_of(height, foreground, max(1, round(s.seed_distance_um / mpp)))
    return flooded(height, peaks, foreground)


def _cut_at_half(fine: Image, parted: Labels, mpp: float) -> tuple[Labels, Floats, Floats]:
    """Each nucleus above half of its own height, its largest piece; height and base of each."""
    n = int(parted.max(initial=0))
    ring = ring_of(parted, 3.0 / mpp)
    height = percentile_of_labels(fine, parted, n, 0.75)
    base = percentile_of_labels(fine, ring, n, 0.25)
    # a nucleus wedged among others has no ring of its own; it gets the slide's usual one
    known = base[np.isfinite(base)]
    base = np.where(np.isfinite(base), base, np.median(known) if known.size else np.nan)
    disc = np.argwhere(_disc(0.5, mpp)) - max(1, round(0.5 / mpp))
    labels = cut_each(fine, parted, (height + base) / 2, disc)
    return labels, height[1:], base[1:]


def _measured(  # noqa: PLR0917
    fine: Image,
    labels: Labels,
    contrast: Floats,
    mpp: float,
    s: NucleusSettings,
    levels: NuclearLevels,
) -> Nuclei:
    """Keep what is large and clear enough, number it anew and measure it."""
    found = moments_of_labels(fine, labels, len(contrast))
    area = found[:, 0] * mpp**2
    keep = (area >= s.minimum_area_um2) & (contrast >= s.minimum_contrast)
    new = np.zeros(len(contrast) + 1, dtype=np.int32)
    new[1:][keep] = np.arange(1, int(keep.sum()) + 1)
    labels, found = new[labels], found[keep]
    ratio = found[:, 4] / np.maximum(found[:, 5], mpp)
    mean = found[:, 3] / levels.strength
    size = area[keep]
    like = (size <= s.lymphocyte_area_um2) & (ratio <= s.lymphocyte_axis_ratio)
    return Nuclei(
        labels=labels,
        mpp=mpp,
        x_um=(found[:, 2] + 0.5) * mpp,
        y_um=(found[:, 1] + 0.5) * mpp,
        area_um2=size,
        amount=mean,
        contrast=contrast[keep],
        axis_ratio=ratio,
        lymphocyte_like=like & (mean >= s.lymphocyte_amount),
    )
