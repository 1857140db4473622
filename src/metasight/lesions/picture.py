"""The picture that a measurement rests on: the lesion marked, unmarked beside, and where it lies.

Above, axial, coronal and sagittal planes in a lung window and the axial one in a mediastinal
window, each on the plane's slice with its longest diameter, with outlines and diameters; below each
the same without a mark, for an outline hides the border that it claims. Then whole slices with the
place of the windows above, uptake over the axial window where there is a PET, and what the lines
mean. The windows hold the whole lesion; where the scan itself ends within it that is said. Nothing
that names a patient is on it.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from metasight.errors import VolumeError
from metasight.lesions.measured import LesionMeasured
from metasight.lesions.picture_view import (
    AXES,
    DIAMETER,
    OUTLINE,
    SIDE_PX,
    SOLID,
    STRIP_PX,
    WHITE,
    Picture,
    PlaneView,
    bar,
    fused,
    heat_scale,
    lettered,
    marked,
    measured_lines,
    outlined,
    strip,
    windowed,
    wrapped,
)
from metasight.lesions.place import BRONCHI_MM, Definition, Place, in_words
from metasight.lesions.size import Diameters, Plane
from metasight.volumes.box import box_of
from metasight.volumes.volume import Mask, ScanFacts, Volume

Booleans = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

LUNG_WINDOW_HU = (-1350.0, 150.0)
MEDIASTINAL_WINDOW_HU = (-160.0, 240.0)

_MARGIN_MM = 18.0
_NOTHING_HU = -3000.0  # outside the scan: black in every window, which no air in it is
_GAP_PX = 4
_FIRST: dict[Plane, str] = {"axial": "feet", "coronal": "front", "sagittal": "right"}
_PANELS: tuple[tuple[Plane, str, tuple[float, float]], ...] = (
    ("axial", "lung", LUNG_WINDOW_HU),
    ("coronal", "lung", LUNG_WINDOW_HU),
    ("sagittal", "lung", LUNG_WINDOW_HU),
    ("axial", "mediastinal", MEDIASTINAL_WINDOW_HU),
)


def picture_of(
    scan: Volume, lesion: Mask, found: LesionMeasured, *, pet: Volume | None = None
) -> bytes:
    """Draw what was measured, as a PNG.

    Parameters
    ----------
    scan
        CT in HU.
    lesion
        On its grid; the same that ``found`` was measured on.
    found
        The measurements.
    pet
        In SUV, in the scan's coordinates; drawn over the axial window.

    Raises
    ------
    VolumeError
        The mask is off the scan's grid.
    """
    scan.require("HU")
    inside = lesion.on(scan).array
    middle, side_mm = _held(scan, inside)
    views = {
        plane: PlaneView.about(scan, plane, _number(found, plane, middle), middle, side_mm=side_mm)
        for plane in AXES
    }
    columns = []
    for plane, name, window in _PANELS:
        view = views[plane]
        grey = windowed(view.drawn(view.slice_of(scan.array), _NOTHING_HU), window)
        columns.append(
            np.vstack(
                [
                    strip(f"{plane}, {name} window {_in_numbers(window)} HU", SIDE_PX),
                    _drawn_on(grey, view, scan, inside, found),
                    strip(_where(view, scan), SIDE_PX),
                    strip(_lengths(found, plane), SIDE_PX),
                    _plain(grey, view),
                ]
            )
        )
    top = _beside(columns)
    low = _beside([*_located(scan, views), *_uptake(scan, views["axial"], pet), _legend(scan)])
    low = low[:, : top.shape[1]]
    text = _numbers(found, top.shape[1], cut=_cut(inside))
    ok, coded = cv2.imencode(".png", np.vstack([top, low, text]))
    if not ok:
        raise VolumeError("the picture could not be written", where="picture")
    return bytes(coded.tobytes())


def _beside(columns: list[Picture]) -> Picture:
    gap = np.zeros((columns[0].shape[0], _GAP_PX, 3), dtype=np.uint8)
    parts = [part for column in columns for part in (column, gap)]
    return np.asarray(np.hstack(parts[:-1]), dtype=np.uint8)


def _held(scan: Volume, inside: Booleans) -> tuple[Floats, float]:
    """Middle (z, y, x) of the lesion's box, and the side of a square that holds it in all planes.

    The middle of the box and not the mean of the voxels: a bent lesion would be cut.
    """
    box = box_of(inside)
    middle = np.array([(b.start + b.stop - 1) / 2 for b in box])
    lengths = [(b.stop - b.start) * s for b, s in zip(box, scan.spacing_zyx_mm, strict=True)]
    return middle, max(lengths) + 2 * _MARGIN_MM


def _number(found: LesionMeasured, plane: Plane, middle: Floats) -> int:
    own = found.solidity.whole.by_plane.get(plane)
    return round(float(middle[AXES[plane][0]])) if own is None else own.slice_index


def _cut(inside: Booleans) -> bool:
    """Whether the lesion reaches an edge of the scan: what lies beyond is not shown."""
    return any(bool(np.take(inside, (0, -1), axis=a).any()) for a in range(3))


def _in_numbers(window_hu: tuple[float, float]) -> str:
    low, high = window_hu
    return f"W {high - low:g} L {(high + low) / 2:g}"


def _drawn_on(
    grey: Picture, view: PlaneView, scan: Volume, inside: Booleans, found: LesionMeasured
) -> Picture:
    panel = grey.copy()
    region = view.slice_of(inside)
    dense = view.slice_of(scan.array) > found.solidity.main.threshold_hu
    if found.solidity.attenuation != "solid":
        outlined(panel, view.drawn(region * dense, 0.0), SOLID, dashed=True)
    outlined(panel, view.drawn(region, 0.0), OUTLINE)
    own = found.solidity.whole.by_plane.get(view.plane)
    if own is not None:
        measured_lines(panel, view, own, scan, is_size=_is_size(found, own))
    return _plain(panel, view)


def _is_size(found: LesionMeasured, own: Diameters) -> bool:
    return own is found.solidity.whole.longest


def _plain(grey: Picture, view: PlaneView) -> Picture:
    panel = grey.copy()
    marked(panel, view.plane)
    bar(panel, view.mm_per_px)
    return panel


def _where(view: PlaneView, scan: Volume) -> str:
    axis, mm = view.place_mm(scan)
    of = scan.array.shape[AXES[view.plane][0]]
    return f"slice {view.number + 1} of {of} from the {_FIRST[view.plane]}, {axis} {mm:.1f} mm"


def _lengths(found: LesionMeasured, plane: Plane) -> str:
    own = found.solidity.whole.by_plane.get(plane)
    if own is None:
        return ""
    told = f"{own.longest_mm:.1f} x {own.perpendicular_mm:.1f} mm"
    return f"thick: {told} = reported size" if _is_size(found, own) else f"thin: {told}"


def _located(scan: Volume, views: dict[Plane, PlaneView]) -> list[Picture]:
    """Whole axial and coronal slices, with the windows' places."""
    out = []
    size_mm = np.array(scan.array.shape) * np.array(scan.spacing_zyx_mm)
    for plane in ("axial", "coronal"):
        near = views[plane]
        _, rows, columns = AXES[plane]
        middle = (np.array(scan.array.shape) - 1) / 2
        side_mm = float(max(size_mm[rows], size_mm[columns]))
        view = PlaneView.about(scan, plane, near.number, middle, side_mm=side_mm)
        panel = windowed(view.drawn(view.slice_of(scan.array), _NOTHING_HU), LUNG_WINDOW_HU)
        ends = np.array([near.start, near.start + (near.side_px - 1) * near.step])[:, ::-1]
        (x1, y1), (x2, y2) = view.pixels(ends)
        for colour, thick in (((0, 0, 0), 4), (WHITE, 2)):
            cv2.rectangle(panel, (int(x1), int(y1)), (int(x2), int(y2)), colour, thick)
        marked(panel, plane)
        title = f"whole {plane} slice, {side_mm:.0f} mm, box: window above"
        out.append(np.vstack([strip(title, SIDE_PX), panel]))
    return out


