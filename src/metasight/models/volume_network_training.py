"""One network without each inner fold, trained side by side and stopped together (needs torch).

After every round each network is asked about the fold it never sees. The round at which they do
best together is kept, and training ends when none was better for a while. On a CPU the same crops,
settings and seed give the same bytes, whether the training was interrupted or not: random numbers
come from seeds that name fold and round. A GPU is used where there is one, in mixed precision, and
does not promise equal bytes.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metasight.engine.threads import one_torch_thread
from metasight.features.crops import LesionCrop
from metasight.models.volume_network_checkpoint import Resumed, load_checkpoint, save_checkpoint
from metasight.models.volume_network_inputs import Targets, altered, channels
from metasight.models.volume_network_layers import (
    Compute,
    Scale,
    VolumeNetwork,
    aligned,
    arrays_of,
    compute_here,
    loss_of,
    stage_losses,
)
from metasight.models.volume_network_settings import VolumeNetworkSettings

Weights = dict[str, NDArray[np.float32]]

_WARM_UP = 0.1
_LARGEST_GRADIENT = 5.0
_AVERAGE = 0.95
_LEAST_GAIN = 1e-6


@dataclass(frozen=True, kw_only=True, eq=False)
class Material:
    """What is learnt from: crops, or features that a backbone made of them.

    Attributes
    ----------
    crops
        n of them.
    pooled
        Shape (n, features) of a backbone that stays as it is; None where the trunk learns too.
    targets, fold
        Of the same patients.
    start
        Weights of the trunk to begin with; None: random ones.
    """

    crops: Sequence[LesionCrop]
    pooled: Tensor | None
    targets: Targets
    fold: NDArray[np.int64]
    start: dict[str, Tensor] | None = None

    def drawn(
        self, rows: NDArray[np.intp], rng: np.random.Generator, settings: VolumeNetworkSettings
    ) -> Tensor:
        """Inputs of a step, each crop turned and mirrored anew."""
        if self.pooled is not None:
            return self.pooled[torch.from_numpy(rows)]
        return aligned(
            np.stack(
                [
                    altered(
                        self.crops[i],
                        rng,
                        noise_hu=settings.noise_hu,
                        pet_dropout=settings.pet_dropout,
                    )
                    for i in rows
                ]
            )
        )

    def plain(
        self, rows: NDArray[np.intp], settings: VolumeNetworkSettings
    ) -> Iterator[tuple[NDArray[np.intp], Tensor]]:
        """Rows and their inputs as they are, a batch at a time."""
        for first in range(0, len(rows), settings.batch):
            own = rows[first : first + settings.batch]
            if self.pooled is not None:
                yield own, self.pooled[torch.from_numpy(own)]
            else:
                yield own, aligned(np.stack([channels(self.crops[i]) for i in own]))


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A course of training.

    Attributes
    ----------
    folds
        Numbers of the folds, in the order of ``networks``.
    networks
        Weights at the best round, one set a fold.
    losses
        Held-out loss of nodal stage a patient after each round, the first before any.
    best
        Round of the least loss; 0: nothing was learnt that holds in unseen patients.
    """

    folds: tuple[int, ...]
    networks: tuple[Weights, ...]
    losses: tuple[float, ...]
    best: int


@dataclass
class _Fold:
    """One network on its way."""

    number: int
    train: NDArray[np.intp]
    held: NDArray[np.intp]
    scale: Scale
    network: VolumeNetwork
    averaged: VolumeNetwork
    optimiser: torch.optim.Optimizer
    kept: Weights = field(default_factory=dict)


def train_in_folds(
    material: Material,
    settings: VolumeNetworkSettings,
    *,
    seed: int,
    work: Path | None = None,
    training: str = "",
    compute: Compute | None = None,
) -> Trained:
    """Train a network without each fold.

    Parameters
    ----------
    material
        Training patients and their inner folds.
    settings, seed
        Size and training; of weights, order, turns and dropout.
    work
        Folder for a checkpoint; one found there is gone on with. None: without.
    training
        Hash of all that the training rests on: it names the checkpoint.
    compute
        Where; by default a GPU if there is one.

    Raises
    ------
    StoreError
        A checkpoint is damaged.
    """
    where = compute or compute_here()
    with one_torch_thread(), torch.random.fork_rng(devices=[]):
        folds = [_start(material, settings, int(k), seed, where) for k in np.unique(material.fold)]
        resumed = None if work is None else load_checkpoint(work, training)
        losses, best = [_held_out_loss(material, folds, settings, where)], 0
        if resumed is None:
            _keep(folds)
        else:
            losses, best = _restore(resumed, folds)
        while len(losses) <= settings.rounds and len(losses) - 1 - best < settings.patience:
            number = len(losses)
            for fold in folds:
                _round(material, fold, settings, seed, number, where)
            losses.append(_held_out_loss(material, folds, settings, where))
            if losses[-1] < losses[best] - _LEAST_GAIN:
                best = number
                _keep(folds)
            if work is not None:
                _save(work, training, folds, losses, best)
    return Trained(
        folds=tuple(f.number for f in folds),
        networks=tuple(f.kept for f in folds),
        losses=tuple(losses),
        best=best,
    )


