"""The picture that a measurement rests on: four windows through the lesion, with what was drawn.

Axial, coronal and sagittal planes in a lung window and the axial one in a mediastinal window, each
on the plane's slice with its longest diameter; the outline, the solid part shaded, the longest
diameter, a bar of 10 mm, and the numbers below. Nothing that names a patient is on it.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from metasight.errors import VolumeError
from metasight.lesions.measured import LesionMeasured
from metasight.lesions.size import Diameters, Plane
from metasight.volumes.volume import Mask, Volume

Picture = npt.NDArray[np.uint8]
Booleans = npt.NDArray[np.bool_]

LUNG_WINDOW_HU = (-1350.0, 150.0)
MEDIASTINAL_WINDOW_HU = (-160.0, 240.0)

_SIDE_PX = 360
_TEXT_PX = 21
_MARGIN_MM = 18.0
_BAR_MM = 10.0
_OUTLINE = (60, 200, 255)  # BGR: amber, blue and green are told apart by the colour-blind
_SOLID = (230, 130, 30)
_LINE = (120, 255, 120)
_WHITE = (235, 235, 235)
_AXES: dict[Plane, tuple[int, int, int]] = {
    "axial": (0, 1, 2), "coronal": (1, 0, 2), "sagittal": (2, 0, 1),
}  # fmt: skip


def picture_of(scan: Volume, lesion: Mask, found: LesionMeasured) -> bytes:
    """Draw what was measured, as a PNG.

    Parameters
    ----------
    scan
        CT in HU.
    lesion
        On its grid; the same that ``found`` was measured on.
    found
        The measurements.

    Raises
    ------
    VolumeError
        The mask is off the scan's grid.
    """
    scan.require("HU")
    inside = lesion.on(scan).array
    solid = inside & (scan.array > found.solidity.main.threshold_hu)
    side_mm = 2 * _MARGIN_MM + max(
        (d.longest_mm for d in found.solidity.whole.by_plane.values()), default=10.0
    )
    windows: tuple[tuple[Plane, str, tuple[float, float]], ...] = (
        ("axial", "axial, lung", LUNG_WINDOW_HU), ("coronal", "coronal, lung", LUNG_WINDOW_HU),
        ("sagittal", "sagittal, lung", LUNG_WINDOW_HU),
        ("axial", "axial, mediastinal", MEDIASTINAL_WINDOW_HU),
    )  # fmt: skip
    panels = []
    for plane, title, window in windows:
        own = found.solidity.whole.by_plane.get(plane)
        panel = _panel(scan, inside, solid, plane=plane, own=own, side_mm=side_mm, window_hu=window)
        panels.append(_lettered(panel, title, (10, 24)))
    top = np.hstack(panels)
    ok, coded = cv2.imencode(".png", np.vstack([top, _numbers(found, top.shape[1])]))
    if not ok:
        raise VolumeError("the picture could not be written", where="picture")
    return bytes(coded.tobytes())


def _panel(
    scan: Volume, inside: Booleans, solid: Booleans, *, plane: Plane, own: Diameters | None,
    side_mm: float, window_hu: tuple[float, float],
) -> Picture:  # fmt: skip
    """One plane, heads up and the patient's right at the left, square, with what was drawn."""
    across, rows, columns = _AXES[plane]
    spacing = scan.spacing_zyx_mm
    centre = [float(np.nonzero(inside)[k].mean()) for k in range(3)]
    number = round(centre[across]) if own is None else own.slice_index
    scale = side_mm / _SIDE_PX
    flip = plane != "axial"  # slices run from the feet up, pictures from the top down
    # a picture's pixel (column, row) to the slice's voxel (column, row)
    step = np.array([scale / spacing[columns], scale / spacing[rows] * (-1 if flip else 1)])
    start = np.array([centre[columns], centre[rows]]) - step * (_SIDE_PX - 1) / 2
    warp = np.array([[step[0], 0, start[0]], [0, step[1], start[1]]])

    def drawn(values: npt.NDArray[np.float32], outside: float) -> npt.NDArray[np.float32]:
        return np.asarray(cv2.warpAffine(
            np.ascontiguousarray(values), warp, (_SIDE_PX, _SIDE_PX),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_CONSTANT,
            borderValue=(outside,),
        ), dtype=np.float32)  # fmt: skip

    low, high = window_hu
    hu = drawn(np.take(scan.array, number, axis=across), -1024.0)
    grey = (np.clip((hu - low) / (high - low), 0, 1) * 255).astype(np.uint8)
    panel: Picture = np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR), dtype=np.uint8)
    shaded = drawn(np.take(solid, number, axis=across).astype(np.float32), 0.0) >= 0.5
    panel[shaded] = (0.7 * panel[shaded] + 0.3 * np.array(_SOLID)).astype(np.uint8)
    region = drawn(np.take(inside, number, axis=across).astype(np.float32), 0.0) >= 0.5
    outlines, _ = cv2.findContours(
        region.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE
    )  # fmt: skip
    cv2.drawContours(panel, outlines, -1, _OUTLINE, 1, cv2.LINE_AA)
    if own is not None:
        ends = own.ends_mm / np.array([spacing[rows], spacing[columns]])
        pixels = np.round((ends[:, ::-1] - start) / step).astype(int)
        first, last = (tuple(int(v) for v in p) for p in pixels)
        cv2.line(panel, first, last, _LINE, 1, cv2.LINE_AA)
    _bar(panel, scale)
    return panel


