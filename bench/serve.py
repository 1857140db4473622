"""The workbench under load: tiles of a large slide, and the pages of a large study.

    python bench/serve.py tiles            # beside OpenSlide's DeepZoomGenerator, in one run
    python bench/serve.py pages            # a study of 2,000 patients, run first
    python bench/serve.py tiles --seconds 3 --side 10000

``tiles`` writes a made-up pyramidal slide (JPEG in 256-pixel tiles, an SVS), serves it in one
process by ``metasight serve``, and asks for random tiles of its four finest levels at a fixed rate,
open loop: a request is sent when its time has come, whether or not others were answered, and its
latency counts from that time. Then the same is asked of a server of one process around OpenSlide's
DeepZoomGenerator (uvicorn and Starlette too, JPEG of the same quality). The memory of each server
is read before and after 10,000 further tiles, and after as many again, when its caches are full.
Everything is on the loopback of one machine; the client takes a part of its cores.

``pages`` runs a made-up study, serves it, and times the first page from the line that the server
prints, and the list of patients, median and worst of 30.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import tifffile

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))
from conftest import BREAST, breast_table  # noqa: E402
from slide_files import tissue_like  # noqa: E402

TILE, LEVELS, KINDS = 256, 6, 96
QUALITY = 85
MEMORY_TILES = 10_000
STUDY = '\n[slides]\npath = "slides.csv"\nid = "id"\n'
DEEP_ZOOM = """
import io, sys, threading
import openslide
from openslide.deepzoom import DeepZoomGenerator
import uvicorn
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route
slide = DeepZoomGenerator(openslide.OpenSlide(sys.argv[1]), tile_size=256, overlap=0)
def tile(request):
    p = request.path_params
    out = io.BytesIO()
    slide.get_tile(p["level"], (p["x"], p["y"])).save(out, "jpeg", quality=%d)
    return Response(out.getvalue(), media_type="image/jpeg")
app = Starlette(routes=[Route("/{level:int}/{x:int}/{y:int}.jpg", tile)])
print("ready", slide.level_count - 1, flush=True)
uvicorn.run(app, port=int(sys.argv[2]), log_level="error", access_log=False)
"""


def write_slide(path: Path, side: int) -> None:
    """An SVS of made-up tissue: each tile is one of some that are encoded once."""
    image = tissue_like(TILE * 8, TILE * (KINDS // 8))
    tiles = [
        cv2.imencode(".jpg", np.ascontiguousarray(t[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, 80])[1]
        for row in range(8)
        for t in np.split(image[row * TILE : (row + 1) * TILE], KINDS // 8, axis=1)
    ]
    encoded = [t.tobytes() for t in tiles]
    with tifffile.TiffWriter(path, bigtiff=False) as out:
        for level in range(LEVELS):
            n = side >> level
            across = -(-n // TILE)
            order = np.random.default_rng(level).integers(0, KINDS, across * across)
            out.write(
                (encoded[k] for k in order),
                shape=(n, n, 3),
                dtype=np.uint8,
                tile=(TILE, TILE),
                compression="jpeg",
                photometric="ycbcr",
                subsampling=(2, 2),
                metadata=None,
                subfiletype=0,
                description=f"Aperio Image Library v11.2.1 \n{n}x{n} JPEG|AppMag = 40|MPP = 0.25",
            )
            if level == 0:
                small = cv2.resize(image, (512, 512))
                out.write(small, metadata=None, photometric="rgb", rowsperstrip=64)


@contextlib.contextmanager
def serving(command: list[str], ready: str) -> Iterator[tuple[int, str]]:
    """A server in its own process: its id, and the line by which it said that it listens."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        for line in server.stdout:
            if ready in line:
                break
        else:
            sys.exit("the server did not start")
        try:
            yield server.pid, line.strip()
        finally:
            server.terminate()


