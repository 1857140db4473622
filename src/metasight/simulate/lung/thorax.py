"""A thorax with its lesion: drawn once, looked at on any grid."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from metasight.errors import VolumeError
from metasight.simulate.lung.anatomy import Anatomy, Tubes, draw_anatomy
from metasight.simulate.lung.fields import grain, unevenness
from metasight.simulate.lung.forms import interpolated_at, levels_at, mediastinum_grid
from metasight.simulate.lung.nodule import (
    Nodule,
    Shape,
    directions,
    draw_shape,
    draw_spicules,
    solid_within,
)
from metasight.simulate.lung.raster import (
    AIRWAY,
    AIRWAY_WALL,
    AORTA,
    OESOPHAGUS,
    VESSEL,
    Grid,
    paint_body,
)
from metasight.simulate.lung.scanner import Scanner, finer, scanned
from metasight.simulate.lung.settings import NoduleSettings, ScanSettings, ThoraxSettings
from metasight.simulate.lung.trees import grow, points_in_lungs
from metasight.simulate.lung.tubes import paint_tubes

Floats = npt.NDArray[np.float64]
Image = npt.NDArray[np.float32]
Labels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

_EDGE_MM = 0.7  # over which a lesion's border goes from lung to tissue
_CENTRAL_MM = 20.0
_PERIPHERAL_MM = 24.0
_FISSURE_MM = 2.0
_BRONCHI_MM = 3.0
_TRIED = 6000
_RAYS = 150
_INNER, _OUTER = 0.60, 0.72  # of the way from the hilum to the pleura, off the border at 2/3


@dataclass(frozen=True, kw_only=True)
class Thorax:
    """A drawn thorax; everything about it is known at every point.

    Attributes
    ----------
    anatomy
        Bones of the matter: sizes, great vessels, proximal bronchi.
    mediastinum
        Its level on the coarse grid.
    vessels, airways
        Trees within the lungs (airways: the lumen).
    coarse, fine, grain
        Unevenness of tissue, 9 mm, 2.6 mm and about 1 mm across.
    nodule
        Its lesion, or ``None``.
    """

    anatomy: Anatomy
    mediastinum: Image
    vessels: Tubes
    airways: Tubes
    coarse: Image
    fine: Image
    grain: Image
    nodule: Nodule | None

    @property
    def height_mm(self) -> float:
        """Of the lungs."""
        return self.anatomy.form.height

    @cached_property
    def proximal(self) -> Tubes:
        """Lumen of the proximal bronchial tree."""
        return self.anatomy.proximal_tree()

    def levels(self, points: Floats) -> Floats:
        """See `metasight.simulate.lung.forms.levels_at`."""
        return levels_at(self.anatomy.form, self.mediastinum, points)

    def field(self, scan: ScanSettings) -> Grid:
        """The grid of a whole scan: from 20 mm under the lungs to 12 mm over them."""
        nz = round((self.height_mm + 32) / scan.interval_mm)
        ny, nx = round(scan.depth_mm / scan.pixel_mm), round(scan.width_mm / scan.pixel_mm)
        return Grid(
            shape=(nz, ny, nx),
            spacing_mm=(scan.interval_mm, scan.pixel_mm, scan.pixel_mm),
            origin_mm=(-(nx - 1) / 2 * scan.pixel_mm, 4 - (ny - 1) / 2 * scan.pixel_mm, -20.0),
        )

    def crop(self, scan: ScanSettings, side_mm: float) -> Grid:
        """Voxels of the same grid within a cube round the lesion.

        Raises
        ------
        VolumeError
            There is no lesion.
        """
        whole = self.field(scan)
        centre = np.array(self.lesion.whole.centre_mm)[::-1]
        first = np.array(whole.origin_mm)[::-1]
        step = np.array(whole.spacing_mm)
        low = np.maximum(np.ceil((centre - side_mm / 2 - first) / step), 0).astype(int)
        high = np.minimum((centre + side_mm / 2 - first) / step, np.array(whole.shape) - 1)
        shape = high.astype(int) - low + 1
        origin = first + low * step
        return Grid(
            shape=tuple(int(n) for n in shape),  # type: ignore[arg-type]
            spacing_mm=whole.spacing_mm,
            origin_mm=tuple(float(v) for v in origin[::-1]),  # type: ignore[arg-type]
        )

    @property
    def lesion(self) -> Nodule:
        """The lesion.

        Raises
        ------
        VolumeError
            There is none.
        """
        if self.nodule is None:
            raise VolumeError(
                "the simulated thorax has no lesion",
                where="simulated thorax",
                remedy="Give `nodule` in its settings",
            )
        return self.nodule

    def painted(self, grid: Grid) -> tuple[Image, Labels]:
        """CT numbers (no blur, no noise) and labels of `metasight.simulate.lung.raster`."""
        a = self.anatomy
        hu, labels = paint_body(a.form, self.mediastinum, self.coarse, self.fine, self.grain, grid)
        for tubes, label in ((a.cava, VESSEL), (a.pulmonary, VESSEL), (a.aorta, AORTA)):
            paint_tubes(tubes, grid, hu, labels, value_hu=a.form.blood_hu, over=True, label=label)
        paint_tubes(a.oesophagus, grid, hu, labels, value_hu=34.0, over=True, label=OESOPHAGUS)
        paint_tubes(self.vessels, grid, hu, labels, value_hu=a.form.blood_hu, over=False)
        paint_tubes(self.airways.widened(0.35, 1.15), grid, hu, labels, value_hu=-40.0, over=False)
        central = self.proximal + a.trachea
        paint_tubes(
            central.widened(1.3), grid, hu, labels, value_hu=25.0, over=True, label=AIRWAY_WALL
        )
        paint_tubes(self.airways, grid, hu, labels, value_hu=-960.0, over=True)
        paint_tubes(central, grid, hu, labels, value_hu=-985.0, over=True, label=AIRWAY)
        if self.nodule is not None:
            self._paint_lesion(self.nodule, grid, hu, labels)
        return hu, labels

    def _paint_lesion(self, nodule: Nodule, grid: Grid, hu: Image, labels: Labels) -> None:
        paint_tubes(nodule.spicules, grid, hu, labels, value_hu=nodule.solid_hu, over=False)
        box, points = _box(nodule.whole, grid, 2.0)
        if not points.size:
            return
        voxel = float(np.prod(grid.spacing_mm)) ** (1 / 3)
        uneven = nodule.texture_hu * interpolated_at(self.fine, points.reshape(-1, 3))
        uneven = uneven.reshape(points.shape[:-1])
        shown = hu[box].astype(np.float64)
        parts = [(nodule.whole, nodule.ground_glass_hu)] * (nodule.attenuation != "solid")
        parts += [(nodule.solid, nodule.solid_hu)] * (nodule.solid is not None)  # type: ignore[list-item]
        for shape, value in parts:
            share = np.clip(0.5 - shape.level(points) / max(_EDGE_MM, voxel), 0, 1)
            shown = shown * (1 - share) + share * (value + uneven)
        hu[box] = shown
        inside = nodule.whole.level(points) < 0
        found = self.levels(points.reshape(-1, 3)).reshape(*points.shape[:-1], 3)
        # what was bronchus or vessel under the lesion is lobe now
        labels[box] = np.where(inside, found[..., 2].astype(np.uint8), labels[box])

    def scan(
        self, settings: ScanSettings, rng: np.random.Generator, *, grid: Grid | None = None
    ) -> tuple[Image, Labels]:
        """CT numbers as a scanner gives them, on the whole field or on ``grid``, and labels."""
        grid = self.field(settings) if grid is None else grid
        scanner = Scanner(
            kernel=settings.kernel, slice_thickness_mm=settings.thickness_mm, noise=settings.noise
        )
        fine, times = finer(grid, scanner)
        hu, labels = self.painted(fine)
        seen = np.maximum(scanned(hu, grid, times, scanner, rng), np.float32(-1024))
        return seen, np.ascontiguousarray(labels[times // 2 :: times])

    def lesion_mask(self, grid: Grid, *, solid: bool = False) -> Mask:
        """Voxels of which at least half (of 27 samples) lies in the lesion or its solid part."""
        out = np.zeros(grid.shape, dtype=bool)
        shape = self.lesion.solid if solid else self.lesion.whole
        if shape is None:
            return out
        box, points = _box(shape, grid, 1.0)
        count = np.zeros(points.shape[:-1], dtype=np.int64)
        dz, dy, dx = np.array(grid.spacing_mm) / 3
        for i in (-1, 0, 1):
            for j in (-1, 0, 1):
                for k in (-1, 0, 1):
                    count += shape.level(points + np.array([k * dx, j * dy, i * dz])) < 0
        out[box] = count >= 14
        return out


def _box(shape: Shape, grid: Grid, margin_mm: float) -> tuple[tuple[slice, ...], Floats]:
    """Slices of a grid that hold a shape, and its points ``(z, y, x, 3)`` in x, y, z."""
    low, high = shape.surface.min(axis=0) - margin_mm, shape.surface.max(axis=0) + margin_mm
    cut, lines = [], []
    for axis, line in zip((2, 1, 0), grid.axes(), strict=True):
        start, stop = np.searchsorted(line, (low[axis], high[axis]))
        cut.append(slice(int(start), int(stop)))
        lines.append(line[start:stop])
    z, y, x = np.meshgrid(*lines, indexing="ij")
    return tuple(cut), np.stack([x, y, z], axis=-1)


def draw_thorax(settings: ThoraxSettings, rng: np.random.Generator) -> Thorax:
    """Draw a thorax and place its lesion.

    Raises
    ------
    VolumeError
        The lesion fits nowhere in the lobe and region asked for.
    """
    anatomy = draw_anatomy(rng, female=settings.female, contrast=settings.scan.contrast)
    mediastinum = mediastinum_grid(anatomy)
    vessels, airways = grow(
        anatomy, mediastinum, rng, ends=settings.vessel_ends, leaf_radius_mm=settings.vessel_leaf_mm
    )
    coarse, fine, small = unevenness(rng, 9.0), unevenness(rng, 2.6), grain(rng)
    nodule = None
    if settings.nodule is not None:
        nodule = _placed(settings.nodule, anatomy, mediastinum, vessels, rng)
        if settings.nodule.clearance_mm > 0:
            gap = settings.nodule.clearance_mm
            vessels, airways = (_clear(t, nodule.whole, gap) for t in (vessels, airways))
    return Thorax(
        anatomy=anatomy,
        mediastinum=mediastinum,
        vessels=vessels,
        airways=airways,
        coarse=coarse,
        fine=fine,
        grain=small,
        nodule=nodule,
    )


def _clear(tubes: Tubes, shape: Shape, gap_mm: float) -> Tubes:
    """Tubes without those that come within a gap of the ball round a shape."""
    centre = np.array(shape.centre_mm)
    start, axis = tubes.ends[:, :3], tubes.ends[:, 3:] - tubes.ends[:, :3]
    length2 = np.maximum((axis**2).sum(axis=1), 1e-9)
    t = np.clip(((centre - start) * axis).sum(axis=1) / length2, 0, 1)
    away = np.linalg.norm(start + t[:, None] * axis - centre, axis=1) - tubes.radii.max(axis=1)
    reach = float(np.linalg.norm(shape.surface - centre, axis=1).max())
    kept = away > reach + gap_mm
    return Tubes(ends=tubes.ends[kept], radii=tubes.radii[kept])


def _placed(
    wanted: NoduleSettings,
    anatomy: Anatomy,
    mediastinum: Image,
    vessels: Tubes,
    rng: np.random.Generator,
) -> Nodule:
    whole = draw_shape(
        rng,
        centre_mm=np.zeros(3),
        longest_mm=wanted.diameter_mm,
        lobulated=wanted.margin == "lobulated",
    )
    reach = float(np.linalg.norm(whole.surface, axis=1).max())
    centre = _place(wanted, reach, anatomy, mediastinum, rng)
    if wanted.pleura == "attached":
        centre = _pushed(whole, centre, anatomy, mediastinum)
    whole = Shape(
        centre_mm=tuple(float(v) for v in centre),  # type: ignore[arg-type]
        half_axes_mm=whole.half_axes_mm,
        turn=whole.turn,
        bumps=whole.bumps,
    )
    solid = None
    if wanted.attenuation != "ground-glass":
        solid = solid_within(rng, whole, wanted.solid_diameter_mm)
    pleura = None
    if wanted.pleura == "tag":
        pleura = nearest_exit(centre, anatomy, mediastinum)
    vessel = None
    if wanted.vessel:
        wide = np.flatnonzero(vessels.radii[:, 1] > 0.9)
        away = np.linalg.norm(vessels.ends[wide, 3:] - centre, axis=1)
        vessel = vessels.ends[wide[int(np.where(away < reach + 2, np.inf, away).argmin())], 3:]
    return Nodule(
        whole=whole,
        solid=solid,
        attenuation=wanted.attenuation,
        margin=wanted.margin,
        ground_glass_hu=wanted.ground_glass_hu,
        solid_hu=wanted.solid_hu,
        texture_hu=wanted.texture_hu,
        spicules=draw_spicules(
            rng, whole, spiculated=wanted.margin == "spiculated", pleura_mm=pleura, vessel_mm=vessel
        ),
        suv=wanted.suv,
    )


def _place(
    wanted: NoduleSettings,
    reach: float,
    anatomy: Anatomy,
    mediastinum: Image,
    rng: np.random.Generator,
) -> Floats:
    """A centre for a lesion that reaches ``reach`` mm from it at most."""
    points, lobe = points_in_lungs(anatomy, mediastinum, _TRIED, rng)
    found = levels_at(anatomy.form, mediastinum, points)
    depth, fissure = -found[:, 0], found[:, 1]
    good = np.full(len(points), wanted.across_fissure) | (fissure > reach + _FISSURE_MM)
    good &= lobe == wanted.lobe if wanted.lobe is not None else True
    if wanted.pleura == "attached":
        # the costal pleura, at the side, where the chest wall is nearly flat
        good &= (depth > 0.7 * reach) & (depth < reach + 2) & (np.abs(points[:, 0]) > 60)
    else:
        room = _exits(points, anatomy, mediastinum, reach + 4.0)
        good &= room & (depth < reach + 22 if wanted.pleura == "tag" else True)
    # lobar bronchi and the hilar vessels beside them stand free in the lung
    far = distance_to_tubes(points, anatomy.proximal_tree() + anatomy.pulmonary) - reach
    good &= far > _BRONCHI_MM
    if wanted.central is not None:
        far = distance_to_tubes(points, anatomy.proximal_tree()) - reach
        good &= far < _CENTRAL_MM - 3 if wanted.central else far > _PERIPHERAL_MM
    chosen = _first(wanted.central, points[good], anatomy, mediastinum)
    if chosen is None:
        raise VolumeError(
            "the lesion fits nowhere in that lobe and region",
            where="simulated thorax",
            value=f"{wanted.diameter_mm:g} mm, lobe {wanted.lobe}, central {wanted.central}",
            remedy="Give a smaller lesion, another lobe, or leave lobe or region open",
        )
    return chosen


def _first(
    central: bool | None, points: Floats, anatomy: Anatomy, mediastinum: Image
) -> Floats | None:
    """The first point that is central, or peripheral, by the thirds of the lung too."""
    for point in points[:_RAYS]:
        if central is None:
            return np.asarray(point, dtype=np.float64)
        hilum = anatomy.hila[0 if point[0] < 0 else 1]
        ratios = []
        for start in (hilum, np.array([hilum[0], hilum[1], point[2]])):
            away = point - start
            distance = float(np.linalg.norm(away))
            toward = away[None] / distance
            beyond = float(ray_lengths(point, toward, anatomy, mediastinum)[0])
            ratios.append(distance / (distance + beyond))
        if max(ratios) < _INNER if central else min(ratios) > _OUTER:
            return np.asarray(point, dtype=np.float64)
    return None


_AROUND = directions(26)


def _exits(points: Floats, anatomy: Anatomy, mediastinum: Image, room_mm: float) -> Mask:
    """Whether points are in the lungs with a ball of ``room_mm`` all round."""
    out = np.ones(len(points), dtype=bool)
    for toward in _AROUND:
        out[out] = levels_at(anatomy.form, mediastinum, points[out] + room_mm * toward)[:, 0] < 0
    return out


def _pushed(whole: Shape, centre: Floats, anatomy: Anatomy, mediastinum: Image) -> Floats:
    """Move a lesion until its surface just touches the pleura that is nearest."""
    exit_mm = nearest_exit(centre, anatomy, mediastinum)
    toward = (exit_mm - centre) / np.linalg.norm(exit_mm - centre)
    low, high = -30.0, 30.0
    for _ in range(30):
        middle = (low + high) / 2
        moved = whole.surface + centre + middle * toward
        outside = levels_at(anatomy.form, mediastinum, moved)[:, 0].max() > -0.1
        low, high = (low, middle) if outside else (middle, high)
    return np.asarray(centre + low * toward)


def nearest_exit(centre: Floats, anatomy: Anatomy, mediastinum: Image) -> Floats:
    """Nearest point of the lungs' surface to a point in them, to about 0.3 mm."""
    toward = directions(1500)
    length = ray_lengths(centre, toward, anatomy, mediastinum)
    k = int(length.argmin())
    return np.asarray(centre + length[k] * toward[k])


