"""Tissue of one patient: where nests, stroma, fat, vessels and lymphoid structures are at a depth.

Everything is a smooth field or a body in three dimensions that sections cut, so that consecutive
sections share regions and differ as much as their distance makes them.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from metasight.simulate.breast.fields import FieldSource, Image
from metasight.simulate.breast.patients import Patients
from metasight.simulate.breast.settings import BreastSettings

Floats = npt.NDArray[np.float64]

GRID_UM = 4.0
"""Spacing of the regions' grid: half a lymphocyte."""

KINDS = ("tumour", "t_cell", "b_cell", "plasma", "fibroblast", "mimic")
"""Kinds of cells; a mimic is a small dark nucleus that is no lymphocyte."""

_SCATTERED_B_PER_MM2 = 20.0  # B cells are rare in cold stroma, not absent
_LEAST_TLS_RADIUS_UM = 60.0
_MOST_TLS_RADIUS_UM = 170.0


@dataclass(frozen=True, kw_only=True)
class Lymphoid:
    """A tertiary lymphoid structure: a ball of the block with a wobbling outline.

    Attributes
    ----------
    x_um, y_um, z_um
        Centre; z is depth.
    radius_um
        In its middle.
    core
        Share of the radius that is B-cell core.
    wobble, phase
        Amplitude and phase of the outline's second and third harmonics.
    """

    x_um: float
    y_um: float
    z_um: float
    radius_um: float
    core: float
    wobble: tuple[float, float]
    phase: tuple[float, float]

    def radius_at(self, angle: Floats, depth_um: float) -> Floats:
        """Radius of the section's outline in a direction; 0 where the section misses it."""
        cut = max(self.radius_um**2 - (self.z_um - depth_um) ** 2, 0.0) ** 0.5
        shape = 1 + self.wobble[0] * np.cos(2 * angle + self.phase[0])
        shape = shape + self.wobble[1] * np.cos(3 * angle + self.phase[1])
        return np.asarray(cut * shape, dtype=np.float64)

    def outline(self, depth_um: float) -> Floats:
        """(n, 2) µm."""
        angle = np.linspace(0, 2 * np.pi, 48, endpoint=False)
        radius = self.radius_at(angle, depth_um)
        return np.stack(
            [self.x_um + radius * np.cos(angle), self.y_um + radius * np.sin(angle)], axis=1
        )


@dataclass(frozen=True, kw_only=True)
class Regions:
    """One section through the block.

    Attributes
    ----------
    tissue, nest, fat, lymphoid
        Soft masks, 0 to 1, float32 on ``GRID_UM``.
    cleft
        Retraction clefts and gaps in the tissue, 0 to 1.
    angle
        Direction of the stroma's fibres, radians.
    collagen
        How dense the stroma is, about 1.
    lumen
        Vessels' lumens.
    intensity
        Cells per mm² of each of `KINDS`, shape ``(kind, y, x)``.
    structures
        Lymphoid structures of the block.
    depth_um
        Of the section.
    """

    tissue: Image
    nest: Image
    fat: Image
    lymphoid: Image
    cleft: Image
    angle: Image
    collagen: Image
    lumen: Image
    intensity: Image
    structures: tuple[Lymphoid, ...]
    depth_um: float


@dataclass(frozen=True, kw_only=True)
class Biology:
    """One patient's latents in the units of tissue.

    Attributes
    ----------
    nest_um
        Width of the field that nests are cut from.
    nest_share, tumour_share, fat_share
        Of the tumour region that is nest; of the tissue that is tumour region, and fat.
    cord_weight
        0: round nests, 1: cords.
    tumour_per_mm2
        Tumour cells of a nest.
    t_stroma_per_mm2, t_ratio
        T cells in stroma, and the nests' share of that.
    tls_per_mm2
        Expected number.
    grade
        1 to 3.
    """

    nest_um: float
    nest_share: float
    tumour_share: float
    fat_share: float
    cord_weight: float
    tumour_per_mm2: float
    t_stroma_per_mm2: float
    t_ratio: float
    tls_per_mm2: float
    grade: int


