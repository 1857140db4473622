"""Fluorescence channels made comparable: background, autofluorescence, spill-over.

Detectors count photons: signals of dyes, of the tissue itself and of stray light add. So the
stray light's level is subtracted first, then what the tissue fluoresces by itself, and then the
dyes are unmixed with a stated matrix. Nothing is unmixed that nobody measured: without a
matrix, channels are taken to be pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from metasight.errors import MarkerError

Floats = npt.NDArray[np.float64]
Image = npt.NDArray[np.float32]

_TILE_UM = 100.0
_BACKGROUND_PERCENTILE = 5.0
_AUTOFLUORESCENT_FROM = 90.0
_LOWER_ENVELOPE = 10.0


@dataclass(frozen=True, kw_only=True)
class Channels:
    """Named fluorescence channels of one field.

    Attributes
    ----------
    counts
        Shape ``(c, y, x)``, unsigned integers or floats ≥ 0.
    names
        Marker of each channel, unique.
    mpp
        µm per pixel.

    Raises
    ------
    MarkerError
        Names and channels differ in number, a name occurs twice, a value is negative or not
        finite, or the picture is one of transmitted light.
    """

    counts: npt.NDArray[np.generic]
    names: tuple[str, ...]
    mpp: float

    def __post_init__(self) -> None:
        if self.counts.ndim != 3 or len(self.counts) != len(self.names):
            raise MarkerError(
                "channels and their names differ in number",
                value=f"{self.counts.shape} for {', '.join(self.names)}",
                remedy="Name every channel, in the file's order",
            )
        twice = sorted({n for n in self.names if self.names.count(n) > 1})
        if twice:
            raise MarkerError(
                "a channel is named twice",
                value=", ".join(twice),
                remedy="Say which channel shows which marker, by its number, in study.toml under "
                "[slides.channels] or with --channel",
            )
        if not self.mpp > 0:
            raise MarkerError("channels need their µm per pixel", value=str(self.mpp))
        values = np.asarray(self.counts)
        if not np.issubdtype(values.dtype, np.unsignedinteger):
            if not np.isfinite(values.astype(np.float64)).all():
                raise MarkerError("a channel holds values that are not finite")
            if values.min() < 0:
                raise MarkerError("a channel holds negative counts")
        if len(self.names) == 3 and is_transmitted_light(np.moveaxis(values, 0, -1)):
            raise MarkerError(
                "a picture in transmitted light was given as fluorescence",
                remedy="An H&E slide has no marker channels; a DAB slide goes to "
                "`chromogenic_cells`",
            )

    def plane(self, name: str) -> Image:
        """One channel as float32.

        Raises
        ------
        MarkerError
            There is no such channel.
        """
        require_markers(self.names, [name])
        return np.asarray(self.counts[self.names.index(name)], dtype=np.float32)


def require_markers(found: Sequence[str], required: Sequence[str]) -> None:
    """Refuse a panel without one of its markers.

    Raises
    ------
    MarkerError
        Names the ones that are missing and those that are there.
    """
    missing = [name for name in required if name not in found]
    if missing:
        raise MarkerError(
            "a marker is missing from the stain",
            value=", ".join(missing),
            remedy=f"Found: {', '.join(found)}. Say which channel shows which marker in study.toml "
            "under [slides.channels], or on the command line with --channel; or leave the section "
            "out",
        )


def is_transmitted_light(rgb: npt.NDArray[np.generic]) -> bool:
    """Whether an RGB picture is one of light that went through the section.

    There most pixels are bright in every colour at once, and what is stained is darker than the
    glass; a fluorescence picture is dark where nothing is, and its channels are bright in
    different places. So: the median of the darkest channel lies above a third of the brightest
    level, or the brightest tenth of pixels is nearly grey and bright.
    """
    values = np.asarray(rgb, dtype=np.float64)
    top = float(np.percentile(values, 99.5))
    if top <= 0:
        return False
    darkest = values.min(axis=-1)
    if float(np.median(darkest)) > top / 3:
        return True
    glass = values[darkest >= np.percentile(darkest, 90)]
    grey = glass.min(axis=-1) / np.maximum(glass.max(axis=-1), 1e-9)
    return bool(np.median(darkest) > top / 6 and np.median(grey) > 0.75)


def background_of(counts: Image, mpp: float) -> Image:
    """Level of a channel where there is no signal, smooth over the field.

    The 5th percentile of squares of 100 µm, smoothed and interpolated: assumes that a twentieth
    of any such square is free of signal, which a solid sheet of positive cells is not; the
    lowest of neighbouring squares is therefore taken.
    """
    pixels = max(round(_TILE_UM / mpp), 1)
    ny, nx = counts.shape
    rows, columns = max(round(ny / pixels), 1), max(round(nx / pixels), 1)
    grid = np.empty((rows, columns))
    for i, rows_of in enumerate(np.array_split(np.arange(ny), rows)):
        for j, columns_of in enumerate(np.array_split(np.arange(nx), columns)):
            part = counts[rows_of[0] : rows_of[-1] + 1, columns_of[0] : columns_of[-1] + 1]
            grid[i, j] = _low(part)
    grid = ndimage.minimum_filter(grid, size=3, mode="nearest")
    # bilinear, along each side in turn
    return np.asarray(_between(ny, rows) @ grid @ _between(nx, columns).T, dtype=np.float32)


def _low(part: Image) -> float:
    """The background's percentile, as ``numpy.percentile`` has it in a third of the time."""
    rank = (part.size - 1) * _BACKGROUND_PERCENTILE / 100
    lower = int(rank)
    upper = min(lower + 1, part.size - 1)
    found = np.partition(part, (lower, upper), axis=None)[[lower, upper]].astype(np.float64)
    return float(found[0] + (rank - lower) * (found[1] - found[0]))


