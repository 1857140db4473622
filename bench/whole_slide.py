"""One patient's section of 15 × 15 mm, H&E and fluorescence, from files to biomarkers and map.

    python bench/whole_slide.py [--side-mm 15] [--work FOLDER]

The H&E is a mosaic of real tiles in a pyramid at 0.5 µm/px; the fluorescence is made from it: its
DAPI is the mosaic's haematoxylin, its Pan-CK, CD3 and CD20 lie round the mosaic's own nuclei, and
it is moved by 180 µm. Each command of a user runs in a process of its own: CPU-seconds, CPU-seconds
per mm² of tissue, and largest resident memory of each. Beside it nuclei by a plain scikit-image
script of QuPath's steps on one tile of the same tissue, as CPU-seconds per mm².

The tissue repeats every 2 mm, which an aligner finds harder, not easier, than tissue that does not.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import nuclei
import numpy as np
import tifffile
from skimage.color import rgb2hed

import slides
from metasight.segmentation.nucleus import detect_in_he

MPP = 0.5
SHIFT_PX = (256, 96)
"""Of the fluorescence against the H&E, down and right."""
CHANNELS = ("DAPI", "Pan-CK", "CD3", "CD20")
BAR_CPU_MINUTES, BAR_GIB = 10.0, 2.0


def seamless() -> np.ndarray:
    """Real H&E, mirrored to both sides: pasted tiles would have borders like a knife's lines."""
    tile = nuclei.read(slides.REAL / "histolytics/hgsc_nest.jpg")[:1408, :1408]
    wide = np.concatenate([tile, tile[:, ::-1]], axis=1)
    return np.ascontiguousarray(np.concatenate([wide, wide[::-1]], axis=0))


def planes(picture: np.ndarray) -> np.ndarray:
    """Four channels of the mosaic, uint16, shape (4, y, x)."""
    stain = np.clip(rgb2hed(picture)[..., 0], 0, None)
    dapi = stain / np.quantile(stain, 0.999)
    found = detect_in_he(picture, MPP)
    rng = np.random.default_rng(0)
    kind = np.where(found.lymphocyte_like, np.where(rng.random(len(found.x_um)) < 0.65, 2, 3), 1)
    kind[(kind == 1) & (found.area_um2 < 40)] = 0
    out = [dapi]
    for marker in (1, 2, 3):
        plane = np.zeros(picture.shape[:2], np.float32)
        for x, y in zip(found.x_um[kind == marker], found.y_um[kind == marker], strict=True):
            cv2.circle(plane, (int(x / MPP), int(y / MPP)), 11, 1.0, -1)
        out.append(cv2.GaussianBlur(plane, (0, 0), 2.0))
    return np.stack(
        [np.clip(8000 * p + rng.normal(300, 40, p.shape), 0, 65535).astype(np.uint16) for p in out]
    )


def write_fluorescence(path: Path, size: int, picture: np.ndarray) -> None:
    """OME-TIFF with a pyramid of halves, as a scanner's."""
    channels = planes(picture)
    with tifffile.TiffWriter(path, bigtiff=True, ome=True) as out:
        for level in range(4):
            side = size // 2**level
            small = [
                cv2.resize(c, None, fx=0.5**level, fy=0.5**level, interpolation=cv2.INTER_AREA)
                for c in channels
            ]
            said = {
                "axes": "CYX",
                "PhysicalSizeX": MPP,
                "PhysicalSizeY": MPP,
                "PhysicalSizeXUnit": "µm",
                "PhysicalSizeYUnit": "µm",
                "Channel": {"Name": list(CHANNELS)},
            }
            out.write(
                _tiles(small, side, level),
                shape=(len(channels), side, side),
                dtype=np.uint16,
                tile=(512, 512),
                compression="zlib",
                compressionargs={"level": 1},
                photometric="minisblack",
                subifds=3 if level == 0 else None,
                subfiletype=0 if level == 0 else 1,
                metadata=said if level == 0 else None,
            )


def write(he: Path, marked: Path, size: int) -> None:
    """Both sections."""
    slides.write_slide(he, size, MPP, seamless())
    write_fluorescence(marked, size, seamless())


