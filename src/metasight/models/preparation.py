"""The first half of every model: which features, how gaps are filled, which columns result.

A *reader* turns a feature table into the matrix that a model's *head* (hazards, class
probabilities, forest) works on. Both are fitted on training rows only and live in one state.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from metasight.cohort.outcome import NodalOutcome, Outcome, SurvivalOutcome
from metasight.errors import FitError
from metasight.features.clinical import Design, FittedDesign, independent
from metasight.features.columns import CENTRE, FeatureTable, Kind
from metasight.features.harmonise import FEWEST_OF_A_CENTRE, Harmonisation
from metasight.features.harmonise import fit as fit_harmonisation
from metasight.features.missing import FittedImputer, Imputer
from metasight.features.skewness import Logarithms
from metasight.models.base import State
from metasight.models.selection import strongest

OutcomeT = TypeVar("OutcomeT", SurvivalOutcome, NodalOutcome)


class Reader(Protocol):
    """Turns a feature table into a matrix, with what it learnt from training rows."""

    @property
    def state(self) -> State:
        """Plain JSON; ``kind`` names the class."""
        ...

    @property
    def columns(self) -> list[str]:
        """Names of the matrix's columns."""
        ...

    def matrix(self, table: FeatureTable) -> NDArray[np.float64]:
        """Shape (n, p), no value missing."""
        ...


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """Which features a model reads and how.

    Attributes
    ----------
    modalities
        Modalities kept.
    features
        Explicit names within those modalities; ``None`` keeps all.
    imputer, design
        See :mod:`metasight.features.missing` and :mod:`metasight.features.clinical`.
    top_k
        Columns kept by a univariable screen (:mod:`metasight.models.selection`); ``None``: all.
    full_rank
        Whether columns that are linear combinations of earlier ones are dropped (and noted), as
        R's ``coxph`` and ``glm`` do; needed without a penalty.
    harmonise
        Modalities whose differences between centres are taken out first (ComBat,
        :mod:`metasight.features.harmonise`), learnt from training patients.
    least_reliability
        Features that come with their error of measurement are read only where at least this
        share of their variance in training is not error; ``None`` reads all.
    logarithms
        Whether right-skewed features are read by their logarithm
        (:mod:`metasight.features.skewness`): after harmonising, before values are drawn in for
        their error and gaps filled, which both then happen on that scale.
    distinct
        Whether a column that equals an earlier one is dropped (and noted): a patient without a
        modality lacks all its features, and one indicator says so.
    """

    modalities: Sequence[str]
    features: Sequence[str] | None = None
    imputer: Imputer = field(default_factory=Imputer)
    design: Design = field(default_factory=Design)
    top_k: int | None = None
    full_rank: bool = False
    harmonise: Sequence[str] = ()
    least_reliability: float | None = None
    logarithms: bool = False
    distinct: bool = False

    def select(self, table: FeatureTable) -> FeatureTable:
        """Pick the model's own features, by name in alphabetical order.

        Raises
        ------
        FitError
            A feature asked for is absent, none is left, or one is a key of images.
        """
        own = table.of_modality(self.modalities).without_errors()
        if self.features is not None:
            absent = sorted(set(self.features) - {f.name for f in own.features})
            if absent:
                raise FitError(
                    "a feature that the model asks for is not in the table",
                    where="model features",
                    value=", ".join(absent),
                    remedy="Correct the model's feature list or its modalities",
                )
        wanted = None if self.features is None else set(self.features)
        kept = sorted(
            (f for f in own.features if wanted is None or f.name in wanted), key=lambda f: f.name
        )
        images = [f for f in kept if f.kind.is_key]
        if images:
            bag = images[0].kind is Kind.BAG
            what, network = (
                ("patch features", "attention_mil") if bag else ("crops of lesions", "scan_network")
            )
            raise FitError(
                f"the model cannot read {what}",
                where="model features",
                value=", ".join(f.name for f in images),
                remedy=f"Choose {network}, or stacked",
            )
        if not kept:
            raise FitError(
                "the model has no feature to read",
                where="model features",
                value=", ".join(self.modalities),
                remedy="Add a table with these modalities or change the model's modalities",
            )
        return FeatureTable(own.values[[f.name for f in kept]], tuple(kept))

    def fit(self, table: FeatureTable, outcome: Outcome) -> FittedPreparation:
        """Learn fills, columns and the screen from the rows of ``table``.

        ``outcome`` sets the number of spline knots and is what the screen looks at; every
        patient of a nodal outcome was examined.
        """
        harmony, notes = CentreEffects.of(self.select(table), table, self.harmonise)
        table = harmony.apply(table)
        logarithms = Logarithms.of(self.select(table)) if self.logarithms else None
        if logarithms is not None:
            table = logarithms.apply(table)
        shrinkage = Shrinkage.of(self.select(table), table)
        own = self.select(shrinkage.apply(table))
        unreliable = shrinkage.below(self.least_reliability)
        if unreliable:
            own = _without(own, unreliable)
            notes.append(
                f"{len(unreliable)} features excluded: less than "
                f"{self.least_reliability:g} of their variance is not error"
            )
        imputer = self.imputer.fit(own)
        complete = imputer.transform(own)
        design = self.design.fit(complete, effective_n=effective_size(outcome))
        matrix = design.transform(complete)
        chosen = np.arange(matrix.shape[1])
        notes += [*imputer.state["notes"], *design.state["notes"]]
        if self.distinct:
            chosen = np.sort(np.unique(matrix, axis=1, return_index=True)[1])
            if len(chosen) < matrix.shape[1]:
                lost_count = matrix.shape[1] - len(chosen)
                notes.append(f"{lost_count} columns are equal to others and were dropped")
        if self.top_k is not None and self.top_k < len(chosen):
            chosen = chosen[strongest(matrix[:, chosen], outcome, self.top_k)]
            notes.append(f"{self.top_k} of {matrix.shape[1]} columns kept by the screen")
        if self.full_rank:
            free = chosen[independent(matrix[:, chosen])]
            lost = [design.columns[j] for j in chosen if j not in free]
            notes += [f"{name}: determined by other columns, dropped" for name in lost]
            chosen = free
        return FittedPreparation(
            imputer, design, chosen, tuple(notes), shrinkage, harmony, logarithms
        )


