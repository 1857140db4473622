"""One lung lesion from a click or a box: density above its surroundings, freed of vessels.

The border lies half-way between the lesion's density and that of the lung about it (the point
spread leaves it there whatever the kernel), so a solid lesion and ground glass each have their own
threshold. What hangs on by a bridge thinner than the lesion itself is cut off: vessels and pleura
(Kostis et al., IEEE Trans Med Imaging 2003;22:1259; Kuhnigk et al., ibid. 2006;25:417). A solid
lesion is looked at again for ground glass round it. The chest wall is kept out by the lungs' shape.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk  # noqa: N813
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError

from metasight.errors import VolumeError
from metasight.segmentation.lung import Lungs
from metasight.volumes.volume import Mask, Volume

Booleans = npt.NDArray[np.bool_]
Floats32 = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]
Point = tuple[float, float, float]

_FIELDS_MM = (35.0, 60.0, 100.0)  # half sides tried: most lesions, large ones, masses
_FINEST_MM, _COARSEST_MM = 0.7, 1.5
_NOISE_MM = 0.6
_EVEN_MM = 1.3
_CORE_MM = 2.5
_SNAP_MM = 5.0
_DRAWN_MM = 2.0  # that a box drawn by hand may be too tight
_SOLID_WITHIN_MM = 3.0
_VESSEL_MM = 1.8  # depth from which something solid near a click is no vessel of the periphery
_ROUNDS = 5
_LUNG_HU = -850.0  # where no lung is near
_LEAST_ABOVE_LUNG_HU = 120.0
_SOFT_HU = 40.0  # brighter is calcium or contrast: the border is not half-way to that
_BRIDGE = 0.35  # of the lesion's own depth: what is thinner is cut off
_FAINT_BRIDGE = 0.5  # at the level of ground glass vessels are wider and lung itself is near
_THINNEST_MM, _FAINT_THINNEST_MM, _THICKEST_MM = 1.0, 2.0, 5.0
_GROUND_GLASS_HU = -600.0
_HALO_RIM_MM = 1.5
_HALO_SHARE = 0.20
_HALO_THICK_MM = 1.2
_SMALLEST_MM3 = 8.0
_FEWEST_OF_HULL = 30
_MOST_BODIES = 40
_BODY_REACH = 2.5  # depths about a body's centre that are looked at
_DRAWN_OUT = 2.0  # longest over shortest axis; a tube within that reach has about 3


@dataclass(frozen=True, kw_only=True)
class LesionFound:
    """A lesion and how its border was drawn.

    Attributes
    ----------
    mask
        On the scan's grid.
    threshold_hu
        Half-way between lesion and lung.
    lung_hu
        Of the lung round it.
    ground_glass
        Whether ground glass round a solid core was taken in.
    """

    mask: Mask
    threshold_hu: float
    lung_hu: float
    ground_glass: bool


@dataclass(frozen=True, kw_only=True)
class _Field:
    """Cube round the lesion with equal spacing, (z, y, x).

    ``hu`` is freed of a little noise, ``faint`` of so much that lung is even.
    """

    image: sitk.Image
    sharp: Floats32
    hu: Floats32
    faint: Floats32
    allowed: Booleans
    lung: Booleans
    spacing_mm: float

    def index(self, point_mm: Floats) -> tuple[int, int, int]:
        x, y, z = self.image.TransformPhysicalPointToIndex([float(p) for p in point_mm])
        size = self.hu.shape
        inside = [int(np.clip(v, 0, n - 1)) for v, n in zip((z, y, x), size, strict=True)]
        return inside[0], inside[1], inside[2]

    def near(self, at: tuple[int, int, int], radius_mm: float) -> Booleans:
        grid = np.ogrid[tuple(slice(0, n) for n in self.hu.shape)]
        away = sum((g - c) ** 2 for g, c in zip(grid, at, strict=True))
        return np.asarray(away <= (radius_mm / self.spacing_mm) ** 2)

    def depth(self, region: Booleans) -> Floats32:
        """Distance to what is outside, mm; the field's edge is no border."""
        away = ndimage.distance_transform_edt(np.pad(region, 1, mode="edge"))
        return np.asarray(away[1:-1, 1:-1, 1:-1] * self.spacing_mm, dtype=np.float32)


