"""An interrupted training, written so that it goes on as if nothing had happened (needs torch).

Plain tensors with a JSON header (safetensors): no pickle, no code. Written beside and moved into
place, so that a kill leaves either the last round or the one before.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from metasight.errors import StoreError


@dataclass(frozen=True, kw_only=True)
class Resumed:
    """How far a training has come.

    Attributes
    ----------
    tensors
        Name → networks, their averages, the optimisers and what is kept.
    losses
        Held-out loss after each round, the first before any.
    best
        Round of the least.
    """

    tensors: dict[str, Tensor]
    losses: tuple[float, ...]
    best: int

    def under(self, prefix: str) -> Resumed:
        """Tensors whose names begin so, without that beginning."""
        own = {n.removeprefix(prefix): t for n, t in self.tensors.items() if n.startswith(prefix)}
        return replace(self, tensors=own)


def checkpoint_path(folder: Path, training: str) -> Path:
    """File of the training whose hash is ``training``: another one has another file."""
    return folder / f"training-{training[:16]}.safetensors"


def save_checkpoint(folder: Path, training: str, resumed: Resumed) -> None:
    """Write all that the training needs to go on."""
    folder.mkdir(parents=True, exist_ok=True)
    path = checkpoint_path(folder, training)
    # copies: safetensors refuses tensors that share memory
    plain = {n: t.detach().cpu().clone().contiguous() for n, t in resumed.tensors.items()}
    header = {
        "training": training,
        "losses": [repr(v) for v in resumed.losses],
        "best": resumed.best,
    }
    beside = path.with_suffix(".new")
    save_file(plain, beside, metadata={"progressed": json.dumps(header)})
    with beside.open("rb") as file:
        os.fsync(file.fileno())
    beside.replace(path)


def load_checkpoint(folder: Path, training: str) -> Resumed | None:
    """How far the training was; None where there is no checkpoint of it.

    Raises
    ------
    StoreError
        The file is damaged or of another training.
    """
    path = checkpoint_path(folder, training)
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {})["progressed"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        losses = tuple(float(v) for v in header["losses"])
        resumed = Resumed(tensors=tensors, losses=losses, best=int(header["best"]))
        named = str(header["training"])
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise StoreError(
            "the training's checkpoint cannot be read",
            where=path.name,
            value=type(error).__name__,
            remedy="Delete it: training starts again",
        ) from error
    if named != training:
        raise StoreError(
            "the checkpoint is of another training",
            where=path.name,
            remedy="Delete it: training starts again",
        )
    return resumed