def _uptake(scan: Volume, view: PlaneView, pet: Volume | None) -> list[Picture]:
    if pet is None:
        return []
    grey = windowed(view.drawn(view.slice_of(scan.array), _NOTHING_HU), LUNG_WINDOW_HU)
    panel = _plain(fused(grey, view, scan, pet), view)
    scale = heat_scale(SIDE_PX)
    panel = panel[: SIDE_PX - scale.shape[0]]
    return [np.vstack([strip(f"axial, PET over CT, {pet.unit}", SIDE_PX), panel, scale])]


def _legend(scan: Volume) -> Picture:
    """What the lines mean, and how the scan was taken: two panels wide, cut to what is left."""
    told: Picture = np.zeros((SIDE_PX + STRIP_PX, 2 * SIDE_PX + _GAP_PX, 3), dtype=np.uint8)
    y = 20
    for text, colour, thick in (
        ("outline of the lesion", OUTLINE, 1),
        ("solid part: above its threshold (dashed)", SOLID, 2),
        ("reported size and the diameter across it", DIAMETER, 2),
        ("diameters on the other planes", DIAMETER, 1),
    ):
        _sample(told, (8, y - 5), colour, thick, dashed=colour is SOLID)
        lettered(told, text, (48, y))
        y += STRIP_PX
    for line in (
        "R, L right and left; A, P front and back;",
        "S, I towards head and feet, of the patient",
        "x, y, z: DICOM patient coordinates (LPS)",
        "",
        *_taken(scan),
        "",
        "metasight, research software:",
        "not for diagnosis",
    ):
        lettered(told, line, (8, y))
        y += STRIP_PX
    return told