def lesion_from_click(scan: Volume, lungs: Lungs, point_mm: Point) -> LesionFound:
    """Segment the lesion that a point lies in, or within 5 mm of.

    Parameters
    ----------
    scan
        CT in HU.
    lungs
        Of the same scan.
    point_mm
        x, y, z in patient coordinates (LPS).

    Raises
    ------
    VolumeError
        The point is off the scan, or nothing denser than lung is there.
    """
    at = np.asarray(point_mm, dtype=np.float64)
    index = scan.grid.to_index(at)
    if not (np.isfinite(at).all() and (index > -0.5).all()
            and (index < np.array(scan.grid.size) - 0.5).all()):  # fmt: skip
        raise VolumeError(
            "the point is outside the scan", where="lesion",
            value=", ".join(f"{v:.1f}" for v in at),
            remedy="Give x, y, z in mm in the scan's patient coordinates",
        )  # fmt: skip
    return _largest_needed(scan, lungs, at, None)


def lesion_from_box(scan: Volume, lungs: Lungs, low_mm: Point, high_mm: Point) -> LesionFound:
    """Segment the lesion that a box holds; nothing more than 2 mm outside it is part of it.

    Parameters
    ----------
    low_mm, high_mm
        Two opposite corners, x, y, z in patient coordinates.

    Raises
    ------
    VolumeError
        The box is empty or off the scan, or holds nothing denser than lung.
    """
    ends = np.sort(np.array([low_mm, high_mm], dtype=np.float64), axis=0)
    inside = scan.grid.to_index(ends.mean(axis=0))
    size = np.array(scan.grid.size)
    if not (ends[1] > ends[0]).all() or not ((inside > -0.5) & (inside < size - 0.5)).all():
        raise VolumeError("the box is empty, or outside the scan", where="lesion",
                          remedy="Give two opposite corners in mm")  # fmt: skip
    return _largest_needed(scan, lungs, ends.mean(axis=0), ends)


def _largest_needed(
    scan: Volume, lungs: Lungs, at: Floats, box: npt.NDArray[np.float64] | None
) -> LesionFound:
    # the field's middle on a voxel's: interpolation would blur more the further it is from one
    middle = scan.grid.to_mm(np.round(scan.grid.to_index(at)))
    for half in _FIELDS_MM:
        if box is not None and (np.ptp(box, axis=0) / 2 > half).any() and half != _FIELDS_MM[-1]:
            continue
        field = _cut(scan, lungs, middle, half, box)
        found, threshold, lung, halo = _segment(field, at, box)
        if half == _FIELDS_MM[-1] or not _touches(found):
            break
    mask = _on_scan(scan, field, found)
    return LesionFound(mask=mask, threshold_hu=threshold, lung_hu=lung, ground_glass=halo)


def _touches(region: Booleans) -> bool:
    return bool(
        region[[0, -1]].any() or region[:, [0, -1]].any() or region[:, :, [0, -1]].any()
    )  # fmt: skip


def _cut(scan: Volume, lungs: Lungs, at: Floats, half_mm: float, box: Floats | None) -> _Field:
    spacing = float(np.clip(min(scan.spacing_mm), _FINEST_MM, _COARSEST_MM))
    if half_mm > _FIELDS_MM[0]:
        spacing = max(spacing, half_mm / 60)
    n = 2 * round(half_mm / spacing) + 1
    resampler = sitk.ResampleImageFilter()
    resampler.SetSize([n] * 3)
    resampler.SetOutputSpacing([spacing] * 3)
    resampler.SetOutputDirection(scan.image.GetDirection())
    axes = np.reshape(scan.image.GetDirection(), (3, 3))
    resampler.SetOutputOrigin((at - axes @ np.full(3, (n - 1) / 2 * spacing)).tolist())
    resampler.SetInterpolator(sitk.sitkLinear)
    resampler.SetDefaultPixelValue(-1000)
    image = resampler.Execute(scan.image)
    sharp = sitk.GetArrayFromImage(image)
    hu = ndimage.gaussian_filter(sharp, _NOISE_MM / spacing)
    resampler.SetInterpolator(sitk.sitkNearestNeighbor)
    resampler.SetDefaultPixelValue(0)
    whole = sitk.Or(lungs.right_whole.image, lungs.left_whole.image)
    aerated = sitk.Or(lungs.right.image, lungs.left.image)
    allowed = sitk.GetArrayFromImage(resampler.Execute(whole)) > 0
    lung = sitk.GetArrayFromImage(resampler.Execute(aerated)) > 0
    if box is not None:
        z, y, x = np.meshgrid(*[np.arange(n)] * 3, indexing="ij")
        points = image.GetOrigin() + (np.stack([x, y, z], axis=-1) * spacing) @ axes.T
        allowed = ((points >= box[0] - _DRAWN_MM) & (points <= box[1] + _DRAWN_MM)).all(axis=-1)
    faint = ndimage.gaussian_filter(sharp, _EVEN_MM / spacing)
    return _Field(
        image=image, sharp=sharp, hu=hu, faint=faint, allowed=allowed, lung=lung, spacing_mm=spacing
    )


