"""Smooth random fields on a grid, cut at any depth of the block."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import fft

Image = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class FieldSource:
    """Gaussian random fields of one block of tissue.

    A field of length L is white noise under a Gaussian of width L: its covariance at distance r
    is exp(−r²/4L²), in the section as in depth, so that a section a gap g deeper correlates with
    this one by 1 − g²/4L². Fine structure changes first, as in life.

    Attributes
    ----------
    seed
        Of the block.
    shape
        (rows, columns).
    spacing_um
        Of the grid.
    """

    seed: tuple[int, ...]
    shape: tuple[int, int]
    spacing_um: float

    def rng(self, name: str) -> np.random.Generator:
        """The generator that everything called ``name`` is drawn from."""
        return np.random.default_rng([*self.seed, zlib.crc32(name.encode())])

    def field(
        self, name: str, length_um: float, depth_um: float = 0.0, *, stretch: float = 1.0
    ) -> Image:
        """Standard normal field; the same name is the same field at another depth.

        Parameters
        ----------
        name
            Of the field.
        length_um
            Width of its Gaussian.
        depth_um
            Where the block is cut.
        stretch
            Factor by which it is longer in x than in y.
        """
        rng = self.rng(name)
        turn = depth_um / (np.sqrt(2.0) * length_um)
        white = rng.standard_normal(self.shape, dtype=np.float32)
        if depth_um:
            white *= np.float32(np.cos(turn))
            white += np.float32(np.sin(turn)) * rng.standard_normal(self.shape, dtype=np.float32)
        return smoothed(white, length_um / self.spacing_um * stretch, length_um / self.spacing_um)


def smoothed(white: Image, sigma_x_px: float, sigma_y_px: float) -> Image:
    """White noise under a Gaussian, with unit variance; periodic."""
    rows, columns = white.shape
    fy = fft.fftfreq(rows)[:, None] * sigma_y_px
    fx = fft.rfftfreq(columns)[None, :] * sigma_x_px
    response = np.exp(-2 * np.pi**2 * (fx**2 + fy**2)).astype(np.float32)
    spectrum = fft.rfft2(white) * response
    weight = np.full(response.shape[1], 2.0)
    weight[0] = 1.0
    if columns % 2 == 0:
        weight[-1] = 1.0
    variance = float((response.astype(np.float64) ** 2 * weight).sum()) / (rows * columns)
    field = fft.irfft2(spectrum, s=white.shape) / np.sqrt(variance)
    return np.asarray(field, dtype=np.float32)
