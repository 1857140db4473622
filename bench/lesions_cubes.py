"""Clicks in 71 real nodules (LIDC-IDRI, one reader's mask, CC BY 3.0) beside that reader.

    python bench/lesions.py --cubes [--networks FOLDER] [--axis]

A click at each mask's deepest point and four more (``--clicks``) within 3 mm of it, in the mask.
The cubes are 51 mm wide, so there is no chest to find lungs in: air is lung, and what a ball of
15 mm closes within it belongs to the lung's shape. Patients are in two halves by their number: what
is chosen by looking at these nodules is chosen on the first, and the second is for the figures.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.stats import binomtest

from metasight.errors import VolumeError
from metasight.lesions.disagreement import Disagreement
from metasight.lesions.size import size_of
from metasight.lesions.solidity import solidity_of
from metasight.segmentation.lesion_folds import fold_of
from metasight.segmentation.lesion_network import LesionNetwork
from metasight.segmentation.lung import Lungs
from metasight.volumes.distance import depth_in, distance_to
from metasight.volumes.volume import Mask, Volume

CUBES = Path(__file__).resolve().parents[2] / "shared/data/volumes/lidc-cubes/nodules.npz"
CLICKS = 5
_WITHIN_MM = 3.0
_CLOSED_MM = 15.0
_AIR_HU = -400.0

Booleans = npt.NDArray[np.bool_]


def cubes() -> list[dict[str, Any]]:
    """Every nodule: density, the reader's mask, texture 1 to 5, name, half 0 or 1."""
    with np.load(CUBES, allow_pickle=False) as file:
        shape = tuple(int(n) for n in file["shape"])
        masks = np.unpackbits(file["mask"], axis=-1)[..., : shape[-1]].astype(bool)
        return [
            {
                "hu": hu.astype(np.float32),
                "mask": mask,
                "texture": float(texture),
                "nodule": str(name),
                # the numbers of all patients are even
                "half": int(str(name).split("_")[0]) // 2 % 2,
            }
            for hu, mask, texture, name in zip(
                file["hu"], masks, file["texture"], file["nodule"], strict=True
            )
        ]


def scanned(cube: dict[str, Any]) -> tuple[Volume, Lungs, Mask]:
    """Volume, lungs and reader's mask of a cube."""
    volume = Volume.from_array(cube["hu"], unit="HU", spacing_mm=(1.0, 1.0, 1.0))
    return volume, lungs_about(volume), Mask.from_array(cube["mask"], on=volume)


def lungs_about(volume: Volume) -> Lungs:
    """Lungs of a cube in which there is no chest to find them in."""
    z, y, x = volume.spacing_mm[::-1]
    air = volume.array < _AIR_HU
    pad = int(np.ceil(_CLOSED_MM / min(z, y, x))) + 2
    padded = np.pad(air, pad, mode="edge")
    reached = distance_to(padded, (z, y, x)) <= _CLOSED_MM
    closed = padded | (depth_in(reached, (z, y, x)) > _CLOSED_MM)
    whole = ndimage.binary_fill_holes(closed)[(slice(pad, -pad),) * 3]
    lung, shape = Mask.from_array(air, on=volume), Mask.from_array(whole, on=volume)
    return Lungs(right=lung, left=lung, right_whole=shape, left_whole=shape, airways=None)


def clicks(mask: Booleans, seed: int, n: int = CLICKS) -> list[tuple[float, float, float]]:
    """The deepest point and four within 3 mm of it in the mask; x, y, z in mm."""
    depth = depth_in(mask, (1.0, 1.0, 1.0))
    deepest = np.array(np.unravel_index(np.argmax(depth), mask.shape))
    there = np.argwhere(mask)
    near = there[(np.linalg.norm(there - deepest, axis=1) <= _WITHIN_MM)]
    others = near[(near != deepest).any(axis=1)]
    rng = np.random.default_rng([15, seed])
    drawn = others[rng.choice(len(others), n - 1, replace=len(others) < n - 1)]
    return [(float(x), float(y), float(z)) for z, y, x in [deepest, *drawn]]


def ends_of(mask: Booleans) -> list[tuple[float, float, float]]:
    """Both ends of the longest diameter, x, y, z in mm."""
    volume = Volume.from_array(np.zeros(mask.shape), unit="HU", spacing_mm=(1.0, 1.0, 1.0))
    longest = size_of(Mask.from_array(mask, on=volume)).longest
    across = {"axial": 0, "coronal": 1, "sagittal": 2}[longest.plane]
    ends = np.insert(longest.ends_mm, across, float(longest.slice_index), axis=1)
    return [(float(x), float(y), float(z)) for z, y, x in ends]