def _sample(
    told: Picture, at: tuple[int, int], colour: tuple[int, int, int], thick: int, *, dashed: bool
) -> None:
    x, y = at
    ends = [(x, x + 6), (x + 12, x + 18), (x + 24, x + 30)] if dashed else [(x, x + 30)]
    for a, b in ends:
        cv2.line(told, (a, y), (b, y), colour, thick)


def _taken(scan: Volume) -> list[str]:
    """How the scan was taken, as its header says; no name, date or number of anybody."""
    facts: ScanFacts = scan.facts
    x, y, z = scan.spacing_mm
    lines = [
        f"CT: {scan.array.shape[0]} slices, {z:.2f} mm apart",
        f"pixels {x:.2f} x {y:.2f} mm",
    ]
    if facts.slice_thickness_mm is not None:
        lines.append(f"slice thickness {facts.slice_thickness_mm:.2f} mm")
    kernel = facts.kernel.encode("ascii", "replace").decode()[:16]
    tube = "" if facts.tube_voltage_kv is None else f"{facts.tube_voltage_kv:.0f} kV"
    said = ", ".join(t for t in (f"kernel {kernel}" if kernel else "", tube) if t)
    if said:
        lines.append(said)
    contrast = {True: "with contrast agent", False: "no contrast agent", None: ""}
    agent = contrast[facts.contrast_agent]
    return [*lines, agent] if agent else lines


def _numbers(found: LesionMeasured, width: int, *, cut: bool) -> Picture:
    """The measurements in words, on black, in lines that the picture holds."""
    lines = [wrapped(text, width - 20) for text in _told(found, cut=cut)]
    return np.asarray(np.vstack([strip(t, width) for own in lines for t in own]), dtype=np.uint8)


def _told(found: LesionMeasured, *, cut: bool) -> list[str]:
    size, place, uptake = found.solidity, found.place, found.uptake
    longest = size.whole.longest
    told = []
    if cut:
        told.append(
            "CUT: the lesion reaches the edge of the scan; what lies beyond is not measured"
        )
    told.append(
        f"Size {longest.longest_mm:.1f} x {longest.perpendicular_mm:.1f} mm ({longest.plane}), "
        f"volume {size.whole.volume_mm3 / 1000:.2f} ml; solid part {size.main.longest_mm:.1f} mm "
        f"above {size.main.threshold_hu:g} HU, CTR {size.main.ctr:.2f} (volume "
        f"{size.main.ctr_volume:.2f}), could be {size.ctr_lower:.2f} to {size.ctr_upper:.2f}; "
        f"{size.attenuation}; pure ground glass: {size.pure_ground_glass}"
    )
    if size.doubts:
        told.append(f"Not decided: {'; '.join(size.doubts)}")
    if found.disagreement is not None:
        if found.disagreement.flagged:
            told.insert(
                0, "OUTLINE IN DOUBT: look at it, or give both ends of the longest diameter"
            )
        told.append(f"Outline from a click or box: {found.disagreement.in_words()}")
    if place is not None:
        central = {True: "yes", False: "no", None: "not known"}[found.central]
        lobe = place.lobe.lobe + (" (unsure)" if place.lobe.unsure else "")
        told.append(
            f"{lobe} lobe; central: {central} ({in_words(found.definition)}"
            f"{_value(place, found.definition)}); gap to pleura "
            f"{_mm(place.pleura_gap_mm)}, fissure {_mm(place.lobe.fissure_gap_mm)}, proximal "
            f"bronchi {_mm(place.bronchi_gap_mm)}"
        )
    if uptake is not None:
        told.append(
            f"{uptake.unit}: max {uptake.suvmax:.1f}, peak {uptake.suvpeak:.1f}, mean "
            f"{uptake.suvmean:.1f}; {uptake.volume_41_ml:.1f} ml above 41 % of the maximum"
        )
    return told


def _value(place: Place, definition: Definition) -> str:
    """The lesion's value beside the definition's limit."""
    value, limit = place.value_and_limit(definition)
    if not np.isfinite(value):
        return ": not found"
    if definition == "bronchi_2cm":
        return f": {value:.0f} mm, limit {BRONCHI_MM:.0f} mm"
    return f": {value:.2f}, limit {limit:.2f}"


def _mm(value: float) -> str:
    return f"{value:.0f} mm" if np.isfinite(value) else "not found"
