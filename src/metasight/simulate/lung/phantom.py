"""A scan with everything known about it: the phantom that measurements are held against."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from metasight.simulate.lung.forms import levels_at
from metasight.simulate.lung.raster import AIRWAY, AORTA, HEART, LIVER, Grid
from metasight.simulate.lung.settings import ThoraxSettings
from metasight.simulate.lung.thorax import Thorax, distance_to_tubes, draw_thorax
from metasight.simulate.lung.truth import LesionTruth, lesion_truth

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class SimulatedScan:
    """A CT with its truth. All arrays are ``(slices, rows, columns)``.

    Slices go from the feet to the head, rows to the back, columns to the patient's left: axes
    are those of DICOM's patient coordinates (LPS), direction cosines are the identity.

    Attributes
    ----------
    ct_hu
        int16 Hounsfield units.
    grid
        Shape, spacing and origin.
    labels
        uint8, see `metasight.simulate.lung.raster`; 1 to 5 are the lobes, lesion, vessels and
        bronchi within them included, proximal bronchi not.
    lesion_mask, solid_mask
        Voxels of which at least half lies in the lesion, or its solid part.
    lesion
        What is true of the lesion; ``None`` without one.
    thorax
        The drawing itself.
    """

    ct_hu: npt.NDArray[np.int16]
    grid: Grid
    labels: npt.NDArray[np.uint8]
    lesion_mask: Mask
    solid_mask: Mask
    lesion: LesionTruth | None
    thorax: Thorax

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Between slices, rows, columns."""
        return self.grid.spacing_mm

    @property
    def origin_mm(self) -> tuple[float, float, float]:
        """x, y, z of the first voxel's middle."""
        return self.grid.origin_mm

    @property
    def lobes(self) -> npt.NDArray[np.uint8]:
        """Label map: 1 to 5 and 0."""
        return np.where(self.labels <= 5, self.labels, 0).astype(np.uint8)

    @property
    def lungs(self) -> Mask:
        """Both lungs with lesion and vessels, without the proximal bronchi."""
        return (self.labels >= 1) & (self.labels <= 5)

    @property
    def airway(self) -> Mask:
        """Lumen of the trachea, main and lobar bronchi."""
        return np.asarray(self.labels == AIRWAY)

    @property
    def body(self) -> Mask:
        """All within the skin."""
        return np.asarray(self.labels > 0)

    @property
    def aorta(self) -> Mask:
        """Aorta."""
        return np.asarray(self.labels == AORTA)

    @property
    def heart(self) -> Mask:
        """Heart within the pericardium."""
        return np.asarray(self.labels == HEART)

    @property
    def liver(self) -> Mask:
        """Liver."""
        return np.asarray(self.labels == LIVER)

    def proximal_tree(self) -> Mask:
        """Lumen of the proximal bronchial tree."""
        return self._of_airway(distance_to_tubes(self._points(self.airway), self.thorax.proximal))

    def _of_airway(self, level: Floats) -> Mask:
        out = self.airway.copy()
        out[out] = level <= 0.5 * max(self.grid.spacing_mm)
        return out

    def fissures(self, within_mm: float = 1.0) -> Mask:
        """Lung within a distance of a fissure."""
        lungs = self.lungs
        form = self.thorax.anatomy.form
        out = lungs.copy()
        out[out] = levels_at(form, self.thorax.mediastinum, self._points(lungs))[:, 1] <= within_mm
        return out

    def _points(self, mask: Mask) -> Floats:
        index = np.argwhere(mask)[:, ::-1]
        return np.asarray(self.grid.origin_mm + index * np.array(self.grid.spacing_mm[::-1]))


def draw_phantom(
    settings: ThoraxSettings, seed: int, *, crop_mm: float | None = None
) -> SimulatedScan:
    """Draw a thorax, scan it, and keep the truth.

    Parameters
    ----------
    settings
        Of the thorax, its lesion and the scan.
    seed
        The same settings and seed give the same bytes.
    crop_mm
        Only a cube of this side round the lesion, out of the same thorax: many times faster.

    Raises
    ------
    VolumeError
        The lesion fits nowhere in the lobe and region asked for.
    """
    thorax = draw_thorax(settings, np.random.default_rng([seed, 1]))
    return scan_of(thorax, settings, np.random.default_rng([seed, 2]), crop_mm=crop_mm)


def scan_of(
    thorax: Thorax,
    settings: ThoraxSettings,
    rng: np.random.Generator,
    *,
    crop_mm: float | None = None,
) -> SimulatedScan:
    """Scan a thorax that is drawn already; ``rng`` is the noise's."""
    grid = thorax.field(settings.scan)
    if crop_mm is not None:
        grid = thorax.crop(settings.scan, crop_mm)
    hu, labels = thorax.scan(settings.scan, rng, grid=grid)
    empty = np.zeros(grid.shape, dtype=bool)
    has = thorax.nodule is not None
    return SimulatedScan(
        ct_hu=np.round(np.clip(hu, -1024, 3071)).astype(np.int16),
        grid=grid,
        labels=labels,
        lesion_mask=thorax.lesion_mask(grid) if has else empty,
        solid_mask=thorax.lesion_mask(grid, solid=True) if has else empty,
        lesion=lesion_truth(thorax) if has else None,
        thorax=thorax,
    )
