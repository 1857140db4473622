"""One ordering of the patients, reused by every metric and every resample.

A bootstrap resample is a row of integer weights on this ordering: nothing is sorted again.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from metasight.errors import EvaluationError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

CENSORED, EVENT, COMPETING = 0, 1, 2


@dataclass(frozen=True, kw_only=True)
class FollowUp:
    """Follow-up of ``n`` patients in ascending time.

    Attributes
    ----------
    time
        Ascending, > 0, in days (or any one unit), shape ``(n,)``.
    status
        0 censored, 1 event, 2 competing event, aligned with ``time``.
    order
        ``time == caller_time[order]``.
    """

    time: Floats
    status: Ints
    order: Ints

    @property
    def n(self) -> int:
        """Patients."""
        return int(self.time.shape[0])

    @property
    def competing(self) -> bool:
        """Whether any competing event was observed."""
        return bool((self.status == COMPETING).any())

    def censored_at(self, horizon: float) -> FollowUp:
        """The same patients with follow-up cut at ``horizon``: what is known by then, no more.

        An event on the day of the horizon counts; a later one is censored there. The order stays.
        """
        later = self.time > horizon
        return FollowUp(
            time=np.where(later, float(horizon), self.time),
            status=np.where(later, CENSORED, self.status),
            order=self.order,
        )


def follow_up(time: npt.ArrayLike, status: npt.ArrayLike) -> FollowUp:
    """Check and order times and status.

    Parameters
    ----------
    time, status
        Shape ``(n,)``; see :class:`FollowUp`.

    Raises
    ------
    EvaluationError
        Shapes differ, a time is missing, infinite or not > 0, or a status is not 0, 1 or 2.
    """
    t = np.ascontiguousarray(time, dtype=np.float64)
    s = np.ascontiguousarray(status, dtype=np.int64)
    if t.ndim != 1 or t.shape != s.shape or t.size == 0:
        raise EvaluationError(
            "times and status must be two vectors of one length",
            value=f"{t.shape} and {s.shape}",
            remedy="Give one time and one status a patient",
        )
    if not (np.isfinite(t) & (t > 0)).all():
        raise EvaluationError(
            "a follow-up time is missing or not above zero",
            value=str(t[~(np.isfinite(t) & (t > 0))][0]),
            remedy="Give the days from time zero to the event or to the last contact",
        )
    if s.min() < CENSORED or s.max() > COMPETING:
        raise EvaluationError(
            "a status is none of 0, 1, 2",
            value=str(s[~np.isin(s, (0, 1, 2))][0]),
            remedy="0 censored, 1 event, 2 competing event",
        )
    order = np.argsort(t, kind="stable")
    return FollowUp(time=t[order], status=s[order], order=order)


def as_vector(values: npt.ArrayLike, n: int, name: str) -> Floats:
    """Return ``values`` as ``n`` finite floats.

    Raises
    ------
    EvaluationError
        Another length, or a value that is missing or infinite.
    """
    out = np.ascontiguousarray(values, dtype=np.float64)
    if out.shape != (n,):
        raise EvaluationError(
            f"{name} must have one value a patient",
            value=f"shape {out.shape} for {n} patients",
            remedy="Align it with the times",
        )
    if not np.isfinite(out).all():
        raise EvaluationError(
            f"{name} has missing or infinite values",
            value=str(out[~np.isfinite(out)][0]),
            remedy="Predict every patient that is to be evaluated",
        )
    return out


def as_weights(weights: npt.ArrayLike | None, n: int) -> Floats:
    """Return frequency weights (ones by default), checked to be ≥ 0 with a positive sum.

    Raises
    ------
    EvaluationError
        A negative weight, or nobody left.
    """
    if weights is None:
        return np.ones(n)
    out = as_vector(weights, n, "weights")
    if (out < 0).any() or out.sum() <= 0:
        raise EvaluationError(
            "weights must be at least 0 and not all 0",
            value=str(out.min()),
            remedy="Give how often each patient was drawn",
        )
    return out


def as_strata(strata: npt.ArrayLike | None, n: int) -> Ints:
    """Return strata as dense integers 0 … k − 1 (all 0 by default)."""
    if strata is None:
        return np.zeros(n, dtype=np.int64)
    values = np.asarray(strata)
    if values.shape != (n,):
        raise EvaluationError(
            "strata must have one value a patient",
            value=f"shape {values.shape} for {n} patients",
            remedy="Align them with the times",
        )
    return np.unique(values, return_inverse=True)[1].astype(np.int64)


def as_outcome(y: npt.ArrayLike) -> Floats:
    """Return a 0/1 outcome with both classes.

    Raises
    ------
    EvaluationError
        A value other than 0 and 1, or one class only.
    """
    out = np.asarray(y, dtype=np.float64)
    if out.ndim != 1 or not np.isin(out, (0.0, 1.0)).all():
        raise EvaluationError(
            "the outcome must be 0 or 1",
            value=str(out.ravel()[~np.isin(out.ravel(), (0.0, 1.0))][:1]),
            remedy="Leave out patients whose status was not observed",
        )
    if out.size == 0 or out.min() == out.max():
        raise EvaluationError(
            "one class only",
            value=f"{int(out.sum())} of {out.size} have the outcome",
            remedy="The metric needs patients with and without the outcome",
        )
    return out
