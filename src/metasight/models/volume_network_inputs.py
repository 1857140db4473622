"""What the network that reads crops is given: channels of each crop, and what it is to learn."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metasight.features.crops import ATTENUATIONS, LesionCrop

Floats = NDArray[np.float32]

LUNG_WINDOW_HU = (-1350.0, 150.0)
SOFT_WINDOW_HU = (-160.0, 240.0)
"""Lung and soft tissue as radiologists set them; each fills −1 to 1 of a channel."""
CHANNELS = 5
MASK_CHANNEL = 2
_LARGEST_SUV = 30.0
_UNKNOWN = -1


@dataclass(frozen=True, kw_only=True)
class Targets:
    """What the network learns of n patients.

    Attributes
    ----------
    stage
        Shape (n,): nodal stage 0, 1 or 2.
    attenuation
        Shape (n,): index in :data:`metasight.features.crops.ATTENUATIONS`, −1 unknown.
    log_diameter
        Shape (n,): natural logarithm of the longest diameter in mm.
    """

    stage: NDArray[np.int64]
    attenuation: NDArray[np.int64]
    log_diameter: NDArray[np.float64]

    @classmethod
    def of(cls, crops: Sequence[LesionCrop], stage: NDArray[np.int64]) -> Targets:
        """Auxiliary targets are measured on the lesion, never taken from the outcome."""
        known = {name: k for k, name in enumerate(ATTENUATIONS)}
        return cls(
            stage=stage,
            attenuation=np.array([known.get(c.attenuation, _UNKNOWN) for c in crops]),
            log_diameter=np.log([c.diameter_mm for c in crops]),
        )

    def take(self, rows: NDArray[np.intp]) -> Targets:
        """Some patients."""
        return Targets(
            stage=self.stage[rows],
            attenuation=self.attenuation[rows],
            log_diameter=self.log_diameter[rows],
        )


def channels(crop: LesionCrop) -> Floats:
    """Lung window, soft-tissue window, mask, uptake, and whether there is uptake.

    Returns
    -------
    Shape (5, n, n, n). Uptake is log(1 + SUV), 0 without PET.
    """
    return _channels(crop.ct_hu.astype(np.float32), crop, with_pet=crop.suv is not None)


def _channels(hu: Floats, crop: LesionCrop, *, with_pet: bool) -> Floats:
    out = np.zeros((CHANNELS, *hu.shape), dtype=np.float32)
    out[0] = windowed(hu, *LUNG_WINDOW_HU)
    out[1] = windowed(hu, *SOFT_WINDOW_HU)
    out[MASK_CHANNEL] = crop.mask
    if with_pet and crop.suv is not None:
        out[3] = np.log1p(np.minimum(crop.suv.astype(np.float32), _LARGEST_SUV))
        out[4] = 1.0
    return out


def windowed(hu: Floats, low: float, high: float) -> Floats:
    """CT numbers of a window as −1 to 1, those beyond cut off."""
    return np.asarray(np.clip((hu - low) * (2 / (high - low)) - 1, -1, 1), dtype=np.float32)


def altered(
    crop: LesionCrop, rng: np.random.Generator, *, noise_hu: float, pet_dropout: float
) -> Floats:
    """Channels of a crop turned, mirrored and with noise, perhaps without its PET.

    One of the cube's 48 symmetries: a lesion's growth knows no left, right, up or down that nodal
    stage depends on.
    """
    hu = crop.ct_hu.astype(np.float32)
    hu += rng.standard_normal(hu.shape, dtype=np.float32) * np.float32(noise_hu * rng.random())
    plain = _channels(hu, crop, with_pet=rng.random() >= pet_dropout)
    axes = tuple(int(a) + 1 for a in rng.permutation(3))
    mirrored = tuple(k + 1 for k in range(3) if rng.random() < 0.5)
    turned = np.transpose(plain, (0, *axes))
    return np.ascontiguousarray(np.flip(turned, mirrored))


def hash_of(crops: Sequence[LesionCrop], targets: Targets, fold: NDArray[np.int64]) -> str:
    """sha256 of all that a training learns from."""
    digest = hashlib.sha256()
    for crop in crops:
        for array in (crop.ct_hu, crop.mask, crop.suv):
            digest.update(b"none" if array is None else np.ascontiguousarray(array).tobytes())
    for values in (targets.stage, targets.attenuation, targets.log_diameter, fold):
        digest.update(values.tobytes())
    return digest.hexdigest()
