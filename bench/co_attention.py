"""Co-attention over map and H&E features beside the product's fusion, on the same folds.

    python bench/co_attention.py --replicates 10 [--patients 400] [--tiles 150]

After MICA of HEX (Nature Medicine 2026): what a map shows at a tile asks the H&E features of all
tiles, and what it gets is pooled by attention. Beside it stand attention over both without asking
(each pooled on its own, then joined), and the product's ridge and stack on the features' means and
spreads over a patient's tiles. Three planted truths of the same strength: the risk rests on the
means; on H&E features only where the map shows CD3 (what co-attention is made for); on nothing.

Every replicate draws patients, cross-validates each model on the same five folds (C within folds,
averaged) and judges it, fitted to all, on 2,000 fresh patients. Simulated features, no images:
it tells what co-attention could gain, not what it does on tissue.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import nn

from metasight.cohort.outcome import SurvivalOutcome
from metasight.features.columns import Feature, FeatureTable, Kind
from metasight.models.registry import ModelSettings, build
from metasight.validation.discrimination import harrell_c

FRESH, FOLDS = 2000, 5
HE, MAP = 24, 3
"""Features of a tile: of H&E, and of the map (tumour, CD3, CD20)."""
HORIZON = np.array([1826])
TRUTHS = ("means", "where CD3 is", "nothing")
EPOCHS, PATIENCE, BATCH = 60, 8, 64


@dataclass(frozen=True, kw_only=True)
class Cohort:
    """Patients with the features of their tiles, shape (n, tiles, HE) and (n, tiles, MAP)."""

    he: np.ndarray
    shown: np.ndarray
    time: np.ndarray
    status: np.ndarray

    def take(self, rows: np.ndarray) -> Cohort:
        """Some of them."""
        return Cohort(
            he=self.he[rows], shown=self.shown[rows], time=self.time[rows], status=self.status[rows]
        )

    @property
    def outcome(self) -> SurvivalOutcome:
        """Follow-up."""
        return SurvivalOutcome(self.time, self.status)

    @property
    def table(self) -> FeatureTable:
        """Means and spreads over tiles, as a study's table would have them."""
        columns, features = {}, []
        for modality, x in (("slide", self.he), ("spatial", self.shown)):
            for k in range(x.shape[2]):
                for how, value in (("mean", x[..., k].mean(axis=1)), ("sd", x[..., k].std(axis=1))):
                    name = f"{modality}_{k}_{how}"
                    columns[name] = value
                    features.append(Feature(name=name, kind=Kind.CONTINUOUS, modality=modality))
        index = pd.Index([f"P{k:05d}" for k in range(len(self.time))], name="patient")
        return FeatureTable(pd.DataFrame(columns, index=index), tuple(features))


def draw(n: int, tiles: int, truth: str, rng: np.random.Generator, way: np.ndarray) -> Cohort:
    """Patients whose tiles vary around their own mean; CD3 is high in a third of the tiles."""
    he = rng.normal(size=(n, tiles, HE)) + 0.4 * rng.normal(size=(n, 1, HE))
    cd3 = rng.random((n, tiles)) < rng.uniform(0.15, 0.55, (n, 1))
    own = 0.5 * rng.normal(size=(n, 1))
    he += cd3[..., None] * own[..., None] * way
    shown = np.stack(
        [
            rng.normal(size=(n, tiles)),
            np.where(cd3, 1.5, 0.0) + 0.5 * rng.normal(size=(n, tiles)),
            rng.normal(size=(n, tiles)) + 0.5 * rng.normal(size=(n, 1)),
        ],
        axis=-1,
    )
    if truth == "means":
        latent = he.mean(axis=1) @ way + shown[..., 2].mean(axis=1)
    elif truth == "nothing":
        latent = np.zeros(n)
    else:
        inside = (he * cd3[..., None]).sum(axis=1) / cd3.sum(axis=1).clip(1)[:, None]
        outside = (he * ~cd3[..., None]).sum(axis=1) / (~cd3).sum(axis=1).clip(1)[:, None]
        latent = (inside - outside) @ way
    if latent.std() > 0:
        latent = (latent - latent.mean()) / latent.std()
    event = rng.exponential(9 * 365 * np.exp(-0.8 * latent))
    end = rng.uniform(3 * 365, 9 * 365, n)
    return Cohort(
        he=he.astype(np.float32),
        shown=shown.astype(np.float32),
        time=np.ceil(np.minimum(event, end)),
        status=(event <= end).astype(np.int8),
    )


