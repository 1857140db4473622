"""Train a generator on patients' tiles: rounds, early stopping, calibration, and its file.

On a CPU the same tiles, settings, seed and number of threads give the same bytes, whether the
training was interrupted or not. A GPU is used without a flag, in mixed precision, and does not
promise equal bytes.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from metasight.maps.augmentation import altered, altered_nuclei
from metasight.maps.generator import Trained, write_generator
from metasight.maps.generator_calibration import calibrate, describe_slides
from metasight.maps.generator_folds import Material, inner_splits, survey
from metasight.maps.generator_settings import GeneratorSettings
from metasight.maps.nucleus_network import NucleiSeen, NucleusNetwork
from metasight.maps.region_likelihood import Targets, region_loss
from metasight.maps.tile_bank import Place, TileBank
from metasight.maps.trained_generator import Network, Seen, device_of, network_of
from metasight.maps.training_checkpoint import (
    NAME,
    Progressed,
    load_checkpoint,
    restore,
    save_checkpoint,
)
from metasight.provenance import hash_file, hash_json

Progress = Callable[[int, int, str], None]

_WARM_UP = 0.1  # of the steps
_LARGEST_GRADIENT = 5.0
_AVERAGE = 0.99


def train_generator(
    tiles: Mapping[str, Path],
    settings: GeneratorSettings | None = None,
    *,
    seed: int,
    work: Path,
    markers: Sequence[str] | None = None,
    centres: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> None:
    """Train a generator and write it into ``work``.

    Parameters
    ----------
    tiles
        Pseudonym → file of `save_tiles`, at least two.
    settings
        Network and training.
    seed
        Of everything that is drawn.
    work
        Folder of the generator; a checkpoint found there is gone on with.
    markers
        Planes that are wanted; by default all that the tiles name.
    centres
        Pseudonym → centre, told in the model card.
    progress
        Called after each round with rounds done, rounds at most, and a line of text.

    Raises
    ------
    MarkerError
        No pair, one patient only, a marker that fewer than two patients show, tiles that do not
        fit each other, or a checkpoint of another training.
    """
    s = settings or GeneratorSettings()
    material = survey(tiles, markers, s.mpp)
    splits = inner_splits(material, s.held_out, s.members, seed)
    work.mkdir(parents=True, exist_ok=True)
    training = hash_json(
        {
            "settings": s.as_json() | {"device": ""},
            "seed": seed,
            "tiles": {name: hash_file(path) for name, path in sorted(tiles.items())},
            "markers": list(material.markers),
        }
    )
    bank = TileBank(tiles, material, s.reads)
    rounds = _Rounds(s, material, bank, splits, seed=seed)
    members, best_rounds = rounds.run(work, training, progress)
    held = [split[1] for split in splits]
    factor, figures = calibrate(members, bank, held, s)
    outliers = describe_slides(members, bank, s)
    tensors = {
        f"member{number}.{name}": tensor.detach().cpu().numpy()
        for number, member in enumerate(members)
        for name, tensor in member.state_dict().items()
    }
    tensors |= {
        "error_factor": factor,
        "outlier.centre": outliers.centre,
        "outlier.whitening": outliers.whitening,
        "outlier.threshold": np.array(outliers.threshold),
    }
    told: dict[str, Any] = {
        "seed": seed,
        "tiles": sum(h.n for h in material.headers.values()),
        "held_out_patients": len({p for own in held for p in own}),
        "best_steps": [min(r * s.round_steps, s.steps) for r in best_rounds],
        "centres_text": _centres_text(list(material.headers), centres),
        "markers": [
            row | {"patients": sum(m in there for there in material.seen.values())}
            for m, row in figures.items()
        ],
    }
    write_generator(
        Trained(
            tensors=tensors,
            markers=material.markers,
            settings=replace(s, device="auto"),
            trained_on=frozenset(tiles),
            story=told,
        ),
        work,
    )
    (work / NAME).unlink(missing_ok=True)


def _centres_text(patients: Sequence[str], centres: Mapping[str, str] | None) -> str:
    if centres is None:
        return "centres: not stated"
    names = sorted({centres[p] for p in patients if p in centres})
    if len(names) == 1:
        return (
            "centres: **one only**. What another laboratory's stain does to its maps was never "
            "seen; check them there before use"
        )
    return f"centres: {len(names)}"


class _Rounds:
    """The rounds of every member, each from where the checkpoint left it."""

    def __init__(
        self,
        settings: GeneratorSettings,
        material: Material,
        bank: TileBank,
        splits: Sequence[tuple[list[str], list[str]]],
        *,
        seed: int,
    ) -> None:
        self.s, self.material, self.bank, self.seed = settings, material, bank, seed
        self.device = device_of(settings)
        self.importance = _importance(material, settings).to(self.device)
        self.splits = splits
        self.places = [(bank.places(learn), bank.places(held)) for learn, held in splits]

    def run(
        self, work: Path, training: str, progress: Progress | None
    ) -> tuple[list[Network], tuple[int, ...]]:
        at, kept = Progressed(training=training), dict[str, Tensor]()
        resumed = load_checkpoint(work, training)
        tensors: dict[str, Tensor] | None = None
        if resumed is not None:
            at, tensors, kept = resumed
        while at.member < self.s.members:
            network, optimiser = self._start(at.member)
            averaged = copy.deepcopy(network)
            if tensors is not None:
                restore(tensors, network, averaged, optimiser)
                tensors = None
            while at.round < self.s.rounds and at.round - at.best_round < self.s.patience:
                self._round(network, averaged, optimiser, at)
                loss = self._held_out_loss(averaged, at.member)
                at = replace(at, round=at.round + 1)
                if loss < at.best_loss:
                    at = replace(at, best_loss=loss, best_round=at.round)
                    prefix = f"member{at.member}."
                    kept |= {prefix + n: t.clone() for n, t in averaged.state_dict().items()}
                save_checkpoint(work, at, (network, averaged), optimiser, kept)
                if progress is not None:
                    done = at.member * self.s.rounds + at.round
                    progress(done, self.s.members * self.s.rounds, f"held-out loss {loss:.4f}")
            at = at.next_member()
        return [self._finished(kept, n) for n in range(self.s.members)], at.best_rounds

    def _start(self, member: int) -> tuple[Network, torch.optim.Optimizer]:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(np.random.default_rng([self.seed, 2, member]).integers(2**62)))
            network = self._network().to(self.device)
        if isinstance(network, NucleusNetwork):
            network.settle(*self.bank.nuclear_units(self.splits[member][0]))
        else:
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        optimiser = torch.optim.AdamW(
            network.parameters(), lr=self.s.learning_rate, weight_decay=self.s.weight_decay
        )
        return network, optimiser

    def _network(self) -> Network:
        typical = [self.material.typical[m] for m in self.material.markers]
        return network_of(self.s, typical)

    def _finished(self, kept: dict[str, Tensor], member: int) -> Network:
        network = self._network()
        prefix = f"member{member}."
        own = {n.removeprefix(prefix): t for n, t in kept.items() if n.startswith(prefix)}
        network.load_state_dict(own)
        return network.to(self.device).eval()

    def _round(
        self,
        network: Network,
        averaged: Network,
        optimiser: torch.optim.Optimizer,
        at: Progressed,
    ) -> None:
        network.train()
        rng = np.random.default_rng([self.seed, 3, at.member, at.round])
        first = at.round * self.s.round_steps
        last = min(first + self.s.round_steps, self.s.steps)
        order = self._order(at.member, first * self.s.batch, last * self.s.batch)
        for step, (told, counted) in enumerate(
            self.bank.batches(order, self.s.batch, self.device), start=first
        ):
            share = step / self.s.steps
            for group in optimiser.param_groups:
                group["lr"] = self.s.learning_rate * _schedule(share)
            seen, targets = self._altered(network, told, counted, rng)
            loss, weight = self._loss(network, seen, targets)
            optimiser.zero_grad()
            ((loss * weight).sum() / weight.sum().clamp(min=1e-6)).backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(network.parameters(), _LARGEST_GRADIENT)
            optimiser.step()
            _average(averaged, network, step)

    def _order(self, member: int, first: int, last: int) -> list[Place]:
        """Tiles ``first`` to ``last`` of an endless row in which each returns once a pass."""
        found: list[Place] = []
        learn = self.places[member][0]
        for number in range(first, last):
            turn, place = divmod(number, len(learn))
            if not found or place == 0:
                rng = np.random.default_rng([self.seed, 4, member, turn])
                shuffled = rng.permutation(len(learn))
            found.append(learn[int(shuffled[place])])
        return found

    def _altered(
        self, network: Network, seen: Seen, targets: Targets, rng: np.random.Generator
    ) -> tuple[Seen, Targets]:
        if isinstance(seen, NucleiSeen):
            return altered_nuclei(seen, network.get_buffer("spread"), rng), targets
        return altered(seen, targets, self.s.shift, rng)

    def _loss(self, network: Network, seen: Seen, targets: Targets) -> tuple[Tensor, Tensor]:
        s = self.s
        if isinstance(seen, Tensor):
            seen = seen.contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
            density, log, _ = network(seen)
        return region_loss(
            (density, log),
            network.dispersion,
            targets,
            groups=self.material.groups,
            importance=self.importance,
            region_px=[round(r / s.spacing_um) for r in s.region_um],
            spacing_um=s.spacing_um,
        )

    def _held_out_loss(self, network: Network, member: int) -> float:
        network.eval()
        total = weights = 0.0
        with torch.inference_mode():
            for seen, targets in self.bank.batches(
                self.places[member][1], self.s.batch, self.device
            ):
                loss, weight = self._loss(network, seen, targets)
                total += float((loss * weight).sum())
                weights += float(weight.sum())
        return total / max(weights, 1e-6)


def _average(averaged: Network, network: Network, step: int) -> None:
    """Weights averaged over about the last hundred steps are those that are judged and kept.

    While steps are large the network itself is better or worse from one look to the next, by more
    than it learns between them (Izmailov et al., UAI 2018; Karras et al., CVPR 2024).
    """
    keep = min(_AVERAGE, (1 + step) / (10 + step))
    with torch.no_grad():
        for old, new in zip(
            averaged.state_dict().values(), network.state_dict().values(), strict=True
        ):
            if old.is_floating_point():
                old.lerp_(new, 1 - keep)
            else:
                old.copy_(new)


def _importance(material: Material, settings: GeneratorSettings) -> Tensor:
    """Weight of each marker, mean 1: the rarer its cells the more one of them counts.

    The error of a count's square root grows with the count, as long as the map is wrong: without
    weights the abundant markers are learnt first and the rare ones late or never.
    """
    counts = np.array([material.typical[m] for m in material.markers])
    counts = counts * settings.region_um[-1] ** 2 / 1e6
    weight = 1 / np.sqrt(counts + 1)
    return torch.tensor(weight / weight.mean(), dtype=torch.float32)


def _schedule(share: float) -> float:
    """Up over the first tenth of the steps, then down along a cosine."""
    if share < _WARM_UP:
        return max(share / _WARM_UP, 0.05)
    return 0.5 * (1 + math.cos(math.pi * (share - _WARM_UP) / (1 - _WARM_UP))) + 1e-3
