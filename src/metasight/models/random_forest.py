"""A random forest for every outcome: one event, competing events, nodal stage.

The trees are regression trees on several targets at once: pseudo-values of the cumulative
incidence at a few times (Andersen & Perme, SMMR 2010;19:71; Mogensen & Gerds, Stat Med
2013;32:3102), or the indicators of N0, N1 and N2, whose squared error is Gini's index. What a
leaf keeps is not the mean of its targets but whom it held: events, competing events and censored
patients by interval of follow-up. A prediction averages the leaves a patient falls into and takes
the actuarial Aalen–Johansen estimate of the average, so that risks lie in [0, 1] and never fall
with time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metasight.cohort.outcome import CENSORED, EVENT, NodalOutcome, Outcome, SurvivalOutcome
from metasight.features.columns import FeatureTable
from metasight.models.base import State
from metasight.models.fitted import ReaderHeadModel, require_nodal, require_survival
from metasight.models.preparation import Preparation, canonical, observed_only

N_INTERVALS = 24
"""Intervals of follow-up told apart, each with about the same number of events."""
N_TARGETS = 6
"""Interval ends at which pseudo-values are split on."""
SMALLEST_LEAF = 10
"""Distinct patients in a leaf."""
_N_CLASSES = 3


@dataclass(frozen=True, kw_only=True)
class Tree:
    """One tree as arrays; node 0 is the root.

    Attributes
    ----------
    feature, threshold
        Shape (n_nodes,): a patient goes left if ``float32(x[feature]) <= threshold``; feature is
        -1 in a leaf.
    left, right
        Shape (n_nodes,): child nodes, -1 in a leaf.
    cells, counts
        Whom the leaves held: node · width + outcome code, ascending, and how many patients,
        bootstrap multiplicity included.
    width
        Number of outcome codes.
    """

    feature: NDArray[np.int64]
    threshold: NDArray[np.float64]
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    cells: NDArray[np.int64]
    counts: NDArray[np.int64]
    width: int

    def find(self, matrix: NDArray[np.float32]) -> NDArray[np.int64]:
        """Find the leaf (node number) of each patient, shape (n,)."""
        node = np.zeros(len(matrix), dtype=np.int64)
        inner = np.flatnonzero(self.feature[node] >= 0)
        while len(inner):
            at = node[inner]
            goes_left = matrix[inner, self.feature[at]] <= self.threshold[at]
            node[inner] = np.where(goes_left, self.left[at], self.right[at])
            inner = inner[self.feature[node[inner]] >= 0]
        return node

    def shares(self) -> NDArray[np.float64]:
        """Share of each outcome code in each node, shape (n_nodes, width); 0 in inner nodes."""
        flat = np.zeros(len(self.feature) * self.width)
        flat[self.cells] = self.counts
        held = flat.reshape(len(self.feature), self.width)
        return np.asarray(held / np.maximum(held.sum(axis=1, keepdims=True), 1.0))

    @property
    def state(self) -> State:
        """Plain JSON."""
        return {
            "feature": self.feature.tolist(),
            "threshold": self.threshold.tolist(),
            "left": self.left.tolist(),
            "right": self.right.tolist(),
            "cells": self.cells.tolist(),
            "counts": self.counts.tolist(),
            "width": self.width,
        }

    @classmethod
    def from_state(cls, state: State) -> Tree:
        """Inverse of :attr:`state`."""
        return cls(
            feature=np.array(state["feature"], dtype=np.int64),
            threshold=np.array(state["threshold"], dtype=np.float64),
            left=np.array(state["left"], dtype=np.int64),
            right=np.array(state["right"], dtype=np.int64),
            cells=np.array(state["cells"], dtype=np.int64),
            counts=np.array(state["counts"], dtype=np.int64),
            width=state["width"],
        )


@dataclass(frozen=True, kw_only=True)
class ForestHead:
    """A forest whose leaves remember whom they held.

    Attributes
    ----------
    edges
        Shape (m,): ends of the follow-up intervals, ascending days; empty for nodal stage.
        Interval k covers (edges[k − 1], edges[k]].
    trees
        Outcome codes: for follow-up 3k + (0 censored, 1 event, 2 competing) in interval k, 3m
        beyond the last interval; for nodal stage 0, 1, 2.
    fit
        How the fit went (JSON data).
    """

    edges: NDArray[np.float64]
    trees: tuple[Tree, ...]
    fit: dict[str, Any]

    @property
    def state(self) -> State:
        """Plain JSON."""
        return {
            "kind": "forest",
            "edges": self.edges.tolist(),
            "trees": [t.state for t in self.trees],
            "fit": self.fit,
        }

    @classmethod
    def from_state(cls, state: State) -> ForestHead:
        """Inverse of :attr:`state`."""
        return cls(
            edges=np.array(state["edges"], dtype=np.float64),
            trees=tuple(Tree.from_state(t) for t in state["trees"]),
            fit=state["fit"],
        )

    def risk(
        self, matrix: NDArray[np.float64], horizons_days: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Cumulative incidence at each horizon, or probabilities of N0, N1, N2.

        Within an interval the cumulative incidence rises linearly; it is constant after the last
        event of the training rows.
        """
        shares = self._shares(matrix)
        if not len(self.edges):
            return np.asarray(shares / shares.sum(axis=1, keepdims=True))
        curve = np.column_stack([np.zeros(len(matrix)), aalen_johansen(shares)])
        days = np.minimum(np.asarray(horizons_days, dtype=np.float64), self.edges[-1])
        knots = np.concatenate([[0.0], self.edges])
        k = np.clip(np.searchsorted(knots, days, side="left"), 1, len(self.edges))
        part = (days - knots[k - 1]) / (knots[k] - knots[k - 1])
        return np.asarray(curve[:, k - 1] + part * (curve[:, k] - curve[:, k - 1]))

    def score(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        """Log odds of the event by the end of follow-up, or of a positive node, shape (n, 1)."""
        if len(self.edges):
            risk = self.risk(matrix, np.array([int(self.edges[-1]) + 1]))[:, 0]
        else:
            risk = 1.0 - self.risk(matrix, np.array([], dtype=np.int64))[:, 0]
        risk = np.clip(risk, 1e-6, 1.0 - 1e-6)
        return np.asarray(np.log(risk / (1.0 - risk))[:, None])

    def _shares(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        """Mean share of each outcome code over the trees; every tree has the same say."""
        single = matrix.astype(np.float32)
        total = np.zeros((len(matrix), self.trees[0].width))
        for tree in self.trees:
            total += tree.shares()[tree.find(single)]
        return total / len(self.trees)


def aalen_johansen(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Actuarial Aalen–Johansen estimate from weights by interval.

    Parameters
    ----------
    shares
        Shape (n, 3m + 1): for each of n estimates the weight of patients censored, with the
        event, with the competing event in each interval, and beyond.

    Returns
    -------
    Shape (n, m): cumulative incidence of the event at the end of each interval. Patients
    censored within an interval count half in it.
    """
    by_interval = shares[:, :-1].reshape(len(shares), -1, 3)
    leaving = by_interval.sum(axis=2)
    total = leaving.sum(axis=1) + shares[:, -1]
    entering = total[:, None] - np.cumsum(leaving, axis=1) + leaving
    at_risk = entering - 0.5 * by_interval[:, :, 0]
    # Rounding may leave 1e-17 of a patient at risk.
    safe = np.where(at_risk > 1e-9 * total[:, None], at_risk, np.inf)
    event, competing = by_interval[:, :, 1] / safe, by_interval[:, :, 2] / safe
    survival = np.cumprod(np.clip(1.0 - event - competing, 0.0, 1.0), axis=1)
    before = np.column_stack([np.ones(len(shares)), survival[:, :-1]])
    return np.asarray(np.clip(np.cumsum(before * event, axis=1), 0.0, 1.0))


def interval_edges(follow_up: SurvivalOutcome) -> NDArray[np.float64]:
    """Interval ends: event times that split the events into at most :data:`N_INTERVALS` parts."""
    times = np.sort(follow_up.time_days[follow_up.status == EVENT])
    at = np.linspace(0, len(times), min(N_INTERVALS, len(times)) + 1)[1:].round().astype(int) - 1
    return np.unique(times[at])


def outcome_codes(follow_up: SurvivalOutcome, edges: NDArray[np.float64]) -> NDArray[np.int64]:
    """Outcome code of each patient, see :class:`ForestHead`; shape (n,)."""
    interval = np.searchsorted(edges, follow_up.time_days, side="left")
    # Whoever is followed up to the very end of the last interval is not censored within it.
    whole = (follow_up.status == CENSORED) & (follow_up.time_days >= edges[-1])
    interval = np.where(whole, len(edges), interval)
    code = 3 * interval + follow_up.status
    return np.asarray(np.minimum(code, 3 * len(edges)), dtype=np.int64)


def pseudo_values(codes: NDArray[np.int64], n_intervals: int) -> NDArray[np.float64]:
    """Jackknife pseudo-values of the cumulative incidence, shape (n, ≤ N_TARGETS).

    n·F − (n − 1)·F₋ᵢ at evenly spaced interval ends; patients of one outcome code have the same
    value, so at most 3m + 1 estimates are made however many patients there are.
    """
    n = len(codes)
    held = np.bincount(codes, minlength=3 * n_intervals + 1).astype(np.float64)
    seen = np.flatnonzero(held)
    without = np.tile(held, (len(seen), 1))
    without[np.arange(len(seen)), seen] -= 1.0
    value = n * aalen_johansen(held[None, :]) - (n - 1) * aalen_johansen(without)
    at = np.unique(np.linspace(0, n_intervals, N_TARGETS + 1)[1:].round().astype(int) - 1)
    by_code = np.zeros((len(held), len(at)))
    by_code[seen] = value[:, at]
    return np.asarray(by_code[codes])


@dataclass(frozen=True, kw_only=True)
class ForestModel:
    """Random forest of any outcome.

    Attributes
    ----------
    name
        As it appears in predictions and report.
    preparation
        Features, imputation and design.
    n_trees
        Trees; each draws a bootstrap sample and, at each node, √p columns.
    """

    name: str
    preparation: Preparation
    n_trees: int = 200

    def fit(self, table: FeatureTable, outcome: Outcome, *, seed: int) -> ReaderHeadModel:
        """Grow the trees; ``seed`` draws the bootstrap samples and the columns.

        Raises
        ------
        FitError
            No event, nobody examined, or one class only.
        """
        if isinstance(outcome, NodalOutcome):
            stage = require_nodal(outcome, self.name)
            table, stage = observed_only(*canonical(table, stage))
            events = stage.n_events
            reader = self.preparation.fit(table, stage)
            codes, edges = stage.stage.astype(np.int64), np.empty(0)
            targets = np.eye(_N_CLASSES)[codes]
            width = _N_CLASSES
        else:
            table, follow_up = canonical(table, require_survival(outcome, self.name))
            events = follow_up.n_events
            reader = self.preparation.fit(table, follow_up)
            edges = interval_edges(follow_up)
            codes = outcome_codes(follow_up, edges)
            targets = pseudo_values(codes, len(edges))
            width = 3 * len(edges) + 1
        trees = grow(
            reader.matrix(table), targets, codes, width=width, n_trees=self.n_trees, seed=seed
        )
        fit = {"n": len(codes), "events": events, "n_trees": self.n_trees}
        head = ForestHead(edges=edges, trees=trees, fit=fit)
        return ReaderHeadModel("forest", self.name, reader, head, reader.notes)


def grow(
    matrix: NDArray[np.float64],
    targets: NDArray[np.float64],
    codes: NDArray[np.int64],
    *,
    width: int,
    n_trees: int,
    seed: int,
) -> tuple[Tree, ...]:
    """Grow the trees on ``targets`` and count ``codes`` in their leaves.

    Parameters
    ----------
    matrix
        Shape (n, p).
    targets
        Shape (n, k): what splits are chosen by.
    codes
        Shape (n,): what leaves count, below ``width``.
    width, n_trees, seed
        Number of codes, of trees, and the seed.
    """
    from sklearn.ensemble import RandomForestRegressor

    single = matrix.astype(np.float32)
    forest = RandomForestRegressor(
        n_estimators=n_trees,
        min_samples_leaf=min(SMALLEST_LEAF, max(1, len(matrix) // 10)),
        max_features="sqrt",
        n_jobs=1,
        random_state=seed,
    ).fit(single, targets)
    trees = []
    for estimator, drawn in zip(forest.estimators_, forest.estimators_samples_, strict=True):
        nodes = estimator.tree_
        cells, counts = np.unique(
            nodes.apply(single)[drawn] * width + codes[drawn], return_counts=True
        )
        trees.append(
            Tree(
                feature=np.where(nodes.children_left < 0, -1, nodes.feature).astype(np.int64),
                threshold=np.where(nodes.children_left < 0, 0.0, nodes.threshold),
                left=nodes.children_left.astype(np.int64),
                right=nodes.children_right.astype(np.int64),
                cells=cells.astype(np.int64),
                counts=counts.astype(np.int64),
                width=width,
            )
        )
    return tuple(trees)
