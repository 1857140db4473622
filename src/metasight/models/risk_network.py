"""A small network from a bag of patches and blocks of columns to a log risk.

Gated attention (Ilse, Tomczak and Welling, ICML 2018) turns a bag into one vector, which is
joined with the columns of the other modalities; a modality that a patient lacks, or that training
drops at random (Neverova et al., TPAMI 2016), counts as zero. The log risk is linear in what is
joined plus a hidden layer of it, and begins at nothing. Two losses: the Cox partial likelihood
of each cause, and the likelihood of discrete time (Gensheimer and Narasimhan, PeerJ 2019;7:e6257,
with one more outcome for the competing event).

Training needs torch; what was learnt is arrays, and predicting needs numpy only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from metasight.cohort.outcome import COMPETING, EVENT, SurvivalOutcome
from metasight.engine.threads import one_torch_thread

if TYPE_CHECKING:
    import torch

Floats = NDArray[np.float32]
Weights = dict[str, Floats]
Loss = Literal["cox", "discrete"]


@dataclass(frozen=True, kw_only=True)
class NetworkSettings:
    """Size and training of the network; the defaults suit a few hundred patients.

    Attributes
    ----------
    loss
        ``cox`` or ``discrete`` time.
    width
        Of the attention's and the hidden layer.
    epochs
        Most passes over the patients; the best number is chosen on held-out folds.
    patches
        Of a bag in one pass, drawn anew.
    learning_rate, weight_decay, dropout
        Of AdamW, of the weights, of joined and hidden values.
    modality_dropout
        Chance that a modality is left out for a patient in one pass, where there are several.
    intervals
        Of discrete time, at quantiles of the event times.
    """

    loss: Loss = "cox"
    width: int = 32
    epochs: int = 60
    patches: int = 256
    learning_rate: float = 3e-3
    weight_decay: float = 3e-2
    dropout: float = 0.25
    modality_dropout: float = 0.3
    intervals: int = 8


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What the network reads of n patients.

    Attributes
    ----------
    bags
        n arrays ``(patches, components)``; None where a patient has no slide. Empty where the
        network reads no bag.
    blocks
        One array ``(n, columns)`` a modality; a row of NaN where a patient lacks it.
    """

    bags: tuple[Floats | None, ...] = ()
    blocks: tuple[Floats, ...] = ()

    def __len__(self) -> int:
        return len(self.bags) if self.bags else len(self.blocks[0])

    def take(self, rows: NDArray[np.intp]) -> Inputs:
        """Some patients."""
        return Inputs(
            bags=tuple(self.bags[i] for i in rows) if self.bags else (),
            blocks=tuple(b[rows] for b in self.blocks),
        )


@dataclass(frozen=True, kw_only=True)
class Target:
    """What the network is to learn: time and cause, and for discrete time the interval.

    Attributes
    ----------
    time_days, cause
        Shape (n,): cause 0 censored, 1 event, 2 competing event.
    causes
        How many causes there are.
    cuts_days
        Ends of the intervals of discrete time.
    """

    time_days: NDArray[np.float64]
    cause: NDArray[np.int64]
    causes: int
    cuts_days: NDArray[np.float64]

    @classmethod
    def of(cls, follow_up: SurvivalOutcome, settings: NetworkSettings) -> Target:
        """Of training patients; the cuts lie at quantiles of their event times."""
        cause = np.zeros(len(follow_up), dtype=np.int64)
        cause[follow_up.status == EVENT] = 1
        causes = 1
        if follow_up.competing:
            cause[follow_up.status == COMPETING] = 2
            causes = 2
        times = follow_up.time_days[cause > 0]
        at = np.linspace(0, 1, settings.intervals + 1)[1:]
        return cls(
            time_days=follow_up.time_days,
            cause=cause,
            causes=causes,
            cuts_days=np.unique(np.quantile(times, at)),
        )

    def take(self, rows: NDArray[np.intp]) -> Target:
        """Some patients; cuts stay."""
        return Target(
            time_days=self.time_days[rows],
            cause=self.cause[rows],
            causes=self.causes,
            cuts_days=self.cuts_days,
        )


@dataclass(frozen=True)
class Trained:
    """A course of training.

    Attributes
    ----------
    weights
        One set an epoch; the first before any step.
    losses
        Loss on the held-out patients at each.
    """

    weights: list[Weights]
    losses: NDArray[np.float64]


# ------------------------------------------------------------------ what was learnt, in numpy


def attention(weights: Mapping[str, Floats], bag: Floats) -> Floats:
    """Share of attention of each patch, shape (patches,), sums to 1."""
    gate = np.tanh(bag @ weights["tanh.w"].T + weights["tanh.b"])
    gate /= 1 + np.exp(-(bag @ weights["gate.w"].T + weights["gate.b"]))
    score = gate @ weights["score.w"][0]
    share = np.exp(score - score.max())
    return np.asarray(share / share.sum(), dtype=np.float32)