class Pooled(nn.Module):
    """Gated attention over tokens, to one vector."""

    def __init__(self, inside: int, hidden: int = 16) -> None:
        super().__init__()
        self.gate = nn.Sequential(nn.Linear(inside, hidden), nn.Tanh(), nn.Linear(hidden, 1))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Shape (n, tiles, d) to (n, d)."""
        return (torch.softmax(self.gate(tokens), dim=1) * tokens).sum(dim=1)


class Side(nn.Module):
    """Each modality pooled on its own, then joined."""

    def __init__(self, hidden: int = 16) -> None:
        super().__init__()
        self.he, self.shown = nn.Linear(HE, hidden), nn.Linear(MAP, hidden)
        self.pools = nn.ModuleList([Pooled(hidden), Pooled(hidden)])
        self.last = nn.Sequential(nn.Dropout(0.25), nn.Linear(2 * hidden, 1))

    def tokens(self, he: torch.Tensor, shown: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What is pooled."""
        return torch.relu(self.he(he)), torch.relu(self.shown(shown))

    def forward(self, he: torch.Tensor, shown: torch.Tensor) -> torch.Tensor:
        """Log hazards, shape (n,)."""
        pooled = [p(t) for p, t in zip(self.pools, self.tokens(he, shown), strict=True)]
        return self.last(torch.cat(pooled, dim=1))[:, 0]


