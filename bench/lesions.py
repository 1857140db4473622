"""Measured lesions beside the truth of phantoms: every size, attenuation, margin and kernel.

    python bench/lesions.py [--phantoms 240] [--first 0] [--full 12] [--rules]
    python bench/lesions.py --cubes [--axis] [--networks FOLDER]
    python bench/lesions.py --density [--rules]

Crops of simulated thoraces with the drawn shape's own diameters as truth (simulated, docs/
simulation-lung.md). Measured twice: with the true mask given, and from one click in the middle
(the lungs given). ``--full`` draws whole thoraces and finds the lungs too, for place and time.
``--cubes`` clicks in 71 real nodules instead (``bench/lesions_cubes.py``), by the network of the
fold that left the patient out (``--networks``: what ``bench/lesion_network.py`` wrote), or by the
rules alone; ``--axis`` gives both ends of the reader's longest diameter instead of a click.
``--density`` judges solid, part-solid and pure (``bench/lesions_density.py``). ``--rules`` leaves
the shipped network out; no phantom of these benches was in its training. What is flagged is judged
by ``bench/lesion_network_judged.py``.
"""

from __future__ import annotations

import argparse
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from lesions_cubes import CLICKS, counted, cubes, ends_of, judged, network_of, report_clicks
from lesions_density import (
    SLICES_MM,
    judged_density,
    phantom,
    readers,
    report_density,
    report_readers,
)
from lesions_phantoms import lungs_of, settings_of, volume_of

from metasight.errors import VolumeError
from metasight.lesions.disagreement import Disagreement, disagreement_of
from metasight.lesions.place import DEFINITIONS, place_of
from metasight.lesions.solidity import solidity_of
from metasight.segmentation.lesion import lesion_from_axis, lesion_from_click
from metasight.segmentation.lesion_network import LesionNetwork, shipped_lesion_network
from metasight.segmentation.lung import Lungs, find_lungs
from metasight.simulate.lung.phantom import draw_phantom
from metasight.simulate.lung.settings import NoduleSettings, ScanSettings, ThoraxSettings
from metasight.volumes.volume import Mask, Volume


def judge(number: int, *, rules: bool = False) -> dict[str, Any]:
    """One phantom, measured with its mask and from a click."""
    network = None if rules else shipped_lesion_network()
    settings = settings_of(number)
    try:
        scan = draw_phantom(settings, number, crop_mm=settings.nodule.diameter_mm + 50)
    except VolumeError:
        return {"number": number, "undrawn": True}
    told = scan.lesion
    volume = volume_of(scan)
    whole = max(told.whole.axial_mm, told.whole.coronal_mm, told.whole.sagittal_mm)
    solid = max(told.solid.axial_mm, told.solid.coronal_mm, told.solid.sagittal_mm)
    truth = {
        "size": whole,
        "solid": solid,
        "ctr": solid / whole,
        "ctr_volume": told.ctr_3d,
        "volume": told.whole.volume_mm3,
    }
    row: dict[str, Any] = {
        "number": number,
        "kind": told.attenuation,
        "margin": told.margin,
        "truth": truth,
        "kernel": settings.scan.kernel,
        "voxel": max(scan.spacing_mm),
        "true_mm": whole,
    }
    given = Mask.from_array(scan.lesion_mask, on=volume)
    row["mask"] = _measured(volume, given)
    try:
        lungs = lungs_of(scan, volume)
        found = lesion_from_click(volume, lungs, told.centre_mm, network=network)
        a, b = found.mask.array, scan.lesion_mask
        row["click"] = _measured(volume, found.mask)
        row["dice"] = float(2 * (a & b).sum() / (a.sum() + b.sum()))
        row["share"] = float(a.sum() / b.sum())
    except VolumeError as error:
        row["click"], row["dice"], row["why"] = None, 0.0, str(error)
        row["share"] = 0.0
    return row


def _measured(volume: Volume, mask: Mask) -> dict[str, Any]:
    found = solidity_of(volume, mask)
    return {
        "size": found.whole.longest_mm,
        "solid": found.main.longest_mm,
        "ctr": found.main.ctr,
        "ctr_volume": found.main.ctr_volume,
        "volume": found.whole.volume_mm3,
        "pure": found.pure_ground_glass,
        "class": found.attenuation,
        "ctrs": [p.ctr for p in found.parts],
    }


