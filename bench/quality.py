"""Defects caught and clean sections refused, over graded strengths: ``python bench/quality.py``.

Seeds defects into the real sections of shared/data at 1.2, 1.5, 2 and 3 times the protocol's
limit, and below it; judges also the untouched sections, turned, mirrored and cut into parts.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from metasight.protocol.load import read_protocol
from metasight.slides.opening import open_slide
from metasight.slides.quality import Quality, judge, limits_of
from seeded_defects import MPP, SECTIONS, SEEDED, Section, section, with_staining

SHARED = Path(__file__).resolve().parents[2] / "shared"
STRENGTHS = (0.5, 1.2, 1.5, 2.0, 3.0)


def judged(rgb: np.ndarray, stain: str, folder: Path) -> Quality:
    path = folder / "section.png"
    cv2.imwrite(str(path), rgb[..., ::-1])
    limits = limits_of(read_protocol("breast-dmfs").definition, stain)
    with open_slide(path, mpp=MPP) as slide:
        return judge(slide, stain, limits)


def clean(sections: dict[str, Section], folder: Path) -> tuple[int, int]:
    refused = tried = 0
    for name, s in sections.items():
        height, width = s.rgb.shape[:2]
        parts = [s.rgb, s.rgb[:, ::-1], np.rot90(s.rgb).copy()]
        parts += [
            s.rgb[y : y + height * 2 // 3, x : x + width * 2 // 3]
            for y in (0, height // 3)
            for x in (0, width // 3)
        ]
        for part in parts:
            quality = judged(part, s.stain, folder)
            tried += 1
            if quality.sufficient is False:
                refused += 1
                print(f"  clean {name} refused: {quality.reasons}")
    return refused, tried


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args().repeats
    folder = Path(tempfile.mkdtemp())
    sections = {name: section(SHARED, name) for name in SECTIONS}
    caught: dict[tuple[str, float], list[bool]] = defaultdict(list)
    for defect, (measure, seed) in SEEDED.items():
        for strength in STRENGTHS:
            for i, s in enumerate(sections.values()):
                limits = limits_of(read_protocol("breast-dmfs").definition, s.stain)
                most = limits[measure].most
                assert most is not None
                for repeat in range(repeats):
                    rng = np.random.default_rng([i, repeat, int(10 * strength)])
                    amount = strength * most
                    quality = judged(seed(s, amount, rng), s.stain, folder)
                    held = next(m.holds for m in quality.measurements if m.name == measure)
                    caught[defect, strength].append(held is False)
    for s in sections.values():
        limit = limits_of(read_protocol("breast-dmfs").definition, s.stain)["staining_od"]
        for strength, od in (
            (1.2, limit.least / 1.2),
            (2.0, limit.least / 2),
            (1.2, limit.most * 1.2),
        ):
            rng = np.random.default_rng(0)
            quality = judged(with_staining(s, od, rng), s.stain, folder)
            held = [
                m.holds
                for m in quality.measurements
                if m.name in ("staining_od", "tissue_area_mm2")
            ]
            caught["fading, over-staining", strength].append(False in held)
    print(f"{'caught, by strength over the limit':36s}" + "".join(f"{x:>8g}" for x in STRENGTHS))
    above: list[bool] = []
    for defect in dict.fromkeys(d for d, _ in caught):
        row = [caught.get((defect, x), []) for x in STRENGTHS]
        above += [hit for x, hits in zip(STRENGTHS, row, strict=True) if x > 1 for hit in hits]
        print(f"{defect:36s}" + "".join(f"{np.mean(h):8.2f}" if h else "       –" for h in row))
    refused, tried = clean(sections, folder)
    print(f"above the limit: {np.mean(above):.3f} of {len(above)} caught (bar 0.95)")
    print(f"clean: {refused} of {tried} refused (bar 2 %)")


if __name__ == "__main__":
    main()