class CoAttention(Side):
    """The map's tokens ask the H&E tokens; place tells which lies where."""

    def __init__(self, hidden: int = 16) -> None:
        super().__init__(hidden)
        self.ask, self.key, self.value = (nn.Linear(hidden, hidden) for _ in range(3))

    def tokens(self, he: torch.Tensor, shown: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """H&E as it answers, and the map."""
        tile, map_ = super().tokens(he, shown)
        # a tile's own place is added to its key, as MICA's position does: same tile, same place
        score = self.ask(map_) @ (self.key(tile) + self.ask(map_)).transpose(1, 2)
        weight = torch.softmax(score / tile.shape[2] ** 0.5, dim=2)
        return weight @ self.value(tile), map_


def cox_loss(eta: torch.Tensor, cohort: Cohort) -> torch.Tensor:
    """Breslow's negative log partial likelihood, per event."""
    order = np.argsort(-cohort.time, kind="stable")
    eta = eta[torch.from_numpy(order)]
    event = torch.from_numpy(cohort.status[order].astype(np.float32))
    return -((eta - torch.logcumsumexp(eta, dim=0)) * event).sum() / event.sum().clamp(min=1)


def fit_network(kind: type[Side], cohort: Cohort, seed: int) -> Side:
    """Trained with a fifth held out for stopping; the best state is kept."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    held = rng.permutation(len(cohort.time)) < len(cohort.time) // 5
    train, stop = cohort.take(np.flatnonzero(~held)), cohort.take(np.flatnonzero(held))
    network = kind()
    optimiser = torch.optim.Adam(network.parameters(), lr=2e-3, weight_decay=1e-3)
    best, state, since = np.inf, network.state_dict(), 0
    for _ in range(EPOCHS):
        network.train()
        for rows in np.array_split(
            rng.permutation(len(train.time)), max(len(train.time) // BATCH, 1)
        ):
            some = train.take(rows)
            optimiser.zero_grad()
            cox_loss(
                network(torch.from_numpy(some.he), torch.from_numpy(some.shown)), some
            ).backward()
            optimiser.step()
        loss = float(cox_loss(torch.from_numpy(score(network, stop)), stop))
        if loss < best:
            best, since = loss, 0
            state = {k: v.clone() for k, v in network.state_dict().items()}
        else:
            since += 1
        if since >= PATIENCE:
            break
    network.load_state_dict(state)
    return network


@torch.no_grad()
def score(network: Side, cohort: Cohort) -> np.ndarray:
    """Log hazards."""
    network.eval()
    parts = np.array_split(np.arange(len(cohort.time)), max(len(cohort.time) // 250, 1))
    return np.concatenate(
        [network(torch.from_numpy(cohort.he[p]), torch.from_numpy(cohort.shown[p])) for p in parts]
    )


def predicted(model: str, train: Cohort, seed: int, *tests: Cohort) -> list[np.ndarray]:
    """Risk of the patients of each cohort by a model fitted to another."""
    networks: dict[str, type[Side]] = {"co-attention": CoAttention, "attention, joined": Side}
    if model in networks:
        network = fit_network(networks[model], train, seed)
        return [score(network, t) for t in tests]
    kind = {"ridge": "modality_ridge", "stack": "stacked"}[model]
    settings = ModelSettings(kind=kind, name=model, modalities=("slide", "spatial"))
    fitted = build(settings).fit(train.table, train.outcome, seed=seed)
    return [fitted.predict(t.table, HORIZON)[:, 0] for t in tests]


def c_of(cohort: Cohort, risk: np.ndarray) -> float:
    """Harrell's C; one half where all risks are the same."""
    return harrell_c(cohort.time, cohort.status, risk).c if np.ptp(risk) > 0 else 0.5


MODELS = ("stack", "ridge", "attention, joined", "co-attention")


def replicate(truth: str, seed: int, asked: argparse.Namespace) -> list[dict[str, object]]:
    """Each model's C in cross-validation and in fresh patients."""
    rng = np.random.default_rng([TRUTHS.index(truth), seed])
    way = rng.normal(size=HE) / np.sqrt(HE)
    cohort = draw(asked.patients, asked.tiles, truth, rng, way)
    fresh = draw(FRESH, asked.tiles, truth, rng, way)
    fold = rng.permutation(np.arange(asked.patients) % FOLDS)
    rows: list[dict[str, object]] = []
    for model in MODELS:
        began = time.process_time()
        within = []
        for k in range(FOLDS):
            test = cohort.take(np.flatnonzero(fold == k))
            (risk,) = predicted(model, cohort.take(np.flatnonzero(fold != k)), seed, test)
            within.append(c_of(test, risk))
        (risk,) = predicted(model, cohort, seed, fresh)
        rows.append(
            {
                "truth": truth,
                "model": model,
                "folds": float(np.mean(within)),
                "fresh": c_of(fresh, risk),
                "seconds": time.process_time() - began,
            }
        )
    return rows


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--replicates", type=int, default=10)
    parser.add_argument("--patients", type=int, default=400)
    parser.add_argument("--tiles", type=int, default=150)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    print(
        f"{'truth':14}{'model':20}{'C, folds':>16}{'C, fresh':>18}{'vs ridge, fresh':>20}{'s':>7}"
    )
    for truth in TRUTHS:
        found = pd.DataFrame(
            [r for k in range(asked.replicates) for r in replicate(truth, asked.seed + k, asked)]
        )
        wide = {c: found[found["model"] == c].reset_index(drop=True) for c in MODELS}
        for model, own in wide.items():
            gap = own["fresh"] - wide["ridge"]["fresh"]
            told = [
                f"{v.mean():{sign}.3f} ± {1.96 * v.std() / np.sqrt(len(v)):.3f}"
                for v, sign in ((own["folds"], ""), (own["fresh"], ""), (gap, "+"))
            ]
            print(
                f"{truth:14}{model:20}{told[0]:>16}{told[1]:>18}{told[2]:>20}"
                f"{own['seconds'].mean():>7.0f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
