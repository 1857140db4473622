"""Locked models applied to patients without an outcome: a risk, its interval, and what it rests on.

Nothing is fitted. What a feature adds is what the risk changes by when the model is not told the
feature and fills it in as it did for training patients who lacked it: the same question for every
kind of model, and in percentage points of risk.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import logit

from metasight.bundle.content import Bundle
from metasight.bundle.recalibrate import recalibrated_bands
from metasight.decisions.refit_interval import FEWEST_REFITS, around, refit_interval
from metasight.errors import FitError, StudyError
from metasight.estimate import Estimate
from metasight.features.columns import CENTRE, FeatureTable, Kind
from metasight.features.images import ImageFolders
from metasight.models.base import FittedModel
from metasight.models.fitted import ReaderHeadModel
from metasight.models.patient_interval import Band, FittedIntervals
from metasight.models.registry import features_of
from metasight.predictions import NODAL_LABELS

_CERTAIN = 1e-6


@dataclass(frozen=True, kw_only=True)
class Contribution:
    """What knowing a feature, or a modality, changes a patient's risk by.

    Attributes
    ----------
    name, modality
        Of the feature; a whole modality has the same text in both.
    value
        The patient's, as text; empty for a modality and for an image.
    points
        Percentage points of risk: above 0, knowing it raises the risk.
    """

    name: str
    modality: str
    value: str
    points: float


@dataclass(frozen=True, kw_only=True)
class TargetRisk:
    """A patient's risk of one target.

    Attributes
    ----------
    target
        ``N1``, or the horizon in days as text.
    risk
        Probability by the model, with the 95 % interval of the true one from the bundle's
        interval refits; where it has none, of the model's own refits to resamples. None ends where
        either are too few, or too few training patients had the event.
    percentile
        Share of training patients with a lower risk, %; None where it is not known.
    """

    target: str
    risk: Estimate
    percentile: float | None


@dataclass(frozen=True, kw_only=True)
class PatientPrediction:
    """What a bundle says of one patient.

    Attributes
    ----------
    patient
        Pseudonym.
    risks
        Empty where none is given.
    why_none
        Why no risk is given; empty where one is.
    unassessed
        Criteria that could not be assessed: the risk holds if they are met.
    contributions, by_modality
        Strongest first, for the last horizon or for any positive node.
    missing
        Features that the model reads and the patient lacks.
    distance
        To the training patients, above 1 beyond the limit; None where it is not judged.
    """

    patient: str
    risks: tuple[TargetRisk, ...] = ()
    why_none: tuple[str, ...] = ()
    unassessed: tuple[str, ...] = ()
    contributions: tuple[Contribution, ...] = ()
    by_modality: tuple[Contribution, ...] = ()
    missing: tuple[str, ...] = ()
    distance: float | None = field(default=None)


def patient_features(locked: Bundle, table: FeatureTable) -> FeatureTable:
    """A table with exactly the bundle's features; what the patients lack is missing.

    Raises
    ------
    StudyError
        A column has another kind than the bundle's feature of that name.
    """
    known = {f.name: f for f in table.features}
    columns: dict[str, Any] = {}
    for feature in locked.features:
        there = known.get(feature.name)
        if there is not None and there.kind is not feature.kind:
            raise StudyError(
                f"{feature.name} is {there.kind}, the locked models read it as {feature.kind}",
                where="tables",
                remedy="Map it as the protocol says",
            )
        empty: Any = None if feature.kind is Kind.CATEGORICAL or feature.kind.is_key else np.nan
        columns[feature.name] = (
            table.values[feature.name]
            if there is not None
            else pd.Series(
                empty, index=table.values.index, dtype=object if empty is None else float
            )
        )
    values = pd.DataFrame(columns, index=table.values.index)
    return FeatureTable(values, locked.features)


def predict(
    locked: Bundle,
    table: FeatureTable,
    images: ImageFolders,
    *,
    refused: Mapping[str, Sequence[str]],
    unassessed: Mapping[str, Sequence[str]],
) -> tuple[PatientPrediction, ...]:
    """Apply the headline model and its refits to patients.

    Parameters
    ----------
    locked
        Read and verified.
    table
        Features of the patients, as :func:`patient_features` gives them.
    images
        Where their images lie.
    refused
        Pseudonym → why a risk may not be given (not eligible, measured otherwise).
    unassessed
        Pseudonym → criteria that could not be assessed.
    """
    fitted = locked.model(locked.headline_model, images)
    intervals = locked.patient_intervals()
    refits = locked.refit_models(images) if intervals is None else []
    read = features_of(dict(locked.states[locked.headline_model]))
    return tuple(
        _one(
            locked,
            fitted,
            intervals or refits,
            table.rows([patient]),
            read,
            tuple(refused.get(patient, ())),
            tuple(unassessed.get(patient, ())),
        )
        for patient in map(str, table.values.index)
    )


def _one(  # noqa: PLR0917 - all of one patient
    locked: Bundle,
    fitted: FittedModel,
    refits: FittedIntervals | Sequence[FittedModel],
    row: FeatureTable,
    read: frozenset[str],
    refused: tuple[str, ...],
    unassessed: tuple[str, ...],
) -> PatientPrediction:
    patient = str(row.values.index[0])
    missing = tuple(
        n for n in row.values.columns if n in read and bool(row.values[n].isna().iloc[0])
    )
    known = sorted(read - set(missing) - {CENTRE})
    distance, why = _likeness(fitted, row)
    if not known:
        why = (*why, "none of the features that the model reads is known")
    why = (*refused, *why)
    if why:
        return PatientPrediction(
            patient=patient, why_none=why, unassessed=unassessed, missing=missing, distance=distance
        )
    horizons = np.asarray(locked.horizons_days, dtype=np.int64)
    targets = [str(h) for h in horizons] or list(NODAL_LABELS)
    risk = fitted.predict(row, horizons)[0]
    if isinstance(refits, FittedIntervals):
        bands = refits.bands(row)
        if locked.parent is not None:
            bands = recalibrated_bands(bands, locked.parent, _read_by_head(fitted, row))
        shown = _true_risk(bands, dict(zip(targets, map(float, risk), strict=True)))
    else:
        spread = _spread([m.predict(row, horizons)[0] for m in refits], len(targets))
        shown = [_interval(float(r), sd) for r, sd in zip(risk, spread, strict=True)]
    return PatientPrediction(
        patient=patient,
        risks=tuple(
            TargetRisk(
                target=target,
                risk=estimate,
                percentile=locked.standing.percentile(target, estimate.value),
            )
            for target, estimate in zip(targets, shown, strict=True)
        ),
        unassessed=unassessed,
        contributions=_by_feature(fitted, row, horizons, known),
        by_modality=_by_modality(fitted, row, horizons, known),
        missing=missing,
        distance=distance,
    )


def _likeness(fitted: FittedModel, row: FeatureTable) -> tuple[float | None, tuple[str, ...]]:
    distances = fitted.unlike(row) if isinstance(fitted, ReaderHeadModel) else None
    if distances is None:
        return None, ()
    distance = float(distances[0])
    if np.isnan(distance):
        return None, (
            "the measurements needed to compare the patient with the training patients are missing",
        )
    if distance > 1:
        return distance, (
            "the patient differs from the training patients "
            f"(distance {distance:.1f} of the limit)",
        )
    return distance, ()


def _read_by_head(fitted: FittedModel, row: FeatureTable) -> NDArray[np.float64]:
    """What the head of a recalibrated model reads of a patient, shape (1, p)."""
    if not isinstance(fitted, ReaderHeadModel):
        raise FitError("only a model of a reader and a head can have been recalibrated")
    return fitted.reader.matrix(row)


def _true_risk(bands: Mapping[str, Band], risk: Mapping[str, float]) -> list[Estimate]:
    """Risk by the model with the interval of the true one, which reaches to it in any case."""
    found = []
    for target, value in risk.items():
        band = bands.get(target)
        found.append(
            Estimate(value=value)
            if band is None
            else around(value, float(band.lower[0]), float(band.upper[0]))
        )
    return found


def _spread(refitted: Sequence[NDArray[np.float64]], n: int) -> list[float | None]:
    """SD of the log-odds over refits, by target; None where they are too few."""
    if len(refitted) < FEWEST_REFITS:
        return [None] * n
    odds = logit(np.clip(np.vstack(refitted), _CERTAIN, 1 - _CERTAIN))
    return [float(s) for s in odds.std(axis=0, ddof=1)]


def _interval(risk: float, sd: float | None) -> Estimate:
    found = None if sd is None else refit_interval(risk, sd)
    if found is None:
        return Estimate(value=risk)
    # a risk of 0 or 1 lies beyond what log-odds reach
    return around(risk, *found.ends)


def _leading(
    fitted: FittedModel, table: FeatureTable, horizons: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Risk at the last horizon, or of any positive node, %, shape (n,)."""
    risk = fitted.predict(table, horizons)
    return 100 * (risk[:, -1] if len(horizons) else 1 - risk[:, 0])


