"""Simultaneous bands of decision curves from the bootstrap's samples (studentised max-t).

A decision curve is read as a whole: a model is said to be useful at the thresholds where its
curve is above the others. Intervals that hold at each threshold by itself miss some threshold
more often than stated, so the bands here hold all thresholds at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from metasight.validation.bootstrap import MAX_LOST_SHARE, to_metric
from metasight.validation.ordering import EVENT, Floats
from metasight.validation.results import DecisionCurve, DecisionPoint
from metasight.validation.samples import TargetSamples
from metasight.validation.table import Target
from metasight.validation.threshold_band import BandPoint, ThresholdBand

FEWEST = 5
"""Patients with, and without, an event seen by the horizon among those on whom a difference rests.
Of fewer, more than 1 in 150 resamples (e⁻⁵) hold none, and the spread of the resamples is no longer
that of the estimate: five untreated patients without a single event say little of how rare it is.
"""
TREATED = "at or above the threshold"
UNTREATED = "below the threshold"
APART = "whom the two models treat differently"
_NO_SPREAD = 1e-12
"""Of a net benefit per patient; a sum of the same numbers differs by less in its last digits."""


def max_t(
    samples: Floats, reasons: Sequence[str], confidence: float
) -> tuple[float | None, Floats, tuple[str, ...], int]:
    """Critical value of the largest studentised deviation over several estimates.

    Parameters
    ----------
    samples
        Shape ``(1 + B, k)``: the estimates, then the resamples; NaN where a resample has no value.
    reasons
        Why an estimate takes no part, shape ``(k,)``; empty where it does.
    confidence
        Of holding all that take part.

    Returns
    -------
    critical
        In standard errors; ``None`` where nothing takes part.
    se
        Standard error of each, shape ``(k,)``; NaN of those that take no part.
    reasons
        As given, with those added that the samples show: no spread, or too many resamples lost.
    resamples
        Used: those in which all that take part have a value.

    Notes
    -----
    The interval of estimate j is ``samples[0, j] ± critical · se[j]``. An estimate without spread
    cannot be studentised and takes no part. One that more than a tenth of the resamples cannot
    give takes no part either; a resample that lacks any of the rest is left out for all of them,
    since what is estimated is their joint distribution.

    References
    ----------
    Montiel Olea and Plagborg-Møller, J Appl Econometrics 2019;34:1 (sup-t band by the bootstrap).
    """
    told = list(reasons)
    point, boot = samples[0], samples[1:]
    finite = np.isfinite(boot)
    for j in range(samples.shape[1]):
        lost = int((~finite[:, j]).sum())
        if told[j]:
            continue
        if not np.isfinite(point[j]) or lost > MAX_LOST_SHARE * len(boot):
            told[j] = f"{lost} of {len(boot)} resamples have no net benefit"
    se = np.full(samples.shape[1], np.nan)
    used = np.array([not t for t in told], dtype=np.bool_)
    rows = finite[:, used].all(axis=1)
    if not used.any() or rows.sum() < 2:
        return None, se, tuple(t or "too few resamples have a value" for t in told), 0
    se[used] = boot[np.ix_(rows, used)].std(axis=0, ddof=1)
    for j in np.flatnonzero(used).tolist():
        if se[j] < _NO_SPREAD:
            se[j], told[j], used[j] = np.nan, "no spread over the resamples", False
    if not used.any():
        return None, se, tuple(told), 0
    deviation = np.abs(boot[np.ix_(rows, used)] - point[used]) / se[used]
    critical = float(np.quantile(deviation.max(axis=1), confidence))
    return critical, se, tuple(told), int(rows.sum())


def seen_by_horizon(target: Target) -> npt.NDArray[np.bool_]:
    """Who was seen to have the event by the target's horizon, in the order of the patients."""
    data = target.data
    seen = np.empty(data.n, dtype=np.bool_)
    seen[data.order] = (data.status == EVENT) & (data.time <= target.horizon)
    return seen


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A model at one target.

    Attributes
    ----------
    risk
        Shape ``(repeats, n)``.
    event
        Who was seen to have the event by the horizon, shape ``(n,)``.
    samples
        Its net benefit, at the thresholds.
    """

    risk: Floats
    event: npt.NDArray[np.bool_]
    samples: TargetSamples

    @classmethod
    def at(cls, target: Target, risk: Floats, samples: TargetSamples) -> Judged:
        """A model's risk of a target, shape (repeats, n), and its samples."""
        return cls(risk=risk, event=seen_by_horizon(target), samples=samples)

    def share_treated(self, threshold: float) -> Floats:
        """Share of repeats in which each patient would be treated, shape ``(n,)``."""
        return np.asarray((self.risk >= threshold).mean(axis=0))


