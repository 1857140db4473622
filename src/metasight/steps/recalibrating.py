"""A bundle recalibrated in the external patients of a validation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from metasight.bundle import Bundle
from metasight.bundle.content import Parent
from metasight.bundle.recalibrate import recalibrated_bundle
from metasight.errors import StudyError
from metasight.predictions import Predictions
from metasight.steps import artefacts
from metasight.validation.json_tree import from_jsonable
from metasight.validation.recalibration import Recalibrations


def recalibrate(
    locked: Bundle,
    *,
    content: str,
    run: str,
    method: str,
    judged: Path,
    marks: Mapping[str, Iterable[str]],
) -> Bundle:
    """The locked bundle with its headline model recalibrated as a validation estimated.

    Parameters
    ----------
    locked, content
        The parent, and the sha256 of its list of hashes.
    run
        Name of the validation.
    method
        ``in-the-large``, ``slope`` or ``refit``.
    judged
        Folder of the evaluation step of the external patients.
    marks
        Pseudonym → marks of the external cohort, made with the bundle's key; those of the patients
        that were judged go into the new bundle.

    Raises
    ------
    StudyError
        This recalibration is not offered for these patients.
    FitError
        The model is recalibrated already.
    """
    told = artefacts.RECALIBRATION.read(judged)
    if "not_estimable" in told:
        raise _not_offered(method, str(told["not_estimable"]))
    found = from_jsonable(Recalibrations, told)
    fit = next((f for f in found.fits if f.method == method), None)
    if fit is None:
        offered = ", ".join(f.method for f in found.fits) or "none"
        raise _not_offered(method, f"offered: {offered}")
    parent = Parent(
        content=content,
        run=run,
        method=method,
        intercept=fit.intercept,
        slope=fit.slope,
        horizon_days=found.horizon_days,
        coefficients=fit.coefficients,
        covariance=fit.covariance,
        patients=found.n,
        events=found.events,
        log_loss_change=fit.difference,
        se=fit.se,
        recommended=found.recommended,
    )
    used = set(Predictions.from_parquet(artefacts.PREDICTIONS.path(judged)).table["patient"])
    return recalibrated_bundle(locked, parent, (m for p in sorted(used) for m in marks.get(p, ())))


def _not_offered(method: str, why: str) -> StudyError:
    return StudyError(
        f"the recalibration {method} is not offered for these patients",
        value=why,
        remedy="See the section on recalibration in the report of the validation",
    )