def _without(table: FeatureTable, names: Sequence[str]) -> FeatureTable:
    """The table without some features.

    Raises
    ------
    FitError
        None is left.
    """
    kept = tuple(f for f in table.features if f.name not in set(names))
    if not kept:
        raise FitError(
            "no feature is reliable enough",
            where="model features",
            remedy="Lower least_reliability, or leave the modality out",
        )
    return FeatureTable(table.values[[f.name for f in kept]], kept)


@dataclass(frozen=True)
class CentreEffects:
    """Differences between centres that are taken out of features.

    Attributes
    ----------
    learnt
        From training patients; None where there is nothing to take out.
    """

    learnt: Harmonisation | None = None

    @classmethod
    def of(
        cls, own: FeatureTable, table: FeatureTable, modalities: Sequence[str]
    ) -> tuple[CentreEffects, list[str]]:
        """Learn from the rows of ``table`` for continuous features of ``own``; and what to note.

        Raises
        ------
        FitError
            The table does not tell the centre.
        """
        names = [
            f.name for f in own.features if f.modality in modalities and f.kind is Kind.CONTINUOUS
        ]
        if not names:
            return cls(), []
        if CENTRE not in table.values:
            raise FitError(
                "the features do not include the centre, which harmonisation needs",
                where="model features",
                remedy="Map centre in [columns]",
            )
        centre = [str(c) for c in table.values[CENTRE]]
        enough = [c for c in set(centre) if centre.count(c) >= FEWEST_OF_A_CENTRE]
        if len(enough) < 2:
            return cls(), ["one centre in training: nothing was harmonised"]
        learnt = fit_harmonisation(table.values[names].astype(float), centre)
        notes = [f"{f}: {why}, not harmonised" for f, why in sorted(learnt.untouched.items())]
        return cls(learnt), notes

    @property
    def state(self) -> State:
        """Plain JSON."""
        return {} if self.learnt is None else self.learnt.state

    @classmethod
    def from_state(cls, state: State) -> CentreEffects:
        """Inverse of :attr:`state`."""
        return cls(Harmonisation.from_state(state) if state else None)

    def apply(self, table: FeatureTable) -> FeatureTable:
        """The table without the centres' effects; patients of an unseen centre pass unchanged."""
        if self.learnt is None:
            return table
        names = list(self.learnt.features)
        centre = [str(c) for c in table.values[CENTRE]]
        found = self.learnt.apply(table.values[names].astype(float), centre, unseen="pass")
        values = table.values.copy()
        values[names] = found.values
        scale = self.learnt.error_scale(centre)
        for feature in table.features:
            if feature.error_of in names:
                values[feature.name] *= scale[:, names.index(feature.error_of)]
        return FeatureTable(values, table.features)


