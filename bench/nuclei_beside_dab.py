"""Nuclei and positive share in haematoxylin beside DAB, pale beside dark, with known labels.

    python bench/nuclei_beside_dab.py

Composites of real dyes: each DeepLIIF tile is parted into its haematoxylin and its DAB, and laid
together again with more or less of either, in 24 mixtures. The outlines and the classes of nuclei
(red positive, blue negative) are DeepLIIF's. Needs ``../shared/data``.
Bars: positive share within 0.1, F1 of centres (4 µm) at least 0.6.
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
from scipy import ndimage

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT / "tests")

from metasight.maps.markers import chromogenic_cells, dab_stains  # noqa: E402
from metasight.slides.stain import background_colour, deconvolve  # noqa: E402
from oracles.matched_centres import match_centres  # noqa: E402

TILES = ROOT.parent / "shared" / "data" / "slides" / "deepliif" / "train"
MPP = 0.25
HAEMATOXYLIN = (0.35, 0.5, 0.7, 1.0)
DAB = (0.7, 1.2, 2.0)
BAR_SHARE, BAR_F1 = 0.1, 0.6


def labels(panel: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centres (n, 2) in µm and whether each nucleus is positive, from the outline panel (BGR)."""
    inside = ((panel[..., 0] > 120) | (panel[..., 2] > 120)) & ~(panel[..., 1] > 120)
    number, n = ndimage.label(inside)
    size = np.bincount(number.ravel(), minlength=n + 1)[1:]
    kept = np.flatnonzero(size * MPP**2 >= 20) + 1
    centre = (np.array(ndimage.center_of_mass(inside, number, kept)) + 0.5) * MPP
    red = ndimage.mean(panel[..., 2].astype(float) - panel[..., 0], number, kept) > 0
    return centre[:, ::-1], np.asarray(red)


def composites(rgb: np.ndarray):
    """Every mixture of the tile's haematoxylin and DAB, as images."""
    stains = dab_stains(rgb)
    amounts = np.maximum(deconvolve(rgb, stains), 0)
    glass = background_colour(rgb)
    order = [stains.names.index(name) for name in ("haematoxylin", "dab")]
    for pale in HAEMATOXYLIN:
        for dark in DAB:
            share = np.zeros(2)
            share[order[0]], share[order[1]] = pale, dark
            density = (amounts * share) @ np.asarray(stains.vectors)
            image = np.clip(glass * 10.0 ** (-density), 0, 255).astype(np.uint8)
            yield pale, dark, image


def main() -> None:
    wrong = found = 0
    for tile in ("Bladder1", "Lung1"):
        panels = np.split(cv2.imread(str(TILES / f"{tile}.png")), 6, axis=1)
        centre, positive = labels(panels[5])
        print(f"{tile}: {len(centre)} nuclei, {100 * positive.mean():.0f} % positive")
        for pale, dark, image in composites(cv2.cvtColor(panels[0], cv2.COLOR_BGR2RGB)):
            read = chromogenic_cells(image, MPP, "Ki67")
            share = float(read.cells.positive["Ki67"].mean()) if len(read.cells) else float("nan")
            f1 = match_centres(
                read.nuclei.x_um, read.nuclei.y_um, centre[:, 0], centre[:, 1], 4.0
            ).f1
            good = abs(share - positive.mean()) <= BAR_SHARE and f1 >= BAR_F1
            found += 1
            wrong += not good
            print(
                f"  haematoxylin × {pale}, DAB × {dark}: {len(read.nuclei)} nuclei, "
                f"{100 * share:.0f} % positive, F1 {f1:.2f}{'' if good else '  misses a bar'}"
            )
    print(f"{found - wrong} of {found} within both bars")


if __name__ == "__main__":
    main()
