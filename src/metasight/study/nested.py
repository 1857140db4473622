"""The nested reference: the headline's own procedure without what it adds.

An increment over a model of another kind mixes two things: what the added modality tells, and what
another estimator does with the same predictors. So the headline model is compared with itself: the
same kind, penalties, folds, seeds and preparation, restricted to what the study's reference model
reads. What the change of estimator does is told apart, as the difference between the nested and
the study's own reference.
"""

from __future__ import annotations

from metasight.models.published import SCORES
from metasight.study.file import StudyModel, StudySettings

_LONGEST = 80
"""Characters of a model's name."""


def nested_reference(settings: StudySettings) -> StudyModel | None:
    """The model that the headline's increment is taken over, where the study has it not itself.

    Returns
    -------
    StudyModel or None
        None where headline and reference are one model, where the reference is a published score,
        where the headline does not read all that the reference reads or adds nothing to it, and
        where a model of the study is the same
        procedure already (see :func:`increment_reference`).
    """
    wanted = _wanted(settings)
    if wanted is None or _same_procedure(settings, wanted) is not None:
        return None
    return wanted


def models_to_fit(settings: StudySettings) -> tuple[StudyModel, ...]:
    """The study's models, and the nested reference behind them where one is added."""
    added = nested_reference(settings)
    return settings.model if added is None else (*settings.model, added)


def increment_reference(settings: StudySettings) -> str:
    """Name of the model that the headline's increment is taken over."""
    wanted = _wanted(settings)
    if wanted is None:
        return settings.analysis.reference_model
    return _same_procedure(settings, wanted) or wanted.name


def _wanted(settings: StudySettings) -> StudyModel | None:
    by_name = {m.name: m for m in settings.model}
    headline = by_name[settings.analysis.headline_model]
    reference = by_name[settings.analysis.reference_model]
    shared = tuple(m for m in headline.modalities if m in reference.modalities)
    if headline is reference or set(shared) != set(reference.modalities):
        return None
    if reference.kind in SCORES:
        return None  # a published score is no procedure: the increment over it is what is asked
    added = [m for m in headline.modalities if m not in shared]
    if not added:
        return None
    update = {
        "name": f"{headline.name}, without {' and '.join(added)}"[:_LONGEST],
        "modalities": shared,
        "features": reference.features if headline.features is not None else None,
        "penalty_factors": _of(headline.penalty_factors, shared),
        "abstain_by": tuple(m for m in headline.abstain_by if m in shared),
        "harmonise": tuple(m for m in headline.harmonise if m in shared),
    }
    return StudyModel.model_validate(headline.model_dump() | update)


def _of(factors: dict[str, float], modalities: tuple[str, ...]) -> dict[str, float]:
    return {name: factor for name, factor in factors.items() if name in modalities}


def _same_procedure(settings: StudySettings, wanted: StudyModel) -> str | None:
    """A model of the study that differs from ``wanted`` in its name alone."""
    alike = wanted.model_dump(exclude={"name"})
    return next((m.name for m in settings.model if m.model_dump(exclude={"name"}) == alike), None)