def report(rows: list[dict[str, Any]], how: str) -> None:
    """Errors of one way of measuring."""
    there = [r for r in rows if r[how] is not None]
    print(f"{how}: {len(there)} of {len(rows)} measured")
    for kind in ("ground-glass", "part-solid", "solid"):
        own = [r for r in there if r["kind"] == kind]
        size = np.array([r[how]["size"] - r["truth"]["size"] for r in own])
        voxel = np.array([r["voxel"] for r in own])
        ctr = np.array([r[how]["ctr"] - r["truth"]["ctr"] for r in own])
        by_volume = np.array([r[how]["ctr_volume"] - r["truth"]["ctr_volume"] for r in own])
        print(
            f"  {kind:12s} n {len(own):3d}  size: median {np.median(size):+.2f} mm, p90 |error| "
            f"{np.quantile(np.abs(size), 0.9):.2f} mm, within a voxel "
            f"{counted(np.abs(size) <= voxel)}; CTR: mean |error| {np.abs(ctr).mean():.3f}, "
            f"bias {ctr.mean():+.3f}, p90 {np.quantile(np.abs(ctr), 0.9):.3f}, within 0.03 "
            f"{counted(np.abs(ctr) <= 0.03)}; by volume {np.abs(by_volume).mean():.3f}"
        )
    for low, high in ((0.0, 4.0), (4.0, np.inf)):
        own = [r for r in there if r["kind"] == "part-solid" and low < r["truth"]["solid"] <= high]
        ctr = np.array([r[how]["ctr"] - r["truth"]["ctr"] for r in own])
        print(
            f"  part-solid, solid part {low:g} to {high:g} mm: CTR mean |error| "
            f"{np.abs(ctr).mean() if own else np.nan:.3f}, within 0.03 "
            f"{counted(np.abs(ctr) <= 0.03)}"
        )
    pure = [r for r in there if r["kind"] == "ground-glass" or r["truth"]["solid"] > 4]
    decided = [r for r in pure if r[how]["pure"] in {"yes", "no"}]
    right = [(r[how]["pure"] == "yes") == (r["kind"] == "ground-glass") for r in decided]
    print(
        f"  pure ground glass right: {counted(np.array(right))} decided of {len(pure)} (no solid "
        "part, or one above 4 mm)"
    )


LOBES = ("", "right upper", "right middle", "right lower", "left upper", "left lower")
FISSURE_MM = 40.0
"""A fissure is looked for within it."""
AWAY_MM, AWAY_RATIO = 5.0, 0.05
"""From a definition's limit: nearer than this no answer is held against it."""


def place(number: int) -> dict[str, Any] | None:
    """One whole phantom: lungs found, the lesion's place beside the truth, seconds."""
    rng = np.random.default_rng([11, number])
    diameter, share = float(rng.uniform(10, 32)), float(rng.choice([0.0, 0.5, 1.0]))
    settings = ThoraxSettings(
        female=bool(number % 2),
        nodule=NoduleSettings(
            diameter_mm=diameter,
            solid_diameter_mm=diameter * share,
            central=(True, False, None)[number % 3],
            lobe=None if number % 3 == 0 else 1 + number % 5,
        ),
        scan=ScanSettings(interval_mm=float(rng.choice([1.0, 1.5])), thickness_mm=1.5),
    )
    try:
        scan = draw_phantom(settings, number)
    except VolumeError:
        return None
    volume, told = volume_of(scan), scan.lesion.place
    start = time.perf_counter()
    lungs = find_lungs(volume)
    after_lungs = time.perf_counter()
    lesion_from_click(volume, lungs, scan.lesion.centre_mm, network=shipped_lesion_network())
    after_click = time.perf_counter()
    found = place_of(volume, Mask.from_array(scan.lesion_mask, on=volume), lungs)
    answers = {}
    for definition in DEFINITIONS:
        _, limit = found.value_and_limit(definition)
        if definition == "bronchi_2cm":
            truth, away = told.bronchi_gap_mm, AWAY_MM
        else:
            ray, point = definition.split("_")[:2]
            truth = getattr(told, f"{ray}_ratio" + ("_medial" if point == "edge" else ""))
            away = AWAY_RATIO
        if abs(truth - limit) >= away:
            answers[definition] = found.central(definition) is bool(truth <= limit)
    return {
        "answers": answers,
        "lobe": found.lobe.lobe == LOBES[told.lobe],
        "unsure": found.lobe.unsure,
        "pleura": found.pleura_gap_mm - told.pleura_gap_mm,
        "fissure": found.lobe.fissure_gap_mm - told.fissure_gap_mm,
        "fissure_near": told.fissure_gap_mm <= FISSURE_MM,
        "bronchi": found.bronchi_gap_mm - told.bronchi_gap_mm,
        "lungs_s": after_lungs - start,
        "click_s": after_click - after_lungs,
        "place_s": time.perf_counter() - after_click,
    }


def report_places(rows: list[dict[str, Any]]) -> None:
    """Centrality by every definition away from its limit, lobes, gaps, seconds."""
    for definition in DEFINITIONS:
        own = [r["answers"][definition] for r in rows if definition in r["answers"]]
        print(f"  {definition:28s} right {counted(np.array(own))}")
    print(
        f"  lobe right {counted(np.array([r['lobe'] for r in rows]))}, "
        f"unsure {sum(r['unsure'] for r in rows)}"
    )
    for name in ("pleura", "fissure", "bronchi"):
        error = np.array([r[name] for r in rows])
        p90 = np.nanquantile(np.abs(error), 0.9)
        print(
            f"  gap to {name}: median {np.nanmedian(error):+.1f} mm, p90 |error| {p90:.1f} mm, "
            f"not found {np.isnan(error).sum()}"
        )
    near = [r for r in rows if r["fissure_near"]]
    found = np.array([not np.isnan(r["fissure"]) for r in near])
    print(f"  fissure within {FISSURE_MM:g} mm found {counted(found)} (bar 90 %)")
    for name in ("lungs_s", "click_s", "place_s"):
        print(f"  {name}: median {np.median([r[name] for r in rows]):.1f}")


