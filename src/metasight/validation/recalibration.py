"""What recalibrating a finished model in external patients would change, judged on those left out.

A model moved to the outcomes of some patients agrees with these patients by construction. So each
recalibration is judged by the log loss of patients that its estimation did not see, in repeated
K-fold cross-validation within the external patients; how well the recalibrated model does in
others is not known until it is validated again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import expit

from metasight.validation.bootstrap import Draws, draw, resampled_horizon
from metasight.validation.calibration_bootstrap import resampled_hazard, resampled_shift
from metasight.validation.ipcw import horizon_weights
from metasight.validation.last_step import LastStep, LastStepData, last_step
from metasight.validation.links import EDGE, to_cloglog, to_logit
from metasight.validation.ordering import Floats, Ints
from metasight.validation.results import NotEstimable
from metasight.validation.samples import in_order
from metasight.validation.subgroups import headline_number
from metasight.validation.table import Aligned, Target

IN_THE_LARGE, SLOPE, REFIT = "in-the-large", "slope", "refit"
METHODS = (IN_THE_LARGE, SLOPE, REFIT)
"""From the simplest: the intercept alone, intercept and slope, the last step estimated again."""
FEWEST = 10
"""Patients with, and without, the event below which nothing is recalibrated."""
FOLDS, REPEATS = 10, 10
RESAMPLES = 200
_LEAST = 1e-12
"""Probability below which a log loss is not taken: it would be that of one patient alone."""


@dataclass(frozen=True, kw_only=True)
class RecalibrationFit:
    """One recalibration.

    Attributes
    ----------
    method
        ``in-the-large`` (slope fixed at 1), ``slope`` or ``refit``.
    intercept, slope
        Of the line on the scale of the risk, estimated on all external patients.
    coefficients
        Of a refit: what is added for each column that the last step reads.
    covariance
        Of intercept, slope and coefficients, row by row: of a line by the bootstrap of patients,
        of a refit as in :func:`metasight.validation.last_step.last_step`.
    log_loss, brier
        Of patients left out of its estimation, averaged over repeats.
    difference, se
        Its log loss minus that of the model as it is, on the same patients, and the standard error
        over patients; below 0, recalibration helps.
    """

    method: str
    intercept: float
    slope: float
    coefficients: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]
    log_loss: float
    brier: float
    difference: float
    se: float


@dataclass(frozen=True, kw_only=True)
class Recalibrations:
    """What recalibration is offered for a model in external patients, and which is recommended.

    Attributes
    ----------
    model, target
        Whose risk of what the line is estimated on; a target of stage is all its cuts.
    horizon_days
        None for stage.
    scale
        ``cloglog`` or ``logit``.
    n, events
        External patients, and those seen to have the event by the horizon (or any positive node).
    log_loss, brier
        Of the model as it is.
    fits
        In the order of :data:`METHODS`; one that would turn the order of patients round is absent,
        and a refit that leaves every coefficient as it was.
    recommended
        A method, or empty for the model as it is.
    """

    model: str
    target: str
    horizon_days: int | None
    scale: str
    n: int
    events: int
    log_loss: float
    brier: float
    fits: tuple[RecalibrationFit, ...]
    recommended: str


def recalibrations(
    aligned: Aligned, model: str, *, seed: int, columns: Floats | None = None
) -> Recalibrations | NotEstimable:
    """Estimate the recalibrations of a model and judge them on patients left out.

    Parameters
    ----------
    aligned
        External patients with the model's risks.
    model
        Its name.
    seed
        Of folds and resamples.
    columns
        What the model's last step reads of the same patients, shape (n, p); None where it reads
        images itself: no refit is then offered.

    Returns
    -------
    Recalibrations or NotEstimable
        Not estimable with fewer than :data:`FEWEST` events or patients without, or constant risks.

    Notes
    -----
    Survival: the slope is that of a Cox model (Fine–Gray with competing events) of the log
    cumulative hazard predicted by the last judged horizon, follow-up cut there; the intercept is
    the shift after which the mean risk is the observed one (Kaplan–Meier, Aalen–Johansen). Losses
    are weighted by the inverse probability of being uncensored. Stage: maximum likelihood of one
    line for the log odds of all cuts. The refit is penalised towards the model as it was
    (:mod:`metasight.validation.last_step`), of survival by the same weighted loss.

    The simplest is recommended whose held-out log loss is not worse than that of the best by more
    than a standard error of their difference (the rule of Breiman and others 1984 for pruning
    trees, here over patients). Vergouwe and others' closed test (Stat Med 2017;36:4529) has the
    same order from simple to complex, but tests by likelihood ratios, which an intercept of
    censored data does not have.
    """
    problem = _Problem.of(aligned, model, columns)
    few = problem.refusal()
    if few:
        return NotEstimable(not_estimable=few)
    draws = draw(aligned.n, RESAMPLES, seed)
    as_is = problem.losses(problem.scaled[None])[:, 0]
    losses, fits = [as_is[0]], []
    for method in METHODS:
        estimated = problem.refitted() if method == REFIT else problem.line(draws, method)
        if estimated is None:
            continue
        loss = _left_out(problem, method, seed)
        if not np.isfinite(loss).all():
            continue
        losses.append(loss[0])
        gap = loss[0] - as_is[0]
        fits.append(
            RecalibrationFit(
                method=method,
                intercept=estimated.intercept,
                slope=estimated.slope,
                coefficients=tuple(estimated.coefficients.tolist()),
                covariance=tuple(tuple(row) for row in estimated.covariance.tolist()),
                log_loss=float(loss[0].mean()),
                brier=float(loss[1].mean()),
                difference=float(gap.mean()),
                se=_se(gap),
            )
        )
    chosen = simplest_not_worse(losses)
    return Recalibrations(
        model=model,
        target=problem.name,
        horizon_days=problem.horizon_days,
        scale=problem.scale,
        n=aligned.n,
        events=int(problem.event.sum()),
        log_loss=float(as_is[0].mean()),
        brier=float(as_is[1].mean()),
        fits=tuple(fits),
        recommended="" if chosen == 0 else fits[chosen - 1].method,
    )


def _left_out(problem: _Problem, method: str, seed: int) -> Floats:
    """Log loss and Brier score of each patient by estimates that it had no part in, shape (2, n).

    NaN where there is none without some patients.
    """
    train, held = _folds(problem.event.size, seed)
    every = problem.losses(problem.moved(train, method))
    return np.asarray(np.where(held, every, 0.0).sum(axis=1) / REPEATS)


def simplest_not_worse(losses: Sequence[Floats]) -> int:
    """Which of several, from simple to complex, is the simplest that is not clearly worse.

    Parameters
    ----------
    losses
        Of the same patients, shape ``(n,)`` each.

    Returns
    -------
    int
        The first whose mean loss exceeds the least by no more than the standard error of the
        difference over patients.
    """
    best = losses[int(np.argmin([x.mean() for x in losses]))]
    gaps = [x - best for x in losses]
    return next(k for k, gap in enumerate(gaps) if gap.mean() <= _se(gap))


def _se(values: Floats) -> float:
    return float(values.std(ddof=1) / np.sqrt(values.size))


def _folds(n: int, seed: int) -> tuple[Draws, npt.NDArray[np.bool_]]:
    """Training weights and who is left out, shape (repeats · folds, n).

    Events are not spread evenly: if they were, those left out would have as many as those that the
    line was moved to, and the error of its intercept would not be seen.
    """
    rng = np.random.default_rng([seed, 0x7263])
    held = np.zeros((REPEATS * FOLDS, n), dtype=np.bool_)
    for repeat in range(REPEATS):
        held[repeat * FOLDS + np.arange(n) % FOLDS, rng.permutation(n)] = True
    return (~held).astype(np.int32), held


@dataclass(frozen=True, kw_only=True)
class _Problem:
    """The external patients as the line of a model sees them.

    ``above`` are risks of the event by the horizon, shape (1, n), or of a stage at or above each
    cut, shape (cuts, n). ``case`` and ``control`` are the patients' weights at each of them,
    ``columns`` what the last step reads, shape (n, p).
    """

    name: str
    horizon_days: int | None
    target: Target
    above: Floats
    stage: Ints
    case: Floats
    control: Floats
    event: npt.NDArray[np.bool_]
    columns: Floats | None

    @classmethod
    def of(cls, aligned: Aligned, model: str, columns: Floats | None = None) -> _Problem:
        risk = aligned.models[model].risk[0]
        if aligned.kind == "nodal":
            cuts = np.arange(1, len(risk) + 1)
            reached = (aligned.stage >= cuts[:, None]).astype(np.float64)
            return cls(
                name="stage",
                horizon_days=None,
                target=aligned.targets[0],
                above=risk,
                stage=aligned.stage,
                case=reached,
                control=1 - reached,
                event=aligned.stage >= 1,
                columns=columns,
            )
        k = headline_number(aligned)
        target = aligned.targets[k]
        time, status = in_order(aligned)
        weights = horizon_weights(time, status, target.horizon)
        return cls(
            name=target.name,
            horizon_days=target.horizon_days,
            target=target,
            above=risk[k][None],
            stage=aligned.stage,
            case=weights.case[None],
            control=weights.control[None],
            event=(status == 1) & (time <= target.horizon),
            columns=columns,
        )

    @property
    def scale(self) -> str:
        return "logit" if self.horizon_days is None else "cloglog"

    @property
    def scaled(self) -> Floats:
        """The risks on their scale, shape (cuts, n)."""
        return to_logit(self.above) if self.horizon_days is None else to_cloglog(self.above)

    def refusal(self) -> str:
        free = int((self.control[0] > 0).sum())
        if self.event.sum() < FEWEST or free < FEWEST:
            return (
                f"{int(self.event.sum())} patients with the event and {free} without; "
                f"recalibration needs {FEWEST} of each"
            )
        if float(np.ptp(self.above[0])) < _LEAST:
            return "all patients have the same risk"
        return ""

    # ------------------------------------------------------------------ estimation

    def moved(self, draws: Draws, method: str) -> Floats:
        """All patients' risks on their scale as estimated under each row of weights.

        Shape (m, cuts, n); NaN where nothing was found.
        """
        if method != REFIT:
            intercept, slope = self.lines(draws, method)
            return np.asarray(intercept[:, None, None] + slope[:, None, None] * self.scaled)
        out = np.full((len(draws), *self.above.shape), np.nan)
        data = self._last_step()
        if data is None:
            return out
        for k, weight in enumerate(draws):
            found = last_step(data, weight)
            if found is not None:
                out[k] = found.intercept + found.slope * data.base
                out[k] += data.columns @ found.coefficients
        return out

    def line(self, draws: Draws, method: str) -> LastStep | None:
        """Intercept and slope on all patients, with their covariance over resamples."""
        intercept, slope = self.lines(draws, method)
        if not (np.isfinite(intercept[0]) and slope[0] > 0):
            return None
        known = np.isfinite(intercept[1:]) & np.isfinite(slope[1:])
        return LastStep(
            intercept=float(intercept[0]),
            slope=float(slope[0]),
            coefficients=np.zeros(0),
            spread=0.0,
            covariance=np.cov(np.stack([intercept[1:][known], slope[1:][known]])),
        )

    def refitted(self) -> LastStep | None:
        """The last step on all patients; None where it stays as it was or reads images."""
        data = self._last_step()
        if data is None:
            return None
        found = last_step(data, np.ones(self.event.size, dtype=np.int32))
        if found is None or found.spread == 0 or not found.slope > 0:
            return None
        return found

    def _last_step(self) -> LastStepData | None:
        if self.columns is None:
            return None
        return LastStepData(
            base=self.scaled,
            columns=self.columns,
            case=self.case[0],
            control=self.control[0],
            stage=self.stage if self.horizon_days is None else None,
        )

    def lines(self, draws: Draws, method: str) -> tuple[Floats, Floats]:
        """Intercept and slope under each row of weights, shape (m,) each; NaN for none."""
        if self.horizon_days is None:
            found = np.array([self._stage_line(row, method) for row in draws])
            return found[:, 0], found[:, 1]
        data, horizon = self.target.data, self.target.horizon
        risk = self.above[0][data.order]
        by_time = np.ascontiguousarray(draws[:, data.order])
        x = self.scaled[0][data.order]
        strata = np.zeros(data.n, dtype=np.int64)
        observed = resampled_horizon(by_time, data, risk, horizon, strata=strata).observed
        if method == IN_THE_LARGE:
            return resampled_shift(by_time, x, observed), np.ones(len(draws))
        known = data.censored_at(horizon)
        slope = resampled_hazard(by_time, known, x[:, None], horizon).coef[:, 0]
        intercept = np.full(len(draws), np.nan)
        for k in np.flatnonzero(np.isfinite(slope)).tolist():
            one = slice(k, k + 1)
            intercept[k] = resampled_shift(by_time[one], slope[k] * x, observed[one])[0]
        return intercept, slope

    def _stage_line(self, weight: npt.NDArray[np.int32], method: str) -> tuple[float, float]:
        odds = to_logit(self.above)

        def loss(line: Floats) -> float:
            slope = 1.0 if method == IN_THE_LARGE else line[1]
            return float(weight @ self._stage_loss(expit(line[0] + slope * odds)))

        start = np.array([0.0, 1.0])[: 1 if method == IN_THE_LARGE else 2]
        found = minimize(loss, start, method="BFGS")
        if not np.isfinite(found.fun) or np.abs(found.x).max() > 50:
            return np.nan, np.nan
        return float(found.x[0]), 1.0 if method == IN_THE_LARGE else float(found.x[1])

    # ------------------------------------------------------------------ losses

    def losses(self, moved: Floats) -> Floats:
        """Log loss and Brier score of each patient by risks on their scale, shape (2, m, n).

        ``moved`` has shape (m, cuts, n).
        """
        found = np.empty((2, len(moved), self.above.shape[1]))
        for k, eta in enumerate(moved):
            if self.horizon_days is None:
                risk = expit(eta)
                found[0, k] = self._stage_loss(risk)
            else:
                risk = -np.expm1(-np.exp(np.minimum(eta, 50.0)))
                held = np.clip(risk, EDGE, 1 - EDGE)
                found[0, k] = -(self.case * np.log(held) + self.control * np.log1p(-held))[0]
            square = self.case * (1 - risk) ** 2 + self.control * risk**2
            found[1, k] = square.sum(axis=0)
        return found

    def _stage_loss(self, above: Floats) -> Floats:
        """−log of the probability of the observed stage, shape (n,)."""
        n = above.shape[1]
        edges = np.vstack([np.ones(n), above, np.zeros(n)])
        at = np.arange(n)
        own = edges[self.stage, at] - edges[self.stage + 1, at]
        return np.asarray(-np.log(np.maximum(own, _LEAST)))
