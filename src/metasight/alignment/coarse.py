"""Rough poses of one section on the other: every angle, both sides, several candidates.

Masked normalised cross-correlation (Padfield, IEEE TIP 2012;21:2706) at low resolution gives for
one angle the correlation at every shift at once. Its best score is not trusted: half a section
correlates well with many places. Several poses are kept, from two kinds of evidence, and finer
evidence decides.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import fft

from metasight.alignment.section import Evidence, Image

Matrix = NDArray[np.float64]
Spectrum = NDArray[np.complex64]

_PLAIN_PX, _PLAIN_DEGREES, _PLAIN_KEEP = 72, 6.0, 3
_LOCAL_PX, _LOCAL_DEGREES, _LOCAL_KEEP = 128, 5.0, 6
_LOCAL_SIGMA = 1 / 32  # of the section's extent: lumens, vessels, layers
_LEAST_OVERLAP = 0.25
_PEAKS = 3
_SAME_ANGLE_DEGREES = 20.0
_SAME_PLACE = 0.12  # of the section's extent


@dataclass(frozen=True, kw_only=True)
class Pose:
    """One candidate.

    Attributes
    ----------
    matrix
        (2, 3): fixed µm → moving µm, a rotation (and mirror image) and a shift.
    mirrored
        Whether the moving section lies face down.
    angle_degrees
        By how much the moving section is turned to lie on the fixed one.
    correlation
        Masked normalised cross-correlation, −1 to 1.
    """

    matrix: Matrix
    mirrored: bool
    angle_degrees: float
    correlation: float


def search(fixed: Evidence, moving: Evidence) -> tuple[Pose, ...]:
    """Poses that correlate best, clearly different from each other.

    Two kinds of evidence are searched, both only where there is tissue, which forgives missing
    tissue: local contrast, which holds across stains because lumens, vessels and edges are where
    they are whatever is stained; and plain contrast, for sections that are out of focus or that
    have large dark and pale parts.

    Parameters
    ----------
    fixed, moving
        At any resolution.
    """
    extent = max(max(e.shape) * e.spacing_um for e in (fixed, moving))
    one, other = (_local_contrast(e.at(extent / _LOCAL_PX)) for e in (fixed, moving))
    found = _all_angles(one, other, _LOCAL_DEGREES, (False, True))
    poses = _distinct(found, one, extent, _LOCAL_KEEP)
    one, other = (e.at(extent / _PLAIN_PX) for e in (fixed, moving))
    found = _all_angles(one, other, _PLAIN_DEGREES, (False, True))
    return tuple(poses + _distinct(found, one, extent, _PLAIN_KEEP))


def search_region(
    fixed: Evidence, moving: Evidence, region: Image, *, mirrored: bool
) -> tuple[Pose, ...]:
    """The same for one region of the fixed section, by local contrast, with the face known.

    Parameters
    ----------
    region
        0 or 1 on the grid of ``fixed``.
    mirrored
        A torn section's pieces lie the same way up.
    """
    part = replace(fixed, tissue=fixed.tissue * region)
    extent = max(max(e.shape) * e.spacing_um for e in (fixed, moving))
    one, other = (_local_contrast(e.at(extent / _LOCAL_PX)) for e in (part, moving))
    if not one.tissue.any():
        return ()
    one = one.cropped()  # after the local contrast, which looks at the surroundings
    found = _all_angles(one, other, _LOCAL_DEGREES, (mirrored,))
    return tuple(_distinct(found, one, extent, _LOCAL_KEEP))


def _local_contrast(evidence: Evidence) -> Evidence:
    """Contrast against the surroundings, divided by how much it varies there."""
    sigma = _LOCAL_SIGMA * max(evidence.shape)
    away = evidence.contrast - cv2.GaussianBlur(evidence.contrast, (0, 0), sigma)
    spread = np.sqrt(cv2.GaussianBlur(away * away, (0, 0), sigma))
    floor = 0.05 * float(np.percentile(spread, 99)) + 1e-6
    return replace(evidence, contrast=np.asarray(away / (spread + floor), dtype=np.float32))


def _all_angles(
    fixed: Evidence, moving: Evidence, step_degrees: float, faces: tuple[bool, ...]
) -> list[Pose]:
    if not (fixed.tissue.any() and moving.tissue.any()):
        return []
    rows, columns = moving.shape
    side = int(np.ceil(np.hypot(rows, columns))) + 2
    shape = tuple(fft.next_fast_len(n + side, real=True) for n in fixed.shape)
    masked = fixed.contrast * fixed.tissue
    spectra = [fft.rfft2(x, shape) for x in (masked, masked * fixed.contrast, fixed.tissue)]
    least = _LEAST_OVERLAP * min(float(fixed.tissue.sum()), float(moving.tissue.sum()))
    poses = []
    for mirrored in faces:
        for angle in np.arange(0.0, 360.0, step_degrees):
            turn = _turn((rows, columns), side, angle, mirrored)
            image, mask = (
                np.asarray(cv2.warpAffine(x, turn, (side, side)), dtype=np.float32)
                for x in (moving.contrast, moving.tissue)
            )
            mask = (mask > 0.5).astype(np.float32)
            score = _correlation(spectra, shape, image, mask, least)
            for value, dy, dx in _peaks(score, side):
                to_fixed = turn.copy()
                to_fixed[:, 2] += dx, dy
                matrix = _from_pixels(to_fixed, fixed, moving)
                poses.append(
                    Pose(
                        matrix=matrix,
                        mirrored=mirrored,
                        angle_degrees=float(angle),
                        correlation=value,
                    )
                )
    return poses


def _turn(shape: tuple[int, int], side: int, degrees: float, mirrored: bool) -> Matrix:
    """Pixels of the moving image → pixels of a square that holds it at any angle."""
    angle = np.deg2rad(degrees)
    linear = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    if mirrored:
        linear = linear @ np.diag([-1.0, 1.0])
    centre = np.array([(shape[1] - 1) / 2, (shape[0] - 1) / 2])
    shift = (side - 1) / 2 - linear @ centre
    return np.column_stack([linear, shift])


def _correlation(
    fixed: list[Spectrum], shape: tuple[int, ...], image: Image, mask: Image, least: float
) -> Image:
    """Masked normalised cross-correlation at every shift; −1 where too little overlaps."""
    masked = image * mask
    spectra = [
        fft.rfft2(x[::-1, ::-1], shape) for x in (masked, masked * image, mask)
    ]  # reversed: a product is a correlation
    products = {
        (i, j): fixed[i] * spectra[j] for i, j in ((2, 2), (0, 2), (2, 0), (0, 0), (1, 2), (2, 1))
    }
    sums = {key: fft.irfft2(product, shape) for key, product in products.items()}
    n = np.maximum(np.round(sums[2, 2]), 1.0)
    spread_fixed = np.maximum(sums[1, 2] - sums[0, 2] ** 2 / n, 1e-4)
    spread_moving = np.maximum(sums[2, 1] - sums[2, 0] ** 2 / n, 1e-4)
    score = (sums[0, 0] - sums[0, 2] * sums[2, 0] / n) / np.sqrt(spread_fixed * spread_moving)
    score[sums[2, 2] < least] = -1.0
    return np.asarray(np.clip(score, -1.0, 1.0), dtype=np.float32)


def _peaks(score: Image, side: int) -> list[tuple[float, int, int]]:
    """Highest values, a neighbourhood apart, as (value, shift down, shift across)."""
    found = []
    rest = score.copy()
    reach = max(4, side // 16)
    for _ in range(_PEAKS):
        row, column = np.unravel_index(int(np.argmax(rest)), rest.shape)
        found.append((float(rest[row, column]), int(row) - side + 1, int(column) - side + 1))
        top, left = max(0, int(row) - reach), max(0, int(column) - reach)
        rest[top : int(row) + reach + 1, left : int(column) + reach + 1] = -1.0
    return found


def _from_pixels(to_fixed: Matrix, fixed: Evidence, moving: Evidence) -> Matrix:
    """Moving pixels → fixed pixels, as fixed µm → moving µm (pixel centres at half)."""
    linear = np.linalg.inv(to_fixed[:, :2])
    shift = -linear @ to_fixed[:, 2]
    half = np.full(2, 0.5)
    in_um = linear * moving.spacing_um / fixed.spacing_um
    offset = moving.spacing_um * (shift + half - linear @ half) + moving.origin_um
    return np.column_stack([in_um, offset - in_um @ fixed.origin_um])


def _distinct(poses: list[Pose], fixed: Evidence, extent_um: float, keep: int) -> list[Pose]:
    """Best first; a pose near a better one is the same pose."""
    middle = np.array(fixed.origin_um) + np.array(fixed.size_um) / 2
    centre = np.append(middle, 1.0)
    kept: list[Pose] = []
    for pose in sorted(poses, key=lambda p: -p.correlation):
        if len(kept) == keep:
            break
        if not any(_near(pose, other, centre, extent_um) for other in kept):
            kept.append(pose)
    return kept


def _near(a: Pose, b: Pose, centre: NDArray[np.float64], extent_um: float) -> bool:
    apart = abs((a.angle_degrees - b.angle_degrees + 180) % 360 - 180)
    away = float(np.linalg.norm((a.matrix - b.matrix) @ centre))
    return (
        a.mirrored == b.mirrored
        and apart <= _SAME_ANGLE_DEGREES
        and away <= _SAME_PLACE * extent_um
    )