class Connection:
    """HTTP/1.1 kept alive, no more than a bench needs."""

    def __init__(self, port: int, cookie: str) -> None:
        self.port, self.cookie = port, cookie
        self.streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def get(self, path: str) -> tuple[int, bytes]:
        if self.streams is None:
            self.streams = await asyncio.open_connection("127.0.0.1", self.port)
        reader, writer = self.streams
        head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: {self.cookie}\r\n\r\n"
        writer.write(head.encode())
        told = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        size = int(re.search(r"content-length: (\d+)", told)[1])  # type: ignore[index]
        return int(told.split()[1]), await reader.readexactly(size)


async def open_loop(
    port: int, cookie: str, paths: list[str], rate: float
) -> tuple[np.ndarray, int]:
    """Latencies in ms from when each request was due, and how many were no tile."""
    idle: list[Connection] = []
    latencies, wrong = [], 0
    begun = time.perf_counter() + 0.1

    async def one(n: int, path: str) -> None:
        nonlocal wrong
        due = begun + n / rate
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        connection = idle.pop() if idle else Connection(port, cookie)
        status, content = await connection.get(path)
        latencies.append(1000 * (time.perf_counter() - due))
        wrong += status != 200 or content[:2] != b"\xff\xd8"
        idle.append(connection)

    await asyncio.gather(*(one(n, p) for n, p in enumerate(paths)))
    return np.array(latencies), wrong


async def closed_loop(port: int, cookie: str, paths: list[str], lanes: int = 4) -> float:
    """Seconds for all paths, a few at a time."""
    left = iter(paths)

    async def lane() -> None:
        connection = Connection(port, cookie)
        for path in left:
            await connection.get(path)

    begun = time.perf_counter()
    await asyncio.gather(*(lane() for _ in range(lanes)))
    return time.perf_counter() - begun


def memory_mib(process: int) -> float:
    text = Path(f"/proc/{process}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", text)[1]) / 1024  # type: ignore[index]


