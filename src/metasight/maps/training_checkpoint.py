"""An interrupted training, written so that it goes on as if nothing had happened.

Plain tensors with a JSON header (safetensors): no pickle, no code. Written beside and moved into
place, so that a kill leaves either the last round or the one before. Random numbers need no state:
each round draws from a seed that names it.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from metasight.errors import MarkerError

NAME = "checkpoint.safetensors"
_NETWORKS = ("network", "averaged")
_ADAM = ("exp_avg", "exp_avg_sq", "step")


@dataclass(frozen=True, kw_only=True)
class Progressed:
    """How far a training has come.

    Attributes
    ----------
    training
        Hash of settings, seed and tiles: a checkpoint of another training is refused.
    member
        Network being trained; those before are done.
    round
        Rounds done.
    best_round, best_loss
        Round of the least held-out loss, and that loss.
    best_rounds
        Of the members that are done.
    """

    training: str
    member: int = 0
    round: int = 0
    best_round: int = 0
    best_loss: float = float("inf")
    best_rounds: tuple[int, ...] = ()

    def next_member(self) -> Progressed:
        """The next network, from its start."""
        return replace(
            self,
            member=self.member + 1,
            round=0,
            best_round=0,
            best_loss=float("inf"),
            best_rounds=(*self.best_rounds, self.best_round),
        )


def save_checkpoint(
    folder: Path,
    progressed: Progressed,
    networks: tuple[nn.Module, nn.Module],
    optimiser: torch.optim.Optimizer,
    kept: dict[str, Tensor],
) -> None:
    """Write all that the training needs to go on.

    Parameters
    ----------
    folder
        Of the generator.
    progressed
        How far it is.
    networks, optimiser
        The network, its running average, and the optimiser after the last round.
    kept
        Name → tensor: the best state so far, and the members that are done.
    """
    tensors = {
        f"{name}.{n}": t
        for name, network in zip(_NETWORKS, networks, strict=True)
        for n, t in network.state_dict().items()
    }
    for number, state in optimiser.state_dict()["state"].items():
        tensors |= {f"adam.{number}.{part}": state[part] for part in _ADAM}
    tensors |= {f"kept.{n}": t for n, t in kept.items()}
    # copies: safetensors refuses tensors that share memory
    plain = {n: t.detach().cpu().clone().contiguous() for n, t in tensors.items()}
    beside = folder / (NAME + ".new")
    header = asdict(progressed) | {"best_loss": repr(progressed.best_loss)}
    save_file(plain, beside, metadata={"progressed": json.dumps(header)})
    with beside.open("rb") as file:
        os.fsync(file.fileno())
    beside.replace(folder / NAME)


def load_checkpoint(
    folder: Path, training: str
) -> tuple[Progressed, dict[str, Tensor], dict[str, Tensor]] | None:
    """How far the training was, its tensors, and those that it kept; None where there is none.

    Raises
    ------
    MarkerError
        The file is damaged, or of another training.
    """
    path = folder / NAME
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {})["progressed"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        progressed = Progressed(
            **header
            | {"best_loss": float(header["best_loss"]), "best_rounds": tuple(header["best_rounds"])}
        )
    except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
        raise MarkerError(
            "the training's checkpoint cannot be read",
            where=path.name,
            value=type(error).__name__,
            remedy="Delete it: training starts again",
        ) from error
    if progressed.training != training:
        raise MarkerError(
            "the checkpoint is of a training with other tiles, settings or seed",
            where=path.name,
            remedy="Delete it, or train into another folder",
        )
    kept = {n.removeprefix("kept."): t for n, t in tensors.items() if n.startswith("kept.")}
    rest = {n: t for n, t in tensors.items() if not n.startswith("kept.")}
    return progressed, rest, kept


def restore(
    tensors: dict[str, Tensor],
    network: nn.Module,
    averaged: nn.Module,
    optimiser: torch.optim.Optimizer,
) -> None:
    """Put the tensors of a checkpoint back."""
    for name, into in zip(_NETWORKS, (network, averaged), strict=True):
        own = {n: t for n, t in tensors.items() if n.startswith(f"{name}.")}
        into.load_state_dict({n.removeprefix(f"{name}."): t for n, t in own.items()})
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith("adam."):
            _, number, part = name.split(".")
            state.setdefault(int(number), {})[part] = tensor
    optimiser.load_state_dict(
        {"state": state, "param_groups": optimiser.state_dict()["param_groups"]}
    )
