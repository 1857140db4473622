"""Density class and CTR: readers' outlines of real nodules, and part-solid phantoms by slice.

    python bench/lesions.py --density [--phantoms 22] [--first 0]

Real: 71 nodules of LIDC-IDRI with one reader's outline and rating of texture (CC BY 3.0): 5 is
solid, 1 is pure ground glass. Simulated: free part-solid lesions of 10 to 32 mm, CTR 0.35 to 0.85,
at 1, 2 and 3 mm slices, with the true outline and from one click. A click that found the core alone
(less than half of the volume, more like the solid part than the lesion) is unflagged where neither
the class is undecided, nor the CTR's range holds the truth, nor the outlines lie 5 mm apart. Ends
with 1 where a goal is missed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from lesions_cubes import counted, cubes

from metasight.errors import VolumeError
from metasight.lesions.disagreement import disagreement_of
from metasight.lesions.solidity import Solidity, solidity_of
from metasight.segmentation.agreement import dice
from metasight.segmentation.lesion import lesion_from_click
from metasight.segmentation.lesion_network import LesionNetwork
from metasight.segmentation.lung import Lungs
from metasight.simulate.lung.phantom import SimulatedScan, draw_phantom
from metasight.simulate.lung.settings import NoduleSettings, ScanSettings, ThoraxSettings
from metasight.volumes.volume import Mask, Volume

SLICES_MM = (1.0, 2.0, 3.0)
LARGEST_ERROR = {1.0: 0.05, 2.0: 0.05, 3.0: 0.10}
"""Mean absolute error of CTR that is allowed, by slices."""
LEAST_SOLID, LEAST_PURE = 0.80, 0.85
APART_MM = 5.0
_VESSEL_ENDS = 4_000

Row = dict[str, Any]


# ------------------------------------------------------------------ readers' outlines


def readers() -> list[Row]:
    """Class of every real nodule in its reader's outline, with the reader's rating."""
    rows = []
    for cube in cubes():
        volume = Volume.from_array(cube["hu"], unit="HU", spacing_mm=(1.0, 1.0, 1.0))
        found = solidity_of(volume, Mask.from_array(cube["mask"], on=volume))
        rows.append({"texture": cube["texture"], "class": found.attenuation})
    return rows


def report_readers(rows: list[Row]) -> list[str]:
    """Print classes by rating; the goals that are missed."""
    for texture in sorted({r["texture"] for r in rows}):
        own = [r["class"] for r in rows if r["texture"] == texture]
        told = ", ".join(f"{c} {own.count(c)}" for c in sorted(set(own)))
        print(f"  texture {texture:.0f}: {told}")
    missed = []
    for texture, classes, least in (
        (5.0, {"solid"}, LEAST_SOLID),
        (1.0, {"pure ground glass", "undecided"}, LEAST_PURE),
    ):
        right = np.array([r["class"] in classes for r in rows if r["texture"] == texture])
        said = f"texture {texture:.0f} {' or '.join(sorted(classes))}: {counted(right)}"
        print(f"  {said}; goal {least:.0%}")
        if right.mean() < least:
            missed.append(said)
    return missed


# ------------------------------------------------------------------ phantoms


def phantom(number: int, slices_mm: float) -> SimulatedScan | None:
    """A free part-solid lesion in lung with vessels; None where it fits nowhere."""
    rng = np.random.default_rng([15, 8, number, int(slices_mm)])
    diameter = float(rng.uniform(10, 32))
    settings = ThoraxSettings(
        vessel_ends=_VESSEL_ENDS,
        nodule=NoduleSettings(
            diameter_mm=diameter,
            solid_diameter_mm=diameter * float(rng.uniform(0.35, 0.85)),
            margin=str(rng.choice(["smooth", "lobulated", "spiculated"])),
            vessel=bool(rng.random() < 0.5),
            ground_glass_hu=float(rng.uniform(-680, -520)),
        ),
        scan=ScanSettings(
            kernel=str(rng.choice(["soft", "standard", "sharp"])),
            pixel_mm=float(rng.uniform(0.6, 0.9)),
            interval_mm=slices_mm,
            thickness_mm=slices_mm,
        ),
    )
    try:
        return draw_phantom(settings, number, crop_mm=diameter + 50)
    except VolumeError:
        return None


def judged_density(
    scan: SimulatedScan,
    volume: Volume,
    lungs: Lungs,
    slices_mm: float,
    network: LesionNetwork | None,
) -> list[Row]:
    """One phantom with its true outline and from a click in its middle."""
    told = scan.lesion
    assert told is not None
    sizes = [max(of.axial_mm, of.coronal_mm, of.sagittal_mm) for of in (told.solid, told.whole)]
    true = sizes[0] / sizes[1]
    base = {"slices": slices_mm, "true": true}
    found = solidity_of(volume, Mask.from_array(scan.lesion_mask, on=volume))
    rows = [base | _told(found, true) | {"how": "outline", "core": False, "apart": 0.0}]
    try:
        click = lesion_from_click(volume, lungs, told.centre_mm, network=network)
    except VolumeError:
        return [*rows, base | {"how": "click", "class": "not found"}]
    apart = disagreement_of(click.outlines)
    mask = click.mask.array
    half = 2 * mask.sum() < scan.lesion_mask.sum()
    core = bool(half and dice(mask, scan.solid_mask) > dice(mask, scan.lesion_mask))
    clicked = _told(apart.on(solidity_of(volume, click.mask)), true)
    extra = {"how": "click", "core": core, "apart": apart.size_apart_mm}
    return [*rows, base | clicked | extra | {"dice": dice(mask, scan.lesion_mask)}]


def _told(found: Solidity, true: float) -> Row:
    return {
        "class": found.attenuation,
        "error": found.main.ctr - true,
        "held": found.ctr_lower - 1e-9 <= true <= found.ctr_upper + 1e-9,
    }


def report_density(rows: list[Row]) -> list[str]:
    """Print errors by slices; the goals that are missed."""
    missed = []
    for how in ("outline", "click"):
        for slices in SLICES_MM:
            every = [r for r in rows if r["how"] == how and r["slices"] == slices]
            own = [r for r in every if "error" in r]
            if not own:
                continue
            error = np.abs([r["error"] for r in own])
            said = [r["class"] for r in own]
            flagged = _flagged(own)
            core = np.array([r["core"] for r in own])
            print(
                f"  {how:7s} {slices:.0f} mm, {len(own)} of {len(every)}: CTR mean |error| "
                f"{error.mean():.3f}, p90 {np.quantile(error, 0.9):.3f}; range holds the truth in "
                f"{counted(np.array([r['held'] for r in own]))}; "
                + ", ".join(f"{c} {said.count(c)}" for c in sorted(set(said)))
                + f"; core alone {int(core.sum())}, unflagged {int((core & ~flagged).sum())}"
            )
            if (core & ~flagged).any():
                missed.append(f"{how}, {slices:.0f} mm: the core alone, unflagged")
            if error.mean() > LARGEST_ERROR[slices]:
                missed.append(f"{how}, {slices:.0f} mm: CTR off by {error.mean():.3f} on average")
    return missed


def _flagged(rows: list[Row]) -> npt.NDArray[np.bool_]:
    return np.array([r["class"] == "undecided" or r["held"] or r["apart"] > APART_MM for r in rows])
