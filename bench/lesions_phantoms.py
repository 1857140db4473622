"""Simulated lesions of every size, solid share, margin, kernel and slice, for the benches."""

from __future__ import annotations

import numpy as np

from metasight.segmentation.lung import Lungs
from metasight.simulate.lung.phantom import SimulatedScan
from metasight.simulate.lung.settings import NoduleSettings, ScanSettings, ThoraxSettings
from metasight.volumes.volume import Mask, Volume

KERNELS = ("soft", "standard", "sharp")
MARGINS = ("smooth", "lobulated", "spiculated")


def settings_of(number: int) -> ThoraxSettings:
    """All sizes, solid shares, margins, kernels, thicknesses and places in turn."""
    rng = np.random.default_rng([7, number])
    diameter = float(rng.uniform(6, 45))
    kind = number % 4  # pure ground glass, part-solid twice, solid
    share = 0.0 if kind == 0 else 1.0 if kind == 3 else float(rng.uniform(0.25, 0.85))
    thickness = float(rng.choice([1.0, 1.25, 2.0, 3.0]))
    return ThoraxSettings(
        nodule=NoduleSettings(
            diameter_mm=diameter,
            solid_diameter_mm=share * diameter,
            margin=str(rng.choice(MARGINS)),
            pleura=str(rng.choice(["free", "tag"])),
            vessel=bool(rng.random() < 0.5),
            ground_glass_hu=float(rng.uniform(-680, -520)),
        ),
        scan=ScanSettings(
            kernel=str(rng.choice(KERNELS)),
            pixel_mm=float(rng.uniform(0.6, 0.9)),
            interval_mm=thickness,
            thickness_mm=thickness,
        ),
    )


def volume_of(scan: SimulatedScan) -> Volume:
    """As a reader would give it."""
    z, y, x = scan.spacing_mm
    return Volume.from_array(scan.ct_hu, unit="HU", spacing_mm=(x, y, z), origin_mm=scan.origin_mm)


def lungs_of(scan: SimulatedScan, volume: Volume) -> Lungs:
    """The true lungs: in a crop there is nothing to find them by."""
    air = Mask.from_array(scan.lungs & (scan.ct_hu < -400), on=volume)
    whole = Mask.from_array(scan.lungs, on=volume)
    return Lungs(right=air, left=air, right_whole=whole, left_whole=whole, airways=None)
