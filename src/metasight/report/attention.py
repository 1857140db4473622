"""Where a network looked on a slide, laid over the slide's overview."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]

STRONGEST = 4.0
"""Times the mean share of a slide's patches that the end of the colour scale stands for."""

_STRIP_PX, _EDGE_PX = 32, 8


@dataclass(frozen=True, kw_only=True)
class Patches:
    """A slide's patches and the attention that each got.

    Attributes
    ----------
    corner_px
        Upper left corners (x, y), in level-0 pixels, shape (n, 2).
    side_px
        Their sides, shape (n,); 0 where a file does not say how large a patch is.
    share
        Of the slide's attention, shape (n,).
    """

    corner_px: npt.NDArray[np.float64]
    side_px: npt.NDArray[np.float64]
    share: npt.NDArray[np.float64]


def attention_overlay(overview: Image, patches: Patches, *, scale: float) -> Image:
    """The overview under the attention, with the colour scale as a strip below it.

    Dark patches got none, bright ones four times the mean and more.

    Parameters
    ----------
    overview
        RGB, shape (height, width, 3).
    patches
        Of the same slide.
    scale
        Pixels of the overview to one of level 0.
    """
    level = np.clip(patches.share * len(patches.share) / STRONGEST, 0, 1)
    heat = np.zeros(overview.shape[:2], dtype=np.uint8)
    covered = np.zeros(overview.shape[:2], dtype=np.uint8)
    places = np.column_stack([patches.corner_px, patches.side_px]).tolist()
    for (x, y, patch_px), value in zip(places, level.tolist(), strict=True):
        # a file of other programs may not say how large a patch is: then a dot stands for it
        side = max(patch_px, 2 / scale)
        corner = (round(x * scale), round(y * scale))
        far = (round((x + side) * scale) - 1, round((y + side) * scale) - 1)
        cv2.rectangle(heat, corner, far, round(255 * value), cv2.FILLED)
        cv2.rectangle(covered, corner, far, 255, cv2.FILLED)
    colours = cv2.cvtColor(cv2.applyColorMap(heat, cv2.COLORMAP_MAGMA), cv2.COLOR_BGR2RGB)
    mixed = cv2.addWeighted(np.ascontiguousarray(overview), 0.5, colours, 0.5, 0)
    picture = np.where(covered[..., None] > 0, mixed, overview).astype(np.uint8)
    return np.concatenate([picture, _colour_scale(picture.shape[1])])


def _colour_scale(width: int) -> Image:
    """What the colours mean, as a strip below the picture."""
    strip = np.full((_STRIP_PX, width, 3), 255, dtype=np.uint8)
    bar = np.linspace(0, 255, max(width - 2 * _EDGE_PX, 2)).astype(np.uint8)[None]
    colours = cv2.cvtColor(cv2.applyColorMap(bar, cv2.COLORMAP_MAGMA), cv2.COLOR_BGR2RGB)
    strip[4:14, _EDGE_PX : _EDGE_PX + bar.shape[1]] = colours
    ends = ("0", "mean", f"{STRONGEST:g} x mean or more")
    for text, share in zip(ends, (0.0, 1 / STRONGEST, 1.0), strict=True):
        (length, _), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.35, 1)
        x = _EDGE_PX + share * bar.shape[1] - length * share
        cv2.putText(
            strip,
            text,
            (round(x), _STRIP_PX - 5),
            cv2.FONT_HERSHEY_SIMPLEX,
            0.35,
            (0, 0, 0),
            1,
            cv2.LINE_AA,
        )
    return strip