# ------------------------------------------------------------------ the lesion in its field


def _segment(field: _Field, at: Floats, box: Floats | None) -> tuple[Booleans, float, float, bool]:
    lung_hu = _lung_about(field)
    seed = field.index(at) if box is None else _densest(field, lung_hu)
    seed, core = _core(field, seed, lung_hu)
    for _ in range(_ROUNDS):
        threshold = (min(core, _SOFT_HU) + lung_hu) / 2
        faint = threshold < (_GROUND_GLASS_HU + lung_hu) / 2 + _LEAST_ABOVE_LUNG_HU
        dense = field.hu > threshold
        if faint:
            own = _own_solid(field, lung_hu, threshold, seed)
            if own is not None:  # the core is brighter than the ground glass, whose border counts
                threshold = min(threshold, (_GROUND_GLASS_HU + lung_hu) / 2)
            dense = _faint(field, lung_hu, threshold, of_lesion=own)
        found, deepest = _freed(field, dense, seed, faint=faint)
        if faint:
            found = _with_enclosed(field, found, threshold)
        if deepest == seed:
            break
        seed, core = deepest, float(np.median(field.hu[field.near(deepest, _CORE_MM)]))
    halo = False
    if not faint:
        wider = _with_ground_glass(field, found, seed, lung_hu)
        halo = wider is not None
        found = found if wider is None else wider
    if halo:
        threshold = (_GROUND_GLASS_HU + lung_hu) / 2
    found = _bordered(field, found, threshold)
    if found.sum() * field.spacing_mm**3 < _SMALLEST_MM3:
        raise VolumeError("nothing denser than lung is at the point", where="lesion",
                          remedy="Click within the lesion")  # fmt: skip
    return found, float(threshold), float(lung_hu), halo


def _lung_about(field: _Field) -> float:
    """Middle density of aerated lung in the field; vessels and the lesion are brighter."""
    values = field.hu[field.lung & (field.hu < -500)]
    return float(np.median(values)) if len(values) > 500 else _LUNG_HU


def _densest(field: _Field, lung_hu: float) -> tuple[int, int, int]:
    """The deepest point of the dense part of a box."""
    for limit in (-300.0, (_GROUND_GLASS_HU + lung_hu) / 2):
        dense = field.allowed & (field.hu > limit)
        if dense.sum() * field.spacing_mm**3 < _SMALLEST_MM3:
            continue
        inner = field.depth(dense)
        middle = (np.array(field.hu.shape) - 1) / 2
        grid = np.ogrid[tuple(slice(0, n) for n in field.hu.shape)]
        away = np.sqrt(sum((g - c) ** 2 for g, c in zip(grid, middle, strict=True)))
        # a rib or the heart at the box's edge is deeper than a small lesion in its middle
        at = np.unravel_index(np.argmax(inner - 0.3 * away * field.spacing_mm), field.hu.shape)
        return int(at[0]), int(at[1]), int(at[2])
    raise VolumeError("nothing denser than lung is in the box", where="lesion")


def _core(
    field: _Field, seed: tuple[int, int, int], lung_hu: float
) -> tuple[tuple[int, int, int], float]:
    """The seed, moved to a solid body within 3 mm or something denser than lung within 5 mm."""
    solid = field.hu > (_SOFT_HU + lung_hu) / 2
    inner = np.where(solid & field.near(seed, _SOLID_WITHIN_MM), field.depth(solid), 0.0)
    if inner.max() > _VESSEL_MM:
        best = np.unravel_index(np.argmax(inner), inner.shape)
        seed = int(best[0]), int(best[1]), int(best[2])
    core = float(np.median(field.hu[field.near(seed, _CORE_MM)]))
    if core - lung_hu < _LEAST_ABOVE_LUNG_HU:
        near = field.near(seed, _SNAP_MM) & field.allowed
        smooth = ndimage.uniform_filter(field.hu, max(3, round(_CORE_MM / field.spacing_mm)))
        best = np.unravel_index(np.argmax(np.where(near, smooth, -np.inf)), field.hu.shape)
        seed = int(best[0]), int(best[1]), int(best[2])
        core = float(np.median(field.hu[field.near(seed, _CORE_MM)]))
    if core - lung_hu < _LEAST_ABOVE_LUNG_HU:
        raise VolumeError("nothing denser than lung is at the point", where="lesion",
                          value=f"{core:.0f} HU", remedy="Click within the lesion")  # fmt: skip
    return seed, core


