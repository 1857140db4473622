"""One thorax as numbers: sizes and places of what a chest CT shows, drawn for a patient.

The frame is the patient's own (LPS as in DICOM): x grows to the left, y to the back, z to the
head, in mm; x = 0 is the midline, z = 0 the deepest recess of the lungs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

LOBES = ("RUL", "RML", "RLL", "LUL", "LLL")
"""Right upper, middle and lower, left upper and lower lobe; labels 1 to 5 in this order."""


class Form(NamedTuple):
    """Numbers that kernels read: lengths in mm, HU where said; a plain tuple for numba's sake."""

    height: float
    half_width: float
    half_depth: float
    boxiness: float
    fat: float
    breast: float
    wall: float
    spine_back: float
    septum: float
    heart_x: float
    heart_y: float
    heart_z: float
    heart_a: float
    heart_b: float
    heart_c: float
    heart_turn: float
    dome_right: float
    dome_left: float
    recess_slope: float
    oblique_right: float
    oblique_left: float
    oblique_tilt: float
    horizontal: float
    wave: float
    wave_phase: float
    rib_pitch: float
    rib_slope: float
    rib_phase: float
    vertebra: float
    lung_hu: float
    gravity_hu: float
    texture_hu: float
    grain_hu: float
    blood_hu: float
    muscle_hu: float
    liver_hu: float
    fissure_mm: float


@dataclass(frozen=True, kw_only=True)
class Tubes:
    """Straight tubes with round ends.

    Attributes
    ----------
    ends
        ``(n, 6)``: x, y, z of one end, then of the other, mm.
    radii
        ``(n, 2)``: radius at either end, mm, ≥ 0.
    """

    ends: Floats
    radii: Floats

    def __len__(self) -> int:
        return len(self.ends)

    def __add__(self, other: Tubes) -> Tubes:
        return Tubes(
            ends=np.vstack([self.ends, other.ends]), radii=np.vstack([self.radii, other.radii])
        )

    def widened(self, by_mm: float, factor: float = 1.0) -> Tubes:
        """The same tubes with other radii: ``factor`` × radius + ``by_mm``."""
        return Tubes(ends=self.ends, radii=np.maximum(self.radii * factor + by_mm, 0.0))


def polyline(*points: tuple[float, float, float, float]) -> Tubes:
    """Tubes through points given as (x, y, z, radius)."""
    p = np.array(points, dtype=np.float64)
    return Tubes(
        ends=np.hstack([p[:-1, :3], p[1:, :3]]), radii=np.column_stack([p[:-1, 3], p[1:, 3]])
    )


@dataclass(frozen=True, kw_only=True)
class Anatomy:
    """A thorax before its vessels and texture.

    Attributes
    ----------
    form
        Numbers for the kernels.
    bronchi
        Lumen of each proximal bronchus by name: the last 2 cm of the trachea, main, upper lobe,
        intermediate, middle lobe, lingular and lower lobe bronchi (RTOG 0813's proximal bronchial
        tree). Each is a set of tubes.
    trachea
        Lumen of the trachea above that.
    aorta, cava, pulmonary, oesophagus
        Great vessels and oesophagus.
    lobar_roots
        ``(5, 3)`` where the tree of each lobe starts, in the order of `LOBES`.
    hila
        ``(2, 3)`` centres of the right and the left hilum.
    atrium
        ``(2, 3)`` where veins of the right and the left lung end.
    """

    form: Form
    bronchi: dict[str, Tubes]
    trachea: Tubes
    aorta: Tubes
    cava: Tubes
    pulmonary: Tubes
    oesophagus: Tubes
    lobar_roots: Floats
    hila: Floats
    atrium: Floats

    def proximal_tree(self) -> Tubes:
        """All of `bronchi` as one set."""
        parts = list(self.bronchi.values())
        whole = parts[0]
        for part in parts[1:]:
            whole = whole + part
        return whole