def decision_curve(model: Judged, thresholds: Sequence[float], confidence: float) -> DecisionCurve:
    """Net benefit with intervals at each threshold, and with bands over all of them.

    Parameters
    ----------
    model
        At one target.
    thresholds
        Ascending, as in the samples.
    confidence
        Of each interval, and of the whole of each band.
    """
    reason, samples = "no event rate at or above the threshold", model.samples
    return DecisionCurve(
        points=tuple(
            DecisionPoint(
                threshold=threshold,
                net_benefit=to_metric(samples.net_benefit[:, k], confidence, reason),
                treat_all=to_metric(samples.treat_all[:, k], confidence, reason),
                treated=float(model.share_treated(threshold).mean()),
            )
            for k, threshold in enumerate(thresholds)
        ),
        band=model_band(model, thresholds, confidence),
        over_default=band_over_default(model, thresholds, confidence),
    )


def model_band(model: Judged, thresholds: Sequence[float], confidence: float) -> ThresholdBand:
    """Band of a model's net benefit.

    Parameters
    ----------
    model
        At one target.
    thresholds
        Ascending, as in the samples.
    confidence
        Of the whole band.

    Returns
    -------
    ThresholdBand
        Without a band where the treated hold fewer than :data:`FEWEST` events or others. Where
        all would be treated, it is that of treating all.
    """
    reasons = [_too_few(model.event, model.share_treated(t), TREATED) for t in thresholds]
    return _band(model.samples.net_benefit, thresholds, reasons, confidence)


def band_over_default(
    model: Judged, thresholds: Sequence[float], confidence: float
) -> ThresholdBand:
    """Band of a model's net benefit minus that of the better of treating all and treating none.

    Parameters are those of :func:`model_band`.

    Returns
    -------
    ThresholdBand
        Without a band where the treated, or the untreated, hold fewer than :data:`FEWEST` events
        or others; so too where nobody or all would be treated and the model is one of the
        defaults in the patients seen.

    Notes
    -----
    The difference to the better is the smaller of the differences to both. The band is simultaneous
    over both at all thresholds, and its limits are the smaller of the two lower and of the two
    upper ones: if it holds both differences, it holds the smaller. The bootstrap of the better
    itself would not do where the two are worth the same (at the prevalence), since the maximum has
    a corner there. The price is a band that is somewhat wider than it would have to be.
    """
    k = len(thresholds)
    reasons = []
    for t in thresholds:
        treated = model.share_treated(t)
        reasons.append(
            _too_few(model.event, treated, TREATED) or _too_few(model.event, 1 - treated, UNTREATED)
        )
    samples = model.samples
    both = np.hstack([samples.net_benefit - samples.treat_all, samples.net_benefit])
    critical, se, told, used = max_t(both, reasons * 2, confidence)
    reach = np.nan if critical is None else critical * se
    value, lower, upper = (
        np.minimum(line[:k], line[k:]) for line in (both[0], both[0] - reach, both[0] + reach)
    )
    why = [told[j] or told[j + k] for j in range(k)]
    points = _points(thresholds, value, lower, upper, why)
    return ThresholdBand(points=points, confidence=confidence, critical=critical, resamples=used)


def contrast_band(
    model: Judged, reference: Judged, thresholds: Sequence[float], confidence: float
) -> ThresholdBand:
    """Band of a model's net benefit minus that of a reference model, on the same resamples.

    Parameters
    ----------
    model, reference
        Of the same patients and resamples at one target.
    thresholds, confidence
        As in :func:`model_band`.

    Returns
    -------
    ThresholdBand
        Without a band where those whom the two treat differently hold fewer than :data:`FEWEST`
        events or others.
    """
    reasons = [
        _too_few(model.event, np.abs(model.share_treated(t) - reference.share_treated(t)), APART)
        for t in thresholds
    ]
    gap = model.samples.net_benefit - reference.samples.net_benefit
    return _band(gap, thresholds, reasons, confidence)


def _too_few(event: npt.NDArray[np.bool_], share: Floats, who: str) -> str:
    """Why those on whom a difference rests are too few; empty if they are not."""
    if float(share.sum()) < _NO_SPREAD:
        return f"there is no patient {who}"
    for name, members in (("had the event", event), ("did not have the event", ~event)):
        if float(share[members].sum()) < FEWEST:
            return f"fewer than {FEWEST} patients {who} {name}"
    return ""


def _band(
    samples: Floats, thresholds: Sequence[float], reasons: Sequence[str], confidence: float
) -> ThresholdBand:
    critical, se, told, used = max_t(samples, reasons, confidence)
    reach = np.nan if critical is None else critical * se
    points = _points(thresholds, samples[0], samples[0] - reach, samples[0] + reach, told)
    return ThresholdBand(points=points, confidence=confidence, critical=critical, resamples=used)


def _points(
    thresholds: Sequence[float], value: Floats, lower: Floats, upper: Floats, told: Sequence[str]
) -> tuple[BandPoint, ...]:
    """The curve at each threshold, with its limits where no reason is told against them."""
    return tuple(
        BandPoint(
            threshold=float(t),
            value=float(value[j]),
            lower=None if told[j] else float(lower[j]),
            upper=None if told[j] else float(upper[j]),
            reason=told[j],
        )
        for j, t in enumerate(thresholds)
    )
