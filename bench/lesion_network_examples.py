"""What the network that outlines lesions learns from: real and simulated nodules, clicked.

The rules' outlines are an input of the network, so each nodule is clicked and outlined by them
first; that takes minutes and is kept in a file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from lesions_cubes import clicks, cubes, lungs_about
from lesions_phantoms import settings_of
from scipy import ndimage

from metasight.errors import VolumeError
from metasight.segmentation.lesion import Outlines, lesion_from_click
from metasight.segmentation.lesion_network_training import Click, Example
from metasight.simulate.lung.phantom import draw_phantom
from metasight.volumes.volume import Volume

FIRST_PHANTOM = 10_000
"""Phantoms of ``bench/lesions.py`` have lower numbers."""
REAL_SHARE = 0.7
_SIDE = 57
_OF_DIAMETER = 1 / 28

Booleans = npt.NDArray[np.bool_]
Nodule = tuple[np.ndarray, np.ndarray, float, str]


def phantom(number: int) -> Nodule | None:
    """HU, mask, voxel in mm, name of a simulated lesion; None where it fits nowhere."""
    settings = settings_of(number)
    assert settings.nodule is not None
    voxel = max(1.0, settings.nodule.diameter_mm * _OF_DIAMETER)
    if number % 3 == 0:
        voxel *= 1.3
    try:
        scan = draw_phantom(settings, number, crop_mm=_SIDE * voxel + 4)
    except VolumeError:
        return None
    centre = np.argwhere(scan.lesion_mask).mean(axis=0)
    line = (np.arange(_SIDE) - (_SIDE - 1) / 2) * voxel
    steps = [line / s + c for s, c in zip(scan.spacing_mm, centre, strict=True)]
    points = np.stack(np.meshgrid(*steps, indexing="ij"))
    hu, mask = (
        ndimage.map_coordinates(a.astype(np.float32), points, order=1, mode="nearest")
        for a in (scan.ct_hu, scan.lesion_mask)
    )
    return hu.round(), mask, voxel, f"phantom {number}"


def real() -> Iterator[Nodule]:
    """Every nodule of lidc-cubes; its patient is the number before the underscore."""
    for cube in cubes():
        yield cube["hu"], cube["mask"].astype(np.float32), 1.0, cube["nodule"].split("_")[0]


def _whole(outlines: Outlines, scan: Volume) -> list[Booleans]:
    """The answer and all outlines on the scan's grid."""
    shift = scan.grid.to_index(np.array(outlines.scan.grid.origin_mm)).round().astype(int)[::-1]
    out = []
    for mask in (outlines.answer, *outlines.voters, *outlines.others):
        whole = np.zeros(scan.array.shape, dtype=bool)
        z, y, x = (slice(a, a + n) for a, n in zip(shift, mask.array.shape, strict=True))
        whole[z, y, x] = mask.array
        out.append(whole)
    return out


def clicked(nodule: Nodule, seed: int, n: int) -> Example:
    """The nodule with the rules' outlines from n clicks; a click that finds nothing has none."""
    hu, mask, voxel, patient = nodule
    scan = Volume.from_array(hu, unit="HU", spacing_mm=(voxel,) * 3)
    lungs = lungs_about(scan)
    found = []
    for x, y, z in clicks(mask > 0.5, seed, n):
        try:
            own = lesion_from_click(scan, lungs, (x * voxel, y * voxel, z * voxel), network=None)
        except VolumeError:
            continue
        packed = np.packbits(_whole(own.outlines, scan), axis=-1)
        cut = own.outlines.cut_share
        found.append(
            Click(
                at=(z, y, x),
                outlines=packed[1:],
                answer=packed[0],
                cut_share=cut,
                n_voters=len(own.outlines.voters),
            )
        )
    return Example(
        hu=hu.astype(np.float32), mask=mask, voxel_mm=voxel, patient=patient, clicks=tuple(found)
    )


def _clicked_phantom(number: int) -> Example | None:
    nodule = phantom(number)
    return None if nodule is None else clicked(nodule, number, 2)


def _clicked_real(k: int) -> Example:
    return clicked(list(real())[k], k, 5)


def _kept(
    file: Path, make: Callable[[int], Example | None], numbers: Iterable[int], jobs: int
) -> list[Example]:
    """Examples out of a file, or made and kept in it."""
    if not file.exists():
        with ProcessPoolExecutor(jobs) as pool:
            made = [e for e in pool.map(make, numbers) if e is not None]
        arrays: dict[str, Any] = {}
        for k, e in enumerate(made):
            arrays |= {f"{k}_hu": e.hu.astype(np.int16), f"{k}_mask": e.mask.astype(np.float16)}
            arrays |= {f"{k}_voxel_mm": np.float64(e.voxel_mm), f"{k}_patient": np.str_(e.patient)}
            arrays[f"{k}_at"] = np.array([c.at for c in e.clicks])
            arrays[f"{k}_voters"] = np.array([c.n_voters for c in e.clicks])
            arrays[f"{k}_cut"] = np.array([c.cut_share for c in e.clicks])
            arrays |= {f"{k}_outlines_{j}": c.outlines for j, c in enumerate(e.clicks)}
            arrays |= {f"{k}_answer_{j}": c.answer for j, c in enumerate(e.clicks)}
        np.savez_compressed(file, **arrays)
    with np.load(file, allow_pickle=False) as kept:
        n = sum(name.endswith("_hu") for name in kept.files)
        return [
            Example(
                hu=kept[f"{k}_hu"].astype(np.float32),
                mask=kept[f"{k}_mask"].astype(np.float32),
                voxel_mm=float(kept[f"{k}_voxel_mm"]),
                patient=str(kept[f"{k}_patient"]),
                clicks=tuple(
                    Click(
                        at=tuple(at),
                        outlines=kept[f"{k}_outlines_{j}"],
                        answer=kept[f"{k}_answer_{j}"],
                        cut_share=float(kept[f"{k}_cut"][j]),
                        n_voters=int(kept[f"{k}_voters"][j]),
                    )
                    for j, at in enumerate(kept[f"{k}_at"])
                ),
            )
            for k in range(n)
        ]


def real_examples(folder: Path, jobs: int) -> list[Example]:
    """Real nodules, five clicks each; kept in the folder."""
    made = _kept(folder / "real.npz", _clicked_real, range(len(cubes())), jobs)
    return [e for e in made if e.clicks]


def phantoms_to_train_on(folder: Path, n: int, jobs: int) -> list[Example]:
    """Simulated nodules numbered from 10,000, two clicks each; kept in the folder."""
    numbers = range(FIRST_PHANTOM, FIRST_PHANTOM + n)
    made = _kept(folder / f"phantoms-{n}.npz", _clicked_phantom, numbers, jobs)
    return [e for e in made if e.clicks]


def bench_phantoms(folder: Path, n: int, jobs: int) -> list[Example]:
    """Those of ``bench/lesions.py``, two clicks each; kept in the folder."""
    made = _kept(folder / f"bench-phantoms-{n}.npz", _clicked_phantom, range(n), jobs)
    return [e for e in made if e.clicks]
