"""H&E of a section: dyes on the tissue, light through them, a scanner's picture of that."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from metasight.engine.kernels import njit
from metasight.simulate.breast import texture
from metasight.simulate.breast.centres import Centre
from metasight.simulate.breast.fields import Image
from metasight.simulate.breast.painting import Canvas, he_ground, nuclei_on

Rgb = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]

_LEVELS = 4096
_MOST_OD = 3.0


def paint_he(canvas: Canvas, centre: Centre, *, out_of_focus_um: float = 0.0) -> Rgb:
    """RGB picture of an H&E section as a centre stains and scans it.

    Parameters
    ----------
    canvas
        The section on its glass.
    centre
        Stain vectors and strengths, scanner.
    out_of_focus_um
        Blur beside the scanner's own.

    Returns
    -------
    (height_px, width_px, 3) uint8.
    """
    haematoxylin = np.empty((canvas.height_px, canvas.width_px), np.float32)
    eosin = np.empty_like(haematoxylin)
    rng = np.random.default_rng([*canvas.seed, 22])
    shift = rng.integers(texture.TILE_PX, size=4)
    mpp = canvas.mpp
    he_ground(
        canvas.maps,
        canvas.amount,
        texture.fibres(mpp),
        texture.grain(mpp),
        texture.fat_walls(mpp),
        shift,
        mpp,
        haematoxylin,
        eosin,
    )
    slide = float(np.exp(0.08 * rng.standard_normal()))  # one section is not as dark as the next
    nuclei_on(canvas, haematoxylin, eosin, 1.0, 1.0)
    vectors = np.stack(
        [
            centre.haematoxylin * centre.haematoxylin_strength * slide,
            centre.eosin * centre.eosin_strength * slide,
        ]
    )
    blur_um = float(np.hypot(centre.blur_um, out_of_focus_um))
    return scanned(np.stack([haematoxylin, eosin]), vectors, centre, blur_um, mpp, rng)


def scanned(  # noqa: PLR0917
    dyes: Image,
    vectors: Floats,
    centre: Centre,
    blur_um: float,
    mpp: float,
    rng: np.random.Generator,
) -> Rgb:
    """Light through amounts of dyes, blurred, with the camera's tone curve and noise.

    Parameters
    ----------
    dyes
        Amounts, shape ``(dye, y, x)``.
    vectors
        Optical density of one unit of each dye in red, green, blue.
    """
    density = np.arange(_LEVELS) * (_MOST_OD / _LEVELS)
    light = 10.0**-density
    levels = centre.glass[:, None] * light[None, :] ** centre.gamma
    out = np.empty((*dyes.shape[1:], 3), np.uint8)
    _light(dyes, vectors.astype(np.float32), levels.astype(np.float32), _LEVELS / _MOST_OD, out)
    out = np.asarray(cv2.GaussianBlur(out, (0, 0), max(blur_um / mpp, 0.3)))
    _noisy(out, texture.camera_noise(), centre.noise, int(rng.integers(1 << 20)))
    return out


@njit(cache=True, fastmath=True)
def _light(dyes: Image, vectors: Image, levels: Image, per_od: float, out: Rgb) -> None:
    last = levels.shape[1] - 1
    for row in range(out.shape[0]):
        for column in range(out.shape[1]):
            for colour in range(3):
                density = np.float32(0.0)
                for dye in range(dyes.shape[0]):
                    density += dyes[dye, row, column] * vectors[dye, colour]
                at = min(int(density * per_od), last)
                out[row, column, colour] = np.uint8(levels[colour, at] + 0.5)


@njit(cache=True, fastmath=True)
def _noisy(out: Rgb, noise: Image, strength: float, start: int) -> None:
    flat = out.reshape(-1)
    n = len(noise)
    # a prime stride so that the pattern does not line up from row to row
    at = start
    for i in range(len(flat)):
        value = flat[i] + strength * noise[at] + 0.5
        flat[i] = np.uint8(min(max(value, 0.0), 255.0))
        at += 7
        if at >= n:
            at -= n
