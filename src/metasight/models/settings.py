"""What a study file says about a model."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from metasight.features.bags import MODALITY
from metasight.features.crops import MODALITY as CROP_MODALITY

Kind = Literal[
    "cox",
    "elastic_net_cox",
    "cause_specific_cox",
    "fine_gray",
    "logistic",
    "ordinal",
    "forest",
    "stacked",
    "modality_ridge",
    "attention_mil",
    "fused_network",
    "scan_network",
    "npi",
    "cts5",
    "nodal_size",
    "nodal_solid_size",
    "nodal_ctr",
    "nodal_suvmax",
    "fudan_2012",
]
L1Ratio = Annotated[float, Field(ge=0.0, le=1.0)]
Factor = Annotated[float, Field(ge=0.0)]


def file_name(model: str) -> str:
    """Name of a model's file in a bundle, without its ending: letters a–z, digits and _ only."""
    return re.sub(r"[^a-z0-9]+", "_", model.lower()).strip("_") or "model"


class NetworkChoices(BaseModel):
    """Size and training of a network over patch features; see :mod:`metasight.models.risk_network`.

    Attributes
    ----------
    loss
        ``cox``, or ``discrete`` for time in intervals.
    width
        Size of the attention and hidden layers.
    epochs
        Maximum number of passes over the patients; held-out folds choose the number.
    patches
        Patches of a slide that one pass reads, drawn anew each time.
    learning_rate, weight_decay
        Of the optimiser, AdamW.
    dropout
        Share of values that are set to zero in training.
    modality_dropout
        Chance that a modality of a patient is left out of one pass.
    intervals
        Number of time intervals with ``loss = "discrete"``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    loss: Literal["cox", "discrete"] = "cox"
    width: int = Field(default=32, ge=4, le=512)
    epochs: int = Field(default=60, ge=1, le=1000)
    patches: int = Field(default=256, ge=8, le=20_000)
    learning_rate: float = Field(default=3e-3, gt=0, le=1)
    weight_decay: float = Field(default=3e-2, ge=0, le=10)
    dropout: float = Field(default=0.25, ge=0, lt=1)
    modality_dropout: float = Field(default=0.3, ge=0, lt=1)
    intervals: int = Field(default=8, ge=2, le=50)


class BackboneWeights(BaseModel):
    """A file of weights.

    Attributes
    ----------
    path
        Relative to the study folder.
    sha256
        Of the file, 64 hexadecimal digits.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str = Field(min_length=1)
    sha256: str = Field(pattern="^[0-9a-fA-F]{64}$")


