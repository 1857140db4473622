"""Blur, slices and noise are those that were asked for."""

from __future__ import annotations

import numpy as np
import pytest

from metasight.simulate.lung.raster import Grid
from metasight.simulate.lung.scanner import KERNELS, Scanner, finer, scanned

GRID = Grid(shape=(24, 128, 128), spacing_mm=(1.0, 0.8, 0.8), origin_mm=(0.0, 0.0, 0.0))


def noise_of(kernel: str, thickness: float = 1.0) -> np.ndarray:
    scanner = Scanner(kernel=kernel, slice_thickness_mm=thickness, noise=1.0)
    flat = np.zeros(GRID.shape, dtype=np.float32)
    return scanned(flat, GRID, 1, scanner, np.random.default_rng(1))


@pytest.mark.parametrize("kernel", ["soft", "standard", "sharp"])
def test_noise_has_the_ramp_and_the_kernel_in_its_spectrum(kernel: str) -> None:
    noise = noise_of(kernel)
    power = (np.abs(np.fft.fft2(noise)) ** 2).mean(axis=0)
    f = np.hypot(np.fft.fftfreq(128, 0.8)[:, None], np.fft.fftfreq(128, 0.8)[None, :])
    bands = [(f > a) & (f < a + 0.06) for a in (0.06, 0.2, 0.34, 0.48)]
    seen = np.array([power[b].mean() for b in bands])
    said = np.array([(f[b] * KERNELS[kernel].transfer(f[b]) ** 2).mean() for b in bands])
    assert seen / seen.sum() == pytest.approx(said / said.sum(), abs=0.03)
    assert power[0, 0] < 0.05 * power.max()  # no noise of the mean: the ramp


def test_soft_noise_peaks_where_siemens_b19f_has_its_peak() -> None:
    f = np.arange(0.02, 0.6, 0.005)
    power = f * KERNELS["soft"].transfer(f) ** 2
    assert f[power.argmax()] == pytest.approx(0.18, abs=0.03)


def test_noise_falls_with_the_root_of_the_thickness() -> None:
    thin, thick = noise_of("standard").std(), noise_of("standard", 4.0).std()
    assert thin / thick == pytest.approx(2.0, rel=0.08)


def test_slices_average_over_their_thickness() -> None:
    """A plate 2 mm thick in slices of 5 mm keeps its integral and loses its height."""
    grid = Grid(shape=(12, 16, 16), spacing_mm=(5.0, 1.0, 1.0), origin_mm=(0.0, 0.0, 0.0))
    scanner = Scanner(kernel="soft", slice_thickness_mm=5.0, noise=0.0)
    fine, times = finer(grid, scanner)
    assert times == 3
    z = fine.axes()[0]
    hu = np.zeros(fine.shape, dtype=np.float32)
    hu[np.abs(z - 25.0) < 1.0] = 300.0
    thick_mm = (np.abs(z - 25.0) < 1.0).sum() * fine.spacing_mm[0]
    seen = scanned(hu, grid, times, scanner, np.random.default_rng(0))[:, 8, 8]
    assert seen.sum() * 5.0 == pytest.approx(300 * thick_mm, rel=0.02)
    assert seen.argmax() == 5


def test_an_edge_is_as_wide_as_the_kernel_says() -> None:
    grid = Grid(shape=(1, 64, 256), spacing_mm=(1.0, 0.1, 0.1), origin_mm=(0.0, 0.0, 0.0))
    hu = np.zeros(grid.shape, dtype=np.float32)
    hu[:, :, 128:] = 1000.0
    widths = {}
    for kernel in ("soft", "standard", "sharp"):
        scanner = Scanner(kernel=kernel, slice_thickness_mm=1.0, noise=0.0)
        edge = scanned(hu, grid, 1, scanner, np.random.default_rng(0))[0, 32]
        inner = edge[64:192]
        widths[kernel] = ((inner > 100) & (inner < 900)).sum() * 0.1
        assert inner[0] == pytest.approx(0, abs=3)
        assert inner[-1] == pytest.approx(1000, abs=3)
    assert widths["soft"] > widths["standard"] > widths["sharp"]
    assert 0.8 < widths["standard"] < 1.6