def biology_of(p: Patients, i: int) -> Biology:
    """What patient ``i``'s latents make of the tissue.

    Nests of 30 to 150 µm; T cells from a desert (under 200 per mm² of stroma) to 2,500; the
    nests' share of them from 3 % (excluded) to 70 % (inflamed); TLS 0.1 to 5 per mm².
    """
    t, mix = float(p.t_cells[i]), float(p.mixing[i])
    grade = int(p.grade[i])
    return Biology(
        nest_um=float(np.clip(38 * np.exp(-0.4 * mix), 15, 80)),
        nest_share=0.55,
        tumour_share=float(0.35 + 0.5 / (1 + np.exp(-0.9 * p.tumour[i]))),
        fat_share=float(0.02 + 0.2 / (1 + np.exp(-(p.fat[i] - 1.2)))),
        cord_weight=float(1 / (1 + np.exp(-1.5 * (mix - 0.5)))),
        tumour_per_mm2=6000.0 - 550.0 * grade,
        t_stroma_per_mm2=float(np.clip(520 * np.exp(0.75 * t), 60, 2600)),
        t_ratio=float(np.clip(np.exp(-1.7 + 0.8 * t - 0.5 * p.exclusion[i]), 0.03, 0.7)),
        tls_per_mm2=float(np.clip(0.9 * np.exp(0.85 * p.tls[i]), 0.05, 5.0)),
        grade=grade,
    )


def side_um(settings: BreastSettings) -> float:
    """Side of the H&E's canvas, a multiple of 16 µm."""
    side = (settings.tissue_mm + 2 * settings.margin_mm) * 1000
    return float(np.ceil(side / 16.0) * 16.0)


def tissue_at(
    settings: BreastSettings, biology: Biology, seed: tuple[int, ...], depth_um: float
) -> Regions:
    """Cut the block at a depth.

    The same seed is the same block; the tubules of ``other`` tissue come from `other_tissue_at`.
    """
    n = round(side_um(settings) / GRID_UM)
    source = FieldSource(seed=seed, shape=(n, n), spacing_um=GRID_UM)
    tissue = _tissue(source, settings, depth_um)
    region, depth_in = _tumour_region(source, biology, tissue, depth_um)
    nest = _nests(source, biology, region, depth_um)
    fat = _fat(source, biology, region, depth_um)
    structures = _structures(source, biology, *_block(source, settings, biology))
    lymphoid, core = _lymphoid(structures, n, depth_um)
    lumen = _vessels(source, tissue, nest, depth_um)
    nest = nest * (1 - lymphoid)
    lumen = lumen * (1 - lymphoid) * (1 - fat)
    maps = _Maps(
        tissue=tissue,
        nest=nest,
        fat=fat,
        lymphoid=lymphoid,
        core=core,
        lumen=lumen,
        inside=depth_in,
    )
    return Regions(
        tissue=tissue,
        nest=nest,
        fat=fat * tissue,
        lymphoid=lymphoid,
        cleft=_clefts(source, nest, lymphoid, depth_um),
        angle=np.asarray(1.6 * source.field("fibre angle", 130, depth_um), dtype=np.float32),
        collagen=np.exp(0.25 * source.field("collagen", 70, depth_um)),
        lumen=lumen,
        intensity=_intensity(source, settings, biology, maps, depth_um),
        structures=structures,
        depth_um=depth_um,
    )


@dataclass(frozen=True, kw_only=True)
class _Maps:
    tissue: Image
    nest: Image
    fat: Image
    lymphoid: Image
    core: Image
    lumen: Image
    inside: Image


def _soft(field: Image, level: float, width: float) -> Image:
    """1 above the level, 0 below, with a border of ``width``."""
    return np.asarray(np.clip((field - level) / width + 0.5, 0, 1), dtype=np.float32)


def _tissue(source: FieldSource, settings: BreastSettings, depth_um: float) -> Image:
    n = source.shape[0]
    half = settings.tissue_mm * 500 / GRID_UM
    y, x = (np.mgrid[:n, :n] + 0.5 - n / 2) / half
    rng = source.rng("outline")
    stretch, power = rng.uniform(0.88, 1.0, 2), rng.uniform(2.2, 3.5)
    radius = (np.abs(x / stretch[0]) ** power + np.abs(y / stretch[1]) ** power) ** (1 / power)
    edge = 0.045 * source.field("outline coarse", 180, depth_um)
    edge = edge + 0.012 * source.field("outline fine", 25, depth_um)
    return _soft(np.asarray(0.96 - radius - edge, np.float32), 0.0, 3 / half)


def _tumour_region(
    source: FieldSource, b: Biology, tissue: Image, depth_um: float
) -> tuple[Image, Image]:
    """Tumour's extent with its invasive front, and the field that it was cut from."""
    length = 0.16 * source.shape[0] * GRID_UM
    field = source.field("tumour", length, depth_um)
    rough = field + 0.15 * source.field("front", 60, depth_um)
    level = float(np.quantile(rough[tissue > 0.5], 1 - b.tumour_share))
    return _soft(rough, level, 0.1) * tissue, np.asarray(rough - level, np.float32)


