"""Reading, tissue and quality of one large slide, beside what a user would take instead.

A 40,000² JPEG pyramid is made from real tissue tiles (and a 10,000² one, for memory). All times
are CPU seconds of one thread, taken in one run; ratios are what counts. Run it on an idle
machine: ``python bench/slides.py [--folder F]``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import cv2
import imagecodecs
import numpy as np
import openslide
import tifffile

from metasight.protocol.load import read_protocol
from metasight.slides.opening import open_slide
from metasight.slides.quality import judge, limits_of
from metasight.slides.reader import PyramidReader, Region
from metasight.slides.reading import read_tiles
from metasight.slides.tiling import TileGrid
from metasight.slides.tissue import tissue_mask

MPP = 0.25
TILE = 256
PERIOD = 4096
TILES_READ = 1600
FIRST = 40  # tiles from the corner: inside the tissue
ROUNDS = 3
REAL = Path(__file__).resolve().parents[2] / "shared/data/slides"
QUALITY = 85


# ------------------------------------------------------------------ the slide


def mosaic() -> np.ndarray:
    """4096² of real H&E, mirrored where it repeats so that no seam is invented."""
    tile = cv2.imread(str(REAL / "histolytics/hgsc_nest.jpg"))[..., ::-1]
    more = [cv2.imread(str(p))[..., ::-1] for p in sorted((REAL / "he-tiles").glob("TUPAC*.png"))]
    big = np.concatenate([tile, tile[:, ::-1]], axis=1)
    big = np.concatenate([big, big[::-1]], axis=0)
    big = np.pad(big, ((0, PERIOD - 3000), (0, PERIOD - 3000), (0, 0)), mode="symmetric")
    for i, other in enumerate(more):
        big[3100 + 20 * i : 3700 + 20 * i, 100 + 700 * i : 700 + 700 * i] = other
    return np.ascontiguousarray(big)


def write_slide(path: Path, size: int, mpp: float = MPP, picture: np.ndarray | None = None) -> None:
    """A pyramid (1, 4, 16) of an ellipse of tissue on glass, JPEG tiles as a scanner's."""
    levels, rng = [mosaic() if picture is None else picture], np.random.default_rng(0)
    for _ in range(2):
        levels.append(cv2.resize(levels[-1], None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA))
    with tifffile.TiffWriter(path, bigtiff=True) as out:
        for level, picture in enumerate(levels):
            side = size // 4**level
            glass = np.clip(rng.normal(242, 1.2, (TILE, TILE, 3)), 0, 255).astype(np.uint8)
            said = f"{side}x{side} JPEG|AppMag = {round(10 / mpp)}|MPP = {mpp}"
            out.write(
                encoded(picture, glass, side),
                shape=(side, side, 3),
                dtype=np.uint8,
                tile=(TILE, TILE),
                compression="jpeg",
                photometric="ycbcr",
                subsampling=(2, 2),
                description=f"Aperio Image Library v11.2.1 \n{said}",
                metadata=None,
            )
            if level == 0:
                small = np.full((64, 64, 3), 240, np.uint8)
                out.write(small, photometric="rgb", metadata=None)


