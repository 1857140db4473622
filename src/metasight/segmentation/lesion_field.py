"""The cube about a lesion on which it is segmented, and what hangs together in it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk  # noqa: N813
from scipy import ndimage

from metasight.errors import VolumeError
from metasight.segmentation.lung import Lungs
from metasight.volumes.box import box_of
from metasight.volumes.distance import depth_in, distance_to
from metasight.volumes.volume import Mask, Volume

Booleans = npt.NDArray[np.bool_]
Floats32 = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]
Index = tuple[int, int, int]
Box = tuple[slice, slice, slice]

CORE_MM = 2.5
SNAP_MM = 5.0

_FINEST_MM, _COARSEST_MM = 0.7, 1.5
_LARGE_MM = 35.0  # half side from which the cube's voxels grow with it
_NOISE_MM = 0.6
_EVEN_MM = 1.3
_DRAWN_MM = 2.0  # that a box drawn by hand may be too tight
_BRIDGE = 0.35  # of the lesion's own depth: what is thinner is cut off
_FAINT_BRIDGE = 0.5  # at the level of ground glass vessels are wider and lung itself is near
_THINNEST_MM, _FAINT_THINNEST_MM, _THICKEST_MM = 1.0, 2.0, 5.0


@dataclass(frozen=True, kw_only=True)
class Field:
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

    @classmethod
    def cut(
        cls, scan: Volume, lungs: Lungs, at: Floats, half_mm: float, box: Floats | None
    ) -> Field:
        """About a point; a box allows what it holds, otherwise the lungs' shape does."""
        spacing = float(np.clip(min(scan.spacing_mm), _FINEST_MM, _COARSEST_MM))
        if half_mm > _LARGE_MM:
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
        allowed = _on_cube(resampler, lungs.right_whole, lungs.left_whole)
        lung = _on_cube(resampler, lungs.right, lungs.left)
        if box is not None:
            z, y, x = np.meshgrid(*[np.arange(n)] * 3, indexing="ij")
            points = image.GetOrigin() + (np.stack([x, y, z], axis=-1) * spacing) @ axes.T
            allowed = ((points >= box[0] - _DRAWN_MM) & (points <= box[1] + _DRAWN_MM)).all(axis=-1)
        faint = ndimage.gaussian_filter(sharp, _EVEN_MM / spacing)
        return cls(
            image=image,
            sharp=sharp,
            hu=hu,
            faint=faint,
            allowed=allowed,
            lung=lung,
            spacing_mm=spacing,
        )

    def index(self, point_mm: Floats) -> Index:
        """The voxel that a point lies in, or the nearest one."""
        x, y, z = self.image.TransformPhysicalPointToIndex([float(p) for p in point_mm])
        size = self.hu.shape
        inside = [int(np.clip(v, 0, n - 1)) for v, n in zip((z, y, x), size, strict=True)]
        return inside[0], inside[1], inside[2]

    def near(self, at: Index, radius_mm: float) -> Booleans:
        """A ball about a voxel."""
        out = np.zeros(self.hu.shape, dtype=np.bool_)
        box, ball = self._ball(at, radius_mm)
        out[box] = ball
        return out

    def _ball(self, at: Index, radius_mm: float) -> tuple[Box, Booleans]:
        """The part of the cube that a ball reaches, and the ball in it."""
        reach = radius_mm / self.spacing_mm
        box = tuple(
            slice(max(0, c - int(reach)), min(n, c + int(reach) + 1))
            for c, n in zip(at, self.hu.shape, strict=True)
        )
        z, y, x = np.ogrid[box]
        away = (z - at[0]) ** 2 + (y - at[1]) ** 2 + (x - at[2]) ** 2
        return (box[0], box[1], box[2]), np.asarray(away <= reach**2)

    def depth(self, region: Booleans, *, most_mm: float = np.inf) -> Floats32:
        """Distance to what is outside, mm, infinite beyond a most; the edge is no border."""
        return depth_in(region, (self.spacing_mm,) * 3, most_mm=most_mm)

    def away(self, region: Booleans, *, most_mm: float = np.inf) -> Floats32:
        """Distance to what is inside, mm, infinite beyond a most."""
        return distance_to(region, (self.spacing_mm,) * 3, most_mm=most_mm)

    def within(self, region: Booleans, radius_mm: float) -> Booleans:
        """What is as near to a region as a radius, or nearer."""
        return np.asarray(self.away(region, most_mm=radius_mm) <= radius_mm)

    def component(self, dense: Booleans, seed: Index) -> Booleans:
        """The part of ``dense`` that the seed lies in, or that most within 5 mm belongs to."""
        labels, _ = ndimage.label(dense)
        number = labels[seed]
        if number == 0:
            near = self.near(seed, SNAP_MM) & dense
            if not near.any():
                return np.zeros_like(dense)
            number = np.bincount(labels[near]).argmax()
        return np.asarray(labels == number)

    def freed(self, dense: Booleans, seed: Index, *, faint: bool) -> tuple[Booleans, Index]:
        """What is dense about the seed, less what hangs on by thin bridges; its deepest point."""
        dense = self.component(dense & (self.allowed | self.near(seed, CORE_MM)), seed)
        depth = self.depth(dense)
        centre = self.deepest(depth, seed)
        radius = float(depth[centre])
        share, thinnest = (_FAINT_BRIDGE, _FAINT_THINNEST_MM) if faint else (_BRIDGE, _THINNEST_MM)
        bridge = min(float(np.clip(share * radius, thinnest, _THICKEST_MM)), 0.9 * radius)
        labels, _ = ndimage.label(depth > bridge)
        inner = labels == labels[centre] if labels[centre] else depth >= radius
        found = dense & self.within(inner, bridge + 0.5 * self.spacing_mm)
        return found, (int(centre[0]), int(centre[1]), int(centre[2]))

    def deepest(self, depth: Floats32, seed: Index) -> Index:
        """The deepest point that a seed leads to, from ball to ball that fits about it.

        Balls lie within the region: a small lesion's seed is not drawn into a wider vessel.
        """
        if depth[seed] == 0:  # beside the region
            seed = self._deepest_near(depth, seed, SNAP_MM)
        while True:
            best = self._deepest_near(depth, seed, max(float(depth[seed]), self.spacing_mm))
            if depth[best] <= depth[seed]:
                return seed
            seed = best

    def _deepest_near(self, depth: Floats32, at: Index, radius_mm: float) -> Index:
        """The deepest point of a ball, of equal ones the first."""
        box, ball = self._ball(at, radius_mm)
        inside = np.where(ball, depth[box], 0)
        z, y, x = np.unravel_index(np.argmax(inside), inside.shape)
        return box[0].start + int(z), box[1].start + int(y), box[2].start + int(x)

    def part_of(self, scan: Volume) -> Volume:
        """The part of a scan that the cube reaches."""
        return replace(scan, image=scan.image[self._box_on(scan)[::-1]])

    def _box_on(self, scan: Volume) -> tuple[slice, slice, slice]:
        """The scan's voxels that the cube reaches, (z, y, x)."""
        size = self.image.GetSize()
        corners = [
            scan.grid.to_index(np.array(self.image.TransformIndexToPhysicalPoint((i, j, k))))
            for i in (0, size[0] - 1)
            for j in (0, size[1] - 1)
            for k in (0, size[2] - 1)
        ]
        low = np.maximum(np.floor(np.min(corners, axis=0)), 0).astype(int)
        high = np.minimum(np.ceil(np.max(corners, axis=0)) + 1, scan.grid.size).astype(int)
        x, y, z = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
        return z, y, x

    def on(self, scan: Volume, found: Booleans) -> Mask:
        """A region of the cube on the scan's grid, its border between voxels interpolated."""
        # all that lies two voxels and more outside is outside, and nothing more is asked of it
        whole = self.image if not found.any() else self.image[_around(found)[::-1]]
        own = found if not found.any() else found[_around(found)]
        # between voxels on both sides of the border nothing further than their diagonal counts
        most = 4 * self.spacing_mm
        depth, away = self.depth(own, most_mm=most), self.away(own, most_mm=most)
        image = sitk.GetImageFromArray(np.minimum(depth, most) - np.minimum(away, most))
        image.CopyInformation(whole)
        box = self._box_on(scan)
        part = scan.image[box[::-1]]
        back = sitk.Resample(image, part, sitk.Transform(), sitk.sitkLinear, -1.0)
        inside = np.zeros(scan.array.shape, dtype=np.bool_)
        inside[box] = sitk.GetArrayViewFromImage(back) > 0
        if not inside.any():
            raise VolumeError("the lesion is smaller than a voxel", where="lesion")
        return Mask.from_array(inside, on=scan, name="lesion")


def _around(found: Booleans) -> Box:
    """The part of the cube that holds a region and two voxels about it."""
    z, y, x = box_of(found, (2, 2, 2))
    return z, y, x


def _on_cube(resampler: sitk.ResampleImageFilter, right: Mask, left: Mask) -> Booleans:
    both = [sitk.GetArrayFromImage(resampler.Execute(m.image)) > 0 for m in (right, left)]
    return np.asarray(both[0] | both[1])
