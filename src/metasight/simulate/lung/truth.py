"""What is true of a drawn lesion: sizes, solid part, place, and every definition of "central"."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields

import numpy as np
import numpy.typing as npt

from metasight.simulate.lung.nodule import Shape, directions
from metasight.simulate.lung.thorax import Thorax, distance_to_tubes, ray_lengths

Floats = npt.NDArray[np.float64]

CENTRAL_MM = 20.0
"""RTOG 0813: within 2 cm of the proximal bronchial tree."""


@dataclass(frozen=True, kw_only=True)
class Size:
    """Sizes of a body, from its shape and not from voxels; mm, mm², mm³.

    Attributes
    ----------
    longest_mm
        Longest diameter in three dimensions.
    axial_mm, coronal_mm, sagittal_mm
        Longest diameter on any plane of that direction.
    section_longest_mm, section_perpendicular_mm, section_area_mm2, section_z_mm
        Of the axial plane on which its area is largest; where that plane lies.
    volume_mm3
        Volume.
    """

    longest_mm: float
    axial_mm: float
    coronal_mm: float
    sagittal_mm: float
    section_longest_mm: float
    section_perpendicular_mm: float
    section_area_mm2: float
    section_z_mm: float
    volume_mm3: float


NOTHING = Size(**{f.name: 0.0 for f in fields(Size)})
"""Of a solid part that is not there."""


def size_of(shape: Shape | None) -> Size:
    """Sizes of a shape; all 0 without one."""
    if shape is None:
        return NOTHING
    longest, perpendicular, area, position = shape.largest_section(2)
    return Size(
        longest_mm=shape.longest_mm,
        axial_mm=shape.longest_in_plane(2),
        coronal_mm=shape.longest_in_plane(1),
        sagittal_mm=shape.longest_in_plane(0),
        section_longest_mm=longest,
        section_perpendicular_mm=perpendicular,
        section_area_mm2=area,
        section_z_mm=position,
        volume_mm3=shape.volume_mm3,
    )


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a lesion lies; distances in mm from the drawn surfaces, right to about 0.5 mm.

    Attributes
    ----------
    lobe
        1 to 5: right upper, middle, lower, left upper, lower lobe, of the centre.
    pleura_gap_mm
        Lesion's surface to the nearest surface of the lungs (costal, diaphragmatic, mediastinal).
    fissure_gap_mm
        Lesion's surface to the nearest fissure.
    bronchi_gap_mm, bronchi_centre_mm
        Lesion's surface and centre to the lumen of the proximal bronchial tree.
    hilum_ratio, hilum_ratio_medial
        Along the ray from the hilum through the centre, in three dimensions: distance of the
        centre (the edge nearer to the hilum) over that of the lung's surface. 1/3 and 2/3 are
        the borders of the thirds.
    axial_ratio, axial_ratio_medial
        The same in the centre's axial plane, from the hilum's x and y.
    midline_ratio, midline_ratio_medial
        Distance from the midline over that of the chest wall at the same height and depth.
    central_2cm
        `bronchi_gap_mm` ≤ 20.
    """

    lobe: int
    pleura_gap_mm: float
    fissure_gap_mm: float
    bronchi_gap_mm: float
    bronchi_centre_mm: float
    hilum_ratio: float
    hilum_ratio_medial: float
    axial_ratio: float
    axial_ratio_medial: float
    midline_ratio: float
    midline_ratio_medial: float
    central_2cm: bool


@dataclass(frozen=True, kw_only=True)
class LesionTruth:
    """All that is true of a lesion.

    Attributes
    ----------
    whole, solid
        Sizes.
    place
        Where it lies.
    centre_mm
        x, y, z in the scan's coordinates.
    attenuation, margin
        As drawn.
    ctr_1d, ctr_axial, ctr_3d
        Solid over whole: longest diameters in three dimensions; longest axial diameters; volumes.
    suv
        True uptake.
    """

    whole: Size
    solid: Size
    place: Place
    centre_mm: tuple[float, float, float]
    attenuation: str
    margin: str
    ctr_1d: float
    ctr_axial: float
    ctr_3d: float
    suv: float

    def to_json(self) -> dict[str, object]:
        """As plain numbers and texts."""
        return asdict(self)


def lesion_truth(thorax: Thorax) -> LesionTruth:
    """Sizes and place of a thorax's lesion.

    Raises
    ------
    VolumeError
        It has none.
    """
    lesion = thorax.lesion
    whole, solid = size_of(lesion.whole), size_of(lesion.solid)
    return LesionTruth(
        whole=whole,
        solid=solid,
        place=_place(thorax),
        centre_mm=lesion.whole.centre_mm,
        attenuation=lesion.attenuation,
        margin=lesion.margin,
        ctr_1d=lesion.ctr_1d,
        ctr_axial=solid.axial_mm / whole.axial_mm,
        ctr_3d=lesion.ctr_3d,
        suv=lesion.suv,
    )


def _place(thorax: Thorax) -> Place:
    shape = thorax.lesion.whole
    centre = np.array(shape.centre_mm)
    surface = shape.surface[::4]
    here = thorax.levels(centre[None])[0]
    bronchi = distance_to_tubes(np.vstack([centre, surface]), thorax.proximal)
    hilum = thorax.anatomy.hila[0 if centre[0] < 0 else 1]
    level = np.array([hilum[0], hilum[1], centre[2]])
    midline = np.array([0.0, centre[1], centre[2]])
    ratios = [_ratios(thorax, start, centre) for start in (hilum, level, midline)]
    return Place(
        lobe=int(here[2]),
        pleura_gap_mm=_pleura_gap(thorax, centre, surface),
        fissure_gap_mm=float(thorax.levels(surface)[:, 1].min()),
        bronchi_gap_mm=float(bronchi[1:].min()),
        bronchi_centre_mm=float(bronchi[0]),
        hilum_ratio=ratios[0][0],
        hilum_ratio_medial=ratios[0][1],
        axial_ratio=ratios[1][0],
        axial_ratio_medial=ratios[1][1],
        midline_ratio=ratios[2][0],
        midline_ratio_medial=ratios[2][1],
        central_2cm=bool(bronchi[1:].min() <= CENTRAL_MM),
    )


def _pleura_gap(thorax: Thorax, centre: Floats, surface: Floats) -> float:
    toward = directions(1500)
    length = ray_lengths(centre, toward, thorax.anatomy, thorax.mediastinum)
    seen = length < 200
    exits = centre + length[seen, None] * toward[seen]
    apart = np.sqrt(((exits[:, None] - surface[None]) ** 2).sum(axis=-1))
    return float(apart.min())


def _ratios(thorax: Thorax, start: Floats, centre: Floats) -> tuple[float, float]:
    """Of the centre and of the lesion's edge nearer to ``start``, along the ray between them."""
    away = centre - start
    distance = float(np.linalg.norm(away))
    toward = away / distance
    beyond = ray_lengths(centre, toward[None], thorax.anatomy, thorax.mediastinum)[0]
    edge = float(thorax.lesion.whole.radius(-toward[None])[0])
    whole = distance + float(beyond)
    return distance / whole, max(distance - edge, 0.0) / whole