def _nests(source: FieldSource, b: Biology, region: Image, depth_um: float) -> Image:
    """Nests where a field is high; cords where it is near its middle."""
    rough = 0.12 * source.field("nest edge", 9, depth_um)
    field = source.field("nests", b.nest_um, depth_um)
    nests = 0.95 * field + 0.3 * source.field("nests fine", b.nest_um / 3, depth_um) + rough
    cords = -np.abs(source.field("cords", 0.6 * b.nest_um, depth_um)) + 0.7 * rough
    both = (1 - b.cord_weight) * nests + b.cord_weight * 1.6 * (cords + 0.35)
    inside = region > 0.5
    share = b.nest_share * (1 - 0.25 * b.cord_weight)
    level = float(np.quantile(both[inside], 1 - share)) if inside.any() else 9.0
    return np.asarray(_soft(both, level, 0.12) * region, dtype=np.float32)


def _fat(source: FieldSource, b: Biology, region: Image, depth_um: float) -> Image:
    field = source.field("fat", 140, depth_um) - 3.0 * region
    level = float(np.quantile(field, 1 - b.fat_share))
    return _soft(field, level, 0.15)


def _clefts(source: FieldSource, nest: Image, lymphoid: Image, depth_um: float) -> Image:
    """Retraction: stroma shrinks from part of the nests' outlines, and opens between fibres."""
    around = cv2.GaussianBlur(nest, (0, 0), 1.2) * (1 - nest)
    where = _soft(source.field("retraction", 45, depth_um), 0.9, 0.5)
    fibres = _soft(source.field("fibre gaps", 14, depth_um), 2.0, 0.3)
    gaps = 3.2 * around * where + 0.7 * fibres * (1 - nest)
    return np.asarray(np.clip(gaps, 0, 1) * (1 - lymphoid), dtype=np.float32)


def _block(
    source: FieldSource, settings: BreastSettings, biology: Biology
) -> tuple[Image, Image, Image]:
    """Tissue, nests and fat of the block's first section.

    Structures are drawn there once: drawn on each section's own, the least change of its nests
    would put them elsewhere.
    """
    tissue = _tissue(source, settings, 0.0)
    region, _ = _tumour_region(source, biology, tissue, 0.0)
    return tissue, _nests(source, biology, region, 0.0), _fat(source, biology, region, 0.0)


def _structures(
    source: FieldSource, b: Biology, tissue: Image, nest: Image, fat: Image
) -> tuple[Lymphoid, ...]:
    """Structures in stroma, away from the tissue's edge and from each other.

    Their number is Poisson on the block's tissue; most lie within 300 µm of the tumour.
    """
    rng = source.rng("lymphoid structures")
    area_mm2 = float(tissue.sum()) * GRID_UM**2 / 1e6
    number = int(rng.poisson(b.tls_per_mm2 * area_mm2))
    away = cv2.distanceTransform((tissue > 0.5).astype(np.uint8), cv2.DIST_L2, 5) * GRID_UM
    smooth = cv2.GaussianBlur(nest, (0, 0), 30 / GRID_UM)
    weight = np.where((away > 90) & (fat < 0.5), np.clip(1.0 - smooth, 0.02, 1) ** 3, 0.0)
    near = cv2.GaussianBlur(nest, (0, 0), 150 / GRID_UM)
    weight = (weight * (0.15 + near)).ravel()
    found: list[Lymphoid] = []
    if not weight.sum() > 0:
        return ()
    chance = np.cumsum(weight) / weight.sum()
    for _ in range(number):
        drawn = rng.random(8)
        radius = float(
            np.clip(
                82 * np.exp(0.33 * rng.standard_normal()), _LEAST_TLS_RADIUS_UM, _MOST_TLS_RADIUS_UM
            )
        )
        row, column = divmod(int(np.searchsorted(chance, drawn[0])), source.shape[1])
        x, y = (column + 0.5) * GRID_UM, (row + 0.5) * GRID_UM
        if any(np.hypot(x - s.x_um, y - s.y_um) < 1.25 * (radius + s.radius_um) for s in found):
            continue
        found.append(
            Lymphoid(
                x_um=x,
                y_um=y,
                z_um=float((drawn[1] - 0.5) * 0.9 * radius),
                radius_um=radius,
                core=float(0.5 + 0.25 * drawn[2]),
                wobble=(0.05 + 0.13 * drawn[3], 0.08 * drawn[4]),
                phase=(6.28 * drawn[5], 6.28 * drawn[6]),
            )
        )
    return tuple(found)