def _start(
    material: Material, settings: VolumeNetworkSettings, number: int, seed: int, where: Compute
) -> _Fold:
    train, held = np.flatnonzero(material.fold != number), np.flatnonzero(material.fold == number)
    torch.manual_seed(_seed(seed, 1, number))
    features = None if material.pooled is None else material.pooled.shape[1]
    network = VolumeNetwork(settings, features)
    if material.start is not None:
        network.trunk.load_state_dict(material.start)
    network.to(where.device)
    with torch.no_grad():
        pooled = [network.trunk(x.to(where.device)) for _, x in material.plain(train, settings)]
        network.heads.begin_at(material.targets.stage[train], torch.cat(pooled))
    decayed = [p for p in network.parameters() if p.ndim > 1]
    free = [p for p in network.parameters() if p.ndim <= 1]
    optimiser = torch.optim.AdamW(
        [
            {"params": decayed, "weight_decay": settings.weight_decay},
            {"params": free, "weight_decay": 0.0},
        ],
        lr=settings.learning_rate,
    )
    return _Fold(
        number=number,
        train=train,
        held=held,
        scale=Scale.of(material.targets.take(train)),
        network=network,
        averaged=copy.deepcopy(network),
        optimiser=optimiser,
    )


def _seed(*numbers: int) -> int:
    return int(np.random.default_rng(numbers).integers(2**62))


def _round(  # noqa: PLR0917
    material: Material,
    fold: _Fold,
    settings: VolumeNetworkSettings,
    seed: int,
    number: int,
    where: Compute,
) -> None:
    """All steps of one round of one network."""
    rng = np.random.default_rng([seed, 2, fold.number, number])
    torch.manual_seed(_seed(seed, 3, fold.number, number))
    fold.network.train()
    order = _order(len(fold.train), settings, seed, fold.number, number)
    for step, places in enumerate(order, start=(number - 1) * settings.round_steps):
        rows = fold.train[places]
        rate = settings.learning_rate * _schedule(step / (settings.rounds * settings.round_steps))
        for group in fold.optimiser.param_groups:
            group["lr"] = rate
        inputs = material.drawn(rows, rng, settings).to(where.device)
        with torch.autocast(where.device, torch.bfloat16, enabled=where.mixed):
            found = fold.network(inputs)
        loss = loss_of(found, material.targets.take(rows), fold.scale, settings)
        fold.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(fold.network.parameters(), _LARGEST_GRADIENT)
        fold.optimiser.step()
        _average(fold.averaged, fold.network, step)


def _order(
    n: int, settings: VolumeNetworkSettings, seed: int, fold: int, number: int
) -> NDArray[np.intp]:
    """Rows of the steps of a round, from an endless row in which each returns once a pass.

    Returns
    -------
    Shape (round_steps, batch).
    """
    wanted = settings.round_steps * settings.batch
    places = np.arange((number - 1) * wanted, number * wanted)
    shuffled = {
        turn: np.random.default_rng([seed, 4, fold, int(turn)]).permutation(n)
        for turn in np.unique(places // n)
    }
    rows = np.array([shuffled[p // n][p % n] for p in places], dtype=np.intp)
    return rows.reshape(settings.round_steps, settings.batch)


def _schedule(share: float) -> float:
    """Up over the first tenth of the steps, then down along a cosine."""
    if share < _WARM_UP:
        return max(share / _WARM_UP, 0.05)
    return 0.5 * (1 + math.cos(math.pi * (share - _WARM_UP) / (1 - _WARM_UP))) + 1e-3


def _average(averaged: VolumeNetwork, network: VolumeNetwork, step: int) -> None:
    """Weights averaged over about the last twenty steps are what is judged and kept.

    With few patients a single step changes more than it teaches (Izmailov et al., UAI 2018).
    """
    keep = min(_AVERAGE, (1 + step) / (10 + step))
    with torch.no_grad():
        for old, new in zip(averaged.parameters(), network.parameters(), strict=True):
            old.lerp_(new, 1 - keep)


def _held_out_loss(
    material: Material, folds: Sequence[_Fold], settings: VolumeNetworkSettings, where: Compute
) -> float:
    """Loss of nodal stage a patient, each judged by the network that does not know him."""
    total = 0.0
    for fold in folds:
        fold.averaged.eval()
        with torch.inference_mode():
            for rows, inputs in material.plain(fold.held, settings):
                above = fold.averaged(inputs.to(where.device))[0]
                stage = torch.from_numpy(material.targets.stage[rows]).to(where.device)
                total += float(stage_losses(above, stage).sum())
    return total / len(material.fold)


def _keep(folds: Sequence[_Fold]) -> None:
    for fold in folds:
        fold.kept = arrays_of(fold.averaged)


def _save(
    work: Path, training: str, folds: Sequence[_Fold], losses: Sequence[float], best: int
) -> None:
    tensors: dict[str, Tensor] = {}
    for k, fold in enumerate(folds):
        for name, network in (("network", fold.network), ("averaged", fold.averaged)):
            tensors |= {f"{k}.{name}.{n}": t for n, t in network.state_dict().items()}
        for number, state in fold.optimiser.state_dict()["state"].items():
            tensors |= {f"{k}.adam.{number}.{part}": value for part, value in state.items()}
        tensors |= {f"{k}.kept.{n}": torch.from_numpy(a) for n, a in fold.kept.items()}
    save_checkpoint(work, training, Resumed(tensors=tensors, losses=tuple(losses), best=best))


def _restore(resumed: Resumed, folds: Sequence[_Fold]) -> tuple[list[float], int]:
    for k, fold in enumerate(folds):
        own = resumed.under(f"{k}.")
        fold.network.load_state_dict(own.under("network.").tensors)
        fold.averaged.load_state_dict(own.under("averaged.").tensors)
        adam: dict[int, dict[str, Tensor]] = {}
        for name, value in own.under("adam.").tensors.items():
            number, part = name.split(".")
            adam.setdefault(int(number), {})[part] = value
        fold.optimiser.load_state_dict(
            {"state": adam, "param_groups": fold.optimiser.state_dict()["param_groups"]}
        )
        fold.kept = {n: t.numpy().copy() for n, t in own.under("kept.").tensors.items()}
    return list(resumed.losses), resumed.best