def _freed(
    field: _Field, dense: Booleans, seed: tuple[int, int, int], *, faint: bool
) -> tuple[Booleans, tuple[int, int, int]]:
    """The part of ``dense`` about the seed, without what hangs on by thin bridges; its centre."""
    dense = _component(dense & (field.allowed | field.near(seed, _CORE_MM)), field, seed)
    depth = field.depth(dense)
    start = np.where(dense & field.near(seed, max(_SNAP_MM, 1.5 * float(depth[seed]))), depth, 0)
    centre = np.unravel_index(np.argmax(start), start.shape)
    radius = float(depth[centre])
    share, thinnest = (_FAINT_BRIDGE, _FAINT_THINNEST_MM) if faint else (_BRIDGE, _THINNEST_MM)
    bridge = min(float(np.clip(share * radius, thinnest, _THICKEST_MM)), 0.9 * radius)
    labels, _ = ndimage.label(depth > bridge)
    inner = labels == labels[centre] if labels[centre] else depth >= radius
    back = ndimage.distance_transform_edt(~inner) * field.spacing_mm
    found = dense & (back <= bridge + 0.5 * field.spacing_mm)
    return found, (int(centre[0]), int(centre[1]), int(centre[2]))


def _faint(
    field: _Field, lung_hu: float, limit: float, *, of_lesion: Booleans | None = None
) -> Booleans:
    """What is as dense as ground glass, vessels and their blur left out.

    Vessels are what is dense and does not belong to the lesion's own solid part. One that runs
    through ground glass leaves a gap there, which is closed again.
    """
    bright = field.hu > (_SOFT_HU + lung_hu) / 2
    if of_lesion is not None:
        bright &= ndimage.distance_transform_edt(~of_lesion) * field.spacing_mm > _HALO_RIM_MM
    blur = ndimage.distance_transform_edt(~bright) * field.spacing_mm <= _HALO_RIM_MM
    dense = (field.faint > limit) & ~blur
    if of_lesion is not None:
        dense |= of_lesion
    reach = ndimage.distance_transform_edt(~dense) * field.spacing_mm <= _HALO_RIM_MM
    closed = ndimage.distance_transform_edt(reach) * field.spacing_mm > _HALO_RIM_MM
    return np.asarray(dense | (closed & (field.faint > limit)))


def _own_solid(
    field: _Field, lung_hu: float, limit: float, seed: tuple[int, int, int]
) -> Booleans | None:
    """The solid bodies of a ground-glass lesion: bright, and not drawn out as vessels are.

    Looked for in the lesion with all its vessels. A body is what is left of the brightness about
    its deepest point once bridges of half its thickness are cut, within 2.5 times its depth: a
    tube is three times as long there as thick, a body at most twice.
    """
    rough, _ = _freed(field, (field.faint > limit) | (field.hu > limit), seed, faint=True)
    bright = field.hu > (_SOFT_HU + lung_hu) / 2
    depth = field.depth(bright)
    peaks = rough & bright & (depth >= ndimage.maximum_filter(depth, 3))
    at = np.argwhere(peaks)
    at = at[np.argsort(-depth[peaks], kind="stable")][:_MOST_BODIES]
    own = np.zeros_like(bright)
    for centre in at.tolist():
        if not own[tuple(centre)]:
            own |= _body(field, bright, depth, (centre[0], centre[1], centre[2]))
    return own if own.any() else None