def _between(pixels: int, squares: int) -> Floats:
    """Weights of the squares at each pixel's centre, linear between their centres.

    Shape ``(pixels, squares)``; beyond the outermost centres the outermost square.
    """
    at = np.clip((np.arange(pixels) + 0.5) / pixels * squares - 0.5, 0, squares - 1)
    return np.asarray(np.maximum(1 - np.abs(at[:, None] - np.arange(squares)), 0))


def without_autofluorescence(signal: Image, tissue: Image) -> Image:
    """Subtract the tissue's own light, measured in a channel without dye.

    Its share in ``signal`` is the lower envelope of signal over tissue where the tissue shines
    most: there are always places that shine and carry no marker.
    """
    shining = tissue >= max(float(np.percentile(tissue, _AUTOFLUORESCENT_FROM)), 1e-6)
    share = float(np.percentile(signal[shining] / tissue[shining], _LOWER_ENVELOPE))
    return np.asarray(np.maximum(signal - max(share, 0.0) * tissue, 0.0), dtype=np.float32)


def unmix(signals: Image, spill_over: Floats) -> Image:
    """Undo spill-over between channels.

    Parameters
    ----------
    signals
        Background-free channels, shape ``(c, y, x)``.
    spill_over
        Shape ``(c, c)``: element ``[i, j]`` is what channel ``i`` sees of one unit of dye ``j``,
        measured on single-stained controls; ones on the diagonal.

    Raises
    ------
    MarkerError
        The matrix has another shape, a diagonal other than 1, negative elements, or cannot be
        undone.
    """
    n = len(signals)
    matrix = np.asarray(spill_over, dtype=np.float64)
    if matrix.shape != (n, n) or not np.allclose(np.diag(matrix), 1) or (matrix < 0).any():
        raise MarkerError(
            "a spill-over matrix has ones on its diagonal and no negative element",
            value=str(matrix.shape),
            remedy=f"Give {n} × {n} numbers, in the order of the channels",
        )
    if np.linalg.cond(matrix) > 100:
        raise MarkerError(
            "the spill-over cannot be undone: two dyes have too similar spectra",
            value=f"condition number {np.linalg.cond(matrix):.0f}",
        )
    pure = np.tensordot(np.linalg.inv(matrix), signals, axes=1)
    return np.asarray(np.maximum(pure, 0.0), dtype=np.float32)
