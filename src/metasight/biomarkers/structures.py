"""Structures as pixels of a map."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from metasight.biomarkers.tls import Aggregate
from metasight.maps.density import DensityMap


def structure_mask(aggregates: Sequence[Aggregate], on: DensityMap) -> npt.NDArray[np.bool_]:
    """Pixels of a map's grid within the outlines of structures, holes filled; shape (y, x)."""
    mask = np.zeros(on.support.shape, dtype=np.uint8)
    for found in aggregates:
        parts = getattr(found.outline, "geoms", (found.outline,))
        for part in parts:
            ring = (np.asarray(part.exterior.coords) - on.origin_um) / on.spacing_um - 0.5
            cv2.fillPoly(mask, [np.rint(ring).astype(np.int32)], 1)
    return np.asarray(mask > 0, dtype=np.bool_)
