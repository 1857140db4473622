"""The lung simulator beside real scans: CT numbers, noise, vessels, and time.

    python bench/simulation_lung.py                 figures of docs/simulation-lung.md
    python bench/simulation_lung.py --picture F     simulated beside LIDC-IDRI-0314, as PNG

Needs ``../shared/data/volumes``. Only numbers of LUNG1-001 (CC BY-NC) go into the project; slices
of LIDC-IDRI-0314 (CC BY 3.0) go into the picture.
"""

from __future__ import annotations

import argparse
import tarfile
import tempfile
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
from scipy import ndimage

from metasight.simulate.lung.phantom import draw_phantom
from metasight.simulate.lung.settings import NoduleSettings, ScanSettings, ThoraxSettings
from metasight.simulate.lung.table import simulate_nodal_table
from metasight.volumes.dicom import read_series

VOLUMES = Path(__file__).resolve().parents[1].parent / "shared" / "data" / "volumes"
SIDE = 32  # pixels of a square of even tissue


@dataclass(frozen=True)
class Scan:
    name: str
    hu: np.ndarray
    spacing: tuple[float, float, float]


def real(name: str) -> Scan:
    with tempfile.TemporaryDirectory() as folder:
        if name == "LIDC-IDRI-0314":
            with zipfile.ZipFile(next((VOLUMES / "lidc-0314").glob("*.zip"))) as archive:
                archive.extractall(folder)
        else:
            with tarfile.open(next((VOLUMES / "lung1-001").glob("*.tar.xz"))) as archive:
                archive.extractall(folder, filter="data")
        volume = read_series(Path(folder))
    return Scan(name, np.asarray(volume.array, dtype=np.float32), volume.grid.spacing_mm[::-1])


def simulated(name: str, seed: int, scan: ScanSettings, *, female: bool) -> Scan:
    nodule = NoduleSettings(diameter_mm=20, solid_diameter_mm=20, margin="lobulated", vessel=True)
    drawn = draw_phantom(ThoraxSettings(scan=scan, nodule=nodule, female=female), seed)
    return Scan(name, drawn.ct_hu.astype(np.float32), scan_spacing(scan))


def scan_spacing(scan: ScanSettings) -> tuple[float, float, float]:
    return scan.interval_mm, scan.pixel_mm, scan.pixel_mm


def lungs_of(scan: Scan) -> np.ndarray:
    """Dark parts inside the body, by one rule for real and simulated scans."""
    body = ndimage.binary_opening(scan.hu > -400, iterations=2)
    parts, _ = ndimage.label(body)
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    body = parts == sizes.argmax()
    for k in range(len(body)):
        body[k] = ndimage.binary_fill_holes(body[k])
    lung = ndimage.binary_opening(body & (scan.hu < -500))
    parts, _ = ndimage.label(lung)
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    lung = np.isin(parts, np.flatnonzero(sizes > 0.2 * sizes.max()))
    return ndimage.binary_closing(lung, iterations=4) & body