def _tiles(channels: list[np.ndarray], side: int, level: int) -> Iterator[np.ndarray]:
    """Tiles of 512 of an ellipse of tissue, channel by channel, moved by the shift."""
    down, right = (s // 2**level for s in SHIFT_PX)
    rng = np.random.default_rng(level)
    dark = np.clip(rng.normal(300, 40, (512, 512)), 0, None).astype(np.uint16)
    for channel in channels:
        period = channel.shape[0]
        for row in range(0, side, 512):
            y = np.arange(row, row + 512)
            for column in range(0, side, 512):
                x = np.arange(column, column + 512)
                own_y, own_x = (y - down)[:, None], (x - right)[None, :]
                inside = ((own_x / side - 0.5) / 0.42) ** 2 + ((own_y / side - 0.5) / 0.36) ** 2 < 1
                if not inside.any():
                    yield dark
                    continue
                part = channel[np.ix_((y - down) % period, (x - right) % period)]
                yield np.where(inside, part, dark)


def spent(command: list[str], log: Path) -> tuple[float, float, int]:
    """CPU-seconds, GiB at most, and exit status of a command and its children."""
    with log.open("w") as file:
        child = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 2**20, child.returncode


def painted(he: Path) -> None:
    """Paint the H&E by a generator of nuclei with new weights: what they are costs nothing."""
    import torch

    from metasight.maps.generator_settings import GeneratorSettings
    from metasight.maps.nucleus_looks import N_LOOKS
    from metasight.maps.nucleus_network import NucleusNetwork
    from metasight.maps.outlier import OutlierModel
    from metasight.maps.predict import paint
    from metasight.maps.trained_generator import NucleusGenerator
    from metasight.slides.opening import open_slide
    from metasight.slides.reader import Region
    from metasight.slides.tissue import tissue_mask

    torch.set_num_threads(1)
    markers, settings = ("Pan-CK", "CD3", "CD20", "nuclei"), GeneratorSettings()
    members = [NucleusNetwork([900.0] * len(markers), settings) for _ in range(settings.members)]
    for member in members:
        member.settle(torch.zeros(N_LOOKS), torch.ones(N_LOOKS), 4000.0)
    size = 2 * (N_LOOKS // 2 + 1)
    generator = NucleusGenerator(
        members,
        np.ones(len(markers), np.float32),
        OutlierModel(centre=np.zeros(size), whitening=np.eye(size), threshold=1.0),
        markers=markers,
        settings=settings,
        identity="0" * 64,
        trained_on=frozenset(),
    )
    with open_slide(he, name="he") as slide:
        width, height = slide.size_at(8.0)
        overview = slide.read(Region(x=0, y=0, width=width, height=height), 8.0)
        found = paint(slide, tissue_mask(overview, 8.0), 8.0, generator)
    print(f"{found.map.support.sum() * settings.spacing_um**2 / 1e6:.0f} mm² painted")


def main() -> int:
    """Write the sections, run the commands, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side-mm", type=float, default=15.0)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--paint", type=Path, default=None, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.paint is not None:
        painted(asked.paint)
        return 0
    work = asked.work or Path(tempfile.mkdtemp(prefix="whole-slide-"))
    work.mkdir(parents=True, exist_ok=True)
    he, marked = work / "he.svs", work / "mihc.ome.tif"
    if not marked.exists():
        # in a process of its own: what a child had when it was forked counts as its memory
        written = multiprocessing.get_context("spawn").Process(
            target=write, args=(he, marked, round(asked.side_mm * 1000 / MPP))
        )
        written.start()
        written.join()
        if written.exitcode:
            return 1
    tissue_mm2 = np.pi * 0.42 * 0.36 * asked.side_mm**2
    print(f"{asked.side_mm:g} × {asked.side_mm:g} mm, {tissue_mm2:.0f} mm² of tissue")
    program = [sys.executable, "-m", "metasight", "slides"]
    ours = [sys.executable, __file__]
    markers = ["--markers", "Pan-CK;CD3;CD20"]
    stages = {
        "check, H&E": ["check", "-i", str(he)],
        "align": ["align", "-i", str(he), "-i", str(marked)],
        "nuclei, H&E": ["map", "-i", str(he), "--stain", "H&E"],
        "check, map, biomarkers": ["measure", "-i", str(marked), *markers],
        "map painted on H&E": ["--paint", str(he)],
    }
    print(f"{'stage':26}{'CPU-s':>9}{'CPU-s/mm²':>12}{'GiB':>7}{'exit':>6}")
    total, most, failed = 0.0, 0.0, False
    for k, (name, given) in enumerate(stages.items()):
        out = work / f"out{k}"
        own = given[0] == "--paint"
        command = [*ours, *given] if own else [*program, *given, "--output", str(out)]
        cpu, memory, status = spent(command, work / f"out{k}.log")
        total, most, failed = total + cpu, max(most, memory), failed or status not in {0, 1}
        print(f"{name:26}{cpu:9.0f}{cpu / tissue_mm2:12.2f}{memory:7.2f}{status:6d}", flush=True)
    print(
        f"{'all':26}{total:9.0f}{total / tissue_mm2:12.2f}{most:7.2f}"
        f"   (bars: {60 * BAR_CPU_MINUTES:.0f} CPU-s, {BAR_GIB:g} GiB)"
    )
    tile = seamless()[:1500, :1500]
    seconds, _ = nuclei.cpu_seconds(nuclei.plain, tile, MPP)
    own, _ = nuclei.cpu_seconds(nuclei.ours, tile, MPP)
    mm2 = (1500 * MPP / 1000) ** 2
    print(
        f"nuclei of one tile: {own / mm2:.2f} CPU-s/mm², QuPath's steps in scikit-image "
        f"{seconds / mm2:.2f}: {seconds / own:.1f} ×"
    )
    return int(failed or total > 60 * BAR_CPU_MINUTES or most > BAR_GIB)


if __name__ == "__main__":
    sys.exit(main())