def ray_lengths(centre: Floats, toward: Floats, anatomy: Anatomy, mediastinum: Image) -> Floats:
    """How far each ray goes before it leaves the lungs.

    200 mm for rays more than 30 % longer than the shortest: the nearest surface is asked for.
    """
    length = np.full(len(toward), 200.0)
    open_ = np.arange(len(toward))
    # steps of 1 mm, then bisection
    for step in np.arange(1.0, 200.0, 1.0):
        level = levels_at(anatomy.form, mediastinum, centre + step * toward[open_])[:, 0]
        out = level > 0
        length[open_[out]] = step
        open_ = open_[~out]
        if len(open_) == 0 or (length.min() < 200 and step > 1.3 * length.min() + 2):
            break
    low, high = length - 1.0, length.copy()
    for _ in range(8):
        middle = (low + high) / 2
        level = levels_at(anatomy.form, mediastinum, centre + middle[:, None] * toward)[:, 0]
        low, high = np.where(level > 0, low, middle), np.where(level > 0, middle, high)
    return np.where(length < 200, (low + high) / 2, 200.0)


def distance_to_tubes(points: Floats, tubes: Tubes) -> Floats:
    """Distance of points ``(n, 3)`` from the surface of tubes, mm, negative inside."""
    best = np.full(len(points), np.inf)
    for end, radius in zip(tubes.ends, tubes.radii, strict=True):
        axis = end[3:] - end[:3]
        t = np.clip((points - end[:3]) @ axis / max(float(axis @ axis), 1e-9), 0, 1)
        away = np.linalg.norm(points - end[:3] - t[:, None] * axis, axis=1)
        best = np.minimum(best, away - radius[0] - t * (radius[1] - radius[0]))
    return best