def even_squares(scan: Scan) -> np.ndarray:
    """Squares of even soft tissue, detrended: what is left is noise."""
    out = []
    y, x = np.mgrid[:SIDE, :SIDE]
    plane = np.stack([np.ones(SIDE * SIDE), x.ravel(), y.ravel()], axis=1)
    for picture in scan.hu:
        for i in range(0, picture.shape[0] - SIDE, SIDE // 2):
            for j in range(0, picture.shape[1] - SIDE, SIDE // 2):
                square = picture[i : i + SIDE, j : j + SIDE]
                if 20 < square.mean() < 75 and square.std() < 27:
                    flat = square.ravel()
                    fit = plane @ np.linalg.lstsq(plane, flat, rcond=None)[0]
                    out.append((flat - fit).reshape(SIDE, SIDE))
    return np.array(out)


def spectrum(squares: np.ndarray, pixel_mm: float) -> tuple[np.ndarray, np.ndarray]:
    """Radial noise power, area 1 over 0.1 to 0.5 per mm."""
    window = np.hanning(SIDE)[:, None] * np.hanning(SIDE)
    power = (np.abs(np.fft.fft2(squares * window)) ** 2).mean(axis=0)
    f = np.fft.fftfreq(SIDE, pixel_mm)
    radius = np.hypot(f[:, None], f[None, :]).ravel()
    edges = np.arange(0.1, 0.5, 0.05)
    found = np.array([power.ravel()[(radius >= e) & (radius < e + 0.05)].mean() for e in edges])
    return edges + 0.025, found / found.sum()


def figures(scan: Scan) -> None:
    lung = lungs_of(scan)
    deep = ndimage.binary_erosion(lung, iterations=4)
    p = np.percentile(scan.hu[lung], (5, 25, 50, 75, 95))
    print(f"{scan.name}")
    print(
        f"  lung {lung.sum() * np.prod(scan.spacing) / 1000:.0f} ml, HU 5/25/50/75/95 %:",
        " ".join(f"{v:.0f}" for v in p),
    )
    print(
        f"  vessels in deep lung: > −500 HU {100 * (scan.hu[deep] > -500).mean():.1f} %, "
        f"> −200 HU {100 * (scan.hu[deep] > -200).mean():.1f} %"
    )
    even = ndimage.binary_erosion(deep & (scan.hu < -700), iterations=1)
    mean = ndimage.uniform_filter(scan.hu, (1, 7, 7))
    sd = np.sqrt(np.maximum(ndimage.uniform_filter(scan.hu**2, (1, 7, 7)) - mean**2, 0))[even]
    print(
        "  deviation in 7 × 7 pixels of lung, 5/10/50 %:",
        " ".join(f"{v:.0f}" for v in np.percentile(sd, (5, 10, 50))),
    )
    squares = even_squares(scan)
    if len(squares) < 5:
        print("  too little even soft tissue for noise")
        return
    f, power = spectrum(squares, scan.spacing[1])
    print(
        f"  noise in {len(squares)} squares of soft tissue: {squares.std():.1f} HU; power at",
        " ".join(f"{a:.2f}: {b:.2f}" for a, b in zip(f, power, strict=True)),
        "per mm",
    )


NODULES = (
    NoduleSettings(diameter_mm=18, solid_diameter_mm=18),
    NoduleSettings(diameter_mm=24, solid_diameter_mm=24, margin="spiculated", pleura="tag"),
    NoduleSettings(diameter_mm=22, solid_diameter_mm=12, margin="lobulated", vessel=True),
    NoduleSettings(diameter_mm=16, solid_diameter_mm=0),
)


def picture(path: Path) -> None:
    mpl.use("Agg")
    import matplotlib.pyplot as plt

    lidc = real("LIDC-IDRI-0314")
    scan = ScanSettings(
        pixel_mm=0.78, interval_mm=1.0, thickness_mm=1.0, width_mm=350, depth_mm=262
    )
    one, two = (simulated("simulated", seed, scan, female=seed == 5) for seed in (5, 8))
    fig, axes = plt.subplots(4, 4, figsize=(11, 9.2), dpi=62)
    for k, z in enumerate((10, 22, 33, 22)):
        show(axes[0, k], lidc.hu[z, 100:433, 55:503], soft=k == 3)
    for k, t in enumerate((0.42, 0.52, 0.60, 0.52)):
        show(axes[1, k], one.hu[int(t * len(one.hu))], soft=k == 3)
    show(axes[2, 0], two.hu[::-1, 150], soft=False, aspect=1 / 0.78)
    show(axes[2, 1], two.hu[::-1, :, 120], soft=False, aspect=1 / 0.78)
    show(axes[2, 2], two.hu[::-1, 150], soft=True, aspect=1 / 0.78)
    show(axes[2, 3], two.hu[int(0.5 * len(two.hu))], soft=True)
    for k, nodule in enumerate(NODULES):
        crop = draw_phantom(ThoraxSettings(scan=scan, nodule=nodule), 11 + k, crop_mm=70)
        middle = np.argwhere(crop.lesion_mask)[:, 0].mean()
        show(axes[3, k], crop.ct_hu[int(middle)], soft=False)
    titles = (
        "real: LIDC-IDRI-0314 (CC BY 3.0)",
        "simulated",
        "simulated, another patient",
        "simulated lesions: solid, spiculated with a tag, part-solid, ground glass",
    )
    for row, title in enumerate(titles):
        axes[row, 0].set_title(title, fontsize=9, loc="left")
    fig.tight_layout(pad=0.3)
    fig.savefig(path)
    plt.close(fig)


def show(axis: object, image: np.ndarray, *, soft: bool, aspect: float = 1.0) -> None:
    low, high = (-160, 240) if soft else (-1350, 150)
    axis.imshow(image, cmap="gray", vmin=low, vmax=high, aspect=aspect)  # type: ignore[attr-defined]
    axis.axis("off")  # type: ignore[attr-defined]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--picture", type=Path)
    chosen = parser.parse_args()
    if chosen.picture is not None:
        picture(chosen.picture)
        return
    for name in ("LUNG1-001", "LIDC-IDRI-0314"):
        figures(real(name))
    soft = ScanSettings(pixel_mm=0.977, interval_mm=3, thickness_mm=3, kernel="soft", noise=2.5)
    figures(simulated("simulated as LUNG1-001 (soft, 3 mm, low dose)", 1, soft, female=False))
    thin = ScanSettings(pixel_mm=0.78, interval_mm=1, thickness_mm=1)
    for seed in (5, 8):
        figures(
            simulated(
                f"simulated as LIDC-0314 (standard, 1 mm), {seed}", seed, thin, female=seed == 5
            )
        )
    started = time.perf_counter()
    draw_phantom(ThoraxSettings(), 1)
    print(f"a scan of 0.8 × 0.8 × 1.5 mm with its truth: {time.perf_counter() - started:.1f} s")
    started = time.perf_counter()
    for seed in range(20):
        draw_phantom(ThoraxSettings(), seed, crop_mm=60)
    print(f"a crop of 60 mm with its truth: {(time.perf_counter() - started) / 20:.2f} s")
    from metasight.simulate.lung.settings import LungSettings

    started = time.perf_counter()
    for seed in range(20):
        simulate_nodal_table(LungSettings(patients=400), seed)
    print(f"400 patients without pixels: {(time.perf_counter() - started) / 20:.3f} s")


if __name__ == "__main__":
    main()
