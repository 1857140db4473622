"""Defects painted into real sections by what they do to light, with a known strength.

A strength is what the slide's measurement would be if it were perfect: the share of the tissue
under folds, tears, knife lines (as strips of 24 µm and more), bubbles or pen, the ratio of an
uneven staining, the density of the densest tenth of a faded or over-stained section.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from metasight.slides.stain import background_colour, optical_density
from metasight.slides.tissue import tissue_mask

MPP = 8.0
CIMA = "data/alignment/cima"
# Resolutions of the originals from the data set's publication, 20 times coarser here.
SECTIONS = {
    "kidney H&E": (f"{CIMA}/rat-kidney_/scale-5pc/Rat-Kidney_HE.jpg", 4.54, "H&E"),
    "kidney Pan-CK": (f"{CIMA}/rat-kidney_/scale-5pc/Rat-Kidney_PanCytokeratin.jpg", 4.54, "IHC"),
    "lesion H&E": (f"{CIMA}/lesions_/scale-5pc/Izd2-29-041-w35_HE.jpg", 3.48, "H&E"),
    "lesion proSPC": (f"{CIMA}/lesions_/scale-5pc/Izd2-29-041-w35_proSPC.jpg", 3.48, "IHC"),
}


@dataclass(frozen=True)
class Section:
    rgb: np.ndarray
    density: np.ndarray
    tissue: np.ndarray
    glass: np.ndarray
    stain: str


def section(shared: Path, name: str) -> Section:
    """A real section at 8 µm a pixel."""
    path, mpp, stain = SECTIONS[name]
    rgb = cv2.imread(str(shared / path))[..., ::-1]
    rgb = cv2.resize(rgb, None, fx=mpp / MPP, fy=mpp / MPP, interpolation=cv2.INTER_AREA)
    glass = background_colour(rgb)
    return Section(rgb, optical_density(rgb, glass), tissue_mask(rgb, MPP, glass), glass, stain)


def painted(density: np.ndarray, glass: np.ndarray) -> np.ndarray:
    return np.clip(np.rint((glass + 1) * 10.0**-density - 1), 0, 255).astype(np.uint8)


def ribbon(
    tissue: np.ndarray, rng: np.random.Generator, length_um: float, width_um: float, bend_um: float
) -> np.ndarray:
    """A ribbon that lies on tissue for nine tenths of its length."""
    rows, columns = np.nonzero(tissue)
    best, best_share = np.zeros(tissue.shape, bool), 0.0
    for _ in range(60):
        i, angle = rng.integers(len(rows)), rng.uniform(0, np.pi)
        along = np.array([np.cos(angle), np.sin(angle)])
        at = np.linspace(-0.5, 0.5, 40)[:, None] * length_um / MPP
        points = np.array([columns[i], rows[i]]) + at * along
        bend = np.sin(np.linspace(0, 2 * np.pi, 40))[:, None] * bend_um / MPP
        points = points + bend * np.array([-along[1], along[0]])
        mask = np.zeros(tissue.shape, np.uint8)
        path = np.rint(points * 16).astype(np.int32)[:, None]
        cv2.polylines(mask, [path], False, 1, max(1, round(width_um / MPP)), cv2.LINE_8, 4)
        share = float(tissue[mask > 0].mean()) * min(
            1.0, float(mask.sum()) / (length_um / MPP * max(1, round(width_um / MPP)) * 0.8)
        )
        if share > best_share:
            best, best_share = mask > 0, share
        if share > 0.9:
            break
    return best


def _until(
    s: Section, percent: float, draw: Callable[[], np.ndarray], count: Callable[[np.ndarray], float]
) -> np.ndarray:
    mask, total = np.zeros(s.tissue.shape, bool), 0.0
    while total < percent / 100 * s.tissue.sum():
        one = draw()
        total += count(one & ~mask)
        mask |= one
    return mask


def with_folds(s: Section, percent: float, rng: np.random.Generator) -> np.ndarray:
    """Ribbons in which the section next to them lies on top."""
    mask = _until(
        s,
        percent,
        lambda: ribbon(
            s.tissue, rng, rng.uniform(900, 1800), rng.uniform(70, 180), rng.uniform(0, 80)
        ),
        lambda m: float((m & s.tissue).sum()),
    )
    out = s.density.copy()
    out[mask] += np.roll(s.density, (6, 9), (0, 1))[mask]
    return painted(out, s.glass)


def with_tears(s: Section, percent: float, rng: np.random.Generator) -> np.ndarray:
    mask = _until(
        s,
        percent,
        lambda: ribbon(
            s.tissue, rng, rng.uniform(1000, 2000), rng.uniform(50, 150), rng.uniform(0, 60)
        ),
        lambda m: float(m.sum()),
    )
    return painted(s.density * ~mask[..., None], s.glass)


def with_knife_lines(s: Section, percent: float, rng: np.random.Generator) -> np.ndarray:
    def draw() -> np.ndarray:
        return ribbon(s.tissue, rng, rng.uniform(1000, 1800), rng.choice([8.0, 16.0, 24.0]), 0.0)

    keep = np.ones(s.tissue.shape, np.float32)
    strip = np.ones((3, 3), np.uint8)
    total, wanted = 0.0, percent / 100 * s.tissue.sum()
    while total < wanted:
        line = draw()
        total += float(cv2.dilate(line.astype(np.uint8), strip).sum())
        keep = np.minimum(keep, 1 - cv2.GaussianBlur(line.astype(np.float32), (0, 0), 0.5))
    return painted(s.density * keep[..., None], s.glass)


def with_bubbles(s: Section, percent: float, rng: np.random.Generator) -> np.ndarray:
    out = s.density.copy()
    rows, columns = np.nonzero(s.tissue)
    y, x = np.mgrid[: s.tissue.shape[0], : s.tissue.shape[1]]
    covered = np.zeros(s.tissue.shape, bool)
    while covered.sum() < percent / 100 * s.tissue.sum():
        radius = rng.uniform(200, 600) / MPP
        i = rng.integers(len(rows))
        inside = [
            radius < c[i] < n - radius for c, n in zip((rows, columns), s.tissue.shape, strict=True)
        ]
        from_centre = np.hypot(y - rows[i], x - columns[i])
        disc = from_centre < radius
        if not all(inside) or (disc & covered).any():
            continue
        covered |= disc
        ring = np.exp(-(((from_centre - radius) / 1.5) ** 2) / 2)
        out += (0.35 * ring)[..., None].astype(np.float32)
    return painted(out, s.glass)


INKS = {
    "green": (0.75, 0.45, 0.5),
    "blue": (0.9, 0.45, 0.15),
    "red": (0.08, 0.9, 0.88),
    "black": (0.85, 0.85, 0.85),
}


def with_pen(s: Section, percent: float, rng: np.random.Generator) -> np.ndarray:
    ink = np.array(INKS[str(rng.choice(sorted(INKS)))], np.float32)
    mask = _until(
        s,
        percent,
        lambda: ribbon(s.tissue, rng, rng.uniform(1000, 2000), 350.0, 100.0),
        lambda m: float((m & s.tissue).sum()),
    )
    return painted(s.density + mask[..., None] * ink, s.glass)


def with_staining(s: Section, od: float, rng: np.random.Generator) -> np.ndarray:
    """Faded or over-stained to a density of the densest tenth of the tissue."""
    now = float(np.percentile(s.density.mean(-1)[s.tissue], 90))
    return _stained(s, np.float32(od / now))


def with_unevenness(s: Section, ratio: float, rng: np.random.Generator) -> np.ndarray:
    """A slope of the staining whose 95th over 5th percentile on solid tissue is ``ratio``."""
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[: s.tissue.shape[0], : s.tissue.shape[1]]
    slope = np.cos(angle) * x + np.sin(angle) * y
    light = s.density.mean(-1)
    solid = s.tissue & (cv2.blur((light > 0.03).astype(np.float32), (31, 31)) > 0.85)
    low, high = np.percentile(slope[solid], [5, 95])
    gain = np.exp(np.log(ratio) * ((slope - low) / (high - low) - 0.5)).astype(np.float32)
    return _stained(s, gain[..., None])


def _stained(s: Section, gain: np.ndarray | np.float32) -> np.ndarray:
    """The section's density times ``gain``; glass stays as it is."""
    where = cv2.GaussianBlur(s.tissue.astype(np.float32), (0, 0), 1.0)[..., None]
    return painted(s.density * (1 + where * (gain - 1)), s.glass)


SEEDED: dict[str, tuple[str, Callable[[Section, float, np.random.Generator], np.ndarray]]] = {
    "folds": ("folds_percent", with_folds),
    "tears": ("tears_percent", with_tears),
    "knife lines": ("knife_lines_percent", with_knife_lines),
    "bubbles": ("bubbles_percent", with_bubbles),
    "pen": ("pen_percent", with_pen),
    "uneven staining": ("uneven_staining_ratio", with_unevenness),
}