def clicked(
    volume: Volume,
    lungs: Lungs,
    point: tuple[float, float, float],
    *,
    network: LesionNetwork | None,
) -> tuple[Mask, Disagreement]:
    """A click's mask, and how far other outlines lie from it."""
    found = lesion_from_click(volume, lungs, point, network=network)
    return found.mask, disagreement_of(found.outlines)


def ended(
    volume: Volume, lungs: Lungs, _: object, *, mask: np.ndarray, network: LesionNetwork | None
) -> tuple[Mask, Disagreement]:
    """The same from both ends of the reader's longest diameter."""
    one, other = ends_of(mask)
    found = lesion_from_axis(volume, lungs, one, other, network=network)
    return found.mask, disagreement_of(found.outlines)


def real(networks: Path | None, n: int, *, axis: bool) -> None:
    """Clicks, or both ends, in the real nodules."""
    rows = []
    for k, cube in enumerate(cubes()):
        network = network_of(cube, networks)
        if axis:
            rows += judged(k, cube, partial(ended, mask=cube["mask"], network=network), 1)
        else:
            rows += judged(k, cube, partial(clicked, network=network), n)
    report_clicks(rows)


def dense(case: tuple[int, float], *, rules: bool) -> list[dict[str, Any]]:
    """One part-solid phantom, judged by its density; empty where it fits nowhere."""
    scan = phantom(*case)
    if scan is None:
        return []
    volume = volume_of(scan)
    network = None if rules else shipped_lesion_network()
    return judged_density(scan, volume, lungs_of(scan, volume), case[1], network)


def density(first: int, n: int, jobs: int, *, rules: bool) -> list[str]:
    """Readers' outlines and phantoms by slices; what is missed."""
    missed = report_readers(readers())
    cases = [(k, s) for s in SLICES_MM for k in range(first, first + n)]
    with ProcessPoolExecutor(jobs) as pool:
        rows = [r for own in pool.map(partial(dense, rules=rules), cases) for r in own]
    return missed + report_density(rows)


def main() -> int:
    """Run and print; 1 where a goal of density is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--phantoms", type=int, help="default 240; 22 a slice of --density")
    parser.add_argument("--first", type=int, default=0, help="number of the first phantom")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--full", type=int, default=0)
    parser.add_argument("--cubes", action="store_true", help="click in real nodules")
    parser.add_argument("--clicks", type=int, default=CLICKS, help="in each of them")
    parser.add_argument("--axis", action="store_true", help="with --cubes: both ends")
    parser.add_argument("--networks", type=Path, help="with --cubes: folder of the folds' networks")
    parser.add_argument("--rules", action="store_true", help="without the network")
    parser.add_argument("--density", action="store_true", help="solid, part-solid, pure")
    asked = parser.parse_args()
    if asked.density:
        missed = density(asked.first, asked.phantoms or 22, asked.jobs, rules=asked.rules)
        print("\n".join(f"MISSED: {line}" for line in missed) or "every goal is met")
        return int(bool(missed))
    if asked.cubes:
        real(asked.networks, asked.clicks, axis=asked.axis)
        return 0
    if asked.full:
        with ProcessPoolExecutor(asked.jobs) as pool:
            whole = pool.map(place, range(asked.first, asked.first + asked.full))
            report_places([r for r in whole if r is not None])
        return 0
    numbers = range(asked.first, asked.first + (asked.phantoms or 240))
    start = time.perf_counter()
    with ProcessPoolExecutor(asked.jobs) as pool:
        rows = list(pool.map(partial(judge, rules=asked.rules), numbers, chunksize=4))
    undrawn = sum("undrawn" in r for r in rows)
    rows = [r for r in rows if "undrawn" not in r]
    print(f"{len(rows)} phantoms ({undrawn} fit nowhere), {time.perf_counter() - start:.0f} s")
    report(rows, "mask")
    report(rows, "click")
    dice = np.array([r["dice"] for r in rows])
    print(
        f"  Dice from a click: median {np.median(dice):.3f}, p10 {np.quantile(dice, 0.1):.3f}, "
        f"below 0.7: {(dice < 0.7).mean():.1%}"
    )
    share = np.array([r["share"] for r in rows])
    print(f"  volume from a click outside ½–2 ×: {((share < 0.5) | (share > 2)).mean():.1%}")
    worst = sorted(rows, key=lambda r: r["dice"])[:8]
    for r in worst:
        print(
            "   ", r["number"], r["kind"], r["margin"], f"{r['true_mm']:.0f} mm", f"{r['dice']:.2f}"
        )
    print("bars: size ≤ 1 voxel, CTR ≤ 0.03, pure ground glass 100 % away from the boundary")
    return 0


if __name__ == "__main__":
    sys.exit(main())