def draw_anatomy(rng: np.random.Generator, *, female: bool, contrast: bool) -> Anatomy:
    """Draw a thorax of an adult in inspiration, arms up.

    Sizes are those of adults' chest CT (inner transverse diameter 230–270 mm, depth 150–190 mm,
    lung height 190–225 mm), 5 % smaller in women; every other number varies by a few percent.

    Parameters
    ----------
    rng
        Of the patient.
    female
        Smaller thorax, with breasts.
    contrast
        Blood at 150–220 HU in place of 38–48.
    """
    scale = (0.95 if female else 1.0) * float(np.clip(rng.normal(1, 0.035), 0.92, 1.08))

    def near(value: float, share: float) -> float:
        return float(value * np.clip(rng.normal(1, share), 1 - 2.5 * share, 1 + 2.5 * share))

    height = near(204, 0.03) * scale
    form = Form(
        height=height,
        half_width=near(124, 0.03) * scale,
        half_depth=near(94, 0.04) * scale,
        boxiness=float(rng.uniform(0.2, 0.5)),
        fat=float(np.clip(rng.lognormal(2.4, 0.4), 4, 26)),
        breast=float(rng.uniform(12, 30)) if female else float(rng.uniform(0, 4)),
        wall=near(11, 0.06),
        spine_back=near(11, 0.12),
        septum=near(3.0, 0.15),
        heart_x=near(20, 0.2),
        heart_y=near(-28, 0.15),
        heart_z=near(0.27, 0.08) * height,
        heart_a=near(61, 0.06) * scale,
        heart_b=near(43, 0.06) * scale,
        heart_c=near(50, 0.06) * scale,
        heart_turn=float(rng.uniform(0.45, 0.75)),
        dome_right=near(66, 0.1),
        dome_left=near(52, 0.12),
        recess_slope=near(0.32, 0.15),
        oblique_right=near(0.41, 0.05) * height,
        oblique_left=near(0.40, 0.05) * height,
        oblique_tilt=near(0.92, 0.08),
        horizontal=near(0.50, 0.05) * height,
        wave=float(rng.uniform(2, 6)),
        wave_phase=float(rng.uniform(0, 6.28)),
        rib_pitch=near(24, 0.04) * scale,
        rib_slope=near(66, 0.08),
        rib_phase=float(rng.uniform(0, 24)),
        vertebra=near(17, 0.05) * scale,
        lung_hu=float(np.clip(rng.normal(-872, 12), -900, -840)),
        gravity_hu=near(42, 0.25),
        texture_hu=near(24, 0.15),
        grain_hu=near(75, 0.1),
        blood_hu=float(rng.uniform(150, 220)) if contrast else float(rng.uniform(38, 48)),
        muscle_hu=near(54, 0.06),
        liver_hu=near(60, 0.08),
        fissure_mm=near(0.7, 0.1),
    )
    return _with_tubes(form, scale, near(1, 0.05))


@dataclass(frozen=True)
class _Mediastinum:
    """Where tubes are laid: widths and depths in millimetres of a thorax of scale 1.

    Attributes
    ----------
    height
        Of the thorax, mm; heights of points are shares of it.
    scale
        Of widths and radii.
    trachea_y
        Depth of the trachea, mm.
    descending_y
        Depth of the descending aorta, mm.
    """

    height: float
    scale: float
    trachea_y: float
    descending_y: float

    def point(self, x: float, back: float, z: float, r: float) -> tuple[float, float, float, float]:
        """``back`` lies behind the trachea in mm; radius ``r``."""
        return x * self.scale, self.trachea_y + back, z * self.height, r * self.scale


def _with_tubes(form: Form, scale: float, aorta: float) -> Anatomy:
    spine_front = spine_y(form, 0.5) - 0.85 * form.vertebra
    m = _Mediastinum(
        height=form.height,
        scale=scale,
        trachea_y=spine_front - 30 * scale,
        descending_y=spine_front - 4 * scale,
    )
    h, s, p, y_t = m.height, m.scale, m.point, m.trachea_y
    bronchi = _bronchi(m)
    ends = ["right upper", "middle", "right lower", "left upper", "left lower"]
    return Anatomy(
        form=form,
        bronchi=bronchi,
        trachea=polyline(
            (0.0, y_t - 22 * s, 1.16 * h, 8.5 * s), (1.0 * s, y_t, 0.64 * h + 20, 8.5 * s)
        ),
        aorta=_aorta(m, 12.5 * aorta),
        cava=_cava(m),
        pulmonary=_pulmonary(m),
        oesophagus=polyline(
            (2.0, y_t + 4 * s, 1.1 * h, 6.5),
            (5.0 * s, y_t + 15 * s, 0.66 * h, 7.0),
            (4.0 * s, y_t + 16 * s, 0.4 * h, 7.5),
            (10.0 * s, y_t + 4 * s, 0.0, 8.0),
        ),
        lobar_roots=np.array([bronchi[name].ends[-1, 3:] for name in ends]),
        hila=np.array([p(-38, -5, 0.53, 0)[:3], p(44, 0, 0.54, 0)[:3]]),
        atrium=np.array([p(-36, -10, 0.43, 0)[:3], p(38, -6, 0.45, 0)[:3]]),
    )


