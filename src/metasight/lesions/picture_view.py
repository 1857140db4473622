"""One plane of a scan as a square picture: sampled, marked, outlined; heads up, right at the left.

Lines are told apart without colour as well: the outline is whole, the solid part's is dashed, the
diameter that is the reported size is thick and ends in bars, other diameters are thin.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from metasight.lesions.size import Diameters, Plane
from metasight.volumes.volume import Volume

Picture = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]
Floats32 = npt.NDArray[np.float32]
Colour = tuple[int, int, int]

SIDE_PX = 360
STRIP_PX = 22
"""Height of a line of letters."""
OUTLINE: Colour = (60, 200, 255)  # BGR: amber, blue and green are told apart by the colour-blind
SOLID: Colour = (255, 150, 50)
DIAMETER: Colour = (120, 255, 120)
WHITE: Colour = (235, 235, 235)
AXES: dict[Plane, tuple[int, int, int]] = {
    "axial": (0, 1, 2),
    "coronal": (1, 0, 2),
    "sagittal": (2, 0, 1),
}
"""The axis across each plane, and those of its rows and columns, in (z, y, x)."""
MOST_SUV = 10.0
"""From here on uptake has one colour, the same in every patient's picture."""

_SIDES: dict[Plane, tuple[str, str, str, str]] = {
    "axial": ("R", "L", "A", "P"),
    "coronal": ("R", "L", "S", "I"),
    "sagittal": ("A", "P", "S", "I"),
}
"""Of the patient, at the picture's left, right, top and bottom."""
_DASH_PX, _GAP_PX = 5, 4
_BARS_MM = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)
_BAR_SHARE = 0.3
_TICK_PX = 5


@dataclass(frozen=True, kw_only=True)
class PlaneView:
    """Where a square picture lies in a scan.

    Attributes
    ----------
    plane
        Of the scan's grid.
    number
        Of the slice along the axis across it.
    start, step
        (column, row) of the first pixel's middle on the slice, in its voxels; and from one pixel
        to the next.
    side_px
        Pixels of a side.
    mm_per_px
        Size of a pixel.
    """

    plane: Plane
    number: int
    start: Floats
    step: Floats
    side_px: int
    mm_per_px: float

    @classmethod
    def about(
        cls,
        scan: Volume,
        plane: Plane,
        number: int,
        middle: Floats,
        *,
        side_mm: float,
        side_px: int = SIDE_PX,
    ) -> PlaneView:
        """A square of ``side_mm`` about a place, index (z, y, x), on a slice."""
        _, rows, columns = AXES[plane]
        spacing = scan.spacing_zyx_mm
        scale = side_mm / side_px
        up = 1 if plane == "axial" else -1  # slices run from the feet up, pictures from the top
        step = np.array([scale / spacing[columns], up * scale / spacing[rows]])
        start = np.array([middle[columns], middle[rows]]) - step * (side_px - 1) / 2
        return cls(
            plane=plane, number=number, start=start, step=step, side_px=side_px, mm_per_px=scale
        )

    def slice_of(self, values: npt.NDArray[np.generic]) -> Floats32:
        """The view's slice of an array (z, y, x)."""
        cut = np.take(values, self.number, axis=AXES[self.plane][0])
        return np.ascontiguousarray(cut, dtype=np.float32)

    def drawn(self, values: Floats32, outside: float) -> Floats32:
        """A slice's values at the picture's pixels."""
        warp = np.array([[self.step[0], 0, self.start[0]], [0, self.step[1], self.start[1]]])
        return np.asarray(
            cv2.warpAffine(
                values,
                warp,
                (self.side_px, self.side_px),
                flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                borderMode=cv2.BORDER_CONSTANT,
                borderValue=(outside,),
            ),
            dtype=np.float32,
        )

    def pixels(self, places: Floats) -> npt.NDArray[np.int_]:
        """(n, 2) places (row, column), in voxels of the slice, as pixels (column, row)."""
        return np.round((places[:, ::-1] - self.start) / self.step).astype(int)

    def points_mm(self, scan: Volume) -> Floats:
        """(side, side, 3) patient coordinates of the pixels."""
        across, rows, columns = AXES[self.plane]
        index = np.zeros((self.side_px, self.side_px, 3))
        at = np.arange(self.side_px)
        index[..., 2 - across] = self.number
        index[..., 2 - columns] = (self.start[0] + at * self.step[0])[None, :]
        index[..., 2 - rows] = (self.start[1] + at * self.step[1])[:, None]
        return scan.grid.to_mm(index)

    def place_mm(self, scan: Volume) -> tuple[str, float]:
        """The axis across the plane and the slice's place on it in patient coordinates."""
        across = AXES[self.plane][0]
        middle = self.points_mm(scan)[self.side_px // 2, self.side_px // 2]
        return "zyx"[across], float(middle[2 - across])


def windowed(hu: Floats32, window_hu: tuple[float, float]) -> Picture:
    """Grey values of a window, as BGR."""
    low, high = window_hu
    grey = (np.clip((hu - low) / (high - low), 0, 1) * 255).astype(np.uint8)
    return np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR), dtype=np.uint8)