def encoded(picture: np.ndarray, glass: np.ndarray, side: int) -> Iterator[bytes]:
    period = picture.shape[0]
    more = -(-TILE // period) * period  # a coarse level may be smaller than a tile
    wide = np.pad(picture, ((0, more), (0, more), (0, 0)), mode="wrap")
    kept: dict[tuple[int, int], bytes] = {}
    count = -(-side // TILE)
    for row in range(count):
        y = np.arange(row * TILE, (row + 1) * TILE)[:, None] / side - 0.5
        for column in range(count):
            x = np.arange(column * TILE, (column + 1) * TILE)[None, :] / side - 0.5
            tissue = (x / 0.42) ** 2 + (y / 0.36) ** 2 < 1
            at = (row * TILE % period, column * TILE % period)
            whole = bool(tissue.all())
            if whole and at in kept:
                yield kept[at]
                continue
            part = wide[at[0] : at[0] + TILE, at[1] : at[1] + TILE]
            tile = np.where(tissue[..., None], part, glass)
            data = imagecodecs.jpeg8_encode(tile, level=QUALITY, subsampling="420")
            if whole:
                kept[at] = data
            yield data


# ------------------------------------------------------------------ timing


class _Shifted:
    """A slide whose tiles begin ``start`` pixels from its corner."""

    def __init__(self, slide: PyramidReader, start: int) -> None:
        self.slide, self.start = slide, start

    def read(self, r: Region, mpp: float) -> np.ndarray:
        moved = Region(x=r.x + self.start, y=r.y + self.start, width=r.width, height=r.height)
        return self.slide.read(moved, mpp)


def cpu(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def reading(path: Path) -> list[tuple[str, float, float | None]]:
    """Ratios to the plain decode limit and to OpenSlide, for three kinds of reads."""
    side = int(TILES_READ**0.5)
    rows = []
    for name, offset, mpp in (
        ("aligned 256² tiles", 0, MPP),
        ("unaligned 256² tiles", 77, MPP),
        ("256² tiles at 0.37 µm (× 1.48)", 0, 0.37),
    ):
        scale = mpp / MPP
        across = int(side / scale)
        start = int(FIRST * TILE / scale) + offset
        pixels = (across * TILE * scale) ** 2
        times = [
            (
                decode_limit(path, side) * pixels,
                cpu(partial(ours, path, across, start, mpp)),
            )
            for _ in range(ROUNDS)
        ]
        limit, mine = (min(t[i] for t in times) for i in (0, 1))
        other = min(cpu(partial(theirs, path, across, start, scale)) for _ in range(2))
        rows.append((name, limit / mine, other / mine))
    return rows


def ours(path: Path, across: int, start: int, mpp: float) -> None:
    grid = TileGrid(width=across * TILE, height=across * TILE, mpp=mpp, tile_size=TILE, step=TILE)
    tiles = np.argwhere(np.ones((grid.rows, grid.columns), bool))
    with open_slide(path, reader="tiff") as slide:
        for _ in read_tiles(_Shifted(slide, start), grid, tiles):
            pass


def theirs(path: Path, across: int, start: int, scale: float) -> None:
    """OpenSlide, and OpenCV where the resolution is none of the file's."""
    source = round(TILE * scale)
    with openslide.OpenSlide(str(path)) as slide:
        for row in range(across):
            for column in range(across):
                corner = round((start + column * TILE) * scale), round((start + row * TILE) * scale)
                image = slide.read_region(corner, 0, (source, source)).convert("RGB")
                array = np.asarray(image)
                if source != TILE:
                    cv2.resize(array, (TILE, TILE), interpolation=cv2.INTER_AREA)


def decode_limit(path: Path, side: int) -> float:
    """Seconds a pixel of decoding the same tiles from memory, and nothing else."""
    with tifffile.TiffFile(path) as file:
        page = file.pages[0]
        across = -(-page.imagewidth // TILE)
        data = []
        for row in range(FIRST, FIRST + side):
            for column in range(FIRST, FIRST + side):
                i = row * across + column
                file.filehandle.seek(page.dataoffsets[i])
                data.append(file.filehandle.read(page.databytecounts[i]))
        tables = page.jpegtables

        def decode() -> None:
            for one in data:
                imagecodecs.jpeg8_decode(one, tables=tables)

        return cpu(decode) / (len(data) * TILE * TILE)


def tissue_and_tiles(path: Path) -> float:
    def work() -> None:
        with open_slide(path) as slide:
            width, height = slide.size_at(8.0)
            mask = tissue_mask(slide.read(Region(x=0, y=0, width=width, height=height), 8.0), 8.0)
            full = slide.levels[0]
            TileGrid(
                width=full.width, height=full.height, mpp=slide.mpp, tile_size=TILE, step=TILE
            ).on_tissue(mask, 8.0, 0.5)

    return cpu(work)


def script(path: Path) -> float:
    """What a plain script does: thumbnail, saturation, Otsu, coordinates."""

    def work() -> None:
        slide = openslide.OpenSlide(str(path))
        level = slide.get_best_level_for_downsample(32)
        image = np.asarray(
            slide.read_region((0, 0), level, slide.level_dimensions[level]).convert("RGB")
        )
        saturation = cv2.medianBlur(cv2.cvtColor(image, cv2.COLOR_RGB2HSV)[..., 1], 7)
        _, mask = cv2.threshold(saturation, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
        step = TILE / slide.level_downsamples[level]
        count = int(image.shape[0] / step)
        [
            (r, c)
            for r in range(count)
            for c in range(count)
            if mask[int(r * step) : int((r + 1) * step), int(c * step) : int((c + 1) * step)].mean()
            > 127
        ]

    return cpu(work)


def quality(path: Path) -> float:
    limits = limits_of(read_protocol("breast-dmfs").definition, "H&E")

    def work() -> None:
        with open_slide(path) as slide:
            judge(slide, "H&E", limits)

    return cpu(work)


WORKER = """
import sys, time, resource, json
import cv2; cv2.setNumThreads(1)
import numpy as np
from pathlib import Path
from metasight.protocol.load import read_protocol
from metasight.slides.opening import open_slide
from metasight.slides.reading import read_tiles
from metasight.slides.tiling import TileGrid
path, part, of = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
with open_slide(path) as slide:
    full = slide.levels[0]
    grid = TileGrid(width=full.width, height=full.height, mpp=0.37, tile_size=256, step=256)
    tiles = np.argwhere(np.ones((min(grid.rows, 26), min(grid.columns, 26)), bool))
    tiles = tiles[: int(sys.argv[4])]
    tiles = tiles[part * len(tiles) // of : (part + 1) * len(tiles) // of]
    slide.read(grid.region(0, 0), 0.37)
    start = time.perf_counter()
    for _ in read_tiles(slide, grid, tiles):
        pass
    print(json.dumps([time.perf_counter() - start,
                      resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))
"""


def workers(path: Path, count: int, tiles: int = 676) -> tuple[float, float]:
    """Wall seconds of the slowest of ``count`` processes, and the largest one's MiB."""
    running = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(path), str(i), str(count), str(tiles)],
            stdout=subprocess.PIPE,
            text=True,
        )
        for i in range(count)
    ]
    found = [json.loads(p.communicate()[0]) for p in running]
    return max(f[0] for f in found), max(f[1] for f in found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path)
    folder = parser.parse_args().folder or Path(tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    cv2.setNumThreads(1)
    large, small = folder / "40000.svs", folder / "10000.svs"
    for path, size in ((large, 40_000), (small, 10_000)):
        if not path.exists():
            write_slide(path, size)
    print(f"slide of 40,000² pixels, {large.stat().st_size / 1e6:.0f} MB")
    for (name, limit, other), bar in zip(reading(large), (0.9, 0.75, 0.7), strict=True):
        print(
            f"{name:34s} {limit:5.2f} × the decode limit (bar {bar})   "
            f"{other:5.2f} × OpenSlide (bar 4)"
        )
    mine, plain = tissue_and_tiles(large), script(large)
    print(f"tissue mask and coordinates        {mine:5.2f} s of CPU (bar 1); script {plain:.2f} s")
    print(f"quality                            {quality(large):5.2f} s of CPU (bar 5)")
    one, _ = workers(large, 1)
    two, _ = workers(large, 2)
    print(f"1 → 2 processes                    {one / two:5.2f} × (bar 1.8)")
    peaks = [workers(p, 1)[1] for p in (small, large)]
    print(f"peak memory, 10,000² and 40,000²   {peaks[0]:.0f} and {peaks[1]:.0f} MiB")


if __name__ == "__main__":
    main()