def _lymphoid(structures: tuple[Lymphoid, ...], n: int, depth_um: float) -> tuple[Image, Image]:
    """Soft masks of the structures and of their cores."""
    whole, core = np.zeros((n, n), np.float32), np.zeros((n, n), np.float32)
    for s in structures:
        reach = 1.3 * s.radius_um / GRID_UM
        x0, y0 = (max(int(c / GRID_UM - reach), 0) for c in (s.x_um, s.y_um))
        x1, y1 = (min(int(c / GRID_UM + reach) + 2, n) for c in (s.x_um, s.y_um))
        y, x = np.mgrid[y0:y1, x0:x1]
        dx, dy = (x + 0.5) * GRID_UM - s.x_um, (y + 0.5) * GRID_UM - s.y_um
        limit = s.radius_at(np.arctan2(dy, dx), depth_um)
        r = np.hypot(dx, dy)
        inside = np.clip((limit - r) / 12.0 + 0.5, 0, 1)
        middle = np.clip((s.core * limit - r) / 16.0 + 0.5, 0, 1)
        whole[y0:y1, x0:x1] = np.maximum(whole[y0:y1, x0:x1], inside)
        core[y0:y1, x0:x1] = np.maximum(core[y0:y1, x0:x1], middle)
    return whole, core


def _vessels(source: FieldSource, tissue: Image, nest: Image, depth_um: float) -> Image:
    """Lumens of small vessels, about 12 per mm² of stroma, 10 to 30 µm wide."""
    rng = source.rng("vessels")
    n = source.shape[0]
    lumen = np.zeros((n, n), np.uint8)
    number = int(rng.poisson(12 * float(tissue.sum()) * GRID_UM**2 / 1e6))
    for x, y, long, wide, turn, slant in rng.random((number, 6)):
        at = (round(16 * (x * n + 0.2 * slant * depth_um / GRID_UM)), round(16 * y * n))
        axes = (round(16 * (2 + 4 * long**2)), round(16 * (1 + 1.8 * wide)))
        cv2.ellipse(lumen, at, axes, 180 * turn, 0, 360, 255, -1, cv2.LINE_AA, 4)
    soft = cv2.GaussianBlur(lumen.astype(np.float32) / 255, (0, 0), 0.7)
    return np.asarray(soft * tissue * (nest < 0.2), dtype=np.float32)


def _intensity(
    source: FieldSource, settings: BreastSettings, b: Biology, m: _Maps, depth_um: float
) -> Image:
    """Cells per mm² of each kind.

    T and B cells are one population of lymphocytes to the eye. How many of them are B cells
    follows from how crowded they are and whether they form a structure's core, and from a smooth
    field that nothing in H&E tells of.
    """
    tissue = m.tissue * (1 - m.fat) * (1 - m.lumen)
    stroma = tissue * (1 - m.nest) * (1 - m.lymphoid)
    front = np.exp(-np.abs(m.inside) / 0.35)  # lymphocytes gather along the invasive front
    hidden = settings.t_cell_noise * source.field("t cells", 40, depth_um)
    coarse = 0.45 * source.field("t cells coarse", 160, depth_um)
    factor = np.exp(hidden + coarse - 0.5 * (settings.t_cell_noise**2 + 0.45**2))
    diffuse = b.t_stroma_per_mm2 * factor * (0.55 + 0.7 * front)
    diffuse = diffuse * (stroma + b.t_ratio * m.nest * tissue)
    diffuse = np.minimum(diffuse, 5200)
    logit = -2.6 + 0.9 * np.log(np.maximum(diffuse, 50) / 500)
    logit = logit + settings.b_cell_noise * 1.4 * source.field("b cells", 60, depth_um)
    share = 1 / (1 + np.exp(-logit))
    share = share * (1 - 0.7 * m.nest)
    structure = m.lymphoid * tissue * 10500
    mixed = settings.b_cell_noise * 0.7 * source.field("b cells", 60, depth_um)
    b_inside = 1 / (1 + np.exp(-(-1.3 + 3.0 * m.core + mixed)))
    t_cells = diffuse * (1 - share) + structure * (1 - b_inside)
    b_cells = diffuse * share + _SCATTERED_B_PER_MM2 * stroma + structure * b_inside
    tumour = b.tumour_per_mm2 * np.exp(0.12 * source.field("crowding", 50, depth_um)) * m.nest
    plasma = 0.16 * diffuse * np.exp(0.8 * source.field("plasma", 80, depth_um) - 0.32) * stroma
    rim = cv2.GaussianBlur(m.lumen, (0, 0), 1.5) * (1 - m.lumen)  # endothelium
    fibroblast = (
        (850 + 2500 * rim) * stroma * np.exp(0.4 * source.field("fibroblasts", 60, depth_um))
    )
    mimic = 110 * stroma + 60 * m.nest
    kinds = [tumour * tissue, t_cells, b_cells, plasma, fibroblast, mimic * tissue]
    return np.asarray(np.stack(kinds), dtype=np.float32)
