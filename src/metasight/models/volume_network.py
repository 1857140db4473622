"""A 3-D network over crops of lesions: nodal stage, with attenuation and diameter learnt beside.

A few dozen node-positive patients do not teach a network to see; what every lesion shows of itself
does (multi-task learning; Caruana, Machine Learning 1997;28:41). Like the network over slides it is
trained once without each inner fold, the round that suits the held-out folds together is taken and
the networks of that round are averaged. Their scores for patients they did not see set thresholds
and weight, so that a network that learnt nothing weighs nothing.

Patients whose nodes were not examined are never learnt from, and are predicted all the same.
Training and predicting need the extra ``deep``.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from metasight.cohort.outcome import NodalOutcome, Outcome
from metasight.engine.threads import one_torch_thread
from metasight.errors import FitError, VolumeError
from metasight.features.columns import FeatureTable, Kind
from metasight.features.crops import MODALITY, LesionCrop
from metasight.features.encoders import require_deep
from metasight.features.images import ImageFolders
from metasight.models.base import State
from metasight.models.combination import combined_stage
from metasight.models.fitted import ReaderHeadModel, require_nodal
from metasight.models.preparation import canonical, effective_size, observed_only
from metasight.models.tuning import stratified_folds
from metasight.models.volume_network_inputs import Targets, channels, hash_of
from metasight.models.volume_network_settings import VolumeNetworkSettings
from metasight.provenance import hash_json

if TYPE_CHECKING:
    from torch import Tensor

    from metasight.models.volume_network_training import Material, Trained

Weights = dict[str, NDArray[np.float32]]

KIND = "scan_network"
_FEWEST = 9
"""Patients in the rarer of node-negative and node-positive below which nothing is trained."""


@dataclass(frozen=True, kw_only=True)
class VolumeNetworkReader:
    """Score of an ensemble of networks over crops, standardised.

    Attributes
    ----------
    crop
        Name of the feature that holds the crop's key.
    images
        Where crops and a backbone's weights lie.
    settings
        Of the networks.
    edge_voxels, spacing_mm
        Of the training crops; others are refused.
    networks
        The ensemble.
    mean, scale
        Of unseen scores in training.
    """

    crop: str
    images: ImageFolders
    settings: VolumeNetworkSettings
    edge_voxels: int
    spacing_mm: float
    networks: tuple[Weights, ...] = ()
    mean: float = 0.0
    scale: float = 1.0

    @property
    def state(self) -> State:
        """Plain JSON; where crops and weights' files lie is not part of it."""
        return {
            "kind": KIND,
            "crop": self.crop,
            "settings": self.settings.as_json(),
            "edge_voxels": self.edge_voxels,
            "spacing_mm": self.spacing_mm,
            "weights": [weights_to_json(w) for w in self.networks],
            "mean": self.mean,
            "scale": self.scale,
        }

    @classmethod
    def from_state(cls, state: State, images: ImageFolders) -> VolumeNetworkReader:
        """Inverse of :attr:`state`, over the crops of the patients to predict."""
        return cls(
            crop=state["crop"],
            images=images,
            settings=VolumeNetworkSettings(**state["settings"]),
            edge_voxels=state["edge_voxels"],
            spacing_mm=state["spacing_mm"],
            networks=tuple(weights_from_json(w) for w in state["weights"]),
            mean=state["mean"],
            scale=state["scale"],
        )

    @property
    def columns(self) -> list[str]:
        """One score."""
        return ["3-D network"]

    def crops(self, table: FeatureTable) -> Iterator[LesionCrop | None]:
        """Crops of the table's patients; None for one without.

        Raises
        ------
        VolumeError
            There is no folder of crops, or one is missing, damaged, or of another size.
        """
        folder = self.images.crops
        if folder is None:
            raise VolumeError(
                "there is no folder of crops",
                where=self.crop,
                remedy="Give [scans.crops] in study.toml",
            )
        for key in table.values[self.crop]:
            if not isinstance(key, str):
                yield None
                continue
            crop = folder.read(key)
            size = (crop.ct_hu.shape[0], crop.spacing_mm)
            if size != (self.edge_voxels, self.spacing_mm):
                raise VolumeError(
                    "the crop size differs from that of the network's training",
                    where=crop.where,
                    value=f"{size[0]} voxels of {size[1]:g} mm",
                    remedy=f"Make crops of {self.edge_voxels} voxels of {self.spacing_mm:g} mm",
                )
            yield crop

    def matrix(self, table: FeatureTable) -> NDArray[np.float64]:
        """Standardised mean log odds of any positive node, shape (n, 1); 0 without a crop."""
        crops = list(self.crops(table))
        here = np.array([k for k, c in enumerate(crops) if c is not None], dtype=np.intp)
        out = np.zeros((len(crops), 1))
        if len(here):
            raw = self.scores([c for c in crops if c is not None])
            out[here, 0] = (raw.mean(axis=0) - self.mean) / self.scale
        return out

    def scores(self, crops: Sequence[LesionCrop]) -> NDArray[np.float64]:
        """Log odds of any positive node by each network, shape (networks, n), on the CPU."""
        require_deep("a network")
        from metasight.models.volume_network_layers import network_of, scores

        networks = [network_of(w, self.settings) for w in self.networks]
        with one_torch_thread():
            return scores(networks, self.inputs(crops))

    def inputs(self, crops: Sequence[LesionCrop]) -> Iterator[Tensor]:
        """What the networks are given of each crop: its channels, or a backbone's features."""
        from metasight.models.volume_network_backbone import Published
        from metasight.models.volume_network_layers import aligned

        if self.settings.backbone == "small":
            yield from (aligned(channels(c)) for c in crops)
            return
        backbone = Published(self.settings, self.images.weights)
        yield from (backbone.pooled(c) for c in crops)