_LEAST_SIGNAL = 0.05
"""Share of a feature's variance that is taken to be real however large its stated error."""


@dataclass(frozen=True)
class Shrinkage:
    """Values that are poorly known are drawn towards the training mean.

    A value measured with standard error e stands for its best linear guess
    m + (x − m) τ² / (τ² + e²), τ² being the variance of what was measured without its error
    (regression calibration; Carroll et al., Measurement Error in Nonlinear Models, 2006, ch. 4).

    Attributes
    ----------
    learnt
        Feature → (column of its error, m, τ²).
    reliability
        Feature → share of its variance in training that is not error; of a fit, not kept.
    """

    learnt: dict[str, tuple[str, float, float]] = field(default_factory=dict)
    reliability: dict[str, float] = field(default_factory=dict, compare=False)

    @classmethod
    def of(cls, own: FeatureTable, table: FeatureTable) -> Shrinkage:
        """Learn from the rows of ``table`` for the features of ``own``."""
        names = {f.name for f in own.features}
        learnt: dict[str, tuple[str, float, float]] = {}
        reliability: dict[str, float] = {}
        for feature in table.features:
            if feature.error_of not in names:
                continue
            value = table.values[feature.error_of].to_numpy(dtype=float)
            error = table.values[feature.name].to_numpy(dtype=float)
            known = np.isfinite(value) & np.isfinite(error)
            if known.sum() < 2:
                continue
            variance = float(value[known].var(ddof=1))
            signal = max(variance - float((error[known] ** 2).mean()), _LEAST_SIGNAL * variance)
            if signal > 0:
                learnt[feature.error_of] = (feature.name, float(value[known].mean()), signal)
                reliability[feature.error_of] = float(signal / variance)
        return cls(learnt, reliability)

    def below(self, least: float | None) -> list[str]:
        """Features of which a smaller share of the variance than ``least`` is not error."""
        if least is None:
            return []
        return sorted(name for name, share in self.reliability.items() if share < least)

    @property
    def state(self) -> State:
        """Plain JSON."""
        return {name: list(parts) for name, parts in self.learnt.items()}

    @classmethod
    def from_state(cls, state: State) -> Shrinkage:
        """Inverse of :attr:`state`."""
        return cls({name: (c, m, v) for name, (c, m, v) in state.items()})

    def apply(self, table: FeatureTable) -> FeatureTable:
        """The table with its poorly known values drawn in; a value without an error stays."""
        if not self.learnt:
            return table
        values = table.values.copy()
        for name, (column, mean, signal) in self.learnt.items():
            error = np.nan_to_num(values[column].to_numpy(dtype=float))
            values[name] = mean + (values[name] - mean) * signal / (signal + error**2)
        return FeatureTable(values, table.features)