def fused(grey: Picture, view: PlaneView, scan: Volume, pet: Volume) -> Picture:
    """Uptake over a grey picture: from none at 0 to all of it at :data:`MOST_SUV`."""
    index = pet.grid.to_index(view.points_mm(scan))[..., ::-1]
    suv = ndimage.map_coordinates(pet.array, np.moveaxis(index, -1, 0), order=1, cval=0.0)
    share = np.clip(suv / MOST_SUV, 0, 1)
    return _over(grey, share)


def _over(grey: Picture, share: Floats32) -> Picture:
    """Heat whose lightness rises with the share, the more of it the higher the share."""
    heat = cv2.applyColorMap((share * 255).astype(np.uint8), cv2.COLORMAP_HOT)
    weight = np.clip(np.sqrt(share) * 0.9, 0, 0.85)[..., None]
    return np.asarray(grey * (1 - weight) + heat * weight, dtype=np.uint8)


def heat_scale(width: int) -> Picture:
    """What the colours of uptake mean, over black."""
    bar = _over(
        np.zeros((10, width, 3), dtype=np.uint8),
        np.repeat(np.linspace(0, 1, width, dtype=np.float32)[None], 10, axis=0),
    )
    told: Picture = np.zeros((STRIP_PX, width, 3), dtype=np.uint8)
    lettered(told, "SUV 0", (2, 16))
    lettered(told, f"{MOST_SUV:g} and more", (width - 112, 16))
    return np.vstack([bar, told])


def outlined(panel: Picture, share: Floats32, colour: Colour, *, dashed: bool = False) -> None:
    """Draw the border of what is at least half, in place."""
    inside = (share >= 0.5).astype(np.uint8)
    found, _ = cv2.findContours(inside, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    if not dashed:
        cv2.drawContours(panel, found, -1, colour, 1, cv2.LINE_AA)
        return
    for line in found:
        points = line[:, 0]
        for first in range(0, len(points), _DASH_PX + _GAP_PX):
            dash = np.ascontiguousarray(points[first : first + _DASH_PX])
            cv2.polylines(panel, [dash], isClosed=False, color=colour, thickness=2)


def measured_lines(
    panel: Picture, view: PlaneView, own: Diameters, scan: Volume, *, is_size: bool
) -> None:
    """Draw both diameters, in place; those that are the reported size are thick, with bars."""
    _, rows, columns = AXES[view.plane]
    spacing = scan.spacing_zyx_mm
    for ends in (own.ends_mm, own.across_ends_mm):
        places = view.pixels(ends / np.array([spacing[rows], spacing[columns]]))
        first, last = ((int(p[0]), int(p[1])) for p in places)
        cv2.line(panel, first, last, DIAMETER, 2 if is_size else 1, cv2.LINE_AA)
        along = places[1] - places[0]
        length = float(np.linalg.norm(along))
        if not is_size or length == 0:
            continue
        tick = np.array([-along[1], along[0]]) / length * _TICK_PX
        for end in places:
            a, b = (np.round(end + s * tick).astype(int) for s in (-1, 1))
            cv2.line(panel, (int(a[0]), int(a[1])), (int(b[0]), int(b[1])), DIAMETER, 2)


def marked(panel: Picture, plane: Plane) -> None:
    """Letters of the patient's sides at the picture's edges, in place."""
    side = panel.shape[0]
    left, right, top, bottom = _SIDES[plane]
    lettered(panel, left, (5, side // 2 + 5))
    lettered(panel, right, (side - 15, side // 2 + 5))
    lettered(panel, top, (side // 2 - 5, 16))
    lettered(panel, bottom, (side // 2 - 5, side - 6))


def bar(panel: Picture, mm_per_px: float) -> float:
    """Draw a bar of round length at the right below, in place; its length in mm."""
    side = panel.shape[0]
    most = _BAR_SHARE * side * mm_per_px
    length_mm = max((b for b in _BARS_MM if b <= most), default=_BARS_MM[0])
    length = round(length_mm / mm_per_px)
    right, y = side - 10, side - 10
    cv2.line(panel, (right - length, y), (right, y), (0, 0, 0), 4)
    cv2.line(panel, (right - length, y), (right, y), WHITE, 2)
    text = f"{length_mm:g} mm"
    lettered(panel, text, (right - max(length, text_px(text)), y - 7))
    return length_mm


def text_px(text: str) -> int:
    """Width of a text."""
    return int(cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.45, 1)[0][0])


def lettered(panel: Picture, text: str, at: tuple[int, int]) -> None:
    """Light letters with a dark edge, in place; OpenCV knows ASCII only."""
    for colour, thick in (((0, 0, 0), 3), (WHITE, 1)):
        cv2.putText(panel, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.45, colour, thick, cv2.LINE_AA)


def strip(text: str, width: int) -> Picture:
    """A line of letters on black."""
    told: Picture = np.zeros((STRIP_PX, width, 3), dtype=np.uint8)
    lettered(told, text, (5, 15))
    return told


def wrapped(text: str, width: int) -> list[str]:
    """A text in lines that are no wider than ``width`` pixels."""
    lines, line = [], ""
    for word in text.split():
        longer = f"{line} {word}".strip()
        if line and text_px(longer) > width:
            lines.append(line)
            longer = f"  {word}"
        line = longer
    return [*lines, line]