@dataclass(frozen=True, kw_only=True)
class VolumeNetworkModel:
    """The network over crops of lesions, for nodal stage.

    Attributes
    ----------
    name
        As it appears in predictions and report.
    images
        Where crops lie.
    settings
        Of the networks.
    inner_folds
        Folds, and networks of the ensemble.
    """

    name: str
    images: ImageFolders = field(default_factory=ImageFolders)
    settings: VolumeNetworkSettings = field(default_factory=VolumeNetworkSettings)
    inner_folds: int = 5

    def fit(self, table: FeatureTable, outcome: Outcome, *, seed: int) -> ReaderHeadModel:
        """Fit to the examined patients of ``table`` who have a crop.

        Raises
        ------
        FitError
            No nodal stage, or fewer than 9 patients with or without positive nodes.
        """
        table, stage = observed_only(*canonical(table, require_nodal(outcome, self.name)))
        here = np.flatnonzero(~table.lacking(MODALITY))
        table, stage = FeatureTable(table.values.iloc[here], table.features), stage.take(here)
        rarer = effective_size(stage)
        if rarer < _FEWEST:
            raise FitError(
                f"{rarer} patients in the rarer class are too few for a network",
                where=self.name,
                remedy="Choose ordinal on measured features",
            )
        n_folds = min(self.inner_folds, rarer // 3)
        fold = stratified_folds(
            stage.stage.astype(np.int64), n_folds, np.random.default_rng(seed), table.patient_number
        )
        return self.fit_in_folds(table, stage, fold, seed=seed)[0]

    def fit_in_folds(
        self, table: FeatureTable, outcome: Outcome, fold: NDArray[np.int64], *, seed: int
    ) -> tuple[ReaderHeadModel, NDArray[np.float64]]:
        """Fit with the inner folds given; also every patient's score by a network without him.

        Every patient was examined and has a crop. The scores are those of
        :meth:`ReaderHeadModel.score` in kind, shape (n, 1).
        """
        require_deep("a network")
        stage = require_nodal(outcome, self.name)
        reader, crops = self._crops(table)
        trained = self._train(reader, crops, stage, fold, seed)
        fitted = replace(reader, networks=trained.networks)
        raw = fitted.scores(crops)[np.searchsorted(trained.folds, fold), np.arange(len(crops))]
        # Nothing learnt that helps: scores are noise and shall weigh nothing.
        scale = float(raw.std()) if trained.best else 0.0
        fitted = replace(fitted, mean=float(raw.mean()), scale=scale if scale > 1e-6 else 1.0)
        unseen = ((raw - fitted.mean) / fitted.scale * (trained.best > 0))[:, None]
        head = combined_stage(unseen, stage, floor=np.zeros(1))
        head.fit["rounds"] = trained.best
        head.fit["held_out_loss"] = list(trained.losses)
        cut = sum(c.held_share < 1 for c in crops)
        notes = [f"{cut} lesions are larger than the crop and were cut off"] * (cut > 0)
        if not trained.best:
            notes.append("the network learnt nothing that generalises to unseen patients")
        elif not head.coefficients.any():
            notes.append("the network predicts unseen patients no better than chance")
        model = ReaderHeadModel(KIND, self.name, fitted, head, tuple(notes))
        return model, head.score(unseen)

    def _crops(self, table: FeatureTable) -> tuple[VolumeNetworkReader, list[LesionCrop]]:
        """The reader before anything is learnt, and the crops."""
        name = crop_feature(table, self.name)
        folder = self.images.crops
        first = next((k for k in table.values[name] if isinstance(k, str)), None)
        if first is None:
            raise FitError("no training patient has a crop", where=self.name)
        like = None if folder is None else folder.read(first)
        reader = VolumeNetworkReader(
            crop=name,
            images=self.images,
            settings=self.settings,
            edge_voxels=0 if like is None else like.ct_hu.shape[0],
            spacing_mm=0.0 if like is None else like.spacing_mm,
        )
        crops = [c for c in reader.crops(table) if c is not None]
        if len(crops) < len(table.values):
            raise FitError("a patient without a crop was given to the network", where=self.name)
        return reader, crops

    def _train(
        self,
        reader: VolumeNetworkReader,
        crops: list[LesionCrop],
        stage: NodalOutcome,
        fold: NDArray[np.int64],
        seed: int,
    ) -> Trained:
        import torch

        from metasight.models.volume_network_checkpoint import checkpoint_path
        from metasight.models.volume_network_training import train_in_folds

        targets = Targets.of(crops, stage.stage.astype(np.int64))
        training = hash_json(
            [hash_of(crops, targets, fold), self.settings.as_json(), seed, torch.__version__]
        )
        work = self.images.work
        trained = train_in_folds(
            self._material(reader, crops, targets, fold),
            self.settings,
            seed=seed,
            work=work,
            training=training,
        )
        if work is not None:
            checkpoint_path(work, training).unlink(missing_ok=True)
        return trained

    def _material(
        self,
        reader: VolumeNetworkReader,
        crops: list[LesionCrop],
        targets: Targets,
        fold: NDArray[np.int64],
    ) -> Material:
        from metasight.models.volume_network_backbone import trunk_weights
        from metasight.models.volume_network_training import Material

        if self.settings.backbone != "small":
            import torch

            pooled = torch.stack(list(reader.inputs(crops)))
            return Material(crops=crops, pooled=pooled, targets=targets, fold=fold)
        start = None
        if self.settings.sha256:
            start = trunk_weights(self.settings, self.images.weights)
        return Material(crops=crops, pooled=None, targets=targets, fold=fold, start=start)


def crop_feature(table: FeatureTable, model: str) -> str:
    """Name of the feature that holds the crops' keys.

    Raises
    ------
    FitError
        There is none, or there are several.
    """
    found = [f.name for f in table.features if f.modality == MODALITY and f.kind is Kind.CROP]
    if len(found) != 1:
        raise FitError(
            "the modality is not one crop of the lesion",
            where=model,
            value=MODALITY,
            remedy="Give [scans.crops] in study.toml",
        )
    return found[0]


def weights_to_json(weights: Mapping[str, NDArray[np.float32]]) -> dict[str, Any]:
    """Plain data, exact: shape, and little-endian float32 in base64."""
    return {
        name: {
            "shape": list(a.shape),
            "float32": base64.b64encode(a.astype("<f4").tobytes()).decode("ascii"),
        }
        for name, a in sorted(weights.items())
    }


def weights_from_json(state: Mapping[str, Any]) -> Weights:
    """Inverse of :func:`weights_to_json`."""
    return {
        name: np.frombuffer(base64.b64decode(told["float32"], validate=True), dtype="<f4")
        .astype(np.float32)
        .reshape(told["shape"])
        for name, told in state.items()
    }
