"""Criterion E6 (less than 10 % tumour in the section) from H&E alone: how often decided, how right.

    python bench/e6_on_he.py WORK --seeds 701 702 [--patients 12] [--tissue-mm 1.4] [--no-map]

A cohort is simulated for each seed. True is the tumour's share of the field by the Pan-CK cells of
the H&E's own section. Judged are the whole tissue, its left half, its upper third and what lies
more than 64 µm outside of the true tumour region, the field staying as it is: simulated sections
have 10 to 40 % tumour, so parts have to stand for sections with little. Told is the share by the
nuclei of the H&E, and by Pan-CK painted by a generator that learnt from the other half of the
patients. Decided: the interval holds no 10 %. Simulated; nothing here says how either fares on a
hospital's slides.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy import ndimage

sys.path.insert(0, str(Path(__file__).parent))

from generator import slide_of, tissue_of
from maps_crossed import ROLES, TISSUE_MPP, trained

from metasight.engine.progress import Silent
from metasight.errors import MarkerError
from metasight.maps.density import DensityMap
from metasight.maps.generator import load_generator
from metasight.maps.generator_folds import generator_folds
from metasight.maps.generator_settings import GeneratorSettings
from metasight.maps.ome import read_density_map
from metasight.maps.predict import paint
from metasight.maps.regions import on_grid_of
from metasight.maps.tumour import TumourArea, tumour_from_marker, tumour_from_painted
from metasight.maps.tumour_on_he import tumour_from_nuclei
from metasight.maps.window import TissueWindow
from metasight.segmentation.slide_nuclei import WORKING_MPP, nuclei_on_slide
from metasight.simulate.breast.cohort import simulate_breast
from metasight.simulate.breast.settings import BreastSettings

LIMIT = 10.0
OUTSIDE_UM = 64.0
Mask = np.ndarray
Row = dict[str, object]


def parts_of(own: DensityMap, scanned_um2: float) -> dict[str, Mask]:
    """Parts of the tissue on the grid of the true density."""
    rows, columns = own.support.shape
    row, column = np.indices(own.support.shape)
    region = tumour_from_marker(own, ROLES.tumour, scanned_area_um2=scanned_um2).region
    outside = np.ones_like(own.support)
    if region is not None:
        far = ndimage.distance_transform_edt(~region.mask) * own.spacing_um
        outside = far > OUTSIDE_UM
    parts = {
        "whole": np.ones_like(own.support),
        "half": column < columns // 2,
        "third": row < rows // 3,
        "outside": outside,
    }
    return {name: part for name, part in parts.items() if (part & own.support).any()}


def cut(density: DensityMap, part: Mask) -> DensityMap:
    """The density on a part of its support."""
    kept = density.support & part
    planes = {
        name: np.where(kept, getattr(density, name), np.nan).astype(np.float32)
        for name in ("density", "error")
    }
    return replace(density, support=kept, **planes)


def cut_window(window: TissueWindow, part: Mask) -> TissueWindow:
    """The window on a part, which may be a pixel smaller or larger than its grid."""
    inside = np.zeros_like(window.mask)
    rows, columns = (min(a, b) for a, b in zip(inside.shape, part.shape, strict=True))
    inside[:rows, :columns] = part[:rows, :columns]
    return replace(window, mask=window.mask & inside)


def judged(study: Path, patient: str, generator: Path | None, seed: int) -> list[Row]:
    """A row a part of one patient's section and way to tell."""
    own = read_density_map(study / "truth" / patient / "density-HE.ome.tif")
    ways: dict[str, Callable[[Mask], TumourArea]] = {}
    with slide_of(study, patient) as slide:
        width, height = slide.size_at(1.0)
        scanned = max(float(width * height), own.window.area_um2)
        tissue = tissue_of(slide)
        window = TissueWindow(mask=tissue, spacing_um=TISSUE_MPP).resampled(own.spacing_um)
        nuclei = nuclei_on_slide(slide, tissue, TISSUE_MPP, mpp=max(WORKING_MPP, slide.mpp))
        ways["nuclei"] = lambda part: tumour_from_nuclei(
            nuclei, cut_window(window, part), scanned_area_um2=scanned
        )
        if generator is not None:
            told = paint(
                slide, tissue, TISSUE_MPP, load_generator(generator), patients=[patient]
            ).map
            painted = told if told.support.shape == own.support.shape else on_grid_of(told, own)
            ways["painted"] = lambda part: tumour_from_painted(
                cut(painted, part), ROLES.tumour, scanned_area_um2=scanned, seed=seed
            )
    rows: list[Row] = []
    for name, part in parts_of(own, scanned).items():
        true = tumour_from_marker(cut(own, part), ROLES.tumour, scanned_area_um2=scanned).percent
        for way, measure in ways.items():
            try:
                area = measure(part)
                ends = (area.percent, area.lower, area.upper)
            except MarkerError as error:
                print(f"{patient} {name} {way}: {error.problem}")
                ends = (np.nan, 0.0, 100.0)
            rows.append({"part": name, "way": way, "true": true, "ends": ends, "who": patient})
    return rows


