"""Hospitals and their scanners."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from metasight.simulate.lung.dicom import Machine
from metasight.simulate.lung.scanner import KernelKind
from metasight.simulate.lung.settings import LungSettings, ScanSettings

_NAMES = ("North", "South", "East", "West")
_MACHINES: tuple[tuple[Machine, KernelKind, float, float], ...] = (
    (
        Machine(manufacturer="SIEMENS", model="SOMATOM simulated", kernel="B30f", kvp=120, mas=110),
        "soft",
        1.5,
        1.3,
    ),
    (
        Machine(manufacturer="Philips", model="Brilliance simulated", kernel="D", kvp=120, mas=150),
        "standard",
        1.25,
        1.0,
    ),
    (
        Machine(
            manufacturer="GE MEDICAL SYSTEMS",
            model="LightSpeed simulated",
            kernel="STANDARD",
            kvp=120,
            mas=200,
        ),
        "standard",
        2.0,
        0.85,
    ),
    (
        Machine(manufacturer="SIEMENS", model="SOMATOM simulated", kernel="B60f", kvp=120, mas=140),
        "sharp",
        1.5,
        0.8,
    ),
)


@dataclass(frozen=True, kw_only=True)
class Centre:
    """A hospital with its scanner.

    Attributes
    ----------
    name
        As tables have it.
    machine
        What headers say.
    kernel, interval_mm, noise
        How it scans; slices are as thick as they are apart.
    contrast_share
        Of its patients who get contrast medium.
    """

    name: str
    machine: Machine
    kernel: KernelKind
    interval_mm: float
    noise: float
    contrast_share: float

    def scan(self, settings: LungSettings, *, contrast: bool) -> ScanSettings:
        """Its protocol."""
        return ScanSettings(
            pixel_mm=settings.pixel_mm,
            interval_mm=self.interval_mm,
            thickness_mm=self.interval_mm,
            kernel=self.kernel,
            noise=self.noise,
            contrast=contrast,
        )


def centre_of(settings: LungSettings, seed: int, number: int) -> Centre:
    """A hospital of the cohort; without `centre_shift` all are like the second."""
    name = _NAMES[number % 4] + ("" if number < 4 else f" {number // 4 + 1}")
    k = number % 4 if settings.centre_shift > 0 else 1
    machine, kernel, interval, noise = _MACHINES[k]
    rng = np.random.default_rng([seed, 3, number])
    spread = 0.12 * settings.centre_shift
    return Centre(
        name=name,
        machine=machine,
        kernel=kernel,
        interval_mm=interval,
        noise=noise * float(np.exp(spread * rng.standard_normal())),
        contrast_share=(0.1, 0.3, 0.5, 0.2)[k],
    )