@dataclass(frozen=True)
class FittedPreparation:
    """Imputation, design matrix and screen learnt from training rows.

    Attributes
    ----------
    imputer, design
        The two transformers.
    chosen
        Shape (p,): positions of the design's columns that the head reads.
    notes
        What was dropped or could not be done as asked.
    shrinkage
        Of features that come with an error.
    harmony
        Of features whose differences between centres are taken out.
    logarithms
        Of right-skewed features; None where none were asked for.
    """

    imputer: FittedImputer
    design: FittedDesign
    chosen: NDArray[np.intp]
    notes: tuple[str, ...]
    shrinkage: Shrinkage = field(default_factory=Shrinkage)
    harmony: CentreEffects = field(default_factory=CentreEffects)
    logarithms: Logarithms | None = None

    @property
    def state(self) -> State:
        """Plain JSON."""
        asked = {} if self.logarithms is None else {"logarithms": self.logarithms.state}
        return {
            "kind": "preparation",
            "imputer": self.imputer.state,
            "design": self.design.state,
            "chosen": self.chosen.tolist(),
            "notes": list(self.notes),
            "shrinkage": self.shrinkage.state,
            "harmony": self.harmony.state,
            **asked,
        }

    @classmethod
    def from_state(cls, state: State) -> FittedPreparation:
        """Inverse of :attr:`state`."""
        return cls(
            FittedImputer(state["imputer"]),
            FittedDesign(state["design"]),
            np.array(state["chosen"], dtype=np.intp),
            tuple(state["notes"]),
            Shrinkage.from_state(state["shrinkage"]),
            CentreEffects.from_state(state["harmony"]),
            Logarithms.from_state(state["logarithms"]) if "logarithms" in state else None,
        )

    @property
    def columns(self) -> list[str]:
        """Names of the matrix's columns; of a logarithm ``log(size_mm)``."""
        every = self.design.columns
        names = [every[j] for j in self.chosen]
        if self.logarithms is None:
            return names
        named = self.logarithms.named
        return [named(c, owner) for c, owner in zip(names, self.owners, strict=True)]

    @property
    def modalities(self) -> list[str]:
        """Modality of each column."""
        return [self.design.state["modalities"][j] for j in self.chosen]

    @property
    def owners(self) -> list[str]:
        """Feature that each column belongs to."""
        every = self.design.owners
        return [every[j] for j in self.chosen]

    def complete(self, table: FeatureTable) -> FeatureTable:
        """The features as the design reads them.

        Harmonised, their logarithm where one is read, shrunk, and no value missing.
        """
        table = self.harmony.apply(table)
        if self.logarithms is not None:
            table = self.logarithms.apply(table)
        return self.imputer.transform(self.shrinkage.apply(table))

    def matrix(self, table: FeatureTable) -> NDArray[np.float64]:
        """Standardised columns, shape (n, p)."""
        return self.design.transform(self.complete(table))[:, self.chosen]

    def per_unit(self, coefficients: NDArray[np.float64]) -> dict[str, float]:
        """Coefficients of the matrix's columns per unit of each, by column name."""
        scale = np.array(self.design.state["scale"])[self.chosen]
        return dict(zip(self.columns, (coefficients / scale).tolist(), strict=True))


def effective_size(outcome: Outcome) -> int:
    """Events, or patients in the rarer of node-negative and node-positive."""
    if isinstance(outcome, NodalOutcome):
        return min(outcome.n_events, int(outcome.observed.sum()) - outcome.n_events)
    return outcome.n_events


def canonical(table: FeatureTable, outcome: OutcomeT) -> tuple[FeatureTable, OutcomeT]:
    """Rows sorted by patient, so that a fit does not depend on the order of a table.

    Raises
    ------
    FitError
        Table and outcome differ in length.
    """
    if len(table.values) != len(outcome):
        raise FitError("features and outcome differ in length", where="model")
    order = np.argsort(table.values.index.to_numpy(dtype=str), kind="stable")
    return FeatureTable(table.values.iloc[order], table.features), outcome.take(order)


def observed_only(table: FeatureTable, outcome: NodalOutcome) -> tuple[FeatureTable, NodalOutcome]:
    """Keep the patients whose nodes were examined; the others are never taken for N0."""
    rows = np.flatnonzero(outcome.observed)
    return FeatureTable(table.values.iloc[rows], table.features), outcome.take(rows)