def log_risks(weights: Mapping[str, Floats], inputs: Inputs, causes: int) -> NDArray[np.float64]:
    """Log risk of each cause, shape (n, causes).

    For discrete time: the log odds of the hazard, averaged over the intervals.
    """
    parts: list[Floats] = []
    if inputs.bags:
        pooled = np.zeros((len(inputs), weights["tanh.w"].shape[1]), dtype=np.float32)
        for i, bag in enumerate(inputs.bags):
            if bag is not None:
                pooled[i] = attention(weights, bag) @ bag
        parts.append(pooled)
    for block in inputs.blocks:
        lacking = np.asarray(np.isnan(block).any(axis=1))
        parts.append(np.where(lacking[:, None], np.float32(0), block))
    joined: Floats = np.concatenate(parts, axis=1)
    hidden = np.maximum(joined @ weights["hidden.w"].T + weights["hidden.b"], 0)
    out = np.concatenate([joined, hidden], axis=1) @ weights["out.w"].T + weights["out.b"]
    by_cause = np.asarray(out, dtype=np.float64).reshape(len(out), causes, -1)
    return np.asarray(by_cause.mean(axis=2))


# ------------------------------------------------------------------ training, in torch


@contextmanager
def _repeatable(seed: int) -> Iterator[torch.Generator]:
    """One thread and a generator of its own: the same numbers on every machine of one kind."""
    import torch

    with one_torch_thread():
        yield torch.Generator().manual_seed(seed)


def train(
    inputs: Inputs,
    target: Target,
    held: tuple[Inputs, Target],
    settings: NetworkSettings,
    *,
    seed: int,
) -> Trained:
    """Train for all epochs; the loss on ``held`` says afterwards which was best.

    Parameters
    ----------
    inputs, target
        Training patients.
    held
        Held-out patients: they are looked at, never learnt from.
    settings, seed
        Size and training; first weights, order and dropout.
    """
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    with _repeatable(seed) as draw:
        weights = _first_weights(inputs, target, settings, draw)
        tensors = {
            k: torch.tensor(v, device=device, requires_grad=True) for k, v in weights.items()
        }
        decayed = [v for k, v in tensors.items() if k.endswith(".w")]
        free = [v for k, v in tensors.items() if not k.endswith(".w")]
        optimiser = torch.optim.AdamW(
            [
                {"params": decayed, "weight_decay": settings.weight_decay},
                {"params": free, "weight_decay": 0.0},
            ],
            lr=settings.learning_rate,
        )
        course, losses = [weights], [_held_loss(weights, *held, settings)]
        for _ in range(settings.epochs):
            optimiser.zero_grad()
            out = _forward(tensors, inputs, settings, draw, device)
            loss = _loss(out, target, settings)
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            now = {k: v.detach().cpu().numpy().copy() for k, v in tensors.items()}
            course.append(now)
            losses.append(_held_loss(now, *held, settings))
    return Trained(course, np.array(losses))


def _first_weights(
    inputs: Inputs, target: Target, settings: NetworkSettings, draw: torch.Generator
) -> Weights:
    import torch

    def layer(name: str, inside: int, out: int, gain: float = 1.0) -> Weights:
        spread = gain * (2.0 / inside) ** 0.5
        drawn = torch.randn(out, inside, generator=draw) * spread
        return {f"{name}.w": drawn.numpy(), f"{name}.b": np.zeros(out, dtype=np.float32)}

    width = settings.width
    weights: Weights = {}
    joined = sum(block.shape[1] for block in inputs.blocks)
    if inputs.bags:
        components = next(b.shape[1] for b in inputs.bags if b is not None)
        joined += components
        weights |= layer("tanh", components, width, 0.7)
        weights |= layer("gate", components, width, 0.7)
        weights["score.w"] = np.zeros((1, width), dtype=np.float32)  # begins as the mean
    weights |= layer("hidden", joined, width)
    intervals = len(target.cuts_days) if settings.loss == "discrete" else 1
    out = target.causes * intervals
    # Begins as no risk at all: what the first steps learn is close to a regression.
    weights["out.w"] = np.zeros((out, joined + width), dtype=np.float32)
    weights["out.b"] = np.full(out, -np.log(2.0 * intervals), dtype=np.float32)
    return weights