def _body(
    field: _Field, bright: Booleans, depth: Floats32, centre: tuple[int, int, int]
) -> Booleans:
    """The bright body about a point; empty where it is drawn out."""
    out = np.zeros_like(bright)
    thick = float(depth[centre])
    reach = int(np.ceil(_BODY_REACH * thick / field.spacing_mm)) + 1
    low = [max(c - reach, 0) for c in centre]
    box = tuple(slice(a, c + reach + 1) for a, c in zip(low, centre, strict=True))
    box = tuple(slice(b.start, min(b.stop, n)) for b, n in zip(box, depth.shape, strict=True))
    grid = np.ogrid[box]
    away = np.sqrt(sum((g - c) ** 2 for g, c in zip(grid, centre, strict=True))) * field.spacing_mm
    inner = (depth[box] > thick / 2) & (away <= _BODY_REACH * thick)
    labels, _ = ndimage.label(inner)
    inner = labels == labels[tuple(c - a for c, a in zip(centre, low, strict=True))]
    back = ndimage.distance_transform_edt(~inner) * field.spacing_mm <= thick / 2
    body = bright[box] & (inner | back)
    points = np.argwhere(body) * field.spacing_mm
    # the twelfth of a voxel's square: a body of one voxel has a size too
    spread = np.atleast_2d(np.cov(points.T, bias=True)) + np.eye(3) * field.spacing_mm**2 / 12
    axes = np.sqrt(np.linalg.eigvalsh(spread))
    if axes[-1] <= _DRAWN_OUT * axes[0]:
        out[box] = body
    return out


def _with_enclosed(field: _Field, found: Booleans, limit: float) -> Booleans:
    """Ground glass with the solid parts and vessels that lie within its convex hull."""
    rim = np.argwhere(found & ~ndimage.binary_erosion(found))
    if len(rim) < _FEWEST_OF_HULL:
        return found
    try:
        planes = ConvexHull(rim).equations
    except QhullError:  # flat
        return found
    box = np.zeros_like(found)
    low, high = rim.min(axis=0), rim.max(axis=0) + 1
    box[tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))] = True
    points = np.argwhere(box & ~found & (field.faint > limit))
    inside = (points @ planes[:, :3].T + planes[:, 3] <= 0.5).all(axis=1)
    out = found.copy()
    out[tuple(points[inside].T)] = True
    return out


def _component(dense: Booleans, field: _Field, seed: tuple[int, int, int]) -> Booleans:
    labels, _ = ndimage.label(dense)
    number = labels[seed]
    if number == 0:
        near = field.near(seed, _SNAP_MM) & dense
        if not near.any():
            return np.zeros_like(dense)
        number = np.bincount(labels[near]).argmax()
    return np.asarray(labels == number)


def _bordered(field: _Field, found: Booleans, threshold: float) -> Booleans:
    """The border placed on the scan as it is: smoothing draws convex borders inwards."""
    rim = ndimage.binary_dilation(found) & ~ndimage.binary_erosion(found)
    share = ndimage.uniform_filter((field.sharp > threshold).astype(np.float32), 3)
    return np.asarray((found & ~rim) | (rim & (field.sharp > threshold) & (share > 1 / 3)))


def _with_ground_glass(
    field: _Field, solid: Booleans, seed: tuple[int, int, int], lung_hu: float
) -> Booleans | None:
    """The lesion with ground glass round its solid part; None where there is none to speak of.

    A blurred border is brighter than lung too, but no thicker than the point spread.
    """
    limit = (_GROUND_GLASS_HU + lung_hu) / 2
    dense = _faint(field, lung_hu, limit, of_lesion=solid)
    wide, _ = _freed(field, dense, seed, faint=True)
    away = ndimage.distance_transform_edt(~solid) * field.spacing_mm
    shell = wide & (away > _HALO_RIM_MM) & (field.hu > limit)
    thick = field.depth(shell) > _HALO_THICK_MM
    part = thick.sum() >= _HALO_SHARE / 2 * solid.sum() and shell.sum() >= _HALO_SHARE * solid.sum()
    near = (away > _HALO_RIM_MM) & (away <= _HALO_RIM_MM + field.spacing_mm) & field.allowed
    # three quarters of what is near: spicules may be half of it
    around = near.any() and float(np.quantile(field.hu[near], 0.25)) > limit
    if not (part or around) or not shell.any():
        return None
    if float(np.median(field.hu[shell])) > -250:
        return None  # more of the same: vessel, or chest wall
    return wide | solid


def _on_scan(scan: Volume, field: _Field, found: Booleans) -> Mask:
    """The region on the scan's grid, its border between voxels interpolated."""
    signed = field.depth(found) - field.depth(~found)
    image = sitk.GetImageFromArray(signed.astype(np.float32))
    image.CopyInformation(field.image)
    back = sitk.Resample(image, scan.image, sitk.Transform(), sitk.sitkLinear, -1.0)
    inside = sitk.GetArrayViewFromImage(back) > 0
    if not inside.any():
        raise VolumeError("the lesion is smaller than a voxel", where="lesion")
    return Mask.from_array(inside, on=scan, name="lesion")
