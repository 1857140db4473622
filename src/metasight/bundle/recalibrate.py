"""A bundle whose headline model is recalibrated in external patients: a new one, by its parent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit
from scipy.stats import norm

from metasight.bundle.content import Bundle, Parent, Standing
from metasight.models.patient_interval import Band
from metasight.models.recalibrated import Recalibration, recalibrated_state

Floats = NDArray[np.float64]
_CERTAIN = 1e-8


def recalibrated_bundle(locked: Bundle, parent: Parent, marks: Iterable[str]) -> Bundle:
    """The bundle with its headline model recalibrated; all else is its parent's.

    Parameters
    ----------
    locked
        The parent.
    parent
        What is changed, and by whom it was estimated.
    marks
        Of the external patients, made with the parent's key: they have been used, and a validation
        of the new bundle leaves them out.

    Raises
    ------
    FitError
        The headline model is recalibrated already.
    """
    line, name = line_of(parent), locked.headline_model
    note = (
        f"recalibrated ({parent.method}) in {parent.patients} external patients with "
        f"{parent.events} events"
    )
    states = {
        m: recalibrated_state(dict(s), line, note) if m == name else s
        for m, s in locked.states.items()
    }
    together = {*map(str, locked.overlap.get("marks", ())), *marks}
    return replace(
        locked,
        states=states,
        # refits to resamples read other columns, and where training patients would stand is not
        # known without their columns: neither is there for a last step of new coefficients
        refits=()
        if line.coefficients
        else tuple(recalibrated_state(dict(s), line, note) for s in locked.refits),
        standing=Standing(
            quantiles={} if line.coefficients else _quantiles(locked.standing.quantiles, line)
        ),
        overlap={**locked.overlap, "marks": sorted(together)},
        parent=parent,
    )


def line_of(parent: Parent) -> Recalibration:
    """The recalibration that a bundle says was made."""
    return Recalibration(
        scale="cloglog" if parent.horizon_days is not None else "logit",
        intercept=parent.intercept,
        slope=parent.slope,
        horizon_days=parent.horizon_days,
        coefficients=parent.coefficients,
    )


def _quantiles(
    known: Mapping[str, tuple[float, ...]], line: Recalibration
) -> dict[str, tuple[float, ...]]:
    """Quantiles of the training patients' risks after recalibration.

    Each quantile goes through the line as a patient's curve would; N1, the difference of two, has
    none any more.
    """
    out: dict[str, tuple[float, ...]] = {}
    values = {target: np.asarray(q, dtype=np.float64) for target, q in known.items()}
    if line.horizon_days is None:
        for target in ("N0", "N2"):
            if target in values:
                q = values[target]
                moved = 1 - line.odds(1 - q) if target == "N0" else line.odds(q)
                out[target] = tuple(moved.tolist())
        return out
    own = values.get(str(line.horizon_days))
    if own is None:
        return out
    for target, q in values.items():
        out[target] = tuple(np.maximum.accumulate(line.curve(q[:, None], own)[:, 0]).tolist())
    return out


def recalibrated_bands(
    bands: Mapping[str, Band], parent: Parent, matrix: Floats, *, confidence: float = 0.95
) -> dict[str, Band]:
    """Intervals of patients' true risks after recalibration, wider by what the line's error adds.

    Parameters
    ----------
    bands
        Target → band by the parent's refits.
    parent
        What was changed.
    matrix
        What the head reads of the patients, shape (n, p).
    confidence
        Level of the bands.

    Returns
    -------
    dict
        Without N1, whose probability is a difference, and without any band where there is none at
        the horizon of the line.
    """
    line = line_of(parent)
    if line.horizon_days is None:
        wanted = {t: b for t, b in bands.items() if t in {"N0", "N2"}}
        return {
            t: _wider(b, None, parent, matrix, confidence, t == "N0") for t, b in wanted.items()
        }
    own = bands.get(str(line.horizon_days))
    if own is None:
        return {}
    return {t: _wider(b, own, parent, matrix, confidence, False) for t, b in bands.items()}


def _wider(  # noqa: PLR0917 - all of one band
    band: Band, own: Band | None, parent: Parent, matrix: Floats, confidence: float, turned: bool
) -> Band:
    """One band through the line; ``turned`` where it is of the probability below the first cut."""
    line = line_of(parent)
    added = line.added(matrix)
    moved, scale = {}, np.zeros(band.centre.shape)
    for side in ("lower", "centre", "upper"):
        risk = np.clip(getattr(band, side), _CERTAIN, 1 - _CERTAIN)
        if own is None:
            x = -logit(risk) if turned else logit(risk)
            eta = line.intercept + line.slope * x + added
            moved[side] = -eta if turned else eta
        else:
            at = np.clip(getattr(own, side), _CERTAIN, 1 - _CERTAIN)
            x = np.log(-np.log1p(-at))
            moved[side] = np.log(-np.log1p(-risk)) + line.shift(at) + added
        if side == "centre":
            scale = x
    read = matrix if line.coefficients else np.zeros((len(scale), 0))
    row = np.column_stack([np.ones(len(scale)), scale, read])
    variance = np.einsum("np,pq,nq->n", row, np.array(parent.covariance), row)
    reach = float(norm.ppf(0.5 + confidence / 2)) ** 2 * np.maximum(variance, 0.0)
    centre = moved["centre"]
    low = centre - np.sqrt((centre - moved["lower"]) ** 2 + reach)
    high = centre + np.sqrt((moved["upper"] - centre) ** 2 + reach)

    def back(eta: Floats) -> Floats:
        return np.asarray(expit(eta) if own is None else -np.expm1(-np.exp(np.minimum(eta, 50.0))))

    return Band(lower=back(low), centre=back(centre), upper=back(high))
