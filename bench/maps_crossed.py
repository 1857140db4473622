"""Maps of every patient by a generator that did not see him: the bars of maps, by default settings.

    python bench/maps_crossed.py WORK --seeds 101 102 103 [--patients 40] [--folds 2] [--steps N]

A cohort is simulated for each seed (default settings, every patient with a marker section), its
patients are divided into folds, and the maps of a fold are painted by a generator that learnt from
the others. The marker section is its simulated truth, displaced as a whole by a normal error of p90
12 µm of which the generator is told 40. Printed for each seed and all of them: agreement of the
class inflamed, excluded or desert with that of the true densities of the H&E's own section (κ),
Pearson of regions of 128 µm with the next section as a share of the ceiling, coverage of the 90 %
interval, and seconds of training and painting. Two folds learn from half of the patients: a study's
five learn from more. Simulated; nothing here says how a generator fares on a hospital's slides.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent))

from generator import MARKERS, POSITIVE, collect, line, section_of, slide_of, tissue_of

from metasight.biomarkers.measure import measure
from metasight.biomarkers.results import Biomarkers
from metasight.engine.progress import Silent
from metasight.maps.agreement import agree
from metasight.maps.density import DensityMap, density_from_cells
from metasight.maps.generator import load_generator
from metasight.maps.generator_folds import generator_folds
from metasight.maps.generator_settings import GeneratorSettings
from metasight.maps.ome import read_density_map
from metasight.maps.predict import paint
from metasight.maps.regions import Regions, on_grid_of, regions_of
from metasight.maps.train import train_generator
from metasight.maps.tumour import tumour_from_marker
from metasight.protocol.load import read_protocol
from metasight.protocol.study import require_roles
from metasight.simulate.breast.cohort import simulate_breast
from metasight.simulate.breast.settings import BreastSettings
from metasight.steps.slides.sections import definitions
from metasight.validation.agreement import kappa

TISSUE_MPP, REGION_UM = 4.0, 128.0
PROTOCOL = read_protocol("breast-dmfs")
ROLES = require_roles(PROTOCOL, where="breast-dmfs")
Label = tuple[str | None, str | None]


def biomarkers_of(density: DensityMap) -> Biomarkers:
    tumour = tumour_from_marker(density, ROLES.tumour, scanned_area_um2=density.window.area_um2)
    return measure(density, density.window, tumour.region, definitions(PROTOCOL.for_slides), seed=1)


def trained(study: Path, fold: int, learn: list[str], args: argparse.Namespace) -> Path:
    work = study / f"bench-{args.folds}"
    folder = work / f"fold-{fold}-{args.steps}-{args.reads}"
    if (folder / "generator.json").is_file():
        return folder
    (work / "tiles").mkdir(parents=True, exist_ok=True)
    files = {p: work / "tiles" / f"{p}.h5" for p in learn}
    for number, (patient, path) in enumerate(files.items()):
        if not path.is_file():
            collect(study, patient, number, args, path)
    start = time.process_time()
    settings = GeneratorSettings(
        reads=args.reads, steps=args.steps, batch=4 if args.reads == "pixels" else 16
    )
    train_generator(files, settings, seed=fold + 1, work=folder)
    line(f"fold {fold}: CPU-seconds to train", f"{time.process_time() - start:.0f}")
    return folder


def judged(
    study: Path, patients: list[str], folder: Path, args: argparse.Namespace
) -> tuple[dict[str, list[Regions]], list[Label]]:
    generator = load_generator(folder)
    regions: dict[str, list[Regions]] = {m: [] for m in MARKERS}
    labels: list[Label] = []
    start, area = time.process_time(), 0.0
    maps = {}
    for patient in patients:
        with slide_of(study, patient) as slide:
            tissue = tissue_of(slide)
            area += float(tissue.size) * TISSUE_MPP**2 / 1e6
            maps[patient] = paint(slide, tissue, TISSUE_MPP, generator, patients=[patient]).map
    line("  painted, mm² of slide a CPU-second", f"{area / (time.process_time() - start):.1f}")
    for number, (patient, painted) in enumerate(maps.items()):
        cells, counted = section_of(study, patient, 9000 + number, args.error_um)
        measured = density_from_cells(cells, counted.window)
        for marker in MARKERS:
            regions[marker].append(
                regions_of(
                    patient, painted, measured, marker, region_um=REGION_UM, p90_um=args.error_um
                )
            )
        own = on_grid_of(
            read_density_map(study / "truth" / patient / "density-HE.ome.tif"), painted
        )
        told, found = (
            biomarkers_of(density).labels["infiltration_class"] or None
            for density in (own, painted)
        )
        labels.append((told, found))
    return regions, labels


def told(name: str, regions: dict[str, list[Regions]], labels: list[Label]) -> None:
    agreed = kappa([a for a, _ in labels], [b for _, b in labels])
    line(
        f"{name}: class of infiltration, κ (95 % interval), equal, n",
        f"{agreed.kappa:.2f} ({agreed.lower:.2f} to {agreed.upper:.2f}), "
        f"{agreed.observed:.2f}, {agreed.n}",
        "0.6",
    )
    for marker in MARKERS:
        found = agree(marker, regions[marker], threshold_per_mm2=POSITIVE[marker], seed=1)
        line(
            f"  {marker}: Pearson, of the ceiling; 90 % interval covers",
            f"{found.pearson.value:.3f}, {found.of_ceiling:.3f}; {found.covered.value:.3f} "
            f"({found.covered.lower:.2f}–{found.covered.upper:.2f})",
            "0.92 (CD3); 0.85–0.95",
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", required=True)
    parser.add_argument("--patients", type=int, default=40)
    parser.add_argument("--folds", type=int, default=2)
    parser.add_argument("--steps", type=int, default=GeneratorSettings().steps)
    parser.add_argument("--reads", choices=("nuclei", "pixels"), default="nuclei")
    args = parser.parse_args()
    args.error_um, args.misalign_um, args.stated_um, args.table_um = 12.0, 0.0, 40.0, 0.0
    torch.set_num_threads(1)
    everything: dict[str, list[Regions]] = {m: [] for m in MARKERS}
    every: list[Label] = []
    for seed in args.seeds:
        study = args.work / f"seed-{seed}"
        if not (study / "study.toml").is_file():
            settings = BreastSettings(patients=args.patients, pair_fraction=1.0)
            simulate_breast(study, settings, seed, jobs=1, progress=Silent())
        there = (study / "truth").iterdir()
        names = sorted(p.name for p in there if (p / "density-mIHC.ome.tif").is_file())
        fold_of = generator_folds(names, args.folds, seed)
        regions: dict[str, list[Regions]] = {m: [] for m in MARKERS}
        labels: list[Label] = []
        for fold in range(args.folds):
            folder = trained(study, fold, [p for p in names if fold_of[p] != fold], args)
            own, classes = judged(study, [p for p in names if fold_of[p] == fold], folder, args)
            labels += classes
            for marker in MARKERS:
                regions[marker] += own[marker]
        told(f"seed {seed}", regions, labels)
        every += labels
        for marker in MARKERS:
            everything[marker] += regions[marker]
    told("all", everything, every)


if __name__ == "__main__":
    main()
