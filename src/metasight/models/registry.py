"""From settings to a model, and from a stored state back to a fitted model.

The only place that knows every kind of model; no other stage tests a model's name.
"""

from __future__ import annotations

from metasight.errors import FitError
from metasight.features.clinical import Design
from metasight.features.missing import Imputer
from metasight.models.base import FittedModel, RiskModel, State
from metasight.models.cox import CoxModel
from metasight.models.fitted import ReaderHeadModel
from metasight.models.hazards import HazardHead
from metasight.models.preparation import FittedPreparation, Preparation
from metasight.models.settings import ModelSettings

__all__ = ["ModelSettings", "build", "load"]


def build(settings: ModelSettings) -> RiskModel:
    """Return the model that ``settings`` describe; nothing is fitted."""
    if settings.kind == "cox":
        return CoxModel(name=settings.name, preparation=_preparation(settings, full_rank=True))
    raise FitError("this kind of model is not built yet", where=settings.name, value=settings.kind)


def load(state: State) -> FittedModel:
    """Restore a fitted model from its state; its predictions are identical.

    Raises
    ------
    FitError
        The state names an unknown class: it was written by another version.
    """
    return ReaderHeadModel(
        state["kind"],
        state["name"],
        FittedPreparation.from_state(state["reader"]),
        HazardHead.from_state(state["head"]),
        tuple(state["notes"]),
    )


def _preparation(settings: ModelSettings, *, full_rank: bool) -> Preparation:
    return Preparation(
        modalities=settings.modalities,
        features=settings.features,
        imputer=Imputer(strategy=settings.imputation),
        design=Design(splines=settings.splines, knots=settings.knots, full_rank=full_rank),
    )