def _without(row: FeatureTable, groups: Sequence[Sequence[str]]) -> FeatureTable:
    """The patient as he is, then once for each group of features with these missing."""
    values = pd.concat([row.values] * (len(groups) + 1))
    values.index = pd.Index([f"{row.values.index[0]} {k}" for k in range(len(values))])
    kinds = {f.name: f.kind for f in row.features}
    for k, names in enumerate(groups, start=1):
        for name in names:
            text = kinds[name] is Kind.CATEGORICAL or kinds[name].is_key
            column = values[name].to_numpy(copy=True)
            column[k] = None if text else np.nan
            values[name] = column
    return FeatureTable(values, row.features)


def _by_feature(
    fitted: FittedModel, row: FeatureTable, horizons: NDArray[np.int64], known: Sequence[str]
) -> tuple[Contribution, ...]:
    about = {f.name: f for f in row.features}
    single = [n for n in known if not about[n].error_of]
    groups = [[n, *(f.name for f in row.features if f.error_of == n)] for n in single]
    risk = _leading(fitted, _without(row, groups), horizons)
    found = [
        Contribution(
            name=name,
            modality=about[name].modality,
            value=_text(row.values[name].iloc[0], about[name].kind),
            points=float(risk[0] - risk[k]),
        )
        for k, name in enumerate(single, start=1)
    ]
    return tuple(sorted(found, key=lambda c: (-abs(c.points), c.name)))


def _by_modality(
    fitted: FittedModel, row: FeatureTable, horizons: NDArray[np.int64], known: Sequence[str]
) -> tuple[Contribution, ...]:
    about = {f.name: f.modality for f in row.features}
    modalities = sorted({about[n] for n in known})
    groups = [[f.name for f in row.features if f.modality == m] for m in modalities]
    risk = _leading(fitted, _without(row, groups), horizons)
    found = [
        Contribution(name=m, modality=m, value="", points=float(risk[0] - risk[k]))
        for k, m in enumerate(modalities, start=1)
    ]
    return tuple(sorted(found, key=lambda c: (-abs(c.points), c.name)))


def _text(value: object, kind: Kind) -> str:
    if kind.is_key:
        return ""
    if kind is Kind.BINARY:
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
