"""FDG-PET of a drawn thorax: uptake by organ, the lesion's own, blur and noise of the scanner."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from metasight.simulate.lung.nodule import Shape
from metasight.simulate.lung.raster import (
    ABDOMEN,
    AIR,
    AIRWAY,
    AORTA,
    BONE,
    FAT,
    HEART,
    LIVER,
    MEDIASTINUM,
    MUSCLE,
    VESSEL,
    Grid,
)
from metasight.simulate.lung.thorax import Thorax

Image = npt.NDArray[np.float32]

_SUV = {
    AIR: 0.0,
    AIRWAY: 0.1,
    LIVER: 2.2,
    ABDOMEN: 1.6,
    HEART: 2.4,
    AORTA: 1.6,
    VESSEL: 1.6,
    MEDIASTINUM: 1.0,
    FAT: 0.3,
    MUSCLE: 0.7,
    BONE: 1.1,
}
_LUNG_SUV = 0.45
_OTHER_SUV = 0.9
"""Mean uptake an hour after injection (Wang et al., Ann Nucl Med 2007, and similar)."""

_BLUR_MM = 6.0  # full width at half maximum of a clinical scanner with its filter
_NOISE = 0.10  # of the liver's uptake
_STEP_MM = (3.27, 4.07, 4.07)


@dataclass(frozen=True, kw_only=True)
class SimulatedPet:
    """A PET image.

    Attributes
    ----------
    suv
        float32, by body weight.
    grid
        Its own, coarser than CT.
    suvmax
        Largest value in the lesion's blurred image without noise: the truth of SUVmax, below the
        lesion's own uptake where the lesion is small.
    """

    suv: Image
    grid: Grid
    suvmax: float


def draw_pet(thorax: Thorax, field: Grid, rng: np.random.Generator) -> SimulatedPet:
    """PET on the field of the CT.

    Parameters
    ----------
    thorax
        What is seen.
    field
        Of the CT.
    rng
        Of the noise.
    """
    grid = field.with_spacing(_STEP_MM)
    _, labels = thorax.painted(grid)
    table = np.full(256, _OTHER_SUV, dtype=np.float32)
    table[1:6] = _LUNG_SUV
    for label, value in _SUV.items():
        table[label] = value
    uptake = table[labels]
    if thorax.nodule is not None:
        share = _share(thorax.nodule.whole, grid)
        uptake = uptake * (1 - share) + share * np.float32(thorax.nodule.suv)
    sigma = [_BLUR_MM / 2.355 / step for step in grid.spacing_mm]
    seen = ndimage.gaussian_filter(uptake, sigma, mode="nearest")
    suvmax = 0.0
    if thorax.nodule is not None:
        suvmax = float(seen[thorax.lesion_mask(grid)].max(initial=0.0))
    noise = ndimage.gaussian_filter(rng.standard_normal(grid.shape, dtype=np.float32), sigma)
    noise /= noise.std()
    # counts: noise goes with the root of the uptake around
    seen = seen + _NOISE * np.float32(np.sqrt(2.2)) * noise * np.sqrt(np.maximum(seen, 0.05))
    return SimulatedPet(suv=np.maximum(seen, 0).astype(np.float32), grid=grid, suvmax=suvmax)


def _share(shape: Shape, grid: Grid) -> Image:
    """Part of each voxel that lies in a shape, from 125 samples."""
    points = np.stack(np.meshgrid(*grid.axes(), indexing="ij"), axis=-1)[..., ::-1]
    low, high = shape.surface.min(axis=0) - 5, shape.surface.max(axis=0) + 5
    near = ((points > low) & (points < high)).all(axis=-1)
    close = points[near]
    count = np.zeros(len(close))
    step = np.array(grid.spacing_mm[::-1]) / 5
    around = np.arange(-2, 3)
    for i in around:
        for j in around:
            for k in around:
                count += shape.level(close + step * (i, j, k)) < 0
    out = np.zeros(grid.shape, dtype=np.float32)
    out[near] = count / 125
    return out