def summed(rows: list[Row], way: str, part: str | None) -> str:
    """Decided, right, covered of one way to tell."""
    own = [r for r in rows if r["way"] == way and part in {None, r["part"]}]
    true = np.array([r["true"] for r in own], dtype=float)
    value, lower, upper = np.array([r["ends"] for r in own], dtype=float).T
    decided = (lower >= LIMIT) | (upper < LIMIT)
    right = (lower >= LIMIT) == (true >= LIMIT)
    off = value - true
    covered = (lower <= true) & (true <= upper)
    share = f"{right[decided].mean():.0%}" if decided.any() else "none"
    return (
        f"{way:8s} {part or 'all':8s} n {len(own):3d}  true {true.min():.0f}–{true.max():.0f} %  "
        f"decided {decided.mean():.0%}  right of these {share}  interval holds the truth "
        f"{covered.mean():.0%}  off by {np.nanmean(off):+.1f} (sd {np.nanstd(off):.1f})"
    )


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", required=True)
    parser.add_argument("--patients", type=int, default=12)
    parser.add_argument("--tissue-mm", type=float, default=1.4)
    parser.add_argument("--no-map", action="store_true")
    parser.add_argument("--show", action="store_true", help="a line a section")
    parser.add_argument("--steps", type=int, default=GeneratorSettings().steps)
    args = parser.parse_args()
    args.reads, args.folds = "nuclei", 2
    args.error_um, args.misalign_um, args.stated_um, args.table_um = 12.0, 0.0, 40.0, 0.0
    rows: list[Row] = []
    for seed in args.seeds:
        study = args.work / f"seed-{seed}"
        if not (study / "study.toml").is_file():
            settings = BreastSettings(
                patients=args.patients, tissue_mm=args.tissue_mm, pair_fraction=1.0
            )
            simulate_breast(study, settings, seed, jobs=1, progress=Silent())
        there = (study / "truth").iterdir()
        names = sorted(p.name for p in there if (p / "density-mIHC.ome.tif").is_file())
        fold_of = generator_folds(names, args.folds, seed)
        for fold in range(args.folds):
            others = [p for p in names if fold_of[p] != fold]
            folder = None if args.no_map else trained(study, fold, others, args)
            for patient in (p for p in names if fold_of[p] == fold):
                own = judged(study, patient, folder, seed)
                rows += own
                if args.show:
                    for r in own:
                        told = "{:.1f} ({:.1f} to {:.1f})".format(*r["ends"])
                        print(seed, r["who"], r["part"], r["way"], f"{r['true']:.1f}", told)
    for way in ("nuclei", "painted"):
        if any(r["way"] == way for r in rows):
            for part in ("whole", "half", "third", "outside", None):
                print(summed(rows, way, part))


if __name__ == "__main__":
    main()