def _bronchi(m: _Mediastinum) -> dict[str, Tubes]:
    h, s, p = m.height, m.scale, m.point
    right, left, inter = (-26, -1, 0.585), (34, 2, 0.535), (-33, -6, 0.485)
    carina = p(1, 0, 0.64, 8.0)
    return {
        "trachea": polyline((1.0 * s, m.trachea_y, 0.64 * h + 20, 8.5 * s), carina),
        "right main": polyline(carina, p(*right, 7.2)),
        "left main": polyline(carina, p(*left, 6.4)),
        "right upper": polyline(p(*right, 5.2), p(-50, -4, 0.62, 4.6)),
        "intermediate": polyline(p(*right, 6.0), p(*inter, 5.4)),
        "middle": polyline(p(*inter, 3.8), p(-49, -31, 0.42, 3.3)),
        "right lower": polyline(p(*inter, 5.0), p(-42, 10, 0.40, 4.4)),
        "left upper": polyline(p(*left, 5.2), p(51, -12, 0.575, 4.4)),
        "lingular": polyline(p(46, -8, 0.56, 3.6), p(56, -32, 0.48, 3.2)),
        "left lower": polyline(p(*left, 5.2), p(47, 14, 0.42, 4.4)),
    }


def _aorta(m: _Mediastinum, r: float) -> Tubes:
    """Ascending aorta of radius ``r``, arch and descending aorta."""
    h, s, p, descend = m.height, m.scale, m.point, m.descending_y
    return polyline(
        p(-2, -42, 0.36, r * 1.1),
        p(-12, -44, 0.50, r * 1.1),
        p(-9, -40, 0.66, r),
        p(3, -26, 0.735, r),
        p(19, -4, 0.735, r),
        (27 * s, descend - 6 * s, 0.67 * h, 0.98 * r * s),
        (26 * s, descend, 0.52 * h, 0.93 * r * s),
        (18 * s, descend, 0.28 * h, 0.9 * r * s),
        (8 * s, descend + 2, -0.12 * h, 0.85 * r * s),
    )


def _cava(m: _Mediastinum) -> Tubes:
    """Venae cavae and brachiocephalic veins."""
    p = m.point
    return (
        polyline(p(-26, -32, 0.38, 10), p(-27, -30, 0.58, 9), p(-25, -32, 0.86, 8))
        + polyline(p(-25, -32, 0.84, 7), p(22, -46, 0.92, 6))
        + polyline(p(-22, -5, 0.18, 11), p(-20, 2, -0.1, 11))
        + polyline(p(15, -22, 0.80, 4.5), p(22, -14, 1.05, 4))
        + polyline(p(2, -26, 0.80, 5.5), p(-18, -14, 1.05, 4.5))
    )


def _pulmonary(m: _Mediastinum) -> Tubes:
    """Pulmonary trunk, arteries and veins near the heart."""
    p = m.point
    return (
        polyline(
            p(20, -50, 0.42, 13), p(18, -36, 0.565, 12.5), p(36, -6, 0.60, 10.5), p(46, 8, 0.56, 9)
        )
        + polyline(p(16, -30, 0.56, 11), p(-20, -22, 0.55, 10.5), p(-38, -8, 0.535, 8.5))
        + polyline(p(-10, -8, 0.45, 13), p(-40, -10, 0.43, 6))
        + polyline(p(12, -8, 0.45, 13), p(42, -6, 0.45, 6))
    )


def spine_y(form: Form, t: float) -> float:
    """Where the middle of a vertebral body lies, mm from the frame's middle, at height t."""
    return float(18.0 * t * t + 0.90 * form.half_depth - form.spine_back)