class ScanNetworkChoices(BaseModel):
    """Size and training of the network over crops of lesions.

    See :mod:`metasight.models.volume_network_settings`.

    Attributes
    ----------
    backbone
        ``small`` is trained as a whole; ``resnet10`` and ``resnet18`` need published weights, which
        stay as they are.
    weights
        Of the published backbone; of a small one the weights that training begins with.
    width
        Features of the first stage; the next stages have twice and four times as many.
    rounds, round_steps, batch
        Maximum number of rounds, steps per round, crops per step.
    patience
        Rounds without a better held-out loss after which training stops.
    learning_rate, weight_decay
        Of the optimiser, AdamW.
    dropout
        Share of pooled features that are set to zero in training.
    pet_dropout
        Chance that the PET of a crop is left out in training.
    attenuation_weight, diameter_weight
        Weight of these auxiliary losses relative to that of the nodal stage.
    noise_hu
        Standard deviation of the noise that is added to CT in training, HU.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    backbone: Literal["small", "resnet10", "resnet18"] = "small"
    weights: BackboneWeights | None = None
    width: int = Field(default=8, ge=4, le=64)
    rounds: int = Field(default=30, ge=1, le=1000)
    round_steps: int = Field(default=16, ge=1, le=1000)
    batch: int = Field(default=8, ge=2, le=128)
    patience: int = Field(default=8, ge=1, le=1000)
    learning_rate: float = Field(default=3e-3, gt=0, le=1)
    weight_decay: float = Field(default=3e-2, ge=0, le=10)
    dropout: float = Field(default=0.3, ge=0, lt=1)
    pet_dropout: float = Field(default=0.3, ge=0, lt=1)
    attenuation_weight: float = Field(default=0.5, ge=0, le=10)
    diameter_weight: float = Field(default=0.5, ge=0, le=10)
    noise_hu: float = Field(default=20.0, ge=0, le=200)

    @model_validator(mode="after")
    def _published(self) -> ScanNetworkChoices:
        if self.backbone != "small" and self.weights is None:
            raise ValueError(f"{self.backbone} needs weights = {{ path, sha256 }}")
        return self


class ModelSettings(BaseModel):
    """One model of a study.

    Attributes
    ----------
    kind
        What is fitted.
    name
        As it appears in predictions and report.
    modalities
        Modalities the model may read.
    features
        Feature names within those modalities; all by default. The published scores read their own
        inputs whatever is given here.
    splines, knots
        Whether continuous features marked ``spline`` may have non-linear effects, and the number of
        knots (3–5; by default from the number of events). Ignored by ``forest`` and the published
        scores.
    imputation
        ``median`` or ``iterative``.
    top_k
        Columns kept by a univariable screen before the fit; all by default.
    penalty_factors
        Penalty of a modality relative to 1; 0 leaves it unpenalised (penalised models only).
        ``modality_ridge`` chooses the factors itself and takes no other than 0.
    l1_ratios
        Elastic-net mixing parameters tried by inner cross-validation, 0 ridge to 1 lasso.
    inner_folds
        Folds of the inner cross-validation (and of stacking).
    n_trees
        Trees of the forest.
    abstain_by
        Modalities by which patients unlike the training patients are recognised; the model gives
        no risk for them. It may read other modalities. Empty: it gives a risk for every patient.
    harmonise
        Modalities whose differences between centres are removed in each fold (ComBat).
    least_reliability
        Features that come with their error of measurement (radiomics with ``jitter``) are read
        only where at least this share of their variance is not error.
    network
        Size and training of networks (``attention_mil``, ``fused_network``, and the slides of a
        ``stacked`` model).
    scan_network
        The same of the network over crops of lesions (``scan_network``, and in a ``stacked``
        model).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Kind
    name: str = Field(min_length=1)
    modalities: tuple[str, ...] = Field(default=("clinical",), min_length=1)
    features: tuple[str, ...] | None = None
    splines: bool = False
    knots: Literal[3, 4, 5] | None = None
    imputation: Literal["median", "iterative"] = "median"
    top_k: int | None = Field(default=None, ge=1)
    penalty_factors: dict[str, Factor] = Field(default_factory=dict)
    l1_ratios: tuple[L1Ratio, ...] = Field(default=(0.05, 0.5, 1.0), min_length=1)
    inner_folds: int = Field(default=5, ge=3, le=20)
    n_trees: int = Field(default=200, ge=10, le=2000)
    abstain_by: tuple[str, ...] = ()
    harmonise: tuple[str, ...] = ()
    least_reliability: float | None = Field(default=None, gt=0, lt=1)
    network: NetworkChoices = Field(default_factory=NetworkChoices)
    scan_network: ScanNetworkChoices = Field(default_factory=ScanNetworkChoices)

    @model_validator(mode="after")
    def _check(self) -> ModelSettings:
        unknown = sorted(set(self.penalty_factors) - set(self.modalities))
        if unknown:
            raise ValueError(
                f"penalty_factors names modalities the model does not read: {', '.join(unknown)}"
            )
        unread = sorted(set(self.harmonise) - set(self.modalities))
        if unread:
            raise ValueError(
                f"harmonise names modalities the model does not read: {', '.join(unread)}"
            )
        if self.features is not None and len(set(self.features)) != len(self.features):
            raise ValueError("features names one feature twice")
        chosen = sorted(name for name, factor in self.penalty_factors.items() if factor > 0)
        if self.kind == "modality_ridge" and chosen:
            raise ValueError(
                f"modality_ridge chooses the penalty of {', '.join(chosen)} itself; only 0 (no "
                "penalty) can be given"
            )
        if self.kind == "attention_mil" and self.modalities != (MODALITY,):
            raise ValueError(f"attention_mil reads the modality {MODALITY} alone")
        if self.kind == "scan_network" and self.modalities != (CROP_MODALITY,):
            raise ValueError(f"scan_network reads the modality {CROP_MODALITY} alone")
        return self
