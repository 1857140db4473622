"""The picture that a measurement rests on: four windows through the lesion, with what was drawn.

Axial, coronal and sagittal planes in a lung window and the axial one in a mediastinal window, each
on the plane's slice with its longest diameter; the outlines of lesion and solid part, both
diameters, a bar of 10 mm, and the numbers below. What is within the lesion stays visible. Nothing
that names a patient is on it.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from metasight.errors import VolumeError
from metasight.lesions.measured import LesionMeasured
from metasight.lesions.place import Definition
from metasight.lesions.size import Diameters, Plane
from metasight.lesions.solidity import Solidity
from metasight.volumes.box import box_of
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
    "axial": (0, 1, 2),
    "coronal": (1, 0, 2),
    "sagittal": (2, 0, 1),
}


_LEFT: dict[Plane, str] = {"axial": "R", "coronal": "R", "sagittal": "A"}
"""Which side of the patient is at the picture's left: right, or front."""
_FIRST: dict[Plane, str] = {"axial": "feet", "coronal": "front", "sagittal": "right"}
_RAYS = {"hilum": "from the hilum", "axial": "from the hilum, axial", "midline": "from the midline"}


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
    centre = _middle(inside)
    side_mm = 2 * _MARGIN_MM + max(
        (d.longest_mm for d in found.solidity.whole.by_plane.values()), default=10.0
    )
    windows: tuple[tuple[Plane, str, tuple[float, float]], ...] = (
        ("axial", "lung window", LUNG_WINDOW_HU),
        ("coronal", "lung window", LUNG_WINDOW_HU),
        ("sagittal", "lung window", LUNG_WINDOW_HU),
        ("axial", "mediastinal window", MEDIASTINAL_WINDOW_HU),
    )
    panels = []
    for plane, title, window in windows:
        own = found.solidity.whole.by_plane.get(plane)
        panel = _panel(
            scan,
            inside,
            found.solidity,
            centre=centre,
            plane=plane,
            own=own,
            side_mm=side_mm,
            window_hu=window,
        )
        panels.append(_lettered(panel, f"{plane}, {title}", (10, 24)))
    top = np.hstack(panels)
    ok, coded = cv2.imencode(".png", np.vstack([top, _numbers(found, top.shape[1])]))
    if not ok:
        raise VolumeError("the picture could not be written", where="picture")
    return bytes(coded.tobytes())


def _panel(
    scan: Volume,
    inside: Booleans,
    solidity: Solidity,
    *,
    centre: list[float],
    plane: Plane,
    own: Diameters | None,
    side_mm: float,
    window_hu: tuple[float, float],
) -> Picture:
    """One plane, heads up and the patient's right at the left, square, with what was drawn."""
    across, rows, columns = _AXES[plane]
    spacing = scan.spacing_zyx_mm
    number = round(centre[across]) if own is None else own.slice_index
    scale = side_mm / _SIDE_PX
    flip = plane != "axial"  # slices run from the feet up, pictures from the top down
    # a picture's pixel (column, row) to the slice's voxel (column, row)
    step = np.array([scale / spacing[columns], scale / spacing[rows] * (-1 if flip else 1)])
    start = np.array([centre[columns], centre[rows]]) - step * (_SIDE_PX - 1) / 2
    warp = np.array([[step[0], 0, start[0]], [0, step[1], start[1]]])

    def drawn(values: npt.NDArray[np.float32], outside: float) -> npt.NDArray[np.float32]:
        return np.asarray(
            cv2.warpAffine(
                np.ascontiguousarray(values),
                warp,
                (_SIDE_PX, _SIDE_PX),
                flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                borderMode=cv2.BORDER_CONSTANT,
                borderValue=(outside,),
            ),
            dtype=np.float32,
        )

    low, high = window_hu
    density = np.take(scan.array, number, axis=across)
    region = np.take(inside, number, axis=across)
    hu = drawn(density, -1024.0)
    grey = (np.clip((hu - low) / (high - low), 0, 1) * 255).astype(np.uint8)
    panel: Picture = np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR), dtype=np.uint8)
    solid = region & (density > solidity.main.threshold_hu)
    _outlined(panel, drawn(solid.astype(np.float32), 0.0), _SOLID)
    _outlined(panel, drawn(region.astype(np.float32), 0.0), _OUTLINE)
    for ends in () if own is None else (own.ends_mm, own.across_ends_mm):
        index = ends / np.array([spacing[rows], spacing[columns]])
        pixels = np.round((index[:, ::-1] - start) / step).astype(int)
        first, last = (tuple(int(v) for v in p) for p in pixels)
        cv2.line(panel, first, last, _LINE, 1, cv2.LINE_AA)
    _lettered(panel, _LEFT[plane], (8, _SIDE_PX // 2))
    where = f"slice {number + 1} of {scan.array.shape[across]} from the {_FIRST[plane]}"
    _lettered(panel, where, (10, _SIDE_PX - 14))
    _bar(panel, scale)
    return panel


def _outlined(panel: Picture, share: npt.NDArray[np.float32], colour: tuple[int, int, int]) -> None:
    inside = (share >= 0.5).astype(np.uint8)
    outlines, _ = cv2.findContours(inside, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(panel, outlines, -1, colour, 1, cv2.LINE_AA)


def _middle(inside: Booleans) -> list[float]:
    """Mean index of a region along z, y, x."""
    box = box_of(inside)
    index = np.argwhere(inside[box]).mean(axis=0)
    return [float(i) + b.start for i, b in zip(index, box, strict=True)]


def _bar(panel: Picture, scale_mm: float) -> None:
    length = round(_BAR_MM / scale_mm)
    right, y = _SIDE_PX - 14, _SIDE_PX - 14
    cv2.line(panel, (right - length, y), (right, y), _WHITE, 2)
    _lettered(panel, f"{_BAR_MM:g} mm", (right - max(length, 50), y - 8))


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
    if found.disagreement is not None:
        lines.append(f"Outline from a click or box: {found.disagreement.in_words()}")
    if place is not None:
        central = {True: "yes", False: "no", None: "not known"}[found.central]
        lobe = place.lobe.lobe + (" (unsure)" if place.lobe.unsure else "")
        lines.append(
            f"{lobe} lobe; central: {central} ({_in_words(found.definition)}); gap to pleura "
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


def _in_words(definition: Definition) -> str:
    """A definition of "central" as one would say it."""
    if definition == "bronchi_2cm":
        return "within 2 cm of the proximal bronchial tree"
    ray, point, *share = definition.split("_")
    return f"{point}, inner {' '.join(share).replace('two ', '2 ')} {_RAYS[ray]}"


def _mm(value: float) -> str:
    return f"{value:.0f} mm" if np.isfinite(value) else "not found"