def _bar(panel: Picture, scale_mm: float) -> None:
    length = round(_BAR_MM / scale_mm)
    right, y = _SIDE_PX - 14, _SIDE_PX - 14
    cv2.line(panel, (right - length, y), (right, y), _WHITE, 2)
    _lettered(panel, f"{_BAR_MM:g} mm", (right - length, y - 8))


def _lettered(panel: Picture, text: str, at: tuple[int, int]) -> Picture:
    """Light letters with a shadow; OpenCV knows ASCII only."""
    x, y = at
    for place, colour in (((x + 1, y + 1), (0, 0, 0)), (at, _WHITE)):
        cv2.putText(panel, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.5, colour, 1, cv2.LINE_AA)
    return panel


def _numbers(found: LesionMeasured, width: int) -> Picture:
    """The measurements in words, on black."""
    size, place, uptake = found.solidity, found.place, found.uptake
    longest = size.whole.longest
    lines = [
        f"Size {longest.longest_mm:.1f} x {longest.perpendicular_mm:.1f} mm ({longest.plane}), "
        f"volume {size.whole.volume_mm3 / 1000:.2f} ml; solid part {size.main.longest_mm:.1f} mm "
        f"above {size.main.threshold_hu:g} HU, CTR {size.main.ctr:.2f} (volume "
        f"{size.main.ctr_volume:.2f}); {size.attenuation}; "
        f"pure ground glass: {size.pure_ground_glass}",
    ]
    if place is not None:
        central = {True: "yes", False: "no", None: "not known"}[found.central]
        lobe = place.lobe.lobe + (" (unsure)" if place.lobe.unsure else "")
        lines.append(
            f"{lobe} lobe; central: {central} ({found.definition}); gap to pleura "
            f"{_mm(place.pleura_gap_mm)}, fissure {_mm(place.lobe.fissure_gap_mm)}, proximal "
            f"bronchi {_mm(place.bronchi_gap_mm)}"
        )
    if uptake is not None:
        lines.append(
            f"{uptake.unit}: max {uptake.suvmax:.1f}, peak {uptake.suvpeak:.1f}, mean "
            f"{uptake.suvmean:.1f}; {uptake.volume_41_ml:.1f} ml above 41 % of the maximum"
        )
    lines.append("metasight, research software: not for diagnosis")
    strip: Picture = np.zeros((_TEXT_PX * len(lines) + 12, width, 3), dtype=np.uint8)
    for k, line in enumerate(lines):
        _lettered(strip, line, (10, _TEXT_PX * (k + 1)))
    return strip


def _mm(value: float) -> str:
    return f"{value:.0f} mm" if np.isfinite(value) else "not found"