def network_of(cube: dict[str, Any], folder: Path | None) -> LesionNetwork | None:
    """The network of the fold that left the nodule's patient out; None without a folder."""
    if folder is None:
        return None
    folds = len(list(folder.glob("fold-*.npz")))
    fold = fold_of(cube["nodule"].split("_")[0], folds)
    with np.load(folder / f"fold-{fold}.npz", allow_pickle=False) as file:
        return LesionNetwork({k: file[k].astype(np.float32) for k in file.files})


def beside(found: Booleans, mask: Mask, volume: Volume) -> dict[str, float]:
    """Dice, share of the reader's volume, and the diameter's error in mm."""
    reader = mask.array
    own = size_of(Mask.from_array(found, on=volume))
    return {
        "dice": float(2 * (found & reader).sum() / (found.sum() + reader.sum())),
        "volume": float(found.sum() / reader.sum()),
        "diameter": own.longest_mm - size_of(mask).longest_mm,
    }


def wrong(row: dict[str, Any]) -> bool:
    """Whether an outline is one that nobody should use."""
    return bool(row["dice"] < 0.5 or not 0.5 <= row["volume"] <= 2 or not abs(row["diameter"]) <= 5)


def judged(
    number: int,
    cube: dict[str, Any],
    click: Callable[[Volume, Lungs, Any], tuple[Mask, Disagreement]],
    n: int = CLICKS,
) -> list[dict[str, Any]]:
    """All clicks in one nodule."""
    volume, lungs, mask = scanned(cube)
    rows = []
    for k, point in enumerate(clicks(cube["mask"], number, n)):
        row = {"half": cube["half"], "texture": cube["texture"], "click": k}
        start = time.perf_counter()
        try:
            found, apart = click(volume, lungs, point)
            row |= {"seconds": time.perf_counter() - start}
            row |= {"apart_mm": apart.size_apart_mm, "cut": apart.cut_share}
            row |= {"flagged": bool(apart.flagged)}
            row |= {"class": solidity_of(volume, found).attenuation}
            row |= beside(found.array, mask, volume)
        except VolumeError:  # told to the user
            row |= {"seconds": time.perf_counter() - start, "apart_mm": np.inf, "cut": 1.0}
            row |= {"flagged": True}
            row |= {"dice": 0.0, "volume": 0.0, "diameter": np.nan}
        rows.append(row)
    return rows


def counted(right: np.ndarray) -> str:
    """How many of how many, with the exact 95 % interval of the share."""
    of = len(right)
    if not of:
        return "0 of 0"
    ends = binomtest(int(right.sum()), of).proportion_ci()
    return f"{int(right.sum())} of {of} ({ends.low:.1%} to {ends.high:.1%})"


def _share(right: Booleans) -> str:
    return f"{right.sum()} of {len(right)}"


def report_clicks(rows: list[dict[str, Any]]) -> None:
    """Figures of each half and of both, of the deepest points and of all clicks."""
    groups = (("chosen on", (0,)), ("untouched", (1,)), ("all", (0, 1)))
    for name, halves in groups:
        for which, own in (
            ("deepest point", [r for r in rows if r["half"] in halves and r["click"] == 0]),
            ("all clicks", [r for r in rows if r["half"] in halves]),
        ):
            dice = np.array([r["dice"] for r in own])
            volume = np.array([r["volume"] for r in own])
            diameter = np.array([r["diameter"] for r in own])
            bad = np.array([wrong(r) for r in own])
            apart = np.array([r["apart_mm"] for r in own])
            seconds = [r["seconds"] for r in own]
            if not own:
                continue
            print(
                f"  {name:9s} {which:13s} n {len(own):3d}: Dice median {np.median(dice):.3f}, "
                f"< 0.5 {(dice < 0.5).mean():.1%}; volume outside ½–2 × "
                f"{1 - ((volume >= 0.5) & (volume <= 2)).mean():.1%}; diameter off by > 5 mm "
                f"{1 - (np.abs(diameter) <= 5).mean():.1%}; wrong {bad.mean():.1%}; outlines more "
                f"than 5 mm apart in {_share(apart[bad] > 5)} wrong and {_share(apart[~bad] > 5)} "
                f"right ones; seconds a click: median {np.median(seconds):.1f}, "
                f"longest {max(seconds):.1f}"
            )
