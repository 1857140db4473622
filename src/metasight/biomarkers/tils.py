"""Tumour epithelium and stroma, and the lymphocytes in each.

The international TIL working group scores the share of the stroma's area, within the tumour's
borders, that mononuclear cells cover (Salgado et al., Ann Oncol 2015;26:259). Cells are points
here, so the share is their number times the area of one lymphocyte. Plasma cells, which the
score includes, carry neither lymphocyte marker: from mIHC the percentage is a lower bound.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from metasight.biomarkers.definitions import BiomarkerDefinitions
from metasight.biomarkers.tls import smoothed_density
from metasight.maps.window import TissueWindow

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Compartments:
    """The tumour region parted into epithelium and stroma.

    Attributes
    ----------
    epithelium, stroma
        On the window's grid, disjoint, shape ``(y, x)``.
    """

    epithelium: Mask
    stroma: Mask


def part_tumour(
    tumour_count: Floats, window: TissueWindow, region: Mask, definitions: BiomarkerDefinitions
) -> Compartments:
    """Part the tumour region by the density of tumour cells.

    The border lies at half the density that the section's tumour cells usually have round them,
    where a blurred edge belongs; at the stated density where they are sparse, as in lobular
    carcinoma.

    Parameters
    ----------
    tumour_count
        Tumour cells per pixel, shape ``(y, x)``.
    window
        The tissue, at about 16 µm.
    region
        Tumour region on the same grid: within the tumour's borders, stroma included.
    definitions
        Density from which a place is epithelium, and the bandwidth.
    """
    density = smoothed_density(tumour_count, window, definitions.compartment_bandwidth_um)
    inside = region & window.mask
    half = _usual_density(density[inside], tumour_count[inside]) / 2
    epithelium = inside & (density >= max(definitions.epithelium_density_per_mm2, half))
    return Compartments(epithelium=epithelium, stroma=inside & ~epithelium)


def _usual_density(density: Floats, count: Floats) -> float:
    """Median over tumour cells of the density round them; 0 without any."""
    order = np.argsort(density, kind="stable")
    weight = count[order].cumsum()
    if not len(weight) or weight[-1] <= 0:
        return 0.0
    return float(density[order][np.searchsorted(weight, weight[-1] / 2)])


def labels_in_part(count: float, cells_in_part: float, cells: float) -> tuple[float, float]:
    """Mean and standard deviation of how many of ``count`` labels fall in a part of the cells.

    Hypergeometric: labels dealt out at random over ``cells``, of which ``cells_in_part`` lie in
    the part.
    """
    if cells < 2:
        return float("nan"), float("nan")
    share = cells_in_part / cells
    variance = count * share * (1 - share) * (cells - count) / (cells - 1)
    return count * share, float(np.sqrt(max(variance, 0.0)))
