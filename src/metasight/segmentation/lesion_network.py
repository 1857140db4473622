"""A small 3-D network that outlines a lesion from a click, without torch.

A U-Net over 32³ voxels about the click, trained by ``bench/lesion_network.py`` on clicks in real
and simulated nodules. Its input is the density in two windows, the distance to the click, the share
of the rules' outlines that hold a voxel, and the voxel's size, which goes with the lesion's. It is
computed by matrix products; the weights' file is checked by its sha256 before it is used.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from metasight.errors import VolumeError

Floats32 = npt.NDArray[np.float32]

SHIPPED = Path(__file__).with_name("lesion_network.npz")
SHIPPED_SHA256 = "f13c0335c3c699987032ad2eb96ca31fe3d6c9010ca9c49dfcfddf399831ad6c"
"""Of the weights in the package: ``all.npz`` of ``bench/lesion_network.py``."""
SIDE = 32
CHANNELS, VOTES = 5, 3
_LUNG_HU, _SOFT_HU = (-1000.0, -200.0), (-250.0, 250.0)
_REACH_VOXELS = 6.0
_VOXELS_ACROSS, _LARGE_ACROSS = 11.0, 18.0
_FINEST_MM, _USUAL_MM = 0.6, 1.35

_LINE = np.arange(SIDE) - (SIDE - 1) / 2
GRID = np.stack(np.meshgrid(_LINE, _LINE, _LINE, indexing="ij"))
"""Voxels' places from the crop's middle, (3, 32, 32, 32)."""


@dataclass(frozen=True)
class LesionNetwork:
    """Weights by layer, batch normalisation folded in.

    Attributes
    ----------
    weights
        ``NAME_weight`` (out, in, k, k, k) and ``NAME_bias`` (out,) of each convolution, float32.
    """

    weights: Mapping[str, Floats32]

    def logits(self, x: Floats32) -> Floats32:
        """Log odds of lesion (32, 32, 32) of inputs (3, 32, 32, 32); see :func:`inputs_of`."""
        fine = self._block("fine", x)
        half = self._block("half_b", self._block("half_a", _pooled(fine)))
        quarter = self._block("quarter_b", self._block("quarter_a", _pooled(half)))
        eighth = self._block("eighth_b", self._block("eighth_a", _pooled(quarter)))
        y = self._block("up_quarter", np.concatenate([_doubled(eighth), quarter]))
        y = self._block("up_half_a", np.concatenate([_doubled(y), half]))
        y = self._block("narrow", self._block("up_half_b", y))
        y = self._block("up_fine", np.concatenate([_doubled(y), fine]))
        own = self._convolved("last", y)[0]
        return np.asarray(own + self.weights["trust"] * (x[VOTES] - 0.5))

    def _block(self, name: str, x: Floats32) -> Floats32:
        y = self._convolved(name, x)
        return np.maximum(y, 0, out=y)

    def _convolved(self, name: str, x: Floats32) -> Floats32:
        weight, bias = self.weights[f"{name}_weight"], self.weights[f"{name}_bias"]
        return _convolution(x, weight, bias)


def _convolution(x: Floats32, weight: Floats32, bias: Floats32) -> Floats32:
    """Same size, zeros beyond the edge; a product for each row of the kernel."""
    out, channels, size = weight.shape[:3]
    shape = x.shape[1:]
    if size == 1:
        y = weight.reshape(out, channels) @ x.reshape(channels, -1)
        return np.asarray(y.reshape(out, *shape) + bias[:, None, None, None])
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (1, 1)))
    # three neighbours along x side by side: fewer and larger products
    rows = np.concatenate([padded[..., k : k + shape[2]] for k in range(3)])
    kernel = np.ascontiguousarray(weight.transpose(2, 3, 0, 4, 1)).reshape(3, 3, out, -1)
    y = np.empty((out, *shape), dtype=np.float32)
    y[:] = bias[:, None, None, None]
    flat = y.reshape(out, -1)
    for i in range(3):
        for j in range(3):
            part = np.ascontiguousarray(rows[:, i : i + shape[0], j : j + shape[1]])
            flat += kernel[i, j] @ part.reshape(len(part), -1)
    return y


def _pooled(x: Floats32) -> Floats32:
    c, z, y, w = x.shape
    return np.asarray(x.reshape(c, z // 2, 2, y // 2, 2, w // 2, 2).max(axis=(2, 4, 6)))


def _doubled(x: Floats32) -> Floats32:
    return x.repeat(2, axis=1).repeat(2, axis=2).repeat(2, axis=3)


def size_of_votes(votes: npt.NDArray[np.floating], voxel_mm: float) -> float:
    """Diameter of the ball that has as many voxels as outlines hold on average, mm."""
    return float(voxel_mm * np.cbrt(6 / np.pi * votes.sum(dtype=np.float64)))


def voxel_for(size_mm: float) -> float:
    """The crop's voxel, mm: lesions are alike in voxels, and nothing is cut."""
    return max(_FINEST_MM, min(size_mm / _VOXELS_ACROSS, _USUAL_MM), size_mm / _LARGE_ACROSS)


def inputs_of(hu: Floats32, votes: Floats32, voxel_mm: float) -> Floats32:
    """The network's input (5, 32, 32, 32) of a crop (32, 32, 32) whose middle is the click.

    Parameters
    ----------
    votes
        Share of the rules' outlines that hold each voxel, within [0, 1].
    voxel_mm
        The crop's voxel.
    """
    windows = [
        np.clip((hu - low) / (high - low), 0, 1) * 2 - 1 for low, high in (_LUNG_HU, _SOFT_HU)
    ]
    near = np.exp(-np.sqrt((GRID**2).sum(axis=0)) / _REACH_VOXELS)
    size = np.full(hu.shape, voxel_mm - 1)
    return np.stack([*windows, near, votes, size]).astype(np.float32)


def read_lesion_network(path: Path, sha256: str) -> LesionNetwork:
    """Weights out of a file, if it is the one that is meant.

    Parameters
    ----------
    path
        An ``.npz`` without pickles, in half precision.
    sha256
        Of the file, as hexadecimal digits.

    Raises
    ------
    VolumeError
        The file is missing or another one.
    """
    content = path.read_bytes() if path.is_file() else b""
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise VolumeError(
            "the weights of the network that outlines lesions are missing or changed",
            where=path.name,
            value=found[:12] if content else "no file",
            remedy="Install metasight again",
        )
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return LesionNetwork({name: arrays[name].astype(np.float32) for name in arrays.files})


@cache
def shipped_lesion_network() -> LesionNetwork:
    """The network that comes with the package, read once.

    Raises
    ------
    VolumeError
        Its file is missing or was changed.
    """
    return read_lesion_network(SHIPPED, SHIPPED_SHA256)
