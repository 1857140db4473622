"""Attention over a slide's patches, alone or fused with other modalities in one network.

The network is trained once without each inner fold; the number of epochs that suits the held-out
folds together is taken, and the networks of that epoch are averaged. Their scores for patients
they did not see set the baseline and the weight of the score, so that a network that learnt
nothing gets a weight of nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from metasight.cohort.outcome import Outcome, SurvivalOutcome
from metasight.errors import EncoderError, FitError
from metasight.features.bags import BagFolder, PatchFeatures
from metasight.features.columns import FeatureTable, Kind
from metasight.features.encoders import require_deep
from metasight.models.base import State
from metasight.models.combination import combined_hazards
from metasight.models.fitted import ReaderHeadModel, require_survival
from metasight.models.preparation import FittedPreparation, Preparation, canonical
from metasight.models.risk_network import (
    Floats,
    Inputs,
    NetworkSettings,
    Target,
    Weights,
    attention,
    log_risks,
    train,
    weights_from_json,
    weights_to_json,
)
from metasight.models.tuning import stratified_folds

_COMPONENTS = 64
_PATCHES_FOR_COMPONENTS = 200
_FEWEST_EVENTS = 9


@dataclass(frozen=True)
class Components:
    """Principal components of patch features, learnt from training patients.

    Attributes
    ----------
    mean
        Shape (d,).
    axes
        Shape (components, d), scaled so that each component has standard deviation 1.
    """

    mean: Floats
    axes: Floats

    @classmethod
    def of(cls, bags: Iterable[Floats | None]) -> Components | None:
        """From at most 200 patches of every bag, evenly spread; None without any bag."""
        drawn = [
            b[np.linspace(0, len(b) - 1, min(len(b), _PATCHES_FOR_COMPONENTS)).astype(int)]
            for b in bags
            if b is not None
        ]
        if not drawn:
            return None
        patches = np.concatenate(drawn).astype(np.float64)
        mean = patches.mean(axis=0)
        values, vectors = np.linalg.eigh(np.cov(patches - mean, rowvar=False))
        count = min(_COMPONENTS, patches.shape[1], max(len(patches) - 1, 1))
        top = np.argsort(values)[::-1][:count]
        # A direction without variance stays without, instead of being blown up.
        sd = np.sqrt(np.maximum(values[top], 1e-6 * max(float(values.max()), 1e-12)))
        sign = np.sign(vectors[np.abs(vectors[:, top]).argmax(axis=0), top])
        return cls(mean.astype(np.float32), (vectors[:, top] * sign / sd).T.astype(np.float32))

    def apply(self, features: Floats) -> Floats:
        """Shape (patches, components)."""
        return np.asarray((features - self.mean) @ self.axes.T, dtype=np.float32)


@dataclass(frozen=True, kw_only=True)
class NetworkReader:
    """Scores of an ensemble of networks, standardised.

    Attributes
    ----------
    bag
        Name of the feature that holds the bag's key; empty without one.
    bags
        Where bags lie.
    encoder
        Encoder of the training bags; another's are refused.
    components
        Of patch features.
    blocks
        Columns of each further modality.
    modalities
        Their names.
    networks
        The ensemble.
    causes
        Scores a patient.
    mean, scale
        Shape (causes,): of unseen scores in training.
    """

    bag: str
    bags: BagFolder | None
    encoder: str
    components: Components | None
    blocks: tuple[FittedPreparation, ...]
    modalities: tuple[str, ...]
    networks: tuple[Weights, ...]
    causes: int
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]

    @property
    def state(self) -> State:
        """Plain JSON; where the bags lie is not part of it."""
        c = self.components
        return {
            "kind": "network",
            "bag": self.bag,
            "encoder": self.encoder,
            "components": c and {"mean": c.mean.tolist(), "axes": c.axes.tolist()},
            "blocks": [b.state for b in self.blocks],
            "modalities": list(self.modalities),
            "networks": [weights_to_json(w) for w in self.networks],
            "causes": self.causes,
            "mean": self.mean.tolist(),
            "scale": self.scale.tolist(),
        }

    @classmethod
    def from_state(cls, state: State, bags: BagFolder | None) -> NetworkReader:
        """Inverse of :attr:`state`, over the bags of the patients to predict."""
        c = state["components"]
        return cls(
            bag=state["bag"],
            bags=bags,
            encoder=state["encoder"],
            components=c and Components(*(np.array(c[k], np.float32) for k in ("mean", "axes"))),
            blocks=tuple(FittedPreparation.from_state(b) for b in state["blocks"]),
            modalities=tuple(state["modalities"]),
            networks=tuple(weights_from_json(w) for w in state["networks"]),
            causes=state["causes"],
            mean=np.array(state["mean"]),
            scale=np.array(state["scale"]),
        )

    @property
    def columns(self) -> list[str]:
        """One score a cause."""
        return [f"network, cause {k + 1}" for k in range(self.causes)]

    def inputs(self, table: FeatureTable) -> Inputs:
        """What the network reads of some patients.

        Raises
        ------
        EncoderError
            A bag is missing, damaged, or of another encoder.
        """
        found: tuple[Floats | None, ...] = ()
        if self.components is not None:
            found = tuple(
                None if features is None else self.components.apply(features)
                for features in read_bags(table, self.bag, self.bags, self.encoder)
            )
        blocks = []
        for block, name in zip(self.blocks, self.modalities, strict=True):
            values = block.matrix(table).astype(np.float32)
            values[table.lacking(name)] = np.nan
            blocks.append(values)
        return Inputs(bags=found, blocks=tuple(blocks))

    def matrix(self, table: FeatureTable) -> NDArray[np.float64]:
        """Standardised mean log risk of the ensemble, shape (n, causes)."""
        inputs = self.inputs(table)
        scores = np.mean([log_risks(w, inputs, self.causes) for w in self.networks], axis=0)
        return np.asarray((scores - self.mean) / self.scale)

    def attention(self, key: str) -> tuple[PatchFeatures, Floats]:
        """Patches of a bag and the share of attention that each gets, over the ensemble.

        Returns
        -------
        The bag, and shares ``(n,)``, which sum to 1.
        """
        if self.components is None or self.bags is None:
            raise FitError("this network reads no slides", where="attention")
        bag = self.bags.read(key)
        patches = self.components.apply(bag.features)
        shares = np.mean([attention(w, patches) for w in self.networks], axis=0)
        return bag, np.asarray(shares, dtype=np.float32)


def read_bags(
    table: FeatureTable, name: str, folder: BagFolder | None, encoder: str
) -> Iterator[Floats | None]:
    """Patch features of the table's patients, one at a time; None for one without a slide.

    Raises
    ------
    EncoderError
        There is no folder, or a bag is of another encoder or dimension than the others.
    """
    if folder is None:
        raise EncoderError(
            "there is no folder of patch features",
            where=name,
            remedy="Give [slides.embeddings] in study.toml",
        )
    dimension: int | None = None
    for key in table.values[name]:
        if not isinstance(key, str):
            yield None
            continue
        bag = folder.read(key)
        dimension = dimension or bag.features.shape[1]
        if (encoder and bag.encoder != encoder) or bag.features.shape[1] != dimension:
            raise EncoderError(
                "patch features of another encoder",
                where=bag.where,
                value=f"{bag.encoder or 'unnamed'}, {bag.features.shape[1]} features",
                remedy=f"Make all with one encoder: {encoder or f'{dimension} features'}",
            )
        yield bag.features


@dataclass(frozen=True, kw_only=True)
class NetworkModel:
    """Attention over patches, and further modalities fused within the network.

    Attributes
    ----------
    name
        As it appears in predictions and report.
    slide_modality
        Modality whose feature is a bag; empty for none.
    blocks
        Columns of each further modality.
    modalities
        Names of those.
    bags
        Where bags lie.
    settings
        Of the network.
    inner_folds
        Folds, and networks of the ensemble.
    """

    name: str
    slide_modality: str
    blocks: tuple[Preparation, ...] = ()
    modalities: tuple[str, ...] = ()
    bags: BagFolder | None = None
    settings: NetworkSettings = field(default_factory=NetworkSettings)
    inner_folds: int = 5

    def fit(self, table: FeatureTable, outcome: Outcome, *, seed: int) -> ReaderHeadModel:
        """Fit to the rows of ``table``.

        Raises
        ------
        FitError
            Too few events, or nobody has a slide.
        """
        table, follow_up = canonical(table, require_survival(outcome, self.name))
        n_folds = min(self.inner_folds, follow_up.n_events // 3)
        if follow_up.n_events < _FEWEST_EVENTS:
            raise FitError(
                f"{follow_up.n_events} events are too few for a network",
                where=self.name,
                remedy="Choose elastic_net_cox on columns",
            )
        stratum = follow_up.status.astype(np.int64)
        fold = stratified_folds(stratum, n_folds, np.random.default_rng(seed), table.patient_number)
        return self.fit_in_folds(table, follow_up, fold, seed=seed)[0]

    def fit_in_folds(
        self, table: FeatureTable, outcome: Outcome, fold: NDArray[np.int64], *, seed: int
    ) -> tuple[ReaderHeadModel, NDArray[np.float64]]:
        """Fit with the inner folds given; also every patient's score by a network without him.

        The scores are those of :meth:`ReaderHeadModel.score` in kind, shape (n, causes).
        """
        require_deep("a network")
        follow_up = require_survival(outcome, self.name)
        reader = self._reader(table, follow_up)
        inputs = reader.inputs(table)
        target = Target.of(follow_up, self.settings)
        courses, held_rows = [], []
        for k in range(int(fold.max()) + 1):
            inner, held = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
            held_rows.append(held)
            part = (inputs.take(held), target.take(held))
            courses.append(
                train(inputs.take(inner), target.take(inner), part, self.settings, seed=seed + k)
            )
        sizes = [max(int((target.cause[h] > 0).sum()), 1) for h in held_rows]
        best = int(np.average([c.losses for c in courses], axis=0, weights=sizes).argmin())
        networks = tuple(c.weights[best] for c in courses)
        raw = np.empty((len(follow_up), target.causes))
        for network, held in zip(networks, held_rows, strict=True):
            raw[held] = log_risks(network, inputs.take(held), target.causes)
        scale = raw.std(axis=0)
        # At epoch 0 nothing was learnt that helps: scores are noise and shall weigh nothing.
        scale[scale < 1e-6] = 1.0
        mean = raw.mean(axis=0)
        fitted = NetworkReader(
            **{**vars(reader), "networks": networks, "mean": mean, "scale": scale}
        )
        unseen = (raw - mean) / scale * (best > 0)
        head = combined_hazards(unseen, follow_up, n_models=1)
        head.fit["epochs"] = best
        notes = ("the network learnt nothing that generalises to unseen patients",) * (best == 0)
        return ReaderHeadModel(self.kind, self.name, fitted, head, notes), head.score(unseen)

    @property
    def kind(self) -> str:
        """As settings name it: slides alone, or fused with other modalities."""
        return "fused_network" if self.blocks else "attention_mil"

    def _reader(self, table: FeatureTable, follow_up: SurvivalOutcome) -> NetworkReader:
        """All that is learnt before the networks: components, fills and columns."""
        bag, encoder, components = "", "", None
        if self.slide_modality:
            bag = bag_feature(table, self.slide_modality, self.name)
            components = Components.of(read_bags(table, bag, self.bags, ""))
            if components is None:
                raise FitError("no training patient has a slide", where=self.name)
            first = next(k for k in table.values[bag] if isinstance(k, str))
            assert self.bags is not None  # noqa: S101 - read_bags would have raised
            encoder = self.bags.read(first).encoder
        blocks = tuple(
            b.fit(present(table, m), follow_up.take(np.flatnonzero(~table.lacking(m))))
            for b, m in zip(self.blocks, self.modalities, strict=True)
        )
        return NetworkReader(
            bag=bag,
            bags=self.bags,
            encoder=encoder,
            components=components,
            blocks=blocks,
            modalities=self.modalities,
            networks=(),
            causes=2 if follow_up.competing else 1,
            mean=np.zeros(1),
            scale=np.ones(1),
        )


def present(table: FeatureTable, modality: str) -> FeatureTable:
    """The patients who have a modality."""
    return FeatureTable(table.values.loc[~table.lacking(modality)], table.features)


def bag_feature(table: FeatureTable, modality: str, model: str) -> str:
    """Name of the modality's bag.

    Raises
    ------
    FitError
        There is none, or there are several.
    """
    found = [f.name for f in table.features if f.modality == modality and f.kind is Kind.BAG]
    if len(found) != 1:
        raise FitError(
            "the modality is not one bag of patch features",
            where=model,
            value=modality,
            remedy="Give [slides.embeddings] in study.toml, and the modality it makes",
        )
    return found[0]


def network_of(model: ReaderHeadModel) -> NetworkReader | None:
    """The network that reads slides in a fitted model, in a stack too; None without one."""
    readers = [model.reader, *(m.reader for m in getattr(model.reader, "models", ()))]
    found = (r for r in readers if isinstance(r, NetworkReader) and r.bag)
    return next(found, None)