def places(side: int, n: int, seed: int) -> list[tuple[int, int, int]]:
    """Random tiles of the four finest levels; level counted from the finest."""
    rng = np.random.default_rng(seed)
    out = []
    for _ in range(n):
        up = int(rng.integers(0, 4))
        across = -(-(side >> up) // TILE) - 1  # whole tiles only
        out.append((up, int(rng.integers(0, across)), int(rng.integers(0, across))))
    return out


def measured(
    name: str,
    process: int,
    port: int,
    cookie: str,
    address: str,
    top: int,
    told: argparse.Namespace,
) -> dict[str, float]:
    def paths(n: int, seed: int) -> list[str]:
        return [address.format(top - u, x, y) for u, x, y in places(told.side, n, seed)]

    asyncio.run(open_loop(port, cookie, paths(100, 0), 50))  # warm
    n = int(told.rate * told.seconds)
    latencies, wrong = asyncio.run(open_loop(port, cookie, paths(n, 1), told.rate))
    before = memory_mib(process)
    seconds = asyncio.run(closed_loop(port, cookie, paths(MEMORY_TILES, 2)))
    after = memory_mib(process)
    asyncio.run(closed_loop(port, cookie, paths(MEMORY_TILES, 3)))
    again = memory_mib(process)
    p50, p95, worst = np.percentile(latencies, [50, 95, 100])
    print(
        f"{name}: {n} tiles at {told.rate:g}/s, open loop: p50 {p50:.1f} ms, p95 {p95:.1f} ms, "
        f"worst {worst:.0f} ms, {wrong} wrong; memory {before:.0f} MiB before and {after:.0f} MiB "
        f"after {MEMORY_TILES:,} more tiles, {again:.0f} MiB after as many again "
        f"({MEMORY_TILES / seconds:.0f}/s, closed loop)"
    )
    return {"p50": p50, "p95": p95}


def tiles(told: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory(prefix="metasight-serve-") as place:
        folder = Path(place)
        write_slide(folder / "large.svs", told.side)
        size = (folder / "large.svs").stat().st_size
        print(f"a slide of {told.side:,} × {told.side:,} pixels, {size / 1e6:.0f} MB")
        breast_table(20).to_csv(folder / "patients.csv", index=False)
        (folder / "slides.csv").write_text("id,file,stain,markers\nMRN-00000,large.svs,H&E,\n")
        (folder / "study.toml").write_text(BREAST + STUDY)
        with _workbench(folder) as (process, port, cookie):
            name = _slide_name(folder)
            address = f"/slides/{name}/tiles/{{}}/{{}}/{{}}.jpg"
            top = (told.side - 1).bit_length()
            own = measured("metasight", process, port, cookie, address, top, told)
        code = folder / "deep_zoom.py"
        code.write_text(DEEP_ZOOM % QUALITY)
        port = _free_port()
        command = [sys.executable, str(code), str(folder / "large.svs"), str(port)]
        with serving(command, "ready") as (process, line):
            _wait_for(port)
            top = int(line.split()[1])
            other = measured("DeepZoomGenerator", process, port, "", "/{}/{}/{}.jpg", top, told)
        print(
            "ratio, metasight over DeepZoomGenerator: "
            + ", ".join(f"{k} {own[k] / other[k]:.2f}" for k in own)
        )


def pages(told: argparse.Namespace) -> None:
    from metasight import pipeline
    from metasight.engine.progress import Silent
    from metasight.study.file import read_study

    with tempfile.TemporaryDirectory(prefix="metasight-serve-") as place:
        folder = told.study or Path(place)
        if not (folder / "study.toml").is_file():
            folder.mkdir(exist_ok=True)
            breast_table(told.patients).to_csv(folder / "patients.csv", index=False)
            text = BREAST[: BREAST.index('[[model]]\nkind = "forest"')]
            text = text.replace('"forest"', '"penalised"')
            text = text.replace(
                "instability_resamples = 3",
                "instability_resamples = 0\ninterval_refits = 100\nimputations = 0",
            )
            text += '[[model]]\nkind = "elastic_net_cox"\nname = "penalised"\n'
            (folder / "study.toml").write_text(text)
            begun = time.perf_counter()
            pipeline.run(read_study(folder), scheduler="inline", progress=Silent())
            print(
                f"ran a study of {told.patients:,} patients in {time.perf_counter() - begun:.0f} s"
            )
        begun = time.perf_counter()
        with _workbench(folder, first=True) as (_, port, cookie):
            timings = {}
            for path in ("/", "/patients", "/patients?q=P1&order=missing", "/review"):
                taken = [asyncio.run(closed_loop(port, cookie, [path])) for _ in range(30)]
                timings[path] = 1000 * np.array(taken)
            for path, ms in timings.items():
                print(
                    f"{path}: first {ms[0]:.0f} ms, median {np.median(ms):.0f} ms, worst of the "
                    f"rest {ms[1:].max():.0f} ms"
                )


@contextlib.contextmanager
def _workbench(folder: Path, *, first: bool = False) -> Iterator[tuple[int, int, str]]:
    command = [sys.executable, "-m", "metasight", "serve", str(folder)]
    with serving(command, "/enter?token=") as (process, line):
        begun = time.perf_counter()
        port = int(re.search(r":(\d+)/", line)[1])  # type: ignore[index]
        cookie = asyncio.run(_entered(port, line.partition(str(port))[2]))
        if first:
            asyncio.run(Connection(port, cookie).get("/"))
            print(
                f"first page {1000 * (time.perf_counter() - begun):.0f} ms after the address "
                "was printed"
            )
        yield process, port, cookie


async def _entered(port: int, path: str) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
    told = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    return re.search(r"(?i)set-cookie: ([^;]+)", told)[1]  # type: ignore[index]


def _slide_name(folder: Path) -> str:
    from metasight.serve.slides import slide_rows
    from metasight.study.file import read_study

    (name,) = slide_rows(read_study(folder))
    return name


def _free_port() -> int:
    import socket

    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _wait_for(port: int) -> None:
    import socket

    for _ in range(100):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("tiles", "pages"))
    parser.add_argument("--side", type=int, default=40_000)
    parser.add_argument("--rate", type=float, default=200)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--patients", type=int, default=2000)
    parser.add_argument("--study", type=Path, default=None, help="kept, and not run again")
    told = parser.parse_args()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    (tiles if told.what == "tiles" else pages)(told)


if __name__ == "__main__":
    main()
