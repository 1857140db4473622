"""From settings to a model, and from a stored state back to a fitted model.

The only place that knows every kind of model; no other stage tests a model's name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, get_args

from metasight.errors import FitError
from metasight.features.bags import MODALITY
from metasight.features.clinical import Design
from metasight.features.columns import CENTRE, Feature
from metasight.features.crops import MODALITY as CROP_MODALITY
from metasight.features.images import ImageFolders
from metasight.features.missing import Imputer
from metasight.models.base import FittedModel, RiskModel, State
from metasight.models.competing import CauseSpecificCoxModel
from metasight.models.cox import CoxModel
from metasight.models.fine_gray import FineGrayModel
from metasight.models.fitted import STATE_VERSION, AbstainingModel, Head, ReaderHeadModel
from metasight.models.fusion import Base, StackedModel, StackReader
from metasight.models.hazards import HazardHead
from metasight.models.likeness import Likeness
from metasight.models.logistic import LogisticHead, LogisticModel
from metasight.models.mil import NetworkModel, NetworkReader
from metasight.models.modality_ridge import ModalityRidgeModel
from metasight.models.ordinal import OrdinalHead, OrdinalModel
from metasight.models.patient_interval import IntervalModel
from metasight.models.penalised_cox import ElasticNetCoxModel, Penalty
from metasight.models.preparation import FittedPreparation, Preparation, Reader
from metasight.models.published import SCORES, PublishedScoreModel, ScoreReader
from metasight.models.random_forest import ForestHead, ForestModel
from metasight.models.recalibrated import KIND as RECALIBRATED
from metasight.models.recalibrated import RecalibratedHead
from metasight.models.risk_network import NetworkSettings
from metasight.models.settings import Kind, ModelSettings
from metasight.models.state_checks import check_state
from metasight.models.volume_network import VolumeNetworkModel, VolumeNetworkReader
from metasight.models.volume_network_settings import VolumeNetworkSettings

__all__ = [
    "KINDS",
    "ModelSettings",
    "associations",
    "build",
    "describe",
    "features_of",
    "interval_model",
    "is_network",
    "load",
    "outcomes_of",
    "reads",
    "refits_cheaply",
]

KINDS: tuple[str, ...] = get_args(Kind)
"""Every kind of model."""

_SURVIVAL_ONLY = frozenset(
    {"cox", "elastic_net_cox", "cause_specific_cox", "fine_gray", "attention_mil", "fused_network"}
)
_NODAL_ONLY = frozenset({"logistic", "ordinal", "scan_network"})
_NETWORKS = frozenset({"attention_mil", "fused_network", "scan_network"})


def is_network(model: ModelSettings) -> bool:
    """Whether a model is a network, or has one in it: such a model needs PyTorch."""
    return model.kind in _NETWORKS or bool({MODALITY, CROP_MODALITY} & set(model.modalities))


def outcomes_of(kind: str) -> frozenset[str]:
    """Which outcomes a kind can be fitted to: ``survival``, ``competing``, ``nodal``."""
    if kind in SCORES:
        nodal = SCORES[kind].outcome == "nodal"
        return frozenset({"nodal"}) if nodal else frozenset({"survival", "competing"})
    if kind == "cox":
        return frozenset({"survival"})
    if kind in _SURVIVAL_ONLY:
        return frozenset({"survival", "competing"})
    if kind in _NODAL_ONLY:
        return frozenset({"nodal"})
    return frozenset({"survival", "competing", "nodal"})


def build(settings: ModelSettings, images: ImageFolders | None = None) -> RiskModel:
    """Return the model that ``settings`` describe; nothing is fitted.

    ``images`` is where the images of its patients lie, for models that read any.
    """
    model: RiskModel
    if settings.kind in SCORES:
        model = PublishedScoreModel(
            name=settings.name,
            score=settings.kind,
            imputer=Imputer(strategy=settings.imputation),
        )
    else:
        model = _BUILDERS[settings.kind](settings, images or ImageFolders())
    if settings.abstain_by:
        return AbstainingModel(model=model, modalities=settings.abstain_by)
    return model


def interval_model(settings: ModelSettings, *, refits: int) -> IntervalModel | None:
    """What is refitted for the intervals of this model's patients.

    None where the model reads images itself: a refit then costs a training, and the columns that
    its risk rests on are not in the table.
    """
    if {MODALITY, CROP_MODALITY} & set(settings.modalities):
        return None
    return IntervalModel(
        name=settings.name, preparation=_preparation(settings, splines=False), refits=refits
    )


_CHEAP = frozenset(
    {
        "cox",
        "elastic_net_cox",
        "cause_specific_cox",
        "fine_gray",
        "logistic",
        "ordinal",
        "stacked",
        "modality_ridge",
        *SCORES,
    }
)
"""Kinds that are refitted in a second or so, unless they read images."""


def refits_cheaply(settings: ModelSettings) -> bool:
    """Whether a fit takes a second or so, so that it can be repeated for every imputation.

    Forests and networks do not, nor do models of images, of which none can be imputed.
    """
    return settings.kind in _CHEAP and not {MODALITY, CROP_MODALITY} & set(settings.modalities)


def reads(settings: ModelSettings, features: Iterable[Feature]) -> tuple[str, ...]:
    """Names of those features, images among them, that a model may read; errors are none."""
    if settings.kind in SCORES:
        return tuple(f.name for f in features if f.name in SCORES[settings.kind].inputs)
    wanted = None if settings.features is None else set(settings.features)
    return tuple(
        f.name
        for f in features
        if f.modality in settings.modalities
        and not f.error_of
        and (wanted is None or f.name in wanted)
    )


def associations(settings: ModelSettings) -> Preparation | None:
    """The predictors of a model, for a regression of straight terms without a penalty.

    None for a published score, whose coefficients are given.
    """
    if settings.kind in SCORES:
        return None
    return Preparation(
        modalities=settings.modalities,
        features=settings.features,
        imputer=Imputer(strategy=settings.imputation),
        full_rank=True,
        harmonise=settings.harmonise,
        least_reliability=settings.least_reliability,
    )


def load(state: State, images: ImageFolders | None = None) -> FittedModel:
    """Restore a fitted model from its state; its predictions are identical.

    ``images`` as in :func:`build`, of the patients to predict.

    Raises
    ------
    FitError
        The state was written by another version, or names an unknown class.
    """
    return _load(state, images or ImageFolders())


def describe(state: State) -> dict[str, Any]:
    """What a report prints of a fitted model.

    Returns
    -------
    ``notes``: what a reader should know of the fit. ``coefficients``: term → log hazard or odds
    ratio per unit of the feature; empty for models without any (trees, published scores).
    """
    coefficients = state["head"].get("fit", {}).get("coefficients_per_unit", {})
    return {"notes": list(state["notes"]), "coefficients": dict(coefficients)}


def features_of(state: State) -> frozenset[str]:
    """Names of the features that a fitted model reads, or by which it abstains."""
    if state.get("likeness"):
        return features_of({**state, "likeness": None}) | set(state["likeness"]["features"])
    reader = state["reader"]
    if "models" in reader:
        return frozenset().union(*(features_of(m) for m in reader["models"]))
    if "crop" in reader:
        return frozenset({reader["crop"]})
    if "networks" in reader:
        own = frozenset({reader["bag"]} - {""})
        return own.union(*(b["imputer"]["fills"] for b in reader["blocks"]))
    own = frozenset(reader["imputer"]["fills"])
    return own | {CENTRE} if reader.get("harmony") else own


def _load(state: State, images: ImageFolders) -> ReaderHeadModel:
    if state.get("version") != STATE_VERSION:
        raise FitError(
            "the stored model was written by another version",
            where="model state",
            value=str(state.get("version")),
            remedy=f"This version reads {STATE_VERSION}; fit the model again",
        )
    reader, head = state["reader"], state["head"]
    fitted = head["head"] if head["kind"] == RECALIBRATED else head
    for part, known in ((reader, _READERS), (fitted, _HEADS)):
        if part["kind"] not in known:
            raise FitError("unknown part of a model", where="model state", value=part["kind"])
    check_state(state)
    own = _HEADS[fitted["kind"]](fitted)
    return ReaderHeadModel(
        state["kind"],
        state["name"],
        _READERS[reader["kind"]](reader, images),
        own if fitted is head else RecalibratedHead.from_state(head, own),
        tuple(state["notes"]),
        None if state["likeness"] is None else Likeness.from_state(state["likeness"]),
    )


_READERS: Mapping[str, Callable[[State, ImageFolders], Reader]] = {
    "preparation": lambda state, _: FittedPreparation.from_state(state),
    "published_score": lambda state, _: ScoreReader.from_state(state),
    "stack": lambda state, images: StackReader.from_state(state, lambda s: _load(s, images)),
    "network": lambda state, images: NetworkReader.from_state(state, images.bags),
    "scan_network": VolumeNetworkReader.from_state,
}
_HEADS: Mapping[str, Callable[[State], Head]] = {
    "hazards": HazardHead.from_state,
    "logistic": LogisticHead.from_state,
    "ordinal": OrdinalHead.from_state,
    "forest": ForestHead.from_state,
}


def _preparation(
    settings: ModelSettings,
    *,
    full_rank: bool = False,
    splines: bool | None = None,
    modalities: tuple[str, ...] | None = None,
    fused: bool = False,
) -> Preparation:
    bend = settings.splines if splines is None else splines
    return Preparation(
        modalities=modalities or settings.modalities,
        features=settings.features,
        imputer=Imputer(strategy=settings.imputation),
        design=Design(splines=bend, knots=settings.knots),
        top_k=settings.top_k,
        full_rank=full_rank,
        harmonise=settings.harmonise,
        least_reliability=settings.least_reliability,
        logarithms=fused,
        distinct=fused,
    )


def _penalty(settings: ModelSettings) -> Penalty:
    return Penalty(
        factors=settings.penalty_factors,
        l1_ratios=settings.l1_ratios,
        inner_folds=settings.inner_folds,
    )


def _cox(s: ModelSettings, _: ImageFolders) -> RiskModel:
    return CoxModel(name=s.name, preparation=_preparation(s, full_rank=True))


def _cause_specific_cox(s: ModelSettings, _: ImageFolders) -> RiskModel:
    return CauseSpecificCoxModel(name=s.name, preparation=_preparation(s, full_rank=True))


def _fine_gray(s: ModelSettings, _: ImageFolders) -> RiskModel:
    return FineGrayModel(name=s.name, preparation=_preparation(s, full_rank=True))


def _elastic_net_cox(s: ModelSettings, _: ImageFolders) -> RiskModel:
    return ElasticNetCoxModel(name=s.name, preparation=_preparation(s), penalty=_penalty(s))


def _logistic(s: ModelSettings, _: ImageFolders) -> RiskModel:
    return LogisticModel(name=s.name, preparation=_preparation(s), penalty=_penalty(s))


def _ordinal(s: ModelSettings, _: ImageFolders) -> RiskModel:
    return OrdinalModel(name=s.name, preparation=_preparation(s), inner_folds=s.inner_folds)


def _forest(s: ModelSettings, _: ImageFolders) -> RiskModel:
    preparation = _preparation(s, splines=False)
    return ForestModel(name=s.name, preparation=preparation, n_trees=s.n_trees)


def _stacked(s: ModelSettings, images: ImageFolders) -> RiskModel:
    if s.features is not None:
        raise FitError(
            "a stacked model reads whole modalities",
            where=s.name,
            remedy="Leave features out, or put them into modalities of their own",
        )
    penalty = Penalty(l1_ratios=s.l1_ratios, inner_folds=s.inner_folds)
    slides = _network(s, MODALITY, (), images)
    lesion = _scan_network(s, images)
    survival: list[Base] = []
    nodal: list[Base] = []
    for modality in s.modalities:
        if modality == MODALITY:
            survival.append(slides)
            nodal.append(slides)
            continue
        if modality == CROP_MODALITY:
            survival.append(lesion)
            nodal.append(lesion)
            continue
        part = _preparation(s, modalities=(modality,))
        survival.append(ElasticNetCoxModel(name=s.name, preparation=part, penalty=penalty))
        nodal.append(LogisticModel(name=s.name, preparation=part, penalty=penalty))
    return StackedModel(
        name=s.name,
        modalities=s.modalities,
        survival=tuple(survival),
        nodal=tuple(nodal),
        inner_folds=s.inner_folds,
    )


def _modality_ridge(s: ModelSettings, _: ImageFolders) -> RiskModel:
    free = tuple(m for m in s.modalities if s.penalty_factors.get(m) == 0)
    if len(free) == len(s.modalities):
        raise FitError(
            "no modality of the penalised model is penalised",
            where=s.name,
            remedy="Leave out a penalty factor of 0, or choose an unpenalised model",
        )
    return ModalityRidgeModel(
        name=s.name,
        preparation=_preparation(s, fused=True),
        modalities=s.modalities,
        unpenalised=free,
        inner_folds=s.inner_folds,
    )


def _network(
    s: ModelSettings, slides: str, modalities: tuple[str, ...], images: ImageFolders
) -> NetworkModel:
    return NetworkModel(
        name=s.name,
        slide_modality=slides,
        blocks=tuple(_preparation(s, modalities=(m,), splines=False) for m in modalities),
        modalities=modalities,
        bags=images.bags,
        settings=NetworkSettings(**s.network.model_dump()),
        inner_folds=s.inner_folds,
    )


def _attention_mil(s: ModelSettings, images: ImageFolders) -> RiskModel:
    return _network(s, MODALITY, (), images)


def _fused_network(s: ModelSettings, images: ImageFolders) -> RiskModel:
    others = tuple(m for m in s.modalities if m != MODALITY)
    return _network(s, MODALITY if MODALITY in s.modalities else "", others, images)


def _scan_network(s: ModelSettings, images: ImageFolders) -> VolumeNetworkModel:
    chosen = s.scan_network.model_dump(exclude={"weights"})
    weights = s.scan_network.weights
    return VolumeNetworkModel(
        name=s.name,
        images=images,
        settings=VolumeNetworkSettings(**chosen, sha256=weights.sha256.lower() if weights else ""),
        inner_folds=s.inner_folds,
    )


_BUILDERS: Mapping[str, Callable[[ModelSettings, ImageFolders], RiskModel]] = {
    "cox": _cox,
    "elastic_net_cox": _elastic_net_cox,
    "cause_specific_cox": _cause_specific_cox,
    "fine_gray": _fine_gray,
    "logistic": _logistic,
    "ordinal": _ordinal,
    "forest": _forest,
    "stacked": _stacked,
    "modality_ridge": _modality_ridge,
    "attention_mil": _attention_mil,
    "fused_network": _fused_network,
    "scan_network": _scan_network,
}
