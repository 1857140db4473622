"""What a generator reaches on a simulated study: every bar of the maps, one line a figure.

    metasight simulate breast STUDY --patients 34 --seed 1
    python bench/generator.py STUDY [--train 24] [--misalign-um 20] [--steps 1000] [--threads 2]
    python bench/generator.py STUDY --table-um 55 --pitch-um 100     # a table of regions alone
    python bench/generator.py --speed STUDY
    python bench/generator.py --deepliif ../shared/data/slides/deepliif/train

The other section's cells are the simulated truth (the section 8 µm deeper, other cells, in the
H&E's frame), displaced as a whole by a normal error whose p90 is ``--error-um``; ``--misalign-um``
adds to it on the training patients without the generator being told. With ``--table-um`` nothing is
learnt from that section: discs of that diameter on the H&E, with the true cells in each, are all
that is told, as by spots of spatial transcriptomics; judged is by sections as before. Patients are
held out at random. The baseline of haematoxylin is the true density of nuclei: better than any
detection. Everything is simulated; nothing here says how a generator fares on a hospital's slides.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from scipy.spatial import cKDTree

from metasight.cohort.region_table import RegionRow, RegionValue
from metasight.maps.agreement import agree, pearson
from metasight.maps.cells import Cells
from metasight.maps.density import DensityMap, density_from_cells
from metasight.maps.generator import load_generator
from metasight.maps.generator_settings import GeneratorSettings, StainShift
from metasight.maps.markers import dab_map, dab_stains
from metasight.maps.ome import read_density_map
from metasight.maps.predict import GeneratedMap, paint
from metasight.maps.regions import on_grid_of, regions_of
from metasight.maps.train import train_generator
from metasight.maps.training_tiles import (
    MarkedSection,
    Tiles,
    TilesSettings,
    collect_tiles,
    save_tiles,
)
from metasight.slides.opening import open_slide
from metasight.slides.reader import Region, SlideReader
from metasight.slides.stain import normalise
from metasight.slides.tissue import tissue_mask

MARKERS = ("Pan-CK", "CD3", "CD20")
BARS = {"Pan-CK": 0.90, "CD3": 0.75, "CD20": 0.60}
POSITIVE = {"Pan-CK": 1000.0, "CD3": 500.0, "CD20": 300.0}
TISSUE_MPP = 4.0
P90 = 2.146


def slide_of(study: Path, patient: str) -> SlideReader:
    return open_slide(next((study / "slides").glob(f"{patient}-HE.*")), name=patient)


def tissue_of(slide: SlideReader) -> np.ndarray:
    width, height = slide.size_at(TISSUE_MPP)
    return tissue_mask(
        slide.read(Region(x=0, y=0, width=width, height=height), TISSUE_MPP), TISSUE_MPP
    )


def cells_in(density: DensityMap, seed: int, shift_um: np.ndarray) -> Cells:
    """The counted cells again as points, anywhere in their pixel."""
    rng = np.random.default_rng(seed)
    count = np.rint(np.nan_to_num(density.density) * density.spacing_um**2 / 1e6).astype(int)
    plane, row, column = (np.repeat(i, count[count > 0]) for i in np.nonzero(count))
    at = (np.stack([column, row], 1) + rng.random((len(row), 2))) * density.spacing_um + shift_um
    return Cells(
        x_um=at[:, 0] + density.origin_um[0],
        y_um=at[:, 1] + density.origin_um[1],
        type_code=plane.astype(np.int16),
        type_names=density.markers,
        positive={m: plane == i for i, m in enumerate(density.markers)},
    )


def section_of(study: Path, patient: str, seed: int, error_um: float) -> tuple[Cells, DensityMap]:
    """Cells of the next section, as far off as an alignment of that p90 would leave them."""
    counted = read_density_map(study / "truth" / patient / "density-mIHC.ome.tif")
    shift = np.random.default_rng([seed, 77]).normal(size=2) * error_um / P90
    return cells_in(counted, seed, shift), counted


def collect(study: Path, patient: str, seed: int, args: argparse.Namespace, out: Path) -> None:
    actual = float(np.hypot(args.error_um, args.misalign_um))
    cells, counted = section_of(study, patient, seed, actual)
    own = read_density_map(study / "truth" / patient / "density-HE.ome.tif")

    def stated(x_um: np.ndarray, y_um: np.ndarray) -> np.ndarray:
        return np.full_like(x_um, args.stated_um)

    def none(x_um: np.ndarray, y_um: np.ndarray) -> np.ndarray:
        return np.zeros_like(x_um)

    targets = {
        m: MarkedSection(cells=cells, window=counted.window, error_um=stated, section="mIHC")
        for m in MARKERS
    } | {
        "nuclei": MarkedSection(
            cells=cells_in(own, seed, np.zeros(2)), window=own.window, error_um=none, section="H&E"
        )
    }
    regions: list[RegionRow] = []
    if args.table_um:
        regions = discs(cells_in(own, seed, np.zeros(2)), own, args.table_um, args.pitch_um)
        targets = {"nuclei": targets["nuclei"]}
    with slide_of(study, patient) as slide:
        tiles = collect_tiles(
            slide, tissue_of(slide), TISSUE_MPP, targets, TilesSettings(), regions=regions
        )
    save_tiles(tiles, out)


def discs(cells: Cells, own: DensityMap, diameter: float, pitch: float) -> list[RegionRow]:
    """Spots on a hexagonal lattice over the tissue, with the cells of each marker in them."""
    height, width = (n * own.spacing_um for n in own.support.shape)
    found = []
    trees = {
        m: cKDTree(np.stack([cells.x_um, cells.y_um], axis=1)[cells.positive[m]]) for m in MARKERS
    }
    for line, y in enumerate(np.arange(diameter, height - diameter, pitch * np.sqrt(3) / 2)):
        for x in np.arange(diameter + pitch / 2 * (line % 2), width - diameter, pitch):
            count = {m: len(t.query_ball_point((x, y), diameter / 2)) for m, t in trees.items()}
            values = tuple(
                RegionValue(marker=m, told="count", value=float(n)) for m, n in count.items()
            )
            found.append(
                RegionRow(
                    slide="",
                    row=len(found) + 2,
                    unit="um",
                    x=float(x),
                    y=float(y),
                    diameter=diameter,
                    values=values,
                )
            )
    return found


def line(name: str, value: object, bar: str = "") -> None:
    print(f"{name:52s} {value}{'   bar ' + bar if bar else ''}", flush=True)


def painted(study: Path, patient: str, generator: object, *, same: bool = True) -> GeneratedMap:
    """Paint; ``same`` is False for another study, whose patients are called the same."""
    with slide_of(study, patient) as slide:
        return paint(
            slide, tissue_of(slide), TISSUE_MPP, generator, patients=[patient] if same else ()
        )


def judge(study: Path, held: list[str], folder: Path, args: argparse.Namespace) -> None:
    generator = load_generator(folder)
    maps = {p: painted(study, p, generator) for p in held}
    for region_um in (64.0, 128.0):
        for marker in MARKERS:
            told, true = [], []
            for n, p in enumerate(held):
                cells, counted = section_of(study, p, 9000 + n, args.error_um)
                measured = density_from_cells(cells, counted.window)
                own = read_density_map(study / "truth" / p / "density-HE.ome.tif")
                nuclei = one_plane(own, "nuclei")
                told.append(
                    regions_of(
                        p,
                        maps[p].map,
                        measured,
                        marker,
                        region_um=region_um,
                        p90_um=args.error_um,
                        nuclei=nuclei,
                    )
                )
                true.append(
                    regions_of(
                        p,
                        on_grid_of(own, maps[p].map),
                        measured,
                        marker,
                        region_um=region_um,
                        p90_um=args.error_um,
                    )
                )
            found = agree(marker, told, threshold_per_mm2=POSITIVE[marker], seed=1)
            report(marker, region_um, found)
            x, y = (
                np.concatenate([getattr(r, c) for r in true]) for c in ("generated", "measured")
            )
            line("  true cells of the H&E's own section v. measured", f"{pearson(x, y):.3f}")
    flags = [m.outlier.flagged for m in maps.values()]
    line("held-out slides flagged as outliers", f"{sum(flags)} of {len(flags)}")
    scores = [m.outlier.score for m in maps.values()]
    for other in args.outliers:
        others = sorted({p.name.split("-HE")[0] for p in (Path(other) / "slides").glob("*-HE.*")})
        strange = [painted(Path(other), p, generator, same=False).outlier for p in others]
        line(
            f"outlier AUROC, {Path(other).name}",
            f"{auroc([s.score for s in strange], scores):.3f}, flagged "
            f"{sum(s.flagged for s in strange)} of {len(strange)}",
            "0.95",
        )


def one_plane(density: DensityMap, marker: str) -> DensityMap:
    at = density.markers.index(marker)
    return DensityMap(
        density=density.density[at : at + 1],
        error=density.error[at : at + 1],
        support=density.support,
        markers=(marker,),
        spacing_um=density.spacing_um,
        origin_um=density.origin_um,
    )


def auroc(strange: list[float], usual: list[float]) -> float:
    a, b = np.asarray(strange)[:, None], np.asarray(usual)[None]
    return float(((a > b) + 0.5 * (a == b)).mean())


def report(marker: str, region_um: float, found: object) -> None:
    head = f"{marker} {region_um:g} µm"
    bar = f"{BARS[marker]:.2f}" if region_um == 128 else ""

    def shown(e: object) -> str:
        return f"{e.value:.3f} ({e.lower:.3f}–{e.upper:.3f})"

    line(f"{head}: Pearson", shown(found.pearson), bar)
    line("  of the ceiling", f"{found.of_ceiling:.3f} (ceiling {found.ceiling:.3f})", "0.90")
    line("  Spearman, concordance", f"{shown(found.spearman)}, {shown(found.concordance)}")
    line(
        "  calibration slope, intercept /mm²", f"{shown(found.slope)}, {found.intercept.value:.0f}"
    )
    line(
        f"  F1 of regions ≥ {found.threshold_per_mm2:g}/mm² (all positive)",
        f"{shown(found.f1)} ({found.f1_all_positive:.3f}), prevalence {found.prevalence:.3f}",
    )
    line(
        "  baselines: haematoxylin, shuffled, swapped",
        f"{found.pearson_nuclei:.3f}, {found.pearson_shuffled:.3f}, {found.pearson_swapped:.3f}",
    )
    if region_um == 128:
        line("  90 % interval covers", shown(found.covered), "0.85–0.95")


def speed(study: Path, folder: Path) -> None:
    patient = sorted(p.name for p in (study / "truth").iterdir() if p.is_dir())[0]
    devices = ["cpu"] + (["cuda"] if torch.cuda.is_available() else [])
    for device in devices:
        generator = load_generator(folder, device=device)
        with slide_of(study, patient) as slide:
            width, height = slide.size_at(1.0)
            whole = np.ones((height // 8, width // 8), dtype=bool)
            paint(slide, whole, 8.0, generator)
            seen = len(list(range(0, width, 1024))) * len(list(range(0, height, 1024)))
            start, busy = time.perf_counter(), time.process_time()
            paint(slide, whole, 8.0, generator)
            seconds, busy = time.perf_counter() - start, time.process_time() - busy
        line(
            f"{device}: mm²/s, tiles/s (reading included)",
            f"{width * height / 1e6 / seconds:.1f}, {seen / seconds:.1f}",
            "4 mm²/s on two CPU cores" if device == "cpu" else "",
        )


# ------------------------------------------------------------------ DeepLIIF

PANELS = ("IHC", "haematoxylin", "DAPI", "Lap2", "marker", "segmentation")


def halves(panels: list[np.ndarray], folder: Path) -> dict[str, Path]:
    """One tile of 128 µm as two made-up patients: its left and its right half."""
    light = panels[4].astype(np.float32).max(axis=-1).reshape(128, 4, 128, 4).mean(axis=(1, 3))
    out = {}
    for name, left in (("left", 0), ("right", 256)):
        rgb, density = [], []
        for top in range(0, 257, 64):
            rgb.append(panels[0][top : top + 256, left : left + 256])
            cut = light[top // 4 : (top + 256) // 4, left // 4 : (left + 256) // 4]
            density.append(cut[None] / 255 * DEEPLIIF_UNIT)
        tiles = Tiles(
            rgb=np.stack(rgb),
            density=np.stack(density),
            support=np.ones((5, 1, 64, 64), bool),
            # the IHC panel lies up to 11 pixels off the fluorescence
            p90_um=np.full((5, 1), 3, np.float32),
            corner_um=np.zeros((5, 2), np.float32),
            markers=("marker",),
            sections=("same",),
            mpp=0.25,
            spacing_um=1.0,
        )
        out[name] = folder / f"{name}.h5"
        save_tiles(tiles, out[name])
    return out


# full marker light in "cells"/mm², so that a region's count has a spread like a cell count's
DEEPLIIF_UNIT = 1e6


def deepliif(folder: Path) -> None:
    """Same section: trained on one tile, judged on the other, beside plain deconvolution."""
    settings = GeneratorSettings(
        reads="pixels",
        mpp=0.25,
        spacing_um=1.0,
        region_um=(2.0, 8.0),
        width=16,
        depth=2,
        members=3,
        steps=400,
        patience=8,
        batch=2,
        held_out=0.5,
        shift=StainShift(strength=1.15, colour=0.03),
    )
    read = {
        n: [
            np.ascontiguousarray(p)
            for p in np.split(cv2.imread(str(folder / f"{n}.png"))[..., ::-1], 6, axis=1)
        ]
        for n in ("Bladder1", "Lung1")
    }
    for learn, judged in (("Bladder1", "Lung1"), ("Lung1", "Bladder1")):
        with tempfile.TemporaryDirectory() as work:
            files = halves(read[learn], Path(work))
            train_generator(files, settings, seed=1, work=Path(work) / "g")
            stains = [dab_stains(read[n][0]) for n in (judged, learn)]
            # DAB amounts differ between stainings: seen in the dyes of the tile learnt from
            shown = normalise(read[judged][0], *stains)
            found = load_generator(Path(work) / "g").paint_tile(shown).density[0]
        panels = read[judged]
        truth = panels[4].astype(np.float64).max(axis=-1)
        dab = dab_map(panels[0], dab_stains(panels[0]))
        for side_um in (1, 2, 4, 8, 16):
            k = side_um * 4
            a = found.reshape(128 // side_um, side_um, 128 // side_um, side_um).mean(axis=(1, 3))
            b, c = (
                np.asarray(x, np.float64).reshape(512 // k, k, 512 // k, k).mean(axis=(1, 3))
                for x in (truth, dab)
            )
            line(
                f"{learn} → {judged}, {side_um} µm: generator, deconvolution",
                f"{pearson(a.ravel(), b.ravel()):.3f}, {pearson(c.ravel(), b.ravel()):.3f}",
                "better than deconvolution",
            )
    line("two tiles, plausibility only", "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", type=Path, nargs="?")
    parser.add_argument("--deepliif", type=Path, default=None)
    parser.add_argument("--work", type=Path, default=None)
    parser.add_argument("--train", type=int, default=24)
    parser.add_argument("--error-um", type=float, default=12.0, help="true p90 of the alignment")
    parser.add_argument("--stated-um", type=float, default=40.0, help="predicted p90")
    parser.add_argument("--misalign-um", type=float, default=0.0)
    parser.add_argument("--table-um", type=float, default=0.0, help="diameter of a table's discs")
    parser.add_argument("--pitch-um", type=float, default=100.0, help="from disc to disc")
    parser.add_argument("--steps", type=int, default=GeneratorSettings().steps)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--outliers", nargs="*", default=[], help="studies of other tissue, stain")
    parser.add_argument("--speed", action="store_true", help="only the speed of a trained one")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.deepliif:
        deepliif(args.deepliif)
        return
    work = args.work or args.study / f"bench-{args.misalign_um:g}-{args.table_um:g}"
    (work / "tiles").mkdir(parents=True, exist_ok=True)
    names = sorted(
        p.name for p in (args.study / "truth").iterdir() if (p / "density-mIHC.ome.tif").is_file()
    )
    order = np.random.default_rng(args.seed).permutation(len(names))
    learn = sorted(names[int(i)] for i in order[: args.train])
    held = sorted(names[int(i)] for i in order[args.train :])
    if not args.speed:
        line("patients to learn from, held out", f"{len(learn)}, {len(held)}")
        start = time.perf_counter()
        files = {p: work / "tiles" / f"{p}.h5" for p in learn}
        for n, p in enumerate(learn):
            if not files[p].is_file():
                collect(args.study, p, n, args, files[p])
        line("seconds to collect tiles", f"{time.perf_counter() - start:.0f}")
        folder = work / "generator"
        if not (folder / "generator.json").is_file():
            start = time.perf_counter()
            train_generator(
                files,
                GeneratorSettings(steps=args.steps),
                seed=args.seed,
                work=folder,
                progress=lambda a, b, c: print(f"  {a}/{b} {c}", flush=True),
            )
            line(
                f"seconds to train on {args.threads} threads", f"{time.perf_counter() - start:.0f}"
            )
        judge(args.study, held, folder, args)
        line("story", json.loads((folder / "generator.json").read_text())["story"])
    speed(args.study, work / "generator")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    line("peak memory, GiB", f"{peak:.2f}", "6")


if __name__ == "__main__":
    main()