def _forward(
    weights: Mapping[str, torch.Tensor],
    inputs: Inputs,
    settings: NetworkSettings,
    draw: torch.Generator,
    device: str,
) -> torch.Tensor:
    import torch

    def thinned(hidden: torch.Tensor) -> torch.Tensor:
        keep = torch.rand(hidden.shape, generator=draw).to(device) >= settings.dropout
        return hidden * keep / (1 - settings.dropout)

    parts: list[torch.Tensor] = []
    present: list[torch.Tensor] = []
    if inputs.bags:
        bag, real, there = _drawn_patches(inputs.bags, settings.patches, draw)
        bag = bag.to(device)
        gate = torch.tanh(bag @ weights["tanh.w"].T + weights["tanh.b"]) * torch.sigmoid(
            bag @ weights["gate.w"].T + weights["gate.b"]
        )
        score = (gate @ weights["score.w"].T)[..., 0].masked_fill(~real.to(device), -1e9)
        parts.append((score.softmax(dim=1)[..., None] * bag).sum(dim=1))
        present.append(there)
    for block in inputs.blocks:
        parts.append(torch.from_numpy(np.nan_to_num(block)).to(device))
        present.append(torch.from_numpy(~np.isnan(block).any(axis=1)))
    for number, there in enumerate(present):
        kept = there.float()
        if len(parts) > 1:
            kept *= torch.rand(len(there), generator=draw) >= settings.modality_dropout
        parts[number] = thinned(parts[number]) * kept[:, None].to(device)
    joined = torch.cat(parts, dim=1)
    hidden = thinned(torch.relu(joined @ weights["hidden.w"].T + weights["hidden.b"]))
    return torch.cat([joined, hidden], dim=1) @ weights["out.w"].T + weights["out.b"]


def _drawn_patches(
    bags: Sequence[Floats | None], patches: int, draw: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Patches of every bag ``(n, patches, components)``, which are real, and who has a bag."""
    import torch

    widest = min(patches, max(len(b) for b in bags if b is not None))
    components = next(b.shape[1] for b in bags if b is not None)
    out = torch.zeros(len(bags), widest, components)
    real = torch.zeros(len(bags), widest, dtype=torch.bool)
    real[:, 0] = True
    for i, bag in enumerate(bags):
        if bag is None:
            continue
        n = min(widest, len(bag))
        rows = torch.randperm(len(bag), generator=draw)[:n]
        out[i, :n] = torch.from_numpy(bag)[rows]
        real[i, :n] = True
    return out, real, torch.tensor([b is not None for b in bags])


def _held_loss(
    weights: Weights, inputs: Inputs, target: Target, settings: NetworkSettings
) -> float:
    """Loss per held-out event, of the log risks as they are predicted."""
    scores = log_risks(weights, inputs, target.causes)
    total, events = 0.0, 0
    for cause in range(target.causes):
        of_cause = target.cause == cause + 1
        events += int(of_cause.sum())
        total += _partial_likelihood_loss(scores[:, cause], target.time_days, of_cause)
    return total / max(events, 1)


def _partial_likelihood_loss(
    score: NDArray[np.float64], time_days: NDArray[np.float64], event: NDArray[np.bool_]
) -> float:
    order = np.argsort(-time_days, kind="stable")
    at_risk = np.logaddexp.accumulate(score[order])
    last = np.searchsorted(-time_days[order], -time_days[order], side="right") - 1
    return float(-(score[order] - at_risk[last])[event[order]].sum())


def _loss(out: torch.Tensor, target: Target, settings: NetworkSettings) -> torch.Tensor:
    return _discrete_loss(out, target) if settings.loss == "discrete" else _cox_loss(out, target)


def _cox_loss(out: torch.Tensor, target: Target) -> torch.Tensor:
    """Negative log partial likelihood (Breslow) per event, summed over causes."""
    import torch

    order = np.argsort(-target.time_days, kind="stable")
    time = target.time_days[order]
    last = torch.from_numpy(np.searchsorted(-time, -time, side="right") - 1).to(out.device)
    total = out.new_zeros(())
    for cause in range(target.causes):
        event = torch.from_numpy(target.cause[order] == cause + 1).to(out.device)
        if not bool(event.any()):
            continue
        score = out[torch.from_numpy(order).to(out.device), cause]
        at_risk = torch.logcumsumexp(score, dim=0)[last]
        total = total - (score - at_risk)[event].mean()
    return total


def _discrete_loss(out: torch.Tensor, target: Target) -> torch.Tensor:
    """Negative log-likelihood per patient of which event, if any, ends in which interval.

    A censored patient counts for the intervals that were passed whole.
    """
    import torch

    n, width = len(out), len(target.cuts_days)
    logits = out.reshape(n, target.causes, width)
    logits = torch.cat([torch.zeros_like(logits[:, :1]), logits], dim=1).log_softmax(dim=1)
    ends = np.searchsorted(target.cuts_days, target.time_days, side="left")
    ends = np.where(target.cause > 0, np.minimum(ends, width - 1), ends)
    passed = torch.from_numpy(np.arange(width)[None, :] < ends[:, None]).to(out.device)
    total = -(logits[:, 0] * passed).sum()
    rows = np.flatnonzero(target.cause > 0)
    picked = logits[
        torch.from_numpy(rows), torch.from_numpy(target.cause[rows]), torch.from_numpy(ends[rows])
    ]
    return (total - picked.sum()) / n


def weights_to_json(weights: Mapping[str, Floats]) -> dict[str, Any]:
    """Plain data, exact."""
    return {k: v.astype(np.float64).tolist() for k, v in weights.items()}


def weights_from_json(state: Mapping[str, Any]) -> Weights:
    """Inverse of :func:`weights_to_json`."""
    return {k: np.array(v, dtype=np.float32) for k, v in state.items()}
