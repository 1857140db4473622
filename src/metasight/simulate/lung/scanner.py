"""What a scanner makes of a thorax: blur, slices and noise of its kernel.

The picture is multiplied by the kernel's transfer function T(f) in the plane of the slice, and
noise is white noise under √f · T(f): filtered back-projection weighs noise by the ramp and the
kernel, so that its power spectrum rises with f, then falls with T² (Riederer, Pelc and Chesler,
Phys Med Biol 1978).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import fft, ndimage

from metasight.simulate.lung.raster import Grid

Image = npt.NDArray[np.float32]
KernelKind = Literal["soft", "standard", "sharp"]


@dataclass(frozen=True, kw_only=True)
class Kernel:
    """A reconstruction kernel.

    Attributes
    ----------
    sigma_mm
        Standard deviation of the Gaussian point spread.
    edge
        How much it lifts fine detail over coarse: T = (1 + edge · f²) · Gaussian, f per mm.
    noise_hu
        Standard deviation in the middle of a thorax, 1 mm slices, an exposure of 300 mAs·slice⁻¹.
    """

    sigma_mm: float
    edge: float
    noise_hu: float

    def transfer(self, frequency_per_mm: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Modulation transfer, 1 at frequency 0."""
        f2 = frequency_per_mm**2
        gauss = np.exp(-2 * np.pi**2 * self.sigma_mm**2 * f2)
        return np.asarray((1 + self.edge * f2) * gauss, dtype=np.float64)


KERNELS: dict[KernelKind, Kernel] = {
    "soft": Kernel(sigma_mm=0.79, edge=5.2, noise_hu=16.0),
    "standard": Kernel(sigma_mm=0.456, edge=1.4, noise_hu=22.0),
    "sharp": Kernel(sigma_mm=0.42, edge=6.0, noise_hu=45.0),
}
"""Soft and standard: fitted to noise spectra of Siemens B19f (LUNG1-001) and Philips D (LIDC-0314);
see docs/simulation-lung.md. Sharp was not fitted to a scan."""


@dataclass(frozen=True, kw_only=True)
class Scanner:
    """How a scan is taken.

    Attributes
    ----------
    kernel
        Kind of the reconstruction.
    slice_thickness_mm
        Full width of the box that a slice averages over.
    noise
        Factor on the kernel's noise; 0 without noise.
    """

    kernel: KernelKind
    slice_thickness_mm: float
    noise: float

    @property
    def noise_hu(self) -> float:
        """Standard deviation in the middle of the body."""
        return KERNELS[self.kernel].noise_hu * self.noise / float(np.sqrt(self.slice_thickness_mm))


@lru_cache(maxsize=8)
def _filters(
    kernel: KernelKind, shape: tuple[int, int], spacing: tuple[float, float]
) -> tuple[Image, Image]:
    """Transfer of the picture and of white noise (to unit variance), on the half plane of rfft2."""
    fy = fft.fftfreq(shape[0], spacing[0])[:, None]
    fx = fft.rfftfreq(shape[1], spacing[1])[None, :]
    f = np.sqrt(fy**2 + fx**2)
    transfer = KERNELS[kernel].transfer(f)
    noise = np.sqrt(f) * transfer
    weight = np.full(noise.shape[1], 2.0)
    weight[0] = 1.0
    if shape[1] % 2 == 0:
        weight[-1] = 1.0
    power = float((noise**2 * weight).sum()) / (shape[0] * shape[1])
    return transfer.astype(np.float32), (noise / np.sqrt(power)).astype(np.float32)


def finer(grid: Grid, scanner: Scanner) -> tuple[Grid, int]:
    """Grid on which a scan is drawn before its slices are averaged, and how much finer it is."""
    step = grid.spacing_mm[0]
    # an odd number, so that the middle sample is the slice's own place
    n = 1 if step <= 2.0 else 3
    if n == 1:
        return grid, 1
    return grid.with_spacing((step / n, grid.spacing_mm[1], grid.spacing_mm[2])), n


def scanned(hu: Image, grid: Grid, times: int, scanner: Scanner, rng: np.random.Generator) -> Image:
    """Blur, slices and noise.

    Parameters
    ----------
    hu
        CT numbers on ``finer(grid, scanner)``.
    grid
        Of the scan.
    times
        How much finer ``hu`` is in z.
    scanner
        Its settings.
    rng
        Of the noise.

    Returns
    -------
    ndarray
        float32 on ``grid``.
    """
    step = grid.spacing_mm[0]
    # box over the slice's thickness, made of whole samples and a part of the two outer ones
    width = scanner.slice_thickness_mm * times / step
    slices = _averaged(hu, width, times)
    shape = grid.shape[1:]
    fast = (fft.next_fast_len(shape[0] + 8, real=True), fft.next_fast_len(shape[1] + 8, real=True))
    transfer, ripple = _filters(scanner.kernel, fast, grid.spacing_mm[1:])
    out = np.empty(grid.shape, dtype=np.float32)
    sd = scanner.noise_hu
    before: Image | None = None
    overlap = max(0.0, 1.0 - step / scanner.slice_thickness_mm)
    keep = np.float32(np.sqrt(max(0.0, 1 - overlap**2)))
    pad = ((0, fast[0] - shape[0]), (0, fast[1] - shape[1]))
    for k in range(grid.shape[0]):
        spectrum = fft.rfft2(np.pad(slices[k], pad, mode="edge")) * transfer
        if sd > 0:
            white = rng.standard_normal(fast, dtype=np.float32)
            if before is not None and overlap > 0:
                white = keep * white + np.float32(overlap) * before
            before = white
            noise = fft.irfft2(fft.rfft2(white) * ripple, s=fast)[: shape[0], : shape[1]]
            noise *= sd * _local(slices[k])
        picture = fft.irfft2(spectrum, s=fast)[: shape[0], : shape[1]]
        out[k] = picture + noise if sd > 0 else picture
    return out


def _averaged(hu: Image, width: float, times: int) -> Image:
    if width <= 1.0 and times == 1:
        return hu
    half = int(np.ceil((width - 1) / 2))
    weights = np.ones(2 * half + 1)
    weights[0] = weights[-1] = max(width - (2 * half - 1), 0.0) / 2 if half else 1.0
    mean = ndimage.correlate1d(hu, weights / weights.sum(), axis=0, mode="nearest")
    if times == 1:
        return np.asarray(mean)
    # the slice lies in the middle of its samples
    usable = mean[: len(mean) // times * times].reshape(-1, times, *mean.shape[1:])
    return np.ascontiguousarray(usable[:, times // 2])


def _local(picture: Image) -> Image:
    """Noise over that in the middle of the body: less in lung and outside, where less is absorbed.

    A smooth map of how much tissue surrounds a point; real scans have 0.6 to 0.8 of the middle's
    noise at the edge of the body.
    """
    small = picture[::8, ::8]
    tissue = np.clip((small + 1000) / 1000, 0, 1.2)
    smooth = ndimage.gaussian_filter(tissue, 4.0, mode="nearest")
    local = 0.5 + 0.72 * smooth
    big = np.repeat(np.repeat(local, 8, axis=0), 8, axis=1)
    big = ndimage.uniform_filter(big, 8)
    return np.asarray(big[: picture.shape[0], : picture.shape[1]], dtype=np.float32)
